/* redirect: where an answer sends us (RFC 9110, 15.4), and what may come along. */
#include "client/client_priv.h"

#include "base/poison.h"

bool client_redirect_wanted(const struct client_call *call, const struct http_head *head,
                            struct view *location)
{
    switch (head->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return call->request.redirects && http_field(head, VIEW("Location"), location);
    default:
        return false;
    }
}

static bool same_origin(const struct http_url *a, const struct http_url *b)
{
    return a->https == b->https && a->port == b->port && view_eq_nocase(a->host, b->host);
}

/* A form that was taken is answered by a page elsewhere: 303 says so, 301 and 302 have meant it since there were browsers. */
static void becomes_get(struct client_call *call, int status)
{
    bool post = view_eq(call->method, VIEW("POST"));

    if (view_eq(call->method, VIEW("HEAD")) ||
        !(status == 303 || ((status == 301 || status == 302) && post)))
        return;
    call->method = VIEW("GET");
    call->has_body = false;
    call->body = view_str(NULL);
}

static bool next_url(const struct client_call *call, struct view location, struct buf *out,
                     struct http_url *url, struct err *err)
{
    struct buf clean;
    bool good;

    buf_init(&clean, CLIENT_URL_BYTES_MAX, "URL");
    good = http_url_clean(location, &clean, err) &&
           http_url_resolve(&call->url, buf_view(&clean), out, err) &&
           http_url_split(buf_view(out), url, err);
    buf_done(&clean);
    if (!good)
        return false;
    return !call->url.https || url->https ||
           err_set(err, ERR_DENIED, "from https to http is not followed");
}

bool client_redirect(struct client_call *call, int status, struct view location,
                     enum client_outcome *outcome, struct err *err)
{
    const char *from = call->origin->authority;
    struct http_url url;
    struct buf text;

    if (call->hops >= call->request.redirects) {
        *outcome = CLIENT_TOO_MANY_REDIRECTS;
        return err_set(err, ERR_LIMIT, "%s: more than %u redirects", from, call->request.redirects);
    }
    buf_init(&text, CLIENT_URL_BYTES_MAX, "URL");
    if (!next_url(call, location, &text, &url, err)) {
        *outcome = err->code == ERR_MEMORY ? CLIENT_MEMORY : CLIENT_URL;
        buf_done(&text);
        return err_in(err, "%s: a redirect", from);
    }
    call->hops++;
    call->crossed = call->crossed || !same_origin(&call->url, &url);
    becomes_get(call, status);
    buf_wipe(&call->url_text);
    call->url_text = text; /* url lends from its area, which stays */
    call->url = url;
    return true;
}
