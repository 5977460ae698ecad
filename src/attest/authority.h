/* authority: what Intel says about a family of platforms, found true: its CRLs, TCB info and QE identity, with every
 * signature and date checked. The first half of verifying a quote, the same for all quotes of the family.
 * Memory: owns all it holds, nothing of the collateral's. */
#pragma once

#include "attest/collateral.h"
#include "attest/pki.h"
#include "attest/qe_identity.h"
#include "attest/tcb_info.h"

struct authority {
    struct pki pki; /* lends the trust that it was opened with */
    struct tcb_info *tcb;
    struct qe_identity *qe;
    struct span span;      /* while all dates hold, those of certificates too */
    int64_t valid_until_s; /* when the first statement ends */
};

MUST_USE bool authority_open(const struct trust *trust, const struct collateral *collateral,
                             enum quote_tee tee, int64_t now_s, struct pki_shelf *shelf,
                             struct authority *out, struct attest_err *err);
void authority_close(struct authority *a); /* all zero is fine */
