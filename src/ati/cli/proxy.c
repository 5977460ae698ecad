/* proxy: `ati proxy`: its flags, and the gateway behind them. */
#include "ati/cli/cli.h"
#include "ati/gateway/gateway.h"
#include "ati/keyring/keyring.h"
#include "child/child.h"

#include "base/poison.h"

enum { USAGE_STATUS = 2 };

static const struct cli_option options[] = {
    {.name = "port", .value = "PORT", .help = "TCP port; 0 takes a free one", .fallback = "8090"},
    {.name = "bind",
     .value = "ADDR",
     .help = "IP address to listen on; 0.0.0.0 for all",
     .fallback = "127.0.0.1"},
    {.name = "ati-dir",
     .value = "DIR",
     .help = "manifests, keyring, audit; else ATI_DIR, else ~/.ati"},
    {.name = "env-keys", .help = "credentials from ATI_KEY_* variables alone, no keyring is read"},
    {.name = "migrate", .help = "apply the database's migrations when ATI_DB_URL is set"},
    {.name = "enable-passthrough", .help = "serve manifests with handler = \"passthrough\""},
    {.name = "sig-verify-mode",
     .value = "MODE",
     .help = "what becomes of requests without a good X-Sandbox-Signature",
     .choices = "log|warn|enforce",
     .fallback = "log"},
    {.name = "sig-drift-seconds",
     .value = "SECONDS",
     .help = "how far a signature's time may be off",
     .fallback = "60"},
    {.name = "sig-exempt-paths",
     .value = "GLOBS",
     .help = "paths that need no signature, instead of the built-in ones"},
    {.name = "allow-open", .help = "no authentication, on an address that others can reach"},
    {.name = "workers", .value = "N", .help = "threads that serve; 0: one a CPU", .fallback = "0"},
    {.name = "max-connections",
     .value = "N",
     .help = "clients at once; more are answered 503",
     .fallback = "16384"},
    {.name = "max-call-memory",
     .value = "SIZE",
     .help = "what calls may hold together, beyond: 503; 0: half of what is free. Also "
             "ATI_MAX_CALL_MEMORY"},
    {.name = "max-children",
     .value = "N",
     .help = "programs and MCP servers that run at once, beyond: 503; 0: one for each 32 MiB free. "
             "Also ATI_MAX_CHILDREN"},
    {.name = "drain-seconds",
     .value = "SECONDS",
     .help = "what is under way may take so long after SIGTERM",
     .fallback = "30"},
    {.name = "metrics-listen",
     .value = "ADDR",
     .help = "where Prometheus finds /metrics, for example 127.0.0.1:9464; without: nowhere"},
    {.name = "allowed-origins",
     .value = "ORIGINS",
     .help = "web pages that may speak to /mcp, beside our own host; commas between, * for all"},
    {.name = "audit-rotate",
     .value = "SIZE",
     .help = "how long audit.jsonl may grow; 0: for ever",
     .fallback = "100MiB"},
    {.name = "audit-keep", .value = "N", .help = "older audit files that stay", .fallback = "5"},
    {.name = "seccomp",
     .value = "MODE",
     .help = "system call filter",
     .choices = "off|on|log|required",
     .fallback = "on"},
    {.name = "landlock",
     .value = "MODE",
     .help = "file system restrictions",
     .choices = "off|on|log|required",
     .fallback = "on"},
};
enum { OPTIONS = sizeof options / sizeof *options };

static bool configure(const struct cli *cli, const struct cli_words *words,
                      struct gateway_config *out, struct err *err)
{
    if (!gateway_config_init(out, cli->environment, err))
        return false;
    out->folder = cli->folder;
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *value = cli_value(words, options[i].name);

        if (!options[i].value && !cli_given(words, options[i].name))
            continue;
        if (options[i].value && !value)
            continue;
        if (!gateway_config_set(out, options[i].name, value, err))
            return false;
    }
    return true;
}

/* Before there is a key, or a thread: what confines us would confine programs, too, so that somebody else starts them. */
static bool start_helper(const struct gateway_config *c, char **environment, struct err *err)
{
    return (c->seccomp == SANDBOX_OFF && c->landlock == SANDBOX_OFF) ||
           child_helper_start("ati-children", environment, err);
}

static int run(struct cli *cli, const struct cli_words *words)
{
    struct gateway_config config;
    struct gateway *g = NULL;
    struct err err;
    bool started = configure(cli, words, &config, &err) &&
                   start_helper(&config, cli->environment, &err) &&
                   keyring_hide_environment(cli->environment, &err) &&
                   gateway_new(&config, cli->sink, cli->log, &g, &err) && /* keys, every bind() */
                   gateway_confine(g, &err);     /* no new rights, files or programs from here on */
    bool good = started && gateway_run(g, &err); /* until SIGTERM, and a drain */

    gateway_free(g);
    child_helper_stop();
    if (good)
        return 0;
    if (!started && err.code != ERR_IO && err.code != ERR_MEMORY) /* those may pass */
        return cli_fail_as(cli, (struct cli_class){"input.invalid_value", USAGE_STATUS},
                           view_str(err.text));
    return cli_fail_err(cli, &err);
}

const struct cli_command cli_proxy = {
    .name = "proxy",
    .summary = "run the proxy server: it holds the keys, agents call tools through it",
    .options = options,
    .option_count = OPTIONS,
    .server = true,
    .run = run,
    .about = "SIGHUP reads manifests, keyring and token keys anew; SIGTERM drains. Tokens are\n"
             "checked by ATI_JWT_PUBLIC_KEY (a file) or ATI_JWT_SECRET (hexadecimal); with\n"
             "neither, everybody may call everything, on loopback alone.\n"
             "\nExample:\n"
             "  ati init --proxy --es256\n"
             "  ATI_JWT_PUBLIC_KEY=~/.ati/jwt-public.pem ati proxy --port 8090\n",
};
