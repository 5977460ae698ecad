#include "attest/quote.h"

#include "attest/dcap.h"
#include "attest/report.h"
#include "libatls/libatls_priv.h"

#include "base/poison.h"

atls_result atls_quote_json(const void *quote, size_t len, char **out, struct atls_error *error)
{
    struct attest_err why;
    struct json_writer w;
    struct quote parsed;
    struct buf json;

    if (!quote_parse(view_from(quote, len), &parsed, &why))
        return libatls_failed(&why, error);
    buf_init(&json, 4 * (size_t)QUOTE_BYTES_MAX, "quote");
    json_begin(&w, &json);
    report_write_quote(&parsed, &w);
    return libatls_text(&w, &json, out, error);
}

atls_result atls_quote_need(const void *quote, size_t len, struct atls_need *out,
                            struct atls_error *error)
{
    struct collateral_need need;
    struct attest_err why;
    struct quote parsed;

    if (!quote_parse(view_from(quote, len), &parsed, &why) || !dcap_need(&parsed, &need, &why))
        return libatls_failed(&why, error);
    if (need.has_request)
        return libatls_usage(error, "the quote has no PCK certificate: atls_dial fetches it, and "
                                    "\"atls collateral fetch\" does");
    memcpy(out->fmspc, need.fmspc, sizeof out->fmspc);
    out->processor_ca = need.processor_ca;
    out->tdx = need.tdx;
    return ATLS_OK;
}
