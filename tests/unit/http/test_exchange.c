/* One request and its answer at the client's end: what is written, what is read, and when a connection can be used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/exchange.h"

struct world {
    struct http_exchange x;
    struct buf out, in, body;
    struct http_head head;
    struct err err;
};

static void world_open(struct world *w, const char *method, enum http_upload upload,
                       uint64_t length)
{
    *w = (struct world){.err.code = ERR_NONE};
    buf_init(&w->out, 1 << 20, "request");
    buf_init(&w->in, 1 << 20, "answer");
    buf_init(&w->body, 1 << 20, "body");
    assert_true(http_exchange_begin(&w->x, view_str(method), VIEW("/a?b"), upload, length, &w->out,
                                    &w->err));
    assert_true(http_write_end(&w->out, NULL));
}

static void world_close(struct world *w)
{
    buf_done(&w->out);
    buf_done(&w->in);
    buf_done(&w->body);
}

static void written(const struct world *w, const char *expected)
{
    struct view out = buf_view(&w->out);

    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.at, expected, out.len);
}

static void send(struct world *w, const char *piece, bool good)
{
    assert_int_equal(http_exchange_send(&w->x, view_str(piece), &w->out, &w->err), good);
}

/* Plays the answer in pieces of step bytes; end: the connection ends behind it. */
static enum http_result play(struct world *w, const char *answer, size_t step, bool end)
{
    enum http_result result = HTTP_MORE;
    struct view rest = view_str(answer);
    bool in_body = false;

    for (;;) {
        bool last = end && !rest.len;

        if (!in_body) {
            result = http_exchange_head(&w->x, &w->in, last, &w->head, &w->err);
            if (result == HTTP_DONE) {
                buf_eat(&w->in, w->head.bytes);
                in_body = true;
                continue;
            }
        } else {
            struct view in = buf_view(&w->in), piece;

            result = http_exchange_body(&w->x, &in, last, &piece, &w->err);
            assert_true(buf_append(&w->body, piece, NULL));
            buf_eat(&w->in, buf_len(&w->in) - in.len);
            if (result == HTTP_MORE && piece.len)
                continue;
        }
        if (result != HTTP_MORE || !rest.len)
            return result;
        assert_true(buf_append(&w->in, view_first(rest, step), NULL));
        rest = view_skip(rest, step < rest.len ? step : rest.len);
    }
}

static void requests_say_where_they_end(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, "GET", HTTP_UPLOAD_NONE, 0);
    written(&w, "GET /a?b HTTP/1.1\r\n\r\n");
    send(&w, "x", false);
    assert_true(http_exchange_sent(&w.x, &w.out, &w.err));
    world_close(&w);

    world_open(&w, "POST", HTTP_UPLOAD_LENGTH, 3);
    send(&w, "ab", true);
    assert_false(http_exchange_sent(&w.x, &w.out, &w.err));
    assert_non_null(strstr(w.err.text, "1 bytes shorter"));
    send(&w, "cd", false);
    assert_non_null(strstr(w.err.text, "longer than its Content-Length"));
    assert_true(http_exchange_pass(&w.x, 1, &w.err));
    assert_true(http_exchange_sent(&w.x, &w.out, &w.err));
    written(&w, "POST /a?b HTTP/1.1\r\nContent-Length: 3\r\n\r\nab");
    send(&w, "x", false);
    world_close(&w);

    world_open(&w, "PUT", HTTP_UPLOAD_CHUNKED, 0);
    send(&w, "hello, world", true);
    send(&w, "", true);
    assert_true(http_exchange_sent(&w.x, &w.out, &w.err));
    written(
        &w,
        "PUT /a?b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello, world\r\n0\r\n\r\n");
    world_close(&w);
}

static void what_frames_is_not_the_callers(void **state)
{
    (void)state;
    assert_true(http_exchange_framing(VIEW("content-length")));
    assert_true(http_exchange_framing(VIEW("Transfer-Encoding")));
    assert_true(http_exchange_framing(VIEW("CONNECTION")));
    assert_false(http_exchange_framing(VIEW("Content-Type")));
}

struct answer {
    const char *text;
    const char *method;
    bool end; /* the connection ends behind it */
    enum http_result result;
    const char *says; /* the body, or what stands in the error */
    bool keeps;
};

