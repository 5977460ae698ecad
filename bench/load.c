#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, STALL_SECONDS = 20 };

struct load load;

static void prepare(void);
static void open_all(void);
static bool verify(void);
static void idle(void);
static void churn(void);
static void timed(void);

int main(int argc, char **argv)
{
    options_read(argc, argv, &load.o);
    if (load.o.mode == MODE_START)
        return start_measure(&load.o);
    prepare();
    if (load.o.mode == MODE_CHURN) {
        churn();
        return load.failed + load.lost != 0;
    }
    if (load.o.mode != MODE_CONN)
        open_all();
    if (load.o.verify)
        return verify() ? 0 : 1;
    if (load.o.mode == MODE_IDLE)
        idle();
    else
        timed();
    return 0;
}

static bool connections_mode(void)
{
    return load.o.mode == MODE_CONN || load.o.mode == MODE_CHURN;
}

static void prepare(void)
{
    if (connections_mode() || load.o.mode == MODE_IDLE)
        load.o.rate = 0;
    load.total = load.o.tunnels + (load.o.mode == MODE_MIX ? load.o.bulk : 0);
    load.slots = connections_mode() ? load.total * 4 + 512 : load.total;
    load.clients = bench_alloc(load.slots * sizeof *load.clients);
    for (uint32_t i = 0; i < load.slots; i++)
        load.clients[i] = (struct client){.fd = -1, .index = i};
    bench_raise_files();
    prctl(PR_SET_TIMERSLACK, 1);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    frames_prepare();
}

static const struct role *role_of(uint32_t index)
{
    if (load.o.verify)
        return &role_verify;
    switch (load.o.mode) {
    case MODE_UP:
        return &role_up;
    case MODE_DOWN:
        return &role_down;
    case MODE_TOKENS:
        return &role_tokens;
    case MODE_IDLE:
        return &role_idle;
    case MODE_MIX:
        return index < load.o.bulk ? &role_down : &role_echo;
    case MODE_CONN:
    case MODE_CHURN:
        return &role_conn;
    case MODE_ECHO:
    case MODE_START:
    default:
        return &role_echo;
    }
}

static void say(const char *event, uint64_t n)
{
    printf("%s %llu\n", event, (unsigned long long)n);
    fflush(stdout);
}

