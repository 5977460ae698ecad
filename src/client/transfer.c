/* transfer: a request's bytes and its answer's, over one connection. One send and one receive carry a small one each way. */
#include "client/client_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "base/text.h"

#include "base/poison.h"

enum { KEEP_ALIVE_S_MAX = 3600 };

/* --- to the server --- */

/* What is sent is a credential, maybe. */
static void wipe(struct buf *b)
{
    if (b->area && b->tail)
        secret_wipe(b->area, b->tail);
    buf_reset(b);
}

/* Nothing more can be sent; an answer may have come before, so the descriptor is read to its end. */
static void cut(struct client_conn *conn)
{
    conn->cut = true;
    conn->body.len = 0;
    conn->io.bits |= CLIENT_READABLE;
}

static void took(struct client_conn *conn, struct buf *from, size_t n)
{
    size_t of_head = n < buf_len(from) ? n : buf_len(from);

    conn->left = true;
    if (of_head == buf_len(from))
        wipe(from);
    else
        buf_eat(from, of_head);
    n -= of_head;
    CHECK(http_exchange_pass(&conn->exchange, n, NULL));
    conn->body = view_skip(conn->body, n);
}

/* The kernel only reads it, whatever the type says. */
static struct iovec lend(struct view v)
{
    struct iovec piece = {.iov_len = v.len};

    memcpy(&piece.iov_base, &v.at, sizeof v.at);
    return piece;
}

void client_send(struct client_conn *conn, struct buf *from)
{
    while ((buf_len(from) || conn->body.len) && (conn->io.bits & CLIENT_WRITABLE) && !conn->cut) {
        struct view head = buf_view(from), body = conn->body;
        struct iovec pieces[] = {lend(head), lend(body)};
        struct msghdr message = {.msg_iov = pieces + !head.len,
                                 .msg_iovlen = (size_t)1 + (head.len && body.len)};
        ssize_t n = sendmsg(conn->io.fd, &message, MSG_NOSIGNAL);

        if (n >= 0)
            took(conn, from, (size_t)n);
        else if (errno == EAGAIN)
            conn->io.bits &= ~(uint32_t)CLIENT_WRITABLE;
        else if (errno != EINTR)
            cut(conn);
    }
    if (conn->cut)
        wipe(from);
}

bool client_send_tls(struct client_conn *conn)
{
    struct view v;

    while ((v = session_output(conn->tls)).len && !conn->cut) {
        ssize_t n;

        if (!(conn->io.bits & CLIENT_WRITABLE))
            return false;
        n = send(conn->io.fd, v.at, v.len, MSG_NOSIGNAL);
        if (n >= 0) {
            conn->left = true;
            session_sent(conn->tls, (size_t)n);
        } else if (errno == EAGAIN)
            conn->io.bits &= ~(uint32_t)CLIENT_WRITABLE;
        else if (errno != EINTR)
            cut(conn);
    }
    return true;
}

static void send_body_tls(struct client_conn *conn)
{
    while (client_send_tls(conn) && conn->body.len && !conn->cut) {
        struct view piece = view_first(conn->body, CLIENT_TLS_PIECE_BYTES);

        if (!session_write(conn->tls, piece, NULL) ||
            !http_exchange_pass(&conn->exchange, piece.len, NULL)) {
            cut(conn);
            return;
        }
        conn->body = view_skip(conn->body, piece.len);
    }
}

static void send_some(struct client_conn *conn)
{
    if (conn->exchange.sent || conn->cut) {
        if (conn->tls && !conn->cut)
            (void)client_send_tls(conn); /* answers to new keys */
        return;
    }
    if (conn->tls)
        send_body_tls(conn);
    else
        client_send(conn, &conn->out);
    if (!buf_len(&conn->out) && !conn->body.len && !conn->cut && !conn->exchange.upload_left)
        CHECK(http_exchange_sent(&conn->exchange, &conn->out, NULL));
}

