#include "tee/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/poison.h"

enum { PIECE_BYTES = 12 * 1024, TURNS_MAX = 16 };

#define CONTAINER(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static void conn_freed(struct loop *loop, struct retired *retired)
{
    (void)loop;
    free(CONTAINER(retired, struct conn, retired));
}

void conn_end(struct conn *c)
{
    struct worker *w = c->worker;

    if (c->io.fd < 0)
        return;
    conn_access_end(c, false);
    if (c->previous)
        c->previous->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->previous = c->previous;
    if (c->job)
        c->job->context = NULL; /* it comes back to nobody */
    if (c->upstream)
        upstream_give(take(c->upstream), false);
    task_cancel(w->loop, &c->task);
    timer_cancel(&c->timer);
    loop_forget(w->loop, &c->io);
    close(c->io.fd);
    c->io.fd = -1;
    session_free(c->session);
    session_context_unref(c->context);
    buf_done(&c->in);
    buf_done(&c->body);
    buf_done(&c->again);
    metric_sub(&w->stats.open, 1);
    atomic_fetch_sub(&w->site->connections, 1);
    loop_retire(w->loop, &c->retired);
    if (!w->conns && atomic_load(&w->site->draining))
        loop_stop(w->loop);
}

void conn_wake(struct conn *c)
{
    task_queue(c->worker->loop, &c->task);
}

void conn_deadline(struct conn *c, uint64_t after_ms)
{
    if (after_ms)
        timer_set(c->worker->loop, &c->timer, loop_now_ms(c->worker->loop) + after_ms);
    else
        timer_cancel(&c->timer);
}

static void timed_out(struct loop *loop, struct timer *t)
{
    struct conn *c = CONTAINER(t, struct conn, timer);

    (void)loop;
    if (c->phase == CONN_PROXY && !c->answering) {
        c->keep = false;
        conn_answer(c, 504, "application/json", NULL,
                    VIEW("{\"error\":\"the application did not answer in time\"}"));
        conn_wake(c);
    } else if (c->phase == CONN_HEAD && c->began) {
        c->keep = false;
        conn_answer(c, 408, "application/json", NULL,
                    VIEW("{\"error\":\"the request did not come in time\"}"));
        conn_wake(c);
    } else {
        conn_end(c);
    }
}

static void ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct conn *c = CONTAINER(io, struct conn, io);

    (void)loop;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= CONN_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        io->bits |= CONN_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= CONN_HUNG_UP;
    conn_wake(c);
}

/* --- bytes --- */

