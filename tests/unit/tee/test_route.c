/* Where a request goes, and whether it may. */
#include "tee/route.h"

#include "heads.h"

#define TOKEN  "0123456789abcdef0123456789abcdef"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define PAGE   "Origin: https://a.example.org\r\n"

static const struct tee_token none;
static struct tee_token some;

static int set_up(void **state)
{
    (void)state;
    return tee_token_load(NULL, TOKEN, &some, NULL) ? 0 : -1;
}

/* For messages. */
static const char *const names[] = {"refused", "preflight", "quote",      "quote options",
                                    "health",  "metrics",   "application"};

struct expected {
    const char *line, *fields;
    enum route_to to;
    int status;
};

static void check(const struct route_rules *rules, const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct message m;
        struct route r;

        route_request(rules, request_of(&m, cases[i].line, cases[i].fields), &r);
        if (r.to != cases[i].to || (r.to == ROUTE_REFUSED && r.status != cases[i].status))
            fail_msg("%s %s: %s %d", cases[i].line, cases[i].fields, names[r.to], r.status);
        if (r.to == ROUTE_REFUSED)
            assert_true(r.why.text[0]);
    }
}

static void own_routes_and_the_application(void **state)
{
    static const struct expected cases[] = {
        {"POST /tdx_quote", "Content-Length: 2\r\n", ROUTE_QUOTE, 0},
        {"POST /tdx_quote?x=y", "", ROUTE_QUOTE, 0},
        {"OPTIONS /tdx_quote", "", ROUTE_QUOTE_OPTIONS, 0},
        {"GET /tdx_quote", "", ROUTE_REFUSED, 405},
        {"DELETE /tdx_quote", "", ROUTE_REFUSED, 405},
        {"POST /tdx_quote/", "", ROUTE_APPLICATION, 0},
        {"GET /health", "", ROUTE_HEALTH, 0},
        {"HEAD /health", "", ROUTE_HEALTH, 0},
        {"POST /health", "", ROUTE_APPLICATION, 0},
        {"GET /healthy", "", ROUTE_APPLICATION, 0},
        {"GET /metrics", "", ROUTE_APPLICATION, 0}, /* no token: it is not ours */
        {"GET /auth", "", ROUTE_APPLICATION, 0},
        {"GET /", "", ROUTE_APPLICATION, 0},
        {"OPTIONS /v1", PAGE "Access-Control-Request-Method: POST\r\n", ROUTE_APPLICATION, 0},
        {"OPTIONS *", "", ROUTE_REFUSED, 400},
        {"GET http://tee.test/x", "", ROUTE_REFUSED, 400},
        {"CONNECT tee.test:443", "", ROUTE_REFUSED, 400},
        {"POST /x", "Content-Length: 1000\r\n", ROUTE_APPLICATION, 0},
        {"POST /x", "Content-Length: 1001\r\n", ROUTE_REFUSED, 413},
        {"POST /x", "Transfer-Encoding: chunked\r\n", ROUTE_APPLICATION, 0},
        {"POST /x", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", ROUTE_REFUSED, 400},
        {"POST /x", "Transfer-Encoding: gzip\r\n", ROUTE_REFUSED, 400},
    };
    const struct route_rules rules = {.auth = &none, .metrics = &none, .body_max = 1000};

    (void)state;
    check(&rules, cases, COUNT(cases));
}

static void tokens_guard_what_they_are_for(void **state)
{
    static const struct expected all[] = {
        {"GET /x", "", ROUTE_REFUSED, 401},
        {"GET /x", "Authorization: Basic eDp5\r\n", ROUTE_REFUSED, 401},
        {"GET /x", BEARER, ROUTE_APPLICATION, 0},
        {"GET /x", BEARER BEARER, ROUTE_REFUSED, 401}, /* which of the two? */
        {"GET /health", "", ROUTE_HEALTH, 0},
        {"POST /tdx_quote", "", ROUTE_QUOTE, 0}, /* proof comes before the secret */
        {"GET /metrics", "", ROUTE_REFUSED, 401},
        {"GET /metrics", BEARER, ROUTE_METRICS, 0},
        {"POST /metrics", "", ROUTE_REFUSED, 401},
    };
    static const struct expected one[] = {
        {"GET /v1/models", "", ROUTE_APPLICATION, 0},
        {"GET /metrics", "", ROUTE_REFUSED, 401},
        {"GET /metrics", BEARER, ROUTE_APPLICATION, 0},
        {"GET //metrics?x", "", ROUTE_REFUSED, 401},
        {"GET /%6Detrics", "", ROUTE_REFUSED, 401},
        {"POST /metrics/reset", "", ROUTE_REFUSED, 401},
    };
    const struct route_rules everything = {.auth = &some, .metrics = &some};
    const struct route_rules metrics = {.auth = &some, .metrics = &none, .auth_paths = "/metrics"};
    struct message m;
    struct route r;

    (void)state;
    check(&everything, all, COUNT(all));
    check(&metrics, one, COUNT(one));
    route_request(&everything, request_of(&m, "GET /x", ""), &r);
    assert_string_equal(r.fields, "WWW-Authenticate: Bearer\r\n");
    assert_true(r.keep);
    route_request(&everything, request_of(&m, "GET /tdx_quote", ""), &r);
    assert_string_equal(r.fields, "Allow: POST, OPTIONS\r\n");
}

static void pages_ask_before_they_send(void **state)
{
    static const char ask[] = PAGE "Access-Control-Request-Method: POST\r\n";
    static const struct expected cases[] = {
        {"OPTIONS /v1", ask, ROUTE_PREFLIGHT, 0}, /* without a token: browsers send none */
        {"OPTIONS /tdx_quote", ask, ROUTE_PREFLIGHT, 0},
        {"OPTIONS /v1", "Origin: https://evil\r\nAccess-Control-Request-Method: POST\r\n",
         ROUTE_REFUSED, 401},
        {"OPTIONS /v1", PAGE, ROUTE_REFUSED, 401},
    };
    const struct route_rules rules = {
        .auth = &some, .metrics = &none, .cors_origins = "*.example.org"};
    struct message m;
    struct route r;

    (void)state;
    check(&rules, cases, COUNT(cases));
    route_request(&rules, request_of(&m, "GET /x", PAGE), &r);
    assert_int_equal(r.status, 401);
    assert_non_null(strstr(r.extra, "Access-Control-Allow-Origin: https://a.example.org\r\n"));
}

static void only_websockets_are_upgraded(void **state)
{
    static const struct {
        const char *line, *fields;
        bool upgrade;
    } cases[] = {
        {"GET /chat", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true},
        {"GET /chat", "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n", true},
        {"GET /chat", "Upgrade: websocket\r\n", false},
        {"GET /chat", "Connection: Upgrade\r\n", false},
        {"GET /chat", "Connection: Upgrade\r\nUpgrade: h2c\r\n", false},
        {"GET /chat", "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", false},
        {"GET /chat", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", false},
        {"POST /chat", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false},
        {"GET /chat", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", false},
        {"GET /chat HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false},
        {"GET /health", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false},
    };
    struct route_rules rules = {.auth = &none, .metrics = &none, .websockets = true};
    struct message m;
    struct route r;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        route_request(&rules, request_of(&m, cases[i].line, cases[i].fields), &r);
        if (r.upgrade != cases[i].upgrade)
            fail_msg("%s %s", cases[i].line, cases[i].fields);
    }
    rules.websockets = false;
    route_request(&rules, request_of(&m, cases[0].line, cases[0].fields), &r);
    assert_true(r.to == ROUTE_APPLICATION && !r.upgrade);
    rules = (struct route_rules){.auth = &some, .metrics = &none, .websockets = true};
    route_request(&rules, request_of(&m, cases[0].line, cases[0].fields), &r);
    assert_true(r.to == ROUTE_REFUSED && !r.upgrade);
}

static void what_is_kept_of_a_head(void **state)
{
    const struct route_rules rules = {.auth = &none, .metrics = &none};
    struct message m;
    struct route r;

    (void)state;
    route_request(&rules, request_of(&m, "HEAD /a/b?c=d", "Connection: x, close\r\n"), &r);
    assert_true(view_eq(r.path, VIEW("/a/b")));
    assert_true(r.head_only && !r.keep && r.minor == 1 && r.plan.done && !r.quote);
    route_request(&rules, request_of(&m, "GET /a HTTP/1.0", ""), &r);
    assert_true(!r.keep && r.minor == 0 && !r.head_only);
    route_request(&rules, request_of(&m, "POST /tdx_quote", "Content-Length: 7\r\n"), &r);
    assert_true(r.quote && r.keep && r.plan.kind == HTTP_BODY_LENGTH && r.plan.left == 7);
    route_request(&rules, request_of(&m, "GET *", ""), &r);
    assert_true(!r.path.len && !r.keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_routes_and_the_application),
        cmocka_unit_test(tokens_guard_what_they_are_for),
        cmocka_unit_test(pages_ask_before_they_send),
        cmocka_unit_test(only_websockets_are_upgraded),
        cmocka_unit_test(what_is_kept_of_a_head),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
