#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWER_BYTES = 4096,
    /* From this size on two calls that discard cost less than one that copies. */
    DISCARD_FROM = 8 * 1024,
};

static void connected(struct client *c);
static void read_answer(struct client *c);
static void read_payload(struct client *c);
static void frames_in(struct client *c, const uint8_t *at, size_t len);
static void flush(struct client *c);

static void want(struct client *c, uint32_t interest)
{
    struct epoll_event e = {.events = interest,
                            .data.u64 = (uint64_t)c->generation << 32 | c->index};

    if (c->interest == interest)
        return;
    epoll_ctl(load.epoll, c->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
    c->interest = interest;
}

static void forget(struct client *c)
{
    if (c->state == CLIENT_CONNECTING || c->state == CLIENT_UPGRADING)
        load.pending--;
    if (c->state == CLIENT_OPEN)
        load.open--;
    close(c->fd);
    free(c->answer);
    free(c->due);
    free(c->frame);
    *c = (struct client){.fd = -1, .index = c->index, .generation = c->generation + 1};
}

/* The tunnel failed, or the other side ended it. */
static void drop(struct client *c)
{
    if (c->state == CLIENT_ENDING) {
        forget(c);
        return;
    }
    if (c->state == CLIENT_OPEN)
        load.lost++;
    else
        load.failed++;
    forget(c);
}

static struct client *free_slot(void)
{
    for (uint32_t i = 0; i < load.slots; i++) {
        struct client *c = &load.clients[load.hint];

        load.hint = (load.hint + 1) % load.slots;
        if (c->state == CLIENT_NONE)
            return c;
    }
    for (uint32_t i = 0; i < load.slots; i++) /* who does not answer a Close has had its time */
        if (load.clients[i].state == CLIENT_ENDING) {
            forget(&load.clients[i]);
            return &load.clients[i];
        }
    return NULL;
}

struct client *client_new(const struct role *role)
{
    struct client *c = free_slot();
    struct sockaddr_in from = {.sin_family = AF_INET};
    int on = 1;

    if (!c)
        return NULL;
    from.sin_addr.s_addr = htonl(0x7F000002u + load.started % load.o.source_addresses);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        bench_die("socket: %m");
    bench_nodelay(c->fd);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (load.o.source_addresses > 1 && bind(c->fd, (struct sockaddr *)&from, sizeof from))
        bench_die("bind to a source address: %m");
    load.started++;
    load.pending++;
    c->role = role;
    c->state = CLIENT_CONNECTING;
    c->seed = 0x1234567u + c->index * 7919u;
    c->began_ns = bench_now_ns();
    if (connect(c->fd, (struct sockaddr *)&load.o.connect, sizeof load.o.connect) &&
        errno != EINPROGRESS) {
        drop(c);
        return c;
    }
    want(c, EPOLLOUT);
    return c;
}

void client_event(struct client *c, uint32_t events)
{
    uint32_t generation = c->generation;

    if (c->state == CLIENT_CONNECTING) {
        connected(c);
        return;
    }
    if ((events & EPOLLOUT) && c->state != CLIENT_UPGRADING) {
        if (c->out_len || c->pong_len)
            flush(c);
        if (c->generation == generation && !c->out_len && !c->pong_len && c->writes)
            c->role->writable(c);
    }
    if (c->generation != generation || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    if (c->state == CLIENT_UPGRADING)
        read_answer(c);
    else
        read_payload(c);
}

void client_send(struct client *c, const uint8_t *bytes, size_t len)
{
    c->out = bytes;
    c->out_len = len;
    flush(c);
}

void client_want_writable(struct client *c, bool wanted)
{
    c->writes = wanted;
    want(c, EPOLLIN | (wanted || c->out_len ? EPOLLOUT : 0u));
}

void client_end(struct client *c, enum ending how)
{
    static const uint8_t close_1000[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8};
    struct linger hard = {1, 0};

    if (how == END_RST) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        forget(c);
        return;
    }
    /* After the Close we wait for the server's end, in a slot that no longer counts as open. */
    load.open--;
    c->state = CLIENT_ENDING;
    if (load.o.raw || how == END_FIN)
        shutdown(c->fd, SHUT_WR);
    else if (send(c->fd, close_1000, sizeof close_1000, MSG_NOSIGNAL) < 0)
        forget(c);
}

static void opened(struct client *c)
{
    load.pending--;
    load.open++;
    c->state = CLIENT_OPEN;
    want(c, EPOLLIN);
    if (c->role->opened)
        c->role->opened(c);
}

static void connected(struct client *c)
{
    int error = 0, n;
    socklen_t len = sizeof error;
    char request[2048];

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
        drop(c);
        return;
    }
    if (load.o.raw) {
        opened(c);
        return;
    }
    n = snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: " BENCH_WS_KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                 load.o.path, load.o.host, load.o.header);
    if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        drop(c);
        return;
    }
    c->state = CLIENT_UPGRADING;
    c->answer = bench_alloc(ANSWER_BYTES + 1);
    want(c, EPOLLIN);
}

