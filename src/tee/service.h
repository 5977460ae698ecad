/* service: the process: provider, certificate, listeners, workers; signals on the main thread.
 *
 *   tee_service_new       opens what takes rights: files, sockets, the provider. Nothing is measured yet
 *   tee_service_confine   gives rights up
 *   tee_service_run       a first quote, the certificate measured, workers; then until SIGTERM and a drain
 *
 * So what runs confined is tried at the start, confined: a provider that cannot be reached from there is an error of the start. */
#pragma once

#include "tee/config.h"

#include "base/log.h"

struct tee_service;

MUST_USE bool tee_service_new(const struct tee_config *config, struct log_sink *sink,
                              struct log *log, struct tee_service **out, struct err *err);
MUST_USE bool tee_service_confine(struct tee_service *s, struct err *err);
MUST_USE bool tee_service_run(struct tee_service *s, struct err *err);
void tee_service_free(struct tee_service *s); /* NULL is fine */

/* What can be judged without opening anything: for --check. */
MUST_USE bool tee_service_check(const struct tee_config *config, struct err *err);
