/* callload: asks one HTTP/1.1 server the same thing again and again: how long does an answer take, how many are there?
 *
 *   callload rate    open loop: --rate requests a second are due, whatever became of those before; latency counts from when one was due
 *   callload closed  --connections requests are under way, always
 *   callload slow    opens --connections, asks once on each, and reports when all answers are there (memory is looked at meanwhile)
 *
 * An answer that is not 200 is an error; so is one that does not hold --expect. One thread, one epoll. */
#include "common.h"
#include "histogram.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES = 64 * 1024, EVENTS = 256, DUE_MAX = 1 << 20 };

struct conn {
    int fd;
    bool busy, connected;
    uint64_t due_ns;
    size_t sent, len;
    char answer[ANSWER_BYTES];
    struct conn *next_idle;
};

static struct {
    struct sockaddr_in connect;
    enum { RATE, CLOSED, SLOW } mode;
    uint64_t rate;
    uint32_t connections;
    double seconds, warmup;
    const char *method, *path, *body, *expect;
    char headers[8192];
} options = {.mode = CLOSED,
             .rate = 5000,
             .connections = 16,
             .seconds = 3,
             .warmup = 1,
             .method = "GET",
             .path = "/"};

static struct {
    int epoll;
    struct conn *conns, *idle;
    char *request;
    size_t request_len;
    bool measuring, told;
    uint64_t sent; /* requests that have left whole */
    uint64_t done, errors, reconnects, not_asked;
    uint64_t *due; /* ring of what is due and has no connection yet */
    uint64_t due_first, due_count;
    struct histogram latency;
    char first_error[512];
} load;

static const char help[] =
    "usage: callload rate|closed|slow [OPTION …]        prints one JSON object\n"
    "  --connect HOST:PORT (127.0.0.0/8 only)  --connections N (16)  --rate N (5000)\n"
    "  --method GET  --path /  --header 'Name: value' (many)  --body TEXT  --expect TEXT\n"
    "  --seconds S (3)  --warmup S (1)\n";

