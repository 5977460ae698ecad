#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { FAR = 4, SHOWN_BYTES = 48, KNOWN_MAX = 96 };

/* --- saying where --- */

static void place(const struct manifest_reader *r, uint32_t token, const char *name, char *out,
                  size_t size)
{
    const char *dot = *name ? "" : "."; /* "tools[2]." without its dot when no name follows */
    size_t n = strlen(r->where);

    if (*dot && n && r->where[n - 1] == '.')
        n--;
    if (r->lines)
        (void)snprintf(out, size, "line %u: %.*s%s", r->lines[token], (int)n, r->where, name);
    else
        (void)snprintf(out, size, "%.*s%s", (int)n, r->where, name);
}

bool manifest_refuse(struct manifest_reader *r, uint32_t token, const char *name, const char *fmt,
                     ...)
{
    char where[256], what[ERR_TEXT_BYTES];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    place(r, token, name, where, sizeof where);
    (void)err_set(r->err, ERR_CONFIG, "%s: %s", where, what);
    return err_in(r->err, "Failed to parse manifest %s", r->file);
}

void manifest_warn(struct manifest_reader *r, uint32_t token, const char *name, const char *fmt,
                   ...)
{
    char where[256], what[ERR_TEXT_BYTES];
    struct err all;
    va_list args;

    if (!r->warn)
        return;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    place(r, token, name, where, sizeof where);
    (void)err_set(&all, ERR_CONFIG, "%s: %s: %s", r->file, where, what);
    r->warn(r->context, all.text);
}

const char *manifest_nearest(struct view name, const char *const *known)
{
    const char *best = NULL;
    unsigned least = FAR;

    for (; *known; known++) {
        struct view k = view_str(*known);
        unsigned d = text_distance(name, k);

        if (d >= FAR && name.len >= FAR && (view_ends(k, name) || view_starts(k, name)))
            d = FAR - 1;
        if (d < least && d <= name.len / 2) {
            least = d;
            best = *known;
        }
    }
    return best;
}

/* --- values --- */

