#include "tee/site.h"

#include "base/poison.h"

static uint64_t sum(struct site *s, size_t offset)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->worker_count; i++)
        n += metric_get((metric *)(void *)((char *)&s->workers[i].stats + offset));
    return n;
}

static void one(struct metrics_page *page, const char *name, const char *kind, const char *help,
                uint64_t value)
{
    metrics_family(page, name, kind, help);
    metrics_u64(page, name, NULL, value);
}

#define SUM(field) sum(s, offsetof(struct tee_stats, field))

bool tee_metrics(struct site *s, struct buf *out, struct err *err)
{
    struct attester_stats a = attester_stats(s->attester);
    struct metrics_page page;

    metrics_begin(&page, out);
    one(&page, "atlas_tee_connections_accepted_total", "counter", "Connections accepted",
        SUM(accepted));
    one(&page, "atlas_tee_connections_refused_total", "counter", "Connections beyond the limit",
        SUM(refused));
    one(&page, "atlas_tee_connections", "gauge", "Connections open", SUM(open));
    one(&page, "atlas_tee_handshakes_total", "counter", "TLS handshakes completed",
        SUM(handshakes));
    one(&page, "atlas_tee_handshake_failures_total", "counter", "TLS handshakes failed",
        SUM(handshake_failures));
    one(&page, "atlas_tee_requests_total", "counter", "HTTP requests", SUM(requests));
    one(&page, "atlas_tee_proxied_total", "counter", "Requests passed to the application",
        SUM(proxied));
    one(&page, "atlas_tee_tunnels_total", "counter", "Connections that became WebSockets",
        SUM(tunnels));
    one(&page, "atlas_tee_upstream_failures_total", "counter",
        "Requests that the application failed", SUM(upstream_failures));
    one(&page, "atlas_tee_quotes_total", "counter", "Quotes made", a.quotes);
    one(&page, "atlas_tee_quote_failures_total", "counter", "Quotes that the provider failed",
        a.failures);
    one(&page, "atlas_tee_quotes_refused_total", "counter", "Quotes refused, for too many waited",
        a.refused);
    one(&page, "atlas_tee_quotes_waiting", "gauge", "Quotes waited for", a.waiting);
    one(&page, "atlas_tee_certificate_events_total", "counter", "Certificates measured", a.events);
    metrics_family(&page, "atlas_tee_quote_seconds", "gauge", "Time of the last quote");
    metrics_f64(&page, "atlas_tee_quote_seconds", NULL, (double)a.last_us / 1e6);
    return metrics_end(&page, err);
}