static const struct answer answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", false, HTTP_DONE, "hi", true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", true, HTTP_DONE, "hi", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", "GET", false, HTTP_DONE, "hi", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", "GET", false, HTTP_DONE,
     "hi", false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", false, HTTP_DONE, "hi", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n, y\r\n0\r\nA: "
     "b\r\n\r\n",
     "GET", false, HTTP_DONE, "hi, y", true},
    {"HTTP/1.1 200 OK\r\n\r\nall there is", "GET", true, HTTP_DONE, "all there is", false},
    {"HTTP/1.1 200 OK\r\n\r\nall there is", "GET", false, HTTP_MORE, "all there is", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", false, HTTP_DONE, "", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "GET", false, HTTP_DONE, "", true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", false, HTTP_DONE, "", true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
     "Content-Length: 0\r\n\r\n",
     "GET", false, HTTP_DONE, "", true},
    {"HTTP/1.1 101 Switching\r\n\r\n", "GET", false, HTTP_FAILED, "101 was not asked for", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "GET", true, HTTP_FAILED,
     "ended the connection within its answer", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "GET", true, HTTP_FAILED,
     "ended the connection within its answer", false},
    {"HTTP/1.1 200", "GET", true, HTTP_FAILED, "ended the connection within its answer", false},
    {"", "GET", true, HTTP_FAILED, "ended the connection within its answer", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", false,
     HTTP_FAILED, "beside", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "GET", false, HTTP_FAILED,
     "chunk size", false},
};

static void answers_are_read_in_any_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (size_t step = 1; step < 80; step = step * 3 + 1) {
            const struct answer *a = &answers[i];
            struct world w;

            world_open(&w, a->method, HTTP_UPLOAD_NONE, 0);
            assert_int_equal(play(&w, a->text, step, a->end), a->result);
            if (a->result == HTTP_FAILED) {
                assert_non_null(strstr(w.err.text, a->says));
            } else {
                assert_int_equal(buf_len(&w.body), strlen(a->says));
                if (*a->says)
                    assert_memory_equal(buf_view(&w.body).at, a->says, strlen(a->says));
                /* With small steps the surplus may not have come yet. */
                if (step > strlen(a->text))
                    assert_int_equal(http_exchange_keeps(&w.x, buf_len(&w.in), a->end), a->keeps);
            }
            assert_int_equal(w.x.begun, *a->text != '\0');
            world_close(&w);
        }
}

static void informational_answers_are_counted(void **state)
{
    for (unsigned count = HTTP_INFORMATIONAL_MAX; count <= HTTP_INFORMATIONAL_MAX + 1; count++) {
        char text[1024] = "";
        struct world w;

        (void)state;
        for (unsigned i = 0; i < count; i++)
            (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                           "HTTP/1.1 103 Early Hints\r\n\r\n");
        (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                       "HTTP/1.1 204 No Content\r\n\r\n");
        world_open(&w, "GET", HTTP_UPLOAD_NONE, 0);
        assert_int_equal(play(&w, text, 7, false),
                         count > HTTP_INFORMATIONAL_MAX ? HTTP_FAILED : HTTP_DONE);
        world_close(&w);
    }
}

/* An answer may come before the request is whole: whoever sends on, or does not, has lost the connection. */
static void an_early_answer_ends_the_connections_use(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, "POST", HTTP_UPLOAD_LENGTH, 10);
    send(&w, "abc", true);
    assert_int_equal(play(&w, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 100, false),
                     HTTP_DONE);
    assert_false(http_exchange_keeps(&w.x, 0, false));
    world_close(&w);
}

static void plain_bytes_may_go_past(void **state)
{
    struct world w;
    struct view in = VIEW(""), piece;

    (void)state;
    world_open(&w, "GET", HTTP_UPLOAD_NONE, 0);
    assert_int_equal(play(&w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", 100, false),
                     HTTP_MORE);
    assert_int_equal(http_exchange_plain(&w.x), 3);
    http_exchange_took(&w.x, 3);
    assert_int_equal(http_exchange_plain(&w.x), 0);
    assert_int_equal(http_exchange_body(&w.x, &in, false, &piece, &w.err), HTTP_DONE);
    assert_true(http_exchange_keeps(&w.x, 0, false));
    world_close(&w);

    world_open(&w, "GET", HTTP_UPLOAD_NONE, 0);
    assert_int_equal(
        play(&w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 100, false),
        HTTP_MORE);
    assert_int_equal(http_exchange_plain(&w.x), 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_say_where_they_end),
        cmocka_unit_test(what_frames_is_not_the_callers),
        cmocka_unit_test(answers_are_read_in_any_split),
        cmocka_unit_test(informational_answers_are_counted),
        cmocka_unit_test(an_early_answer_ends_the_connections_use),
        cmocka_unit_test(plain_bytes_may_go_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
