#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/cli/options.h"
#include "base/file.h"
#include "base/version.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, USAGE_STATUS = 2 };

/* Who speaks in the log, by the first word of an event: names that filters in RUST_LOG go by. */
static const struct log_target targets[] = {
    {"cli", "ati"},
    {"run", "ati::cli::call"},
    {"keyring", "ati::core::keyring"},
    {"manifest", "ati::core::manifest"},
    {"catalog", "ati::core::manifest"},
    {"openapi", "ati::core::openapi"},
    {"exec", "ati::core::http"},
    {"client", "ati::core::http"},
    {"mcp", "ati::core::mcp_client"},
    {"audit", "ati::core::audit"},
    {"token", "ati::core::jwt"},
    {"quota", "ati::core::rate"},
    {"telemetry", "ati::core::otel"},
    {NULL, "ati::proxy::server"},
};

static const char *variable(char **environment, const char *name)
{
    size_t n = strlen(name);

    for (; *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return (*environment)[n + 1] ? *environment + n + 1 : NULL;
    return NULL;
}

const char *cli_environment(const struct cli *cli, const char *name)
{
    return variable(cli->environment, name);
}

/* ATI_DIR, else $HOME/.ati, else .ati. */
static void find_folder(char **environment, char out[static PATH_BYTES])
{
    const char *folder = variable(environment, "ATI_DIR"), *home = variable(environment, "HOME");

    if (folder)
        (void)snprintf(out, PATH_BYTES, "%s", folder);
    else
        (void)snprintf(out, PATH_BYTES, "%s%s.ati", home ? home : "", home ? "/" : "");
}

/* What the first use makes. Where that is not possible nobody is told: whoever needs the folder will say so. */
static void first_use(const char *folder)
{
    static const char *const parts[] = {"manifests", "specs", "skills"};
    char path[PATH_BYTES + 32];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/manifests", folder);
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        if (!folders_make(path, S_IRWXU, NULL))
            return;
    }
    (void)snprintf(path, sizeof path, "%s/config.toml", folder);
    file = fopen(path, "wxe");
    if (!file)
        return;
    (void)fputs("# ATI configuration\n", file);
    (void)fclose(file);
}

static int usage_error(const struct cli_parsed *p, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n\n", p->name, err->text);
    cli_usage(p->command, p->name, stderr);
    (void)fprintf(stderr, "\"%s --help\" tells more.\n", p->name);
    return err->code == ERR_USAGE ? USAGE_STATUS : err_exit_status(err->code);
}

/* --output, else ATI_OUTPUT, else JSON. */
static bool choose_format(const struct cli_parsed *p, char **environment, enum cli_format *out,
                          struct err *err)
{
    const char *said = variable(environment, "ATI_OUTPUT");

    *out = p->format;
    if (p->has_format || !said)
        return true;
    return cli_format_parse(said, out) ||
           err_set(err, ERR_USAGE, "ATI_OUTPUT is none of json, table, text");
}

/* At a terminal servers come and go unsaid: what a command has to say is enough. */
#define QUIET "info,ati::core::mcp_client=warn"

static bool open_log(struct cli *cli, bool server, struct err *err)
{
    const char *filter = cli_environment(cli, "RUST_LOG");

    if (!filter && !server && !cli->verbose)
        filter = QUIET;
    if (!log_sink_new(STDERR_FILENO, server ? LOG_FLAT : LOG_TEXT,
                      cli->verbose ? LOG_DEBUG : LOG_INFO, &clock_system, &cli->sink, err))
        return false;
    log_sink_targets(cli->sink, targets, sizeof targets / sizeof *targets);
    if (filter)
        log_sink_filter(cli->sink, view_str(filter));
    return log_new(cli->sink, &cli->log, err);
}

/* What is on its way to standard output arrives, or that is the failure. A reader who has had enough is none. */
static int finish(const struct cli *cli, int status)
{
    struct err err;

    if (!ferror(stdout) && fflush(stdout) == 0)
        return status;
    if (errno == EPIPE || status)
        return status ? status : 1;
    (void)err_system(&err, ERR_IO, errno, "standard output");
    return cli_fail_err(cli, &err);
}

static int run(const struct cli_parsed *p, char **environment)
{
    char folder[PATH_BYTES];
    struct cli cli = {.environment = environment,
                      .verbose = p->verbose,
                      .folder = folder,
                      .proxy_url = variable(environment, "ATI_PROXY_URL"),
                      .command = p->name};
    struct err err;
    int status;

    if (!choose_format(p, environment, &cli.format, &err) ||
        !open_log(&cli, p->command->server, &err))
        return log_sink_free(cli.sink), usage_error(p, &err);
    find_folder(environment, folder);
    if (!p->command->stateless)
        first_use(folder);
    status = finish(&cli, p->command->run(&cli, &p->words));
    log_sink_free(cli.sink);
    return status;
}

static int act(const struct cli_parsed *p, char **environment)
{
    if (p->version) {
        (void)printf("ati %s\n", POSTERN_VERSION);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (p->help) {
        cli_help(p->command, p->name, stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    return run(p, environment);
}

int ati_main(int argc, char **argv, char **environment)
{
    struct cli_parsed parsed;
    struct err err;
    int status;

    (void)signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of write() */
    (void)signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow */
    if (argc < 2) {
        cli_help(&cli_root, cli_root.name, stderr);
        return USAGE_STATUS;
    }
    if (cli_parse(&cli_root, argc, argv, &parsed, &err))
        status = act(&parsed, environment);
    else
        status = usage_error(&parsed, &err);
    cli_parsed_done(&parsed);
    return status;
}
