/* answer: a request under way, and what is said to it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "serve/serve_priv.h"

#include "base/poison.h"

enum { FIXED_BYTES = 256 }; /* of an answer's head: everything but type and extra fields */

static const char plain[] = "text/plain; charset=utf-8";

static size_t exchange_bytes(const struct server *s)
{
    return (sizeof(struct exchange) + 15) / 16 * 16 + s->options.extra_bytes;
}

struct exchange *exchange_new(struct connection *c)
{
    struct server *s = c->server;
    struct exchange *x = s->exchanges;

    if (x) {
        s->exchanges = x->next;
        s->exchange_count--;
    } else {
        x = malloc(exchange_bytes(s));
    }
    if (!x)
        return NULL;
    memset(x, 0, offsetof(struct exchange, head));
    buf_init(&x->parameter, HTTP_LINE_BYTES_MAX, "parameter");
    x->connection = c;
    x->told = true;
    if (s->options.extra_bytes) {
        x->shown.extra = (char *)x + (exchange_bytes(s) - s->options.extra_bytes);
        memset(x->shown.extra, 0, s->options.extra_bytes);
    }
    c->exchange = x;
    return x;
}

static void exchange_give(struct connection *c)
{
    struct server *s = c->server;
    struct exchange *x = c->exchange;

    c->exchange = NULL;
    buf_done(&x->parameter);
    if (s->exchange_count >= SERVE_EXCHANGES_MAX) {
        free(x);
        return;
    }
    x->next = s->exchanges;
    s->exchanges = x;
    s->exchange_count++;
}

void exchange_gone(struct connection *c)
{
    struct exchange *x = c->exchange;

    if (!x)
        return;
    if (x->watch)
        x->watch->gone(x->watch_context);
    exchange_give(c);
}

static struct connection *connection_of(struct serve_exchange *shown)
{
    struct exchange *x = (struct exchange *)(void *)shown;

    CHECK(x->connection->exchange == x);
    return x->connection;
}

/* The request has its answer: its bytes make room for the next one's. */
static void request_over(struct connection *c)
{
    struct server *s = c->server;
    size_t bytes = c->exchange->head.bytes + c->body_in, here = buf_len(&c->in);
    bool unread = !c->plan.done;

    exchange_give(c);
    buf_eat(&c->in, bytes < here ? bytes : here); /* less: of a body that did not come */
    buf_done(&c->body);
    if (buf_len(&c->rest) > 0) {
        struct buf in = c->in;

        c->in = c->rest;
        c->rest = in;
        server_area_give(s, &c->rest);
    }
    c->served = true;
    c->in_fresh = buf_len(&c->in) > 0;
    c->state = c->closing ? ENDING : unread ? SKIP : HEAD;
    connection_within(c, s->options.idle_timeout_ms);
    connection_wake(c);
}

static uint8_t *put(uint8_t *at, struct view text)
{
    if (text.len)
        memcpy(at, text.at, text.len);
    return at + text.len;
}

static uint8_t *put_number(uint8_t *at, uint64_t n)
{
    uint8_t digits[20];
    size_t len = 0;

    do
        digits[sizeof digits - ++len] = (uint8_t)('0' + n % 10);
    while (n /= 10);
    return put(at, view_from(digits + sizeof digits - len, len));
}

