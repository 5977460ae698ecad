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

static void reads_what_rfc_3339_allows(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:59.999Z", 59}, /* a fraction is left out */
        {"2026-11-20T22:05:31Z", 1795212331},
        {"2026-11-20T22:05:31.1Z", 1795212331},
        {"2026-11-20T22:05:31.123456789012345678901Z", 1795212331},
        {"2026-11-21T00:05:31+02:00", 1795212331},
        {"2026-11-20T16:35:31-05:30", 1795212331},
        {"2026-11-20T22:05:31+00:00", 1795212331},
        {"2026-11-20T22:05:31-00:00", 1795212331},
        {"2000-02-29T00:00:00Z", 951782400},
        {"2100-02-28T23:59:59Z", 4107542399},
        {"2100-03-01T00:00:00Z", 4107542400},
        {"2200-12-31T23:59:59Z", 7289654399},
        {"1970-01-01T00:00:00+23:59", -86340},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view text = block(view_str(rows[i].text));
        int64_t seconds = -1;

        if (!clock_rfc3339_parse(text, &seconds) || seconds != rows[i].seconds)
            fail_msg("%s: %lld", rows[i].text, (long long)seconds);
        block_free(text);
    }
}

static void refuses_everything_else(void **state)
{
    static const char *const texts[] = {
        "",
        "2026",
        "2026-11-20",
        "2026-11-20T22:05:31",
        "2026-11-20 22:05:31Z",
        "2026-11-20t22:05:31z",
        "2026-11-20T22:05Z",
        "2026-11-20T22:05:31.Z",
        "2026-11-20T22:05:31,5Z",
        "2026-11-20T22:05:31Z ",
        " 2026-11-20T22:05:31Z",
        "2026-11-20T22:05:31ZZ",
        "2026-11-20T22:05:31+2:00",
        "2026-11-20T22:05:31+0200",
        "2026-11-20T22:05:31+02",
        "2026-11-20T22:05:31+24:00",
        "2026-11-20T22:05:31+02:60",
        "2026-00-20T22:05:31Z",
        "2026-13-20T22:05:31Z",
        "2026-11-00T22:05:31Z",
        "2026-11-31T22:05:31Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T22:60:00Z",
        "2026-11-20T22:05:60Z",
        "1969-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
        "02026-11-20T22:05:31Z",
        "-026-11-20T22:05:31Z",
        "2026-1-20T22:05:31Z",
        "2026-11-20T22:05:3lZ",
        "2026/11/20T22:05:31Z",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct view text = block(view_str(texts[i]));
        int64_t seconds = -7;

        if (clock_rfc3339_parse(text, &seconds))
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(seconds, -7);
        block_free(text);
    }
}

/* Day by day, against the C library, through all the leap years. */
static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (int64_t s = 0; s < 7289654400; s += 86400 * 7 + 3607) {
        char out[CLOCK_RFC3339_BYTES];
        int64_t back;

        (void)clock_rfc3339(s * 1000 + 999, out);
        assert_true(clock_rfc3339_parse(view_str(out), &back));
        assert_int_equal(back, s);
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
    assert_int_equal(clock_wall_us(&clock), 42000);
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
    assert_true(clock_wall_ms(&clock_system) <= clock_wall_us(&clock_system) / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_utc_with_milliseconds),
        cmocka_unit_test(reads_what_rfc_3339_allows),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(asks_whoever_was_handed_in),
        cmocka_unit_test(the_system_clock_never_goes_back_and_its_units_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
