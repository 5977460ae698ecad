#include "attest/dcap.h"

#include <openssl/evp.h>

#include "attest/pki.h"
#include "attest/qe_identity.h"
#include "base/clock.h"
#include "base/p256.h"
#include "base/secret.h"

#include "base/poison.h"

/* One verification under way. */
struct run {
    const struct quote *quote;
    const struct collateral *collateral;
    const struct dcap_options *options;
    const struct trust *trust;
    int64_t now_s;
    struct attest_err *err;
    struct pki pki;
    struct pki_chain signer, pck_chain;
    struct tcb_info *tcb;
    struct qe_identity *qe;
    struct dcap_report report;
};

static bool in_window(const struct run *r, const char *what, int64_t issued_s, int64_t next_s,
                      enum attest_code code)
{
    const char *wrong = r->now_s < issued_s ? "issue date is in the future"
                        : r->now_s > next_s ? "expired"
                                            : NULL;
    char at[CLOCK_RFC3339_BYTES], border[CLOCK_RFC3339_BYTES];

    if (!wrong)
        return true;
    (void)clock_rfc3339(r->now_s * 1000, at);
    (void)clock_rfc3339((r->now_s < issued_s ? issued_s : next_s) * 1000, border);
    return attest_fail_plain(r->err, code,
                             "quote verification failed: DCAP verification failed: %s %s: %s, and "
                             "it is %s",
                             what, wrong, border, at);
}

static bool signed_by(struct run *r, struct view text, struct view signature, const char *what,
                      enum attest_code code)
{
    EVP_PKEY *key = X509_get0_pubkey(r->signer.certificates[0]);

    return (signature.len == COLLATERAL_SIGNATURE_BYTES && key &&
            p256_good(key, text, signature.at)) ||
           attest_fail_plain(r->err, code,
                             "quote verification failed: DCAP verification failed: Signature is "
                             "invalid for %s in quote_collateral",
                             what);
}

static bool signer_chain(struct run *r, struct view pem, const char *what)
{
    pki_chain_done(&r->signer);
    return pki_chain_parse(pem, what, &r->signer, r->err) &&
           pki_signer_good(&r->pki, &r->signer, what, r->err);
}

static bool tcb_document(struct run *r)
{
    const struct collateral *c = r->collateral;

    return tcb_info_parse(c->tcb_info, &r->tcb, r->err) &&
           in_window(r, "TCBInfo", r->tcb->issued_s, r->tcb->next_s, ATTEST_TCB_TIME) &&
           signer_chain(r, c->tcb_info_issuer_chain, "TCB Info") &&
           signed_by(r, c->tcb_info, c->tcb_info_signature, "tcb_info", ATTEST_TCB_SIGNATURE);
}

static bool qe_document(struct run *r)
{
    const struct collateral *c = r->collateral;
    bool tdx = r->quote->tee == TEE_TDX;

    if (!qe_identity_parse(c->qe_identity, &r->qe, r->err) ||
        !in_window(r, "QEIdentity", r->qe->issued_s, r->qe->next_s, ATTEST_QE_TIME))
        return false;
    /* Nearly always the chain that has just been found good. */
    if (!view_eq(c->qe_identity_issuer_chain, c->tcb_info_issuer_chain) &&
        !signer_chain(r, c->qe_identity_issuer_chain, "QE Identity"))
        return false;
    if (!signed_by(r, c->qe_identity, c->qe_identity_signature, "qe_identity", ATTEST_QE_SIGNATURE))
        return false;
    if (strcmp(r->qe->id, tdx ? "TD_QE" : "QE") == 0 &&
        (r->qe->version == 2 || (tdx && r->qe->version == 3)))
        return true;
    return attest_fail(r->err, ATTEST_QE_ID,
                       "DCAP verification failed: Unsupported QE Identity id/version for the quote "
                       "TEE type: \"%s\" %u for %s",
                       r->qe->id, r->qe->version, quote_tee_name(r->quote->tee));
}

static bool pck_chain_of(const struct quote *q, struct view given, struct pki_chain *out,
                         struct attest_err *err)
{
    if (given.len)
        return pki_chain_parse(given, "the PCK certificate", out, err);
    if (q->certification_type != CERTIFICATION_PCK_CHAIN)
        return attest_fail(
            err, ATTEST_QUOTE_CERTIFICATION,
            "DCAP verification failed: Unsupported DCAP PCK cert format: certification "
            "data of type %u has no chain; give pck_certificate_chain in the "
            "collateral",
            q->certification_type);
    return pki_chain_parse(q->certification, "the PCK certificate in quote", out, err);
}

