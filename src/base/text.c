#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"

#include "base/poison.h"

bool text_u64(struct view v, uint64_t max, bool leading_zeros, uint64_t *out)
{
    uint64_t n = 0;

    if (!v.len || (v.at[0] == '0' && v.len > 1 && !leading_zeros))
        return false;
    for (size_t i = 0; i < v.len; i++) {
        if (v.at[i] < '0' || v.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, v.at[i] - '0', &n))
            return false;
    }
    if (n > max)
        return false;
    *out = n;
    return true;
}

struct view text_decimal(uint64_t value, char out[static TEXT_DECIMAL_MAX])
{
    size_t at = TEXT_DECIMAL_MAX;

    do
        out[--at] = (char)('0' + value % 10);
    while (value /= 10);
    return view_from(out + at, TEXT_DECIMAL_MAX - at);
}

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"kib", 1ull << 10},
    {"mib", 1ull << 20},
    {"gib", 1ull << 30},
    {"tib", 1ull << 40},
    {"kb", 1ull << 10},
    {"mb", 1ull << 20},
    {"gb", 1ull << 30},
    {"tb", 1ull << 40},
    {"k", 1ull << 10},
    {"m", 1ull << 20},
    {"g", 1ull << 30},
    {"t", 1ull << 40},
    {"b", 1},
    {NULL, 0},
};

static bool with_unit(struct view v, const struct unit *units, uint64_t bare, uint64_t *out)
{
    size_t digits = 0;
    uint64_t n, size = 0;
    struct view name;

    while (digits < v.len && v.at[digits] >= '0' && v.at[digits] <= '9')
        digits++;
    if (!text_u64(view_first(v, digits), UINT64_MAX, true, &n))
        return false;
    name = view_skip(v, digits);
    if (!name.len)
        size = bare;
    for (const struct unit *u = units; u->name && !size; u++)
        if (view_eq_nocase(name, view_str(u->name)))
            size = u->size;
    if (!size || __builtin_mul_overflow(n, size, &n))
        return false;
    *out = n;
    return true;
}

bool text_duration_ms(struct view v, uint64_t unit_ms, uint64_t *out)
{
    return with_unit(v, durations, unit_ms, out);
}

bool text_size(struct view v, uint64_t *out)
{
    return with_unit(v, sizes, 1, out);
}

bool text_bool(struct view v, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no",
                                                                                "off", "0"};

    for (size_t i = 0; i < 4; i++) {
        if (view_eq_nocase(v, view_str(yes[i])))
            return *out = true, true;
        if (view_eq_nocase(v, view_str(no[i])))
            return *out = false, true;
    }
    return false;
}

char *text_duration_format(uint64_t ms, char out[static 24])
{
    const struct unit *best = &durations[0];

    for (const struct unit *u = durations; u->name; u++)
        if (ms && ms % u->size == 0)
            best = u;
    if (!ms)
        (void)snprintf(out, 24, "0");
    else
        (void)snprintf(out, 24, "%" PRIu64 "%s", ms / best->size, best->name);
    return out;
}

char *text_size_format(uint64_t bytes, char out[static 24])
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    unsigned i = 0;

    while (bytes && bytes % 1024 == 0 && i < 4) {
        bytes /= 1024;
        i++;
    }
    (void)snprintf(out, 24, "%" PRIu64 "%s", bytes, names[i]);
    return out;
}

/* The highest bit of a byte of x says, if no lower byte's does wrongly: it is below n; it is n. Enough to ask for any. */
#define EACH(n)     (0x0101010101010101U * (n))
#define BELOW(x, n) (((x)-EACH(n)) & ~(x))
#define IS(x, n)    BELOW((x) ^ EACH(n), 1U)