/* length UINT64_MAX: it is not known. text: what is copied behind the head. */
static bool write_head(struct connection *c, int status, const char *content_type,
                       const char *extra, uint64_t length, bool chunked, struct view text)
{
    struct view type = view_str(content_type), more = view_str(extra);
    size_t room = FIXED_BYTES + type.len + more.len + text.len;
    uint8_t *begin, *at;

    CHECK(status >= 200 && status <= 599);
    if ((!c->out.area && room <= SERVE_READ_BYTES && !server_area_take(c->server, &c->out)) ||
        !buf_room(&c->out, room, &begin, NULL)) {
        c->broken = true;
        return false;
    }
    at = put(begin, VIEW("HTTP/1.1 "));
    at = put_number(at, (uint64_t)status);
    at = put(at, VIEW(" "));
    at = put(at, view_str(http_reason(status)));
    if (content_type) {
        at = put(at, VIEW("\r\nContent-Type: "));
        at = put(at, type);
    }
    if (length != UINT64_MAX && status != 204 && status != 304) {
        at = put(at, VIEW("\r\nContent-Length: "));
        at = put_number(at, length);
    }
    if (chunked)
        at = put(at, VIEW("\r\nTransfer-Encoding: chunked"));
    at = put(at, c->closing ? VIEW("\r\nConnection: close\r\n")
                            : VIEW("\r\nConnection: keep-alive\r\n"));
    at = put(at, VIEW("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"));
    at = put(at, more);
    at = put(at, VIEW("\r\n"));
    at = put(at, text);
    buf_wrote(&c->out, (size_t)(at - begin));
    return true;
}

static void decide_closing(struct connection *c)
{
    c->closing |= c->server->draining || (!c->plan.done && !c->skippable);
}

void serve_later(struct serve_exchange *shown, const struct serve_watch *watch, void *context)
{
    struct exchange *x = (struct exchange *)(void *)shown;

    x->watch = watch;
    x->watch_context = context;
}

void serve_reply(struct serve_exchange *shown, const struct serve_reply *reply)
{
    struct connection *c = connection_of(shown);
    struct exchange *x = c->exchange;
    size_t body = reply->body ? buf_len(reply->body) : reply->text.len;
    bool bodyless = x->head_only || reply->status == 204 || reply->status == 304;

    CHECK(!x->streaming);
    decide_closing(c);
    if (write_head(c, reply->status, reply->content_type, reply->extra,
                   reply->before.len + body + reply->behind.len, false,
                   reply->body || bodyless ? VIEW("") : reply->text) &&
        reply->body && !bodyless) {
        c->before = reply->before;
        c->behind = reply->behind;
        c->content = *reply->body;
        buf_init_like(reply->body, &c->content);
    } else if (reply->body) {
        buf_done(reply->body);
    }
    request_over(c);
}

void serve_stream(struct serve_exchange *shown, int status, const char *content_type,
                  const char *extra)
{
    struct connection *c = connection_of(shown);
    struct exchange *x = c->exchange;

    CHECK(!x->streaming);
    x->raw = x->head.minor == 0;
    c->closing |= x->raw;
    decide_closing(c);
    x->streaming = true;
    (void)!write_head(c, status, content_type, extra, UINT64_MAX, !x->raw, VIEW(""));
    connection_within(c, c->server->options.idle_timeout_ms);
    connection_wake(c);
}

bool serve_write(struct serve_exchange *shown, struct view bytes)
{
    struct connection *c = connection_of(shown);
    struct exchange *x = c->exchange;
    char size[24];
    int len = snprintf(size, sizeof size, "%zx\r\n", bytes.len);
    uint8_t *room;

    CHECK(x->streaming);
    if (c->broken)
        return false;
    x->told = false;
    if (bytes.len == 0 || x->head_only)
        return true;
    if (x->raw) {
        if (!buf_append(&c->out, bytes, NULL))
            return false;
    } else {
        if (!buf_room(&c->out, bytes.len + sizeof size, &room, NULL))
            return false;
        memcpy(room, size, (size_t)len);
        memcpy(room + len, bytes.at, bytes.len);
        memcpy(room + len + bytes.len, "\r\n", 2);
        buf_wrote(&c->out, (size_t)len + bytes.len + 2);
    }
    if (!timer_armed(&c->timer))
        connection_within(c, c->server->options.idle_timeout_ms);
    connection_wake(c);
    return true;
}

size_t serve_waiting(const struct serve_exchange *shown)
{
    return buf_len(&((const struct exchange *)(const void *)shown)->connection->out);
}

