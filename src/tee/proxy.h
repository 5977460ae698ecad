/* proxy: what a reverse proxy writes anew: heads in both directions, and bodies piece by piece. Sans-IO.
 *
 * Hop-by-hop fields (RFC 9110, 7.6.1) end here, as do the fields that only a proxy may write (X-Forwarded-For and others) and the
 * one that older endpoints carried the channel binding in: a client may send it, nobody must believe it.
 *
 * Where a message ends is never copied but written anew, from what we read by: a field that Connection names is left out, and
 * without its Content-Length a body would be the next request. */
#pragma once

#include "http/http.h"
#include "net/addr.h"

/* The request's head for the application, appended. plan: of its body. upgrade: it asks for WebSocket, and goes on asking. */
MUST_USE bool proxy_request(const struct http_head *head, const struct http_body *plan,
                            const struct addr *peer, bool upgrade, struct buf *out,
                            struct err *err);
/* The application took the upgrade to WebSocket: 101, and what belongs to it. */
bool proxy_switches(const struct http_head *head);
MUST_USE bool proxy_switch(const struct http_head *head, const char *extra, struct buf *out,
                           struct err *err);
/* How an answer's body goes to the client. */
enum proxy_framing {
    PROXY_AS_IS,   /* as many bytes as Content-Length says, or none */
    PROXY_CHUNKED, /* in chunks of our own */
    PROXY_CLOSE,   /* until we close: the client speaks HTTP/1.0 */
};
/* The answer's head for the client, appended. close: the connection ends behind it. extra: complete lines of ours, or ""; with
 * fields of CORS among them, the application's own are left out. */
MUST_USE bool proxy_response(const struct http_head *head, const struct http_body *plan,
                             int client_minor, bool close, const char *extra,
                             enum proxy_framing *framing, struct buf *out, struct err *err);
/* A piece of a body as a chunk; an empty one is the end. */
MUST_USE bool proxy_chunk(struct view piece, struct buf *out, struct err *err);
