/* One timer a tunnel, armed for the nearest of its deadlines. Activity only stores a time; a timer that
 * fires early looks again. */
#include "bridge/tunnel.h"

enum { METER_STEP_MS = 50, NEVER = 0 };

static void nearer(uint64_t *due, uint64_t from_ms, uint64_t span_ms)
{
    if (span_ms && (*due == NEVER || from_ms + span_ms < *due))
        *due = from_ms + span_ms;
}

bool tunnel_stalled(const struct tunnel *t)
{
    if (t->phase != TUNNEL_OPEN && t->phase != TUNNEL_ENDING)
        return false;
    return t->up || t->down || (t->pipe && t->pipe->bytes);
}

/* How long a reader may take nothing. A tunnel that is ending does not wait for ever, whatever is set. */
static uint64_t patience(const struct tunnel *t)
{
    const struct config *c = t->worker->config;

    if (c->stall_timeout_ms || t->phase != TUNNEL_ENDING)
        return c->stall_timeout_ms;
    return c->close_timeout_ms ? c->close_timeout_ms : (uint64_t)TARGET_DRAIN_MS;
}

static void open_deadlines(const struct tunnel *t, uint64_t *due)
{
    const struct config *c = t->worker->config;

    if (!tunnel_has(t, T_FIRST_DATA))
        nearer(due, t->data_ms, c->first_data_timeout_ms);
    nearer(due, t->data_ms, c->idle_timeout_ms);
    if (tunnel_has(t, T_PINGED))
        nearer(due, t->ping_ms, c->ping_timeout_ms);
    else
        nearer(due, t->heard_ms, c->ping_interval_ms);
    nearer(due, t->start_ms, c->lifetime_max_ms);
}

void deadlines_arm(struct tunnel *t)
{
    const struct config *c = t->worker->config;
    uint64_t due = NEVER;

    switch ((enum tunnel_phase)t->phase) {
    case TUNNEL_GREETING:
        /* heard_ms is start_ms until the first byte, which must come in 3/5 of the time. */
        nearer(&due, t->start_ms, c->handshake_timeout_ms);
        if (t->heard_ms == t->start_ms && !t->greeting)
            nearer(&due, t->start_ms, c->handshake_timeout_ms * 3 / 5);
        break;
    case TUNNEL_DIALLING: /* the dial has its own */
        break;
    case TUNNEL_OPEN:
        open_deadlines(t, &due);
        break;
    case TUNNEL_ENDING:
        if (t->client.fd >= 0 && t->end_ms)
            nearer(&due, 0, t->end_ms);
        if (t->target.fd >= 0 && tunnel_has(t, T_TARGET_SHUT))
            nearer(&due, 0, t->target_end_ms);
        break;
    case TUNNEL_GONE:
        return;
    }
    if (tunnel_has(t, T_METERED)) /* also behind the client's Close, with --linger-down */
        nearer(&due, tunnel_now(t), METER_STEP_MS);
    if (tunnel_stalled(t)) {
        nearer(&due, t->progress_ms, patience(t));
        if (t->pipe && t->pipe->bytes)
            nearer(&due, t->progress_ms, PIPE_HOLD_MS);
    }
    if (due == NEVER)
        return;
    if (!timer_armed(&t->timer) || due < t->timer.due_ms)
        timer_set(t->worker->loop, &t->timer, due);
}

static bool passed(uint64_t now, uint64_t from_ms, uint64_t span_ms)
{
    return span_ms && now >= from_ms + span_ms;
}

static void fire_open(struct tunnel *t, uint64_t now)
{
    const struct config *c = t->worker->config;

    if (!tunnel_has(t, T_FIRST_DATA) && passed(now, t->data_ms, c->first_data_timeout_ms))
        tunnel_end(t, REASON_FIRST_DATA_TIMEOUT, BY_BRIDGE);
    else if (passed(now, t->data_ms, c->idle_timeout_ms))
        tunnel_end(t, REASON_IDLE_TIMEOUT, BY_BRIDGE);
    else if (passed(now, t->start_ms, c->lifetime_max_ms))
        tunnel_end(t, REASON_MAX_LIFETIME, BY_BRIDGE);
    else if (tunnel_has(t, T_PINGED) && passed(now, t->ping_ms, c->ping_timeout_ms))
        tunnel_end(t, REASON_PING_TIMEOUT, BY_BRIDGE);
    else if (!tunnel_has(t, T_PINGED) && passed(now, t->heard_ms, c->ping_interval_ms)) {
        t->flags |= T_PING_DUE | T_PINGED;
        t->ping_ms = now;
    }
}

