#include "tlsload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 8192, READ_BYTES = 64 * 1024 };

enum state { STATE_HANDSHAKE, STATE_HEAD, STATE_LENGTH, STATE_SIZE, STATE_DATA, STATE_DATA_END };

struct tls_client {
    int fd;
    SSL *ssl;
    enum state state;
    uint32_t interest;
    char head[HEAD_BYTES + 1]; /* of the answer; then the size of a chunk */
    size_t head_len;
    uint64_t left, asked_ns;
    bool begun; /* a byte of the body has come */
    bool last;  /* this chunk is the last one */
};

static void want(struct tls_client *c, uint32_t interest)
{
    struct epoll_event e = {.events = interest, .data.ptr = c};

    if (c->interest == interest)
        return;
    epoll_ctl(tls.epoll, c->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
    c->interest = interest;
}

static void drop(struct tls_client *c)
{
    if (c->state == STATE_HANDSHAKE) {
        tls.failed++;
    } else {
        tls.open--;
        tls.lost++;
    }
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

void tls_client_new(void)
{
    struct tls_client *c = bench_alloc(sizeof *c);

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        bench_die("socket: %m");
    bench_nodelay(c->fd);
    if (connect(c->fd, (const struct sockaddr *)&tls.o.connect, sizeof tls.o.connect) &&
        errno != EINPROGRESS)
        bench_die("connect: %m");
    c->ssl = SSL_new(tls.context);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 ||
        SSL_set_tlsext_host_name(c->ssl, tls.o.name) != 1 || SSL_set1_host(c->ssl, tls.o.name) != 1)
        bench_die("OpenSSL makes no connection");
    SSL_set_connect_state(c->ssl);
    want(c, EPOLLOUT);
}

/* A request is smaller than any socket's buffer, and only one is under way. */
static bool ask(struct tls_client *c)
{
    c->state = STATE_HEAD;
    c->head_len = 0;
    c->begun = c->last = false;
    c->asked_ns = bench_now_ns();
    return SSL_write(c->ssl, tls.request, tls.request_len) == tls.request_len;
}

static bool handshake(struct tls_client *c)
{
    int result = SSL_do_handshake(c->ssl), why;

    if (result == 1) {
        tls.open++;
        want(c, EPOLLIN);
        return ask(c);
    }
    why = SSL_get_error(c->ssl, result);
    want(c, why == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static void finished(const struct tls_client *c)
{
    if (!tls.measuring)
        return;
    tls.operations++;
    if (tls.o.mode == TLS_REQUESTS)
        histogram_add(&tls.latency, bench_now_ns() - c->asked_ns);
}

static void body_begins(struct tls_client *c)
{
    if (c->begun)
        return;
    c->begun = true;
    if (tls.measuring && tls.o.mode == TLS_STREAM)
        histogram_add(&tls.latency, bench_now_ns() - c->asked_ns);
}

/* Takes bytes of the head; true once it is whole and of an answer that is understood. */
static bool head_in(struct tls_client *c, const char **at, size_t *len)
{
    char *length, *end;
    size_t before = c->head_len, n = HEAD_BYTES - before < *len ? HEAD_BYTES - before : *len;

    memcpy(c->head + before, *at, n);
    c->head[before + n] = '\0';
    end = strstr(before > 3 ? c->head + before - 3 : c->head, "\r\n\r\n");
    c->head_len = end ? (size_t)(end - c->head) + 4 : before + n;
    *at += c->head_len - before;
    *len -= c->head_len - before;
    if (!end)
        return false;
    *end = '\0';
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0)
        bench_die("not answered with 200: %.*s", (int)strcspn(c->head, "\r"), c->head);
    length = strcasestr(c->head, "\r\nContent-Length:");
    c->left = length ? strtoull(length + 17, NULL, 10) : 0;
    if (!length && !strcasestr(c->head, "\r\nTransfer-Encoding: chunked"))
        bench_die("an answer without an end");
    c->state = length ? STATE_LENGTH : STATE_SIZE;
    c->head_len = 0;
    return true;
}

/* One line: the size of a chunk, or the blank one behind it. True: it is there. */
static bool line_in(struct tls_client *c, const char **at, size_t *len)
{
    while (*len) {
        char byte = *(*at)++;

        (*len)--;
        if (byte == '\n') {
            c->head[c->head_len] = '\0';
            c->head_len = 0;
            return true;
        }
        if (c->head_len < HEAD_BYTES)
            c->head[c->head_len++] = byte;
    }
    return false;
}

/* Takes bytes of the body. True: it is complete. */
static bool body_in(struct tls_client *c, const char **at, size_t *len)
{
    size_t n = c->left < *len ? (size_t)c->left : *len;

    switch (c->state) {
    case STATE_LENGTH:
    case STATE_DATA:
        if (n)
            body_begins(c);
        c->left -= n;
        *at += n;
        *len -= n;
        if (c->left)
            return false;
        if (c->state == STATE_LENGTH)
            return true;
        c->state = STATE_DATA_END;
        c->head_len = 0;
        return false;
    case STATE_SIZE:
        if (!line_in(c, at, len))
            return false;
        c->left = strtoull(c->head, NULL, 16);
        c->last = !c->left;
        c->state = c->last ? STATE_DATA_END : STATE_DATA;
        return false;
    case STATE_DATA_END:
        if (!line_in(c, at, len))
            return false;
        c->state = STATE_SIZE;
        return c->last;
    case STATE_HANDSHAKE:
    case STATE_HEAD:
    default:
        return false;
    }
}

/* False: the connection is over. */
static bool bytes_in(struct tls_client *c, const char *at, size_t len)
{
    if (tls.measuring)
        tls.bytes_down += len;
    while (len || (c->state == STATE_LENGTH && !c->left)) {
        if (c->state == STATE_HEAD) {
            if (!head_in(c, &at, &len) && c->head_len == HEAD_BYTES)
                return false;
        } else if (body_in(c, &at, &len)) {
            if (len)
                return false; /* more than was asked for */
            finished(c);
            if (!ask(c))
                return false;
        }
    }
    return true;
}

void tls_client_event(struct tls_client *c)
{
    static char buffer[READ_BYTES];
    bool alive = true;

    if (c->state == STATE_HANDSHAKE) {
        alive = handshake(c);
    } else {
        do {
            int n = SSL_read(c->ssl, buffer, sizeof buffer);

            if (n <= 0) {
                alive = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
                break;
            }
            alive = bytes_in(c, buffer, (size_t)n);
        } while (alive && SSL_has_pending(c->ssl));
    }
    if (!alive)
        drop(c);
}
