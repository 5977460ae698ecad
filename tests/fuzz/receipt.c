/* A receipt, by the policy that it brings along: what verifies can be written again, and verifies then, too. */
#include "attest/receipt.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct receipt *r, const struct attestation *a,
                        const struct receipt_judge *judge)
{
    struct attestation *other = NULL;
    struct receipt *again = NULL;
    struct attest_err err;
    struct buf text;

    buf_init(&text, RECEIPT_BYTES_MAX, "receipt");
    if (receipt_write(r, a, &text, &err)) {
        CHECK(receipt_parse(buf_view(&text), &again, &err));
        CHECK(receipt_verify(again, judge, &other, &err));
        CHECK(view_eq(r->quote, again->quote) && view_eq(r->policy, again->policy));
        attestation_free(other);
        receipt_free(again);
    }
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attest_err err = {.code = ATTEST_OK};
    struct receipt_judge judge = {.policy = NULL};
    struct attestation *a = NULL;
    struct policy *own = NULL;
    struct receipt *r = NULL;

    if (!receipt_parse(view_from(data, size), &r, &err)) {
        CHECK(err.code != ATTEST_OK && err.text[0]);
        return 0;
    }
    if (policy_parse(r->policy, &own, NULL)) /* so that a root of its own counts */
        judge.policy = own;
    if (receipt_verify(r, &judge, &a, &err)) {
        CHECK(a && own);
        check_again(r, a, &judge);
        attestation_free(a);
    } else {
        CHECK(err.code != ATTEST_OK && err.text[0]);
    }
    policy_free(own);
    receipt_free(r);
    return 0;
}
