/* From the first byte to the verdict: PROXY header, TLS handshake, HTTP head, admission. */
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "bridge/probe.h"
#include "bridge/proxyproto.h"
#include "bridge/stream.h"

enum { GREETING_BYTES_MAX = HTTP_HEAD_BYTES_MAX + PROXY_V2_BYTES_MAX, ANSWER_BYTES_MAX = 1024 };

/* A head that comes in pieces waits here; most come whole and never need it. */
struct greeting {
    struct http_parser parser;
    uint32_t len;
    uint8_t bytes[GREETING_BYTES_MAX];
};

static void refused_quietly(struct tunnel *t, enum reason reason)
{
    metric_add(&t->worker->stats.refused[reason], 1);
    tunnel_free(t);
}

static void end_refused(struct tunnel *t)
{
    tunnel_phase_set(t, TUNNEL_ENDING);
    t->pipe = NULL; /* the dial's place before */
    t->flags |= T_CLIENT_DISCARD;
    t->end_ms = tunnel_now(t) + REFUSED_DRAIN_MS;
    deadlines_arm(t);
}

/* One whole answer by HTTP; then our FIN, a little patience, and the end. */
static void answer(struct tunnel *t, int status, const char *extra, struct view body,
                   bool head_only)
{
    struct buf out;

    buf_init(&out, ANSWER_BYTES_MAX, "answer");
    if (http_write_answer(&out, status, "application/json", extra, body, true, head_only, NULL)) {
        struct view bytes = buf_view(&out);

        (void)relay_send_client(t, bytes.at, bytes.len, false);
    }
    buf_done(&out);
    if (t->phase != TUNNEL_GONE)
        end_refused(t);
}

void greeting_refuse(struct tunnel *t, enum reason reason, int status, const char *extra_lines)
{
    char body[128];

    if (reason == REASON_TARGET_NOT_ALLOWED)
        (void)snprintf(body, sizeof body, "{\"error\":\"target not allowed\"}\n");
    else
        (void)snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", reason_token(reason));
    t->reason = (uint8_t)reason;
    metric_add(&t->worker->stats.refused[reason], 1);
    answer(t, status, extra_lines, view_str(body), t->head_only);
}

static const char *extra_for(const struct verdict *v, int status)
{
    if (status == 401)
        return v->origin.len ? "" : "WWW-Authenticate: Bearer\r\n";
    if (status == 426)
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    if (status == 429)
        return "Retry-After: 1\r\n";
    if (status == 503)
        return "Retry-After: 5\r\n";
    return "";
}

/* The three strings that outlive the request: target, origin, subject. */
static bool keep_label(struct tunnel *t, const struct verdict *v, const char *target)
{
    char origin[256];
    size_t a = strlen(target), b = text_escape(v->origin, 200, origin, sizeof origin),
           c = strlen(v->subject);
    char *label = malloc(a + b + c + 3);

    if (!label)
        return false;
    memcpy(label, target, a + 1);
    memcpy(label + a + 1, origin, b + 1);
    memcpy(label + a + b + 2, v->subject, c + 1);
    free(t->label);
    t->label = label;
    return true;
}

/* 101 and at once Close: the only refusal whose reason a page's script can read. */
static void refuse_by_close(struct tunnel *t, const struct verdict *v)
{
    uint8_t out[512];
    size_t n = ws_upgrade_answer(v->key, v->subprotocol, out, sizeof out);

    if (!n || !relay_send_client(t, out, n, false)) {
        if (t->phase != TUNNEL_GONE)
            tunnel_free(t);
        return;
    }
    metric_add(&t->worker->stats.refused[v->reason], 1);
    t->flags |= T_UPGRADED | T_BY_CLOSE;
    ws_decoder_init(&t->decoder, WS_SERVER, t->worker->config->frame_max);
    tunnel_end(t, v->reason, BY_BRIDGE);
}

