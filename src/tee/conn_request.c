/* Requests of one client: their heads, where they go, and the answers that are small. */
#include <stdio.h>

#include "base/json.h"
#include "tee/conn.h"

#include "base/poison.h"

enum { GOODBYE_MS = 2000, ERROR_BYTES_MAX = 4096, METRICS_BYTES_MAX = 64 * 1024 };

void conn_next_request(struct conn *c)
{
    conn_access_end(c, true);
    if (!c->keep || c->ended || atomic_load(&c->worker->site->draining)) {
        session_close(c->session);
        c->phase = CONN_CLOSING;
        conn_deadline(c, GOODBYE_MS);
        return;
    }
    c->phase = CONN_HEAD;
    c->began = false;
    http_parser_init(&c->parser);
    conn_deadline(c, c->worker->site->config->idle_timeout_ms);
}

/* --- answers --- */

void conn_answer(struct conn *c, int status, const char *content_type, const char *fields,
                 struct view body)
{
    struct route *r = &c->request;
    char lines[2 * CORS_FIELDS_BYTES];
    struct buf out;
    /* A body that nobody read would be taken for the next request. */
    bool close = !c->keep || (r->plan.kind != HTTP_BODY_NONE && !r->plan.done);
    struct err err;

    (void)snprintf(lines, sizeof lines, "%s%s", r->extra, fields ? fields : "");
    if (c->upstream)
        upstream_give(take(c->upstream), false);
    c->keep = !close;
    if (!c->access.open) /* of a head that nobody could read */
        access_begin(&c->access, VIEW(""), VIEW(""), c->attested);
    c->access.status = status;
    c->access.bytes_down = r->head_only ? 0 : body.len;
    buf_init(&out, (size_t)64 * 1024 + (size_t)PROVIDER_ANSWER_MAX * 4, "answer");
    if (!http_write_answer(&out, status, content_type, *lines ? lines : NULL, body, close,
                           r->head_only, &err) ||
        !conn_write(c, buf_view(&out)))
        c->keep = false;
    buf_done(&out);
    conn_next_request(c);
}

void conn_answer_error(struct conn *c, int status, const char *fields, const char *text)
{
    struct json_writer w;
    struct buf body;

    buf_init(&body, ERROR_BYTES_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, c->request.quote ? "detail" : "error");
    json_text(&w, view_str(text));
    json_object_end(&w);
    if (!json_end(&w, NULL))
        buf_reset(&body);
    conn_answer(c, status, "application/json", fields, buf_view(&body));
    buf_done(&body);
}

static void metrics(struct conn *c)
{
    struct buf page;
    struct err err;

    buf_init(&page, METRICS_BYTES_MAX, "metrics");
    if (tee_metrics(c->worker->site, &page, &err))
        conn_answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buf_view(&page));
    else
        conn_answer_error(c, 500, NULL, "no memory");
    buf_done(&page);
}

/* --- heads --- */

static void dispatch(struct conn *c, const struct http_head *head)
{
    const struct route *r = &c->request;

    switch (r->to) {
    case ROUTE_REFUSED:
        conn_answer_error(c, r->status, r->fields, r->why.text);
        break;
    case ROUTE_PREFLIGHT:
        conn_answer(c, 204, "text/plain; charset=utf-8", cors_preflight_fields, VIEW(""));
        break;
    case ROUTE_QUOTE:
        conn_quote_start(c);
        break;
    case ROUTE_QUOTE_OPTIONS:
        conn_answer(c, 204, "text/plain; charset=utf-8", "Allow: POST, OPTIONS\r\n", VIEW(""));
        break;
    case ROUTE_HEALTH:
        conn_answer(c, 200, "text/plain; charset=utf-8", NULL, VIEW("healthy\n"));
        break;
    case ROUTE_METRICS:
        metrics(c);
        break;
    case ROUTE_APPLICATION:
        conn_proxy_start(c, head);
        break;
    }
}

static void take_request(struct conn *c, const struct http_head *head)
{
    metric_add(&c->worker->stats.requests, 1);
    route_request(&c->worker->site->rules, head, &c->request);
    c->keep = c->request.keep;
    access_begin(&c->access, head->method, c->request.path, c->attested);
    dispatch(c, head);
}

static void refuse_head(struct conn *c)
{
    int status = c->parser.status;

    c->keep = false;
    conn_answer_error(c, status ? status : 400, NULL, c->parser.err.text);
}

/* The first byte of a request. What was known of the one before it is forgotten. */
static void begin(struct conn *c)
{
    c->began = true;
    c->request = (struct route){.plan = {.kind = HTTP_BODY_NONE, .done = true}};
    c->access.start_ms = loop_now_ms(c->worker->loop);
    conn_deadline(c, c->worker->site->config->head_timeout_ms);
}

bool conn_read_head(struct conn *c)
{
    struct http_head head;

    if (buf_len(&c->in)) {
        if (!c->began)
            begin(c);
        switch (http_request_parse(&c->parser, buf_view(&c->in), &head)) {
        case HTTP_MORE:
            break;
        case HTTP_FAILED:
            refuse_head(c);
            return true;
        case HTTP_DONE:
            take_request(c, &head);
            if (c->io.fd < 0)
                return false;
            buf_eat(&c->in, head.bytes);
            return true;
        }
    }
    if (c->ended)
        conn_end(c);
    return false;
}
