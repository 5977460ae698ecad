/* atlas-sim init: makes a platform, a TLS identity and the policies that fit, in a folder. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "attest/policy.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/file.h"
#include "sim_cli/commands.h"
#include "sim_cli/state.h"
#include "tls/certificate.h"

#include "base/poison.h"

enum {
    DAY_S = 86400,
    TLS_DAYS = 90,
    COMPOSE_MAX = 4 * 1024 * 1024,
    COMPOSE_TOKENS = 64 * 1024,
    NAME_BYTES = 272, /* "DNS:" and a name */
};

struct config {
    const char *compose, *name, *pccs_url;
};

static const struct setting rows[] = {
    {.name = "app-compose",
     .group = "What is simulated",
     .kind = SETTING_TEXT,
     .offset = offsetof(struct config, compose),
     .value_name = "FILE",
     .help = "The app-compose.json of the guest; without it, one that says what it is"},
    {.name = "name",
     .group = "What is simulated",
     .kind = SETTING_TEXT,
     .offset = offsetof(struct config, name),
     .fallback = "localhost",
     .value_name = "HOST",
     .help = "DNS name of the TLS certificate; 127.0.0.1 and ::1 are in it, too"},
    {.name = "pccs-url",
     .group = "What is simulated",
     .kind = SETTING_TEXT,
     .offset = offsetof(struct config, pccs_url),
     .fallback = "http://127.0.0.1:8081",
     .value_name = "URL",
     .help = "Where \"atlas-sim serve\" will answer for Intel: goes into the policies"},
};

static const struct settings_program program = {
    .name = "atlas-sim init",
    .prefix = "ATLAS_SIM_INIT_",
    .summary =
        "Makes a simulated TDX platform with keys of its own in FOLDER: its PKI, the guest's "
        "app-compose.json, a certificate for a TLS server, collateral, and the policies that "
        "accept all this. Nothing in it is trusted by anybody who was not told to.",
    .usage = "atlas-sim init FOLDER [OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "FOLDER",
    .words_least = 1,
    .words_most = 1,
};

static const char own_compose[] =
    "{\"docker_compose_file\":\"services:\\n  model:\\n    image: postern/demo-model\\n\","
    "\"manifest_version\":2,\"name\":\"postern-demo\",\"runner\":\"docker-compose\"}";

static bool read_compose(const char *path, struct buf *out, struct err *err)
{
    return path ? file_read(path, out, err) : buf_append_str(out, own_compose, err);
}

static bool write_tls(const char *folder, X509 *ca, X509 *leaf, const EVP_PKEY *key,
                      struct err *err)
{
    struct buf pem;
    bool good;

    buf_init(&pem, (size_t)64 * 1024, "PEM");
    good =
        sim_pem(ca, &pem, err) && sim_state_write(folder, "tls-ca.pem", buf_view(&pem), 0644, err);
    buf_reset(&pem);
    good = good && sim_pem(leaf, &pem, err) && sim_pem(ca, &pem, err) &&
           sim_state_write(folder, "tls-cert.pem", buf_view(&pem), 0644, err);
    buf_reset(&pem);
    good = good && sim_key_pem(key, &pem, err) &&
           sim_state_write(folder, "tls-key.pem", buf_view(&pem), 0600, err);
    buf_done(&pem);
    return good;
}