static void refuse(struct tunnel *t, const struct verdict *v)
{
    report_refused(t, v, v->reason);
    if (v->by_close)
        refuse_by_close(t, v);
    else
        greeting_refuse(t, v->reason, v->http_status, extra_for(v, v->http_status));
}

/* Frames that a client sent right behind its request, before our 101. */
static bool keep_early(struct tunnel *t, struct view rest)
{
    if (!rest.len)
        return true;
    t->up = chunk_copy(&t->worker->chunks, rest.at, (uint32_t)rest.len, (uint32_t)rest.len);
    t->flags |= T_EARLY;
    return t->up != NULL;
}

/* Counts clients that came through a proxy: accept.c saw only the proxy's address. */
static enum reason count_client(struct tunnel *t)
{
    struct worker *w = t->worker;

    if (!tunnel_has(t, T_PEER_TRUSTED) || tunnel_has(t, T_COUNTED))
        return REASON_NONE;
    if (in_cidrs(w->policy->limit_exempt, w->policy->limit_exempt_count, &t->client_addr))
        return REASON_NONE;
    if (t->client_addr.family == AF_UNIX ||
        in_cidrs(w->policy->trusted_proxies, w->policy->trusted_proxy_count, &t->client_addr))
        return REASON_NONE;
    switch (guests_enter(w->bridge->guests, &t->client_addr, tunnel_now(t))) {
    case GUEST_WELCOME:
        t->flags |= T_COUNTED;
        return REASON_NONE;
    case GUEST_TOO_MANY:
        return REASON_ADDRESS_LIMIT;
    case GUEST_TOO_FAST:
        break;
    }
    return REASON_RATE_EXCEEDED;
}

static void admitted(struct tunnel *t, const struct verdict *v, struct view rest)
{
    uint8_t out[512];
    size_t n;

    t->policy = policy_ref(t->worker->policy);
    t->entry = v->entry;
    if (!keep_label(t, v, v->target.text) || !keep_early(t, rest)) {
        greeting_refuse(t, REASON_OVERLOADED, 503, "Retry-After: 5\r\n");
        return;
    }
    ws_decoder_init(&t->decoder, WS_SERVER, t->worker->config->frame_max);
    report_admitted(t);
    PROBE3(admit, t->id, tunnel_label(t, 0), t->client.fd);
    n = ws_upgrade_answer(v->key, v->subprotocol, out, sizeof out);
    if (!n) {
        greeting_refuse(t, REASON_BAD_REQUEST, 400, "");
        return;
    }
    if (t->worker->config->connect_first) {
        /* The 101 waits, as a residue that nobody flushes yet, until the target has answered. */
        t->down = chunk_copy(&t->worker->chunks, out, (uint32_t)n, (uint32_t)n);
        if (!t->down) {
            greeting_refuse(t, REASON_OVERLOADED, 503, "Retry-After: 5\r\n");
            return;
        }
    } else {
        if (!relay_send_client(t, out, n, false))
            return;
        t->flags |= T_UPGRADED;
        tunnel_listed(t);
    }
    dialling_start(t, &v->target);
}

/* /healthz and /readyz answer plain requests on the public port too. True: it was one. */
static bool health(struct tunnel *t, const struct http_head *h)
{
    const struct bridge *b = t->worker->bridge;
    bool head_only = view_eq(h->method, VIEW("HEAD"));
    struct http_target target;

    if (!head_only && !view_eq(h->method, VIEW("GET")))
        return false;
    if (!http_target_split(h->target, &target, NULL))
        return false;
    if (view_eq(target.path, VIEW("/healthz"))) {
        answer(t, 200, "", VIEW("{\"status\":\"ok\"}\n"), head_only);
        return true;
    }
    if (view_eq(target.path, VIEW("/readyz"))) {
        if (atomic_load_explicit(&b->draining, memory_order_relaxed))
            answer(t, 503, "Retry-After: 5\r\n", VIEW("{\"status\":\"draining\"}\n"), head_only);
        else
            answer(t, 200, "", VIEW("{\"status\":\"ready\"}\n"), head_only);
        return true;
    }
    return false;
}

