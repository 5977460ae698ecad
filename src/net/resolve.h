/* resolve: names to addresses without blocking (c-ares), with a bounded cache.
 *
 * One resolver a loop. Literals and "localhost" are answered without DNS; /etc/hosts is honoured;
 * search domains are not applied to names with a dot. Answers stay for min(record TTL, ttl_max),
 * at least a second; failures for negative_ms; when DNS fails, an old answer is good for stale_ms more.
 * One query is in flight for each name: later askers wait for it. A and AAAA are asked together and
 * handed over as they come, so that dial can start (RFC 8305).
 *
 * Names in use are fetched anew before they are too old. The files that DNS needs besides /etc/hosts and
 * /etc/resolv.conf are read by resolver_new: call it before a sandbox is entered.
 *
 * Read in order   resolve.c (askers) resolve_cache.c (entries) resolve_dns.c (c-ares) resolve_files.c
 *                 resolve_hosts.c (pure: names, hosts, resolv.conf) */
#pragma once

#include "net/addr.h"
#include "net/loop.h"

enum { RESOLVE_ADDRESSES_MAX = 16, RESOLVE_CACHE_MAX = 1024 };

struct resolve_options {
    uint64_t ttl_max_ms;  /* 60 s */
    uint64_t negative_ms; /* 2 s */
    uint64_t stale_ms;    /* 300 s */
    uint64_t timeout_ms;  /* of one query with its retries */
    const char *servers;  /* "127.0.0.1:5353,…" instead of resolv.conf; NULL: the system's */
};

struct resolver;
struct resolve_query; /* an asker's place in the line */

struct resolve_answer {
    size_t count;
    struct addr addrs[RESOLVE_ADDRESSES_MAX]; /* port 0; only those not handed over before */
    bool more; /* the other family is still on its way: done will be called again, with
                           * its addresses or with none */
    bool stale;
};
/* err: set when nothing came (ERR_NAME, ERR_TIMEOUT) and no more will. Never called from inside
 * resolve_ask. After the call with !answer->more the query is gone. */
typedef void resolve_done(void *context, const struct resolve_answer *answer,
                          const struct err *err);

MUST_USE bool resolver_new(struct loop *loop, const struct resolve_options *options,
                           struct resolver **out, struct err *err);
void resolver_free(struct resolver *r); /* askers are not called any more */
/* name: no port. What is no host name (characters other than LDH and _, an all-numeric last label)
 * fails by ERR_NAME before any query. Returns the query for resolve_cancel; NULL when out of memory,
 * or when RESOLVE_CACHE_MAX names are under way (err). */
struct resolve_query *resolve_ask(struct resolver *r, struct view name, resolve_done *done,
                                  void *context, struct err *err);
void resolve_cancel(struct resolve_query *q);
/* Starts a look-up nobody waits for: fills the cache. */
void resolve_prefetch(struct resolver *r, struct view name);

struct resolve_stats {
    uint64_t queries, hits, stale_hits, failures;
    uint64_t entries;
};
struct resolve_stats resolver_stats(const struct resolver *r);
