/* Spans and series under one mutex; what is exported is taken out of it at once, so that loops wait for no network. */
#include "ati/telemetry/telemetry_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/secret.h"

#include "base/poison.h"

enum {
    LABELS_BYTES_MAX = 4096,
    REQUEST_TIMEOUT_MS = 10 * 1000,
    RETRY_MS = 1000, /* doubled each time */
    ANSWER_BYTES_MAX = 64 * 1024,
};

/* One of the two signals on its way to the collector. */
struct export_ {
    struct telemetry *t;
    const char *what; /* "traces" */
    struct client_call *call;
    struct buf body;
    struct timer again;
    unsigned tries;
    bool busy;
    bool once_more; /* what came while it was busy is the last there will be */
    bool failing;   /* said so already */
};

struct telemetry {
    pthread_mutex_t lock; /* spans, series, dropped */
    struct buf spans;
    uint64_t dropped;
    struct telemetry_series_table series;

    struct telemetry_config config;
    char *version;
    int64_t start_ns;
    struct log *log;
    struct loop *loop;
    struct client *client;
    struct timer timer, give_up;
    struct export_ traces, metrics;
    struct client_field fields[TELEMETRY_HEADERS_MAX + 1];
    size_t field_count;
    struct post half; /* of the room for spans is full */
    bool half_posted;
    void (*flushed)(void *context);
    void *flushed_context;
};

static void export_all(struct loop *loop, struct timer *timer);
static void half_full(struct loop *loop, struct post *post);
static void give_up(struct loop *loop, struct timer *timer);
static void again(struct loop *loop, struct timer *timer);
static void export_traces(struct telemetry *t);
static void export_metrics(struct telemetry *t);
static void send_(struct export_ *x);
static void collected(void *context, struct client_answer *answer);

static int64_t wall_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void export_init(struct export_ *x, struct telemetry *t, const char *what)
{
    x->t = t;
    x->what = what;
    buf_init(&x->body, TELEMETRY_BODY_BYTES_MAX, "telemetry");
    timer_init(&x->again, again);
}

bool telemetry_new(char **environment, const char *version, struct log *log, struct telemetry **out,
                   struct err *err)
{
    struct telemetry_config config;
    struct telemetry *t;

    *out = NULL;
    if (!telemetry_config_load(&config, environment, version, err))
        return false;
    if (!config.traces_url && !config.metrics_url) {
        telemetry_config_done(&config);
        return true;
    }
    t = calloc(1, sizeof *t);
    if (!t || !(t->version = strdup(version)) || pthread_mutex_init(&t->lock, NULL) != 0) {
        if (t)
            free(t->version);
        free(t);
        telemetry_config_done(&config);
        return err_set(err, ERR_MEMORY, "telemetry: no memory");
    }
    t->config = config;
    t->log = log;
    t->start_ns = wall_ns();
    buf_init(&t->spans, TELEMETRY_SPANS_BYTES_MAX, "spans");
    export_init(&t->traces, t, "traces");
    export_init(&t->metrics, t, "metrics");
    timer_init(&t->timer, export_all);
    timer_init(&t->give_up, give_up);
    t->half.run = half_full;
    *out = t;
    return true;
}

bool telemetry_start(struct telemetry *t, struct loop *loop, struct client *client, struct err *err)
{
    (void)err;
    t->loop = loop;
    t->client = client;
    t->fields[t->field_count++] =
        (struct client_field){.name = VIEW("Content-Type"), .value = VIEW("application/json")};
    for (size_t i = 0; i < t->config.header_count; i++)
        t->fields[t->field_count++] =
            (struct client_field){.name = view_str(t->config.headers[i].name),
                                  .value = view_str(t->config.headers[i].value),
                                  .secret = true};
    timer_set(loop, &t->timer, loop_now_ms(loop) + TELEMETRY_EVERY_MS);
    return true;
}

void telemetry_free(struct telemetry *t)
{
    struct export_ *both[2];

    if (!t)
        return;
    both[0] = &t->traces;
    both[1] = &t->metrics;
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->call)
            client_cancel(both[i]->call);
        timer_cancel(&both[i]->again);
        buf_done(&both[i]->body);
    }
    timer_cancel(&t->timer);
    timer_cancel(&t->give_up);
    telemetry_config_done(&t->config);
    telemetry_series_done(&t->series);
    buf_done(&t->spans);
    pthread_mutex_destroy(&t->lock);
    free(t->version);
    free(t);
}

