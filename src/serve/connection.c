#include "serve/serve_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum state {
    HEAD,   /* reading a request's head, or waiting for one */
    BODY,   /* reading its body; the head is kept aside */
    ENDING, /* the last answer was written: only its bytes are still to leave */
    LINGER, /* we have said goodbye; what still comes is thrown away */
};

struct connection {
    struct io io; /* first: a connection is found by it */
    struct task task;
    struct timer timer;
    struct retired retired;
    struct server *server;
    struct connection *next, **link;
    struct addr peer;
    enum state state;
    bool closing;  /* this request is the last one */
    bool served;   /* has had an answer */
    bool in_fresh; /* in holds bytes that were not looked at */
    struct http_parser parser;
    struct http_body plan;
    struct buf in, head, body, out;
};

/* How a step of a connection ended. */
enum step { STEP_ON, STEP_WAIT, STEP_GONE };

static void connection_ready(struct loop *loop, struct io *io, uint32_t events);
static void connection_run(struct loop *loop, struct task *task);
static void connection_late(struct loop *loop, struct timer *timer);
static void connection_end(struct connection *c);
static void connection_release(struct loop *loop, struct retired *retired);
static enum step step(struct connection *c);
static enum step flush(struct connection *c);
static enum step linger(struct connection *c);
static enum step receive(struct connection *c);
static enum step read_head(struct connection *c);
static enum step begin_request(struct connection *c, const struct http_head *head);
static enum step begin_body(struct connection *c, const struct http_head *head);
static enum step read_body(struct connection *c);
static enum step answer(struct connection *c, const struct http_head *head, struct view body);
static enum step refuse_request(struct connection *c, int status, const char *text);
static bool expects_continue(const struct http_head *head);
static void within(struct connection *c, uint64_t ms);

void connection_start(struct server *s, int fd, const struct addr *peer)
{
    struct connection *c = calloc(1, sizeof *c);
    int yes = 1;

    if (!c) {
        close(fd);
        return;
    }
    c->io = (struct io){.ready = connection_ready, .fd = fd};
    c->server = s;
    c->peer = *peer;
    c->retired.free = connection_release;
    task_init(&c->task, connection_run);
    timer_init(&c->timer, connection_late);
    http_parser_init(&c->parser);
    buf_init(&c->in, HTTP_HEAD_BYTES_MAX + SERVE_READ_BYTES, "request");
    buf_init(&c->head, HTTP_HEAD_BYTES_MAX, "request head");
    buf_init(&c->body, s->options.body_bytes_max, "request body");
    buf_init(&c->out, s->options.answer_bytes_max + HTTP_HEAD_BYTES_MAX, "answer");
    if (!loop_watch(s->loop, &c->io, NULL)) {
        close(fd);
        free(c);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* no Unix socket has it */
    c->next = s->connections;
    c->link = &s->connections;
    if (c->next)
        c->next->link = &c->next;
    s->connections = c;
    s->connection_count++;
    within(c, s->options.head_timeout_ms);
    task_queue(s->loop, &c->task);
}

struct connection *connection_next(const struct connection *c)
{
    return c->next;
}

void connection_drain(struct connection *c)
{
    /* Who has just come has its first request on the way. */
    if (!c->served && c->state == HEAD)
        within(c, SERVE_DRAIN_MS);
    task_queue(c->server->loop, &c->task);
}

void connection_free(struct connection *c)
{
    struct server *s = c->server;

    timer_cancel(&c->timer);
    task_cancel(s->loop, &c->task);
    loop_forget(s->loop, &c->io);
    close(c->io.fd);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    s->connection_count--;
    connection_release(s->loop, &c->retired);
}

static void connection_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct connection *c = (struct connection *)(void *)io;

    (void)events; /* a step finds out by trying: this is no path for gigabytes */
    task_queue(loop, &c->task);
}

static void connection_run(struct loop *loop, struct task *task)
{
    struct connection *c =
        (struct connection *)(void *)((char *)task - offsetof(struct connection, task));

    for (int i = 0; i < SERVE_STEPS_MAX; i++) {
        switch (step(c)) {
        case STEP_ON:
            continue;
        case STEP_WAIT:
            return;
        case STEP_GONE:
            connection_end(c);
            return;
        }
    }
    task_queue(loop, task);
}

