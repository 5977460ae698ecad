/* Private to the shell of the command line: words to a command and its options. */
#pragma once

#include <stdio.h>

#include "ati/cli/cli.h"

enum { CLI_DEPTH_MAX = 4, CLI_NAME_BYTES = 96, CLI_COLUMNS = 80 };

/* Flags of every command, before and behind its name. */
extern const struct cli_option cli_globals[];
extern const size_t cli_global_count;

struct cli_parsed {
    const struct cli_command *command; /* the innermost that was named */
    char name[CLI_NAME_BYTES];         /* "ati provider list" */
    bool help, version, verbose, has_format;
    bool json; /* -J: whatever else is said */
    enum cli_format format;
    struct cli_words words;
    const char **word_list; /* what words lends */
    const char ***value_lists;
    size_t *value_counts;
};

/* The index-th sub-command. */
static inline const struct cli_command *cli_sub(const struct cli_command *c, size_t index)
{
    return c->rows ? c->rows[index] : &c->commands[index];
}

/* options.c: pure. argv[0] is passed over. ERR_USAGE: a sentence for a person; out->command and out->name say how far it got, also then. */
MUST_USE bool cli_parse(const struct cli_command *root, int argc, char *const *argv,
                        struct cli_parsed *out, struct err *err);
void cli_parsed_done(struct cli_parsed *p);
MUST_USE bool cli_format_parse(const char *text, enum cli_format *out);

/* help.c */
void cli_help(const struct cli_command *command, const char *name, FILE *out);
void cli_usage(const struct cli_command *command, const char *name, FILE *out); /* one line */
