#include "guest_agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "http/http.h"
#include "sim/agent.h"

enum { QUESTION_BYTES = 64 * 1024, HEAD_BYTES = 256 };

static void say(int fd, struct view bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return;
        CHECK(n > 0);
        bytes = view_skip(bytes, (size_t)n);
    }
}

enum { CHUNKED = -1, UNTIL_END = -2 };

/* length: of the body, or one of the above. */
static void say_head(int fd, int status, long length)
{
    char head[HEAD_BYTES];

    (void)snprintf(head, sizeof head, "HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n",
                   status);
    say(fd, view_str(head));
    if (length == CHUNKED)
        say(fd, VIEW("Transfer-Encoding: chunked\r\n"));
    (void)snprintf(head, sizeof head, "Content-Length: %ld\r\n", length);
    if (length >= 0)
        say(fd, view_str(head));
    say(fd, VIEW("\r\n"));
}

/* Until the other end has gone, or we are told to go. */
static void hold(const struct guest_agent *a, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLRDHUP}, {.fd = a->stop, .events = POLLIN}};

    CHECK(poll(fds, 2, -1) > 0);
}

static void answer(struct guest_agent *a, int fd, struct view method, struct view body)
{
    bool ours = !a->only || view_eq(method, view_str(a->only));
    enum agent_mood mood = ours ? atomic_load(&a->mood) : AGENT_FAITHFUL;
    struct buf out;
    struct err err;

    buf_init(&out, (size_t)8 * 1024 * 1024, "answer");
    if (mood == AGENT_REFUSES) {
        say_head(fd, a->status, (long)strlen(a->text));
        say(fd, view_str(a->text));
    } else if (mood == AGENT_NO_HTTP) {
        say(fd, VIEW("SSH-2.0-dropbear\r\n\r\n"));
    } else if (mood == AGENT_SILENT) {
        hold(a, fd);
    } else if (!(a->answer ? a->answer(a, method, body, &out, &err)
                           : sim_agent_call(a->platform, a->guest, method, body, &out, &err))) {
        say_head(fd, err_http_status(err.code), (long)strlen(err.text));
        say(fd, view_str(err.text));
    } else if (mood == AGENT_CHUNKED) {
        struct view rest = buf_view(&out);

        say_head(fd, 200, CHUNKED);
        for (size_t i = 0; i < 10 && rest.len > 1; i++, rest = view_skip(rest, 1)) {
            say(fd, VIEW("1\r\n"));
            say(fd, view_first(rest, 1));
            say(fd, VIEW("\r\n"));
        }
        (void)dprintf(fd, "%zx\r\n", rest.len);
        say(fd, rest);
        say(fd, VIEW("\r\n0\r\n\r\n"));
    } else if (mood == AGENT_UNTIL_END) {
        say_head(fd, 200, UNTIL_END);
        say(fd, buf_view(&out));
    } else {
        say_head(fd, 200, (long)buf_len(&out));
        say(fd, view_first(buf_view(&out), buf_len(&out) / (mood == AGENT_CUT ? 2 : 1)));
        if (mood == AGENT_KEEPS_OPEN)
            hold(a, fd);
    }
    buf_done(&out);
}

static void serve_one(struct guest_agent *a, int fd)
{
    uint8_t bytes[4096];
    struct http_parser parser;
    struct http_head head;
    struct http_body plan;
    struct buf question;
    struct view rest;
    ssize_t n = 1;

    buf_init(&question, QUESTION_BYTES, "question");
    http_parser_init(&parser);
    while (http_request_parse(&parser, buf_view(&question), &head) == HTTP_MORE && n > 0) {
        n = recv(fd, bytes, sizeof bytes, 0);
        CHECK(n <= 0 || buf_append(&question, view_from(bytes, (size_t)n), NULL));
    }
    if (n > 0) {
        (void)snprintf(a->asked, sizeof a->asked, "%.*s", (int)head.bytes,
                       (const char *)question.area + question.head);
        CHECK(http_body_plan(&head, false, VIEW(""), &plan, NULL));
        CHECK(plan.kind == HTTP_BODY_LENGTH);
        while (buf_len(&question) < head.bytes + plan.left &&
               (n = recv(fd, bytes, sizeof bytes, 0)) > 0)
            CHECK(buf_append(&question, view_from(bytes, (size_t)n), NULL));
        /* The method's name is the last part of the path; the head's views may have moved. */
        rest = view_str(a->asked);
        rest = view_skip(rest, view_find(rest, ' ') + 1);
        rest = view_first(rest, view_find(rest, ' '));
        rest = view_skip(rest, view_find_last(rest, '/') + 1);
        answer(a, fd, rest, view_skip(buf_view(&question), head.bytes));
    }
    buf_done(&question);
}

static void *serve(void *context)
{
    struct guest_agent *a = context;
    struct pollfd fds[] = {{.fd = a->listener, .events = POLLIN},
                           {.fd = a->stop, .events = POLLIN}};

    for (;;) {
        int fd;

        CHECK(poll(fds, 2, -1) > 0 || errno == EINTR);
        if (fds[1].revents)
            return NULL;
        fd = fds[0].revents ? accept(a->listener, NULL, NULL) : -1;
        if (fd < 0)
            continue;
        serve_one(a, fd);
        close(fd);
    }
}

void guest_agent_open(struct guest_agent *a, const char *path, const struct sim_platform *platform,
                      struct sim_guest *guest)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;

    *a = (struct guest_agent){.platform = platform, .guest = guest};
    a->listener = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a->stop = eventfd(0, EFD_CLOEXEC);
    CHECK(a->listener >= 0 && a->stop >= 0);
    if (path) {
        (void)snprintf(a->path, sizeof a->path, "%s", path);
        memcpy(un.sun_path, a->path, sizeof a->path);
        CHECK(bind(a->listener, (const struct sockaddr *)&un, sizeof un) == 0);
    } else {
        CHECK(bind(a->listener, (const struct sockaddr *)&in, sizeof in) == 0);
        CHECK(getsockname(a->listener, (struct sockaddr *)&in, &n) == 0);
        a->port = ntohs(in.sin_port);
    }
    CHECK(listen(a->listener, 16) == 0);
    CHECK(pthread_create(&a->thread, NULL, serve, a) == 0);
}

void guest_agent_close(struct guest_agent *a)
{
    CHECK(eventfd_write(a->stop, 1) == 0);
    pthread_join(a->thread, NULL);
    close(a->listener);
    close(a->stop);
    if (*a->path)
        (void)unlink(a->path);
}
