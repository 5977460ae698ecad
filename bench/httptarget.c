/* httptarget: the application behind a TLS terminator or a gateway: HTTP/1.1, keep-alive, one thread.
 *
 *   httptarget [--listen 127.0.0.1:8000] [--bytes 1024] [--events 10] [--period-us 5000] [--wait-ms 3000]
 *
 * /stream   server-sent events in chunks: the head together with the first at once, the others a period apart, then the end
 * /N        N bytes with their Content-Length, made when they are first asked for; anything else: --bytes of them. Pages may read them
 * /json     an object of 1 KiB; /wait: the same, --wait-ms later; /v1/…: the answer of a model, of the same size */
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 8192,
    EVENT_BYTES = 200,
    JSON_BYTES = 1024,
    BODIES = 8,
    BODY_MAX = 16 * 1024 * 1024
};

struct conn {
    int fd;
    char request[REQUEST_BYTES];
    size_t len;
    const char *out; /* the rest of an answer that the socket did not take */
    size_t out_len;
    uint64_t events_left, due_ns;
    bool waits;        /* for the answer to /wait, in the queue of those */
    struct conn *next; /* in the queue of streams, soonest first: all have the same period */
};

struct body {
    size_t bytes, len;
    char *answer;
};

static struct server {
    int epoll, listener;
    size_t bytes;
    uint64_t events, period_ns, wait_ns;
    struct body bodies[BODIES], json, model;
    struct conn *first, *last, *first_wait, *last_wait;
    char event[EVENT_BYTES + 16];
    size_t event_len;
} server = {.bytes = 1024, .events = 10, .period_ns = 5000 * 1000, .wait_ns = 3000000000};

