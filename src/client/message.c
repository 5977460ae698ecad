/* message: the head of a request, written into one piece of memory that was measured before: what is secret in it is nowhere else. */
#include "client/client_priv.h"

#include <stdlib.h>

#include "base/codec.h"

#include "base/poison.h"

enum {
    ABOUT_BYTES =
        256, /* request line without method and target, Content-Length, Host without its value */
    TOGETHER_BYTES_MAX = 16 * 1024, /* head and body of one TLS record */
    USER_INFO_BYTES_MAX = 4 * 1024
};

bool client_fields_check(const struct client_request *request, struct err *err)
{
    for (size_t i = 0; i < request->field_count; i++) {
        const struct client_field *f = &request->fields[i];

        if (!http_is_token(f->name))
            return err_set(err, ERR_USAGE, "a field's name is no token of HTTP");
        if (!http_is_value(f->value))
            return err_set(err, ERR_USAGE, "field %.*s: a control character in its value",
                           VIEW_ARG(f->name));
        if (http_exchange_framing(f->name) || view_eq_nocase(f->name, VIEW("Host")))
            return err_set(err, ERR_USAGE, "field %.*s is not the caller's to write",
                           VIEW_ARG(f->name));
    }
    if (!http_is_value(request->host) || view_find(request->host, ' ') < request->host.len)
        return err_set(err, ERR_USAGE, "the Host field: not a host and port");
    return true;
}

static bool credential(const struct client_field *f)
{
    return f->secret || view_eq_nocase(f->name, VIEW("Authorization")) ||
           view_eq_nocase(f->name, VIEW("Cookie")) ||
           view_eq_nocase(f->name, VIEW("Proxy-Authorization"));
}

static bool about_body(struct view name)
{
    return name.len > 8 && view_eq_nocase(view_first(name, 8), VIEW("Content-"));
}

/* What of the request's fields goes to this hop. */
static bool goes_along(const struct client_call *call, const struct client_field *f)
{
    if (call->crossed && credential(f))
        return false;
    return call->has_body || !call->request.has_body || !about_body(f->name);
}

static bool given(const struct client_call *call, struct view name)
{
    for (size_t i = 0; i < call->request.field_count; i++)
        if (view_eq_nocase(call->request.fields[i].name, name))
            return true;
    return false;
}

static bool field(struct buf *out, struct view name, struct view value, struct err *err)
{
    return buf_append(out, name, err) && buf_append(out, VIEW(": "), err) &&
           buf_append(out, value, err) && buf_append(out, VIEW("\r\n"), err);
}

/* Of the URL at hand; of the request's own as long as we are where it led. */
static struct view user_info(const struct client_call *call)
{
    return call->url.user_info.at || call->crossed ? call->url.user_info : call->user_info;
}

static size_t measure(const struct client_call *call, struct view user_agent)
{
    const struct client_request *r = &call->request;
    const struct client_proxy *proxy = call->origin->proxy;
    size_t n = ABOUT_BYTES + call->method.len + call->url.target.len + r->host.len +
               2 * strlen(call->origin->authority) + user_agent.len +
               BASE64_LEN(user_info(call).len + 1);

    for (size_t i = 0; i < r->field_count; i++)
        n += r->fields[i].name.len + r->fields[i].value.len + 4;
    if (proxy && proxy->authorization)
        n += strlen(proxy->authorization);
    return n;
}

/* The target goes in front of what is behind it in out, so it is put together first: "http://a.test" "/" "?q". */
static bool target_write(const struct client_call *call, struct buf *out, struct view *target,
                         struct err *err)
{
    const struct client_origin *o = call->origin;
    bool absolute = o->proxy && !o->https, slash = !call->url.path.len;

    if (!absolute && !slash) {
        *target = call->url.target;
        return true;
    }
    if ((absolute && !(buf_append(out, VIEW("http://"), err) &&
                       buf_append(out, view_str(o->authority), err))) ||
        (slash && !buf_append_byte(out, '/', err)) || !buf_append(out, call->url.target, err))
        return false;
    *target = buf_view(out);
    return true;
}

static bool line_write(struct client_call *call, struct http_exchange *x, struct buf *out,
                       struct err *err)
{
    enum http_upload upload = call->has_body ? HTTP_UPLOAD_LENGTH : HTTP_UPLOAD_NONE;
    struct view target;
    struct buf whole;
    bool good;

    buf_init(&whole, (size_t)2 * CLIENT_URL_BYTES_MAX, "request target");
    good = target_write(call, &whole, &target, err) &&
           http_exchange_begin(x, call->method, target, upload, call->body.len, out, err);
    buf_wipe(&whole);
    return good;
}

bool client_message_write(struct client_call *call, struct http_exchange *x, struct buf *out,
                          struct err *err)
{
    const struct client_request *r = &call->request;
    const struct client_origin *o = call->origin;
    struct view host = r->host.len && !call->crossed ? r->host : view_str(o->authority);
    struct view user_agent = view_str(call->client->user_agent);
    bool together = o->https && call->body.len && call->body.len <= TOGETHER_BYTES_MAX;
    size_t bytes;
    uint8_t *room;

    if (!user_agent.len || given(call, VIEW("User-Agent")))
        user_agent.len = 0;
    bytes = measure(call, user_agent);
    together = together && bytes + call->body.len <= TOGETHER_BYTES_MAX;
    if (!buf_room(out, bytes + (together ? call->body.len : 0), &room, err) ||
        !line_write(call, x, out, err) || !field(out, VIEW("Host"), host, err))
        return false;
    if (user_agent.len && !field(out, VIEW("User-Agent"), user_agent, err))
        return false;
    if (o->proxy && !o->https && o->proxy->authorization &&
        !buf_append_str(out, o->proxy->authorization, err))
        return false;
    if (user_info(call).at && !given(call, VIEW("Authorization")) &&
        !client_basic_write(out, "Authorization", user_info(call), err))
        return false;
    for (size_t i = 0; i < r->field_count; i++)
        if (goes_along(call, &r->fields[i]) &&
            !field(out, r->fields[i].name, r->fields[i].value, err))
            return false;
    return http_write_end(out, err) && (!together || http_exchange_send(x, call->body, out, err));
}

/* Percent-encoding undone, into at; what is malformed stands for itself. */
static size_t plain(struct view v, uint8_t *at)
{
    size_t n = 0;

    while (v.len) {
        if (v.at[0] == '%' && v.len >= 3 && hex_decode(view_from(v.at + 1, 2), at + n, 1)) {
            v = view_skip(v, 3);
        } else {
            at[n] = v.at[0];
            v = view_skip(v, 1);
        }
        n++;
    }
    return n;
}

bool client_basic_write(struct buf *out, const char *name, struct view user_info, struct err *err)
{
    uint8_t pair[USER_INFO_BYTES_MAX + 1];
    char encoded[BASE64_LEN(USER_INFO_BYTES_MAX + 1) + 1];
    size_t colon = view_find(user_info, ':'), n;
    bool good;

    if (user_info.len > USER_INFO_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the user and password of a URL are longer than %d bytes",
                       USER_INFO_BYTES_MAX);
    n = plain(view_first(user_info, colon), pair);
    pair[n++] = ':';
    n += plain(view_skip(user_info, colon + 1), pair + n);
    base64_encode(view_from(pair, n), encoded);
    good = buf_append_str(out, name, err) && buf_append_str(out, ": Basic ", err) &&
           buf_append_str(out, encoded, err) && buf_append_str(out, "\r\n", err);
    secret_wipe(pair, sizeof pair);
    secret_wipe(encoded, sizeof encoded);
    return good;
}