/* Whether a reader that leaves bytes with us has taken any of what the kernel holds for it: slow is not
 * stalled. */
static bool moved(struct tunnel *t, int fd, uint32_t *queued_before)
{
    uint32_t queued = relay_queued(fd);
    bool less = queued < *queued_before;

    *queued_before = queued;
    if (less)
        t->progress_ms = tunnel_now(t);
    return less;
}

static void fire_ending(struct tunnel *t, uint64_t now)
{
    if (tunnel_has(t, T_LINGER) && t->end_ms && now >= t->end_ms) {
        t->flags &= ~(uint32_t)T_LINGER;
        t->flags |= T_CLOSE_DUE | T_TARGET_DISCARD;
        t->end_ms = tunnel_answer_due(t);
    }
    if (t->target.fd >= 0 && tunnel_has(t, T_TARGET_SHUT) && now >= t->target_end_ms)
        tunnel_give_up_target(t);
    if (t->client.fd < 0 || !t->end_ms || now < t->end_ms)
        return;
    /* Our Close is in the kernel behind what a slow client still reads: while that moves, we wait. */
    if (tunnel_has(t, T_CLOSE_SENT) && relay_queued(t->client.fd) &&
        (moved(t, t->client.fd, &t->down_queued) || now < t->progress_ms + patience(t)))
        t->end_ms = tunnel_answer_due(t);
    else
        tunnel_give_up_client(t);
}

/* Each side that has left bytes with us for too long is given up; the other hears of it in order. */
static void fire_stalled(struct tunnel *t, uint64_t now)
{
    bool up = t->up != NULL, down = t->down || (t->pipe && t->pipe->bytes);

    if (t->pipe && t->pipe->bytes && passed(now, t->progress_ms, PIPE_HOLD_MS))
        relay_splice_spill(t);
    if (!passed(now, t->progress_ms, patience(t)))
        return;
    if ((up && moved(t, t->target.fd, &t->up_queued)) ||
        (down && moved(t, t->client.fd, &t->down_queued)))
        return;
    if (down) {
        tunnel_end(t, REASON_STALL_TIMEOUT, BY_BRIDGE);
        tunnel_give_up_client(t);
    } else {
        tunnel_end_code(t, REASON_STALL_TIMEOUT, BY_BRIDGE, WS_CLOSE_BAD_GATEWAY);
    }
    if (up)
        tunnel_give_up_target(t);
}

static void greeting_late(struct tunnel *t)
{
    struct verdict v = {.client = t->client_addr, .http_status = 408};

    (void)err_set(&v.err, ERR_TIMEOUT, "no complete request within the handshake time-out");
    report_refused(t, &v, REASON_HANDSHAKE_TIMEOUT);
    if (t->greeting && !(t->tls && !tunnel_has(t, T_TLS_READY))) {
        greeting_refuse(t, REASON_HANDSHAKE_TIMEOUT, 408, "");
        if (t->phase != TUNNEL_GONE)
            tunnel_wake(t); /* our FIN goes out from there */
        return;
    }
    metric_add(&t->worker->stats.refused[REASON_HANDSHAKE_TIMEOUT], 1);
    tunnel_free(t);
}

void deadlines_fire(struct loop *loop, struct timer *timer)
{
    struct tunnel *t = (struct tunnel *)(void *)((char *)timer - offsetof(struct tunnel, timer));
    const struct config *c = t->worker->config;
    uint64_t now = loop_now_ms(loop);

    if (t->phase == TUNNEL_GREETING) {
        if (passed(now, t->start_ms, c->handshake_timeout_ms) ||
            (t->heard_ms == t->start_ms && !t->greeting &&
             passed(now, t->start_ms, c->handshake_timeout_ms * 3 / 5)))
            greeting_late(t);
        else
            deadlines_arm(t);
        return;
    }
    t->flags &= ~(uint32_t)T_METERED;
    if (tunnel_stalled(t))
        fire_stalled(t, now);
    if (t->phase == TUNNEL_OPEN) {
        dialling_lived(t);
        fire_open(t, now);
    }
    if (t->phase == TUNNEL_ENDING)
        fire_ending(t, now);
    if (t->phase == TUNNEL_GONE)
        return;
    deadlines_arm(t);
    tunnel_wake(t);
}
