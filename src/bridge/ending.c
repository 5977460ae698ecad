/* How tunnels end.
 *
 *   what happened            to the client                        to the target
 *   target FIN               the rest, Close 1000, its Close      FIN
 *   target RST               what was read, Close 1014            –
 *   client Close             the same code back, our FIN          every byte before it, FIN, drained
 *   client FIN, no Close     –                                    every byte before it, FIN, drained
 *   client RST               –                                    RST
 *   broken frames            Close 1002, input ignored, RST       every byte before them, FIN, drained
 *   limits, drain, reload    Close with the reason                FIN, drained
 *
 * The first reason stands. Each side is closed as soon as it is finished; the tunnel goes with the
 * later one. Deadlines: the client's answer close_timeout_ms after our Close; the target's end
 * TARGET_DRAIN_MS after our FIN. */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bridge/stream.h"

static void close_socket(struct tunnel *t, struct io *io, bool reset)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (io->fd < 0)
        return;
    if (reset)
        (void)setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    loop_closing(t->worker->loop, io);
    close(io->fd);
    io->fd = -1;
    io->bits = 0;
}

/* In OPEN and ENDING only: the pipe's place in the struct belongs to the dial before that. */
static void drop_down(struct tunnel *t)
{
    if (t->down)
        chunk_give(&t->worker->chunks, take(t->down));
    if (t->pipe)
        relay_splice_leave(t);
}

static void drop_up(struct tunnel *t)
{
    if (t->up)
        chunk_give(&t->worker->chunks, take(t->up));
    t->flags &= ~(uint32_t)T_EARLY;
}

static void close_client(struct tunnel *t, bool reset)
{
    drop_down(t);
    close_socket(t, &t->client, reset);
}

static void close_target(struct tunnel *t, bool reset)
{
    drop_up(t);
    close_socket(t, &t->target, reset);
    t->flags |= T_TARGET_EOF | T_TARGET_SHUT;
}

static void leave_phase(struct tunnel *t)
{
    if (t->phase == TUNNEL_DIALLING && t->dial)
        dial_cancel(take(t->dial));
    if (t->phase != TUNNEL_OPEN)
        t->pipe = NULL;
    tunnel_phase_set(t, TUNNEL_ENDING);
}

void tunnel_end_code(struct tunnel *t, enum reason reason, enum stats_by by, uint16_t close_code)
{
    uint64_t now = tunnel_now(t), linger = t->worker->config->linger_down_ms;

    if (t->reason || t->phase == TUNNEL_GONE)
        return;
    leave_phase(t);
    t->reason = (uint8_t)reason;
    t->by = (uint8_t)by;
    t->close_code = close_code;
    t->flags |= T_CLIENT_DISCARD | T_TARGET_FIN_DUE;
    t->progress_ms = now;
    if (close_code != WS_CLOSE_ABNORMAL && tunnel_has(t, T_UPGRADED)) {
        if (reason == REASON_CLIENT_CLOSED && linger && t->target.fd >= 0)
            t->flags |= T_LINGER;
        else
            t->flags |= T_CLOSE_DUE;
    }
    if (!tunnel_has(t, T_LINGER))
        t->flags |= T_TARGET_DISCARD;
    /* The target's own end waits for the client to take the rest; every other end has a deadline now. */
    t->end_ms = tunnel_has(t, T_LINGER) ? now + linger : tunnel_answer_due(t);
    if (by == BY_TARGET)
        t->end_ms = 0;
    deadlines_arm(t);
    tunnel_wake(
        t); /* whoever ends a tunnel may not be in its relay: the Close goes out from there */
}

void tunnel_end(struct tunnel *t, enum reason reason, enum stats_by by)
{
    tunnel_end_code(t, reason, by, (uint16_t)reason_close_code(reason));
}

void tunnel_client_gone(struct tunnel *t, bool reset)
{
    t->flags |= T_CLIENT_EOF;
    if (t->phase == TUNNEL_GREETING) {
        tunnel_free(t);
        return;
    }
    if (t->phase == TUNNEL_DIALLING && !t->reason) {
        tunnel_end_code(t, REASON_CLIENT_ABORT, BY_CLIENT, WS_CLOSE_ABNORMAL);
        close_client(t, reset);
        tunnel_wake(t);
        return;
    }
    if (!t->reason) {
        tunnel_end_code(t, REASON_CLIENT_ABORT, BY_CLIENT, WS_CLOSE_ABNORMAL);
        if (reset)
            close_target(t, true);
    }
    /* After FIN the client may still read what it asked for before; after a Close it will not. */
    if (reset || t->reason == REASON_CLIENT_ABORT)
        close_client(t, reset);
    tunnel_wake(t);
}

