#include "base/json.h"
#include "base/json_grammar.h"

#include "base/poison.h"

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Index behind the string that begins at text[at], which the grammar has accepted. Most strings have no escape: two searches find that out. */
static size_t string_end(const uint8_t *text, size_t at, size_t len)
{
    const uint8_t *begin = text + at + 1, *quote = memchr(begin, '"', len - at - 1);

    if (quote && !memchr(begin, '\\', (size_t)(quote - begin)))
        return (size_t)(quote - text) + 1;
    for (at++; text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at + 1;
}

bool json_compact(uint8_t *text, size_t *len, struct err *err)
{
    size_t to = 0, at = 0;
    uint32_t values;

    if (!json_grammar_check(view_from(text, *len), JSON_WRAPPED_MAX, &values, err))
        return false;
    while (at < *len) {
        size_t from = at;

        if (text[at] == '"') {
            at = string_end(text, at, *len);
        } else if (blank(text[at])) {
            at++;
            continue;
        } else {
            at++;
        }
        if (to != from)
            memmove(text + to, text + from, at - from);
        to += at - from;
    }
    *len = to;
    return true;
}
