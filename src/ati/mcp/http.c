#include <stdio.h>
#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"

enum {
    FIELDS_OURS = 8,
    SESSION_BYTES_MAX = 1024,
    RESUMES_MAX = 8, /* in a row, without an event between them */
    RETRY_MS = 1000, /* before a stream is resumed, unless the server says otherwise */
    RETRY_MS_MAX = 30 * 1000,
    REDIRECTS = 5
};

enum kind {
    POST_MESSAGE, /* an answer is waited for while r is there */
    POST_GREETING,
    POST_RESUMED, /* the GET that goes on with a stream */
    POST_END      /* DELETE */
};

/* A request of HTTP, and what it is for. */
struct mcp_exchange {
    struct mcp_exchange *next, **link;
    struct mcp_connection *c;
    struct mcp_request *r; /* who waits; NULL: nobody (any more) */
    enum kind kind;
    struct client_call *call; /* NULL: between two */
    struct buf message, body;
    char *session; /* that it was sent with */
    struct mcp_trace trace;
    struct client_field *fields;
    size_t field_count;
    int status;
    bool notice; /* nobody ever waited: what is said to it has no meaning but its status */
    bool stream; /* of events */
    struct sse sse;
    char *event_id; /* the last one; NULL: none */
    unsigned resumes;
    struct timer timer;    /* to resume, or to end what lingers */
    unsigned readings;     /* of what it said, by the thread */
    bool waits;            /* for them: it has ended */
    struct client_end how; /* it has */
    bool over;
    struct retired retired;
};

static void timed(struct loop *loop, struct timer *timer);

static void retire(struct loop *loop, struct retired *retired)
{
    struct mcp_exchange *x = OWNER(retired, struct mcp_exchange, retired);

    (void)loop;
    sse_done(&x->sse);
    buf_done(&x->message);
    buf_done(&x->body);
    free(x->session);
    free(x->fields);
    free(x->event_id);
    free(x);
}

static void begin_events(struct mcp_exchange *x)
{
    sse_init(&x->sse, MCP_MESSAGE_BYTES_MAX);
    buf_count(&x->sse.data, x->c->hub->options.memory);
}

static void end(struct mcp_exchange *x)
{
    struct mcp_connection *c = x->c;

    if (x->over)
        return;
    x->over = true;
    mcp_readings_forget(c, x);
    if (x->r)
        x->r->exchange = NULL;
    x->r = NULL;
    timer_cancel(&x->timer);
    if (x->call)
        client_cancel(x->call);
    x->call = NULL;
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    loop_retire(c->hub->loop, &x->retired);
    if (c->state == MCP_LEAVING && !c->exchanges)
        mcp_connection_gone(c);
}

/* Nothing is waited for any more, but an end that is near lets the TCP connection be used again. */
static void linger(struct mcp_exchange *x)
{
    timer_set(x->c->hub->loop, &x->timer, loop_now_ms(x->c->hub->loop) + MCP_LINGER_MS);
}

/* Whoever waits; he waits no more. */
static struct mcp_request *take_request(struct mcp_exchange *x)
{
    struct mcp_request *r = x->r;

    if (r)
        r->exchange = NULL;
    x->r = NULL;
    return r;
}

/* --- what is sent ----------------------------------------------------------------------------------- */

static void add(struct mcp_exchange *x, struct view name, struct view value, bool secret)
{
    x->fields[x->field_count++] = (struct client_field){name, value, secret};
}

static bool make_fields(struct mcp_exchange *x, struct err *err)
{
    const struct mcp_connection *c = x->c;
    const struct text_pairs *more = &c->way->fields;

    free(x->fields);
    x->fields = calloc(FIELDS_OURS + more->count, sizeof *x->fields);
    x->field_count = 0;
    if (!x->fields)
        return err_set(err, ERR_MEMORY, "no memory for a request");
    if (x->kind == POST_MESSAGE || x->kind == POST_GREETING)
        add(x, VIEW("Content-Type"), VIEW("application/json"), false);
    if (x->kind == POST_RESUMED)
        add(x, VIEW("Accept"), VIEW("text/event-stream"), false);
    else if (x->kind != POST_END)
        add(x, VIEW("Accept"), VIEW("application/json, text/event-stream"), false);
    if (x->session)
        add(x, VIEW("Mcp-Session-Id"), view_str(x->session), true);
    if (*c->version)
        add(x, VIEW("MCP-Protocol-Version"), view_str(c->version), false);
    if (x->kind == POST_RESUMED)
        add(x, VIEW("Last-Event-ID"), view_str(x->event_id), true);
    if (x->kind == POST_MESSAGE && x->trace.parent[0]) {
        add(x, VIEW("traceparent"), view_str(x->trace.parent), false);
        if (x->trace.state[0])
            add(x, VIEW("tracestate"), view_str(x->trace.state), false);
    }
    for (size_t i = 0; i < more->count; i++)
        add(x, view_str(more->at[i].name), view_str(more->at[i].value), true);
    return true;
}

