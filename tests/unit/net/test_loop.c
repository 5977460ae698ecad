#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static struct loop *new_loop(void)
{
    struct loop *loop = NULL;
    struct err err;

    hand_ms = 1000;
    assert_true(loop_new(&hand_clock, &loop, &err));
    return loop;
}

static void turn(struct loop *loop)
{
    struct err err;

    assert_true(loop_turn(loop, 0, &err));
}

/* Events */

struct end {
    struct io io;
    int calls;
    uint32_t events;
    struct end *forgets, *retires;
    struct retired retired;
    bool freed;
};

static void end_free(struct loop *loop, struct retired *retired)
{
    struct end *e = (struct end *)(void *)((char *)retired - offsetof(struct end, retired));

    (void)loop;
    e->freed = true;
}

static void end_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct end *e = (struct end *)(void *)io;

    assert_false(e->freed);
    e->calls++;
    e->events |= events;
    if (e->forgets) {
        loop_forget(loop, &e->forgets->io);
        close(e->forgets->io.fd);
        if (e->retires)
            loop_retire(loop, &e->retires->retired);
    }
}

static void watch_pair(struct loop *loop, struct end *a, struct end *b)
{
    int fds[2];
    struct err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *a = (struct end){.io = {.ready = end_ready, .fd = fds[0]}, .retired.free = end_free};
    *b = (struct end){.io = {.ready = end_ready, .fd = fds[1]}, .retired.free = end_free};
    assert_true(loop_watch(loop, &a->io, &err));
    assert_true(loop_watch(loop, &b->io, &err));
}

static void tells_readiness_once_until_it_changes(void **state)
{
    struct loop *loop = new_loop();
    struct end a, b;

    (void)state;
    watch_pair(loop, &a, &b);
    turn(loop);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.events, EPOLLOUT);
    turn(loop);
    assert_int_equal(a.calls, 1);
    assert_int_equal(write(b.io.fd, "x", 1), 1);
    turn(loop);
    turn(loop);
    assert_int_equal(a.calls, 2);
    assert_true(a.events & EPOLLIN);
    assert_int_equal(shutdown(b.io.fd, SHUT_WR), 0);
    turn(loop);
    assert_int_equal(a.calls, 3);
    assert_true(a.events & EPOLLRDHUP);
    close(a.io.fd);
    close(b.io.fd);
    loop_free(loop);
}

static void tells_level_readiness_as_long_as_it_lasts(void **state)
{
    struct loop *loop = new_loop();
    struct end a;
    struct err err;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    a = (struct end){.io = {.ready = end_ready, .fd = fds[0]}};
    assert_true(loop_watch_level(loop, &a.io, EPOLLIN, &err));
    assert_int_equal(write(fds[1], "x", 1), 1);
    turn(loop);
    turn(loop);
    assert_int_equal(a.calls, 2);
    assert_true(loop_watch_level(loop, &a.io, 0, &err));
    turn(loop);
    assert_int_equal(a.calls, 2);
    assert_true(loop_watch_level(loop, &a.io, EPOLLIN, &err));
    turn(loop);
    assert_int_equal(a.calls, 3);
    close(fds[0]);
    close(fds[1]);
    loop_free(loop);
}

static void does_not_call_what_was_forgotten_in_the_same_batch(void **state)
{
    struct loop *loop = new_loop();
    struct end a, b;

    (void)state;
    watch_pair(loop, &a, &b);
    /* Both are ready; whichever comes first forgets the other. */
    a.forgets = a.retires = &b;
    b.forgets = b.retires = &a;
    turn(loop);
    assert_int_equal(a.calls + b.calls, 1);
    assert_int_equal(a.freed + b.freed, 1);
    close(a.freed ? b.io.fd : a.io.fd);
    loop_free(loop);
}

