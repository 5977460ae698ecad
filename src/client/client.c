#include "client/client.h"

#include <stdlib.h>

#include "base/check.h"
#include "client/client_priv.h"

#include "base/poison.h"

enum { IDLE_MS = 60 * 1000, CONNECT_MS = 10 * 1000, ROOTS_BYTES_MAX = 16 * 1024 * 1024 };

static void late(struct loop *loop, struct timer *timer);
static void connect_late(struct loop *loop, struct timer *timer);
static void later(struct loop *loop, struct task *task);

const char *client_outcome_name(enum client_outcome o)
{
    static const char *const names[] = {
        [CLIENT_OK] = "ok",
        [CLIENT_URL] = "url",
        [CLIENT_DENIED] = "denied",
        [CLIENT_CONNECT] = "connect",
        [CLIENT_TIMEOUT] = "timeout",
        [CLIENT_BROKEN] = "broken",
        [CLIENT_TOO_MANY_REDIRECTS] = "too_many_redirects",
        [CLIENT_TOO_LARGE] = "too_large",
        [CLIENT_MEMORY] = "memory",
    };

    return names[o];
}

static bool open_client(struct client *c, const struct client_options *o, struct err *err)
{
    const struct dial_options dial = {0}; /* each call has its own time */

    if (o->user_agent && !http_is_value(view_str(o->user_agent)))
        return err_set(err, ERR_USAGE, "the user agent holds a control character");
    if (o->user_agent && !(c->user_agent = strdup(o->user_agent)))
        return err_set(err, ERR_MEMORY, "no memory for an HTTP client");
    return buf_append(&c->roots, o->extra_roots, err) &&
           (o->extra_roots.len || client_roots_read(o->environment, &c->roots, err)) &&
           client_proxies_read(o->environment, &c->proxies, err) &&
           dialer_new(c->loop, c->resolver, &dial, &c->dialer, err);
}

bool client_new(struct loop *loop, struct resolver *resolver, const struct client_options *options,
                struct client **out, struct err *err)
{
    CLEANUP(client_free_cleanup) struct client *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "no memory for an HTTP client");
    c->users = 1;
    c->loop = loop;
    c->resolver = resolver;
    c->idle_ms = options->idle_ms ? options->idle_ms : IDLE_MS;
    c->connect_ms = options->connect_ms ? options->connect_ms : CONNECT_MS;
    c->log = options->log;
    c->memory = options->memory;
    random_bytes(&c->seed, sizeof c->seed);
    buf_init(&c->roots, ROOTS_BYTES_MAX, "additional CA certificates");
    buf_init(&c->head, CLIENT_HEAD_BYTES_MAX, "request");
    buf_init(&c->in, CLIENT_IN_BYTES, "answer");
    if (!open_client(c, options, err))
        return false;
    *out = take(c);
    return true;
}

void client_close_idle(struct client *c)
{
    while (c->oldest) {
        struct client_conn *conn = c->oldest;

        client_pool_remove(conn);
        client_conn_drop(conn);
    }
}

void client_free(struct client *c)
{
    if (!c)
        return;
    while (c->calls)
        client_cancel(c->calls);
    client_close_idle(c);
    dialer_free(c->dialer);
    c->dialer = NULL;
    client_unuse(c);
}

static void call_done(struct client_call *call)
{
    buf_done(&call->answer.head);
    buf_done(&call->answer.body);
    free(call);
}

void client_unuse(struct client *c)
{
    struct client_call *call;

    if (--c->users)
        return;
    while ((call = c->spare) != NULL) {
        c->spare = call->next;
        call_done(call);
    }
    session_context_unref(c->tls);
    client_proxies_done(&c->proxies);
    buf_done(&c->roots);
    buf_done(&c->head);
    buf_done(&c->in);
    free(c->user_agent);
    free(c);
}

/* --- a call's life --- */

static struct client_call *call_new(struct client *c)
{
    struct client_call *call = c->spare;

