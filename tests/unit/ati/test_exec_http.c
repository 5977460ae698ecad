#include "exec_world.h"

#include "base/poison.h"

#define HEAD "[provider]\nname=\"p\"\ndescription=\"d\"\nbase_url=\"http://127.0.0.1:{port}/b/\"\n"
#define GET  "[[tools]]\nname=\"t\"\ndescription=\"d\"\nendpoint=\"/x\"\n"
#define POST GET "method=\"POST\"\n"

static const char *field(const char *request, const char *name)
{
    static char value[1024];
    const char *at = strcasestr(request, name);

    if (!at || at == request || at[-1] != '\n' || at[strlen(name)] != ':')
        return NULL;
    at += strlen(name) + 2;
    (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static void a_call_is_a_request_and_its_answer_a_value(void **state)
{
    struct exec_world *w = *state;
    struct exec_request r = {.arguments = VIEW("{\"a\": 1.50, \"b\": \"x y\"}"),
                             .traceparent = VIEW("00-11-22-01"),
                             .tracestate = VIEW("v=1")};
    const char *request;
    struct told t;
    int fd;

    use_provider(w, HEAD "[provider.extra_headers]\nX-E=\"e\"\n" POST);
    begin_request(w, "t", &r, &t);
    fd = serve(w);
    request = heard(w, fd, "}");
    assert_int_equal(strncmp(request, "POST /b/x HTTP/1.1\r\n", 20), 0);
    assert_string_equal(field(request, "Accept"), "*/*");
    assert_string_equal(field(request, "User-Agent"), "ati/test");
    assert_string_equal(field(request, "Content-Type"), "application/json");
    assert_string_equal(field(request, "traceparent"), "00-11-22-01");
    assert_string_equal(field(request, "tracestate"), "v=1");
    assert_string_equal(field(request, "X-E"), "e");
    assert_null(field(request, "Authorization"));
    assert_string_equal(strstr(request, "\r\n\r\n") + 4, "{\"a\":1.50,\"b\":\"x y\"}");
    answer(w, fd, 200, " {\"z\": 1.50, \"a\": [ ]} ");
    wait_done(w, &t);
    assert_int_equal(t.upstream_status, 200);
    assert_int_equal(t.exit_code, -1);
    assert_true(t.upstream_us > 0);
    check_value(w, &t, "{\"z\":1.50,\"a\":[]}");
}

static void answers_mean_what_they_say(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum exec_outcome outcome;
        const char *told; /* value or error */
    } cases[] = {
        {200, "", EXEC_OK, "\"\""},
        {201, "text \"x\"\n", EXEC_OK, "\"text \\\"x\\\"\\n\""},
        {202, "[1,]", EXEC_OK, "\"[1,]\""},
        {299, "null", EXEC_OK, "null"},
        {200, "\xff", EXEC_OK, "\"\xEF\xBF\xBD\""},
        {404, "{}", EXEC_HTTP, "API error (404): {}"},
        {304, "", EXEC_HTTP, "API error (304): "},
        {302, "x", EXEC_HTTP, "API error (302): x"},
        {500, " raw\n", EXEC_HTTP, "API error (500):  raw\n"},
        {404, "{\"error\":{\"message\":\"No records were found\"}}", EXEC_NO_RECORDS, ""},
        {404, "{\"error\":\"no no Matches found.\"}", EXEC_NO_RECORDS, ""},
        {404, "{\"message\":\"companies were found none\"}", EXEC_NO_RECORDS, ""},
        {404, "{\"message\":\" PERSONS FOUND\"}", EXEC_NO_RECORDS, ""},
        {404, "{\"type\":\"not_found\",\"message\":\"Not Found\"}", EXEC_NO_RECORDS, ""},
        {404, "{\"error\":{\"type\":\"not_found\"}}", EXEC_HTTP,
         "API error (404): {\"error\":{\"type\":\"not_found\"}}"},
        {404, "{\"error_type\":\"not_found\",\"message\":\" \"}", EXEC_NO_RECORDS, ""},
        {404, "{\"type\":\"not_found\",\"message\":\"user\"}", EXEC_HTTP,
         "API error (404): {\"type\":\"not_found\",\"message\":\"user\"}"},
        {404, "{\"message\":\"not found\"}", EXEC_HTTP,
         "API error (404): {\"message\":\"not found\"}"},
        {404, "{\"message\":\"no record found\"}", EXEC_HTTP,
         "API error (404): {\"message\":\"no record found\"}"},
        {410, "{\"message\":\"results found\"}", EXEC_HTTP,
         "API error (410): {\"message\":\"results found\"}"},
    };
    struct exec_world *w = *state;

    use_provider(w, HEAD GET);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told t;
        int fd;

        begin(w, "t", "{}", &t);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        answer(w, fd, cases[i].status, cases[i].body);
        wait_done(w, &t);
        if (t.outcome != cases[i].outcome)
            fail_msg("%d %s: outcome %d", cases[i].status, cases[i].body, t.outcome);
        assert_int_equal(t.upstream_status, cases[i].status);
        if (t.outcome == EXEC_NO_RECORDS)
            assert_string_equal(t.value, "{\"records\":[]}");
        else
            assert_string_equal(t.outcome == EXEC_OK ? t.value : t.error, cases[i].told);
        assert_int_equal(t.status, t.outcome == EXEC_HTTP ? 502 : 200);
        told_done(&t);
    }
}

