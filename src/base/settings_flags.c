#include "base/settings_priv.h"

#include "base/poison.h"

struct flags {
    struct settings *s;
    int argc, at;
    char **argv;
    enum settings_action action;
};

/* Of two wishes the first is granted, but help comes before all. */
static void ask(struct flags *f, enum settings_action action)
{
    if (f->action == SETTINGS_RUN || action == SETTINGS_HELP)
        f->action = action;
}

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

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (!view_eq(name, view_str(actions[i].name)))
            continue;
        if (has_value)
            settings_complain(f->s, "--%s: takes no value", actions[i].name);
        else
            ask(f, actions[i].action);
        return true;
    }
    return false;
}

/* The value behind "--name=" or in the next word; NULL, with a complaint, when there is none. */
static const char *flag_value(struct flags *f, const char *name, const char *equals)
{
    if (equals)
        return equals + 1;
    if (f->at + 1 < f->argc)
        return f->argv[++f->at];
    settings_complain(f->s, "--%s: a value must follow", name);
    return NULL;
}

static void unknown(struct flags *f, struct view name)
{
    const char *near = settings_nearest(f->s->program, name, SOURCE_FLAG);
    char shown[SETTING_SHOWN_ROOM];

    settings_complain(f->s, "unknown option --%s%s%s%s; see --help", settings_shown(name, shown),
                      near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

/* "--no-NAME" of a switch. */
static bool switched_off(struct flags *f, struct view name, bool has_value)
{
    const struct settings_program *p = f->s->program;
    size_t row = settings_row(p, view_skip(name, 3));

    if (!view_starts(name, VIEW("no-")) || row == p->count || p->rows[row].kind != SETTING_BOOL)
        return false;
    if (has_value)
        settings_complain(f->s, "--no-%s: takes no value", p->rows[row].name);
    else
        settings_take(f->s, row, VIEW("false"), SOURCE_FLAG, p->rows[row].name);
    return true;
}

/* word: without the dashes. */
static void long_flag(struct flags *f, const char *word)
{
    const struct settings_program *p = f->s->program;
    const char *equals = strchr(word, '='), *value;
    struct view name = equals ? view_from(word, (size_t)(equals - word)) : view_str(word);
    size_t row = settings_row(p, name);
    char where[SETTING_VARIABLE_BYTES];

    if (special(f, name, equals != NULL))
        return;
    if (view_eq(name, VIEW("config"))) {
        value = flag_value(f, "config", equals);
        if (value)
            settings_take_file(f->s, value, true, "--config");
        return;
    }
    if (row == p->count) {
        if (!switched_off(f, name, equals != NULL))
            unknown(f, name);
        return;
    }
    if (p->rows[row].kind == SETTING_BOOL && !equals)
        value = "true";
    else
        value = flag_value(f, p->rows[row].name, equals);
    if (!value)
        return;
    (void)snprintf(where, sizeof where, "--%s", p->rows[row].name);
    settings_take(f->s, row, view_str(value), SOURCE_FLAG, where);
}

static void plain_word(struct flags *f, const char *word)
{
    const struct settings_program *p = f->s->program;
    char shown[SETTING_SHOWN_ROOM];

    if (f->s->word_count < p->words_most)
        f->s->words[f->s->word_count++] = word;
    else if (p->word)
        settings_complain(f->s, "unexpected argument \"%s\" behind %s; see --help",
                          settings_shown(view_str(word), shown), p->word);
    else
        settings_complain(f->s, "unexpected argument \"%s\"; options begin with --, see --help",
                          settings_shown(view_str(word), shown));
}

static void short_flag(struct flags *f, const char *word)
{
    char shown[SETTING_SHOWN_ROOM];

    settings_complain(f->s, "unexpected argument \"%s\"; options begin with --, see --help",
                      settings_shown(view_str(word), shown));
}

enum settings_action settings_read_flags(struct settings *s, int argc, char **argv)
{
    struct flags f = {.s = s, .argc = argc, .argv = argv, .action = SETTINGS_RUN};
    bool only_words = false;

    for (f.at = 1; f.at < argc; f.at++) {
        const char *word = argv[f.at];

        if (only_words || word[0] != '-' || !word[1])
            plain_word(&f, word);
        else if (!strcmp(word, "--"))
            only_words = true;
        else if (!strcmp(word, "-h"))
            ask(&f, SETTINGS_HELP);
        else if (!strcmp(word, "-V"))
            ask(&f, SETTINGS_VERSION);
        else if (word[1] == '-')
            long_flag(&f, word + 2);
        else
            short_flag(&f, word);
    }
    if (f.action != SETTINGS_HELP && f.action != SETTINGS_VERSION &&
        s->word_count < s->program->words_least)
        settings_complain(s, "%s is missing; see --help", s->program->word);
    return f.action;
}