static void calls_what_was_watched_anew_in_the_same_place(void **state)
{
    struct loop *loop = new_loop();
    struct end a, b, c;
    struct err err;

    (void)state;
    watch_pair(loop, &a, &b);
    loop_forget(loop, &a.io);
    turn(loop);
    assert_int_equal(a.calls, 0);
    assert_true(loop_watch(loop, &a.io, &err));
    turn(loop);
    assert_int_equal(a.calls, 1);
    c = (struct end){.io = {.ready = end_ready, .fd = -1}};
    assert_false(loop_watch(loop, &c.io, &err));
    loop_forget(loop, &c.io); /* harmless */
    close(a.io.fd);
    close(b.io.fd);
    loop_free(loop);
}

static void a_thing_may_forget_itself_and_is_freed_after_the_batch(void **state)
{
    struct loop *loop = new_loop();
    struct end a, b;

    (void)state;
    watch_pair(loop, &a, &b);
    a.forgets = a.retires = &a;
    turn(loop);
    assert_int_equal(a.calls, 1);
    assert_true(a.freed);
    close(b.io.fd);
    loop_free(loop);
}

static void gives_retired_memory_back_when_it_ends(void **state)
{
    struct loop *loop = new_loop();
    struct end a = {.retired.free = end_free};

    (void)state;
    loop_retire(loop, &a.retired);
    loop_free(loop);
    assert_true(a.freed);
    loop_free(NULL);
}

/* Tasks */

struct job {
    struct task task;
    char name;
    bool again;
    struct job *cancels;
};
static char trace[64];

static void trace_add(char c)
{
    size_t n = strlen(trace);

    assert_true(n + 1 < sizeof trace);
    trace[n] = c;
    trace[n + 1] = '\0';
}

static void job_run(struct loop *loop, struct task *task)
{
    struct job *j = (struct job *)(void *)task;

    assert_false(task_queued(task));
    trace_add(j->name);
    if (j->again)
        task_queue(loop, task);
    if (j->cancels)
        task_cancel(loop, &j->cancels->task);
}

static void job_init(struct job *j, char name)
{
    *j = (struct job){.name = name};
    task_init(&j->task, job_run);
}

static void runs_tasks_in_order_and_each_once_a_round(void **state)
{
    struct loop *loop = new_loop();
    struct job a, b, c;

    (void)state;
    trace[0] = '\0';
    job_init(&a, 'a');
    job_init(&b, 'b');
    job_init(&c, 'c');
    a.again = true;
    task_queue(loop, &a.task);
    task_queue(loop, &b.task);
    task_queue(loop, &c.task);
    task_queue(loop, &b.task); /* queued already */
    assert_true(task_queued(&b.task));
    turn(loop);
    assert_string_equal(trace, "abc");
    task_queue(loop, &c.task);
    turn(loop);
    assert_string_equal(trace, "abcac");
    a.again = false;
    turn(loop);
    turn(loop);
    assert_string_equal(trace, "abcaca");
    loop_free(loop);
}

static void cancels_tasks_anywhere_in_the_queue(void **state)
{
    static const char *const cases[] = {"", "a", "b", "c", "ab", "bc", "ac", "abc"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loop *loop = new_loop();
        struct job jobs[4];
        char want[8] = "";

        trace[0] = '\0';
        for (int j = 0; j < 3; j++) {
            job_init(&jobs[j], (char)('a' + j));
            task_queue(loop, &jobs[j].task);
        }
        for (const char *p = cases[i]; *p; p++) {
            task_cancel(loop, &jobs[*p - 'a'].task);
            task_cancel(loop, &jobs[*p - 'a'].task); /* twice is harmless */
        }
        job_init(&jobs[3], 'd');
        task_queue(loop, &jobs[3].task); /* the end of the queue is still right */
        for (int j = 0; j < 4; j++)
            if (!strchr(cases[i], 'a' + j))
                want[strlen(want)] = (char)('a' + j);
        turn(loop);
        assert_string_equal(trace, want);
        loop_free(loop);
    }
}

