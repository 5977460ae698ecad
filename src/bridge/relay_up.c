/* Client to target: frames in, bytes out. One read takes as many frames as it holds; their payloads are
 * unmasked and closed up in the same buffer, so that one write carries them all. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "bridge/stream.h"

enum { METER_FULL_MS = 1000 };

uint32_t relay_room(int fd, uint32_t want, uint32_t unsent_max)
{
    int unsent;
    uint32_t room;

    if (want <= RELAY_READ_FIRST)
        return want;
    if (ioctl(fd, SIOCOUTQNSD, &unsent) < 0 || unsent < 0) /* not TCP */
        return want < CHUNK_BYTES / 4 ? want : (uint32_t)CHUNK_BYTES / 4;
    if ((uint32_t)unsent >= unsent_max)
        return RELAY_PROBE_BYTES;
    room = unsent_max - (uint32_t)unsent;
    if (room < RELAY_READ_FIRST)
        room = RELAY_READ_FIRST;
    return want < room ? want : room;
}

uint32_t relay_queued(int fd)
{
    int queued = 0;

    return fd >= 0 && ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (uint32_t)queued : 0;
}

/* A bucket holds what a second brings. */
static void fill(uint64_t *tokens, uint64_t passed_ms, uint64_t rate)
{
    *tokens += passed_ms * rate; /* thousandths of bytes: METER_BYTE of them a second and byte */
    if (*tokens > rate * METER_BYTE)
        *tokens = rate * METER_BYTE;
}

uint32_t relay_allowance(struct tunnel *t, bool up, uint32_t want)
{
    const struct config *c = t->worker->config;
    uint64_t rate = up ? c->rate_up_max : c->rate_down_max, passed, *tokens;
    struct meter *m = t->meter;

    if (!m || !rate)
        return want;
    passed = tunnel_now(t) - m->filled_ms;
    m->filled_ms += passed;
    if (passed > METER_FULL_MS)
        passed = METER_FULL_MS;
    fill(&m->up_tokens, passed, c->rate_up_max);
    fill(&m->down_tokens, passed, c->rate_down_max);
    tokens = up ? &m->up_tokens : &m->down_tokens;
    if (*tokens < METER_BYTE) {
        t->flags |= T_METERED;
        deadlines_arm(t);
        return 0;
    }
    if (want > *tokens / METER_BYTE)
        want = (uint32_t)(*tokens / METER_BYTE);
    *tokens -= (uint64_t)want * METER_BYTE;
    return want;
}

/* What was asked for and did not come goes back into the bucket. */
static void allowance_return(struct tunnel *t, uint32_t unused)
{
    if (t->meter && t->worker->config->rate_up_max)
        t->meter->up_tokens += (uint64_t)unused * METER_BYTE;
}

static void drop_up(struct tunnel *t)
{
    if (t->up)
        chunk_give(&t->worker->chunks, take(t->up));
    t->flags &= ~(uint32_t)T_EARLY;
}

/* The target takes nothing more. What it still has to say is read before we end. */
static void target_broken(struct tunnel *t)
{
    drop_up(t);
    t->flags |= T_TARGET_BROKEN | T_CLIENT_DISCARD;
    t->target.bits |= IO_READABLE | IO_ENDED;
    tunnel_wake(t);
}

/* True: nothing waits any more. */
static bool flush(struct tunnel *t)
{
    while (t->up) {
        size_t n = chunk_len(t->up);

        if (!n) {
            drop_up(t);
            break;
        }
        if (!(t->target.bits & IO_WRITABLE))
            return false;
        switch (stream_send_plain(&t->target, t->up->bytes + t->up->head, &n, 0)) {
        case STREAM_OK:
            t->up->head += (uint32_t)n;
            t->progress_ms = tunnel_now(t);
            break;
        case STREAM_AGAIN:
            return false;
        case STREAM_EOF:
        case STREAM_RESET:
            target_broken(t);
            return true;
        }
    }
    return true;
}

/* Gives the large buffer back when what it still holds is little. */
static void keep_residue(struct tunnel *t, struct chunk *c)
{
    uint32_t n = chunk_len(c);

    t->up = c;
    t->progress_ms = tunnel_now(t);
    t->up_queued = relay_queued(t->target.fd);
    if (c->pooled && n <= CHUNK_BYTES / 4) {
        struct chunk *small = chunk_copy(&t->worker->chunks, c->bytes + c->head, n, n);

        if (small) {
            t->up = small;
            chunk_give(&t->worker->chunks, c);
        }
    }
    deadlines_arm(t);
}

