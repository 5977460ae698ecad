/* The page that /metrics shows: all workers added up. Names are listed in docs/operations.md. */
#include <stdio.h>

#include "base/version.h"
#include "bridge/service_priv.h"

static const char *const by_names[BY_COUNT] = {"client", "target", "bridge"};
static const char *const path_names[PATH_COUNT] = {"copy", "splice", "tls"};
static const char *const frame_names[FRAME_COUNT] = {"data", "ping", "pong", "close"};

/* Adds one metric of all workers, given by its place in the struct. */
static uint64_t total(const struct service *s, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < s->bridge.worker_count; i++) {
        const char *stats = (const char *)&s->bridge.workers[i]->stats;

        sum += metric_get((const metric *)(const void *)(stats + offset));
    }
    return sum;
}
#define TOTAL(s, field) total(s, offsetof(struct worker_stats, field))

static void one(struct metrics_page *p, const char *name, const char *type, const char *help,
                uint64_t value)
{
    metrics_family(p, name, type, help);
    metrics_u64(p, name, NULL, value);
}

static void states(const struct service *s, struct metrics_page *p)
{
    metrics_family(p, "atlas_proxy_tunnels", "gauge", "Tunnels by state");
    metrics_u64(p, "atlas_proxy_tunnels", "state=\"pending\"", TOTAL(s, pending));
    metrics_u64(p, "atlas_proxy_tunnels", "state=\"dialling\"", TOTAL(s, dialling));
    metrics_u64(p, "atlas_proxy_tunnels", "state=\"open\"", TOTAL(s, open));
    metrics_u64(p, "atlas_proxy_tunnels", "state=\"ending\"", TOTAL(s, ending));
    one(p, "atlas_proxy_accepted_total", "counter", "Connections accepted", TOTAL(s, accepted));
    one(p, "atlas_proxy_handed_over_total", "counter", "Connections given to a less loaded worker",
        TOTAL(s, handed_over));
    one(p, "atlas_proxy_evicted_total", "counter",
        "Unfinished handshakes that gave way to newer ones", TOTAL(s, evicted));
    one(p, "atlas_proxy_accept_paused_total", "counter",
        "Times that accepting paused for want of descriptors", TOTAL(s, accept_paused));
    one(p, "atlas_proxy_revoked_total", "counter",
        "Tunnels whose target a reload took off the allowlist", TOTAL(s, revoked));
}

static void outcomes(const struct service *s, struct metrics_page *p)
{
    char labels[128];

    metrics_family(p, "atlas_proxy_rejected_total", "counter", "Requests refused, by reason");
    for (int r = 1; r < REASON_COUNT; r++) {
        uint64_t n = total(s, offsetof(struct worker_stats, refused) + (size_t)r * sizeof(metric));

        (void)snprintf(labels, sizeof labels, "reason=\"%s\"", reason_token((enum reason)r));
        if (n)
            metrics_u64(p, "atlas_proxy_rejected_total", labels, n);
    }
    metrics_family(p, "atlas_proxy_closed_total", "counter",
                   "Tunnels ended, by reason, Close code and who ended them");
    for (int r = 1; r < REASON_COUNT; r++)
        for (int by = 0; by < BY_COUNT; by++) {
            size_t at = ((size_t)r * BY_COUNT + (size_t)by) * sizeof(metric);
            uint64_t n = total(s, offsetof(struct worker_stats, closed) + at);

            if (!n)
                continue;
            (void)snprintf(labels, sizeof labels, "reason=\"%s\",code=\"%d\",by=\"%s\"",
                           reason_token((enum reason)r), reason_close_code((enum reason)r),
                           by_names[by]);
            metrics_u64(p, "atlas_proxy_closed_total", labels, n);
        }
}