    if (call) {
        c->spare = call->next;
        c->spare_count--;
        memset(call, 0, offsetof(struct client_call, answer));
    } else {
        call = calloc(1, sizeof *call);
        if (!call)
            return NULL;
        buf_init(&call->answer.head, HTTP_HEAD_BYTES_MAX, "answer's head");
    }
    call->client = c;
    timer_init(&call->deadline, late);
    timer_init(&call->connect_deadline, connect_late);
    task_init(&call->later, later);
    buf_init(&call->url_text, CLIENT_URL_BYTES_MAX, "URL");
    buf_init(&call->first_text, CLIENT_URL_BYTES_MAX, "URL");
    call->next = c->calls;
    call->link = &c->calls;
    if (call->next)
        call->next->link = &call->next;
    c->calls = call;
    return call;
}

static void call_retired(struct loop *loop, struct retired *retired)
{
    struct client_call *call = OWNER(retired, struct client_call, retired);
    struct client *c = call->client;

    (void)loop;
    client_collect_reset(call);
    if (c->spare_count < CLIENT_SPARE_CALLS) {
        call->next = c->spare;
        c->spare = call;
        c->spare_count++;
    } else {
        call_done(call);
    }
    client_unuse(c);
}

static void stop(struct client_call *call)
{
    timer_cancel(&call->deadline);
    timer_cancel(&call->connect_deadline);
    if (call->conn)
        client_conn_drop(call->conn);
    if (call->origin)
        client_origin_give(call->client, call->origin);
    call->origin = NULL;
}

/* Out of the list: the call is gone for everybody. */
static void unlink_call(struct client_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->link = NULL;
    task_cancel(call->client->loop, &call->later);
}

static void retire(struct client_call *call)
{
    buf_wipe(&call->url_text);
    buf_wipe(&call->first_text);
    call->retired.free = call_retired;
    call->client->users++;
    loop_retire(call->client->loop, &call->retired);
}

static void tell(struct client_call *call)
{
    unlink_call(call);
    call->receiver.done(call->context, &call->end);
    retire(call);
}

void client_finish(struct client_call *call, enum client_outcome outcome, const struct err *err)
{
    CHECK(!call->ended);
    call->ended = true;
    stop(call);
    call->end.outcome = outcome;
    if (err)
        call->end.err = *err;
    if (call->starting)
        task_queue(call->client->loop, &call->later);
    else
        tell(call);
}

void client_cancel(struct client_call *call)
{
    if (!call->link)
        return; /* done is being called */
    if (!call->ended)
        stop(call);
    unlink_call(call);
    retire(call);
}

void client_pause(struct client_call *call)
{
    call->paused = true;
}

void client_resume(struct client_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    task_queue(call->client->loop, &call->later);
}

static void later(struct loop *loop, struct task *task)
{
    struct client_call *call = OWNER(task, struct client_call, later);

    (void)loop;
    if (call->ended)
        tell(call);
    else if (call->conn)
        client_conn_pump(call->conn);
}

static void late(struct loop *loop, struct timer *timer)
{
    struct client_call *call = OWNER(timer, struct client_call, deadline);
    struct err err = {0};

    (void)loop;
    (void)err_set(&err, ERR_TIMEOUT, "%s: no %s within %llu ms", call->origin->authority,
                  call->end.answered ? "complete answer" : "answer",
                  (unsigned long long)call->request.timeout_ms);
    client_finish(call, CLIENT_TIMEOUT, &err);
}

static void connect_late(struct loop *loop, struct timer *timer)
{
    static const char *const doing[] = {
        [CLIENT_RESOLVING] = "its name was not resolved",
        [CLIENT_DIALLING] = "it was not connected",
        [CLIENT_TUNNELLING] = "the proxy did not connect it",
        [CLIENT_HANDSHAKE] = "its TLS handshake was not done",
        [CLIENT_OPEN] = "",
    };
    struct client_call *call = OWNER(timer, struct client_call, connect_deadline);
    uint64_t ms = call->request.connect_ms ? call->request.connect_ms : call->client->connect_ms;
    struct err err = {0};

    (void)loop;
    (void)err_set(&err, ERR_TIMEOUT, "%s: %s within %llu ms", call->origin->authority,
                  doing[call->conn->phase], (unsigned long long)ms);
    client_finish(call, CLIENT_TIMEOUT, &err);
}

