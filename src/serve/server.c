#include "serve/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "serve/serve_priv.h"

static size_t or_size(size_t value, size_t fallback);
static uint64_t or_ms(uint64_t value, uint64_t fallback);
static void accept_ready(struct loop *loop, struct io *io, uint32_t events);
static bool accept_one(struct server_socket *socket);
static void refuse(int fd);
static void accepting_pause(struct server *s);
static void accepting_resume(struct loop *loop, struct timer *t);
static void accepting_watch(struct server *s, uint32_t events);
static void drained_run(struct loop *loop, struct task *t);

bool server_new(struct loop *loop, const struct serve_options *options, struct server **out,
                struct err *err)
{
    struct server *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, ERR_MEMORY, "no memory for a server");
    s->loop = loop;
    s->options = *options;
    s->options.connections_max = or_size(options->connections_max, 64);
    s->options.body_bytes_max = or_size(options->body_bytes_max, (size_t)64 << 10);
    s->options.answer_bytes_max = or_size(options->answer_bytes_max, (size_t)16 << 20);
    s->options.head_timeout_ms = or_ms(options->head_timeout_ms, 5000);
    s->options.body_timeout_ms = or_ms(options->body_timeout_ms, 30000);
    s->options.idle_timeout_ms = or_ms(options->idle_timeout_ms, 60000);
    timer_init(&s->accept_pause, accepting_resume);
    task_init(&s->drained_task, drained_run);
    if (!routes_compile(s, err)) {
        free(s);
        return false;
    }
    *out = s;
    return true;
}

bool server_listen(struct server *s, const struct listener *l, struct err *err)
{
    struct listener taken = *l;
    struct server_socket *socket = NULL;

    if (s->socket_count == LISTENERS_MAX)
        err_set(err, ERR_LIMIT, "a server has at most %d listeners", LISTENERS_MAX);
    else if ((socket = calloc(1, sizeof *socket)) == NULL)
        err_set(err, ERR_MEMORY, "no memory for a listener");
    if (!socket) {
        listen_close(&taken);
        return false;
    }
    *socket = (struct server_socket){{.ready = accept_ready, .fd = l->fd}, s, taken};
    if (!loop_watch_level(s->loop, &socket->io, EPOLLIN, err)) {
        listen_close(&socket->listener);
        free(socket);
        return false;
    }
    s->sockets[s->socket_count++] = socket;
    return true;
}

size_t server_connections(const struct server *s)
{
    return s->connection_count;
}

void server_drain(struct server *s, void (*drained)(void *context), void *context)
{
    CHECK(!s->draining);
    s->draining = true;
    s->drained = drained;
    s->drained_context = context;
    timer_cancel(&s->accept_pause);
    /* Who stands in the queue has connected: closing the socket first would reset them. */
    while (s->socket_count > 0) {
        struct server_socket *socket = s->sockets[--s->socket_count];

        while (accept_one(socket))
            ;
        loop_forget(s->loop, &socket->io);
        listen_close(&socket->listener);
        free(socket);
    }
    for (struct connection *c = s->connections; c; c = connection_next(c))
        connection_drain(c);
    if (s->connection_count == 0)
        task_queue(s->loop, &s->drained_task);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    timer_cancel(&s->accept_pause);
    while (s->connections)
        connection_free(s->connections);
    task_cancel(s->loop, &s->drained_task);
    while (s->socket_count > 0) {
        struct server_socket *socket = s->sockets[--s->socket_count];

        loop_forget(s->loop, &socket->io);
        listen_close(&socket->listener);
        free(socket);
    }
    while (s->areas) {
        struct area *area = s->areas;

        s->areas = area->next;
        free(area);
    }
    while (s->exchanges) {
        struct exchange *x = s->exchanges;

        s->exchanges = x->next;
        free(x);
    }
    free(s->matchers);
    free(s);
}

void server_connection_gone(struct server *s)
{
    s->connection_count--;
    if (s->draining && s->connection_count == 0)
        task_queue(s->loop, &s->drained_task);
}

