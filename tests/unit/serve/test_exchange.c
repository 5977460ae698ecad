/* Answers that come later, streams, admission, parameters. */
#include "talk.h"

/* What the last taker was given, and what it was told. */
static struct serve_exchange *taken;
static char body_seen[256], parameter_seen[256];
static int gone, drained, admitted;
static size_t body_len;

static void is_gone(void *context)
{
    (void)context;
    gone++;
    taken = NULL;
}

static void is_drained(void *context)
{
    (void)context;
    drained++;
}

static const struct serve_watch watch = {is_gone, is_drained};

static void note(struct serve_exchange *x)
{
    snprintf(body_seen, sizeof body_seen, "%.*s", VIEW_ARG(view_first(x->request.body, 200)));
    snprintf(parameter_seen, sizeof parameter_seen, "%.*s", VIEW_ARG(x->request.parameter));
    body_len = x->request.body.len;
}

static void take_it(void *context, struct serve_exchange *x)
{
    (void)context;
    note(x);
    taken = x;
    serve_later(x, &watch, NULL);
}

static void answer_now(void *context, struct serve_exchange *x)
{
    struct buf body;

    (void)context;
    note(x);
    buf_init(&body, 4096, "answer");
    assert_true(buf_appendf(&body, NULL, "%zu", x->request.body.len));
    serve_reply(x, &(struct serve_reply){.status = 200,
                                         .content_type = "application/json",
                                         .before = VIEW("{\"n\":"),
                                         .behind = VIEW("}"),
                                         .body = &body});
    assert_int_equal(buf_len(&body), 0); /* taken */
}

static void count_calls(void *context, struct serve_exchange *x)
{
    int *mine = x->extra;

    (void)context;
    assert_int_equal(*mine, 0); /* whoever had it before */
    *mine = 42;
    serve_reply(x, &(struct serve_reply){.status = 204});
}

static void other_paths(void *context, struct serve_exchange *x)
{
    (void)context;
    serve_reply(x, &(struct serve_reply){.status = x->allow[0] ? 405 : 404,
                                         .extra = x->allow,
                                         .text = x->allow[0] ? VIEW("") : VIEW("not here")});
}

static bool admit(void *context, struct serve_exchange *x)
{
    struct view key;

    (void)context;
    admitted++;
    if (!http_field(x->request.head, VIEW("Key"), &key) || view_eq(key, VIEW("good")))
        return true;
    serve_reply(x, &(struct serve_reply){.status = 401, .extra = "WWW-Authenticate: Bearer\r\n"});
    return false;
}

static bool unreadable(void *context, struct serve_exchange *x, int status, const char *why)
{
    char text[200];
    int len = snprintf(text, sizeof text, "%d %s", status, why);

    (void)context;
    serve_reply(x, &(struct serve_reply){.status = 400, .text = view_from(text, (size_t)len)});
    return true;
}

static const struct serve_service services[] = {
    {"POST", "/later", take_it, NULL, 8 << 20},
    {"GET", "/later", take_it, NULL, 0},
    {"POST", "/now", answer_now, NULL, 0},
    {"GET", "/tools/{name}", take_it, NULL, 0},
    {"DELETE", "/tools/{name}", take_it, NULL, 0},
    {"GET", "/tools/{name}/refs", answer_now, NULL, 0},
    {"POST", "/tools/resolve", answer_now, NULL, 0},
    {"GET", "/count", count_calls, NULL, 0},
};

static void start_all(void)
{
    static const struct serve_options options = {.services = services,
                                                 .service_count = COUNT(services),
                                                 .body_bytes_max = 1000,
                                                 .admit = admit,
                                                 .unreadable = unreadable,
                                                 .unrouted = other_paths,
                                                 .extra_bytes = 64};

    taken = NULL;
    gone = drained = admitted = 0;
    start_server(&options);
}

static void forget_heard(void)
{
    heard_len = 0;
    heard[0] = '\0';
}

static void reply_text(const char *text)
{
    struct serve_exchange *x = taken;

    taken = NULL;
    serve_reply(x, &(struct serve_reply){
                       .status = 200, .content_type = "text/plain", .text = view_str(text)});
}

static void until_taken(void)
{
    for (int i = 0; i < 1000 && !taken; i++)
        turn();
    assert_non_null(taken);
}

static void an_answer_comes_later_and_the_request_stays(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd,
        "POST /later?q HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 4\r\n\r\nbody" GET("/count"));
    until_taken();
    turns(20);
    assert_true(view_eq(taken->request.body, VIEW("body")));
    assert_true(view_eq(taken->request.query, VIEW("q")));
    assert_true(view_eq(taken->request.head->fields[1].value, VIEW("y")));
    hand_ms += 3600 * 1000; /* nobody is late who waits for us */
    turns(3);
    reply_text("at last");
    forget_heard();
    while (!strstr(heard, "nosniff\r\n\r\nat lastHTTP/1.1 204 ")) /* the one behind it */
        assert_false(hear(fd, heard_len + 1));
    assert_true(STARTS(heard, "HTTP/1.1 200 "));
    assert_int_equal(gone, 0);
    close(fd);
    stop();
}

