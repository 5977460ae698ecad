#include "bridge/guests.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/secret.h"

enum { BUCKETS = 4096, WAYS = 8, MILLI = 1000 };

struct guest {
    uint8_t key[16];
    uint64_t seen_ms;
    uint64_t tokens; /* thousandths */
    uint32_t tunnels;
    bool used;
};

struct guests {
    pthread_mutex_t lock;
    struct guests_limits limits;
    uint64_t seed;
    struct guest table[BUCKETS][WAYS];
};

bool guests_new(const struct guests_limits *limits, struct guests **out, struct err *err)
{
    struct guests *g = calloc(1, sizeof *g);

    if (!g)
        return err_set(err, ERR_MEMORY, "table of client addresses");
    pthread_mutex_init(&g->lock, NULL);
    g->limits = *limits;
    random_bytes(&g->seed, sizeof g->seed);
    *out = g;
    return true;
}

void guests_free(struct guests *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* An IPv4 address, or the first 64 bits of an IPv6 one. */
static void guest_key(const struct addr *client, uint8_t key[static 16])
{
    memset(key, 0, 16);
    key[15] = client->family == AF_INET6 ? 6 : 4;
    memcpy(key, client->ip, client->family == AF_INET6 ? 8 : 4);
}

static struct guest *guest_find(struct guests *g, const uint8_t key[static 16], bool make)
{
    struct guest *bucket = g->table[hash_bytes(view_from(key, 16), g->seed) % BUCKETS];
    struct guest *oldest = NULL;

    for (size_t i = 0; i < WAYS; i++) {
        struct guest *one = &bucket[i];

        if (one->used && memcmp(one->key, key, 16) == 0)
            return one;
        if (one->used && one->tunnels)
            continue;
        if (!oldest || !one->used || (oldest->used && one->seen_ms < oldest->seen_ms))
            oldest = one;
    }
    if (!make || !oldest)
        return NULL;
    *oldest = (struct guest){.used = true, .tokens = (uint64_t)g->limits.rate_burst * MILLI};
    memcpy(oldest->key, key, 16);
    return oldest;
}

static enum guests_answer ask(struct guests *g, struct guest *one, uint64_t now_ms)
{
    const uint64_t full = (uint64_t)g->limits.rate_burst * MILLI;

    if (one->seen_ms) {
        uint64_t passed = now_ms > one->seen_ms ? now_ms - one->seen_ms : 0;

        one->tokens += passed > full ? full : passed * g->limits.rate;
        if (one->tokens > full)
            one->tokens = full;
    }
    one->seen_ms = now_ms;
    if (g->limits.tunnels_max && one->tunnels >= g->limits.tunnels_max)
        return GUEST_TOO_MANY;
    if (g->limits.rate) {
        if (one->tokens < MILLI)
            return GUEST_TOO_FAST;
        one->tokens -= MILLI;
    }
    one->tunnels++;
    return GUEST_WELCOME;
}

enum guests_answer guests_enter(struct guests *g, const struct addr *client, uint64_t now_ms)
{
    enum guests_answer answer = GUEST_WELCOME;
    struct guest *one;
    uint8_t key[16];

    guest_key(client, key);
    pthread_mutex_lock(&g->lock);
    one = guest_find(g, key, true);
    if (one)
        answer = ask(g, one, now_ms);
    pthread_mutex_unlock(&g->lock);
    return answer;
}

void guests_leave(struct guests *g, const struct addr *client)
{
    struct guest *one;
    uint8_t key[16];

    guest_key(client, key);
    pthread_mutex_lock(&g->lock);
    one = guest_find(g, key, false);
    if (one && one->tunnels)
        one->tunnels--;
    pthread_mutex_unlock(&g->lock);
}