static void a_response_is_extracted_from(void **state)
{
    struct exec_world *w = *state;
    struct told t;
    int fd;

    use_provider(w, HEAD GET "[tools.response]\nextract=\"$.items[*].n\"\n");
    begin(w, "t", "{}", &t);
    fd = serve(w);
    answer(w, fd, 200, "{\"items\":[{\"n\":1},{\"n\":2}]}");
    check_value(w, &t, "[1,2]");
    use_provider(w, HEAD GET "[tools.response]\nextract=\"$[\"\n");
    begin(w, "t", "{}", &t);
    fd = serve(w);
    answer(w, fd, 200, " 7 ");
    wait_done(w, &t);
    assert_int_equal(t.outcome, EXEC_EXTRACT);
    assert_int_equal(t.status, 500);
    assert_string_equal(t.value, "7");
    assert_non_null(strstr(t.error, "JSONPath extraction failed: Invalid JSONPath '$[': "));
    told_done(&t);
}

static void credentials_are_where_the_provider_says(void **state)
{
    static const struct {
        const char *auth, *name, *value; /* a field, or the request line */
    } cases[] = {
        {"auth_type=\"bearer\"\nauth_key_name=\"short\"\n", "Authorization", "Bearer " SHORT_KEY},
        {"auth_type=\"bearer\"\nauth_key_name=\"LOWER\"\n", "Authorization", "Bearer found"},
        {"auth_type=\"header\"\nauth_key_name=\"short\"\n", "X-Api-Key", SHORT_KEY},
        {"auth_type=\"header\"\nauth_key_name=\"short\"\nauth_header_name=\"X-K\"\nauth_value_"
         "prefix=\"Key \"\n",
         "X-K", "Key " SHORT_KEY},
        {"auth_type=\"basic\"\nauth_key_name=\"short\"\n", "Authorization", "Basic azN5Og=="},
        {"auth_type=\"query\"\nauth_key_name=\"long\"\n", NULL,
         "GET /b/x?q=1&api_key=sk-live%2F0123456789%2Babcdef%5C%22x HTTP/1.1\r\n"},
        {"auth_type=\"query\"\nauth_key_name=\"id\"\nauth_query_name=\"the key\"\n", NULL,
         "GET /b/x?q=1&the+key=client+one HTTP/1.1\r\n"},
        {"auth_type=\"none\"\n", NULL, "GET /b/x?q=1 HTTP/1.1\r\n"},
        {"auth_type=\"url\"\nauth_key_name=\"long\"\n", NULL, "GET /b/x?q=1 HTTP/1.1\r\n"},
    };
    struct exec_world *w = *state;
    char toml[1024];

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *request;
        struct told t;
        int fd;

        (void)snprintf(toml, sizeof toml, "%s%s%s", HEAD, cases[i].auth, GET);
        use_provider(w, toml);
        begin(w, "t", "{\"q\":1}", &t);
        fd = serve(w);
        request = heard(w, fd, "\r\n\r\n");
        if (cases[i].name)
            assert_string_equal(field(request, cases[i].name), cases[i].value);
        else
            assert_int_equal(strncmp(request, cases[i].value, strlen(cases[i].value)), 0);
        answer(w, fd, 200, "1");
        check_value(w, &t, "1");
    }
}

static void a_key_that_is_not_there_is_named_and_nothing_is_sent(void **state)
{
    struct exec_world *w = *state;
    struct told t;

    use_provider(w, HEAD "auth_type=\"bearer\"\nauth_key_name=\"nobody\"\n" GET);
    begin(w, "t", "{}", &t);
    check_failure(w, &t, EXEC_HTTP, "API key 'nobody' not found in keyring");
    use_provider(w, HEAD "auth_type=\"query\"\n" GET);
    begin(w, "t", "{}", &t);
    check_failure(w, &t, EXEC_HTTP, "API key 'auth_key_name not set' not found in keyring");
    use_provider(w, HEAD "auth_type=\"oauth2\"\nauth_key_name=\"id\"\nauth_secret_name=\"long\"\n"
                         "oauth2_token_url=\"http://127.0.0.1:{port}/token\"\n" GET);
    begin(w, "t", "{}", &t);
    wait_done(w, &t);
    assert_non_null(strstr(t.error, "OAuth2 token URL must use HTTPS: 'http://127.0.0.1:"));
    told_done(&t);
    nobody_comes(w);
}

