/* Answers and requests that we write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http.h"

static void assert_text(const struct buf *b, const char *wanted)
{
    if (!view_eq(buf_view(b), view_str(wanted)))
        fail_msg("got:\n%.*s", VIEW_ARG(buf_view(b)));
}

static void writes_a_whole_answer(void **state)
{
    static const char head[] = "HTTP/1.1 403 Forbidden\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: 2\r\n"
                               "Connection: close\r\n"
                               "Cache-Control: no-store\r\n"
                               "X-Content-Type-Options: nosniff\r\n"
                               "Retry-After: 1\r\n"
                               "\r\n";
    char wanted[400];
    struct buf b;

    (void)state;
    buf_init(&b, 4096, "answer");
    assert_true(http_write_answer(&b, 403, "application/json", "Retry-After: 1\r\n", VIEW("{}"),
                                  true, false, NULL));
    (void)snprintf(wanted, sizeof wanted, "%s{}", head);
    assert_text(&b, wanted);
    buf_reset(&b);
    assert_true(http_write_answer(&b, 403, "application/json", "Retry-After: 1\r\n", VIEW("{}"),
                                  true, true, NULL));
    assert_text(&b, head);
    buf_done(&b);
}

static void what_is_written_reads_back(void **state)
{
    struct http_parser p;
    struct http_head head;
    struct http_body body;
    struct view value;
    struct buf b;

    (void)state;
    buf_init(&b, 4096, "answer");
    assert_true(http_write_answer(&b, 200, "text/plain", NULL, VIEW("hello"), false, false, NULL));
    http_parser_init(&p);
    assert_int_equal(http_response_parse(&p, buf_view(&b), &head), HTTP_DONE);
    assert_int_equal(head.status, 200);
    assert_true(http_field(&head, VIEW("connection"), &value) &&
                view_eq(value, VIEW("keep-alive")));
    assert_true(http_body_plan(&head, true, VIEW("GET"), &body, NULL));
    assert_true(body.kind == HTTP_BODY_LENGTH && body.left == 5);
    assert_int_equal(buf_len(&b), head.bytes + 5);
    buf_done(&b);
}

static void writes_a_request_line_by_line(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4096, "request");
    assert_true(http_write_request(&b, VIEW("GET"), VIEW("/a?b"), NULL));
    assert_true(http_write_field(&b, "Host", VIEW("[::1]:80"), NULL));
    assert_true(http_write_field(&b, "X", VIEW(""), NULL));
    assert_true(http_write_field_u64(&b, "N", UINT64_MAX, NULL));
    assert_true(http_write_end(&b, NULL));
    assert_text(&b,
                "GET /a?b HTTP/1.1\r\nHost: [::1]:80\r\nX: \r\nN: 18446744073709551615\r\n\r\n");
    buf_done(&b);
}

static void nothing_can_split_a_message(void **state)
{
    static const char *const values[] = {"a\r\nX: b", "a\nb", "a\rb", "a\x01", "a\x7f"};
    static const char *const names[] = {"", "a b", "a:", "a\r\nb"};
    static const char *const targets[] = {"", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9"};
    struct err err;
    struct buf b;

    (void)state;
    buf_init(&b, 4096, "answer");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_false(http_write_field(&b, "X", view_str(values[i]), &err));
        assert_int_equal(err.code, ERR_INTERNAL);
    }
    assert_false(http_write_field(&b, "X", view_from("a\0b", 3), &err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_false(http_write_field(&b, names[i], VIEW("a"), &err));
        assert_false(http_write_field_u64(&b, names[i], 1, &err));
        assert_false(http_write_request(&b, view_str(names[i]), VIEW("/"), &err));
    }
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        assert_false(http_write_request(&b, VIEW("GET"), view_str(targets[i]), &err));
    assert_false(http_write_status(&b, 99, &err));
    assert_false(http_write_status(&b, 600, &err));
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
}

static void a_full_buffer_is_an_error(void **state)
{
    struct err err;
    struct buf b;

    (void)state;
    buf_init(&b, 64, "answer");
    assert_false(http_write_answer(&b, 200, "text/plain", NULL, VIEW(""), true, false, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_done(&b);
}

static void every_status_that_a_parser_asks_for_has_a_reason(void **state)
{
    static const int statuses[] = {101, 200, 400, 401, 403, 404, 405, 408, 413, 414,
                                   426, 429, 431, 500, 501, 502, 503, 504, 505};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        assert_string_not_equal(http_reason(statuses[i]), http_reason(599));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_whole_answer),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(writes_a_request_line_by_line),
        cmocka_unit_test(nothing_can_split_a_message),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(every_status_that_a_parser_asks_for_has_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
