#include "http/exchange.h"

#include "base/poison.h"

bool http_exchange_begin(struct http_exchange *x, struct view method, struct view target,
                         enum http_upload upload, uint64_t length, struct buf *out, struct err *err)
{
    *x = (struct http_exchange){
        .upload = upload,
        .upload_left = upload == HTTP_UPLOAD_LENGTH ? length : 0,
        .sent = upload == HTTP_UPLOAD_NONE,
        .head_only = view_eq(method, VIEW("HEAD")),
    };
    http_parser_init(&x->parser);
    if (!http_write_request(out, method, target, err))
        return false;
    switch (upload) {
    case HTTP_UPLOAD_NONE:
        break;
    case HTTP_UPLOAD_LENGTH:
        return http_write_field_u64(out, "Content-Length", length, err);
    case HTTP_UPLOAD_CHUNKED:
        return http_write_field(out, "Transfer-Encoding", VIEW("chunked"), err);
    }
    return true;
}

bool http_exchange_framing(struct view name)
{
    return view_eq_nocase(name, VIEW("Content-Length")) ||
           view_eq_nocase(name, VIEW("Transfer-Encoding")) ||
           view_eq_nocase(name, VIEW("Connection"));
}

bool http_exchange_pass(struct http_exchange *x, uint64_t n, struct err *err)
{
    if (n > x->upload_left)
        return err_set(err, ERR_USAGE, "the body is longer than its Content-Length");
    x->upload_left -= n;
    return true;
}

bool http_exchange_send(struct http_exchange *x, struct view piece, struct buf *out,
                        struct err *err)
{
    if (x->sent)
        return err_set(err, ERR_USAGE, "the request has no body, or its body was whole before");
    if (!piece.len)
        return true; /* a chunk without data would be the last one */
    if (x->upload == HTTP_UPLOAD_CHUNKED)
        return buf_appendf(out, err, "%zx\r\n", piece.len) && buf_append(out, piece, err) &&
               buf_append_str(out, "\r\n", err);
    return http_exchange_pass(x, piece.len, err) && buf_append(out, piece, err);
}

bool http_exchange_sent(struct http_exchange *x, struct buf *out, struct err *err)
{
    if (x->sent)
        return true;
    if (x->upload_left)
        return err_set(err, ERR_USAGE, "the body is %llu bytes shorter than its Content-Length",
                       (unsigned long long)x->upload_left);
    x->sent = true;
    return x->upload != HTTP_UPLOAD_CHUNKED || buf_append_str(out, "0\r\n\r\n", err);
}

static enum http_result refused(struct err *err, enum err_code code, const char *text)
{
    (void)err_set(err, code, "%s", text);
    return HTTP_FAILED;
}

static enum http_result ended(struct err *err)
{
    return refused(err, ERR_IO, "the server ended the connection within its answer");
}

enum http_result http_exchange_head(struct http_exchange *x, struct buf *received, bool end,
                                    struct http_head *head, struct err *err)
{
    struct view method = x->head_only ? VIEW("HEAD") : VIEW("GET");

    for (;;) {
        x->begun = x->begun || buf_len(received);
        switch (http_response_parse(&x->parser, buf_view(received), head)) {
        case HTTP_MORE:
            return end ? ended(err) : HTTP_MORE;
        case HTTP_FAILED:
            if (err)
                *err = x->parser.err;
            return HTTP_FAILED;
        case HTTP_DONE:
            break;
        }
        if (head->status == 101)
            return refused(err, ERR_SYNTAX, "status 101, and no upgrade was asked for");
        if (head->status >= 200)
            break;
        if (++x->informational > HTTP_INFORMATIONAL_MAX)
            return refused(err, ERR_LIMIT, "too many informational answers");
        buf_eat(received, head->bytes);
        http_parser_init(&x->parser);
    }
    if (!http_body_plan(head, true, method, &x->plan, err))
        return HTTP_FAILED;
    x->answered = true;
    x->keeps = head->minor >= 1 && !http_field_has_token(head, VIEW("Connection"), VIEW("close"));
    return HTTP_DONE;
}

enum http_result http_exchange_body(struct http_exchange *x, struct view *in, bool end,
                                    struct view *piece, struct err *err)
{
    *piece = view_first(*in, 0);
    if (x->plan.done)
        return HTTP_DONE;
    if (!http_body_feed(&x->plan, in, piece, err))
        return HTTP_FAILED;
    if (piece->len)
        return HTTP_MORE;
    if (x->plan.done)
        return HTTP_DONE;
    if (!end)
        return HTTP_MORE;
    return x->plan.kind == HTTP_BODY_UNTIL_CLOSE ? HTTP_DONE : ended(err);
}

uint64_t http_exchange_plain(const struct http_exchange *x)
{
    if (x->plan.done)
        return 0;
    if (x->plan.kind == HTTP_BODY_UNTIL_CLOSE)
        return UINT64_MAX;
    return x->plan.kind == HTTP_BODY_LENGTH ? x->plan.left : 0;
}

void http_exchange_took(struct http_exchange *x, uint64_t n)
{
    if (x->plan.kind != HTTP_BODY_LENGTH)
        return;
    x->plan.left -= n;
    x->plan.done = x->plan.left == 0;
}

bool http_exchange_keeps(const struct http_exchange *x, size_t rest, bool end)
{
    return x->sent && x->answered && x->keeps && x->plan.done &&
           x->plan.kind != HTTP_BODY_UNTIL_CLOSE && !rest && !end;
}
