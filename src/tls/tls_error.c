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

/* What the other end gave for its reason to stop (RFC 8446, 6; the older ones: RFC 5246, 7.2). OpenSSL's own words for it name
 * protocols that nobody has spoken, and change from one version to the next. */
static const char *const alerts[] = {
    [0] = "close_notify",
    [10] = "unexpected_message",
    [20] = "bad_record_mac",
    [22] = "record_overflow",
    [40] = "handshake_failure",
    [42] = "bad_certificate",
    [43] = "unsupported_certificate",
    [44] = "certificate_revoked",
    [45] = "certificate_expired",
    [46] = "certificate_unknown",
    [47] = "illegal_parameter",
    [48] = "unknown_ca",
    [49] = "access_denied",
    [50] = "decode_error",
    [51] = "decrypt_error",
    [70] = "protocol_version",
    [71] = "insufficient_security",
    [80] = "internal_error",
    [86] = "inappropriate_fallback",
    [90] = "user_canceled",
    [100] = "no_renegotiation",
    [109] = "missing_extension",
    [110] = "unsupported_extension",
    [112] = "unrecognized_name",
    [113] = "bad_certificate_status_response",
    [115] = "unknown_psk_identity",
    [116] = "certificate_required",
    [120] = "no_application_protocol",
};

/* False: the code is of something else. */
static bool alert_of(unsigned long code, char text[static REASON_BYTES])
{
    int n = ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET;
    const char *name;

    if (ERR_GET_LIB(code) != ERR_LIB_SSL || n < 0 || n > UINT8_MAX)
        return false;
    name = (size_t)n < sizeof alerts / sizeof *alerts ? alerts[n] : NULL;
    (void)snprintf(text, REASON_BYTES, "the other end sent the alert %s (%d)",
                   name ? name : "of no name", n);
    return true;
}

/* Where one version of OpenSSL gives one reason and another gives another. NULL: they agree. */
static const char *common_words(unsigned long code)
{
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return NULL;
    switch (ERR_GET_REASON(code)) {
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
        return "a record is longer than TLS allows";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_RECORD_TYPE:
        return "what came is no TLS record, or none that fits here";
    default:
        return NULL;
    }
}

static const char *reason_of(unsigned long code, char text[static REASON_BYTES])
{
    const char *reason;

    if (code == 0)
        return "no reason given";
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    if (alert_of(code, text))
        return text;
    reason = common_words(code);
    if (!reason)
        reason = ERR_reason_error_string(code);
    if (reason)
        return reason;
    (void)snprintf(text, REASON_BYTES, "OpenSSL error %lx", code);
    return text;
}
