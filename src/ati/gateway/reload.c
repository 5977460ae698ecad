/* reload: manifests, keyring and token keys as one snapshot; all of it or nothing. */
#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

struct warnings {
    struct log *log;
};

static void warn(void *context, const char *text)
{
    struct warnings *w = context;

    log_event(w->log, LOG_WARN, "manifest.odd", text);
}

static bool load_keyring(struct gateway *g, bool first, struct keyring **out, struct err *err)
{
    const struct keyring_source source = {.folder = g->config->folder,
                                          .env_keys = g->config->env_keys,
                                          .environment = g->config->environment,
                                          .keep_on_error = !first,
                                          .reads = first ? confine_reads : NULL,
                                          .context = g,
                                          .current = first ? NULL : g->snapshot->keyring};
    struct keyring_report report = {0};

    if (!keyring_load(&source, out, &report, err))
        return false;
    for (size_t i = 0; i < report.warning_count; i++)
        log_event(g->log, LOG_WARN, "keyring.odd", report.warnings[i]);
    if (g->config->env_keys)
        log_event(g->log, LOG_INFO, "keyring.loaded", "loaded API keys from ATI_KEY_* env vars",
                  F_U64("count", report.entries));
    g->keyring = report;
    return true;
}

bool snapshot_load(struct gateway *g, bool first, struct snapshot **out, struct err *err)
{
    CLEANUP(catalog_unref_cleanup) struct catalog *loaded = NULL;
    CLEANUP(catalog_unref_cleanup) struct catalog *catalog = NULL;
    CLEANUP(keyring_unref_cleanup) struct keyring *keyring = NULL;
    CLEANUP(token_authority_unref_cleanup) struct token_authority *authority = NULL;
    struct token_config config = token_config_from(g->config->environment);
    struct warnings warnings = {g->log};

    return catalog_load(g->config->folder, clock_wall_ms(&clock_system) / 1000, warn, &warnings,
                        &loaded, err) &&
           discovery_known(g->discovery, take(loaded), &catalog, err) &&
           load_keyring(g, first, &keyring, err) &&
           (token_authority_load(&config, &authority, err) ||
            (config.public_key_file && err_in(err, "ATI_JWT_PUBLIC_KEY"))) &&
           snapshot_new(catalog, keyring, authority, out, err);
}

void gateway_reload(struct gateway *g)
{
    struct snapshot *s;
    struct err err;

    log_event(g->log, LOG_INFO, "reload.begun",
              "SIGHUP received — reloading keyring and sig-verify secret");
    audit_reopen(g->audit);
    if (!snapshot_load(g, false, &s, &err)) {
        g->reload_failures++;
        log_event(g->log, LOG_ERROR, "reload.failed", "reload failed, everything stays as it was",
                  F_STR("error", err.text));
        return;
    }
    g->reloads++;
    gateway_publish(g, s);
    log_event(
        g->log, LOG_INFO, "reload.done", "reloaded", F_U64("tools", catalog_tool_count(s->catalog)),
        F_U64("providers", catalog_provider_count(s->catalog)), F_STR("keyring", g->keyring.source),
        F_U64("keys", g->keyring.entries), F_BOOL("keyring_kept", g->keyring.kept));
    discovery_start(g->discovery, NULL);
}
