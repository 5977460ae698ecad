#include "tee/attester.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "attest/dcap.h"
#include "attest/event_log.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/secret.h"
#include "fetch/fetch.h"

#include "base/poison.h"

enum {
    REFRESH_S = 3600,
    RETRY_S = 60,
    FETCH_TIMEOUT_MS = 30000,
    ANSWER_MAX = 16 * 1024 * 1024,
    TOKENS_MAX = 64 * 1024
};

/* What came of the last event log. Quotes come with the same one until something is measured: then it and a register change. */
struct said {
    struct buf event_log; /* as the provider gave it */
    uint8_t rtmr[RTMR_COUNT][MEASUREMENT_BYTES];
    struct buf log;      /* with digests, as a text in JSON; empty: nothing came yet */
    struct buf tcb_info; /* JSON; empty: it was not told */
};

struct attester {
    struct attester_options options;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct attester_job *first, **last;
    unsigned waiting;
    bool stop, has_leaf;
    uint8_t leaf[32];
    struct attester_stats stats;
    pthread_mutex_t provider; /* one call at a time */
    /* The thread's own. */
    struct collateral_need need;
    bool has_need;
    struct buf staple;
    int64_t staple_due_s;
    struct said said;
};

/* --- the log, with the digests of its runtime events --- */

static void put_hex(struct json_writer *w, const char *key, struct view v)
{
    json_key(w, key);
    json_hex(w, v);
}

static void copy_member(const struct json_doc *doc, uint32_t key, struct json_writer *w)
{
    uint32_t value = doc->tokens[key].next;
    char name[64];

    if (!json_string(doc, key, name, sizeof name))
        return;
    json_key(w, name);
    if (doc->tokens[value].kind == JSON_STRING) {
        struct view raw = json_span(doc, value);

        json_raw(w, view_from(raw.at - 1, raw.len + 2)); /* with its quotes */
    } else {
        json_raw(w, json_span(doc, value));
    }
}

static void copy_event(const struct json_doc *doc, uint32_t object, const struct event *e,
                       struct json_writer *w)
{
    uint32_t key = json_first(object);
    bool digest = false;

    json_object(w);
    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        if (view_eq(json_span(doc, key), VIEW("digest"))) {
            put_hex(w, "digest", view_from(e->digest, sizeof e->digest));
            digest = true;
        } else {
            copy_member(doc, key, w);
        }
        key = doc->tokens[doc->tokens[key].next].next;
    }
    if (!digest)
        put_hex(w, "digest", view_from(e->digest, sizeof e->digest));
    json_object_end(w);
}

/* What does not replay is refused by every client: better said here, where it can be mended. */
static bool replays(const struct quote *q, const struct event_log *log, struct err *err)
{
    uint8_t rtmr[RTMR_COUNT][MEASUREMENT_BYTES];

    if (!event_log_replay(log, rtmr))
        return err_set(err, ERR_MEMORY, "no memory for a digest");
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        if (!view_eq(q->td.rtmr[i], view_from(rtmr[i], MEASUREMENT_BYTES)))
            return err_set(err, ERR_CONFIG,
                           "the provider's event log does not replay to RTMR%u of its quote: no "
                           "client would accept it. Something was measured that the log does not "
                           "tell, or the log is of another start of this machine",
                           i);
    return true;
}

static bool with_digests(const struct quote *q, struct view text, struct buf *out, struct err *err)
{
    CLEANUP(event_log_free_cleanup) struct event_log *log = NULL;
    struct attest_err why;
    struct json_tree tree;
    struct json_writer w;
    uint32_t at;

    if (!event_log_parse(text, &log, &why))
        return err_set(err, ERR_SYNTAX, "the provider's event log: %s", why.text);
    if (!replays(q, log, err) || !json_load(text, TOKENS_MAX, &tree, err))
        return false;
    json_begin(&w, out);
    json_array(&w);
    at = json_first(0);
    for (uint32_t i = 0; i < log->count; i++) {
        copy_event(&tree.doc, at, &log->events[i], &w);
        at = tree.doc.tokens[at].next;
    }
    json_array_end(&w);
    json_unload(&tree);
    return json_end(&w, err);
}