void client_transfer_begin(struct client_conn *conn)
{
    struct client_call *call = conn->call;
    struct buf *head = &conn->client->head;
    struct err err = {0};
    bool good;

    conn->keep_ms = 0;
    conn->left = false;
    conn->acknowledged = 0;
    good = client_message_write(call, &conn->exchange, head, &err);
    conn->body = call->has_body ? call->body : view_str(NULL);
    if (good && conn->tls) {
        if (call->has_body && !conn->exchange.upload_left)
            conn->body.len = 0; /* it is behind the head already */
        good = session_write(conn->tls, buf_view(head), &err);
    } else if (good) {
        conn->exchange.sent = false; /* not before the head has left */
        client_send(conn, head);
        good = !buf_len(head) || buf_append(&conn->out, buf_view(head), &err);
    }
    wipe(head);
    if (!good) {
        client_finish(call, err.code == ERR_MEMORY ? CLIENT_MEMORY : CLIENT_URL, &err);
        return;
    }
    client_transfer_pump(conn);
}

/* --- from the server --- */

enum client_filled client_receive(struct client_conn *conn, void *at, size_t *n, struct err *err)
{
    ssize_t got;

    if (conn->ended)
        return CLIENT_END;
    while (conn->io.bits & CLIENT_READABLE) {
        got = recv(conn->io.fd, at, *n, 0);
        if (got > 0) {
            /* All there was: an edge tells of more. Of an end it has told already when both came together. */
            if ((size_t)got < *n && !(conn->io.bits & CLIENT_HUNG_UP))
                conn->io.bits &= ~(uint32_t)CLIENT_READABLE;
            *n = (size_t)got;
            return CLIENT_SOME;
        }
        if (got == 0) {
            conn->ended = true;
            return CLIENT_END;
        }
        if (errno == EAGAIN) {
            conn->io.bits &= ~(uint32_t)CLIENT_READABLE;
        } else if (errno != EINTR) {
            conn->ended = conn->cut = true;
            (void)err_system(err, ERR_IO, errno, "receiving the answer");
            return CLIENT_CUT;
        }
    }
    return CLIENT_NOTHING;
}

/* What TLS has already, as far as there is room. */
static enum client_filled decrypted(struct client_conn *conn, struct buf *into, size_t room_bytes,
                                    struct err *err)
{
    uint8_t *room;
    size_t total = 0;

    if (!buf_room(into, room_bytes, &room, err))
        return CLIENT_CUT;
    while (total < room_bytes) {
        size_t n = room_bytes - total;
        enum tls_status status = session_read(conn->tls, room + total, &n, err);

        if (status == TLS_OK) {
            total += n;
            continue;
        }
        conn->ended = conn->ended || status == TLS_EOF;
        conn->more = total && status == TLS_FAILED; /* it is told once more, behind what was good */
        buf_wrote(into, total);
        if (total)
            return CLIENT_SOME;
        if (status == TLS_EOF)
            return CLIENT_END;
        return status == TLS_FAILED ? CLIENT_CUT : CLIENT_NOTHING;
    }
    conn->more = true;
    buf_wrote(into, total);
    return CLIENT_SOME;
}

static enum client_filled fill_tls(struct client_conn *conn, struct buf *into, struct err *err)
{
    struct client *c = conn->client;
    enum client_filled filled = CLIENT_NOTHING;

    /* An end is TLS's to tell: without close_notify before it, something may have been cut off. */
    if (conn->more || conn->ended)
        return decrypted(conn, into, CLIENT_IN_BYTES, err);
    while (filled == CLIENT_NOTHING && !conn->ended) {
        size_t n = sizeof c->raw;

        filled = client_receive(conn, c->raw, &n, err);
        if (filled == CLIENT_NOTHING || filled == CLIENT_CUT)
            return filled;
        if (filled == CLIENT_END)
            session_feed_end(conn->tls);
        else if (!session_feed(conn->tls, view_from(c->raw, n), err))
            return CLIENT_CUT;
        filled = decrypted(conn, into, CLIENT_IN_BYTES, err);
    }
    return filled;
}

