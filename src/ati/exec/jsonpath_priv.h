/* Private to jsonpath*.c: a path as tables. */
#pragma once

#include "base/json.h"

enum {
    JSONPATH_BYTES_MAX = 4096,
    JSONPATH_DEPTH_MAX = 24,               /* of parentheses and of paths in filters of paths */
    JSONPATH_VALUES_MAX = 4 * 1024 * 1024, /* of the document */
    JSONPATH_NODES_MAX = 1024 * 1024,      /* matches, also on the way */
    JSONPATH_STEPS_MAX = 16 * 1024 * 1024  /* values looked at: what bounds the time */
};

/* Everything refers by index into the tables of struct path; 0 is nobody. */
struct path_selector {
    enum { SELECT_NAME, SELECT_INDEX, SELECT_SLICE, SELECT_ALL, SELECT_FILTER } kind;
    uint32_t next;
    struct view name;
    int64_t index, end, step; /* index: also the slice's start */
    bool has_start, has_end;
    uint32_t filter;
};
struct path_segment {
    bool descendant;
    uint32_t selectors, next;
};
struct path_query {
    bool relative; /* "@": else "$" */
    bool singular; /* at most one match, whatever the document */
    uint32_t segments;
};
struct path_operand {
    enum {
        OPERAND_NULL,
        OPERAND_BOOL,
        OPERAND_NUMBER,
        OPERAND_STRING,
        OPERAND_QUERY,
        OPERAND_LENGTH, /* of query or of a text */
        OPERAND_COUNT,
        OPERAND_VALUE
    } kind;
    bool truth;
    struct view text; /* of a string, decoded; of a number, as written */
    struct path_query query;
    bool of_text; /* OPERAND_LENGTH */
};
struct path_filter {
    enum {
        FILTER_OR,
        FILTER_AND,
        FILTER_NOT,
        FILTER_EXISTS,
        FILTER_EQ,
        FILTER_NE,
        FILTER_LT,
        FILTER_LE,
        FILTER_GT,
        FILTER_GE
    } kind;
    uint32_t left, right; /* of OR, AND, NOT */
    struct path_operand a, b;
};
struct path {
    struct path_segment *segments;
    struct path_selector *selectors;
    struct path_filter *filters;
    uint32_t segment_count, selector_count, filter_count; /* with the unused first one */
    char *text;                                           /* of decoded strings */
    size_t text_len;
    struct path_query query;
};

/* False: ERR_SYNTAX or ERR_LIMIT, what was expected and where. */
MUST_USE bool path_parse(struct view text, struct path *out, struct err *err);
void path_done(struct path *p);

struct path_nodes {
    uint32_t *at;
    size_t count, size;
};
MUST_USE bool path_select(const struct path *p, const struct json_doc *doc, struct path_nodes *out,
                          struct err *err);
