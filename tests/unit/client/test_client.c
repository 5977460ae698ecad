/* One request and what may become of it. */
#include "world.h"

#include "client/client_priv.h"

static void a_request_and_its_answer(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256], expected[512];
    int fd;

    world_url(w, "/a?b=c#d", url);
    get(w, &c, url);
    fd = serve(w);
    (void)snprintf(expected, sizeof expected,
                   "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: tests/1\r\n\r\n",
                   w->port);
    assert_string_equal(heard(w, fd, "\r\n\r\n"), expected);
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");
    check_answer(w, &c, 200, "hello");
    assert_string_equal(c.fields, "Content-Length: 5\nX-A: b\n");
    assert_true(c.end.connect_us > 0);
    close(fd);
}

static void a_path_that_is_not_written_is_the_root(void **state)
{
    struct world *w = *state;
    static const char *const urls[][2] = {{"", "GET / HTTP/1.1\r\n"},
                                          {"?q", "GET /?q HTTP/1.1\r\n"},
                                          {"#f", "GET / HTTP/1.1\r\n"},
                                          {"/a b\xc3\xa9", "GET /a%20b%C3%A9 HTTP/1.1\r\n"}};

    for (size_t i = 0; i < COUNT(urls); i++) {
        struct asker c = {0};
        char url[256];
        int fd;

        world_url(w, urls[i][0], url);
        get(w, &c, url);
        fd = serve(w);
        assert_int_equal(strncmp(heard(w, fd, "\r\n\r\n"), urls[i][1], strlen(urls[i][1])), 0);
        say(w, fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        check_answer(w, &c, 204, "");
        check_hung_up(w, fd);
    }
}

static void fields_and_bodies_are_sent_as_given(void **state)
{
    struct world *w = *state;
    const struct client_field fields[] = {
        {VIEW("Content-Type"), VIEW("text/plain"), false},
        {VIEW("Authorization"), VIEW("Bearer x"), true},
        {VIEW("user-agent"), VIEW("mine"), false},
    };
    struct client_request r = {.method = VIEW("POST"),
                               .host = VIEW("other.test"),
                               .fields = fields,
                               .field_count = COUNT(fields),
                               .body = VIEW("body")};
    struct asker c = {0};
    char url[256];
    int fd;

    world_url(w, "/", url);
    r.url = view_str(url);
    caller_start(w, &c, &r);
    fd = serve(w);
    assert_string_equal(
        heard(w, fd, "body"),
        "POST / HTTP/1.1\r\nContent-Length: 4\r\nHost: other.test\r\n"
        "Content-Type: text/plain\r\nAuthorization: Bearer x\r\nuser-agent: mine\r\n"
        "\r\nbody");
    say(w, fd, OK_5);
    check_answer(w, &c, 200, "hello");
    close(fd);
}

static void an_empty_body_has_a_length_when_it_is_one(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("POST"), .has_body = true};
    struct asker c = {0};
    char url[256];
    int fd;

    world_url(w, "/", url);
    r.url = view_str(url);
    caller_start(w, &c, &r);
    fd = serve(w);
    assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "Content-Length: 0\r\n"));
    say(w, fd, OK_5);
    check_answer(w, &c, 200, "hello");
    close(fd);
}

static void user_and_password_of_a_url_are_a_field(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];
    int fd;

    (void)snprintf(url, sizeof url, "http://us%%65r:p%%40ss@127.0.0.1:%u/", w->port);
    get(w, &c, url);
    fd = serve(w);
    assert_non_null(
        strstr(heard(w, fd, "\r\n\r\n"), "Authorization: Basic dXNlcjpwQHNz\r\n")); /* user:p@ss */
    say(w, fd, OK_5);
    check_answer(w, &c, 200, "hello");
    close(fd);
}

static void every_cut_of_an_answer_is_the_same_answer(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
    };
    struct world *w = *state;
    char url[256];
    int fd = -1;

    world_url(w, "/", url);
    for (size_t a = 0; a < COUNT(answers); a++) {
        for (size_t at = 1; at < strlen(answers[a]); at++) {
            struct asker c = {0};

            get(w, &c, url);
            if (fd < 0)
                fd = serve(w);
            (void)heard(w, fd, "\r\n\r\n");
            say_bytes(w, fd, answers[a], at);
            turn(w);
            assert_int_equal(c.dones, 0);
            say(w, fd, answers[a] + at);
            check_answer(w, &c, 200, "abc");
        }
    }
    nobody_comes(w); /* all over one connection */
    close(fd);
}

static void a_body_may_last_until_the_end(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];
    int fd;

    world_url(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.0 200 OK\r\n\r\nabc");
    some_turns(w);
    assert_int_equal(c.dones, 0);
    close(fd);
    check_answer(w, &c, 200, "abc");
}

static void heads_alone(void **state)
{
    static const struct {
        const char *method, *answer;
        int status;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304},
        {"GET", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302},
    };
    struct world *w = *state;
    char url[256];
    int fd = -1;

    world_url(w, "/", url);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client_request r = {.method = view_str(cases[i].method), .url = view_str(url)};
        struct asker c = {0};

        caller_start(w, &c, &r);
        if (fd < 0)
            fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        say(w, fd, cases[i].answer);
        check_answer(w, &c, cases[i].status, "");
    }
    nobody_comes(w);
    close(fd);
}

static void answers_that_are_none(void **state)
{
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    };
    struct world *w = *state;
    char url[256];

    world_url(w, "/secret?key=hidden", url);
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct asker c = {0};
        int fd;

        get(w, &c, url);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        say(w, fd, answers[i]);
        close(fd);
        check_end(w, &c, CLIENT_BROKEN);
        assert_null(strstr(c.end.err.text, "hidden"));
        assert_null(strstr(c.end.err.text, "secret"));
        assert_non_null(strstr(c.end.err.text, "127.0.0.1"));
    }
}

