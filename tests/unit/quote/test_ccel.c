/* The firmware's event log: what TDVF writes, what it may write, and what is no log at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quote/ccel.h"
#include "sim/guest.h"
#include "support/ccel_table.h"

static const struct ccel_algorithm sha384_alone = {TCG_SHA384, 48};
static const uint8_t ones[64] = {1, 1, 1, 1}, twos[64] = {2, 2, 2, 2};

static struct ccel_digest sha384_of(const uint8_t *bytes)
{
    return (struct ccel_digest){TCG_SHA384, view_from(bytes, 48)};
}

/* All of it; the number of events, or -1. In memory of just its size. */
static int count(struct view table, struct err *err)
{
    uint8_t *exact = malloc(table.len ? table.len : 1);
    enum ccel_step step = CCEL_FAILED;
    struct ccel_event e;
    struct ccel c;
    int n = 0;

    assert_non_null(exact);
    if (table.len)
        memcpy(exact, table.at, table.len);
    if (ccel_begin(&c, view_from(exact, table.len), err))
        while ((step = ccel_next(&c, &e, err)) == CCEL_EVENT)
            n++;
    free(exact);
    return step == CCEL_END ? n : -1;
}

static void a_guest_s_log_is_told_event_by_event(void **state)
{
    struct sim_guest *g;
    struct ccel_event e;
    struct buf table;
    struct ccel c;
    struct err err;
    unsigned i = 0;

    (void)state;
    assert_true(sim_guest_boot(VIEW("{}"), &g, &err));
    buf_init(&table, CCEL_BYTES_MAX, "table");
    ccel_put_guest(&table, g);
    if (!ccel_begin(&c, buf_view(&table), &err))
        fail_msg("%s", err.text);
    while (ccel_next(&c, &e, &err) == CCEL_EVENT) {
        assert_int_equal(e.imr, g->events[i].imr);
        assert_int_equal(e.type, g->events[i].type);
        assert_int_equal(e.digest.len, CCEL_DIGEST_BYTES);
        assert_memory_equal(e.digest.at, g->events[i].digest, CCEL_DIGEST_BYTES);
        assert_true(view_eq(e.data, view_str(g->events[i].name)));
        i++;
    }
    assert_int_equal(ccel_next(&c, &e, &err), CCEL_END);
    assert_int_equal(g->events[i].imr, 3); /* the firmware's are all told, and nobody else's */
    buf_done(&table);
    sim_guest_free(g);
}

static void the_right_digest_is_found_among_several(void **state)
{
    static const struct ccel_algorithm all[] = {
        {TCG_SHA1, 20}, {TCG_SHA384, 48}, {0x1234, 7}, {TCG_SHA512, 64}};
    const struct ccel_digest some[] = {{0x1234, view_from(twos, 7)},
                                       {TCG_SHA512, view_from(twos, 64)},
                                       sha384_of(ones),
                                       {TCG_SHA1, view_from(twos, 20)}};
    struct ccel_event e;
    struct buf table;
    struct ccel c;
    struct err err;

    (void)state;
    buf_init(&table, 4096, "table");
    ccel_put_first(&table, all, 4, VIEW("vendor"));
    ccel_put_event(&table, 3, 0x80000003, some, 4, VIEW("data"));
    ccel_put_event(&table, 2, 13, some + 2, 1, VIEW(""));
    assert_true(ccel_begin(&c, buf_view(&table), &err));
    for (unsigned imr = 2; imr >= 1; imr--) {
        assert_int_equal(ccel_next(&c, &e, &err), CCEL_EVENT);
        assert_int_equal(e.imr, imr);
        assert_true(view_eq(e.digest, view_from(ones, 48)));
    }
    assert_int_equal(ccel_next(&c, &e, &err), CCEL_END);
    buf_done(&table);
}

