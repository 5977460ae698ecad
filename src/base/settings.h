/* settings: one table a program, from which come flags, environment, file, --help and --print-config.
 *
 * A row "idle-timeout" of a program with the prefix ATLS_PROXY_ is the flag --idle-timeout, the
 * variable ATLS_PROXY_IDLE_TIMEOUT and the file key idle-timeout. One precedence, everywhere:
 *
 *     flag  >  environment  >  file  >  default
 *
 * All sources are read before anything is reported, and everything that is wrong is said, not the
 * first thing. An unknown flag, variable with our prefix, or key is an error that names the nearest
 * row. Values land in the program's own struct at the row's offset.
 *
 * File: `key = value` lines, '#' comments, blank lines; a value may be "quoted" (\" \\ \n \t), and a
 * list may be ["a", "b"] on one line: the subset of TOML that these settings need.
 *
 * Memory: the struct's strings point into the settings object: lent until settings_free. */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "base/view.h"

enum setting_kind {
    SETTING_BOOL,     /* bool; as a flag without value: true; --no-NAME: false */
    SETTING_U32,      /* uint32_t */
    SETTING_U64,      /* uint64_t */
    SETTING_SIZE,     /* uint64_t bytes, text_size */
    SETTING_DURATION, /* uint64_t milliseconds, text_duration_ms; a bare number is seconds */
    SETTING_TEXT,     /* const char *, NULL when not set and no default */
    SETTING_LIST,     /* const char *: as TEXT; giving the flag again appends ",value" */
    SETTING_CHOICE,   /* int: index into choices */
};

struct setting {
    const char *name;  /* "idle-timeout" */
    const char *group; /* heading in --help: rows of a group stand together */
    enum setting_kind kind;
    size_t offset;          /* of the field in the program's struct */
    const char *fallback;   /* the default, as the user would write it; NULL: none */
    uint64_t least, most;   /* bounds of U32, U64, SIZE, DURATION; most 0: no upper bound */
    const char *choices;    /* "auto|on|off" */
    const char *value_name; /* in --help: "ADDR", "SECONDS"; NULL: from the kind */
    const char *help;       /* one sentence, without a full stop */
};

enum setting_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct settings_program {
    const char *name;     /* "atlas-proxy" */
    const char *prefix;   /* "ATLS_PROXY_" */
    const char *summary;  /* first paragraph of --help */
    const char *usage;    /* after "Usage: " */
    const char *epilogue; /* last part of --help: examples, exit codes; may be NULL */
    const struct setting *rows;
    size_t count;
    const char
        *word; /* what words without dashes are, for complaints: "QUOTE"; NULL: none are taken */
    unsigned words_least, words_most;
};

struct settings;

/* What the command line asked for besides settings. */
enum settings_action {
    SETTINGS_RUN,
    SETTINGS_HELP,
    SETTINGS_VERSION,
    SETTINGS_CHECK,
    SETTINGS_PRINT
};

/* Reads everything into *target (zeroed first). argv may hold --config FILE (PREFIXCONFIG), --help,
 * -h, --version, -V, --check, --print-config, and --NAME VALUE, --NAME=VALUE. Other words, and all
 * behind "--", are as many as the program takes; "-" is such a word. On failure every complaint is printed to complaints, one a line, and err holds the
 * first one (ERR_USAGE). environ: NULL-terminated, as extern char **environ. */
MUST_USE bool settings_load(const struct settings_program *program, int argc, char **argv,
                            char **environment, void *target, FILE *complaints,
                            struct settings **out, enum settings_action *action, struct err *err);
void settings_free(struct settings *s); /* NULL is fine */
CLEANUP_DEFINE(struct settings, settings_free)

/* Where the value of a row came from. */
enum setting_source settings_source(const struct settings *s, const char *name);
/* The words without dashes, lent by argv. */
const char *const *settings_words(const struct settings *s, unsigned *count);
/* The path given by --config, or NULL. */
const char *settings_file(const struct settings *s);

void settings_help(const struct settings_program *program, FILE *out);
/* `key = value    # source` for every row, in the file's own syntax: what it prints can be read
 * back with --config. */
void settings_print(const struct settings *s, FILE *out);
