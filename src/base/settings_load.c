#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/settings_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { NAME_BYTES_MAX = 96, NEAR_ENOUGH = 3 };

void settings_complain(struct settings *s, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!s->complaint_count++)
        (void)err_set(&s->first, ERR_USAGE, "%s", text);
    (void)fprintf(s->complaints, "%s: %s\n", s->program->name, text);
}

size_t settings_row(const struct settings_program *p, struct view name)
{
    for (size_t i = 0; i < p->count; i++)
        if (view_eq(name, view_str(p->rows[i].name)))
            return i;
    return p->count;
}

const char *settings_nearest(const struct settings_program *p, struct view name)
{
    const char *best = NULL;
    unsigned least = NEAR_ENOUGH + 1;

    for (size_t i = 0; i < p->count; i++) {
        unsigned d = text_distance(name, view_str(p->rows[i].name));

        if (d < least) {
            least = d;
            best = p->rows[i].name;
        }
    }
    return best;
}

char *settings_variable(const struct settings_program *p, const struct setting *row, char *out,
                        size_t size)
{
    int n = snprintf(out, size, "%s%s", p->prefix, row->name);

    for (char *c = out + strlen(p->prefix); n > 0 && *c; c++)
        *c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    return out;
}

void settings_take(struct settings *s, size_t row, struct view value, enum setting_source source,
                   const char *where)
{
    struct setting_state *state = &s->states[row];
    bool grow = state->text && state->source == source &&
                s->program->rows[row].kind == SETTING_LIST && source == SOURCE_FLAG;
    size_t before = grow ? strlen(state->text) + 1 : 0;
    char *text;
    struct err err;
    uint64_t scratch[2];
    struct setting probe;

    if (state->text && state->source > source)
        return; /* a stronger source has spoken */
    text = malloc(before + value.len + 1);
    if (!text) {
        settings_complain(s, "%s: out of memory", where);
        return;
    }
    if (grow) {
        memcpy(text, state->text, before - 1);
        text[before - 1] = ',';
    }
    if (value.len)
        memcpy(text + before, value.at, value.len);
    text[before + value.len] = '\0';
    free(state->text);
    state->text = text;
    state->source = source;
    probe = s->program->rows[row];
    probe.offset = 0;
    if (!setting_apply(&probe, text, scratch, &err))
        settings_complain(s, "%s: %s", where, err.text);
}

/* --- flags ----------------------------------------------------------------------------------- */

struct flags {
    struct settings *s;
    int argc, at;
    char **argv;
    enum settings_action action;
};

static bool special(struct flags *f, struct view name, bool has_value)
{
    static const struct {
        const char *name;
        enum settings_action action;
    } actions[] = {{"help", SETTINGS_HELP},
                   {"version", SETTINGS_VERSION},
                   {"check", SETTINGS_CHECK},
                   {"check-config", SETTINGS_CHECK},
                   {"print-config", SETTINGS_PRINT}};

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (!has_value && view_eq(name, view_str(actions[i].name))) {
            if (f->action == SETTINGS_RUN || actions[i].action == SETTINGS_HELP)
                f->action = actions[i].action;
            return true;
        }
    return false;
}

/* The value behind "--name=" or in the next word; false, with a complaint, when there is none. */
static bool flag_value(struct flags *f, struct view name, const char *inline_value,
                       const char **out)
{
    if (inline_value) {
        *out = inline_value;
        return true;
    }
    if (f->at + 1 >= f->argc) {
        settings_complain(f->s, "--%.*s: a value must follow", VIEW_ARG(name));
        return false;
    }
    *out = f->argv[++f->at];
    return true;
}

static void take_config(struct flags *f, const char *path)
{
    free(f->s->file);
    f->s->file = strdup(path);
    if (!f->s->file)
        settings_complain(f->s, "--config: out of memory");
}

static void unknown_flag(struct flags *f, struct view name)
{
    const char *near = settings_nearest(f->s->program, name);

    settings_complain(f->s, "unknown option --%.*s%s%s%s; see --help",
                      VIEW_ARG(view_first(name, 64)), near ? "; did you mean --" : "",
                      near ? near : "", near ? "?" : "");
}

static void long_flag(struct flags *f, const char *word)
{
    const char *equals = strchr(word, '='), *value = NULL;
    struct view name = equals ? view_from(word, (size_t)(equals - word)) : view_str(word);
    bool no = view_starts(name, VIEW("no-"));
    const struct settings_program *p = f->s->program;
    size_t row = settings_row(p, name);
    char where[NAME_BYTES_MAX + 8];

    if (special(f, name, equals != NULL))
        return;
    if (view_eq(name, VIEW("config"))) {
        if (flag_value(f, name, equals ? equals + 1 : NULL, &value))
            take_config(f, value);
        return;
    }
    if (row == p->count && no) {
        row = settings_row(p, view_skip(name, 3));
        if (row < p->count && p->rows[row].kind == SETTING_BOOL && !equals) {
            settings_take(f->s, row, VIEW("false"), SOURCE_FLAG, word);
            return;
        }
        row = p->count;
    }
    if (row == p->count) {
        unknown_flag(f, name);
        return;
    }
    if (p->rows[row].kind == SETTING_BOOL && !equals)
        value = "true";
    else if (!flag_value(f, name, equals ? equals + 1 : NULL, &value))
        return;
    (void)snprintf(where, sizeof where, "--%s", p->rows[row].name);
    settings_take(f->s, row, view_str(value), SOURCE_FLAG, where);
}