static void count_up(struct tunnel *t, size_t n)
{
    uint64_t most = t->worker->config->bytes_max;

    t->up_bytes += n;
    t->data_ms = tunnel_now(t);
    t->flags |= T_FIRST_DATA;
    metric_add(&t->worker->stats.up_bytes, n);
    if (most && t->up_bytes + t->down_bytes > most)
        tunnel_end(t, REASON_BYTES_EXCEEDED, BY_BRIDGE);
}

static bool text_piece(struct tunnel *t, const uint8_t *at, size_t n)
{
    if (t->decoder.message != WS_TEXT || utf8_feed(&t->text, view_from(at, n)))
        return true;
    tunnel_end(t, REASON_INVALID_UTF8, BY_CLIENT);
    return false;
}

static bool head_begun(struct tunnel *t)
{
    struct ws_decoder *d = &t->decoder;

    if (d->opcode >= WS_CLOSE)
        return control_frame_counted(t, false);
    metric_add(&t->worker->stats.up_frames[FRAME_DATA], 1);
    return d->left || control_frame_counted(t, true);
}

static bool frame_ended(struct tunnel *t)
{
    if (t->decoder.opcode >= WS_CLOSE)
        return control_end(t);
    if (t->worker->config->strict_text && t->decoder.fin && t->decoder.message == WS_TEXT) {
        if (!utf8_complete(&t->text)) {
            tunnel_end(t, REASON_INVALID_UTF8, BY_CLIENT);
            return false;
        }
    }
    return true;
}

static void frames_broken(struct tunnel *t)
{
    bool big = t->decoder.close_code == WS_CLOSE_TOO_BIG;

    log_event_limited(t->worker->log, LOG_INFO, "tunnel.protocol_error", t->decoder.reason,
                      F_STR("target", tunnel_label(t, 0)));
    tunnel_end(t, big ? REASON_FRAME_TOO_BIG : REASON_PROTOCOL_ERROR, BY_CLIENT);
}

/* Decodes the bytes at c->bytes + from, n of them. keep: payload ends up contiguous in [head, tail);
 * otherwise only control frames are looked at. An end in the middle leaves the rest to be read for the
 * client's Close, which must not be missed. */
static void decode(struct tunnel *t, struct chunk *c, uint32_t from, size_t n, bool keep)
{
    struct view in = view_from(c->bytes + from, n), piece;
    uint8_t *to = NULL, *begin = NULL, *at;
    unsigned phase;
    bool on = true;

    c->head = c->tail = from;
    while (on) {
        switch (ws_decode(&t->decoder, &in, &piece, &phase)) {
        case WS_NEED_MORE:
            on = false;
            break;
        case WS_HEAD:
            keep = head_begun(t) && keep;
            break;
        case WS_PAYLOAD:
            if (t->decoder.opcode >= WS_CLOSE) {
                keep = control_piece(t, piece, phase) && keep;
                break;
            }
            if (!keep)
                break;
            at = c->bytes + (piece.at - c->bytes);
            if (!to)
                to = begin = at;
            ws_unmask_to(to, at, piece.len, t->decoder.mask, phase);
            if (!t->worker->config->strict_text || text_piece(t, to, piece.len))
                to += piece.len;
            else
                keep = false;
            break;
        case WS_FRAME_END:
            keep = frame_ended(t) && keep;
            on = !tunnel_has(
                t, T_CLOSE_RECEIVED); /* what follows is not looked at (RFC 6455, 5.5.1) */
            break;
        case WS_FAILED:
            frames_broken(t);
            on = false;
            break;
        }
        if (t->phase == TUNNEL_GONE)
            return;
    }
    if (begin) {
        c->head = (uint32_t)(begin - c->bytes);
        c->tail = (uint32_t)(to - c->bytes);
        count_up(t, (size_t)(to - begin));
    }
}

