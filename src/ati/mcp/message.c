#include <stdlib.h>

#include "ati/keyring/keyring.h"
#include "ati/mcp/mcp_priv.h"

static struct mcp_ask *ask_with(struct mcp_connection *c, struct view id)
{
    for (struct mcp_ask *ask = c->asks; ask; ask = ask->next)
        if (ask->request.id && jsonrpc_id_is(id, ask->request.id))
            return ask;
    return NULL;
}

/* The one that id means. */
static struct mcp_request *request_with(struct mcp_connection *c, struct mcp_request *const *only,
                                        bool whole, struct view id)
{
    struct mcp_ask *ask;

    if (only)
        return *only && (whole || jsonrpc_id_is(id, (*only)->id)) ? *only : NULL;
    if (c->hello.id && jsonrpc_id_is(id, c->hello.id))
        return &c->hello;
    ask = ask_with(c, id);
    return ask ? &ask->request : NULL;
}

static void refused(struct mcp_request *r, const struct json_doc *doc, const struct jsonrpc *m)
{
    struct mcp_connection *c = r->connection;
    char *text = NULL;
    size_t len = 0;

    if (!m->message || !json_string_new(doc, m->message, &text, &len))
        text = NULL;
    if (r == &c->hello && text && mcp_connection_offer_older(c, view_from(text, len))) {
        free(text);
        return;
    }
    mcp_request_failed(r, "MCP protocol error (code %lld): %s", (long long)m->code,
                       text ? text : "Unknown error");
    free(text);
}

static void answered(struct mcp_request *r, const struct json_doc *doc, const struct jsonrpc *m)
{
    struct mcp_connection *c = r->connection;

    mcp_request_over(r);
    if (m->kind == JSONRPC_ERROR)
        refused(r, doc, m);
    else if (r == &c->hello)
        mcp_connection_hello(c, doc, m->result);
    else
        mcp_ask_result(OWNER(r, struct mcp_ask, request), doc, m->result);
}

/* A notification. */
static void told(struct mcp_connection *c, const struct json_doc *doc, const struct jsonrpc *m)
{
    const struct mcp_hub_options *o = &c->hub->options;
    uint32_t token;
    struct mcp_ask *ask;

    if (strcmp(m->method, "notifications/tools/list_changed") == 0 && o->changed &&
        c->state == MCP_READY && !c->old)
        o->changed(o->changed_context, c->provider->name);
    if (strcmp(m->method, "notifications/progress") != 0 || !m->params)
        return;
    token = json_member(doc, m->params, "progressToken");
    ask = token ? ask_with(c, json_source(doc, token)) : NULL;
    if (ask)
        mcp_ask_progress(ask, json_source(doc, m->params));
}

/* A request of the server's. */
static void asked(struct mcp_connection *c, const struct jsonrpc *m)
{
    struct buf out;
    bool good;

    buf_init(&out, MCP_ERROR_BYTES_MAX, "an answer");
    if (strcmp(m->method, "ping") == 0)
        good = jsonrpc_write_result(&out, m->id, VIEW("{}"), NULL);
    else if (strcmp(m->method, "roots/list") == 0)
        good = jsonrpc_write_result(&out, m->id, VIEW("{\"roots\":[]}"), NULL);
    else
        good = jsonrpc_write_error(&out, m->id, JSONRPC_METHOD_NOT_FOUND, VIEW("Method not found"),
                                   VIEW(""), NULL);
    if (good && c->state != MCP_LEAVING)
        (void)!c->transport->send(c, NULL, buf_view(&out), NULL);
    buf_done(&out);
}

/* Neither asks nor answers: if it has our id, it was meant to. */
static void broken(struct mcp_request *r)
{
    mcp_request_over(r);
    mcp_request_failed(r, "MCP protocol error (code -1): Response missing 'result' field");
}

static void one(struct mcp_connection *c, struct mcp_request *const *only, bool whole,
                const struct json_doc *doc, uint32_t token)
{
    struct mcp_request *r;
    struct jsonrpc m;
    bool good = jsonrpc_read(doc, token, true, &m, NULL);

    if (good && m.kind == JSONRPC_REQUEST) {
        asked(c, &m);
        return;
    }
    if (good && m.kind == JSONRPC_NOTIFICATION) {
        told(c, doc, &m);
        return;
    }
    if (doc->tokens[token].kind != JSON_OBJECT || json_member(doc, token, "method"))
        return;
    r = request_with(c, only, whole, m.id);
    if (r && good)
        answered(r, doc, &m);
    else if (r)
        broken(r);
}

void mcp_tree(struct mcp_connection *c, struct mcp_request *const *only, bool whole,
              const struct json_doc *doc)
{
    uint32_t at = json_first(0);

    if (doc->tokens[0].kind == JSON_ARRAY)
        for (uint32_t i = 0; i < doc->tokens[0].count; i++, at = doc->tokens[at].next)
            one(c, only, false, doc, at);
    else
        one(c, only, whole, doc, 0);
}

static bool read_masked(struct mcp_connection *c, struct mcp_request *const *only, bool whole,
                        struct view text)
{
    struct json_tree tree;

    if (!json_load_loose(text, MCP_VALUES_MAX, &tree, NULL))
        return false;
    mcp_tree(c, only, whole, &tree.doc);
    json_unload(&tree);
    return true;
}

bool mcp_message(struct mcp_connection *c, struct mcp_request *const *only, bool whole,
                 struct view text)
{
    struct buf masked;
    bool good;

    buf_init(&masked, SIZE_MAX / 2, "a message");
    good = buf_append(&masked, text, NULL) && mcp_way_mask(c->way, &masked, true, NULL) &&
           read_masked(c, only, whole, buf_view(&masked));
    buf_wipe(&masked);
    return good;
}
