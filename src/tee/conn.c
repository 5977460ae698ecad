#include "tee/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/poison.h"

enum { TURNS_MAX = 16 };

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
    conn_quote_forget(c);
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
        conn_answer_error(c, 504, NULL, "the application did not answer in time");
        conn_wake(c);
    } else if (c->phase == CONN_HEAD && c->began) {
        c->keep = false;
        conn_answer_error(c, 408, NULL, "the request did not come in time");
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

void conn_access_end(struct conn *c, bool complete)
{
    const struct worker *w = c->worker;

    access_end(&c->access, w->site->config->access_log ? w->log : NULL, &c->peer,
               loop_now_ms(w->loop), complete);
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
    (void)!conn_flush(c); /* the alert */
    conn_end(c);
    return false;
}

/* Everything is sent. What the client still says is read and forgotten until it closes, too, for closing with unread bytes is a
 * reset, which takes the end of the answer with it (RFC 9112, 9.6). The deadline bounds it. */
static void linger(struct conn *c)
{
    uint8_t bytes[CONN_PIECE_BYTES];

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
        return !conn_backed_up(c) && conn_read_head(c);
    case CONN_QUOTE:
        conn_quote_run(c);
        return c->io.fd >= 0 && c->phase != CONN_QUOTE;
    case CONN_PROXY:
        conn_proxy_run(c);
        return c->io.fd >= 0 && c->phase != CONN_PROXY;
    case CONN_TUNNEL:
        conn_tunnel_run(c);
        return c->io.fd >= 0 && c->phase != CONN_TUNNEL;
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

    if ((c->phase != CONN_CLOSING && !conn_receive(c)) ||
        (wants_plaintext(c) && !conn_decrypt(c))) {
        conn_end(c);
        return false;
    }
    before = buf_len(&c->in);
    while (step(c))
        stepped = true;
    if (c->io.fd < 0)
        return false;
    out = session_output(c->session).len;
    if (!conn_flush(c)) {
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
            (void)!conn_flush(c);
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
