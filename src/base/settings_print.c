#include "base/settings_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { WIDTH = 80, INDENT = 6 };

/* Characters of UTF-8, none of which is wide. */
static int columns(struct view v)
{
    int n = 0;

    for (size_t i = 0; i < v.len; i++)
        n += (v.at[i] & 0xC0) != 0x80;
    return n;
}

/* Words of text, wrapped, each line indented. */
static void paragraph(FILE *out, const char *text, int indent)
{
    struct view rest = view_str(text), word;
    int at = 0;

    while (view_next(&rest, ' ', &word)) {
        if (!word.len)
            continue;
        if (at && at + 1 + columns(word) > WIDTH) {
            (void)fputc('\n', out);
            at = 0;
        }
        (void)fprintf(out, "%*s%.*s", at ? 1 : indent, "", VIEW_ARG(word));
        at += (at ? 1 : indent) + columns(word);
    }
    (void)fputc('\n', out);
}

static const char *value_name(const struct setting *row)
{
    if (row->value_name)
        return row->value_name;
    switch (row->kind) {
    case SETTING_BOOL:
        return "";
    case SETTING_U32:
    case SETTING_U64:
        return "N";
    case SETTING_SIZE:
        return "SIZE";
    case SETTING_DURATION:
        return "TIME";
    case SETTING_TEXT:
        return "TEXT";
    case SETTING_LIST:
        return "LIST";
    case SETTING_CHOICE:
        return row->choices;
    }
    return "";
}

static void help_row(const struct settings_program *p, const struct setting *row, FILE *out)
{
    char variable[SETTING_VARIABLE_BYTES], text[1024];
    const char *value = value_name(row);
    bool on = false;
    /* That a switch is off unless it is given goes without saying. */
    bool shown = row->fallback &&
                 (row->kind != SETTING_BOOL || (text_bool(view_str(row->fallback), &on) && on));

    (void)fprintf(out, "  --%s%s%s\n", row->name, *value ? " " : "", value);
    (void)snprintf(text, sizeof text, "%s%s%s%s [%s]", row->help, shown ? " (default: " : "",
                   shown ? row->fallback : "", shown ? ")" : "",
                   settings_variable(p, row->name, variable, sizeof variable));
    paragraph(out, text, INDENT);
}

void settings_help(const struct settings_program *p, FILE *out)
{
    const char *group = NULL;

    (void)fprintf(out, "Usage: %s\n\n", p->usage);
    paragraph(out, p->summary, 0);
    (void)fputc('\n', out);
    paragraph(out,
              "Every option is also an environment variable (in brackets) and a key of the "
              "configuration file. Precedence: option, then environment, then file, then default. "
              "--no-NAME turns a switch off. Durations: 250ms, 5s, 10m, 1h, 1d; a bare number is "
              "seconds. Sizes: 65536, 64KiB, 1MiB.",
              0);
    for (size_t i = 0; i < p->count; i++) {
        if (!group || strcmp(group, p->rows[i].group) != 0) {
            group = p->rows[i].group;
            (void)fprintf(out, "\n%s:\n", group);
        }
        help_row(p, &p->rows[i], out);
    }
    (void)fprintf(out,
                  "\nConfiguration:\n"
                  "  --config FILE\n"
                  "      Read `key = value` lines from FILE [%sCONFIG]\n"
                  "  --check\n"
                  "      Check the configuration, print what is in force, and exit 0 or 2\n"
                  "  --print-config\n"
                  "      Print every setting with its source, in the file's own syntax\n"
                  "  --version, -V\n"
                  "      Print the version\n"
                  "  --help, -h\n"
                  "      Print this text\n",
                  p->prefix);
    if (p->epilogue)
        (void)fprintf(out, "\n%s", p->epilogue);
}

static void print_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fprintf(out, "\\%c", *text);
        else if (*text == '\n')
            (void)fputs("\\n", out);
        else if (*text == '\t')
            (void)fputs("\\t", out);
        else
            (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

void settings_print(const struct settings *s, FILE *out)
{
    static const char *const sources[] = {"default", "file", "environment", "flag"};

    for (size_t i = 0; i < s->program->count; i++) {
        const struct setting *row = &s->program->rows[i];
        const struct setting_state *state = &s->states[i];
        const char *text = state->text ? state->text : row->fallback;
        struct view trimmed = text_trim(view_str(text));
        bool plain = row->kind != SETTING_TEXT && row->kind != SETTING_LIST;

        if (!text) {
            (void)fprintf(out, "# %s is not set\n", row->name);
            continue;
        }
        (void)fprintf(out, "%s = ", row->name);
        if (plain)
            (void)fprintf(out, "%.*s", VIEW_ARG(trimmed));
        else
            print_text(out, text);
        (void)fprintf(out, "  # %s\n", sources[state->text ? state->source : SOURCE_DEFAULT]);
    }
}
