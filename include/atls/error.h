/* error.h: why something was refused, or did not work. */
#ifndef ATLS_ERROR_H
#define ATLS_ERROR_H

#include <atls/base.h>
#include <atls/error_list.h>

enum atls_code {
#define ATLS_X(name, number, text) ATLS_E_##name = (number),
    ATLS_ERROR_LIST(ATLS_X)
#undef ATLS_X
};
#define ATLS_OK 0

enum { ATLS_ERROR_BYTES = 512 };

/* message: a sentence that says what was expected and what was found. It holds no secret. */
struct atls_error {
    atls_result code;
    char message[ATLS_ERROR_BYTES];
};

ATLS_BEGIN

/* "tcb_status_not_allowed": stable. "unknown" for a number that is none. */
ATLS_API const char *atls_error_name(atls_result code);
/* "io", "tls", "quote", "tcb", "measurement", "event_log", "binding", "configuration", "internal". */
ATLS_API const char *atls_error_class(atls_result code);
/* What was wrong lies in the network: a new connection may well succeed. */
ATLS_API bool atls_error_retryable(atls_result code);
/* { "class", "code", "number", "message", "retryable" }. The caller frees it; NULL: no memory. */
ATLS_API char *atls_error_json(const struct atls_error *error);

ATLS_END

#endif
