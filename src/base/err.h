/* err: why something failed, for the person who can act.
 *
 * One convention in the whole tree: a function that can fail is
 *     MUST_USE bool f(…, struct err *err)        results are written on success only
 * and an engine that is driven step by step reports failure as its last event. A struct err is a
 * plain value: no allocation on the way up. The level that knows *what* went wrong calls err_set;
 * levels above may add *where* with err_in; nobody rephrases. Secrets never go in. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

/* code, stable name, exit status, HTTP status. Enum and tables all come from here. */
#define ERR_LIST(X)                           \
    X(NONE, "none", 0, 200)                   \
    X(USAGE, "usage", 2, 400)                 \
    X(CONFIG, "bad_configuration", 2, 500)    \
    X(MEMORY, "out_of_memory", 70, 503)       \
    X(INTERNAL, "internal", 70, 500)          \
    X(SYNTAX, "bad_syntax", 65, 400)          \
    X(LIMIT, "limit_exceeded", 69, 413)       \
    X(DENIED, "denied", 77, 403)              \
    X(IO, "input_output", 74, 502)            \
    X(NAME, "name_not_resolved", 68, 502)     \
    X(REFUSED, "connection_refused", 69, 502) \
    X(TIMEOUT, "timed_out", 75, 504)          \
    X(TLS, "tls", 76, 502)                    \
    X(NOT_FOUND, "not_found", 66, 404)        \
    X(BUSY, "busy", 75, 503)

enum err_code {
#define X(name, text, exit_status, http_status) ERR_##name,
    ERR_LIST(X)
#undef X
};

enum { ERR_TEXT_BYTES = 320 };

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* a sentence; cut with "…" when longer */
};

/* Records the cause. Always returns false, so: return err_set(err, ERR_SYNTAX, "…"). err may be
 * NULL when the caller does not care. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
/* Puts "where: " before the text that is there. Always returns false. */
bool err_in(struct err *err, const char *fmt, ...) PRINTF(2, 3);
/* As err_set, with ": " and the text of the system error errnum at the end. */
bool err_system(struct err *err, enum err_code code, int errnum, const char *fmt, ...) PRINTF(4, 5);

const char *err_name(enum err_code code);
int err_exit_status(enum err_code code);
int err_http_status(enum err_code code);