static void read_options(int argc, char **argv)
{
    static const struct option table[] = {
        {"connect", required_argument, NULL, 'c'},
        {"connections", required_argument, NULL, 'n'},
        {"rate", required_argument, NULL, 'r'},
        {"method", required_argument, NULL, 'm'},
        {"path", required_argument, NULL, 'p'},
        {"header", required_argument, NULL, 'h'},
        {"body", required_argument, NULL, 'b'},
        {"expect", required_argument, NULL, 'e'},
        {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    size_t used = 0;

    for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (o) {
        case 'c':
            options.connect = bench_address(optarg);
            break;
        case 'n':
            options.connections = (uint32_t)bench_number(optarg, "--connections");
            break;
        case 'r':
            options.rate = bench_number(optarg, "--rate");
            break;
        case 'm':
            options.method = optarg;
            break;
        case 'p':
            options.path = optarg;
            break;
        case 'b':
            options.body = optarg;
            break;
        case 'e':
            options.expect = optarg;
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'w':
            options.warmup = strtod(optarg, NULL);
            break;
        case 'h':
            used += (size_t)snprintf(options.headers + used, sizeof options.headers - used,
                                     "%s\r\n", optarg);
            if (used >= sizeof options.headers)
                bench_die("too many headers");
            break;
        default:
            fputs(help, stderr);
            exit(2);
        }
    }
    if (optind + 1 != argc || !options.connections || !options.connect.sin_port) {
        fputs(help, stderr);
        exit(2);
    }
    if (strcmp(argv[optind], "rate") == 0)
        options.mode = RATE;
    else if (strcmp(argv[optind], "slow") == 0)
        options.mode = SLOW;
    else if (strcmp(argv[optind], "closed") != 0)
        bench_die("%s is none of rate, closed, slow", argv[optind]);
}

static void write_request(void)
{
    size_t body = options.body ? strlen(options.body) : 0;
    size_t room = body + sizeof options.headers + strlen(options.path) + 512;
    char length[64] = "";
    int n;

    if (options.body)
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", body);
    load.request = bench_alloc(room);
    n = snprintf(load.request, room, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s\r\n%s",
                 options.method, options.path, ntohs(options.connect.sin_port), options.headers,
                 length, options.body ? options.body : "");
    load.request_len = (size_t)n;
}

static void failed(const char *what, const char *detail, size_t len)
{
    load.errors++;
    if (!load.first_error[0])
        (void)snprintf(load.first_error, sizeof load.first_error, "%s: %.*s", what,
                       (int)(len > 300 ? 300 : len), detail);
}

static void watch(struct conn *c, uint32_t events, int how)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (epoll_ctl(load.epoll, how, c->fd, &e) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

static void conn_open(struct conn *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        bench_die("socket: %s", strerror(errno));
    bench_nodelay(c->fd);
    c->connected = false;
    if (connect(c->fd, (const struct sockaddr *)&options.connect, sizeof options.connect) != 0 &&
        errno != EINPROGRESS)
        bench_die("connect: %s", strerror(errno));
    watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static void conn_reopen(struct conn *c)
{
    close(c->fd);
    load.reconnects++;
    conn_open(c);
}

static void conn_idle(struct conn *c)
{
    c->busy = false;
    c->next_idle = load.idle;
    load.idle = c;
}

static void conn_send(struct conn *c)
{
    while (c->sent < load.request_len) {
        ssize_t n = send(c->fd, load.request + c->sent, load.request_len - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        if (n < 0)
            return; /* the read tells */
        c->sent += (size_t)n;
    }
    load.sent++;
}

static void conn_ask(struct conn *c, uint64_t due_ns)
{
    c->busy = true;
    c->due_ns = due_ns;
    c->sent = c->len = 0;
    if (c->connected)
        conn_send(c);
}

/* What is due takes the next idle connection. */
static void serve_due(void)
{
    while (load.due_count && load.idle) {
        struct conn *c = load.idle;

        load.idle = c->next_idle;
        conn_ask(c, load.due[load.due_first % DUE_MAX]);
        load.due_first++;
        load.due_count--;
    }
}

static void answered(struct conn *c, size_t body_at, bool closes)
{
    uint64_t now = bench_now_ns();

    c->answer[c->len] = '\0';
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0)
        failed("not 200", c->answer, c->len);
    else if (options.expect && !strstr(c->answer + body_at, options.expect))
        failed("not expected", c->answer, c->len);
    if (load.measuring) {
        load.done++;
        histogram_add(&load.latency, now - c->due_ns);
    }
    if (closes)
        conn_reopen(c);
    if (options.mode == CLOSED)
        conn_ask(c, now);
    else
        conn_idle(c);
}

static const char *field(const char *head, const char *end, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line && line < end;
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':')
            return line + 3 + n + strspn(line + 3 + n, " ");
    return NULL;
}

static bool chunks_whole(const char *at, const char *end)
{
    while (at < end) {
        char *after;
        unsigned long n = strtoul(at, &after, 16);
        const char *line = strstr(at, "\r\n");

        if (!line)
            return false;
        at = line + 2 + n + 2;
        if (!n)
            return at <= end;
    }
    return false;
}

static void conn_read(struct conn *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, sizeof c->answer - 1 - c->len, 0);
    const char *end, *value;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (c->busy)
            failed("connection ended", "", 0);
        conn_reopen(c);
        c->sent = c->len = 0; /* what was due is asked again */
        return;
    }
    c->len += (size_t)n;
    c->answer[c->len] = '\0';
    end = strstr(c->answer, "\r\n\r\n");
    if (!end)
        return;
    value = field(c->answer, end, "Content-Length");
    if (value ? (size_t)(end + 4 - c->answer) + strtoul(value, NULL, 10) > c->len
              : field(c->answer, end, "Transfer-Encoding") &&
                    !chunks_whole(end + 4, c->answer + c->len)) {
        if (c->len + 1 == sizeof c->answer)
            bench_die("an answer of more than %d bytes", ANSWER_BYTES);
        return;
    }
    value = field(c->answer, end, "Connection");
    answered(c, (size_t)(end + 4 - c->answer), value && strncasecmp(value, "close", 5) == 0);
}

