/* request: a request's beginning, its answer, and what is counted of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

enum { HTTP_OK = 200, HTTP_TOO_LARGE = 413, HTTP_UNAVAILABLE = 503 };

static void left(void *context);

static const struct serve_watch watching = {left, NULL};

static const char json_type[] = "application/json", text_type[] = "text/plain; charset=utf-8";

int64_t request_now_s(void)
{
    return clock_wall_ms(&clock_system) / 1000;
}

unsigned stats_method(struct view method)
{
    for (unsigned i = 0; i < METHODS - 1; i++)
        if (view_eq(method, view_str(stats_method_name(i))))
            return i;
    return METHODS - 1;
}

const char *stats_method_name(unsigned index)
{
    static const char *const names[METHODS] = {"GET", "POST", "DELETE", "HEAD", "OTHER"};

    return names[index];
}

/* The caller's own, when it is a short word; else one of ours. */
static void choose_id(struct request *r)
{
    struct view id;

    if (http_field(r->exchange->request.head, VIEW("X-Request-Id"), &id) &&
        id.len <= REQUEST_ID_BYTES && http_is_token(id)) {
        memcpy(r->id, id.at, id.len);
        r->id[id.len] = '\0';
        return;
    }
    (void)snprintf(r->id, sizeof r->id, "%s-%u-%" PRIx64, r->worker->gateway->id_prefix,
                   r->worker->index, r->worker->requests);
}

static void trace_begin(struct request *r)
{
    struct telemetry *t = r->worker->gateway->telemetry;
    const struct http_head *head = r->exchange->request.head;
    struct view parent = VIEW(""), state = VIEW("");

    if (!t)
        return;
    r->trace = calloc(1, sizeof *r->trace);
    if (!r->trace)
        return;
    (void)!http_field(head, VIEW("traceparent"), &parent);
    (void)!http_field(head, VIEW("tracestate"), &state);
    trace_context_parse(parent, state, &r->trace->parent);
    span_begin(t, &r->trace->server, "http.server.request", SPAN_SERVER, &r->trace->parent);
}

void request_begin(struct request *r, struct worker *w, struct serve_exchange *x)
{
    const struct entry *entry = x->service ? x->service->context : NULL;

    r->worker = w;
    r->exchange = x;
    r->start_us = clock_monotonic_us();
    r->snapshot = snapshot_ref(worker_snapshot(w));
    r->route = entry ? entry->route->id : ROUTE_OTHER;
    w->requests++;
    metric_add(&w->stats.underway, 1);
    choose_id(r);
    request_extra(r, "X-Request-Id", r->id);
    trace_begin(r);
    serve_later(x, &watching, r);
}

static void trace_end(struct request *r, int status)
{
    struct telemetry *t = r->worker->gateway->telemetry;
    const struct serve_request *q = &r->exchange->request;
    struct span_attribute attributes[] = {
        {.name = "http.request.method", .text = q->head->method},
        {.name = "http.route", .text = view_str(route_template(r->route))},
        {.name = "url.path", .text = r->route == ROUTE_OTHER ? VIEW("") : q->path},
        {.name = "http.response.status_code", .number = true, .value = status},
    };

    if (!r->trace)
        return;
    if (r->trace->has_inner)
        span_end(t, &r->trace->inner, status >= 500, NULL, 0);
    span_end(t, &r->trace->server, status >= 500, attributes,
             sizeof attributes / sizeof *attributes);
    free(r->trace);
    r->trace = NULL;
}

void request_span(struct request *r, const char *name)
{
    if (!r->trace)
        return;
    r->trace->has_inner = true;
    span_begin(r->worker->gateway->telemetry, &r->trace->inner, name, SPAN_INTERNAL,
               &r->trace->server.context);
}

static void telemetry_counts(struct request *r, int status, uint64_t us)
{
    static const char *const classes[STATUS_CLASSES] = {"left", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct telemetry *t = r->worker->gateway->telemetry;
    unsigned method = stats_method(r->exchange->request.head->method);
    struct span_attribute labels[] = {
        {.name = "http.route", .text = view_str(route_template(r->route))},
        {.name = "http.request.method", .text = view_str(stats_method_name(method))},
        {.name = "http.response.status_class", .text = view_str(classes[status / 100])},
        {.name = "provider"},
        {.name = "tool"},
    };
    size_t n = 3;

    if (!t)
        return;
    if (r->tool && r->route == ROUTE_CALL) {
        labels[n++].text = view_str(r->tool->provider->name);
        labels[n++].text = view_str(r->tool->name);
    }
    telemetry_count(t, "ati.proxy.requests", labels, n, 1);
    telemetry_observe(t, "ati.proxy.request_duration_ms", labels, n, (double)us / 1000);
}

/* status 0: the client left. What the request held goes; its exchange is told next. */
static void end(struct request *r, int status)
{
    struct stats *stats = &r->worker->stats;
    uint64_t us = clock_monotonic_us() - r->start_us;

    metric_sub(&stats->underway, 1);
    metric_add(
        &stats->requests[r->route][stats_method(r->exchange->request.head->method)][status / 100],
        1);
    histogram_observe(&stats->total[r->route], us);
    if (r->upstream_us) {
        histogram_observe(&stats->upstream, r->upstream_us);
        histogram_observe(&stats->own, us > r->upstream_us ? us - r->upstream_us : 0);
    }
    telemetry_counts(r, status, us);
    trace_end(r, status);
    log_event(r->worker->log, LOG_DEBUG, "request.ended", "request",
              F_VIEW("method", r->exchange->request.head->method),
              F_STR("route", route_template(r->route)), F_U64("status", (uint64_t)status),
              F_U64("duration_us", us), F_STR("request_id", r->id));
    caller_unref(r->caller);
    snapshot_unref(r->snapshot);
    budget_give(&r->worker->gateway->memory, r->held);
}

static void left(void *context)
{
    struct request *r = context;

    if (r->left)
        r->left(r);
    end(r, 0);
}

void request_extra(struct request *r, const char *name, const char *value)
{
    size_t len = strlen(r->extra);
    int n = snprintf(r->extra + len, sizeof r->extra - len, "%s: %s\r\n", name, value);

    if (n < 0 || (size_t)n >= sizeof r->extra - len)
        r->extra[len] = '\0'; /* half a field would split the answer */
}

static void reply(struct request *r, struct serve_reply *answer)
{
    answer->extra = r->extra;
    end(r, answer->status);
    serve_reply(r->exchange, answer);
}

void request_empty(struct request *r, int status)
{
    reply(r, &(struct serve_reply){.status = status});
}

void request_text(struct request *r, int status, struct view text)
{
    reply(r, &(struct serve_reply){.status = status, .content_type = text_type, .text = text});
}

void request_json_around(struct request *r, int status, struct view before, struct buf *body,
                         struct view behind)
{
    reply(r, &(struct serve_reply){.status = status,
                                   .content_type = json_type,
                                   .before = before,
                                   .body = body,
                                   .behind = behind});
}

void request_json(struct request *r, int status, struct buf *body)
{
    request_json_around(r, status, VIEW(""), body, VIEW(""));
}

void request_no_memory(struct request *r)
{
    request_empty(r, 503);
}

void request_retry_after(struct request *r, uint64_t seconds)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, seconds);
    request_extra(r, "Retry-After", text);
}

