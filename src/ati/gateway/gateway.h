/* gateway: `ati proxy`: the process that holds the keys and answers agents.
 *
 *   main thread   signals, reload, MCP connections (mcp_hub), discovery, telemetry, metrics
 *   worker × n    one loop each: listener (SO_REUSEPORT), serve, executor, client; a reference to the snapshot
 *
 *   a request     serve ─► [signature, later] ─► auth.c (who) ─► route.c (what) ─► call.c | mcp_route.c | tools.c | health.c | help.c
 *                  call: catalog_resolve ─► caller_may ─► quota_take ─► exec_start ─► audit_write ─► answer
 *
 * The order of the layers is fixed: telemetry, signature check, authentication, route. Layers that are not built yet have their place in
 * pipeline.c, one function a layer. The target is parsed once (serve); who authorises and who routes see the same struct.
 * A caller who leaves cancels the work. SIGTERM drains; SIGHUP makes a new snapshot (a bad manifest or keyring keeps the old one and says so).
 *
 * Limits   bodies: CALL_BODY_BYTES_MAX for /call, ROUTE_BODY_BYTES_MAX elsewhere.
 * Read in order   config.c gateway.c worker.c pipeline.c auth.c route.c call.c mcp_route.c tools.c health.c metrics.c reload.c discovery.c */
#pragma once

#include "base/log.h"

enum {
    GATEWAY_PORT = 8090,
    CALL_BODY_BYTES_MAX = 1431663957, /* 1 GiB × 4/3 and 8 KiB: an upload in base64 */
    ROUTE_BODY_BYTES_MAX = 4 * 1024 * 1024
};

struct gateway_config {
    const char *folder; /* the ATI directory */
    const char *bind;   /* an IP literal */
    uint16_t port;      /* 0: any */
    bool env_keys, migrate, enable_passthrough;
    int signature_mode; /* 0 log, 1 warn, 2 enforce */
    uint64_t signature_drift_s;
    const char *signature_exempt;
    unsigned workers; /* 0: one a CPU */
    uint64_t drain_ms;
    char **environment;
};

struct gateway;
MUST_USE bool gateway_new(const struct gateway_config *config, struct log_sink *sink,
                          struct log *log, struct gateway **out, struct err *err);
MUST_USE bool gateway_run(struct gateway *g, struct err *err); /* until SIGTERM, and a drain */
void gateway_free(struct gateway *g);
