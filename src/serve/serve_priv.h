/* What server.c and connection.c share. */
#pragma once

#include "serve/serve.h"

enum {
    SERVE_READ_BYTES = 4096,
    SERVE_ACCEPTS_MAX = 16,     /* a turn and listener */
    SERVE_STEPS_MAX = 32,       /* a turn and connection */
    SERVE_LINGER_MS = 2000,     /* for the client to read our last answer */
    SERVE_DRAIN_MS = 1000,      /* for the first request of one that came just before the drain */
    SERVE_ACCEPT_PAUSE_MS = 100 /* when there are no descriptors left */
};

struct server_socket {
    struct io io;
    struct server *server;
    struct listener listener;
};

struct server {
    struct loop *loop;
    struct serve_options options;
    struct server_socket *sockets[LISTENERS_MAX];
    size_t socket_count;
    struct connection *connections;
    size_t connection_count;
    struct timer accept_pause;
    bool draining;
    struct task drained_task;
    void (*drained)(void *context);
    void *drained_context;
};

/* Answers a complete request into out. closing: the connection ends with this answer. */
MUST_USE bool server_answer(struct server *s, const struct http_head *head,
                            const struct http_target *target, struct view body,
                            const struct addr *peer, bool closing, struct buf *out,
                            struct err *err);
/* A short answer of the server itself: text/plain, one line. */
MUST_USE bool server_answer_status(int status, const char *text, const char *extra, bool closing,
                                   bool head_only, struct buf *out, struct err *err);
void server_connection_gone(struct server *s);

/* Takes fd. Out of memory: closes it. */
void connection_start(struct server *s, int fd, const struct addr *peer);
/* The server drains: those that wait for another request close, others after their answer. Never
 * closes from inside this call. */
void connection_drain(struct connection *c);
struct connection *connection_next(const struct connection *c);
void connection_free(struct connection *c); /* at once; not from its own callbacks */
