/* Bytes of one client: ciphertext to and from the socket, plaintext to and from the session. */
#include <errno.h>
#include <sys/socket.h>

#include "tee/conn.h"

#include "base/poison.h"

bool conn_flush(struct conn *c)
{
    for (;;) {
        struct view out = session_output(c->session);
        ssize_t n;

        if (!out.len || !(c->io.bits & CONN_WRITABLE))
            return true;
        n = send(c->io.fd, out.at, out.len, MSG_NOSIGNAL);
        if (n >= 0) {
            session_sent(c->session, (size_t)n);
        } else if (errno == EAGAIN) {
            c->io.bits &= ~(uint32_t)CONN_WRITABLE;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

bool conn_backed_up(struct conn *c)
{
    return session_output(c->session).len >= CONN_OUT_HIGH;
}

bool conn_receive(struct conn *c)
{
    uint8_t bytes[CONN_PIECE_BYTES];

    while (c->io.bits & CONN_READABLE && !c->ended && buf_len(&c->in) < CONN_IN_MAX) {
        ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);

        if (n > 0) {
            if (!session_feed(c->session, view_from(bytes, (size_t)n), NULL))
                return false;
            if (n < (ssize_t)sizeof bytes) {
                /* All there was: an edge tells of more. Of the end it has told already when both came together. */
                if (!(c->io.bits & CONN_HUNG_UP))
                    c->io.bits &= ~(uint32_t)CONN_READABLE;
                break;
            }
        } else if (n == 0) {
            session_feed_end(c->session);
            c->ended = true;
        } else if (errno == EAGAIN) {
            c->io.bits &= ~(uint32_t)CONN_READABLE;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool conn_decrypt(struct conn *c)
{
    struct err why;

    while (buf_len(&c->in) < CONN_IN_MAX) {
        uint8_t *room;
        size_t n = CONN_PIECE_BYTES;

        if (!buf_room(&c->in, n, &room, NULL))
            return false;
        switch (session_read(c->session, room, &n, &why)) {
        case TLS_OK:
            buf_wrote(&c->in, n);
            continue;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            return true;
        case TLS_EOF:
            c->ended = true;
            return true;
        case TLS_FAILED:
            return false;
        }
    }
    return true;
}

bool conn_write(struct conn *c, struct view plaintext)
{
    struct err why;

    return session_write(c->session, plaintext, &why);
}