/* --- what loops say --- */

void span_begin(struct telemetry *t, struct span *s, const char *name, enum span_kind kind,
                const struct trace_context *parent)
{
    *s = (struct span){.name = name, .kind = kind};
    if (!t)
        return;
    if (parent && parent->valid) {
        s->parent = *parent;
        s->context = *parent;
    } else {
        random_bytes(s->context.trace_id, sizeof s->context.trace_id);
    }
    random_bytes(s->context.span_id, sizeof s->context.span_id);
    s->context.sampled = telemetry_sample(&t->config, parent, s->context.trace_id);
    s->context.valid = true;
    s->start_ns = wall_ns();
}

void span_end(struct telemetry *t, struct span *s, bool failed,
              const struct span_attribute *attributes, size_t count)
{
    size_t before;
    bool half = false;

    if (!t || !s->context.valid || !s->context.sampled || !t->config.traces_url)
        return;
    pthread_mutex_lock(&t->lock);
    before = buf_len(&t->spans);
    if (!telemetry_encode_span(s, wall_ns(), failed, attributes, count, &t->spans, NULL)) {
        t->dropped++;
        t->spans.tail = t->spans.head + before;
    }
    if (buf_len(&t->spans) > TELEMETRY_SPANS_BYTES_MAX / 2 && !t->half_posted)
        t->half_posted = half = true;
    pthread_mutex_unlock(&t->lock);
    s->context.valid = false;
    if (half)
        loop_post(t->loop, &t->half);
}

/* Under the lock. */
static struct telemetry_series *series_of(struct telemetry *t, const char *instrument,
                                          const struct span_attribute *labels, size_t count,
                                          bool histogram)
{
    struct telemetry_series *s = NULL;
    struct buf text;

    buf_init(&text, LABELS_BYTES_MAX, "labels");
    if (telemetry_encode_attributes(labels, count, &text, NULL))
        s = telemetry_series_find(&t->series, instrument, buf_view(&text), histogram);
    buf_done(&text);
    return s;
}

void telemetry_count(struct telemetry *t, const char *instrument,
                     const struct span_attribute *labels, size_t count, uint64_t n)
{
    struct telemetry_series *s;

    if (!t || !t->config.metrics_url)
        return;
    pthread_mutex_lock(&t->lock);
    s = series_of(t, instrument, labels, count, false);
    if (s)
        s->count += n;
    pthread_mutex_unlock(&t->lock);
}

void telemetry_observe(struct telemetry *t, const char *instrument,
                       const struct span_attribute *labels, size_t count, double ms)
{
    struct telemetry_series *s;

    if (!t || !t->config.metrics_url)
        return;
    pthread_mutex_lock(&t->lock);
    s = series_of(t, instrument, labels, count, true);
    if (s)
        telemetry_series_observe(s, ms);
    pthread_mutex_unlock(&t->lock);
}

/* --- exports --- */

static void finished(struct export_ *x)
{
    struct telemetry *t = x->t;

    x->busy = false;
    buf_done(&x->body);
    if (x->once_more) {
        x->once_more = false;
        if (x == &t->traces)
            export_traces(t);
        else
            export_metrics(t);
    }
    if (t->flushed && !t->traces.busy && !t->metrics.busy) {
        void (*done)(void *context) = t->flushed;

        t->flushed = NULL;
        timer_cancel(&t->give_up);
        done(t->flushed_context);
    }
}

static void failed(struct export_ *x, const char *why, bool retry)
{
    struct telemetry *t = x->t;

    if (!x->failing)
        log_event(t->log, LOG_WARN, "telemetry.failing", "a collector does not take telemetry",
                  F_STR("signal", x->what), F_STR("reason", why));
    x->failing = true;
    if (retry && x->tries < TELEMETRY_TRIES) {
        timer_set(t->loop, &x->again,
                  loop_now_ms(t->loop) + ((uint64_t)RETRY_MS << (x->tries - 1)));
        return;
    }
    finished(x);
}

static void again(struct loop *loop, struct timer *timer)
{
    (void)loop;
    send_((struct export_ *)(void *)((char *)timer - offsetof(struct export_, again)));
}

