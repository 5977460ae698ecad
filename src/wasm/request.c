/* HTTP/1.1 on an attested connection. */
#include "wasm/connection.h"

#include "base/poison.h"

enum { HEAD_JSON_MAX = 256 * 1024, PIECE_BYTES = 16 * 1024 };

/* --- the request --- */

static int32_t refused(const struct err *why)
{
    return wasm_fail_text(ATTEST_POLICY, why->text);
}

/* Cuts what stands before the next NUL off. */
static bool next(struct view *head, struct view *part)
{
    size_t n = view_find(*head, '\0');

    if (n == head->len)
        return false;
    *part = view_first(*head, n);
    *head = view_skip(*head, n + 1);
    return true;
}

static bool put_field(struct wasm_connection *c, struct view name, struct view value,
                      struct err *err)
{
    /* name is followed by the NUL that it was cut off at. */
    if (http_exchange_framing(name))
        return err_set(err, ERR_USAGE, "\"%s\": where the request ends is not the caller's to say",
                       (const char *)name.at);
    return http_write_field(&c->out, (const char *)name.at, value, err);
}

static bool put_head(struct wasm_connection *c, struct view head, double body, struct err *err)
{
    enum http_upload upload = body == -1 ? HTTP_UPLOAD_CHUNKED
                              : body < 0 ? HTTP_UPLOAD_NONE
                                         : HTTP_UPLOAD_LENGTH;
    struct view method, target, name, value;

    if (!next(&head, &method) || !next(&head, &target))
        return err_set(err, ERR_USAGE, "a request needs a method and a target");
    if (!http_exchange_begin(&c->exchange, method, target, upload,
                             upload == HTTP_UPLOAD_LENGTH ? (uint64_t)body : 0, &c->out, err))
        return false;
    while (head.len)
        if (!next(&head, &name) || !next(&head, &value))
            return err_set(err, ERR_USAGE, "a field needs a name and a value");
        else if (!put_field(c, name, value, err))
            return false;
    return http_write_end(&c->out, err);
}

static int32_t flush(struct wasm_connection *c)
{
    int32_t result = wasm_send(c, buf_view(&c->out));

    buf_reset(&c->out);
    return result;
}

int32_t WASM_EXPORT(request_begin)(struct wasm_connection *c, const char *head, uint32_t len,
                                   double body)
{
    struct err why;

    if (c->exchanging)
        return wasm_fail_text(ATTEST_POLICY,
                              "connection busy - wait for previous response to complete");
    if (!connection_quiet(c))
        return wasm_fail_text(ATTEST_CLOSED,
                              "connection closed, or the server spoke before it was asked");
    buf_reset(&c->fault);
    buf_reset(&c->out);
    if (!put_head(c, view_from(head, len), body, &why))
        return refused(&why);
    c->exchanging = true;
    return flush(c);
}

int32_t WASM_EXPORT(request_body)(struct wasm_connection *c, const uint8_t *at, uint32_t len)
{
    struct view piece = view_from(at, len);
    struct err why;

    if (c->exchange.upload == HTTP_UPLOAD_LENGTH)
        return http_exchange_pass(&c->exchange, len, &why) ? wasm_send(c, piece) : refused(&why);
    for (; piece.len; piece = view_skip(piece, len)) {
        len = piece.len < PIECE_BYTES ? (uint32_t)piece.len : PIECE_BYTES;
        buf_reset(&c->out);
        if (!http_exchange_send(&c->exchange, view_first(piece, len), &c->out, &why))
            return refused(&why);
        if (!flush(c))
            return WASM_FAILED;
    }
    return WASM_DONE;
}

int32_t WASM_EXPORT(request_end)(struct wasm_connection *c)
{
    struct err why;

    buf_reset(&c->out);
    return http_exchange_sent(&c->exchange, &c->out, &why) ? flush(c) : refused(&why);
}

/* --- the answer --- */

static int32_t broken(const struct err *why)
{
    struct attest_err err;

    if (why->code == ERR_IO)
        attest_fail(&err, ATTEST_CLOSED, "%s", why->text);
    else
        attest_fail(&err, ATTEST_HTTP, "Invalid HTTP response: %s", why->text);
    (void)wasm_fail(&err);
    return WASM_BROKEN;
}

/* More into c->in. WASM_DONE, WASM_WAIT or WASM_BROKEN; an orderly end is in c->end. */
static int32_t hear(struct wasm_connection *c)
{
    struct err why;
    uint8_t *room;
    size_t n = 0;
    int32_t result;

    if (!buf_room(&c->in, PIECE_BYTES, &room, &why))
        return broken(&why);
    result = wasm_receive(c, room, PIECE_BYTES, &n);
    if (result == WASM_DONE)
        buf_wrote(&c->in, n);
    return result == WASM_END ? WASM_DONE : result;
}