enum client_filled client_fill(struct client_conn *conn, struct buf *into, struct err *err)
{
    enum client_filled filled;
    size_t n = CLIENT_IN_BYTES;
    uint8_t *room;

    if (conn->tls)
        return fill_tls(conn, into, err);
    if (!(conn->io.bits & CLIENT_READABLE) && !conn->ended)
        return CLIENT_NOTHING;
    if (!buf_room(into, n, &room, err))
        return CLIENT_CUT;
    filled = client_receive(conn, room, &n, err);
    if (filled == CLIENT_SOME)
        buf_wrote(into, n);
    return filled;
}

/* "timeout=5, max=100": a second less, for its clock began before ours. */
static uint64_t keep_alive_ms(const struct http_head *head)
{
    struct http_list list = {0};
    struct view element;
    uint64_t s;

    while (http_list_next(head, VIEW("Keep-Alive"), &list, &element))
        if (view_starts(element, VIEW("timeout=")) &&
            text_u64(view_skip(element, 8), KEEP_ALIVE_S_MAX, true, &s))
            return s > 1 ? (s - 1) * 1000 : 1;
    return 0;
}

/* The call has its end, or goes on elsewhere; the connection may carry others. */
static void whole(struct client_conn *conn, size_t rest)
{
    struct client_call *call = conn->call;
    bool keeps =
        http_exchange_keeps(&conn->exchange, rest, conn->ended) && !conn->more && !conn->cut;

    conn->call = NULL;
    call->conn = NULL;
    if (keeps)
        client_pool_give(conn);
    else
        client_conn_drop(conn);
    if (!call->discarding) {
        client_finish(call, CLIENT_OK, NULL);
        return;
    }
    call->discarding = false;
    client_hop(call);
}

/* Follows a redirect: at once, or behind its body where that is short. False: not one to follow. */
static bool redirected(struct client_conn *conn, const struct http_head *head)
{
    struct client_call *call = conn->call;
    enum client_outcome outcome = CLIENT_MEMORY;
    struct view location;
    struct err err = {0};

    if (!client_redirect_wanted(call, head, &location))
        return false;
    if (!client_redirect(call, head->status, location, &outcome, &err)) {
        client_finish(call, outcome, &err);
        return true;
    }
    call->discarding = true;
    call->discarded = 0;
    return true;
}

/* False: nothing more to do here: the call has gone, or has left this connection. */
static bool take_head(struct client_conn *conn, struct buf *in, bool end)
{
    struct client_call *call = conn->call;
    struct http_head head;
    struct err err = {0};

    switch (http_exchange_head(&conn->exchange, in, end, &head, &err)) {
    case HTTP_MORE:
        return true;
    case HTTP_FAILED:
        if (end && !conn->exchange.begun)
            (void)err_set(&err, ERR_IO, "the server closed the connection without an answer");
        client_failed(call, CLIENT_BROKEN, &err);
        return false;
    case HTTP_DONE:
        break;
    }
    conn->keep_ms = keep_alive_ms(&head);
    if (!redirected(conn, &head)) {
        call->end.answered = true;
        call->head_bytes = view_first(buf_view(in), head.bytes);
        if (call->receiver.head)
            call->receiver.head(call->context, &head);
    }
    if (conn->call != call)
        return false;
    buf_eat(in, head.bytes);
    return true;
}

/* More of a redirect's body than a new connection costs? */
static bool discard(struct client_call *call, size_t n)
{
    call->discarded += n;
    if (call->discarded <= CLIENT_DISCARD_BYTES_MAX)
        return true;
    client_conn_drop(call->conn);
    call->discarding = false;
    client_hop(call);
    return false;
}