static void traffic(const struct service *s, struct metrics_page *p)
{
    char labels[64];

    metrics_family(p, "atlas_proxy_bytes_total", "counter",
                   "Payload bytes, by direction (up: client to target) and path");
    metrics_u64(p, "atlas_proxy_bytes_total", "dir=\"up\",path=\"copy\"", TOTAL(s, up_bytes));
    for (int i = 0; i < PATH_COUNT; i++) {
        (void)snprintf(labels, sizeof labels, "dir=\"down\",path=\"%s\"", path_names[i]);
        metrics_u64(
            p, "atlas_proxy_bytes_total", labels,
            total(s, offsetof(struct worker_stats, down_bytes) + (size_t)i * sizeof(metric)));
    }
    metrics_family(p, "atlas_proxy_frames_total", "counter", "WebSocket frames");
    for (int i = 0; i < FRAME_COUNT; i++) {
        size_t at = (size_t)i * sizeof(metric);

        (void)snprintf(labels, sizeof labels, "dir=\"up\",op=\"%s\"", frame_names[i]);
        metrics_u64(p, "atlas_proxy_frames_total", labels,
                    total(s, offsetof(struct worker_stats, up_frames) + at));
        (void)snprintf(labels, sizeof labels, "dir=\"down\",op=\"%s\"", frame_names[i]);
        metrics_u64(p, "atlas_proxy_frames_total", labels,
                    total(s, offsetof(struct worker_stats, down_frames) + at));
    }
}

static void resources(const struct service *s, struct metrics_page *p)
{
    one(p, "atlas_proxy_buffers_in_use", "gauge", "Buffers that hold bytes",
        TOTAL(s, buffers_in_use));
    one(p, "atlas_proxy_buffer_bytes", "gauge", "Memory of those buffers", TOTAL(s, buffer_bytes));
    one(p, "atlas_proxy_buffer_waits_total", "counter",
        "Times that a tunnel waited for buffer memory", TOTAL(s, buffer_waits));
    one(p, "atlas_proxy_stalled", "gauge", "Tunnels with bytes that their reader does not take",
        TOTAL(s, stalled));
    one(p, "atlas_proxy_pipes_in_use", "gauge", "Splice pipes that hold bytes",
        TOTAL(s, pipes_in_use));
    one(p, "atlas_proxy_pipe_misses_total", "counter", "Times that no splice pipe was free",
        TOTAL(s, pipe_misses));
    one(p, "atlas_proxy_tls_handshakes_total", "counter", "TLS handshakes completed",
        TOTAL(s, tls_handshakes));
    one(p, "atlas_proxy_tls_on_plain_total", "counter", "TLS ClientHellos on a plain port",
        TOTAL(s, tls_on_plain));
    one(p, "atlas_proxy_http2_preface_total", "counter", "HTTP/2 prefaces",
        TOTAL(s, http2_preface));
    one(p, "atlas_proxy_log_dropped_total", "counter",
        "Log lines dropped because the ring was full", log_sink_dropped(s->source.sink));
    metrics_family(p, "atlas_proxy_reloads_total", "counter", "Reloads, by result");
    metrics_u64(p, "atlas_proxy_reloads_total", "result=\"ok\"", s->reloads_good);
    metrics_u64(p, "atlas_proxy_reloads_total", "result=\"failed\"", s->reloads_failed);
}

