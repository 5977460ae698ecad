/* POST /tdx_quote: the nonce in, report data from it and the session's own exporter value, the attester's answer out. */
#include <stdio.h>
#include <stdlib.h>

#include "attest/verify.h"
#include "base/secret.h"
#include "tee/conn.h"

#include "base/poison.h"

enum { MINUTE_MS = 60000, QUEUE_RETRY_S = 5 };

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

static void refuse_failed(struct conn *c)
{
    conn_answer(c, 500, "application/json", NULL,
                VIEW("{\"success\":false,\"error\":\"Failed to obtain TDX quote or TCB "
                     "info\",\"quote_type\":\"tdx\"}"));
}

static void refuse_replaced(struct conn *c)
{
    c->keep = false;
    conn_answer_error(c, 409, NULL, "the certificate has been replaced; connect again");
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
            refuse_failed(c);
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

static unsigned seconds_left(const struct conn *c)
{
    uint64_t passed = loop_now_ms(c->worker->loop) - c->minute_ms;

    return (unsigned)((MINUTE_MS - passed + 999) / 1000);
}

static void refuse_late(struct conn *c, unsigned retry_s, const char *text)
{
    char field[48];

    (void)snprintf(field, sizeof field, "Retry-After: %u\r\n", retry_s);
    conn_answer_error(c, 503, field, text);
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
        conn_answer_error(c, 422, NULL, "nonce_hex must be a string of 64 hex digits");
        return;
    }
    if (!certificate_current(c)) {
        refuse_replaced(c);
        return;
    }
    if (too_fast(c)) {
        refuse_late(c, seconds_left(c), "too many quotes on one connection");
        return;
    }
    job = calloc(1, sizeof *job);
    if (!job || !report_data(c, nonce, job->report_data)) {
        free(job);
        refuse_failed(c);
        return;
    }
    job->loop = c->worker->loop;
    job->done = quote_done;
    job->context = c;
    if (!attester_ask(c->worker->site->attester, job)) {
        free(job);
        refuse_late(c, QUEUE_RETRY_S, "too many quotes are waited for");
        return;
    }
    c->job = job;
    conn_deadline(c, 0); /* the provider has a time-out of its own */
}

void conn_quote_start(struct conn *c)
{
    buf_reset(&c->body);
    c->phase = CONN_QUOTE;
    conn_deadline(c, c->worker->site->config->head_timeout_ms);
}

void conn_quote_forget(struct conn *c)
{
    if (c->job)
        c->job->context = NULL; /* it comes back to nobody */
}

void conn_quote_run(struct conn *c)
{
    struct http_body *plan = &c->request.plan;
    struct view in = buf_view(&c->in), piece;
    struct err why;

    if (c->job) {
        if (c->ended)
            conn_end(c);
        return;
    }
    while (!plan->done && in.len) {
        bool good = http_body_feed(plan, &in, &piece, &why);

        c->access.bytes_up += good ? piece.len : 0;
        if (!good || !buf_append(&c->body, piece, &why)) {
            c->keep = false;
            conn_answer_error(c, why.code == ERR_LIMIT ? 413 : 400, NULL,
                              "the body of a quote request is JSON of at most 4096 bytes");
            return;
        }
    }
    buf_eat(&c->in, buf_len(&c->in) - in.len);
    if (plan->done)
        ask(c);
    else if (c->ended)
        conn_end(c);
}
