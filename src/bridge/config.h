/* config: every setting of atlas-proxy, in one table. `--help`, `--print-config`, the environment and
 * the file are all made from it; defaults and bounds stand here and nowhere else. */
#pragma once

#include "base/log.h"
#include "base/settings.h"
#include "bridge/policy.h"

enum config_splice { SPLICE_AUTO, SPLICE_ON, SPLICE_OFF };
enum config_revoke { REVOKE_KEEP, REVOKE_CLOSE };
enum config_profile { PROFILE_DEV, PROFILE_PROD };
enum config_on_off { ON_OFF_ON, ON_OFF_OFF };

/* The values in force. Durations in ms, sizes in bytes, rates in bytes a second; 0 means "off" for
 * every limit and timer. Strings are lent by the settings. */
struct config {
    const char *listen, *target, *allowlist, *allowlist_file;
    bool allow_empty, lax_allowlist, allow_patterns, cidr_names, strict_default;

    int reject;
    bool connect_first, strict_text;
    const char *origins, *hosts, *subprotocols;
    const char *auth_token_file, *auth_jwt_jwks, *auth_jwt_audience, *auth_jwt_issuer;
    bool auth_query;
    const char *trusted_proxies, *allow_from, *limit_exempt;
    int deny_addr, proxy_protocol, send_proxy;
    const char *source_addr, *dns_servers;
    uint64_t dns_stale_ms;
    bool fast_open;

    uint32_t workers;
    bool pin;
    uint32_t busy_poll_us;
    uint64_t buffer_memory;
    int splice;
    uint64_t frame_max, message_max;

    uint32_t connections_max, per_ip_max, pending_max, rate_per_ip, rate_burst;
    uint64_t handshake_timeout_ms, connect_timeout_ms, first_data_timeout_ms, idle_timeout_ms;
    uint64_t ping_interval_ms, ping_timeout_ms, stall_timeout_ms, close_timeout_ms, linger_down_ms;
    uint64_t lifetime_max_ms;
    uint64_t rate_up_max, rate_down_max, bytes_max;
    uint64_t drain_timeout_ms, drain_grace_ms;

    const char *tls_cert, *tls_client_ca;
    bool tls12, tls_client_required;
    int ktls;

    const char *admin;
    int log_format, log_level;
    int on_revoke;
    bool watch;
    const char *user;
    int seccomp, landlock;
    int profile;
};

extern const struct settings_program config_program;

/* The policy's part of the settings. explicit_target: the default target was set by the operator. */
struct policy_source config_policy_source(const struct config *c, bool explicit_target);

/* What the production profile refuses, and the development profile warns of: one call of say for each.
 * Returns how many there were. */
unsigned config_review(const struct config *c, void (*say)(void *context, const char *sentence),
                       void *context);