static void head(void *context, const struct http_head *h);
static void piece(void *context, struct view bytes);
static void done(void *context, const struct client_end *e);

static bool start(struct mcp_exchange *x, struct err *err)
{
    static const struct client_receiver receiver = {head, piece, done};
    struct client_request request = {
        .method = x->kind == POST_RESUMED ? VIEW("GET")
                  : x->kind == POST_END   ? VIEW("DELETE")
                                          : VIEW("POST"),
        .url = view_str(x->c->way->url),
        .body = buf_view(&x->message),
        .has_body = x->kind == POST_MESSAGE || x->kind == POST_GREETING,
        .reach = x->c->way->reach,
        .redirects = REDIRECTS,
        .timeout_ms = x->notice || x->kind == POST_GREETING ? MCP_NOTICE_MS : 0,
    };

    if (!make_fields(x, err))
        return false;
    if (!request.has_body)
        request.body = VIEW("");
    request.fields = x->fields;
    request.field_count = x->field_count;
    x->status = 0;
    x->stream = false;
    x->call = client_start(x->c->hub->client, &request, &receiver, x, err);
    return x->call != NULL;
}

/* message: copied. */
static bool post(struct mcp_connection *c, enum kind kind, struct mcp_request *r,
                 struct view message, struct err *err)
{
    struct mcp_exchange *x = calloc(1, sizeof *x);

    if (!x)
        return err_set(err, ERR_MEMORY, "no memory for a request");
    x->c = c;
    x->kind = kind;
    x->notice = kind == POST_MESSAGE && !r;
    buf_init(&x->message, message.len, "a message");
    buf_init(&x->body, MCP_MESSAGE_BYTES_MAX, "an answer");
    buf_count(&x->message, c->hub->options.memory);
    buf_count(&x->body, c->hub->options.memory);
    begin_events(x);
    timer_init(&x->timer, timed);
    x->retired.free = retire;
    if (r && r != &c->hello)
        x->trace = OWNER(r, struct mcp_ask, request)->trace;
    x->session = c->session ? strdup(c->session) : NULL;
    if ((c->session && !x->session) || !buf_append(&x->message, message, err) || !start(x, err)) {
        retire(c->hub->loop, &x->retired);
        return false;
    }
    x->r = r;
    if (r)
        r->exchange = x;
    x->next = c->exchanges;
    x->link = &c->exchanges;
    if (x->next)
        x->next->link = &x->next;
    c->exchanges = x;
    return true;
}

/* --- what comes back -------------------------------------------------------------------------------- */

static bool is_session(struct view v)
{
    if (!v.len || v.len > SESSION_BYTES_MAX)
        return false;
    for (size_t i = 0; i < v.len; i++)
        if (v.at[i] <= ' ' || v.at[i] > '~')
            return false;
    return true;
}

static void head(void *context, const struct http_head *h)
{
    struct mcp_exchange *x = context;
    struct mcp_connection *c = x->c;
    struct view v;
    char *session;

    x->status = h->status;
    x->stream =
        h->status / 100 == 2 && http_field(h, VIEW("content-type"), &v) &&
        view_eq_nocase(view_trim_ows(view_first(v, view_find(v, ';'))), VIEW("text/event-stream"));
    if (c->state != MCP_LEAVING && !c->old && http_field(h, VIEW("mcp-session-id"), &v) &&
        is_session(v) && !view_eq(v, view_str(c->session)) && (session = mcp_copy(v)) != NULL) {
        free(c->session);
        c->session = session;
    }
    if (x->notice || (x->kind == POST_GREETING && h->status / 100 == 2))
        linger(x); /* the status says it all */
}

static void remember(struct mcp_exchange *x, struct view id)
{
    char *copy = is_session(id) ? mcp_copy(id) : NULL;

    x->resumes = 0;
    if (!copy)
        return;
    free(x->event_id);
    x->event_id = copy;
}

static void heard_event(struct mcp_exchange *x, const struct sse_event *e)
{
    remember(x, e->id);
    /* Data that is not JSON is passed over, as on standard streams. */
    if (e->data.len && mcp_hear(x->c, x, false, e->data, NULL) == MCP_HEARD_LATER)
        x->readings++;
    if (x->c->reading_bytes > MCP_MESSAGE_BYTES_MAX)
        mcp_readings_finish(x->c);
}

static void heard_events(struct mcp_exchange *x, struct view bytes)
{
    struct sse_event e;
    struct err err = {0};

    while (bytes.len && !x->over) {
        if (!sse_feed(&x->sse, &bytes, &e, &err)) {
            struct mcp_request *r = take_request(x);

            if (r && err.code == ERR_BUSY)
                mcp_request_starved(r);
            else if (r)
                mcp_request_failed(r, "SSE parse error: %s", err.text);
            end(x);
            return;
        }
        if (e.data.at)
            heard_event(x, &e);
    }
}

