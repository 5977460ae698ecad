/* wstarget: the TCP servers behind the system under test, all in one single-threaded program.
 *
 *   wstarget [--listen 127.0.0.1:9443] sink|source|echo|check|tokens|stall|slow|rst|fin-after|any
 *
 * sink       reads and discards in the kernel (MSG_TRUNC)
 * source     writes the pattern as fast as it is taken, 1 MiB at a time (sendfile was tried: its
 *            small fragments cost both ends more than the copy)
 * echo       writes what it read; reads no more than it could write
 * check      compares with the pattern; tells the count of good bytes, all ones after a bad one
 * tokens     40 messages a second (--rate) of 150–300 bytes, each with its length and the time when
 *            it was due
 * stall      never reads; slow: 16 KiB each 10 ms; rst: resets at the first byte
 * fin-after  writes --bytes N of the pattern, then FIN, then reads to the end
 * any        the first byte that the client sends chooses (common.h) */
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOW_BYTES = 16 * 1024, SLOW_PERIOD_NS = 10 * 1000 * 1000, PENDING_MAX = 1024 * 1024 };

struct conn {
    int fd;
    int service; /* enum bench_service, or 0 before the client chose */
    uint32_t interest;
    uint64_t position; /* of the pattern */
    uint8_t *pending;  /* what the socket did not take yet */
    size_t pending_at, pending_len;
    uint64_t due_ns;   /* of the next timed turn */
    struct conn *next; /* in the queue of timed turns, soonest first */
};

/* All members have the same period, so whoever had its turn goes to the end. */
struct queue {
    struct conn *first, *last;
    uint64_t period_ns;
};

static struct target {
    int epoll, listener, service;
    uint64_t fin_bytes;
    struct queue tokens, slow;
    uint32_t seed;
    uint8_t buffer[BENCH_DISCARD_BYTES];
} target = {.fin_bytes = 1 << 20,
            .tokens = {.period_ns = 25 * 1000 * 1000},
            .slow = {.period_ns = SLOW_PERIOD_NS},
            .seed = 88675123};

static void options(int argc, char **argv);
static void turn(struct conn *c, uint32_t events);
static void accept_all(void);
static uint64_t run_queues(uint64_t now);

int main(int argc, char **argv)
{
    struct epoll_event events[256], on = {.events = EPOLLIN};

    options(argc, argv);
    bench_raise_files();
    prctl(PR_SET_TIMERSLACK, 1);
    target.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(target.epoll, EPOLL_CTL_ADD, target.listener, &on))
        bench_die("epoll_ctl: %m");
    for (;;) {
        uint64_t wait = run_queues(bench_now_ns());
        struct timespec t = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
        int n = epoll_pwait2(target.epoll, events, 256, wait == UINT64_MAX ? NULL : &t, NULL);

        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                turn(events[i].data.ptr, events[i].events);
            else
                accept_all();
    }
}

static int service_named(const char *name)
{
    if (strcmp(name, "any") == 0)
        return 0;
#define X(service, letter, text) \
    if (strcmp(name, text) == 0) \
        return letter;
    BENCH_SERVICES(X)
#undef X
    bench_die("no service is called \"%s\"", name);
}

