#include "attested/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "net/connect.h"
#include "tls/session.h"
#include "ws/ws.h"

#include "base/poison.h"

enum { PIECE_BYTES = 6 * 1024, RAW_MAX = 1024 * 1024, HOST_BYTES = 256, URL_BYTES = 2048 };

struct transport {
    int fd;
    uint64_t timeout_ms, until_ms; /* until: all that comes before the first byte of the target's */
    struct session *tls;           /* to the bridge; NULL: none */
    bool ws, ended;
    struct ws_decoder decoder;
    struct buf raw; /* received, not yet looked at */
    struct buf control;
};

static bool io(struct attest_err *err, const char *what, int errnum)
{
    return attest_fail(err, errnum == ETIMEDOUT ? ATTEST_TIMEOUT : ATTEST_IO, "%s: %s", what,
                       strerror(errnum));
}

/* --- TCP --- */

/* True: fd is ready. */
static bool wait_for(int fd, short events, uint64_t timeout_ms)
{
    uint64_t until = clock_monotonic_ms(&clock_system) + timeout_ms;
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        uint64_t now = clock_monotonic_ms(&clock_system);
        uint64_t left = now < until ? until - now : 0;
        int n = poll(&p, 1, timeout_ms ? (int)(left < INT32_MAX ? left : INT32_MAX) : -1);

        if (n > 0)
            return true;
        if (n == 0)
            errno = ETIMEDOUT;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static bool tcp(const char *host, uint16_t port, uint64_t timeout_ms, int *out,
                struct attest_err *err)
{
    struct err why;

    return connect_tcp(host, port, timeout_ms, out, &why) ||
           attest_fail(err, why.code == ERR_TIMEOUT ? ATTEST_TIMEOUT : ATTEST_IO, "%s", why.text);
}

static bool socket_send(struct transport *t, struct view bytes, struct attest_err *err)
{
    while (bytes.at && bytes.len) {
        ssize_t n = send(t->fd, bytes.at, bytes.len, MSG_NOSIGNAL);

        if (n >= 0)
            bytes = view_skip(bytes, (size_t)n);
        else if (errno != EINTR && (errno != EAGAIN || !wait_for(t->fd, POLLOUT, t->timeout_ms)))
            return io(err, "sending", errno);
    }
    return true;
}

/* --- TLS to the bridge --- */

static bool flush(struct transport *t, struct attest_err *err)
{
    struct view out = session_output(t->tls);

    if (!socket_send(t, out, err))
        return false;
    session_sent(t->tls, out.len);
    return true;
}

static bool raw_send(struct transport *t, struct view bytes, struct attest_err *err)
{
    struct err why;

    if (!t->tls)
        return socket_send(t, bytes, err);
    return (session_write(t->tls, bytes, &why) || attest_fail(err, ATTEST_IO, "%s", why.text)) &&
           flush(t, err);
}

/* What TLS has decrypted, into raw. */
static bool decrypt(struct transport *t, struct attest_err *err)
{
    uint8_t bytes[PIECE_BYTES];
    struct err why = {.code = ERR_NONE};

    for (;;) {
        size_t n = sizeof bytes;

        switch (session_read(t->tls, bytes, &n, &why)) {
        case TLS_OK:
            if (!buf_append(&t->raw, view_from(bytes, n), &why))
                return attest_fail(err, ATTEST_IO, "%s", why.text);
            continue;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            return flush(t, err);
        case TLS_EOF:
            t->ended = true;
            return true;
        case TLS_FAILED:
            return attest_fail(err, ATTEST_IO, "the bridge's TLS: %s", why.text);
        }
    }
}

/* Waits for something to come. */
static bool raw_receive(struct transport *t, uint64_t timeout_ms, struct attest_err *err)
{
    uint8_t bytes[PIECE_BYTES];
    struct err why;
    ssize_t n;

    do {
        if (!wait_for(t->fd, POLLIN, timeout_ms))
            return io(err, "receiving", errno);
        n = recv(t->fd, bytes, sizeof bytes, 0);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0)
        return io(err, "receiving", errno);
    if (n == 0)
        t->ended = true;
    if (t->tls && n == 0)
        session_feed_end(t->tls);
    if (n == 0)
        return true;
    if (t->tls)
        return (session_feed(t->tls, view_from(bytes, (size_t)n), &why) ||
                attest_fail(err, ATTEST_IO, "%s", why.text)) &&
               decrypt(t, err);
    return buf_append(&t->raw, view_from(bytes, (size_t)n), &why) ||
           attest_fail(err, ATTEST_IO, "%s", why.text);
}

static bool start_tls(struct transport *t, const char *host, const char *ca_file,
                      struct attest_err *err)
{
    struct session_client_options options = {.any_certificate = false};
    struct session_context *context = NULL;
    struct err why = {.code = ERR_NONE};
    struct buf pem;
    bool good;

    buf_init(&pem, RAW_MAX, "CA file");
    good = !ca_file || file_read(ca_file, &pem, &why);
    options.roots = buf_view(&pem);
    good = good && session_client_context(&options, &context, &why) &&
           session_connect(context, host, &t->tls, &why);
    session_context_unref(context);
    buf_done(&pem);
    while (good) {
        enum tls_status status = session_handshake(t->tls, &why);

        if (!flush(t, err))
            return false;
        if (status == TLS_OK)
            return true;
        good = status == TLS_WANT_READ;
        if (good) {
            uint8_t bytes[PIECE_BYTES];
            ssize_t n;

            if (!wait_for(t->fd, POLLIN, t->timeout_ms))
                return io(err, "the bridge's TLS handshake", errno);
            n = recv(t->fd, bytes, sizeof bytes, 0);
            if (n <= 0)
                return io(err, "the bridge's TLS handshake", n ? errno : ECONNRESET);
            good = session_feed(t->tls, view_from(bytes, (size_t)n), &why);
        }
    }
    return attest_fail(err, ATTEST_IO, "the bridge's TLS: %s", why.text);
}

/* --- WebSocket --- */

struct proxy {
    bool tls;
    char host[HOST_BYTES], authority[HOST_BYTES + 8], target[URL_BYTES];
    uint16_t port;
};

/* The URL may hold a token: it is not repeated. */
static bool bad_proxy(struct attest_err *err)
{
    return attest_fail(err, ATTEST_POLICY,
                       "--proxy: that is not the URL of a bridge; write ws://host:port or "
                       "wss://host");
}

static bool split_authority(struct view v, struct proxy *p)
{
    struct view host;

    return http_authority_split(v, &host, &p->port) && v.len < sizeof p->authority &&
           snprintf(p->host, sizeof p->host, "%.*s", VIEW_ARG(host)) < (int)sizeof p->host &&
           snprintf(p->authority, sizeof p->authority, "%.*s", VIEW_ARG(v)) > 0;
}

/* The URL names the target in its query, or we do. */
static bool parse_proxy(const struct transport_options *o, struct proxy *p, struct attest_err *err)
{
    struct view v = view_str(o->proxy), rest, query;
    bool v6 = strchr(o->host, ':') != NULL;
    size_t n;

    p->tls = view_starts(v, VIEW("wss://"));
    if (!p->tls && !view_starts(v, VIEW("ws://")))
        return bad_proxy(err);
    v = view_skip(v, p->tls ? 6 : 5);
    p->port = p->tls ? 443 : 80;
    n = view_find(v, '/') < view_find(v, '?') ? view_find(v, '/') : view_find(v, '?');
    rest = view_skip(v, n);
    if (!split_authority(view_first(v, n), p) || rest.len > URL_BYTES / 2)
        return bad_proxy(err);
    query = view_skip(rest, view_find(rest, '?'));
    n = (size_t)snprintf(p->target, sizeof p->target, "%s%.*s",
                         rest.len && rest.at[0] == '/' ? "" : "/", VIEW_ARG(rest));
    if (!view_find_text(query, VIEW("target=")))
        (void)snprintf(p->target + n, sizeof p->target - n, "%starget=%s%s%s:%u",
                       query.len ? "&" : "?", v6 ? "[" : "", o->host, v6 ? "]" : "", o->port);
    return true;
}

static bool refused(struct transport *t, const struct http_head *head, struct attest_err *err)
{
    char shown[512];

    (void)text_escape(view_skip(buf_view(&t->raw), head->bytes), 120, shown, sizeof shown);
    return attest_fail(err, ATTEST_IO, "the bridge refused: status %d: %s", head->status, shown);
}

/* However many bytes come that open nothing: not for longer than that. */
static bool opening_receive(struct transport *t, struct attest_err *err)
{
    uint64_t now_ms = clock_monotonic_ms(&clock_system);

    if (!t->timeout_ms)
        return raw_receive(t, 0, err);
    if (now_ms >= t->until_ms)
        return io(err, "waiting for the bridge", ETIMEDOUT);
    return raw_receive(t, t->until_ms - now_ms, err);
}

static bool upgrade(struct transport *t, const struct proxy *p, struct attest_err *err)
{
    uint8_t key[WS_KEY_BYTES];
    struct http_parser parser;
    struct http_head head;
    struct buf request;
    struct err why;
    bool good;

    buf_init(&request, HTTP_HEAD_BYTES_MAX, "upgrade");
    good = ws_client_request(&request, view_str(p->authority), view_str(p->target), VIEW(""), key,
                             &why) ||
           attest_fail(err, ATTEST_IO, "%s", why.text);
    good = good && raw_send(t, buf_view(&request), err);
    buf_done(&request);
    http_parser_init(&parser);
    while (good) {
        if (!opening_receive(t, err))
            return false;
        if (!buf_len(&t->raw) && t->ended)
            return attest_fail(err, ATTEST_IO, "the bridge ended the connection");
        switch (http_response_parse(&parser, buf_view(&t->raw), &head)) {
        case HTTP_MORE:
            good = !t->ended || attest_fail(err, ATTEST_IO, "the bridge ended the connection");
            continue;
        case HTTP_FAILED:
            return attest_fail(err, ATTEST_IO, "the bridge: %s", parser.err.text);
        case HTTP_DONE:
            break;
        }
        if (head.status != 101)
            return refused(t, &head, err);
        if (!ws_client_check(&head, key, &why))
            return attest_fail(err, ATTEST_IO, "the bridge: %s", why.text);
        buf_eat(&t->raw, head.bytes);
        ws_decoder_init(&t->decoder, WS_CLIENT, 0);
        t->ws = true;
        return true;
    }
    return false;
}

static bool send_frame(struct transport *t, enum ws_opcode opcode, struct view payload,
                       struct attest_err *err)
{
    uint8_t head[WS_HEAD_MAX], mask[4], piece[PIECE_BYTES];
    size_t n;

    random_bytes(mask, sizeof mask);
    n = ws_frame_head_masked(opcode, true, payload.len, mask, head);
    if (!raw_send(t, view_from(head, n), err))
        return false;
    for (unsigned phase = 0; payload.len; phase = (phase + (unsigned)n) % 4) {
        n = payload.len < sizeof piece ? payload.len : sizeof piece;
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): it has bytes */
        memcpy(piece, payload.at, n);
        ws_unmask(piece, n, mask, phase);
        if (!raw_send(t, view_from(piece, n), err))
            return false;
        payload = view_skip(payload, n);
    }
    return true;
}