/* The deadline of whatever the connection was doing. */
static void connection_late(struct loop *loop, struct timer *timer)
{
    struct connection *c =
        (struct connection *)(void *)((char *)timer - offsetof(struct connection, timer));
    bool begun = (c->state == HEAD && buf_len(&c->in) > 0) || c->state == BODY;

    if (!begun || buf_len(&c->out) > 0) {
        connection_end(c);
        return;
    }
    if (refuse_request(c, 408, NULL) == STEP_GONE)
        connection_end(c);
    else
        task_queue(loop, &c->task);
}

/* Its memory stays until the end of the turn: we may stand in it. */
static void connection_end(struct connection *c)
{
    struct server *s = c->server;

    timer_cancel(&c->timer);
    task_cancel(s->loop, &c->task);
    loop_forget(s->loop, &c->io);
    close(c->io.fd);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    loop_retire(s->loop, &c->retired);
    server_connection_gone(s);
}

static void connection_release(struct loop *loop, struct retired *retired)
{
    struct connection *c =
        (struct connection *)(void *)((char *)retired - offsetof(struct connection, retired));

    (void)loop;
    buf_done(&c->in);
    buf_done(&c->head);
    buf_done(&c->body);
    buf_done(&c->out);
    free(c);
}

static enum step step(struct connection *c)
{
    /* Nothing is read while an answer waits: that is what holds a client back. */
    if (buf_len(&c->out) > 0)
        return flush(c);
    switch (c->state) {
    case HEAD:
        return c->in_fresh ? read_head(c) : receive(c);
    case BODY:
        return c->in_fresh ? read_body(c) : receive(c);
    case ENDING:
        if (shutdown(c->io.fd, SHUT_WR) != 0)
            return STEP_GONE;
        c->state = LINGER;
        within(c, SERVE_LINGER_MS);
        return STEP_ON;
    case LINGER:
        return linger(c);
    }
    return STEP_GONE;
}

static enum step flush(struct connection *c)
{
    ssize_t n = send(c->io.fd, buf_view(&c->out).at, buf_len(&c->out), MSG_NOSIGNAL);
    const struct serve_options *o = &c->server->options;

    if (n < 0 && errno == EINTR)
        return STEP_ON;
    if (n < 0)
        return errno == EAGAIN ? STEP_WAIT : STEP_GONE;
    buf_eat(&c->out, (size_t)n);
    if (buf_len(&c->out) > 0) {
        within(c, o->idle_timeout_ms);
        return STEP_ON;
    }
    buf_done(&c->out);
    if (c->state == HEAD)
        within(c, buf_len(&c->in) > 0 ? o->head_timeout_ms : o->idle_timeout_ms);
    return STEP_ON;
}

/* Closing a socket with unread bytes in it would reset the connection, and the client might lose
 * our last answer: so we read until it closes too, or its time is over. */
static enum step linger(struct connection *c)
{
    uint8_t unread[SERVE_READ_BYTES];
    ssize_t n = recv(c->io.fd, unread, sizeof unread, 0);

    if (n > 0 || (n < 0 && errno == EINTR))
        return STEP_ON;
    return n < 0 && errno == EAGAIN ? STEP_WAIT : STEP_GONE;
}

static enum step receive(struct connection *c)
{
    bool first = c->state == HEAD && buf_len(&c->in) == 0;
    uint8_t *room;
    ssize_t n;

    if (!buf_room(&c->in, SERVE_READ_BYTES, &room, NULL))
        return STEP_GONE;
    n = recv(c->io.fd, room, SERVE_READ_BYTES, 0);
    if (n < 0 && errno == EINTR)
        return STEP_ON;
    if (n < 0 && errno == EAGAIN) {
        if (first && c->served && c->server->draining)
            return STEP_GONE;
        if (first)
            buf_done(&c->in); /* an idle connection holds no buffer */
        return STEP_WAIT;
    }
    if (n <= 0)
        return STEP_GONE;
    buf_wrote(&c->in, (size_t)n);
    c->in_fresh = true;
    if (first)
        within(c, c->server->options.head_timeout_ms);
    return STEP_ON;
}

static enum step read_head(struct connection *c)
{
    struct http_head head;

