#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/loop.h"

static uint64_t hand_ms;

static uint64_t hand_monotonic_ms(void *context)
{
    (void)context;
    return hand_ms;
}

static int64_t hand_wall_ms(void *context)
{
    (void)context;
    return 0;
}

static const struct clock hand_clock = {hand_monotonic_ms, hand_wall_ms, NULL};

struct alarm {
    struct timer timer;
    unsigned fired;
    uint64_t fired_ms, period_ms;
    struct alarm *cancels;
};

static void alarm_fire(struct loop *loop, struct timer *timer)
{
    struct alarm *a = (struct alarm *)(void *)timer;

    assert_false(timer_armed(timer));
    assert_true(loop_now_ms(loop) >= timer->due_ms); /* never early */
    a->fired++;
    a->fired_ms = loop_now_ms(loop);
    if (a->period_ms)
        timer_set(loop, timer, loop_now_ms(loop) + a->period_ms);
    if (a->cancels)
        timer_cancel(&a->cancels->timer);
}

static void alarm_init(struct alarm *a)
{
    *a = (struct alarm){0};
    timer_init(&a->timer, alarm_fire);
}

static struct loop *new_loop(uint64_t now_ms)
{
    struct loop *loop = NULL;
    struct err err;

    hand_ms = now_ms;
    assert_true(loop_new(&hand_clock, &loop, &err));
    return loop;
}

static void turn_at(struct loop *loop, uint64_t now_ms)
{
    struct err err;

    hand_ms = now_ms;
    assert_true(loop_turn(loop, 0, &err));
}

static const uint64_t origins[] = {0, 1, 15, 16, 1007, 16383, 16384, 1234567891};
static const uint64_t delays[] = {0,     1,     15,    16,    17,    100,   1000,  16352,
                                  16367, 16368, 16369, 16383, 16384, 16385, 40000, 3600001};

static void fires_never_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    for (size_t o = 0; o < sizeof origins / sizeof *origins; o++)
        for (size_t d = 0; d < sizeof delays / sizeof *delays; d++) {
            struct loop *loop = new_loop(origins[o]);
            uint64_t due = origins[o] + delays[d], step = delays[d] > 100000 ? 997 : 1;
            struct alarm a;

            alarm_init(&a);
            timer_set(loop, &a.timer, due);
            assert_true(timer_armed(&a.timer));
            for (uint64_t now = origins[o]; now <= due + TIMER_TICK_MS + step; now += step) {
                turn_at(loop, now);
                if (a.fired)
                    break;
            }
            assert_int_equal(a.fired, 1); /* alarm_fire asserts that it is not early */
            assert_true(a.fired_ms <= due + TIMER_TICK_MS + step - 1);
            loop_free(loop);
        }
}

static void fires_everything_that_is_due_after_a_long_pause(void **state)
{
    struct loop *loop = new_loop(500);
    struct alarm alarms[200];

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        alarm_init(&alarms[i]);
        timer_set(loop, &alarms[i].timer, 500 + i * 997);
    }
    turn_at(loop, 500 + 100 * 997 + TIMER_TICK_MS);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(alarms[i].fired, i <= 100);
    turn_at(loop, 500 + 1000 * 997);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(alarms[i].fired, 1);
    loop_free(loop);
}

static void a_timer_armed_for_the_past_waits_for_the_next_tick(void **state)
{
    struct loop *loop = new_loop(100000);
    struct alarm a;

    (void)state;
    alarm_init(&a);
    timer_set(loop, &a.timer, 0);
    turn_at(loop, 100000);
    assert_int_equal(a.fired, 0);
    turn_at(loop, 100000 + TIMER_TICK_MS);
    assert_int_equal(a.fired, 1);
    loop_free(loop);
}

static void rearming_from_its_own_callback_fires_once_a_turn(void **state)
{
    struct loop *loop = new_loop(0);
    struct alarm a;

    (void)state;
    alarm_init(&a);
    a.period_ms = 1;
    timer_set(loop, &a.timer, 1);
    turn_at(loop, 10000);
    assert_int_equal(a.fired, 1);
    turn_at(loop, 10016);
    assert_int_equal(a.fired, 2);
    loop_free(loop);
}