/* The CRL's own chain adds nothing: its issuer is in the PCK chain. It must be certificates, no more: there is published
 * collateral that carries the other CA's. */
static bool crl_chain(struct run *r)
{
    struct view pem = r->collateral->pck_crl_issuer_chain;
    struct pki_chain chain;

    if (!pem.len)
        return true;
    if (!pki_chain_parse(pem, "the PCK CRL's issuer", &chain, r->err))
        return false;
    pki_chain_done(&chain);
    return true;
}

static bool pck_of(struct run *r)
{
    char issuer[TRUST_NAME_BYTES];

    if (!pck_chain_of(r->quote, r->collateral->pck_certificate_chain, &r->pck_chain, r->err))
        return false;
    if (r->pck_chain.count < 2)
        return attest_fail(r->err, ATTEST_CERTIFICATE_CHAIN,
                           "DCAP verification failed: Certificate chain is too short in quote");
    if (!pki_pck_good(&r->pki, &r->pck_chain, r->err) || !crl_chain(r) ||
        !pck_parse(pki_sgx_extension(r->pck_chain.certificates[0]), &r->report.pck, r->err))
        return false;
    r->report.processor_ca = pki_common_name(r->pck_chain.certificates[1], issuer) &&
                             strcmp(issuer, r->trust->processor_ca) == 0;
    return true;
}

/* The quoting enclave vouches for the attestation key, and its platform for it. */
static bool qe_report(struct run *r)
{
    const struct quote *q = r->quote;
    EVP_PKEY *pck = X509_get0_pubkey(r->pck_chain.certificates[0]);
    uint8_t bound[P256_POINT_BYTES + QUOTE_AUTH_MAX], want[REPORT_DATA_BYTES] = {0};

    if (!pck || !p256_good(pck, q->qe.bytes, q->qe_signature.at))
        return attest_fail(r->err, ATTEST_QE_REPORT_SIGNATURE,
                           "DCAP verification failed: Signature is invalid for qe_report in quote");
    memcpy(bound, q->attestation_key.at, P256_POINT_BYTES);
    if (q->qe_auth.len)
        memcpy(bound + P256_POINT_BYTES, q->qe_auth.at, q->qe_auth.len);
    if (!secret_sha256(bound, P256_POINT_BYTES + q->qe_auth.len, want))
        return attest_fail(r->err, ATTEST_INTERNAL, "SHA-256 failed");
    if (!view_eq(q->qe.report_data, view_from(want, sizeof want)))
        return attest_fail(r->err, ATTEST_QE_REPORT_DATA,
                           "DCAP verification failed: QE report hash mismatch: the quoting enclave "
                           "does not vouch for this attestation key");
    return qe_identity_match(r->qe, &q->qe, &r->report.qe, r->err);
}

static bool quote_signature(struct run *r)
{
    EVP_PKEY *key = NULL;
    bool good = p256_public(r->quote->attestation_key.at, &key) &&
                p256_good(key, r->quote->signed_part, r->quote->signature.at);

    EVP_PKEY_free(key);
    return good || attest_fail(r->err, ATTEST_QUOTE_SIGNATURE,
                               "DCAP verification failed: ISV enclave report signature is invalid");
}

static bool tcb(struct run *r)
{
    struct dcap_report *out = &r->report;
    struct tcb_match m;

    if (!tcb_info_for(r->tcb, r->quote, &out->pck, r->err) ||
        !tcb_match(r->tcb, r->quote, &out->pck, r->options->matching, &m, r->err) ||
        !tcb_conclude(r->tcb, r->quote, &out->pck, &m, &out->qe, r->options->matching,
                      &out->verdict, r->err))
        return false;
    out->platform = m.platform;
    out->level = m.level->is.status;
    out->tcb_date_s = m.level->is.date_s;
    out->has_module = m.has_module;
    out->module = m.module;
    return true;
}

