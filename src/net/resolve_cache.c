#include "net/resolve_priv.h"

#include <stdlib.h>

#include "base/hash.h"

static struct entry *cache_find(struct resolver *r, struct view name, uint64_t hash);
static struct entry *cache_add(struct resolver *r, struct view name, uint64_t hash,
                               struct err *err);
static bool cache_evict(struct resolver *r);
static void entry_free(struct entry *e);
static void age_link(struct resolver *r, struct entry *e);
static void age_unlink(struct resolver *r, struct entry *e);
static bool entry_from_hosts(struct entry *e);
static void entry_fetch(struct entry *e, bool early);
static void entry_plan(struct entry *e);
static void families_align(struct entry *e);
static bool family_due(const struct family *f);
static bool family_may_be_stale(const struct family *f);
static void family_give_up(struct family *f, enum family_state state);

struct entry *cache_entry(struct resolver *r, struct view name, struct err *err)
{
    uint8_t lower[HOST_BYTES_MAX];
    struct entry *e;
    uint64_t hash;

    for (size_t i = 0; i < name.len; i++) /* resolve_name_ok: it fits */
        lower[i] = ascii_lower(name.at[i]);
    name = view_from(lower, name.len);
    hash = hash_bytes(name, r->seed);
    e = cache_find(r, name, hash);
    if (!e)
        return cache_add(r, name, hash, err);
    age_unlink(r, e);
    age_link(r, e);
    return e;
}

void cache_clear(struct resolver *r)
{
    struct entry *newer;

    for (struct entry *e = r->oldest; e; e = newer) {
        newer = e->newer;
        entry_free(e);
    }
}

void entry_look_up(struct entry *e)
{
    bool due = false;

    for (size_t i = 0; i < FAMILIES; i++)
        due = due || family_due(&e->families[i]);
    if (!due)
        return;
    entry_fetch(e, false);
}

bool entry_known(const struct entry *e)
{
    return !e->families[FAMILY_V4].waiting && !e->families[FAMILY_V6].waiting;
}

void family_settle(struct family *f, enum family_state state, const struct addr *addrs,
                   size_t count, uint64_t ttl_ms)
{
    const struct resolver *r = f->entry->resolver;
    uint64_t now = loop_now_ms(r->loop);

    f->asked = f->waiting = false;
    if (state == FAMILY_FAILED || state == FAMILY_LATE) {
        family_give_up(f, state);
        return;
    }
    if (ttl_ms > r->options.ttl_max_ms)
        ttl_ms = r->options.ttl_max_ms;
    if (ttl_ms < RESOLVE_TTL_MIN_MS)
        ttl_ms = RESOLVE_TTL_MIN_MS;
    if (state == FAMILY_NONE)
        ttl_ms = r->options.negative_ms;
    f->state = state;
    f->stale = false;
    f->count = count < RESOLVE_ADDRESSES_MAX ? count : RESOLVE_ADDRESSES_MAX;
    if (f->count)
        memcpy(f->addrs, addrs, f->count * sizeof *addrs);
    f->fresh_until_ms = now + ttl_ms;
    f->stale_until_ms = f->fresh_until_ms + r->options.stale_ms;
    families_align(f->entry);
    entry_plan(f->entry);
    query_wake(f->entry);
}

/* Overdue: whoever waits is told so, or gets the old answer; c-ares may still find a new one. */
void entry_timer_fired(struct loop *loop, struct timer *timer)
{
    struct entry *e = OWNER(timer, struct entry, timer);
    bool waiting = false;

    for (size_t i = 0; i < FAMILIES; i++) {
        struct family *f = &e->families[i];

        if (!f->waiting)
            continue;
        waiting = true;
        f->waiting = false;
        family_give_up(f, FAMILY_LATE);
    }
    if (waiting || loop_now_ms(loop) - e->asked_ms > RESOLVE_RECENT_MS)
        return;
    entry_fetch(e, true);
}

static struct entry *cache_find(struct resolver *r, struct view name, uint64_t hash)
{
    struct entry *e = r->buckets[hash % RESOLVE_BUCKETS];

    while (e && (e->hash != hash || !view_eq(view_from(e->name, e->name_len), name)))
        e = e->next;
    return e;
}

static struct entry *cache_add(struct resolver *r, struct view name, uint64_t hash, struct err *err)
{
    struct entry *e = NULL;

    if (metric_get(&r->stats.entries) >= RESOLVE_CACHE_MAX && !cache_evict(r)) {
        (void)err_set(err, ERR_LIMIT, "more than %d names are being resolved", RESOLVE_CACHE_MAX);
        return NULL;
    }
    e = calloc(1, sizeof *e);
    if (!e) {
        (void)err_set(err, ERR_MEMORY, "no memory to resolve a name");
        return NULL;
    }
    e->resolver = r;
    e->hash = hash;
    e->name_len = (uint8_t)name.len;
    memcpy(e->name, name.at, name.len);
    for (size_t i = 0; i < FAMILIES; i++)
        e->families[i].entry = e;
    timer_init(&e->timer, entry_timer_fired);
    e->next = r->buckets[hash % RESOLVE_BUCKETS];
    r->buckets[hash % RESOLVE_BUCKETS] = e;
    age_link(r, e);
    metric_add(&r->stats.entries, 1);
    return e;
}

