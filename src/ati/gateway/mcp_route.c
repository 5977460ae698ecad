/* mcp_route: /mcp, the Streamable HTTP transport around ati/mcp_server: one message or a batch in, its answers out. Tools are called by
 * invoke.c, as those of /call.
 *
 *   no progress, soon over    one JSON text, when all is answered
 *   otherwise                 text/event-stream, for who takes it: progress as it comes, then the answers, an event each; comments in
 *                             between, lest somebody on the way takes it for dead */
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"
#include "base/version.h"
#include "jsonrpc/jsonrpc.h"
#include "sse/sse.h"

#include "base/poison.h"

enum {
    STREAM_AFTER_MS = 10 * 1000, /* a call that takes longer is answered by a stream */
    STREAM_COMMENT_MS = 15 * 1000,
    STREAM_WAITING_MAX = 256 * 1024 /* bytes; progress is for who reads */
};

/* A tool of this request that is being called. */
struct tool_call {
    struct mcp_work *work;
    struct mcp_server_message message;
    struct mcp_server_call *registered; /* can be cancelled; NULL: not */
    struct invocation invocation;
    bool over;
};

/* What the request holds while its calls are under way. */
struct mcp_work {
    struct request *request;
    struct json_tree tree;
    struct view session;
    struct buf out;
    struct tool_call *calls;
    size_t call_count, calls_left;
    bool batch, any, failed; /* any: something is to be answered */
    bool begun;              /* all messages were read */
    bool takes_stream, streaming;
    struct timer comment;                /* when takes_stream */
    size_t starts[MCP_SERVER_BATCH_MAX]; /* of the answers in out */
    size_t answer_count;
};

static void work_free(struct mcp_work *k)
{
    for (size_t i = 0; i < k->call_count; i++) {
        mcp_server_call_end(k->calls[i].registered);
        mcp_server_message_done(&k->calls[i].message);
    }
    timer_cancel(&k->comment);
    free(k->calls);
    buf_done(&k->out);
    json_unload(&k->tree);
    free(k);
}

static void left(struct request *r)
{
    struct mcp_work *k = r->work;

    if (!k)
        return;
    for (size_t i = 0; i < k->call_count; i++)
        invoke_cancel(&k->calls[i].invocation);
    work_free(k);
}

/* --- streams --------------------------------------------------------------------------------------- */

/* False: k is no more, and the answer has broken off. */
static bool stream_write(struct mcp_work *k, struct view bytes)
{
    struct request *r = k->request;

    if (!k->streaming)
        request_stream(r, "text/event-stream");
    k->streaming = true;
    if (request_stream_write(r, bytes)) {
        timer_set(r->worker->loop, &k->comment, loop_now_ms(r->worker->loop) + STREAM_COMMENT_MS);
        return true;
    }
    left(r);
    request_stream_cut(r);
    return false;
}

static void comment_due(struct loop *loop, struct timer *timer)
{
    (void)loop;
    (void)!stream_write(CONTAINER(timer, struct mcp_work, comment), VIEW(": \n\n"));
}

static void progressed(void *context, struct view params)
{
    struct tool_call *c = context;
    struct mcp_work *k = c->work;
    struct buf text, event;

    if (k->streaming && request_stream_waiting(k->request) > STREAM_WAITING_MAX)
        return;
    buf_init(&text, ANSWER_BYTES_MAX, "progress");
    buf_init(&event, ANSWER_BYTES_MAX, "progress");
    /* What is no progress, whatever the server calls it, is passed over. */
    if (mcp_server_progress(c->message.progress, params, &text, NULL) &&
        sse_write(&event, VIEW(""), VIEW(""), buf_view(&text), NULL))
        (void)!stream_write(k, buf_view(&event));
    buf_done(&text);
    buf_done(&event);
}

/* Each answer is an event: not even a batch's are an array here. */
static void stream_answers(struct mcp_work *k)
{
    struct request *r = k->request;
    struct view out = buf_view(&k->out);
    struct buf events;
    bool good = !k->failed;

    request_buf(r, &events, SIZE_MAX, "answer");
    for (size_t i = 0; good && i < k->answer_count; i++) {
        size_t end = i + 1 < k->answer_count ? k->starts[i + 1] - strlen(",") : out.len;

        good = sse_write(&events, VIEW(""), VIEW(""),
                         view_first(view_skip(out, k->starts[i]), end - k->starts[i]), NULL);
    }
    good = good && request_stream_write(r, buf_view(&events));
    buf_done(&events);
    r->work = NULL;
    work_free(k);
    if (good)
        request_stream_end(r);
    else
        request_stream_cut(r);
}

