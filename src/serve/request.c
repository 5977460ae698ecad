/* request: reading a head, who may go on, and its body. */
#include <stdlib.h>

#include "base/check.h"
#include "serve/serve_priv.h"

#include "base/poison.h"

static enum step read_head(struct connection *c);
static enum step begin(struct connection *c, const struct http_head *head);
static enum step begin_body(struct connection *c);
static enum step body_in_place(struct connection *c);
static enum step body_counted(struct connection *c);
static enum step body_chunked(struct connection *c);
static enum step feed_chunks(struct connection *c, struct view in);
static enum step whole(struct connection *c);
static enum step refuse_body(struct connection *c, int status, const char *why);
static bool expects_continue(const struct http_head *head);

enum step request_head(struct connection *c)
{
    struct server *s = c->server;
    bool first = buf_len(&c->in) == 0;
    uint8_t *room;
    enum step came;
    size_t n;

    if (c->in_fresh)
        return read_head(c);
    if (first && !(c->io.bits & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        if (c->served && s->draining)
            return STEP_GONE;
        server_area_give(s, &c->in); /* an idle connection holds no buffer */
        return STEP_WAIT;
    }
    if ((!c->in.area && !server_area_take(s, &c->in)) ||
        (c->in.tail == c->in.size && !buf_room(&c->in, SERVE_READ_BYTES, &room, NULL)))
        return STEP_GONE;
    came = connection_receive(c, c->in.area + c->in.tail, c->in.size - c->in.tail, &n);
    if (came != STEP_ON)
        return came == STEP_WAIT && first ? STEP_ON : came; /* once more: it is idle */
    buf_wrote(&c->in, n);
    c->in_fresh = true;
    if (first)
        connection_within(c, s->options.head_timeout_ms);
    return STEP_ON;
}

static enum step read_head(struct connection *c)
{
    struct http_head *head = &c->server->head;

    c->in_fresh = false;
    switch (http_request_parse(&c->parser, buf_view(&c->in), head)) {
    case HTTP_MORE:
        return STEP_ON;
    case HTTP_FAILED:
        if (c->parser.status == 0)
            return STEP_GONE;
        return request_refuse(c, c->parser.status, c->parser.err.text);
    case HTTP_DONE:
        break;
    }
    return begin(c, head);
}

static enum step begin(struct connection *c, const struct http_head *head)
{
    struct server *s = c->server;
    struct exchange *x;
    struct http_target target;
    struct err err;

    if (!http_body_plan(head, false, VIEW(""), &c->plan, &err))
        return request_refuse(c, err_http_status(err.code), err.text);
    if (!http_target_split(head->target, &target, &err))
        return request_refuse(c, 400, err.text);
    x = exchange_new(c);
    if (!x)
        return STEP_GONE;
    memcpy(&x->head, head,
           offsetof(struct http_head, fields) + head->count * sizeof head->fields[0]);
    x->head_only = view_eq(head->method, VIEW("HEAD"));
    x->shown.request = (struct serve_request){
        .head = &x->head, .path = target.path, .query = target.query, .peer = c->peer};
    /* A request of HTTP/1.0 is a probe's: it is served, and done with. */
    c->closing = head->minor == 0 ||
                 http_field_has_token(head, VIEW("Connection"), VIEW("close")) || s->draining;
    c->skippable = c->plan.kind == HTTP_BODY_LENGTH && c->plan.left <= SERVE_SKIP_BYTES &&
                   !expects_continue(head);
    c->aside = false;
    c->body_in = 0;
    http_parser_init(&c->parser);
    if (!route_find(s, x, head->method, target.path))
        return STEP_GONE;
    c->state = ANSWERING;
    if (s->options.admit && !s->options.admit(s->options.context, &x->shown)) {
        CHECK(c->exchange != x || c->broken); /* it was answered */
        return STEP_ON;
    }
    return c->plan.done ? whole(c) : begin_body(c);
}

static size_t body_max(const struct connection *c)
{
    const struct serve_service *service = c->exchange->shown.service;

    if (c->exchange->shown.body_bytes_max)
        return c->exchange->shown.body_bytes_max;
    return service && service->body_bytes_max ? service->body_bytes_max
                                              : c->server->options.body_bytes_max;
}

/* What of the body came with the head stays behind it when the rest fits there, too. */
static enum step begin_body(struct connection *c)
{
    const struct http_head *head = &c->exchange->head;
    size_t came = buf_len(&c->in) - head->bytes, max = body_max(c);
    struct view in = view_skip(buf_view(&c->in), head->bytes);

