/* libatls: the public interface (include/atls) over attest, atls, attested and fetch. Each object here is an inner one in a
 * wrapping, so that no inner structure is seen outside. Private to this folder. */
#pragma once

#include <atls/atls.h>

#include "atls/client.h"
#include "attest/verify.h"

struct atls_policy {
    struct policy *is;
};

struct atls_collateral {
    struct collateral *is;
};

struct atls_verifier {
    struct dcap_cache *cache;
};

struct atls_report {
    const struct attestation *is; /* lends quote's bytes */
    struct attestation *owned;    /* NULL: a connection's */
    uint8_t *quote;               /* owned; NULL: a connection's */
};

/* Each returns the number of the error. why, error: may be NULL; the other side of it is then ATTEST_INTERNAL. */
atls_result libatls_failed(const struct attest_err *why, struct atls_error *error);
atls_result libatls_memory(struct atls_error *error);
atls_result libatls_usage(struct atls_error *error, const char *text);
/* What a writer has written, as a text of the caller's. buf: done with. */
atls_result libatls_text(struct json_writer *w, struct buf *json, char **out,
                         struct atls_error *error);
/* A buffer's content likewise. */
atls_result libatls_copy(struct buf *text, char **out, struct atls_error *error);
/* Options of the size that the caller knows, over defaults. False: not one of this structure's. */
bool libatls_options(void *to, size_t size, const void *from, size_t given);
