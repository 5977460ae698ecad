/* Evidence and receipts, offline. */
#include "attest/report.h"
#include "attest/receipt.h"
#include "wasm/module.h"

#include "base/poison.h"

enum { REPORT_MAX = 32 * 1024 * 1024 };

static int32_t tell(const struct attestation *a)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, REPORT_MAX, "report");
    json_begin(&w, &json);
    report_write(a, &w);
    return wasm_answer(&w, &json);
}

int32_t WASM_EXPORT(evidence_verify)(struct dcap_cache *verifier, const struct policy *policy,
                                     const uint8_t *quote, uint32_t quote_len, const char *log,
                                     uint32_t log_len, const char *collateral,
                                     uint32_t collateral_len, const uint8_t *leaf,
                                     const uint8_t *report_data, double now_s)
{
    CLEANUP(collateral_free_cleanup) struct collateral *c = NULL;
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    struct attest_input in = {
        .quote = view_from(quote, quote_len),
        .event_log = view_from(log, log_len),
        .cache = verifier,
        .now_s = (int64_t)now_s,
        .leaf_sha256 = leaf,
        .report_data = report_data,
    };
    struct attest_err err;

    if (!collateral_parse(view_from(collateral, collateral_len), &c, &err))
        return wasm_fail(&err);
    in.collateral = c;
    return attest_verify(&in, policy, NULL, &a, &err) ? tell(a) : wasm_fail(&err);
}

int32_t WASM_EXPORT(receipt_check)(const struct policy *policy, const char *json, uint32_t len,
                                   double now_s)
{
    CLEANUP(receipt_free_cleanup) struct receipt *r = NULL;
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    const struct receipt_judge judge = {
        .policy = policy, .has_time = now_s >= 0, .at_s = (int64_t)now_s};
    struct attest_err err;

    if (!receipt_parse(view_from(json, len), &r, &err) || !receipt_verify(r, &judge, &a, &err))
        return wasm_fail(&err);
    return tell(a);
}

int32_t WASM_EXPORT(quote_about)(const uint8_t *at, uint32_t len)
{
    struct attest_err err;
    struct json_writer w;
    struct quote quote;
    struct buf json;

    if (!quote_parse(view_from(at, len), &quote, &err))
        return wasm_fail(&err);
    buf_init(&json, REPORT_MAX, "quote");
    json_begin(&w, &json);
    report_write_quote(&quote, &w);
    return wasm_answer(&w, &json);
}
