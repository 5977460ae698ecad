#include "ati/cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"

#include "base/poison.h"

enum { SHOWN_BYTES_MAX = 1024 * 1024 * 1024, CELLS_MAX = 4 * 1024 * 1024 };
#define NO_COLUMN SIZE_MAX

/* A string as it reads; what cannot be decoded (U+0000, a lone surrogate) as it is written. */
static bool put_raw(const struct json_doc *doc, uint32_t token, struct buf *out, struct err *err)
{
    struct view span = json_span(doc, token);
    char *text;
    size_t len;
    bool good;

    if (view_find(span, '\\') == span.len)
        return buf_append(out, span, err);
    if (!json_string_new(doc, token, &text, &len))
        return buf_append(out, json_source(doc, token), err);
    good = buf_append(out, view_from(text, len), err);
    free(text);
    return good;
}

static bool put_value(const struct json_doc *doc, uint32_t token, struct buf *out, struct err *err)
{
    return doc->tokens[token].kind == JSON_STRING
               ? put_raw(doc, token, out, err)
               : json_render(doc, token, JSON_COMPACT, true, out, err);
}

static bool text_array(const struct json_doc *doc, struct buf *out, struct err *err)
{
    uint32_t at = json_first(0);

    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        if ((i && !buf_append_byte(out, '\n', err)) || !put_value(doc, at, out, err))
            return false;
        at = doc->tokens[at].next;
    }
    return true;
}

/* The members of a sorted object: one line each. */
static bool text_object(const struct json_doc *doc, struct buf *out, struct err *err)
{
    uint32_t key = json_first(0);

    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        uint32_t value = doc->tokens[key].next;

        if ((i && !buf_append_byte(out, '\n', err)) || !put_raw(doc, key, out, err) ||
            !buf_append_str(out, ": ", err) || !put_value(doc, value, out, err))
            return false;
        key = doc->tokens[value].next;
    }
    return true;
}

static bool as_text(const struct json_doc *doc, struct buf *out, struct err *err)
{
    switch (doc->tokens[0].kind) {
    case JSON_OBJECT:
        return text_object(doc, out, err);
    case JSON_ARRAY:
        return text_array(doc, out, err);
    case JSON_STRING:
    case JSON_NUMBER:
    case JSON_BOOL:
    case JSON_NULL:
        return put_value(doc, 0, out, err);
    }
    return false;
}

/* Cells of a table: texts one behind the other in one buf, by their ends. */
struct cells {
    struct buf text;
    size_t *ends;
    size_t count, room, columns;
};

static bool cells_end(struct cells *c, struct err *err)
{
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 64;
        size_t *ends = room <= CELLS_MAX ? realloc(c->ends, room * sizeof *ends) : NULL;

        if (!ends)
            return err_set(err, ERR_LIMIT, "a table of more than %zu cells", c->room);
        c->ends = ends;
        c->room = room;
    }
    c->ends[c->count++] = buf_len(&c->text);
    return true;
}

static bool cells_write(const struct cells *c, size_t width, struct buf *out, struct err *err)
{
    struct view *views = calloc(c->count ? c->count : 1, sizeof *views), all = buf_view(&c->text);
    size_t start = 0;
    bool good;

    if (!views)
        return err_set(err, ERR_MEMORY, "table");
    for (size_t i = 0; i < c->count; i++) {
        views[i] = view_first(view_skip(all, start), c->ends[i] - start);
        start = c->ends[i];
    }
    good = cli_table_write(views, c->columns, c->count / c->columns, width, out, err);
    free(views);
    return good;
}

static bool object_cells(const struct json_doc *doc, struct cells *c, struct err *err)
{
    uint32_t key = json_first(0);

    c->columns = 2;
    if (!buf_append_str(&c->text, "Key", err) || !cells_end(c, err) ||
        !buf_append_str(&c->text, "Value", err) || !cells_end(c, err))
        return false;
    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        uint32_t value = doc->tokens[key].next;

        if (!put_raw(doc, key, &c->text, err) || !cells_end(c, err) ||
            !put_value(doc, value, &c->text, err) || !cells_end(c, err))
            return false;
        key = doc->tokens[value].next;
    }
    return true;
}

