/* RFC 9535, without match() and search(). */
#include <stdlib.h>

#include "ati/exec/jsonpath_priv.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { INTEGER_MAX_DIGITS = 15, SHOWN_MAX = 24 };
static const int64_t integer_max = ((int64_t)1 << 53) - 1; /* RFC 9535, 2.1 */

struct parser {
    struct view text;
    size_t pos;
    unsigned depth;
    struct path *path;
    struct err *err;
};

static bool filter_or(struct parser *p, uint32_t *out);
static bool query(struct parser *p, struct path_query *out);

static int peek(const struct parser *p)
{
    return p->pos < p->text.len ? p->text.at[p->pos] : -1;
}

static bool starts(const struct parser *p, const char *what)
{
    return view_starts(view_skip(p->text, p->pos), view_str(what));
}

static bool takes(struct parser *p, const char *what)
{
    if (!starts(p, what))
        return false;
    p->pos += strlen(what);
    return true;
}

static void blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n' || peek(p) == '\r')
        p->pos++;
}

static bool expected(struct parser *p, const char *what)
{
    return err_set(p->err, ERR_SYNTAX, "at character %zu %s was expected", p->pos + 1, what);
}

static bool deeper(struct parser *p)
{
    return ++p->depth <= JSONPATH_DEPTH_MAX ||
           err_set(p->err, ERR_SYNTAX, "at character %zu: more than %d levels", p->pos + 1,
                   JSONPATH_DEPTH_MAX);
}

