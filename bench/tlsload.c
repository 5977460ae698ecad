#include "tlsload.h"

#include <getopt.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

enum { EVENTS = 512 };

struct tls_load tls;

static const char *const mode_names[] = {"requests", "stream", "connect", "quote", "signatures"};

static const char help[] =
    "usage: tlsload MODE [OPTION …]        prints one JSON object\n"
    "  requests    GET --path in N connections that stay, one under way in each; latency of an "
    "answer\n"
    "  stream      the same; latency of the first byte of the body\n"
    "  connect     TLS 1.3 connections, one behind the other; latency of TCP and handshake\n"
    "  quote       GetQuote of the guest agent at --unix PATH, one behind the other\n"
    "  signatures  --count P-256 signatures checked by OpenSSL; latency of so many\n"
    "options:\n"
    "  --connect HOST:PORT (127.0.0.0/8 only)  --name NAME (localhost)  --ca FILE\n"
    "  --path /PATH (/)  --connections N (32)  --count N (9)  --seconds S (3)  --warmup S (1)\n"
    "TLS is always 1.3 with TLS_AES_128_GCM_SHA256 and X25519; certificates are verified.\n";

static double seconds_of(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (*end || !(value >= 0 && value < 1e6))
        bench_die("\"%s\" is not a number of seconds", text);
    return value;
}

static enum tls_mode mode_of(const char *name)
{
    for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
        if (strcmp(name, mode_names[i]) == 0)
            return (enum tls_mode)i;
    fputs(help, stderr);
    exit(2);
}

static void read_option(int option, const char *value)
{
    switch (option) {
    case 'a':
        tls.o.connect = bench_address(value);
        break;
    case 'n':
        tls.o.name = value;
        break;
    case 'r':
        tls.o.ca = value;
        break;
    case 'p':
        tls.o.path = value;
        break;
    case 'u':
        tls.o.unix_path = value;
        break;
    case 'c':
        tls.o.connections = (uint32_t)bench_number(value, "--connections");
        break;
    case 'k':
        tls.o.count = (uint32_t)bench_number(value, "--count");
        break;
    case 's':
        tls.o.seconds = seconds_of(value);
        break;
    case 'w':
        tls.o.warmup = seconds_of(value);
        break;
    default:
        fputs("tlsload --help lists what there is\n", stderr);
        exit(2);
    }
}

static void options(int argc, char **argv)
{
    static const struct option table[] = {
        {"connect", required_argument, NULL, 'a'}, {"name", required_argument, NULL, 'n'},
        {"ca", required_argument, NULL, 'r'},      {"path", required_argument, NULL, 'p'},
        {"unix", required_argument, NULL, 'u'},    {"connections", required_argument, NULL, 'c'},
        {"count", required_argument, NULL, 'k'},   {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},  {NULL, 0, NULL, 0}};

    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(help, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : 0);
    }
    tls.o = (struct tls_options){.mode = mode_of(argv[1]),
                                 .mode_name = argv[1],
                                 .name = "localhost",
                                 .path = "/",
                                 .connections = 32,
                                 .count = 9,
                                 .seconds = 3,
                                 .warmup = 1};
    for (int o; (o = getopt_long(argc - 1, argv + 1, "", table, NULL)) != -1;)
        read_option(o, optarg);
    if (tls.o.mode == TLS_QUOTE && !tls.o.unix_path)
        bench_die("say where: --unix");
    if (tls.o.mode <= TLS_CONNECT && (!tls.o.connect.sin_family || !tls.o.ca))
        bench_die("say where and who: --connect and --ca");
    if (!tls.o.connections || !tls.o.count)
        bench_die("--connections and --count are at least 1");
}

static void prepare(void)
{
    tls.request_len = snprintf(tls.request, sizeof tls.request,
                               "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tlsload\r\n"
                               "Accept: */*\r\n\r\n",
                               tls.o.path, tls.o.name);
    tls.context = SSL_CTX_new(TLS_client_method());
    if (!tls.context || SSL_CTX_set_min_proto_version(tls.context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(tls.context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(tls.context, "X25519") != 1 ||
        SSL_CTX_load_verify_file(tls.context, tls.o.ca) != 1)
        bench_die("OpenSSL: %s", ERR_error_string(ERR_get_error(), NULL));
    SSL_CTX_set_verify(tls.context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls.context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(tls.context, 1);
}

static void say(const char *event)
{
    printf("%s %u\n", event, tls.open);
    fflush(stdout);
}

static void run_for(double seconds)
{
    uint64_t now = bench_now_ns(), end = now + (uint64_t)(seconds * 1e9);
    struct epoll_event events[EVENTS];

    for (; now < end; now = bench_now_ns()) {
        uint64_t wait = end - now;
        struct timespec t = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
        int n = epoll_pwait2(tls.epoll, events, EVENTS, &t, NULL);

        for (int i = 0; i < n; i++)
            tls_client_event(events[i].data.ptr);
    }
}

static void load_for_a_time(void)
{
    bench_raise_files();
    tls.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < tls.o.connections; i++)
        tls_client_new();
    for (int i = 0; i < 100 && tls.open + tls.failed < tls.o.connections; i++)
        run_for(0.1);
    if (tls.open < tls.o.connections)
        bench_die("%u of %u connections opened", tls.open, tls.o.connections);
    run_for(tls.o.warmup);
    tls.measuring = true;
    say("begin");
}

static void report(double seconds, double cpu)
{
    const struct histogram *h = &tls.latency;

    printf("{\"mode\": \"%s\", \"connections\": %u, \"seconds\": %.4f, \"bytes_up\": 0, "
           "\"bytes_down\": %llu, \"operations\": %llu, \"operations_per_second\": %.1f, "
           "\"gb_per_second\": %.4f, \"latency_us\": {\"count\": %llu, \"p50\": %.2f, "
           "\"p90\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f}, \"failed\": %llu, "
           "\"lost\": %llu, \"generator_cpu_seconds\": %.3f}\n",
           tls.o.mode_name, tls.o.connections, seconds, (unsigned long long)tls.bytes_down,
           (unsigned long long)tls.operations, (double)tls.operations / seconds,
           (double)tls.bytes_down / seconds / 1e9, (unsigned long long)h->count,
           (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.9) / 1e3,
           (double)histogram_at(h, 0.99) / 1e3, (double)histogram_at(h, 0.999) / 1e3,
           (double)h->max_ns / 1e3, (unsigned long long)tls.failed, (unsigned long long)tls.lost,
           cpu);
}

int main(int argc, char **argv)
{
    double cpu;
    uint64_t began;

    options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1);
    if (tls.o.mode <= TLS_CONNECT)
        prepare();
    if (tls.o.mode <= TLS_STREAM)
        load_for_a_time();
    cpu = bench_cpu_seconds();
    began = bench_now_ns();
    switch (tls.o.mode) {
    case TLS_REQUESTS:
    case TLS_STREAM:
        run_for(tls.o.seconds);
        break;
    case TLS_CONNECT:
        parts_connect();
        break;
    case TLS_QUOTE:
        parts_quote();
        break;
    case TLS_SIGNATURES:
        parts_signatures();
        break;
    }
    tls.measuring = false;
    began = bench_now_ns() - began;
    if (tls.o.mode <= TLS_STREAM)
        say("end");
    report((double)began / 1e9, bench_cpu_seconds() - cpu);
    return 0;
}
