/* What dial.c, dial_try.c and dial_prefer.c share.
 *
 *   dial_start ──► resolve ──► lists of IPv6 and IPv4 addresses ──► attempts ──► dial_end ──► done
 */
#pragma once

#include "base/limits.h"
#include "net/dial.h"
#include "net/owner.h"

enum {
    DIAL_V4,
    DIAL_V6,
    DIAL_FAMILIES,
    DIAL_PREFER_SLOTS = 256,
    DIAL_PREFER_MS = 10 * 60 * 1000,
    DIAL_SOURCES_MAX = 64,
};

/* One connect() under way. Slots are not used twice in a dial: a late event finds fd < 0. */
struct attempt {
    struct io io;
    struct dial *dial;
    struct addr address;
};

struct address_list {
    size_t count, next;
    struct addr addrs[RESOLVE_ADDRESSES_MAX];
};

struct dial {
    struct dialer *dialer;
    struct dial *next, **link; /* of those under way, or of the pool */
    dial_judge *judge;
    void *judge_context;
    dial_done *done;
    void *context;
    struct resolve_query *query;
    struct timer deadline, next_try; /* next_try: AAAA has had its time, or the stagger is over */
    struct task report;              /* for an end that came from inside dial_start */
    struct retired retired;
    uint64_t started_us, connecting_us;

    bool literal;
    bool starting; /* inside dial_start: done must wait */
    bool more;     /* the resolver will bring addresses of the other family */
    bool ended;
    bool out_of_resources;
    uint8_t last_family; /* DIAL_FAMILIES: none yet */
    uint8_t preferred;
    unsigned tried, open, denied;
    struct address_list lists[DIAL_FAMILIES];
    struct attempt attempts[DIAL_ATTEMPTS_MAX];
    struct dial_result result;

    uint16_t port;
    uint16_t host_len;
    char host[HOST_BYTES_MAX + 1];
};

/* Which family won for a host lately. Two hosts may share a slot: the later one has it. */
struct preference {
    uint64_t hash;
    uint64_t until_ms;
    uint8_t family;
};

struct dialer {
    struct loop *loop;
    struct resolver *resolver;
    struct dial_options options;
    struct addr sources[DIAL_SOURCES_MAX];
    size_t source_next[DIAL_FAMILIES];
    struct dial *live, *spare;
    size_t users; /* this dialer itself, and dials between their end and the pool */
    uint64_t seed;
    struct dial_stats stats;
    struct preference preferences[DIAL_PREFER_SLOTS];
};

static inline struct view dial_host(const struct dial *dial)
{
    return view_from(dial->host, dial->host_len);
}

/* dial.c: the dial is over. fd ≥ 0: connected to address. Otherwise dial->result says why not. */
void dial_end(struct dial *dial, int fd, const struct addr *address);

/* dial_try.c: goes on with the next addresses until one connect() is under way, or ends the dial.
 */
void dial_try(struct dial *dial);
/* Closes every attempt. */
void dial_drop_attempts(struct dial *dial);
/* Keeps the more telling of the failure that is known and this one. errnum: 0 for none. */
void dial_failed(struct dial *dial, enum dial_outcome outcome, const struct addr *a, int errnum);
void dial_next_try_fired(struct loop *loop, struct timer *timer);

/* dial_prefer.c */
uint8_t dial_preferred(const struct dialer *d, struct view host);
void dial_prefer(struct dialer *d, struct view host, uint8_t family);