/* Sends what is encrypted. False: the client is gone. */
static bool flush(struct conn *c)
{
    for (;;) {
        struct view out = session_output(c->session);
        ssize_t n;

        if (!out.len || !(c->io.bits & CONN_WRITABLE))
            return true;
        n = send(c->io.fd, out.at, out.len, MSG_NOSIGNAL);
        if (n >= 0) {
            session_sent(c->session, (size_t)n);
        } else if (errno == EAGAIN) {
            c->io.bits &= ~(uint32_t)CONN_WRITABLE;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

static bool backed_up(struct conn *c)
{
    return session_output(c->session).len >= CONN_OUT_HIGH;
}

/* Receives, as long as there is room for what it decrypts to. False: the client is gone. */
static bool receive(struct conn *c)
{
    uint8_t bytes[PIECE_BYTES];

    while (c->io.bits & CONN_READABLE && !c->ended && buf_len(&c->in) < CONN_IN_MAX) {
        ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);

        if (n > 0) {
            if (!session_feed(c->session, view_from(bytes, (size_t)n), NULL))
                return false;
            if (n < (ssize_t)sizeof bytes) {
                /* All there was: an edge tells of more. Of the end it has told already when both came together. */
                if (!(c->io.bits & CONN_HUNG_UP))
                    c->io.bits &= ~(uint32_t)CONN_READABLE;
                break;
            }
        } else if (n == 0) {
            session_feed_end(c->session);
            c->ended = true;
        } else if (errno == EAGAIN) {
            c->io.bits &= ~(uint32_t)CONN_READABLE;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* True: plaintext may be in c->in. */
static bool decrypt(struct conn *c)
{
    struct err why;

    while (buf_len(&c->in) < CONN_IN_MAX) {
        uint8_t *room;
        size_t n = PIECE_BYTES;

        if (!buf_room(&c->in, n, &room, NULL))
            return false;
        switch (session_read(c->session, room, &n, &why)) {
        case TLS_OK:
            buf_wrote(&c->in, n);
            continue;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            return true;
        case TLS_EOF:
            c->ended = true;
            return true;
        case TLS_FAILED:
            return false;
        }
    }
    return true;
}

bool conn_write(struct conn *c, struct view plaintext)
{
    struct err why;

    return session_write(c->session, plaintext, &why);
}

/* --- requests --- */

void conn_access_end(struct conn *c, bool complete)
{
    const struct worker *w = c->worker;

    access_end(&c->access, w->site->config->access_log ? w->log : NULL, &c->peer,
               loop_now_ms(w->loop), complete);
}

void conn_next_request(struct conn *c)
{
    conn_access_end(c, true);
    if (!c->keep || c->ended || atomic_load(&c->worker->site->draining)) {
        session_close(c->session);
        c->phase = CONN_CLOSING;
        conn_deadline(c, 2000);
        return;
    }
    c->phase = CONN_HEAD;
    c->began = false;
    http_parser_init(&c->parser);
    conn_deadline(c, c->worker->site->config->idle_timeout_ms);
}

static void bad_request(struct conn *c, int status, const char *why)
{
    char body[512];

    c->keep = false;
    c->plan = (struct http_body){.kind = HTTP_BODY_NONE, .done = true};
    (void)snprintf(body, sizeof body, "{\"error\":\"%.400s\"}", why);
    conn_answer(c, status, "application/json", NULL, view_str(body));
}

/* The whole origin, or "*.name" for all below name. */
static bool origin_listed(const char *list, struct view origin)
{
    struct view rest = view_str(list), one;

    while (view_next(&rest, ',', &one)) {
        one = view_trim_ows(one);
        if (view_starts(one, VIEW("*."))) {
            struct view host = view_skip(origin, view_find(origin, ':') + 3);

            host = view_first(host, view_find(host, ':'));
            if (view_ends(host, view_skip(one, 1)) && host.len > one.len - 1)
                return true;
        } else if (view_eq_nocase(one, origin)) {
            return true;
        }
    }
    return false;
}

static void cors(struct conn *c, const struct http_head *head)
{
    const char *list = c->worker->site->config->cors_origins;
    struct view origin;

    c->extra[0] = '\0';
    if (!list || !http_field(head, VIEW("Origin"), &origin) || origin.len > 256 ||
        !origin_listed(list, origin))
        return;
    (void)snprintf(c->extra, sizeof c->extra,
                   "Vary: Origin\r\nAccess-Control-Allow-Origin: %.*s\r\n"
                   "Access-Control-Expose-Headers: Content-Length,Content-Range\r\n",
                   VIEW_ARG(origin));
}

static bool authorized(struct conn *c, const struct http_head *head)
{
    const struct tee_token *token = &c->worker->site->auth;
    struct view value = VIEW("");

    return !token->set ||
           (http_field(head, VIEW("Authorization"), &value) && tee_token_good(token, value));
}

static void route(struct conn *c, const struct http_head *head)
{
    struct http_target target = {.path = VIEW("")};
    struct err why;
    bool good = http_target_split(head->target, &target, &why) && target.form == HTTP_ORIGIN_FORM;

    metric_add(&c->worker->stats.requests, 1);
    access_begin(&c->access, head->method, target.path, c->attested);
    c->minor = head->minor;
    c->head_only = view_eq(head->method, VIEW("HEAD"));
    c->keep = head->minor == 1 && !http_field_has_token(head, VIEW("Connection"), VIEW("close"));
    if (!http_body_plan(head, false, VIEW(""), &c->plan, &why)) {
        bad_request(c, 400, why.text);
        return;
    }
    if (!good) {
        bad_request(c, 400, "the request target is not a path");
        return;
    }
    cors(c, head);
    if (conn_local(c, head, target.path))
        return;
    if (!authorized(c, head)) {
        c->keep = c->keep && c->plan.kind == HTTP_BODY_NONE;
        conn_answer(c, 401, "application/json", "WWW-Authenticate: Bearer\r\n",
                    VIEW("{\"error\":\"a bearer token is needed\"}"));
        return;
    }
    conn_proxy_start(c, head);
}

/* False: the connection is gone, or waits. */
static bool read_head(struct conn *c)
{
    struct http_head head;

    if (!buf_len(&c->in)) {
        if (c->ended)
            conn_end(c);
        return false;
    }
    if (!c->began) {
        c->began = true;
        c->head_only = false;
        c->access.start_ms = loop_now_ms(c->worker->loop);
        conn_deadline(c, c->worker->site->config->head_timeout_ms);
    }
    switch (http_request_parse(&c->parser, buf_view(&c->in), &head)) {
    case HTTP_MORE:
        if (c->ended)
            conn_end(c);
        return false;
    case HTTP_FAILED:
        bad_request(c, c->parser.status ? c->parser.status : 400, c->parser.err.text);
        return true;
    case HTTP_DONE:
        route(c, &head);
        if (c->io.fd < 0)
            return false;
        buf_eat(&c->in, head.bytes);
        if (c->phase ==
            CONN_HEAD) /* answered at once: the body, if there is one, was not looked at */
            conn_next_request(c);
        return true;
    }
    return false;
}

static bool shake_hands(struct conn *c)
{
    struct err why;

    switch (session_handshake(c->session, &why)) {
    case TLS_OK:
        metric_add(&c->worker->stats.handshakes, 1);
        c->keep = true;
        conn_next_request(c);
        return true;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        if (!c->ended)
            return false;
        break;
    case TLS_EOF:
    case TLS_FAILED:
        metric_add(&c->worker->stats.handshake_failures, 1);
        log_event_limited(c->worker->log, LOG_DEBUG, "handshake.failed", "TLS handshake failed",
                          F_STR("error", why.text));
        break;
    }
    (void)flush(c); /* the alert */
    conn_end(c);
    return false;
}

/* Everything is sent. What the client still says is read and forgotten until it closes, too, for closing with unread bytes is a
 * reset, which takes the end of the answer with it (RFC 9112, 9.6). The deadline bounds it. */
static void linger(struct conn *c)
{
    uint8_t bytes[PIECE_BYTES];

    if (!c->shut) {
        c->shut = true;
        (void)shutdown(c->io.fd, SHUT_WR);
    }
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);

        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        if (n < 0 && errno == EAGAIN) {
            c->io.bits &= ~(uint32_t)CONN_READABLE;
            return;
        }
        conn_end(c);
        return;
    }
    conn_wake(c); /* others first */
}

/* One step of the phase. False: nothing more can be done now, or the connection is gone. */
static bool step(struct conn *c)
{
    switch (c->phase) {
    case CONN_HANDSHAKE:
        return shake_hands(c);
    case CONN_HEAD:
        return !backed_up(c) && read_head(c);
    case CONN_QUOTE:
        conn_quote_body(c);
        return c->io.fd >= 0 && c->phase != CONN_QUOTE;
    case CONN_PROXY:
        conn_proxy_run(c);
        return c->io.fd >= 0 && c->phase != CONN_PROXY;
    case CONN_CLOSING:
        return false;
    }
    return false;
}

/* Whether plaintext is looked for: not before the handshake, not behind the end. */
static bool wants_plaintext(const struct conn *c)
{
    return c->phase != CONN_HANDSHAKE && c->phase != CONN_CLOSING;
}

/* One round: in, a step or more, out. True: it got somewhere, so another may, too. False with c->io.fd < 0: it is gone. */
static bool turn(struct conn *c)
{
    bool stepped = false;
    size_t before, out;

    if ((c->phase != CONN_CLOSING && !receive(c)) || (wants_plaintext(c) && !decrypt(c))) {
        conn_end(c);
        return false;
    }
    before = buf_len(&c->in);
    while (step(c))
        stepped = true;
    if (c->io.fd < 0)
        return false;
    out = session_output(c->session).len;
    if (!flush(c)) {
        conn_end(c);
        return false;
    }
    /* Room in front of the client is room for more of the answer. */
    return stepped || buf_len(&c->in) < before || session_output(c->session).len < out;
}

static void conn_run(struct loop *loop, struct task *task)
{
    struct conn *c = CONTAINER(task, struct conn, task);
    int turns = 0;

    (void)loop;
    while (turns < TURNS_MAX && turn(c))
        turns++;
    if (c->io.fd < 0)
        return;
    if (c->phase == CONN_CLOSING && !session_output(c->session).len)
        linger(c);
    else if (turns == TURNS_MAX || (c->io.bits & CONN_READABLE && !c->ended &&
                                    buf_len(&c->in) < CONN_IN_MAX && wants_plaintext(c)))
        conn_wake(c); /* others first */
}

void conn_upstream_ready(struct conn *c)
{
    conn_wake(c);
}

/* --- */

static struct conn *conn_new(struct worker *w, int fd)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->worker = w;
    c->io = (struct io){.ready = ready, .fd = fd};
    task_init(&c->task, conn_run);
    timer_init(&c->timer, timed_out);
    c->retired.free = conn_freed;
    buf_init(&c->in, (size_t)2 * CONN_IN_MAX, "request");
    buf_init(&c->body, CONN_QUOTE_BODY_MAX, "body of a quote request");
    buf_init(&c->again, (size_t)HTTP_HEAD_BYTES_MAX * 2, "request head");
    c->context = site_context(w->site);
    if (session_accept(c->context, &c->session, NULL) && loop_watch(w->loop, &c->io, NULL))
        return c;
    session_free(c->session);
    session_context_unref(c->context);
    free(c);
    return NULL;
}

void conn_accept(struct worker *w, int fd)
{
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    struct conn *c = NULL;
    int one = 1;

    metric_add(&w->stats.accepted, 1);
    if (atomic_fetch_add(&w->site->connections, 1) < w->site->config->connections_max)
        c = conn_new(w, fd);
    if (!c) {
        atomic_fetch_sub(&w->site->connections, 1);
        metric_add(&w->stats.refused, 1);
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (getpeername(fd, (struct sockaddr *)&address, &n) == 0)
        addr_from_sockaddr((const struct sockaddr *)&address, &c->peer);
    addr_unmap(&c->peer);
    c->next = w->conns;
    if (w->conns)
        w->conns->previous = c;
    w->conns = c;
    metric_add(&w->stats.open, 1);
    conn_deadline(c, w->site->config->handshake_timeout_ms);
    conn_wake(c);
}

/* Those between requests end; the others when they have answered. */
void conn_drain_all(struct worker *w)
{
    struct conn *next;

    for (struct conn *c = w->conns; c; c = next) {
        next = c->next;
        if (c->phase == CONN_HANDSHAKE || (c->phase == CONN_HEAD && !c->began)) {
            session_close(c->session);
            (void)flush(c);
            conn_end(c);
        }
    }
    upstream_close_idle(w);
    if (!w->conns)
        loop_stop(w->loop);
}

void conn_end_all(struct worker *w)
{
    while (w->conns)
        conn_end(w->conns);
    upstream_close_idle(w);
}
