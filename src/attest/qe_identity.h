/* qe_identity: what a genuine quoting enclave looks like, as a document, and whether a report is of one. The text is
 * what was signed; whether it was is dcap's to check. ("PCS API", enclave identity version 2) */
#pragma once

#include "attest/quote.h"
#include "attest/signed_doc.h"

enum { QE_LEVELS_MAX = 128 };

struct qe_level {
    uint32_t isvsvn;
    struct signed_level is;
};

struct qe_identity {
    char id[16]; /* "QE", "TD_QE" */
    uint32_t version, evaluation;
    int64_t issued_s, next_s;
    uint8_t miscselect[4], miscselect_mask[4], attributes[16], attributes_mask[16], mrsigner[32];
    uint32_t isvprodid;
    struct qe_level levels[QE_LEVELS_MAX]; /* by isvsvn, highest first, each once */
    uint32_t level_count;
};

MUST_USE bool qe_identity_parse(struct view text, struct qe_identity **out, struct attest_err *err);
void qe_identity_free(struct qe_identity *q); /* NULL is fine */
CLEANUP_DEFINE(struct qe_identity, qe_identity_free)
/* report is of such an enclave; its level goes into *out. */
MUST_USE bool qe_identity_match(const struct qe_identity *q, const struct enclave_report *report,
                                struct tcb_verdict *out, struct attest_err *err);
