#include "base/settings_priv.h"

#include <stdlib.h>

#include "base/text.h"

#include "base/poison.h"

/* Reads one "quoted" text at the start of *rest into out; false when it does not end well. */
static bool quoted(struct view *rest, char *out, size_t size)
{
    size_t n = 0, i = 1;

    for (; i < rest->len && rest->at[i] != '"'; i++) {
        char c = (char)rest->at[i];

        if (c == '\\') {
            if (++i >= rest->len)
                return false;
            c = (char)rest->at[i];
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c);
            if (!strchr("\n\t\"\\", c))
                return false;
        }
        if (n + 1 >= size)
            return false;
        out[n++] = c;
    }
    if (i >= rest->len)
        return false;
    out[n] = '\0';
    *rest = text_trim(view_skip(*rest, i + 1));
    return true;
}

/* Nothing but a comment may stand behind a value. */
static bool at_end(struct view rest)
{
    return !rest.len || rest.at[0] == '#';
}

/* ["a", "b"] becomes a,b. */
static bool bracketed(struct view *rest, char *out, size_t size)
{
    size_t n = 0;

    *rest = text_trim(view_skip(*rest, 1));
    while (rest->len && rest->at[0] != ']') {
        if (n && n + 1 < size)
            out[n++] = ',';
        if (rest->at[0] != '"' || !quoted(rest, out + n, size - n))
            return false;
        n += strlen(out + n);
        if (rest->len && rest->at[0] == ',')
            *rest = text_trim(view_skip(*rest, 1));
        else if (!rest->len || rest->at[0] != ']')
            return false;
    }
    if (!rest->len)
        return false;
    out[n] = '\0';
    *rest = text_trim(view_skip(*rest, 1));
    return true;
}

static bool value_of(struct view text, char *out, size_t size)
{
    size_t comment;

    if (text.len && text.at[0] == '"')
        return quoted(&text, out, size) && at_end(text);
    if (text.len && text.at[0] == '[')
        return bracketed(&text, out, size) && at_end(text);
    /* A bare value ends at " #": a '#' inside a word belongs to it. */
    for (comment = 0; comment < text.len; comment++)
        if (text.at[comment] == '#' &&
            (comment == 0 || text.at[comment - 1] == ' ' || text.at[comment - 1] == '\t'))
            break;
    text = text_trim(view_first(text, comment));
    if (text.len >= size || memchr(text.len ? (const void *)text.at : "", 0, text.len))
        return false;
    if (text.len)
        memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    return true;
}

static void line_of(struct settings *s, struct view line, const char *name, unsigned number)
{
    size_t equals = view_find(line, '='), row;
    struct view key = text_trim(view_first(line, equals));
    char where[320], *value;
    const char *near;

    if (equals == line.len) {
        settings_complain(s, "%s:%u: no '=' in the line; write key = value", name, number);
        return;
    }
    row = settings_row(s->program, key);
    if (row == s->program->count) {
        near = settings_nearest(s->program, key);
        settings_complain(s, "%s:%u: unknown key \"%.*s\"%s%s%s", name, number,
                          VIEW_ARG(view_first(key, 64)), near ? "; did you mean \"" : "",
                          near ? near : "", near ? "\"?" : "");
        return;
    }
    value = malloc(line.len + 1);
    if (!value || !value_of(text_trim(view_skip(line, equals + 1)), value, line.len + 1)) {
        settings_complain(
            s, "%s:%u: %s: the value does not end properly; write \"text\" or [\"a\", \"b\"]", name,
            number, s->program->rows[row].name);
    } else {
        (void)snprintf(where, sizeof where, "%s:%u: %s", name, number, s->program->rows[row].name);
        settings_take(s, row, view_str(value), SOURCE_FILE, where);
    }
    free(value);
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
