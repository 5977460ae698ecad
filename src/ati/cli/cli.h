/* cli: the command line `ati`: global flags, commands, and how results and errors are shown.
 *
 *   argv ─► cli_main: global flags (before and behind the command) ─► a row of commands ─► its function ─► result on stdout
 *                                                                                      └─► failure: log line, JSON line on stderr, exit status
 *
 * Every command gets a struct cli: what the global flags and the environment said. It parses its own words by a table of
 * struct cli_option (cli_options), from which --help and shell completion come, too. It returns an exit status, or fails with
 * cli_fail: the class, code and status come from the message, by the table of classify.c.
 * Results are JSON text; cli_show prints them as json, text or table. What a command prints by itself goes to stdout, too; whether it
 * could be written is looked at in the end, by main.c.
 *
 * Read in order   main.c commands.c options.c help.c show.c table.c classify.c fail.c remote.c (the proxy's client) run.c tool.c key.c token.c auth.c
 *                 init.c provider*.c audit.c proxy.c completion.c */
#pragma once

#include "base/buf.h"
#include "base/log.h"

enum cli_format { CLI_JSON, CLI_TABLE, CLI_TEXT };

struct cli {
    char **environment;
    enum cli_format format;
    bool verbose;
    const char *folder;    /* ATI_DIR, else $HOME/.ati, else .ati */
    const char *proxy_url; /* ATI_PROXY_URL; NULL: local */
    struct log_sink *sink; /* standard error */
    struct log *log;
    const char *command; /* "ati provider list", for --help */
};
/* Of the environment; NULL: not set, or empty. */
const char *cli_environment(const struct cli *cli, const char *name);

struct cli_words;

struct cli_option {
    const char *name;    /* "provider": --provider */
    const char *value;   /* "NAME" in --help; NULL: a switch */
    const char *help;    /* one sentence, without a full stop */
    bool many;           /* may be given again */
    const char *choices; /* "http|stdio"; NULL: any */
    const char *fallback;
    bool
        greedy; /* --args a b c: everything up to a flag of this command is its values; the first one may be a flag */
    bool required; /* shown in --help, and looked for */
    char letter;   /* 'n': -n as well; 0: none */
};
struct cli_command {
    const char *name, *alias;    /* alias: NULL: none */
    const char *summary, *words; /* words: "NAME VALUE", "[SPEC]"; NULL: none */
    const struct cli_option *options;
    size_t option_count;
    unsigned words_least, words_most;
    bool
        verbatim; /* everything behind the first word is taken as it is, but for global flags right behind it, and then "--" */
    bool takes_tool;                    /* its first word is the name of a tool: for completion */
    bool stateless;                     /* looks at no ATI directory: none is made */
    bool server;                        /* its log is that of the proxy: JSON */
    const struct cli_command *commands; /* sub-commands; then run is NULL */
    const struct cli_command *const *rows; /* the same, when each has a file of its own */
    size_t command_count;
    int (*run)(struct cli *cli, const struct cli_words *words);
    const char *about; /* more for --help: lines, each with its LF; NULL: none */
};

/* What was given: filled by cli_options, lent by argv. */
struct cli_words {
    const char *const *words;
    size_t count;
    const struct cli_command *command;
    const char *const *const *values; /* by option: its values, NULL-terminated */
    const size_t *value_counts;
};
/* NULL: not given, and no fallback. */
const char *cli_value(const struct cli_words *w, const char *option);
const char *const *cli_values(const struct cli_words *w, const char *option, size_t *count);
bool cli_given(const struct cli_words *w, const char *option);

int ati_main(int argc, char **argv, char **environment);

/* Prints JSON text as the format wants it; a newline behind it. */
MUST_USE bool cli_show(const struct cli *cli, struct view json, struct err *err);
/* Text to standard output: as it is, but for a terminal without controls. */
void cli_print(struct view text);
/* Tells of the failure and returns the exit status. text: may be long. */
int cli_fail(const struct cli *cli, struct view text);
int cli_fail_err(const struct cli *cli, const struct err *err);
struct cli_class {
    const char *code;
    int exit_status;
};
int cli_fail_as(const struct cli *cli, struct cli_class class, struct view text);

/* commands.c: the row of all commands. Adding one is a line there and one here. */
extern const struct cli_command cli_root;
extern const struct cli_command cli_key, cli_token, cli_auth, cli_init,
    cli_audit; /* with their credentials */
extern const struct cli_command cli_run, cli_tool, cli_provider, cli_proxy, cli_completion,
    cli_version;

/* classify.c: pure. */
struct cli_class cli_classify(struct view message);

/* table.c: pure. A condensed box of columns, wrapped to width (0: not). */
MUST_USE bool cli_table_write(const struct view *cells, size_t columns, size_t rows, size_t width,
                              struct buf *out, struct err *err); /* the first row is the header */
