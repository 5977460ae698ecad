/* stream: the client's bytes, plain or through TLS, with one face. With kTLS the kernel encrypts and the
 * descriptor takes plain bytes. Keeps the readiness bits true. */
#pragma once

#include <errno.h>
#include <sys/socket.h>

#include "bridge/tunnel.h"

enum stream_result { STREAM_OK, STREAM_AGAIN, STREAM_EOF, STREAM_RESET };

/* *n: in, room; out, bytes. */
static inline enum stream_result stream_recv_plain(struct io *io, void *at, size_t *n)
{
    ssize_t got;

    do
        got = recv(io->fd, at, *n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        /* A short read means an empty socket, unless an end waits behind it. */
        if ((size_t)got < *n && !(io->bits & IO_ENDED))
            io->bits &= ~(uint32_t)IO_READABLE;
        *n = (size_t)got;
        return STREAM_OK;
    }
    if (got == 0)
        return STREAM_EOF;
    if (errno == EAGAIN) {
        io->bits &= ~(uint32_t)IO_READABLE;
        return STREAM_AGAIN;
    }
    return STREAM_RESET;
}

/* *n: in, bytes offered; out, bytes taken. */
static inline enum stream_result stream_send_plain(struct io *io, const void *at, size_t *n,
                                                   int flags)
{
    ssize_t sent;

    do
        sent = send(io->fd, at, *n, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        *n = (size_t)sent;
        return STREAM_OK;
    }
    if (errno == EAGAIN) {
        io->bits &= ~(uint32_t)IO_WRITABLE;
        return STREAM_AGAIN;
    }
    return STREAM_RESET;
}

enum stream_result stream_recv_tls(struct tunnel *t, void *at, size_t *n);
enum stream_result stream_send_tls(struct tunnel *t, const void *at, size_t *n);

static inline enum stream_result client_recv(struct tunnel *t, void *at, size_t *n)
{
    return t->tls ? stream_recv_tls(t, at, n) : stream_recv_plain(&t->client, at, n);
}

/* flags: MSG_MORE, which TLS passes over. */
static inline enum stream_result client_send(struct tunnel *t, const void *at, size_t *n, int flags)
{
    if (t->tls && !tls_kernel_send(t->tls))
        return stream_send_tls(t, at, n);
    return stream_send_plain(&t->client, at, n, flags);
}
