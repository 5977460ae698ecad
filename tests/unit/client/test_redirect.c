/* Where answers send us, and what comes along. */
#include "world.h"

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct client_field fields[] = {
    {VIEW("Content-Type"), VIEW("text/plain"), false}, {VIEW("X-Key"), VIEW("hidden-1"), true},
    {VIEW("Authorization"), VIEW("hidden-2"), false},  {VIEW("Cookie"), VIEW("hidden-3"), false},
    {VIEW("X-Plain"), VIEW("plain"), false},
};

static void redirect(struct world *w, int fd, int status, const char *location)
{
    char text[2048];

    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 4\r\n\r\ngone", status,
                   location);
    say(w, fd, text);
}

static void start(struct world *w, struct asker *c, const char *method, const char *body,
                  unsigned redirects)
{
    struct client_request r = {.method = view_str(method),
                               .url = view_str(w->origin),
                               .fields = fields,
                               .field_count = COUNT(fields),
                               .body = view_str(body),
                               .redirects = redirects};

    caller_start(w, c, &r);
}

static void methods_and_bodies(void **state)
{
    static const struct {
        int status;
        const char *method, *becomes;
        bool body;
    } cases[] = {
        {301, "POST", "GET", false}, {302, "POST", "GET", false},     {303, "POST", "GET", false},
        {307, "POST", "POST", true}, {308, "POST", "POST", true},     {303, "PUT", "GET", false},
        {301, "PUT", "PUT", true},   {302, "DELETE", "DELETE", true}, {307, "PATCH", "PATCH", true},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asker c = {0};
        const char *text;
        char line[64];
        int fd;

        start(w, &c, cases[i].method, "body", 3);
        fd = serve(w);
        (void)heard(w, fd, "body");
        redirect(w, fd, cases[i].status, "/next?q");
        text = heard(w, fd, cases[i].body ? "\r\n\r\nbody" : "\r\n\r\n");
        (void)snprintf(line, sizeof line, "%s /next?q HTTP/1.1\r\n", cases[i].becomes);
        assert_int_equal(strncmp(text, line, strlen(line)), 0);
        assert_int_equal(!!strstr(text, "Content-Type"), cases[i].body);
        assert_int_equal(!!strstr(text, "Content-Length: 4"), cases[i].body);
        assert_non_null(strstr(text, "hidden-1")); /* the same origin */
        say(w, fd, OK_2);
        check_answer(w, &c, 200, "ok");
        assert_int_equal(c.heads, 1);
        nobody_comes(w); /* the same connection */
        client_close_idle(w->client);
        check_hung_up(w, fd);
    }
}

static void locations(void **state)
{
    static const struct {
        const char *location, *target;
    } cases[] = {
        {"/b", "/b"},
        {"b", "/a/b"},
        {"?x", "/a/c?x"},
        {"../../b", "/b"},
        {"./b/../d", "/a/d"},
        {"", "/a/c?q"},
        {"b#f", "/a/b"},
        {" /b ", "/b"},
        {"/b c", "/b%20c"},
        {"/\\b", "/\\b"},
        {"//127.0.0.1:PORT/b", "/b"},
        {"HTTP://127.0.0.1:PORT", "/"},
    };
    struct world *w = *state;
    char url[256];

    (void)snprintf(url, sizeof url, "%s/a/c?q", w->origin);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client_request r = {.method = VIEW("GET"), .url = view_str(url), .redirects = 1};
        char location[256], line[300];
        struct asker c = {0};
        const char *port = strstr(cases[i].location, "PORT");
        int fd;

        if (port)
            (void)snprintf(location, sizeof location, "%.*s%u%s", (int)(port - cases[i].location),
                           cases[i].location, w->port, port + 4);
        else
            (void)snprintf(location, sizeof location, "%s", cases[i].location);
        caller_start(w, &c, &r);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        redirect(w, fd, 302, location);
        (void)snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", cases[i].target);
        assert_int_equal(strncmp(heard(w, fd, "\r\n\r\n"), line, strlen(line)), 0);
        say(w, fd, OK_2);
        check_answer(w, &c, 200, "ok");
        client_close_idle(w->client);
        check_hung_up(w, fd);
    }
}

static void secrets_do_not_cross(void **state)
{
    struct world *w = *state, other = {.loop = w->loop};
    struct asker c = {0};
    char location[128];
    const char *text;
    int fd, other_fd;

    other.listener = listen_at("127.0.0.1", &other.port);
    start(w, &c, "POST", "body", 5);
    fd = serve(w);
    text = heard(w, fd, "body");
    assert_true(strstr(text, "hidden-1") && strstr(text, "hidden-2") && strstr(text, "hidden-3"));
    (void)snprintf(location, sizeof location, "http://127.0.0.1:%u/", other.port);
    redirect(w, fd, 307, location);
    other_fd = serve(&other);
    text = heard(w, other_fd, "body");
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "X-Plain: plain"));
    redirect(w, other_fd, 307, w->origin);
    text = heard(w, fd, "body");
    assert_null(strstr(text, "hidden")); /* nor back */
    say(w, fd, OK_2);
    check_answer(w, &c, 200, "ok");
    close(other_fd);
    close(other.listener);
    close(fd);
}