/* The column of a key among those that were seen before, by its spelling. */
static size_t column_of(const struct json_doc *doc, const uint32_t *keys, size_t count,
                        uint32_t key)
{
    for (size_t i = 0; i < count; i++)
        if (view_eq(json_span(doc, keys[i]), json_span(doc, key)))
            return i;
    return NO_COLUMN;
}

/* The union of the objects' keys, in the order in which they are met. *keys: the caller's. */
static bool columns_find(const struct json_doc *doc, uint32_t **keys, size_t *count,
                         struct err *err)
{
    uint32_t at = json_first(0);

    *keys = NULL;
    *count = 0;
    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        uint32_t key = json_first(at);
        uint32_t members = doc->tokens[at].kind == JSON_OBJECT ? doc->tokens[at].count : 0;

        for (uint32_t k = 0; k < members; k++) {
            if (column_of(doc, *keys, *count, key) == NO_COLUMN) {
                uint32_t *list =
                    *count < JSON_MEMBERS_MAX ? realloc(*keys, (*count + 1) * sizeof *list) : NULL;

                if (!list)
                    return err_set(err, ERR_LIMIT, "a table of more than %zu columns", *count);
                *keys = list;
                list[(*count)++] = key;
            }
            key = doc->tokens[doc->tokens[key].next].next;
        }
        at = doc->tokens[at].next;
    }
    return true;
}

static bool row_cells(const struct json_doc *doc, uint32_t row, const uint32_t *keys, size_t count,
                      struct cells *c, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t key = json_first(row);

        for (uint32_t k = 0; k < doc->tokens[row].count; k++) {
            uint32_t value = doc->tokens[key].next;

            if (view_eq(json_span(doc, keys[i]), json_span(doc, key)) &&
                doc->tokens[value].kind != JSON_NULL && !put_value(doc, value, &c->text, err))
                return false;
            key = doc->tokens[value].next;
        }
        if (!cells_end(c, err))
            return false;
    }
    return true;
}

static bool array_cells(const struct json_doc *doc, struct cells *c, struct err *err)
{
    uint32_t *keys, at = json_first(0);
    bool good = columns_find(doc, &keys, &c->columns, err);

    for (size_t i = 0; good && i < c->columns; i++)
        good = put_raw(doc, keys[i], &c->text, err) && cells_end(c, err);
    for (uint32_t i = 0; good && i < doc->tokens[0].count; i++) {
        if (doc->tokens[at].kind == JSON_OBJECT)
            good = row_cells(doc, at, keys, c->columns, c, err);
        at = doc->tokens[at].next;
    }
    free(keys);
    return good;
}

static bool as_table(const struct json_doc *doc, size_t width, struct buf *out, struct err *err)
{
    struct cells c = {0};
    bool good;

    buf_init(&c.text, SHOWN_BYTES_MAX, "table");
    good =
        doc->tokens[0].kind == JSON_OBJECT ? object_cells(doc, &c, err) : array_cells(doc, &c, err);
    good = good && (!c.columns || cells_write(&c, width, out, err));
    buf_done(&c.text);
    free(c.ends);
    return good;
}

static bool tabular(const struct json_doc *doc)
{
    const struct json_token *whole = &doc->tokens[0];

    return whole->kind == JSON_OBJECT || (whole->kind == JSON_ARRAY && whole->count &&
                                          doc->tokens[json_first(0)].kind == JSON_OBJECT);
}

static bool render(const struct json_doc *doc, enum cli_format format, size_t width,
                   struct buf *out, struct err *err)
{
    if (format == CLI_TEXT)
        return as_text(doc, out, err);
    if (format == CLI_TABLE && tabular(doc))
        return as_table(doc, width, out, err);
    return json_render(doc, 0, JSON_PRETTY, true, out, err);
}

