/* A request on its way to the application, and the answer on its way back, both as they come. */
#include "tee/conn.h"

#include "base/poison.h"

static void give_up(struct conn *c, int status, const char *text)
{
    metric_add(&c->worker->stats.upstream_failures, 1);
    log_event_limited(c->worker->log, LOG_WARN, "upstream.failed", text);
    if (c->answering) { /* too late to say anything: the client must not take half for whole */
        conn_end(c);
        return;
    }
    conn_answer_error(c, status, NULL, text);
}

static bool attach(struct conn *c, bool fresh)
{
    struct err why;

    c->upstream = upstream_take(c->worker, fresh, &why);
    if (!c->upstream) {
        give_up(c, 502, "the application does not answer");
        return false;
    }
    c->upstream->conn = c;
    http_parser_init(&c->answer_parser);
    return buf_append(&c->upstream->out, buf_view(&c->again), NULL);
}

void conn_proxy_start(struct conn *c, const struct http_head *head)
{
    const struct tee_config *config = c->worker->site->config;
    struct err why;

    metric_add(&c->worker->stats.proxied, 1);
    buf_reset(&c->again);
    c->answering = c->body_sent = false;
    if (!proxy_request(head, &c->request.plan, &c->peer, c->request.upgrade, &c->again, &why)) {
        conn_answer_error(c, 431, NULL, "the header is too large");
        return;
    }
    c->phase = CONN_PROXY;
    conn_deadline(c, config->connect_timeout_ms + config->answer_timeout_ms);
    (void)attach(c, false);
}

/* The client sent what cannot be passed on. */
static void refuse_body(struct conn *c, bool syntax)
{
    c->keep = false;
    if (c->answering)
        conn_end(c);
    else
        conn_answer_error(c, syntax ? 400 : 413, NULL,
                          syntax ? "the body breaks the syntax of chunks"
                                 : "the body is too large");
}

static bool send_piece(struct conn *c, struct view piece)
{
    struct buf *out = &c->upstream->out;
    bool chunked = c->request.plan.kind == HTTP_BODY_CHUNKED, good = true;

    if (piece.len)
        good = chunked ? proxy_chunk(piece, out, NULL) : buf_append(out, piece, NULL);
    if (chunked && c->request.plan.done)
        good = good && proxy_chunk(VIEW(""), out, NULL);
    c->body_sent = true;
    return good;
}

/* The client's body, as far as the application takes it. False: the connection is answered, or gone. */
static bool send_body(struct conn *c)
{
    uint64_t most = c->worker->site->config->body_max;
    struct upstream *u = c->upstream;
    struct view in = buf_view(&c->in), piece;
    bool good = true;

    if (c->request.plan.kind == HTTP_BODY_NONE)
        c->request.plan.done = true;
    while (good && !c->request.plan.done && in.len && buf_len(&u->out) < UPSTREAM_OUT_MAX) {
        good = http_body_feed(&c->request.plan, &in, &piece, NULL);
        c->access.bytes_up += good ? piece.len : 0;
        if (!good || (most && c->access.bytes_up > most)) {
            refuse_body(c, !good);
            return false;
        }
        if (!send_piece(c, piece))
            u->broken = u->ended = true;
    }
    buf_eat(&c->in, buf_len(&c->in) - in.len);
    return true;
}

/* An informational answer goes on as it is; who speaks HTTP/1.0 knows none. */
static bool write_interim(struct conn *c, const struct http_head *head)
{
    enum proxy_framing ignored;
    struct buf out;
    bool good;

    if (c->request.minor == 0)
        return true;
    buf_init(&out, (size_t)4 * HTTP_HEAD_BYTES_MAX, "answer");
    good = proxy_response(head, &c->answer_plan, 1, false, "", &ignored, &out, NULL) &&
           conn_write(c, buf_view(&out));
    buf_done(&out);
    return good;
}

static bool write_head(struct conn *c, const struct http_head *head)
{
    bool until_close = c->answer_plan.kind == HTTP_BODY_UNTIL_CLOSE && c->request.minor == 0;
    struct buf out;
    bool good;

    c->keep = c->keep && c->request.plan.done && !until_close;
    buf_init(&out, (size_t)4 * HTTP_HEAD_BYTES_MAX, "answer");
    good = (head->status == 101 ? proxy_switch(head, c->request.extra, &out, NULL)
                                : proxy_response(head, &c->answer_plan, c->request.minor, !c->keep,
                                                 c->request.extra, &c->framing, &out, NULL)) &&
           conn_write(c, buf_view(&out));
    buf_done(&out);
    return good;
}

static bool acceptable(struct conn *c, const struct http_head *head)
{
    struct view method = c->request.head_only ? VIEW("HEAD") : VIEW("GET");
    struct err why;

    return (head->status != 101 || (c->request.upgrade && proxy_switches(head))) &&
           http_body_plan(head, true, method, &c->answer_plan, &why);
}

