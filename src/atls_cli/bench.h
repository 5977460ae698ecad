/* bench: how long one thing takes that is done often: its durations, and what is said of them. Private to bench*.c. */
#pragma once

#include "base/json.h"

enum { BENCH_SAMPLES_MAX = 1000000 };

struct bench_series {
    uint64_t *ns;
    size_t count, room;
    uint64_t total_ns;
};

/* False: no memory. */
MUST_USE bool bench_add(struct bench_series *s, uint64_t ns, struct err *err);
void bench_done(struct bench_series *s);
/* Puts them in order, for bench_at; none may be added behind this. */
void bench_sort(struct bench_series *s);
/* What so many percent of them stay at or below. */
uint64_t bench_at(const struct bench_series *s, unsigned percent);
/* How many a second, one behind the other. */
uint64_t bench_rate(const struct bench_series *s);

/* When to stop: after count of them, or without one when the time is over. */
struct bench_limit {
    uint32_t count;
    uint64_t for_ms, until_ms; /* until_ms: set when it begins */
};
void bench_begin(struct bench_limit *l);
bool bench_more(const struct bench_limit *l, size_t have);

/* "key": { "count", "median_ns", "p99_ns", "mean_ns" } */
void bench_write(struct json_writer *w, const char *key, const struct bench_series *s);
/* "  name   median 0.123 ms   p99 0.456 ms" */
void bench_print(const char *name, const struct bench_series *s);
/* The object that w has written to out, on standard output. */
MUST_USE bool bench_print_json(struct json_writer *w, const struct buf *out, struct err *err);

int cli_bench_verify(int argc, char **argv, char **environment);
int cli_bench_connect(int argc, char **argv, char **environment);
