/* Private to service*.c, ops.c and reload.c. */
#pragma once

#include "bridge/service.h"
#include "bridge/worker.h"
#include "net/process.h"
#include "net/sandbox.h"
#include "net/watch.h"
#include "serve/serve.h"

struct service {
    struct service_source source;
    struct bridge bridge;
    struct loop *loop;
    struct log *log;
    struct policy *policy;
    struct tls_config *tls;
    struct server *admin;
    struct serve_route routes[4];
    struct listener first[LISTENERS_MAX], mine[LISTENERS_MAX]; /* while workers are made */
    struct sandbox_report sandbox;
    struct timer watchdog, grace, tick;
    uint64_t watchdog_ms, start_ms, descriptors;
    uint64_t reloads_good, reloads_failed;
    unsigned stop_signals;
    bool draining, stopped;
    struct watch watch;
};

/* ops.c: /metrics, /healthz, /readyz, /debug/tunnels */
MUST_USE bool ops_open(struct service *s, struct err *err);
/* reload.c */
void reload_now(struct service *s);
MUST_USE bool reload_watch_files(struct service *s, struct err *err);
MUST_USE bool reload_tls(const struct config *c, struct tls_config **out, struct err *err);
void reload_warning(void *context, const char *sentence); /* context: struct log * */
/* metrics_page.c */
MUST_USE bool service_metrics(struct service *s, struct buf *out, struct err *err);
