#include "base/json_grammar.h"

#include "base/codec.h"

#include "base/poison.h"

struct grammar {
    struct view text;
    size_t pos;
    unsigned depth_max;
    uint32_t values;
    const char *wrong; /* what was expected, where it first went wrong */
};

static int peek(const struct grammar *g)
{
    return g->pos < g->text.len ? g->text.at[g->pos] : -1;
}

static bool expected(struct grammar *g, const char *what)
{
    if (!g->wrong)
        g->wrong = what;
    return false;
}

static void blanks(struct grammar *g)
{
    int c;

    while ((c = peek(g)) == ' ' || c == '\t' || c == '\n' || c == '\r')
        g->pos++;
}

static bool word(struct grammar *g, struct view literal)
{
    if (!view_starts(view_skip(g->text, g->pos), literal))
        return expected(g, "a value");
    g->values++;
    g->pos += literal.len;
    return true;
}

static size_t digits(struct grammar *g)
{
    size_t from = g->pos;

    while (peek(g) >= '0' && peek(g) <= '9')
        g->pos++;
    return g->pos - from;
}

static bool number(struct grammar *g)
{
    bool minus = peek(g) == '-';

    g->values++;
    if (minus)
        g->pos++;
    if (peek(g) == '0')
        g->pos++;
    else if (!digits(g))
        return expected(g, minus ? "a digit" : "a value");
    if (peek(g) == '.') {
        g->pos++;
        if (!digits(g))
            return expected(g, "a digit");
    }
    if (peek(g) == 'e' || peek(g) == 'E') {
        g->pos++;
        if (peek(g) == '+' || peek(g) == '-')
            g->pos++;
        if (!digits(g))
            return expected(g, "a digit");
    }
    return true;
}

static bool escape(struct grammar *g)
{
    int c = peek(g);
    uint8_t bytes[2];

    if (c == 'u') {
        if (!hex_decode(view_first(view_skip(g->text, g->pos + 1), 4), bytes, 2))
            return expected(g, "four hex digits");
        g->pos += 5;
        return true;
    }
    if (c <= 0 || !strchr("\"\\/bfnrt", c))
        return expected(g, "an escape");
    g->pos++;
    return true;
}

/* The next eight bytes neither end a string nor begin an escape, and none is a control character. */
static bool eight_plain(const struct grammar *g)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t x, quotes, slashes;

    if (g->text.len - g->pos < sizeof x)
        return false;
    memcpy(&x, g->text.at + g->pos, sizeof x);
    quotes = x ^ ones * '"';
    slashes = x ^ ones * '\\';
    return !(
        (((x - ones * ' ') & ~x) | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) &
        ones * 0x80);
}

static bool string(struct grammar *g)
{
    g->values++;
    g->pos++;
    for (;;) {
        int c;

        while (eight_plain(g))
            g->pos += 8;
        c = peek(g);

        if (c < 0x20)
            return expected(g, "the end of a string");
        g->pos++;
        if (c == '"')
            return true;
        if (c == '\\' && !escape(g))
            return false;
    }
}

static bool scalar(struct grammar *g)
{
    switch (peek(g)) {
    case '"':
        return string(g);
    case 't':
        return word(g, VIEW("true"));
    case 'f':
        return word(g, VIEW("false"));
    case 'n':
        return word(g, VIEW("null"));
    default:
        return number(g);
    }
}

static bool key(struct grammar *g)
{
    blanks(g);
    if (peek(g) != '"')
        return expected(g, "a key in quotes");
    if (!string(g))
        return false;
    blanks(g);
    if (peek(g) != ':')
        return expected(g, "':'");
    g->pos++;
    return true;
}

/* After a value: closes what ends here and says whether another value must follow. */
static bool after_value(struct grammar *g, const char *open, unsigned *depth, bool *more)
{
    while (*depth) {
        int c;

        blanks(g);
        c = peek(g);
        if (c == ',') {
            g->pos++;
            *more = true;
            return open[*depth - 1] == '[' || key(g);
        }
        if (c != (open[*depth - 1] == '[' ? ']' : '}'))
            return expected(g, "',' or the closing bracket");
        g->pos++;
        (*depth)--;
    }
    *more = false;
    return true;
}

static bool value(struct grammar *g)
{
    char open[JSON_DEEP_MAX];
    unsigned depth = 0;
    bool more = true;

    while (more) {
        int c;

        blanks(g);
        c = peek(g);
        if (c == '[' || c == '{') {
            if (depth == g->depth_max)
                return expected(g, "fewer levels");
            open[depth++] = (char)c;
            g->values++;
            g->pos++;
            blanks(g);
            if (peek(g) != (c == '[' ? ']' : '}')) {
                if (c == '{' && !key(g))
                    return false;
                continue;
            }
        } else if (!scalar(g)) {
            return false;
        }
        if (!after_value(g, open, &depth, &more))
            return false;
    }
    return true;
}

bool json_grammar_check(struct view text, unsigned depth_max, uint32_t *values, struct err *err)
{
    struct grammar g = {.text = text, .depth_max = depth_max};
    bool good = value(&g);

    if (good) {
        blanks(&g);
        good = g.pos == text.len || expected(&g, "the end of the text");
    }
    if (!good)
        return err_set(err, ERR_SYNTAX, "JSON: at byte %zu %s was expected", g.pos, g.wrong);
    if (text.len > UINT32_MAX / 2)
        return err_set(err, ERR_LIMIT, "JSON: too large");
    *values = g.values;
    return utf8_valid(text) || err_set(err, ERR_SYNTAX, "JSON: not UTF-8");
}
