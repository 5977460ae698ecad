/* The answer to a quote request, in any split: the same verdict, and never a byte more than the answer. Input: a byte that says how
 * to split, then what the server sends. */
#include "atls/quote_exchange.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1: complete; 0: more is wanted; −1: refused. */
static int feed(struct view all, size_t step, struct exchange_reader *r)
{
    struct attest_err err = {.code = ATTEST_OK};

    exchange_reader_init(r);
    while (all.len) {
        struct view piece = view_first(all, step);

        if (!exchange_feed(r, piece, &err)) {
            CHECK(err.code != ATTEST_OK && err.text[0]);
            return -1;
        }
        all = view_skip(all, piece.len);
    }
    return r->done ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exchange_answer answer;
    struct exchange_reader whole, pieces;
    struct attest_err err = {.code = ATTEST_OK};
    struct view all;
    int one, other;

    if (size < 1)
        return 0;
    all = view_from(data + 1, size - 1);
    one = feed(all, all.len ? all.len : 1, &whole);
    other = feed(all, data[0] % 64 + 1, &pieces);
    CHECK(one == other);
    if (one == 1) {
        CHECK(view_eq(buf_view(&whole.bytes), buf_view(&pieces.bytes)));
        if (exchange_parse(&whole, &answer, &err)) {
            CHECK(buf_len(&answer.quote) > 0);
            exchange_answer_done(&answer);
        } else {
            CHECK(err.code != ATTEST_OK);
        }
    }
    exchange_reader_done(&whole);
    exchange_reader_done(&pieces);
    return 0;
}