/* As take_head. */
static bool take_body(struct client_conn *conn, struct buf *in, bool end)
{
    struct client_call *call = conn->call;
    struct err err = {0};

    while (!call->paused) {
        struct view rest = buf_view(in), piece;
        enum http_result result = http_exchange_body(&conn->exchange, &rest, end, &piece, &err);

        if (result == HTTP_FAILED) {
            client_failed(call, CLIENT_BROKEN, &err);
            return false;
        }
        if (result == HTTP_DONE) {
            buf_eat(in, buf_len(in) - rest.len);
            whole(conn, rest.len);
            return false;
        }
        if (!piece.len) {
            buf_eat(in, buf_len(in) - rest.len);
            return true;
        }
        if (call->discarding) {
            if (!discard(call, piece.len))
                return false;
        } else if (call->receiver.piece) {
            call->receiver.piece(call->context, piece);
        }
        if (conn->call != call)
            return false;
        buf_eat(in, buf_len(in) - rest.len);
    }
    return true;
}

/* As take_head. end: nothing more will come. */
static bool take_some(struct client_conn *conn, struct buf *in, bool end)
{
    if (!conn->exchange.answered && !take_head(conn, in, end))
        return false;
    return !conn->exchange.answered || take_body(conn, in, end);
}

/* What is not eaten by the end of the round moves from the client's buffer to the connection's own. */
static bool keep(struct client_conn *conn, struct buf *in)
{
    struct err err = {0};
    bool good = in == &conn->in || buf_append(&conn->in, buf_view(in), &err);

    if (in != &conn->in)
        buf_reset(in);
    else if (!buf_len(in))
        buf_done(in);
    if (!good)
        client_failed(conn->call, CLIENT_MEMORY, &err);
    return good;
}

/* Of an answer in two small writes the second waits for our acknowledgement of the first (RFC 1122, 4.2.3.4), and that one for 40 ms
 * unless it is asked for. */
static void acknowledge(struct client_conn *conn)
{
    const int on = 1;

    if (conn->acknowledged >= CLIENT_ACKNOWLEDGED_MAX)
        return;
    conn->acknowledged++;
    (void)setsockopt(conn->io.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* One round. False: enough for now, or the call has gone. */
static bool receive_round(struct client_conn *conn)
{
    struct client *c = conn->client;
    struct buf *in = buf_len(&conn->in) ? &conn->in : &c->in;
    struct err err = {0};
    enum client_filled filled = client_fill(conn, in, &err);

    if (filled == CLIENT_NOTHING && conn->cut) {
        filled = CLIENT_CUT;
        (void)err_set(&err, ERR_IO, "the connection broke while the request was sent");
    }
    if (filled == CLIENT_NOTHING)
        return false;
    if (filled == CLIENT_CUT) {
        buf_reset(&c->in);
        client_failed(conn->call, CLIENT_BROKEN, &err);
        return false;
    }
    if (!take_some(conn, in, filled == CLIENT_END)) {
        buf_reset(&c->in);
        return false;
    }
    if (!keep(conn, in) || filled == CLIENT_END || conn->call->paused)
        return false;
    if (!(conn->io.bits & CLIENT_READABLE))
        acknowledge(conn);
    return true;
}

static void receive_some(struct client_conn *conn)
{
    struct client_call *call = conn->call;

    /* What a pause has left comes first. */
    if (conn->exchange.answered &&
        (!take_some(conn, &conn->in, false) || !keep(conn, &conn->in) || call->paused))
        return;
    for (unsigned i = 0; i < CLIENT_ROUNDS; i++)
        if (!receive_round(conn))
            return;
    task_queue_long(conn->client->loop, &call->later);
}

void client_transfer_pump(struct client_conn *conn)
{
    struct client_call *call = conn->call;
    struct client *c = conn->client;

    send_some(conn);
    if (call->paused)
        return;
    if (call->starting ||
        c->receiving) { /* inside a receiver, perhaps: what it was lent is still needed */
        if (conn->io.bits & CLIENT_READABLE)
            task_queue(c->loop, &call->later);
        return;
    }
    c->receiving = true;
    receive_some(conn);
    c->receiving = false;
}
