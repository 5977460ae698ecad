/* openapi: an OpenAPI 3.0 or 3.1 document (JSON or YAML) as tools. Pure.
 *
 *   text ─► yaml.c (when it is no JSON) ─► JSON ─► document.c ─► operations in document order ─► filters ─► struct tool
 *
 * Facts of the format: OpenAPI 3.0.3 and 3.1.0. Swagger 2.0 is refused by name. References are followed inside the document, to
 * OPENAPI_DEPTH_MAX; others are told as warnings, and what needs them is left out.
 *
 * Arguments   every parameter and every property of an object body is an argument of the tool. Where two of one operation have the same
 *             name, those that are not the first are called "{place}_{name}". Nested objects show what they hold two levels down.
 *
 * Keys        that the executor reads in a tool's schema, beside "x-ati-param-location" (path query header body),
 *             "x-ati-collection-format" (multi csv ssv pipes) and "x-ati-body-encoding" (form). Readers that do not know them lose nothing
 *             that those say.
 *   of a property
 *     x-ati-param-name       the name that is sent, when it is not the argument's
 *     x-ati-param-in         "cookie": sent as a cookie, whatever x-ati-param-location says (query)
 *     x-ati-param-style      simple label matrix (path, header) form deepObject spaceDelimited pipeDelimited (query, cookie, form bodies),
 *     x-ati-param-explode      and true or false: OpenAPI 3.0.3, "Style Values". Only where the older keys cannot say it
 *     x-ati-param-content    "application/json": sent as JSON text, strings with their quotes
 *     x-ati-param-reserved   true: reserved characters of the value are sent as they are, in the query
 *   of the schema
 *     x-ati-body-argument    the whole body is the value of this argument
 *     x-ati-body-type        the body's media type, when it is neither application/json nor a form; a string is sent as it is unless the
 *                            type is one of JSON
 *     x-ati-body-sent        true: the body is sent with GET and DELETE, too
 *
 * Memory   the document is held as JSON text and spans; at most OPENAPI_BYTES_MAX and OPENAPI_VALUES_MAX; aliases of YAML may not
 *          make more than YAML_ALIAS_BYTES_MAX. Tools own what they hold: OPENAPI_SCHEMA_BYTES_MAX each, OPENAPI_TOOLS_BYTES_MAX together.
 *
 * Read in order   document.c server.c yaml.c scalar.c reference.c operation.c tools.c arguments.c parameters.c body.c schema.c layers.c
 *                 security.c manifest.c */
#pragma once

#include "ati/manifest/manifest.h"
#include "base/json.h"

enum {
    OPENAPI_BYTES_MAX = 64 * 1024 * 1024,
    OPENAPI_VALUES_MAX = 8 * 1024 * 1024,
    OPENAPI_DEPTH_MAX = 32,
    OPENAPI_SCHEMA_BYTES_MAX = 1024 * 1024,
    OPENAPI_TOOLS_BYTES_MAX = 64 * 1024 * 1024,
    OPENAPI_NAME_BYTES_MAX = 256, /* of an operation */
    YAML_ANCHORS_MAX = 4096,
    YAML_ALIAS_BYTES_MAX = 16 * 1024 * 1024
};

struct openapi;
/* origin: where the text came from (path or URL), for relative servers; lent for the call. */
MUST_USE bool openapi_parse(struct view text, const char *origin, struct openapi **out,
                            struct err *err);
void openapi_free(struct openapi *o); /* NULL is fine */
CLEANUP_DEFINE(struct openapi, openapi_free)

struct openapi_about {
    const char *title, *version, *description; /* "" when there is none; lent by the document */
    const char *base_url; /* of the first server, resolved against origin; "" */
};
struct openapi_about openapi_about(const struct openapi *o);
struct view openapi_json(const struct openapi *o); /* the document as JSON, lent */

struct openapi_filter { /* lists may be NULL */
    const struct texts *include_tags, *exclude_tags, *include_operations, *exclude_operations;
    uint64_t max_operations; /* 0: all */
    const struct openapi_override *overrides;
    size_t override_count;
};
/* Tools of the operations that pass; names are "{provider}:{operation}", scopes "tool:{name}" where no override says another.
 * *out: an array, the caller's (tools_free); NULL when there are none. warn may be NULL. */
MUST_USE bool openapi_tools(const struct openapi *o, const char *provider,
                            const struct openapi_filter *filter, manifest_warning *warn,
                            void *context, struct tool **out, size_t *count, struct err *err);

struct openapi_auth {
    enum manifest_auth type;
    char *header_name, *query_name, *token_url; /* NULL: not said; the caller's */
    char *description;                          /* of the scheme; NULL: none */
};
MUST_USE bool openapi_auth(const struct openapi *o, struct openapi_auth *out, struct err *err);
void openapi_auth_done(struct openapi_auth *a);

/* manifest.c: what `import` writes. key: keyring entry; NULL: "{name}_api_key" where one is needed. Appended. */
MUST_USE bool openapi_manifest(const struct openapi *o, const char *name, const char *key,
                               const struct texts *include_tags, struct buf *out, struct err *err);
/* A provider's name from the path or URL of its document, appended: "https://api.stripe.com/v1/spec.json" is "stripe". */
MUST_USE bool openapi_name(struct view origin, struct buf *out, struct err *err);

/* yaml.c: YAML (1.1 as libyaml reads it, scalars by the core schema) as JSON text, appended. ERR_SYNTAX: "line 3, column 7: …". */
MUST_USE bool yaml_to_json(struct view yaml, struct buf *json, struct err *err);
