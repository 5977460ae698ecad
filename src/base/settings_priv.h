/* Private to settings_*.c. Read in order: settings_load.c settings_file.c settings_value.c settings_print.c */
#pragma once

#include "base/settings.h"

struct setting_state {
    enum setting_source source;
    char *text; /* the value as given, owned; NULL: the default */
};

struct settings {
    const struct settings_program *program;
    struct setting_state *states; /* one a row */
    char *file;
    FILE *complaints;
    unsigned complaint_count;
    struct err first;
};

/* Says one thing that is wrong. */
void settings_complain(struct settings *s, const char *fmt, ...) PRINTF(2, 3);
/* Index of the row of that name, or program->count. */
size_t settings_row(const struct settings_program *p, struct view name);
/* The name most like this one, or NULL when none is near. */
const char *settings_nearest(const struct settings_program *p, struct view name);
/* Takes a value from a source; a list that is given again by the same source grows. */
void settings_take(struct settings *s, size_t row, struct view value, enum setting_source source,
                   const char *where);
/* Reads `key = value` lines; name stands in complaints. */
void settings_parse_file(struct settings *s, struct view text, const char *name);
/* Reads one value into the program's struct. NULL text: the default. */
bool setting_apply(const struct setting *row, const char *text, void *target, struct err *err);
/* PREFIX + NAME with '_' for '-'. */
char *settings_variable(const struct settings_program *p, const struct setting *row, char *out,
                        size_t size);