/* --- one answer --- */

/* In the order in which the reference service writes its members. */
static bool write_answer(struct attester *a, const struct provider_quote *q,
                         const uint8_t *report_data, struct buf *out, struct err *err)
{
    struct json_writer w;
    char now[32];

    (void)snprintf(now, sizeof now, "%lld", (long long)time(NULL));
    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "success");
    json_bool(&w, true);
    json_key(&w, "quote");
    json_object(&w);
    put_hex(&w, "quote", buf_view(&q->quote));
    json_key(&w, "event_log");
    json_raw(&w, buf_view(&a->said.log));
    put_hex(&w, "report_data", view_from(report_data, REPORT_DATA_BYTES));
    json_key(&w, "vm_config");
    json_text(&w, buf_view(&q->vm_config));
    json_object_end(&w);
    json_key(&w, "tcb_info");
    if (buf_len(&a->said.tcb_info))
        json_raw(&w, buf_view(&a->said.tcb_info));
    else
        json_null(&w);
    json_key(&w, "timestamp");
    json_text(&w, view_str(now));
    json_key(&w, "quote_type");
    json_text(&w, VIEW("tdx"));
    json_key(&w, "error");
    json_null(&w);
    if (buf_len(&a->staple)) {
        json_key(&w, "collateral");
        json_raw(&w, buf_view(&a->staple));
    }
    json_object_end(&w);
    return json_end(&w, err);
}

static bool known(const struct said *s, const struct quote *q, struct view event_log)
{
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        if (!view_eq(q->td.rtmr[i], view_from(s->rtmr[i], MEASUREMENT_BYTES)))
            return false;
    return buf_len(&s->log) && view_eq(buf_view(&s->event_log), event_log);
}

static void forget(struct said *s)
{
    buf_reset(&s->event_log);
    buf_reset(&s->log);
    buf_reset(&s->tcb_info);
}

/* Informational: nobody trusts it. But what is put in as it is must be JSON. */
static void ask_tcb_info(struct attester *a, struct buf *out)
{
    struct json_tree tree;
    struct err ignored;

    if (provider_tcb_info(a->options.provider, out, &ignored) && buf_len(out) &&
        json_load(buf_view(out), TOKENS_MAX, &tree, &ignored))
        json_unload(&tree);
    else
        buf_reset(out);
}

static bool read_quote(struct attester *a, struct view bytes, struct quote *out, struct err *err)
{
    struct attest_err why;

    if (!quote_parse(bytes, out, &why))
        return err_set(err, ERR_SYNTAX, "the provider's quote: %s", why.text);
    if (out->tee != TEE_TDX)
        return err_set(err, ERR_CONFIG, "the provider's quote is of %s, not TDX",
                       quote_tee_name(out->tee));
    if (!a->has_need)
        a->has_need = dcap_need(out, &a->need, &why);
    return true;
}

/* A quote; and what belongs to its log, unless that is known: both at one time. */
static bool ask_provider(struct attester *a, const uint8_t *report_data, struct provider_quote *q,
                         struct quote *quote, struct err *err)
{
    struct said *s = &a->said;
    bool good;

    pthread_mutex_lock(&a->provider);
    good = provider_get_quote(a->options.provider, report_data, q, err);
    if (good && !read_quote(a, buf_view(&q->quote), quote, err)) {
        provider_quote_done(q);
        good = false;
    }
    if (good && !known(s, quote, buf_view(&q->event_log)))
        forget(s);
    if (good && !buf_len(&s->tcb_info))
        ask_tcb_info(a, &s->tcb_info);
    pthread_mutex_unlock(&a->provider);
    return good;
}

