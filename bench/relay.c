/* bare: the least that a relay can be, as a physical yardstick.
 *
 *   bare copy64|copy256|splice1m [--framed] --listen ADDRESS --target ADDRESS
 *   bare memcpy
 *
 * Without --framed, TCP to TCP. With it, the client speaks WebSocket: the upgrade is answered
 * unread, up is unmasked in place, down gets heads (splice1m: the head with MSG_MORE, then the
 * pipe). There are no limits, time-outs or checks: this is no bridge. */
#include "relay.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in target;
static int epoll;

/* What an event belongs to: a pair, and one of its ends in the lowest bit. */
static uint64_t tag(struct pair *p, bool target_end)
{
    return (uint64_t)(uintptr_t)p | target_end;
}

static void watch(struct pair *p)
{
    uint32_t client =
        (p->up.ended || half_holds(&p->up) ? 0 : EPOLLIN) | (half_holds(&p->down) ? EPOLLOUT : 0);
    uint32_t server =
        (p->down.ended || half_holds(&p->down) ? 0 : EPOLLIN) | (half_holds(&p->up) ? EPOLLOUT : 0);
    struct epoll_event e;

    if (client != p->up_interest) {
        e = (struct epoll_event){.events = client, .data.u64 = tag(p, false)};
        epoll_ctl(epoll, EPOLL_CTL_MOD, p->up.from, &e);
        p->up_interest = client;
    }
    if (server != p->down_interest) {
        e = (struct epoll_event){.events = server, .data.u64 = tag(p, true)};
        epoll_ctl(epoll, EPOLL_CTL_MOD, p->down.from, &e);
        p->down_interest = server;
    }
}

static void end(struct pair *p)
{
    struct half *halves[] = {&p->up, &p->down};

    for (int i = 0; i < 2; i++) {
        struct half *h = halves[i];

        close(h->from);
        if (h->buffer)
            buffer_return(h->buffer);
        if (h->pipe) { /* bytes are in it: it is of no use to another */
            close(h->pipe[0]);
            close(h->pipe[1]);
            free(h->pipe);
        }
    }
    free(p);
}

static enum step run(struct pair *p, struct half *h)
{
    bool splices = bare.splices && (!bare.framed || h == &p->down);
    enum step s;

    if (h->ended && !half_holds(h))
        return STEP_ON;
    s = splices ? half_splice(h, bare.framed) : half_copy(p, h);
    if (s == STEP_ON && h->ended && !half_holds(h))
        shutdown(h->to, SHUT_WR);
    return s;
}

static enum step upgrade(struct pair *p)
{
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: " BENCH_WS_ACCEPT "\r\n\r\n";
    char request[4096];
    ssize_t n = recv(p->up.from, request, sizeof request, 0);

    /* Our generator's request is one segment, and it waits for the answer. */
    if (n < 4 || memcmp(request + n - 4, "\r\n\r\n", 4) != 0)
        return STEP_OVER;
    if (send(p->up.from, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
        return STEP_OVER;
    p->upgraded = true;
    return STEP_ON;
}

/* Returns false when the pair is gone. */
static bool turn(struct pair *p, bool target_end, uint32_t events)
{
    enum step s = STEP_ON;
    bool in = events & (EPOLLIN | EPOLLHUP | EPOLLERR), out = events & EPOLLOUT;

    if (!p->upgraded && !target_end)
        s = upgrade(p);
    else {
        if (target_end ? in : out)
            s = run(p, &p->down);
        if (s == STEP_ON && (target_end ? out : in))
            s = run(p, &p->up);
    }
    if (s == STEP_OVER || (events & EPOLLERR) ||
        (p->up.ended && p->down.ended && !half_holds(&p->up) && !half_holds(&p->down))) {
        end(p);
        return false;
    }
    watch(p);
    return true;
}

static void accept_all(int listener)
{
    for (int client; (client = bench_accept(listener)) >= 0;) {
        struct pair *p = bench_alloc(sizeof *p);
        int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag(p, false)};

        if (server < 0)
            bench_die("socket: %m");
        bench_nodelay(server);
        if (connect(server, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
            bench_die("connect: %m");
        p->up = (struct half){.from = client, .to = server};
        p->down = (struct half){.from = server, .to = client};
        p->up_interest = p->down_interest = EPOLLIN;
        p->upgraded = !bare.framed;
        epoll_ctl(epoll, EPOLL_CTL_ADD, client, &e);
        e.data.u64 = tag(p, true);
        epoll_ctl(epoll, EPOLL_CTL_ADD, server, &e);
    }
}

static void options(int argc, char **argv, const char **listen_on)
{
    static const struct option table[] = {{"listen", required_argument, NULL, 'l'},
                                          {"target", required_argument, NULL, 't'},
                                          {"framed", no_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};

    for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (o == 'l')
            *listen_on = optarg;
        else if (o == 't')
            target = bench_address(optarg);
        else if (o == 'f')
            bare.framed = true;
        else
            exit(2);
    }
    if (optind + 1 != argc)
        bench_die("usage: bare copy64|copy256|splice1m|memcpy [--framed] --listen A --target A");
}

int main(int argc, char **argv)
{
    const char *listen_on = "127.0.0.1:9000";
    struct epoll_event events[256], on = {.events = EPOLLIN};
    struct sockaddr_in where;
    int listener;

    target = bench_address("127.0.0.1:9443");
    options(argc, argv, &listen_on);
    if (strcmp(argv[optind], "memcpy") == 0) {
        bare_memcpy();
        return 0;
    }
    bare.splices = strcmp(argv[optind], "splice1m") == 0;
    bare.read_bytes = strcmp(argv[optind], "copy64") == 0 ? 64 * 1024 : BENCH_READ_BYTES;
    if (!bare.splices && strncmp(argv[optind], "copy", 4) != 0)
        bench_die("\"%s\" is no way to relay", argv[optind]);
    signal(SIGPIPE, SIG_IGN); /* splice knows no MSG_NOSIGNAL */
    bench_raise_files();
    where = bench_address(listen_on);
    listener = bench_listen(&where);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &on);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);

        for (int i = 0; i < n; i++) {
            uint64_t t = events[i].data.u64;
            struct pair *p = (struct pair *)(uintptr_t)(t & ~1ull);

            if (!p) {
                accept_all(listener);
                continue;
            }
            if (turn(p, t & 1, events[i].events))
                continue;
            for (int k = i + 1; k < n;
                 k++) /* its other end's event becomes a look at the listener */
                if ((events[k].data.u64 & ~1ull) == (uint64_t)(uintptr_t)p)
                    events[k].data.u64 = 0;
        }
    }
}