/* text with its strings written anew: \u00e9 and \/ are somebody's taste. What cannot be decoded stays. */
static bool put_anew(const struct json_doc *doc, struct buf *out, struct err *err)
{
    struct view text = doc->text;
    size_t done = 0;

    for (uint32_t i = 0; i < doc->count; i++) {
        struct view source = json_source(doc, i);
        struct json_writer w;
        char *plain;
        size_t len;

        if (doc->tokens[i].kind != JSON_STRING || view_find(source, '\\') == source.len ||
            !json_string_new(doc, i, &plain, &len))
            continue;
        json_begin(&w, out);
        if (buf_append(out, view_from(text.at + done, (size_t)(source.at - text.at) - done),
                       &w.err))
            json_text(&w, view_from(plain, len));
        free(plain);
        if (!json_end(&w, err))
            return false;
        done = (size_t)(source.at - text.at) + source.len;
    }
    return buf_append(out, view_skip(text, done), err);
}

/* Sorted once: then members come in their order everywhere below. */
static bool put_sorted(struct view json, struct buf *out, struct err *err)
{
    struct json_tree tree;
    bool good;

    if (!json_load_loose(json, UINT32_MAX, &tree, err))
        return false;
    good = json_render(&tree.doc, 0, JSON_COMPACT, true, out, err);
    json_unload(&tree);
    return good;
}

bool cli_render(struct view json, enum cli_format format, size_t width, struct buf *out,
                struct err *err)
{
    struct json_tree given, tree;
    struct buf anew, sorted;
    bool good;

    if (!json_load_loose(json, UINT32_MAX, &given, NULL))
        return buf_append(out, json, err);
    buf_init(&anew, SHOWN_BYTES_MAX, "result");
    buf_init(&sorted, SHOWN_BYTES_MAX, "result");
    good = put_anew(&given.doc, &anew, err) && put_sorted(buf_view(&anew), &sorted, err);
    json_unload(&given);
    buf_done(&anew);
    if (good && (good = json_load_loose(buf_view(&sorted), UINT32_MAX, &tree, err))) {
        good = render(&tree.doc, format, width, out, err);
        json_unload(&tree);
    }
    buf_done(&sorted);
    return good;
}

size_t cli_width(void)
{
    struct winsize size;

    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Controls at the start of v but LF and TAB: how many bytes. What a tool says must not move a terminal's cursor, or type for its owner. */
static size_t control(struct view v)
{
    if (v.at[0] == 0xC2 && v.len > 1 && v.at[1] >= 0x80 && v.at[1] < 0xA0)
        return 2;
    return v.at[0] == 0x7F || (v.at[0] < ' ' && v.at[0] != '\n' && v.at[0] != '\t');
}

static void print_on_terminal(struct view text)
{
    while (text.len) {
        size_t plain = 0, n;

        while (plain < text.len && !control(view_skip(text, plain)))
            plain++;
        (void)fwrite(text.at, 1, plain, stdout);
        text = view_skip(text, plain);
        n = text.len ? control(text) : 0;
        if (n)
            (void)fputs("\xEF\xBF\xBD", stdout);
        text = view_skip(text, n);
    }
}

void cli_print(struct view text)
{
    if (!text.at)
        return;
    if (isatty(STDOUT_FILENO))
        print_on_terminal(text);
    else
        (void)fwrite(text.at, 1, text.len, stdout);
}

bool cli_show(const struct cli *cli, struct view json, struct err *err)
{
    struct buf out;
    bool good;

    buf_init(&out, SHOWN_BYTES_MAX, "result");
    good =
        cli_render(json, cli->format, cli_width(), &out, err) && buf_append_byte(&out, '\n', err);
    /* Whether it could be written is looked at in the end. */
    if (good)
        cli_print(buf_view(&out));
    buf_done(&out);
    return good;
}
