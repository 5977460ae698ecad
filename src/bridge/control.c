/* Control frames: Ping is answered, Pong is noted, Close begins the end. What we owe waits in flags and
 * goes out between data frames; of several Pings only the newest is answered (RFC 6455, 5.5.3). */
#include <stdlib.h>

#include "bridge/stream.h"

static bool flood(struct tunnel *t)
{
    tunnel_end(t, REASON_RATE_EXCEEDED, BY_CLIENT);
    return false;
}

bool control_frame_counted(struct tunnel *t, bool empty)
{
    uint32_t second = (uint32_t)(tunnel_now(t) / 1000);

    if (t->reason)
        return true; /* the end is decided already */
    if (second != t->control_second) {
        t->control_second = second;
        t->control_count = t->empty_count = 0;
    }
    if (empty)
        return ++t->empty_count <= EMPTY_PER_SECOND || flood(t);
    return ++t->control_count <= CONTROL_PER_SECOND || flood(t);
}

bool control_piece(struct tunnel *t, struct view piece, unsigned phase)
{
    struct control *c;

    if (t->decoder.opcode == WS_PONG)
        return true;
    if (!t->control)
        t->control = calloc(1, sizeof *t->control);
    c = t->control;
    if (!c) {
        tunnel_end(t, REASON_OVERLOADED, BY_BRIDGE);
        return false;
    }
    memcpy(c->in + c->in_len, piece.at, piece.len); /* the decoder lets at most 125 bytes through */
    ws_unmask(c->in + c->in_len, piece.len, t->decoder.mask, phase);
    c->in_len = (uint8_t)(c->in_len + piece.len);
    return true;
}

static void close_received(struct tunnel *t, struct view payload)
{
    unsigned code;
    struct view reason;
    bool good = ws_close_parse(payload, &code, &reason);

    metric_add(&t->worker->stats.up_frames[FRAME_CLOSE], 1);
    t->flags |= T_CLOSE_RECEIVED;
    t->close_received = (uint16_t)(good ? code : WS_CLOSE_NO_STATUS);
    if (!good && !t->reason) {
        tunnel_end_code(t,
                        code == WS_CLOSE_INVALID_DATA ? REASON_INVALID_UTF8 : REASON_PROTOCOL_ERROR,
                        BY_CLIENT, (uint16_t)code);
        return;
    }
    tunnel_end_code(t, REASON_CLIENT_CLOSED, BY_CLIENT, (uint16_t)code);
}

bool control_end(struct tunnel *t)
{
    struct control *c = t->control;
    struct view payload = c ? view_from(c->in, c->in_len) : view_from(NULL, 0);

    switch ((enum ws_opcode)t->decoder.opcode) {
    case WS_CLOSE:
        close_received(t, payload);
        if (c)
            c->in_len = 0;
        return false;
    case WS_PING:
        metric_add(&t->worker->stats.up_frames[FRAME_PING], 1);
        if (c) {
            memcpy(c->pong, c->in, c->in_len);
            c->pong_len = c->in_len;
            c->in_len = 0;
        }
        if (!tunnel_has(t, T_CLOSE_DUE | T_CLOSE_SENT))
            t->flags |= T_PONG_DUE;
        return true;
    case WS_PONG:
        metric_add(&t->worker->stats.up_frames[FRAME_PONG], 1);
        return true;
    case WS_CONTINUATION:
    case WS_TEXT:
    case WS_BINARY:
        break;
    }
    return true;
}

static void send_pong(struct tunnel *t)
{
    uint8_t out[10 + WS_CONTROL_MAX];
    uint8_t len = t->control ? t->control->pong_len : 0;
    size_t n = ws_frame_head(WS_PONG, len, out);

    if (len)
        memcpy(out + n, t->control->pong, len);
    t->flags &= ~(uint32_t)T_PONG_DUE;
    if (t->control && !t->control->in_len)
        free(take(t->control));
    metric_add(&t->worker->stats.down_frames[FRAME_PONG], 1);
    (void)relay_send_client(t, out, n + len, false);
}

static void send_ping(struct tunnel *t)
{
    uint8_t out[10];
    size_t n = ws_frame_head(WS_PING, 0, out);

    t->flags &= ~(uint32_t)T_PING_DUE;
    metric_add(&t->worker->stats.down_frames[FRAME_PING], 1);
    (void)relay_send_client(t, out, n, false);
}

static void send_close(struct tunnel *t)
{
    uint8_t out[2 + WS_CONTROL_MAX];
    bool echo = t->reason == REASON_CLIENT_CLOSED;
    size_t n =
        ws_close_frame(t->close_code, echo ? NULL : reason_token((enum reason)t->reason), out);

    t->flags &= ~(uint32_t)(T_CLOSE_DUE | T_PING_DUE | T_PONG_DUE);
    t->flags |= T_CLOSE_SENT;
    t->end_ms = t->reason == REASON_PROTOCOL_ERROR ? tunnel_now(t) + REFUSED_DRAIN_MS
                                                   : tunnel_answer_due(t);
    t->down_queued = UINT32_MAX;
    t->progress_ms = tunnel_now(t);
    metric_add(&t->worker->stats.down_frames[FRAME_CLOSE], 1);
    (void)relay_send_client(t, out, n, tunnel_closes_first(t));
}

void control_flush(struct tunnel *t)
{
    if (!tunnel_has(t, T_PONG_DUE | T_PING_DUE | T_CLOSE_DUE) || t->client.fd < 0 || t->down ||
        !tunnel_has(t, T_UPGRADED) || tunnel_has(t, T_CLOSE_SENT))
        return;
    if (tunnel_has(t, T_PONG_DUE) && !tunnel_has(t, T_CLOSE_DUE))
        send_pong(t);
    if (t->phase != TUNNEL_GONE && tunnel_has(t, T_PING_DUE) && !tunnel_has(t, T_CLOSE_DUE) &&
        !t->down)
        send_ping(t);
    if (t->phase != TUNNEL_GONE && tunnel_has(t, T_CLOSE_DUE) && !t->down)
        send_close(t);
}
