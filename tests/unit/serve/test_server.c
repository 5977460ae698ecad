#include <sys/resource.h>

#include "talk.h"

/* What the routes answer */

static bool say_hello(void *context, const struct serve_request *request,
                      struct serve_answer *answer, struct err *err)
{
    ++*(int *)context;
    return buf_appendf(answer->body, err, "hello %.*s from %s\n", VIEW_ARG(request->query),
                       request->peer.family == AF_INET ? "tcp" : "unix");
}

static bool echo_back(void *context, const struct serve_request *request,
                      struct serve_answer *answer, struct err *err)
{
    (void)context;
    answer->status = 201;
    answer->content_type = "application/octet-stream";
    answer->extra = "X-Extra: yes\r\n";
    return buf_append(answer->body, request->body, err);
}

static bool fail_as_told(void *context, const struct serve_request *request,
                         struct serve_answer *answer, struct err *err)
{
    (void)request;
    if (!buf_append_str(answer->body, "half an answer", err))
        return false;
    return err_set(err, *(enum err_code *)context, "the reason is 42");
}

enum { BIG_BYTES = 8 << 20 };

static bool answer_much(void *context, const struct serve_request *request,
                        struct serve_answer *answer, struct err *err)
{
    uint8_t *room;

    (void)context;
    (void)request;
    if (!buf_room(answer->body, BIG_BYTES, &room, err))
        return false;
    memset(room, 'x', BIG_BYTES);
    buf_wrote(answer->body, BIG_BYTES);
    return true;
}

static bool answer_too_much(void *context, const struct serve_request *request,
                            struct serve_answer *answer, struct err *err)
{
    for (;;)
        if (!answer_much(context, request, answer, err))
            return false;
}

static int hellos;
static enum err_code denied = ERR_DENIED, internal = ERR_INTERNAL;
static const struct serve_route routes[] = {
    {"GET", "/hello", say_hello, &hellos},     {"POST", "/hello", echo_back, NULL},
    {"GET", "/", say_hello, &hellos},          {"PUT", "/echo", echo_back, NULL},
    {"GET", "/denied", fail_as_told, &denied}, {"GET", "/broken", fail_as_told, &internal},
    {"GET", "/big", answer_much, NULL},        {"GET", "/bigger", answer_too_much, NULL},
};

static void start_with(size_t connections_max, serve_handler *otherwise)
{
    struct serve_options options = {.routes = routes,
                                    .route_count = COUNT(routes),
                                    .otherwise = otherwise,
                                    .otherwise_context = &hellos,
                                    .connections_max = connections_max,
                                    .body_bytes_max = 1000};

    hellos = 0;
    start_server(&options);
}

static void start(size_t connections_max)
{
    start_with(connections_max, NULL);
}

static void answers_by_path_and_method(void **state)
{
    static const struct {
        const char *request, *status, *body, *field;
    } cases[] = {
        {GET("/hello?you"), "HTTP/1.1 200 OK\r\n", "hello you from tcp\n", "text/plain"},
        {GET("/"), "HTTP/1.1 200 OK\r\n", "hello  from tcp\n", "nosniff"},
        {GET("/nothing"), "HTTP/1.1 404 Not Found\r\n", "Not Found\n", "keep-alive"},
        {GET("/hello/"), "HTTP/1.1 404 Not Found\r\n", "Not Found\n", "no-store"},
        {"DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n",
         "Method Not Allowed\n", "Allow: GET, HEAD, POST\r\n"},
        {"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "",
         "Allow: PUT\r\n"},
        {"HEAD /hello?you HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n", "",
         "Content-Length: 19\r\n"},
        {"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
         "HTTP/1.1 201 Created\r\n", "body", "X-Extra: yes\r\n"},
        {GET("/denied"), "HTTP/1.1 403 Forbidden\r\n", "the reason is 42\n", "text/plain"},
        {GET("/broken"), "HTTP/1.1 500 Internal Server Error\r\n", "Internal Server Error\n", ""},
        {GET("/bigger"), "HTTP/1.1 413 Content Too Large\r\n", NULL, ""},
        {"GET http://b/hello?x HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP/1.1 200 OK\r\n",
         "hello x from tcp\n", ""},
    };
    int fd;

    (void)state;
    start(0);
    fd = client();
    for (size_t i = 0; i < COUNT(cases); i++) { /* all on one connection */
        const char *answer = answer_to(fd, cases[i].request);

        assert_true(STARTS(answer, cases[i].status));
        assert_non_null(strstr(answer, cases[i].field));
        if (cases[i].body)
            assert_string_equal(body_of(answer), cases[i].body);
    }
    assert_int_equal(server_connections(server), 1);
    close(fd);
    turns(3);
    assert_int_equal(server_connections(server), 0);
    stop();
}