static bool integer(struct parser *p, int64_t *out)
{
    size_t from = p->pos;
    bool minus = takes(p, "-");
    struct view digits = view_skip(p->text, p->pos);
    uint64_t n;

    digits.len = 0;
    while (peek(p) >= '0' && peek(p) <= '9') {
        p->pos++;
        digits.len++;
    }
    if (!text_u64(digits, (uint64_t)integer_max, false, &n) || (minus && !n)) {
        p->pos = from;
        return expected(p, "a whole number");
    }
    *out = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool hex4(struct parser *p, uint32_t *out)
{
    uint8_t bytes[2];

    if (!hex_decode(view_first(view_skip(p->text, p->pos), 4), bytes, 2))
        return expected(p, "four hex digits");
    p->pos += 4;
    *out = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

static void put_byte(struct path *path, uint32_t byte)
{
    path->text[path->text_len++] = (char)byte;
}

/* No escape is shorter than what it means. */
static void put_code(struct path *path, uint32_t c)
{
    if (c < 0x80) {
        put_byte(path, c);
        return;
    }
    if (c < 0x800) {
        put_byte(path, 0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            put_byte(path, 0xE0 | c >> 12);
        } else {
            put_byte(path, 0xF0 | c >> 18);
            put_byte(path, 0x80 | (c >> 12 & 63));
        }
        put_byte(path, 0x80 | (c >> 6 & 63));
    }
    put_byte(path, 0x80 | (c & 63));
}

static bool unicode(struct parser *p)
{
    uint32_t code = 0, low = 0;

    if (!hex4(p, &code))
        return false;
    if (code >= 0xD800 && code < 0xDC00) {
        if (!takes(p, "\\u"))
            return expected(p, "the second half of a surrogate pair");
        if (!hex4(p, &low))
            return false;
        if (low < 0xDC00 || low >= 0xE000)
            return expected(p, "the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (!code || (code >= 0xDC00 && code < 0xE000))
        return expected(p, "a character");
    put_code(p->path, code);
    return true;
}

/* In either kind of quotes. */
static bool string(struct parser *p, struct view *out)
{
    static const char letters[] = "\\/bfnrt", meant[] = "\\/\b\f\n\r\t";
    int quote = peek(p);
    size_t from = p->path->text_len;

    p->pos++;
    for (;;) {
        int c = peek(p);
        const char *letter;

        if (c < 0x20)
            return expected(p, "the end of the text in quotes");
        p->pos++;
        if (c == quote)
            break;
        if (c != '\\') {
            put_byte(p->path, (uint32_t)c);
            continue;
        }
        c = peek(p);
        letter = c > 0 ? strchr(letters, c) : NULL;
        if (c != quote && !letter && c != 'u')
            return expected(p, "an escape");
        p->pos++;
        if (c == 'u') {
            if (!unicode(p))
                return false;
        } else {
            put_byte(p->path, c == quote ? (uint32_t)c : (uint32_t)meant[letter - letters]);
        }
    }
    *out = view_from(p->path->text + from, p->path->text_len - from);
    put_byte(p->path, 0); /* names are looked up as C strings */
    return true;
}

static bool name_first(int c)
{
    return c == '_' || c >= 0x80 || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The name of ".name"; hyphens are taken, too, as many tools do. */
static bool shorthand(struct parser *p, struct view *out)
{
    size_t from = p->path->text_len;

    if (!name_first(peek(p)))
        return expected(p, "a name, '*' or '['");
    while (name_first(peek(p)) || (peek(p) >= '0' && peek(p) <= '9') || peek(p) == '-') {
        put_byte(p->path, (uint32_t)peek(p));
        p->pos++;
    }
    *out = view_from(p->path->text + from, p->path->text_len - from);
    put_byte(p->path, 0);
    return true;
}

static uint32_t new_selector(struct parser *p, int kind)
{
    uint32_t i = p->path->selector_count++;

    p->path->selectors[i].kind = (__typeof__(p->path->selectors[i].kind))kind;
    return i;
}

/* "1", "1:", ":2", "::-1", … */
static bool index_or_slice(struct parser *p, struct path_selector *s)
{
    s->kind = SELECT_INDEX;
    s->step = 1;
    if (peek(p) != ':') {
        s->has_start = true;
        if (!integer(p, &s->index))
            return false;
        blanks(p);
    }
    if (!takes(p, ":"))
        return true;
    s->kind = SELECT_SLICE;
    blanks(p);
    if (peek(p) == '-' || (peek(p) >= '0' && peek(p) <= '9')) {
        s->has_end = true;
        if (!integer(p, &s->end))
            return false;
        blanks(p);
    }
    if (!takes(p, ":"))
        return true;
    blanks(p);
    return (peek(p) != '-' && (peek(p) < '0' || peek(p) > '9')) || integer(p, &s->step);
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool selector(struct parser *p, uint32_t *out)
{
    uint32_t at = new_selector(p, SELECT_ALL), filter = 0;
    struct path_selector *s = &p->path->selectors[at];
    int c = peek(p);

    *out = at;
    if (c == '\'' || c == '"') {
        s->kind = SELECT_NAME;
        return string(p, &s->name);
    }
    if (takes(p, "*"))
        return true;
    if (takes(p, "?")) {
        s->kind = SELECT_FILTER;
        blanks(p);
        if (!filter_or(p, &filter))
            return false;
        s->filter = filter;
        return true;
    }
    if (c != ':' && c != '-' && (c < '0' || c > '9'))
        return expected(p, "a name in quotes, a number, ':', '*' or '?'");
    return index_or_slice(p, s);
}

/* Behind '['. NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool bracketed(struct parser *p, uint32_t *first)
{
    uint32_t *link = first;

    do {
        blanks(p);
        if (!selector(p, link))
            return false;
        link = &p->path->selectors[*link].next;
        blanks(p);
    } while (takes(p, ","));
    return takes(p, "]") || expected(p, "',' or ']'");
}

/* ".name", ".*" behind their dots. */
static bool dotted(struct parser *p, uint32_t *first)
{
    *first = new_selector(p, SELECT_ALL);
    if (takes(p, "*"))
        return true;
    p->path->selectors[*first].kind = SELECT_NAME;
    return shorthand(p, &p->path->selectors[*first].name);
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool segment(struct parser *p, uint32_t *out)
{
    uint32_t at = p->path->segment_count++;
    struct path_segment *s = &p->path->segments[at];

    *out = at;
    s->descendant = takes(p, "..");
    if (takes(p, "["))
        return bracketed(p, &s->selectors);
    if (!s->descendant)
        p->pos++; /* '.' */
    return dotted(p, &s->selectors);
}

static bool segment_singular(const struct path *path, const struct path_segment *s)
{
    const struct path_selector *only = &path->selectors[s->selectors];

    return !s->descendant && !only->next &&
           (only->kind == SELECT_NAME || only->kind == SELECT_INDEX);
}

/* Behind '$' or '@'. NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool query(struct parser *p, struct path_query *out)
{
    uint32_t *link = &out->segments;

    if (!deeper(p))
        return false;
    out->singular = true;
    for (;;) {
        size_t before = p->pos;

        blanks(p);
        if (peek(p) != '.' && peek(p) != '[') {
            p->pos = before;
            break;
        }
        if (!segment(p, link))
            return false;
        out->singular = out->singular && segment_singular(p->path, &p->path->segments[*link]);
        link = &p->path->segments[*link].next;
    }
    p->depth--;
    return true;
}

static bool number(struct parser *p, struct path_operand *out)
{
    struct json_token token;
    struct json_doc doc;
    size_t from = p->pos;

    while (peek(p) > 0 && strchr("+-.0123456789eE", peek(p)))
        p->pos++;
    out->kind = OPERAND_NUMBER;
    out->text = view_from(p->text.at + from, p->pos - from);
    if (json_parse(out->text, &token, 1, &doc, NULL))
        return true;
    p->pos = from;
    return expected(p, "a number");
}

static const struct {
    const char *name;
    int kind;
} functions[] = {
    {"length(", OPERAND_LENGTH},
    {"count(", OPERAND_COUNT},
    {"value(", OPERAND_VALUE},
};

/* Behind '('. NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool function_argument(struct parser *p, struct path_operand *out)
{
    blanks(p);
    if (out->kind == OPERAND_LENGTH && (peek(p) == '\'' || peek(p) == '"')) {
        out->of_text = true;
        if (!string(p, &out->text))
            return false;
    } else {
        if (peek(p) != '@' && peek(p) != '$')
            return expected(p, "'@' or '$'");
        out->query.relative = peek(p) == '@';
        p->pos++;
        if (!query(p, &out->query))
            return false;
        if (out->kind == OPERAND_LENGTH && !out->query.singular)
            return err_set(p->err, ERR_SYNTAX, "length() takes a path with one match at most");
    }
    blanks(p);
    return takes(p, ")") || expected(p, "')'");
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool operand(struct parser *p, struct path_operand *out)
{
    int c = peek(p);

    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (takes(p, functions[i].name)) {
            out->kind = (__typeof__(out->kind))functions[i].kind;
            return function_argument(p, out);
        }
    }
    if (c == '@' || c == '$') {
        p->pos++;
        out->kind = OPERAND_QUERY;
        out->query.relative = c == '@';
        return query(p, &out->query);
    }
    if (c == '\'' || c == '"') {
        out->kind = OPERAND_STRING;
        return string(p, &out->text);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return number(p, out);
    if (takes(p, "null")) {
        out->kind = OPERAND_NULL;
        return true;
    }
    out->truth = starts(p, "true");
    out->kind = OPERAND_BOOL;
    if (takes(p, "true") || takes(p, "false"))
        return true;
    if (starts(p, "match(") || starts(p, "search("))
        return err_set(p->err, ERR_SYNTAX, "at character %zu: match() and search() are not known",
                       p->pos + 1);
    return expected(p, "'@', '$' or a value");
}

static bool compare(struct parser *p, int *kind)
{
    static const struct {
        const char *text;
        int kind;
    } operators[] = {
        {"==", FILTER_EQ}, {"!=", FILTER_NE}, {"<=", FILTER_LE},
        {">=", FILTER_GE}, {"<", FILTER_LT},  {">", FILTER_GT},
    };

    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (takes(p, operators[i].text)) {
            *kind = operators[i].kind;
            return true;
        }
    }
    return false;
}

static bool comparable(struct parser *p, const struct path_operand *o)
{
    return o->kind != OPERAND_QUERY || o->query.singular ||
           err_set(p->err, ERR_SYNTAX,
                   "before character %zu: only a path with one match at most can be compared",
                   p->pos + 1);
}

static uint32_t new_filter(struct parser *p, int kind)
{
    uint32_t i = p->path->filter_count++;

    p->path->filters[i].kind = (__typeof__(p->path->filters[i].kind))kind;
    return i;
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool comparison(struct parser *p, uint32_t *out)
{
    uint32_t at = new_filter(p, FILTER_EXISTS);
    struct path_filter *f = &p->path->filters[at];
    size_t before;
    int kind;

    *out = at;
    if (!operand(p, &f->a))
        return false;
    before = p->pos;
    blanks(p);
    if (!compare(p, &kind)) {
        p->pos = before;
        return f->a.kind == OPERAND_QUERY || expected(p, "a comparison");
    }
    f->kind = (__typeof__(f->kind))kind;
    blanks(p);
    return comparable(p, &f->a) && operand(p, &f->b) && comparable(p, &f->b);
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool filter_basic(struct parser *p, uint32_t *out)
{
    bool not = false;
    uint32_t inner = 0;

    while (takes(p, "!")) {
        not = !not ;
        blanks(p);
    }
    if (takes(p, "(")) {
        blanks(p);
        if (!filter_or(p, &inner))
            return false;
        blanks(p);
        if (!takes(p, ")"))
            return expected(p, "')'");
    } else if (!comparison(p, &inner)) {
        return false;
    }
    if (not ) {
        *out = new_filter(p, FILTER_NOT);
        p->path->filters[*out].left = inner;
    } else {
        *out = inner;
    }
    return true;
}

/* A row of terms with one operator between them: a chain that leans to the right.
 * NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool filter_row(struct parser *p, const char *between, int kind,
                       bool (*term)(struct parser *, uint32_t *), uint32_t *out)
{
    uint32_t *link = out;

    for (;;) {
        uint32_t at = 0;
        size_t before;

        if (!term(p, &at))
            return false;
        before = p->pos;
        blanks(p);
        if (!takes(p, between)) {
            p->pos = before;
            *link = at;
            return true;
        }
        blanks(p);
        *link = new_filter(p, kind);
        p->path->filters[*link].left = at;
        link = &p->path->filters[*link].right;
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool filter_and(struct parser *p, uint32_t *out)
{
    return filter_row(p, "&&", FILTER_AND, filter_basic, out);
}

/* NOLINTNEXTLINE(misc-no-recursion): deeper() bounds it */
static bool filter_or(struct parser *p, uint32_t *out)
{
    bool good = deeper(p) && filter_row(p, "||", FILTER_OR, filter_and, out);

    p->depth--;
    return good;
}

static bool parse(struct parser *p)
{
    if (!takes(p, "$"))
        return expected(p, "'$'");
    if (!query(p, &p->path->query))
        return false;
    return p->pos == p->text.len || expected(p, "'.', '[' or the end");
}

bool path_parse(struct view text, struct path *out, struct err *err)
{
    struct parser p = {.text = text, .path = out, .err = err};
    size_t most = text.len + 2; /* each of them takes a byte of the text at least */

    *out = (struct path){.segment_count = 1, .selector_count = 1, .filter_count = 1};
    if (text.len > JSONPATH_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "longer than %d bytes", JSONPATH_BYTES_MAX);
    if (!utf8_valid(text))
        return err_set(err, ERR_SYNTAX, "not UTF-8");
    out->segments = calloc(most, sizeof *out->segments);
    out->selectors = calloc(most, sizeof *out->selectors);
    out->filters = calloc(most, sizeof *out->filters);
    out->text = malloc(2 * most);
    if (out->segments && out->selectors && out->filters && out->text
            ? parse(&p)
            : err_set(err, ERR_MEMORY, "no memory"))
        return true;
    path_done(out);
    return false;
}

void path_done(struct path *p)
{
    free(p->segments);
    free(p->selectors);
    free(p->filters);
    free(p->text);
    *p = (struct path){.segments = NULL};
}
