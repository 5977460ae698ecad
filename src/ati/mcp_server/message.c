#include "ati/mcp_server/mcp_server_priv.h"

#include <stdlib.h>

#include "jsonrpc/jsonrpc.h"

#include "base/poison.h"

enum { RESULT_BYTES_MAX = 256 * 1024 * 1024 };

/* Newest first. */
static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

struct reading {
    const struct mcp_server_state *state;
    const struct json_doc *doc;
    const struct jsonrpc *rpc;
    struct mcp_server_message *message;
    struct buf *out;
    struct err *err;
};

static bool answer_error(const struct reading *r, int64_t code, struct view text)
{
    return jsonrpc_write_error(r->out, r->message->id, code, text, VIEW(""), r->err);
}

static const char *version_of(struct view asked)
{
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (view_eq(asked, view_str(versions[i])))
            return versions[i];
    return NULL;
}

bool mcp_server_version_known(struct view version)
{
    return version_of(version) != NULL;
}

/* The version asked for where we know it; else the one that older clients expect. */
static const char *version_for(const struct reading *r)
{
    uint32_t token = json_member(r->doc, r->rpc->params, "protocolVersion");
    const char *known = NULL;

    if (r->rpc->params && token)
        known = version_of(json_span(r->doc, token));
    return known ? known : MCP_SERVER_VERSION_DEFAULT;
}

static bool answer_initialize(const struct reading *r)
{
    struct json_writer w;
    struct buf result;
    bool good;

    buf_init(&result, 4096, "answer to initialize");
    json_begin(&w, &result);
    json_object(&w);
    json_key(&w, "protocolVersion");
    json_text(&w, view_str(version_for(r)));
    json_key(&w, "capabilities");
    json_raw(&w, VIEW("{\"tools\":{\"listChanged\":false}}"));
    json_key(&w, "serverInfo");
    json_object(&w);
    json_key(&w, "name");
    json_text(&w, VIEW("ati-proxy"));
    json_key(&w, "version");
    json_text(&w, view_str(r->state->version));
    json_object_end(&w);
    json_object_end(&w);
    good = json_end(&w, r->err) &&
           jsonrpc_write_result(r->out, r->message->id, buf_view(&result), r->err);
    buf_done(&result);
    r->message->initialized = good;
    return good;
}

static bool answer_ping(const struct reading *r)
{
    return jsonrpc_write_result(r->out, r->message->id, VIEW("{}"), r->err);
}

static bool answer_list(const struct reading *r)
{
    struct buf result;
    bool good;

    buf_init(&result, RESULT_BYTES_MAX, "list of tools");
    good = mcp_server_listing(r->state, &result, r->err) &&
           jsonrpc_write_result(r->out, r->message->id, buf_view(&result), r->err);
    buf_done(&result);
    return good;
}

/* params._meta.progressToken: a string or a number. */
static struct view progress_token(const struct reading *r)
{
    uint32_t meta = json_member(r->doc, r->rpc->params, "_meta");
    uint32_t token = meta ? json_member(r->doc, meta, "progressToken") : 0;
    enum json_kind kind = token ? r->doc->tokens[token].kind : JSON_NULL;

    return kind == JSON_STRING || kind == JSON_NUMBER ? json_source(r->doc, token) : VIEW("");
}

static bool read_call(const struct reading *r, enum mcp_server_step *step)
{
    struct mcp_server_message *m = r->message;
    uint32_t params = r->rpc->params;
    uint32_t name = params ? json_member(r->doc, params, "name") : 0;
    uint32_t arguments = params ? json_member(r->doc, params, "arguments") : 0;
    size_t len = 0;

    if (!name || !json_string_new(r->doc, name, &m->name, &len) || !len)
        return answer_error(r, JSONRPC_INVALID_PARAMS, VIEW("Missing tool name in params.name"));
    m->arguments = VIEW("{}");
    if (arguments && r->doc->tokens[arguments].kind == JSON_OBJECT)
        m->arguments = json_source(r->doc, arguments);
    else if (arguments && r->doc->tokens[arguments].kind != JSON_NULL)
        return answer_error(r, JSONRPC_INVALID_PARAMS, VIEW("params.arguments is no object"));
    m->progress = progress_token(r);
    *step = MCP_CALL;
    return true;
}

static bool unknown_method(const struct reading *r)
{
    char text[sizeof r->rpc->method + 32];
    struct buf out;
    bool good;

    buf_init(&out, sizeof text, "message");
    good = buf_appendf(&out, r->err, "Method not found: '%s'", r->rpc->method) &&
           answer_error(r, JSONRPC_METHOD_NOT_FOUND, buf_view(&out));
    buf_done(&out);
    return good;
}

static bool read_request(const struct reading *r, enum mcp_server_step *step)
{
    static const struct {
        const char *method;
        bool (*answer)(const struct reading *r);
    } methods[] = {
        {"initialize", answer_initialize},
        {"ping", answer_ping},
        {"tools/list", answer_list},
    };

    *step = MCP_ANSWERED;
    if (strcmp(r->rpc->method, "tools/call") == 0)
        return read_call(r, step);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(r->rpc->method, methods[i].method) == 0)
            return methods[i].answer(r);
    return unknown_method(r);
}

static void read_notification(const struct reading *r, enum mcp_server_step *step)
{
    uint32_t id = r->rpc->params ? json_member(r->doc, r->rpc->params, "requestId") : 0;

    *step = MCP_ACCEPTED;
    if (strcmp(r->rpc->method, "notifications/cancelled") != 0 || !id)
        return;
    if (r->doc->tokens[id].kind == JSON_STRING || r->doc->tokens[id].kind == JSON_NUMBER) {
        r->message->cancelled = json_source(r->doc, id);
        *step = MCP_CANCEL;
    }
}

bool mcp_server_read(const struct mcp_server_state *state, const struct json_doc *doc,
                     uint32_t token, struct mcp_server_message *message, enum mcp_server_step *step,
                     struct buf *out, struct err *err)
{
    struct jsonrpc rpc;
    struct err why = {0};
    struct reading r = {
        .state = state, .doc = doc, .rpc = &rpc, .message = message, .out = out, .err = err};

    *message = (struct mcp_server_message){0};
    *step = MCP_ANSWERED;
    if (!jsonrpc_read(doc, token, true, &rpc, &why)) {
        message->id = rpc.id.len ? rpc.id : VIEW("null");
        return answer_error(&r, JSONRPC_INVALID_REQUEST, view_str(why.text));
    }
    message->id = rpc.id;
    switch (rpc.kind) {
    case JSONRPC_REQUEST:
        memcpy(message->method, rpc.method, sizeof message->method);
        return read_request(&r, step);
    case JSONRPC_NOTIFICATION:
        memcpy(message->method, rpc.method, sizeof message->method);
        read_notification(&r, step);
        return true;
    case JSONRPC_RESULT:
    case JSONRPC_ERROR:
        *step = MCP_ACCEPTED; /* we ask nothing of clients */
        return true;
    }
    return true;
}

void mcp_server_message_done(struct mcp_server_message *m)
{
    free(m->name);
    *m = (struct mcp_server_message){0};
}
