#include "base/hash.h"

#include "base/poison.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folds 8 bytes at a time with a 64×64→128 multiplication; the length is part of the state. */
uint64_t hash_bytes(struct view v, uint64_t seed)
{
    const uint64_t k1 = 0x9E3779B97F4A7C15u, k2 = 0xD6E8FEB86659FD93u;
    uint64_t state = seed ^ mix(v.len + k1, k2), word;
    size_t i = 0;

    for (; v.len - i >= 8; i += 8) {
        memcpy(&word, v.at + i, 8);
        state = mix(state ^ word ^ k1, k2 ^ seed);
    }
    word = 0;
    if (v.len - i)
        memcpy(&word, v.at + i, v.len - i);
    return mix(state ^ word ^ k2, k1 ^ seed);
}
