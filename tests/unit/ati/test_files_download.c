/* file_manager: downloads. */
#include "files_world.h"

static void a_file_comes_as_base64(void **state)
{
    static const char *const bodies[] = {"", "h", "he", "hel", "hell", "hello"};
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(bodies); i++) {
        char answer[512], base64[32], expected[512];
        struct told t;
        int fd;

        (void)download(f, &t, "/a?b", "");
        fd = serve(f->w);
        assert_int_equal(strncmp(heard(f->w, fd, "\r\n\r\n"), "GET /a?b HTTP/1.1\r\n", 19), 0);
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nContent-Type: text/x; a=\"b\"\r\n"
                       "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        say(f->w, fd, answer);
        for (size_t j = 0; bodies[i][j]; j++) { /* each byte on its own */
            (void)snprintf(answer, sizeof answer, "1\r\n%c\r\n", bodies[i][j]);
            say(f->w, fd, answer);
        }
        say(f->w, fd, "0\r\n\r\n");
        base64_encode(view_str(bodies[i]), base64);
        (void)snprintf(expected, sizeof expected,
                       "{\"content_base64\":\"%s\",\"content_type\":\"text/x; a=\\\"b\\\"\","
                       "\"size_bytes\":%zu,\"source_url\":\"%s/a?b\",\"success\":true}",
                       base64, strlen(bodies[i]), f->w->origin);
        check_value(f, &t, expected);
        close(fd);
    }
}

static void arguments_that_are_not_good(void **state)
{
    static const struct {
        const char *arguments, *text;
    } cases[] = {
        {"{}", "Missing required argument: url"},
        {"[]", "Missing required argument: url"},
        {"{\"url\":null}", "Missing required argument: url"},
        {"{\"url\":5}", "Missing required argument: url"},
        {"{\"url\":\"\"}", "Missing required argument: url"},
        {"{\"url\":\"http://a\",\"max_bytes\":0}", "Invalid argument 'max_bytes': must be > 0"},
        {"{\"url\":\"http://a\",\"max-bytes\":\"x\"}", "Invalid argument 'max_bytes': "},
        {"{\"url\":\"http://a\",\"max_bytes\":-1}", "Invalid argument 'max_bytes': "},
        {"{\"url\":\"http://a\",\"timeout\":1.5}", "Invalid argument 'timeout': "},
        {"{\"url\":\"http://a\",\"headers\":[]}", "Invalid argument 'headers': "},
        {"{\"url\":\"http://a\",\"headers\":\"x\"}", "Invalid argument 'headers': "},
        {"{\"url\":\"http://a\",\"headers\":{\"Host\":\"b\"}}", "Invalid extra header 'Host': "},
        {"{\"url\":\"http://a\",\"headers\":\"{\\\"host\\\":\\\"b\\\"}\"}",
         "Invalid extra header 'host': "},
        {"{\"url\":\"http://a\",\"headers\":{\"Content-Length\":5}}", "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"transfer-encoding\":\"b\"}}",
         "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"Connection\":\"b\"}}", "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"Proxy-Authorization\":\"hidden\"}}",
         "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"X Y\":\"b\"}}", "Invalid extra header 'X Y': "},
        {"{\"url\":\"http://a\",\"headers\":{\"X:\":\"b\"}}", "Invalid extra header 'X:': "},
        {"{\"url\":\"http://a\",\"headers\":{\"\":\"b\"}}", "Invalid extra header '': "},
        {"{\"url\":\"http://a\",\"headers\":{\"X\\n\":\"b\"}}", "Invalid extra header 'X\\n': "},
        {"{\"url\":\"http://a\",\"headers\":{\"\xc3\xa9\":\"b\"}}", "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"X\":\"a\\r\\nB: hidden\"}}",
         "Invalid extra header 'X': "},
        {"{\"url\":\"http://a\",\"headers\":{\"X\":[]}}",
         "Invalid argument 'headers': value for 'X' must be "},
    };
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told t;

        (void)start(f, &t, "file_manager:download", cases[i].arguments);
        check_failed(f, &t, 400, cases[i].text);
    }
    nobody_comes(f->w);
}

static void headers_are_sent_and_do_not_cross(void **state)
{
    struct files_world *f = *state;
    struct world other = {.loop = f->w->loop};
    struct told t;
    char location[256];
    const char *text;
    int fd, other_fd;

    other.listener = listen_at("127.0.0.1", &other.port);
    (void)download(
        f, &t, "/",
        ",\"headers\":{\"X-Key\":\"hidden\",\"X-N\":5,\"X-B\":true,\"Range\":\"bytes=0-\"}");
    fd = serve(f->w);
    text = heard(f->w, fd, "\r\n\r\n");
    assert_true(strstr(text, "X-Key: hidden\r\n") && strstr(text, "X-N: 5\r\n") &&
                strstr(text, "X-B: true\r\n") && strstr(text, "Range: bytes=0-\r\n"));
    (void)snprintf(
        location, sizeof location,
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n",
        other.port);
    say(f->w, fd, location);
    other_fd = serve(&other);
    text = heard(f->w, other_fd, "\r\n\r\n");
    assert_null(strstr(text, "X-"));
    assert_non_null(strstr(text, "Range: bytes=0-\r\n"));
    say(f->w, other_fd, "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nok");
    finish(f, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    assert_non_null(strstr(t.value, "\"content_type\":null"));
    close(fd);
    close(other_fd);
    close(other.listener);
}

static void a_file_has_its_limit(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello!",
    };
    static const char *const arguments[] = {",\"max_bytes\":5", ",\"max-bytes\":\"5\"",
                                            ",\"max_bytes\":\" 5 \"", ",\"max_bytes\":5"};
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(answers); i++) {
        struct told t;
        int fd;

        (void)download(f, &t, "/", arguments[i]);
        fd = serve(f->w);
        (void)heard(f->w, fd, "\r\n\r\n");
        say(f->w, fd, answers[i]);
        check_failed(f, &t, 413, "Response exceeds max-bytes (5 bytes)");
        check_hung_up(f->w, fd);
    }
}

