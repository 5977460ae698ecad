#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"

/* Newest first: what we offer, and what a server that refuses is offered next. */
static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
enum { VERSIONS = sizeof versions / sizeof *versions };

static void timed(struct loop *loop, struct timer *timer);

static void retire(struct loop *loop, struct retired *retired)
{
    struct mcp_connection *c = OWNER(retired, struct mcp_connection, retired);

    (void)loop;
    mcp_way_free(c->way);
    catalog_unref(c->catalog);
    buf_done(&c->line);
    free(c->session);
    free(c);
}

static void unlink_(struct mcp_connection *c)
{
    if (!c->link)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
}

void mcp_connection_gone(struct mcp_connection *c)
{
    if (c->gone)
        return;
    c->gone = true;
    timer_cancel(&c->timer);
    mcp_readings_drop(c);
    unlink_(c);
    loop_retire(c->hub->loop, &c->retired);
    mcp_hub_lost(c->hub);
}

/* --- the greeting ----------------------------------------------------------------------------------- */

static bool say_hello(struct mcp_connection *c, struct err *err)
{
    struct buf params, message;
    struct json_writer w;
    bool good;

    buf_init(&params, 4096, "initialize");
    buf_init(&message, 8192, "initialize");
    json_begin(&w, &params);
    json_object(&w);
    json_key(&w, "protocolVersion");
    json_text(&w, view_str(versions[c->offered]));
    json_key(&w, "capabilities");
    json_raw(&w, VIEW("{}"));
    json_key(&w, "clientInfo");
    json_object(&w);
    json_key(&w, "name");
    json_text(&w, VIEW("ati"));
    json_key(&w, "version");
    json_text(&w, view_str(c->hub->options.version));
    json_object_end(&w);
    json_object_end(&w);
    c->hello = (struct mcp_request){.connection = c, .id = ++c->last_id};
    good = json_end(&w, err) &&
           jsonrpc_write_request(&message, c->hello.id, "initialize", buf_view(&params), err) &&
           c->transport->send(c, &c->hello, buf_view(&message), err);
    buf_done(&params);
    buf_done(&message);
    return good;
}

bool mcp_connection_new(struct mcp_hub *hub, struct mcp_way *way, struct catalog *catalog,
                        const struct tool_provider *provider, struct mcp_connection **out,
                        struct err *err)
{
    struct mcp_connection *c = calloc(1, sizeof *c);

    if (!c) {
        mcp_way_free(way);
        return err_set(err, ERR_MEMORY, "MCP transport error: no memory for a connection");
    }
    c->hub = hub;
    c->way = way;
    c->transport = way->http ? &mcp_http : &mcp_stdio;
    c->catalog = catalog_ref(catalog);
    c->provider = provider;
    c->asks_tail = &c->asks;
    timer_init(&c->timer, timed);
    buf_init(&c->line, MCP_MESSAGE_BYTES_MAX, "a message");
    buf_count(&c->line, hub->options.memory);
    c->retired.free = retire;
    if (!c->transport->open(c, err)) {
        retire(hub->loop, &c->retired);
        return false;
    }
    c->next = hub->connections;
    c->link = &hub->connections;
    if (c->next)
        c->next->link = &c->next;
    hub->connections = c;
    if (say_hello(c, err)) {
        *out = c;
        return true;
    }
    if (err->code ==
        ERR_NOT_FOUND) /* it has gone already: what becomes of it is told to those who wait */
        *out = c;
    else
        mcp_connection_close(c);
    return err->code == ERR_NOT_FOUND;
}

/* initialize was answered. */
void mcp_connection_hello(struct mcp_connection *c, const struct json_doc *doc, uint32_t result)
{
    uint32_t capabilities = json_member(doc, result, "capabilities");
    uint32_t version = json_member(doc, result, "protocolVersion");
    struct buf message;

    if (!capabilities || !json_member(doc, capabilities, "tools")) {
        mcp_connection_failed(c, "MCP server did not return tools capability");
        return;
    }
    if (!version || !json_string(doc, version, c->version, sizeof c->version) || !*c->version)
        snprintf(c->version, sizeof c->version, "%s", versions[c->offered]);
    for (const char *at = c->version; *at; at++)
        if (*at <= ' ' || *at > '~')
            snprintf(c->version, sizeof c->version, "%s", versions[c->offered]);
    buf_init(&message, 256, "notifications/initialized");
    if (jsonrpc_write_notification(&message, "notifications/initialized", VIEW(""), NULL))
        c->transport->greet(c, buf_view(&message));
    else
        mcp_connection_failed(c, "MCP transport error: no memory");
    buf_done(&message);
}

