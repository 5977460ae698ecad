/* service: the process around the workers: start, reload, drain, watchdog, admin pages.
 *
 * Runs on the main thread, on a loop of its own that carries signals and the admin listener; the data
 * path never waits for it.
 *
 *   service_new     policy, certificates, listeners, workers' loops: everything that can fail at start
 *   service_run     threads; then until SIGTERM, a drain, and the end */
#pragma once

#include "bridge/config.h"

struct service;

/* Everything lent for the life of the service. again: reads the settings once more, for a reload. */
struct service_source {
    const struct config *config;
    const struct settings *settings;
    struct log_sink *sink;
    struct log *log;
    int argc;
    char **argv, **environment;
};

MUST_USE bool service_new(const struct service_source *source, struct service **out,
                          struct err *err);
/* Gives up rights: user, no_new_privs, Landlock, seccomp. After service_new, before service_run. */
MUST_USE bool service_confine(struct service *s, struct err *err);
MUST_USE bool service_run(struct service *s, struct err *err);
void service_free(struct service *s);

/* The certificates that these settings name can be used: for --check. */
MUST_USE bool service_check_tls(const struct config *c, struct err *err);
/* The policy that these settings make: for --check. */
MUST_USE bool service_policy(const struct config *c, const struct settings *settings,
                             struct log *log, struct policy **out, struct err *err);
