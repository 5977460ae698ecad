#include "attest/attest_err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/poison.h"

static const struct class_row {
    enum attest_class class;
    const char *name, *words;
    int status;
} classes[] = {
#define X(name, first, text, words, status) {ATTEST_CLASS_##name, text, words, status},
    ATLS_CLASS_LIST(X)
#undef X
};

static const struct class_row *class_row(enum attest_class c)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].class == c)
            return &classes[i];
    return &classes[0];
}

static void PRINTF(4, 0) set(struct attest_err *err, enum attest_code code, const char *words,
                             const char *fmt, va_list args)
{
    static const char cut[] = "…";
    size_t n = 0, room;
    int wrote;

    err->code = code;
    if (words) {
        n = strlen(words);
        memcpy(err->text, words, n + 1);
    }
    room = sizeof err->text - n;
    wrote = vsnprintf(err->text + n, room, fmt, args);
    if (wrote < 0)
        err->text[n] = '\0';
    else if ((size_t)wrote >= room)
        memcpy(err->text + sizeof err->text - sizeof cut, cut, sizeof cut);
}

bool attest_fail(struct attest_err *err, enum attest_code code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return false;
    va_start(args, fmt);
    set(err, code, class_row(attest_class_of(code))->words, fmt, args);
    va_end(args);
    return false;
}

bool attest_fail_plain(struct attest_err *err, enum attest_code code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return false;
    va_start(args, fmt);
    set(err, code, NULL, fmt, args);
    va_end(args);
    return false;
}

const char *attest_code_name(enum attest_code code)
{
    switch (code) {
#define X(name, number, text) \
    case ATTEST_##name:       \
        return text;
        ATLS_ERROR_LIST(X)
#undef X
    }
    return "unknown";
}

enum attest_class attest_class_of(enum attest_code code)
{
    return (enum attest_class)((int)code / 100);
}

const char *attest_class_name(enum attest_class c)
{
    return class_row(c)->name;
}

int attest_exit_status(enum attest_code code)
{
    return class_row(attest_class_of(code))->status;
}

bool attest_retryable(enum attest_code code)
{
    enum attest_class c = attest_class_of(code);

    return c == ATTEST_CLASS_IO || c == ATTEST_CLASS_TLS;
}