size_t text_plain(struct view v)
{
    size_t n = 0;
    uint64_t x;

    for (; v.len - n >= sizeof x; n += sizeof x) {
        memcpy(&x, v.at + n, sizeof x);
        if ((BELOW(x, (unsigned)' ') | IS(x, (unsigned)'"') | IS(x, (unsigned)'\\') | IS(x, 0x7FU) |
             x) &
            EACH(0x80U))
            break;
    }
    while (n < v.len && v.at[n] >= ' ' && v.at[n] < 0x7F && v.at[n] != '"' && v.at[n] != '\\')
        n++;
    return n;
}

bool text_hidden(struct view v, size_t n)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1F},        /* controls */
        {0x7F, 0x9F},        /* more of them */
        {0xAD, 0xAD},        /* soft hyphen */
        {0x61C, 0x61C},      /* Arabic letter mark */
        {0x180E, 0x180E},    /* Mongolian vowel separator */
        {0x200B, 0x200F},    /* zero-width characters, marks of direction */
        {0x2028, 0x202E},    /* line separators, embedded directions */
        {0x2060, 0x206F},    /* joiners, isolated directions */
        {0xE000, 0xF8FF},    /* private use */
        {0xFEFF, 0xFEFF},    /* byte order mark */
        {0xFFF9, 0xFFFB},    /* annotations */
        {0xC0000, 0x10FFFF}, /* tags, private use, nothing that shows */
    };
    uint32_t code;

    if (utf8_first(view_first(v, n), &code) == 0)
        return false;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* One character of v, escaped, into out. Returns the bytes of v that it stands for. */
static size_t escape_one(struct view v, char out[static 8], size_t *len)
{
    uint8_t c = v.at[0];
    uint32_t code;
    size_t n = utf8_first(v, &code);
    const char *pair = c == '\n'   ? "\\n"
                       : c == '\t' ? "\\t"
                       : c == '"'  ? "\\\""
                       : c == '\\' ? "\\\\"
                                   : NULL;

    if (pair) {
        *len = (size_t)snprintf(out, 8, "%s", pair);
        return 1;
    }
    if (!n || text_hidden(v, n)) {
        *len = (size_t)snprintf(out, 8, "\\x%02x", c);
        return 1;
    }
    memcpy(out, v.at, n);
    *len = n;
    return n;
}

size_t text_escape(struct view v, size_t max, char *out, size_t size)
{
    static const char cut[] = "…";
    size_t at = 0, used = 0, safe = 0;

    if (!size)
        return 0;
    while (used < v.len) {
        char one[8];
        size_t len, n = escape_one(view_skip(v, used), one, &len);

        if (at + len + 1 > size || used + n > max)
            break;
        memcpy(out + at, one, len);
        at += len;
        used += n;
        if (at + sizeof cut <= size)
            safe = at;
    }
    if (used < v.len && size >= sizeof cut) {
        at = safe;
        memcpy(out + at, cut, sizeof cut - 1);
        at += sizeof cut - 1;
    }
    out[at] = '\0';
    return at;
}

/* Bytes of the white-space character at the start of v, or 0. */
static size_t blank(struct view v)
{
    static const char *const wide[] = {
        "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
        "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80",
    };

    if (!v.len)
        return 0;
    if (v.at[0] == ' ' || (v.at[0] >= '\t' && v.at[0] <= '\r'))
        return 1;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (view_starts(v, view_str(wide[i])))
            return strlen(wide[i]);
    return 0;
}

struct view text_trim(struct view v)
{
    size_t n;

    while ((n = blank(v)))
        v = view_skip(v, n);
    while (v.len) {
        size_t cut = 0;

        for (n = 1; n <= 3 && n <= v.len; n++)
            if (blank(view_skip(v, v.len - n)) == n)
                cut = n;
        if (!cut)
            break;
        v.len -= cut;
    }
    return v;
}

unsigned text_distance(struct view a, struct view b)
{
    enum { WORD_MAX = 64 };
    unsigned row[WORD_MAX + 1];

    a = view_first(a, WORD_MAX);
    b = view_first(b, WORD_MAX);
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned above = row[j], best = diagonal + (a.at[i - 1] != b.at[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b.len];
}
