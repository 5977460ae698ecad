/* config: every setting of atlas-tee, in one table. */
#pragma once

#include "base/settings.h"

struct tee_config {
    const char *listen, *upstream;
    const char *cert, *key, *name, *csr;
    bool derived_key;
    const char *acme_listen, *acme_webroot, *admin;
    const char *provider, *ccel, *event_log, *pccs_url, *cache;
    bool no_staple;
    const char *cors_origins, *auth_token_file, *auth_paths, *metrics_token_file;
    uint32_t workers, connections_max, quotes_waiting, quotes_per_minute;
    uint64_t handshake_timeout_ms, head_timeout_ms, idle_timeout_ms, connect_timeout_ms;
    uint64_t answer_timeout_ms, quote_timeout_ms, drain_timeout_ms;
    uint64_t body_max;
    int log_format, log_level;
    bool watch, access_log, websockets;
    const char *user;
    int seccomp, landlock; /* enum sandbox_mode */
};

extern const struct settings_program tee_program;
