#include "tee/attester.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "attest/event_log.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/secret.h"
#include "tee/answer.h"
#include "tee/said.h"
#include "tee/staple.h"

#include "base/poison.h"

enum { LOOK_S = 60, ANSWER_MAX = 16 * 1024 * 1024, TOKENS_MAX = 64 * 1024 };

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
    struct said said;
    struct staple staple;
};

/* --- one answer --- */

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

static bool read_quote(struct view bytes, struct quote *out, struct err *err)
{
    struct attest_err why;

    if (!quote_parse(bytes, out, &why))
        return err_set(err, ERR_SYNTAX, "the provider's quote: %s", why.text);
    if (out->tee != TEE_TDX)
        return err_set(err, ERR_CONFIG, "the provider's quote is of %s, not TDX",
                       quote_tee_name(out->tee));
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
    if (good && !read_quote(buf_view(&q->quote), quote, err)) {
        provider_quote_done(q);
        good = false;
    }
    if (good && !said_known(s, quote, buf_view(&q->event_log)))
        said_forget(s);
    if (good && !buf_len(&s->tcb_info))
        ask_tcb_info(a, &s->tcb_info);
    pthread_mutex_unlock(&a->provider);
    return good;
}

static bool make(struct attester *a, const uint8_t *report_data, struct buf *out, struct err *err)
{
    struct provider_quote q;
    struct quote quote;
    bool good;

    if (!ask_provider(a, report_data, &q, &quote, err))
        return false;
    staple_learn(&a->staple, &quote);
    good = buf_len(&a->said.log) || said_learn(&a->said, &quote, buf_view(&q.event_log), err);
    if (good) {
        const struct answer answer = {
            .quote = buf_view(&q.quote),
            .event_log = buf_view(&a->said.log),
            .vm_config = buf_view(&q.vm_config),
            .tcb_info = buf_view(&a->said.tcb_info),
            .collateral = buf_view(&a->staple.json),
            .report_data = report_data,
            .now_s = (int64_t)time(NULL),
        };

        good = answer_write(&answer, out, err);
    }
    provider_quote_done(&q);
    return good;
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
        until.tv_sec = (time_t)staple_next(&a->staple, (int64_t)until.tv_sec + LOOK_S);
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
        else if (!stop && staple_due(&a->staple, (int64_t)time(NULL)))
            staple_refresh(&a->staple);
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
    said_init(&a->said);
    staple_init(&a->staple, options->pccs_url, options->cache, options->log);
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
    if (good && staple_due(&a->staple, (int64_t)time(NULL)))
        staple_refresh(&a->staple);
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
    said_done(&a->said);
    staple_done(&a->staple);
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
