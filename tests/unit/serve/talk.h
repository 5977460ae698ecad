/* A server on a clock that is moved by hand, and clients that talk to it on the same thread. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/serve.h"

#define COUNT(a)             (sizeof(a) / sizeof *(a))
#define STARTS(text, prefix) (strncmp(text, prefix, strlen(prefix)) == 0)

static uint64_t hand_ms;

static inline uint64_t hand_monotonic_ms(void *context)
{
    (void)context;
    return hand_ms;
}

static inline int64_t hand_wall_ms(void *context)
{
    (void)context;
    return 0;
}

static const struct clock hand_clock = {hand_monotonic_ms, hand_wall_ms, NULL};

static struct loop *loop;
static struct server *server;
static struct addr address;

static inline void start_server(const struct serve_options *options)
{
    struct listener l[LISTENERS_MAX];
    size_t count = 0;
    struct err err;

    hand_ms = 5000;
    assert_true(loop_new(&hand_clock, &loop, &err));
    assert_true(server_new(loop, options, &server, &err));
    assert_true(listen_open(VIEW("127.0.0.1:0"), &(struct listen_options){.backlog = 128}, l,
                            &count, &err));
    assert_true(server_listen(server, &l[0], &err));
    address = l[0].addr;
}

static inline void stop(void)
{
    server_free(server);
    loop_free(loop);
}

static inline void turn(void)
{
    struct err err;

    assert_true(loop_turn(loop, 1, &err));
}

static inline void turns(int n)
{
    while (n-- > 0)
        turn();
}

static inline int client(void)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&address, &ss);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* The server reads while there is more to say than the socket holds. */
static inline void say(int fd, const char *text)
{
    size_t left = strlen(text);

    for (int i = 0; i < 5000 && left; i++) {
        ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

        if (sent > 0) {
            text += sent;
            left -= (size_t)sent;
        } else {
            assert_int_equal(errno, EAGAIN);
            turns(1);
        }
    }
    assert_int_equal(left, 0);
}

static char heard[1 << 16];
static size_t heard_len;

/* Turns the loop until the client has read n bytes (or everything, when the server closes). */
static inline bool hear(int fd, size_t n)
{
    for (int i = 0; i < 5000 && heard_len < n; i++) {
        ssize_t got = recv(fd, heard + heard_len, sizeof heard - 1 - heard_len, 0);

        if (got == 0)
            return true;
        if (got > 0)
            heard_len += (size_t)got;
        else {
            assert_int_equal(errno, EAGAIN);
            turn();
        }
        heard[heard_len] = '\0';
    }
    return false;
}

/* One whole answer with a Content-Length, no further. */
static const char *answer_to(int fd, const char *request)
{
    char *end = NULL, *length;

    heard_len = 0;
    heard[0] = '\0';
    if (request)
        say(fd, request);
    for (size_t n = 1; !(end = strstr(heard, "\r\n\r\n")); n++)
        assert_false(hear(fd, n));
    length = strstr(heard, "Content-Length: ");
    assert_non_null(length);
    if (!request || !STARTS(request, "HEAD"))
        assert_false(hear(fd, (size_t)(end + 4 - heard) + strtoul(length + 16, NULL, 10)));
    return heard;
}

static const char *all_until_close(int fd)
{
    heard_len = 0;
    heard[0] = '\0';
    assert_true(hear(fd, sizeof heard));
    return heard;
}

static const char *body_of(const char *answer)
{
    return strstr(answer, "\r\n\r\n") + 4;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
