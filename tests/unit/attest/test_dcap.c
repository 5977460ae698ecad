/* Is it genuine? One good world, what is told of it, and the clock it is looked at with. What may be wrong with it stands in
 * test_quote, test_documents, test_certificates, test_pck, test_tcb_match and test_flips. */
#include "faults.h"

enum { DAY_S = 86400 };

static void good(void **state)
{
    for (unsigned version = 4; version <= 5; version++) {
        struct dcap_report report;
        struct world w;

        (void)state;
        world_open(&w, version);
        if (!world_dcap(&w, TCB_MATCHING_STRICT, &report))
            fail_msg("%s", w.err.text);
        assert_int_equal(report.verdict.status, TCB_STATUS_UP_TO_DATE);
        assert_int_equal(report.verdict.advisories.count, 0);
        assert_int_equal(report.tcb_evaluation, 17);
        assert_int_equal(report.tcb_date_s, 1710288000);
        assert_int_equal(report.valid_until_s, WORLD_NOW_S + 30 * DAY_S);
        assert_true(report.has_module);
        assert_false(report.intel);
        assert_false(report.processor_ca);
        world_close(&w);
    }
}

static void what_is_needed_can_be_told_before_anything_is_verified(void **state)
{
    struct collateral_need need;
    struct quote quote;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(quote_parse(buf_view(&w.quote), &quote, &w.err));
    assert_true(dcap_need(&quote, &need, &w.err));
    assert_memory_equal(need.fmspc, w.platform->recipe.fmspc, 6);
    assert_true(need.tdx && !need.processor_ca);
    quote_set(&w, AT_INNER, 3);
    assert_true(quote_parse(buf_view(&w.quote), &quote, &w.err));
    assert_false(dcap_need(&quote, &need, &w.err));
    assert_int_equal(w.err.code, ATTEST_QUOTE_CERTIFICATION);
    world_close(&w);
}

/* --- the clock --- */

static void clock_never_set(struct world *w)
{
    w->now_s = 1600000000;
}
static void clock_two_years_behind(struct world *w)
{
    w->now_s -= 2 * 365 * DAY_S;
}
static void clock_two_years_ahead(struct world *w)
{
    w->now_s += 2 * 365 * DAY_S;
}

/* Whose clock is wrong reads what it says, and what the document says. */
static void a_wrong_clock_can_be_told_from_the_text(void **state)
{
    static const struct {
        void (*spoil)(struct world *w);
        const char *now, *border;
    } cases[] = {
        {clock_two_years_behind, "2024-09-21T", "2026-09-21T"},
        {clock_two_years_ahead, "2028-09-20T", "2026-10-21T"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world w;

        world_open(&w, 4);
        cases[i].spoil(&w);
        assert_false(fault_dcap(&w));
        assert_non_null(strstr(w.err.text, cases[i].now));
        assert_non_null(strstr(w.err.text, cases[i].border));
        world_close(&w);
    }
}

static void windows_end_at_their_last_second(void **state)
{
    static const struct {
        int64_t shift;
        bool good;
    } times[] = {{30 * DAY_S, true}, {30 * DAY_S + 1, false}, {-3600, true}, {-3601, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        struct dcap_report report;
        struct world w;

        world_open(&w, 4);
        w.now_s += times[i].shift;
        assert_int_equal(world_dcap(&w, TCB_MATCHING_STRICT, &report), times[i].good);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(what_is_needed_can_be_told_before_anything_is_verified),
        DCAP_FAULT(clock_never_set, CLOCK),
        DCAP_FAULT(clock_two_years_behind, CRL_TIME),
        DCAP_FAULT(clock_two_years_ahead, CRL_TIME),
        cmocka_unit_test(a_wrong_clock_can_be_told_from_the_text),
        cmocka_unit_test(windows_end_at_their_last_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
