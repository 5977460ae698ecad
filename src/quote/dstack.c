/* dstack's guest agent: POST /Method with JSON, over a Unix socket, or over TCP for simulators; a connection for each call, and one
 * deadline for all of it. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "http/http.h"
#include "net/connect.h"
#include "quote/provider_priv.h"

#include "base/poison.h"

enum { PIECE_BYTES = 12 * 1024, TOKENS_MAX = 64 * 1024, SHOWN_BYTES = 120, HTTP_PORT = 80 };

struct dstack {
    struct provider base;
    char path[108]; /* as sun_path; empty: over TCP */
    char host[256], authority[264];
    char prefix[128]; /* of the URL, before "/Method" */
    uint16_t port;
};

/* One call. */
struct exchange {
    int fd;
    uint64_t timeout_ms;
    struct patience patience;
    struct buf head; /* what came until the header was whole */
    struct http_parser parser;
    struct http_body plan;
    int status; /* 0: the header is not whole */
};

static bool late(const struct exchange *x, struct err *err)
{
    return err_set(err, ERR_TIMEOUT, "the guest agent did not answer within %llu ms",
                   (unsigned long long)x->timeout_ms);
}

/* Until the descriptor is ready. */
static bool ready(const struct exchange *x, short events, struct err *err)
{
    struct pollfd p = {.fd = x->fd, .events = events};
    int n;

    do {
        n = poll(&p, 1, patience_left(&x->patience));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_system(err, ERR_IO, errno, "the guest agent");
    return n || late(x, err);
}

/* A Unix socket is connected to at once, or not: EAGAIN is a queue that is full. */
static bool dial_path(const struct dstack *d, struct exchange *x, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, d->path, sizeof d->path);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (x->fd >= 0 && connect(x->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (patience_wait(&x->patience, errno == EAGAIN || errno == EINTR))
            continue;
        return errno == EAGAIN ? late(x, err)
                               : err_system(err, ERR_IO, errno, "the guest agent does not answer");
    }
    return x->fd >= 0 || err_system(err, ERR_IO, errno, "socket");
}

static bool dial(const struct dstack *d, struct exchange *x, struct err *err)
{
    if (*d->path)
        return dial_path(d, x, err);
    return connect_tcp(d->host, d->port, x->timeout_ms, &x->fd, err) ||
           err_in(err, "the guest agent does not answer");
}

static bool send_all(const struct exchange *x, struct view bytes, struct err *err)
{
    while (bytes.len) {
        ssize_t n = send(x->fd, bytes.at, bytes.len, MSG_NOSIGNAL);

        if (n >= 0)
            bytes = view_skip(bytes, (size_t)n);
        else if (errno != EAGAIN && errno != EINTR)
            return err_system(err, ERR_IO, errno, "asking the guest agent");
        else if (errno == EAGAIN && !ready(x, POLLOUT, err))
            return false;
    }
    return true;
}

/* The body's bytes of this piece, appended to out. */
static bool take_piece(struct exchange *x, struct view bytes, struct buf *out, struct err *err)
{
    struct http_head head;
    struct view piece;

    if (!x->status) {
        if (!buf_append(&x->head, bytes, err))
            return false;
        switch (http_response_parse(&x->parser, buf_view(&x->head), &head)) {
        case HTTP_MORE:
            return true;
        case HTTP_FAILED:
            return err_set(err, ERR_IO, "the guest agent's answer is no HTTP response");
        case HTTP_DONE:
            break;
        }
        if (!http_body_plan(&head, true, VIEW("POST"), &x->plan, err))
            return false;
        x->status = head.status;
        bytes = view_skip(buf_view(&x->head), head.bytes);
    }
    while (!x->plan.done && bytes.len)
        if (!http_body_feed(&x->plan, &bytes, &piece, err) || !buf_append(out, piece, err))
            return false;
    return true;
}

static bool whole(const struct exchange *x)
{
    return x->status && (x->plan.done || x->plan.kind == HTTP_BODY_NONE);
}

/* To the end of the body; who keeps the connection open is not waited for. */
static bool receive_all(struct exchange *x, struct buf *out, struct err *err)
{
    uint8_t bytes[PIECE_BYTES];
    bool good;

    while (!whole(x)) {
        ssize_t n = recv(x->fd, bytes, sizeof bytes, 0);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_system(err, ERR_IO, errno, "the guest agent");
        if (n < 0 && errno == EAGAIN && !ready(x, POLLIN, err))
            return false;
        if (n < 0)
            continue;
        if (n == 0)
            return (x->status && x->plan.kind == HTTP_BODY_UNTIL_CLOSE) ||
                   err_set(err, ERR_IO, "the guest agent's answer is not complete");
        good = take_piece(x, view_from(bytes, (size_t)n), out, err);
        secret_wipe(bytes, (size_t)n);
        if (!good)
            return false;
    }
    return true;
}

static bool judge(const struct exchange *x, const struct buf *body, struct err *err)
{
    char shown[4 * SHOWN_BYTES + 8];

    if (x->status == 200)
        return true;
    (void)text_escape(buf_view(body), SHOWN_BYTES, shown, sizeof shown);
    return err_set(err, x->status == 404 ? ERR_NOT_FOUND : ERR_IO,
                   "the guest agent answered %d: %s", x->status, shown);
}

static bool exchange(const struct dstack *d, struct exchange *x, const char *method,
                     struct view body, struct buf *out, struct err *err)
{
    struct buf request;
    bool good;

    buf_init(&request, PROVIDER_ANSWER_MAX, "request");
    good = dial(d, x, err) &&
           buf_appendf(&request, err,
                       "POST %s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                       d->prefix, method, d->authority, body.len) &&
           buf_append(&request, body, err) && send_all(x, buf_view(&request), err) &&
           receive_all(x, out, err) && judge(x, out, err);
    buf_done(&request);
    return good;
}

static bool call(struct provider *p, const char *method, struct view body, struct buf *out,
                 struct err *err)
{
    struct exchange x = {
        .fd = -1, .timeout_ms = p->timeout_ms, .patience = patience_of(p->timeout_ms)};
    bool good;

    http_parser_init(&x.parser);
    buf_init(&x.head, HTTP_HEAD_BYTES_MAX + (size_t)PIECE_BYTES, "header of the answer");
    good = exchange((struct dstack *)(void *)p, &x, method, body, out, err);
    if (x.fd >= 0)
        close(x.fd);
    buf_wipe(&x.head); /* an answer may hold a key */
    return good || err_in(err, "%s", method);
}

static bool take_text(const struct json_doc *doc, const char *key, bool needed, struct buf *out,
                      struct err *err)
{
    uint32_t token = json_member(doc, 0, key);
    char *text;
    size_t len;
    bool good;

    if (!token && !needed)
        return true;
    if (token && doc->tokens[token].kind == JSON_ARRAY)
        return buf_append(out, json_span(doc, token), err);
    if (!token || !json_string_new(doc, token, &text, &len))
        return err_set(err, ERR_SYNTAX, "the answer has no text \"%s\"", key);
    good = buf_append(out, view_from(text, len), err);
    free(text);
    return good;
}

static bool take_hex(const struct json_doc *doc, const char *key, struct buf *out, struct err *err)
{
    uint32_t token = json_member(doc, 0, key);
    struct view hex = token ? json_span(doc, token) : VIEW("");
    uint8_t *room;

    if (!hex.len || hex.len % 2 || !buf_room(out, hex.len / 2, &room, NULL) ||
        !hex_decode(hex, room, hex.len / 2))
        return err_set(err, ERR_SYNTAX, "\"%s\" of the answer is not in hex", key);
    buf_wrote(out, hex.len / 2);
    return true;
}

static bool get_quote(struct provider *p, const uint8_t *report_data, struct provider_quote *out,
                      struct err *err)
{
    char hex[2 * REPORT_DATA_BYTES + 1], body[256];
    struct json_tree tree;
    struct buf answer;
    bool good;

    hex_encode(view_from(report_data, REPORT_DATA_BYTES), hex);
    (void)snprintf(body, sizeof body, "{\"report_data\":\"%s\"}", hex);
    buf_init(&answer, PROVIDER_ANSWER_MAX, "answer");
    good = call(p, "GetQuote", view_str(body), &answer, err) &&
           json_load(buf_view(&answer), TOKENS_MAX, &tree, err);
    if (good) {
        good = take_hex(&tree.doc, "quote", &out->quote, err) &&
               take_text(&tree.doc, "event_log", true, &out->event_log, err) &&
               take_text(&tree.doc, "vm_config", false, &out->vm_config, err);
        json_unload(&tree);
    }
    buf_done(&answer);
    return good;
}

static bool emit(struct provider *p, const char *name, struct view payload, struct err *err)
{
    struct json_writer w;
    struct buf body, answer;
    bool good;

    if (payload.len > PROVIDER_PAYLOAD_MAX)
        return err_set(err, ERR_LIMIT, "the payload of an event has at most %d bytes",
                       PROVIDER_PAYLOAD_MAX);
    buf_init(&body, (size_t)16 * 1024, "request");
    buf_init(&answer, PROVIDER_ANSWER_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "event");
    json_text(&w, view_str(name));
    json_key(&w, "payload");
    json_hex(&w, payload);
    json_object_end(&w);
    good = json_end(&w, err) && call(p, "EmitEvent", buf_view(&body), &answer, err);
    if (!good && err->code == ERR_NOT_FOUND)
        (void)err_set(
            err, ERR_CONFIG,
            "this guest agent has no EmitEvent, which measures certificates: dstack 0.5.0 "
            "has it; newer guests may leave it out");
    buf_done(&body);
    buf_done(&answer);
    return good;
}

static bool tcb_info(struct provider *p, struct buf *out, struct err *err)
{
    struct json_tree tree;
    struct buf answer;
    bool good;

    buf_init(&answer, PROVIDER_ANSWER_MAX, "answer");
    good = call(p, "Info", VIEW("{}"), &answer, err) &&
           json_load(buf_view(&answer), TOKENS_MAX, &tree, err);
    if (good) {
        good = take_text(&tree.doc, "tcb_info", false, out, err);
        json_unload(&tree);
    }
    buf_done(&answer);
    return good;
}

static bool key(struct provider *p, const char *path, uint8_t *out, struct err *err)
{
    struct json_writer w;
    struct json_tree tree;
    struct buf body, answer;
    uint32_t token;
    bool good;

    buf_init(&body, (size_t)16 * 1024, "request");
    buf_init(&answer, PROVIDER_ANSWER_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "path");
    json_text(&w, view_str(path));
    json_key(&w, "purpose");
    json_text(&w, VIEW(""));
    json_object_end(&w);
    good = json_end(&w, err) && call(p, "GetKey", buf_view(&body), &answer, err) &&
           json_load(buf_view(&answer), TOKENS_MAX, &tree, err);
    if (good) {
        token = json_member(&tree.doc, 0, "key");
        good = (token && hex_decode(json_span(&tree.doc, token), out, PROVIDER_KEY_BYTES)) ||
               err_set(err, ERR_SYNTAX, "GetKey: \"key\" of the answer is not %d bytes in hex",
                       PROVIDER_KEY_BYTES);
        json_unload(&tree);
    }
    buf_done(&body);
    buf_wipe(&answer);
    return good;
}

static void dstack_free(struct provider *p)
{
    free(p);
}

/* http://host[:port][/prefix] */
static bool read_url(struct dstack *d, const char *url, struct err *err)
{
    struct view rest = view_skip(view_str(url), sizeof "http://" - 1), authority, host;
    size_t slash = view_find(rest, '/');

    authority = view_first(rest, slash);
    rest = view_skip(rest, slash);
    while (view_ends(rest, VIEW("/")))
        rest.len--;
    d->port = HTTP_PORT;
    if (!http_authority_split(authority, &host, &d->port) || host.len >= sizeof d->host ||
        authority.len >= sizeof d->authority || rest.len >= sizeof d->prefix)
        return err_set(err, ERR_USAGE, "\"%s\": expected http://host[:port]", url);
    (void)snprintf(d->host, sizeof d->host, "%.*s", VIEW_ARG(host));
    (void)snprintf(d->authority, sizeof d->authority, "%.*s", VIEW_ARG(authority));
    (void)snprintf(d->prefix, sizeof d->prefix, "%.*s", VIEW_ARG(rest));
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '?' || *c == '#')
            return err_set(err, ERR_USAGE,
                           "a guest agent's URL has no blank, '?', '#' or byte beyond ASCII");
    return true;
}

static bool read_path(struct dstack *d, const char *path, struct err *err)
{
    size_t n = strlen(path);

    if (!n || n >= sizeof d->path)
        return err_set(err, ERR_USAGE, "%s: the path of a Unix socket has 1 to 107 bytes", path);
    memcpy(d->path, path, n);
    memcpy(d->authority, "dstack", sizeof "dstack");
    return true;
}

bool provider_dstack(const char *where, uint64_t timeout_ms, struct provider **out, struct err *err)
{
    static const struct provider_calls calls = {get_quote, emit, tcb_info, dstack_free, key};
    CLEANUP(provider_free_cleanup) struct provider *p = NULL;
    struct view v = view_from(where, strlen(where));
    struct dstack *d = calloc(1, sizeof *d);

    if (!d)
        return err_set(err, ERR_MEMORY, "no memory for a quote provider");
    p = &d->base;
    d->base.calls = &calls;
    d->base.timeout_ms = timeout_ms;
    (void)snprintf(d->base.name, sizeof d->base.name, "dstack:%s", where);
    if (view_starts(v, VIEW("https://")))
        return err_set(err, ERR_USAGE, "%s: a guest agent is asked over http:// or a Unix socket",
                       where);
    if (view_starts(v, VIEW("http://"))
            ? !read_url(d, where, err)
            : !read_path(d, view_starts(v, VIEW("unix:")) ? where + 5 : where, err))
        return false;
    d->base.files.port = d->port;
    *out = take(p);
    return true;
}
