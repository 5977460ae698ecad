/* collateral: what Intel has signed about a platform, as one JSON object (QuoteCollateralV3): chains in PEM, CRLs and
 * signatures in hex, signed documents as strings that hold the exact signed text. Shape only: dcap judges it.
 * Memory: all views lie in one area that the collateral owns. */
#pragma once

#include "attest/attest_err.h"
#include "base/json.h"

enum { COLLATERAL_BYTES_MAX = 8 * 1024 * 1024, COLLATERAL_SIGNATURE_BYTES = 64 };

struct collateral {
    struct view pck_crl_issuer_chain;     /* PEM; may be empty */
    struct view root_ca_crl, pck_crl;     /* DER */
    struct view tcb_info_issuer_chain;    /* PEM */
    struct view tcb_info;                 /* the signed text */
    struct view tcb_info_signature;       /* 64 bytes, r ‖ s */
    struct view qe_identity_issuer_chain; /* PEM */
    struct view qe_identity;              /* the signed text */
    struct view qe_identity_signature;    /* 64 bytes, r ‖ s */
    struct view pck_certificate_chain;    /* PEM; empty: the quote has it */
    uint8_t *area;
};

MUST_USE bool collateral_parse(struct view json, struct collateral **out, struct attest_err *err);
/* The same, of an object within a document: a stapled one. */
MUST_USE bool collateral_read(const struct json_doc *doc, uint32_t object, struct collateral **out,
                              struct attest_err *err);
void collateral_free(struct collateral *c); /* NULL is fine */
CLEANUP_DEFINE(struct collateral, collateral_free)
/* As one object, readable by collateral_parse. */
void collateral_write(const struct collateral *c, struct json_writer *w);
