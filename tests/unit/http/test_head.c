/* Heads of requests and responses: what is accepted, what is refused, where and why. */
#include "support/fixture.h"

#include "http/http.h"

typedef enum http_result parse_fn(struct http_parser *, struct view, struct http_head *);

static void show_head(struct fixture *f, const struct http_head *h, bool response)
{
    if (response)
        fixture_event(f, "HTTP/1.%d %d \"%s\"", h->minor, h->status, fixture_show(h->reason));
    else
        fixture_event(f, "%s %s HTTP/1.%d", fixture_show(h->method), fixture_show(h->target),
                      h->minor);
    if (h->count > 20)
        fixture_event(f, "%zu fields, the last:", h->count);
    for (size_t i = h->count > 20 ? h->count - 1 : 0; i < h->count; i++)
        fixture_event(f, "%s=%s", fixture_show(h->fields[i].name),
                      fixture_show(h->fields[i].value));
    fixture_event(f, "body at %zu", h->bytes);
}

static void play(struct fixture *f, size_t step, bool all, parse_fn *parse)
{
    enum http_result result = HTTP_MORE;
    struct http_parser p;
    struct http_head head;
    size_t from = 0, to = 0;

    http_parser_init(&p);
    while (result == HTTP_MORE && fixture_piece(f, step, all, &from, &to)) {
        uint8_t *block = fixture_block(view_from(f->input, to));

        result = parse(&p, view_from(block, to), &head);
        if (result == HTTP_DONE)
            show_head(f, &head, parse == http_response_parse);
        if (result == HTTP_FAILED) {
            assert_int_equal(parse(&p, view_from(block, to), &head), HTTP_FAILED);
            assert_true(p.scanned >= from && p.scanned < to);
            fixture_event(f, "error %d at %zu: %s", p.status, p.scanned, p.err.text);
        }
        free(block);
    }
    if (result == HTTP_MORE)
        fixture_event(f, "more");
}

static void play_request(struct fixture *f, size_t step, bool all)
{
    play(f, step, all, http_request_parse);
}

static void play_response(struct fixture *f, size_t step, bool all)
{
    play(f, step, all, http_response_parse);
}

static void reads_requests_as_the_fixtures_say(void **state)
{
    (void)state;
    fixtures_run("http/request.txt", play_request);
}

static void reads_responses_as_the_fixtures_say(void **state)
{
    (void)state;
    fixtures_run("http/response.txt", play_response);
}

/* Every byte that is not allowed, in every part of a head, fails at that byte. */
static void fails_at_each_wrong_byte_at_once(void **state)
{
    static const struct {
        const char *before, *allowed_beside_tokens;
        bool above_ascii;
    } parts[] = {
        {"", "\r", false},
        {"GE", " ", false},
        {"GET ", "\"/(),:;<=>?@[\\]{}", false},
        {"GET /", " \"/(),:;<=>?@[\\]{}", false},
        {"GET / HTTP/1.1\r\n", "\r", false},
        {"GET / HTTP/1.1\r\nX", ":", false},
        {"GET / HTTP/1.1\r\nX:", " \t\r\"/(),:;<=>?@[\\]{}", true},
        {"GET / HTTP/1.1\r\nX: y", " \t\r\"/(),:;<=>?@[\\]{}", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        for (unsigned c = 0; c < 256; c++) {
            struct view byte = {(uint8_t[]){(uint8_t)c}, 1};
            bool allowed = http_is_token(byte) ||
                           (c && strchr(parts[i].allowed_beside_tokens, (int)c)) ||
                           (c >= 0x80 && parts[i].above_ascii);
            size_t len = strlen(parts[i].before);
            uint8_t bytes[32];
            struct http_parser p;
            struct http_head head;

            memcpy(bytes, parts[i].before, len);
            bytes[len] = (uint8_t)c;
            http_parser_init(&p);
            assert_int_equal(http_request_parse(&p, view_from(bytes, len), &head), HTTP_MORE);
            assert_int_equal(http_request_parse(&p, view_from(bytes, len + 1), &head),
                             allowed ? HTTP_MORE : HTTP_FAILED);
            assert_int_equal(p.status, allowed ? 0 : 400);
        }
    }
}

/* An error may show what a peer sent, but not much of it, and never a value. */
static void errors_do_not_echo_the_peer(void **state)
{
    char bytes[600];
    struct http_parser p;
    struct http_head head;
    int n;

    (void)state;
    n = snprintf(bytes, sizeof bytes, "GET /?token=SECRET HTTP/1.1\r\nAuthorization: SECRET\x01");
    http_parser_init(&p);
    assert_int_equal(http_request_parse(&p, view_from(bytes, (size_t)n), &head), HTTP_FAILED);
    assert_null(strstr(p.err.text, "SECRET"));
    assert_non_null(strstr(p.err.text, "Authorization"));

    n = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\n%0500d@", 0);
    http_parser_init(&p);
    assert_int_equal(http_request_parse(&p, view_from(bytes, (size_t)n), &head), HTTP_FAILED);
    assert_true(strlen(p.err.text) < 160);
    assert_null(strstr(p.err.text, "00000000000000000000000000000000000000000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests_as_the_fixtures_say),
        cmocka_unit_test(reads_responses_as_the_fixtures_say),
        cmocka_unit_test(fails_at_each_wrong_byte_at_once),
        cmocka_unit_test(errors_do_not_echo_the_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
