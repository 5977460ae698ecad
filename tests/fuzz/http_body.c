/* Bodies: the same data, the same end and the same verdict for every cut; pieces inside the input; and data
 * that is written as chunks again reads as the same data. */
#include <stdlib.h>

#include "base/check.h"
#include "http/http.h"

enum { INPUT_MAX = 1 << 16 };

struct reading {
    uint8_t *data;
    size_t len, used;
    bool good;
    struct err err;
};

/* Reads bytes in pieces of step, until the body is over or bad. */
static void read_body(struct http_body body, struct view bytes, size_t step, struct reading *r)
{
    *r = (struct reading){.data = malloc(bytes.len + 1), .good = true};
    CHECK(r->data);
    for (size_t at = 0; at < bytes.len && r->good && !body.done; at += step) {
        struct view in = view_first(view_skip(bytes, at), step), piece;
        const uint8_t *end = in.at + in.len;

        while (in.len && !body.done && r->good) {
            size_t before = in.len;

            r->good = http_body_feed(&body, &in, &piece, &r->err);
            r->used = (size_t)(in.at - bytes.at);
            CHECK(in.len <= before && in.at + in.len == end);
            if (!r->good)
                break;
            CHECK(in.len < before);
            CHECK(piece.len <= before - in.len && piece.at + piece.len <= in.at);
            if (piece.len)
                memcpy(r->data + r->len, piece.at, piece.len);
            r->len += piece.len;
        }
    }
    CHECK(r->good || r->err.text[0]);
}

static struct http_body chunked(void)
{
    struct http_head head = {
        .minor = 1, .count = 1, .fields = {{VIEW("Transfer-Encoding"), VIEW("chunked")}}};
    struct http_body body;

    CHECK(http_body_plan(&head, false, VIEW(""), &body, NULL));
    return body;
}

/* Chunks of growing size. */
static void again(const struct reading *first)
{
    struct reading second;
    struct buf out;

    buf_init(&out, 20 * INPUT_MAX, "chunks");
    for (size_t at = 0, n = 1; at < first->len; at += n, n = n * 2 + 1) {
        n = n < first->len - at ? n : first->len - at;
        CHECK(buf_appendf(&out, NULL, "%zX\r\n", n));
        CHECK(buf_append(&out, view_from(first->data + at, n), NULL));
        CHECK(buf_append_str(&out, "\r\n", NULL));
    }
    CHECK(buf_append_str(&out, "0\r\n\r\n", NULL));
    read_body(chunked(), buf_view(&out), INPUT_MAX, &second);
    CHECK(second.good && second.used == buf_len(&out) && second.len == first->len);
    CHECK(first->len == 0 || memcmp(first->data, second.data, first->len) == 0);
    free(second.data);
    buf_done(&out);
}

/* The first byte says what comes: chunks without a head before them, a request, a response to GET or
 * one to HEAD. The second one says how it is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, cut;
    struct http_body body;
    struct view bytes;
    size_t step;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    bytes = view_from(data + 2, size - 2);
    step = (size_t)data[1] % 31 + 1;
    if (data[0] % 4 == 0) {
        body = chunked();
    } else {
        bool response = data[0] % 4 >= 2;
        struct http_parser p;
        struct http_head head;

        http_parser_init(&p);
        if ((response ? http_response_parse(&p, bytes, &head)
                      : http_request_parse(&p, bytes, &head)) != HTTP_DONE ||
            !http_body_plan(&head, response, data[0] % 4 == 3 ? VIEW("HEAD") : VIEW("GET"), &body,
                            NULL))
            return 0;
        bytes = view_skip(bytes, head.bytes);
    }
    read_body(body, bytes, INPUT_MAX, &whole);
    read_body(body, bytes, step, &cut);
    CHECK(whole.good == cut.good && whole.used == cut.used && whole.len == cut.len);
    CHECK(whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0);
    CHECK(whole.good || strcmp(whole.err.text, cut.err.text) == 0);
    again(&whole);
    free(whole.data);
    free(cut.data);
    return 0;
}
