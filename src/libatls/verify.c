#include "attest/verify.h"

#include <stdlib.h>

#include "attest/report.h"
#include "libatls/libatls_priv.h"

#include "base/poison.h"

atls_result atls_verifier_new(struct atls_verifier **out, struct atls_error *error)
{
    struct atls_verifier *v = malloc(sizeof *v);
    struct attest_err why;

    if (!v)
        return libatls_memory(error);
    if (!dcap_cache_new(&v->cache, &why)) {
        free(v);
        return libatls_failed(&why, error);
    }
    *out = v;
    return ATLS_OK;
}

void atls_verifier_free(struct atls_verifier *verifier)
{
    if (!verifier)
        return;
    dcap_cache_free(verifier->cache);
    free(verifier);
}

/* Reports lend the quote's bytes, so theirs is a copy. One that is too long is refused by its length alone. */
static atls_result verify(struct atls_verifier *verifier, const struct atls_evidence *e,
                          const struct atls_policy *policy, struct atls_report *r,
                          struct atls_error *error)
{
    struct attest_input in = {
        .event_log = view_from(e->event_log, e->event_log ? e->event_log_len : 0),
        .collateral = e->collateral->is,
        .cache = verifier->cache,
        .now_s = e->at,
        .leaf_sha256 = e->leaf_sha256,
        .report_data = e->report_data,
    };
    struct attest_err why;

    in.quote = view_from(e->quote, e->quote_len);
    if (e->quote_len <= QUOTE_BYTES_MAX) {
        r->quote = malloc(e->quote_len + 1);
        if (!r->quote)
            return libatls_memory(error);
        memcpy(r->quote, e->quote, e->quote_len);
        in.quote = view_from(r->quote, e->quote_len);
    }
    if (!attest_verify(&in, policy ? policy->is : NULL, NULL, &r->owned, &why))
        return libatls_failed(&why, error);
    r->is = r->owned;
    return ATLS_OK;
}

atls_result atls_verify(struct atls_verifier *verifier, const struct atls_evidence *evidence,
                        const struct atls_policy *policy, struct atls_report **out,
                        struct atls_error *error)
{
    struct atls_evidence e = ATLS_EVIDENCE_INIT;
    struct atls_report *r;
    atls_result result;

    if (!libatls_options(&e, sizeof e, evidence, evidence->size))
        return libatls_usage(error, "struct atls_evidence: start with ATLS_EVIDENCE_INIT");
    if (!e.quote || !e.collateral)
        return libatls_usage(error, "evidence needs a quote and collateral");
    r = calloc(1, sizeof *r);
    if (!r)
        return libatls_memory(error);
    result = verify(verifier, &e, policy, r, error);
    if (result == ATLS_OK)
        *out = r;
    else
        atls_report_free(r);
    return result;
}

atls_result atls_report_data(const uint8_t nonce[ATLS_NONCE_BYTES], const uint8_t exporter[32],
                             uint8_t out[ATLS_REPORT_DATA_BYTES])
{
    return attest_report_data(nonce, exporter, out) ? ATLS_OK : ATTEST_MEMORY;
}

void atls_report_free(struct atls_report *report)
{
    if (!report)
        return;
    attestation_free(report->owned);
    free(report->quote);
    free(report);
}

char *atls_report_json(const struct atls_report *report)
{
    struct json_writer w;
    struct buf json;
    char *out = NULL;

    buf_init(&json, COLLATERAL_BYTES_MAX, "report");
    json_begin(&w, &json);
    report_write(report->is, &w);
    (void)!libatls_text(&w, &json, &out, NULL);
    return out;
}

const char *atls_report_status(const struct atls_report *report)
{
    return tcb_status_name(report->is->dcap.verdict.status);
}

const char *atls_report_advisory(const struct atls_report *report, unsigned i)
{
    const struct advisories *all = &report->is->dcap.verdict.advisories;

    return i < all->count ? all->ids[i] : NULL;
}

int64_t atls_report_tcb_date(const struct atls_report *report)
{
    return report->is->dcap.tcb_date_s;
}

int64_t atls_report_valid_until(const struct atls_report *report)
{
    return report->is->dcap.valid_until_s;
}

bool atls_report_simulated(const struct atls_report *report)
{
    return report->is->simulated;
}

bool atls_report_runtime_verified(const struct atls_report *report)
{
    return report->is->runtime_verified;
}

const uint8_t *atls_report_measurement(const struct atls_report *report, enum atls_register which)
{
    const struct quote *q = &report->is->dcap.quote;

    if (q->tee != TEE_TDX || which > ATLS_RTMR3)
        return NULL;
    return which == ATLS_MRTD ? q->td.mrtd.at : q->td.rtmr[which - ATLS_RTMR0].at;
}

const uint8_t *atls_report_compose_hash(const struct atls_report *report)
{
    return report->is->has_compose ? report->is->compose_hash : NULL;
}

const uint8_t *atls_report_os_image_hash(const struct atls_report *report)
{
    return report->is->has_os_image ? report->is->os_image_hash : NULL;
}