static void a_task_cancels_others_of_its_round(void **state)
{
    struct loop *loop = new_loop();
    struct job a, b, c;

    (void)state;
    trace[0] = '\0';
    job_init(&a, 'a');
    job_init(&b, 'b');
    job_init(&c, 'c');
    a.cancels = &b;
    a.again = true;
    task_queue(loop, &a.task);
    task_queue(loop, &b.task);
    task_queue(loop, &c.task);
    turn(loop);
    a.cancels = &c;
    task_queue(loop, &c.task); /* a, c */
    turn(loop);
    a.cancels = &a;
    turn(loop);
    turn(loop);
    assert_string_equal(trace, "acaa");
    loop_free(loop);
}

/* Posts */

struct note {
    struct post post;
    int number;
};
static int notes_seen[64], notes_count;

static void note_run(struct loop *loop, struct post *post)
{
    notes_seen[notes_count++] = ((struct note *)(void *)post)->number;
    if (notes_count == 3)
        loop_stop(loop);
}

static void runs_posts_in_the_order_they_came(void **state)
{
    struct loop *loop = new_loop();
    struct note notes[3];

    (void)state;
    notes_count = 0;
    for (int i = 0; i < 3; i++) {
        notes[i] = (struct note){.post.run = note_run, .number = i};
        loop_post(loop, &notes[i].post);
    }
    turn(loop);
    assert_int_equal(notes_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(notes_seen[i], i);
    turn(loop);
    assert_int_equal(notes_count, 3);
    loop_free(loop);
}

enum { POSTERS = 4, POSTS_EACH = 2000 };

struct poster {
    struct loop *loop;
    struct counted *posts;
};
struct counted {
    struct post post;
    int poster, number;
};
static int counted_next[POSTERS], counted_sum;

static void counted_run(struct loop *loop, struct post *post)
{
    struct counted *c = (struct counted *)(void *)post;

    assert_int_equal(c->number, counted_next[c->poster]); /* FIFO for each thread */
    counted_next[c->poster]++;
    if (++counted_sum == POSTERS * POSTS_EACH)
        loop_stop(loop);
}

static void *poster_main(void *context)
{
    struct poster *p = context;

    for (int i = 0; i < POSTS_EACH; i++)
        loop_post(p->loop, &p->posts[i].post);
    return NULL;
}

static void wakes_for_posts_of_other_threads_and_loses_none(void **state)
{
    struct loop *loop = NULL;
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    struct err err;

    (void)state;
    counted_sum = 0;
    assert_true(loop_new(&clock_system, &loop, &err));
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){loop, calloc(POSTS_EACH, sizeof(struct counted))};
        assert_non_null(posters[i].posts);
        counted_next[i] = 0;
        for (int j = 0; j < POSTS_EACH; j++)
            posters[i].posts[j] = (struct counted){{.run = counted_run}, i, j};
        assert_int_equal(pthread_create(&threads[i], NULL, poster_main, &posters[i]), 0);
    }
    assert_true(loop_run(loop, &err));
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        free(posters[i].posts);
    }
    assert_int_equal(counted_sum, POSTERS * POSTS_EACH);
    loop_free(loop);
}

static void *stopper_main(void *context)
{
    loop_stop(context);
    return NULL;
}