static void a_client_that_leaves_is_told_of(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    close(fd);
    turns(3);
    assert_int_equal(gone, 1);
    assert_int_equal(server_connections(server), 0);
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    shutdown(fd, SHUT_WR);
    turns(3);
    assert_int_equal(gone, 2);
    close(fd);
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    server_free(server); /* the server ends: the same */
    assert_int_equal(gone, 3);
    loop_free(loop);
    close(fd);
}

static void a_body_is_handed_over_with_what_stands_around_it(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    answer_to(fd, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_string_equal(body_of(heard), "{\"n\":3}");
    assert_non_null(strstr(heard, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(heard, "Content-Length: 7\r\n"));
    close(fd);
    stop();
}

static void a_long_answer_waits_for_its_reader(void **state)
{
    enum { BYTES = 20 << 20 };
    static const char head_end[] = "\r\n\r\n";
    size_t got = 0, head = 0;
    struct buf body;
    uint8_t *room;
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    buf_init(&body, BYTES, "answer");
    assert_true(buf_room(&body, BYTES, &room, NULL));
    memset(room, 'x', BYTES);
    buf_wrote(&body, BYTES);
    serve_reply(taken, &(struct serve_reply){
                           .status = 200, .before = VIEW("["), .behind = VIEW("]"), .body = &body});
    taken = NULL;
    while (got < head + BYTES + 2) {
        ssize_t n = recv(fd, heard, sizeof heard - 1, 0);

        if (n > 0 && head == 0) {
            heard[n] = '\0';
            head = (size_t)(strstr(heard, head_end) + 4 - heard);
            assert_int_equal(heard[head], '[');
        }
        if (n > 0)
            got += (size_t)n;
        if (got == head + BYTES + 2 && head)
            assert_int_equal(heard[n - 1], ']');
        if (n < 0)
            turn();
    }
    assert_true(STARTS(answer_to(fd, GET("/none")), "HTTP/1.1 404 "));
    close(fd);
    stop();
}

static void a_stream_comes_in_pieces(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    serve_stream(taken, 200, "text/event-stream", "X-A: b\r\n");
    forget_heard();
    while (!strstr(heard, "\r\n\r\n"))
        assert_false(hear(fd, heard_len + 1));
    assert_non_null(strstr(heard, "Transfer-Encoding: chunked\r\n"));
    assert_null(strstr(heard, "Content-Length"));
    hand_ms += 3600 * 1000; /* a stream may rest */
    turns(3);
    forget_heard();
    assert_true(serve_write(taken, VIEW("data: 1\n\n")));
    assert_true(serve_write(taken, VIEW("")));
    assert_false(hear(fd, 14));
    assert_string_equal(heard, "9\r\ndata: 1\n\n\r\n");
    turns(3);
    assert_int_equal(drained, 1);
    assert_true(serve_write(taken, VIEW("end")));
    serve_end(taken);
    forget_heard();
    assert_false(hear(fd, 13));
    assert_string_equal(heard, "3\r\nend\r\n0\r\n\r\n");
    assert_true(STARTS(answer_to(fd, GET("/none")), "HTTP/1.1 404 "));
    close(fd);
    stop();
}

static void a_stream_tells_how_much_waits(void **state)
{
    static uint8_t piece[64 << 10];
    size_t read_bytes = 0;
    int fd, before;

    (void)state;
    start_all();
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    serve_stream(taken, 200, "text/plain", NULL);
    for (int i = 0; i < 1000 && serve_waiting(taken) < sizeof piece; i++) {
        assert_true(serve_write(taken, view_from(piece, sizeof piece)));
        turns(2);
    }
    assert_true(serve_waiting(taken) >= sizeof piece);
    before = drained;
    turns(5);
    assert_int_equal(drained, before);
    for (int i = 0; i < 100000 && serve_waiting(taken) > 0; i++) {
        ssize_t n = recv(fd, heard, sizeof heard, 0);

        read_bytes += n > 0 ? (size_t)n : 0;
        turn();
    }
    assert_int_equal(drained, before + 1);
    assert_true(read_bytes > 0);
    serve_cut(taken);
    turns(3);
    while (recv(fd, heard, sizeof heard, 0) > 0)
        ;
    assert_int_equal(recv(fd, heard, sizeof heard, 0), 0); /* no last chunk: it was not whole */
    assert_int_equal(gone, 0);
    close(fd);
    stop();
}

static void a_stream_that_nobody_reads_ends(void **state)
{
    static uint8_t piece[64 << 10];
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    serve_stream(taken, 200, "text/plain", NULL);
    for (int i = 0; i < 200; i++)
        assert_true(serve_write(taken, view_from(piece, sizeof piece)));
    turns(10);
    assert_int_equal(gone, 0);
    hand_ms += 61000;
    turns(3);
    assert_int_equal(gone, 1);
    assert_int_equal(server_connections(server), 0);
    close(fd);
    stop();
}

static void a_stream_to_an_old_client_ends_with_its_connection(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, "GET /later HTTP/1.0\r\n\r\n");
    until_taken();
    serve_stream(taken, 200, "text/plain", NULL);
    assert_true(serve_write(taken, VIEW("raw")));
    serve_end(taken);
    assert_string_equal(body_of(all_until_close(fd)), "raw");
    close(fd);
    stop();
}

static void head_is_answered_without_a_body(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, "HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n");
    until_taken();
    reply_text("four");
    answer_to(fd, "HEAD /tools/x/refs HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!strstr(heard, "Content-Length: 7\r\n"))
        assert_false(hear(fd, heard_len + 1));
    assert_non_null(strstr(heard, "Content-Length: 4\r\n"));
    assert_null(strstr(heard, "four"));
    assert_null(strstr(heard, "{"));
    close(fd);
    stop();
}

static void who_is_not_admitted_sends_no_body(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    /* A gigabyte is announced, and not a byte of it read. */
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nKey: bad\r\nContent-Length: 8000000\r\n\r\n");
    assert_true(STARTS(all_until_close(fd), "HTTP/1.1 401 "));
    assert_non_null(strstr(heard, "Content-Length: 0\r\n"));
    assert_non_null(strstr(heard, "Connection: close\r\n"));
    assert_non_null(strstr(heard, "WWW-Authenticate: Bearer\r\n"));
    close(fd);
    fd = client(); /* and nobody is asked to go on */
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nKey: bad\r\nContent-Length: 4\r\nExpect: "
            "100-continue\r\n\r\n");
    assert_true(STARTS(all_until_close(fd), "HTTP/1.1 401 "));
    close(fd);
    fd = client(); /* a short body is read over */
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nKey: bad\r\nContent-Length: 10\r\n\r\nbo");
    assert_true(STARTS(answer_to(fd, NULL), "HTTP/1.1 401 "));
    assert_non_null(strstr(heard, "keep-alive"));
    turns(3);
    say(fd, "dy");
    turns(3);
    say(fd, "567890" GET("/none"));
    assert_true(STARTS(answer_to(fd, NULL), "HTTP/1.1 404 "));
    assert_int_equal(admitted, 4);
    assert_null(taken);
    close(fd);
    stop();
}