static void what_an_upstream_echoes_is_masked(void **state)
{
    struct exec_world *w = *state;
    struct told t;
    int fd;

    use_provider(w, HEAD "auth_type=\"bearer\"\nauth_key_name=\"long\"\n" GET);
    begin(w, "t", "{}", &t);
    fd = serve(w);
    assert_string_equal(field(heard(w, fd, "\r\n\r\n"), "Authorization"), "Bearer " LONG_KEY);
    /* As text of JSON, with escaped slashes, in base64, in a URL. */
    answer(
        w, fd, 200,
        "[\"Bearer sk-live/0123456789+abcdef\\\\\\\"x!\",\"sk-live\\/0123456789+abcdef\\\\\\\"x\","
        "\"c2stbGl2ZS8wMTIzNDU2Nzg5K2FiY2RlZlwieDo=\",\"?k=sk-live%2F0123456789%2Babcdef%5C%22x&"
        "\"]");
    check_value(w, &t,
                "[\"Bearer [redacted]!\",\"[redacted]\",\"[redacted]Do=\",\"?k=[redacted]&\"]");
    begin(w, "t", "{}", &t);
    fd = serve(w);
    answer(w, fd, 401, "bad key " LONG_KEY ".");
    check_failure(w, &t, EXEC_HTTP, "API error (401): bad key [redacted].");
}

static void redirects_are_followed_without_the_credential(void **state)
{
    struct exec_world *w = *state;
    const char *request;
    uint16_t port;
    int other = listen_here(&port), fd;
    char text[256];
    struct told t;

    use_provider(w, HEAD "auth_type=\"header\"\nauth_key_name=\"long\"\n"
                         "[provider.extra_headers]\nX-Own=\"written there\"\n" GET);
    begin(w, "t", "{}", &t);
    fd = serve(w);
    request = heard(w, fd, "\r\n\r\n");
    assert_string_equal(field(request, "X-Api-Key"), LONG_KEY);
    assert_string_equal(field(request, "X-Own"), "written there");
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:%u/y\r\nContent-Length: "
                   "0\r\nConnection: close\r\n\r\n",
                   port);
    say(w, fd, text);
    close(fd);
    fd = serve_at(w, other);
    request = heard(w, fd, "\r\n\r\n");
    assert_int_equal(strncmp(request, "GET /y HTTP/1.1\r\n", 17), 0);
    assert_null(strstr(request, LONG_KEY));
    assert_null(field(request, "X-Own"));
    answer(w, fd, 200, "\"there\"");
    check_value(w, &t, "\"there\"");
    close(other);
}

static void private_addresses_are_for_those_who_may(void **state)
{
    struct exec_world *w = *state;
    char want[256];
    struct told t;
    int fd;

    use_shared(w, CLIENT_PUBLIC);
    use_provider(w, HEAD GET);
    begin(w, "t", "{}", &t);
    (void)snprintf(
        want, sizeof want,
        "SSRF protection: URL 'http://127.0.0.1:%u/b' targets a private/internal network address",
        w->port);
    check_failure(w, &t, EXEC_HTTP, want);
    nobody_comes(w);
    use_provider(w, HEAD "private_network=true\n" GET);
    begin(w, "t", "{}", &t);
    fd = serve(w);
    answer(w, fd, 200, "1");
    check_value(w, &t, "1");
}

static void what_breaks_on_the_way_is_told(void **state)
{
    struct exec_world *w = *state;
    struct told t;
    int fd;

    use_provider(w, HEAD GET);
    begin(w, "t", "{}", &t);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal");
    close(fd);
    wait_done(w, &t);
    assert_int_equal(t.outcome, EXEC_HTTP);
    assert_int_equal(strncmp(t.error, "HTTP request failed: ", 21), 0);
    told_done(&t);
    use_provider(w, "[provider]\nname=\"p\"\ndescription=\"d\"\nbase_url=\"ftp://x\"\n" GET);
    begin(w, "t", "{}", &t);
    wait_done(w, &t);
    assert_int_equal(strncmp(t.error, "HTTP request failed: ", 21), 0);
    told_done(&t);
    /* More than is taken is refused by its length alone. */
    use_provider(w, HEAD GET);
    begin(w, "t", "{}", &t);
    fd = serve(w);
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\nx");
    wait_done(w, &t);
    assert_non_null(strstr(t.error, "longer than 268435456 bytes"));
    told_done(&t);
    close(fd);
}

