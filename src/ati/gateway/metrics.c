/* metrics: a page for Prometheus, on a listener of its own. Labels are bounded: routes, methods, classes, outcomes. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

enum { LABELS_BYTES = 256 };

static const char *const classes[STATUS_CLASSES] = {"left", "1xx", "2xx", "3xx", "4xx", "5xx"};
static const char *const outcomes[OUTCOMES] = {"ok",  "no_records", "http",  "mcp",
                                               "cli", "extract",    "files", "cancelled"};

static uint64_t sum(const struct gateway *g, size_t offset)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < g->worker_count; i++)
        n +=
            metric_get((const metric *)(const void *)((const char *)&g->workers[i].stats + offset));
    return n;
}

static void counter(struct metrics_page *page, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    metrics_family(page, name, type, help);
    metrics_u64(page, name, NULL, value);
}

static void requests(const struct gateway *g, struct metrics_page *page)
{
    char labels[LABELS_BYTES];

    metrics_family(
        page, "ati_requests_total", "counter",
        "Requests by route, method and class of the status; left: the client did not wait.");
    for (unsigned route = 0; route < ROUTE_COUNT; route++)
        for (unsigned method = 0; method < METHODS; method++)
            for (unsigned class = 0; class < STATUS_CLASSES; class ++) {
                uint64_t n =
                    sum(g, offsetof(struct stats, requests[0][0][0]) +
                               ((route * (size_t)METHODS + method) * STATUS_CLASSES + class) *
                                   sizeof(metric));

                if (n == 0)
                    continue;
                (void)snprintf(labels, sizeof labels,
                               "route=\"%s\",method=\"%s\",status_class=\"%s\"",
                               route_template((enum route_id)route), stats_method_name(method),
                               classes[class]);
                metrics_u64(page, "ati_requests_total", labels, n);
            }
}

static void merged(const struct gateway *g, struct metrics_page *page, const char *name,
                   const char *labels, size_t offset)
{
    struct histogram h = {0};

    for (unsigned i = 0; i < g->worker_count; i++)
        histogram_merge(
            &h,
            (const struct histogram *)(const void *)((const char *)&g->workers[i].stats + offset));
    metrics_histogram(page, name, labels, &h);
}

static void latencies(const struct gateway *g, struct metrics_page *page)
{
    char labels[LABELS_BYTES];

    metrics_family(page, "ati_request_duration_seconds", "histogram",
                   "From the head of a request to its answer.");
    for (unsigned route = 0; route < ROUTE_COUNT; route++) {
        (void)snprintf(labels, sizeof labels, "route=\"%s\"", route_template((enum route_id)route));
        merged(g, page, "ati_request_duration_seconds", labels,
               offsetof(struct stats, total) + route * sizeof(struct histogram));
    }
    metrics_family(page, "ati_upstream_duration_seconds", "histogram",
                   "What upstreams, servers and programs took of calls.");
    merged(g, page, "ati_upstream_duration_seconds", NULL, offsetof(struct stats, upstream));
    metrics_family(page, "ati_gateway_duration_seconds", "histogram",
                   "What the gateway itself took of calls.");
    merged(g, page, "ati_gateway_duration_seconds", NULL, offsetof(struct stats, own));
}

static void calls(const struct gateway *g, struct metrics_page *page)
{
    char labels[LABELS_BYTES];

    metrics_family(page, "ati_calls_total", "counter", "Tool calls by what became of them.");
    for (unsigned i = 0; i < OUTCOMES; i++) {
        (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcomes[i]);
        metrics_u64(page, "ati_calls_total", labels,
                    sum(g, offsetof(struct stats, outcomes) + i * sizeof(metric)));
    }
    metrics_family(page, "ati_refusals_total", "counter", "Requests and calls that were refused.");
    metrics_u64(page, "ati_refusals_total", "reason=\"unauthorised\"",
                sum(g, offsetof(struct stats, unauthorised)));
    metrics_u64(page, "ati_refusals_total", "reason=\"scope\"",
                sum(g, offsetof(struct stats, denied)));
    metrics_u64(page, "ati_refusals_total", "reason=\"rate\"",
                sum(g, offsetof(struct stats, limited)));
    metrics_u64(page, "ati_refusals_total", "reason=\"unknown_tool\"",
                sum(g, offsetof(struct stats, unknown)));
    metrics_u64(page, "ati_refusals_total", "reason=\"memory\"", atomic_load(&g->memory.refused));
    metrics_u64(page, "ati_refusals_total", "reason=\"children\"",
                atomic_load(&g->children.refused));
}

static bool write_page(const struct gateway *g, struct buf *out, struct err *err)
{
    uint64_t now_ms = clock_monotonic_ms(&clock_system);
    struct metrics_page page;

    metrics_begin(&page, out);
    requests(g, &page);
    latencies(g, &page);
    calls(g, &page);
    counter(&page, "ati_requests_underway", "gauge", "Requests that have no answer yet.",
            sum(g, offsetof(struct stats, underway)));
    counter(&page, "ati_calls_underway", "gauge", "Tool calls that go on.",
            sum(g, offsetof(struct stats, calls_underway)));
    counter(&page, "ati_call_memory_bytes", "gauge", "What calls hold, without what is small.",
            atomic_load(&g->memory.used));
    counter(&page, "ati_call_memory_max_bytes", "gauge", "What they may hold.", g->memory.max);
    counter(&page, "ati_children", "gauge", "Programs and servers that run.",
            atomic_load(&g->children.used));
    counter(&page, "ati_children_max", "gauge", "How many may.", g->children.max);
    counter(&page, "ati_tools", "gauge", "Public tools.", catalog_tool_count(g->snapshot->catalog));
    counter(&page, "ati_providers", "gauge", "Providers.",
            catalog_provider_count(g->snapshot->catalog));
    counter(&page, "ati_keyring_entries", "gauge", "Credentials in the keyring.",
            keyring_count(g->snapshot->keyring));
    counter(&page, "ati_snapshot_age_seconds", "gauge",
            "Since manifests, keyring and token keys in use were put together.",
            (now_ms - g->snapshot_ms) / 1000);
    counter(&page, "ati_reloads_total", "counter", "Reloads that went well.", g->reloads);
    counter(&page, "ati_reload_failures_total", "counter", "Reloads that kept what was there.",
            g->reload_failures);
    counter(&page, "ati_audit_dropped_total", "counter", "Lines that the audit has lost.",
            audit_dropped(g->audit));
    counter(&page, "ati_log_dropped_total", "counter", "Lines that the log has lost.",
            log_sink_dropped(g->sink));
    counter(&page, "ati_uptime_seconds", "gauge", "Since the start.",
            (now_ms - g->start_ms) / 1000);
    return metrics_end(&page, err);
}

static bool page_answer(void *context, const struct serve_request *request,
                        struct serve_answer *answer, struct err *err)
{
    (void)request;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return write_page(context, answer->body, err);
}

/* Ready: it answers, and does not drain. */
static bool ready_answer(void *context, const struct serve_request *request,
                         struct serve_answer *answer, struct err *err)
{
    const struct gateway *g = context;
    const char *word = g->stopping ? "draining" : g->serving ? "ready" : "discovering";

