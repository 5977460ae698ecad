/* serve: an HTTP/1.1 server on a loop: routes in, answers out.
 *
 *   listener ──► connection ──► http head ──► route ──► admit ──► body ──► handler ──► answer
 *                                                         └ no: an answer, and the body is not read
 *
 * Connections   persistent; requests that come before their turn wait in the socket: the next one is
 *               looked at when the answer before it has left, so a client that does not read is not
 *               read from either, and no more than one answer is ever held for it.
 * Answers       of a handler: at once, on the loop's thread, into a bounded buffer. Of a taker: when it
 *               likes, whole or as a stream; until then the request is lent to it, and it is told when
 *               the client leaves: who closes its half of the connection has left. HEAD is answered by
 *               the GET route, without the body. An unknown path is 404, a known one with another
 *               method 405 with Allow, unless options.unrouted answers.
 * Bodies        read when the request was admitted, into memory that grows as bytes come.
 * Limits        struct serve_options; too many connections: 503 and close. A head that does not come
 *               within its time: 408.
 * Cost          a request that comes in one piece: one system call to read it, one to answer; no
 *               allocation: the areas of an idle connection go to the next one that has something to do.
 * Stopping      server_drain: accepts what is queued already, then nothing more; answers what was
 *               asked, says Connection: close, closes idle connections.
 * Read in order   server.c route.c connection.c request.c answer.c */
#pragma once

#include "base/buf.h"
#include "http/http.h"
#include "net/listen.h"
#include "net/loop.h"

/* All of it is lent: for the call of a handler; to a taker until it has answered, or was told that the client is gone. */
struct serve_request {
    const struct http_head *head;
    struct view path;  /* as sent, "/…" */
    struct view query; /* after the '?'; .at NULL: there was none */
    struct view body;
    struct addr peer;
    struct view parameter; /* what stands for {name}, percent-decoded: it may hold any byte */
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
    const char *method, *path; /* exact, but for one segment: "/tools/{name}" */
    serve_handler *handler;
    void *context;
};

/* --- answers that come later ------------------------------------------------------------------ */

struct serve_exchange;
/* May answer from inside, or later; must not free the server. */
typedef void serve_taker(void *context, struct serve_exchange *x);

struct serve_service {
    const char *method, *path; /* as of a route */
    serve_taker *taker;
    void *context;
    size_t body_bytes_max; /* 0: that of the options */
};

/* A request, and the answer it is to get: one of serve_reply, serve_stream … serve_end, serve_cut. After that, and when gone was
 * called, it is no more. */
struct serve_exchange {
    struct serve_request request;        /* body: when it was admitted and read */
    const struct serve_service *service; /* NULL: none has this path and method */
    const char *allow; /* a path with other methods: a field line that names them; else "" */
    void *extra;       /* options.extra_bytes of the taker's own, zeros at first */
    size_t
        body_bytes_max; /* set by admit: less than the service's, for this one; 0: as the service says */
    struct budget *
        memory; /* set by admit: what its body counts against until it is read, a part of the options'; NULL: that */
};

/* Who answers later says who is to be told. Never called from inside a function below. */
struct serve_watch {
    void (*gone)(void *context);    /* the client has left, or the server ends: stop the work */
    void (*drained)(void *context); /* of a stream: all that waited has left; NULL: do not tell */
};
void serve_later(struct serve_exchange *x, const struct serve_watch *watch,
                 void *context); /* watch: lent */

struct serve_reply {
    int status;
    const char *content_type;   /* NULL: none */
    const char *extra;          /* as in struct serve_answer, but copied; NULL: none */
    struct view before, behind; /* around the body; literals */
    struct view text;           /* a short body; copied */
    struct buf *body;           /* or a long one: taken, sent from where it stands; NULL: none */
};
void serve_reply(struct serve_exchange *x, const struct serve_reply *reply);

/* A head now, and pieces of a body (chunked) as they come. */
void serve_stream(struct serve_exchange *x, int status, const char *content_type,
                  const char *extra);
/* Copied. False: no memory; then only serve_cut is left to do. */
MUST_USE bool serve_write(struct serve_exchange *x, struct view bytes);
size_t serve_waiting(const struct serve_exchange *x); /* bytes that the client has not taken yet */
void serve_end(struct serve_exchange *x);
/* Breaks the connection: the client sees that the answer is not whole. */
void serve_cut(struct serve_exchange *x);

/* 0 stands for the default. */
struct serve_options {
    const struct serve_route *routes; /* lent for the life of the server */
    size_t route_count;
    const struct serve_service *services; /* the same */
    size_t service_count;
    serve_handler *otherwise; /* whatever no route has the path of, with any method; NULL: 404 */
    void *otherwise_context;
    size_t connections_max;   /* 64 */
    size_t body_bytes_max;    /* of a request: 64 KiB */
    size_t answer_bytes_max;  /* of a handler's body: 16 MiB */
    uint64_t head_timeout_ms; /* from the first byte (or accept) to the end of the head: 5 s */
    uint64_t body_timeout_ms; /* for each SERVE_BODY_STEP_BYTES of the body: 30 s */
    uint64_t
        body_rate_least; /* bytes a second, beyond the first body_timeout_ms, for the body as a whole; 0: any */
    uint64_t idle_timeout_ms; /* between requests, and for a client that does not read: 60 s */
    /* Called for each request when its head is there. False: it was answered; its body is not wanted. It must not answer later. */
    bool (*admit)(void *context, struct serve_exchange *x);
    /* The body cannot be read: why is a sentence. True: it was answered; else status and why are the answer. The connection ends. */
    bool (*unreadable)(void *context, struct serve_exchange *x, int status, const char *why);
    serve_taker *unrouted; /* whatever else has no route; otherwise is not asked then */
    void *context;         /* of these three */
    size_t extra_bytes;    /* with each exchange, for takers */
    struct budget *
        memory; /* of bodies that are read and of streams that wait; used up: 503. NULL: without bound */
};
enum { SERVE_BODY_STEP_BYTES = 64 * 1024 };

struct server;

MUST_USE bool server_new(struct loop *loop, const struct serve_options *options,
                         struct server **out, struct err *err);
/* Takes the listener (also on failure): the server closes it. */
MUST_USE bool server_listen(struct server *s, const struct listener *l, struct err *err);
size_t server_connections(const struct server *s);
/* drained: called once when the last connection has gone, never from inside this call. */
void server_drain(struct server *s, void (*drained)(void *context), void *context);
/* Closes everything at once; takers are told. NULL is fine. */
void server_free(struct server *s);
