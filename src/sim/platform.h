/* platform: a simulated Intel machine with the whole PKI behind it. What it makes is checked by the ordinary verifier; only the
 * root differs. Keys are made at run time and belong to the platform.
 *
 *   root ─┬─ platform CA ── PCK ── (QE report) ── attestation key ── quotes
 *         └─ TCB signing ── TCB info, QE identity */
#pragma once

#include "attest/certification.h"
#include "attest/collateral.h"
#include "sim/certificates.h"

#define SIM_MAKER "Postern Simulator"

/* What the machine is, and what is said of it. sim_recipe_default fills it; tests then spoil it. */
struct sim_recipe {
    int64_t now_s;
    int64_t document_days; /* how long documents and CRLs are good */
    uint8_t fmspc[6], pceid[2];
    uint8_t cpusvn[SVN_COUNT], tee_tcb_svn[SVN_COUNT];
    uint16_t pcesvn;
    const char *status;     /* of the level that the platform reaches */
    const char *advisories; /* JSON array for it: "[\"INTEL-SA-00001\"]" */
    const char *module_status, *qe_status;
    uint16_t qe_isvsvn;
    uint32_t evaluation; /* tcbEvaluationDataNumber of both documents */
    uint64_t pck_serial;
    uint16_t certification; /* of quotes: 5, with the PCK's chain; 2 or 3: with what names it */
};
void sim_recipe_default(struct sim_recipe *r, int64_t now_s);

struct sim_platform {
    struct sim_recipe recipe;
    EVP_PKEY *root_key, *ca_key, *pck_key, *signer_key, *attestation_key;
    X509 *root, *ca, *pck, *signer;
};

MUST_USE bool sim_platform_new(const struct sim_recipe *recipe, struct sim_platform **out,
                               struct err *err);
/* To and from a folder that exists: certificates, and keys with mode 0600. The attestation key is made anew. */
MUST_USE bool sim_platform_save(struct sim_platform *p, const char *folder, struct err *err);
MUST_USE bool sim_platform_load(const char *folder, const struct sim_recipe *recipe,
                                struct sim_platform **out, struct err *err);
void sim_platform_free(struct sim_platform *p); /* NULL is fine */
CLEANUP_DEFINE(struct sim_platform, sim_platform_free)

/* The value of the PCK's extension, appended. */
MUST_USE bool sim_sgx_extension(const struct sim_recipe *r, struct buf *out, struct err *err);
/* The signed texts, appended. */
MUST_USE bool sim_tcb_info(const struct sim_recipe *r, struct buf *out, struct err *err);
MUST_USE bool sim_qe_identity(const struct sim_recipe *r, struct buf *out, struct err *err);

/* Everything that is said of the platform now, as QuoteCollateralV3 JSON, appended. */
MUST_USE bool sim_collateral(const struct sim_platform *p, struct buf *out, struct err *err);
/* Leaf to root, PEM, appended. */
MUST_USE bool sim_pck_chain(const struct sim_platform *p, struct buf *out, struct err *err);
MUST_USE bool sim_signer_chain(const struct sim_platform *p, struct buf *out, struct err *err);
MUST_USE bool sim_ca_chain(const struct sim_platform *p, struct buf *out, struct err *err);
MUST_USE bool sim_root_crl(const struct sim_platform *p, struct buf *out, struct err *err);
MUST_USE bool sim_pck_crl(const struct sim_platform *p, struct buf *out, struct err *err);

/* Certification data of type 2 or 3, appended: an encrypted PPID, and the TCB that the PCK certificate is for. */
MUST_USE bool sim_certification(const struct sim_recipe *r, struct buf *out, struct err *err);

/* The body of a quote. */
struct sim_td {
    uint8_t mrtd[MEASUREMENT_BYTES], rtmr[4][MEASUREMENT_BYTES], mrconfigid[MEASUREMENT_BYTES];
    uint8_t tdattributes[8], seamattributes[8], mrsignerseam[MEASUREMENT_BYTES];
    uint8_t tee_tcb_svn2[SVN_COUNT], mrservicetd[MEASUREMENT_BYTES];
};
void sim_td_default(struct sim_td *td);

/* version 4: TD report 1.0; 5: TD report 1.5. padding: zero bytes behind the signature section. Appended. */
MUST_USE bool sim_quote(const struct sim_platform *p, const struct sim_td *td, unsigned version,
                        const uint8_t report_data[static REPORT_DATA_BYTES], size_t padding,
                        struct buf *out, struct err *err);
/* Makes all signatures of a quote good again after its bytes were changed (certificates excepted). */
MUST_USE bool sim_quote_sign(const struct sim_platform *p, uint8_t *quote, size_t len,
                             struct err *err);