bool mcp_connection_offer_older(struct mcp_connection *c, struct view why)
{
    struct err err = {0};

    if (c->offered + 1 >= VERSIONS || !why.at || !view_find_text(why, VIEW("ersion")))
        return false;
    c->offered++;
    return say_hello(c, &err);
}

void mcp_connection_ready(struct mcp_connection *c)
{
    struct mcp_ask *next;

    c->state = MCP_READY;
    log_event(c->hub->options.log, LOG_INFO, "mcp.connected", "MCP server connected",
              F_STR("provider", c->provider->name),
              F_STR("transport", c->way->http ? "http" : "stdio"), F_STR("version", c->version));
    for (struct mcp_ask *ask = c->asks; ask && c->state == MCP_READY; ask = next) {
        next = ask->next;
        mcp_connection_send(c, ask);
    }
}

/* --- asks ------------------------------------------------------------------------------------------- */

void mcp_connection_add(struct mcp_connection *c, struct mcp_ask *ask)
{
    ask->request = (struct mcp_request){.connection = c};
    ask->next = NULL;
    ask->link = c->asks_tail;
    *c->asks_tail = ask;
    c->asks_tail = &ask->next;
    timer_cancel(&c->timer);
    if (c->state == MCP_READY)
        mcp_connection_send(c, ask);
}

static void idle(struct mcp_connection *c)
{
    uint64_t ms = c->hub->options.idle_ms;

    if (c->way->own && ms > MCP_IDLE_OWN_MS)
        ms = MCP_IDLE_OWN_MS;
    c->idle_since_ms = loop_now_ms(c->hub->loop);
    if (c->old || c->state == MCP_STARTING)
        mcp_connection_close(c);
    else if (!mcp_hub_takes_place(c))
        timer_set(c->hub->loop, &c->timer, loop_now_ms(c->hub->loop) + ms);
}

void mcp_connection_remove(struct mcp_ask *ask)
{
    struct mcp_connection *c = ask->request.connection;

    if (!ask->link)
        return;
    c->transport->drop(&ask->request);
    ask->request = (struct mcp_request){0};
    *ask->link = ask->next;
    if (ask->next)
        ask->next->link = ask->link;
    else
        c->asks_tail = ask->link;
    ask->link = NULL;
    if (!c->asks && c->state != MCP_LEAVING)
        idle(c);
}

static bool call_params(const struct mcp_ask *ask, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "name");
    json_text(&w, view_str(ask->name));
    json_key(&w, "arguments");
    json_raw(&w, buf_view(&ask->arguments));
    json_key(&w, "_meta");
    json_object(&w);
    json_key(&w, "progressToken");
    json_u64(&w, ask->request.id);
    json_object_end(&w);
    json_object_end(&w);
    return json_end(&w, err);
}

static bool list_params(const struct mcp_ask *ask, struct buf *out, struct err *err)
{
    return !ask->cursor ||
           (buf_append_str(out, "{\"cursor\":", err) && buf_append_str(out, ask->cursor, err) &&
            buf_append_byte(out, '}', err));
}

void mcp_connection_send(struct mcp_connection *c, struct mcp_ask *ask)
{
    struct buf params, message;
    struct err err = {0};
    bool good;

    ask->request.id = ++c->last_id;
    buf_init(&params, SIZE_MAX / 2, "a request");
    buf_init(&message, SIZE_MAX / 2, "a request");
    good = (ask->list ? list_params(ask, &params, &err) : call_params(ask, &params, &err)) &&
           jsonrpc_write_request(&message, ask->request.id, ask->list ? "tools/list" : "tools/call",
                                 buf_view(&params), &err);
    buf_done(&params);
    good = good && c->transport->send(c, &ask->request, buf_view(&message), &err);
    buf_done(&message);
    if (good)
        return;
    if (err.code == ERR_NOT_FOUND) {
        mcp_connection_retire(c);
        if (mcp_ask_move(ask))
            return;
    }
    ask->answer.busy = err.code == ERR_BUSY;
    mcp_request_failed(&ask->request, "MCP transport error: [%s] %s", c->provider->name, err.text);
}

void mcp_connection_cancel(struct mcp_ask *ask, const char *reason)
{
    struct mcp_connection *c = ask->request.connection;
    struct buf params, message;
    struct json_writer w;

    if (!c || !ask->request.id || c->state != MCP_READY)
        return;
    buf_init(&params, 512, "notifications/cancelled");
    buf_init(&message, 1024, "notifications/cancelled");
    json_begin(&w, &params);
    json_object(&w);
    json_key(&w, "requestId");
    json_u64(&w, ask->request.id);
    json_key(&w, "reason");
    json_text(&w, view_str(reason));
    json_object_end(&w);
    /* A server that does not hear of it works for nothing, that is all. */
    if (json_end(&w, NULL) &&
        jsonrpc_write_notification(&message, "notifications/cancelled", buf_view(&params), NULL))
        (void)!c->transport->send(c, NULL, buf_view(&message), NULL);
    buf_done(&params);
    buf_done(&message);
}

