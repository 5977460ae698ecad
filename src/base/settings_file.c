#include "base/settings_priv.h"

#include <limits.h>
#include <stdlib.h>

#include "base/text.h"

#include "base/poison.h"

/* A value being read. Nothing that is read grows: out has room for the line. */
struct value {
    struct view rest;
    char *out;
    size_t len;
    const char *wrong; /* and what to write instead */
};

static bool wrong(struct value *v, const char *what)
{
    v->wrong = what;
    return false;
}

/* Takes one "quoted" text. */
static bool quoted(struct value *v)
{
    size_t i = 1;

    for (; i < v->rest.len && v->rest.at[i] != '"'; i++) {
        char c = (char)v->rest.at[i];

        if (c == '\\' && i + 1 < v->rest.len) {
            c = (char)v->rest.at[++i];
            if (c != '"' && c != '\\' && c != 'n' && c != 't')
                return wrong(v, "unknown escape; there are \\\" \\\\ \\n \\t");
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c);
        }
        v->out[v->len++] = c;
    }
    if (i >= v->rest.len)
        return wrong(v, "the quotes are not closed; write \"text\" on one line");
    v->rest = text_trim(view_skip(v->rest, i + 1));
    return true;
}

/* ["a", "b"] becomes a,b. A comma behind the last element is TOML. */
static bool bracketed(struct value *v)
{
    bool more = true;

    v->rest = text_trim(view_skip(v->rest, 1));
    for (size_t count = 0; v->rest.len && v->rest.at[0] != ']'; count++) {
        if (v->rest.at[0] != '"' || !more)
            return wrong(v, "write a list as [\"a\", \"b\"]");
        if (count)
            v->out[v->len++] = ',';
        if (!quoted(v))
            return false;
        more = v->rest.len && v->rest.at[0] == ',';
        if (more)
            v->rest = text_trim(view_skip(v->rest, 1));
    }
    if (!v->rest.len)
        return wrong(v, "the list is not closed; write [\"a\", \"b\"] on one line");
    v->rest = text_trim(view_skip(v->rest, 1));
    return true;
}

/* A bare value ends at " #": a '#' inside a word belongs to it. */
static void bare(struct value *v)
{
    size_t n = 0;
    struct view text;

    while (n < v->rest.len && !(v->rest.at[n] == '#' &&
                                (n == 0 || v->rest.at[n - 1] == ' ' || v->rest.at[n - 1] == '\t')))
        n++;
    text = text_trim(view_first(v->rest, n));
    if (text.len)
        memcpy(v->out, text.at, text.len);
    v->len = text.len;
    v->rest = view_skip(v->rest, n);
}

/* A list in brackets, and not an address in brackets. */
static bool is_list(struct view text)
{
    struct view inside = text_trim(view_skip(text, 1));

    return text.len && text.at[0] == '[' &&
           (!inside.len || inside.at[0] == '"' || inside.at[0] == ']');
}

static bool read_value(struct value *v, enum setting_kind kind)
{
    uint8_t first = v->rest.len ? v->rest.at[0] : '#';
    bool list = is_list(v->rest);

    if (view_find(v->rest, 0) < v->rest.len)
        return wrong(v, "there is a NUL byte in the line");
    if (first == '\'')
        return wrong(v, "write \"text\", with double quotes");
    if (list && kind != SETTING_LIST)
        return wrong(v, "this setting takes one value, no list");
    if (first == '"') {
        if (!quoted(v))
            return false;
    } else if (list) {
        if (!bracketed(v))
            return false;
    } else {
        bare(v);
    }
    if (v->rest.len && v->rest.at[0] != '#')
        return wrong(v, "nothing but a comment may stand behind the value");
    return true;
}

static void unknown(struct settings *s, struct view key, const char *name, unsigned number)
{
    const char *near = settings_nearest(s->program, key, SOURCE_FILE);
    char shown[SETTING_SHOWN_ROOM];

    settings_complain(s, "%s:%u: unknown key \"%s\"%s%s%s; see --help", name, number,
                      settings_shown(key, shown), near ? "; did you mean \"" : "", near ? near : "",
                      near ? "\"?" : "");
}

static void take_value(struct settings *s, size_t row, struct view text, const char *name,
                       unsigned number)
{
    const struct setting *setting = &s->program->rows[row];
    struct value v = {.rest = text_trim(text), .out = malloc(text.len + 1)};
    char where[PATH_MAX + SETTING_VARIABLE_BYTES];

    (void)snprintf(where, sizeof where, "%s:%u: %s", name, number, setting->name);
    if (!v.out)
        settings_complain(s, "%s: out of memory", where);
    else if (!read_value(&v, setting->kind))
        settings_complain(s, "%s: %s", where, v.wrong);
    else
        settings_take(s, row, view_from(v.out, v.len), SOURCE_FILE, where);
    free(v.out);
}

static void line_of(struct settings *s, struct view line, const char *name, unsigned number)
{
    size_t equals = view_find(line, '='), row;
    struct view key = text_trim(view_first(line, equals));
    unsigned *before;

    if (equals == line.len) {
        settings_complain(s, "%s:%u: no '=' in the line; write key = value", name, number);
        return;
    }
    row = settings_row(s->program, key);
    if (row == s->program->count) {
        unknown(s, key, name, number);
        return;
    }
    before = &s->states[row].line;
    if (*before)
        settings_complain(s, "%s:%u: %s: already set in line %u; keep one of the two", name, number,
                          s->program->rows[row].name, *before);
    else
        *before = number;
    take_value(s, row, view_skip(line, equals + 1), name, number);
}

void settings_parse_file(struct settings *s, struct view text, const char *name)
{
    struct view line;
    unsigned number = 0;

    if (!text.at)
        return;
    while (view_next(&text, '\n', &line)) {
        number++;
        line = text_trim(line);
        if (line.len && line.at[0] != '#')
            line_of(s, line, name, number);
    }
}
