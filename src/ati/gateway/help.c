/* help: POST /help: a question about the tools, answered by a language model that is a tool itself (_chat_completion). It is told of
 * nothing that the caller may not call. The scope "help" is what it takes to ask; rates, the audit and the masking of credentials are
 * as for calls of that tool. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"
#include "ati/keyring/mask.h"
#include "base/secret.h"

#include "base/poison.h"

enum { PROMPT_BYTES_MAX = 32 * 1024 * 1024, PARAMETERS_MAX = 65536 };

static const char model[] = "zai-glm-4.7";
#define LLM_TOOL "_chat_completion"

struct help {
    struct request *request;
    struct client_call *call;
    struct view key; /* lent by the snapshot's keyring */
    struct buf url, credential, body;
    struct client_field fields[2];
    int64_t when_ms;
    uint64_t start_us;
};

static void help_free(struct help *h)
{
    buf_done(&h->url);
    buf_wipe(&h->credential);
    buf_done(&h->body);
    free(h);
}

/* {"content":…[,"error":…]} */
static void answer(struct request *r, int status, struct view content, struct view error)
{
    struct json_writer w;
    struct buf body;

    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "content");
    json_text(&w, content);
    if (error.len) {
        json_key(&w, "error");
        json_text(&w, error);
    }
    json_object_end(&w);
    if (json_end(&w, NULL))
        request_json(r, status, &body);
    else
        request_no_memory(r);
    buf_done(&body);
}

static void fail(struct request *r, int status, const char *text)
{
    answer(r, status, VIEW(""), view_str(text));
}

/* --- the record -------------------------------------------------------------------------------- */

/* error: empty: it went well. */
static void record(const struct help *h, struct view error)
{
    struct request *r = h->request;
    uint64_t us = clock_monotonic_us() - h->start_us;
    const struct audit_record line = {
        .when_ms = h->when_ms,
        .tool = VIEW(LLM_TOOL),
        .arguments = r->exchange->request.body,
        .ok = error.len == 0,
        .duration_ms = us / 1000,
        .caller = r->caller,
        .error = error,
        .exit_code = -1,
    };

    r->upstream_us += us;
    audit_write(r->worker->gateway->audit, &line);
}

/* A question that was put, and has no answer. */
static void give_up(struct help *h, int status, struct view text)
{
    struct request *r = h->request;

    record(h, text);
    r->work = NULL;
    help_free(h);
    answer(r, status, VIEW(""), text);
}

/* --- the prompt -------------------------------------------------------------------------------- */

static void put_parameters(const struct tool *tool, struct buf *out, struct err *err)
{
    struct json_tree tree;
    uint32_t properties, at;

    if (!tool->schema || !json_load_loose(view_str(tool->schema), PARAMETERS_MAX, &tree, NULL))
        return;
    properties = json_member(&tree.doc, 0, "properties");
    at = json_first(properties);
    for (uint32_t i = 0; properties && i < tree.doc.tokens[properties].count; i++) {
        uint32_t value = at + 1, type = json_member(&tree.doc, value, "type"),
                 about = json_member(&tree.doc, value, "description");

        (void)!buf_appendf(out, err, "    --%.*s (%.*s): %.*s\n",
                           VIEW_ARG(json_span(&tree.doc, at)),
                           VIEW_ARG(type ? json_span(&tree.doc, type) : VIEW("string")),
                           VIEW_ARG(about ? json_span(&tree.doc, about) : VIEW("")));
        at = tree.doc.tokens[value].next;
    }
    json_unload(&tree);
}

static void put_tool(const struct tool *tool, struct buf *out, struct err *err)
{
    (void)!buf_appendf(
        out, err, "- **%s** (provider: %s, category: %s): %s\n", tool->name, tool->provider->name,
        tool->provider->category ? tool->provider->category : "none", tool->description);
    if (tool->tags.count) {
        (void)!buf_append_str(out, "    tags:", err);
        for (size_t i = 0; i < tool->tags.count; i++)
            (void)!buf_appendf(out, err, "%s %s", i ? "," : "", tool->tags.at[i]);
        (void)!buf_append_str(out, "\n", err);
    }
    if (tool->hint)
        (void)!buf_appendf(out, err, "    hint: %s\n", tool->hint);
    if (tool->provider->handler == HANDLER_CLI && !tool->schema)
        (void)!buf_appendf(out, err, "    usage: ati run %s -- <arguments of %s>\n", tool->name,
                           tool->provider->cli_command);
    put_parameters(tool, out, err);
}

/* only: a tool or a provider; empty: everything that is visible. *count: of what was put. */
static bool put_tools(const struct request *r, struct view only, struct buf *out, size_t *count,
                      struct err *err)
{
    const struct catalog *c = r->snapshot->catalog;
    int64_t now_s = request_now_s();

