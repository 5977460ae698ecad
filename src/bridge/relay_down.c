/* Target to client, by copying: read, put the frame's head before the bytes, write once. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "bridge/stream.h"

enum { SPLICE_WORTH_BYTES = 128 * 1024, SPLICE_AFTER_READS = 2 };

void relay_count_down(struct tunnel *t, enum stats_path path, uint32_t bytes)
{
    uint64_t most = t->worker->config->bytes_max;

    t->down_bytes += bytes;
    t->window_bytes += bytes;
    t->data_ms = t->progress_ms = tunnel_now(t);
    metric_add(&t->worker->stats.down_bytes[path], bytes);
    if (most && t->up_bytes + t->down_bytes > most)
        tunnel_end(t, REASON_BYTES_EXCEEDED, BY_BRIDGE);
}

/* Chooses the size of messages by how fast the client takes bytes: a page gets a message only when all
 * of it has arrived, so it should not take longer than MESSAGE_TIME_MS. */
static void measure_client(struct tunnel *t)
{
    uint64_t passed = tunnel_now(t) - t->window_ms, rate, bytes;
    int queued = 0;

    if (passed < MESSAGE_WINDOW_MS || t->worker->config->message_max)
        return;
    bytes = t->window_bytes;
    if (bytes > MESSAGE_BYTES_FIRST && ioctl(t->client.fd, SIOCOUTQ, &queued) == 0)
        bytes -= (uint64_t)queued < bytes ? (uint64_t)queued : bytes;
    rate = bytes / passed; /* bytes a ms */
    t->message_bytes = MESSAGE_BYTES_FIRST;
    while (t->message_bytes < MESSAGE_BYTES_MOST &&
           rate * MESSAGE_TIME_MS >= (uint64_t)t->message_bytes * 2)
        t->message_bytes *= 2;
    t->window_ms = tunnel_now(t);
    t->window_bytes = 0;
}

static void drop_down(struct tunnel *t)
{
    if (t->down)
        chunk_give(&t->worker->chunks, take(t->down));
}