static void piece(void *context, struct view bytes)
{
    struct mcp_exchange *x = context;
    struct mcp_request *r;
    struct err err = {0};

    if (x->stream) {
        heard_events(x, bytes);
    } else if (x->status / 100 != 2) {
        /* For an error's text: its beginning does. */
        bytes = view_first(bytes, MCP_ERROR_BYTES_MAX - buf_len(&x->body));
        if (!buf_append(&x->body, bytes, NULL))
            buf_reset(&x->body);
    } else if (x->r && !buf_append(&x->body, bytes, &err)) {
        r = take_request(x);
        if (err.code == ERR_BUSY)
            mcp_request_starved(r);
        else
            mcp_request_failed(r, "MCP transport error: [%s] an answer of more than %d bytes",
                               r->connection->provider->name, (int)MCP_MESSAGE_BYTES_MAX);
        end(x);
    }
}

/* The server cannot know the session: it was not asked to do anything. 400 is what some say in the place of 404. */
static bool session_lost(const struct mcp_exchange *x)
{
    struct view body = buf_view(&x->body);

    return x->session && x->kind == POST_MESSAGE &&
           (x->status == 404 ||
            (x->status == 400 && body.at &&
             (view_find_text(body, VIEW("session")) || view_find_text(body, VIEW("Session")))));
}

/* Masked; where it was cut, without what may be a part of a secret. */
static struct view error_body(struct mcp_exchange *x)
{
    bool cut = buf_len(&x->body) >= MCP_ERROR_BYTES_MAX;
    size_t edge = cut ? mask_edge(x->c->way->mask) : 0, len;

    if (!mcp_way_mask(x->c->way, &x->body, false, NULL))
        buf_reset(&x->body);
    len = buf_len(&x->body);
    return view_first(buf_view(&x->body), len - (edge < len ? edge : len));
}

static void failed_status(struct mcp_exchange *x)
{
    struct mcp_connection *c = x->c;
    struct view body = buf_view(&x->body);
    bool lost = session_lost(x);
    struct mcp_request *r = take_request(x);

    if (!r)
        return;
    if (lost && mcp_request_forgotten(r))
        return;
    if (r == &c->hello && x->status == 400 && mcp_connection_offer_older(c, body))
        return;
    body = error_body(x);
    mcp_request_failed(r, "MCP transport error: [%s] HTTP %d: %.*s", c->provider->name, x->status,
                       VIEW_ARG(body));
}

/* The stream has ended, or broke off. True: it will be resumed. */
static bool resume_later(struct mcp_exchange *x)
{
    uint64_t wait = x->sse.retry_ms ? x->sse.retry_ms : RETRY_MS;

    if (!x->r || !x->event_id || x->resumes++ >= RESUMES_MAX)
        return false;
    sse_done(&x->sse);
    begin_events(x);
    timer_set(x->c->hub->loop, &x->timer,
              loop_now_ms(x->c->hub->loop) + (wait < RETRY_MS_MAX ? wait : RETRY_MS_MAX));
    return true;
}

/* True: it goes on. */
static bool stream_ended(struct mcp_exchange *x)
{
    struct sse_event e;
    struct mcp_request *r;

    if (sse_end(&x->sse, &e))
        heard_event(x, &e);
    if (x->over || x->readings) {
        x->waits = true;
        return true;
    }
    if (resume_later(x))
        return true;
    r = take_request(x);
    if (r)
        mcp_request_failed(
            r, "SSE parse error: SSE stream ended without receiving a response for our request");
    return false;
}

/* What it said has been read: whoever still waits was not meant. */
static void body_read(struct mcp_exchange *x, bool json)
{
    struct mcp_connection *c = x->c;
    struct mcp_request *r = take_request(x);

    if (r && !json)
        mcp_request_failed(r, "MCP transport error: [%s] HTTP %d: the answer is not JSON",
                           c->provider->name, x->status);
    else if (r)
        mcp_request_failed(r, "MCP protocol error (code -1): Response missing 'result' field");
}

/* True: it goes on. */
static bool body_ended(struct mcp_exchange *x)
{
    enum mcp_heard heard = x->r ? mcp_hear(x->c, x, true, buf_view(&x->body), &x->body) : MCP_HEARD;

    if (heard == MCP_HEARD_LATER) {
        x->readings++;
        return true;
    }
    body_read(x, heard == MCP_HEARD);
    return false;
}

