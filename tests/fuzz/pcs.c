/* Answers of a certification service: whatever comes, collateral that can be read, or an error. Input: seven lengths of two bytes, then
 * bodies and issuer chains of that length, in the order of enum pcs_part; the root's CRL has no chain. */
#include "attest/pcs.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES = 2 * PCS_PARTS - 1, LENGTHS_BYTES = 2 * PIECES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pcs_answer answers[PCS_PARTS] = {0};
    struct collateral *c = NULL;
    struct attest_err err = {.code = ATTEST_OK};
    struct view rest;
    char url[PCS_URL_BYTES];
    struct buf json;

    if (size < LENGTHS_BYTES)
        return 0;
    rest = view_from(data + LENGTHS_BYTES, size - LENGTHS_BYTES);
    for (size_t i = 0; i < PIECES; i++) {
        size_t n = (size_t)data[2 * i] << 8 | data[2 * i + 1];
        struct view piece = view_first(rest, n);

        rest = view_skip(rest, piece.len);
        *(i % 2 ? &answers[i / 2].chain : &answers[i / 2].body) = piece;
    }
    (void)!pcs_root_crl_url(answers[PCS_QE_IDENTITY].chain, url);
    buf_init(&json, COLLATERAL_BYTES_MAX, "collateral");
    if (pcs_assemble(answers, &json, &err)) {
        if (collateral_parse(buf_view(&json), &c, &err))
            CHECK(view_eq(c->pck_crl, answers[PCS_PCK_CRL].body));
    } else {
        CHECK(err.code != ATTEST_OK && err.text[0]);
    }
    collateral_free(c);
    buf_done(&json);
    return 0;
}