static void user_info_stays_with_its_origin(void **state)
{
    struct world *w = *state, other = {.loop = w->loop};
    struct client_request r = {.method = VIEW("GET"), .redirects = 5};
    struct asker c = {0};
    char url[128], location[128];
    int fd, other_fd;

    other.listener = listen_at("127.0.0.1", &other.port);
    (void)snprintf(url, sizeof url, "http://u:p@127.0.0.1:%u/a b", w->port);
    r.url = view_str(url);
    caller_start(w, &c, &r);
    fd = serve(w);
    assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "Basic dTpw\r\n"));
    redirect(w, fd, 302, "/b");
    assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "Basic dTpw\r\n"));
    (void)snprintf(location, sizeof location, "http://127.0.0.1:%u/", other.port);
    redirect(w, fd, 302, location);
    other_fd = serve(&other);
    assert_null(strstr(heard(w, other_fd, "\r\n\r\n"), "Basic"));
    say(w, other_fd, OK_2);
    check_answer(w, &c, 200, "ok");
    close(other_fd);
    close(other.listener);
    close(fd);
}

static void so_many_and_no_more(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd;

    start(w, &c, "GET", NULL, 2);
    fd = serve(w);
    for (unsigned i = 0; i < 3; i++) {
        (void)heard(w, fd, "\r\n\r\n");
        redirect(w, fd, 302, "/?key=hidden");
    }
    check_end(w, &c, CLIENT_TOO_MANY_REDIRECTS);
    assert_null(strstr(c.end.err.text, "hidden"));
    assert_int_equal(c.heads, 0);
    check_hung_up(w, fd);
}

static void redirects_that_cannot_be_followed(void **state)
{
    static const char *const locations[] = {"ftp://a.test/", "http://", "mailto:a@b",
                                            "http://a\xff.test/", "//"};
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(locations); i++) {
        struct asker c = {0};
        int fd;

        start(w, &c, "GET", NULL, 2);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        redirect(w, fd, 302, locations[i]);
        check_end(w, &c, CLIENT_URL);
        check_hung_up(w, fd);
    }
}

static void answers_that_only_look_like_redirects(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n",
        "HTTP/1.1 300 Multiple Choices\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nok",
    };
    struct world *w = *state;
    int fd = -1;

    for (size_t i = 0; i < COUNT(answers); i++) {
        struct asker c = {0};

        start(w, &c, "GET", NULL, 2);
        if (fd < 0)
            fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        say(w, fd, answers[i]);
        check_end(w, &c, CLIENT_OK);
        assert_int_equal(c.heads, 1);
    }
    close(fd);
}

static void long_bodies_of_redirects_are_not_read(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char *filler = malloc(1 << 20);
    int fd, next;

    assert_non_null(filler);
    memset(filler, 'x', 1 << 20);
    start(w, &c, "GET", NULL, 2);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 1000000000\r\n\r\n");
    (void)send(fd, filler, 1 << 20, MSG_NOSIGNAL);
    next = serve(w);
    check_hung_up(w, fd);
    assert_non_null(strstr(heard(w, next, "\r\n\r\n"), "GET /next "));
    say(w, next, OK_2);
    check_answer(w, &c, 200, "ok");
    close(next);
    free(filler);
}

static void a_redirect_that_is_cut_off_is_followed_all_the_same(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    int fd;

    start(w, &c, "GET", NULL, 2);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 10\r\n\r\nhalf");
    close(fd);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, OK_2);
    check_answer(w, &c, 200, "ok");
    close(fd);
}

static bool only_loopback(void *context, struct view host, struct err *err)
{
    ++*(unsigned *)context;
    return view_eq(host, VIEW("127.0.0.1")) ||
           err_set(err, ERR_DENIED, "%.*s is not on the list", VIEW_ARG(host));
}

static void every_hop_is_judged(void **state)
{
    struct world *w = *state;
    unsigned asked = 0;
    struct client_request r = {.method = VIEW("GET"),
                               .url = view_str(w->origin),
                               .redirects = 5,
                               .judge = only_loopback,
                               .judge_context = &asked};
    struct asker c = {0};
    int fd;

    caller_start(w, &c, &r);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    redirect(w, fd, 302, "/next");
    (void)heard(w, fd, "\r\n\r\n");
    redirect(w, fd, 302, "http://elsewhere.test/");
    check_end(w, &c, CLIENT_DENIED);
    assert_string_equal(c.end.err.text, "elsewhere.test is not on the list");
    assert_int_equal(asked, 3);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(methods_and_bodies),
        world_test(locations),
        world_test(secrets_do_not_cross),
        world_test(user_info_stays_with_its_origin),
        world_test(so_many_and_no_more),
        world_test(redirects_that_cannot_be_followed),
        world_test(answers_that_only_look_like_redirects),
        world_test(long_bodies_of_redirects_are_not_read),
        world_test(a_redirect_that_is_cut_off_is_followed_all_the_same),
        world_test(every_hop_is_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
