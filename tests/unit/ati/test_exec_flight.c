/* One fetches, the others wait: on one loop, and on loops of several threads. */
#include "ati/exec/flight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/poison.h"

enum { LOOPS = 4, ASKERS = 40 };

static const uint8_t key[FLIGHT_KEY_BYTES] = {1}, other[FLIGHT_KEY_BYTES] = {2};

struct asker {
    struct flight *flight;
    enum flight_news news;
    unsigned told;
    char text[64];
};

static void tell(void *context, enum flight_news news, struct view text)
{
    struct asker *a = context;

    a->told++;
    a->news = news;
    (void)snprintf(a->text, sizeof a->text, "%.*s", VIEW_ARG(text));
}

static struct flights *all;
static struct loop *loop;
static uint64_t now_ms;

static uint64_t monotonic(void *context)
{
    (void)context;
    return now_ms;
}

static int64_t wall(void *context)
{
    (void)context;
    return 0;
}

static const struct clock by_hand = {monotonic, wall, NULL};

static int set_up(void **state)
{
    (void)state;
    now_ms = 1000;
    assert_true(flights_new(&all, NULL));
    assert_true(loop_new(&by_hand, &loop, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    flights_free(all);
    return 0;
}

static void ask(struct asker *a, const uint8_t *which)
{
    *a = (struct asker){.told = 0};
    assert_true(flight_ask(all, loop, which, tell, a, &a->flight, &a->news, NULL));
}

static void turn(void)
{
    assert_true(loop_turn(loop, 0, NULL));
}

static void has(struct asker *a, const char *value)
{
    assert_true(view_eq(flight_value(a->flight), view_str(value)));
    flight_end(a->flight);
}

static void a_value_is_fetched_once_and_kept_for_its_time(void **state)
{
    struct asker a, b, c;

    (void)state;
    ask(&a, key);
    assert_int_equal(a.news, FLIGHT_FETCH);
    ask(&b, key);
    assert_int_equal(b.news, FLIGHT_WAIT);
    ask(&c, other);
    assert_int_equal(c.news, FLIGHT_FETCH);
    assert_true(flight_land(a.flight, VIEW("one"), 100, NULL));
    assert_int_equal(b.told, 0); /* from its loop, later */
    turn();
    assert_int_equal(b.told, 1);
    assert_int_equal(b.news, FLIGHT_VALUE);
    has(&a, "one");
    has(&b, "one");
    flight_end(c.flight);
    now_ms += 99;
    turn();
    ask(&a, key);
    assert_int_equal(a.news, FLIGHT_VALUE);
    now_ms += 1;
    turn();
    ask(&b, key);
    assert_int_equal(b.news, FLIGHT_FETCH);
    assert_true(flight_land(b.flight, VIEW("two"), 0, NULL));
    has(&a, "one"); /* what it was lent is still there */
    has(&b, "two");
    ask(&a, key); /* it was for those who waited alone */
    assert_int_equal(a.news, FLIGHT_FETCH);
    flight_end(a.flight);
}

static void a_failure_is_told_and_not_kept(void **state)
{
    struct asker a, b, c;

    (void)state;
    ask(&a, key);
    ask(&b, key);
    ask(&c, key);
    flight_fail(a.flight, VIEW("why"));
    flight_end(c.flight); /* between the news and its telling */
    turn();
    assert_int_equal(b.news, FLIGHT_FAILED);
    assert_string_equal(b.text, "why");
    assert_int_equal(c.told, 0);
    flight_end(a.flight);
    flight_end(b.flight);
    ask(&a, key);
    assert_int_equal(a.news, FLIGHT_FETCH);
    flight_fail(a.flight, VIEW(""));
    flight_fail(a.flight, VIEW("")); /* nothing the second time */
    flight_end(a.flight);
}

static void who_gives_up_hands_over_in_order(void **state)
{
    struct asker a[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        ask(&a[i], key);
    flight_end(a[1].flight); /* out of the line */
    flight_end(a[0].flight);
    turn();
    assert_int_equal(a[2].news, FLIGHT_FETCH);
    assert_int_equal(a[3].told, 0);
    assert_true(flight_land(a[2].flight, VIEW("v"), 10, NULL));
    turn();
    has(&a[2], "v");
    has(&a[3], "v");
    ask(&a[0], key); /* the last one waits nowhere: who comes next is served */
    has(&a[0], "v");
}

static void what_was_asked_for_longest_ago_goes_first(void **state)
{
    uint8_t many[FLIGHT_KEY_BYTES] = {0};
    struct asker a;

    (void)state;
    for (unsigned i = 0; i <= FLIGHTS_MAX; i++) {
        memcpy(many, &i, sizeof i);
        ask(&a, many);
        assert_int_equal(a.news, FLIGHT_FETCH);
        assert_true(flight_land(a.flight, VIEW("v"), 1000000, NULL));
        flight_end(a.flight);
        memset(many, 0, sizeof many); /* the first one is asked for all the time */
        ask(&a, many);
        assert_int_equal(a.news, FLIGHT_VALUE);
        flight_end(a.flight);
    }
    many[0] = 2;
    ask(&a, many);
    assert_int_equal(a.news, FLIGHT_VALUE);
    flight_end(a.flight);
    many[0] = 1; /* the second one was the oldest */
    ask(&a, many);
    assert_int_equal(a.news, FLIGHT_FETCH);
    flight_end(a.flight);
}

/* --- threads --- */

struct worker {
    struct loop *loop;
    pthread_t thread;
    struct flight *flights[ASKERS];
    struct visitor {
        struct worker *worker;
        struct flight **flight;
    } visitors[ASKERS];
    unsigned left;
    bool gives_up;
};

static atomic_uint fetched, values, given_up;

static void visit(struct visitor *v, enum flight_news news);

static void visited(void *context, enum flight_news news, struct view text)
{
    (void)text;
    visit(context, news);
}

static void visit(struct visitor *v, enum flight_news news)
{
    struct worker *w = v->worker;

    if (news == FLIGHT_WAIT)
        return;
    if (news == FLIGHT_FETCH && w->gives_up) {
        atomic_fetch_add(&given_up, 1);
    } else {
        if (news == FLIGHT_FETCH) {
            atomic_fetch_add(&fetched, 1);
            (void)!flight_land(*v->flight, VIEW("shared"), 1000000, NULL);
        }
        if (view_eq(flight_value(*v->flight), VIEW("shared")))
            atomic_fetch_add(&values, 1);
    }
    flight_end(*v->flight);
    if (!--w->left)
        loop_stop(w->loop);
}

static void *work(void *context)
{
    struct worker *w = context;

    w->left = ASKERS + 1;
    for (size_t i = 0; i < ASKERS; i++) {
        enum flight_news news;

        w->visitors[i] = (struct visitor){w, &w->flights[i]};
        if (!flight_ask(all, w->loop, key, visited, &w->visitors[i], &w->flights[i], &news, NULL))
            abort();
        visit(&w->visitors[i], news);
    }
    if (--w->left && !loop_run(w->loop, NULL))
        abort();
    return NULL;
}

static void loops_of_several_threads_share_one_fetch(void **state)
{
    static struct worker workers[LOOPS];

    (void)state;
    for (size_t i = 0; i < LOOPS; i++) {
        workers[i].gives_up = i < LOOPS / 2;
        assert_true(loop_new(&clock_system, &workers[i].loop, NULL));
    }
    for (size_t i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (size_t i = 0; i < LOOPS; i++)
        loop_free(workers[i].loop);
    assert_int_equal(atomic_load(&fetched), 1);
    assert_int_equal(atomic_load(&values) + atomic_load(&given_up), LOOPS * ASKERS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_is_fetched_once_and_kept_for_its_time),
        TEST(a_failure_is_told_and_not_kept),
        TEST(who_gives_up_hands_over_in_order),
        TEST(what_was_asked_for_longest_ago_goes_first),
        TEST(loops_of_several_threads_share_one_fetch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