static void what_extends_no_rtmr_is_passed_over(void **state)
{
    const struct ccel_digest one = sha384_of(ones);
    struct ccel_event e;
    struct buf table;
    struct ccel c;
    struct err err;

    (void)state;
    buf_init(&table, 4096, "table");
    ccel_put_first(&table, &sha384_alone, 1, VIEW(""));
    ccel_put_event(&table, 0, 8, &one, 1, VIEW("of MRTD"));
    ccel_put_event(&table, 2, TCG_NO_ACTION, &one, 1, VIEW("of nobody"));
    ccel_put_event(&table, 4, 4, &one, 1, VIEW("of RTMR3"));
    assert_true(ccel_begin(&c, buf_view(&table), &err));
    assert_int_equal(ccel_next(&c, &e, &err), CCEL_EVENT);
    assert_int_equal(e.imr, 3);
    assert_true(view_eq(e.data, VIEW("of RTMR3")));
    assert_int_equal(ccel_next(&c, &e, &err), CCEL_END);
    buf_done(&table);
}

static void padding_is_of_one_kind_and_reaches_to_the_end(void **state)
{
    static const struct {
        uint8_t first, last;
        int events;
    } rows[] = {
        {0x00, 0x00, 1}, {0xFF, 0xFF, 1}, {0x00, 0x01, -1}, {0xFF, 0x00, -1}, {0x01, 0x00, -1}};
    const struct ccel_digest one = sha384_of(ones);
    struct buf table;
    struct err err;

    (void)state;
    buf_init(&table, 4096, "table");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&table);
        ccel_put_first(&table, &sha384_alone, 1, VIEW(""));
        ccel_put_event(&table, 1, 4, &one, 1, VIEW("data"));
        ccel_put_padding(&table, rows[i].first, 100);
        ccel_put_padding(&table, rows[i].last, 1);
        assert_int_equal(count(buf_view(&table), &err), rows[i].events);
    }
    buf_done(&table);
}

/* A log may end behind any record, and nowhere else. */
static void a_log_that_is_cut_is_refused(void **state)
{
    const struct ccel_digest one = sha384_of(ones);
    struct buf table;
    struct err err;
    size_t ends[4], good = 0;

    (void)state;
    buf_init(&table, 4096, "table");
    ccel_put_first(&table, &sha384_alone, 1, VIEW("v"));
    ends[0] = buf_len(&table);
    for (uint32_t i = 1; i < 4; i++) {
        ccel_put_event(&table, i, 4, &one, 1, VIEW("data"));
        ends[i] = buf_len(&table);
    }
    for (size_t n = 0; n <= ends[3]; n++) {
        int events = count(view_first(buf_view(&table), n), &err);

        if (n == ends[good])
            assert_int_equal(events, good++);
        else
            assert_int_equal(events, -1);
    }
    assert_int_equal(good, 4);
    buf_done(&table);
}

/* Each row spoils a good log of one event at one place. */
static void what_is_no_log_is_refused(void **state)
{
    enum { FIRST = 32, COUNT = FIRST + 24, ALGORITHM = COUNT + 4, VENDOR = ALGORITHM + 4, SECOND };
    static const struct {
        size_t at;
        uint8_t byte;
        const char *why;
    } rows[] = {
        {0, 1, "record 1"},                         /* a register */
        {4, 4, "record 1"},                         /* not EV_NO_ACTION */
        {8, 1, "record 1"},                         /* a digest */
        {28, 30, "record 1"},                       /* shorter than what it holds */
        {31, 1, "ends within"},                     /* longer than the table */
        {FIRST, 's', "Spec ID Event03"},            /* signature */
        {FIRST + 15, ' ', "Spec ID Event03"},       /* … to its NUL */
        {COUNT, 0, "Spec ID Event03"},              /* no algorithm */
        {COUNT, 2, "Spec ID Event03"},              /* more than there are */
        {COUNT + 3, 1, "Spec ID Event03"},          /* many more */
        {ALGORITHM, TCG_SHA256, "Spec ID Event03"}, /* with 48 bytes */
        {ALGORITHM, 0x42, "Spec ID Event03"},       /* no SHA-384 */
        {ALGORITHM + 2, 47, "Spec ID Event03"},
        {VENDOR, 1, "Spec ID Event03"}, /* more than there is */
        {SECOND, 5, "register"},
        {SECOND + 3, 1, "register"},
        {SECOND + 8, 0, "digests"}, /* none */
        {SECOND + 8, 2, "digests"}, /* more than algorithms */
        {SECOND + 12, TCG_SHA256, "digests"},
        {SECOND + 12 + 2 + 48, 5, "ends within"}, /* data */
        {SECOND + 12 + 2 + 48 + 3, 0xFF, "ends within"},
    };
    const struct ccel_digest one = sha384_of(ones);
    struct buf table;
    struct err err;

    (void)state;
    buf_init(&table, 4096, "table");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&table);
        ccel_put_first(&table, &sha384_alone, 1, VIEW(""));
        assert_int_equal(buf_len(&table), SECOND);
        ccel_put_event(&table, 1, 4, &one, 1, VIEW("data"));
        assert_int_equal(count(buf_view(&table), &err), 1);
        table.area[table.head + rows[i].at] = rows[i].byte;
        if (count(buf_view(&table), &err) != -1)
            fail_msg("row %zu was taken", i);
        if (!strstr(err.text, rows[i].why) || err.code != ERR_SYNTAX)
            fail_msg("row %zu: %s", i, err.text);
    }
    assert_int_equal(count(VIEW(""), &err), -1);
    buf_done(&table);
}

