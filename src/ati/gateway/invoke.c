/* invoke: one call of one tool. The only way to a tool: /call and /mcp both go through here. */
#include <stdio.h>

#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

static bool permitted(struct invocation *i, struct err *err)
{
    struct request *r = i->request;

    if (caller_may(r->caller, i->tool->scope, i->when_ms / 1000))
        return true;
    metric_add(&r->worker->stats.denied, 1);
    log_event_limited(r->worker->log, LOG_WARN, "call.denied", "tool call denied",
                      F_STR("tool", i->tool->name), F_STR("agent", r->caller->subject),
                      F_STR("job_id", r->caller->job_id), F_STR("request_id", r->id));
    return err_set(err, ERR_DENIED, "Access denied: '%s' is not in your scopes", i->tool->name);
}

static bool within_rate(struct invocation *i, uint64_t *retry_after_s, struct err *err)
{
    struct request *r = i->request;

    if (quota_take(r->worker->gateway->quota, r->caller, i->tool->name, i->when_ms / 1000,
                   retry_after_s, err))
        return true;
    metric_add(&r->worker->stats.limited, 1);
    return false;
}

static enum invoke_verdict directed(struct invocation *i, struct err *err)
{
    struct request *r = i->request;
    enum invoke_verdict verdict = upstream_choose(r, i->tool->provider, &i->order.mcp_url, err);

    if (verdict != INVOKE_STARTED)
        log_event_limited(r->worker->log, LOG_WARN, "call.misdirected",
                          "tool call names an MCP server that it may not",
                          F_STR("tool", i->tool->name), F_STR("provider", i->tool->provider->name),
                          F_STR("agent", r->caller->subject), F_STR("job_id", r->caller->job_id),
                          F_STR("request_id", r->id));
    return verdict;
}

static void tell(const struct invocation *i)
{
    const struct request *r = i->request;
    struct log *log = r->worker->log;
    struct buf shown;

    log_event(log, LOG_INFO, "call.started", "tool call", F_STR("tool", i->tool->name),
              F_STR("agent", r->caller->subject), F_STR("job_id", r->caller->job_id),
              F_STR("sandbox_id", r->caller->sandbox_id), F_STR("request_id", r->id));
    if (!log_wants(log, LOG_DEBUG))
        return;
    buf_init(&shown, (size_t)LOG_TEXT_MAX * 8, "arguments");
    if (audit_arguments(i->order.arguments, &shown, NULL))
        log_event(log, LOG_DEBUG, "call.arguments", "tool call arguments",
                  F_STR("tool", i->tool->name), F_VIEW("args", buf_view(&shown)),
                  F_STR("request_id", r->id));
    buf_done(&shown);
}

static void trace_begin(struct invocation *i)
{
    struct request *r = i->request;

    if (!r->trace)
        return;
    span_begin(r->worker->gateway->telemetry, &i->span,
               r->route == ROUTE_MCP ? "proxy.mcp" : "proxy.call", SPAN_INTERNAL,
               &r->trace->server.context);
    i->order.traceparent = view_str(trace_context_format(&i->span.context, i->parent_text));
    i->order.tracestate = view_str(i->span.context.state);
}

static void trace_end(struct invocation *i, bool failed)
{
    struct request *r = i->request;
    const struct span_attribute attributes[] = {
        {.name = "tool", .text = view_str(i->tool->name)},
        {.name = "jsonrpc.method", .text = VIEW("tools/call")},
    };

    if (r->trace)
        span_end(r->worker->gateway->telemetry, &i->span, failed, attributes,
                 r->route == ROUTE_MCP ? 2 : 1);
}

static void count_unreached(const struct invocation *i, const char *kind)
{
    const struct span_attribute labels[] = {
        {.name = "provider", .text = view_str(i->tool->provider->name)},
        {.name = "error_kind", .text = view_str(kind)},
    };

    telemetry_count(i->request->worker->gateway->telemetry, "ati.upstream.errors", labels, 2, 1);
}

static void over(struct invocation *i, enum exec_outcome outcome, uint64_t upstream_us,
                 int exit_code, struct view error)
{
    struct request *r = i->request;
    uint64_t us = clock_monotonic_us() - i->start_us;
    struct audit_record record = {
        .when_ms = i->when_ms,
        .tool = i->name,
        .arguments = i->order.arguments,
        .ok = error.len == 0 && (outcome == EXEC_OK || outcome == EXEC_NO_RECORDS),
        .duration_ms = us / 1000,
        .caller = r->caller,
        .error = error,
        .exit_code = exit_code,
    };

    i->execution = NULL;
    r->upstream_us += upstream_us ? upstream_us : us;
    metric_sub(&r->worker->stats.calls_underway, 1);
    metric_add(&r->worker->stats.outcomes[outcome], 1);
    audit_write(r->worker->gateway->audit, &record);
    trace_end(i, !record.ok);
}

static void finished(void *context, struct exec_result *result)
{
    struct invocation *i = context;
    struct view error = buf_view(&result->error);

    if (result->tool_failed && error.len == 0)
        error = VIEW("the tool reported an error");
    if (result->unreached)
        count_unreached(i, result->unreached);
    over(i, result->outcome, result->upstream_us, result->exit_code, error);
    i->done(i->context, result);
}

/* Last: whoever is told may cancel. */
static void progressed(void *context, struct view params)
{
    struct invocation *i = context;

    i->progressed(i->context, params);
}

enum invoke_verdict invoke_start(struct invocation *i, uint64_t *retry_after_s, struct err *err)
{
    struct request *r = i->request;
    enum invoke_verdict verdict;

    i->when_ms = clock_wall_ms(&clock_system);
    i->start_us = clock_monotonic_us();
    if (!permitted(i, err))
        return INVOKE_DENIED;
    verdict = directed(i, err);
    if (verdict != INVOKE_STARTED)
        return verdict;
    if (!within_rate(i, retry_after_s, err))
        return INVOKE_LIMITED;
    tell(i);
    trace_begin(i);
    i->order.snapshot = r->snapshot;
    i->order.tool = i->tool;
    i->order.caller = r->caller;
    i->order.token = auth_token(r);
    i->order.progressed = i->progressed ? progressed : NULL;
    metric_add(&r->worker->stats.calls_underway, 1);
    if (exec_start(r->worker->executor, &i->order, finished, i, &i->execution, err))
        return INVOKE_STARTED;
    over(i, EXEC_CANCELLED, 0, -1, view_str(err->text));
    return INVOKE_FAILED;
}

void invoke_cancel(struct invocation *i)
{
    if (!i->execution)
        return;
    exec_cancel(i->execution);
    over(i, EXEC_CANCELLED, 0, -1, VIEW("cancelled: the caller has left"));
}
