/* Time: how it is written, and that it comes through the interface. */
#include "unit.h"

#include "base/clock.h"

static void writes_utc_with_milliseconds(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795212331123, "2026-11-20T22:05:31.123Z"},
        {4107542399999, "2100-02-28T23:59:59.999Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "0000-00-00T00:00:00.000Z"}, /* more digits than there is room for */
        {INT64_MAX, "0000-00-00T00:00:00.000Z"},
        {INT64_MIN, "0000-00-00T00:00:00.000Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[CLOCK_RFC3339_BYTES];

        assert_ptr_equal(clock_rfc3339(rows[i].ms, out), out);
        assert_string_equal(out, rows[i].text);
    }
}

static uint64_t monotonic(void *context)
{
    return *(uint64_t *)context;
}

static int64_t wall(void *context)
{
    return (int64_t)(*(uint64_t *)context * 2);
}

static void asks_whoever_was_handed_in(void **state)
{
    uint64_t now = 21;
    const struct clock clock = {.monotonic_ms = monotonic, .wall_ms = wall, .context = &now};

    (void)state;
    assert_int_equal(clock_monotonic_ms(&clock), 21);
    assert_int_equal(clock_wall_ms(&clock), 42);
    now = 22;
    assert_int_equal(clock_monotonic_ms(&clock), 22);
}

static void the_system_clock_never_goes_back_and_its_units_agree(void **state)
{
    uint64_t before = clock_monotonic_ms(&clock_system), us, after;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        us = clock_monotonic_us();
        after = clock_monotonic_ms(&clock_system);
        assert_true(before <= us / 1000 && us / 1000 <= after);
        before = after;
    }
    assert_true(clock_wall_ms(&clock_system) > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_utc_with_milliseconds),
        cmocka_unit_test(asks_whoever_was_handed_in),
        cmocka_unit_test(the_system_clock_never_goes_back_and_its_units_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