    c->in_fresh = false;
    switch (http_request_parse(&c->parser, buf_view(&c->in), &head)) {
    case HTTP_MORE:
        return STEP_ON;
    case HTTP_FAILED:
        if (c->parser.status == 0)
            return STEP_GONE;
        return refuse_request(c, c->parser.status, c->parser.err.text);
    case HTTP_DONE:
        break;
    }
    return begin_request(c, &head);
}

static enum step begin_request(struct connection *c, const struct http_head *head)
{
    struct err err;
    size_t bytes = head->bytes;
    enum step next;

    if (!http_body_plan(head, false, VIEW(""), &c->plan, &err))
        return refuse_request(c, err_http_status(err.code), err.text);
    /* A request of HTTP/1.0 is a probe's: it is served, and done with. */
    c->closing = head->minor == 0 ||
                 http_field_has_token(head, VIEW("Connection"), VIEW("close")) ||
                 c->server->draining;
    http_parser_init(&c->parser);
    next = c->plan.done ? answer(c, head, VIEW("")) : begin_body(c, head);
    buf_eat(&c->in, bytes);
    c->in_fresh = buf_len(&c->in) > 0;
    return next;
}

/* The head moves aside, because the bytes it lies in make room for the body. */
static enum step begin_body(struct connection *c, const struct http_head *head)
{
    if (c->plan.kind == HTTP_BODY_LENGTH && c->plan.left > c->server->options.body_bytes_max)
        return refuse_request(c, 413, NULL);
    if (http_field_count(head, VIEW("Expect")) > 0 && !expects_continue(head))
        return refuse_request(c, 417, NULL);
    if (!buf_append(&c->head, view_first(buf_view(&c->in), head->bytes), NULL))
        return refuse_request(c, 503, NULL);
    /* Who has sent of its body already does not wait to be asked for it. */
    if (expects_continue(head) && head->minor == 1 && buf_len(&c->in) == head->bytes &&
        !buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", NULL))
        return STEP_GONE;
    c->state = BODY;
    within(c, c->server->options.body_timeout_ms);
    return STEP_ON;
}

static enum step read_body(struct connection *c)
{
    struct view in = buf_view(&c->in), piece;
    struct http_parser parser;
    struct http_head head;
    struct err err;
    enum step next;

    c->in_fresh = false;
    while (in.len > 0 && !c->plan.done) {
        if (!http_body_feed(&c->plan, &in, &piece, &err))
            return refuse_request(c, 400, err.text);
        if (!buf_append(&c->body, piece, &err))
            return refuse_request(c, err_http_status(err.code), NULL);
    }
    buf_eat(&c->in, buf_len(&c->in) - in.len);
    if (!c->plan.done)
        return STEP_ON;
    http_parser_init(&parser);
    if (http_request_parse(&parser, buf_view(&c->head), &head) != HTTP_DONE)
        return STEP_GONE;
    c->state = HEAD;
    next = answer(c, &head, buf_view(&c->body));
    buf_done(&c->head);
    buf_done(&c->body);
    c->in_fresh = buf_len(&c->in) > 0;
    return next;
}

static enum step answer(struct connection *c, const struct http_head *head, struct view body)
{
    struct http_target target;
    struct err err;

    if (!http_target_split(head->target, &target, &err))
        return refuse_request(c, 400, err.text);
    if (!server_answer(c->server, head, &target, body, &c->peer, c->closing, &c->out, NULL))
        return STEP_GONE;
    c->served = true;
    if (c->closing)
        c->state = ENDING;
    within(c, c->server->options.idle_timeout_ms);
    return STEP_ON;
}

/* After a request that was not understood or not read to its end nothing more can be understood. */
static enum step refuse_request(struct connection *c, int status, const char *text)
{
    if (!server_answer_status(status, text, NULL, true, false, &c->out, NULL))
        return STEP_GONE;
    c->closing = true;
    c->state = ENDING;
    within(c, c->server->options.idle_timeout_ms);
    return STEP_ON;
}

static bool expects_continue(const struct http_head *head)
{
    struct view value;

    return http_field(head, VIEW("Expect"), &value) && view_eq_nocase(value, VIEW("100-continue"));
}

static void within(struct connection *c, uint64_t ms)
{
    timer_set(c->server->loop, &c->timer, loop_now_ms(c->server->loop) + ms);
}