/* A bridge on loopback without --origins is open to every page that its user visits: say so once for
 * each page's origin that is not itself local. */
static void warn_of_page(struct tunnel *t, struct view origin)
{
    struct bridge *b = t->worker->bridge;
    uint64_t mark = hash_bytes(origin, 0) | 1;

    if (!b->on_loopback || view_find_text(origin, VIEW("://localhost")) ||
        view_find_text(origin, VIEW("://127.0.0.1")) || view_find_text(origin, VIEW("://[::1]")))
        return;
    for (size_t i = 0; i < ORIGINS_SEEN_MAX; i++) {
        uint64_t none = 0;

        if (atomic_load_explicit(&b->origins_seen[i], memory_order_relaxed) == mark)
            return;
        if (atomic_compare_exchange_strong(&b->origins_seen[i], &none, mark)) {
            log_event(
                t->worker->log, LOG_WARN, "origin.first_seen",
                "warning: a web page that is not local uses this bridge; name the pages that may "
                "with --origins",
                F_VIEW("origin", origin));
            return;
        }
        if (none == mark)
            return;
    }
}

static void judge(struct tunnel *t, const struct http_head *h, struct view rest)
{
    struct worker *w = t->worker;
    struct admit_request request = {
        .head = h,
        .peer = t->peer,
        /* After a PROXY header the peer is its source: unless that is a proxy of ours too, what it
         * says of others is the client's own word. */
        .peer_trusted =
            tunnel_has(t, T_PEER_TRUSTED) &&
            in_cidrs(w->policy->trusted_proxies, w->policy->trusted_proxy_count, &t->peer),
        .tls = t->tls != NULL,
        .tls_client_verified = t->tls && tls_client_verified(t->tls),
        .wall_ms = clock_wall_ms(w->bridge->clock),
    };
    struct verdict v;
    enum reason over;

    t->head_only = view_eq(h->method, VIEW("HEAD"));
    histogram_observe(&w->stats.handshake_us, (tunnel_now(t) - t->start_ms) * 1000);
    if (!http_field_count(h, VIEW("Upgrade")) && health(t, h))
        return;
    policy_admit(w->policy, &request, &v);
    t->client_addr = v.client;
    if (w->draining)
        over = REASON_DRAINING;
    else
        over = count_client(t);
    if (over != REASON_NONE) {
        v.reason = over;
        v.by_close = false;
        v.http_status = reason_http_status(over);
    }
    if (v.reason != REASON_NONE) {
        refuse(t, &v);
        return;
    }
    if (v.origin.len && !w->policy->origins)
        warn_of_page(t, v.origin);
    admitted(t, &v, rest);
}

static void refuse_bytes(struct tunnel *t, const struct http_parser *parser)
{
    struct verdict none = {.client = t->client_addr, .err = parser->err};
    enum reason reason = REASON_BAD_REQUEST;

    if (parser->status == 0) {
        metric_add(&t->worker->stats.http2_preface, 1);
        refused_quietly(t, REASON_NOT_HTTP);
        return;
    }
    if (parser->status == 431 || parser->status == 414)
        reason = REASON_HEAD_TOO_LARGE;
    else if (parser->status == 505)
        reason = REASON_HTTP_VERSION;
    none.http_status = parser->status;
    report_refused(t, &none, reason);
    greeting_refuse(t, reason, parser->status, "");
}

enum step { STEP_MORE, STEP_NEXT, STEP_OVER };

/* The PROXY header that a trusted proxy may put first. *bytes moves past it. */
static enum step read_proxy_header(struct tunnel *t, struct view *bytes)
{
    enum policy_proxy_header mode = t->worker->policy->proxy_protocol;
    struct verdict refused = {.client = t->client_addr, .http_status = 400};
    struct proxy_header header;

