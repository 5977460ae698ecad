/* endpoint: the settings that all commands share which connect, and the connection that they ask for. */
#pragma once

#include "attested/attested.h"
#include "base/settings.h"

struct endpoint_config {
    const char *policy, *proxy, *cacert, *pccs_url, *cache, *receipt;
    bool no_cache, remember, json, verbose;
    uint64_t timeout_ms;
};

/* Rows for a table whose struct begins with a struct endpoint_config; ENDPOINT_WAY_ROWS without those of the output. */
#define ENDPOINT_ROW(field, k, text, ...)                                                       \
    {                                                                                           \
        .name = text, .kind = k, .offset = offsetof(struct endpoint_config, field), __VA_ARGS__ \
    }
#define ENDPOINT_WAY_ROWS                                                                         \
    ENDPOINT_ROW(policy, SETTING_TEXT, "policy", .group = "Whom to trust", .value_name = "FILE",  \
                 .help = "What the endpoint must be (required): see atls policy"),                \
        ENDPOINT_ROW(cacert, SETTING_TEXT, "cacert", .group = "Whom to trust",                    \
                     .value_name = "FILE",                                                        \
                     .help = "CAs in PEM for the server's certificate, instead of Mozilla's"),    \
        ENDPOINT_ROW(remember, SETTING_BOOL, "remember", .group = "Whom to trust",                \
                     .fallback = "true",                                                          \
                     .help = "Refuse collateral of an older edition than was accepted before, "   \
                             "and remember this one, in editions.json in the cache's folder"),    \
        ENDPOINT_ROW(proxy, SETTING_TEXT, "proxy", .group = "The way there", .value_name = "URL", \
                     .help = "Connect through a bridge: ws://host:port or wss://host"),           \
        ENDPOINT_ROW(pccs_url, SETTING_TEXT, "pccs-url", .group = "The way there",                \
                     .value_name = "URL",                                                         \
                     .help = "Where collateral comes from when none is stapled, instead of the "  \
                             "policy's pccs_url"),                                                \
        ENDPOINT_ROW(cache, SETTING_TEXT, "cache", .group = "The way there",                      \
                     .value_name = "FOLDER",                                                      \
                     .help = "Where fetched collateral is kept; without it, the user's cache "    \
                             "folder"),                                                           \
        ENDPOINT_ROW(no_cache, SETTING_BOOL, "fetch-anew", .group = "The way there",              \
                     .help = "Neither read nor keep collateral on disk"),                         \
        ENDPOINT_ROW(timeout_ms, SETTING_DURATION, "timeout", .group = "The way there",           \
                     .fallback = "30s", .least = 1,                                               \
                     .help = "Longest time to connect, then to attest, and to fetch collateral")
#define ENDPOINT_ROWS                                                                              \
    ENDPOINT_WAY_ROWS,                                                                             \
        ENDPOINT_ROW(receipt, SETTING_TEXT, "receipt", .group = "Output", .value_name = "FILE",    \
                     .help = "Write a receipt of the attestation there, before anything is sent: " \
                             "see atls receipt"),                                                  \
        ENDPOINT_ROW(json, SETTING_BOOL, "json", .group = "Output",                                \
                     .help = "Print the report, or the error, as JSON on standard error"),         \
        ENDPOINT_ROW(verbose, SETTING_BOOL, "verbose", .group = "Output",                          \
                     .help = "Say on standard error what was verified")

struct endpoint {
    char host[256];
    uint16_t port;
    const char *path; /* "/…" with its query; lent by the URL */
};
/* https://host[:port][/path]; or, plain, host:port. */
MUST_USE bool endpoint_parse(const char *text, bool url, struct endpoint *out, struct err *err);

/* What attested_open wants; it lends from all of them. */
struct attested_options endpoint_options(const struct endpoint_config *c, const struct endpoint *e,
                                         const struct policy *policy);
/* Another proof on the same connection, reported as the first one was. Between messages alone. */
MUST_USE bool endpoint_renew(const char *command, const struct endpoint_config *c,
                             const struct endpoint *e, const struct policy *policy,
                             struct attested *attested, struct attest_err *err);
/* Connects and reports on standard error. On failure *status is how to end. */
MUST_USE bool endpoint_open(const char *command, const struct endpoint_config *c,
                            const struct endpoint *e, const struct policy *policy,
                            struct attested **out, int *status);
MUST_USE bool endpoint_policy(const char *command, const struct endpoint_config *c,
                              struct policy **out, int *status);
/* Says a failure; returns the exit status of its class. */
int endpoint_failed(const char *command, bool json, const struct attest_err *err);