/* --- answers --------------------------------------------------------------------------------------- */

/* Everything that was asked has its answer, or the request goes on when the last call does. */
static void answer(struct mcp_work *k)
{
    struct request *r = k->request;
    struct buf out;
    bool batch = k->batch, any = k->any, failed = k->failed, called = k->call_count > 0;

    if (!k->begun || k->calls_left > 0)
        return;
    if (k->streaming) {
        stream_answers(k);
        return;
    }
    out = k->out;
    buf_init(&k->out, 0, "answer");
    r->work = NULL;
    work_free(k);
    if (failed && called)
        mcp_refuse(r, 502, EXEC_CARRIED_OUT);
    else if (failed)
        request_busy(r, REQUEST_BUSY);
    else if (!any)
        request_empty(r, 202);
    else
        request_json_around(r, 200, batch ? VIEW("[") : VIEW(""), &out,
                            batch ? VIEW("]") : VIEW(""));
    buf_done(&out);
}

void mcp_refuse(struct request *r, int status, const char *why)
{
    struct buf body;

    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    if (mcp_server_refusal(VIEW("null"), JSONRPC_INTERNAL_ERROR, view_str(why), &body, NULL))
        request_json(r, status, &body);
    else
        request_no_memory(r);
    buf_done(&body);
}

/* Before each answer in a batch. */
static bool separate(struct mcp_work *k)
{
    bool first = !k->any;

    k->any = true;
    if (!first && !buf_append_byte(&k->out, ',', NULL))
        return false;
    k->starts[k->answer_count++] = buf_len(&k->out);
    return true;
}

static void refuse(struct mcp_work *k, struct view id, int64_t code, const char *text)
{
    if (!separate(k) || !mcp_server_refusal(id, code, view_str(text), &k->out, NULL))
        k->failed = true;
}

static void tell_failure(struct mcp_work *k, struct view id, struct view error)
{
    if (!separate(k) || !mcp_server_result(id, true, VIEW(""), error, &k->out, NULL))
        k->failed = true;
}

static void call_over(struct tool_call *c)
{
    struct mcp_work *k = c->work;

    mcp_server_call_end(c->registered);
    c->registered = NULL;
    c->over = true;
    k->calls_left--;
    answer(k);
}

/* "Error: " is put before it; failures that are none of an MCP server read as if they were. */
static bool whole_error(const struct exec_result *result, struct buf *out)
{
    bool foreign = result->outcome == EXEC_HTTP || result->outcome == EXEC_CLI ||
                   result->outcome == EXEC_EXTRACT;

    if (buf_len(&result->error) == 0) /* several items, which say themselves that they are one */
        return buf_append(out, buf_view(&result->value), NULL);
    return (!foreign || buf_append_str(out, "MCP transport error: ", NULL)) &&
           buf_append(out, buf_view(&result->error), NULL);
}

static void done(void *context, struct exec_result *result)
{
    struct tool_call *c = context;
    struct mcp_work *k = c->work;
    bool failed =
        result->tool_failed || (result->outcome != EXEC_OK && result->outcome != EXEC_NO_RECORDS);
    struct buf error;

    request_buf(k->request, &error, EXEC_RESULT_BYTES_MAX, "error");
    if (!separate(k) || (failed && !whole_error(result, &error)) ||
        !mcp_server_result(c->message.id, failed, buf_view(&result->value), buf_view(&error),
                           &k->out, NULL))
        k->failed = true;
    buf_done(&error);
    call_over(c);
}

/* notifications/cancelled, or the end of its session: nobody waits for the answer any more. */
static void cancelled(void *context)
{
    struct tool_call *c = context;

    invoke_cancel(&c->invocation);
    call_over(c);
}

