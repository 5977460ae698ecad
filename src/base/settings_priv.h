/* Private to settings_*.c. Read in order: settings_load.c settings_flags.c settings_environment.c
 * settings_file.c settings_value.c settings_near.c settings_print.c */
#pragma once

#include "base/settings.h"

enum {
    SETTING_SHOWN_BYTES = 48,                         /* of a word of the user's, in a complaint */
    SETTING_SHOWN_ROOM = 4 * SETTING_SHOWN_BYTES + 4, /* the same, escaped, cut and terminated */
    SETTING_VARIABLE_BYTES = 96,                      /* PREFIX + NAME */
};

struct setting_state {
    enum setting_source source;
    char *text;    /* the value as given, owned; NULL: the default */
    unsigned line; /* of the file, where it was set; 0: it is not in the file */
};

struct settings {
    const struct settings_program *program;
    struct setting_state *states; /* one a row */
    char *file;
    bool file_by_flag; /* and not by the environment */
    const char **words;
    unsigned word_count;
    FILE *complaints;
    unsigned complaint_count;
    struct err first;
};

/* Says one thing that is wrong. */
void settings_complain(struct settings *s, const char *fmt, ...) PRINTF(2, 3);
/* A word of the user's, fit for a complaint. Returns out. */
const char *settings_shown(struct view word, char out[static SETTING_SHOWN_ROOM]);
/* Index of the row of that name, or program->count. */
size_t settings_row(const struct settings_program *p, struct view name);
/* The name most like this one, of those that source knows; NULL: none is near. */
const char *settings_nearest(const struct settings_program *p, struct view name,
                             enum setting_source source);
/* Takes a value from a source, if none that is stronger has spoken; complains when it is wrong, in any
 * case. A list that is given again by flag grows. where: stands before complaints. */
void settings_take(struct settings *s, size_t row, struct view value, enum setting_source source,
                   const char *where);
/* Takes the path of the file. where: as above. */
void settings_take_file(struct settings *s, const char *path, bool by_flag, const char *where);

/* The three sources. */
enum settings_action settings_read_flags(struct settings *s, int argc, char **argv);
void settings_read_environment(struct settings *s, char **environment);
void settings_parse_file(struct settings *s, struct view text, const char *name);

/* Reads one value into the program's struct. NULL text: the default. */
bool setting_apply(const struct setting *row, const char *text, void *target, struct err *err);
/* PREFIX + NAME with '_' for '-'. */
char *settings_variable(const struct settings_program *p, const char *name, char *out, size_t size);