static const char *kind_name(const struct manifest_reader *r, uint32_t token)
{
    static const char *const names[] = {
        [JSON_NULL] = "nothing",  [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",
        [JSON_STRING] = "a text", [JSON_ARRAY] = "an array",     [JSON_OBJECT] = "a table"};

    return names[r->doc->tokens[token].kind];
}

static bool wrong(struct manifest_reader *r, uint32_t token, const char *name, const char *want)
{
    enum json_kind kind = r->doc->tokens[token].kind;

    if (strcmp(want, "a text") == 0 && (kind == JSON_NUMBER || kind == JSON_BOOL))
        return manifest_refuse(r, token, name, "must be a text: put quotes around %.*s",
                               VIEW_ARG(view_first(json_span(r->doc, token), SHOWN_BYTES)));
    return manifest_refuse(r, token, name, "must be %s, not %s", want, kind_name(r, token));
}

bool manifest_copy(struct view text, char **out, struct err *err)
{
    char *copy = malloc(text.len + 1);

    if (!copy)
        return err_set(err, ERR_MEMORY, "no memory for a manifest");
    if (text.len)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *out = copy;
    return true;
}

/* What came from TOML is UTF-8 without U+0000; there, only memory can be missing. */
static bool unreadable(struct manifest_reader *r, uint32_t token, const char *name)
{
    return r->lines ? err_set(r->err, ERR_MEMORY, "no memory for a manifest")
                    : manifest_refuse(r, token, name, "must be a text of Unicode without U+0000");
}

bool manifest_text(struct manifest_reader *r, uint32_t token, const char *name, char **out)
{
    size_t len;
    char *text;

    if (r->doc->tokens[token].kind != JSON_STRING)
        return wrong(r, token, name, "a text");
    if (!json_string_new(r->doc, token, &text, &len))
        return unreadable(r, token, name);
    free(*out);
    *out = text;
    return true;
}

bool manifest_texts(struct manifest_reader *r, uint32_t token, const char *name, struct texts *out)
{
    const struct json_token *t = &r->doc->tokens[token];
    uint32_t at = json_first(token);

    if (t->kind == JSON_STRING)
        return manifest_refuse(r, token, name, "must be an array of texts: put [ ] around it");
    if (t->kind != JSON_ARRAY)
        return wrong(r, token, name, "an array of texts");
    texts_done(out);
    out->at = calloc(t->count ? t->count : 1, sizeof *out->at);
    if (!out->at)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    for (uint32_t i = 0; i < t->count; i++, at = r->doc->tokens[at].next) {
        char item[96];

        (void)snprintf(item, sizeof item, "%s[%u]", name, i);
        if (!manifest_text(r, at, item, &out->at[i]))
            return false;
        out->count++;
    }
    return true;
}

static bool pair(struct manifest_reader *r, const char *key, uint32_t value, void *context)
{
    struct text_pairs *out = context;
    struct text_pair *p = &out->at[out->count];

    if (!manifest_copy(view_str(key), &p->name, r->err))
        return false;
    out->count++;
    return manifest_text(r, value, "", &p->value);
}

static bool pairs(struct manifest_reader *r, uint32_t token, const char *name,
                  struct text_pairs *out)
{
    if (r->doc->tokens[token].kind != JSON_OBJECT)
        return wrong(r, token, name, "a table of texts");
    text_pairs_done(out);
    out->at = calloc(r->doc->tokens[token].count + 1, sizeof *out->at);
    if (!out->at)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    return manifest_each(r, name, token, pair, out);
}

static bool count(struct manifest_reader *r, uint32_t token, const char *name, uint64_t *out)
{
    int64_t n;

    if (!json_integer(r->doc, token, &n) || n < 0)
        return manifest_refuse(r, token, name, "must be a whole number that is not negative");
    *out = (uint64_t)n;
    return true;
}

int manifest_choice(struct manifest_reader *r, uint32_t token, const char *const *names,
                    char given[static 80])
{
    char text[64];

    (void)text_escape(json_source(r->doc, token), SHOWN_BYTES, given, 80);
    if (r->doc->tokens[token].kind != JSON_STRING)
        return -1;
    (void)text_escape(json_span(r->doc, token), SHOWN_BYTES, given, 80);
    if (!json_string(r->doc, token, text, sizeof text))
        return -1;
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return -1;
}

/* --- tables --- */

bool manifest_each(struct manifest_reader *r, const char *name, uint32_t token,
                   bool (*each)(struct manifest_reader *r, const char *key, uint32_t value,
                                void *context),
                   void *context)
{
    size_t before = strlen(r->where);
    uint32_t at = json_first(token);
    bool good = true;

    if (r->doc->tokens[token].kind != JSON_OBJECT)
        return wrong(r, token, name, "a table");
    for (uint32_t i = 0; good && i < r->doc->tokens[token].count; i++) {
        uint32_t value = r->doc->tokens[at].next;
        char *key = NULL;
        size_t len;

        if (!json_string_new(r->doc, at, &key, &len))
            return unreadable(r, at, name);
        (void)snprintf(r->where + before, sizeof r->where - before, "%s%s%s.", name,
                       *name ? "." : "", key);
        good = each(r, key, value, context);
        r->where[before] = '\0';
        free(key);
        at = r->doc->tokens[value].next;
    }
    return good;
}

static void unknown(struct manifest_reader *r, uint32_t key, const struct manifest_field *fields)
{
    const char *known[KNOWN_MAX + 1] = {0}, *near;
    struct view name = json_span(r->doc, key);
    char shown[80];
    size_t n = 0;

    for (; fields->name && n < KNOWN_MAX; fields++)
        known[n++] = fields->name;
    (void)text_escape(name, SHOWN_BYTES, shown, sizeof shown);
    near = manifest_nearest(name, known);
    if (near)
        manifest_warn(r, key, shown, "unknown field, ignored; did you mean %s?", near);
    else
        manifest_warn(r, key, shown, "unknown field, ignored");
}

static bool read_field(struct manifest_reader *r, uint32_t token, const struct manifest_field *f,
                       void *into)
{
    void *at = (char *)into + f->offset;

    switch (f->kind) {
    case FIELD_TEXT:
        return manifest_text(r, token, f->name, at);
    case FIELD_BOOL:
        return json_boolean(r->doc, token, at) || wrong(r, token, f->name, "true or false");
    case FIELD_COUNT:
        return count(r, token, f->name, at);
    case FIELD_TEXTS:
        return manifest_texts(r, token, f->name, at);
    case FIELD_PAIRS:
        return pairs(r, token, f->name, at);
    case FIELD_OWN:
        return f->read(r, token, at);
    }
    return false;
}

static bool initial(const struct manifest_field *f, void *into, struct err *err)
{
    void *at = (char *)into + f->offset;

    if (f->kind == FIELD_BOOL)
        *(bool *)at = f->initial != 0;
    else if (f->kind == FIELD_COUNT)
        *(uint64_t *)at = f->initial;
    else if (f->kind == FIELD_TEXT && f->text)
        return manifest_copy(view_str(f->text), at, err);
    return true;
}

static const struct manifest_field *field_of(const struct manifest_field *fields, struct view key)
{
    for (; fields->name; fields++)
        if (view_eq(view_str(fields->name), key))
            return fields;
    return NULL;
}

static void suits(struct manifest_reader *r, uint32_t key, const struct manifest_field *f)
{
    enum manifest_handler handler = r->provider->handler;

    if (f->handlers && !(f->handlers & 1u << handler))
        manifest_warn(r, key, f->name, "means nothing to handler \"%s\"",
                      manifest_handler_name(handler));
}

bool manifest_read(struct manifest_reader *r, uint32_t token, const struct manifest_field *fields,
                   void *into)
{
    uint32_t at = json_first(token);

    if (r->doc->tokens[token].kind != JSON_OBJECT)
        return wrong(r, token, "", "a table");
    for (const struct manifest_field *f = fields; f->name; f++)
        if (!initial(f, into, r->err))
            return false;
    for (uint32_t i = 0; i < r->doc->tokens[token].count; i++) {
        uint32_t value = r->doc->tokens[at].next;
        const struct manifest_field *f = field_of(fields, json_span(r->doc, at));

        if (!f)
            unknown(r, at, fields);
        else if (r->doc->tokens[value].kind != JSON_NULL) {
            suits(r, at, f);
            if (!read_field(r, value, f, into))
                return false;
        }
        at = r->doc->tokens[value].next;
    }
    return true;
}

bool manifest_read_in(struct manifest_reader *r, const char *name, uint32_t token,
                      const struct manifest_field *fields, void *into)
{
    size_t before = strlen(r->where);
    bool good;

    (void)snprintf(r->where + before, sizeof r->where - before, "%s.", name);
    good = manifest_read(r, token, fields, into);
    r->where[before] = '\0';
    return good;
}