/* False: it is answered already. */
static bool start_call(struct mcp_work *k, struct tool_call *c)
{
    struct request *r = k->request;
    const struct tool *tool = catalog_find(r->snapshot->catalog, view_str(c->message.name));
    uint64_t retry_after_s = 0;
    char text[ERR_TEXT_BYTES];
    struct err err;

    if (!tool) {
        worker_looks(r->worker);
        metric_add(&r->worker->stats.unknown, 1);
        (void)snprintf(text, sizeof text, "Unknown tool: '%.256s'", c->message.name);
        refuse(k, c->message.id, JSONRPC_INVALID_PARAMS, text);
        return false;
    }
    c->invocation = (struct invocation){
        .request = r, .tool = tool, .name = view_str(c->message.name), .done = done, .context = c};
    if (k->takes_stream && c->message.progress.len > 0)
        c->invocation.progressed = progressed;
    c->invocation.order.arguments = c->message.arguments;
    switch (invoke_start(&c->invocation, &retry_after_s, &err)) {
    case INVOKE_STARTED:
        k->calls_left++;
        if (!mcp_server_call_begin(r->worker->gateway->sessions, r->worker->loop,
                                   r->caller->subject, k->session, c->message.id, cancelled, c,
                                   &c->registered, NULL))
            c->registered = NULL; /* it can be left, but not cancelled */
        return true;
    case INVOKE_DENIED:
        refuse(k, c->message.id, MCP_SERVER_DENIED, err.text);
        break;
    case INVOKE_MISDIRECTED:
        refuse(k, c->message.id, JSONRPC_INVALID_PARAMS, err.text);
        break;
    case INVOKE_LIMITED:
    case INVOKE_FAILED:
        tell_failure(k, c->message.id, view_str(err.text));
        break;
    }
    return false;
}

static void trace_message(struct request *r, struct span *span, const char *method)
{
    const struct span_attribute attribute = {.name = "jsonrpc.method", .text = view_str(method)};

    if (r->trace && method[0])
        span_end(r->worker->gateway->telemetry, span, false, &attribute, 1);
}

static void read_message(struct mcp_work *k, uint32_t token)
{
    struct request *r = k->request;
    const struct mcp_server_state state = {r->snapshot->catalog, r->caller, request_now_s(),
                                           POSTERN_VERSION};
    struct tool_call *c = &k->calls[k->call_count];
    struct mcp_server_message *m = &c->message;
    enum mcp_server_step step = MCP_ACCEPTED;
    char session[MCP_SERVER_SESSION_BYTES + 1];
    struct span span;
    struct buf one;

    buf_init(&one, ANSWER_BYTES_MAX, "answer");
    *c = (struct tool_call){.work = k};
    if (r->trace)
        span_begin(r->worker->gateway->telemetry, &span, "proxy.mcp", SPAN_INTERNAL,
                   &r->trace->server.context);
    if (!mcp_server_read(&state, &k->tree.doc, token, m, &step, &one, NULL))
        k->failed = true;
    else if (m->method[0])
        log_event(r->worker->log, LOG_INFO, "mcp_server.called", "mcp call",
                  F_STR("method", m->method), F_STR("agent", r->caller->subject),
                  F_STR("job_id", r->caller->job_id), F_STR("sandbox_id", r->caller->sandbox_id),
                  F_STR("request_id", r->id));
    if (!k->failed && step == MCP_ANSWERED &&
        (!separate(k) || !buf_append(&k->out, buf_view(&one), NULL)))
        k->failed = true;
    buf_done(&one);
    if (!k->failed && m->initialized) {
        mcp_server_session_id(session);
        request_extra(r, "Mcp-Session-Id", session);
    }
    if (!k->failed && step == MCP_CALL) {
        k->call_count++;
        if (!start_call(k, c))
            trace_message(r, &span, m->method);
        return;
    }
    if (strcmp(m->method, "tools/list") == 0)
        worker_looks(r->worker);
    if (!k->failed && step == MCP_CANCEL)
        mcp_server_cancel(r->worker->gateway->sessions, r->caller->subject, k->session,
                          m->cancelled);
    trace_message(r, &span, m->method);
    mcp_server_message_done(m);
}

