/* What the endpoint answers itself: /tdx_quote, /health, /metrics, and preflights. */
#include <stdlib.h>

#include "attest/verify.h"
#include "base/secret.h"
#include "tee/conn.h"

#include "base/poison.h"

enum { MINUTE_MS = 60000 };

void conn_answer(struct conn *c, int status, const char *content_type, const char *extra,
                 struct view body)
{
    char fields[sizeof c->extra + 256];
    struct buf out;
    /* A body that nobody read would be taken for the next request. */
    bool close = !c->keep || (c->plan.kind != HTTP_BODY_NONE && !c->plan.done);
    struct err err;

    (void)snprintf(fields, sizeof fields, "%s%s", c->extra, extra ? extra : "");
    if (c->upstream)
        upstream_give(take(c->upstream), false);
    c->keep = !close;
    if (!c->access.open) /* of a head that nobody could read */
        access_begin(&c->access, VIEW(""), VIEW(""), c->attested);
    c->access.status = status;
    c->access.bytes_down = c->head_only ? 0 : body.len;
    buf_init(&out, (size_t)64 * 1024 + (size_t)PROVIDER_ANSWER_MAX * 4, "answer");
    if (!http_write_answer(&out, status, content_type, *fields ? fields : NULL, body, close,
                           c->head_only, &err) ||
        !conn_write(c, buf_view(&out)))
        c->keep = false;
    buf_done(&out);
    conn_next_request(c);
}

static void answer_error(struct conn *c, int status, const char *extra, const char *text)
{
    char body[256];

    (void)snprintf(body, sizeof body, "{\"detail\":\"%s\"}", text);
    conn_answer(c, status, "application/json", extra, view_str(body));
}

/* --- /tdx_quote --- */

/* A connection whose certificate is no longer the last one measured cannot be attested: the log names another. The same leaf with
 * another chain is the same. */
static bool certificate_current(struct conn *c)
{
    struct session_context *now = site_context(c->worker->site);
    uint8_t ours[SESSION_HASH_BYTES], theirs[SESSION_HASH_BYTES];

    session_context_leaf(c->context, ours);
    session_context_leaf(now, theirs);
    session_context_unref(now);
    return memcmp(ours, theirs, sizeof ours) == 0;
}

static void refuse_replaced(struct conn *c)
{
    c->keep = false;
    answer_error(c, 409, NULL, "the certificate has been replaced; connect again");
}

/* The certificate may have been replaced while the quote was made. */
static void quote_done(struct attester_job *job, void *context)
{
    struct conn *c = context;

    if (c) {
        c->job = NULL;
        if (!certificate_current(c)) {
            refuse_replaced(c);
        } else if (job->good) {
            conn_answer(c, 200, "application/json", NULL, buf_view(&job->answer));
            c->attested = true;
        } else {
            conn_answer(c, 500, "application/json", NULL,
                        VIEW("{\"success\":false,\"error\":\"Failed to obtain TDX quote or TCB "
                             "info\",\"quote_type\":\"tdx\"}"));
        }
        conn_wake(c);
    }
    buf_done(&job->answer);
    secret_wipe(job->report_data, sizeof job->report_data);
    free(job);
}

static bool too_fast(struct conn *c)
{
    uint32_t most = c->worker->site->config->quotes_per_minute;
    uint64_t now = loop_now_ms(c->worker->loop);

    if (now - c->minute_ms >= MINUTE_MS) {
        c->minute_ms = now;
        c->minute_quotes = 0;
    }
    return most && ++c->minute_quotes > most;
}

static bool report_data(struct conn *c, const uint8_t *nonce, uint8_t *out)
{
    uint8_t exporter[SESSION_EXPORTER_BYTES];
    bool good =
        session_exporter(c->session, exporter, NULL) && attest_report_data(nonce, exporter, out);

    secret_wipe(exporter, sizeof exporter);
    return good;
}