void tunnel_give_up_client(struct tunnel *t)
{
    t->flags |= T_CLIENT_EOF;
    close_client(t, true);
    tunnel_wake(t);
}

void tunnel_give_up_target(struct tunnel *t)
{
    close_target(t, true);
    tunnel_wake(t);
}

void tunnel_target_gone(struct tunnel *t, bool reset)
{
    t->flags |= T_TARGET_EOF;
    t->target.bits &= ~(uint32_t)IO_READABLE;
    if (tunnel_has(t, T_LINGER)) { /* nothing more to deliver: answer the client's Close */
        t->flags &= ~(uint32_t)T_LINGER;
        t->flags |= T_CLOSE_DUE | T_TARGET_DISCARD;
        t->end_ms = tunnel_answer_due(t);
    }
    if (reset || tunnel_has(t, T_TARGET_BROKEN)) {
        close_target(t, false);
        tunnel_end(t, REASON_TARGET_RESET, BY_TARGET);
    } else {
        tunnel_end(t, REASON_TARGET_CLOSED, BY_TARGET);
    }
    tunnel_wake(t);
}

static void advance_target(struct tunnel *t)
{
    if (t->target.fd < 0)
        return;
    if (tunnel_has(t, T_TARGET_FIN_DUE) && tunnel_has(t, T_TARGET_EOF) && !t->up) {
        close_target(t, false); /* its FIN has come: closing sends ours */
        return;
    }
    if (tunnel_has(t, T_TARGET_FIN_DUE) && !tunnel_has(t, T_TARGET_SHUT) && !t->up) {
        shutdown(t->target.fd, SHUT_WR);
        t->flags |= T_TARGET_SHUT;
        t->target_end_ms = tunnel_now(t) + TARGET_DRAIN_MS;
        if (tunnel_has(t, T_LINGER))
            t->target_end_ms += t->worker->config->linger_down_ms;
    }
    if (tunnel_has(t, T_TARGET_SHUT) && tunnel_has(t, T_TARGET_EOF))
        close_target(t, false);
}

uint64_t tunnel_answer_due(const struct tunnel *t)
{
    uint64_t span = t->worker->config->close_timeout_ms;

    return span ? tunnel_now(t) + span : 0;
}

bool tunnel_closes_first(const struct tunnel *t)
{
    return !tunnel_has(t, T_UPGRADED) || tunnel_has(t, T_CLOSE_RECEIVED) ||
           t->reason == REASON_PROTOCOL_ERROR || t->reason == REASON_FRAME_TOO_BIG;
}

static void shut_client(struct tunnel *t)
{
    if (t->tls)
        (void)!tls_close(t->tls);
    shutdown(t->client.fd, SHUT_WR);
    t->flags |= T_CLIENT_SHUT;
}

static void advance_client(struct tunnel *t)
{
    bool said_all;

    if (t->client.fd < 0)
        return;
    said_all = !t->down && !(t->pipe && t->pipe->bytes) &&
               (!tunnel_has(t, T_UPGRADED) || tunnel_has(t, T_CLOSE_SENT));
    if (!said_all)
        return;
    if (!tunnel_has(t, T_CLIENT_SHUT) && tunnel_closes_first(t))
        shut_client(t);
    if (tunnel_has(t, T_CLIENT_EOF))
        close_client(t, false);
}

void tunnel_advance(struct tunnel *t)
{
    if (t->phase == TUNNEL_OPEN) {
        if (t->client.bits & IO_FAILED)
            tunnel_client_gone(t, true);
        else
            return;
    }
    if (t->phase != TUNNEL_ENDING)
        return;
    if ((t->client.bits & IO_FAILED) && t->client.fd >= 0 && !tunnel_has(t, T_CLIENT_SHUT))
        close_client(t, false);
    advance_target(t);
    advance_client(t);
    if (t->client.fd < 0 && t->target.fd < 0) {
        report_closed(t);
        tunnel_free(t);
        return;
    }
    deadlines_arm(t);
}
