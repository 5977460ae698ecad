#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/cli/cli.h"
#include "ati/token/token.h"
#include "base/file.h"
#include "base/secret.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, FILE_BYTES_MAX = 64 * 1024, PRIVATE = 0600, PUBLIC = 0644 };

static bool path_of(const struct cli *cli, const char *name, char out[static PATH_BYTES],
                    struct err *err)
{
    return snprintf(out, PATH_BYTES, "%s%s%s", cli->folder, name ? "/" : "", name ? name : "") <
               PATH_BYTES ||
           err_set(err, ERR_LIMIT, "%s: the path is too long", name);
}

static bool folder_make(const struct cli *cli, const char *name, struct err *err)
{
    char path[PATH_BYTES];

    return path_of(cli, name, path, err) && folders_make(path, S_IRWXU, err);
}

static bool file_put(const struct cli *cli, const char *name, const struct buf *text, unsigned mode,
                     struct err *err)
{
    char path[PATH_BYTES];

    return path_of(cli, name, path, err) && file_write(path, buf_view(text), mode, err);
}

#define CONFIG(algorithm)                                         \
    "# ATI configuration — proxy mode (" algorithm ")\n"          \
    "# A note for you: no program reads this file.\n\n"           \
    "[proxy]\nport = 8090\nbind = \"127.0.0.1\"\n\n[proxy.jwt]\n" \
    "algorithm = \"" algorithm "\"\n"
#define START "\n# Start the gateway with:\n#   export "
#define ISSUE                                                                                  \
    "#   ati proxy\n# Issue tokens with:\n#   ati token issue --sub agent-1 --scope \"tool:* " \
    "help\" "

/* The secret stands in the file: nobody else may read it. */
static bool config_hs256(const struct cli *cli, struct buf *out, struct err *err)
{
    char hex[65];
    bool good = token_keygen_hs256(hex) &&
                buf_appendf(out, err,
                            CONFIG("HS256") "secret = \"%s\"\n" START "ATI_JWT_SECRET=%s\n" ISSUE
                                            "--secret %s\n",
                            hex, hex, hex) &&
                file_put(cli, "config.toml", out, PRIVATE, err);

    secret_wipe(hex, sizeof hex);
    return good;
}

static bool pair_make(const struct cli *cli, struct err *err)
{
    struct buf private, public;
    bool good;

    buf_init(&private, FILE_BYTES_MAX, "private key");
    buf_init(&public, FILE_BYTES_MAX, "public key");
    good = token_keygen_es256(&private, &public, err) &&
           file_put(cli, "jwt-private.pem", &private, PRIVATE, err) &&
           file_put(cli, "jwt-public.pem", &public, PUBLIC, err);
    buf_wipe(&private);
    buf_done(&public);
    return good;
}

/* A private key that is there stays: gateways believe what it has signed. */
static bool config_es256(const struct cli *cli, struct buf *out, struct err *err)
{
    char path[PATH_BYTES];
    bool there = path_of(cli, "jwt-private.pem", path, NULL) && access(path, F_OK) == 0, good;

    good = (there || pair_make(cli, err)) &&
           buf_appendf(out, err,
                       CONFIG("ES256") "private_key = \"jwt-private.pem\"\n"
                                       "public_key = \"jwt-public.pem\"\n" START
                                       "ATI_JWT_PUBLIC_KEY=%s/jwt-public.pem\n" ISSUE
                                       "--key %s/jwt-private.pem\n",
                       cli->folder, cli->folder) &&
           file_put(cli, "config.toml", out, PUBLIC, err);
    if (good && there) {
        log_event(cli->log, LOG_WARN, "cli.init",
                  "  jwt-private.pem  (was there, and stays: move it away for a new pair)");
    } else if (good) {
        log_event(cli->log, LOG_INFO, "cli.init", "  jwt-private.pem  (keep secret)");
        log_event(cli->log, LOG_INFO, "cli.init", "  jwt-public.pem   (distribute for validation)");
    }
    return good;
}

/* What stands there already stays. */
static bool config_default(const struct cli *cli, struct buf *out, struct err *err)
{
    char path[PATH_BYTES];

    return path_of(cli, "config.toml", path, err) &&
           (access(path, F_OK) == 0 || (buf_append_str(out, "# ATI configuration\n", err) &&
                                        file_write(path, buf_view(out), PUBLIC, err)));
}

static bool init_all(const struct cli *cli, const struct cli_words *words, struct err *err)
{
    struct buf config;
    bool good;

    buf_init(&config, FILE_BYTES_MAX, "config.toml");
    good = folder_make(cli, NULL, err) && folder_make(cli, "manifests", err) &&
           folder_make(cli, "specs", err) && folder_make(cli, "skills", err) &&
           (!cli_given(words, "proxy")  ? config_default(cli, &config, err)
            : cli_given(words, "es256") ? config_es256(cli, &config, err)
                                        : config_hs256(cli, &config, err));
    buf_wipe(&config);
    return good;
}

static int init(struct cli *cli, const struct cli_words *words)
{
    static const char *const made[] = {
        "  manifests/",
        "  specs/",
        "  skills/",
        "  config.toml",
        "Next steps:",
        "  ati key set <name> <value>            Add an API key",
        "  ati provider import-openapi <url>     Import an API spec",
    };
    struct err err;

    if (cli_given(words, "es256") && !cli_given(words, "proxy"))
        log_event(cli->log, LOG_WARN, "cli.init", "--es256 does nothing without --proxy");
    if (!init_all(cli, words, &err))
        return cli_fail_err(cli, &err);
    log_event(cli->log, LOG_INFO, "cli.init", "initialized ATI directory",
              F_STR("dir", cli->folder));
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        log_event(cli->log, LOG_INFO, "cli.init", made[i]);
    if (cli_given(words, "proxy"))
        log_event(
            cli->log, LOG_INFO, "cli.init",
            cli_given(words, "es256")
                ? "  export ATI_JWT_PUBLIC_KEY=<path of jwt-public.pem>    Let the proxy check "
                  "tokens"
                : "  export ATI_JWT_SECRET=<secret in config.toml>    Let the proxy check tokens");
    return 0;
}

static const struct cli_option options[] = {
    {.name = "proxy", .help = "also a configuration for the proxy, with a new secret"},
    {.name = "es256", .help = "with --proxy: a key pair instead of a secret"},
};

const struct cli_command cli_init = {
    .name = "init",
    .summary = "make an ATI directory",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .stateless = true,
    .run = init,
    .about = "The directory is ATI_DIR, else ~/.ati. What --proxy writes to config.toml is a\n"
             "note for you: the proxy takes its keys from ATI_JWT_PUBLIC_KEY or\n"
             "ATI_JWT_SECRET.\n",
};
