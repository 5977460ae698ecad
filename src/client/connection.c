/* connection: from an origin to a connection that can carry a request.
 *
 *   RESOLVING (where addresses are judged) ─► DIALLING ─► TUNNELLING (https through a proxy) ─► HANDSHAKE (https) ─► OPEN
 */
#include "client/client_priv.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/poison.h"

static void ready(struct loop *loop, struct io *io, uint32_t events);

static struct view host_of(const struct client_origin *o)
{
    return view_from(o->host, o->host_len);
}

static void conn_retired(struct loop *loop, struct retired *retired)
{
    struct client_conn *conn = OWNER(retired, struct client_conn, retired);
    struct client *c = conn->client;

    (void)loop;
    buf_wipe(&conn->out);
    buf_done(&conn->in);
    free(conn);
    client_unuse(c);
}

void client_conn_drop(struct client_conn *conn)
{
    struct client *c = conn->client;

    if (conn->call)
        conn->call->conn = NULL;
    conn->call = NULL;
    if (conn->query)
        resolve_cancel(conn->query);
    if (conn->dial)
        dial_cancel(conn->dial);
    conn->query = NULL;
    conn->dial = NULL;
    session_free(conn->tls);
    conn->tls = NULL;
    if (conn->io.fd >= 0) {
        /* Not loop_closing: a child that is being started holds a copy of every descriptor until its exec, and close alone would
         * then leave ours to epoll. */
        loop_forget(c->loop, &conn->io);
        close(conn->io.fd);
        conn->io.fd = -1;
    }
    client_origin_give(c, conn->origin);
    conn->origin = NULL;
    conn->retired.free = conn_retired;
    c->users++;
    loop_retire(c->loop, &conn->retired);
}

/* Where it happened goes before what. */
static void failed(struct client_conn *conn, enum client_outcome outcome, struct err *err)
{
    const struct client_origin *o = conn->origin;

    if (o->proxy)
        (void)err_in(err, "%s through the proxy %s:%u", o->authority, o->proxy->host,
                     o->proxy->port);
    else if (!o->literal || conn->tls)
        (void)err_in(err, "%s", o->authority);
    client_failed(conn->call, outcome, err);
}

static void failed_with(struct client_conn *conn, enum err_code code, const char *text)
{
    struct err err = {0};

    (void)err_set(&err, code, "%s", text);
    failed(conn, CLIENT_CONNECT, &err);
}

static void opened(struct client_conn *conn)
{
    struct client_call *call = conn->call;
    uint64_t us = clock_monotonic_us() - call->connecting_us;

    conn->phase = CLIENT_OPEN;
    call->end.connect_us = us ? us : 1;
    timer_cancel(&call->connect_deadline);
    client_transfer_begin(conn);
}

static bool tls_ready(struct client *c, struct err *err)
{
    struct session_client_options options = {.built_in_too = true, .tls12 = true};

    if (c->tls)
        return true;
    options.roots = buf_view(&c->roots);
    return session_client_context(&options, &c->tls, err);
}

static void handshake(struct client_conn *conn)
{
    struct client *c = conn->client;
    struct err err = {0};

    for (;;) {
        enum tls_status status = session_handshake(conn->tls, &err);
        size_t n = sizeof c->raw;

        if (status != TLS_OK) /* else it leaves together with the request */
            (void)client_send_tls(conn);
        switch (status) {
        case TLS_OK:
            opened(conn);
            return;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            break;
        case TLS_EOF:
        case TLS_FAILED:
            failed(conn, CLIENT_CONNECT, &err);
            return;
        }
        switch (client_receive(conn, c->raw, &n, &err)) {
        case CLIENT_SOME:
            if (session_feed(conn->tls, view_from(c->raw, n), &err))
                continue;
            failed(conn, CLIENT_MEMORY, &err);
            return;
        case CLIENT_NOTHING:
            if (!conn->cut)
                return;
            (void)err_set(&err, ERR_TLS, "the connection broke within the TLS handshake");
            failed(conn, CLIENT_CONNECT, &err);
            return;
        case CLIENT_END:
            failed_with(conn, ERR_TLS, "the server closed the connection within the TLS handshake");
            return;
        case CLIENT_CUT:
            (void)err_in(&err, "TLS handshake");
            failed(conn, CLIENT_CONNECT, &err);
            return;
        }
    }
}

