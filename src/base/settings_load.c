#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/settings_priv.h"
#include "base/text.h"

#include "base/poison.h"

void settings_complain(struct settings *s, const char *fmt, ...)
{
    va_list args;

    if (!s->complaint_count++) {
        char text[ERR_TEXT_BYTES + 1]; /* one more than fits: err_set marks the cut */

        va_start(args, fmt);
        (void)vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        (void)err_set(&s->first, ERR_USAGE, "%s", text);
    }
    (void)fprintf(s->complaints, "%s: ", s->program->name);
    va_start(args, fmt);
    (void)vfprintf(s->complaints, fmt, args);
    va_end(args);
    (void)fputc('\n', s->complaints);
}

const char *settings_shown(struct view word, char out[static SETTING_SHOWN_ROOM])
{
    (void)text_escape(word, SETTING_SHOWN_BYTES, out, SETTING_SHOWN_ROOM);
    return out;
}

size_t settings_row(const struct settings_program *p, struct view name)
{
    for (size_t i = 0; i < p->count; i++)
        if (view_eq(name, view_str(p->rows[i].name)))
            return i;
    return p->count;
}

/* The text of value, behind what the state holds when before is not 0. */
static char *joined(const struct setting_state *state, size_t before, struct view value)
{
    char *text = malloc(before + value.len + 1);

    if (!text)
        return NULL;
    if (before) {
        memcpy(text, state->text, before - 1);
        text[before - 1] = ',';
    }
    if (value.len)
        memcpy(text + before, value.at, value.len);
    text[before + value.len] = '\0';
    return text;
}

void settings_take(struct settings *s, size_t row, struct view value, enum setting_source source,
                   const char *where)
{
    struct setting_state *state = &s->states[row];
    struct setting probe = s->program->rows[row];
    bool grow = state->text && state->source == SOURCE_FLAG && source == SOURCE_FLAG &&
                probe.kind == SETTING_LIST;
    char *text = joined(state, grow ? strlen(state->text) + 1 : 0, value);
    uint64_t scratch[2];
    struct err err;

    if (!text) {
        settings_complain(s, "%s: out of memory", where);
        return;
    }
    probe.offset = 0;
    if (!setting_apply(&probe, text, scratch, &err))
        settings_complain(s, "%s: %s", where, err.text);
    if (state->text && state->source > source) { /* a stronger source has spoken */
        free(text);
        return;
    }
    free(state->text);
    state->text = text;
    state->source = source;
}

void settings_take_file(struct settings *s, const char *path, bool by_flag, const char *where)
{
    if (!*path) {
        settings_complain(s, "%s: the path is empty; write one, or leave it out", where);
        return;
    }
    if (s->file && s->file_by_flag && !by_flag)
        return;
    free(s->file);
    s->file = strdup(path);
    s->file_by_flag = by_flag;
    if (!s->file)
        settings_complain(s, "%s: out of memory", where);
}

static void read_file(struct settings *s)
{
    char variable[SETTING_VARIABLE_BYTES];
    const char *where = s->file_by_flag
                            ? "--config"
                            : settings_variable(s->program, "config", variable, sizeof variable);
    FILE *in = fopen(s->file, "re");
    char *text;
    size_t n;

    if (!in) {
        settings_complain(s, "%s: %s: %s", where, s->file, strerror(errno));
        return;
    }
    text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    n = text ? fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, in) : 0;
    if (!text)
        settings_complain(s, "%s: %s: out of memory", where, s->file);
    else if (ferror(in))
        settings_complain(s, "%s: %s: %s", where, s->file, strerror(errno));
    else if (n > CONFIG_FILE_BYTES_MAX)
        settings_complain(s, "%s: %s: larger than %d bytes", where, s->file, CONFIG_FILE_BYTES_MAX);
    else
        settings_parse_file(s, view_from(text, n), s->file);
    free(text);
    (void)fclose(in);
}

/* What is wrong with a value that was given has been said when it was taken. */
static void apply_all(struct settings *s, void *target)
{
    for (size_t i = 0; i < s->program->count; i++) {
        struct err err;

        if (!setting_apply(&s->program->rows[i], s->states[i].text, target, &err) &&
            !s->states[i].text)
            settings_complain(s, "%s: %s", s->program->rows[i].name, err.text);
    }
}

/* The struct's size is not known here: the rows say where its fields lie. */
static void zero_fields(const struct settings_program *p, void *target)
{
    static const size_t sizes[] = {
        [SETTING_BOOL] = sizeof(bool),         [SETTING_U32] = sizeof(uint32_t),
        [SETTING_U64] = sizeof(uint64_t),      [SETTING_SIZE] = sizeof(uint64_t),
        [SETTING_DURATION] = sizeof(uint64_t), [SETTING_TEXT] = sizeof(char *),
        [SETTING_LIST] = sizeof(char *),       [SETTING_CHOICE] = sizeof(int),
    };

    for (size_t i = 0; i < p->count; i++)
        memset((char *)target + p->rows[i].offset, 0, sizes[p->rows[i].kind]);
}

bool settings_load(const struct settings_program *program, int argc, char **argv,
                   char **environment, void *target, FILE *complaints, struct settings **out,
                   enum settings_action *action, struct err *err)
{
    CLEANUP(settings_free_cleanup) struct settings *s = calloc(1, sizeof *s);
    enum settings_action asked;

    if (!s || !(s->states = calloc(program->count, sizeof *s->states)) ||
        !(s->words = calloc(program->words_most + 1, sizeof *s->words)))
        return err_set(err, ERR_MEMORY, "settings");
    s->program = program;
    s->complaints = complaints;
    asked = settings_read_flags(s, argc, argv);
    if (asked == SETTINGS_HELP || asked == SETTINGS_VERSION) {
        *action = asked;
        *out = take(s); /* whoever asks for help gets it, whatever else is wrong */
        return true;
    }
    settings_read_environment(s, environment);
    if (s->file)
        read_file(s);
    zero_fields(program, target);
    apply_all(s, target);
    if (s->complaint_count) {
        if (err)
            *err = s->first;
        return false;
    }
    *action = asked;
    *out = take(s);
    return true;
}

void settings_free(struct settings *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->states && i < s->program->count; i++)
        free(s->states[i].text);
    free(s->states);
    free(s->words);
    free(s->file);
    free(s);
}

enum setting_source settings_source(const struct settings *s, const char *name)
{
    size_t row = settings_row(s->program, view_str(name));

    return row < s->program->count ? s->states[row].source : SOURCE_DEFAULT;
}

const char *const *settings_words(const struct settings *s, unsigned *count)
{
    *count = s->word_count;
    return s->words;
}

const char *settings_file(const struct settings *s)
{
    return s->file;
}