static void read_flags(struct flags *f)
{
    for (f->at = 1; f->at < f->argc; f->at++) {
        const char *word = f->argv[f->at];

        if (!strcmp(word, "-h"))
            f->action = SETTINGS_HELP;
        else if (!strcmp(word, "-V"))
            f->action = f->action == SETTINGS_RUN ? SETTINGS_VERSION : f->action;
        else if (!strncmp(word, "--", 2) && word[2])
            long_flag(f, word + 2);
        else
            settings_complain(
                f->s, "unexpected argument \"%.64s\"; options begin with --, see --help", word);
    }
}

/* --- environment ----------------------------------------------------------------------------- */

static void unknown_variable(struct settings *s, struct view name)
{
    const struct settings_program *p = s->program;
    const char *best = NULL;
    char variable[NAME_BYTES_MAX], nearest[NAME_BYTES_MAX];
    unsigned least = NEAR_ENOUGH + 1;

    for (size_t i = 0; i < p->count; i++) {
        unsigned d = text_distance(
            name, view_str(settings_variable(p, &p->rows[i], variable, sizeof variable)));

        if (d < least) {
            least = d;
            best = settings_variable(p, &p->rows[i], nearest, sizeof nearest);
        }
    }
    settings_complain(s, "unknown variable %.*s%s%s%s", VIEW_ARG(view_first(name, 80)),
                      best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static void variable(struct settings *s, const char *entry)
{
    const struct settings_program *p = s->program;
    struct view whole = view_str(entry), name = view_first(whole, view_find(whole, '='));
    char wanted[NAME_BYTES_MAX];

    if (!view_starts(name, view_str(p->prefix)) || name.len == whole.len)
        return;
    (void)snprintf(wanted, sizeof wanted, "%sCONFIG", p->prefix);
    if (view_eq(name, view_str(wanted))) {
        if (!s->file)
            s->file = strdup(entry + name.len + 1);
        return;
    }
    for (size_t i = 0; i < p->count; i++)
        if (view_eq(name, view_str(settings_variable(p, &p->rows[i], wanted, sizeof wanted)))) {
            settings_take(s, i, view_skip(whole, name.len + 1), SOURCE_ENVIRONMENT, wanted);
            return;
        }
    unknown_variable(s, name);
}

/* --- file ------------------------------------------------------------------------------------ */

static void read_file(struct settings *s)
{
    FILE *in = fopen(s->file, "re");
    char *text;
    size_t n;

    if (!in) {
        settings_complain(s, "--config %s: %s", s->file, strerror(errno));
        return;
    }
    text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    n = text ? fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, in) : 0;
    if (!text)
        settings_complain(s, "--config %s: out of memory", s->file);
    else if (ferror(in))
        settings_complain(s, "--config %s: %s", s->file, strerror(errno));
    else if (n > CONFIG_FILE_BYTES_MAX)
        settings_complain(s, "--config %s: larger than %d bytes", s->file, CONFIG_FILE_BYTES_MAX);
    else
        settings_parse_file(s, view_from(text, n), s->file);
    free(text);
    (void)fclose(in);
}

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
    struct flags flags = {.s = s, .argc = argc, .argv = argv, .action = SETTINGS_RUN};

    if (!s || !(s->states = calloc(program->count, sizeof *s->states)))
        return err_set(err, ERR_MEMORY, "settings");
    s->program = program;
    s->complaints = complaints;
    read_flags(&flags);
    *action = flags.action;
    if (flags.action == SETTINGS_HELP || flags.action == SETTINGS_VERSION) {
        *out = take(s); /* whoever asks for help gets it, whatever else is wrong */
        return true;
    }
    for (char **entry = environment; entry && *entry; entry++)
        variable(s, *entry);
    if (s->file)
        read_file(s);
    zero_fields(program, target);
    apply_all(s, target);
    if (s->complaint_count) {
        if (err)
            *err = s->first;
        return false;
    }
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
    free(s->file);
    free(s);
}

enum setting_source settings_source(const struct settings *s, const char *name)
{
    size_t row = settings_row(s->program, view_str(name));

    return row < s->program->count ? s->states[row].source : SOURCE_DEFAULT;
}

const char *settings_file(const struct settings *s)
{
    return s->file;
}
