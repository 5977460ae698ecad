/* platform: whose quote is it? Its PCK certificate, found to be Intel's and not revoked, and what it says.
 * Memory: owns the chain. */
#pragma once

#include "attest/authority.h"
#include "attest/pck.h"

struct platform {
    struct pki_chain chain; /* its first key signs the quoting enclave's reports */
    struct pck pck;
    bool processor_ca; /* by whose CA it is: collateral differs */
    struct span span;  /* while its certificates are good */
};

/* The PCK's chain in PEM: the collateral's, or else the quote's own. */
MUST_USE bool platform_chain(const struct quote *quote, struct view given, struct view *pem,
                             struct attest_err *err);
MUST_USE bool platform_open(const struct authority *authority, const struct collateral *collateral,
                            struct view pem, struct pki_shelf *shelf, struct platform *out,
                            struct attest_err *err);
void platform_close(struct platform *p); /* all zero is fine */
