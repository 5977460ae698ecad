#include "net/dial_priv.h"

#include "base/hash.h"

uint8_t dial_preferred(const struct dialer *d, struct view host)
{
    uint64_t hash = hash_bytes(host, d->seed);
    const struct preference *p = &d->preferences[hash % DIAL_PREFER_SLOTS];

    if (p->hash == hash && loop_now_ms(d->loop) < p->until_ms)
        return p->family;
    return DIAL_V6;
}

void dial_prefer(struct dialer *d, struct view host, uint8_t family)
{
    uint64_t hash = hash_bytes(host, d->seed);

    d->preferences[hash % DIAL_PREFER_SLOTS] = (struct preference){
        .hash = hash,
        .until_ms = loop_now_ms(d->loop) + DIAL_PREFER_MS,
        .family = family,
    };
}
