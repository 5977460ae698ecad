#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "bridge/probe.h"
#include "bridge/tunnel.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum { ACCEPTS_PER_EVENT = 64, PAUSE_MS = 1000 };

struct handed {
    struct post post;
    struct worker *to;
    int fd;
    struct addr peer;
};

static const char answer_503[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 23\r\n"
                                 "Retry-After: 5\r\n"
                                 "Cache-Control: no-store\r\n"
                                 "X-Content-Type-Options: nosniff\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "{\"error\":\"overloaded\"}\n";
static const char answer_429[] = "HTTP/1.1 429 Too Many Requests\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 30\r\n"
                                 "Retry-After: 1\r\n"
                                 "Cache-Control: no-store\r\n"
                                 "X-Content-Type-Options: nosniff\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "{\"error\":\"too many requests\"}\n";
_Static_assert(sizeof "{\"error\":\"overloaded\"}\n" - 1 == 23, "Content-Length of answer_503");
_Static_assert(sizeof "{\"error\":\"too many requests\"}\n" - 1 == 30,
               "Content-Length of answer_429");

/* The cheapest refusal there is: no parsing, no tunnel. What the client sent is read once, so that
 * closing does not reset the connection under the answer. */
static void turn_away(struct worker *w, int fd, const struct addr *peer, enum reason reason)
{
    bool slow_down = reason == REASON_RATE_EXCEEDED || reason == REASON_ADDRESS_LIMIT;
    char scratch[4096], text[ADDR_TEXT_BYTES];

    metric_add(&w->stats.refused[reason], 1);
    log_event_limited(w->log, LOG_WARN, "connection.refused", "connection refused",
                      F_STR("peer", addr_format(peer, text)),
                      F_STR("reason", reason_token(reason)));
    if (!w->tls) {
        if (recv(fd, scratch, sizeof scratch, MSG_DONTWAIT) < 0 && errno != EAGAIN) {
            close(fd);
            return;
        }
        (void)!send(fd, slow_down ? answer_429 : answer_503,
                    slow_down ? sizeof answer_429 - 1 : sizeof answer_503 - 1,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
    }
    close(fd);
}

bool in_cidrs(const struct cidr *list, size_t count, const struct addr *a)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&list[i], a))
            return true;
    return false;
}

void accept_adopt(struct worker *w, int fd, const struct addr *peer)
{
    const struct policy *p = w->policy;
    bool trusted = in_cidrs(p->trusted_proxies, p->trusted_proxy_count, peer);
    bool counted = false;
    struct tunnel *t;

    metric_add(&w->stats.accepted, 1);
    PROBE1(accept, fd);
    if (atomic_fetch_add_explicit(&w->bridge->connections, 1, memory_order_relaxed) >=
        w->bridge->connections_max) {
        atomic_fetch_sub_explicit(&w->bridge->connections, 1, memory_order_relaxed);
        turn_away(w, fd, peer, REASON_OVERLOADED);
        return;
    }
    /* Behind a proxy the peer is not the client: greeting.c asks again when it knows who is. */
    if (!trusted && peer->family != AF_UNIX &&
        !in_cidrs(p->limit_exempt, p->limit_exempt_count, peer)) {
        enum guests_answer answer = guests_enter(w->bridge->guests, peer, loop_now_ms(w->loop));

        if (answer != GUEST_WELCOME) {
            atomic_fetch_sub_explicit(&w->bridge->connections, 1, memory_order_relaxed);
            turn_away(w, fd, peer,
                      answer == GUEST_TOO_FAST ? REASON_RATE_EXCEEDED : REASON_ADDRESS_LIMIT);
            return;
        }
        counted = true;
    }
    t = tunnel_new(w, fd, peer);
    if (!t) {
        if (counted)
            guests_leave(w->bridge->guests, peer);
        atomic_fetch_sub_explicit(&w->bridge->connections, 1, memory_order_relaxed);
        turn_away(w, fd, peer, REASON_OVERLOADED);
        return;
    }
    t->flags |= (counted ? (uint32_t)T_COUNTED : 0u) | (trusted ? (uint32_t)T_PEER_TRUSTED : 0u);
    if (w->tls && !tls_accept(w->tls, fd, &t->tls, NULL)) {
        tunnel_free(t);
        return;
    }
    tunnel_run(w->loop, &t->task);
}

static void handed_over(struct loop *loop, struct post *post)
{
    struct handed *h = CONTAINER(post, struct handed, post);

    (void)loop;
    accept_adopt(h->to, h->fd, &h->peer);
    free(h);
}

/* The worker that should take the next connection: ourselves, unless another has clearly less to do.
 * SO_REUSEPORT spreads by hash, which with few long tunnels puts them on one core half of the time. */
static struct worker *choose(struct worker *w)
{
    struct bridge *b = w->bridge;
    struct worker *least = w;
    unsigned workers = b->worker_count;
    uint32_t own = atomic_load_explicit(&w->load, memory_order_relaxed), total = 0, low = own;

    if (workers < 2 || atomic_load_explicit(&b->stopping, memory_order_relaxed))
        return w;
    for (unsigned i = 0; i < workers; i++) {
        uint32_t load = atomic_load_explicit(&b->workers[i]->load, memory_order_relaxed);

        total += load;
        if (load < low) {
            low = load;
            least = b->workers[i];
        }
    }
    return own - low >= 1 + total / workers / 8 ? least : w;
}

static void place(struct worker *w, int fd, const struct addr *peer)
{
    struct worker *to = choose(w);
    struct handed *h = to == w ? NULL : calloc(1, sizeof *h);

    if (!h) {
        accept_adopt(w, fd, peer);
        return;
    }
    *h = (struct handed){.post = {.run = handed_over}, .to = to, .fd = fd, .peer = *peer};
    metric_add(&w->stats.handed_over, 1);
    loop_post(to->loop, &h->post);
}

static void pause_accepting(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!w->accepting[i].paused) {
            loop_forget(w->loop, &w->accepting[i].io);
            w->accepting[i].paused = true;
            w->paused++;
        }
    metric_add(&w->stats.accept_paused, 1);
    timer_set(w->loop, &w->accept_timer, loop_now_ms(w->loop) + PAUSE_MS);
}

