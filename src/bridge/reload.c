/* Reload: the whole configuration is read again; what is good replaces the old at once, what is not
 * changes nothing. Listeners, limits and threads need a restart: their settings keep. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/service_priv.h"

enum { RELOAD_WAIT_MS = 500 };

void reload_warning(void *context, const char *sentence)
{
    log_event(context, LOG_WARN, "configuration.warning", sentence);
}

bool service_policy(const struct config *c, const struct settings *settings, struct log *log,
                    struct policy **out, struct err *err)
{
    struct policy_source source =
        config_policy_source(c, settings_source(settings, "target") != SOURCE_DEFAULT);

    return policy_load(&source, reload_warning, log, out, err);
}

bool reload_tls(const struct config *c, struct tls_config **out, struct err *err)
{
    struct tls_options options = {
        .certificates = c->tls_cert,
        .tls12 = c->tls12,
        .client_ca = c->tls_client_ca,
        .client_required = c->tls_client_required,
        .ktls = c->ktls == 0 && tls_kernel_available(),
    };

    *out = NULL;
    return !c->tls_cert || tls_config_load(&options, out, err);
}

bool service_check_tls(const struct config *c, struct err *err)
{
    struct tls_config *tls;

    if (!reload_tls(c, &tls, err))
        return false;
    tls_config_unref(tls);
    return true;
}

/* Complaints of the settings go to the log, a line each. */
static void log_complaints(struct service *s, const char *text)
{
    struct view rest = view_str(text), line;

    while (view_next(&rest, '\n', &line)) {
        char sentence[ERR_TEXT_BYTES];

        if (!line.len)
            continue;
        (void)snprintf(sentence, sizeof sentence, "%.*s", VIEW_ARG(view_first(line, 300)));
        log_event(s->log, LOG_ERROR, "reload.complaint", sentence);
    }
}

static bool read_again(struct service *s, struct config *config, struct settings **settings,
                       struct err *err)
{
    char *complaints = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&complaints, &size);
    enum settings_action action;
    bool good;

    if (!out)
        return err_set(err, ERR_MEMORY, "reading the configuration");
    good = settings_load(&config_program, s->source.argc, s->source.argv, s->source.environment,
                         config, out, settings, &action, err);
    (void)fclose(out);
    if (!good)
        log_complaints(s, complaints);
    free(complaints);
    return good;
}

/* Whoever reads "reloaded" may rely on it. A stuck worker is not waited for longer than a moment. */
static void wait_for_workers(const struct service *s, uint64_t generation)
{
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        for (int n = 0;
             n < RELOAD_WAIT_MS && atomic_load(&s->bridge.workers[i]->generation) < generation; n++)
            usleep(1000);
}

static bool reload(struct service *s, struct err *err)
{
    struct config config = {0};
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    CLEANUP(policy_unref_cleanup) struct policy *policy = NULL;
    struct tls_config *tls = NULL;

    if (!read_again(s, &config, &settings, err) ||
        !service_policy(&config, settings, s->log, &policy, err) || !reload_tls(&config, &tls, err))
        return false;
    if (!tls != !s->tls) {
        tls_config_unref(tls);
        return err_set(err, ERR_CONFIG, "--tls-cert: turning TLS on or off needs a restart");
    }
    log_sink_level(s->source.sink, (enum log_level)config.log_level);
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        worker_reload(s->bridge.workers[i], policy, tls);
    wait_for_workers(s, policy->generation);
    policy_unref(s->policy);
    s->policy = take(policy);
    tls_config_unref(s->tls);
    s->tls = tls;
    return true;
}

void reload_now(struct service *s)
{
    struct err err = {0};

    notify_reloading();
    if (reload(s, &err)) {
        s->reloads_good++;
        log_event(s->log, LOG_INFO, "configuration.reloaded", "configuration reloaded",
                  F_U64("targets", allowlist_count(s->policy->allow)),
                  F_U64("generation", s->policy->generation));
    } else {
        s->reloads_failed++;
        log_event(s->log, LOG_ERROR, "reload.failed",
                  "reload failed; the old configuration stays in force", F_STR("error", err.text));
    }
    notify_ready("serving");
}

static void files_changed(void *context)
{
    reload_now(context);
}

bool reload_watch_files(struct service *s, struct err *err)
{
    const struct config *c = s->source.config;
    struct view pairs = view_str(c->tls_cert ? c->tls_cert : "");
    char first[4096];

    if (!c->watch)
        return true;
    (void)snprintf(
        first, sizeof first, "%.*s",
        VIEW_ARG(view_first(view_first(pairs, view_find(pairs, ':')), sizeof first - 1)));
    return watch_open(&s->watch, s->loop, 0, files_changed, s, err) &&
           watch_file(&s->watch, c->allowlist_file, err) &&
           watch_file(&s->watch, c->auth_token_file, err) &&
           watch_file(&s->watch, c->auth_jwt_jwks, err) &&
           watch_file(&s->watch, c->tls_cert ? first : NULL, err);
}