static void options(int argc, char **argv)
{
    static const struct option table[] = {
        {"listen", required_argument, NULL, 'l'},  {"bytes", required_argument, NULL, 'b'},
        {"events", required_argument, NULL, 'e'},  {"period-us", required_argument, NULL, 'p'},
        {"wait-ms", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
    const char *listen_on = "127.0.0.1:8000";
    struct sockaddr_in where;

    for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (o == 'l')
            listen_on = optarg;
        else if (o == 'b')
            server.bytes = bench_number(optarg, "--bytes");
        else if (o == 'e')
            server.events = bench_number(optarg, "--events");
        else if (o == 'p')
            server.period_ns = 1000 * bench_number(optarg, "--period-us");
        else if (o == 'w')
            server.wait_ns = 1000000 * bench_number(optarg, "--wait-ms");
        else
            exit(2);
    }
    if (optind != argc || !server.events)
        bench_die("usage: httptarget [--listen ADDRESS] [--bytes N] [--events N] [--period-us N] "
                  "[--wait-ms N]");
    where = bench_address(listen_on);
    server.listener = bench_listen(&where);
}

/* text, with blanks in the place of its '#' that make it JSON_BYTES long. */
static struct body json_body(const char *text)
{
    const char *blanks = strchr(text, '#');
    size_t len = strlen(text) - 1, more = JSON_BYTES - len, at = (size_t)(blanks - text);
    struct body b = {.answer = bench_alloc(256 + JSON_BYTES)};
    size_t n = (size_t)sprintf(
        b.answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
        JSON_BYTES);

    memcpy(b.answer + n, text, at);
    memset(b.answer + n + at, 'z', more);
    memcpy(b.answer + n + at + more, blanks + 1, len - at);
    b.len = n + JSON_BYTES;
    return b;
}

static void prepare(void)
{
    char data[EVENT_BYTES + 1];

    memset(data, 'x', EVENT_BYTES);
    memcpy(data, "data: ", 6);
    memcpy(data + EVENT_BYTES - 2, "\n\n", 3);
    server.event_len =
        (size_t)snprintf(server.event, sizeof server.event, "%x\r\n%s\r\n", EVENT_BYTES, data);
    server.json = json_body(
        "{\"id\":17,\"name\":\"one of "
        "many\",\"tags\":[\"a\",\"b\",\"c\"],\"price\":12.50,\"open\":true,\"text\":\"#\"}");
    server.model =
        json_body("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,"
                  "\"model\":\"m\",\"choices\":[{\"index\":0,"
                  "\"message\":{\"role\":\"assistant\",\"content\":\"#\"},\"finish_reason\":"
                  "\"stop\"}],\"usage\":"
                  "{\"prompt_tokens\":9,\"completion_tokens\":200,\"total_tokens\":209}}");
}

static void want(struct conn *c, uint32_t interest)
{
    struct epoll_event e = {.events = interest, .data.ptr = c};

    epoll_ctl(server.epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void unqueue(struct conn *c)
{
    struct conn **first = c->waits ? &server.first_wait : &server.first, *before = NULL;
    struct conn **last = c->waits ? &server.last_wait : &server.last;

    for (struct conn *at = *first; at; before = at, at = at->next) {
        if (at != c)
            continue;
        *(before ? &before->next : first) = c->next;
        if (*last == c)
            *last = before;
        return;
    }
}

static void queue(struct conn *c)
{
    struct conn **first = c->waits ? &server.first_wait : &server.first;
    struct conn **last = c->waits ? &server.last_wait : &server.last;

    c->next = NULL;
    *(*last ? &(*last)->next : first) = c;
    *last = c;
}

static void end(struct conn *c)
{
    if (c->events_left || c->waits)
        unqueue(c);
    close(c->fd);
    free(c);
}

static const struct body *body_of(size_t bytes)
{
    char head[192];
    struct body *b = server.bodies;
    size_t n;

    while (b < server.bodies + BODIES && b->answer && b->bytes != bytes)
        b++;
    if (b == server.bodies + BODIES)
        bench_die("more than %d sizes of body", BODIES);
    if (b->answer)
        return b;
    n = (size_t)snprintf(head, sizeof head,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                         "%zu\r\nCache-Control: no-store\r\n"
                         "Access-Control-Allow-Origin: *\r\n\r\n",
                         bytes);
    *b = (struct body){.bytes = bytes, .len = n + bytes, .answer = bench_alloc(n + bytes)};
    memcpy(b->answer, head, n);
    memset(b->answer + n, 'y', bytes);
    return b;
}

/* Sends, and keeps what the socket does not take. False: the connection is over. */
static bool put(struct conn *c, const char *bytes, size_t len)
{
    ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return false;
    n = n < 0 ? 0 : n;
    c->out = bytes + n;
    c->out_len = len - (size_t)n;
    if (c->out_len)
        want(c, EPOLLOUT);
    return true;
}

/* An event is small: a socket that does not take it whole has a reader that is long gone. */
static bool put_event(struct conn *c)
{
    char text[EVENT_BYTES + 32];
    size_t n = server.event_len;

    memcpy(text, server.event, n);
    if (--c->events_left == 0) {
        memcpy(text + n, "0\r\n\r\n", 5);
        n += 5;
    }
    return send(c->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool stream(struct conn *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    char text[sizeof head + EVENT_BYTES + 32];
    size_t n = sizeof head - 1;

    memcpy(text, head, n);
    memcpy(text + n, server.event, server.event_len);
    n += server.event_len;
    c->events_left = server.events - 1;
    if (!c->events_left) {
        memcpy(text + n, "0\r\n\r\n", 5);
        n += 5;
    } else {
        c->due_ns = bench_now_ns() + server.period_ns;
        queue(c);
    }
    return send(c->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool answer(struct conn *c)
{
    const char *path = strchr(c->request, ' ');
    const struct body *b;

    if (!path || path[1] != '/')
        return false;
    path++;
    if (strncmp(path, "/stream ", 8) == 0)
        return stream(c);
    if (strncmp(path, "/wait", 5) == 0) {
        c->waits = true;
        c->due_ns = bench_now_ns() + server.wait_ns;
        queue(c);
        return true;
    }
    if (strncmp(path, "/json", 5) == 0)
        b = &server.json;
    else if (strncmp(path, "/v1/", 4) == 0)
        b = &server.model;
    else if (path[1] >= '0' && path[1] <= '9') {
        size_t bytes = strtoul(path + 1, NULL, 10);

        b = body_of(bytes < BODY_MAX ? bytes : BODY_MAX);
    } else {
        b = body_of(server.bytes);
    }
    return put(c, b->answer, b->len);
}

/* The whole length of the request that has come, 0 while its head has not. */
static size_t request_length(const struct conn *c)
{
    const char *end = strstr(c->request, "\r\n\r\n"), *field;

    if (!end)
        return 0;
    field = strcasestr(c->request, "\r\ncontent-length:");
    return (size_t)(end + 4 - c->request) +
           (field && field < end ? strtoul(field + 17, NULL, 10) : 0);
}

/* One request at a time: nobody here asks for more before the answer is there. */
static bool read_turn(struct conn *c)
{
    size_t length;
    ssize_t n = recv(c->fd, c->request + c->len, sizeof c->request - 1 - c->len, 0);

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->len += (size_t)n;
    c->request[c->len] = '\0';
    length = request_length(c);
    if (!length || c->len < length)
        return c->len < sizeof c->request - 1;
    c->len = 0;
    return !c->events_left && !c->waits && answer(c);
}

static bool write_turn(struct conn *c)
{
    if (!put(c, c->out, c->out_len))
        return false;
    if (!c->out_len)
        want(c, EPOLLIN);
    return true;
}

static void accept_all(void)
{
    for (int fd; (fd = bench_accept(server.listener)) >= 0;) {
        struct conn *c = bench_alloc(sizeof *c);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

        c->fd = fd;
        epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

/* Returns how long nothing is due. */
static uint64_t run_streams(uint64_t now)
{
    while (server.first && server.first->due_ns <= now) {
        struct conn *c = server.first;
        bool alive;

        unqueue(c);
        alive = put_event(c);
        c->due_ns += server.period_ns;
        if (alive && c->events_left)
            queue(c);
        else
            c->events_left = 0;
        if (!alive)
            end(c);
    }
    return server.first ? server.first->due_ns - now : UINT64_MAX;
}

static uint64_t run_waits(uint64_t now)
{
    while (server.first_wait && server.first_wait->due_ns <= now) {
        struct conn *c = server.first_wait;

        unqueue(c);
        c->waits = false;
        if (!put(c, server.json.answer, server.json.len))
            end(c);
    }
    return server.first_wait ? server.first_wait->due_ns - now : UINT64_MAX;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256], on = {.events = EPOLLIN};

    options(argc, argv);
    prepare();
    bench_raise_files();
    prctl(PR_SET_TIMERSLACK, 1);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.listener, &on))
        bench_die("epoll_ctl: %m");
    for (;;) {
        uint64_t now = bench_now_ns(), streams = run_streams(now), waits = run_waits(now);
        uint64_t wait = streams < waits ? streams : waits;
        struct timespec t = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
        int n = epoll_pwait2(server.epoll, events, 256, wait == UINT64_MAX ? NULL : &t, NULL);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (!c)
                accept_all();
            else if (!(events[i].events & EPOLLOUT ? write_turn(c) : read_turn(c)))
                end(c);
        }
    }
}
