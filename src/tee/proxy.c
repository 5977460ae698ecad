#include "tee/proxy.h"

#include "tee/cors.h"

#include "base/poison.h"

static bool is_one_of(struct view name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (view_eq_nocase(name, view_str(names[i])))
            return true;
    return false;
}

static const char switching[] = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

/* Of this connection alone: the usual ones, and those that Connection names; what tells host and length is of the message. */
static bool hop_by_hop(const struct http_head *head, struct view name)
{
    static const char *const always[] = {
        "Connection", "Keep-Alive", "Proxy-Connection",   "Transfer-Encoding",  "TE",
        "Trailer",    "Upgrade",    "Proxy-Authenticate", "Proxy-Authorization"};
    static const char *const never[] = {"Host", "Content-Length"};

    return is_one_of(name, always, sizeof always / sizeof *always) ||
           (!is_one_of(name, never, sizeof never / sizeof *never) &&
            http_field_has_token(head, VIEW("Connection"), name));
}

/* Ours to write, whatever the client says. */
static bool reserved(struct view name)
{
    static const char *const ours[] = {"X-Forwarded-For",  "X-Forwarded-Proto",
                                       "X-Forwarded-Host", "X-Real-IP",
                                       "Forwarded",        "X-TLS-EKM-Channel-Binding"};

    return is_one_of(name, ours, sizeof ours / sizeof *ours);
}

static bool put(struct buf *out, struct view name, struct view value, struct err *err)
{
    return buf_append(out, name, err) && buf_append_str(out, ": ", err) &&
           buf_append(out, value, err) && buf_append_str(out, "\r\n", err);
}

static bool put_length(uint64_t length, struct buf *out, struct err *err)
{
    return buf_appendf(out, err, "Content-Length: %llu\r\n", (unsigned long long)length);
}

static bool put_framing(const struct http_head *head, const struct http_body *plan, struct buf *out,
                        struct err *err)
{
    if (plan->kind == HTTP_BODY_CHUNKED)
        return buf_append_str(out, "Transfer-Encoding: chunked\r\n", err);
    /* "Content-Length: 0" is more than nothing: some applications want it. */
    return !http_field_count(head, VIEW("Content-Length")) ||
           put_length(plan->kind == HTTP_BODY_LENGTH ? plan->left : 0, out, err);
}

/* HTTP/1.0 may come without a host; what we speak may not. */
static bool put_host(const struct http_head *head, struct buf *out, struct err *err)
{
    struct view host;

    if (http_field(head, VIEW("Host"), &host))
        return put(out, VIEW("X-Forwarded-Host"), host, err);
    return put(out, VIEW("Host"), VIEW("localhost"), err);
}

bool proxy_request(const struct http_head *head, const struct http_body *plan,
                   const struct addr *peer, bool upgrade, struct buf *out, struct err *err)
{
    char address[ADDR_TEXT_BYTES];

    (void)addr_ip_format(peer, address);
    if (!buf_append(out, head->method, err) || !buf_append_byte(out, ' ', err) ||
        !buf_append(out, head->target, err) || !buf_append_str(out, " HTTP/1.1\r\n", err))
        return false;
    for (size_t i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];

        if (!hop_by_hop(head, f->name) && !reserved(f->name) &&
            !view_eq_nocase(f->name, VIEW("Content-Length")) && !put(out, f->name, f->value, err))
            return false;
    }
    return put_host(head, out, err) && put_framing(head, plan, out, err) &&
           (!upgrade || buf_append_str(out, switching, err)) &&
           put(out, VIEW("X-Real-IP"), view_str(address), err) &&
           put(out, VIEW("X-Forwarded-For"), view_str(address), err) &&
           buf_append_str(out, "X-Forwarded-Proto: https\r\n\r\n", err);
}

/* Status line and fields, but for those that are not for the client; no blank line. */
static bool put_answer(const struct http_head *head, const char *extra, struct buf *out,
                       struct err *err)
{
    bool cors = view_find_text(view_str(extra), VIEW("Access-Control-Allow-Origin"));

    if (!buf_appendf(out, err, "HTTP/1.1 %d ", head->status) ||
        !buf_append(out, head->reason, err) || !buf_append_str(out, "\r\n", err))
        return false;
    for (size_t i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];

        if (!hop_by_hop(head, f->name) && !(cors && cors_field(f->name)) &&
            !put(out, f->name, f->value, err))
            return false;
    }
    return true;
}

bool proxy_response(const struct http_head *head, const struct http_body *plan, int client_minor,
                    bool close, const char *extra, enum proxy_framing *framing, struct buf *out,
                    struct err *err)
{
    bool endless = plan->kind == HTTP_BODY_CHUNKED || plan->kind == HTTP_BODY_UNTIL_CLOSE;

    *framing = !endless ? PROXY_AS_IS : client_minor == 0 ? PROXY_CLOSE : PROXY_CHUNKED;
    return put_answer(head, extra, out, err) &&
           (*framing != PROXY_CHUNKED ||
            buf_append_str(out, "Transfer-Encoding: chunked\r\n", err)) &&
           (!close || buf_append_str(out, "Connection: close\r\n", err)) &&
           buf_append_str(out, extra, err) && buf_append_str(out, "\r\n", err);
}

bool proxy_switches(const struct http_head *head)
{
    struct view protocol;

    return head->status == 101 && head->minor == 1 &&
           http_field_has_token(head, VIEW("Connection"), VIEW("upgrade")) &&
           http_field(head, VIEW("Upgrade"), &protocol) &&
           view_eq_nocase(protocol, VIEW("websocket"));
}

bool proxy_switch(const struct http_head *head, const char *extra, struct buf *out, struct err *err)
{
    return put_answer(head, extra, out, err) && buf_append_str(out, switching, err) &&
           buf_append_str(out, extra, err) && buf_append_str(out, "\r\n", err);
}

bool proxy_chunk(struct view piece, struct buf *out, struct err *err)
{
    return buf_appendf(out, err, "%zx\r\n", piece.len) && buf_append(out, piece, err) &&
           buf_append_str(out, "\r\n", err);
}