    err->code = ERR_NONE;
    *count = 0;
    for (size_t i = 0; i < catalog_tool_count(c); i++) {
        const struct tool *tool = catalog_tool_at(c, i);

        if (!caller_may(r->caller, tool->scope, now_s) ||
            (only.len && !view_eq(only, view_str(tool->name)) &&
             !view_eq(only, view_str(tool->provider->name))))
            continue;
        put_tool(tool, out, err);
        ++*count;
    }
    return err->code == ERR_NONE;
}

/* --- the question ------------------------------------------------------------------------------ */

static bool write_question(struct help *h, struct view prompt, struct view query, struct err *err)
{
    static const char about[] =
        "You help an agent to find and use tools that it runs with `ati run <tool> --param value`. "
        "Name the tools that fit, say how to call them with a full command line each, and be "
        "short. Use only the tools that are listed here.\n\nTools:\n";
    struct json_writer w;
    struct buf system;
    bool good;

    buf_init(&system, PROMPT_BYTES_MAX, "prompt");
    good = buf_append_str(&system, about, err) && buf_append(&system, prompt, err);
    json_begin(&w, &h->body);
    json_object(&w);
    json_key(&w, "model");
    json_text(&w, view_str(model));
    json_key(&w, "messages");
    json_array(&w);
    for (int i = 0; i < 2; i++) {
        json_object(&w);
        json_key(&w, "role");
        json_text(&w, i ? VIEW("user") : VIEW("system"));
        json_key(&w, "content");
        json_text(&w, i ? query : buf_view(&system));
        json_object_end(&w);
    }
    json_array_end(&w);
    json_key(&w, "max_completion_tokens");
    json_u64(&w, 1536);
    json_key(&w, "temperature");
    json_raw(&w, VIEW("0.3"));
    json_object_end(&w);
    buf_done(&system);
    return good && json_end(&w, err);
}

static void no_memory(struct help *h)
{
    give_up(h, 502, VIEW("LLM request failed: no memory for the answer"));
}

static void answer_upstream_status(struct help *h, struct client_answer *a)
{
    struct buf text;

    buf_init(&text, ANSWER_BYTES_MAX, "error");
    if (buf_appendf(&text, NULL, "LLM API error (%d): ", a->status) &&
        mask_secrets(&a->body, false, MASK_ERROR_BYTES_MIN, &h->key, 1, NULL) &&
        buf_append(&text, buf_view(&a->body), NULL))
        give_up(h, 502, buf_view(&text));
    else
        no_memory(h);
    buf_done(&text);
}

static void answer_transport(struct help *h, const struct err *err)
{
    char text[ERR_TEXT_BYTES + 64];

    (void)snprintf(text, sizeof text, "LLM request failed: %s", err->text);
    give_up(h, 502, view_str(text));
}

/* choices[0].message.content */
static void answer_content(struct help *h, struct client_answer *a)
{
    char text[ERR_TEXT_BYTES + 64], *content = NULL;
    struct request *r = h->request;
    struct json_tree tree;
    uint32_t choices, message;
    struct err err = {0};
    size_t len;

    if (!mask_secrets(&a->body, true, MASK_VALUE_BYTES_MIN, &h->key, 1, NULL)) {
        no_memory(h);
        return;
    }
    if (!json_load_loose(buf_view(&a->body), BODY_VALUES_MAX, &tree, &err)) {
        (void)snprintf(text, sizeof text, "Failed to parse LLM response: %s", err.text);
        give_up(h, 500, view_str(text));
        return;
    }
    record(h, VIEW(""));
    r->work = NULL;
    help_free(h);
    choices = json_member(&tree.doc, 0, "choices");
    if (choices &&
        (tree.doc.tokens[choices].kind != JSON_ARRAY || tree.doc.tokens[choices].count == 0))
        choices = 0;
    message = choices ? json_member(&tree.doc, json_first(choices), "message") : 0;
    message = message ? json_member(&tree.doc, message, "content") : 0;
    if (message && json_string_new(&tree.doc, message, &content, &len))
        answer(r, 200, view_from(content, len), VIEW(""));
    else
        answer(r, 200, VIEW("No response from LLM"), VIEW(""));
    free(content);
    json_unload(&tree);
}

static void answered(void *context, struct client_answer *a)
{
    struct help *h = context;

    if (a->end.outcome != CLIENT_OK)
        answer_transport(h, &a->end.err);
    else if (a->status < 200 || a->status > 299)
        answer_upstream_status(h, a);
    else
        answer_content(h, a);
}

static void left(struct request *r)
{
    struct help *h = r->work;

    if (!h)
        return;
    client_cancel(h->call);
    record(h, VIEW("cancelled: the caller has left"));
    r->work = NULL;
    help_free(h);
}