/* Bytes above ASCII as the code points of their numbers: what "isomorphic decode" makes of them in a browser. */
static bool put_bytes(struct json_writer *w, struct view bytes)
{
    static uint8_t out[2 * HTTP_LINE_BYTES_MAX];
    size_t n = 0;

    if (bytes.len > HTTP_LINE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.at[i];

        if (c >= 0x80)
            out[n++] = (uint8_t)(0xC0 | c >> 6);
        out[n++] = c < 0x80 ? c : (uint8_t)(0x80 | (c & 0x3F));
    }
    json_text(w, view_from(out, n));
    return true;
}

static int32_t describe(const struct wasm_connection *c, const struct http_head *head)
{
    struct json_writer w;
    struct buf json;
    bool good = true;

    buf_init(&json, HEAD_JSON_MAX, "head");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "status");
    json_u64(&w, (uint64_t)head->status);
    json_key(&w, "reason");
    json_text(&w, view_str(http_reason(head->status)));
    json_key(&w, "fields");
    json_array(&w);
    for (size_t i = 0; i < head->count; i++) {
        json_array(&w);
        good = put_bytes(&w, head->fields[i].name) && put_bytes(&w, head->fields[i].value) && good;
        json_array_end(&w);
    }
    json_array_end(&w);
    json_key(&w, "length");
    if (c->exchange.plan.kind == HTTP_BODY_LENGTH)
        json_u64(&w, c->exchange.plan.left);
    else if (c->exchange.plan.done)
        json_u64(&w, 0);
    else
        json_null(&w);
    json_object_end(&w);
    if (!good) {
        (void)json_end(&w, NULL);
        buf_done(&json);
        return wasm_fail_text(ATTEST_HTTP, "Invalid HTTP response: a field is too long");
    }
    return wasm_answer(&w, &json);
}

int32_t WASM_EXPORT(response_head)(struct wasm_connection *c)
{
    struct http_head head;
    struct err why;
    int32_t result;

    for (;;) {
        switch (http_exchange_head(&c->exchange, &c->in, c->end, &head, &why)) {
        case HTTP_DONE:
            result = describe(c, &head);
            buf_eat(&c->in, head.bytes);
            return result == WASM_DONE ? WASM_DONE : WASM_BROKEN;
        case HTTP_FAILED:
            return broken(&why);
        case HTTP_MORE:
            break;
        }
        result = hear(c);
        if (result != WASM_DONE)
            return result;
    }
}

/* Of what lies in c->in. HTTP_MORE with *n 0: nothing does. */
static enum http_result take_buffered(struct wasm_connection *c, uint8_t *at, size_t room,
                                      size_t *n, struct err *err)
{
    struct view in = view_first(buf_view(&c->in), room), piece;
    size_t before = in.len;
    enum http_result result =
        http_exchange_body(&c->exchange, &in, c->end && before == buf_len(&c->in), &piece, err);

    *n = piece.len;
    if (piece.len)
        memcpy(at, piece.at, piece.len);
    buf_eat(&c->in, before - in.len);
    return result;
}

/* One step: bytes to at, or more into c->in, or WASM_WAIT, WASM_END, WASM_BROKEN. */
static int32_t read_on(struct wasm_connection *c, uint8_t *at, size_t room, size_t *n)
{
    uint64_t plain = http_exchange_plain(&c->exchange);
    bool buffered = buf_len(&c->in) > 0;
    struct err why;
    int32_t result;

    *n = 0;
    if (plain && !buffered && !c->end) {
        result = wasm_receive(c, at, plain < room ? (size_t)plain : room, n);
        if (result == WASM_DONE)
            http_exchange_took(&c->exchange, *n);
        else
            *n = 0;
        return result == WASM_END ? WASM_DONE : result;
    }
    switch (take_buffered(c, at, room, n, &why)) {
    case HTTP_DONE:
        return WASM_END;
    case HTTP_FAILED:
        return broken(&why);
    case HTTP_MORE:
        break;
    }
    return *n || buf_len(&c->in) ? WASM_DONE : hear(c);
}

/* A fault is final; what came before it is given first. */
static int32_t fault(struct wasm_connection *c, size_t got)
{
    struct view error = view_from(answer_at(), answer_len());

    buf_reset(&c->fault);
    if (!buf_append(&c->fault, error, NULL))
        c->end = true;
    c->exchanging = false;
    return got ? (int32_t)got : WASM_BROKEN;
}

int32_t WASM_EXPORT(response_read)(struct wasm_connection *c, uint8_t *at, uint32_t room)
{
    size_t got = 0, n;

    if (buf_len(&c->fault)) {
        wasm_answer_bytes(buf_view(&c->fault));
        return WASM_BROKEN;
    }
    while (got < room) {
        int32_t result = read_on(c, at + got, room - got, &n);

        got += n;
        if (result == WASM_DONE)
            continue;
        if (result == WASM_BROKEN)
            return fault(c, got);
        if (got)
            break;
        c->exchanging = result == WASM_WAIT;
        return result;
    }
    return (int32_t)got;
}

uint32_t WASM_EXPORT(response_keeps)(struct wasm_connection *c)
{
    return !c->exchanging && !buf_len(&c->fault) &&
           http_exchange_keeps(&c->exchange, buf_len(&c->in), c->end);
}

uint32_t WASM_EXPORT(response_begun)(struct wasm_connection *c)
{
    return c->exchange.begun;
}
