#include "attest/dcap.h"

#include <openssl/evp.h>

#include "attest/digest.h"
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
    /* The cache's, or this run's own. */
    const struct authority *authority;
    const struct platform *platform;
    struct pki_shelf *shelf, own_shelf;
    struct authority own_authority;
    struct platform own_platform;
    struct dcap_report report;
};

/* --- collateral and certificates, by way of the cache --- */

/* All that an authority comes from, and that is asked of its platforms. Lengths go before the pieces, so that no two
 * collections have the same text. */
static bool authority_key(const struct run *r, uint8_t key[static SHA256_BYTES])
{
    const struct collateral *c = r->collateral;
    const uint8_t tee = (uint8_t)r->quote->tee;
    const struct view parts[] = {
        view_from(r->trust->sha256, SHA256_BYTES),
        view_from(&tee, 1),
        c->root_ca_crl,
        c->pck_crl,
        c->pck_crl_issuer_chain,
        c->tcb_info_issuer_chain,
        c->tcb_info,
        c->tcb_info_signature,
        c->qe_identity_issuer_chain,
        c->qe_identity,
        c->qe_identity_signature,
    };
    enum { PARTS = sizeof parts / sizeof *parts };
    uint64_t lengths[PARTS];
    struct view pieces[PARTS + 1] = {view_from(lengths, sizeof lengths)};

    for (size_t i = 0; i < PARTS; i++) {
        lengths[i] = parts[i].len;
        pieces[i + 1] = parts[i];
    }
    return digest_sha256(pieces, PARTS + 1, key);
}

static bool authority_of(struct run *r, const uint8_t *key)
{
    struct dcap_cache *cache = r->options->cache;

    if (key && (r->authority = dcap_cache_authority(cache, key, r->trust, r->now_s)))
        return true;
    if (!authority_open(r->trust, r->collateral, r->quote->tee, r->now_s, r->shelf,
                        &r->own_authority, r->err))
        return false;
    r->authority = &r->own_authority;
    if (key) {
        r->authority = dcap_cache_add_authority(cache, key, &r->own_authority);
        r->own_authority = (struct authority){.tcb = NULL};
    }
    return true;
}

static bool platform_of(struct run *r, const uint8_t *authority)
{
    struct dcap_cache *cache = r->options->cache;
    uint8_t key[SHA256_BYTES];
    struct view pem;

    if (!platform_chain(r->quote, r->collateral->pck_certificate_chain, &pem, r->err))
        return false;
    if (authority) {
        const struct view pieces[] = {view_from(authority, SHA256_BYTES), pem};

        if (!digest_sha256(pieces, 2, key))
            authority = NULL;
    }
    if (authority && (r->platform = dcap_cache_platform(cache, key, r->now_s)))
        return true;
    if (!platform_open(r->authority, r->collateral, pem, r->shelf, &r->own_platform, r->err))
        return false;
    r->platform = &r->own_platform;
    if (authority) {
        r->platform = dcap_cache_add_platform(cache, key, &r->own_platform);
        r->own_platform = (struct platform){.chain.count = 0};
    }
    return true;
}

static bool vouched(struct run *r)
{
    uint8_t bytes[SHA256_BYTES];
    const uint8_t *key = r->options->cache && authority_key(r, bytes) ? bytes : NULL;

    if (!authority_of(r, key) || !platform_of(r, key))
        return false;
    r->report.pck = r->platform->pck;
    r->report.processor_ca = r->platform->processor_ca;
    return true;
}

/* --- the quote --- */

/* The quoting enclave vouches for the attestation key, and its platform for it. */
static bool qe_report(struct run *r)
{
    const struct quote *q = r->quote;
    EVP_PKEY *pck = X509_get0_pubkey(r->platform->chain.certificates[0]);
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
    return qe_identity_match(r->authority->qe, &q->qe, &r->report.qe, r->err);
}

static bool quote_signature(struct run *r)
{
    const uint8_t *point = r->quote->attestation_key.at;
    struct dcap_cache *cache = r->options->cache;
    EVP_PKEY *own = NULL, *key = cache ? dcap_cache_key(cache, point) : NULL;
    bool good;

    if (!cache && p256_public(point, &own))
        key = own;
    good = key && p256_good(key, r->quote->signed_part, r->quote->signature.at);
    EVP_PKEY_free(own);
    return good || attest_fail(r->err, ATTEST_QUOTE_SIGNATURE,
                               "DCAP verification failed: ISV enclave report signature is invalid");
}

static bool tcb(struct run *r)
{
    struct dcap_report *out = &r->report;
    struct tcb_match m;

    if (!tcb_info_for(r->authority->tcb, r->quote, &out->pck, r->err) ||
        !tcb_match(r->authority->tcb, r->quote, &out->pck, r->options->matching, &m, r->err) ||
        !tcb_conclude(r->authority->tcb, r->quote, &out->pck, &m, &out->qe, r->options->matching,
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
    bool good;

    r.shelf = options->cache ? dcap_cache_shelf(options->cache) : &r.own_shelf;
    pki_shelf_add(r.shelf, trust->sha256, trust->root);
    good = clock_good(&r) && vouched(&r) && qe_report(&r) && quote_signature(&r) && tcb(&r) &&
           attributes(&r);
    if (good) {
        *out = r.report;
        out->quote = *quote;
        out->tcb_evaluation = r.authority->tcb->evaluation;
        out->qe_evaluation = r.authority->qe->evaluation;
        out->valid_until_s = r.authority->valid_until_s;
        out->intel = trust->intel;
    }
    platform_close(&r.own_platform);
    authority_close(&r.own_authority);
    pki_shelf_done(&r.own_shelf);
    return good;
}

bool dcap_need_of(struct view pem, struct collateral_need *need, struct attest_err *err)
{
    struct pki_chain chain = {.count = 0};
    char issuer[TRUST_NAME_BYTES] = "";
    struct pck pck;
    bool good;

    if (!pki_chain_parse(pem, "the PCK certificate in quote", NULL, &chain, err))
        return false;
    good = pck_parse(pki_sgx_extension(chain.certificates[0]), &pck, err);
    if (good && chain.count > 1)
        good = pki_common_name(chain.certificates[1], issuer);
    pki_chain_done(&chain);
    if (!good)
        return false;
    need->processor_ca = view_find_text(view_str(issuer), VIEW("Processor"));
    if (!need->processor_ca && !view_find_text(view_str(issuer), VIEW("Platform")))
        return attest_fail(
            err, ATTEST_CERTIFICATE_PURPOSE,
            "Failed to get CA: the PCK certificate is by \"%s\", expected a Processor "
            "or Platform CA",
            issuer);
    memcpy(need->fmspc, pck.fmspc, sizeof need->fmspc);
    return true;
}

bool dcap_need(const struct quote *quote, struct collateral_need *out, struct attest_err *err)
{
    struct collateral_need need = {.tdx = quote->tee == TEE_TDX};
    struct view pem;

    need.has_request = certification_asks(quote);
    if (need.has_request ? !certification_request(quote, &need.request, err)
                         : !platform_chain(quote, view_from(NULL, 0), &pem, err) ||
                               !dcap_need_of(pem, &need, err))
        return false;
    *out = need;
    return true;
}