/* Close says why; the code becomes the error when there was one. */
static bool closed(struct transport *t, struct attest_err *err)
{
    struct view reason;
    unsigned code;

    t->ended = true;
    if (!ws_close_parse(buf_view(&t->control), &code, &reason) || code == WS_CLOSE_NORMAL ||
        code == WS_CLOSE_NO_STATUS)
        return true;
    return attest_fail(err, ATTEST_IO, "the bridge closed the connection: %u %.*s", code,
                       VIEW_ARG(reason));
}

static bool control(struct transport *t, struct attest_err *err)
{
    if (t->decoder.opcode == WS_PING)
        return send_frame(t, WS_PONG, buf_view(&t->control), err);
    return t->decoder.opcode != WS_CLOSE || closed(t, err);
}

static bool decode(struct transport *t, struct buf *out, struct attest_err *err)
{
    struct view in = buf_view(&t->raw), payload;
    unsigned phase;
    struct err why;

    for (;;) {
        switch (ws_decode(&t->decoder, &in, &payload, &phase)) {
        case WS_NEED_MORE:
            buf_eat(&t->raw, buf_len(&t->raw));
            return true;
        case WS_HEAD:
            if (t->decoder.opcode == WS_TEXT)
                return attest_fail(err, ATTEST_IO, "the bridge: a text frame; TLS is binary");
            buf_reset(&t->control);
            break;
        case WS_PAYLOAD:
            if (!buf_append(t->decoder.opcode >= WS_CLOSE ? &t->control : out, payload, &why))
                return attest_fail(err, ATTEST_IO, "%s", why.text);
            break;
        case WS_FRAME_END:
            if (t->decoder.opcode >= WS_CLOSE && !control(t, err))
                return false;
            break;
        case WS_FAILED:
            return attest_fail(err, ATTEST_IO, "the bridge: %s", t->decoder.reason);
        }
    }
}