/* False: more is needed, or the connection is answered or gone. */
static bool answer_head(struct conn *c)
{
    struct upstream *u = c->upstream;
    struct http_head head;
    bool final, good;

    while (buf_len(&u->in)) {
        switch (http_response_parse(&c->answer_parser, buf_view(&u->in), &head)) {
        case HTTP_MORE:
            return false;
        case HTTP_FAILED:
            give_up(c, 502, "the application's answer is no HTTP response");
            return false;
        case HTTP_DONE:
            break;
        }
        if (!acceptable(c, &head)) {
            give_up(c, 502, "the application's answer cannot be passed on");
            return false;
        }
        final = head.status >= 200 || head.status == 101;
        good = final ? write_head(c, &head) : write_interim(c, &head);
        /* Whether the application keeps the connection is its own word. */
        u->keeps =
            head.minor == 1 && !http_field_has_token(&head, VIEW("Connection"), VIEW("close"));
        buf_eat(&u->in, head.bytes);
        http_parser_init(&c->answer_parser);
        if (!good) {
            conn_end(c);
            return false;
        }
        if (final) {
            c->answering = true;
            c->access.status = head.status;
            return true;
        }
    }
    return false;
}

static bool write_piece(struct conn *c, struct view piece)
{
    struct buf chunk;
    bool good;

    if (c->framing != PROXY_CHUNKED)
        return conn_write(c, piece);
    buf_init(&chunk, (size_t)2 * UPSTREAM_IN_MAX + 64, "chunk");
    good = proxy_chunk(piece, &chunk, NULL) && conn_write(c, buf_view(&chunk));
    buf_done(&chunk);
    return good;
}

static void finished(struct conn *c)
{
    struct upstream *u = take(c->upstream);
    bool reusable =
        u->keeps && c->request.plan.done && c->answer_plan.kind != HTTP_BODY_UNTIL_CLOSE;

    if (c->framing == PROXY_CHUNKED && !write_piece(c, VIEW("")))
        c->keep = false;
    if (c->framing == PROXY_CLOSE || !c->request.plan.done)
        c->keep = false;
    upstream_give(u, reusable);
    conn_next_request(c);
}

/* Pieces leave as they come: a stream of tokens is not held back. */
static void answer_body(struct conn *c)
{
    struct upstream *u = c->upstream;
    struct view in = buf_view(&u->in), piece;
    struct err why;

    if (c->answer_plan.kind == HTTP_BODY_NONE)
        c->answer_plan.done = true;
    while (!c->answer_plan.done && in.len && session_output(c->session).len < CONN_OUT_HIGH) {
        if (!http_body_feed(&c->answer_plan, &in, &piece, &why)) {
            conn_end(c);
            return;
        }
        if (piece.len && !write_piece(c, piece)) {
            conn_end(c);
            return;
        }
        c->access.bytes_down += piece.len;
    }
    buf_eat(&u->in, buf_len(&u->in) - in.len);
    if (!c->answer_plan.done && u->ended && !buf_len(&u->in)) {
        if (c->answer_plan.kind != HTTP_BODY_UNTIL_CLOSE) {
            give_up(c, 502, "the application ended its answer early");
            return;
        }
        c->answer_plan.done = true;
    }
    if (c->answer_plan.done)
        finished(c);
}

/* A kept connection that the application closed meanwhile: nothing was lost, ask anew. */
static bool ask_again(struct conn *c)
{
    struct upstream *u = c->upstream;

    if (!u->reused || c->answering || c->body_sent || buf_len(&u->in))
        return false;
    upstream_give(take(c->upstream), false);
    if (attach(c, true))
        conn_wake(c);
    return true;
}

void conn_proxy_run(struct conn *c)
{
    struct upstream *u = c->upstream;
    size_t before;

    if (!u) {
        conn_end(c);
        return;
    }
    if (c->ended && !c->request.plan.done && !buf_len(&c->in)) { /* half a request */
        conn_end(c);
        return;
    }
    before = buf_len(&u->in);
    upstream_pump(
        u, false); /* makes room first: what does not move now is not looked at again by itself */
    if (!send_body(c))
        return;
    upstream_pump(u, session_output(c->session).len < CONN_OUT_HIGH);
    if (buf_len(&u->in) != before)
        conn_deadline(c, c->worker->site->config->answer_timeout_ms);
    if (!c->answering && !answer_head(c)) {
        if (c->io.fd < 0 || c->phase != CONN_PROXY || !c->upstream)
            return;
        if (u->ended && !ask_again(c))
            give_up(c, 502, "the application does not answer");
        return;
    }
    if (c->access.status == 101) {
        conn_tunnel_start(c);
        return;
    }
    answer_body(c);
    if (c->io.fd >= 0 && c->phase == CONN_PROXY && c->upstream &&
        c->upstream->io.bits & UPSTREAM_READABLE && !c->upstream->ended &&
        session_output(c->session).len < CONN_OUT_HIGH && buf_len(&c->upstream->in) == 0)
        conn_wake(c);
}