    if (tunnel_has(t, T_HEADER_DONE))
        return STEP_NEXT;
    if (mode != PROXY_HEADER_OFF) {
        switch (proxy_header_parse(*bytes, &header, &refused.err)) {
        case PROXY_MORE:
            return STEP_MORE;
        case PROXY_DONE:
            if (!tunnel_has(t, T_PEER_TRUSTED)) {
                (void)err_set(&refused.err, ERR_DENIED,
                              "PROXY header from an address that is not in --trusted-proxies");
                break;
            }
            if (!header.local) {
                t->client_addr = header.source;
                t->peer = header.source;
            }
            *bytes = view_skip(*bytes, header.bytes);
            t->flags |= T_HEADER_DONE;
            return STEP_NEXT;
        case PROXY_NONE:
            if (mode != PROXY_HEADER_REQUIRE) {
                t->flags |= T_HEADER_DONE;
                return STEP_NEXT;
            }
            (void)err_set(&refused.err, ERR_DENIED, "no PROXY header, and one is required");
            break;
        case PROXY_FAILED:
            break;
        }
        report_refused(t, &refused, REASON_PROXY_HEADER);
        greeting_refuse(t, REASON_PROXY_HEADER, 400, "");
        return STEP_OVER;
    }
    t->flags |= T_HEADER_DONE;
    return STEP_NEXT;
}

/* Looks at all bytes so far; *eaten counts those of the PROXY header. */
static enum step parse(struct tunnel *t, struct view bytes, struct http_parser *parser,
                       size_t *eaten)
{
    struct view at = bytes;
    struct http_head head;
    enum step step;

    step = read_proxy_header(t, &at);
    *eaten = (size_t)(at.at - bytes.at);
    if (step != STEP_NEXT || !at.len)
        return step == STEP_OVER ? STEP_OVER : STEP_MORE;
    if (at.at[0] == 0x16 && !t->tls) {
        metric_add(&t->worker->stats.tls_on_plain, 1);
        refused_quietly(t, REASON_NOT_HTTP);
        return STEP_OVER;
    }
    switch (http_request_parse(parser, at, &head)) {
    case HTTP_MORE:
        return STEP_MORE;
    case HTTP_DONE:
        judge(t, &head, view_skip(at, head.bytes));
        return STEP_OVER;
    case HTTP_FAILED:
        refuse_bytes(t, parser);
        return STEP_OVER;
    }
    return STEP_OVER;
}

static void client_left(struct tunnel *t)
{
    metric_add(&t->worker->stats.refused[REASON_CLIENT_ABORT], 1);
    tunnel_free(t);
}

/* Reads on into the greeting that an earlier piece began. */
static enum step continue_pieces(struct tunnel *t)
{
    struct greeting *g = t->greeting;
    size_t room = sizeof g->bytes - g->len, n = room, eaten;
    enum step step;

    if (!room) { /* a PROXY header and a head that together pass the limit */
        struct verdict none = {.client = t->client_addr, .http_status = 431};

        (void)err_set(&none.err, ERR_LIMIT, "request head of more than %d bytes",
                      HTTP_HEAD_BYTES_MAX);
        report_refused(t, &none, REASON_HEAD_TOO_LARGE);
        greeting_refuse(t, REASON_HEAD_TOO_LARGE, 431, "");
        return STEP_OVER;
    }
    switch (client_recv(t, g->bytes + g->len, &n)) {
    case STREAM_OK:
        break;
    case STREAM_AGAIN:
        return STEP_MORE;
    case STREAM_EOF:
    case STREAM_RESET:
        client_left(t);
        return STEP_OVER;
    }
    g->len += (uint32_t)n;
    /* The verdict may free the tunnel; what was read must outlive the views into it. */
    t->greeting = NULL;
    step = parse(t, view_from(g->bytes, g->len), &g->parser, &eaten);
    if (step == STEP_MORE) {
        memmove(g->bytes, g->bytes + eaten, g->len - eaten);
        g->len -= (uint32_t)eaten;
        t->greeting = g;
        return STEP_NEXT;
    }
    free(g);
    return step;
}