static void a_reset_is_broken(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];
    int fd;

    world_url(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    reset(fd);
    check_end(w, &c, CLIENT_BROKEN);
    nobody_comes(w); /* a fresh connection is not tried twice */
}

static void nobody_listens(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];

    close(w->listener);
    w->listener = -1;
    world_url(w, "/?key=hidden", url);
    get(w, &c, url);
    check_end(w, &c, CLIENT_CONNECT);
    assert_int_equal(c.end.err.code, ERR_REFUSED);
    assert_non_null(strstr(c.end.err.text, "onnection refused"));
    assert_null(strstr(c.end.err.text, "hidden"));
}

static void a_name_that_nobody_has(void **state)
{
    struct world *w = *state;
    struct asker c = {0};

    get(w, &c, "http://nobody.test/");
    check_end(w, &c, CLIENT_CONNECT);
    assert_int_equal(c.end.err.code, ERR_NAME);
    assert_non_null(strstr(c.end.err.text, "nobody.test"));
}

static void urls_that_cannot_be_used(void **state)
{
    static const char *const urls[] = {
        "",
        "/",
        "ftp://a.test/",
        "http:/a.test",
        "http://",

        "http://a.test:0/",
        "http://a.test:99999/",
        "http://[::1/",
        "http://[a.test]/",
        "http://a@b@c/",
        "http://1.2.3/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://a.test\\@b/",
        "http://a%2etest/",
        "http://a.test/\n",
        "http://[127.0.0.1]/",
        "http://\xc3\xa9.test/",
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(urls); i++) {
        struct asker c = {0};

        get(w, &c, urls[i]);
        check_end(w, &c, CLIENT_URL);
    }
}

static void what_is_not_the_callers_to_write(void **state)
{
    static const struct client_field fields[] = {
        {VIEW("Host"), VIEW("a"), false},
        {VIEW("content-length"), VIEW("1"), false},
        {VIEW("Transfer-Encoding"), VIEW("a"), false},
        {VIEW("Connection"), VIEW("a"), false},
        {VIEW("X-A"), VIEW("a\r\nB: c"), false},
        {VIEW("X A"), VIEW("a"), false},
        {VIEW(""), VIEW("a"), false},
    };
    struct world *w = *state;
    struct client_request r = {.method = VIEW("GET"), .url = view_str(w->origin), .field_count = 1};
    struct err err;

    for (size_t i = 0; i < COUNT(fields); i++) {
        r.fields = &fields[i];
        assert_null(client_start(w->client, &r, &caller_receiver, NULL, &err));
        assert_int_equal(err.code, ERR_USAGE);
    }
    r.field_count = 0;
    r.method = VIEW("GE T");
    assert_null(client_start(w->client, &r, &caller_receiver, NULL, &err));
    r.method = VIEW("GET");
    r.host = VIEW("a\r\nb");
    assert_null(client_start(w->client, &r, &caller_receiver, NULL, &err));
    nobody_comes(w);
}

/* --- collected --- */

struct collected {
    unsigned calls;
    struct client_end end;
    int status;
    char body[64], type[64];
};

static void collected(void *context, struct client_answer *a)
{
    struct collected *c = context;
    struct view type = VIEW("");

    c->calls++;
    c->end = a->end;
    c->status = a->status;
    (void)snprintf(c->body, sizeof c->body, "%.*s", VIEW_ARG(buf_view(&a->body)));
    if (client_answer_field(a, VIEW("content-type"), &type))
        (void)snprintf(c->type, sizeof c->type, "%.*s", VIEW_ARG(type));
}

static void collect(struct world *w, struct collected *c, size_t max, const char *answer)
{
    struct client_request r = {.method = VIEW("GET"), .url = view_str(w->origin)};
    int fd;

    *c = (struct collected){0};
    assert_non_null(client_collect(w->client, &r, max, collected, c, NULL));
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    close(fd);
    for (unsigned i = 0; i < TURNS_MAX && !c->calls; i++)
        turn(w);
    assert_int_equal(c->calls, 1);
}

static void the_whole_answer_in_memory(void **state)
{
    struct world *w = *state;
    struct collected c;

    collect(w, &c, 5,
            "HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(c.end.outcome, CLIENT_OK);
    assert_int_equal(c.status, 201);
    assert_string_equal(c.body, "hello");
    assert_string_equal(c.type, "a/b");
    collect(w, &c, 4, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(c.end.outcome, CLIENT_TOO_LARGE);
    assert_int_equal(c.status, 200);
    collect(w, &c, 4,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(c.end.outcome, CLIENT_TOO_LARGE);
    collect(w, &c, 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(c.end.outcome, CLIENT_OK);
    assert_string_equal(c.body, "");
    collect(w, &c, 9, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    assert_int_equal(c.end.outcome, CLIENT_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_request_and_its_answer),
        world_test(a_path_that_is_not_written_is_the_root),
        world_test(fields_and_bodies_are_sent_as_given),
        world_test(an_empty_body_has_a_length_when_it_is_one),
        world_test(user_and_password_of_a_url_are_a_field),
        world_test(every_cut_of_an_answer_is_the_same_answer),
        world_test(a_body_may_last_until_the_end),
        world_test(heads_alone),
        world_test(answers_that_are_none),
        world_test(a_reset_is_broken),
        world_test(nobody_listens),
        world_test(a_name_that_nobody_has),
        world_test(urls_that_cannot_be_used),
        world_test(what_is_not_the_callers_to_write),
        world_test(the_whole_answer_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