void request_busy(struct request *r, const char *why)
{
    request_retry_after(r, BUSY_RETRY_S);
    if (r->route == ROUTE_CALL)
        call_refuse(r, HTTP_UNAVAILABLE, "", view_str(why));
    else if (r->route == ROUTE_MCP)
        mcp_refuse(r, HTTP_UNAVAILABLE, why);
    else
        request_json_error(r, HTTP_UNAVAILABLE, why);
}

void request_unheld(struct request *r, size_t bytes)
{
    static const char why[] = "the JSON of the request takes more memory than calls may have";

    if (bytes <= r->worker->gateway->memory.max / 2)
        request_busy(r, REQUEST_BUSY);
    else if (r->route == ROUTE_CALL)
        call_refuse(r, HTTP_TOO_LARGE, "", view_str(why));
    else if (r->route == ROUTE_MCP)
        mcp_refuse(r, HTTP_TOO_LARGE, why);
    else
        request_json_error(r, HTTP_TOO_LARGE, why);
}

bool request_hold(struct request *r, size_t bytes)
{
    if (bytes <= BUF_COUNTED_BYTES)
        return true;
    if (!budget_take(&r->worker->gateway->memory, bytes))
        return false;
    r->held += bytes;
    return true;
}

void request_buf(const struct request *r, struct buf *b, size_t max, const char *what)
{
    buf_init(b, max, what);
    buf_count(b, &r->worker->gateway->memory);
}

void request_stream(struct request *r, const char *content_type)
{
    request_extra(r, "X-Accel-Buffering", "no"); /* front ends would wait for more */
    serve_stream(r->exchange, HTTP_OK, content_type, r->extra);
}

bool request_stream_write(struct request *r, struct view bytes)
{
    return serve_write(r->exchange, bytes);
}

size_t request_stream_waiting(const struct request *r)
{
    return serve_waiting(r->exchange);
}

void request_stream_end(struct request *r)
{
    end(r, HTTP_OK);
    serve_end(r->exchange);
}

void request_stream_cut(struct request *r)
{
    end(r, HTTP_UNAVAILABLE);
    serve_cut(r->exchange);
}

void request_json_error(struct request *r, int status, const char *text)
{
    struct json_writer w;
    struct buf body;

    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "error");
    json_text(&w, view_str(text));
    json_object_end(&w);
    if (json_end(&w, NULL))
        request_json(r, status, &body);
    else
        request_no_memory(r);
    buf_done(&body);
}

/* application/json, application/…+json; parameters do not matter. */
bool request_content_is_json(const struct http_head *head)
{
    struct view type;

    if (!http_field(head, VIEW("Content-Type"), &type))
        return false;
    type = view_trim_ows(view_first(type, view_find(type, ';')));
    if (view_eq_nocase(type, VIEW("application/json")))
        return true;
    return type.len > strlen("application/+json") &&
           view_eq_nocase(view_first(type, strlen("application/")), VIEW("application/")) &&
           view_eq_nocase(view_skip(type, type.len - strlen("+json")), VIEW("+json"));
}

bool request_body_json(struct request *r, struct json_tree *out)
{
    const struct serve_request *q = &r->exchange->request;
    char text[ERR_TEXT_BYTES + 64];
    struct err err;
    size_t bytes;

    if (!request_content_is_json(q->head)) {
        request_text(r, 415, VIEW("Expected request with `Content-Type: application/json`"));
        return false;
    }
    if (json_load_loose(q->body, BODY_VALUES_MAX, out, &err)) {
        if (request_hold(r, out->doc.count * sizeof *out->tokens))
            return true;
        bytes = out->doc.count * sizeof *out->tokens;
        json_unload(out);
        request_unheld(r, bytes);
        return false;
    }
    (void)snprintf(text, sizeof text, "Failed to parse the request body as JSON: %s", err.text);
    request_text(r, 400, view_str(text));
    return false;
}
