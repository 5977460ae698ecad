#include "bridge/stream.h"

enum stream_result stream_recv_tls(struct tunnel *t, void *at, size_t *n)
{
    switch (tls_recv(t->tls, at, n, NULL)) {
    case TLS_OK:
        return STREAM_OK;
    case TLS_WANT_READ:
        t->client.bits &= ~(uint32_t)IO_READABLE;
        return STREAM_AGAIN;
    case TLS_WANT_WRITE: /* readable stays: the next event of either kind tries again */
        return STREAM_AGAIN;
    case TLS_EOF:
        return STREAM_EOF;
    case TLS_FAILED:
        break;
    }
    return STREAM_RESET;
}

enum stream_result stream_send_tls(struct tunnel *t, const void *at, size_t *n)
{
    switch (tls_send(t->tls, at, n, NULL)) {
    case TLS_OK:
        return STREAM_OK;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        t->client.bits &= ~(uint32_t)IO_WRITABLE;
        return STREAM_AGAIN;
    case TLS_EOF:
    case TLS_FAILED:
        break;
    }
    return STREAM_RESET;
}