void serve_end(struct serve_exchange *shown)
{
    struct connection *c = connection_of(shown);
    struct exchange *x = c->exchange;

    CHECK(x->streaming);
    if (!x->raw && !x->head_only && !buf_append_str(&c->out, "0\r\n\r\n", NULL))
        c->broken = true;
    request_over(c);
}

void serve_cut(struct serve_exchange *shown)
{
    struct connection *c = connection_of(shown);

    c->broken = true;
    exchange_give(c);
    connection_wake(c);
}

void answer_by_handler(struct connection *c, serve_handler *handler, void *context)
{
    struct exchange *x = c->exchange;
    struct err cause = {.code = ERR_INTERNAL};
    struct buf content;
    struct serve_answer answer = {200, plain, NULL, &content};

    buf_init(&content, c->server->options.answer_bytes_max, "answer");
    if (handler(context, &x->shown.request, &answer, &cause)) {
        serve_reply(&x->shown, &(struct serve_reply){.status = answer.status,
                                                     .content_type = answer.content_type,
                                                     .extra = answer.extra,
                                                     .body = &content});
    } else {
        int status = err_http_status(cause.code);

        buf_done(&content);
        answer_status(c, status, status < 500 ? cause.text : NULL, NULL);
    }
}

void answer_status(struct connection *c, int status, const char *text, const char *extra)
{
    char line[ERR_TEXT_BYTES + 2];
    int len = snprintf(line, sizeof line, "%s\n", text ? text : http_reason(status));

    if (c->exchange)
        serve_reply(&c->exchange->shown,
                    &(struct serve_reply){.status = status,
                                          .content_type = plain,
                                          .extra = extra,
                                          .text = view_from(line, (size_t)len)});
    else
        (void)!write_head(c, status, plain, extra, (uint64_t)len, false,
                          view_from(line, (size_t)len));
}

size_t answer_waiting(const struct connection *c)
{
    return buf_len(&c->out) + c->before.len + buf_len(&c->content) + c->behind.len;
}

static void eat_view(struct view *v, size_t *n)
{
    size_t part = *n < v->len ? *n : v->len;

    *v = view_skip(*v, part);
    *n -= part;
}

static void eat_buf(struct buf *b, size_t *n)
{
    size_t part = *n < buf_len(b) ? *n : buf_len(b);

    buf_eat(b, part);
    *n -= part;
}

static struct iovec piece(struct view v)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)v.at, .iov_len = v.len};
}

enum step answer_flush(struct connection *c)
{
    struct iovec pieces[] = {piece(buf_view(&c->out)), piece(c->before),
                             piece(buf_view(&c->content)), piece(c->behind)};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 4};
    const struct serve_options *o = &c->server->options;
    ssize_t sent = c->content.area
                       ? sendmsg(c->io.fd, &message, MSG_NOSIGNAL)
                       : send(c->io.fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    size_t n = (size_t)sent;

    if (sent < 0 && errno == EINTR)
        return STEP_ON;
    if (sent < 0)
        return errno == EAGAIN ? STEP_WAIT : STEP_GONE;
    eat_buf(&c->out, &n);
    eat_view(&c->before, &n);
    eat_buf(&c->content, &n);
    eat_view(&c->behind, &n);
    if (answer_waiting(c) > 0) {
        connection_within(c, o->idle_timeout_ms);
        return STEP_ON;
    }
    server_area_give(c->server, &c->out);
    buf_done(&c->content);
    if (c->state == ANSWERING)
        timer_cancel(&c->timer); /* a stream rests as long as it likes */
    else if (c->state == HEAD)
        connection_within(c, buf_len(&c->in) > 0 ? o->head_timeout_ms : o->idle_timeout_ms);
    else if (c->state == SKIP)
        connection_within(c, o->body_timeout_ms);
    return STEP_ON;
}