static void read_answer(struct client *c)
{
    ssize_t n = recv(c->fd, c->answer + c->answer_len, ANSWER_BYTES - c->answer_len, 0);
    char *end, *answer;
    size_t rest;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0)
        c->answer_len += (size_t)n;
    c->answer[c->answer_len] = '\0';
    end = strstr(c->answer, "\r\n\r\n");
    if (!end && n > 0 && c->answer_len < ANSWER_BYTES)
        return;
    if (!end || strncmp(c->answer, "HTTP/1.1 101", 12) != 0 ||
        !strstr(c->answer, BENCH_WS_ACCEPT)) {
        if (load.failed == 0)
            fprintf(stderr, "wsload: not upgraded: %.*s\n", (int)strcspn(c->answer, "\r"),
                    c->answer_len ? c->answer : "(closed without an answer)");
        drop(c);
        return;
    }
    end += 4;
    rest = c->answer_len - (size_t)(end - c->answer);
    answer = c->answer;
    c->answer = NULL; /* opened and payload may end the client */
    opened(c);
    if (rest && c->state == CLIENT_OPEN)
        frames_in(c, (uint8_t *)end, rest);
    free(answer);
}

/* A large payload is discarded in the kernel; then only the next head is copied, lest the read
 * brings the payload behind it along. */
static void read_payload(struct client *c)
{
    bool discard = !c->role->sees && (load.o.raw || (c->left >= DISCARD_FROM && !c->control_len));
    bool only_head = !c->role->sees && !load.o.raw && !c->left && c->frame_len >= DISCARD_FROM;
    size_t most = discard ? BENCH_DISCARD_BYTES : BENCH_READ_BYTES;
    ssize_t n;

    if (discard && !load.o.raw && c->left < most)
        most = (size_t)c->left;
    if (only_head)
        most = 10u - c->head_len;
    n = recv(c->fd, load.buffer, most, discard ? MSG_TRUNC : 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    if (c->state == CLIENT_ENDING)
        return;
    if (!discard) {
        if (load.o.raw)
            c->role->payload(c, load.buffer, (size_t)n);
        else
            frames_in(c, load.buffer, (size_t)n);
        return;
    }
    if (!load.o.raw)
        c->left -= (uint64_t)n;
    c->role->payload(c, NULL, (size_t)n);
}

/* Returns false until the head is complete; then c->left is set. */
static bool head_in(struct client *c, const uint8_t **at, size_t *len)
{
    size_t need = 2;

    while (*len) {
        c->head[c->head_len++] = *(*at)++;
        (*len)--;
        if (c->head_len >= 2)
            need = (c->head[1] & 127) == 126 ? 4 : (c->head[1] & 127) == 127 ? 10 : 2;
        if (c->head_len < 2 || c->head_len < need)
            continue;
        c->left = c->head[1] & 127;
        if (need > 2)
            c->left = 0;
        for (size_t i = 2; i < need; i++)
            c->left = c->left << 8 | c->head[i];
        c->head_len = 0;
        if (!(c->head[0] & 8))
            c->frame_len = c->left;
        return true;
    }
    return false;
}

static void control_done(struct client *c)
{
    uint8_t opcode = c->head[0] & 15, len = c->control_len;

    c->control_len = 0;
    if (opcode != 9)
        return; /* a Close is followed by the end of the stream, which is told then */
    load.pings++;
    if (c->pong_begun)
        return;
    c->pong[0] = 0x8A;
    c->pong[1] = (uint8_t)(0x80 | len);
    memset(c->pong + 2, 0, 4); /* the zero mask leaves the payload as it is */
    memcpy(c->pong + 6, c->control, len);
    c->pong_len = (uint8_t)(6 + len);
    if (!c->out_len)
        flush(c);
}

static void frames_in(struct client *c, const uint8_t *at, size_t len)
{
    uint32_t generation = c->generation;

    while (len && c->generation == generation && c->state == CLIENT_OPEN) {
        size_t n;

        if (c->left == 0 && !head_in(c, &at, &len))
            return;
        n = c->left < len ? (size_t)c->left : len;
        if (c->head[0] & 8) {
            if (c->control_len + n > sizeof c->control) {
                drop(c);
                return;
            }
            memcpy(c->control + c->control_len, at, n);
            c->control_len = (uint8_t)(c->control_len + n);
        }
        c->left -= n;
        if ((c->head[0] & 8) && c->left == 0)
            control_done(c);
        else if (!(c->head[0] & 8) && n)
            c->role->payload(c, at, n);
        at += n;
        len -= n;
    }
}

/* Sends what the socket takes; returns how much, or -1 when the client is gone. */
static ssize_t push(struct client *c, const uint8_t *at, size_t len)
{
    ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return 0;
    drop(c);
    return -1;
}

static void flush(struct client *c)
{
    ssize_t n;

    if (c->out_len && !c->pong_begun) {
        n = push(c, c->out, c->out_len);
        if (n < 0)
            return;
        c->out += n;
        c->out_len -= (size_t)n;
        if (load.measuring)
            load.bytes_up += (uint64_t)n;
    }
    if (c->pong_len && (c->pong_begun || !c->out_len)) {
        n = push(c, c->pong, c->pong_len);
        if (n < 0)
            return;
        c->pong_len = (uint8_t)(c->pong_len - n);
        c->pong_begun = n > 0 && c->pong_len;
        memmove(c->pong, c->pong + n, c->pong_len);
    }
    want(c, EPOLLIN | (c->out_len || c->pong_len || c->writes ? EPOLLOUT : 0u));
}
