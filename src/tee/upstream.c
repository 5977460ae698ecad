#include "tee/upstream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/poison.h"

enum { PIECE_BYTES = 32 * 1024, OUT_MAX = 2 * UPSTREAM_OUT_MAX, IN_MAX = 2 * UPSTREAM_IN_MAX };

static void upstream_freed(struct loop *loop, struct retired *retired)
{
    struct upstream *u =
        (struct upstream *)(void *)((char *)retired - offsetof(struct upstream, retired));

    (void)loop;
    buf_done(&u->out);
    buf_done(&u->in);
    free(u);
}

static void drop(struct upstream *u)
{
    loop_forget(u->worker->loop, &u->io);
    close(u->io.fd);
    u->io.fd = -1;
    loop_retire(u->worker->loop, &u->retired);
}

static void unlink_idle(struct upstream *u)
{
    struct upstream **at = &u->worker->idle;

    while (*at && *at != u)
        at = &(*at)->next;
    if (*at) {
        *at = u->next;
        u->worker->idle_count--;
    }
}

static void ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct upstream *u = (struct upstream *)(void *)io;

    (void)loop;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= UPSTREAM_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        io->bits |= UPSTREAM_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= UPSTREAM_HUNG_UP;
    if (u->conn) {
        conn_upstream_ready(u->conn);
    } else if (events &
               (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) { /* nobody asked for anything */
        unlink_idle(u);
        drop(u);
    }
}

static struct upstream *dial(struct worker *w, struct err *err)
{
    const struct sockaddr *address = (const struct sockaddr *)&w->site->upstream;
    struct upstream *u = calloc(1, sizeof *u);
    int one = 1;

    if (!u) {
        (void)err_set(err, ERR_MEMORY, "no memory for a connection");
        return NULL;
    }
    u->worker = w;
    u->io.ready = ready;
    u->retired.free = upstream_freed;
    buf_init(&u->out, OUT_MAX, "request");
    buf_init(&u->in, IN_MAX, "answer");
    u->io.fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->io.fd >= 0 && address->sa_family != AF_UNIX)
        (void)setsockopt(u->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (u->io.fd >= 0 &&
        (connect(u->io.fd, address, w->site->upstream_len) == 0 || errno == EINPROGRESS) &&
        loop_watch(w->loop, &u->io, err))
        return u;
    (void)err_system(err, ERR_IO, errno, "connecting to the application");
    if (u->io.fd >= 0)
        close(u->io.fd);
    free(u);
    return NULL;
}

struct upstream *upstream_take(struct worker *w, bool fresh, struct err *err)
{
    struct upstream *u = fresh ? NULL : w->idle;

    if (!u)
        return dial(w, err);
    w->idle = u->next;
    w->idle_count--;
    u->next = NULL;
    u->reused = true;
    return u;
}

static void send_some(struct upstream *u)
{
    while (buf_len(&u->out) && u->io.bits & UPSTREAM_WRITABLE) {
        struct view v = buf_view(&u->out);
        ssize_t n = send(u->io.fd, v.at, v.len, MSG_NOSIGNAL);

        if (n >= 0) {
            buf_eat(&u->out, (size_t)n);
        } else if (errno == EAGAIN) {
            u->io.bits &= ~(uint32_t)UPSTREAM_WRITABLE;
        } else if (errno != EINTR) {
            u->broken = true; /* it may have answered before: reading goes on */
            buf_reset(&u->out);
        }
    }
}

static void receive_some(struct upstream *u)
{
    while (u->io.bits & UPSTREAM_READABLE && buf_len(&u->in) < UPSTREAM_IN_MAX && !u->ended) {
        uint8_t *room;
        ssize_t n;

        if (!buf_room(&u->in, PIECE_BYTES, &room, NULL)) {
            u->broken = u->ended = true;
            return;
        }
        n = recv(u->io.fd, room, PIECE_BYTES, 0);
        if (n > 0) {
            buf_wrote(&u->in, (size_t)n);
            if (n < PIECE_BYTES) {
                /* All there was: an edge tells of more. Of the end it has told already when both came together. */
                if (!(u->io.bits & UPSTREAM_HUNG_UP))
                    u->io.bits &= ~(uint32_t)UPSTREAM_READABLE;
                return;
            }
        } else if (n == 0) {
            u->ended = true;
        } else if (errno == EAGAIN) {
            u->io.bits &= ~(uint32_t)UPSTREAM_READABLE;
        } else if (errno != EINTR) {
            u->broken = u->ended = true;
        }
    }
}

void upstream_pump(struct upstream *u, bool receive)
{
    if (!u->connected && u->io.bits & UPSTREAM_WRITABLE) {
        int failure = 0;
        socklen_t n = sizeof failure;

        if (getsockopt(u->io.fd, SOL_SOCKET, SO_ERROR, &failure, &n) < 0 || failure)
            u->broken = u->ended = true;
        else
            u->connected = true;
    }
    if (u->connected)
        send_some(u);
    if (u->connected && receive)
        receive_some(u);
}

void upstream_give(struct upstream *u, bool reusable)
{
    struct worker *w = u->worker;

    u->conn = NULL;
    if (!reusable || u->ended || u->broken || buf_len(&u->in) || buf_len(&u->out) ||
        w->idle_count >= TEE_IDLE_UPSTREAMS || atomic_load(&w->site->draining)) {
        drop(u);
        return;
    }
    u->next = w->idle;
    w->idle = u;
    w->idle_count++;
}

void upstream_close_idle(struct worker *w)
{
    while (w->idle) {
        struct upstream *u = w->idle;

        w->idle = u->next;
        w->idle_count--;
        drop(u);
    }
}