static void ask(struct conn *c)
{
    uint8_t nonce[EXCHANGE_NONCE_BYTES];
    struct attester_job *job;
    struct err why;

    if (!exchange_nonce(buf_view(&c->body), nonce, &why)) {
        answer_error(c, 422, NULL, "nonce_hex must be a string of 64 hex digits");
        return;
    }
    if (!certificate_current(c)) {
        refuse_replaced(c);
        return;
    }
    job = too_fast(c) ? NULL : calloc(1, sizeof *job);
    if (!job || !report_data(c, nonce, job->report_data)) {
        free(job);
        answer_error(c, 503, "Retry-After: 60\r\n", "too many quotes on one connection");
        return;
    }
    job->loop = c->worker->loop;
    job->done = quote_done;
    job->context = c;
    if (!attester_ask(c->worker->site->attester, job)) {
        free(job);
        answer_error(c, 503, "Retry-After: 5\r\n", "too many quotes are waited for");
        return;
    }
    c->job = job;
    conn_deadline(c, 0); /* the provider has a time-out of its own */
}

void conn_quote_body(struct conn *c)
{
    struct view in = buf_view(&c->in), piece;
    struct err why;

    if (c->job) {
        if (c->ended)
            conn_end(c);
        return;
    }
    while (!c->plan.done && in.len) {
        bool good = http_body_feed(&c->plan, &in, &piece, &why);

        c->access.bytes_up += good ? piece.len : 0;
        if (!good || !buf_append(&c->body, piece, &why)) {
            c->keep = false;
            answer_error(c, why.code == ERR_LIMIT ? 413 : 400, NULL,
                         "the body of a quote request is JSON of at most 4096 bytes");
            return;
        }
    }
    buf_eat(&c->in, buf_len(&c->in) - in.len);
    if (c->plan.done || c->plan.kind == HTTP_BODY_NONE) {
        c->plan.done = true;
        ask(c);
    } else if (c->ended) {
        conn_end(c);
    }
}

/* --- the others --- */

static void metrics(struct conn *c, const struct http_head *head)
{
    struct view value = VIEW("");
    struct buf page;
    struct err err;

    if (!http_field(head, VIEW("Authorization"), &value) ||
        !tee_token_good(&c->worker->site->metrics, value)) {
        conn_answer(c, 401, "application/json", "WWW-Authenticate: Bearer\r\n",
                    VIEW("{\"error\":\"a bearer token is needed\"}"));
        return;
    }
    buf_init(&page, (size_t)64 * 1024, "metrics");
    if (tee_metrics(c->worker->site, &page, &err))
        conn_answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buf_view(&page));
    else
        conn_answer(c, 500, "text/plain; charset=utf-8", NULL, VIEW("no memory\n"));
    buf_done(&page);
}

static void preflight(struct conn *c)
{
    conn_answer(c, 204, "text/plain; charset=utf-8",
                "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                "Access-Control-Allow-Headers: Authorization,Content-Type,Range\r\n"
                "Access-Control-Max-Age: 1728000\r\n",
                VIEW(""));
}

bool conn_local(struct conn *c, const struct http_head *head, struct view path)
{
    bool get = view_eq(head->method, VIEW("GET")) || c->head_only;

    if (*c->extra && view_eq(head->method, VIEW("OPTIONS")) &&
        http_field_count(head, VIEW("Access-Control-Request-Method"))) {
        preflight(c);
        return true;
    }
    if (view_eq(path, VIEW(EXCHANGE_PATH))) {
        if (view_eq(head->method, VIEW("POST"))) {
            buf_reset(&c->body);
            c->phase = CONN_QUOTE;
            conn_deadline(c, c->worker->site->config->head_timeout_ms);
        } else {
            answer_error(c, 405, "Allow: POST\r\n", "Method Not Allowed");
        }
        return true;
    }
    if (get && view_eq(path, VIEW("/health"))) {
        conn_answer(c, 200, "text/plain; charset=utf-8", NULL, VIEW("healthy\n"));
        return true;
    }
    if (get && c->worker->site->metrics.set && view_eq(path, VIEW("/metrics"))) {
        metrics(c, head);
        return true;
    }
    return false;
}
