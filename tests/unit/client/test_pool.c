/* Connections that are used again, and those that must not be. */
#include "world.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void ask(struct world *w, struct asker *c, const char *method, bool repeatable)
{
    caller_start(w, c,
                 &(struct client_request){.method = view_str(method),
                                          .url = view_str(w->origin),
                                          .repeatable = repeatable});
}

/* One request over fd, or over a new connection. */
static int once(struct world *w, int fd, const char *answer)
{
    struct asker c = {0};

    ask(w, &c, "GET", false);
    if (fd < 0)
        fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, answer);
    check_answer(w, &c, 200, "ok");
    return fd;
}

static void one_connection_serves_many(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = -1;

    for (unsigned i = 0; i < 20; i++)
        fd = once(w, fd, ANSWER);
    ask(w, &c, "POST", false);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &c, 200, "ok");
    assert_int_equal(c.end.connect_us, 0);
    nobody_comes(w);
    close(fd);
}

static void the_next_request_starts_in_done(void **state)
{
    struct world *w = *state;
    struct asker second = {0}, first = {.next = &second};
    int fd;

    first.next_request = (struct client_request){.method = VIEW("GET"), .url = view_str(w->origin)};
    ask(w, &first, "GET", false);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &first, 200, "ok");
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &second, 200, "ok");
    nobody_comes(w);
    close(fd);
}

static void calls_side_by_side_have_a_connection_each(void **state)
{
    struct world *w = *state;
    struct asker c[3] = {{0}};
    int fd[3];

    for (size_t i = 0; i < 3; i++) {
        ask(w, &c[i], "GET", false);
        fd[i] = serve(w);
        (void)heard(w, fd[i], "\r\n\r\n");
    }
    for (size_t i = 3; i-- > 0;) {
        say(w, fd[i], ANSWER);
        check_answer(w, &c[i], 200, "ok");
    }
    fd[0] = once(w, fd[0], ANSWER); /* the one that was used last */
    nobody_comes(w);
    for (size_t i = 0; i < 3; i++)
        close(fd[i]);
}

static void answers_that_end_a_connection(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", /* not what anybody asked for */
        ANSWER "x",
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(answers); i++)
        check_hung_up(w, once(w, -1, answers[i]));
    close(once(w, -1, ANSWER));
}

static void a_word_out_of_turn_ends_an_idle_connection(void **state)
{
    struct world *w = *state;
    int fd = once(w, -1, ANSWER);

    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
    check_hung_up(w, fd);
    close(once(w, -1, ANSWER));
}

static void idle_connections_have_their_time(void **state)
{
    struct world *w = *state;
    int fd = once(w, -1, ANSWER);

    world_pass(w, 59 * 1000);
    fd = once(w, fd, ANSWER);
    world_pass(w, 61 * 1000);
    check_hung_up(w, fd);
    fd = once(w, -1,
              "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=9\r\nContent-Length: 2\r\n\r\nok");
    world_pass(w, 3900);
    fd = once(w, fd, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok");
    world_pass(w, 4100); /* before the server's five seconds are over */
    check_hung_up(w, fd);
    fd = once(w, -1, ANSWER);
    client_close_idle(w->client);
    check_hung_up(w, fd);
}

static void so_many_idle_ones_for_an_origin(void **state)
{
    enum { MORE = CLIENT_IDLE_PER_ORIGIN + 3 };
    struct world *w = *state;
    struct asker *c = calloc(MORE, sizeof *c);
    int fd[MORE];

    assert_non_null(c);
    for (size_t i = 0; i < MORE; i++) {
        ask(w, &c[i], "GET", false);
        fd[i] = serve(w);
        (void)heard(w, fd[i], "\r\n\r\n");
    }
    for (size_t i = 0; i < MORE; i++) {
        say(w, fd[i], ANSWER);
        check_answer(w, &c[i], 200, "ok");
    }
    for (size_t i = 0; i < MORE; i++) {
        if (i >= CLIENT_IDLE_PER_ORIGIN)
            check_hung_up(w, fd[i]);
        else
            close(fd[i]);
    }
    free(c);
}

/* The server closes just when the request leaves: the loop cannot know yet. */
static void a_stale_connection_costs_no_request(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    close(fd);
    ask(w, &c, "GET", false);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &c, 200, "ok");
    assert_true(c.end.connect_us > 0);
    close(fd);
}

static void it_is_sent_once_more_and_no_more(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    ask(w, &c, "DELETE", false);
    (void)heard(w, fd, "\r\n\r\n");
    close(fd);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    close(fd);
    check_end(w, &c, CLIENT_BROKEN);
    nobody_comes(w);
}

static void what_may_not_be_repeated_is_not(void **state)
{
    struct world *w = *state;
    struct asker c = {0}, d = {0};
    int fd = once(w, -1, ANSWER);

    ask(w, &c, "POST", false);
    (void)heard(w, fd, "\r\n\r\n");
    close(fd);
    check_end(w, &c, CLIENT_BROKEN);
    nobody_comes(w);

    fd = once(w, -1, ANSWER);
    ask(w, &d, "POST", true); /* its caller knows better */
    (void)heard(w, fd, "\r\n\r\n");
    reset(fd);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &d, 200, "ok");
    close(fd);
}

static void what_never_left_may_be_sent_again(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    reset(fd); /* the kernel knows, the loop does not */
    ask(w, &c, "POST", false);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &c, 200, "ok");
    close(fd);
}

static void half_an_answer_is_not_asked_for_again(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    ask(w, &c, "GET", false);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "H");
    close(fd);
    check_end(w, &c, CLIENT_BROKEN);
    nobody_comes(w);
}

/* After a second of silence a connection is looked at before it is used: even a POST is safe then. */
static void a_rested_connection_is_looked_at_first(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    w->now_ms += 2000;
    turn(w); /* the loop knows the time */
    close(fd);
    ask(w, &c, "POST", false);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, ANSWER);
    check_answer(w, &c, 200, "ok");
    close(fd);
}

static void a_call_that_was_cancelled_leaves_no_connection(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    ask(w, &c, "GET", false);
    (void)heard(w, fd, "\r\n\r\n");
    client_cancel(c.call);
    buf_done(&c.body);
    check_hung_up(w, fd); /* its answer would be the next one's */
    close(once(w, -1, ANSWER));
}

static void reaches_do_not_share(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd = once(w, -1, ANSWER);

    caller_start(w, &c,
                 &(struct client_request){
                     .method = VIEW("GET"), .url = view_str(w->origin), .reach = CLIENT_PUBLIC});
    check_end(w, &c, CLIENT_DENIED); /* although a connection is open */
    close(once(w, fd, ANSWER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(one_connection_serves_many),
        world_test(the_next_request_starts_in_done),
        world_test(calls_side_by_side_have_a_connection_each),
        world_test(answers_that_end_a_connection),
        world_test(a_word_out_of_turn_ends_an_idle_connection),
        world_test(idle_connections_have_their_time),
        world_test(so_many_idle_ones_for_an_origin),
        world_test(a_stale_connection_costs_no_request),
        world_test(it_is_sent_once_more_and_no_more),
        world_test(what_may_not_be_repeated_is_not),
        world_test(what_never_left_may_be_sent_again),
        world_test(half_an_answer_is_not_asked_for_again),
        world_test(a_rested_connection_is_looked_at_first),
        world_test(a_call_that_was_cancelled_leaves_no_connection),
        world_test(reaches_do_not_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
