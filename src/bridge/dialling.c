/* From the verdict to a connected target: judged addresses, the PROXY header, Unix sockets. */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge/probe.h"
#include "bridge/proxyproto.h"
#include "bridge/stream.h"

enum {
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_PROBES = 5,
    USER_TIMEOUT_MS = 30000
};

static bool is_ours(const struct bridge *b, const struct addr *a)
{
    for (size_t i = 0; i < b->listening_count; i++) {
        const struct addr *l = &b->listening[i];
        static const uint8_t any[16];

        if (l->port != a->port)
            continue;
        if (addr_ip_eq(l, a))
            return true;
        if (memcmp(l->ip, any, sizeof any) != 0)
            continue;
        if (addr_classify(a) == ADDR_LOOPBACK)
            return true;
        for (size_t k = 0; k < b->local_count; k++)
            if (addr_ip_eq(&b->local[k], a))
                return true;
    }
    return false;
}

/* Where the kernel goes: it takes the unspecified address for loopback. */
static struct addr reached_by(const struct addr *a)
{
    static const uint8_t any[16];
    struct addr to = *a;

    if (memcmp(a->ip, any, sizeof any) != 0)
        return to;
    to.ip[0] = a->family == AF_INET ? 127 : 0;
    to.ip[a->family == AF_INET ? 3 : 15] = 1;
    return to;
}

static bool judge_address(void *context, struct view name, bool literal, const struct addr *a)
{
    const struct tunnel *t = context;
    struct addr plain = *a, reached;

    (void)name;
    addr_unmap(&plain);
    reached = reached_by(&plain);
    if (is_ours(t->worker->bridge, &reached))
        return false;
    return policy_judge(t->policy, t->entry, literal || tunnel_has(t, T_TARGET_EXPLICIT), &plain);
}

static enum reason reason_of(enum dial_outcome outcome)
{
    switch (outcome) {
    case DIAL_OK:
        return REASON_NONE;
    case DIAL_NAME:
        return REASON_DNS_FAILURE;
    case DIAL_DENIED:
        return REASON_ADDRESS_DENIED;
    case DIAL_REFUSED:
        return REASON_CONNECT_REFUSED;
    case DIAL_RESET:
        return REASON_TARGET_RESET;
    case DIAL_TIMEOUT:
        return REASON_CONNECT_TIMEOUT;
    case DIAL_UNREACHABLE:
        return REASON_NETWORK_UNREACHABLE;
    case DIAL_NO_PORTS:
    case DIAL_NO_RESOURCES:
        break;
    }
    return REASON_OVERLOADED;
}

void dialling_lived(struct tunnel *t)
{
    const int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S,
              probes = KEEPALIVE_PROBES, patience = USER_TIMEOUT_MS;
    int fd = t->target.fd;

    if (t->lived || fd < 0)
        return;
    t->lived = true;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
}

void dialling_bulk(struct tunnel *t)
{
    const int unsent = RELAY_UNSENT_BYTES;

    if (t->bounded || t->target.fd < 0)
        return;
    t->bounded = true;
    (void)setsockopt(t->target.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

/* The first bytes on the target connection; a fresh socket has room for them. */
static bool send_proxy_header(struct tunnel *t)
{
    enum policy_send_proxy mode = t->entry->send_proxy_set
                                      ? (enum policy_send_proxy)t->entry->send_proxy
                                      : t->policy->send_proxy;
    uint8_t header[PROXY_V2_BYTES_MAX];
    char id[17];
    size_t n, sent;

    if (mode == SEND_PROXY_OFF)
        return true;
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)t->id);
    if (mode == SEND_PROXY_V1)
        n = proxy_v1_write(&t->client_addr, &t->target_addr, header, sizeof header);
    else
        n = proxy_v2_write(&t->client_addr, &t->target_addr, view_str(id),
                           view_str(tunnel_label(t, 0)), header, sizeof header);
    sent = n;
    return n && stream_send_plain(&t->target, header, &sent, 0) == STREAM_OK && sent == n;
}

