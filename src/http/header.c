/* header: looking up fields of a parsed head, and lists in their values (RFC 9110, 5.6.1). */
#include "http/http_priv.h"

unsigned http_field_count(const struct http_head *h, struct view name)
{
    unsigned count = 0;

    for (size_t i = 0; i < h->count; i++)
        count += view_eq_nocase(h->fields[i].name, name);
    return count;
}

bool http_field(const struct http_head *h, struct view name, struct view *value)
{
    const struct http_field *found = NULL;

    for (size_t i = 0; i < h->count; i++) {
        if (!view_eq_nocase(h->fields[i].name, name))
            continue;
        if (found)
            return false;
        found = &h->fields[i];
    }
    if (!found)
        return false;
    *value = found->value;
    return true;
}

bool http_field_has_token(const struct http_head *h, struct view name, struct view token)
{
    for (size_t i = 0; i < h->count; i++)
        if (view_eq_nocase(h->fields[i].name, name) &&
            http_list_has_token(h->fields[i].value, token))
            return true;
    return false;
}

bool http_list_has_token(struct view list, struct view token)
{
    struct view element;

    while (view_next(&list, ',', &element))
        if (view_eq_nocase(view_trim_ows(element), token))
            return true;
    return false;
}

bool http_list_next(const struct http_head *h, struct view name, struct http_list *cursor,
                    struct view *element)
{
    for (; cursor->field < h->count; cursor->field++, cursor->started = false) {
        const struct http_field *field = &h->fields[cursor->field];
        struct view piece;

        if (!view_eq_nocase(field->name, name))
            continue;
        if (!cursor->started) {
            cursor->rest = field->value;
            cursor->started = true;
        }
        while (view_next(&cursor->rest, ',', &piece)) {
            piece = view_trim_ows(piece);
            if (piece.len) {
                *element = piece;
                return true;
            }
        }
    }
    return false;
}

bool http_is_token(struct view v)
{
    return v.len > 0 && view_span(v, 0, BYTE_TOKEN) == v.len;
}

bool http_is_value(struct view v)
{
    return view_span(v, 0, BYTE_VALUE) == v.len;
}

/* clang-format off */
#define T (BYTE_TOKEN | BYTE_VALUE | BYTE_TARGET)
#define H (BYTE_TOKEN | BYTE_VALUE | BYTE_TARGET | BYTE_HOST)
#define V (BYTE_VALUE | BYTE_TARGET)
#define S (BYTE_VALUE | BYTE_TARGET | BYTE_HOST)
#define B BYTE_VALUE
const uint8_t http_byte_class[256] = {
    ['\t'] = B, [' '] = B,
    ['!'] = H, ['"'] = V, ['#'] = T, ['$'] = H, ['%'] = H, ['&'] = H, ['\''] = H, ['('] = S,
    [')'] = S, ['*'] = H, ['+'] = H, [','] = S, ['-'] = H, ['.'] = H, ['/'] = V,
    ['0' ... '9'] = H, [':'] = S, [';'] = S, ['<'] = V, ['='] = S, ['>'] = V, ['?'] = V,
    ['@'] = V, ['A' ... 'Z'] = H, ['['] = S, ['\\'] = V, [']'] = S, ['^'] = T, ['_'] = H,
    ['`'] = T, ['a' ... 'z'] = H, ['{'] = V, ['|'] = T, ['}'] = V, ['~'] = H,
    [0x80 ... 0xff] = B,
};
/* clang-format on */