static void algorithms_and_digests_stand_once(void **state)
{
    static const struct ccel_algorithm twice[] = {{TCG_SHA384, 48}, {TCG_SHA384, 48}},
                                       two[] = {{TCG_SHA384, 48}, {TCG_SHA1, 20}};
    const struct ccel_digest again[] = {sha384_of(ones), sha384_of(twos)};
    const struct ccel_digest other = {TCG_SHA1, view_from(ones, 20)};
    struct buf table;
    struct err err;

    (void)state;
    buf_init(&table, 4096, "table");
    ccel_put_first(&table, twice, 2, VIEW(""));
    assert_int_equal(count(buf_view(&table), &err), -1);
    buf_reset(&table);
    ccel_put_first(&table, two, 2, VIEW(""));
    ccel_put_event(&table, 1, 4, again, 2, VIEW(""));
    assert_int_equal(count(buf_view(&table), &err), -1);
    assert_non_null(
        strstr(err.text, "record 2 of the firmware's event log, at byte 69: its digests"));
    buf_reset(&table);
    ccel_put_first(&table, two, 2, VIEW(""));
    ccel_put_event(&table, 1, 4, &other, 1, VIEW(""));
    assert_int_equal(count(buf_view(&table), &err), -1);
    assert_non_null(strstr(err.text, "no digest of SHA-384"));
    buf_done(&table);
}

static void there_are_limits(void **state)
{
    const struct ccel_digest one = sha384_of(ones);
    struct buf table;
    struct err err;

    (void)state;
    buf_init(&table, CCEL_BYTES_MAX + 1, "table");
    ccel_put_first(&table, &sha384_alone, 1, VIEW(""));
    for (unsigned i = 1; i < CCEL_EVENTS_MAX; i++)
        ccel_put_event(&table, 1, 4, &one, 1, VIEW(""));
    assert_int_equal(count(buf_view(&table), &err), CCEL_EVENTS_MAX - 1);
    ccel_put_event(&table, 1, 4, &one, 1, VIEW(""));
    assert_int_equal(count(buf_view(&table), &err), -1);
    assert_non_null(strstr(err.text, "more than 2048"));
    ccel_put_padding(&table, 0, CCEL_BYTES_MAX + 1 - buf_len(&table));
    assert_int_equal(count(buf_view(&table), &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_s_log_is_told_event_by_event),
        cmocka_unit_test(the_right_digest_is_found_among_several),
        cmocka_unit_test(what_extends_no_rtmr_is_passed_over),
        cmocka_unit_test(padding_is_of_one_kind_and_reaches_to_the_end),
        cmocka_unit_test(a_log_that_is_cut_is_refused),
        cmocka_unit_test(what_is_no_log_is_refused),
        cmocka_unit_test(algorithms_and_digests_stand_once),
        cmocka_unit_test(there_are_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