static void greeted(struct mcp_exchange *x, const struct client_end *e)
{
    struct mcp_connection *c = x->c;
    struct view body;

    if (e->outcome != CLIENT_OK) {
        mcp_connection_failed(c, "MCP transport error: [%s] HTTP request failed: %s",
                              c->provider->name, e->err.text);
    } else if (x->status / 100 != 2) {
        body = error_body(x);
        mcp_connection_failed(c, "MCP transport error: HTTP %d: %.*s", x->status, VIEW_ARG(body));
    } else if (c->state == MCP_STARTING) {
        mcp_connection_ready(c);
    }
}

static void broke(struct mcp_exchange *x, const struct client_end *e)
{
    struct mcp_request *r = take_request(x);

    if (r)
        mcp_request_failed(r, "MCP transport error: [%s] HTTP request failed: %s",
                           r->connection->provider->name, e->err.text);
}

/* What the server said to going on with a stream: a stream, or that there is none. True: it goes on. */
static bool resumed(struct mcp_exchange *x, const struct client_end *e)
{
    bool again = x->stream || e->outcome != CLIENT_OK;

    if (again && resume_later(x))
        return true;
    if (!again) {
        free(x->event_id);
        x->event_id = NULL;
    }
    return stream_ended(x);
}

/* True: it goes on. */
static bool ended(struct mcp_exchange *x, const struct client_end *e)
{
    bool good = e->outcome == CLIENT_OK;

    if (x->readings) {
        x->waits = true;
        return true;
    }
    if (x->kind == POST_GREETING)
        greeted(x, e);
    else if (x->kind == POST_RESUMED && !(good && x->stream))
        return resumed(x, e);
    else if (x->stream && (good || x->event_id))
        return stream_ended(x);
    else if (!good)
        broke(x, e);
    else if (x->status / 100 != 2)
        failed_status(x);
    else
        return body_ended(x);
    return false;
}

struct mcp_request *const *mcp_exchange_request(const struct mcp_exchange *x)
{
    return &x->r;
}

void mcp_exchange_starved(struct mcp_exchange *x)
{
    struct mcp_request *r = take_request(x);

    if (r)
        mcp_request_starved(r);
}

void mcp_exchange_heard(struct mcp_exchange *x, bool whole, bool good)
{
    x->readings--;
    if (whole) {
        body_read(x, good);
        end(x);
    } else if (x->waits && !x->readings) {
        x->waits = false;
        if (!ended(x, &x->how))
            end(x);
    }
}

static void done(void *context, const struct client_end *e)
{
    struct mcp_exchange *x = context;

    x->call = NULL;
    x->how = *e;
    if (!ended(x, &x->how))
        end(x);
}

static void timed(struct loop *loop, struct timer *timer)
{
    struct mcp_exchange *x = OWNER(timer, struct mcp_exchange, timer);
    struct mcp_connection *c = x->c;
    struct mcp_request *r = x->r;
    struct err err = {0};

    (void)loop;
    if (x->kind == POST_GREETING) {
        end(x);
        if (c->state == MCP_STARTING)
            mcp_connection_ready(c);
        return;
    }
    if (r) {
        x->kind = POST_RESUMED;
        if (start(x, &err))
            return;
        r = take_request(x);
        mcp_request_failed(r, "MCP transport error: [%s] %s", r->connection->provider->name,
                           err.text);
    }
    end(x);
}

/* --- the transport ---------------------------------------------------------------------------------- */

static bool open_(struct mcp_connection *c, struct err *err)
{
    (void)c;
    (void)err;
    return true;
}

static bool send_(struct mcp_connection *c, struct mcp_request *r, struct view message,
                  struct err *err)
{
    return post(c, POST_MESSAGE, r, message, err);
}

static void greet(struct mcp_connection *c, struct view message)
{
    struct err err = {0};

    if (!post(c, POST_GREETING, NULL, message, &err))
        mcp_connection_failed(c, "MCP transport error: [%s] %s", c->provider->name, err.text);
}

/* What is answered may still have an end to come. */
static void drop(struct mcp_request *r)
{
    struct mcp_exchange *x = r->exchange;

    if (!x)
        return;
    (void)take_request(x);
    if (r->id || !x->call)
        end(x);
    else
        linger(x);
}

/* Notices that are under way arrive; nothing else is waited for. */
static void leave(struct mcp_connection *c)
{
    struct mcp_exchange *next;
    struct err err;

    if (c->session)
        (void)!post(c, POST_END, NULL, VIEW(""), &err);
    for (struct mcp_exchange *x = c->exchanges; x; x = next) {
        next = x->next;
        if (!x->notice && x->kind != POST_END)
            end(x);
    }
    if (!c->exchanges)
        mcp_connection_gone(c);
}

static void cut(struct mcp_connection *c)
{
    struct mcp_exchange *x;

    while ((x = c->exchanges) != NULL)
        end(x);
}

const struct mcp_transport mcp_http = {open_, send_, greet, drop, leave, cut};