static void conn_event(struct conn *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        c->connected = true;
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
        if (c->busy)
            conn_send(c);
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        conn_read(c);
}

static void say(const char *word)
{
    puts(word);
    (void)fflush(stdout);
}

/* Returns how long to sleep, ns. */
static uint64_t make_due(uint64_t *next, uint64_t period, uint64_t now)
{
    while (*next <= now) {
        if (load.due_count == DUE_MAX) {
            load.not_asked++;
        } else {
            load.due[(load.due_first + load.due_count) % DUE_MAX] = *next;
            load.due_count++;
        }
        *next += period;
    }
    serve_due();
    return *next - now;
}

static void turn(uint64_t wait_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    int n = epoll_pwait2(load.epoll, events, EVENTS, &wait, NULL);

    for (int i = 0; i < n; i++)
        conn_event(events[i].data.ptr, events[i].events);
}

static void run_until(uint64_t end_ns, uint64_t *next, uint64_t period)
{
    for (uint64_t now; (now = bench_now_ns()) < end_ns;) {
        uint64_t wait = options.mode == RATE ? make_due(next, period, now) : 100000000;

        turn(wait < end_ns - now ? wait : end_ns - now);
        if (options.mode == RATE)
            serve_due();
        if (options.mode == SLOW && load.sent == options.connections && !load.told) {
            load.told = true;
            say("begin");
        }
        if (options.mode == SLOW && load.done + load.errors >= options.connections)
            return;
    }
}

int main(int argc, char **argv)
{
    uint64_t began, next, period;
    double seconds, cpu;

    read_options(argc, argv);
    bench_raise_files();
    write_request();
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.conns = bench_alloc(options.connections * sizeof *load.conns);
    load.due = bench_alloc(DUE_MAX * sizeof *load.due);
    began = bench_now_ns();
    load.measuring = options.mode == SLOW;
    for (uint32_t i = 0; i < options.connections; i++) {
        conn_open(&load.conns[i]);
        if (options.mode == RATE)
            conn_idle(&load.conns[i]);
        else
            conn_ask(&load.conns[i], began);
    }
    next = began;
    period = options.mode == RATE ? 1000000000 / options.rate : 0;
    if (options.mode != SLOW)
        run_until(began + (uint64_t)(options.warmup * 1e9), &next, period);
    load.measuring = true;
    cpu = bench_cpu_seconds();
    if (options.mode != SLOW)
        say("begin");
    began = bench_now_ns();
    run_until(began + (uint64_t)(options.seconds * 1e9), &next, period);
    seconds = (double)(bench_now_ns() - began) / 1e9;
    say("end");
    printf("{\"mode\": \"%s\", \"operations\": %lu, \"failed\": %lu, \"lost\": %lu, "
           "\"operations_per_second\": %.1f, "
           "\"gb_per_second\": 0, \"bytes_up\": 0, \"bytes_down\": 0, \"latency_us\": {\"p50\": "
           "%.1f, \"p90\": %.1f, \"p99\": %.1f, "
           "\"p999\": %.1f, \"max\": %.1f}, \"reconnects\": %lu, \"waiting\": %lu, "
           "\"generator_cpu_seconds\": %.3f",
           argv[optind], load.done, load.errors, load.not_asked, (double)load.done / seconds,
           (double)histogram_at(&load.latency, 0.5) / 1e3,
           (double)histogram_at(&load.latency, 0.9) / 1e3,
           (double)histogram_at(&load.latency, 0.99) / 1e3,
           (double)histogram_at(&load.latency, 0.999) / 1e3, (double)load.latency.max_ns / 1e3,
           load.reconnects, load.due_count, bench_cpu_seconds() - cpu);
    if (load.errors)
        fprintf(stderr, "callload: %s\n", load.first_error);
    puts("}");
    return 0; /* what failed is in the report */
}
