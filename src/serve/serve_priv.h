/* What the files of serve share. */
#pragma once

#include "serve/serve.h"

enum {
    SERVE_READ_BYTES = 4096, /* an area: of what is read, and of what is said */
    SERVE_SCRATCH_BYTES = 16 * 1024,
    SERVE_BODY_READ_BYTES = 256 * 1024,
    SERVE_AREAS_MAX = 256,        /* kept for the next connection */
    SERVE_EXCHANGES_MAX = 128,    /* the same */
    SERVE_SKIP_BYTES = 64 * 1024, /* of a body that nobody wants: more, and the connection ends */
    SERVE_ACCEPTS_MAX = 16,       /* a turn and listener */
    SERVE_STEPS_MAX = 32,         /* a turn and connection */
    SERVE_LINGER_MS = 2000,       /* for the client to read our last answer */
    SERVE_DRAIN_MS = 1000,        /* for the first request of one that came just before the drain */
    SERVE_ACCEPT_PAUSE_MS = 100   /* when there are no descriptors left */
};

struct server_socket {
    struct io io;
    struct server *server;
    struct listener listener;
};

/* Of a route or a service: its path, taken apart once. */
struct matcher {
    struct view method, before, behind; /* the parameter */
    bool parameter;
    const struct serve_route *route; /* or */
    const struct serve_service *service;
};

/* What stands behind a struct serve_exchange. */
struct exchange {
    struct serve_exchange shown;     /* first: it is found by it */
    const struct serve_route *route; /* when it is one of those */
    struct connection *connection;
    const struct serve_watch *watch;
    void *watch_context;
    struct exchange *next;
    struct buf parameter; /* decoded */
    char allow[128];
    bool head_only;        /* HEAD */
    bool streaming, raw;   /* raw: to HTTP/1.0, which knows no chunks */
    bool told;             /* nothing was written since drained was called */
    struct http_head head; /* last but for extra: its unused fields are never touched */
};

struct area {
    struct area *next;
};

struct server {
    struct loop *loop;
    struct serve_options options;
    struct matcher *matchers;
    size_t matcher_count;
    struct server_socket *sockets[LISTENERS_MAX];
    size_t socket_count;
    struct connection *connections;
    size_t connection_count;
    struct timer accept_pause;
    bool draining;
    struct task drained_task;
    void (*drained)(void *context);
    void *drained_context;
    struct area *areas;
    struct exchange *exchanges;
    unsigned area_count, exchange_count;
    struct http_head head; /* the one that is looked at */
    uint8_t scratch[SERVE_SCRATCH_BYTES];
};

enum connection_state {
    HEAD,      /* reading a request's head, or waiting for one */
    BODY,      /* reading its body */
    ANSWERING, /* a taker has the request */
    SKIP,      /* answered, and the rest of its body is thrown away */
    ENDING,    /* the last answer was written: only its bytes are still to leave */
    LINGER,    /* we have said goodbye; what still comes is thrown away */
};

struct connection {
    struct io io; /* first: a connection is found by it. bits: what was not found empty yet */
    struct task task;
    struct timer timer;
    struct retired retired;
    struct server *server;
    struct connection *next, **link;
    struct addr peer;
    enum connection_state state;
    bool running;  /* inside connection_run */
    bool closing;  /* this request is the last one */
    bool served;   /* has had an answer */
    bool in_fresh; /* in holds bytes that were not looked at */
    bool broken;   /* to be given up */
    bool aside;    /* the body is in body; else in "in", behind its head */
    bool skippable;
    struct http_parser parser;
    struct http_body plan;
    size_t body_in;     /* bytes of the body in "in" */
    uint64_t body_step; /* of the body, at which it gets more time */
    uint64_t body_came, body_begun_ms;
    struct exchange *exchange; /* the request under way; NULL: none */
    struct buf in, body, rest; /* rest: of the next request, behind a chunked body */
    struct buf out;            /* heads, short bodies, chunks */
    struct view before, behind;
    struct buf content; /* before, content, behind: they follow out */
};

/* How a step of a connection ended. */
enum step { STEP_ON, STEP_WAIT, STEP_GONE };

/* server.c */
void server_connection_gone(struct server *s);
/* An area for an empty buf, of those at hand, and back. False: no memory. */
MUST_USE bool server_area_take(struct server *s, struct buf *b);
void server_area_give(struct server *s, struct buf *b);

/* route.c */
MUST_USE bool routes_compile(struct server *s, struct err *err);
/* Fills route or service, allow and parameter. False: no memory. */
MUST_USE bool route_find(struct server *s, struct exchange *x, struct view method,
                         struct view path);

/* connection.c. Takes fd. Out of memory: closes it. */
void connection_start(struct server *s, int fd, const struct addr *peer);
/* The server drains: those that wait for another request close, others after their answer. Never
 * closes from inside this call. */
void connection_drain(struct connection *c);
struct connection *connection_next(const struct connection *c);
void connection_free(struct connection *c); /* at once; not from its own callbacks */
void connection_within(struct connection *c, uint64_t ms);
void connection_wake(struct connection *c);
/* Reads into what is left of b's area, at most room bytes, n of them. */
enum step connection_receive(struct connection *c, uint8_t *at, size_t room, size_t *n);

/* request.c: steps that read. */
enum step request_head(struct connection *c);
enum step request_body(struct connection *c);
enum step request_skip(struct connection *c);
/* After a request that was not understood or not read to its end nothing more can be understood. */
enum step request_refuse(struct connection *c, int status, const char *text);

/* answer.c: what is to be said. */
MUST_USE struct exchange *exchange_new(struct connection *c);
void exchange_gone(struct connection *c); /* tells whoever watches; the exchange is given back */
void answer_by_handler(struct connection *c, serve_handler *handler, void *context);
/* A short answer of the server itself: text/plain, one line. */
void answer_status(struct connection *c, int status, const char *text, const char *extra);
size_t answer_waiting(const struct connection *c);
enum step answer_flush(struct connection *c);
