#include "attest/expiry.h"
#include "attest/pcs.h"
#include "wasm/module.h"

#include "base/poison.h"

enum { PART_MAX = 4 * 1024 * 1024, ABOUT_MAX = 256 };

static struct {
    struct buf body, chain;
} parts[PCS_PARTS];

static void forget(void)
{
    for (unsigned i = 0; i < PCS_PARTS; i++) {
        buf_done(&parts[i].body);
        buf_done(&parts[i].chain);
    }
}

int32_t WASM_EXPORT(collateral_part)(uint32_t kind, const uint8_t *body, uint32_t body_len,
                                     const char *chain, uint32_t chain_len)
{
    struct err why;

    if (kind >= PCS_PARTS)
        return wasm_fail_text(ATTEST_INTERNAL, "there is no such part of collateral");
    buf_done(&parts[kind].body);
    buf_done(&parts[kind].chain);
    buf_init(&parts[kind].body, PART_MAX, "answer");
    buf_init(&parts[kind].chain, PCS_CHAIN_MAX, "issuer chain");
    if (buf_append(&parts[kind].body, view_from(body, body_len), &why) &&
        buf_append(&parts[kind].chain, view_from(chain, chain_len), &why))
        return WASM_DONE;
    return wasm_fail_text(ATTEST_COLLATERAL_FETCH, why.text);
}

int32_t WASM_EXPORT(collateral_root_crl_url)(void)
{
    static char url[PCS_URL_BYTES];

    if (!pcs_root_crl_url(buf_view(&parts[PCS_QE_IDENTITY].chain), url))
        return wasm_fail_text(ATTEST_COLLATERAL_FETCH,
                              "no CRL of the root, and its certificate names none");
    wasm_answer_bytes(view_str(url));
    return WASM_DONE;
}

int32_t WASM_EXPORT(collateral_build)(void)
{
    struct pcs_answer answers[PCS_PARTS];
    struct attest_err err;
    struct buf json;
    bool good;

    for (unsigned i = 0; i < PCS_PARTS; i++)
        answers[i] =
            (struct pcs_answer){buf_view(&parts[i].body), buf_view(&parts[i].chain)};
    buf_init(&json, COLLATERAL_BYTES_MAX, "collateral");
    good = pcs_assemble(answers, &json, &err);
    forget();
    if (good)
        return wasm_answer_buf(&json);
    buf_done(&json);
    return wasm_fail(&err);
}

int32_t WASM_EXPORT(collateral_about)(const char *text, uint32_t len, double now_s)
{
    CLEANUP(collateral_free_cleanup) struct collateral *c = NULL;
    struct attest_err err;
    struct json_writer w;
    struct buf json;
    int64_t until_s;

    if (!collateral_parse(view_from(text, len), &c, &err))
        return wasm_fail(&err);
    if (!collateral_expiry(c, (int64_t)now_s, &until_s) || until_s < 0)
        return wasm_fail_text(ATTEST_COLLATERAL_SYNTAX,
                              "a document or CRL of it is damaged, or of the future");
    buf_init(&json, ABOUT_MAX, "expiry");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "expires");
    json_u64(&w, (uint64_t)until_s);
    json_object_end(&w);
    return wasm_answer(&w, &json);
}
