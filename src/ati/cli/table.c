#include <locale.h>
#include <stdlib.h>
#include <wchar.h>

#include "ati/cli/cli.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { PADDING = 2, COLUMN_LEAST = 4 };

struct table {
    const struct view *cells;
    size_t columns, rows;
    size_t *widths; /* of the text in each column */
    struct buf *out;
    struct err *err;
};

/* What a cell shows at its start: bytes used, and the columns it takes. Wide characters take two, combining ones none. */
struct glyph {
    size_t bytes, columns;
    struct view shown;
};

static struct glyph glyph_at(struct view v)
{
    uint32_t code = 0;
    size_t n = utf8_first(v, &code);
    int wide;

    if (v.at[0] == '\t')
        return (struct glyph){1, 1, VIEW(" ")};
    if (!n || text_hidden(v, n)) /* nothing of a stranger's moves the cursor */
        return (struct glyph){n ? n : 1, 1, VIEW("\xEF\xBF\xBD")};
    wide = code < 0x80 ? 1 : wcwidth((wchar_t)code);
    return (struct glyph){n, wide < 0 ? 1 : (size_t)wide, view_first(v, n)};
}

static size_t line_columns(struct view line)
{
    size_t n = 0;

    while (line.len) {
        struct glyph g = glyph_at(line);

        n += g.columns;
        line = view_skip(line, g.bytes);
    }
    return n;
}

static size_t cell_columns(struct view cell)
{
    struct view line;
    size_t widest = 0;

    while (view_next(&cell, '\n', &line)) {
        size_t n = line_columns(line);

        if (n > widest)
            widest = n;
    }
    return widest;
}

/* Takes what fits into width columns out of *rest: up to its last blank, or, where it has none, as much as there is room for. */
static struct view take_line(struct view *rest, size_t width)
{
    struct view line = view_first(*rest, view_find(*rest, '\n')), left = line;
    size_t columns = 0, used = 0, blank = 0;

    while (left.len) {
        struct glyph g = glyph_at(left);

        if (columns + g.columns > width && used)
            break;
        if (left.at[0] == ' ')
            blank = used + 1;
        columns += g.columns;
        used += g.bytes;
        left = view_skip(left, g.bytes);
    }
    if (!left.len) { /* all of it, and its newline */
        *rest = view_skip(*rest, line.len);
        if (rest->len)
            *rest = view_skip(*rest, 1);
        return line;
    }
    if (left.at[0] != ' ' && blank > 1)
        used = blank;
    line = view_first(line, used);
    *rest = view_skip(*rest, used);
    while (rest->len && rest->at[0] == ' ')
        *rest = view_skip(*rest, 1);
    if (rest->len && rest->at[0] == '\n')
        *rest = view_skip(*rest, 1);
    while (line.len && line.at[line.len - 1] == ' ')
        line.len--;
    return line;
}

static size_t capped(const struct table *t, size_t cap)
{
    size_t sum = 0;

    for (size_t i = 0; i < t->columns; i++)
        sum += t->widths[i] < cap ? t->widths[i] : cap;
    return sum;
}

/* The widest columns give way until all of it fits: the others keep what they ask for. */
static void shrink(const struct table *t, size_t width)
{
    size_t frame = t->columns * (PADDING + 1) + 1, room = width > frame ? width - frame : 0;
    size_t cap = COLUMN_LEAST, beyond = room + 1;

    if (!width || capped(t, SIZE_MAX) <= room)
        return;
    while (cap + 1 < beyond) { /* fits at cap, or nothing does; not at beyond */
        size_t middle = cap + (beyond - cap) / 2;

        if (capped(t, middle) <= room)
            cap = middle;
        else
            beyond = middle;
    }
    for (size_t i = 0; i < t->columns; i++)
        if (t->widths[i] > cap)
            t->widths[i] = cap;
}

static bool put(const struct table *t, const char *text)
{
    return buf_append_str(t->out, text, t->err);
}

static bool rule(const struct table *t, const char *left, const char *line, const char *cross,
                 const char *right)
{
    bool good = put(t, left);

    for (size_t i = 0; good && i < t->columns; i++) {
        good = !i || put(t, cross);
        for (size_t k = 0; good && k < t->widths[i] + PADDING; k++)
            good = put(t, line);
    }
    return good && put(t, right);
}

static bool put_cell_line(const struct table *t, struct view line, size_t width)
{
    size_t columns = 0;

    while (line.len) {
        struct glyph g = glyph_at(line);

        if (!buf_append(t->out, g.shown, t->err))
            return false;
        columns += g.columns;
        line = view_skip(line, g.bytes);
    }
    for (; columns < width; columns++)
        if (!put(t, " "))
            return false;
    return true;
}

/* A row of the table: as many lines as its tallest cell has. rests: scratch. */
static bool row(const struct table *t, size_t index, struct view *rests)
{
    bool more = true;

    for (size_t i = 0; i < t->columns; i++)
        rests[i] = t->cells[index * t->columns + i];
    while (more) {
        more = false;
        for (size_t i = 0; i < t->columns; i++) {
            struct view line = take_line(&rests[i], t->widths[i]);

            if (!put(t, i ? "┆ " : "│ ") || !put_cell_line(t, line, t->widths[i]) || !put(t, " "))
                return false;
            more |= rests[i].len > 0;
        }
        if (!put(t, "│\n"))
            return false;
    }
    return true;
}

static bool write_table(const struct table *t, struct view *rests)
{
    if (!rule(t, "┌", "─", "┬", "┐\n") || !row(t, 0, rests) || !rule(t, "╞", "═", "╪", "╡\n"))
        return false;
    for (size_t i = 1; i < t->rows; i++)
        if (!row(t, i, rests))
            return false;
    return rule(t, "└", "─", "┴", "┘");
}

bool cli_table_write(const struct view *cells, size_t columns, size_t rows, size_t width,
                     struct buf *out, struct err *err)
{
    struct table t = {.cells = cells, .columns = columns, .rows = rows, .out = out, .err = err};
    /* wcwidth knows characters in a locale that has them; the program's own may be C. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL), before;
    struct view *rests = calloc(columns, sizeof *rests);
    bool good;

    t.widths = calloc(columns, sizeof *t.widths);
    if (!rests || !t.widths || !rows) {
        free(rests);
        free(t.widths);
        if (utf8)
            freelocale(utf8);
        return err_set(err, ERR_MEMORY, "table");
    }
    before = uselocale(utf8);
    for (size_t i = 0; i < columns * rows; i++) {
        size_t n = cell_columns(cells[i]);

        if (n > t.widths[i % columns])
            t.widths[i % columns] = n;
    }
    shrink(&t, width);
    good = write_table(&t, rests);
    (void)uselocale(before);
    if (utf8)
        freelocale(utf8);
    free(rests);
    free(t.widths);
    return good;
}