/* A CA of its own, apart from the platform's: the web's PKI is another matter than Intel's. */
static bool make_tls(const char *folder, const char *name, int64_t now_s, struct err *err)
{
    struct sim_certificate_spec spec = {
        .name = SIM_MAKER " Web CA",
        .ca = true,
        .path_length = 0,
        .not_before_s = now_s - DAY_S,
        .not_after_s = now_s + (int64_t)TLS_DAYS * DAY_S,
    };
    EVP_PKEY *ca_key = NULL, *key = NULL;
    X509 *ca = NULL, *leaf = NULL;
    char own[NAME_BYTES] = "", names[NAME_BYTES + 32];
    bool good = certificate_alt_name(name, own, sizeof own, err);

    (void)snprintf(names, sizeof names, "%s,IP:127.0.0.1,IP:::1", own);
    good = good && sim_key(&ca_key, err) && sim_key(&key, err);
    spec.key = ca_key;
    good = good && sim_certificate(&spec, &ca, err);
    spec.name = name;
    spec.key = key;
    spec.ca = false;
    spec.issuer = ca;
    spec.issuer_key = ca_key;
    spec.alt_names = names;
    good = good && sim_certificate(&spec, &leaf, err) && write_tls(folder, ca, leaf, key, err);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return good;
}

static bool write_documents(const char *folder, const struct sim_state *s, const char *pccs_url,
                            struct err *err)
{
    struct buf text;
    bool good;

    buf_init(&text, (size_t)16 * 1024 * 1024, "document");
    good = sim_collateral(s->platform, &text, err) &&
           sim_state_write(folder, "collateral.json", buf_view(&text), 0644, err);
    buf_reset(&text);
    good = good && sim_policy(s->guest, s->platform, true, pccs_url, &text, err) &&
           sim_state_write(folder, "policy.json", buf_view(&text), 0644, err);
    buf_reset(&text);
    good = good && sim_policy(s->guest, s->platform, false, pccs_url, &text, err) &&
           sim_state_write(folder, "policy-dev.json", buf_view(&text), 0644, err);
    buf_done(&text);
    return good;
}

/* All that can be found wrong before anything is written. */
static bool check(const struct config *c, struct buf *compose, struct err *err)
{
    struct json_tree tree;
    char names[NAME_BYTES];

    if (!policy_url_good(c->pccs_url))
        return err_set(err, ERR_USAGE,
                       "--pccs-url: \"%.80s\" is no https:// URL, nor http:// to this machine",
                       c->pccs_url);
    if (!certificate_alt_name(c->name, names, sizeof names, err))
        return err_in(err, "--name");
    if (!read_compose(c->compose, compose, err))
        return false;
    /* Policies hold its text, so it must be one. */
    if (!json_load(buf_view(compose), COMPOSE_TOKENS, &tree, err))
        return err_in(err, "%s", c->compose ? c->compose : "app-compose.json");
    json_unload(&tree);
    return true;
}

static bool make_folder(const char *folder, struct err *err)
{
    return mkdir(folder, 0755) == 0 || errno == EEXIST ||
           err_system(err, ERR_IO, errno, "%s", folder);
}

static bool make(const char *folder, const struct config *c, struct err *err)
{
    int64_t now_s = clock_wall_ms(&clock_system) / 1000;
    struct sim_state s = {.guest = NULL};
    struct sim_recipe recipe;
    struct buf compose;
    bool good;

    sim_recipe_default(&recipe, now_s);
    buf_init(&compose, COMPOSE_MAX, "app-compose.json");
    good = check(c, &compose, err) && make_folder(folder, err) &&
           sim_state_write(folder, "app-compose.json", buf_view(&compose), 0644, err) &&
           sim_platform_new(&recipe, &s.platform, err) &&
           sim_platform_save(s.platform, folder, err) &&
           sim_guest_boot(buf_view(&compose), &s.guest, err) &&
           make_tls(folder, c->name, now_s, err) && write_documents(folder, &s, c->pccs_url, err);
    buf_done(&compose);
    sim_state_done(&s);
    return good;
}

int sim_init(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    const char *folder;
    struct config config;
    struct err err;
    unsigned words;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    folder = settings_words(settings, &words)[0];
    if (!make(folder, &config, &err)) {
        (void)fprintf(stderr, "atlas-sim init: %s\n", err.text);
        return err_exit_status(err.code);
    }
    (void)printf("%s: a simulated platform; serve it with: atlas-sim serve %s\n", folder, folder);
    return 0;
}