    (void)request;
    answer->content_type = "application/json";
    answer->status = g->serving && !g->stopping ? 200 : 503;
    return buf_appendf(answer->body, err, "{\"status\":\"%s\"}\n", word);
}

bool metrics_open(struct gateway *g, struct err *err)
{
    const struct listen_options listening = {.backlog = 64};
    struct serve_options options = {
        .routes = g->metrics_routes, .route_count = 2, .connections_max = 64};
    struct listener listeners[LISTENERS_MAX];
    size_t count = 0;
    bool good = true;

    if (!g->config->metrics_listen)
        return true;
    g->metrics_routes[0] = (struct serve_route){"GET", "/metrics", page_answer, g};
    g->metrics_routes[1] = (struct serve_route){"GET", "/readyz", ready_answer, g};
    if (!server_new(g->loop, &options, &g->metrics, err) ||
        !listen_open(view_str(g->config->metrics_listen), &listening, listeners, &count, err))
        return err_in(err, "--metrics-listen");
    for (size_t i = 0; i < count; i++) {
        good = good && server_listen(g->metrics, &listeners[i], err);
        if (good)
            log_event(g->log, LOG_INFO, "metrics.listening", "metrics are at /metrics",
                      F_STR("addr", listeners[i].name));
    }
    return good;
}