    if (c->plan.kind == HTTP_BODY_LENGTH && c->plan.left > max)
        return refuse_body(c, 413, "length limit exceeded");
    if (http_field_count(head, VIEW("Expect")) > 0 && !expects_continue(head))
        return refuse_body(c, 417, NULL);
    /* Who has sent of its body already does not wait to be asked for it. */
    if (expects_continue(head) && head->minor == 1 && came == 0 &&
        !buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", NULL))
        return STEP_GONE;
    c->state = BODY;
    c->body_came = 0;
    c->body_begun_ms = loop_now_ms(c->server->loop);
    c->body_step = SERVE_BODY_STEP_BYTES;
    connection_within(c, c->server->options.body_timeout_ms);
    if (c->plan.kind == HTTP_BODY_LENGTH && c->in.head + head->bytes + c->plan.left <= c->in.size) {
        c->body_in = (size_t)c->plan.left;
        c->plan.left -= came < c->body_in ? came : c->body_in;
        return c->plan.left ? STEP_ON : body_in_place(c);
    }
    c->aside = true;
    if (c->plan.kind == HTTP_BODY_LENGTH)
        max = (size_t)c->plan.left; /* no room for more than will come */
    buf_init(&c->body, max, "request body");
    buf_count(&c->body,
              c->exchange->shown.memory ? c->exchange->shown.memory : c->server->options.memory);
    c->in.tail -= came; /* the bytes stay where they are for now */
    if (c->plan.kind == HTTP_BODY_CHUNKED)
        return feed_chunks(c, in);
    c->plan.left -= came;
    return buf_append(&c->body, in, NULL) ? STEP_ON : refuse_body(c, 503, NULL);
}

enum step request_body(struct connection *c)
{
    if (!c->aside)
        return body_in_place(c);
    return c->plan.kind == HTTP_BODY_CHUNKED ? body_chunked(c) : body_counted(c);
}

/* A body that comes on has its time; one that does not, has had it, and so has one that hardly does. */
static void came_on(struct connection *c, size_t n)
{
    const struct serve_options *o = &c->server->options;
    uint64_t begun_ms = loop_now_ms(c->server->loop) - c->body_begun_ms;
    uint64_t within = o->body_timeout_ms, all;

    c->body_came += n;
    if (c->body_came < c->body_step)
        return;
    c->body_step = c->body_came + SERVE_BODY_STEP_BYTES;
    if (o->body_rate_least) {
        all = o->body_timeout_ms + c->body_came * 1000 / o->body_rate_least;
        if (all < begun_ms + within)
            within = all > begun_ms ? all - begun_ms : 0;
    }
    connection_within(c, within);
}

static enum step body_in_place(struct connection *c)
{
    enum step came;
    size_t n;

    if (c->plan.left) {
        came = connection_receive(c, c->in.area + c->in.tail, (size_t)c->plan.left, &n);
        if (came != STEP_ON)
            return came;
        buf_wrote(&c->in, n);
        c->plan.left -= n;
        return STEP_ON;
    }
    c->plan.done = true;
    c->exchange->shown.request.body =
        view_first(view_skip(buf_view(&c->in), c->exchange->head.bytes), c->body_in);
    return whole(c);
}

static enum step body_counted(struct connection *c)
{
    size_t room = c->body.size - c->body.tail, n;
    uint8_t *at;
    enum step came;