static bool learn_log(struct said *s, const struct quote *q, struct view event_log, struct err *err)
{
    struct json_writer w;
    struct buf log;
    bool good;

    buf_init(&log, ANSWER_MAX, "event log");
    good = with_digests(q, event_log, &log, err) && buf_append(&s->event_log, event_log, err);
    json_begin(&w, &s->log);
    if (good)
        json_text(&w, buf_view(&log));
    good = good && json_end(&w, err);
    buf_done(&log);
    if (!good)
        forget(s);
    for (unsigned i = 0; good && i < RTMR_COUNT; i++)
        memcpy(s->rtmr[i], q->td.rtmr[i].at, MEASUREMENT_BYTES);
    return good;
}

static bool make(struct attester *a, const uint8_t *report_data, struct buf *out, struct err *err)
{
    struct provider_quote q;
    struct quote quote;
    bool good;

    if (!ask_provider(a, report_data, &q, &quote, err))
        return false;
    good = (buf_len(&a->said.log) || learn_log(&a->said, &quote, buf_view(&q.event_log), err)) &&
           write_answer(a, &q, report_data, out, err);
    provider_quote_done(&q);
    return good;
}

/* --- stapling --- */

static void refresh(struct attester *a)
{
    struct fetch_options options = {
        .url = a->options.pccs_url,
        .timeout_ms = FETCH_TIMEOUT_MS,
        .cache = a->options.cache,
        .now_s = clock_wall_ms(&clock_system) / 1000,
    };
    struct collateral *c = NULL;
    struct attest_err why;
    struct json_writer w;

    if (!fetch_collateral(&options, &a->need, &c, &why)) {
        log_event(a->options.log, LOG_WARN, "collateral.failed",
                  "collateral could not be fetched; clients will have to",
                  F_STR("error", why.text));
        a->staple_due_s = options.now_s + RETRY_S;
        return;
    }
    buf_reset(&a->staple);
    json_begin(&w, &a->staple);
    collateral_write(c, &w);
    if (!json_end(&w, NULL))
        buf_reset(&a->staple);
    collateral_free(c);
    a->staple_due_s = options.now_s + REFRESH_S;
    log_event(a->options.log, LOG_INFO, "collateral.fetched", "collateral will be stapled",
              F_U64("bytes", buf_len(&a->staple)));
}

static bool refresh_due(const struct attester *a)
{
    return a->options.pccs_url && a->has_need && time(NULL) >= a->staple_due_s;
}

/* --- the thread --- */

static void give_back(struct loop *loop, struct post *post)
{
    struct attester_job *job = (struct attester_job *)(void *)post;

    (void)loop;
    job->done(job, job->context);
}

static void serve(struct attester *a, struct attester_job *job)
{
    uint64_t start = clock_monotonic_us();
    struct err err;

    buf_init(&job->answer, ANSWER_MAX, "answer");
    job->good = make(a, job->report_data, &job->answer, &err);
    if (!job->good)
        log_event(a->options.log, LOG_ERROR, "quote.failed", "no quote", F_STR("error", err.text));
    pthread_mutex_lock(&a->lock);
    a->stats.quotes += job->good;
    a->stats.failures += !job->good;
    a->stats.last_us = clock_monotonic_us() - start;
    pthread_mutex_unlock(&a->lock);
    loop_post(job->loop, &job->post);
}

/* The next job; NULL: it is time to refresh, or to stop. */
static struct attester_job *next_job(struct attester *a, bool *stop)
{
    struct attester_job *job;
    struct timespec until;

    pthread_mutex_lock(&a->lock);
    while (!a->stop && !a->first) {
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += RETRY_S;
        if (a->options.pccs_url && a->has_need && a->staple_due_s < until.tv_sec)
            until.tv_sec = a->staple_due_s;
        if (pthread_cond_timedwait(&a->wake, &a->lock, &until) == ETIMEDOUT)
            break;
    }
    job = a->first;
    if (job) {
        a->first = job->next;
        if (!a->first)
            a->last = &a->first;
        a->waiting--;
    }
    *stop = a->stop && !job;
    pthread_mutex_unlock(&a->lock);
    return job;
}