static void names(const struct service *s, struct metrics_page *p)
{
    struct resolve_stats sum = {0};
    uint64_t no_ports = 0, connected = 0, started = 0;

    for (unsigned i = 0; i < s->bridge.worker_count; i++) {
        struct resolve_stats r = resolver_stats(s->bridge.workers[i]->resolver);
        const struct dial_stats *d = dialer_stats(s->bridge.workers[i]->dialer);

        sum.queries += r.queries;
        sum.hits += r.hits;
        sum.stale_hits += r.stale_hits;
        sum.failures += r.failures;
        started += metric_get(&d->started);
        connected += metric_get(&d->connected);
        no_ports += metric_get(&d->no_ports);
    }
    metrics_family(p, "atlas_proxy_dns_answers_total", "counter",
                   "Name look-ups, by where they ended");
    metrics_u64(p, "atlas_proxy_dns_answers_total", "from=\"query\"", sum.queries);
    metrics_u64(p, "atlas_proxy_dns_answers_total", "from=\"cache\"", sum.hits);
    metrics_u64(p, "atlas_proxy_dns_answers_total", "from=\"stale\"", sum.stale_hits);
    metrics_u64(p, "atlas_proxy_dns_answers_total", "from=\"failure\"", sum.failures);
    one(p, "atlas_proxy_connects_total", "counter", "Connections to targets begun", started);
    one(p, "atlas_proxy_connected_total", "counter", "Connections to targets made", connected);
    one(p, "atlas_proxy_connect_eaddrnotavail_total", "counter",
        "Connects that found no free local port", no_ports);
}

static void times(const struct service *s, struct metrics_page *p)
{
    struct histogram handshake = {0}, tunnel = {0}, dns = {0}, connect = {0};
    uint64_t lag = 0;

    for (unsigned i = 0; i < s->bridge.worker_count; i++) {
        const struct worker *w = s->bridge.workers[i];
        const struct dial_stats *d = dialer_stats(w->dialer);
        uint64_t l = loop_lag_us(w->loop);

        histogram_merge(&handshake, &w->stats.handshake_us);
        histogram_merge(&tunnel, &w->stats.tunnel_us);
        histogram_merge(&dns, &d->resolve_us);
        histogram_merge(&connect, &d->connect_us);
        lag = l > lag ? l : lag;
    }
    metrics_family(p, "atlas_proxy_handshake_seconds", "histogram", "Accept to complete request");
    metrics_histogram(p, "atlas_proxy_handshake_seconds", NULL, &handshake);
    metrics_family(p, "atlas_proxy_dns_seconds", "histogram", "Resolving a target");
    metrics_histogram(p, "atlas_proxy_dns_seconds", NULL, &dns);
    metrics_family(p, "atlas_proxy_connect_seconds", "histogram", "Connecting to a target");
    metrics_histogram(p, "atlas_proxy_connect_seconds", NULL, &connect);
    metrics_family(p, "atlas_proxy_tunnel_seconds", "histogram", "Life of a tunnel");
    metrics_histogram(p, "atlas_proxy_tunnel_seconds", NULL, &tunnel);
    metrics_family(p, "atlas_proxy_loop_lag_seconds", "gauge",
                   "Slowest turn of any worker's loop since the last scrape");
    metrics_f64(p, "atlas_proxy_loop_lag_seconds", NULL, (double)lag / 1e6);
}

bool service_metrics(struct service *s, struct buf *out, struct err *err)
{
    struct metrics_page p;
    char version[96], labels[128];

    metrics_begin(&p, out);
    metrics_family(&p, "atlas_proxy_build_info", "gauge", "Version of this program");
    (void)snprintf(labels, sizeof labels, "%s",
                   metrics_label("version", view_str(POSTERN_VERSION), version, sizeof version));
    metrics_u64(&p, "atlas_proxy_build_info", labels, 1);
    one(&p, "atlas_proxy_uptime_seconds", "gauge", "Time since start",
        (clock_monotonic_ms(&clock_system) - s->start_ms) / 1000);
    one(&p, "atlas_proxy_workers", "gauge", "Worker threads", s->bridge.worker_count);
    one(&p, "atlas_proxy_connections_max", "gauge", "Most tunnels at once",
        s->bridge.connections_max);
    one(&p, "atlas_proxy_targets", "gauge", "Entries of the allowlist",
        allowlist_count(s->policy->allow));
    states(s, &p);
    outcomes(s, &p);
    traffic(s, &p);
    names(s, &p);
    resources(s, &p);
    times(s, &p);
    return metrics_end(&p, err);
}
