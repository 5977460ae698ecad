#include "attest/authority.h"

#include "base/clock.h"
#include "base/p256.h"

#include "base/poison.h"

/* One opening under way. */
struct run {
    const struct collateral *collateral;
    enum quote_tee tee;
    int64_t now_s;
    struct pki_shelf *shelf;
    struct authority *a;
    struct pki_chain signer;
    struct attest_err *err;
};

static bool in_window(struct run *r, const char *what, int64_t issued_s, int64_t next_s,
                      enum attest_code code)
{
    const char *wrong = r->now_s < issued_s ? "issue date is in the future"
                        : r->now_s > next_s ? "expired"
                                            : NULL;
    char at[CLOCK_RFC3339_BYTES], border[CLOCK_RFC3339_BYTES];

    if (!wrong) {
        span_narrow(&r->a->span, issued_s, next_s);
        if (next_s < r->a->valid_until_s)
            r->a->valid_until_s = next_s;
        return true;
    }
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
    return pki_chain_parse(pem, what, r->shelf, &r->signer, r->err) &&
           pki_signer_good(&r->a->pki, &r->signer, what, &r->a->span, r->err);
}

static bool tcb_document(struct run *r)
{
    const struct collateral *c = r->collateral;

    return tcb_info_parse(c->tcb_info, &r->a->tcb, r->err) &&
           in_window(r, "TCBInfo", r->a->tcb->issued_s, r->a->tcb->next_s, ATTEST_TCB_TIME) &&
           signer_chain(r, c->tcb_info_issuer_chain, "TCB Info") &&
           signed_by(r, c->tcb_info, c->tcb_info_signature, "tcb_info", ATTEST_TCB_SIGNATURE);
}

static bool qe_document(struct run *r)
{
    const struct collateral *c = r->collateral;
    bool tdx = r->tee == TEE_TDX;

    if (!qe_identity_parse(c->qe_identity, &r->a->qe, r->err) ||
        !in_window(r, "QEIdentity", r->a->qe->issued_s, r->a->qe->next_s, ATTEST_QE_TIME))
        return false;
    /* Nearly always the chain that has just been found good. */
    if (!view_eq(c->qe_identity_issuer_chain, c->tcb_info_issuer_chain) &&
        !signer_chain(r, c->qe_identity_issuer_chain, "QE Identity"))
        return false;
    if (!signed_by(r, c->qe_identity, c->qe_identity_signature, "qe_identity", ATTEST_QE_SIGNATURE))
        return false;
    if (strcmp(r->a->qe->id, tdx ? "TD_QE" : "QE") == 0 &&
        (r->a->qe->version == 2 || (tdx && r->a->qe->version == 3)))
        return true;
    return attest_fail(r->err, ATTEST_QE_ID,
                       "DCAP verification failed: Unsupported QE Identity id/version for the quote "
                       "TEE type: \"%s\" %u for %s",
                       r->a->qe->id, r->a->qe->version, quote_tee_name(r->tee));
}

bool authority_open(const struct trust *trust, const struct collateral *collateral,
                    enum quote_tee tee, int64_t now_s, struct pki_shelf *shelf,
                    struct authority *out, struct attest_err *err)
{
    struct authority a = {.span = SPAN_ALL};
    struct run r = {
        .collateral = collateral,
        .tee = tee,
        .now_s = now_s,
        .shelf = shelf,
        .a = &a,
        .err = err,
    };
    bool good = pki_open(trust, now_s, collateral->root_ca_crl, collateral->pck_crl, &a.pki, err);

    if (good) {
        span_narrow(&a.span, a.pki.crls.from_s, a.pki.crls.until_s);
        a.valid_until_s = a.pki.crls.until_s;
        good = tcb_document(&r) && qe_document(&r);
    }
    pki_chain_done(&r.signer);
    if (good)
        *out = a;
    else
        authority_close(&a);
    return good;
}

void authority_close(struct authority *a)
{
    pki_close(&a->pki);
    tcb_info_free(a->tcb);
    qe_identity_free(a->qe);
    *a = (struct authority){.tcb = NULL};
}
