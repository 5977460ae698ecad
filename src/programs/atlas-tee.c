/* atlas-tee: the endpoint inside a trusted execution environment. Read main top to bottom to know what it may do when. */
#include <stdio.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/version.h"
#include "tee/service.h"

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "atlas-tee: %s\n", err->text);
    return err_exit_status(err->code);
}

/* --check: everything is read and judged, nothing is resolved, opened or measured. */
static int check(const struct tee_config *config, const struct settings *settings)
{
    struct err err = {0};

    if (!tee_service_check(config, &err))
        return fail(&err);
    settings_print(settings, stdout);
    (void)printf("# configuration is good\n");
    return 0;
}

static int serve(const struct tee_config *config)
{
    struct tee_service *service = NULL;
    struct log_sink *sink = NULL;
    struct err err = {0};
    struct log *log;
    bool good;

    good = log_sink_new(STDERR_FILENO, (enum log_format)config->log_format,
                        (enum log_level)config->log_level, &clock_system, &sink, &err) &&
           log_new(sink, &log, &err) &&
           tee_service_new(config, sink, log, &service, &err) && /* keys, every bind() */
           tee_service_confine(service, &err) && /* no new rights, files or ports from here on */
           tee_service_run(service, &err);       /* until SIGTERM, and a drain */
    tee_service_free(service);
    if (sink)
        log_sink_stop(sink);
    log_sink_free(sink);
    return good ? 0 : fail(&err);
}

int main(int argc, char **argv)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    enum settings_action action;
    struct tee_config config;
    struct err err = {0};

    if (!settings_load(&tee_program, argc, argv, environ, &config, stderr, &settings, &action,
                       &err))
        return err_exit_status(err.code);
    secret_no_dumps();
    switch (action) {
    case SETTINGS_HELP:
        settings_help(&tee_program, stdout);
        return 0;
    case SETTINGS_VERSION:
        (void)printf("%s %s\n", tee_program.name, POSTERN_VERSION);
        return 0;
    case SETTINGS_PRINT:
        settings_print(settings, stdout);
        return 0;
    case SETTINGS_CHECK:
        return check(&config, settings);
    case SETTINGS_RUN:
        break;
    }
    return serve(&config);
}