static void answers_other_paths_by_one_handler_for_all(void **state)
{
    int fd;

    (void)state;
    start_with(0, say_hello);
    fd = client();
    assert_string_equal(body_of(answer_to(fd, GET("/nothing?there"))), "hello there from tcp\n");
    assert_true(
        STARTS(answer_to(fd, "DELETE /nothing HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200 "));
    assert_string_equal(body_of(answer_to(fd, "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n")), "");
    assert_int_equal(hellos, 3);
    assert_true(
        STARTS(answer_to(fd, "DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 405 "));
    assert_int_equal(hellos, 3); /* a path of ours stays ours */
    close(fd);
    stop();
}

static void answers_are_the_same_however_a_request_is_cut(void **state)
{
    static const char *const requests[] = {
        GET("/hello?you"),
        "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
        ("PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"),
    };

    (void)state;
    start(0);
    for (size_t i = 0; i < COUNT(requests); i++) {
        size_t len = strlen(requests[i]);
        char whole[1024];
        int fd = client();

        snprintf(whole, sizeof whole, "%s", answer_to(fd, requests[i]));
        for (size_t cut = 1; cut < len; cut++) {
            assert_int_equal(send(fd, requests[i], cut, MSG_NOSIGNAL), cut);
            turns(3);
            say(fd, requests[i] + cut);
            assert_string_equal(answer_to(fd, NULL), whole);
        }
        close(fd);
    }
    stop();
}

static void answers_pipelined_requests_in_order(void **state)
{
    enum { REQUESTS = 100 };
    char sent[REQUESTS * 64] = "", want[64];
    const char *at = heard;
    int fd;

    (void)state;
    start(0);
    fd = client();
    for (int i = 0; i < REQUESTS; i++)
        snprintf(sent + strlen(sent), sizeof sent - strlen(sent),
                 "GET /hello?%d HTTP/1.1\r\nHost: a\r\n%s\r\n", i,
                 i == REQUESTS - 1 ? "Connection: close\r\n" : "");
    say(fd, sent);
    all_until_close(fd);
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(want, sizeof want, "hello %d from", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
    assert_int_equal(hellos, REQUESTS);
    close(fd);
    stop();
}

static void closes_when_it_was_asked_to(void **state)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /hello HTTP/1.0\r\n\r\n",
    };

    (void)state;
    start(0);
    for (size_t i = 0; i < COUNT(requests); i++) {
        int fd = client();

        say(fd, requests[i]);
        assert_true(STARTS(all_until_close(fd), "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(heard, "Connection: close\r\n"));
        assert_int_equal(server_connections(server), 1); /* it waits for us to close as well */
        close(fd);
        turns(3);
        assert_int_equal(server_connections(server), 0);
    }
    stop();
}

static void answers_a_client_that_has_said_all_it_had_to_say(void **state)
{
    int fd;

    (void)state;
    start(0);
    fd = client();
    say(fd, GET("/hello?1") GET("/hello?2"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    all_until_close(fd);
    assert_non_null(strstr(heard, "hello 2 from"));
    close(fd);
    stop();
}

static void refuses_what_is_malformed_or_too_much_and_closes(void **state)
{
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET hello HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /hello HTTP/9.1\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
        {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "},
        {"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
         "HTTP/1.1 400 "},
        {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\n",
         "HTTP/1.1 417 "},
    };

    (void)state;
    start(0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int fd = client();

        say(fd, cases[i].request);
        say(fd, GET("/hello")); /* must not be taken for a request */
        if (!STARTS(all_until_close(fd), cases[i].status))
            fail_msg("%s is answered with %s", cases[i].request, heard);
        assert_null(strstr(heard, "hello  from"));
        close(fd);
    }
    assert_int_equal(hellos, 0);
    stop();
}

static void refuses_a_chunked_body_over_the_limit(void **state)
{
    char chunk[1200];
    int fd;

    (void)state;
    start(0);
    fd = client();
    say(fd, "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    memset(chunk, 'x', sizeof chunk);
    assert_int_equal(send(fd, chunk, 1001, 0), 1001);
    assert_true(STARTS(all_until_close(fd), "HTTP/1.1 413 "));
    close(fd);
    stop();
}

static void refuses_a_head_over_the_limit(void **state)
{
    static char field[HTTP_LINE_BYTES_MAX + 100];
    int fd;

    (void)state;
    start(0);
    fd = client();
    memset(field, 'x', sizeof field - 1);
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
    say(fd, field);
    assert_true(STARTS(all_until_close(fd), "HTTP/1.1 431 "));
    close(fd);
    stop();
}

static void asks_for_a_body_that_waits_to_be_asked_for(void **state)
{
    int fd;

    (void)state;
    start(0);
    fd = client();
    say(fd, "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    heard_len = 0;
    assert_false(hear(fd, strlen("HTTP/1.1 100 Continue\r\n\r\n")));
    assert_string_equal(heard, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "body");
    assert_true(STARTS(answer_to(fd, NULL), "HTTP/1.1 201 "));
    assert_string_equal(body_of(heard), "body");
    close(fd);
    stop();
}

static void does_not_read_on_while_its_answer_is_not_read(void **state)
{
    size_t total = 0;
    int fd;

    (void)state;
    start(0);
    fd = client();
    say(fd, GET("/big") GET("/hello?after"));
    turns(50);
    assert_int_equal(hellos, 0); /* the second request waits for the first answer to leave */
    for (int i = 0; i < 100000 && hellos == 0; i++) {
        ssize_t n = recv(fd, heard, sizeof heard, 0);

        if (n > 0)
            total += (size_t)n;
        else
            turn();
    }
    assert_int_equal(hellos, 1);
    assert_true(total > 0);
    close(fd);
    stop();
}

static void forgets_a_client_that_never_reads(void **state)
{
    int fd;

    (void)state;
    start(0);
    fd = client();
    say(fd, GET("/big"));
    turns(50);
    assert_int_equal(server_connections(server), 1);
    hand_ms += 61000;
    turns(3);
    assert_int_equal(server_connections(server), 0);
    close(fd);
    stop();
}

static void a_head_has_its_time(void **state)
{
    int fd, silent;

    (void)state;
    start(0);
    fd = client();
    silent = client();
    say(fd, "GET /hello HTTP/1.1\r\nX: ");
    turns(3);
    for (int i = 0; i < 6; i++) { /* a byte now and then does not buy time */
        hand_ms += 800;
        say(fd, "t");
        turns(2);
    }
    assert_int_equal(server_connections(server), 2);
    hand_ms += 400;
    turns(2);
    assert_true(STARTS(all_until_close(fd), "HTTP/1.1 408 "));
    assert_string_equal(all_until_close(silent), ""); /* who never spoke is not answered */
    close(fd);
    close(silent);
    stop();
}

static void a_body_has_its_time(void **state)
{
    int fd;

    (void)state;
    start(0);
    fd = client();
    say(fd, "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
    turns(3);
    hand_ms += 29000;
    turns(3);
    say(fd, "d");
    turns(3);
    hand_ms += 2000;
    assert_true(STARTS(all_until_close(fd), "HTTP/1.1 408 "));
    close(fd);
    stop();
}

static void an_idle_connection_is_closed_in_the_end(void **state)
{
    int fd;

    (void)state;
    start(0);
    fd = client();
    answer_to(fd, GET("/hello"));
    turns(3);
    hand_ms += 59000;
    turns(3);
    answer_to(fd, GET("/hello")); /* still there, and the time begins anew */
    turns(3);
    hand_ms += 59000;
    turns(3);
    assert_int_equal(server_connections(server), 1);
    hand_ms += 2000;
    assert_string_equal(all_until_close(fd), "");
    assert_int_equal(server_connections(server), 0);
    close(fd);
    stop();
}

static void says_so_when_there_are_too_many_connections(void **state)
{
    int fds[3], more;

    (void)state;
    start(3);
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = client();
        answer_to(fds[i], GET("/hello"));
    }
    more = client();
    assert_true(STARTS(all_until_close(more), "HTTP/1.1 503 "));
    assert_non_null(strstr(heard, "Retry-After: 1\r\n"));
    close(more);
    close(fds[0]);
    turns(3);
    more = client();
    assert_true(STARTS(answer_to(more, GET("/hello")), "HTTP/1.1 200 "));
    close(more);
    close(fds[1]);
    close(fds[2]);
    stop();
}

static void pauses_when_there_are_no_descriptors_left(void **state)
{
    struct rlimit before, none;
    int fd, next;

    (void)state;
    if (getenv("POSTERN_VALGRIND")) /* which has descriptors of its own */
        skip();
    start(0);
    fd = client();
    next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    say(fd, GET("/hello"));
    turns(5);
    assert_int_equal(server_connections(server), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    turns(5);
    assert_int_equal(server_connections(server), 0); /* not before the pause is over */
    hand_ms += 200;
    assert_true(STARTS(answer_to(fd, NULL), "HTTP/1.1 200 "));
    close(fd);
    stop();
}

static void note_drained(void *context)
{
    ++*(int *)context;
}

static void drains_without_losing_a_request(void **state)
{
    struct sockaddr_storage ss;
    int idle, half, queued, late, drained = 0;

    (void)state;
    start(0);
    idle = client();
    answer_to(idle, GET("/hello"));
    half = client();
    say(half, "GET /hello HTTP/1.1\r\n");
    turns(3);
    queued = client(); /* not accepted yet */
    say(queued, GET("/hello"));
    server_drain(server, note_drained, &drained);
    assert_int_equal(drained, 0);

    assert_string_equal(all_until_close(idle), "");
    say(half, "Host: a\r\n\r\n");
    assert_true(STARTS(all_until_close(half), "HTTP/1.1 200 "));
    assert_non_null(strstr(heard, "Connection: close\r\n"));
    assert_true(STARTS(all_until_close(queued), "HTTP/1.1 200 "));
    late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(late, (struct sockaddr *)&ss, addr_to_sockaddr(&address, &ss)), 0);
    assert_int_equal(drained, 0);
    close(idle);
    close(half);
    close(queued);
    close(late);
    turns(5);
    assert_int_equal(drained, 1);
    assert_int_equal(server_connections(server), 0);
    stop();
}

static void a_drain_does_not_wait_for_who_says_nothing(void **state)
{
    int fd, drained = 0;

    (void)state;
    start(0);
    fd = client();
    turns(3);
    server_drain(server, note_drained, &drained);
    turns(3);
    assert_int_equal(drained, 0);
    hand_ms += 1100;
    turns(3);
    assert_int_equal(drained, 1);
    close(fd);
    stop();
}

static void drains_at_once_when_nobody_is_there(void **state)
{
    int drained = 0;

    (void)state;
    start(0);
    server_drain(server, note_drained, &drained);
    assert_int_equal(drained, 0); /* not from inside the call */
    turn();
    assert_int_equal(drained, 1);
    stop();
}

static void goes_away_in_the_middle_of_everything(void **state)
{
    int fds[4];

    (void)state;
    start(0);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = client();
    say(fds[0], GET("/big"));
    say(fds[1], "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
    say(fds[2], "GET /hel");
    turns(10);
    assert_int_equal(server_connections(server), 4);
    stop();
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    server_free(NULL);
}

static void serves_unix_sockets_too(void **state)
{
    struct listener l[LISTENERS_MAX];
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    size_t count = 0;
    char spec[64];
    struct err err;
    int fd;

    (void)state;
    start(0);
    snprintf(spec, sizeof spec, "unix:@test_server.%ld", (long)getpid());
    assert_true(listen_open(view_str(spec), &(struct listen_options){0}, l, &count, &err));
    assert_true(server_listen(server, &l[0], &err));
    assert_int_equal(getsockname(l[0].fd, (struct sockaddr *)&ss, &len), 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_string_equal(body_of(answer_to(fd, GET("/hello?you"))), "hello you from unix\n");
    close(fd);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_by_path_and_method),
        cmocka_unit_test(answers_other_paths_by_one_handler_for_all),
        cmocka_unit_test(answers_are_the_same_however_a_request_is_cut),
        cmocka_unit_test(answers_pipelined_requests_in_order),
        cmocka_unit_test(closes_when_it_was_asked_to),
        cmocka_unit_test(answers_a_client_that_has_said_all_it_had_to_say),
        cmocka_unit_test(refuses_what_is_malformed_or_too_much_and_closes),
        cmocka_unit_test(refuses_a_chunked_body_over_the_limit),
        cmocka_unit_test(refuses_a_head_over_the_limit),
        cmocka_unit_test(asks_for_a_body_that_waits_to_be_asked_for),
        cmocka_unit_test(does_not_read_on_while_its_answer_is_not_read),
        cmocka_unit_test(forgets_a_client_that_never_reads),
        cmocka_unit_test(a_head_has_its_time),
        cmocka_unit_test(a_body_has_its_time),
        cmocka_unit_test(an_idle_connection_is_closed_in_the_end),
        cmocka_unit_test(says_so_when_there_are_too_many_connections),
        cmocka_unit_test(pauses_when_there_are_no_descriptors_left),
        cmocka_unit_test(drains_without_losing_a_request),
        cmocka_unit_test(a_drain_does_not_wait_for_who_says_nothing),
        cmocka_unit_test(drains_at_once_when_nobody_is_there),
        cmocka_unit_test(goes_away_in_the_middle_of_everything),
        cmocka_unit_test(serves_unix_sockets_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
