/* The border to toml.cc, which reads no other header of ours: C and C++ both read this one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOML_DEPTH_MAX = 32,     /* arrays and inline tables inside each other */
    TOML_KEY_PARTS_MAX = 24, /* of a dotted key: the parser puts a table on the stack for each */
};

enum toml_event {
    TOML_TABLE,
    TOML_TABLE_END,
    TOML_ARRAY,
    TOML_ARRAY_END,
    TOML_KEY,
    TOML_STRING, /* also dates and times, as RFC 3339 writes them */
    TOML_INTEGER,
    TOML_REAL,
    TOML_BOOL,
};

struct toml_value {
    enum toml_event event;
    uint32_t line;    /* from 1 */
    const char *text; /* of keys and strings, UTF-8; lent for the call */
    size_t len;
    int64_t integer;
    double real;
    bool boolean;
};

/* False stops the walk. */
typedef bool toml_visit(void *context, const struct toml_value *value);

#ifdef __cplusplus
extern "C" {
#endif
/* Visits a document in its own order. False: it is no TOML (error says why, error_line where), or visit said so (*error is 0). */
bool toml_walk(const char *text, size_t len, toml_visit *visit, void *context, char *error,
               size_t error_size, uint32_t *error_line);
#ifdef __cplusplus
}
#endif
