/* ws-echo: a test-only server that echoes WebSocket messages with the frame engine of src/ws.
 *
 * The bridge carries bytes and forgets where a message ends, so conformance suites, which look at
 * whole messages, cannot judge it. This program puts the smallest message layer on the same engine:
 * it keeps a message's fragments together, checks the UTF-8 of text as it arrives, and sends the
 * message back.
 *
 *   ws-echo [PORT [MESSAGE_BYTES_MAX]]      port 0 or none: a free one; the first line on stderr
 * names it
 *
 * One thread a connection and blocking calls: it is for tests and meets friendly machines only. */
#include "base/buf.h"
#include "base/codec.h"
#include "http/http.h"
#include "ws/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, FRAME_HEAD_BYTES = 10, CLOSE_WAIT_S = 2 };

static uint64_t message_max = 32U << 20;

struct session {
    int fd;
    struct ws_decoder decoder;
    struct buf message;  /* the open data message */
    enum ws_opcode kind; /* WS_TEXT or WS_BINARY */
    struct utf8 text;    /* its UTF-8, when it is text */
    uint8_t control[WS_CONTROL_MAX];
    size_t control_len;
    bool over; /* a Close was sent: nothing may follow */
};

static bool send_all(int fd, struct view bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = view_skip(bytes, (size_t)n);
    }
    return true;
}

static bool send_frame(struct session *s, enum ws_opcode opcode, struct view payload)
{
    uint8_t head[FRAME_HEAD_BYTES];
    size_t n = ws_frame_head(opcode, payload.len, head);

    return send_all(s->fd, view_from(head, n)) && send_all(s->fd, payload);
}

/* Sends Close once and ends the session. Always returns false, so that callers can stop with it. */
static bool close_with(struct session *s, unsigned code, const char *reason)
{
    uint8_t frame[2 + WS_CONTROL_MAX];
    size_t n = ws_close_frame(code, reason, frame);

    s->over = true;
    (void)send_all(s->fd, view_from(frame, n));
    return false;
}

static bool control_ended(struct session *s)
{
    struct view payload = view_from(s->control, s->control_len), reason;
    unsigned code;

    switch (s->decoder.opcode) {
    case WS_PING:
        return send_frame(s, WS_PONG, payload);
    case WS_CLOSE:
        return ws_close_parse(payload, &code, &reason) ? close_with(s, code, NULL)
                                                       : close_with(s, code, "bad close");
    default:
        return true;
    }
}

static bool message_ended(struct session *s)
{
    bool sent;

    if (s->kind == WS_TEXT && !utf8_complete(&s->text))
        return close_with(s, WS_CLOSE_INVALID_DATA, "text ends inside a character");
    sent = send_frame(s, s->kind, buf_view(&s->message));
    buf_reset(&s->message);
    s->text = (struct utf8){0};
    return sent;
}

static bool payload_came(struct session *s, struct view piece, unsigned phase)
{
    struct err err;
    uint8_t *at;

    if (s->decoder.opcode >= WS_CLOSE) {
        memcpy(s->control + s->control_len, piece.at, piece.len);
        ws_unmask(s->control + s->control_len, piece.len, s->decoder.mask, phase);
        s->control_len += piece.len;
        return true;
    }
    if (!buf_room(&s->message, piece.len, &at, &err))
        return close_with(s, WS_CLOSE_TOO_BIG, "message too big");
    memcpy(at, piece.at, piece.len);
    ws_unmask(at, piece.len, s->decoder.mask, phase);
    buf_wrote(&s->message, piece.len);
    if (s->kind == WS_TEXT && !utf8_feed(&s->text, view_from(at, piece.len)))
        return close_with(s, WS_CLOSE_INVALID_DATA, "not UTF-8");
    return true;
}

/* Works through what arrived. False: the session is over. */
static bool feed(struct session *s, struct view in)
{
    struct view piece;
    unsigned phase = 0;

    for (;;) {
        switch (ws_decode(&s->decoder, &in, &piece, &phase)) {
        case WS_NEED_MORE:
            return true;
        case WS_HEAD:
            s->control_len = 0;
            if (s->decoder.opcode == WS_TEXT || s->decoder.opcode == WS_BINARY)
                s->kind = (enum ws_opcode)s->decoder.opcode;
            break;
        case WS_PAYLOAD:
            if (!payload_came(s, piece, phase))
                return false;
            break;
        case WS_FRAME_END:
            if (s->decoder.opcode >= WS_CLOSE ? !control_ended(s)
                                              : s->decoder.fin && !message_ended(s))
                return false;
            break;
        case WS_FAILED:
            return close_with(s, s->decoder.close_code, s->decoder.reason);
        }
    }
}

/* Reads the request and answers it. *rest: frames that came behind the head, inside bytes. */
static bool upgrade(int fd, uint8_t *bytes, struct view *rest)
{
    struct http_parser parser;
    struct http_head head;
    struct view key;
    struct err err;
    uint8_t answer[512];
    size_t have = 0, n;
    ssize_t got;

    http_parser_init(&parser);
    for (;;) {
        got = recv(fd, bytes + have, HTTP_HEAD_BYTES_MAX - have, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
        switch (http_request_parse(&parser, view_from(bytes, have), &head)) {
        case HTTP_MORE:
            continue;
        case HTTP_FAILED:
            return false;
        case HTTP_DONE:
            break;
        }
        break;
    }
    if (ws_upgrade_check(&head, &key, &err) != WS_UPGRADE_OK)
        return false;
    n = ws_upgrade_answer(key, view_from("", 0), answer, sizeof answer);
    *rest = view_from(bytes + head.bytes, have - head.bytes);
    return n && send_all(fd, view_from(answer, n));
}

/* Waits for the peer's end, so that unread input does not turn our Close into a reset. */
static void linger(int fd, uint8_t *bytes)
{
    struct timeval wait = {.tv_sec = CLOSE_WAIT_S};

    shutdown(fd, SHUT_WR);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    while (recv(fd, bytes, READ_BYTES, 0) > 0)
        continue;
}

static void serve(struct session *s, uint8_t *bytes)
{
    struct view rest;
    ssize_t got;

    if (!upgrade(s->fd, bytes, &rest))
        return;
    if (feed(s, rest)) {
        while ((got = recv(s->fd, bytes, READ_BYTES, 0)) > 0)
            if (!feed(s, view_from(bytes, (size_t)got)))
                break;
    }
    linger(s->fd, bytes);
}

static void *session_main(void *arg)
{
    struct session s = {.fd = (int)(intptr_t)arg};
    uint8_t *bytes = malloc(READ_BYTES);

    ws_decoder_init(&s.decoder, WS_SERVER, message_max);
    buf_init(&s.message, message_max, "message");
    if (bytes)
        serve(&s, bytes);
    free(bytes);
    buf_done(&s.message);
    close(s.fd);
    return NULL;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 128) ||
        getsockname(fd, (struct sockaddr *)&addr, &len)) {
        perror("ws-echo");
        exit(1);
    }
    fprintf(stderr, "listening on 127.0.0.1:%u\n", ntohs(addr.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    int one = 1, listener;

    signal(SIGPIPE, SIG_IGN);
    if (argc > 2)
        message_max = strtoull(argv[2], NULL, 10);
    listener = listen_on(argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;

        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, session_main, (void *)(intptr_t)fd))
            close(fd);
        else
            pthread_detach(thread);
    }
}
