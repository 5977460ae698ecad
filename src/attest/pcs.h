/* pcs: what a Provisioning Certification Service (Intel's, or a PCCS) is asked for collateral, and collateral made of its answers
 * (API v4). Pure: who asks, and how, is somebody else's. Shape only: dcap judges the result. */
#pragma once

#include "attest/collateral.h"
#include "attest/dcap.h"

enum pcs_part { PCS_PCK_CRL, PCS_TCB_INFO, PCS_QE_IDENTITY, PCS_ROOT_CRL, PCS_PARTS };

enum { PCS_PATH_BYTES = 128, PCS_URL_BYTES = 1024, PCS_CHAIN_MAX = 64 * 1024 };

/* Both as they came: the root's CRL in DER, or in hex. */
struct pcs_answer {
    struct view body;
    struct view chain; /* of the field that ends in "Issuer-Chain": percent-encoded PEM */
};

/* "pck_crl", "tcb_info", "qe_identity", "root_ca_crl" */
const char *pcs_part_name(enum pcs_part part);
/* Below the service's base, which is the URL without slashes and version paths at its end. */
void pcs_path(const struct collateral_need *need, enum pcs_part part,
              char out[static PCS_PATH_BYTES]);
struct view pcs_base(struct view url);

/* Appends it. False: no encoding, or no room. */
MUST_USE bool pcs_decode(struct view encoded, struct buf *out);
/* Where the root of an issuer chain (encoded) says that its CRL is, for services that have no path for it. */
MUST_USE bool pcs_root_crl_url(struct view chain, char out[static PCS_URL_BYTES]);
/* One QuoteCollateralV3 object, appended to json; parts: by enum pcs_part. */
MUST_USE bool pcs_assemble(const struct pcs_answer parts[static PCS_PARTS], struct buf *json,
                           struct attest_err *err);