/* Frees the entry that was not asked for longest, of those that nobody and nothing points at. */
static bool cache_evict(struct resolver *r)
{
    for (struct entry *e = r->oldest; e; e = e->newer)
        if (!e->queries && !e->families[FAMILY_V4].asked && !e->families[FAMILY_V6].asked) {
            entry_free(e);
            return true;
        }
    return false;
}

static void entry_free(struct entry *e)
{
    struct resolver *r = e->resolver;
    struct entry **at = &r->buckets[e->hash % RESOLVE_BUCKETS];

    while (e->queries)
        resolve_cancel(e->queries);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    age_unlink(r, e);
    timer_cancel(&e->timer);
    metric_sub(&r->stats.entries, 1);
    free(e);
}

static void age_link(struct resolver *r, struct entry *e)
{
    e->newer = NULL;
    e->older = r->newest;
    *(r->newest ? &r->newest->newer : &r->oldest) = e;
    r->newest = e;
}

static void age_unlink(struct resolver *r, struct entry *e)
{
    *(e->newer ? &e->newer->older : &r->newest) = e->older;
    *(e->older ? &e->older->newer : &r->oldest) = e->newer;
}

/* A name in the hosts file is not asked for in DNS, not even for the family that is missing. */
static bool entry_from_hosts(struct entry *e)
{
    struct resolver *r = e->resolver;
    struct addr v4[RESOLVE_ADDRESSES_MAX], v6[RESOLVE_ADDRESSES_MAX];
    struct hosts_found found = {.addrs = {v4, v6}, .max = RESOLVE_ADDRESSES_MAX};

    hosts_find(view_from(r->hosts_text, r->hosts_len), view_from(e->name, e->name_len), &found);
    if (found.count[FAMILY_V4] + found.count[FAMILY_V6] == 0)
        return false;
    for (size_t i = 0; i < FAMILIES; i++)
        if (!e->families[i].asked)
            family_settle(&e->families[i], found.count[i] ? FAMILY_FOUND : FAMILY_NONE,
                          found.addrs[i], found.count[i], HOSTS_TTL_MS);
    return true;
}

/* early: before the answers are too old; nobody waits for the new ones. */
static void entry_fetch(struct entry *e, bool early)
{
    uint64_t wait = e->resolver->options.timeout_ms;
    bool due[FAMILIES];

    files_look(e->resolver);
    if (entry_from_hosts(e))
        return;
    /* Both are marked before the first is asked: its failure may come from inside the call. */
    for (size_t i = 0; i < FAMILIES; i++) {
        struct family *f = &e->families[i];

        due[i] = early || family_due(f);
        f->waiting = f->waiting || (due[i] && !early);
        if (f->waiting && family_may_be_stale(f) && wait > RESOLVE_STALE_AFTER_MS)
            wait = RESOLVE_STALE_AFTER_MS;
    }
    e->overdue_ms = loop_now_ms(e->resolver->loop) + wait;
    for (size_t i = 0; i < FAMILIES; i++)
        if (due[i] && !e->families[i].asked)
            dns_ask(e->resolver, &e->families[i]);
    entry_plan(e);
}

/* Sets the timer for what comes next: askers are told that it takes too long, or a refresh. */
static void entry_plan(struct entry *e)
{
    struct loop *loop = e->resolver->loop;
    uint64_t now = loop_now_ms(loop), first = UINT64_MAX;

    timer_cancel(&e->timer);
    if (!entry_known(e)) {
        timer_set(loop, &e->timer, e->overdue_ms);
        return;
    }
    for (size_t i = 0; i < FAMILIES; i++) {
        const struct family *f = &e->families[i];

        if (f->state == FAMILY_FOUND && !f->stale && f->fresh_until_ms < first)
            first = f->fresh_until_ms;
    }
    if (first != UINT64_MAX && first > now && first - now >= RESOLVE_REFRESH_TTL_MS)
        timer_set(loop, &e->timer, now + (first - now) / 5 * 4);
}

/* That a name has no address of one family is known for as long as its addresses of the other. */
static void families_align(struct entry *e)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        const struct family *found = &e->families[i];
        struct family *none = &e->families[1 - i];

        if (found->state == FAMILY_FOUND && !found->stale && none->state == FAMILY_NONE &&
            none->fresh_until_ms < found->fresh_until_ms)
            none->fresh_until_ms = found->fresh_until_ms;
    }
}

static bool family_due(const struct family *f)
{
    return !f->waiting && (f->state == FAMILY_UNKNOWN ||
                           loop_now_ms(f->entry->resolver->loop) >= f->fresh_until_ms);
}

static bool family_may_be_stale(const struct family *f)
{
    return f->count > 0 && loop_now_ms(f->entry->resolver->loop) < f->stale_until_ms;
}

/* No answer: the old one stands in while it may. Tried again after negative_ms, not before. */
static void family_give_up(struct family *f, enum family_state state)
{
    const struct resolver *r = f->entry->resolver;
    uint64_t now = loop_now_ms(r->loop), retry = now + r->options.negative_ms;
    bool fresh = f->state == FAMILY_FOUND && !f->stale && now < f->fresh_until_ms;

    if (family_may_be_stale(f)) {
        f->state = FAMILY_FOUND;
        f->stale = !fresh;
    } else {
        f->state = state;
        f->stale = false;
        f->count = 0;
    }
    if (!fresh)
        f->fresh_until_ms = retry;
    entry_plan(f->entry);
    query_wake(f->entry);
}
