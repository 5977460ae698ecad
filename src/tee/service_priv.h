/* Private to service.c, certificate.c, confine.c and workers.c. */
#pragma once

#include "net/process.h"
#include "net/sandbox.h"
#include "net/watch.h"
#include "tee/service.h"
#include "tee/site.h"

struct tee_service {
    struct site site;
    const struct tee_config *config;
    struct log_sink *sink;
    struct log *log, *attester_log;
    struct loop *loop;               /* the main thread's */
    struct provider *provider;       /* the attester's */
    struct session_context *measure; /* loaded, and to be measured before it is served */
    struct watch watch;
    bool hurry; /* told to end twice */
};

/* certificate.c */
/* From files, or made. */
MUST_USE bool certificate_load(const struct tee_config *config, struct session_context **out,
                               struct err *err);
/* Takes it, measures it, then serves it. One whose leaf is in use already is served without that: its chain may be another. */
MUST_USE bool certificate_use(struct tee_service *s, struct session_context *made, struct err *err);

/* workers.c */
MUST_USE bool workers_open(struct tee_service *s, struct err *err);
MUST_USE bool workers_start(struct tee_service *s, struct err *err);
void workers_drain(struct tee_service *s);
void workers_stop(struct tee_service *s);
void workers_join(struct tee_service *s);
void workers_free(struct tee_service *s);
