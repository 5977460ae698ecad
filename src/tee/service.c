#include "tee/service.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/fetch.h"
#include "tee/guard.h"
#include "tee/service_priv.h"
#include "tee/upstream.h"

#include "base/poison.h"

enum { WATCH_SETTLE_MS = 250, DRAIN_LOOK_MS = 50 };

/* --- opening --- */

static bool load_tokens(const struct tee_config *c, struct tee_token *auth,
                        struct tee_token *metrics, struct err *err)
{
    return tee_token_load(c->auth_token_file, getenv("AUTH_SERVICE_TOKEN"), auth, err) &&
           tee_token_load(c->metrics_token_file, NULL, metrics, err);
}

static bool check_words(const struct tee_config *c, struct err *err)
{
    if (c->derived_key && c->key)
        return err_set(err, ERR_CONFIG, "--derived-key takes the place of --key: give one of them");
    if (!c->derived_key && !c->cert != !c->key)
        return err_set(err, ERR_CONFIG, "--cert and --key belong together");
    if (c->csr && !c->derived_key)
        return err_set(err, ERR_CONFIG, "--csr is for --derived-key");
    if (c->acme_webroot && !c->acme_listen)
        return err_set(err, ERR_CONFIG, "--acme-webroot is for --acme-listen");
    if (strlen(c->name) > HOST_BYTES_MAX)
        return err_set(err, ERR_CONFIG, "--name: a host name has at most %d bytes", HOST_BYTES_MAX);
    return guard_check(c->auth_paths, err) && cors_check(c->cors_origins, err);
}

static void make_rules(struct site *s)
{
    s->rules = (struct route_rules){
        .cors_origins = s->config->cors_origins,
        .auth_paths = s->config->auth_paths,
        .auth = &s->auth,
        .metrics = &s->metrics,
        .websockets = s->config->websockets,
        .body_max = s->config->body_max,
    };
}

bool tee_service_check(const struct tee_config *c, struct err *err)
{
    struct session_context *context;
    struct tee_token auth, metrics;

    if (!check_words(c, err) || !load_tokens(c, &auth, &metrics, err) ||
        !upstream_check(c->upstream, err) || !listen_check(view_str(c->listen), err) ||
        (c->acme_listen && !listen_check(view_str(c->acme_listen), err)) ||
        (c->admin && !listen_check(view_str(c->admin), err)))
        return false;
    if (c->derived_key) /* the guest agent has it */
        return true;
    if (!leaf_load(c, NULL, NULL, &context, err))
        return false;
    session_context_unref(context);
    return true;
}

static bool open_attester(struct tee_service *s, struct err *err)
{
    const struct tee_config *c = s->config;
    struct attester_options options = {
        .pccs_url = c->no_staple ? NULL : c->pccs_url,
        .cache = c->cache,
        .waiting_max = c->quotes_waiting,
        .log = s->attester_log,
    };
    const struct provider_options provider = {
        .spec = c->provider,
        .timeout_ms = c->quote_timeout_ms,
        .ccel = c->ccel,
        .event_log = c->event_log,
    };

    if ((!c->no_staple && !fetch_prepare(c->cache, err)) ||
        !provider_open(&provider, &options.provider, err))
        return false;
    s->provider = options.provider;
    return attester_new(&options, &s->site.attester, err);
}

static void files_changed(void *context);
static void signalled(void *context, int signo);

static bool open_watch(struct tee_service *s, struct err *err)
{
    return !s->config->watch || !s->config->cert ||
           (watch_open(&s->watch, s->loop, WATCH_SETTLE_MS, files_changed, s, err) &&
            watch_file(&s->watch, s->config->cert, err) &&
            watch_file(&s->watch, s->config->key, err));
}

static bool open_all(struct tee_service *s, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    const struct tee_config *c = s->config;

    return check_words(c, err) && load_tokens(c, &s->site.auth, &s->site.metrics, err) &&
           log_new(s->sink, &s->attester_log, err) && loop_new(&clock_system, &s->loop, err) &&
           signals_watch(s->loop, signals, 3, signalled, s, err) &&
           upstream_resolve(&s->site, err) && open_attester(s, err) && leaf_key(s, err) &&
           leaf_load(c, s->derived, s->log, &s->measure, err) && open_watch(s, err) &&
           plain_open(s, err) && workers_open(s, err);
}

bool tee_service_new(const struct tee_config *config, struct log_sink *sink, struct log *log,
                     struct tee_service **out, struct err *err)
{
    struct tee_service *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, ERR_MEMORY, "no memory for the service");
    s->config = s->site.config = config;
    make_rules(&s->site);
    s->sink = sink;
    s->log = log;
    pthread_mutex_init(&s->site.lock, NULL);
    descriptors_raise();
    notify_open();
    if (!open_all(s, err)) {
        tee_service_free(s);
        return false;
    }
    listen_systemd_done();
    *out = s;
    return true;
}

void tee_service_free(struct tee_service *s)
{
    if (!s)
        return;
    workers_stop(s);
    workers_join(s);
    attester_free(s->site.attester); /* gives jobs back to loops that are still there */
    workers_free(s);
    session_context_unref(s->site.context);
    session_context_unref(s->measure);
    EVP_PKEY_free(s->derived);
    plain_free(s);
    watch_close(&s->watch);
    if (s->loop)
        signals_unwatch(s->loop);
    loop_free(s->loop);
    pthread_mutex_destroy(&s->site.lock);
    free(s);
}

/* --- signals, and files that change --- */

static void reload(struct tee_service *s)
{
    struct session_context *made;
    struct err err;

    notify_reloading();
    if (leaf_load(s->config, s->derived, s->log, &made, &err) && leaf_use(s, made, &err))
        log_event(s->log, LOG_INFO, "reloaded", "reloaded");
    else
        log_event(s->log, LOG_ERROR, "reload.failed", "the certificate in use stays",
                  F_STR("error", err.text));
    notify_ready("serving");
}

static void files_changed(void *context)
{
    reload(context);
}

/* A second signal does not wait for anybody. */
static void drain(struct tee_service *s, int signo)
{
    if (atomic_exchange(&s->site.draining, true)) {
        s->hurry = true;
        return;
    }
    notify_stopping("draining");
    log_event(s->log, LOG_INFO, "draining", "draining", F_STR("signal", strsignal(signo)));
    workers_drain(s);
    loop_stop(s->loop);
}

static void signalled(void *context, int signo)
{
    struct tee_service *s = context;

    if (signo == SIGHUP)
        reload(s);
    else
        drain(s, signo);
}

/* Workers end by themselves with their last connection; those that do not are stopped when the time is over. */
static void wait_for_workers(struct tee_service *s)
{
    uint64_t until = clock_monotonic_ms(&clock_system) + s->config->drain_timeout_ms;

    while (!s->hurry && atomic_load(&s->site.connections) &&
           clock_monotonic_ms(&clock_system) < until)
        if (!loop_turn(s->loop, DRAIN_LOOK_MS, NULL))
            break;
}

bool tee_service_run(struct tee_service *s, struct err *err)
{
    bool good = log_sink_start(s->sink, err) && attester_start(s->site.attester, err) &&
                leaf_use(s, take(s->measure), err) && workers_start(s, err);

    if (good) {
        notify_ready("serving");
        good = loop_run(s->loop, err);
    }
    if (good)
        wait_for_workers(s);
    workers_stop(s);
    workers_join(s);
    if (good)
        log_event(s->log, LOG_INFO, "stopped", "stopped");
    return good;
}