/* TDATTRIBUTES, a little-endian field of 64 bits (TDX Module ABI, "TD attributes"). */
static bool td_attributes(struct run *r)
{
    const uint8_t *a = r->quote->td.tdattributes.at;

    if (a[0] & 0x01 && !r->options->allow_debug)
        return attest_fail(r->err, ATTEST_TD_DEBUG,
                           "DCAP verification failed: Debug mode is enabled");
    if (a[0] & 0xFE || a[1] || a[2] || a[3] & 0x0F || a[4] || a[5] || a[6] || a[7] & 0x7F)
        return attest_fail(r->err, ATTEST_TD_RESERVED,
                           "DCAP verification failed: Reserved bits in TD attributes are set");
    if (!(a[3] & 0x10))
        return attest_fail(r->err, ATTEST_TD_SEPT_VE,
                           "DCAP verification failed: SEPT_VE_DISABLE is not enabled");
    if (a[3] & 0x20)
        return attest_fail(r->err, ATTEST_TD_MIGRATABLE,
                           "DCAP verification failed: Reserved bits in TD attributes are set: the "
                           "TD can be migrated");
    if (a[7] & 0x80)
        return attest_fail(r->err, ATTEST_TD_PERFMON,
                           "DCAP verification failed: Reserved bits in TD attributes are set: "
                           "performance monitoring is on");
    return true;
}

static bool attributes(struct run *r)
{
    const struct quote *q = r->quote;

    if (q->tee == TEE_SGX)
        return !(q->sgx.attributes.at[0] & 0x02) || r->options->allow_debug ||
               attest_fail(r->err, ATTEST_SGX_DEBUG,
                           "DCAP verification failed: Debug mode is enabled");
    if (!td_attributes(r))
        return false;
    for (size_t i = 0; i < q->td.mrservicetd.len; i++)
        if (q->td.mrservicetd.at[i] && !r->options->allow_service_td)
            return attest_fail(r->err, ATTEST_TD_SERVICE,
                               "DCAP verification failed: Invalid MR service TD: a service TD has "
                               "power over this one");
    return true;
}

static bool clock_good(const struct run *r)
{
    return r->now_s >= DCAP_CLOCK_LEAST_S ||
           attest_fail(r->err, ATTEST_CLOCK,
                       "Failed to get current time: the clock stands before 2023; set it");
}

static bool verify(struct run *r)
{
    const struct collateral *c = r->collateral;

    return clock_good(r) &&
           pki_open(r->trust, r->now_s, c->root_ca_crl, c->pck_crl, &r->pki, r->err) &&
           tcb_document(r) && qe_document(r) && pck_of(r) && qe_report(r) && quote_signature(r) &&
           tcb(r) && attributes(r);
}

static int64_t earliest(const struct run *r)
{
    int64_t until = r->pki.crls_until_s;

    if (r->tcb->next_s < until)
        until = r->tcb->next_s;
    return r->qe->next_s < until ? r->qe->next_s : until;
}

bool dcap_verify(const struct quote *quote, const struct collateral *collateral, int64_t now_s,
                 const struct trust *trust, const struct dcap_options *options,
                 struct dcap_report *out, struct attest_err *err)
{
    struct run r = {
        .quote = quote,
        .collateral = collateral,
        .options = options,
        .trust = trust,
        .now_s = now_s,
        .err = err,
    };
    bool good = verify(&r);

    if (good) {
        *out = r.report;
        out->quote = *quote;
        out->tcb_evaluation = r.tcb->evaluation;
        out->qe_evaluation = r.qe->evaluation;
        out->valid_until_s = earliest(&r);
        out->intel = trust->intel;
    }
    pki_chain_done(&r.signer);
    pki_chain_done(&r.pck_chain);
    pki_close(&r.pki);
    tcb_info_free(r.tcb);
    qe_identity_free(r.qe);
    return good;
}

bool dcap_need(const struct quote *quote, struct collateral_need *out, struct attest_err *err)
{
    struct collateral_need need = {.tdx = quote->tee == TEE_TDX};
    struct pki_chain chain = {.count = 0};
    char issuer[TRUST_NAME_BYTES] = "";
    struct pck pck;
    bool good;

    if (!pck_chain_of(quote, view_from(NULL, 0), &chain, err))
        return false;
    good = pck_parse(pki_sgx_extension(chain.certificates[0]), &pck, err);
    if (good && chain.count > 1)
        good = pki_common_name(chain.certificates[1], issuer);
    pki_chain_done(&chain);
    if (!good)
        return false;
    need.processor_ca = view_find_text(view_str(issuer), VIEW("Processor"));
    if (!need.processor_ca && !view_find_text(view_str(issuer), VIEW("Platform")))
        return attest_fail(
            err, ATTEST_CERTIFICATE_PURPOSE,
            "Failed to get CA: the PCK certificate is by \"%s\", expected a Processor "
            "or Platform CA",
            issuer);
    memcpy(need.fmspc, pck.fmspc, sizeof need.fmspc);
    *out = need;
    return true;
}