/* --- */

bool transport_open(const struct transport_options *o, struct transport **out,
                    struct attest_err *err)
{
    CLEANUP(transport_free_cleanup) struct transport *t = calloc(1, sizeof *t);
    struct proxy p = {.tls = false};

    if (!t)
        return attest_fail(err, ATTEST_MEMORY, "no memory for a connection");
    t->fd = -1;
    t->timeout_ms = o->timeout_ms;
    buf_init(&t->raw, RAW_MAX, "received bytes");
    buf_init(&t->control, WS_CONTROL_MAX, "control frame");
    if (o->proxy && !parse_proxy(o, &p, err))
        return false;
    if (!tcp(o->proxy ? p.host : o->host, o->proxy ? p.port : o->port, o->timeout_ms, &t->fd, err))
        return false;
    t->until_ms = clock_monotonic_ms(&clock_system) + t->timeout_ms;
    if (p.tls && !start_tls(t, p.host, o->ca_file, err))
        return false;
    if (o->proxy && !upgrade(t, &p, err))
        return false;
    *out = take(t);
    return true;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    if (t->ws && !t->ended) {
        uint8_t normal[2] = {WS_CLOSE_NORMAL >> 8, WS_CLOSE_NORMAL & 0xFF};

        (void)!send_frame(t, WS_CLOSE, view_from(normal, 2), NULL);
    }
    if (t->fd >= 0)
        close(t->fd);
    session_free(t->tls);
    buf_done(&t->raw);
    buf_done(&t->control);
    free(t);
}

bool transport_send(struct transport *t, struct view bytes, struct attest_err *err)
{
    if (!bytes.len)
        return true;
    return t->ws ? send_frame(t, WS_BINARY, bytes, err) : raw_send(t, bytes, err);
}

bool transport_receive(struct transport *t, struct buf *out, bool *end, uint64_t timeout_ms,
                       struct attest_err *err)
{
    size_t before = buf_len(out);
    struct err why;

    if (t->ws && buf_len(&t->raw) && !decode(t, out, err))
        return false;
    if (buf_len(out) == before && !t->ended) {
        if (!raw_receive(t, timeout_ms, err))
            return false;
        if (t->ws && !decode(t, out, err))
            return false;
    }
    if (!t->ws) {
        if (!buf_append(out, buf_view(&t->raw), &why))
            return attest_fail(err, ATTEST_IO, "%s", why.text);
        buf_reset(&t->raw);
    }
    *end = t->ended;
    return true;
}

int transport_fd(const struct transport *t)
{
    return t->fd;
}