/* Who may speak at all: pages of others may not, and sessions that have ended. False: it was answered. */
static bool may_speak(struct request *r, struct view *session)
{
    const struct http_head *head = r->exchange->request.head;
    struct view version;

    if (!page_may_speak(head, r->worker->gateway->config->origins, !r->caller->unrestricted)) {
        request_text(r, 403, VIEW("forbidden: origin is not allowed"));
        return false;
    }
    if (http_field_count(head, VIEW("MCP-Protocol-Version")) > 0 &&
        (!http_field(head, VIEW("MCP-Protocol-Version"), &version) ||
         !mcp_server_version_known(version))) {
        request_text(r, 400, VIEW("MCP-Protocol-Version: no version that is known here"));
        return false;
    }
    *session = VIEW("");
    if (http_field_count(head, VIEW("Mcp-Session-Id")) == 0)
        return true;
    if (http_field(head, VIEW("Mcp-Session-Id"), session) &&
        mcp_server_session_good(r->worker->gateway->sessions, r->caller->subject, *session))
        return true;
    request_text(r, 404, VIEW("no such session"));
    return false;
}

/* "q=0" and its zeros. */
static bool refused(struct view parameters)
{
    struct view value = view_trim_ows(parameters);

    if (!view_starts(value, VIEW("q=0")))
        return false;
    for (size_t i = strlen("q=0"); i < value.len; i++)
        if (value.at[i] != '.' && value.at[i] != '0')
            return false;
    return true;
}

/* By name: who takes anything may still know JSON alone. */
static bool takes_stream(const struct http_head *head)
{
    struct http_list list = {0};
    struct view range;

    while (http_list_next(head, VIEW("Accept"), &list, &range)) {
        size_t end = view_find(range, ';');

        if (view_eq_nocase(view_trim_ows(view_first(range, end)), VIEW("text/event-stream")))
            return end >= range.len || !refused(view_skip(range, end + 1));
    }
    return false;
}

static bool start_work(struct request *r, struct json_tree *tree, struct view session,
                       struct mcp_work **out)
{
    const struct json_token *first = &tree->doc.tokens[0];
    size_t count = first->kind == JSON_ARRAY ? first->count : 1;
    struct mcp_work *k = calloc(1, sizeof *k);

    if (k)
        k->calls = calloc(count, sizeof *k->calls);
    if (!k || !k->calls) {
        free(k);
        return false;
    }
    k->request = r;
    k->tree = *tree;
    k->session = session;
    k->batch = first->kind == JSON_ARRAY;
    k->takes_stream = takes_stream(r->exchange->request.head);
    timer_init(&k->comment, comment_due);
    request_buf(r, &k->out, SIZE_MAX, "answer"); /* each of its results has a ceiling */
    *out = k;
    return true;
}

void mcp_answer_post(struct request *r)
{
    struct view session;
    struct json_tree tree;
    struct mcp_work *k;
    enum json_kind kind;
    uint32_t count, at;

    if (!may_speak(r, &session) || !request_body_json(r, &tree))
        return;
    kind = tree.doc.tokens[0].kind;
    count = tree.doc.tokens[0].count;
    if ((kind != JSON_OBJECT && kind != JSON_ARRAY) ||
        (kind == JSON_ARRAY && (count == 0 || count > MCP_SERVER_BATCH_MAX))) {
        json_unload(&tree);
        request_text(r, 422,
                     VIEW("Failed to deserialize the JSON body into the target type: expected a "
                          "JSON-RPC message, or an array of 1 to 64"));
        return;
    }
    if (!start_work(r, &tree, session, &k)) {
        json_unload(&tree);
        request_no_memory(r);
        return;
    }
    r->work = k;
    r->left = left;
    if (kind == JSON_OBJECT) {
        read_message(k, 0);
    } else {
        at = json_first(0);
        for (uint32_t i = 0; i < count; i++, at = k->tree.doc.tokens[at].next)
            read_message(k, at);
    }
    k->begun = true;
    if (k->takes_stream && k->calls_left > 0)
        timer_set(r->worker->loop, &k->comment, loop_now_ms(r->worker->loop) + STREAM_AFTER_MS);
    answer(k);
}

void mcp_answer_delete(struct request *r)
{
    struct view session;

    if (!may_speak(r, &session))
        return;
    if (session.len == 0) {
        request_text(r, 400, VIEW("Mcp-Session-Id: expected the session to end"));
        return;
    }
    mcp_server_session_end(r->worker->gateway->sessions, r->caller->subject, session);
    request_empty(r, 200);
}