/* The first read: straight into the worker's warm buffer, where most heads are complete. */
static enum step first_piece(struct tunnel *t)
{
    struct worker *w = t->worker;
    struct chunk *c = chunk_take(&w->chunks);
    struct http_parser parser;
    enum step step = STEP_OVER;
    size_t n = GREETING_BYTES_MAX, eaten;

    if (!c) {
        tunnel_wait_for_memory(t);
        return STEP_MORE;
    }
    http_parser_init(&parser);
    switch (client_recv(t, c->bytes, &n)) {
    case STREAM_OK:
        step = parse(t, view_from(c->bytes, n), &parser, &eaten);
        if (step != STEP_MORE)
            break;
        t->greeting = malloc(sizeof *t->greeting);
        if (!t->greeting) {
            refused_quietly(t, REASON_OVERLOADED);
            step = STEP_OVER;
            break;
        }
        t->greeting->parser = parser;
        t->greeting->len = (uint32_t)(n - eaten);
        memcpy(t->greeting->bytes, c->bytes + eaten, n - eaten);
        step = STEP_NEXT;
        break;
    case STREAM_AGAIN:
        step = STEP_MORE;
        break;
    case STREAM_EOF:
    case STREAM_RESET:
        client_left(t);
        break;
    }
    chunk_give(&w->chunks, c);
    return step;
}

/* PROXY headers come before TLS, so with both the header is taken off the socket byte-exactly first. */
static enum step proxy_before_tls(struct tunnel *t)
{
    uint8_t bytes[PROXY_V2_BYTES_MAX];
    ssize_t n;
    struct view at;
    enum step step;

    if (tunnel_has(t, T_HEADER_DONE) || t->worker->policy->proxy_protocol == PROXY_HEADER_OFF)
        return STEP_NEXT;
    n = recv(t->client.fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        t->client.bits &= ~(uint32_t)IO_READABLE;
        return STEP_MORE;
    }
    if (n <= 0) {
        client_left(t);
        return STEP_OVER;
    }
    at = view_from(bytes, (size_t)n);
    step = read_proxy_header(t, &at);
    if (step == STEP_NEXT && at.at != bytes)
        (void)!recv(t->client.fd, bytes, (size_t)(at.at - bytes), MSG_DONTWAIT);
    if (step == STEP_MORE)
        t->client.bits &= ~(uint32_t)IO_READABLE;
    return step;
}

static enum step tls_step(struct tunnel *t)
{
    struct verdict failed = {.client = t->client_addr};
    enum step step = proxy_before_tls(t);

    if (step != STEP_NEXT)
        return step;
    switch (tls_handshake(t->tls, &failed.err)) {
    case TLS_OK:
        t->flags |= T_TLS_READY;
        metric_add(&t->worker->stats.tls_handshakes, 1);
        return STEP_NEXT;
    case TLS_WANT_READ:
        t->client.bits &= ~(uint32_t)IO_READABLE;
        return STEP_MORE;
    case TLS_WANT_WRITE:
        t->client.bits &= ~(uint32_t)IO_WRITABLE;
        return STEP_MORE;
    case TLS_EOF:
        client_left(t);
        return STEP_OVER;
    case TLS_FAILED:
        break;
    }
    report_refused(t, &failed, REASON_TLS_FAILED);
    refused_quietly(t, REASON_TLS_FAILED);
    return STEP_OVER;
}

void greeting_run(struct tunnel *t)
{
    if (t->tls && !tunnel_has(t, T_TLS_READY) && tls_step(t) != STEP_NEXT)
        return;
    while (t->phase == TUNNEL_GREETING &&
           ((t->client.bits & IO_READABLE) || (t->tls && tls_pending(t->tls)))) {
        t->heard_ms = tunnel_now(t);
        if ((t->greeting ? continue_pieces(t) : first_piece(t)) != STEP_NEXT)
            return;
    }
}
