/* After 101: bytes as they come, both ways, until either side closes. What the other had said before is delivered first. */
#include "tee/conn.h"

#include "base/poison.h"

void conn_tunnel_start(struct conn *c)
{
    metric_add(&c->worker->stats.tunnels, 1);
    c->phase = CONN_TUNNEL;
    c->keep = false;
    conn_deadline(c, c->worker->site->config->answer_timeout_ms);
    conn_wake(c);
}

static size_t move_up(struct conn *c)
{
    struct upstream *u = c->upstream;
    size_t n = buf_len(&c->in);

    if (!n || buf_len(&u->out) >= UPSTREAM_OUT_MAX)
        return 0;
    if (!buf_append(&u->out, buf_view(&c->in), NULL))
        u->broken = u->ended = true;
    buf_eat(&c->in, n);
    c->access.bytes_up += n;
    return n;
}

/* False: the connection is gone. */
static bool move_down(struct conn *c, size_t *moved)
{
    struct upstream *u = c->upstream;
    size_t n = buf_len(&u->in);

    *moved = 0;
    if (!n || conn_backed_up(c))
        return true;
    if (!conn_write(c, buf_view(&u->in))) {
        conn_end(c);
        return false;
    }
    buf_eat(&u->in, n);
    c->access.bytes_down += n;
    *moved = n;
    return true;
}

void conn_tunnel_run(struct conn *c)
{
    struct upstream *u = c->upstream;
    size_t up, down;

    upstream_pump(u, false); /* makes room first */
    up = move_up(c);
    upstream_pump(u, !conn_backed_up(c));
    if (!move_down(c, &down))
        return;
    if (up || down)
        conn_deadline(c, c->worker->site->config->answer_timeout_ms);
    if ((u->ended && !buf_len(&u->in)) ||
        (c->ended && !buf_len(&c->in) && (!buf_len(&u->out) || u->broken))) {
        upstream_give(take(c->upstream), false);
        conn_next_request(c); /* there is none: says goodbye */
        return;
    }
    if (u->io.bits & UPSTREAM_READABLE && !u->ended && !buf_len(&u->in) && !conn_backed_up(c))
        conn_wake(c); /* others first */
}
