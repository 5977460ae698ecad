#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/manifest/manifest.h"
#include "ati/manifest/toml_priv.h"
#include "base/json.h"

#include "base/poison.h"

struct build {
    struct json_writer w;
    uint32_t *lines;
    size_t count, room;
    struct err *err;
};

/* --- before the parser: what would take it too deep --- */

/* Where the string that begins at `from` is behind. One that does not end, ends the scan: the parser stops there, too. */
static size_t behind_string(struct view toml, size_t from)
{
    uint8_t quote = toml.at[from], three[] = {quote, quote, quote};
    struct view marks = view_from(three, sizeof three);
    bool many = view_starts(view_skip(toml, from), marks);
    size_t i = from + (many ? 3 : 1);

    for (; i < toml.len; i++) {
        uint8_t c = toml.at[i];

        if (quote == '"' && c == '\\')
            i++;
        else if (many ? c == quote && view_starts(view_skip(toml, i), marks)
                      : c == quote || c == '\n')
            break;
    }
    i += many ? 3 : 1;
    while (many && i < toml.len && toml.at[i] == quote)
        i++; /* a string may end in quotes of its own */
    return i;
}

static uint32_t line_of(struct view toml, size_t at)
{
    uint32_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += toml.at[i] == '\n';
    return line;
}

static bool shallow(struct view toml, struct err *err)
{
    unsigned dots = 0;
    size_t i = 0;

    while (i < toml.len) {
        uint8_t c = toml.at[i];

        if (c == '"' || c == '\'') {
            i = behind_string(toml, i);
            continue;
        }
        if (c == '#') {
            i += view_find(view_skip(toml, i), '\n');
            continue;
        }
        if (c == '.' && ++dots >= TOML_KEY_PARTS_MAX)
            return err_set(err, ERR_SYNTAX, "line %u: a key of more than %d parts",
                           line_of(toml, i), TOML_KEY_PARTS_MAX);
        if (c == '\n' || c == '=' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}')
            dots = 0;
        i++;
    }
    return true;
}

/* --- the walk --- */

static bool note_line(struct build *b, uint32_t line)
{
    if (b->count == b->room) {
        size_t room = b->room ? b->room * 2 : 256;
        uint32_t *more = realloc(b->lines, room * sizeof *more);

        if (!more)
            return err_set(b->err, ERR_MEMORY, "no memory for a manifest");
        b->lines = more;
        b->room = room;
    }
    b->lines[b->count++] = line;
    return true;
}

/* The fewest digits that read back as the same number; whole ones keep a fraction, as they had in TOML. */
static bool put_real(struct build *b, const struct toml_value *v)
{
    char text[40];
    int n = 0;

    if (!isfinite(v->real))
        return err_set(b->err, ERR_SYNTAX, "line %u: inf and nan are no numbers of JSON", v->line);
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, v->real);
        if (strtod(text, NULL) >= v->real && strtod(text, NULL) <= v->real)
            break;
    }
    if (!text[strcspn(text, ".e")])
        n += snprintf(text + n, sizeof text - (size_t)n, ".0");
    json_raw(&b->w, view_from(text, (size_t)n));
    return true;
}

static bool put_text(struct build *b, const struct toml_value *v)
{
    char *key;

    if (v->len && memchr(v->text, 0, v->len))
        return err_set(b->err, ERR_SYNTAX, "line %u: text must not hold U+0000", v->line);
    if (v->event == TOML_STRING) {
        json_text(&b->w, view_from(v->text, v->len));
        return true;
    }
    key = strndup(v->text ? v->text : "", v->len);
    if (!key)
        return err_set(b->err, ERR_MEMORY, "no memory for a manifest");
    json_key(&b->w, key);
    free(key);
    return true;
}

static bool put(void *context, const struct toml_value *v)
{
    struct build *b = context;

    if (v->event == TOML_TABLE_END) {
        json_object_end(&b->w);
        return true;
    }
    if (v->event == TOML_ARRAY_END) {
        json_array_end(&b->w);
        return true;
    }
    if (!note_line(b, v->line))
        return false;
    if ((v->event == TOML_TABLE || v->event == TOML_ARRAY) && b->w.depth >= JSON_DEEP_MAX)
        return err_set(b->err, ERR_SYNTAX, "line %u: more than %d levels of tables and arrays",
                       v->line, JSON_DEEP_MAX);
    switch (v->event) {
    case TOML_TABLE:
        json_object(&b->w);
        return true;
    case TOML_ARRAY:
        json_array(&b->w);
        return true;
    case TOML_KEY:
    case TOML_STRING:
        return put_text(b, v);
    case TOML_INTEGER:
        json_i64(&b->w, v->integer);
        return true;
    case TOML_REAL:
        return put_real(b, v);
    case TOML_BOOL:
        json_bool(&b->w, v->boolean);
        return true;
    case TOML_TABLE_END:
    case TOML_ARRAY_END:
        break;
    }
    return true;
}

bool toml_to_json(struct view toml, struct buf *json, uint32_t **lines, size_t *line_count,
                  struct err *err)
{
    struct build b = {.err = err};
    char why[200];
    uint32_t line;
    bool good;

    if (!shallow(toml, err))
        return false;
    json_begin(&b.w, json);
    good = toml_walk((const char *)toml.at, toml.len, put, &b, why, sizeof why, &line);
    if (!good && *why) {
        for (char *c = why; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7F)
                *c = ' ';
        (void)err_set(err, ERR_SYNTAX, "line %u: %s", line, why);
    }
    good = good && json_end(&b.w, err);
    if (!good) {
        free(b.lines);
        return false;
    }
    *lines = b.lines;
    *line_count = b.count;
    return true;
}
