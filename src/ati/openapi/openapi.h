/* openapi: an OpenAPI 3.0 or 3.1 document (JSON or YAML) as tools. Pure.
 *
 *   text ─► yaml.c (when it is no JSON) ─► JSON ─► document.c ─► operations in document order ─► filters ─► struct tool
 *
 * Facts of the format: OpenAPI 3.0.3 and 3.1.0. Swagger 2.0 is refused by name. References are followed inside the document, to
 * OPENAPI_DEPTH_MAX; others are errors of the operation that needs them, told as warnings.
 * Memory   the document is held as JSON text and spans; at most OPENAPI_BYTES_MAX and OPENAPI_VALUES_MAX; aliases of YAML may not
 *          make more than that of less. Tools own what they hold.
 *
 * Read in order   document.c yaml.c reference.c operation.c parameters.c body.c schema.c security.c manifest.c */
#pragma once

#include "ati/manifest/manifest.h"
#include "base/json.h"

enum {
    OPENAPI_BYTES_MAX = 64 * 1024 * 1024,
    OPENAPI_VALUES_MAX = 8 * 1024 * 1024,
    OPENAPI_DEPTH_MAX = 32
};

struct openapi;
/* origin: where the text came from (path or URL), for messages and relative servers; lent for the call. */
MUST_USE bool openapi_parse(struct view text, const char *origin, struct openapi **out,
                            struct err *err);
void openapi_free(struct openapi *o); /* NULL is fine */
CLEANUP_DEFINE(struct openapi, openapi_free)

struct openapi_about {
    struct view title, version, description; /* as JSON strings decode; lent by the document */
    const char *base_url;                    /* of the first server, resolved against origin; "" */
};
struct openapi_about openapi_about(const struct openapi *o);
struct view openapi_json(const struct openapi *o); /* the document as JSON, lent */

struct openapi_filter {
    const struct texts *include_tags, *exclude_tags, *include_operations, *exclude_operations;
    uint64_t max_operations; /* 0: all */
    const struct openapi_override *overrides;
    size_t override_count;
};
/* Tools of the operations that pass; names are "{provider}:{operation}". *out: an array, the caller's (tools_free). */
MUST_USE bool openapi_tools(const struct openapi *o, const char *provider,
                            const struct openapi_filter *filter, manifest_warning *warn,
                            void *context, struct tool **out, size_t *count, struct err *err);

struct openapi_auth {
    enum manifest_auth type;
    char *header_name, *query_name, *token_url; /* NULL: not said; the caller's */
};
MUST_USE bool openapi_auth(const struct openapi *o, struct openapi_auth *out, struct err *err);
void openapi_auth_done(struct openapi_auth *a);

/* For `inspect`: called for each operation in order. tag: its first one, "" when none; lent for the call. */
typedef void openapi_operation(void *context, const char *method, const char *path,
                               const char *operation, const char *tag, const char *summary);
MUST_USE bool openapi_each(const struct openapi *o, const struct openapi_filter *filter,
                           openapi_operation *each, void *context, struct err *err);

/* yaml.c: YAML (1.1 as libyaml reads it, scalars by the core schema) as JSON text, appended. ERR_SYNTAX: "line 3, column 7: …". */
MUST_USE bool yaml_to_json(struct view yaml, struct buf *json, struct err *err);