/* --- a hop --- */

static void begin(struct client_call *call)
{
    struct client_conn *conn = call->resent ? NULL : client_pool_take(call->client, call->origin);
    struct err err = {0};

    if (conn) {
        conn->call = call;
        call->conn = conn;
        client_transfer_begin(conn);
    } else if (!client_connect(call, &err)) {
        client_finish(call, CLIENT_MEMORY, &err);
    }
}

static bool allowed(struct client_call *call, struct err *err)
{
    const struct client_request *r = &call->request;
    const struct client_origin *o = call->origin;

    if (o->not_allowed && o->reach == CLIENT_PUBLIC)
        return err_set(err, ERR_DENIED, "%s: not a public address", o->authority);
    if (o->not_allowed)
        log_event_limited(call->client->log, LOG_WARN, "client.not_public",
                          "a request goes to an address that is not public",
                          F_STR("host", o->host));
    return !r->judge || r->judge(r->judge_context, call->url.host, err);
}

void client_hop(struct client_call *call)
{
    struct client_origin *o;
    struct err err = {0};

    call->resent = false;
    o = client_origin_take(call->client, &call->url, call->request.reach, &err);
    if (!o) {
        client_finish(call, err.code == ERR_MEMORY ? CLIENT_MEMORY : CLIENT_URL, &err);
        return;
    }
    if (call->origin)
        client_origin_give(call->client, call->origin);
    call->origin = o;
    if (allowed(call, &err))
        begin(call);
    else
        client_finish(call, CLIENT_DENIED, &err);
}

/* RFC 9110, 9.2.2. */
static bool repeatable(const struct client_call *call)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

    if (call->request.repeatable)
        return true;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (view_eq(call->method, view_str(methods[i])))
            return true;
    return false;
}

void client_failed(struct client_call *call, enum client_outcome outcome, const struct err *err)
{
    struct client_conn *conn = call->conn;
    struct err where = *err;

    if (call->discarding) {
        client_conn_drop(conn);
        call->discarding = false;
        client_hop(call);
        return;
    }
    if (outcome == CLIENT_BROKEN && conn->reused && !conn->exchange.begun && !call->resent &&
        (repeatable(call) || !conn->left)) {
        client_conn_drop(conn);
        call->resent = true;
        begin(call);
        return;
    }
    if (outcome == CLIENT_BROKEN)
        (void)err_in(&where, "%s", call->origin->authority);
    client_finish(call, outcome, &where);
}

/* --- a request --- */

static bool first_url(struct client_call *call, struct err *err)
{
    struct view url = call->request.url;

    if (url.len > CLIENT_URL_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the URL is longer than %d bytes", CLIENT_URL_BYTES_MAX);
    if (!http_url_is_plain(url)) {
        if (!http_url_clean(url, &call->first_text, err))
            return false;
        url = buf_view(&call->first_text);
    }
    if (!http_url_split(url, &call->url, err))
        return false;
    call->user_info = call->url.user_info;
    return true;
}

struct client_call *client_start(struct client *c, const struct client_request *request,
                                 const struct client_receiver *receiver, void *context,
                                 struct err *err)
{
    struct client_call *call;
    struct err why = {0};

    CHECK(receiver->done);
    if (!http_is_token(request->method)) {
        (void)err_set(err, ERR_USAGE, "the method is no token of HTTP");
        return NULL;
    }
    if (!client_fields_check(request, err))
        return NULL;
    call = call_new(c);
    if (!call) {
        (void)err_set(err, ERR_MEMORY, "no memory for a request");
        return NULL;
    }
    call->request = *request;
    call->receiver = *receiver;
    call->context = context;
    call->method = request->method;
    call->has_body = call->request.has_body = request->has_body || request->body.len;
    call->body = request->body;
    call->starting = true;
    if (request->timeout_ms)
        timer_set(c->loop, &call->deadline, loop_now_ms(c->loop) + request->timeout_ms);
    if (first_url(call, &why))
        client_hop(call);
    else
        client_finish(call, why.code == ERR_MEMORY ? CLIENT_MEMORY : CLIENT_URL, &why);
    call->starting = false;
    return call;
}
