/* worker: one thread, one loop, its listeners, pools, tunnels and counters. Shares nothing with the
 * others but struct bridge below, which is constant or atomic. */
#pragma once

#include <pthread.h>

#include "base/log.h"
#include "bridge/chunk.h"
#include "bridge/config.h"
#include "bridge/guests.h"
#include "bridge/pipes.h"
#include "bridge/policy.h"
#include "bridge/stats.h"
#include "net/dial.h"
#include "net/listen.h"
#include "net/loop.h"
#include "tls/tls.h"

enum { WORKERS_MAX = 256, LOCAL_ADDRESSES_MAX = 128, ORIGINS_SEEN_MAX = 64 };

struct bridge;
struct tunnel;
struct tunnel_slab;

/* A list of tunnels, oldest first. */
struct tunnel_list {
    struct tunnel *first, *last;
    uint32_t count;
};

struct accepting {
    struct io io;
    struct worker *worker;
    const struct listener *listener;
    bool paused;
};

struct worker {
    struct bridge *bridge;
    const struct config *config;
    unsigned index;
    pthread_t thread;
    bool started;
    struct loop *loop;
    struct log *log;
    struct resolver *resolver;
    struct dialer *dialer;
    struct policy *policy;  /* this worker's reference to the snapshot in force */
    struct tls_config *tls; /* NULL: plain */
    struct listener listeners[LISTENERS_MAX];
    struct accepting accepting[LISTENERS_MAX];
    size_t listener_count;
    int spare_fd;    /* given up to say 503 when descriptors run out */
    uint32_t paused; /* listeners that wait for a tunnel to end */
    struct chunk_pool chunks;
    struct pipe_pool pipes;
    struct tunnel_slab *slabs;
    struct tunnel *free_tunnels;
    struct tunnel_list pending;                  /* until 101 */
    struct tunnel_list tunnels;                  /* from 101 on */
    struct tunnel *waiting_first, *waiting_last; /* for buffer memory */
    uint64_t next_id;
    uint32_t pending_max;
    _Atomic uint32_t load; /* tunnels here: for the hand-over at accept */
    bool draining;
    _Atomic bool accepting_stopped;
    _Atomic uint64_t generation;                /* of the policy in force here */
    struct post drain_order, stop_order, knock; /* posted at most once at a time: nothing to free */
    bool drain_ordered, stop_ordered;
    _Atomic bool knocked;
    struct timer drain_timer;
    struct timer accept_timer; /* looks again whether paused listeners may go on */
    _Atomic bool ended;        /* its loop turns no more, as it should */
    uint64_t drain_start_ms, drain_end_ms;
    struct worker_stats stats;
};

/* The whole, as far as workers see it. */
struct bridge {
    const struct config *config;
    const struct clock *clock;
    struct log_sink *log_sink;
    struct guests *guests;
    struct worker *workers[WORKERS_MAX];
    unsigned worker_count;
    uint32_t connections_max;
    _Atomic uint32_t connections; /* accepted and not yet gone, all workers */
    _Atomic bool draining;
    _Atomic bool stopping; /* no more hand-overs: the other worker may be gone */
    struct addr
        listening[2 * LISTENERS_MAX]; /* our own addresses: a tunnel to them would be a loop */
    size_t listening_count;
    bool on_loopback;                                /* every listener is on a loopback address */
    _Atomic uint64_t origins_seen[ORIGINS_SEEN_MAX]; /* hashes of pages already warned of */
    struct addr local[LOCAL_ADDRESSES_MAX];          /* this machine's addresses, as far as known */
    size_t local_count;
};

/* listeners: copied; their descriptors are the worker's from now on. */
MUST_USE bool worker_new(struct bridge *bridge, unsigned index, struct log *log,
                         const struct listener *listeners, size_t count, struct policy *policy,
                         struct tls_config *tls, struct worker **out, struct err *err);
MUST_USE bool worker_start(struct worker *w, struct err *err); /* makes the thread */
/* Orders from the main thread; each is run on the worker's own. */
void worker_reload(struct worker *w, struct policy *policy, struct tls_config *tls);
void worker_drain(struct worker *w); /* stop accepting, close tunnels by and by, then end */
void worker_stop(struct worker *w);  /* at once */
void worker_knock(struct worker *w); /* makes an idle loop turn, for the watchdog */
void worker_join(struct worker *w);
void worker_free(struct worker *w);
/* Writes a JSON array of this worker's tunnels; runs on the worker's thread. */
MUST_USE bool worker_describe(struct worker *w, struct buf *out, struct err *err);

/* accept.c */
bool in_cidrs(const struct cidr *list, size_t count, const struct addr *a);
MUST_USE bool accept_start(struct worker *w, struct err *err);
void accept_stop(struct worker *w);   /* takes what the queue still holds, then closes */
void accept_resume(struct worker *w); /* a descriptor came free */
/* Takes a connection that was accepted here or handed over; owns fd. */
void accept_adopt(struct worker *w, int fd, const struct addr *peer);