static void send_(struct export_ *x)
{
    struct telemetry *t = x->t;
    struct client_request request = {
        .method = VIEW("POST"),
        .url = view_str(x == &t->traces ? t->config.traces_url : t->config.metrics_url),
        .fields = t->fields,
        .field_count = t->field_count,
        .body = buf_view(&x->body),
        .has_body = true,
        .repeatable = true, /* a batch that comes twice has the same ids and sums */
        .timeout_ms = REQUEST_TIMEOUT_MS,
    };
    struct err err = {0};

    x->tries++;
    x->call = client_collect(t->client, &request, ANSWER_BYTES_MAX, collected, x, &err);
    if (!x->call)
        failed(x, err.text, true);
}

static void collected(void *context, struct client_answer *answer)
{
    struct export_ *x = context;
    int status = answer->status;
    char text[32];

    x->call = NULL;
    if (answer->end.outcome != CLIENT_OK) {
        failed(x, answer->end.err.text, true);
        return;
    }
    if (status < 200 || status > 299) {
        (void)snprintf(text, sizeof text, "HTTP %d", status);
        failed(x, text, status == 429 || status == 502 || status == 503 || status == 504);
        return;
    }
    if (x->failing)
        log_event(x->t->log, LOG_INFO, "telemetry.recovered", "a collector takes telemetry again",
                  F_STR("signal", x->what));
    x->failing = false;
    finished(x);
}

static void export_traces(struct telemetry *t)
{
    struct buf spans;
    uint64_t dropped;

    if (t->traces.busy || !t->config.traces_url)
        return;
    pthread_mutex_lock(&t->lock);
    spans = t->spans;
    buf_init(&t->spans, TELEMETRY_SPANS_BYTES_MAX, "spans");
    dropped = t->dropped;
    t->dropped = 0;
    t->half_posted = false;
    pthread_mutex_unlock(&t->lock);
    if (dropped)
        log_event(t->log, LOG_WARN, "telemetry.dropped", "spans were dropped: too many waited",
                  F_U64("spans", dropped));
    if (buf_len(&spans) && telemetry_encode_traces(buf_view(&t->config.resource), t->version,
                                                   buf_view(&spans), &t->traces.body, NULL)) {
        t->traces.busy = true;
        t->traces.tries = 0;
        send_(&t->traces);
    } else {
        buf_done(&t->traces.body);
    }
    buf_done(&spans);
}

static void export_metrics(struct telemetry *t)
{
    bool some;

    if (t->metrics.busy || !t->config.metrics_url)
        return;
    pthread_mutex_lock(&t->lock);
    some = t->series.all &&
           telemetry_encode_metrics(buf_view(&t->config.resource), t->version, &t->series,
                                    t->start_ns, wall_ns(), &t->metrics.body, NULL);
    pthread_mutex_unlock(&t->lock);
    if (some) {
        t->metrics.busy = true;
        t->metrics.tries = 0;
        send_(&t->metrics);
    } else {
        buf_done(&t->metrics.body);
    }
}

static void half_full(struct loop *loop, struct post *post)
{
    (void)loop;
    export_traces((struct telemetry *)(void *)((char *)post - offsetof(struct telemetry, half)));
}

static void export_all(struct loop *loop, struct timer *timer)
{
    struct telemetry *t =
        (struct telemetry *)(void *)((char *)timer - offsetof(struct telemetry, timer));

    export_traces(t);
    export_metrics(t);
    timer_set(loop, &t->timer, loop_now_ms(loop) + TELEMETRY_EVERY_MS);
}

void telemetry_flush(struct telemetry *t, void (*done)(void *context), void *context)
{
    timer_cancel(&t->timer);
    t->flushed = done;
    t->flushed_context = context;
    t->traces.once_more = t->traces.busy;
    t->metrics.once_more = t->metrics.busy;
    export_traces(t);
    export_metrics(t);
    timer_set(t->loop, &t->give_up,
              loop_now_ms(t->loop) + (t->traces.busy || t->metrics.busy ? TELEMETRY_FLUSH_MS : 0));
}

static void give_up(struct loop *loop, struct timer *timer)
{
    struct telemetry *t =
        (struct telemetry *)(void *)((char *)timer - offsetof(struct telemetry, give_up));
    void (*done)(void *context) = t->flushed;

    (void)loop;
    t->flushed = NULL;
    if (done)
        done(t->flushed_context);
}
