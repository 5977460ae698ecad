#include "ati/cli/options.h"

#include "base/poison.h"

enum { INDENT = 2, GAP = 2, NAMES_MAX = 30, OPTION_BYTES = 160 };

/* "-n, --n N" */
static const char *option_text(const struct cli_option *o, char out[static OPTION_BYTES])
{
    int n = o->letter ? snprintf(out, OPTION_BYTES, "-%c, ", o->letter) : 0;

    n += snprintf(out + n, (size_t)(OPTION_BYTES - n), "--%s", o->name);
    if (o->value)
        (void)snprintf(out + n, (size_t)(OPTION_BYTES - n), " %s%s",
                       o->choices ? o->choices : o->value, o->many ? "…" : "");
    return out;
}

/* Columns of UTF-8 text of ours: no wide characters are in it. */
static size_t columns_of(struct view v)
{
    size_t n = 0;

    for (size_t i = 0; i < v.len; i++)
        n += (v.at[i] & 0xC0) != 0x80;
    return n;
}

static void blanks(size_t n, FILE *out)
{
    (void)fprintf(out, "%*s", (int)n, "");
}

/* Words from column at on, none beyond CLI_COLUMNS, further lines indented to from. Returns the column reached. */
static size_t flow(struct view text, size_t at, size_t from, FILE *out)
{
    struct view one;

    while (view_next(&text, ' ', &one)) {
        size_t wide = columns_of(one);

        if (!wide)
            continue;
        if (at > from && at + 1 + wide > CLI_COLUMNS) {
            (void)fputc('\n', out);
            blanks(from, out);
            at = from;
        } else if (at > from) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fprintf(out, "%.*s", VIEW_ARG(one));
        at += wide;
    }
    return at;
}

/* A name, and what is told of it beside it, or below when the name is long. */
static size_t entry(const char *name, const char *text, size_t column, FILE *out)
{
    size_t at = INDENT + columns_of(view_str(name));

    (void)fprintf(out, "%*s%s", INDENT, "", name);
    if (at + GAP > column) {
        (void)fputc('\n', out);
        at = 0;
    }
    blanks(column - at, out);
    return flow(view_str(text), column, column, out);
}

static void widest(const char *name, size_t *column)
{
    size_t n = INDENT + columns_of(view_str(name)) + GAP;

    if (n > *column && n <= NAMES_MAX)
        *column = n;
}

static size_t options_column(const struct cli_command *c)
{
    char text[OPTION_BYTES];
    size_t column = 0;

    for (size_t i = 0; i < c->option_count; i++)
        widest(option_text(&c->options[i], text), &column);
    for (size_t i = 0; i < cli_global_count; i++)
        widest(option_text(&cli_globals[i], text), &column);
    return column;
}

static void options(const struct cli_option *list, size_t count, size_t column, FILE *out)
{
    char text[OPTION_BYTES], note[OPTION_BYTES];

    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = &list[i];
        size_t at = entry(option_text(o, text), o->help, column, out);

        if (o->fallback || o->required) {
            (void)snprintf(note, sizeof note, o->required ? "(required)" : "(default: %s)",
                           o->fallback);
            (void)flow(view_str(note), at, column, out);
        }
        (void)fputc('\n', out);
    }
}

static void commands(const struct cli_command *c, FILE *out)
{
    char name[OPTION_BYTES];
    size_t column = 0;

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < c->command_count; i++) {
            const struct cli_command *sub = cli_sub(c, i);

            (void)snprintf(name, sizeof name, "%s%s%s%s%s", sub->name, sub->words ? " " : "",
                           sub->words ? sub->words : "", sub->alias ? ", " : "",
                           sub->alias ? sub->alias : "");
            if (pass) {
                (void)entry(name, sub->summary, column, out);
                (void)fputc('\n', out);
            } else {
                widest(name, &column);
            }
        }
}

void cli_usage(const struct cli_command *c, const char *name, FILE *out)
{
    (void)fprintf(out, "Usage: %s%s%s%s%s\n", name, c->command_count ? " COMMAND" : "",
                  c->words ? " " : "", c->words ? c->words : "",
                  c->option_count ? " [OPTIONS]" : "");
}

void cli_help(const struct cli_command *c, const char *name, FILE *out)
{
    size_t column = options_column(c);

    (void)fprintf(out, "%s:", name);
    (void)flow(view_str(c->summary), columns_of(view_str(name)) + 2, 0, out);
    (void)fputs("\n\n", out);
    cli_usage(c, name, out);
    if (c->command_count) {
        (void)fputs("\nCommands:\n", out);
        commands(c, out);
    }
    if (c->option_count) {
        (void)fputs("\nOptions:\n", out);
        options(c->options, c->option_count, column, out);
    }
    (void)fputs("\nGlobal options:\n", out);
    options(cli_globals, cli_global_count, column, out);
    if (c->about) {
        (void)fputc('\n', out);
        (void)fputs(c->about, out);
    }
    if (c->command_count)
        (void)fprintf(out, "\n\"%s COMMAND --help\" tells more of one.\n", name);
}
