/* What resolve.c, resolve_cache.c and resolve_dns.c share.
 *
 *   resolve_ask ──► entry (cache) ──► family ×2 ──► c-ares        family_settle is the way back
 *                     └ queries: those who wait for it; a task delivers to each */
#pragma once

#include <ares.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "net/owner.h"
#include "net/resolve.h"
#include "net/resolve_hosts.h"

enum {
    RESOLVE_BUCKETS = 2 * RESOLVE_CACHE_MAX,
    RESOLVE_TTL_MIN_MS = 1000,
    /* An old answer is handed out when DNS takes longer than this (RFC 8767, 5). */
    RESOLVE_STALE_AFTER_MS = 1800,
    /* An entry is fetched anew when 80 % of its time is over, if somebody asked within … */
    RESOLVE_RECENT_MS = 5 * 60 * 1000,
    /* … and if it lives long enough for that to be worth it. */
    RESOLVE_REFRESH_TTL_MS = 5000,
    /* How often /etc/hosts and /etc/resolv.conf are looked at. */
    RESOLVE_FILES_MS = 5000,
    /* An answer from the hosts file; too short to be refreshed, a look at the file costs nothing.
     */
    HOSTS_TTL_MS = 4000,
    HOSTS_FILE_BYTES_MAX = 4 * 1024 * 1024,
};

enum { FAMILY_V4, FAMILY_V6, FAMILIES };

enum family_state {
    FAMILY_UNKNOWN, /* never asked */
    FAMILY_FOUND,   /* addresses until fresh_until_ms */
    FAMILY_NONE,    /* the name has no such address, says DNS or the hosts file */
    FAMILY_FAILED,  /* DNS could not say */
    FAMILY_LATE,    /* DNS has not said in time */
};

struct entry;

struct family {
    struct entry *entry;
    enum family_state state;
    bool asked;              /* c-ares has a query under way */
    bool waiting;            /* … and it is not overdue: askers wait for it */
    bool stale;              /* addrs are from before fresh_until_ms, handed out again */
    uint64_t fresh_until_ms; /* no new query before, whatever the state is */
    uint64_t stale_until_ms; /* how long addrs may stand in for a failure */
    size_t count;
    struct addr addrs[RESOLVE_ADDRESSES_MAX];
};

struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* by the time of the last question */
    struct resolver *resolver;
    struct resolve_query *queries;
    struct family families[FAMILIES];
    struct timer timer; /* the query is overdue, or it is time to refresh */
    uint64_t hash;
    uint64_t asked_ms;
    uint64_t overdue_ms; /* while a family is waiting */
    uint8_t name_len;
    char name[HOST_BYTES_MAX + 1]; /* lower case */
};

struct resolve_query {
    struct resolve_query *next, **link; /* of the entry, or of the resolver when entry is NULL */
    struct resolver *resolver;
    struct entry *entry; /* NULL: the answer needed no look-up, or there is no such name */
    resolve_done *done;
    void *context;
    struct task task;
    bool told[FAMILIES]; /* this family was handed over, or had nothing */
    bool answered;       /* addresses were handed over */
    struct addr fixed[2];
    size_t fixed_count;
};

/* A file that may change while we run: read anew when its time, size or inode changed. */
struct watched_file {
    const char *path;
    struct stat seen;
};

struct resolver {
    struct loop *loop;
    struct resolve_options options;
    ares_channel channel;
    bool closing;
    bool own_servers; /* options.servers was given: resolv.conf is not looked at */
    struct timer dns_timer;
    struct dns_socket *sockets;
    unsigned asked; /* queries that c-ares has under way */

    uint64_t files_ms; /* when the files were looked at last */
    struct watched_file hosts, resolv_conf;
    uint8_t *hosts_text;
    size_t hosts_len;

    struct resolve_query *live;  /* without an entry */
    struct resolve_query *spare; /* pool */
    struct entry *newest, *oldest;
    uint64_t seed;
    struct {
        metric queries, hits, stale_hits, failures, entries;
    } stats; /* read by other threads */
    struct entry *buckets[RESOLVE_BUCKETS];
};

/* resolve_cache.c */
/* Finds the entry or makes one, evicting the one not asked for longest. */
struct entry *cache_entry(struct resolver *r, struct view name, struct err *err);
void cache_clear(struct resolver *r);
/* Starts a query for each family whose answer is too old, unless one is under way. */
void entry_look_up(struct entry *e);
/* Is everything known, so that nobody has to wait? */
bool entry_known(const struct entry *e);
/* ttl_ms: counts for FAMILY_FOUND only. addrs are copied, at most RESOLVE_ADDRESSES_MAX. */
void family_settle(struct family *f, enum family_state state, const struct addr *addrs,
                   size_t count, uint64_t ttl_ms);
void entry_timer_fired(struct loop *loop, struct timer *timer);
void query_wake(struct entry *e); /* resolve.c: every asker of e looks again */

/* resolve_dns.c */
MUST_USE bool dns_open(struct resolver *r, struct err *err);
void dns_close(struct resolver *r);
/* Answers through family_settle, perhaps from inside this call. */
void dns_ask(struct resolver *r, struct family *f);

/* resolve_files.c */
void files_open(struct resolver *r);
void files_close(struct resolver *r);
/* Reads again what has changed; cheap when called often. */
void files_look(struct resolver *r);