static void failed(struct tunnel *t, enum reason reason, const char *why)
{
    log_event_limited(t->worker->log, LOG_WARN, "target.failed", why,
                      F_STR("target", tunnel_label(t, 0)), F_STR("reason", reason_token(reason)));
    if (tunnel_has(t, T_UPGRADED)) {
        tunnel_end(t, reason, BY_TARGET);
        tunnel_wake(t);
        return;
    }
    if (t->down)
        chunk_give(&t->worker->chunks, take(t->down));
    if (t->up)
        chunk_give(&t->worker->chunks, take(t->up));
    t->flags &= ~(uint32_t)T_EARLY;
    greeting_refuse(t, reason, reason_http_status(reason), "");
    if (t->phase != TUNNEL_GONE)
        tunnel_wake(t);
}

static bool meter_make(struct tunnel *t)
{
    const struct config *c = t->worker->config;

    if (!c->rate_up_max && !c->rate_down_max)
        return true;
    t->meter = calloc(1, sizeof *t->meter);
    if (!t->meter)
        return false;
    *t->meter = (struct meter){.up_tokens = c->rate_up_max * METER_BYTE,
                               .down_tokens = c->rate_down_max * METER_BYTE,
                               .filled_ms = tunnel_now(t)};
    return true;
}

/* watched: as in struct dial_result. */
static void opened(struct tunnel *t, int fd, bool watched)
{
    struct worker *w = t->worker;

    t->dial = NULL;
    t->target.fd = fd;
    t->target.bits = IO_WRITABLE | IO_READABLE;
    if (!(watched ? loop_take_over(w->loop, &t->target, NULL)
                  : loop_watch(w->loop, &t->target, NULL)) ||
        !meter_make(t)) {
        failed(t, REASON_OVERLOADED, "out of memory");
        return;
    }
    t->pipe = NULL;
    tunnel_phase_set(t, TUNNEL_OPEN);
    t->data_ms = t->heard_ms = t->progress_ms = t->window_ms = tunnel_now(t);
    tunnel_listed(t);
    t->flags |= T_UPGRADED;
    t->message_bytes =
        w->config->message_max ? (uint32_t)w->config->message_max : (uint32_t)MESSAGE_BYTES_FIRST;
    if (!send_proxy_header(t)) {
        tunnel_target_gone(t, true);
        tunnel_wake(t);
        return;
    }
    t->client.bits |= IO_READABLE;
    deadlines_arm(t);
    tunnel_wake(t);
}

static void dialled(void *context, const struct dial_result *r)
{
    const int on = 1;
    struct tunnel *t = context;

    t->dial = NULL;
    t->target_addr = r->address;
    t->connect_us = (uint32_t)r->connect_us;
    PROBE3(connect, t->id, r->outcome, r->connect_us);
    if (r->outcome == DIAL_OK) {
        (void)setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        opened(t, r->fd, r->watched);
        return;
    }
    failed(t, reason_of(r->outcome), r->err.text);
}

/* Unix sockets connect at once or not at all. */
static void dial_unix(struct tunnel *t, const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    int fd;

    t->target_addr = (struct addr){.family = AF_UNIX};
    if (n < sizeof sun.sun_path)
        memcpy(sun.sun_path, path, n);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0) {
        opened(t, fd, false);
        return;
    }
    if (fd >= 0)
        close(fd);
    failed(t, fd < 0 ? REASON_OVERLOADED : REASON_CONNECT_REFUSED,
           fd < 0 ? "out of descriptors" : "the target's Unix socket does not accept");
}

void dialling_revoke(struct tunnel *t)
{
    if (t->dial)
        dial_cancel(take(t->dial));
    failed(t, REASON_TARGET_NOT_ALLOWED, "the target left the allowlist while it was dialled");
}

void dialling_start(struct tunnel *t, const struct target *target)
{
    struct worker *w = t->worker;

    tunnel_phase_set(t, TUNNEL_DIALLING);
    if (target->kind != TARGET_NAME)
        t->flags |= T_TARGET_EXPLICIT;
    if (target->kind == TARGET_UNIX) {
        dial_unix(t, target->host);
        return;
    }
    t->dial = dial_start(w->dialer, view_str(target->host), target->port, t->entry->pins,
                         t->entry->pin_count, judge_address, t, dialled, t);
    if (!t->dial) {
        failed(t, REASON_OVERLOADED, "out of memory");
        return;
    }
    deadlines_arm(t);
}
