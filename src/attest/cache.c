#include "attest/cache.h"

#include <stdlib.h>

#include "base/poison.h"

struct kept {
    uint8_t key[SHA256_BYTES];
    uint64_t used; /* 0: nothing is here */
};

struct dcap_cache {
    struct pki_shelf shelf;
    struct kept authority_keys[CACHE_AUTHORITIES], platform_keys[CACHE_PLATFORMS];
    struct authority authorities[CACHE_AUTHORITIES];
    struct platform platforms[CACHE_PLATFORMS];
    struct known_key {
        uint8_t point[P256_POINT_BYTES];
        EVP_PKEY *key; /* NULL: nothing is here */
        uint64_t used;
    } keys[CACHE_KEYS];
    uint64_t turn;
};

bool dcap_cache_new(struct dcap_cache **out, struct attest_err *err)
{
    struct dcap_cache *c = calloc(1, sizeof *c);

    if (!c)
        return attest_fail(err, ATTEST_MEMORY, "no memory for a cache of verified collateral");
    *out = c;
    return true;
}

void dcap_cache_free(struct dcap_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CACHE_AUTHORITIES; i++)
        authority_close(&c->authorities[i]);
    for (size_t i = 0; i < CACHE_PLATFORMS; i++)
        platform_close(&c->platforms[i]);
    for (size_t i = 0; i < CACHE_KEYS; i++)
        EVP_PKEY_free(c->keys[i].key);
    pki_shelf_done(&c->shelf);
    free(c);
}

struct pki_shelf *dcap_cache_shelf(struct dcap_cache *c)
{
    return &c->shelf;
}

/* count: nothing was found. */
static size_t find(const struct kept *keys, size_t count, const uint8_t *key)
{
    size_t i = 0;

    while (i < count && !(keys[i].used && memcmp(keys[i].key, key, SHA256_BYTES) == 0))
        i++;
    return i;
}

/* The place for a new one: its own old one, or that of the one that was not used for longest. */
static size_t place(struct dcap_cache *c, struct kept *keys, size_t count, const uint8_t *key)
{
    size_t best = find(keys, count, key);

    if (best == count) {
        best = 0;
        for (size_t i = 1; i < count; i++)
            if (keys[i].used < keys[best].used)
                best = i;
    }
    memcpy(keys[best].key, key, SHA256_BYTES);
    keys[best].used = ++c->turn;
    return best;
}

const struct authority *dcap_cache_authority(struct dcap_cache *c,
                                             const uint8_t key[static SHA256_BYTES],
                                             const struct trust *trust, int64_t now_s)
{
    size_t i = find(c->authority_keys, CACHE_AUTHORITIES, key);

    if (i == CACHE_AUTHORITIES || !span_holds(&c->authorities[i].span, now_s))
        return NULL;
    c->authority_keys[i].used = ++c->turn;
    c->authorities[i].pki.trust = trust;
    c->authorities[i].pki.now_s = now_s;
    return &c->authorities[i];
}

const struct authority *dcap_cache_add_authority(struct dcap_cache *c,
                                                 const uint8_t key[static SHA256_BYTES],
                                                 const struct authority *a)
{
    size_t i = place(c, c->authority_keys, CACHE_AUTHORITIES, key);

    authority_close(&c->authorities[i]);
    c->authorities[i] = *a;
    return &c->authorities[i];
}

const struct platform *dcap_cache_platform(struct dcap_cache *c,
                                           const uint8_t key[static SHA256_BYTES], int64_t now_s)
{
    size_t i = find(c->platform_keys, CACHE_PLATFORMS, key);

    if (i == CACHE_PLATFORMS || !span_holds(&c->platforms[i].span, now_s))
        return NULL;
    c->platform_keys[i].used = ++c->turn;
    return &c->platforms[i];
}

const struct platform *dcap_cache_add_platform(struct dcap_cache *c,
                                               const uint8_t key[static SHA256_BYTES],
                                               const struct platform *p)
{
    size_t i = place(c, c->platform_keys, CACHE_PLATFORMS, key);

    platform_close(&c->platforms[i]);
    c->platforms[i] = *p;
    return &c->platforms[i];
}

EVP_PKEY *dcap_cache_key(struct dcap_cache *c, const uint8_t point[static P256_POINT_BYTES])
{
    struct known_key *place = &c->keys[0];
    EVP_PKEY *key;

    for (size_t i = 0; i < CACHE_KEYS; i++) {
        struct known_key *k = &c->keys[i];

        if (k->key && memcmp(k->point, point, P256_POINT_BYTES) == 0) {
            k->used = ++c->turn;
            return k->key;
        }
        if (k->used < place->used)
            place = k;
    }
    if (!p256_public(point, &key))
        return NULL;
    EVP_PKEY_free(place->key);
    memcpy(place->point, point, P256_POINT_BYTES);
    place->key = key;
    place->used = ++c->turn;
    return key;
}