static void secure(struct client_conn *conn)
{
    struct err err = {0};

    if (!conn->origin->https) {
        opened(conn);
        return;
    }
    conn->phase = CLIENT_HANDSHAKE;
    if (tls_ready(conn->client, &err) &&
        session_connect(conn->client->tls, conn->origin->host, &conn->tls, &err))
        handshake(conn);
    else
        failed(conn, err.code == ERR_MEMORY ? CLIENT_MEMORY : CLIENT_CONNECT, &err);
}

/* The proxy is to say 2xx and nothing more: the server's first word is an answer to ours. */
static void tunnel_answered(struct client_conn *conn)
{
    struct client *c = conn->client;
    enum http_result result;
    struct http_head head;
    struct err err = {0};
    size_t n = sizeof c->raw;

    for (;;) {
        enum client_filled filled = client_receive(conn, c->raw, &n, &err);
        bool end = filled == CLIENT_END;

        if (filled == CLIENT_NOTHING)
            return;
        if (filled == CLIENT_CUT ||
            (filled == CLIENT_SOME && !buf_append(&conn->in, view_from(c->raw, n), &err))) {
            failed(conn, CLIENT_CONNECT, &err);
            return;
        }
        result = http_exchange_head(&conn->exchange, &conn->in, end, &head, &err);
        if (result == HTTP_DONE)
            break;
        if (result == HTTP_FAILED) {
            failed(conn, CLIENT_CONNECT, &err);
            return;
        }
        n = sizeof c->raw;
    }
    if (head.status < 200 || head.status > 299) {
        (void)err_set(&err, ERR_REFUSED, "the proxy answered CONNECT with %d", head.status);
        failed(conn, CLIENT_CONNECT, &err);
        return;
    }
    buf_eat(&conn->in, head.bytes);
    if (buf_len(&conn->in)) {
        failed_with(conn, ERR_SYNTAX, "the proxy went on after its answer to CONNECT");
        return;
    }
    buf_done(&conn->in);
    secure(conn);
}

static bool tunnel_ask(struct client_conn *conn, struct err *err)
{
    const struct client_origin *o = conn->origin;
    bool brackets = o->literal && o->address.family == AF_INET6;
    char target[TARGET_BYTES_MAX + 8];

    (void)snprintf(target, sizeof target, "%s%s%s:%u", brackets ? "[" : "", o->host,
                   brackets ? "]" : "", o->port);
    return http_exchange_begin(&conn->exchange, VIEW("CONNECT"), view_str(target), HTTP_UPLOAD_NONE,
                               0, &conn->out, err) &&
           http_write_field(&conn->out, "Host", view_str(target), err) &&
           (!o->proxy->authorization || buf_append_str(&conn->out, o->proxy->authorization, err)) &&
           http_write_end(&conn->out, err);
}

static void connected(struct client_conn *conn)
{
    struct err err = {0};

    if (!conn->origin->proxy || !conn->origin->https) {
        secure(conn);
        return;
    }
    conn->phase = CLIENT_TUNNELLING;
    if (!tunnel_ask(conn, &err)) {
        failed(conn, CLIENT_MEMORY, &err);
        return;
    }
    client_send(conn, &conn->out);
    tunnel_answered(conn);
}

