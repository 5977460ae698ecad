/* One request and what may become of it. */
#include "world.h"

#include "client/client_priv.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void url_of(const struct world *w, const char *path, char out[static 256])
{
    (void)snprintf(out, 256, "%s%s", w->origin, path);
}

static void a_request_and_its_answer(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256], expected[512];
    int fd;

    url_of(w, "/a?b=c#d", url);
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

        url_of(w, urls[i][0], url);
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

    url_of(w, "/", url);
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

    url_of(w, "/", url);
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

    url_of(w, "/", url);
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

    url_of(w, "/", url);
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

    url_of(w, "/", url);
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

    url_of(w, "/secret?key=hidden", url);
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

    url_of(w, "/", url);
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
    url_of(w, "/?key=hidden", url);
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

/* The clock is moved by hand: the timers of the loop follow. */
static void pass(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    some_turns(w);
}

static void a_call_has_its_time(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("GET"), .timeout_ms = 500};
    struct asker c = {0}, d = {0};
    char url[256];
    int fd;

    url_of(w, "/", url);
    r.url = view_str(url);
    caller_start(w, &c, &r);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    pass(w, 400);
    assert_int_equal(c.dones, 0);
    pass(w, 200);
    check_end(w, &c, CLIENT_TIMEOUT);
    assert_false(c.end.answered);
    assert_int_equal(c.end.err.code, ERR_TIMEOUT);
    check_hung_up(w, fd);

    caller_start(w, &d, &r);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
    pass(w, 600);
    check_end(w, &d, CLIENT_TIMEOUT);
    assert_true(d.end.answered);
    check_hung_up(w, fd);
}

static void connecting_has_its_time(void **state)
{
    struct world *w = *state;
    struct client_request r = {
        .method = VIEW("GET"), .url = VIEW("http://slow.test/"), .connect_ms = 300};
    struct asker c = {0}, d = {0};
    char url[256];
    int fd;

    dns_server_say(w->dns, "slow.test", DNS_A, &(struct dns_rule){.hold = true});
    dns_server_say(w->dns, "slow.test", DNS_AAAA, &(struct dns_rule){.hold = true});
    caller_start(w, &c, &r);
    some_turns(w);
    pass(w, 400);
    check_end(w, &c, CLIENT_TIMEOUT);
    assert_int_equal(c.end.err.code, ERR_TIMEOUT);

    /* TLS that is not answered is a part of it. */
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", w->port);
    r.url = view_str(url);
    caller_start(w, &d, &r);
    fd = serve(w);
    pass(w, 400);
    check_end(w, &d, CLIENT_TIMEOUT);
    assert_non_null(strstr(d.end.err.text, "TLS"));
    close(fd);
}

