/* gateway: `ati proxy`: the process that holds the keys and answers agents.
 *
 *   main thread   signals, reload, MCP connections (mcp_hub), discovery, telemetry, metrics
 *   worker × n    one loop each: listener (SO_REUSEPORT), serve, executor, client; a reference to the snapshot
 *
 *   a request     serve ─► pipeline.c: telemetry ─► [signature, later] ─► auth.c (who) ─► route.c (what)
 *                    └► call.c, mcp_route.c ─► invoke.c: caller_may ─► quota_take ─► exec_start ─► audit_write ─► answer
 *                       tools.c health.c help.c
 *
 * Layers      their order is fixed; those that are not built yet have their place in pipeline.c, one function a layer. The target is
 *             parsed once (serve); who authorises and who routes see the same struct. Who may not ask is refused before a byte of
 *             the body is read.
 * Leaving     a caller who leaves cancels the work. SIGTERM and SIGINT drain; a second one ends at once.
 * Reload      SIGHUP makes a new snapshot of manifests, keyring and token keys; anything bad keeps all of the old one and says so.
 *             Calls under way finish with what they started with.
 * Safety      a broken token configuration stops the start. Without any, everybody may call everything: that is refused on an
 *             address that others can reach, unless allow_open says that it is meant.
 * Bounds      each request by itself, and all together by two budgets (base/budget.h): bytes that calls hold (bodies of requests and the JSON
 *             read from them, answers of upstreams, messages of MCP, what programs print, results until they have left; small ones are not
 *             counted) and programs that run. With three quarters of the bytes in use nothing new begins on routes that call tools: 503 with
 *             Retry-After, before the body is read; the last quarter is for what runs. A call that finds nothing left ends the same way, alone.
 *             Bodies that are not read yet have a share for each caller, and a least rate.
 * Rights      with everything open the process confines itself; what it may still read and write is listed in confine.c. Programs are
 *             started by a helper that was made before and knows no key.
 * Metrics     on a listener of their own (metrics_listen), never on the port that agents reach.
 *
 * Limits   bodies: CALL_BODY_BYTES_MAX for /call of who may upload, CALL_ARGUMENT_BYTES_MAX of others, ROUTE_BODY_BYTES_MAX elsewhere; GATEWAY_BATCH_MAX.
 * Read in order   config.c gateway.c worker.c pipeline.c auth.c page.c route.c request.c invoke.c call.c mcp_route.c tools.c health.c help.c metrics.c
 *                 reload.c discovery.c confine.c */
#pragma once

#include "base/log.h"
#include "net/sandbox.h"

enum {
    GATEWAY_PORT = 8090,
    GATEWAY_WORKERS_MAX = 256,
    GATEWAY_CONNECTIONS = 16384, /* of all workers */
    GATEWAY_DRAIN_S = 30,
    GATEWAY_DRIFT_S = 60,
    CALL_BODY_BYTES_MAX = 1431663957,           /* 1 GiB × 4/3 and 8 KiB: an upload in base64 */
    CALL_ARGUMENT_BYTES_MAX = 64 * 1024 * 1024, /* of /call, for callers that may not upload */
    ROUTE_BODY_BYTES_MAX = 4 * 1024 * 1024,
    CALL_MEMORY_LEAST = 64 * 1024 * 1024,
    CHILDREN_LEAST = 16,
    CHILDREN_MOST = 1024,
    CHILD_MEMORY = 32 * 1024 * 1024, /* a guess: what there is allows one for each of these */
    BUSY_RETRY_S = 1
};

enum signature_mode { SIGNATURE_LOG, SIGNATURE_WARN, SIGNATURE_ENFORCE };

/* All text is lent for the life of the gateway. */
struct gateway_config {
    const char *folder; /* the ATI directory */
    const char *bind;   /* an IP literal; NULL: 127.0.0.1 */
    uint16_t port;      /* 0: any */
    bool env_keys, migrate, enable_passthrough;
    bool allow_open; /* no authentication on an address that is not loopback */
    enum signature_mode signature_mode;
    uint64_t signature_drift_s;
    const char *signature_exempt;
    unsigned workers; /* 0: one a CPU */
    uint64_t drain_ms;
    unsigned connections_max; /* 0: GATEWAY_CONNECTIONS */
    uint64_t
        call_memory_max; /* bytes; 0: a half of what is there at the start, CALL_MEMORY_LEAST at the least */
    unsigned children_max;      /* 0: by that memory, from CHILDREN_LEAST to CHILDREN_MOST */
    const char *metrics_listen; /* "127.0.0.1:9464"; NULL: none */
    const char *origins;        /* whose pages may speak to /mcp, beside our own host; NULL: none */
    const char *audit_file;     /* NULL: audit.jsonl in the folder */
    uint64_t audit_rotate_bytes;
    unsigned audit_keep;
    enum sandbox_mode seccomp, landlock;
    char **environment;
};

/* config.c: what a flag says; pure. name: without dashes; value NULL: a switch that was given. ERR_USAGE: a sentence that names the flag. */
MUST_USE bool gateway_config_set(struct gateway_config *c, const char *name, const char *value,
                                 struct err *err);
/* The defaults, and what the environment says. ERR_USAGE: a sentence that names the variable. */
MUST_USE bool gateway_config_init(struct gateway_config *c, char **environment, struct err *err);

struct gateway;
/* Loads everything and opens the listeners. ERR_CONFIG: what the operator wrote cannot be used. */
MUST_USE bool gateway_new(const struct gateway_config *config, struct log_sink *sink,
                          struct log *log, struct gateway **out, struct err *err);
/* Gives up rights: no_new_privs, capabilities, Landlock, seccomp. Between the two. Programs can then only be started by a helper
 * (child_helper_start). */
MUST_USE bool gateway_confine(struct gateway *g, struct err *err);
MUST_USE bool gateway_run(struct gateway *g, struct err *err); /* until SIGTERM, and a drain */
void gateway_free(struct gateway *g);                          /* NULL is fine */
