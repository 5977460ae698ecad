/* atlas-proxy: the WebSocket-to-TCP bridge. Read main top to bottom to know what it may do when. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/version.h"
#include "bridge/service.h"
#include "net/listen.h"

static void say_finding(void *context, const char *sentence)
{
    log_event(context, LOG_WARN, "configuration.review", sentence);
}

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "atlas-proxy: %s\n", err->text);
    return err_exit_status(err->code);
}

/* --check: everything is parsed and judged, nothing is resolved or opened. */
static int check(const struct config *config, const struct settings *settings, struct log *log)
{
    CLEANUP(policy_unref_cleanup) struct policy *policy = NULL;
    struct err err = {0};

    if (!service_policy(config, settings, log, &policy, &err) || !service_check_tls(config, &err) ||
        !listen_check(view_str(config->listen), &err))
        return fail(&err);
    if (config_review(config, say_finding, log) && config->profile == PROFILE_PROD) {
        (void)err_set(&err, ERR_CONFIG, "--profile=prod does not accept the findings above");
        return fail(&err);
    }
    settings_print(settings, stdout);
    (void)printf("# configuration is good: %zu targets, default target %s\n",
                 allowlist_count(policy->allow),
                 policy->has_default ? policy->default_target.text : "none");
    return 0;
}

static int serve(const struct config *config, const struct settings *settings,
                 struct log_sink *sink, struct log *log, int argc, char **argv, char **environment)
{
    struct service_source source = {.config = config,
                                    .settings = settings,
                                    .sink = sink,
                                    .log = log,
                                    .argc = argc,
                                    .argv = argv,
                                    .environment = environment};
    struct service *service;
    struct err err = {0};
    bool good;

    if (config_review(config, say_finding, log) && config->profile == PROFILE_PROD) {
        (void)err_set(&err, ERR_CONFIG, "--profile=prod does not accept the findings above");
        return fail(&err);
    }
    if (!service_new(&source, &service, &err)) /* policy, certificates, every bind() */
        return fail(&err);
    good = service_confine(service, &err) && /* no new rights, files or ports from here on */
           service_run(service, &err);       /* until SIGTERM, and a drain */
    service_free(service);
    return good ? 0 : fail(&err);
}

int main(int argc, char **argv)
{
    extern char **environ;
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    struct config config;
    enum settings_action action;
    struct log_sink *sink;
    struct log *log;
    struct err err = {0};
    int status;

    if (!settings_load(&config_program, argc, argv, environ, &config, stderr, &settings, &action,
                       &err))
        return err_exit_status(err.code);
    if (action == SETTINGS_HELP) {
        settings_help(&config_program, stdout);
        return 0;
    }
    if (action == SETTINGS_VERSION) {
        (void)printf("atlas-proxy %s\n", POSTERN_VERSION);
        return 0;
    }
    if (action == SETTINGS_PRINT) {
        settings_print(settings, stdout);
        return 0;
    }
    if (!log_sink_new(STDERR_FILENO, (enum log_format)config.log_format,
                      (enum log_level)config.log_level, &clock_system, &sink, &err) ||
        !log_new(sink, &log, &err))
        return fail(&err);
    status = action == SETTINGS_CHECK ? check(&config, settings, log)
                                      : serve(&config, settings, sink, log, argc, argv, environ);
    log_sink_free(sink);
    return status;
}