static void servers_that_say_no(void **state)
{
    static const struct {
        const char *answer, *text;
        int status;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "status 404 for '", 404},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "status 503 for '", 503},
        {"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "status 302 for '", 400},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngone", "HTTP error fetching '", 502},
        {"nonsense\r\n\r\n", "HTTP error fetching '", 502},
    };
    struct files_world *f = *state;
    char large[2048] = "HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n";
    struct told t;
    int fd;

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)download(f, &t, "/a?key=hidden#hidden", "");
        fd = serve(f->w);
        (void)heard(f->w, fd, "\r\n\r\n");
        say(f->w, fd, cases[i].answer);
        close(fd);
        check_failed(f, &t, cases[i].status, cases[i].text);
        assert_non_null(strstr(t.error, "/a'"));
    }
    memset(large + strlen(large), 'x', 1000);
    (void)download(f, &t, "/", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, large);
    check_failed(f, &t, 500, "': xxx");
    assert_int_equal(strlen(strchr(t.error, 'x')), 512);
    close(fd);
    (void)start(f, &t, "file_manager:download", "{\"url\":\"ftp://user:hidden@a/\"}");
    check_failed(f, &t, 502, "Invalid URL: ");
}

static void redirects_are_followed_when_asked(void **state)
{
    struct files_world *f = *state;
    const char *moved = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    struct told t;
    int fd;

    (void)download(f, &t, "/a", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, moved);
    assert_non_null(strstr(heard(f->w, fd, "\r\n\r\n"), "GET /b "));
    say(f->w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    finish(f, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    assert_non_null(strstr(t.value, "/a\"")); /* what was asked for */
    (void)download(f, &t, "/a", ",\"follow_redirects\":false");
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, moved);
    check_failed(f, &t, 400, "Upstream returned status 302");
    close(fd);
}

static void hosts_on_the_list(void **state)
{
    static const struct {
        const char *list, *host;
        bool allowed;
    } cases[] = {
        {NULL, "a.test", true},
        {" , ", "a.test", true},
        {"*", "a.test", true},
        {"a.test", "a.test", true},
        {"A.Test", "a.tesT", true},
        {"a.test", "b.a.test", false},
        {"*.a.test", "a.test", true},
        {"*.a.test", "b.a.test", true},
        {"*.a.test", "c.b.A.test", true},
        {"*.a.test", "ba.test", false},
        {"*.a.test", "a.test.evil", false},
        {"x, *.a.test ,y", "b.a.test", true},
        {"a.test", "a.test.", true},
        {"a.*", "a.test", false},
        {"127.0.0.1", "127.0.0.1", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (download_allowed(cases[i].list, view_str(cases[i].host)) != cases[i].allowed)
            fail_msg("%s by %s", cases[i].host, cases[i].list);
}

static void the_list_holds_for_every_hop(void **state)
{
    struct files_world *f = *state;
    struct told t;
    int fd;

    (void)snprintf(f->allowlist, sizeof f->allowlist,
                   "ATI_DOWNLOAD_ALLOWLIST=127.0.0.1,*.b.test,[::1]");
    f->environment[0] = f->allowlist;
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://a.test/\"}");
    check_failed(f, &t, 403, "Host 'a.test' is not in the download allowlist");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://[::2]/\"}");
    check_failed(f, &t, 403, "Host '[::2]' is not in the download allowlist");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://[::1]:1/\"}");
    check_failed(f, &t, 502, "HTTP error fetching 'http://[::1]:1/': ");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://[::3]:0/\"}");
    check_failed(f, &t, 502, "Invalid URL: ");
    (void)download(f, &t, "/", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, "HTTP/1.1 302 Found\r\nLocation: http://a.test/x\r\nContent-Length: 0\r\n\r\n");
    check_failed(f, &t, 403, "Host 'a.test' is not in the download allowlist");
    close(fd);
}

static void no_address_inside(void **state)
{
    struct files_world *f = *state;
    struct told t;

    use_reach(f, CLIENT_PUBLIC);
    (void)download(f, &t, "/?key=hidden", "");
    check_failed(f, &t, 403, "URL is not allowed (private/internal address): http://127.0.0.1:");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://x.internal/\"}");
    check_failed(f, &t, 403, "URL is not allowed (private/internal address): http://x.internal/");
    nobody_comes(f->w);
}

static void a_download_that_is_cancelled(void **state)
{
    struct files_world *f = *state;
    struct execution *e;
    struct told t;
    int fd;

    e = download(f, &t, "/", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    some_turns(f->w);
    exec_cancel(e);
    check_hung_up(f->w, fd);
    assert_int_equal(t.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        files_test(a_file_comes_as_base64),
        files_test(arguments_that_are_not_good),
        files_test(headers_are_sent_and_do_not_cross),
        files_test(a_file_has_its_limit),
        files_test(servers_that_say_no),
        files_test(redirects_are_followed_when_asked),
        cmocka_unit_test(hosts_on_the_list),
        files_test(the_list_holds_for_every_hop),
        files_test(no_address_inside),
        files_test(a_download_that_is_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
