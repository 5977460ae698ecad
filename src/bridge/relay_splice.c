/* Target to client without touching the bytes: splice() moves pages from socket to pipe to socket, and
 * only the frame heads are written. A frame's length is known once its bytes are in the pipe. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "bridge/stream.h"

enum { SMALL_FILL_BYTES = 16 * 1024, SMALL_FILLS_MAX = 4 };

void relay_splice_leave(struct tunnel *t)
{
    if (t->pipe)
        pipe_give(&t->worker->pipes, take(t->pipe));
}

/* A whole pipe at a time keeps both ends of the socket busy; what the kernel may hold unsent grows with it,
 * so that a pipe empties in one go. */
static void unsent_bound(const struct tunnel *t, int bytes)
{
    (void)setsockopt(t->client.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

void relay_splice_enter(struct tunnel *t)
{
    t->flags |= T_SPLICE;
    t->bulk = 0;
    unsent_bound(t, RELAY_UNSENT_SPLICE);
}

static void stop_splicing(struct tunnel *t)
{
    unsent_bound(t, RELAY_UNSENT_BYTES);
    t->flags &= ~(uint32_t)T_SPLICE;
    t->bulk = 0;
}

/* Takes what the target has into the empty pipe. */
static bool fill(struct tunnel *t)
{
    struct pipe *p = t->pipe;
    uint32_t want = relay_room(t->client.fd, p->size, RELAY_UNSENT_SPLICE);
    ssize_t n;

    do
        n = splice(t->target.fd, NULL, p->write_fd, NULL, want, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        p->bytes = (uint32_t)n;
        relay_count_down(t, PATH_SPLICE, (uint32_t)n); /* progress_ms is now */
        t->bulk = n < SMALL_FILL_BYTES ? (uint8_t)(t->bulk + 1) : 0;
        if (t->bulk >= SMALL_FILLS_MAX && t->worker->config->splice == SPLICE_AUTO)
            stop_splicing(t);
        return true;
    }
    if (n == 0) {
        tunnel_target_gone(t, false);
    } else if (errno == EAGAIN) { /* the pipe is empty, so it is the socket that has nothing */
        t->target.bits &= ~(uint32_t)IO_READABLE;
    } else if (errno == EINVAL || errno == ENOSYS) { /* not for this kind of socket: copy */
        stop_splicing(t);
    } else {
        tunnel_target_gone(t, true);
    }
    return false;
}

/* The head of the next frame, held back by the kernel (MSG_MORE) until its payload follows. */
static bool send_head(struct tunnel *t)
{
    struct pipe *p = t->pipe;

    if (!p->frame_left) {
        p->frame_left = p->bytes < t->message_bytes ? p->bytes : t->message_bytes;
        p->head_len = (uint8_t)ws_frame_head(WS_BINARY, p->frame_left, p->head);
        p->head_sent = 0;
        metric_add(&t->worker->stats.down_frames[FRAME_DATA], 1);
    }
    while (p->head_sent < p->head_len) {
        size_t n = (size_t)(p->head_len - p->head_sent);

        switch (stream_send_plain(&t->client, p->head + p->head_sent, &n, MSG_MORE)) {
        case STREAM_OK:
            p->head_sent = (uint8_t)(p->head_sent + n);
            break;
        case STREAM_AGAIN:
            return false;
        case STREAM_EOF:
        case STREAM_RESET:
            tunnel_client_gone(t, true);
            return false;
        }
    }
    return true;
}

/* One frame's payload, or as much of it as the client takes. */
static bool send_payload(struct tunnel *t)
{
    struct pipe *p = t->pipe;

    while (p->frame_left) {
        unsigned more = p->frame_left < p->bytes ? SPLICE_F_MORE : 0u;
        ssize_t n = splice(p->read_fd, NULL, t->client.fd, NULL, p->frame_left,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK | more);

        if (n > 0) {
            p->frame_left -= (uint32_t)n;
            p->bytes -= (uint32_t)n;
            t->progress_ms = tunnel_now(t);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            t->client.bits &= ~(uint32_t)IO_WRITABLE;
            return false;
        } else {
            tunnel_client_gone(t, true);
            return false;
        }
    }
    return true;
}

static bool drain(struct tunnel *t)
{
    while (t->pipe->bytes) {
        if (!(t->client.bits & IO_WRITABLE) || !send_head(t) || !send_payload(t)) {
            if (t->phase == TUNNEL_GONE || t->client.fd < 0)
                return false;
            t->down_queued = relay_queued(t->client.fd);
            deadlines_arm(t);
            return false;
        }
    }
    return true;
}

bool relay_splice(struct tunnel *t, uint64_t *budget)
{
    struct worker *w = t->worker;

    if (!t->pipe) {
        control_flush(t); /* between frames */
        if (t->phase == TUNNEL_GONE || t->down)
            return false;
        /* What a slow reader leaves in a pipe becomes memory: none is begun that would not fit. */
        t->pipe = chunk_room(&w->chunks, PIPE_BYTES) ? pipe_take(&w->pipes) : NULL;
        if (!t->pipe) {
            stop_splicing(t);
            return true;
        }
    }
    if (!t->pipe->bytes) {
        control_flush(t);
        if (t->phase == TUNNEL_GONE || t->down || !fill(t))
            return t->phase != TUNNEL_GONE && !tunnel_has(t, T_SPLICE);
        *budget += t->pipe->bytes;
    }
    return drain(t);
}

static bool read_all(int fd, uint8_t *at, uint32_t n)
{
    while (n) {
        ssize_t got = read(fd, at, n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        n -= (uint32_t)got;
    }
    return true;
}

/* A pipe is too scarce to wait for a slow reader in: its bytes, with the heads they need, become an
 * ordinary residue. */
void relay_splice_spill(struct tunnel *t)
{
    struct pipe *p = t->pipe;
    uint32_t heads, room;
    struct chunk *c;

    if (!p || !p->bytes || t->down)
        return;
    heads = (p->bytes / t->message_bytes + 2) * 10;
    room = p->bytes + heads;
    c = chunk_copy(&t->worker->chunks, p->head + p->head_sent,
                   p->frame_left ? (uint32_t)(p->head_len - p->head_sent) : 0, room);
    if (!c)
        return;
    while (p->bytes) {
        if (!p->frame_left) {
            p->frame_left = p->bytes < t->message_bytes ? p->bytes : t->message_bytes;
            c->tail += (uint32_t)ws_frame_head(WS_BINARY, p->frame_left, c->bytes + c->tail);
            metric_add(&t->worker->stats.down_frames[FRAME_DATA], 1);
        }
        if (!read_all(p->read_fd, c->bytes + c->tail, p->frame_left))
            break; /* cannot happen: the pipe is ours and holds these bytes */
        c->tail += p->frame_left;
        p->bytes -= p->frame_left;
        p->frame_left = 0;
    }
    t->down = c;
    relay_splice_leave(t);
}
