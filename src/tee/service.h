/* service: the process: provider, certificate, listeners, workers; signals on the main thread.
 *
 *   tee_service_run   everything that can fail at start, then until SIGTERM and a drain. A certificate is measured before it is
 *                     served, at the start and at each SIGHUP that brings another. */
#pragma once

#include "tee/config.h"

#include "base/log.h"

MUST_USE bool tee_service_run(const struct tee_config *config, struct log_sink *sink,
                              struct log *log, struct err *err);