static void options(int argc, char **argv)
{
    static const struct option table[] = {{"listen", required_argument, NULL, 'l'},
                                          {"bytes", required_argument, NULL, 'b'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    const char *listen_on = "127.0.0.1:9443";
    struct sockaddr_in where;
    uint64_t rate = 40;

    for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (o == 'l')
            listen_on = optarg;
        else if (o == 'b')
            target.fin_bytes = bench_number(optarg, "--bytes");
        else if (o == 'r')
            rate = bench_number(optarg, "--rate");
        else
            exit(2);
    }
    if (optind + 1 != argc || rate == 0)
        bench_die("usage: wstarget [--listen ADDRESS] [--bytes N] [--rate N] SERVICE");
    target.service = service_named(argv[optind]);
    target.tokens.period_ns = 1000000000u / rate;
    where = bench_address(listen_on);
    target.listener = bench_listen(&where);
}

static void want(struct conn *c, uint32_t interest)
{
    struct epoll_event e = {.events = interest, .data.ptr = c};

    if (c->interest == interest)
        return;
    c->interest = interest;
    epoll_ctl(target.epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void enqueue(struct queue *q, struct conn *c)
{
    struct conn **at = &q->first;

    if (q->last && q->last->due_ns <= c->due_ns)
        at = &q->last->next;
    while (*at && (*at)->due_ns <= c->due_ns)
        at = &(*at)->next;
    c->next = *at;
    *at = c;
    if (!c->next)
        q->last = c;
}

static void dequeue(struct queue *q, struct conn *c)
{
    struct conn *before = NULL;

    for (struct conn *at = q->first; at; before = at, at = at->next) {
        if (at != c)
            continue;
        *(before ? &before->next : &q->first) = c->next;
        if (q->last == c)
            q->last = before;
        return;
    }
}

static void end(struct conn *c)
{
    dequeue(c->service == BENCH_SLOW ? &target.slow : &target.tokens, c);
    close(c->fd);
    free(c->pending);
    free(c);
}

static void reset(struct conn *c)
{
    struct linger hard = {1, 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    end(c);
}

static void choose(struct conn *c, int service)
{
    uint64_t now = bench_now_ns();

    c->service = service;
    if (service == BENCH_STALL)
        want(c, EPOLLRDHUP);
    if (service == BENCH_SOURCE || service == BENCH_FIN)
        want(c, EPOLLIN | EPOLLOUT);
    if (service == BENCH_TOKENS) { /* spread over the period, wherever the connections bunched */
        c->due_ns = now + bench_random(&target.seed) % target.tokens.period_ns;
        enqueue(&target.tokens, c);
    }
    if (service == BENCH_SLOW) {
        c->due_ns = now + target.slow.period_ns;
        enqueue(&target.slow, c);
        want(c, EPOLLRDHUP);
    }
}

static void accept_all(void)
{
    for (int fd; (fd = bench_accept(target.listener)) >= 0;) {
        struct conn *c = bench_alloc(sizeof *c);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

        c->fd = fd;
        c->interest = EPOLLIN;
        epoll_ctl(target.epoll, EPOLL_CTL_ADD, fd, &e);
        if (target.service)
            choose(c, target.service);
    }
}

/* Keeps what does not fit into the socket. False: the connection is over. */
static bool write_or_keep(struct conn *c, const uint8_t *bytes, size_t len)
{
    ssize_t n = 0;

    if (c->pending_len == 0) {
        n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        n = n < 0 ? 0 : n;
    }
    len -= (size_t)n;
    if (len == 0)
        return true;
    if (!c->pending)
        c->pending = bench_alloc(PENDING_MAX);
    if (c->pending_at + c->pending_len + len > PENDING_MAX)
        return false;
    memcpy(c->pending + c->pending_at + c->pending_len, bytes + n, len);
    c->pending_len += len;
    want(c, c->service == BENCH_ECHO ? EPOLLOUT : EPOLLIN | EPOLLOUT);
    return true;
}

static bool write_kept(struct conn *c)
{
    ssize_t n = send(c->fd, c->pending + c->pending_at, c->pending_len, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN;
    c->pending_at += (size_t)n;
    c->pending_len -= (size_t)n;
    if (c->pending_len == 0) {
        c->pending_at = 0;
        want(c, EPOLLIN);
    }
    return true;
}

static bool source_turn(struct conn *c)
{
    uint64_t left = c->service == BENCH_FIN ? target.fin_bytes - c->position : BENCH_PATTERN_ROOM;
    ssize_t n = 0;

    if (left)
        n = send(c->fd, bench_pattern(c->position),
                 left < BENCH_PATTERN_ROOM ? left : BENCH_PATTERN_ROOM, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    c->position += (uint64_t)n;
    if (c->service == BENCH_FIN && c->position == target.fin_bytes) {
        shutdown(c->fd, SHUT_WR);
        want(c, EPOLLIN);
    }
    return true;
}

static bool check(struct conn *c, const uint8_t *bytes, size_t len)
{
    uint64_t report;

    if (c->position != UINT64_MAX)
        c->position = bench_pattern_is(c->position, bytes, len) ? c->position + len : UINT64_MAX;
    report = c->position;
    return write_or_keep(c, (const uint8_t *)&report, sizeof report);
}

static bool read_turn(struct conn *c)
{
    bool keeps = c->service == BENCH_ECHO || c->service == BENCH_CHECK;
    ssize_t n = recv(c->fd, target.buffer, keeps ? BENCH_READ_BYTES : BENCH_DISCARD_BYTES,
                     keeps ? 0 : MSG_TRUNC);

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (c->service == BENCH_ECHO)
        return write_or_keep(c, target.buffer, (size_t)n);
    if (c->service == BENCH_CHECK)
        return check(c, target.buffer, (size_t)n);
    return true;
}

static void turn(struct conn *c, uint32_t events)
{
    bool alive = true;

    if (!c->service) {
        uint8_t letter;
        ssize_t n = recv(c->fd, &letter, 1, 0);

        if (n == 1)
            choose(c, letter);
        else if (n == 0 || errno != EAGAIN)
            end(c);
        return;
    }
    if (c->service == BENCH_RST && (events & EPOLLIN)) {
        reset(c);
        return;
    }
    if (c->service == BENCH_STALL || c->service == BENCH_SLOW)
        alive = !(events & (EPOLLERR | EPOLLHUP | (c->service == BENCH_STALL ? EPOLLRDHUP : 0)));
    else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        alive = read_turn(c);
    if (alive && (events & EPOLLOUT))
        alive = c->pending_len ? write_kept(c) : source_turn(c);
    if (!alive)
        end(c);
}

/* A message: its length in two bytes, the nanosecond when it was due in eight, filling. */
static bool token_turn(struct conn *c)
{
    uint16_t len = (uint16_t)(150 + bench_random(&target.seed) % 151);
    uint8_t message[300];

    memcpy(message, &len, 2);
    memcpy(message + 2, &c->due_ns, 8);
    memset(message + 10, 'x', (size_t)len - 10);
    return write_or_keep(c, message, len);
}

static bool slow_turn(struct conn *c)
{
    ssize_t n = recv(c->fd, target.buffer, SLOW_BYTES, MSG_TRUNC);

    return n > 0 || (n < 0 && errno == EAGAIN);
}

static uint64_t run_queue(struct queue *q, bool (*act)(struct conn *), uint64_t now)
{
    while (q->first && q->first->due_ns <= now) {
        struct conn *c = q->first;
        bool alive = act(c);

        if (!alive) {
            end(c);
            continue;
        }
        dequeue(q, c);
        c->due_ns += q->period_ns;
        enqueue(q, c);
    }
    return q->first ? q->first->due_ns - now : UINT64_MAX;
}

/* Returns how long nothing is due, in nanoseconds. */
static uint64_t run_queues(uint64_t now)
{
    uint64_t tokens = run_queue(&target.tokens, token_turn, now);
    uint64_t slow = run_queue(&target.slow, slow_turn, now);

    return tokens < slow ? tokens : slow;
}