static bool watch(struct client_conn *conn, const struct dial_result *result, struct err *err)
{
    struct loop *loop = conn->client->loop;
    const int on = 1;

    conn->io.fd = result->fd;
    conn->io.bits = CLIENT_WRITABLE;
    (void)setsockopt(conn->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(conn->io.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return result->watched ? loop_take_over(loop, &conn->io, err)
                           : loop_watch(loop, &conn->io, err);
}

static void dialled(void *context, const struct dial_result *result)
{
    struct client_conn *conn = context;
    struct err err = result->err;

    conn->dial = NULL;
    if (result->outcome == DIAL_OK && watch(conn, result, &err))
        connected(conn);
    else if (result->outcome == DIAL_DENIED)
        failed(conn, CLIENT_DENIED, &err);
    else
        failed(conn, result->outcome == DIAL_TIMEOUT ? CLIENT_TIMEOUT : CLIENT_CONNECT, &err);
}

static bool judge(void *context, struct view name, bool literal, const struct addr *a)
{
    const struct client_conn *conn = context;

    (void)name;
    (void)literal;
    return conn->origin->reach != CLIENT_PUBLIC || conn->origin->proxy ||
           !client_address_private(a);
}

static bool dial(struct client_conn *conn, struct err *err)
{
    const struct client_origin *o = conn->origin;
    struct view host = o->proxy ? view_str(o->proxy->host) : host_of(o);

    conn->phase = CLIENT_DIALLING;
    conn->dial = dial_start(conn->client->dialer, host, o->proxy ? o->proxy->port : o->port,
                            conn->addresses, conn->address_count, judge, conn, dialled, conn);
    return conn->dial || err_set(err, ERR_MEMORY, "no memory for a connection");
}

static const struct addr *private_among(const struct client_conn *conn)
{
    for (size_t i = 0; i < conn->address_count; i++)
        if (client_address_private(&conn->addresses[i]))
            return &conn->addresses[i];
    return NULL;
}

static void judge_all(struct client_conn *conn)
{
    const struct addr *a = private_among(conn);
    struct err err = {0};
    char text[ADDR_TEXT_BYTES];

    if (a && conn->origin->reach == CLIENT_PUBLIC) {
        (void)err_set(&err, ERR_DENIED, "its address %s is not public", addr_ip_format(a, text));
        failed(conn, CLIENT_DENIED, &err);
        return;
    }
    if (a)
        log_event_limited(conn->client->log, LOG_WARN, "client.not_public",
                          "a request goes to an address that is not public",
                          F_STR("host", conn->origin->host),
                          F_STR("address", addr_ip_format(a, text)));
    if (!dial(conn, &err))
        failed(conn, CLIENT_MEMORY, &err);
}

static void resolved(void *context, const struct resolve_answer *answer, const struct err *err)
{
    struct client_conn *conn = context;
    struct err why;

    for (size_t i = 0; i < answer->count && conn->address_count < CLIENT_ADDRESSES_MAX; i++)
        conn->addresses[conn->address_count++] = answer->addrs[i];
    if (answer->more)
        return;
    conn->query = NULL;
    if (conn->address_count) {
        judge_all(conn);
        return;
    }
    why = err ? *err : (struct err){.code = ERR_NAME, .text = "no address is known"};
    failed(conn, CLIENT_CONNECT, &why);
}

static bool start(struct client_conn *conn, struct err *err)
{
    const struct client_origin *o = conn->origin;

    if (o->reach == CLIENT_ANYWHERE || o->literal || o->proxy)
        return dial(conn, err);
    conn->phase = CLIENT_RESOLVING;
    conn->query = resolve_ask(conn->client->resolver, host_of(o), resolved, conn, err);
    return conn->query != NULL;
}

bool client_connect(struct client_call *call, struct err *err)
{
    struct client *c = call->client;
    struct client_conn *conn = calloc(1, sizeof *conn);
    uint64_t ms = call->request.connect_ms ? call->request.connect_ms : c->connect_ms;

    if (!conn)
        return err_set(err, ERR_MEMORY, "no memory for a connection");
    conn->io = (struct io){.ready = ready, .fd = -1};
    conn->client = c;
    conn->origin = call->origin;
    conn->origin->users++;
    conn->call = call;
    call->conn = conn;
    buf_init(&conn->out, CLIENT_HEAD_BYTES_MAX, "request");
    buf_init(&conn->in, (size_t)2 * CLIENT_IN_BYTES, "answer");
    timer_set(c->loop, &call->connect_deadline, loop_now_ms(c->loop) + ms);
    call->connecting_us = clock_monotonic_us();
    return start(conn, err);
}

void client_conn_pump(struct client_conn *conn)
{
    switch (conn->phase) {
    case CLIENT_RESOLVING:
    case CLIENT_DIALLING:
        return;
    case CLIENT_TUNNELLING:
        client_send(conn, &conn->out);
        tunnel_answered(conn);
        return;
    case CLIENT_HANDSHAKE:
        handshake(conn);
        return;
    case CLIENT_OPEN:
        client_transfer_pump(conn);
        return;
    }
}

static void ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct client_conn *conn = OWNER(io, struct client_conn, io);

    (void)loop;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= CLIENT_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        io->bits |= CLIENT_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= CLIENT_HUNG_UP;
    if (conn->call)
        client_conn_pump(conn);
    else
        client_pool_ready(conn);
}
