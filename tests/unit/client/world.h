/* A client on a loop whose clock stands still unless it is moved, and a server that the test plays itself, over real sockets. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../support/dns_server.h"
#include "client/client.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { TURNS_MAX = 4000, SEEN_BYTES = 256 * 1024 };

struct world {
    struct clock clock;
    uint64_t now_ms;
    struct loop *loop;
    struct dns_server *dns;
    struct resolver *resolver;
    struct client *client;
    int listener;
    uint16_t port;
    char origin[64]; /* "http://127.0.0.1:port" */
    unsigned fds;
};

/* What a caller is told. */
struct asker {
    struct world *world;
    struct client_call *call;
    unsigned heads, dones;
    int status;
    char fields[2048]; /* "Name: value\n" each */
    struct buf body;
    unsigned pieces;
    struct client_end end;
    bool pause_in_head, pause_in_piece, cancel_in_head, cancel_in_piece;
    struct asker *next; /* started from done */
    struct client_request next_request;
};

static inline uint64_t world_monotonic(void *context)
{
    return ((struct world *)context)->now_ms;
}

static inline int64_t world_wall(void *context)
{
    (void)context;
    return 0;
}

static inline unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    assert_int_equal(closedir(dir), 0);
    return n;
}

static inline void use_client(struct world *w, const struct client_options *o)
{
    struct err err = {0};

    client_free(w->client);
    w->client = NULL;
    if (!client_new(w->loop, w->resolver, o, &w->client, &err))
        fail_msg("%s", err.text);
}

static inline int listen_at(const char *ip, uint16_t *port)
{
    struct sockaddr_storage ss;
    struct addr a;
    socklen_t len;
    int fd;

    assert_true(addr_parse_ip(view_str(ip), false, &a));
    a.port = *port;
    len = addr_to_sockaddr(&a, &ss);
    fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    len = sizeof ss;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    addr_from_sockaddr((struct sockaddr *)&ss, &a);
    *port = a.port;
    return fd;
}

static inline int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct resolve_options o = {
        .ttl_max_ms = 60 * 1000, .negative_ms = 2000, .timeout_ms = 60 * 1000};

    assert_non_null(w);
    w->fds = count_fds();
    w->now_ms = 1000;
    w->clock = (struct clock){world_monotonic, world_wall, w};
    assert_true(loop_new(&w->clock, &w->loop, NULL));
    w->dns = dns_server_new(w->loop);
    o.servers = dns_server_text(w->dns);
    assert_true(resolver_new(w->loop, &o, &w->resolver, NULL));
    w->listener = listen_at("127.0.0.1", &w->port);
    (void)snprintf(w->origin, sizeof w->origin, "http://127.0.0.1:%u", w->port);
    use_client(w, &(struct client_options){.user_agent = "tests/1"});
    *state = w;
    return 0;
}

static inline int close_world(void **state)
{
    struct world *w = *state;

    client_free(w->client);
    resolver_free(w->resolver);
    dns_server_free(w->dns);
    loop_free(w->loop);
    if (w->listener >= 0)
        close(w->listener);
    assert_int_equal(count_fds(), w->fds);
    free(w);
    return 0;
}

static inline void turn(struct world *w)
{
    assert_true(loop_turn(w->loop, 2, NULL));
}

static inline void some_turns(struct world *w)
{
    for (unsigned i = 0; i < 5; i++)
        turn(w);
}

/* --- the caller --- */

static inline void caller_head(void *context, const struct http_head *head)
{
    struct asker *c = context;
    size_t n = 0;

    c->heads++;
    c->status = head->status;
    for (size_t i = 0; i < head->count; i++)
        n += (size_t)snprintf(c->fields + n, sizeof c->fields - n, "%.*s: %.*s\n",
                              VIEW_ARG(head->fields[i].name), VIEW_ARG(head->fields[i].value));
    if (c->pause_in_head)
        client_pause(c->call);
    if (c->cancel_in_head)
        client_cancel(c->call);
}

static inline void caller_piece(void *context, struct view piece)
{
    struct asker *c = context;

    assert_true(piece.len > 0);
    c->pieces++;
    assert_true(buf_append(&c->body, piece, NULL));
    if (c->pause_in_piece)
        client_pause(c->call);
    if (c->cancel_in_piece)
        client_cancel(c->call);
}

static inline void caller_start(struct world *w, struct asker *c,
                                const struct client_request *request);

