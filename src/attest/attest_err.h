/* attest_err: why an attestation was refused. One number, one stable name and one class for each reason; the
 * text says what was expected and what was found, and begins with the words of its class, which callers of
 * other implementations of the protocol search for.
 *
 * Numbers never change and are never reused: the hundreds are the class. */
#pragma once

#include <atls/error_list.h>
#include <stdbool.h>

#include "base/cleanup.h"

enum attest_class {
#define X(name, first, text, words, status) ATTEST_CLASS_##name = (first) / 100,
    ATLS_CLASS_LIST(X)
#undef X
};

enum attest_code {
#define X(name, number, text) ATTEST_##name = (number),
    ATLS_ERROR_LIST(X)
#undef X
};

enum { ATTEST_TEXT_BYTES = 512 };

struct attest_err {
    enum attest_code code;
    char text[ATTEST_TEXT_BYTES]; /* the class's words, then a sentence; cut with "…" when longer */
};

/* Records why. Always returns false. err may be NULL. */
bool attest_fail(struct attest_err *err, enum attest_code code, const char *fmt, ...) PRINTF(3, 4);
/* As attest_fail, without the class's words. */
bool attest_fail_plain(struct attest_err *err, enum attest_code code, const char *fmt, ...)
    PRINTF(3, 4);

const char *attest_code_name(enum attest_code code);
enum attest_class attest_class_of(enum attest_code code);
const char *attest_class_name(enum attest_class c);
int attest_exit_status(enum attest_code code);
/* A new connection may well succeed: what was wrong lies in the network. */
bool attest_retryable(enum attest_code code);
