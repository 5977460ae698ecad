/* serve: an HTTP/1.1 server on a loop: routes in, answers out.
 *
 *   listener ──► connection ──► http head, body ──► route ──► handler ──► answer
 *
 * Connections   persistent; requests that come before their turn wait in the socket: the next one is
 *               looked at when the answer before it has left, so a client that does not read is not
 *               read from either, and no more than one answer is ever held for it.
 * Answers       a handler answers at once, on the loop's thread, into a bounded buffer. HEAD is
 *               answered by the GET route, without the body. An unknown path is 404, a known one with
 *               another method 405 with Allow.
 * Limits        struct serve_options; too many connections: 503 and close. A head that does not come
 *               within its time: 408.
 * Stopping      server_drain: accepts what is queued already, then nothing more; answers what was
 *               asked, says Connection: close, closes idle connections.
 * Read in order   server.c connection.c */
#pragma once

#include "base/buf.h"
#include "http/http.h"
#include "net/listen.h"
#include "net/loop.h"

/* All of it is lent for the call of the handler. */
struct serve_request {
    const struct http_head *head;
    struct view path;  /* as sent, "/…" */
    struct view query; /* after the '?'; .at NULL: there was none */
    struct view body;
    struct addr peer;
};

struct serve_answer {
    int status;               /* 200 unless the handler says otherwise */
    const char *content_type; /* "text/plain; charset=utf-8"; a literal */
    const char *extra;        /* more fields, complete lines with CRLF, ours; a literal or NULL */
    struct buf *body;         /* empty; bounded by answer_bytes_max */
};

/* False: err is answered, with its own HTTP status; the text of the client's mistakes is told to it,
 * that of ours (5xx) is not. Must not free the server. */
typedef bool serve_handler(void *context, const struct serve_request *request,
                           struct serve_answer *answer, struct err *err);

struct serve_route {
    const char *method, *path; /* exact */
    serve_handler *handler;
    void *context;
};

/* 0 stands for the default. */
struct serve_options {
    const struct serve_route *routes; /* lent for the life of the server */
    size_t route_count;
    serve_handler *otherwise; /* whatever no route has the path of, with any method; NULL: 404 */
    void *otherwise_context;
    size_t connections_max;   /* 64 */
    size_t body_bytes_max;    /* of a request: 64 KiB */
    size_t answer_bytes_max;  /* of a body: 16 MiB */
    uint64_t head_timeout_ms; /* from the first byte (or accept) to the end of the head: 5 s */
    uint64_t body_timeout_ms; /* from the end of the head to the end of the body: 30 s */
    uint64_t idle_timeout_ms; /* between requests, and for a client that does not read: 60 s */
};

struct server;

MUST_USE bool server_new(struct loop *loop, const struct serve_options *options,
                         struct server **out, struct err *err);
/* Takes the listener (also on failure): the server closes it. */
MUST_USE bool server_listen(struct server *s, const struct listener *l, struct err *err);
size_t server_connections(const struct server *s);
/* drained: called once when the last connection has gone, never from inside this call. */
void server_drain(struct server *s, void (*drained)(void *context), void *context);
/* Closes everything at once. NULL is fine. */
void server_free(struct server *s);