static inline void caller_done(void *context, const struct client_end *end)
{
    struct asker *c = context;

    c->dones++;
    c->end = *end;
    c->call = NULL;
    assert_int_equal(end->answered, c->heads);
    assert_int_equal(end->outcome == CLIENT_OK, end->err.text[0] == '\0');
    if (c->next)
        caller_start(c->world, c->next, &c->next_request);
}

static const struct client_receiver caller_receiver = {caller_head, caller_piece, caller_done};

static inline void caller_start(struct world *w, struct asker *c,
                                const struct client_request *request)
{
    struct err err = {0};

    c->world = w;
    buf_init(&c->body, 64 << 20, "body");
    c->call = client_start(w->client, request, &caller_receiver, c, &err);
    if (!c->call)
        fail_msg("%s", err.text);
    assert_int_equal(c->dones, 0); /* never from inside */
    assert_int_equal(c->heads, 0);
}

static inline void get(struct world *w, struct asker *c, const char *url)
{
    caller_start(w, c, &(struct client_request){.method = VIEW("GET"), .url = view_str(url)});
}

static inline void wait_end(struct world *w, struct asker *c)
{
    for (unsigned i = 0; i < TURNS_MAX && !c->dones; i++)
        turn(w);
    assert_int_equal(c->dones, 1);
}

static inline void check_end(struct world *w, struct asker *c, enum client_outcome outcome)
{
    wait_end(w, c);
    if (c->end.outcome != outcome)
        fail_msg("%s instead of %s: %s", client_outcome_name(c->end.outcome),
                 client_outcome_name(outcome), c->end.err.text);
    buf_done(&c->body);
}

static inline void check_answer(struct world *w, struct asker *c, int status, const char *body)
{
    wait_end(w, c);
    if (c->end.outcome != CLIENT_OK)
        fail_msg("%s", c->end.err.text);
    assert_int_equal(c->status, status);
    assert_int_equal(buf_len(&c->body), strlen(body));
    if (body[0])
        assert_memory_equal(buf_view(&c->body).at, body, strlen(body));
    buf_done(&c->body);
}

/* --- the server --- */

static inline int serve(struct world *w)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            return fd;
        turn(w);
    }
    fail_msg("nobody came");
    return -1;
}

static inline void nobody_comes(struct world *w)
{
    some_turns(w);
    assert_int_equal(accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1);
    assert_int_equal(errno, EAGAIN);
}

/* Reads until what came ends with this. Returns all of it, until the next call. */
static inline const char *heard(struct world *w, int fd, const char *end)
{
    static char seen[SEEN_BYTES];
    size_t n = 0;

    for (unsigned i = 0; i < TURNS_MAX; i++) {
        ssize_t got = recv(fd, seen + n, sizeof seen - 1 - n, 0);

        if (got > 0) {
            n += (size_t)got;
            seen[n] = '\0';
            if (n >= strlen(end) && strcmp(seen + n - strlen(end), end) == 0)
                return seen;
            continue;
        }
        if (got == 0)
            fail_msg("the client hung up after: %s", seen);
        turn(w);
    }
    fail_msg("the client said only: %s", seen);
    return NULL;
}

static inline void say_bytes(struct world *w, int fd, const void *at, size_t len)
{
    const uint8_t *from = at;

    for (unsigned i = 0; len && i < TURNS_MAX; i++) {
        ssize_t n = send(fd, from, len, MSG_NOSIGNAL);

        if (n > 0) {
            from += n;
            len -= (size_t)n;
        }
        turn(w);
    }
    assert_int_equal(len, 0);
}

static inline void say(struct world *w, int fd, const char *text)
{
    say_bytes(w, fd, text, strlen(text));
}

static inline void check_hung_up(struct world *w, int fd)
{
    char byte;

    for (unsigned i = 0; i < TURNS_MAX; i++) {
        ssize_t n = recv(fd, &byte, 1, 0);

        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            close(fd);
            return;
        }
        assert_true(n < 0 && errno == EAGAIN);
        turn(w);
    }
    fail_msg("the client is still there");
}

static inline void reset(int fd)
{
    struct linger l = {.l_onoff = 1};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    close(fd);
}

#define world_test(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

/* --- what most tests ask for --- */

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static inline void world_url(const struct world *w, const char *path, char out[static 256])
{
    (void)snprintf(out, 256, "%s%s", w->origin, path);
}

static inline void world_pass(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    some_turns(w);
}
