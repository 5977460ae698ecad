/* histogram: durations from 1 ns to centuries in buckets that are less than 1 % wide. */
#pragma once

#include <stdint.h>

enum { HIST_SUB = 128, HIST_BUCKETS = 58 * HIST_SUB };

struct histogram {
    uint64_t count, max_ns, sum_ns;
    uint64_t bucket[HIST_BUCKETS];
};

void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t ns);
/* The duration that the share q (0–1) of all stays at or below; 0 when there is none. */
uint64_t histogram_at(const struct histogram *h, double q);