static void a_receiver_that_pauses_is_not_told_more(void **state)
{
    struct world *w = *state;
    struct asker c = {.pause_in_head = true, .pause_in_piece = true};
    const size_t big = 24 << 20;
    char url[256], head[128];
    uint8_t *bytes = malloc(big);
    size_t sent = 0;
    int fd;

    assert_non_null(bytes);
    for (size_t i = 0; i < big; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    url_of(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", big);
    say(w, fd, head);
    for (unsigned i = 0; i < 200; i++) {
        ssize_t n = send(fd, bytes + sent, big - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn(w);
    }
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.pieces, 0);
    assert_true(sent < big); /* the socket is full, and nobody reads it */
    for (unsigned i = 0; i < TURNS_MAX && !c.dones; i++) {
        unsigned before = c.pieces;
        ssize_t n = send(fd, bytes + sent, big - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        client_resume(c.call);
        turn(w);
        assert_true(c.pieces <= before + 1);
    }
    assert_int_equal(c.dones, 1);
    assert_int_equal(c.end.outcome, CLIENT_OK);
    assert_int_equal(buf_len(&c.body), big);
    assert_memory_equal(buf_view(&c.body).at, bytes, big);
    buf_done(&c.body);
    free(bytes);
    close(fd);
}

static void a_pause_in_the_head_of_an_empty_answer(void **state)
{
    struct world *w = *state;
    struct asker c = {.pause_in_head = true};
    char url[256];
    int fd;

    url_of(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 204 No Content\r\n\r\n");
    some_turns(w);
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.dones, 0);
    client_resume(c.call);
    assert_int_equal(c.dones, 0); /* not from inside */
    check_answer(w, &c, 204, "");
    close(fd);
}

static void a_paused_answer_that_ends_is_whole(void **state)
{
    struct world *w = *state;
    struct asker c = {.pause_in_piece = true};
    char url[256];
    int fd;

    url_of(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
    close(fd);
    some_turns(w);
    assert_int_equal(c.dones, 0);
    client_resume(c.call);
    check_answer(w, &c, 200, "abc");
}

static void large_bodies_leave_while_answers_come(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("PUT")};
    const size_t big = 16 << 20;
    struct asker c = {0};
    uint8_t *bytes = malloc(big), *got = malloc(big + 4096);
    char url[256], *body;
    size_t n = 0, head;
    int fd;

    assert_true(bytes && got);
    for (size_t i = 0; i < big; i++)
        bytes[i] = (uint8_t)(i * 7 >> 2);
    url_of(w, "/", url);
    r.url = view_str(url);
    r.body = view_from(bytes, big);
    caller_start(w, &c, &r);
    fd = serve(w);
    do {
        ssize_t some = recv(fd, got + n, big + 4096 - n, 0);

        n += some > 0 ? (size_t)some : 0;
        turn(w);
        body = memmem(got, n, "\r\n\r\n", 4);
        head = body ? (size_t)((uint8_t *)body - got) + 4 : 0;
    } while (!head || n < head + big);
    assert_memory_equal(got + head, bytes, big);
    say(w, fd, OK_5);
    check_answer(w, &c, 200, "hello");
    free(bytes);
    free(got);
    close(fd);
}

static void an_answer_may_come_before_the_request_is_whole(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("POST")};
    const size_t big = 16 << 20;
    struct asker c = {0};
    uint8_t *bytes = calloc(1, big);
    char url[256];
    int fd;

    assert_non_null(bytes);
    url_of(w, "/", url);
    r.url = view_str(url);
    r.body = view_from(bytes, big);
    caller_start(w, &c, &r);
    fd = serve(w);
    say(w, fd, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
    check_answer(w, &c, 413, "big");
    reset(fd); /* it is not used again: what it would read are the rest of the body */
    some_turns(w);
    free(bytes);
}

static void cancelled_in_every_phase(void **state)
{
    struct world *w = *state;
    struct asker c[6] = {{0}};
    char url[256], tls[256];
    int fd;

    url_of(w, "/", url);
    get(w, &c[0], url); /* dialling */
    client_cancel(c[0].call);
    some_turns(w);

    dns_server_say(w->dns, "slow.test", DNS_A, &(struct dns_rule){.hold = true});
    get(w, &c[1], "http://slow.test/");
    some_turns(w);
    client_cancel(c[1].call);

    get(w, &c[2], "http://"); /* its end waits to be told */
    client_cancel(c[2].call);

    while ((fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(fd);
    (void)snprintf(tls, sizeof tls, "https://127.0.0.1:%u/", w->port);
    get(w, &c[3], tls);
    fd = serve(w);
    some_turns(w);
    client_cancel(c[3].call);
    close(fd);

    get(w, &c[4], url); /* an answer is awaited */
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    client_cancel(c[4].call);
    check_hung_up(w, fd);

    get(w, &c[5], url); /* within the answer */
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
    some_turns(w);
    assert_int_equal(c[5].heads, 1);
    client_cancel(c[5].call);
    check_hung_up(w, fd);
    some_turns(w);
    for (size_t i = 0; i < COUNT(c); i++) {
        assert_int_equal(c[i].dones, 0);
        buf_done(&c[i].body);
    }
}

static void cancelled_from_inside(void **state)
{
    struct world *w = *state;
    struct asker c[2] = {{.cancel_in_head = true}, {.cancel_in_piece = true}};
    char url[256];

    url_of(w, "/", url);
    for (size_t i = 0; i < 2; i++) {
        int fd;

        get(w, &c[i], url);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        say(w, fd, OK_5);
        check_hung_up(w, fd);
        assert_int_equal(c[i].heads, 1);
        assert_int_equal(c[i].pieces, i);
        assert_int_equal(c[i].dones, 0);
        buf_done(&c[i].body);
    }
}

/* The descriptor of ours whose other end is fd. */
static int our_end_of(int fd)
{
    struct sockaddr_in theirs, ours;
    socklen_t len = sizeof theirs;

    assert_int_equal(getpeername(fd, (struct sockaddr *)&theirs, &len), 0);
    for (int i = 3; i < 256; i++) {
        len = sizeof ours;
        if (i != fd && getsockname(i, (struct sockaddr *)&ours, &len) == 0 &&
            ours.sin_port == theirs.sin_port)
            return i;
    }
    return -1;
}

/* A child that is being started has copies of all descriptors until its exec: close does not take ours from epoll then. */
static void a_copy_of_its_socket_wakes_nobody(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];
    int fd, copy;

    url_of(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    copy = dup(our_end_of(fd));
    assert_true(copy >= 0);
    say(w, fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    check_answer(w, &c, 204, "");
    some_turns(w);
    say(w, fd, "what nobody waits for");
    some_turns(w);
    close(copy);
    close(fd);
}

static void the_client_goes_with_its_calls(void **state)
{
    struct world *w = *state;
    struct asker c[2] = {{0}};
    char url[256];
    int fd;

    url_of(w, "/", url);
    get(w, &c[0], url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    get(w, &c[1], "http://nobody.test/");
    client_free(w->client);
    w->client = NULL;
    check_hung_up(w, fd);
    assert_int_equal(c[0].dones + c[1].dones, 0);
    buf_done(&c[0].body);
    buf_done(&c[1].body);
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
        world_test(a_call_has_its_time),
        world_test(connecting_has_its_time),
        world_test(a_receiver_that_pauses_is_not_told_more),
        world_test(a_pause_in_the_head_of_an_empty_answer),
        world_test(a_paused_answer_that_ends_is_whole),
        world_test(large_bodies_leave_while_answers_come),
        world_test(an_answer_may_come_before_the_request_is_whole),
        world_test(cancelled_in_every_phase),
        world_test(cancelled_from_inside),
        world_test(a_copy_of_its_socket_wakes_nobody),
        world_test(the_client_goes_with_its_calls),
        world_test(the_whole_answer_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
