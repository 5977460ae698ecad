#include "histogram.h"

#include <string.h>

/* Values below HIST_SUB have a bucket each; above, every power of two is cut into HIST_SUB. */
static unsigned index_of(uint64_t ns)
{
    unsigned shift;

    if (ns < HIST_SUB)
        return (unsigned)ns;
    shift = 63u - (unsigned)__builtin_clzll(ns) - 7u;
    return (shift + 1) * HIST_SUB + (unsigned)(ns >> shift) - HIST_SUB;
}

static uint64_t upper_of(unsigned index)
{
    unsigned shift;

    if (index < HIST_SUB)
        return index;
    shift = index / HIST_SUB - 1;
    return (((uint64_t)(index % HIST_SUB) + HIST_SUB + 1) << shift) - 1;
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count++;
    h->sum_ns += ns;
    if (ns > h->max_ns)
        h->max_ns = ns;
    h->bucket[index_of(ns)]++;
}

uint64_t histogram_at(const struct histogram *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count + 0.999999), seen = 0;

    if (h->count == 0)
        return 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= want && seen > 0)
            return upper_of(i) < h->max_ns ? upper_of(i) : h->max_ns;
    }
    return h->max_ns;
}
