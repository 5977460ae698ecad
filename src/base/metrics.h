/* metrics: Prometheus text (exposition format 0.0.4) and histograms that threads can fill.
 *
 * Counters live in the structs of those who count (one struct a worker, relaxed atomics, padded);
 * the page is written by whoever answers /metrics, who adds the workers up. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

/* A counter or gauge written by one thread and read by any: a plain store, no lock prefix. */
typedef _Atomic uint64_t metric;

static inline void metric_add(metric *m, uint64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void metric_sub(metric *m, uint64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) - n,
                          memory_order_relaxed);
}
static inline uint64_t metric_get(const metric *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

enum { HISTOGRAM_BUCKETS = 16 };
/* Upper bounds in microseconds: 100 µs … 300 s in steps of about ×3; the last bucket is +Inf. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1];
struct histogram {
    metric buckets[HISTOGRAM_BUCKETS];
    metric sum_us;
};
void histogram_observe(struct histogram *h, uint64_t us);
/* Adds from into sum (both may be read while written). */
void histogram_merge(struct histogram *sum, const struct histogram *from);

/* The page under construction; the first error sticks and is told by metrics_end. */
struct metrics_page {
    struct buf *out;
    struct err err;
};
void metrics_begin(struct metrics_page *page, struct buf *out);
/* type: "counter", "gauge", "histogram". */
void metrics_family(struct metrics_page *page, const char *name, const char *type,
                    const char *help);
/* labels: `reason="idle"` already in Prometheus syntax (see metrics_label), or NULL. */
void metrics_u64(struct metrics_page *page, const char *name, const char *labels, uint64_t value);
void metrics_f64(struct metrics_page *page, const char *name, const char *labels, double value);
void metrics_histogram(struct metrics_page *page, const char *name, const char *labels,
                       const struct histogram *h);
/* Writes name="value" with the escapes that label values need; what does not fit into size (at least
 * the name and four more) is cut. Returns out. */
char *metrics_label(const char *name, struct view value, char *out, size_t size);
MUST_USE bool metrics_end(struct metrics_page *page, struct err *err);