static void spare_open(struct worker *w)
{
    if (w->spare_fd < 0)
        w->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: give up the spare one to tell one client, then wait for a tunnel to end. Who holds
 * the descriptors may be somebody else, so after a while we look again by ourselves. */
static void out_of_descriptors(struct worker *w, int listener)
{
    int fd;

    log_event_limited(w->log, LOG_ERROR, "descriptors.exhausted",
                      "out of file descriptors; raise LimitNOFILE or lower --max-connections",
                      F_U64("tunnels", w->tunnels.count));
    if (w->spare_fd >= 0) {
        struct addr nobody = {.family = AF_UNSPEC};

        close(w->spare_fd);
        w->spare_fd = -1;
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            turn_away(w, fd, &nobody, REASON_OVERLOADED);
        spare_open(w);
    }
    pause_accepting(w);
}

/* One connection. False: the queue is empty, or accepting has been paused. */
static bool accept_one(struct worker *w, int listener)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    struct addr peer;
    int fd = accept4(listener, (struct sockaddr *)&from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM)
            return true;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            metric_add(&w->stats.accept_failed, 1);
            out_of_descriptors(w, listener);
        }
        return false;
    }
    addr_from_sockaddr((struct sockaddr *)&from, &peer);
    addr_unmap(&peer);
    place(w, fd, &peer);
    return true;
}

static void accept_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct accepting *a = CONTAINER(io, struct accepting, io);

    (void)loop;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_EVENT && !a->paused; i++)
        if (!accept_one(a->worker, io->fd))
            break;
}

static bool watch(struct worker *w, struct accepting *a, struct err *err)
{
    /* A descriptor that all workers share wakes one of them, not all. */
    uint32_t events = EPOLLIN | (a->listener->inherited || a->listener->addr.family == AF_UNIX
                                     ? (uint32_t)EPOLLEXCLUSIVE
                                     : 0u);

    return loop_watch_level(w->loop, &a->io, events, err);
}

static void pause_over(struct loop *loop, struct timer *timer)
{
    (void)loop;
    accept_resume(CONTAINER(timer, struct worker, accept_timer));
}

bool accept_start(struct worker *w, struct err *err)
{
    spare_open(w);
    timer_init(&w->accept_timer, pause_over);
    for (size_t i = 0; i < w->listener_count; i++) {
        struct accepting *a = &w->accepting[i];

        *a = (struct accepting){
            .io = {.ready = accept_ready, .fd = w->listeners[i].fd},
            .worker = w,
            .listener = &w->listeners[i],
        };
        if (!watch(w, a, err))
            return err_in(err, "listening on %s", w->listeners[i].name);
    }
    return true;
}

void accept_resume(struct worker *w)
{
    bool still = false;

    timer_cancel(&w->accept_timer);
    spare_open(w);
    for (size_t i = 0; i < w->listener_count; i++) {
        struct accepting *a = &w->accepting[i];

        if (a->paused && watch(w, a, NULL)) {
            a->paused = false;
            w->paused--;
        }
        still |= a->paused;
    }
    if (still)
        timer_set(w->loop, &w->accept_timer, loop_now_ms(w->loop) + PAUSE_MS);
}

void accept_stop(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        struct accepting *a = &w->accepting[i];

        if (a->io.fd < 0)
            continue;
        /* What has been accepted by the kernel is ours: closing the socket would reset it. */
        for (int n = 0; n < 4096 && !a->paused && !a->listener->inherited; n++)
            if (!accept_one(w, a->io.fd))
                break;
        if (!a->paused)
            loop_forget(w->loop, &a->io);
        else
            w->paused--;
        a->paused = false;
        listen_close(&w->listeners[i]);
        a->io.fd = -1;
    }
    w->listener_count = 0;
    timer_cancel(&w->accept_timer);
}