static void moves_and_cancels(void **state)
{
    struct loop *loop = new_loop(0);
    struct alarm a, b;

    (void)state;
    alarm_init(&a);
    alarm_init(&b);
    timer_set(loop, &a.timer, 100);
    timer_set(loop, &b.timer, 100); /* in the same slot, before a */
    timer_set(loop, &a.timer, 5000);
    turn_at(loop, 4000);
    assert_int_equal(a.fired, 0);
    assert_int_equal(b.fired, 1);
    timer_set(loop, &a.timer, 4100); /* nearer */
    turn_at(loop, 4200);
    assert_int_equal(a.fired, 1);
    timer_set(loop, &a.timer, 4300);
    timer_cancel(&a.timer);
    timer_cancel(&a.timer);
    assert_false(timer_armed(&a.timer));
    turn_at(loop, 100000);
    assert_int_equal(a.fired, 1);
    loop_free(loop);
}

static void a_callback_cancels_a_timer_that_is_due_as_well(void **state)
{
    struct loop *loop = new_loop(0);
    struct alarm a, b;

    (void)state;
    alarm_init(&a);
    alarm_init(&b);
    a.cancels = &b;
    b.cancels = &a;
    timer_set(loop, &a.timer, 100);
    timer_set(loop, &b.timer, 200);
    turn_at(loop, 1000);
    assert_int_equal(a.fired, 1); /* the earlier slot goes first */
    assert_int_equal(b.fired, 0);
    loop_free(loop);
}

/* A thousand random operations against a table that is searched in full. */
static void agrees_with_a_plain_table_of_deadlines(void **state)
{
    enum { COUNT = 64 };
    struct loop *loop = new_loop(7);
    struct alarm alarms[COUNT];
    uint64_t due[COUNT] = {0}; /* 0: not armed */
    uint32_t seed = 12345;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        alarm_init(&alarms[i]);
    for (int step = 0; step < 20000; step++) {
        size_t i;
        uint32_t r;

        seed = seed * 1664525 + 1013904223;
        r = seed >> 8;
        i = r % COUNT;
        if (r % 7 == 0) {
            timer_cancel(&alarms[i].timer);
            due[i] = 0;
        } else if (r % 7 < 3) {
            due[i] = hand_ms + 1 + r % (r % 5 == 0 ? 60000 : 700);
            timer_set(loop, &alarms[i].timer, due[i]);
        } else {
            turn_at(loop, hand_ms + (r % 11 == 0 ? r % 30000 : r % 40));
            for (size_t k = 0; k < COUNT; k++) {
                bool must = due[k] && hand_ms >= due[k] + TIMER_TICK_MS;

                if (alarms[k].fired) {
                    assert_true(due[k] && hand_ms >= due[k]);
                    due[k] = 0;
                    alarms[k].fired = 0;
                } else {
                    assert_false(must);
                    assert_int_equal(timer_armed(&alarms[k].timer), due[k] != 0);
                }
            }
        }
    }
    loop_free(loop);
}

static void stop_fire(struct loop *loop, struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

static void the_loop_sleeps_until_the_next_timer(void **state)
{
    static const uint64_t waits[] = {1, 20, 60};
    struct timer t;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct loop *loop = NULL;
        uint64_t start;

        assert_true(loop_new(&clock_system, &loop, &err));
        timer_init(&t, stop_fire);
        start = loop_now_ms(loop);
        timer_set(loop, &t, start + waits[i]);
        assert_true(loop_run(loop, &err)); /* would not return without the timer */
        assert_true(loop_now_ms(loop) >= start + waits[i]);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_never_early_and_at_most_a_tick_late),
        cmocka_unit_test(fires_everything_that_is_due_after_a_long_pause),
        cmocka_unit_test(a_timer_armed_for_the_past_waits_for_the_next_tick),
        cmocka_unit_test(rearming_from_its_own_callback_fires_once_a_turn),
        cmocka_unit_test(moves_and_cancels),
        cmocka_unit_test(a_callback_cancels_a_timer_that_is_due_as_well),
        cmocka_unit_test(agrees_with_a_plain_table_of_deadlines),
        cmocka_unit_test(the_loop_sleeps_until_the_next_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
