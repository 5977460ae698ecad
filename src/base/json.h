/* json: writing (RFC 8259) into a buf, and reading as tokens that are spans of the text (jsmn).
 *
 * Writer: commas and nesting are kept by the writer; the first failure sticks. Text that is not
 * UTF-8 is written with U+FFFD in place of each bad byte.
 * Reader: parses once into tokens in caller's storage; no copy, no allocation, depth ≤ JSON_DEPTH_MAX.
 * Duplicate keys (also when escapes make them look different), NaN, comments and trailing bytes are
 * errors. What strangers write and nobody signs is read loosely (json_load_loose): deeper, with objects
 * of any size, and of keys that stand twice the last one counts. */
#pragma once

#include "base/buf.h"

enum {
    JSON_DEPTH_MAX = 32,
    JSON_DEEP_MAX = 60,     /* of the writer, and read loosely; a bit each in struct json_writer */
    JSON_MEMBERS_MAX = 1024 /* of one object */
};

struct json_writer {
    struct buf *out;
    unsigned depth;
    uint64_t comma; /* bit per depth: an element stands before */
    bool after_key;
    struct err err;
};
void json_begin(struct json_writer *w, struct buf *out);
void json_object(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_text(struct json_writer *w, struct view value);
void json_hex(struct json_writer *w, struct view bytes); /* as a string of lower-case digits */
void json_u64(struct json_writer *w, uint64_t value);
void json_i64(struct json_writer *w, int64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_raw(struct json_writer *w, struct view value); /* already JSON */
MUST_USE bool json_end(struct json_writer *w, struct err *err);

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
struct json_token {
    enum json_kind kind;
    uint32_t start, end; /* span in the text; strings without their quotes */
    uint32_t count;      /* elements of an array, members of an object */
    uint32_t next;       /* index of the token after this value */
};
struct json_doc {
    struct view text;
    const struct json_token *tokens; /* tokens[0] is the whole value */
    uint32_t count;
    bool loose; /* keys may stand twice */
};
/* tokens: room for max. The doc lends both text and tokens. */
MUST_USE bool json_parse(struct view text, struct json_token *tokens, uint32_t max,
                         struct json_doc *out, struct err *err);
/* A document with tokens of its own, at most max of them. */
struct json_tree {
    struct json_doc doc;
    struct json_token *tokens;
};
/* The tree lends text. */
MUST_USE bool json_load(struct view text, uint32_t max, struct json_tree *out, struct err *err);
/* As json_load, loosely (see above). */
MUST_USE bool json_load_loose(struct view text, uint32_t max, struct json_tree *out,
                              struct err *err);
void json_unload(struct json_tree *tree);
/* Token index of the member's value, or 0 when there is none. object: index of an object token (else 0 is
 * returned). key: as it reads, whatever escapes the text writes it with. */
uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *key);
/* Index of the first element (array) or first key (object); step with tokens[i].next. */
static inline uint32_t json_first(uint32_t container)
{
    return container + 1;
}
struct view json_span(const struct json_doc *doc, uint32_t token);
/* A string with its escapes decoded into out (size bytes, NUL-terminated). False: not a string, does
 * not fit, a lone surrogate, or holds U+0000. */
MUST_USE bool json_string(const struct json_doc *doc, uint32_t token, char *out, size_t size);
/* A whole number, written without fraction or exponent, from -2^63 to 2^63 - 1. */
MUST_USE bool json_integer(const struct json_doc *doc, uint32_t token, int64_t *out);
/* A string with its escapes decoded, in memory of its own (free), NUL-terminated. *len: its bytes. False: as
 * json_string, or no memory. */
MUST_USE bool json_string_new(const struct json_doc *doc, uint32_t token, char **out, size_t *len);
MUST_USE bool json_boolean(const struct json_doc *doc, uint32_t token, bool *out);
/* The token as it stands in the text: a string with its quotes. */
struct view json_source(const struct json_doc *doc, uint32_t token);

/* json_render.c: a value again as text, appended: numbers and strings as they were written, keys in the order of their bytes when
 * sorted (then the last of equal ones alone). Pretty: two blanks a level, ": " behind keys. */
enum json_layout { JSON_COMPACT, JSON_PRETTY };
MUST_USE bool json_render(const struct json_doc *doc, uint32_t token, enum json_layout layout,
                          bool sorted, struct buf *out, struct err *err);
/* json_compact.c: the blanks of a text that is one JSON value, at most JSON_WRAPPED_MAX deep, are taken out where it stands; *len: its bytes.
 * Numbers, strings, and the order and number of keys stay. O(1) memory. False: it is no such value, and is as it was. */
enum { JSON_WRAPPED_MAX = JSON_DEEP_MAX - 4 }; /* what still can be read when others wrap it */
MUST_USE bool json_compact(uint8_t *text, size_t *len, struct err *err);
