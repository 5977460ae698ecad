#include "serve/serve_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/poison.h"

static void connection_ready(struct loop *loop, struct io *io, uint32_t events);
static void connection_run(struct loop *loop, struct task *task);
static void connection_late(struct loop *loop, struct timer *timer);
static void connection_end(struct connection *c);
static void connection_release(struct loop *loop, struct retired *retired);
static enum step step(struct connection *c);
static enum step answering(struct connection *c);
static enum step linger(struct connection *c);

void connection_start(struct server *s, int fd, const struct addr *peer)
{
    struct connection *c = calloc(1, sizeof *c);
    int yes = 1;

    if (!c) {
        close(fd);
        return;
    }
    c->io = (struct io){.ready = connection_ready, .fd = fd, .bits = EPOLLIN};
    c->server = s;
    c->peer = *peer;
    c->retired.free = connection_release;
    task_init(&c->task, connection_run);
    timer_init(&c->timer, connection_late);
    http_parser_init(&c->parser);
    buf_init(&c->in, HTTP_HEAD_BYTES_MAX + SERVE_READ_BYTES, "request");
    buf_init(&c->out, SIZE_MAX, "answer"); /* who writes asks how much waits */
    buf_count(&c->out, s->options.memory);
    if (!loop_watch(s->loop, &c->io, NULL)) {
        close(fd);
        free(c);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* no Unix socket has it */
    c->next = s->connections;
    c->link = &s->connections;
    if (c->next)
        c->next->link = &c->next;
    s->connections = c;
    s->connection_count++;
    connection_within(c, s->options.head_timeout_ms);
    task_queue(s->loop, &c->task);
}

struct connection *connection_next(const struct connection *c)
{
    return c->next;
}

void connection_drain(struct connection *c)
{
    /* Who has just come has its first request on the way. */
    if (!c->served && c->state == HEAD)
        connection_within(c, SERVE_DRAIN_MS);
    task_queue(c->server->loop, &c->task);
}

static void connection_close(struct connection *c)
{
    struct server *s = c->server;

    timer_cancel(&c->timer);
    task_cancel(s->loop, &c->task);
    loop_forget(s->loop, &c->io);
    close(c->io.fd);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    exchange_gone(c);
}

void connection_free(struct connection *c)
{
    struct server *s = c->server;

    connection_close(c);
    s->connection_count--;
    connection_release(s->loop, &c->retired);
}

void connection_wake(struct connection *c)
{
    if (!c->running)
        task_queue(c->server->loop, &c->task);
}

static void connection_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct connection *c = (struct connection *)(void *)io;

    io->bits |= events;
    task_queue(loop, &c->task);
}

static void connection_run(struct loop *loop, struct task *task)
{
    struct connection *c =
        (struct connection *)(void *)((char *)task - offsetof(struct connection, task));
    enum step was = STEP_ON;

    c->running = true;
    for (int i = 0; i < SERVE_STEPS_MAX && was == STEP_ON; i++)
        was = c->broken ? STEP_GONE : step(c);
    c->running = false;
    if (was == STEP_GONE)
        connection_end(c);
    else if (was == STEP_ON)
        task_queue(loop, task);
}

/* The deadline of whatever the connection was doing. */
static void connection_late(struct loop *loop, struct timer *timer)
{
    struct connection *c =
        (struct connection *)(void *)((char *)timer - offsetof(struct connection, timer));
    bool begun = (c->state == HEAD && buf_len(&c->in) > 0) || c->state == BODY;

    if (!begun || answer_waiting(c) > 0 || request_refuse(c, 408, NULL) == STEP_GONE)
        connection_end(c);
    else
        task_queue(loop, &c->task);
}

/* Its memory stays until the end of the turn: we may stand in it. */
static void connection_end(struct connection *c)
{
    struct server *s = c->server;

    connection_close(c);
    loop_retire(s->loop, &c->retired);
    server_connection_gone(s);
}

static void connection_release(struct loop *loop, struct retired *retired)
{
    struct connection *c =
        (struct connection *)(void *)((char *)retired - offsetof(struct connection, retired));

    (void)loop;
    buf_done(&c->in);
    buf_done(&c->body);
    buf_done(&c->rest);
    buf_done(&c->out);
    buf_done(&c->content);
    free(c);
}

void connection_within(struct connection *c, uint64_t ms)
{
    timer_set(c->server->loop, &c->timer, loop_now_ms(c->server->loop) + ms);
}

static enum step step(struct connection *c)
{
    enum step flushed;

    /* Nothing is read while an answer waits: that is what holds a client back. */
    if (answer_waiting(c) > 0) {
        flushed = answer_flush(c);
        if (flushed != STEP_WAIT || c->state != ANSWERING)
            return flushed;
    }
    switch (c->state) {
    case HEAD:
        return request_head(c);
    case BODY:
        return request_body(c);
    case ANSWERING:
        return answering(c);
    case SKIP:
        return request_skip(c);
    case ENDING:
        if (shutdown(c->io.fd, SHUT_WR) != 0)
            return STEP_GONE;
        c->state = LINGER;
        connection_within(c, SERVE_LINGER_MS);
        return STEP_ON;
    case LINGER:
        return linger(c);
    }
    return STEP_GONE;
}

/* A taker has the request; it may have more to say once what it said has left. */
static enum step answering(struct connection *c)
{
    struct exchange *x = c->exchange;

    if (c->io.bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        return STEP_GONE;
    if (x->told || answer_waiting(c) > 0)
        return STEP_WAIT;
    x->told = true;
    if (!x->watch || !x->watch->drained)
        return STEP_WAIT;
    x->watch->drained(x->watch_context);
    return STEP_ON;
}

/* Closing a socket with unread bytes in it would reset the connection, and the client might lose
 * our last answer: so we read until it closes too, or its time is over. */
static enum step linger(struct connection *c)
{
    uint8_t unread[SERVE_READ_BYTES];
    ssize_t n = recv(c->io.fd, unread, sizeof unread, 0);

    if (n > 0 || (n < 0 && errno == EINTR))
        return STEP_ON;
    return n < 0 && errno == EAGAIN ? STEP_WAIT : STEP_GONE;
}

/* A read that does not fill its room has emptied the socket, unless its end is in sight: what comes later is a new event. */
enum step connection_receive(struct connection *c, uint8_t *at, size_t room, size_t *n)
{
    ssize_t got;

    if (!(c->io.bits & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return STEP_WAIT;
    do
        got = recv(c->io.fd, at, room, 0);
    while (got < 0 && errno == EINTR);
    if (got < (ssize_t)room && !(c->io.bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        c->io.bits &= ~(uint32_t)EPOLLIN;
    if (got < 0 && errno == EAGAIN) {
        c->io.bits &= ~(uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR);
        return STEP_WAIT;
    }
    if (got <= 0)
        return STEP_GONE;
    *n = (size_t)got;
    return STEP_ON;
}