static void a_call_may_be_left_at_any_time(void **state)
{
    struct exec_world *w = *state;
    struct told t;
    int fd;

    use_provider(w, HEAD "auth_type=\"bearer\"\nauth_key_name=\"long\"\n" GET);
    begin(w, "t", "{}", &t); /* while it is asked */
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    exec_cancel(t.execution);
    turn(w);
    assert_int_equal(t.dones, 0);
    close(fd);
    begin(w, "t", "{}", &t); /* while the answer comes */
    fd = serve(w);
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal");
    exec_cancel(t.execution);
    close(fd);
    use_provider(w, HEAD "auth_type=\"bearer\"\nauth_key_name=\"nobody\"\n" GET);
    begin(w, "t", "{}", &t); /* when it has failed, and nobody was told */
    exec_cancel(t.execution);
    turn(w);
    assert_int_equal(t.dones, 0);
    use_provider(w, HEAD GET);
    begin(w, "t", "{}", &t); /* at once */
    exec_cancel(t.execution);
    begin(w, "t", "{}", &t); /* by the end of the executor */
    executor_free(w->executor);
    w->executor = NULL;
    assert_int_equal(t.dones, 1);
    assert_int_equal(t.outcome, EXEC_CANCELLED);
    told_done(&t);
}

static void hundreds_of_calls_go_side_by_side(void **state)
{
    enum { CALLS = 300 };
    struct exec_world *w = *state;
    static struct told t[CALLS];
    static int fds[CALLS];

    use_provider(w, HEAD GET);
    for (int i = 0; i < CALLS; i++)
        begin(w, "t", "{}", &t[i]);
    for (int i = 0; i < CALLS; i++)
        fds[i] = serve(w);
    for (int i = 0; i < CALLS; i++)
        answer(w, fds[i], 200, "1");
    for (int i = 0; i < CALLS; i++)
        check_value(w, &t[i], "1");
}

static void the_operators_fields_win_over_the_callers(void **state)
{
    struct exec_world *w = *state;
    const char *request;
    struct told t;
    int fd;

    use_provider(w,
                 HEAD "auth_type=\"bearer\"\nauth_key_name=\"short\"\n[provider.extra_headers]\n"
                      "X-Tenant=\"own\"\nHost=\"virtual.example\"\nAccept=\"text/plain\"\n"
                      "X-Key=\"a ${short} ${short} ${none}\"\n" GET
                      "[tools.input_schema.properties.X-Tenant]\nx-ati-param-location=\"header\"\n"
                      "[tools.input_schema.properties.X-Free]\nx-ati-param-location=\"header\"\n");
    begin(w, "t", "{\"X-Tenant\":\"theirs\",\"X-Free\":\"yes\"}", &t);
    fd = serve(w);
    request = heard(w, fd, "\r\n\r\n");
    assert_string_equal(field(request, "X-Tenant"), "own");
    assert_string_equal(field(request, "X-Free"), "yes");
    assert_string_equal(field(request, "Host"), "virtual.example");
    assert_string_equal(field(request, "Accept"), "text/plain");
    assert_string_equal(field(request, "X-Key"), "a " SHORT_KEY " " SHORT_KEY " ${none}");
    assert_null(strstr(request, "theirs"));
    answer(w, fd, 200, "1");
    check_value(w, &t, "1");
}

static void reach_is_read_as_clients_know_it(void **state)
{
    static const struct {
        const char *value;
        enum client_reach reach;
    } cases[] = {{"1", CLIENT_PUBLIC},       {"true", CLIENT_PUBLIC}, {"TRUE", CLIENT_PUBLIC},
                 {"warn", CLIENT_WARN},      {"Warn", CLIENT_WARN},   {"0", CLIENT_ANYWHERE},
                 {"false", CLIENT_ANYWHERE}, {"", CLIENT_ANYWHERE},   {"yes", CLIENT_ANYWHERE}};
    char text[64], *environment[] = {text, NULL}, *none[] = {NULL};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(text, sizeof text, "ATI_SSRF_PROTECTION=%s", cases[i].value);
        assert_int_equal(exec_reach_from(environment), cases[i].reach);
    }
    assert_int_equal(exec_reach_from(none), CLIENT_ANYWHERE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_open, exec_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_a_request_and_its_answer_a_value),
        TEST(answers_mean_what_they_say),
        TEST(a_response_is_extracted_from),
        TEST(credentials_are_where_the_provider_says),
        TEST(a_key_that_is_not_there_is_named_and_nothing_is_sent),
        TEST(what_an_upstream_echoes_is_masked),
        TEST(redirects_are_followed_without_the_credential),
        TEST(private_addresses_are_for_those_who_may),
        TEST(what_breaks_on_the_way_is_told),
        TEST(a_call_may_be_left_at_any_time),
        TEST(hundreds_of_calls_go_side_by_side),
        TEST(the_operators_fields_win_over_the_callers),
        cmocka_unit_test(reach_is_read_as_clients_know_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
