#include "ati/cli/options.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

#include "base/poison.h"

enum { NEAR = 4, SHOWN = 48, VALUES_MAX = 4096 };

struct parser {
    struct cli_parsed *p;
    char *const *rest; /* what has not been looked at */
    bool flags_over;   /* behind "--" */
    struct err *err;
};

static size_t option_index(const struct cli_command *c, const char *name)
{
    for (size_t i = 0; i < c->option_count; i++)
        if (strcmp(c->options[i].name, name) == 0)
            return i;
    CHECK(false); /* every option that is asked for is of this command */
    return 0;
}

const char *cli_value(const struct cli_words *w, const char *option)
{
    size_t i = option_index(w->command, option);

    return w->value_counts[i] ? w->values[i][w->value_counts[i] - 1]
                              : w->command->options[i].fallback;
}

const char *const *cli_values(const struct cli_words *w, const char *option, size_t *count)
{
    size_t i = option_index(w->command, option);

    *count = w->value_counts[i];
    return w->values[i];
}

bool cli_given(const struct cli_words *w, const char *option)
{
    return w->value_counts[option_index(w->command, option)] > 0;
}

bool cli_format_parse(const char *text, enum cli_format *out)
{
    static const char *const words[] = {
        [CLI_JSON] = "json", [CLI_TABLE] = "table", [CLI_TEXT] = "text"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return *out = (enum cli_format)i, true;
    return false;
}

static const char *shown(const char *word, char out[static SHOWN + 8])
{
    (void)text_escape(view_str(word), SHOWN / 2, out, SHOWN + 8);
    return out;
}

struct nearest {
    struct view word;
    const char *best;
    unsigned distance;
};

/* Slips of the finger, and words that were broken off. */
static void nearest_consider(struct nearest *n, const char *known)
{
    struct view k = view_str(known);
    unsigned d = text_distance(n->word, k);

    if (n->word.len > 2 && view_starts(k, n->word))
        d = d < NEAR ? d : NEAR - 1;
    else if (2 * (size_t)d > n->word.len || 2 * (size_t)d > k.len)
        return; /* more of it is wrong than right */
    if (d < n->distance) {
        n->distance = d;
        n->best = known;
    }
}

static const struct cli_option *option_among(const struct cli_option *options, size_t count,
                                             struct view name)
{
    for (size_t i = 0; i < count; i++)
        if (view_eq(name, view_str(options[i].name)))
            return &options[i];
    return NULL;
}

static const struct cli_option *option_find(const struct cli_command *c, struct view name)
{
    const struct cli_option *o = option_among(c->options, c->option_count, name);

    return o ? o : option_among(cli_globals, cli_global_count, name);
}

static const struct cli_option *letter_find(const struct cli_command *c, char letter)
{
    for (size_t i = 0; letter && i < c->option_count; i++)
        if (c->options[i].letter == letter)
            return &c->options[i];
    for (size_t i = 0; letter && i < cli_global_count; i++)
        if (cli_globals[i].letter == letter)
            return &cli_globals[i];
    return NULL;
}

static bool unknown_flag(const struct parser *s, const char *word)
{
    const struct cli_command *c = s->p->command;
    struct view name = view_skip(view_str(word), word[1] == '-' ? 2 : 1);
    struct nearest n = {.word = view_first(name, view_find(name, '=')), .distance = NEAR};
    char text[SHOWN + 8];

    for (size_t i = 0; i < c->option_count; i++)
        nearest_consider(&n, c->options[i].name);
    for (size_t i = 0; i < cli_global_count; i++)
        nearest_consider(&n, cli_globals[i].name);
    return err_set(s->err, ERR_USAGE, "unknown flag '%s'%s%s%s", shown(word, text),
                   n.best ? "; did you mean '--" : "", n.best ? n.best : "", n.best ? "'?" : "");
}

/* A word that only a flag can be: not "-", not a number below zero. */
static bool flag_like(const char *word)
{
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

/* "--env=K=V" is that flag, too. */
static bool known_flag(const struct cli_command *c, const char *word)
{
    struct view name;

    if (word[0] != '-' || !word[1])
        return false;
    if (word[1] != '-')
        return !word[2] && letter_find(c, word[1]);
    name = view_str(word + 2);
    name.len = view_find(name, '=');
    return name.len == 0 || option_find(c, name);
}

static bool one_of(const char *choices, const char *value)
{
    struct view rest = view_str(choices), one;

    while (view_next(&rest, '|', &one))
        if (view_eq(one, view_str(value)))
            return true;
    return false;
}

static bool keep_value(struct parser *s, const struct cli_option *o, const char *value)
{
    struct cli_parsed *p = s->p;
    size_t i = (size_t)(o - p->command->options);
    char text[SHOWN + 8];

    if (o->choices && !one_of(o->choices, value))
        return err_set(s->err, ERR_USAGE, "--%s: '%s' is none of %s", o->name, shown(value, text),
                       o->choices);
    if (p->value_counts[i] && !o->many)
        return err_set(s->err, ERR_USAGE, "--%s was given twice", o->name);
    if (p->value_counts[i] == VALUES_MAX)
        return err_set(s->err, ERR_USAGE, "--%s: more than %d values", o->name, VALUES_MAX);
    if ((p->value_counts[i] & (p->value_counts[i] + 1)) == 0) { /* 0, 1, 3, 7, …: it is full */
        const char **list = realloc(p->value_lists[i], (2 * p->value_counts[i] + 2) * sizeof *list);

        if (!list)
            return err_set(s->err, ERR_MEMORY, "arguments");
        p->value_lists[i] = list;
    }
    p->value_lists[i][p->value_counts[i]++] = value;
    p->value_lists[i][p->value_counts[i]] = NULL;
    return true;
}

static bool global(struct parser *s, const struct cli_option *o, const char *value)
{
    struct cli_parsed *p = s->p;
    char text[SHOWN + 8];

    if (o->value) {
        enum cli_format format;

        if (!cli_format_parse(value, &format))
            return err_set(s->err, ERR_USAGE, "--%s: '%s' is none of %s", o->name,
                           shown(value, text), o->choices);
        p->format = p->json ? CLI_JSON : format;
        p->has_format = true;
    } else if (o->letter == 'J') {
        p->format = CLI_JSON;
        p->has_format = p->json = true;
    } else if (o->letter == 'h') {
        p->help = true;
    } else if (o->letter == 'V') {
        p->version = true;
    } else {
        p->verbose = true;
    }
    return true;
}

static bool is_global(const struct cli_option *o)
{
    return o >= cli_globals && o < cli_globals + cli_global_count;
}

static bool use(struct parser *s, const struct cli_option *o, const char *value)
{
    return is_global(o) ? global(s, o, value) : keep_value(s, o, value ? value : "");
}

/* given: behind '=' or the letter; else the next words are taken. */
static bool option(struct parser *s, const struct cli_option *o, const char *given)
{
    const struct cli_command *c = s->p->command;

    if (!o->value)
        return given ? err_set(s->err, ERR_USAGE, "--%s takes no value", o->name) : use(s, o, NULL);
    if (given)
        return use(s, o, given);
    if (!*s->rest || (o->greedy ? strcmp(*s->rest, "--") == 0 : flag_like(*s->rest)))
        return err_set(s->err, ERR_USAGE, "--%s needs a value: --%s %s", o->name, o->name,
                       o->value);
    if (!use(s, o, *s->rest++))
        return false;
    while (o->greedy && *s->rest && !known_flag(c, *s->rest))
        if (!use(s, o, *s->rest++))
            return false;
    return true;
}

static bool flag(struct parser *s, const char *word)
{
    const struct cli_command *c = s->p->command;
    const struct cli_option *o;

    if (word[1] == '-') {
        struct view name = view_str(word + 2);
        size_t equals = view_find(name, '=');

        o = option_find(c, view_first(name, equals));
        return o ? option(s, o, equals < name.len ? word + 2 + equals + 1 : NULL)
                 : unknown_flag(s, word);
    }
    o = letter_find(c, word[1]);
    return o ? option(s, o, word[2] ? word + 2 : NULL) : unknown_flag(s, word);
}

static bool named(const struct cli_command *c, const char *word)
{
    return strcmp(c->name, word) == 0 || (c->alias && strcmp(c->alias, word) == 0);
}

static bool descend(struct parser *s, const char *word)
{
    struct cli_parsed *p = s->p;
    const struct cli_command *c = p->command;
    struct nearest n = {.word = view_str(word), .distance = NEAR};
    char text[SHOWN + 8];
    size_t len = strlen(p->name);

    for (size_t i = 0; i < c->command_count; i++) {
        const struct cli_command *sub = cli_sub(c, i);

        nearest_consider(&n, sub->name);
        if (!named(sub, word))
            continue;
        p->command = sub;
        (void)snprintf(p->name + len, sizeof p->name - len, " %s", sub->name);
        return true;
    }
    return err_set(s->err, ERR_USAGE, "unknown command '%s'%s%s%s", shown(word, text),
                   n.best ? "; did you mean '" : "", n.best ? n.best : "", n.best ? "'?" : "");
}

/* Room for what the command takes: its options are known now. */
static bool lists_new(struct parser *s)
{
    struct cli_parsed *p = s->p;
    size_t n = p->command->option_count;

    if (!n)
        return true;
    CHECK(!p->command->command_count && !p->value_counts);
    p->value_lists = calloc(n, sizeof *p->value_lists);
    p->value_counts = calloc(n, sizeof *p->value_counts);
    return (p->value_lists && p->value_counts) || err_set(s->err, ERR_MEMORY, "arguments");
}

static bool keep_word(struct parser *s, const char *word)
{
    struct cli_parsed *p = s->p;
    char text[SHOWN + 8];

    if (p->words.count >= p->command->words_most && !p->command->verbatim)
        return err_set(s->err, ERR_USAGE, "unexpected argument '%s'", shown(word, text));
    p->word_list[p->words.count++] = word;
    return true;
}

/* "help provider list": the rest names a command. */
static bool help_words(struct parser *s)
{
    s->p->help = true;
    for (; *s->rest; s->rest++)
        if (flag_like(*s->rest) ? !flag(s, *s->rest) : !descend(s, *s->rest))
            return false;
    return true;
}

/* Ours, and not a word that some tool may know: nothing that asks for help, and no format that there is not. */
static bool ours(char *const *rest)
{
    struct view name = view_str(*rest);
    size_t equals = view_find(name, '=');
    enum cli_format format;

    if (!strcmp(*rest, "-J") || !strcmp(*rest, "--json") || !strcmp(*rest, "--verbose"))
        return true;
    if (!view_eq(view_first(name, equals), VIEW("--output")) &&
        !view_eq(view_first(name, equals), VIEW("--format")))
        return false;
    if (equals < name.len)
        return cli_format_parse(*rest + equals + 1, &format);
    return rest[1] && cli_format_parse(rest[1], &format);
}

/* Global flags right behind the first word of a verbatim command. */
static bool globals_behind(struct parser *s)
{
    while (!s->flags_over && *s->rest && ours(s->rest)) {
        const char *w = *s->rest++;

        if (!flag(s, w))
            return false;
    }
    return true;
}

static bool word(struct parser *s, const char *w)
{
    struct cli_parsed *p = s->p;

    if (p->command->command_count) {
        if (strcmp(w, "help") == 0 && !s->flags_over)
            return help_words(s);
        return descend(s, w) && lists_new(s);
    }
    if (!keep_word(s, w))
        return false;
    if (!p->command->verbatim || p->words.count > 1)
        return true;
    if (!globals_behind(s))
        return false;
    if (*s->rest && strcmp(*s->rest, "--") == 0)
        s->rest++;
    while (*s->rest)
        if (!keep_word(s, *s->rest++))
            return false;
    return true;
}

static bool walk(struct parser *s)
{
    while (*s->rest && !s->p->help && !s->p->version) {
        const char *w = *s->rest++;

        if (!s->flags_over && strcmp(w, "--") == 0)
            s->flags_over = true;
        else if (!s->flags_over && flag_like(w) ? !flag(s, w) : !word(s, w))
            return false;
    }
    return true;
}

/* The index-th word of "NAME VALUE". */
static struct view word_name(const char *words, size_t index)
{
    struct view rest = view_str(words), one = {0};

    for (size_t i = 0; i <= index; i++)
        if (!view_next(&rest, ' ', &one))
            return VIEW("an argument");
    return one;
}

static bool complete(struct parser *s)
{
    struct cli_parsed *p = s->p;
    const struct cli_command *c = p->command;

    if (c->command_count)
        return err_set(s->err, ERR_USAGE, "a command is missing");
    if (p->words.count < c->words_least)
        return err_set(s->err, ERR_USAGE, "%.*s is missing",
                       VIEW_ARG(word_name(c->words, p->words.count)));
    for (size_t i = 0; i < c->option_count; i++)
        if (c->options[i].required && !p->value_counts[i])
            return err_set(s->err, ERR_USAGE, "--%s %s is missing", c->options[i].name,
                           c->options[i].value);
    return true;
}

bool cli_parse(const struct cli_command *root, int argc, char *const *argv, struct cli_parsed *out,
               struct err *err)
{
    struct parser s = {.p = out, .rest = argv + (argc > 0), .err = err};

    *out = (struct cli_parsed){.command = root};
    (void)snprintf(out->name, sizeof out->name, "%s", root->name);
    out->word_list = calloc((size_t)argc + 1, sizeof *out->word_list);
    if (!out->word_list)
        return err_set(err, ERR_MEMORY, "arguments");
    if (!walk(&s) || (!out->help && !out->version && !complete(&s)))
        return false;
    out->words.words = out->word_list;
    out->words.command = out->command;
    out->words.values = (const char *const *const *)out->value_lists;
    out->words.value_counts = out->value_counts;
    return true;
}

void cli_parsed_done(struct cli_parsed *p)
{
    for (size_t i = 0; p->value_lists && i < p->command->option_count; i++)
        free(p->value_lists[i]);
    free(p->value_lists);
    free(p->value_counts);
    free(p->word_list);
    p->value_lists = NULL;
    p->value_counts = NULL;
    p->word_list = NULL;
}
