#include "tls/tls_priv.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REASON_BYTES = 128 };

static const char *reason_of(unsigned long code, char text[static REASON_BYTES]);

bool tls_error(struct err *err, enum err_code code, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES], reason[REASON_BYTES];
    unsigned long first = ERR_peek_error();
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)err_set(err, code, "%s: %s", text, reason_of(first, reason));
    ERR_clear_error();
    return false;
}

bool tls_error_text(struct err *err, unsigned long code, const char *doing)
{
    char reason[REASON_BYTES];

    return err_set(err, ERR_TLS, "TLS %s: %s", doing, reason_of(code, reason));
}

static const char *reason_of(unsigned long code, char text[static REASON_BYTES])
{
    const char *reason;

    if (code == 0)
        return "no reason given";
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    reason = ERR_reason_error_string(code);
    if (reason)
        return reason;
    (void)snprintf(text, REASON_BYTES, "OpenSSL error %lx", code);
    return text;
}
