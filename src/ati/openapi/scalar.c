/* YAML 1.2, 10.3.2: which plain scalars are null, booleans and numbers. */
#include <inttypes.h>
#include <stdio.h>

#include "ati/openapi/openapi_priv.h"
#include "base/text.h"

#include "base/poison.h"

static bool is_one_of(struct view text, const char *const *words)
{
    for (; *words; words++)
        if (view_eq(text, view_str(*words)))
            return true;
    return false;
}

static size_t put(struct view text, char *out)
{
    if (text.len)
        memcpy(out, text.at, text.len);
    return text.len;
}

static size_t digits(struct view v)
{
    size_t n = 0;

    while (n < v.len && v.at[n] >= '0' && v.at[n] <= '9')
        n++;
    return n;
}

/* 0o17 and 0x1F. */
static bool based(struct view text, char *out, size_t *len)
{
    unsigned base = view_starts(text, VIEW("0x")) ? 16 : 8;
    uint64_t value = 0;

    if (text.len < 3 || (base == 8 && !view_starts(text, VIEW("0o"))))
        return false;
    for (size_t i = 2; i < text.len; i++) {
        uint8_t c = ascii_lower(text.at[i]);
        unsigned digit = c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || digit >= base ||
            value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    *len = (size_t)snprintf(out, 24, "%" PRIu64, value);
    return true;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?, as JSON writes it: digits in front of a point and behind it,
 * no zeros in front of others. */
static bool number(struct view text, char *out, size_t *len)
{
    struct view sign, whole, part = {0}, power = {0};
    size_t n = 0;

    sign = view_first(text, text.len && (text.at[0] == '-' || text.at[0] == '+'));
    text = view_skip(text, sign.len);
    whole = view_first(text, digits(text));
    text = view_skip(text, whole.len);
    if (text.len && text.at[0] == '.') {
        part = view_first(view_skip(text, 1), digits(view_skip(text, 1)));
        text = view_skip(text, part.len + 1);
        if (!whole.len && !part.len)
            return false;
        if (!part.len)
            part = VIEW("0");
    } else if (!whole.len) {
        return false;
    }
    if (text.len && (text.at[0] == 'e' || text.at[0] == 'E')) {
        size_t signs = text.len > 1 && (text.at[1] == '-' || text.at[1] == '+');

        power = text;
        if (!digits(view_skip(text, 1 + signs)))
            return false;
        text = view_skip(text, 1 + signs + digits(view_skip(text, 1 + signs)));
    }
    if (text.len)
        return false;
    while (whole.len > 1 && whole.at[0] == '0')
        whole = view_skip(whole, 1);
    if (sign.len && sign.at[0] == '-')
        n += put(sign, out + n);
    n += put(whole.len ? whole : VIEW("0"), out + n);
    if (part.len) {
        n += put(VIEW("."), out + n);
        n += put(part, out + n);
    }
    n += put(power, out + n);
    *len = n;
    return true;
}

bool yaml_scalar(struct view text, char *out, size_t *len)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};

    if (is_one_of(text, nulls)) {
        *len = put(VIEW("null"), out);
        return true;
    }
    if (is_one_of(text, trues) || is_one_of(text, falses)) {
        *len = put(is_one_of(text, trues) ? VIEW("true") : VIEW("false"), out);
        return true;
    }
    return based(text, out, len) || number(text, out, len);
}