static bool ask(struct help *h, const struct tool *tool, struct err *err)
{
    struct request *r = h->request;
    struct client_request request = {
        .method = VIEW("POST"),
        .fields = h->fields,
        .field_count = 2,
        .has_body = true,
        .reach = tool->provider->private_network
                     ? CLIENT_ANYWHERE
                     : exec_reach_from(r->worker->gateway->config->environment),
        .timeout_ms = HELP_TIMEOUT_MS,
    };

    if (!buf_appendf(&h->url, err, "%s%s", tool->provider->base_url, tool->endpoint) ||
        !buf_append_str(&h->credential, "Bearer ", err) || !buf_append(&h->credential, h->key, err))
        return false;
    h->fields[0] =
        (struct client_field){VIEW("Content-Type"), VIEW("application/json"), .secret = false};
    h->fields[1] = (struct client_field){VIEW("Authorization"), buf_view(&h->credential), true};
    request.url = buf_view(&h->url);
    request.body = buf_view(&h->body);
    h->call = client_collect(r->worker->client, &request, HELP_ANSWER_BYTES_MAX, answered, h, err);
    return h->call != NULL;
}

static struct help *help_new(struct request *r, struct view key)
{
    struct help *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->request = r;
    h->key = key;
    h->when_ms = clock_wall_ms(&clock_system);
    h->start_us = clock_monotonic_us();
    buf_init(&h->url, CLIENT_URL_BYTES_MAX, "URL");
    buf_init(&h->credential, KEYRING_BYTES_MAX, "credential");
    buf_init(&h->body, (size_t)PROMPT_BYTES_MAX * 2, "question");
    return h;
}

static bool within_rate(struct request *r, int64_t now_s)
{
    uint64_t retry_after_s = 1;
    struct err err = {0};

    if (quota_take(r->worker->gateway->quota, r->caller, LLM_TOOL, now_s, &retry_after_s, &err))
        return true;
    metric_add(&r->worker->stats.limited, 1);
    request_retry_after(r, retry_after_s);
    fail(r, 429, err.text);
    return false;
}

/* tools: what the prompt says of them. */
static void begin(struct request *r, const struct tool *tool, struct view tools, struct view query)
{
    const char *name = tool->provider->auth_key_name;
    struct view key;
    struct help *h;
    struct err err = {0};

    if (!name || !keyring_find(r->snapshot->keyring, view_str(name), &key)) {
        fail(r, 503, "LLM API key not found in keyring");
        return;
    }
    if (!within_rate(r, request_now_s()))
        return;
    h = help_new(r, key);
    if (!h) {
        request_no_memory(r);
        return;
    }
    if (!write_question(h, tools, query, &err) || !ask(h, tool, &err)) {
        answer_transport(h, &err);
        return;
    }
    r->work = h;
    r->left = left;
}

static void help(struct request *r, struct view query, struct view only)
{
    const struct tool *tool = catalog_find(r->snapshot->catalog, VIEW(LLM_TOOL));
    char text[ERR_TEXT_BYTES];
    struct buf tools;
    struct err err;
    size_t count;

    if (r->snapshot->authority && !caller_may_help(r->caller, request_now_s())) {
        fail(r, 403, "Access denied: 'help' is not in your scopes");
        return;
    }
    if (!tool) {
        fail(r, 503,
             "No LLM is configured: there is no tool _chat_completion; add a manifest _llm.toml");
        return;
    }
    worker_looks(r->worker);
    buf_init(&tools, PROMPT_BYTES_MAX, "prompt");
    if (!put_tools(r, only, &tools, &count, &err)) {
        request_no_memory(r);
    } else if (only.len && count == 0) {
        (void)snprintf(text, sizeof text, "Scope '%.*s' is not visible in your current scopes.",
                       VIEW_ARG(view_first(only, 200)));
        fail(r, 403, text);
    } else {
        begin(r, tool, buf_view(&tools), query);
    }
    buf_done(&tools);
}

void help_answer(struct request *r)
{
    struct json_tree tree;
    uint32_t query, only;
    char *query_text = NULL, *only_text = NULL;
    size_t query_len = 0, only_len = 0;

    request_span(r, "proxy.help");
    if (!request_body_json(r, &tree))
        return;
    query = json_member(&tree.doc, 0, "query");
    only = json_member(&tree.doc, 0, "tool");
    if (only && tree.doc.tokens[only].kind == JSON_NULL)
        only = 0;
    if (!query || !json_string_new(&tree.doc, query, &query_text, &query_len))
        request_text(r, 422,
                     VIEW("Failed to deserialize the JSON body into the target type: missing field "
                          "`query`, or it is no text"));
    else if (only && !json_string_new(&tree.doc, only, &only_text, &only_len))
        request_text(r, 422,
                     VIEW("Failed to deserialize the JSON body into the target type: `tool`: "
                          "expected text"));
    else
        help(r, view_from(query_text, query_len), view_from(only_text, only_len));
    free(query_text);
    free(only_text);
    json_unload(&tree);
}
