/* Private to service.c, leaf.c, confine.c, plain.c and workers.c. */
#pragma once

#include <openssl/evp.h>

#include "net/process.h"
#include "net/sandbox.h"
#include "net/watch.h"
#include "tee/acme.h"
#include "tee/service.h"
#include "tee/site.h"

struct tee_service {
    struct site site;
    const struct tee_config *config;
    struct log_sink *sink;
    struct log *log, *attester_log;
    struct loop *loop;         /* the main thread's */
    struct provider *provider; /* the attester's */
    EVP_PKEY *derived;         /* --derived-key; else NULL */
    struct acme acme;
    struct server *acme_server, *admin_server; /* NULL: not asked for */
    struct serve_route routes[3];
    struct session_context *measure; /* loaded, and to be measured before it is served */
    struct watch watch;
    bool hurry; /* told to end twice */
};

/* leaf.c */
/* The key of --derived-key, and the request for it; once. Nothing when it is not asked for. */
MUST_USE bool leaf_key(struct tee_service *s, struct err *err);
/* From files, or made. derived: its key, or NULL. log: told when one is made because the file is not there yet. */
MUST_USE bool leaf_load(const struct tee_config *config, EVP_PKEY *derived, struct log *log,
                        struct session_context **out, struct err *err);
/* Takes it, measures it, then serves it. One whose leaf is in use already is served without that: its chain may be another. */
MUST_USE bool leaf_use(struct tee_service *s, struct session_context *made, struct err *err);

/* workers.c */
MUST_USE bool workers_open(struct tee_service *s, struct err *err);
MUST_USE bool workers_start(struct tee_service *s, struct err *err);
void workers_drain(struct tee_service *s);
void workers_stop(struct tee_service *s);
void workers_join(struct tee_service *s);
void workers_free(struct tee_service *s);

/* plain.c */
MUST_USE bool plain_open(struct tee_service *s, struct err *err);
void plain_free(struct tee_service *s);
