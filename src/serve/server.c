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
static const struct serve_route *route_find(const struct server *s, struct view method,
                                            struct view path);
static bool path_known(const struct server *s, struct view path);
static bool answer_unknown(const struct server *s, struct view path, bool head_only, bool closing,
                           struct buf *out, struct err *err);

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
    free(s);
}

void server_connection_gone(struct server *s)
{
    s->connection_count--;
    if (s->draining && s->connection_count == 0)
        task_queue(s->loop, &s->drained_task);
}

bool server_answer(struct server *s, const struct http_head *head, const struct http_target *target,
                   struct view body, const struct addr *peer, bool closing, struct buf *out,
                   struct err *err)
{
    bool head_only = view_eq(head->method, VIEW("HEAD")), ok;
    const struct serve_route *route =
        route_find(s, head_only ? VIEW("GET") : head->method, target->path);
    struct serve_request request;
    serve_handler *handler;
    void *context;
    struct err cause = {.code = ERR_INTERNAL};
    struct buf content;
    struct serve_answer answer = {200, "text/plain; charset=utf-8", NULL, &content};
    int status;

    if (!route && !(s->options.otherwise && !path_known(s, target->path)))
        return answer_unknown(s, target->path, head_only, closing, out, err);
    handler = route ? route->handler : s->options.otherwise;
    context = route ? route->context : s->options.otherwise_context;
    request = (struct serve_request){head, target->path, target->query, body, *peer};
    buf_init(&content, s->options.answer_bytes_max, "answer");
    if (handler(context, &request, &answer, &cause)) {
        ok = http_write_answer(out, answer.status, answer.content_type, answer.extra,
                               buf_view(&content), closing, head_only, err);
    } else {
        status = err_http_status(cause.code);
        ok = server_answer_status(status, status < 500 ? cause.text : NULL, NULL, closing,
                                  head_only, out, err);
    }
    buf_done(&content);
    return ok;
}

bool server_answer_status(int status, const char *text, const char *extra, bool closing,
                          bool head_only, struct buf *out, struct err *err)
{
    char line[ERR_TEXT_BYTES + 2];
    int len = snprintf(line, sizeof line, "%s\n", text ? text : http_reason(status));

    return http_write_answer(out, status, "text/plain; charset=utf-8", extra,
                             view_from(line, (size_t)len), closing, head_only, err);
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
    if (server_answer_status(503, "too many connections", "Retry-After: 1\r\n", true, false, &out,
                             NULL)) {
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

static const struct serve_route *route_find(const struct server *s, struct view method,
                                            struct view path)
{
    for (size_t i = 0; i < s->options.route_count; i++) {
        const struct serve_route *route = &s->options.routes[i];

        if (view_eq(view_str(route->path), path) && view_eq(view_str(route->method), method))
            return route;
    }
    return NULL;
}

static bool path_known(const struct server *s, struct view path)
{
    for (size_t i = 0; i < s->options.route_count; i++)
        if (view_eq(view_str(s->options.routes[i].path), path))
            return true;
    return false;
}

/* 405 and what would be allowed, or 404. */
static bool answer_unknown(const struct server *s, struct view path, bool head_only, bool closing,
                           struct buf *out, struct err *err)
{
    char allow[128] = "";
    size_t len = 0;

    for (size_t i = 0; i < s->options.route_count && len < sizeof allow / 2; i++) {
        const struct serve_route *route = &s->options.routes[i];

        if (view_eq(view_str(route->path), path))
            len += (size_t)snprintf(allow + len, sizeof allow - len, "%s%.16s%s",
                                    len ? ", " : "Allow: ", route->method,
                                    strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
    }
    if (len == 0)
        return server_answer_status(404, NULL, NULL, closing, head_only, out, err);
    snprintf(allow + len, sizeof allow - len, "\r\n");
    return server_answer_status(405, NULL, allow, closing, head_only, out, err);
}
