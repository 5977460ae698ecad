/* Answers at the client's end: the same head, body and verdict for every cut, and the same whether plain bytes go past or not. Input:
 * how it is cut, a byte of flags (1: HEAD, 2: the connection ends behind it, 4: plain bytes go past), then what the server sends. */
#include <stdlib.h>

#include "base/check.h"
#include "http/exchange.h"

enum { INPUT_MAX = 1 << 16, HEAD_ONLY = 1, ENDS = 2, PAST = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    struct http_exchange x;
    struct buf in, body;
    enum http_result result;
    int status;
    struct err err;
};

static void take_head(struct reading *r, bool end)
{
    struct http_head head;

    r->result = http_exchange_head(&r->x, &r->in, end, &head, &r->err);
    if (r->result != HTTP_DONE)
        return;
    r->status = head.status;
    CHECK(head.status >= 200 && head.bytes <= buf_len(&r->in));
    buf_eat(&r->in, head.bytes);
    r->result = HTTP_MORE;
}

static void take_body(struct reading *r, bool end, bool past)
{
    for (;;) {
        struct view in = buf_view(&r->in), piece;
        uint64_t plain = http_exchange_plain(&r->x);

        if (past && plain && in.len) {
            piece = view_first(in, plain < in.len ? (size_t)plain : in.len);
            http_exchange_took(&r->x, piece.len);
            CHECK(buf_append(&r->body, piece, NULL));
            buf_eat(&r->in, piece.len);
            continue;
        }
        r->result = http_exchange_body(&r->x, &in, end, &piece, &r->err);
        CHECK(buf_append(&r->body, piece, NULL));
        buf_eat(&r->in, buf_len(&r->in) - in.len);
        if (r->result != HTTP_MORE || !piece.len)
            return;
    }
}

static void read_answer(struct view all, size_t step, unsigned flags, struct reading *r)
{
    struct buf request;

    *r = (struct reading){.result = HTTP_MORE};
    buf_init(&r->in, 2 * INPUT_MAX, "answer");
    buf_init(&r->body, 2 * INPUT_MAX, "body");
    buf_init(&request, 4096, "request");
    CHECK(http_exchange_begin(&r->x, flags & HEAD_ONLY ? VIEW("HEAD") : VIEW("GET"), VIEW("/"),
                              HTTP_UPLOAD_NONE, 0, &request, NULL));
    buf_done(&request);
    while (r->result == HTTP_MORE) {
        bool end = (flags & ENDS) && !all.len;

        if (!r->status)
            take_head(r, end);
        if (r->status && r->result == HTTP_MORE)
            take_body(r, end, flags & PAST);
        if (!all.len)
            break;
        if (r->result != HTTP_MORE)
            break;
        CHECK(buf_append(&r->in, view_first(all, step), NULL));
        all = view_skip(all, step < all.len ? step : all.len);
        if (!all.len && !(flags & ENDS)) {
            if (!r->status)
                take_head(r, false);
            if (r->status && r->result == HTTP_MORE)
                take_body(r, false, flags & PAST);
            break;
        }
    }
    CHECK(r->result != HTTP_FAILED || r->err.text[0]);
}

static void done(struct reading *r)
{
    buf_done(&r->in);
    buf_done(&r->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, cut;
    struct view all;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    all = view_from(data + 2, size - 2);
    read_answer(all, INPUT_MAX, data[1], &whole);
    read_answer(all, (size_t)data[0] % 31 + 1, data[1] & ~(unsigned)PAST, &cut);
    CHECK(whole.result == cut.result && whole.status == cut.status);
    if (whole.result != HTTP_FAILED)
        CHECK(view_eq(buf_view(&whole.body), buf_view(&cut.body)));
    done(&whole);
    done(&cut);
    return 0;
}
