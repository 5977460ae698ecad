/* Reading in two passes: json_grammar_check accepts exactly RFC 8259, then jsmn, which is laxer, finds the
 * spans of what is known to be good. */
#include <stdlib.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/json_grammar.h"
#include "base/text.h"

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "base/poison.h"

static enum json_kind kind_of(const jsmntok_t *t, struct view text)
{
    uint8_t c;

    if (t->type == JSMN_OBJECT)
        return JSON_OBJECT;
    if (t->type == JSMN_ARRAY)
        return JSON_ARRAY;
    if (t->type == JSMN_STRING)
        return JSON_STRING;
    c = text.at[t->start];
    return c == 'n' ? JSON_NULL : c == 't' || c == 'f' ? JSON_BOOL : JSON_NUMBER;
}

/* A value's tokens end where the first token begins that starts behind it. */
static void copy_tokens(const jsmntok_t *from, uint32_t count, struct view text,
                        struct json_token *to)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t next = i + 1;

        to[i] = (struct json_token){
            .kind = kind_of(&from[i], text),
            .start = (uint32_t)from[i].start,
            .end = (uint32_t)from[i].end,
            .count = (uint32_t)from[i].size,
        };
        if (to[i].kind == JSON_OBJECT || to[i].kind == JSON_ARRAY)
            while (next < count && from[next].start < from[i].end)
                next++;
        to[i].next = next;
    }
    /* jsmn counts a key's value as its one child; to us a string has none. */
    for (uint32_t i = 0; i < count; i++)
        if (to[i].kind == JSON_STRING)
            to[i].count = 0;
}

static bool keys_differ(const struct json_doc *doc, uint32_t object, struct err *err)
{
    uint32_t key = json_first(object);

    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t other = json_first(object);

        for (uint32_t k = 0; k < i; k++) {
            if (view_eq(json_span(doc, key), json_span(doc, other)))
                return err_set(err, ERR_SYNTAX, "JSON: the key \"%.*s\" stands twice in one object",
                               VIEW_ARG(view_first(json_span(doc, key), 64)));
            other = doc->tokens[doc->tokens[other].next].next;
        }
        key = doc->tokens[doc->tokens[key].next].next;
    }
    return true;
}

bool json_parse(struct view text, struct json_token *tokens, uint32_t max, struct json_doc *out,
                struct err *err)
{
    struct json_doc doc = {.text = text, .tokens = tokens};
    jsmn_parser parser;
    jsmntok_t *found;
    int n;

    if (!json_grammar_check(text, err))
        return false;
    found = calloc(max, sizeof *found);
    if (!found)
        return err_set(err, ERR_MEMORY, "JSON: %u tokens", max);
    jsmn_init(&parser);
    n = jsmn_parse(&parser, (const char *)text.at, text.len, found, max);
    if (n <= 0) {
        free(found);
        return n == JSMN_ERROR_NOMEM ? err_set(err, ERR_LIMIT, "JSON: more than %u values", max)
                                     : err_set(err, ERR_SYNTAX, "JSON: not well-formed");
    }
    doc.count = (uint32_t)n;
    copy_tokens(found, doc.count, text, tokens);
    free(found);
    for (uint32_t i = 0; i < doc.count; i++)
        if (tokens[i].kind == JSON_OBJECT && !keys_differ(&doc, i, err))
            return false;
    *out = doc;
    return true;
}

struct view json_span(const struct json_doc *doc, uint32_t token)
{
    const struct json_token *t = &doc->tokens[token];

    return view_from(doc->text.at + t->start, t->end - t->start);
}

uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *key)
{
    uint32_t at = json_first(object);

    if (object >= doc->count || doc->tokens[object].kind != JSON_OBJECT)
        return 0;
    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t value = doc->tokens[at].next;

        if (view_eq(json_span(doc, at), view_str(key)))
            return value;
        at = doc->tokens[value].next;
    }
    return 0;
}

static bool hex4(struct view v, uint32_t *out)
{
    uint8_t bytes[2];

    if (v.len < 4 || !hex_decode(view_first(v, 4), bytes, 2))
        return false;
    *out = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The character of "\uXXXX" (and of a pair of them); *used: bytes behind the 'u'. */
static bool unicode_escape(struct view v, uint32_t *out, size_t *used)
{
    uint32_t high, low;

    if (!hex4(v, &high) || (high >= 0xDC00 && high < 0xE000))
        return false;
    *used = 4;
    *out = high;
    if (high < 0xD800 || high >= 0xE000)
        return high != 0;
    if (v.len < 10 || v.at[4] != '\\' || v.at[5] != 'u' || !hex4(view_skip(v, 6), &low) ||
        low < 0xDC00 || low >= 0xE000)
        return false;
    *used = 10;
    *out = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

bool json_string(const struct json_doc *doc, uint32_t token, char *out, size_t size)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    struct view v;
    size_t n = 0;

    if (token >= doc->count || doc->tokens[token].kind != JSON_STRING)
        return false;
    v = json_span(doc, token);
    while (v.len) {
        char one[4];
        size_t len = 1, used = 1;

        one[0] = (char)v.at[0];
        if (one[0] == '\\') {
            uint32_t c;
            const char *letter = strchr(letters, v.at[1]);

            if (letter) {
                one[0] = meant[letter - letters];
                used = 2;
            } else if (unicode_escape(view_skip(v, 2), &c, &used)) {
                len = put_utf8(c, one);
                used += 2;
            } else {
                return false;
            }
        }
        if (n + len + 1 > size || one[0] == '\0')
            return false;
        memcpy(out + n, one, len);
        n += len;
        v = view_skip(v, used);
    }
    if (!size)
        return false;
    out[n] = '\0';
    return true;
}

bool json_integer(const struct json_doc *doc, uint32_t token, int64_t *out)
{
    struct view v;
    uint64_t n;
    bool negative;

    if (token >= doc->count || doc->tokens[token].kind != JSON_NUMBER)
        return false;
    v = json_span(doc, token);
    negative = v.at[0] == '-';
    if (!text_u64(view_skip(v, negative), negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, false,
                  &n))
        return false;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

bool json_boolean(const struct json_doc *doc, uint32_t token, bool *out)
{
    if (token >= doc->count || doc->tokens[token].kind != JSON_BOOL)
        return false;
    *out = json_span(doc, token).at[0] == 't';
    return true;
}