static void *run(void *context)
{
    struct attester *a = context;
    bool stop = false;

    while (!stop) {
        struct attester_job *job = next_job(a, &stop);

        if (job)
            serve(a, job);
        else if (!stop && refresh_due(a))
            refresh(a);
    }
    return NULL;
}

/* --- */

bool attester_new(const struct attester_options *options, struct attester **out, struct err *err)
{
    struct attester *a = calloc(1, sizeof *a);

    if (!a) {
        provider_free(options->provider);
        return err_set(err, ERR_MEMORY, "no memory for the attester");
    }
    a->options = *options;
    a->last = &a->first;
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->provider, NULL);
    pthread_cond_init(&a->wake, NULL);
    buf_init(&a->staple, COLLATERAL_BYTES_MAX, "collateral");
    buf_init(&a->said.event_log, ANSWER_MAX, "event log");
    buf_init(&a->said.log, ANSWER_MAX, "event log");
    buf_init(&a->said.tcb_info, ANSWER_MAX, "tcb_info");
    *out = a;
    return true;
}

bool attester_start(struct attester *a, struct err *err)
{
    uint8_t random[REPORT_DATA_BYTES];
    struct buf first;
    bool good;

    buf_init(&first, ANSWER_MAX, "answer");
    random_bytes(random, sizeof random);
    good = make(a, random, &first, err);
    buf_done(&first);
    if (good && refresh_due(a))
        refresh(a);
    if (good && pthread_create(&a->thread, NULL, run, a) != 0)
        good = err_set(err, ERR_MEMORY, "no thread for the attester");
    a->started = good;
    return good;
}

void attester_free(struct attester *a)
{
    if (!a)
        return;
    if (a->started) {
        pthread_mutex_lock(&a->lock);
        a->stop = true;
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    provider_free(a->options.provider);
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->provider);
    pthread_mutex_destroy(&a->lock);
    buf_done(&a->staple);
    buf_done(&a->said.event_log);
    buf_done(&a->said.log);
    buf_done(&a->said.tcb_info);
    free(a);
}

bool attester_ask(struct attester *a, struct attester_job *job)
{
    bool taken;

    pthread_mutex_lock(&a->lock);
    taken = a->waiting < a->options.waiting_max && !a->stop;
    if (taken) {
        job->post.run = give_back;
        job->next = NULL;
        *a->last = job;
        a->last = &job->next;
        a->waiting++;
        pthread_cond_signal(&a->wake);
    } else {
        a->stats.refused++;
    }
    pthread_mutex_unlock(&a->lock);
    return taken;
}

bool attester_certificate(struct attester *a, const uint8_t sha256[static 32], struct err *err)
{
    char hex[65];
    bool good;

    pthread_mutex_lock(&a->provider);
    good = a->has_leaf && memcmp(a->leaf, sha256, sizeof a->leaf) == 0;
    if (!good) {
        hex_encode(view_from(sha256, 32), hex);
        good = provider_emit(a->options.provider, EVENT_CERTIFICATE, view_str(hex), err);
        a->has_leaf = good;
        memcpy(a->leaf, sha256, sizeof a->leaf);
        if (good) {
            pthread_mutex_lock(&a->lock);
            a->stats.events++;
            pthread_mutex_unlock(&a->lock);
        }
    }
    pthread_mutex_unlock(&a->provider);
    return good;
}

struct attester_stats attester_stats(struct attester *a)
{
    struct attester_stats s;

    pthread_mutex_lock(&a->lock);
    s = a->stats;
    s.waiting = a->waiting;
    pthread_mutex_unlock(&a->lock);
    return s;
}
