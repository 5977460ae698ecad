/* atlas-tee: the endpoint inside a trusted execution environment. */
#include <stdio.h>
#include <unistd.h>

#include "base/command.h"
#include "base/secret.h"
#include "tee/service.h"

int main(int argc, char **argv)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    struct tee_config config;
    struct log_sink *sink = NULL;
    struct log *log = NULL;
    struct err err = {.code = ERR_NONE};
    int status;
    bool good;

    if (!command_start(&tee_program, argc, argv, environ, &config, &settings, &status))
        return status;
    secret_no_dumps();
    good = log_sink_new(STDERR_FILENO, (enum log_format)config.log_format,
                        (enum log_level)config.log_level, &clock_system, &sink, &err) &&
           log_new(sink, &log, &err) && log_sink_start(sink, &err) &&
           tee_service_run(&config, sink, log, &err);
    if (sink)
        log_sink_stop(sink);
    log_sink_free(sink);
    if (!good)
        (void)fprintf(stderr, "atlas-tee: %s\n", err.text);
    return good ? 0 : err_exit_status(err.code);
}