bool server_area_take(struct server *s, struct buf *b)
{
    struct area *area = s->areas;

    if (area) {
        s->areas = area->next;
        s->area_count--;
    } else {
        area = malloc(SERVE_READ_BYTES);
    }
    if (!area)
        return false;
    buf_init_like(b, b);
    b->area = (uint8_t *)area;
    b->size = SERVE_READ_BYTES;
    return true;
}

void server_area_give(struct server *s, struct buf *b)
{
    struct area *area = (struct area *)(void *)b->area;

    if (!area || b->size != SERVE_READ_BYTES || s->area_count >= SERVE_AREAS_MAX) {
        buf_done(b);
        return;
    }
    buf_init_like(b, b);
    area->next = s->areas;
    s->areas = area;
    s->area_count++;
}

static size_t or_size(size_t value, size_t fallback)
{
    return value ? value : fallback;
}

static uint64_t or_ms(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

static void accept_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct server_socket *socket = (struct server_socket *)(void *)io;

    (void)loop;
    (void)events;
    for (int i = 0; i < SERVE_ACCEPTS_MAX; i++)
        if (!accept_one(socket))
            return;
}

/* False: stop for now. */
static bool accept_one(struct server_socket *socket)
{
    struct server *s = socket->server;
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct addr peer;
    int fd = accept4(socket->io.fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            accepting_pause(s);
            return false;
        }
        /* Anything but an empty queue is the end of one connection that waited in it. */
        return errno != EAGAIN && errno != EINVAL && errno != EBADF;
    }
    if (s->connection_count >= s->options.connections_max) {
        refuse(fd);
        return true;
    }
    addr_from_sockaddr((struct sockaddr *)&ss, &peer);
    addr_unmap(&peer);
    connection_start(s, fd, &peer);
    return true;
}

/* One that is too many gets what fits into its socket at once, and nothing of ours is kept for it.
 */
static void refuse(int fd)
{
    struct buf out;
    uint8_t unread[SERVE_READ_BYTES];

    buf_init(&out, SERVE_READ_BYTES, "answer");
    if (http_write_answer(&out, 503, "text/plain; charset=utf-8", "Retry-After: 1\r\n",
                          VIEW("too many connections\n"), true, false, NULL)) {
        ssize_t sent = send(fd, buf_view(&out).at, buf_len(&out), MSG_NOSIGNAL | MSG_DONTWAIT);

        /* Bytes that were not read would turn the close into a reset. */
        if (sent > 0 && shutdown(fd, SHUT_WR) == 0)
            while (recv(fd, unread, sizeof unread, MSG_DONTWAIT) == (ssize_t)sizeof unread)
                ;
    }
    buf_done(&out);
    close(fd);
}

/* Without descriptors a listener would stay ready, and the loop would spin. */
static void accepting_pause(struct server *s)
{
    if (s->draining)
        return;
    accepting_watch(s, 0);
    timer_set(s->loop, &s->accept_pause, loop_now_ms(s->loop) + SERVE_ACCEPT_PAUSE_MS);
}

static void accepting_resume(struct loop *loop, struct timer *t)
{
    struct server *s = (struct server *)(void *)((char *)t - offsetof(struct server, accept_pause));

    (void)loop;
    accepting_watch(s, EPOLLIN);
}

/* Changing what is watched already takes no memory: it cannot fail. */
static void accepting_watch(struct server *s, uint32_t events)
{
    for (size_t i = 0; i < s->socket_count; i++)
        CHECK(loop_watch_level(s->loop, &s->sockets[i]->io, events, NULL));
}

static void drained_run(struct loop *loop, struct task *t)
{
    struct server *s = (struct server *)(void *)((char *)t - offsetof(struct server, drained_task));
    void (*drained)(void *) = s->drained;

    (void)loop;
    s->drained = NULL;
    if (drained)
        drained(s->drained_context);
}
