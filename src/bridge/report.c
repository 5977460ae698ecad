/* What the log and the counters say of a tunnel: one line when it ends, one when it is refused. */
#include "base/text.h"
#include "bridge/probe.h"
#include "bridge/tunnel.h"

static const char *const by_names[] = {"client", "target", "bridge"};

void report_admitted(const struct tunnel *t)
{
    char client[ADDR_TEXT_BYTES], message[ADDR_TEXT_BYTES + TARGET_BYTES_MAX + 64];

    if (!log_wants(t->worker->log, LOG_DEBUG))
        return;
    addr_format(&t->client_addr, client);
    (void)snprintf(message, sizeof message, "Connection from %s requested target: %s", client,
                   tunnel_label(t, 0));
    log_event(t->worker->log, LOG_DEBUG, "tunnel.admitted", message, F_U64("tunnel", t->id),
              F_STR("client", client), F_STR("target", tunnel_label(t, 0)),
              F_STR("origin", tunnel_label(t, 1)), F_STR("subject", tunnel_label(t, 2)),
              F_STR("entry", t->entry->text));
}

void report_refused(struct tunnel *t, const struct verdict *v, enum reason reason)
{
    char client[ADDR_TEXT_BYTES], peer[ADDR_TEXT_BYTES], requested[TARGET_BYTES_MAX * 4 + 8];
    char message[sizeof requested + ADDR_TEXT_BYTES + 64];
    bool target = reason == REASON_TARGET_NOT_ALLOWED || reason == REASON_NO_TARGET;

    addr_format(&v->client, client);
    addr_format(&t->peer, peer);
    (void)text_escape(v->requested, TARGET_BYTES_MAX, requested, sizeof requested);
    if (target)
        (void)snprintf(message, sizeof message,
                       "Connection from %s rejected: target %s is not authorized", client,
                       requested);
    else
        (void)snprintf(message, sizeof message, "handshake error from %s", client);
    log_event_limited(t->worker->log, LOG_WARN, target ? "target.refused" : "request.refused",
                      message, F_STR("reason", reason_token(reason)), F_STR("client", client),
                      F_STR("peer", addr_ip_eq(&v->client, &t->peer) ? "" : peer),
                      F_VIEW("requested", v->requested), F_VIEW("origin", v->origin),
                      F_U64("status", (uint64_t)(v->by_close ? 101 : v->http_status)),
                      F_STR("error", v->err.text));
}

static void count(struct tunnel *t)
{
    struct worker_stats *s = &t->worker->stats;

    if (!tunnel_has(t, T_LISTED))
        return;
    metric_add(&s->closed[t->reason][t->by], 1);
    histogram_observe(&s->tunnel_us, (tunnel_now(t) - t->start_ms) * 1000);
}

void report_closed(struct tunnel *t)
{
    char client[ADDR_TEXT_BYTES], peer[ADDR_TEXT_BYTES], address[ADDR_TEXT_BYTES];
    bool spliced = tunnel_has(t, T_SPLICE);

    if (!t->label) /* refused: report_refused has told it */
        return;
    count(t);
    PROBE4(close, t->id, t->reason, t->up_bytes, t->down_bytes);
    if (!log_wants(t->worker->log, LOG_INFO))
        return;
    addr_format(&t->client_addr, client);
    addr_format(&t->peer, peer);
    addr_format(&t->target_addr, address);
    log_event(t->worker->log, LOG_INFO, "tunnel.closed", "tunnel closed",
              F_STR("reason", reason_token((enum reason)t->reason)), F_STR("by", by_names[t->by]),
              F_U64("tunnel", t->id), F_STR("client", client),
              F_STR("peer", addr_ip_eq(&t->client_addr, &t->peer) ? "" : peer),
              F_STR("origin", tunnel_label(t, 1)), F_STR("subject", tunnel_label(t, 2)),
              F_STR("target", tunnel_label(t, 0)), F_STR("address", address),
              F_U64("close_sent", tunnel_has(t, T_CLOSE_SENT) ? t->close_code : 0),
              F_U64("close_received", t->close_received), F_U64("bytes_up", t->up_bytes),
              F_U64("bytes_down", t->down_bytes),
              F_SECONDS("duration", tunnel_now(t) - t->start_ms),
              F_U64("connect_us", t->connect_us), F_STR("path", spliced ? "splice" : "copy"),
              F_STR("tls", t->tls ? tls_version(t->tls) : ""));
}
