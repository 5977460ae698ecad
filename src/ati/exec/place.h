/* place: where the arguments of a call go: a tool's endpoint, method and schema, and arguments, as URL, fields and body. Pure.
 *
 * Located   when a property of the schema says x-ati-param-location: each goes to the path, query, header, cookie or body; what the
 *           schema does not know goes to the body. Else all go to the query (GET) or the body (others), and the endpoint is literal.
 * Defaults  of the schema stand for arguments that were left out, except null, [] and {}.
 * Numbers   stay as they were written.
 * Keys of the schema: x-ati-param-location, x-ati-collection-format, x-ati-body-encoding, default; and what openapi.h lists.
 *
 * Read in order   place.c (where to) style.c (how it is written) encode.c (octets) */
#pragma once

#include "ati/manifest/manifest.h"
#include "base/json.h"

enum {
    PLACE_URL_BYTES_MAX = 16 * 1024,
    PLACE_BODY_BYTES_MAX = 256 * 1024 * 1024,
    PLACE_ARGUMENTS_MAX = 1024,
    PLACE_VALUES_MAX = 1024 * 1024,
    PLACE_DEPTH_MAX = 16 /* of deepObject */
};

struct place_field {
    char *name, *value;
};
struct placement {
    struct buf url;
    bool has_query; /* more follow an '&' */
    struct place_field *fields;
    size_t field_count;
    bool has_body;
    struct buf body;
    char *content_type; /* with a body */
};
/* arguments: JSON text of an object; anything else: none. memory: of the body; may be NULL. placement_done always. */
MUST_USE bool place_arguments(const struct tool *tool, struct view arguments, struct budget *memory,
                              struct placement *out, struct err *err);
void placement_done(struct placement *p);

/* A name that no caller may set: framing, credentials, forwarding; or the provider's own credential. */
bool place_field_refused(const struct tool_provider *provider, struct view name);

/* encode.c */
enum place_octets {
    OCTETS_FORM,     /* application/x-www-form-urlencoded: A-Za-z0-9*-._ stay, ' ' is '+' */
    OCTETS_PATH,     /* A-Za-z0-9-_.~ stay */
    OCTETS_RESERVED, /* what a query may hold stays, but & = + # and a % that is no escape */
    OCTETS_COOKIE,   /* RFC 6265, 4.1.1, without % */
    OCTETS_URL,      /* of an operator: what a URL may hold stays */
    OCTETS_ALL       /* all stay */
};
MUST_USE bool place_encode(struct buf *out, struct view text, enum place_octets octets,
                           struct err *err);

/* style.c: a value as text: strings decoded, numbers as written, null empty, containers as compact JSON. */
MUST_USE bool place_text(const struct json_doc *doc, uint32_t token, struct buf *out,
                         struct err *err);

enum place_style {
    STYLE_PLAIN, /* one text */
    STYLE_MULTI, /* arrays: the name again for each element; others one text */
    STYLE_FORM,
    STYLE_SIMPLE,
    STYLE_LABEL,
    STYLE_MATRIX,
    STYLE_SPACE,
    STYLE_PIPE,
    STYLE_DEEP,
    STYLE_JSON
};
struct place_how {
    enum place_style style;
    bool explode;
    enum place_octets octets; /* of names and values; what stands between them is never encoded */
};
/* "name=value" pairs, appended with between in front of all but the first (*any: there was one). */
struct place_pairs {
    struct buf *out;
    const char *between;
    bool any;
};
MUST_USE bool place_pairs(struct place_pairs *pairs, struct view name, const struct json_doc *doc,
                          uint32_t token, const struct place_how *how, struct err *err);
/* In a path or a header. check: of each text before it is encoded; may be NULL. */
typedef bool place_check(void *context, struct view text, struct err *err);
MUST_USE bool place_inline(struct buf *out, struct view name, const struct json_doc *doc,
                           uint32_t token, const struct place_how *how, place_check *check,
                           void *context, struct err *err);
