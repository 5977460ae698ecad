/* dstack's guest agent: POST /Method with JSON, over a Unix socket; a connection for each call. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/text.h"
#include "http/http.h"
#include "quote/provider_priv.h"

#include "base/poison.h"

enum { PIECE_BYTES = 12 * 1024, TOKENS_MAX = 64 * 1024, SHOWN_BYTES = 120 };

struct dstack {
    struct provider base;
    char path[108]; /* as sun_path */
};

static int dial(const struct dstack *d, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, d->path, sizeof d->path);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)err_system(err, ERR_IO, errno, "the guest agent does not answer");
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool send_all(int fd, struct view bytes, struct err *err)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_system(err, ERR_IO, errno, "asking the guest agent");
        bytes = view_skip(bytes, (size_t)n);
    }
    return true;
}

/* Everything until the agent closes, for we ask it to. */
static bool receive_all(int fd, uint64_t timeout_ms, struct buf *out, struct err *err)
{
    uint64_t until = clock_monotonic_ms(&clock_system) + timeout_ms;

    for (;;) {
        uint64_t now = clock_monotonic_ms(&clock_system);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint8_t bytes[PIECE_BYTES];
        ssize_t n;

        if (now >= until || poll(&p, 1, (int)(until - now)) == 0)
            return err_set(err, ERR_TIMEOUT, "the guest agent did not answer in time");
        n = recv(fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_system(err, ERR_IO, errno, "the guest agent");
        if (n == 0)
            return true;
        if (!buf_append(out, view_from(bytes, (size_t)n), err))
            return false;
    }
}

/* The body of a complete answer of status 200. */
static bool read_answer(struct view all, struct buf *out, struct err *err)
{
    struct http_parser parser;
    struct http_head head;
    struct http_body plan;
    struct view piece, rest;
    char shown[4 * SHOWN_BYTES + 8];

    http_parser_init(&parser);
    if (http_response_parse(&parser, all, &head) != HTTP_DONE)
        return err_set(err, ERR_IO, "the guest agent's answer is no HTTP response");
    if (!http_body_plan(&head, true, VIEW("POST"), &plan, err))
        return false;
    rest = view_skip(all, head.bytes);
    while (!plan.done && rest.len)
        if (!http_body_feed(&plan, &rest, &piece, err) || !buf_append(out, piece, err))
            return false;
    if (!plan.done && plan.kind != HTTP_BODY_UNTIL_CLOSE && plan.kind != HTTP_BODY_NONE)
        return err_set(err, ERR_IO, "the guest agent's answer is not complete");
    if (head.status == 200)
        return true;
    (void)text_escape(buf_view(out), SHOWN_BYTES, shown, sizeof shown);
    return err_set(err, head.status == 404 ? ERR_NOT_FOUND : ERR_IO,
                   "the guest agent answered %d: %s", head.status, shown);
}

static bool call(struct provider *p, const char *method, struct view body, struct buf *out,
                 struct err *err)
{
    struct dstack *d = (struct dstack *)(void *)p;
    struct buf request, answer;
    int fd = dial(d, err);
    bool good;

    if (fd < 0)
        return false;
    buf_init(&request, PROVIDER_ANSWER_MAX, "request");
    buf_init(&answer, PROVIDER_ANSWER_MAX, "answer");
    good = buf_appendf(&request, err,
                       "POST /%s HTTP/1.1\r\nHost: dstack\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                       method, body.len) &&
           buf_append(&request, body, err) && send_all(fd, buf_view(&request), err) &&
           receive_all(fd, p->timeout_ms, &answer, err) && read_answer(buf_view(&answer), out, err);
    close(fd);
    buf_done(&request);
    buf_done(&answer);
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

static void dstack_free(struct provider *p)
{
    free(p);
}

bool provider_dstack(const char *path, uint64_t timeout_ms, struct provider **out, struct err *err)
{
    static const struct provider_calls calls = {get_quote, emit, tcb_info, dstack_free};
    struct dstack *d;

    if (strlen(path) >= sizeof d->path)
        return err_set(err, ERR_USAGE, "%s: the path of a Unix socket has at most 107 bytes", path);
    d = calloc(1, sizeof *d);
    if (!d)
        return err_set(err, ERR_MEMORY, "no memory for a quote provider");
    d->base.calls = &calls;
    d->base.timeout_ms = timeout_ms;
    memcpy(d->path, path, strlen(path) + 1);
    (void)snprintf(d->base.name, sizeof d->base.name, "dstack:%s", path);
    *out = &d->base;
    return true;
}
