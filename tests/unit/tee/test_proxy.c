/* Heads as they go on: what is left out, what is ours, and that a message ends where it did. */
#include "tee/proxy.h"

#include "heads.h"

#define OURS                                                                    \
    "X-Forwarded-Host: tee.test\r\n%sX-Real-IP: 192.0.2.7\r\nX-Forwarded-For: " \
    "192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n"

/* The request as the application gets it. */
static const char *request(const char *line, const char *fields)
{
    static char text[8192];
    struct http_body plan;
    struct message m;
    struct addr peer;
    struct buf out;

    buf_init(&out, sizeof text - 1, "request");
    assert_true(addr_parse(VIEW("192.0.2.7:1234"), &peer));
    request_of(&m, line, fields);
    assert_true(http_body_plan(&m.head, false, VIEW(""), &plan, NULL));
    assert_true(proxy_request(&m.head, &plan, &peer, false, &out, NULL));
    (void)snprintf(text, sizeof text, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    return text;
}

static void assert_request(const char *line, const char *fields, const char *first,
                           const char *framing)
{
    char expected[4096];

    (void)snprintf(expected, sizeof expected, "%s" OURS, first, framing);
    assert_string_equal(request(line, fields), expected);
}

static void what_is_of_this_hop_ends_here(void **state)
{
    (void)state;
    assert_request("GET /a?b=c",
                   "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                   "Trailer: X\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\n"
                   "X-Kept: yes\r\nAccept: */*\r\n",
                   "GET /a?b=c HTTP/1.1\r\nHost: tee.test\r\nX-Kept: yes\r\nAccept: */*\r\n", "");
}

static void what_only_we_say_nobody_else_does(void **state)
{
    (void)state;
    assert_request(
        "GET /",
        "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: http\r\nX-Forwarded-Host: evil\r\n"
        "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
        "x-tls-ekm-channel-binding: forged\r\nAuthorization: Bearer x\r\n",
        "GET / HTTP/1.1\r\nHost: tee.test\r\nAuthorization: Bearer x\r\n", "");
}

/* A field that Connection names goes; but the body stays, and must not become a request of its own. */
static void nobody_talks_a_length_away(void **state)
{
    (void)state;
    assert_request("POST /", "Connection: content-length, host\r\nContent-Length: 40\r\n",
                   "POST / HTTP/1.1\r\nHost: tee.test\r\n", "Content-Length: 40\r\n");
    assert_request("POST /", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
                   "POST / HTTP/1.1\r\nHost: tee.test\r\n", "Transfer-Encoding: chunked\r\n");
    assert_request("POST /", "Content-Length: 7\r\nContent-Length: 7\r\n",
                   "POST / HTTP/1.1\r\nHost: tee.test\r\n", "Content-Length: 7\r\n");
    assert_request("POST /", "Content-Length: 0\r\n", "POST / HTTP/1.1\r\nHost: tee.test\r\n",
                   "Content-Length: 0\r\n");
}

static void without_a_host_there_is_one(void **state)
{
    (void)state;
    assert_string_equal(request("GET / HTTP/1.0", ""),
                        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Real-IP: 192.0.2.7\r\n"
                        "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n");
}

/* The answer as the client gets it. */
static const char *response(const char *fields, int minor, bool close, const char *extra,
                            enum proxy_framing *framing)
{
    static char text[8192];
    struct http_body plan;
    struct message m;
    struct buf out;

    buf_init(&out, sizeof text - 1, "answer");
    response_of(&m, "HTTP/1.1 200 Fine", fields);
    assert_true(http_body_plan(&m.head, true, VIEW("GET"), &plan, NULL));
    assert_true(proxy_response(&m.head, &plan, minor, close, extra, framing, &out, NULL));
    (void)snprintf(text, sizeof text, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    return text;
}

static void answers_end_where_they_did(void **state)
{
    enum proxy_framing framing;

    (void)state;
    assert_string_equal(response("Content-Length: 5\r\nConnection: content-length\r\nX: y\r\n", 1,
                                 false, "", &framing),
                        "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX: y\r\n\r\n");
    assert_int_equal(framing, PROXY_AS_IS);
    assert_string_equal(
        response("Transfer-Encoding: chunked\r\nKeep-Alive: 5\r\n", 1, false, "", &framing),
        "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(framing, PROXY_CHUNKED);
    assert_string_equal(response("", 1, false, "", &framing), /* until the application closes */
                        "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(framing, PROXY_CHUNKED);
    assert_string_equal(response("Transfer-Encoding: chunked\r\n", 0, true, "", &framing),
                        "HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\n");
    assert_int_equal(framing, PROXY_CLOSE);
}

static void our_cors_is_the_only_one(void **state)
{
    static const char theirs[] = "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: "
                                 "X\r\nContent-Length: 0\r\nVary: Accept\r\n";
    enum proxy_framing framing;

    (void)state;
    assert_string_equal(
        response(theirs, 1, false,
                 "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a.example\r\n", &framing),
        "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nVary: Accept\r\nVary: Origin\r\n"
        "Access-Control-Allow-Origin: https://a.example\r\n\r\n");
    assert_non_null(strstr(response(theirs, 1, false, "", &framing), "Allow-Origin: *"));
}

static void an_upgrade_goes_both_ways(void **state)
{
    static const char switching[] = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    struct http_body plan = {.done = true};
    struct addr peer = {.family = AF_UNIX};
    struct message m;
    struct buf out;

    (void)state;
    buf_init(&out, 4096, "head");
    request_of(
        &m, "GET /chat",
        "Connection: x, Upgrade\r\nUpgrade: websocket\r\nX: gone\r\nSec-WebSocket-Key: k\r\n");
    assert_true(proxy_request(&m.head, &plan, &peer, true, &out, NULL));
    assert_true(view_starts(buf_view(&out), VIEW("GET /chat HTTP/1.1\r\nHost: tee.test\r\n"
                                                 "Sec-WebSocket-Key: k\r\n")));
    assert_true(view_find_text(buf_view(&out), view_str(switching)));
    buf_reset(&out);
    response_of(&m, "HTTP/1.1 101 Switching Protocols",
                "Connection: upgrade, keep-alive\r\nKeep-Alive: 5\r\nUpgrade: "
                "WebSocket\r\nSec-WebSocket-Accept: a\r\n");
    assert_true(proxy_switches(&m.head));
    assert_true(proxy_switch(&m.head, "Vary: Origin\r\n", &out, NULL));
    assert_true(view_eq(buf_view(&out),
                        VIEW("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\n"
                             "Connection: Upgrade\r\nUpgrade: websocket\r\nVary: Origin\r\n\r\n")));
    buf_done(&out);
    assert_false(proxy_switches(response_of(&m, "HTTP/1.1 101 Yes", "Upgrade: websocket\r\n")));
    assert_false(proxy_switches(
        response_of(&m, "HTTP/1.1 101 Yes", "Connection: upgrade\r\nUpgrade: h2c\r\n")));
    assert_false(proxy_switches(response_of(&m, "HTTP/1.1 200 Yes", switching)));
}

static void chunks(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 64, "chunk");
    assert_true(proxy_chunk(VIEW("0123456789abcdef+"), &out, NULL));
    assert_true(proxy_chunk(VIEW(""), &out, NULL));
    assert_true(view_eq(buf_view(&out), VIEW("11\r\n0123456789abcdef+\r\n0\r\n\r\n")));
    buf_done(&out);
}

static void a_head_that_does_not_fit_is_an_error(void **state)
{
    struct http_body plan = {.done = true};
    struct message m;
    struct addr peer = {.family = AF_UNIX};
    struct err err;
    struct buf out;

    (void)state;
    buf_init(&out, 100, "request");
    assert_false(proxy_request(request_of(&m, "GET /", "X: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"), &plan,
                               &peer, false, &out, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_of_this_hop_ends_here),
        cmocka_unit_test(what_only_we_say_nobody_else_does),
        cmocka_unit_test(nobody_talks_a_length_away),
        cmocka_unit_test(without_a_host_there_is_one),
        cmocka_unit_test(answers_end_where_they_did),
        cmocka_unit_test(our_cors_is_the_only_one),
        cmocka_unit_test(an_upgrade_goes_both_ways),
        cmocka_unit_test(chunks),
        cmocka_unit_test(a_head_that_does_not_fit_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
