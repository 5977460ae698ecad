/* Cuts and flips: there is no byte too few, and no bit of what is signed that does not count. */
#include "faults.h"

enum { PADDING = 70 };

/* Valgrind looks for bad accesses, which a sample has as well, and takes its time. */
static size_t stride(void)
{
    return getenv("POSTERN_VALGRIND") ? 61 : 1;
}

static void no_cut_quote_is_accepted(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 5; version++) {
        struct world w;
        struct view whole;

        world_open(&w, version);
        whole = view_first(buf_view(&w.quote), buf_len(&w.quote) - PADDING);
        for (size_t n = 0; n < whole.len; n++) {
            uint8_t *cut = malloc(n + 1);
            struct quote q;

            assert_non_null(cut);
            memcpy(cut, whole.at, n);
            assert_false(quote_parse(view_from(cut, n), &q, &w.err));
            assert_int_equal(w.err.code, ATTEST_QUOTE_SYNTAX);
            world_ask_dcap(&w, view_from(cut, n), TCB_MATCHING_STRICT);
            free(cut);
        }
        world_close(&w);
    }
}

/* Before the padding every bit of a quote is signed, structure, or needed: a flip anywhere is refused. */
static void no_flipped_quote_is_accepted(void **state)
{
    struct dcap_report report;
    struct world w;
    size_t n;

    (void)state;
    world_open(&w, 4);
    n = buf_len(&w.quote);
    for (size_t i = 0; i < n; i += stride()) {
        uint8_t bit = (uint8_t)(1u << (i % 8));

        *quote_at(&w, i) ^= bit;
        if (world_dcap(&w, TCB_MATCHING_STRICT, &report) != (i >= n - PADDING))
            fail_msg("a flip of byte %zu of %zu changed the verdict", i, n);
        *quote_at(&w, i) ^= bit;
    }
    world_close(&w);
}

/* Of the parts that are signed themselves, every bit. What was verified of the platform is known: only the quote changes. */
static void no_bit_of_a_report_can_be_flipped(void **state)
{
    static const struct {
        size_t from, to;
    } parts[] = {{0, AT_SIGNATURE - 4}, {AT_SIGNATURE, AT_OUTER}, {AT_QE, AT_INNER}};
    const struct dcap_options options = {.matching = TCB_MATCHING_STRICT, .cache = world_cache()};
    struct world w;

    (void)state;
    world_open(&w, 4);
    for (size_t p = 0; p < COUNT(parts); p++)
        for (size_t i = 8 * parts[p].from; i < 8 * parts[p].to; i += stride()) {
            uint8_t bit = (uint8_t)(1u << i % 8);
            struct attest_err err;
            struct dcap_report report;
            struct quote quote;

            *quote_at(&w, i / 8) ^= bit;
            if (quote_parse(buf_view(&w.quote), &quote, &err) &&
                dcap_verify(&quote, &w.collateral, w.now_s, w.trust, &options, &report, &err))
                fail_msg("a flip of bit %zu of byte %zu was accepted", i % 8, i / 8);
            *quote_at(&w, i / 8) ^= bit;
        }
    assert_true(fault_dcap(&w));
    world_close(&w);
}

static void no_flipped_collateral_is_accepted(void **state)
{
    static const unsigned parts[] = {P_ROOT_CRL, P_PCK_CRL, P_TCB_CHAIN, P_TCB,
                                     P_TCB_SIG,  P_QE,      P_QE_SIG};
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    for (size_t p = 0; p < COUNT(parts); p++) {
        struct buf *b = &w.parts[parts[p]];

        for (size_t i = 0; i < buf_len(b);
             i += stride() * (parts[p] == P_TCB || parts[p] == P_QE ? 7 : 3)) {
            b->area[i] ^= 4;
            if (world_dcap(&w, TCB_MATCHING_STRICT, &report))
                fail_msg("a flip of byte %zu of part %u was accepted", i, parts[p]);
            b->area[i] ^= 4;
        }
    }
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cut_quote_is_accepted),
        cmocka_unit_test(no_flipped_quote_is_accepted),
        cmocka_unit_test(no_bit_of_a_report_can_be_flipped),
        cmocka_unit_test(no_flipped_collateral_is_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