static void stops_when_another_thread_says_so(void **state)
{
    struct loop *loop = NULL;
    pthread_t thread;
    struct err err;

    (void)state;
    assert_true(loop_new(&clock_system, &loop, &err));
    for (int i = 0; i < 2; i++) { /* a stop is used up by the run it ended */
        assert_int_equal(pthread_create(&thread, NULL, stopper_main, loop), 0);
        assert_true(loop_run(loop, &err));
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    loop_free(loop);
}

/* The order of a turn */

static struct job order_task;
static struct timer order_timer;
static struct note order_note;

static void order_timer_fire(struct loop *loop, struct timer *t)
{
    (void)loop;
    (void)t;
    trace_add('m');
}

static void order_post_run(struct loop *loop, struct post *p)
{
    (void)loop;
    (void)p;
    trace_add('p');
}

static void order_retired_free(struct loop *loop, struct retired *r)
{
    (void)loop;
    (void)r;
    trace_add('r');
}

static void order_ready(struct loop *loop, struct io *io, uint32_t events)
{
    static struct retired retired = {.free = order_retired_free};

    (void)io;
    (void)events;
    trace_add('e');
    loop_retire(loop, &retired);
    loop_post(loop, &order_note.post);
    task_queue(loop, &order_task.task);
}

static void a_turn_runs_events_tasks_timers_posts_and_frees(void **state)
{
    struct loop *loop = new_loop();
    struct end a, b;

    (void)state;
    trace[0] = '\0';
    watch_pair(loop, &a, &b);
    turn(loop);
    a.io.ready = order_ready;
    job_init(&order_task, 't');
    order_note = (struct note){.post.run = order_post_run};
    timer_init(&order_timer, order_timer_fire);
    timer_set(loop, &order_timer, hand_ms + 1);
    hand_ms += 100;
    assert_int_equal(write(b.io.fd, "x", 1), 1);
    turn(loop);
    assert_string_equal(trace, "etmpr");
    assert_int_equal(loop_now_ms(loop), hand_ms);
    assert_true(loop_alive_ms(loop) >= hand_ms);
    close(a.io.fd);
    close(b.io.fd);
    loop_free(loop);
}

static void busy_run(struct loop *loop, struct task *task)
{
    uint64_t start = clock_monotonic_us();

    (void)loop;
    (void)task;
    while (clock_monotonic_us() - start < 2000)
        ;
}

/* A task that takes longer than all long ones of a turn may together. */
static void slow_run(struct loop *loop, struct task *task)
{
    busy_run(loop, task);
    job_run(loop, task);
}

static void what_is_short_waits_for_one_long_task_and_not_for_all(void **state)
{
    struct loop *loop = new_loop();
    struct job a, b, c, s;

    (void)state;
    trace[0] = '\0';
    job_init(&a, 'a');
    job_init(&b, 'b');
    job_init(&c, 'c');
    job_init(&s, 's');
    a.task.run = b.task.run = c.task.run = slow_run;
    a.again = true; /* as a short one, this time */
    s.again = true;
    task_queue_long(loop, &a.task);
    task_queue_long(loop, &b.task);
    task_queue_long(loop, &c.task);
    task_queue(loop, &s.task);
    task_queue(loop, &b.task); /* queued already */
    turn(loop);
    assert_string_equal(trace, "sa");
    a.again = false;
    turn(loop);
    assert_string_equal(trace, "sasab");
    task_cancel(loop, &c.task);
    task_queue_long(loop, &b.task); /* the end of the queue is still right */
    turn(loop);
    assert_string_equal(trace, "sasabsb");
    turn(loop);
    assert_string_equal(trace, "sasabsbs");
    loop_free(loop);
}

static void reports_the_slowest_turn_once(void **state)
{
    struct loop *loop = new_loop();
    struct task t;

    (void)state;
    task_init(&t, busy_run);
    task_queue(loop, &t);
    turn(loop);
    turn(loop);
    assert_true(loop_lag_us(loop) >= 2000);
    assert_int_equal(loop_lag_us(loop), 0);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_readiness_once_until_it_changes),
        cmocka_unit_test(tells_level_readiness_as_long_as_it_lasts),
        cmocka_unit_test(does_not_call_what_was_forgotten_in_the_same_batch),
        cmocka_unit_test(calls_what_was_watched_anew_in_the_same_place),
        cmocka_unit_test(a_thing_may_forget_itself_and_is_freed_after_the_batch),
        cmocka_unit_test(gives_retired_memory_back_when_it_ends),
        cmocka_unit_test(runs_tasks_in_order_and_each_once_a_round),
        cmocka_unit_test(cancels_tasks_anywhere_in_the_queue),
        cmocka_unit_test(a_task_cancels_others_of_its_round),
        cmocka_unit_test(runs_posts_in_the_order_they_came),
        cmocka_unit_test(wakes_for_posts_of_other_threads_and_loses_none),
        cmocka_unit_test(stops_when_another_thread_says_so),
        cmocka_unit_test(a_turn_runs_events_tasks_timers_posts_and_frees),
        cmocka_unit_test(what_is_short_waits_for_one_long_task_and_not_for_all),
        cmocka_unit_test(reports_the_slowest_turn_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