void mcp_request_over(struct mcp_request *r)
{
    r->id = 0;
    r->connection->transport->drop(r);
}

static struct mcp_ask *ask_of(struct mcp_request *r)
{
    return r == &r->connection->hello ? NULL : OWNER(r, struct mcp_ask, request);
}

/* A sentence, without the secrets of a connection. */
PRINTF(3, 0)
static void masked(const struct mcp_connection *c, struct buf *out, const char *fmt, va_list args)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, args);

    buf_init(out, SIZE_MAX / 2, "an error");
    if (n < 0)
        return;
    if (!buf_append_str(out, text, NULL) || !mcp_way_mask(c->way, out, false, NULL))
        buf_reset(out);
    else if (buf_len(out) > MCP_ERROR_BYTES_MAX)
        out->tail = out->head + MCP_ERROR_BYTES_MAX;
    free(text);
}

/* Everybody who waits for it. */
static void fail(struct mcp_connection *c, struct view text)
{
    struct mcp_ask *ask, *next;

    if (c->state == MCP_LEAVING)
        return;
    if (!c->hub->closing)
        log_event_limited(c->hub->options.log, LOG_WARN, "mcp.failed", "MCP server failed",
                          F_STR("provider", c->provider->name), F_VIEW("error", text));
    c->old = true;
    for (ask = c->asks; ask; ask = next) {
        next = ask->next;
        ask->answer.busy = c->starved;
        ask->answer.carried_out = c->starved && ask->request.id;
        mcp_ask_failed(ask, text);
    }
    mcp_connection_close(c);
}

void mcp_connection_failed(struct mcp_connection *c, const char *fmt, ...)
{
    struct buf text;
    va_list args;

    va_start(args, fmt);
    masked(c, &text, fmt, args);
    va_end(args);
    fail(c, buf_view(&text));
    buf_done(&text);
}

void mcp_request_failed(struct mcp_request *r, const char *fmt, ...)
{
    struct mcp_connection *c = r->connection;
    struct buf text;
    va_list args;

    va_start(args, fmt);
    masked(c, &text, fmt, args);
    va_end(args);
    if (r == &c->hello)
        fail(c, buf_view(&text));
    else
        mcp_ask_failed(ask_of(r), buf_view(&text));
    buf_done(&text);
}

void mcp_request_starved(struct mcp_request *r)
{
    struct mcp_connection *c = r->connection;
    struct mcp_ask *ask = ask_of(r);

    if (ask)
        ask->answer.busy = ask->answer.carried_out = true;
    else
        c->starved = true;
    mcp_request_failed(r, "MCP transport error: [%s] " MCP_STARVED, c->provider->name);
}

bool mcp_request_forgotten(struct mcp_request *r)
{
    struct mcp_connection *c = r->connection;
    struct mcp_ask *ask = ask_of(r);

    if (!ask)
        return false;
    free(c->session);
    c->session = NULL; /* there is nothing to end */
    mcp_connection_retire(c);
    return mcp_ask_move(ask);
}

/* --- the end ---------------------------------------------------------------------------------------- */

void mcp_connection_retire(struct mcp_connection *c)
{
    c->old = true;
    if (!c->asks && c->state != MCP_LEAVING)
        mcp_connection_close(c);
}

void mcp_connection_close(struct mcp_connection *c)
{
    if (c->state == MCP_LEAVING)
        return;
    if (c->state == MCP_READY)
        log_event(c->hub->options.log, LOG_INFO, "mcp.closed", "MCP server disconnected",
                  F_STR("provider", c->provider->name));
    c->state = MCP_LEAVING;
    timer_set(c->hub->loop, &c->timer, loop_now_ms(c->hub->loop) + MCP_END_MS);
    c->transport->leave(c);
}

static void timed(struct loop *loop, struct timer *timer)
{
    struct mcp_connection *c = OWNER(timer, struct mcp_connection, timer);

    (void)loop;
    if (c->state == MCP_LEAVING)
        mcp_connection_free(c);
    else
        mcp_connection_close(c);
}

void mcp_connection_free(struct mcp_connection *c)
{
    c->state = MCP_LEAVING;
    c->transport->cut(c);
    mcp_connection_gone(c);
}
