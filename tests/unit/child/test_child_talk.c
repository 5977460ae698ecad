/* Programs that are talked to, and many at once. */
#include "child_world.h"

static void talks_both_ways(void **state)
{
    struct world *w = *state;
    struct talk t;

    open_talk(w, &t, "while read line; do echo got $line; done; echo bye");
    assert_true(child_write(t.child, VIEW("one\n"), NULL));
    (void)pid_of(w, &t);
    while (buf_len(&t.text) < 8)
        turn(w);
    assert_true(child_write(t.child, VIEW("two\n"), NULL));
    child_close_input(t.child);
    assert_false(child_write(t.child, VIEW("three\n"), NULL));
    while (!t.ended)
        turn(w);
    assert_int_equal(t.status, 0);
    assert_true(view_eq(buf_view(&t.text), VIEW("got one\ngot two\nbye\n")));
    buf_done(&t.text);
}

static void large_input_comes_back_whole(void **state)
{
    struct world *w = *state;
    struct talk t;
    struct err err = {0};
    enum { LOTS = 40 * 1024 * 1024 };
    uint8_t *lots = malloc(LOTS);

    assert_non_null(lots);
    memset(lots, 'x', LOTS);
    open_talk(w, &t, "cat");
    assert_true(child_write(t.child, view_from(lots, LOTS), &err));
    assert_false(child_write(t.child, view_from(lots, LOTS), &err)); /* CHILD_INPUT_MAX */
    assert_int_equal(err.code, ERR_LIMIT);
    child_close_input(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(t.total, LOTS);
    buf_done(&t.text);
    free(lots);
}

static void a_child_may_stop_reading(void **state)
{
    struct world *w = *state;
    struct talk t;
    struct err err = {0};

    open_talk(w, &t, "exec 0<&-; echo closed; exec sleep 1000");
    while (!buf_len(&t.text))
        turn(w);
    assert_false(child_write(t.child, VIEW("x"), &err));
    assert_int_equal(err.code, ERR_IO);
    assert_false(t.ended);
    child_stop(t.child);
    child_stop(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(WTERMSIG(t.status), SIGTERM);
    buf_done(&t.text);
}

static void tells_what_was_never_read(void **state)
{
    struct world *w = *state;
    struct talk t;
    static char lots[200000]; /* more than a pipe holds */
    char file[128];
    int fd;

    open_talk(w, &t, "head -c 3 >&2");
    assert_true(child_write(t.child, VIEW("onetwofour"), NULL));
    while (!t.ended)
        turn(w);
    assert_int_equal(t.unread, 7);
    buf_done(&t.text);

    memset(lots, 'x', sizeof lots);
    open_talk(w, &t, "while [ ! -e written ]; do sleep 0.01; done");
    assert_true(child_write(t.child, view_from(lots, sizeof lots), NULL));
    snprintf(file, sizeof file, "%s/written", w->folder);
    fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    while (!t.ended)
        turn(w);
    assert_int_equal(t.unread, sizeof lots);
    buf_done(&t.text);

    open_talk(w, &t, "cat >/dev/null");
    assert_true(child_write(t.child, view_from(lots, sizeof lots), NULL));
    child_close_input(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(t.unread, 0);
    buf_done(&t.text);
}

static void standard_error_can_be_seen_while_it_runs(void **state)
{
    struct world *w = *state;
    struct talk t;

    open_talk(w, &t, "echo warning >&2; read line; exit 5");
    while (!child_error(t.child).len)
        turn(w);
    assert_true(view_eq(child_error(t.child), VIEW("warning\n")));
    assert_true(child_write(t.child, VIEW("go\n"), NULL));
    while (!t.ended)
        turn(w);
    assert_int_equal(WEXITSTATUS(t.status), 5);
    buf_done(&t.text);
}

static void may_be_abandoned_while_it_speaks(void **state)
{
    struct world *w = *state;
    struct talk t;
    pid_t pid;

    open_talk(w, &t, "while :; do echo and so on; done");
    pid = pid_of(w, &t);
    t.abandon = true;
    while (alive(pid))
        look_again(w);
    assert_false(t.ended);
    assert_true(t.total <= 64 * 1024);
    buf_done(&t.text);
}

static void the_end_of_a_loop_kills_all_of_its(void **state)
{
    struct world *w = *state;
    struct talk a, b;
    pid_t first, second;

    open_talk(w, &a, "trap '' TERM; sleep 1000 & wait");
    open_talk(w, &b, "sleep 1000");
    first = pid_of(w, &a);
    second = pid_of(w, &b);
    child_stop(a.child);
    child_end_all(w->loop);
    assert_false(alive(first) || alive(second));
    assert_false(a.ended || b.ended);
    buf_done(&a.text);
    buf_done(&b.text);
}

static void five_hundred_at_once(void **state)
{
    struct world *w = *state;
    enum { MANY = 500 };
    static struct outcome o[MANY];
    const char *arguments[] = {NULL};
    struct child_command command = {
        .program = "pwd", .arguments = arguments, .environment = usual, .folder = w->folder};
    struct child_job *job;

    for (size_t i = 0; i < MANY; i++) {
        o[i] = (struct outcome){0};
        assert_true(child_run(w->loop, &command, OUTPUT_MAX, LONG_MS, taken, &o[i], &job, NULL));
    }
    for (size_t i = 0; i < MANY; i++) {
        while (!o[i].done)
            turn(w);
        assert_int_equal(o[i].exit_code, 0);
        assert_int_equal(buf_len(&o[i].text), strlen(w->folder) + 1);
        buf_done(&o[i].text);
    }
}

static void *loop_of_its_own(void *context)
{
    struct world w = {0};
    struct outcome o;

    snprintf(w.folder, sizeof w.folder, "%s", (const char *)context);
    assert_true(loop_new(&clock_system, &w.loop, NULL));
    for (int i = 0; i < 50; i++) {
        run(&w, &o, "echo $PPID; exit 9");
        assert_int_equal(o.exit_code, 9);
        assert_int_equal(strtol((const char *)buf_view(&o.text).at, NULL, 10),
                         child_helper_pid() ? child_helper_pid() : getpid());
        buf_done(&o.text);
    }
    child_end_all(w.loop);
    loop_free(w.loop);
    return NULL;
}

static void several_loops_have_children_of_their_own(void **state)
{
    struct world *w = *state;
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, loop_of_its_own, w->folder), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* More than the helper is asked at a time, of which some are not wanted any more when their turn comes. */
static void many_are_cancelled_and_stopped_before_they_run(void **state)
{
    struct world *w = *state;
    enum { MANY = 200 };
    static struct outcome o[MANY];
    struct child_job *jobs[MANY];

    for (size_t i = 0; i < MANY; i++)
        jobs[i] = begin(w, &o[i], "exec sleep 1000", OUTPUT_MAX, i % 2 ? 1 : LONG_MS);
    for (size_t i = 0; i < MANY; i += 2)
        child_cancel(jobs[i]);
    for (size_t i = 1; i < MANY; i += 2) {
        while (!o[i].done)
            turn(w);
        assert_true(o[i].timed_out);
        assert_int_equal(o[i].signo, SIGTERM);
        buf_done(&o[i].text);
    }
    for (size_t i = 0; i < MANY; i += 2)
        assert_false(o[i].done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(talks_both_ways),
        IN_WORLD(large_input_comes_back_whole),
        IN_WORLD(a_child_may_stop_reading),
        IN_WORLD(tells_what_was_never_read),
        IN_WORLD(standard_error_can_be_seen_while_it_runs),
        IN_WORLD(may_be_abandoned_while_it_speaks),
        IN_WORLD(the_end_of_a_loop_kills_all_of_its),
        IN_WORLD(five_hundred_at_once),
        IN_WORLD(several_loops_have_children_of_their_own),
        IN_WORLD(many_are_cancelled_and_stopped_before_they_run),
    };

    return BOTH_WAYS(tests);
}