static void who_is_admitted_is_asked_for_the_body(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nKey: good\r\nContent-Length: 4\r\nExpect: "
            "100-continue\r\n\r\n");
    forget_heard();
    assert_false(hear(fd, strlen("HTTP/1.1 100 Continue\r\n\r\n")));
    assert_string_equal(heard, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_null(taken);
    say(fd, "body");
    until_taken();
    assert_string_equal(body_seen, "body");
    reply_text("ok");
    assert_string_equal(body_of(answer_to(fd, NULL)), "ok");
    close(fd);
    stop();
}

static void bodies_have_the_limit_of_their_route(void **state)
{
    static char much[(4 << 20) + 1];
    int fd;

    (void)state;
    start_all();
    fd = client();
    memset(much, 'x', sizeof much - 1);
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n");
    say(fd, much);
    until_taken();
    assert_int_equal(body_len, 4 << 20);
    reply_text("ok");
    assert_string_equal(body_of(answer_to(fd, NULL)), "ok");
    say(fd, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    assert_string_equal(body_of(answer_to(fd, NULL)), "413 length limit exceeded");
    close(fd);
    fd = client();
    say(fd, "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    much[1001] = '\0';
    say(fd, much);
    assert_string_equal(body_of(all_until_close(fd)), "413 length limit exceeded");
    close(fd);
    fd = client();
    say(fd, "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_true(STARTS(body_of(all_until_close(fd)), "400 expected a chunk size"));
    close(fd);
    stop();
}

/* In place, aside, in chunks; at every cut; with the next request behind. */
static void a_body_is_the_same_however_it_is_cut(void **state)
{
    static const char *const requests[] = {
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789" GET("/count"),
        ("POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n" GET("/count")),
    };

    (void)state;
    start_all();
    for (size_t i = 0; i < COUNT(requests); i++)
        for (size_t cut = 1; cut < strlen(requests[i]); cut++) {
            int fd = client();

            body_seen[0] = '\0';
            assert_int_equal(send(fd, requests[i], cut, MSG_NOSIGNAL), cut);
            turns(3);
            say(fd, requests[i] + cut);
            forget_heard();
            while (!strstr(heard, "HTTP/1.1 204 "))
                assert_false(hear(fd, heard_len + 1));
            assert_string_equal(body_seen, "0123456789");
            close(fd);
        }
    stop();
}

static void a_body_that_comes_on_has_its_time(void **state)
{
    static char part[(64 << 10) + 1];
    int fd;

    (void)state;
    start_all();
    fd = client();
    memset(part, 'x', sizeof part - 1);
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 262144\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        say(fd, part);
        turns(20);
        hand_ms += 25000; /* more than the 30 s, all in all */
        turns(3);
    }
    assert_null(taken);
    say(fd, part);
    until_taken();
    reply_text("ok");
    answer_to(fd, NULL);
    say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 262144\r\n\r\nx");
    turns(3);
    hand_ms += 31000;
    assert_string_equal(body_of(all_until_close(fd)), "408 Request Timeout");
    close(fd);
    stop();
}

static void paths_may_hold_a_parameter(void **state)
{
    static const struct {
        const char *path, *parameter;
    } good[] = {
        {"/tools/github:search", "github:search"},
        {"/tools/a%20b%2Fc", "a b/c"},
        {"/tools/%zz%4", "%zz%4"},
        {"/tools/%C3%A9", "\xc3\xa9"},
        {"/tools/refs", "refs"},
    };
    static const char *const none[] = {"/tools/", "/tools", "/tools/a/b", "/tools//refs",
                                       "/tools/x/"};
    char request[200];
    int fd;

    (void)state;
    start_all();
    fd = client();
    for (size_t i = 0; i < COUNT(good); i++) {
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", good[i].path);
        say(fd, request);
        until_taken();
        assert_string_equal(parameter_seen, good[i].parameter);
        reply_text("ok");
        answer_to(fd, NULL);
    }
    for (size_t i = 0; i < COUNT(none); i++) {
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", none[i]);
        assert_true(STARTS(answer_to(fd, request), "HTTP/1.1 404 "));
        assert_string_equal(body_of(heard), "not here");
    }
    answer_to(fd, GET("/tools/a%2525b/refs"));
    assert_string_equal(parameter_seen, "a%25b"); /* decoded once */
    answer_to(fd, "PUT /tools/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(heard, "Allow: GET, HEAD, DELETE\r\n"));
    assert_string_equal(body_of(heard), "");
    answer_to(fd, GET("/tools/resolve")); /* written out wins, with whatever method */
    assert_non_null(strstr(heard, "Allow: POST\r\n"));
    close(fd);
    stop();
}

static void what_a_taker_keeps_is_its_own(void **state)
{
    int fd;

    (void)state;
    start_all();
    fd = client();
    for (int i = 0; i < 3; i++) {
        say(fd, GET("/count"));
        forget_heard();
        while (!strstr(heard, "\r\n\r\n"))
            assert_false(hear(fd, heard_len + 1));
        assert_true(STARTS(heard, "HTTP/1.1 204 "));
        assert_null(strstr(heard, "Content-Length"));
    }
    close(fd);
    stop();
}

static void note_end(void *context)
{
    ++*(int *)context;
}

static void a_drain_waits_for_what_is_under_way(void **state)
{
    int fd, ended = 0;

    (void)state;
    start_all();
    fd = client();
    say(fd, GET("/later"));
    until_taken();
    server_drain(server, note_end, &ended);
    turns(10);
    assert_int_equal(ended, 0);
    reply_text("done");
    assert_string_equal(body_of(all_until_close(fd)), "done");
    assert_non_null(strstr(heard, "Connection: close\r\n"));
    close(fd);
    turns(5);
    assert_int_equal(ended, 1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_later_and_the_request_stays),
        cmocka_unit_test(a_client_that_leaves_is_told_of),
        cmocka_unit_test(a_body_is_handed_over_with_what_stands_around_it),
        cmocka_unit_test(a_long_answer_waits_for_its_reader),
        cmocka_unit_test(a_stream_comes_in_pieces),
        cmocka_unit_test(a_stream_tells_how_much_waits),
        cmocka_unit_test(a_stream_that_nobody_reads_ends),
        cmocka_unit_test(a_stream_to_an_old_client_ends_with_its_connection),
        cmocka_unit_test(head_is_answered_without_a_body),
        cmocka_unit_test(who_is_not_admitted_sends_no_body),
        cmocka_unit_test(who_is_admitted_is_asked_for_the_body),
        cmocka_unit_test(bodies_have_the_limit_of_their_route),
        cmocka_unit_test(a_body_is_the_same_however_it_is_cut),
        cmocka_unit_test(a_body_that_comes_on_has_its_time),
        cmocka_unit_test(paths_may_hold_a_parameter),
        cmocka_unit_test(what_a_taker_keeps_is_its_own),
        cmocka_unit_test(a_drain_waits_for_what_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