bool relay_down_flush(struct tunnel *t)
{
    while (t->down) {
        size_t n = chunk_len(t->down);

        if (!n) {
            drop_down(t);
            break;
        }
        if (!(t->client.bits & IO_WRITABLE))
            return false;
        switch (client_send(t, t->down->bytes + t->down->head, &n, 0)) {
        case STREAM_OK:
            t->down->head += (uint32_t)n;
            t->progress_ms = tunnel_now(t);
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

static void keep_residue(struct tunnel *t)
{
    struct chunk *c = t->down, *small;
    uint32_t n = chunk_len(c);

    t->progress_ms = tunnel_now(t);
    t->down_queued = relay_queued(t->client.fd);
    if (c->pooled && n <= CHUNK_BYTES / 4) {
        small = chunk_copy(&t->worker->chunks, c->bytes + c->head, n, n);
        if (small) {
            t->down = small;
            chunk_give(&t->worker->chunks, c);
        }
    }
    deadlines_arm(t);
}

/* Behind a residue, bytes join it; the residue then needs room of its own. */
static bool append_residue(struct tunnel *t, const void *at, size_t n)
{
    struct chunk *old = t->down, *joined;
    uint32_t len = chunk_len(old);

    joined = chunk_copy(&t->worker->chunks, old->bytes + old->head, len, len + (uint32_t)n);
    if (!joined) {
        tunnel_free(t);
        return false;
    }
    memcpy(joined->bytes + joined->tail, at, n);
    joined->tail += (uint32_t)n;
    t->down = joined;
    chunk_give(&t->worker->chunks, old);
    return true;
}

bool relay_send_client(struct tunnel *t, const void *at, size_t n, bool last)
{
    size_t sent = n;

    if (t->client.fd < 0)
        return true;
    if (t->down)
        return append_residue(t, at, n);
    switch (client_send(t, at, &sent, last ? MSG_MORE : 0)) {
    case STREAM_OK:
        break;
    case STREAM_AGAIN:
        sent = 0;
        break;
    case STREAM_EOF:
    case STREAM_RESET:
        tunnel_client_gone(t, true);
        return t->phase != TUNNEL_GONE;
    }
    if (sent == n)
        return true;
    t->down = chunk_copy(&t->worker->chunks, (const uint8_t *)at + sent, (uint32_t)(n - sent),
                         (uint32_t)(n - sent));
    if (!t->down) {
        tunnel_free(t);
        return false;
    }
    t->progress_ms = tunnel_now(t);
    t->down_queued = relay_queued(t->client.fd);
    deadlines_arm(t);
    return true;
}

/* Puts the head in the room before the payload and sends both in one call. c is ours. */
static void frame(struct tunnel *t, struct chunk *c)
{
    uint8_t head[10];
    size_t n = ws_frame_head(WS_BINARY, chunk_len(c), head);

    c->head -= (uint32_t)n;
    memcpy(c->bytes + c->head, head, n);
    metric_add(&t->worker->stats.down_frames[FRAME_DATA], 1);
    t->down = c;
    if (!relay_down_flush(t) && t->phase != TUNNEL_GONE && t->down)
        keep_residue(t);
}

static void allowance_return(struct tunnel *t, uint32_t unused)
{
    if (t->meter && t->worker->config->rate_down_max)
        t->meter->down_tokens += (uint64_t)unused * METER_BYTE;
}

static bool splice_possible(const struct tunnel *t)
{
    return t->worker->config->splice != SPLICE_OFF && !(t->tls && !tls_kernel_send(t->tls)) &&
           t->target_addr.family != AF_UNIX && !t->meter;
}

static void adapt(struct tunnel *t, uint32_t want, uint32_t got)
{
    if (got == want && t->down_want < CHUNK_BYTES)
        t->down_want *= 2;
    else if (got < t->down_want / 8 && t->down_want > RELAY_READ_FIRST)
        t->down_want /= 2;
    t->bulk = got >= SPLICE_WORTH_BYTES ? (uint8_t)(t->bulk + 1) : 0;
    if ((t->bulk >= SPLICE_AFTER_READS || t->worker->config->splice == SPLICE_ON) &&
        splice_possible(t)) {
        relay_splice_enter(t);
    }
}

/* True: a read was made and there may be more. */
static bool copy_once(struct tunnel *t, uint64_t *moved)
{
    struct worker *w = t->worker;
    bool discarding = tunnel_has(t, T_TARGET_DISCARD);
    uint32_t want = t->down_want < t->message_bytes ? t->down_want : t->message_bytes;
    struct chunk *c;
    size_t n;

    if (!discarding) {
        want = relay_room(t->client.fd, want, RELAY_UNSENT_BYTES);
        want = relay_allowance(t, false, want);
        if (!want)
            return false;
    }
    c = chunk_take(&w->chunks);
    if (!c) {
        tunnel_wait_for_memory(t);
        return false;
    }
    n = want;
    switch (stream_recv_plain(&t->target, c->bytes + c->head, &n)) {
    case STREAM_OK:
        break;
    case STREAM_AGAIN:
        allowance_return(t, want);
        chunk_give(&w->chunks, c);
        return false;
    case STREAM_EOF:
        chunk_give(&w->chunks, c);
        tunnel_target_gone(t, false);
        return false;
    case STREAM_RESET:
        chunk_give(&w->chunks, c);
        tunnel_target_gone(t, true);
        return false;
    }
    *moved += n;
    allowance_return(t, want - (uint32_t)n);
    if (discarding) {
        chunk_give(&w->chunks, c);
        return true;
    }
    c->tail = c->head + (uint32_t)n;
    relay_count_down(t, t->tls && !tls_kernel_send(t->tls) ? PATH_TLS : PATH_COPY, (uint32_t)n);
    adapt(t, want, (uint32_t)n);
    frame(t, c);
    return t->phase != TUNNEL_GONE;
}

static bool may_read(const struct tunnel *t)
{
    if (t->target.fd < 0 || tunnel_has(t, T_TARGET_EOF | T_WAITING) ||
        !(t->target.bits & IO_READABLE))
        return false;
    return tunnel_has(t, T_TARGET_DISCARD) || (!t->down && (t->client.bits & IO_WRITABLE));
}

/* What the pipe still holds goes out before anything else may. */
static bool pipe_waits(const struct tunnel *t)
{
    return t->pipe && t->pipe->bytes;
}

bool relay_down(struct tunnel *t)
{
    uint64_t moved = 0;
    bool spent = true; /* the turn, as long as nothing says that there is no more to do */

    if (t->client.fd >= 0 && t->down && !relay_down_flush(t))
        return false;
    measure_client(t);
    for (int i = 0; i < RELAY_TURN_READS && moved < RELAY_TURN_BYTES; i++) {
        if (pipe_waits(t) ||
            (tunnel_has(t, T_SPLICE) && !tunnel_has(t, T_TARGET_DISCARD) && may_read(t))) {
            spent = relay_splice(t, &moved);
            if (!spent)
                break;
            continue;
        }
        control_flush(t);
        spent = t->phase != TUNNEL_GONE && may_read(t) && copy_once(t, &moved);
        if (!spent)
            break;
    }
    t->heavy |= moved >= RELAY_TURN_LONG;
    if (t->phase == TUNNEL_GONE)
        return false;
    if (t->pipe && !t->pipe->bytes)
        relay_splice_leave(t);
    if (!pipe_waits(t))
        control_flush(t);
    return spent && t->phase != TUNNEL_GONE && may_read(t);
}