/* Handles what has happened, waiting for it until the given time at most. Returns the time. */
static uint64_t turn(uint64_t until)
{
    struct epoll_event events[EVENTS];
    uint64_t now = bench_now_ns(), wait = until > now ? until - now : 0, due;
    struct timespec t;
    int n;

    due = echo_open_loop(now);
    if (due < wait)
        wait = due;
    t = (struct timespec){(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    n = epoll_pwait2(load.epoll, events, EVENTS, &t, NULL);
    for (int i = 0; i < n; i++) {
        uint32_t index = (uint32_t)events[i].data.u64;

        if (index == UINT32_MAX)
            load.stop = true; /* stdin */
        else if (load.clients[index].generation == events[i].data.u64 >> 32)
            client_event(&load.clients[index], events[i].events);
    }
    return bench_now_ns();
}

static uint64_t settled(void)
{
    return load.o.mode == MODE_IDLE ? load.finished : load.open;
}

/* Opens every tunnel, a few at a time. idle goes on with those it got; the others need all. */
static void open_all(void)
{
    uint64_t now = bench_now_ns(), progress = now, before = 0;

    while (settled() < load.total && load.failed + load.lost == 0) {
        while (load.started < load.total && load.started - settled() < load.o.pending)
            client_new(role_of(load.started));
        now = turn(now + 100000000);
        if (settled() != before)
            progress = now;
        before = settled();
        if (now - progress > STALL_SECONDS * 1000000000ull)
            break;
    }
    if (settled() < load.total && load.o.mode != MODE_IDLE)
        bench_die("only %llu of %u tunnels opened (%llu failed, %llu lost)",
                  (unsigned long long)settled(), load.total, (unsigned long long)load.failed,
                  (unsigned long long)load.lost);
    say("ready", settled());
}

static bool verify(void)
{
    uint64_t now = bench_now_ns(), progress = now, before = 0, bytes;

    while (!load.stop && load.finished < load.total && load.failed + load.lost == 0) {
        now = turn(now + 100000000);
        bytes = 0;
        for (uint32_t i = 0; i < load.total; i++)
            bytes += load.clients[i].received + load.clients[i].sent;
        if (bytes != before)
            progress = now;
        before = bytes;
        if (now - progress > STALL_SECONDS * 1000000000ull) {
            fprintf(stderr, "wsload: nothing moved for %d s\n", STALL_SECONDS);
            break;
        }
    }
    printf("{\"mode\": \"%s\", \"verified\": %s, \"tunnels\": %u, \"bytes_each\": %llu}\n",
           load.o.mode_name, load.finished == load.total ? "true" : "false", load.total,
           (unsigned long long)load.o.bytes);
    return load.finished == load.total;
}

static void idle(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = UINT32_MAX};
    uint64_t end =
        load.o.seconds > 0 ? bench_now_ns() + (uint64_t)(load.o.seconds * 1e9) : UINT64_MAX;

    if (end == UINT64_MAX && epoll_ctl(load.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e))
        bench_die("stdin cannot be waited for; give --seconds");
    while (!load.stop && bench_now_ns() < end)
        turn(bench_now_ns() + 1000000000);
    printf("{\"mode\": \"idle\", \"tunnels\": %u, \"lost\": %llu, \"failed\": %llu, "
           "\"pings\": %llu}\n",
           load.open, (unsigned long long)load.lost, (unsigned long long)load.failed,
           (unsigned long long)load.pings);
}

static void refill(uint64_t most)
{
    while (load.open + load.pending < load.o.tunnels && load.started < most &&
           load.pending < load.o.pending)
        if (!client_new(&role_conn))
            return;
}

static void churn(void)
{
    uint64_t began = bench_now_ns(), count = load.o.count ? load.o.count : 1000;

    load.measuring = true;
    while (load.finished + load.failed + load.lost < count) {
        refill(count);
        turn(bench_now_ns() + 100000000);
    }
    for (int i = 0; i < 20; i++) /* the last ones end */
        turn(bench_now_ns() + 10000000);
    printf("{\"mode\": \"churn\", \"tunnels\": %llu, \"failed\": %llu, \"lost\": %llu, "
           "\"seconds\": %.3f}\n",
           (unsigned long long)load.finished, (unsigned long long)load.failed,
           (unsigned long long)load.lost, (double)(bench_now_ns() - began) / 1e9);
}

static uint64_t run_for(double seconds)
{
    uint64_t began = bench_now_ns(), end = began + (uint64_t)(seconds * 1e9), now = began;

    while (now < end) {
        if (load.o.mode == MODE_CONN)
            refill(UINT64_MAX);
        now = turn(end);
    }
    return now - began;
}

static void report(double seconds, double cpu)
{
    double share = load.up_len ? (double)load.up_payload / (double)load.up_len : 1;
    const struct histogram *h = &load.latency;

    printf("{\"mode\": \"%s\", \"raw\": %s, \"tunnels\": %u, \"size\": %zu, \"rate_wanted\": %llu, "
           "\"seconds\": %.4f, \"bytes_up\": %.0f, \"bytes_down\": %llu, \"operations\": %llu, "
           "\"operations_per_second\": %.1f, \"gb_per_second\": %.4f, \"latency_us\": {",
           load.o.mode_name, load.o.raw ? "true" : "false", load.total, load.o.size,
           (unsigned long long)load.o.rate, seconds, (double)load.bytes_up * share,
           (unsigned long long)load.bytes_down, (unsigned long long)load.operations,
           (double)load.operations / seconds,
           (load.o.mode == MODE_UP ? (double)load.bytes_up * share : (double)load.bytes_down) /
               seconds / 1e9);
    printf("\"count\": %llu, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"p999\": %.2f, "
           "\"max\": %.2f}, ",
           (unsigned long long)h->count, (double)histogram_at(h, 0.5) / 1e3,
           (double)histogram_at(h, 0.9) / 1e3, (double)histogram_at(h, 0.99) / 1e3,
           (double)histogram_at(h, 0.999) / 1e3, (double)h->max_ns / 1e3);
    printf("\"failed\": %llu, \"lost\": %llu, \"overrun\": %llu, \"pings\": %llu, "
           "\"generator_cpu_seconds\": %.3f}\n",
           (unsigned long long)load.failed, (unsigned long long)load.lost,
           (unsigned long long)load.overrun, (unsigned long long)load.pings, cpu);
}

static void report_text(double seconds, double cpu)
{
    const struct histogram *h = &load.latency;

    printf("%s: %u tunnels of %zu B, %.2f s: %.3f GB/s up, %.3f GB/s down, %.0f operations/s\n",
           load.o.mode_name, load.total, load.o.size, seconds,
           (double)load.bytes_up / seconds / 1e9, (double)load.bytes_down / seconds / 1e9,
           (double)load.operations / seconds);
    if (h->count)
        printf("latency us: p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
               (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.9) / 1e3,
               (double)histogram_at(h, 0.99) / 1e3, (double)histogram_at(h, 0.999) / 1e3,
               (double)h->max_ns / 1e3);
    printf("%llu failed, %llu lost; the generator used %.2f s of CPU\n",
           (unsigned long long)load.failed, (unsigned long long)load.lost, cpu);
}

static void timed(void)
{
    uint64_t took;
    double cpu;

    run_for(load.o.warmup);
    load.operations = load.bytes_up = load.bytes_down = load.overrun = 0;
    histogram_reset(&load.latency);
    load.measuring = true;
    cpu = bench_cpu_seconds();
    say("begin", load.open);
    took = run_for(load.o.seconds);
    load.measuring = false;
    say("end", load.open);
    cpu = bench_cpu_seconds() - cpu;
    (load.o.json ? report : report_text)((double)took / 1e9, cpu);
}
