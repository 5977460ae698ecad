/* Whatever parses lies within its bytes, and says the same when all that may follow it is cut off. */
#include "attest/dcap.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct view all, struct view part)
{
    CHECK(!part.len || (part.at >= all.at && part.at + part.len <= all.at + all.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view all = view_from(data, size);
    struct collateral_need need;
    struct attest_err err = {.code = ATTEST_OK};
    struct quote q, again;
    size_t end;

    if (!quote_parse(all, &q, &err)) {
        CHECK(err.code != ATTEST_OK && err.text[0]);
        return 0;
    }
    check_within(all, q.signed_part);
    check_within(all, q.certification);
    check_within(all, q.qe_auth);
    CHECK(q.signature.len == 64 && q.attestation_key.len == 64 && q.qe.bytes.len == 384);
    CHECK(q.signed_part.at == data);
    end = (size_t)(q.certification.at + q.certification.len - data);
    CHECK(quote_parse(view_first(all, end), &again, &err));
    CHECK(again.version == q.version && view_eq(again.signed_part, q.signed_part));
    CHECK(end == 0 || !quote_parse(view_first(all, end - 1), &again, &err));
    (void)!dcap_need(&q, &need, &err);
    return 0;
}
