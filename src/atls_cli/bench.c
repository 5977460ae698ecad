/* atls bench: how long verifying and connecting take on this machine, beside what they are made of. */
#include "atls_cli/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "atls_cli/commands.h"
#include "base/clock.h"
#include "base/command.h"

#include "base/poison.h"

enum { FIRST_ROOM = 1024 };

bool bench_add(struct bench_series *s, uint64_t ns, struct err *err)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : FIRST_ROOM;
        uint64_t *more = reallocarray(s->ns, room, sizeof *more);

        if (!more)
            return err_set(err, ERR_MEMORY, "no memory for %zu durations", room);
        s->ns = more;
        s->room = room;
    }
    s->ns[s->count++] = ns;
    s->total_ns += ns;
    return true;
}

void bench_done(struct bench_series *s)
{
    free(s->ns);
    *s = (struct bench_series){.count = 0};
}

static int in_order(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

void bench_sort(struct bench_series *s)
{
    if (s->count)
        qsort(s->ns, s->count, sizeof *s->ns, in_order);
}

uint64_t bench_at(const struct bench_series *s, unsigned percent)
{
    size_t rank = (s->count * percent + 99) / 100;

    return s->count ? s->ns[rank ? rank - 1 : 0] : 0;
}

uint64_t bench_rate(const struct bench_series *s)
{
    return s->total_ns ? (uint64_t)((double)s->count * 1e9 / (double)s->total_ns) : 0;
}

void bench_begin(struct bench_limit *l)
{
    l->until_ms = clock_monotonic_ms(&clock_system) + l->for_ms;
}

bool bench_more(const struct bench_limit *l, size_t have)
{
    if (l->count)
        return have < l->count;
    return have < BENCH_SAMPLES_MAX && (!have || clock_monotonic_ms(&clock_system) < l->until_ms);
}

void bench_write(struct json_writer *w, const char *key, const struct bench_series *s)
{
    json_key(w, key);
    json_object(w);
    json_key(w, "count");
    json_u64(w, s->count);
    json_key(w, "median_ns");
    json_u64(w, bench_at(s, 50));
    json_key(w, "p99_ns");
    json_u64(w, bench_at(s, 99));
    json_key(w, "mean_ns");
    json_u64(w, s->count ? s->total_ns / s->count : 0);
    json_object_end(w);
}

void bench_print(const char *name, const struct bench_series *s)
{
    (void)printf("  %-14s  median %8.3f ms   p99 %8.3f ms\n", name, (double)bench_at(s, 50) / 1e6,
                 (double)bench_at(s, 99) / 1e6);
}

bool bench_print_json(struct json_writer *w, const struct buf *out, struct err *err)
{
    if (!json_end(w, err))
        return false;
    (void)printf("%.*s\n", VIEW_ARG(buf_view(out)));
    return true;
}

static const struct command commands[] = {
    {"verify", "verifications of one quote, beside bare signature checks", cli_bench_verify},
    {"connect", "attested connections to an endpoint, in their parts", cli_bench_connect},
};

static const struct command_program program = {
    .name = "atls bench",
    .summary = "how long attestation takes, on this machine and in this run",
    .commands = commands,
    .count = sizeof commands / sizeof *commands,
};

int cli_bench(int argc, char **argv, char **environment)
{
    return command_main(&program, argc, argv, environment);
}