/* Sends what was decoded; keeps what does not go. c is ours. */
static void forward(struct tunnel *t, struct chunk *c)
{
    if (t->phase == TUNNEL_GONE) {
        chunk_give(&t->worker->chunks, c);
        return;
    }
    if (tunnel_has(t, T_TARGET_BROKEN | T_TARGET_RST | T_TARGET_SHUT) || t->target.fd < 0)
        c->head = c->tail;
    t->up = c;
    if (!flush(t))
        keep_residue(t, take(t->up));
}

static void early(struct tunnel *t)
{
    struct chunk *c = take(t->up);
    uint32_t from = c->head, n = chunk_len(c);

    t->flags &= ~(uint32_t)T_EARLY;
    decode(t, c, from, n, true);
    forward(t, c);
}

static void client_ended(struct tunnel *t, bool reset)
{
    t->client.bits &= ~(uint32_t)IO_READABLE;
    tunnel_client_gone(t, reset);
}

/* Once an end is decided the client is read for its Close alone; before 101 not even for that. */
static bool discard(struct tunnel *t, struct chunk *c, size_t n)
{
    if (!tunnel_has(t, T_UPGRADED) || tunnel_has(t, T_CLOSE_RECEIVED) ||
        t->reason == REASON_PROTOCOL_ERROR || t->reason == REASON_FRAME_TOO_BIG)
        return true;
    decode(t, c, CHUNK_HEAD_ROOM, n, false);
    return t->phase != TUNNEL_GONE;
}

/* One read and what follows from it. False: nothing more to do now. */
static bool read_once(struct tunnel *t, uint64_t *moved)
{
    struct worker *w = t->worker;
    bool discarding = tunnel_has(t, T_CLIENT_DISCARD);
    uint32_t want = t->up_want;
    struct chunk *c;
    size_t n;

    if (!discarding) {
        want = relay_room(t->target.fd, want, RELAY_UNSENT_BYTES);
        want = relay_allowance(t, true, want);
        if (!want)
            return false;
    }
    c = chunk_take(&w->chunks);
    if (!c) {
        tunnel_wait_for_memory(t);
        return false;
    }
    n = want;
    switch (client_recv(t, c->bytes + CHUNK_HEAD_ROOM, &n)) {
    case STREAM_OK:
        break;
    case STREAM_AGAIN:
        allowance_return(t, want);
        chunk_give(&w->chunks, c);
        return false;
    case STREAM_EOF:
        chunk_give(&w->chunks, c);
        client_ended(t, false);
        return false;
    case STREAM_RESET:
        chunk_give(&w->chunks, c);
        client_ended(t, true);
        return false;
    }
    *moved += n;
    allowance_return(t, want - (uint32_t)n);
    t->heard_ms = tunnel_now(t);
    t->flags &= ~(uint32_t)T_PINGED;
    if (n == t->up_want && t->up_want < CHUNK_BYTES) {
        t->up_want *= 2;
        dialling_bulk(t);
    }
    if (n < t->up_want / 8 && t->up_want > RELAY_READ_FIRST)
        t->up_want /= 2;
    if (discarding) {
        bool here = discard(t, c, n);

        chunk_give(&w->chunks, c);
        return here;
    }
    decode(t, c, CHUNK_HEAD_ROOM, n, true);
    forward(t, c);
    return t->phase != TUNNEL_GONE;
}

static bool may_read(const struct tunnel *t)
{
    if (t->client.fd < 0 || tunnel_has(t, T_CLIENT_EOF | T_WAITING))
        return false;
    if (!(t->client.bits & IO_READABLE) && !(t->tls && tls_pending(t->tls)))
        return false;
    if (tunnel_has(t, T_CLIENT_DISCARD))
        return true;
    /* A target that is full stops the client; one that is gone ends the tunnel elsewhere. */
    return !t->up && (t->target.bits & IO_WRITABLE);
}

bool relay_up(struct tunnel *t)
{
    uint64_t moved = 0;
    bool spent = true; /* the turn, as long as nothing says that there is no more to do */

    if (t->up && tunnel_has(t, T_EARLY)) {
        early(t);
        if (t->phase == TUNNEL_GONE)
            return false;
    }
    (void)flush(t);
    for (int i = 0; spent && i < RELAY_TURN_READS && moved < RELAY_TURN_BYTES; i++)
        spent = may_read(t) && read_once(t, &moved);
    t->heavy |= moved >= RELAY_TURN_LONG;
    return spent && may_read(t);
}