    if (c->plan.left) {
        if (room == 0)
            room = SERVE_BODY_READ_BYTES;
        if (room > c->plan.left)
            room = (size_t)c->plan.left;
        if (!buf_room(&c->body, room, &at, NULL))
            return refuse_body(c, 503, NULL);
        came = connection_receive(c, at, room, &n);
        if (came != STEP_ON)
            return came;
        buf_wrote(&c->body, n);
        c->plan.left -= n;
        came_on(c, n);
        return STEP_ON;
    }
    c->plan.done = true;
    c->exchange->shown.request.body = buf_view(&c->body);
    return whole(c);
}

static enum step body_chunked(struct connection *c)
{
    size_t n;
    enum step came = connection_receive(c, c->server->scratch, sizeof c->server->scratch, &n);

    return came == STEP_ON ? feed_chunks(c, view_from(c->server->scratch, n)) : came;
}

static enum step feed_chunks(struct connection *c, struct view in)
{
    struct view piece;
    struct err err;

    came_on(c, in.len);
    while (in.len > 0 && !c->plan.done) {
        if (!http_body_feed(&c->plan, &in, &piece, &err))
            return refuse_body(c, 400, err.text);
        if (!buf_append(&c->body, piece, &err))
            return refuse_body(c, err_http_status(err.code),
                               err.code == ERR_LIMIT ? "length limit exceeded" : NULL);
    }
    if (!c->plan.done)
        return STEP_ON;
    buf_init(&c->rest, c->in.max, c->in.what);
    if (!buf_append(&c->rest, in, NULL))
        return STEP_GONE;
    c->exchange->shown.request.body = buf_view(&c->body);
    return whole(c);
}

/* The request is whole: who answers it? */
static enum step whole(struct connection *c)
{
    struct serve_exchange *x = &c->exchange->shown;
    const struct serve_route *route = c->exchange->route;
    const struct serve_options *o = &c->server->options;

    c->state = ANSWERING;
    timer_cancel(&c->timer);
    if (c->aside)
        buf_pass(&c->body);
    if (x->service)
        x->service->taker(x->service->context, x);
    else if (route)
        answer_by_handler(c, route->handler, route->context);
    else if (o->unrouted)
        o->unrouted(o->context, x);
    else if (x->allow[0] == '\0' && o->otherwise)
        answer_by_handler(c, o->otherwise, o->otherwise_context);
    else
        answer_status(c, x->allow[0] ? 405 : 404, NULL, x->allow[0] ? x->allow : NULL);
    return STEP_ON;
}

enum step request_skip(struct connection *c)
{
    size_t len = buf_len(&c->in), part = len < c->plan.left ? len : (size_t)c->plan.left, n;
    enum step came;

    buf_eat(&c->in, part);
    c->plan.left -= part;
    if (c->plan.left == 0) {
        c->state = HEAD;
        c->in_fresh = buf_len(&c->in) > 0;
        connection_within(c, c->in_fresh ? c->server->options.head_timeout_ms
                                         : c->server->options.idle_timeout_ms);
        return STEP_ON;
    }
    n = c->plan.left < SERVE_SCRATCH_BYTES ? (size_t)c->plan.left : SERVE_SCRATCH_BYTES;
    came = connection_receive(c, c->server->scratch, n, &n);
    if (came == STEP_ON)
        c->plan.left -= n;
    return came;
}

static enum step refuse_body(struct connection *c, int status, const char *why)
{
    const struct serve_options *o = &c->server->options;

    c->closing = true;
    c->state = ANSWERING;
    if (!o->unreadable ||
        !o->unreadable(o->context, &c->exchange->shown, status, why ? why : http_reason(status)))
        answer_status(c, status, why, NULL);
    return STEP_ON;
}

enum step request_refuse(struct connection *c, int status, const char *text)
{
    if (c->exchange)
        return refuse_body(c, status, text);
    c->closing = true;
    answer_status(c, status, text, NULL);
    c->state = ENDING;
    connection_within(c, c->server->options.idle_timeout_ms);
    return STEP_ON;
}

static bool expects_continue(const struct http_head *head)
{
    struct view value;

    return http_field(head, VIEW("Expect"), &value) && view_eq_nocase(value, VIEW("100-continue"));
}
