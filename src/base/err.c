#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "base/poison.h"

static const struct {
    const char *name;
    int exit_status, http_status;
} codes[] = {
#define X(name, text, exit_status, http_status) {text, exit_status, http_status},
    ERR_LIST(X)
#undef X
};

/* Ends a text that did not fit with "…", at the border of a character (of four bytes at most). */
static void mark_cut(char *text, size_t size)
{
    static const char cut[] = "…";
    size_t at = size - sizeof cut;

    for (int i = 0; i < 3 && ((unsigned char)text[at] & 0xC0) == 0x80; i++)
        at--;
    memcpy(text + at, cut, sizeof cut);
}

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return false;
    err->code = code;
    va_start(args, fmt);
    if (vsnprintf(err->text, sizeof err->text, fmt, args) >= (int)sizeof err->text)
        mark_cut(err->text, sizeof err->text);
    va_end(args);
    return false;
}

bool err_in(struct err *err, const char *fmt, ...)
{
    char what[ERR_TEXT_BYTES];
    va_list args;
    int n;

    if (!err)
        return false;
    memcpy(what, err->text, sizeof what);
    va_start(args, fmt);
    n = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof err->text) {
        mark_cut(err->text, sizeof err->text);
        return false;
    }
    if (snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", what) >=
        (int)(sizeof err->text - (size_t)n))
        mark_cut(err->text, sizeof err->text);
    return false;
}

bool err_system(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
{
    char where[ERR_TEXT_BYTES];
    va_list args;

    if (!err)
        return false;
    va_start(args, fmt);
    (void)vsnprintf(where, sizeof where, fmt, args);
    va_end(args);
    return err_set(err, code, "%s: %s", where, strerror(errnum)); /* of the thread, in this C library */
}

const char *err_name(enum err_code code)
{
    return codes[code].name;
}

int err_exit_status(enum err_code code)
{
    return codes[code].exit_status;
}

int err_http_status(enum err_code code)
{
    return codes[code].http_status;
}

void check_failed(const char *file, int line, const char *cond)
{
    (void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, cond);
    abort();
}
