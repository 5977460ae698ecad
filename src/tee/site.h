/* site: what all connections share: settings, the certificate in force, tokens, the attester; and what a worker is. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/metrics.h"
#include "net/listen.h"
#include "net/loop.h"
#include "tee/attester.h"
#include "tee/config.h"
#include "tee/route.h"
#include "tls/session.h"

enum { TEE_WORKERS_MAX = 64, TEE_IDLE_UPSTREAMS = 64 };

struct conn;
struct upstream;

struct tee_stats {
    metric accepted, refused, handshakes, handshake_failures, requests, proxied, tunnels,
        upstream_failures;
    metric open; /* gauge */
};

struct site {
    const struct tee_config *config;
    struct attester *attester;
    struct tee_token auth, metrics;
    struct route_rules rules;         /* which lend those */
    struct sockaddr_storage upstream; /* resolved */
    socklen_t upstream_len;
    pthread_mutex_t lock; /* of context */
    struct session_context *context;
    atomic_uint connections;
    atomic_bool draining;
    struct worker *workers;
    unsigned worker_count;
};

struct worker {
    struct site *site;
    struct loop *loop;
    struct log *log;
    pthread_t thread;
    bool started;
    struct listener listeners[LISTENERS_MAX];
    struct acceptor {
        struct io io;
        struct worker *worker;
    } acceptors[LISTENERS_MAX];
    size_t listener_count;
    struct conn *conns; /* doubly linked */
    struct upstream *idle;
    unsigned idle_count;
    struct tee_stats stats;
    struct post drain;
    struct timer pause; /* of accepting */
};

/* A reference of one's own to the certificate in force. */
struct session_context *site_context(struct site *s);
/* conn.c */
void conn_accept(struct worker *w, int fd);
void conn_drain_all(struct worker *w);
void conn_end_all(struct worker *w); /* at the very end */
/* metrics.c: Prometheus' text format, appended. */
MUST_USE bool tee_metrics(struct site *s, struct buf *out, struct err *err);
