/* Reading in two passes: json_grammar_check accepts exactly RFC 8259, then jsmn, which is laxer, finds the
 * spans of what is known to be good. */
#include <stdlib.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/json_grammar.h"
#include "base/text.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS /* without them each comma looks through all tokens before it */
#include <jsmn.h>

#include "base/poison.h"

/* jsmn writes its tokens where ours will be: nothing is allocated. */
_Static_assert(sizeof(jsmntok_t) == sizeof(struct json_token) &&
                   _Alignof(jsmntok_t) <= _Alignof(struct json_token) &&
                   offsetof(jsmntok_t, start) == offsetof(struct json_token, start),
               "a token of jsmn takes the place of one of ours");

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

/* Makes ours of jsmn's, in place and in order: only tokens that are still jsmn's are looked at. A
 * value's tokens end where the first token begins that starts behind it. */
static void convert(jsmntok_t *raw, uint32_t count, struct view text, struct json_token *tokens)
{
    for (uint32_t i = 0; i < count; i++) {
        jsmntok_t t = raw[i];
        bool container = t.type == JSMN_OBJECT || t.type == JSMN_ARRAY;
        uint32_t next = i + 1;

        while (container && next < count && raw[next].start < t.end)
            next++;
        tokens[i] = (struct json_token){
            .kind = kind_of(&t, text),
            .start = (uint32_t)t.start,
            .end = (uint32_t)t.end,
            .count =
                container ? (uint32_t)t.size : 0, /* to jsmn, a value is the child of its key */
            .next = next,
        };
    }
}

/* Text that is one number or word. In strict mode jsmn wants something to stand behind those. */
static bool lone_word(struct view text, jsmntok_t *out)
{
    size_t start = 0, end = text.len;

    while (strchr(" \t\r\n", text.at[start]))
        start++;
    if (strchr("{[\"", text.at[start]))
        return false;
    while (strchr(" \t\r\n", text.at[end - 1]))
        end--;
    *out = (jsmntok_t){.type = JSMN_PRIMITIVE, .start = (int)start, .end = (int)end};
    return true;
}

static bool hex4(struct view v, uint32_t *out)
{
    uint8_t bytes[2];

    if (v.len < 4 || !hex_decode(view_first(v, 4), bytes, 2))
        return false;
    *out = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

/* Takes "\uXXXX", or the two of a pair. A lone surrogate stands for itself. */
static uint32_t unicode_escape(struct view *rest)
{
    uint32_t high = 0, low;

    (void)!hex4(view_skip(*rest, 2), &high);
    *rest = view_skip(*rest, 6);
    if (high < 0xD800 || high >= 0xDC00 || !view_starts(*rest, VIEW("\\u")) ||
        !hex4(view_skip(*rest, 2), &low) || low < 0xDC00 || low >= 0xE000)
        return high;
    *rest = view_skip(*rest, 6);
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* Takes the next character of a string that the grammar has accepted. escaped: backslashes count. */
static uint32_t next_character(struct view *rest, bool escaped)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint32_t code = rest->at[0];
    const char *letter;
    size_t n;

    if (!escaped || code != '\\') {
        n = utf8_first(*rest, &code);
        *rest = view_skip(*rest, n ? n : 1);
        return code;
    }
    letter = strchr(letters, rest->at[1]);
    if (!letter)
        return unicode_escape(rest);
    *rest = view_skip(*rest, 2);
    return (uint32_t)meant[letter - letters];
}

/* span reads as text does. escaped: text is a span, too. */
static bool same_text(struct view span, struct view text, bool escaped)
{
    if (view_find(span, '\\') == span.len && (!escaped || view_find(text, '\\') == text.len))
        return view_eq(span, text);
    while (span.len && text.len)
        if (next_character(&span, true) != next_character(&text, escaped))
            return false;
    return !span.len && !text.len;
}

static bool keys_differ(const struct json_doc *doc, uint32_t object, struct err *err)
{
    uint32_t key = json_first(object);

    if (doc->tokens[object].count > JSON_MEMBERS_MAX)
        return err_set(err, ERR_LIMIT, "JSON: an object of more than %d members", JSON_MEMBERS_MAX);
    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t other = json_first(object);

        for (uint32_t k = 0; k < i; k++) {
            if (same_text(json_span(doc, key), json_span(doc, other), true)) {
                char shown[128];

                (void)text_escape(json_span(doc, key), 64, shown, sizeof shown);
                return err_set(err, ERR_SYNTAX, "JSON: the key \"%s\" stands twice in one object",
                               shown);
            }
            other = doc->tokens[doc->tokens[other].next].next;
        }
        key = doc->tokens[doc->tokens[key].next].next;
    }
    return true;
}

/* text is one value, by the grammar. */
static bool read_tokens(struct view text, bool loose, struct json_token *tokens, uint32_t max,
                        struct json_doc *out, struct err *err)
{
    struct json_doc doc = {.text = text, .tokens = tokens, .loose = loose};
    jsmntok_t *raw = (jsmntok_t *)tokens;
    jsmn_parser parser;
    int n = 1;

    if (!max)
        return err_set(err, ERR_LIMIT, "JSON: more than 0 values");
    if (!lone_word(text, raw)) {
        jsmn_init(&parser);
        n = jsmn_parse(&parser, (const char *)text.at, text.len, raw, max);
    }
    if (n <= 0)
        return n == JSMN_ERROR_NOMEM ? err_set(err, ERR_LIMIT, "JSON: more than %u values", max)
                                     : err_set(err, ERR_SYNTAX, "JSON: not well-formed");
    doc.count = (uint32_t)n;
    convert(raw, doc.count, text, tokens);
    for (uint32_t i = 0; !loose && i < doc.count; i++)
        if (tokens[i].kind == JSON_OBJECT && !keys_differ(&doc, i, err))
            return false;
    *out = doc;
    return true;
}

bool json_parse(struct view text, struct json_token *tokens, uint32_t max, struct json_doc *out,
                struct err *err)
{
    uint32_t values;

    return json_grammar_check(text, JSON_DEPTH_MAX, &values, err) &&
           read_tokens(text, false, tokens, max, out, err);
}

static bool load(struct view text, bool loose, uint32_t max, struct json_tree *out, struct err *err)
{
    struct json_tree tree;
    uint32_t values;

    if (!json_grammar_check(text, loose ? JSON_DEEP_MAX : JSON_DEPTH_MAX, &values, err))
        return false;
    if (values > max)
        return err_set(err, ERR_LIMIT, "JSON: more than %u values", max);
    tree.tokens = calloc(values, sizeof *tree.tokens);
    if (!tree.tokens)
        return err_set(err, ERR_MEMORY, "JSON: no memory for %u values", values);
    if (!read_tokens(text, loose, tree.tokens, values, &tree.doc, err)) {
        free(tree.tokens);
        return false;
    }
    *out = tree;
    return true;
}

bool json_load(struct view text, uint32_t max, struct json_tree *out, struct err *err)
{
    return load(text, false, max, out, err);
}

bool json_load_loose(struct view text, uint32_t max, struct json_tree *out, struct err *err)
{
    return load(text, true, max, out, err);
}

void json_unload(struct json_tree *tree)
{
    free(tree->tokens);
    tree->tokens = NULL;
    tree->doc.count = 0;
}

struct view json_span(const struct json_doc *doc, uint32_t token)
{
    const struct json_token *t = &doc->tokens[token];

    return view_from(doc->text.at + t->start, t->end - t->start);
}

struct view json_source(const struct json_doc *doc, uint32_t token)
{
    const struct json_token *t = &doc->tokens[token];
    uint32_t quote = t->kind == JSON_STRING;

    return view_from(doc->text.at + t->start - quote, t->end - t->start + 2 * quote);
}

uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *key)
{
    uint32_t at = json_first(object), found = 0;

    if (object >= doc->count || doc->tokens[object].kind != JSON_OBJECT)
        return 0;
    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t value = doc->tokens[at].next;

        if (same_text(json_span(doc, at), view_str(key), false)) {
            found = value;
            if (!doc->loose)
                break;
        }
        at = doc->tokens[value].next;
    }
    return found;
}

static size_t put_utf8(uint32_t c, char out[static 4])
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

bool json_string(const struct json_doc *doc, uint32_t token, char *out, size_t size)
{
    struct view rest;
    size_t n = 0;

    if (!size || token >= doc->count || doc->tokens[token].kind != JSON_STRING)
        return false;
    rest = json_span(doc, token);
    while (rest.len) {
        size_t len = view_find(rest, '\\');
        uint32_t code;
        char one[4];

        if (len) { /* as it stands */
            if (len >= size - n)
                return false;
            memcpy(out + n, rest.at, len);
            n += len;
            rest = view_skip(rest, len);
            continue;
        }
        code = next_character(&rest, true);
        if (!code || (code >= 0xD800 && code < 0xE000))
            return false;
        len = put_utf8(code, one);
        if (len >= size - n)
            return false;
        memcpy(out + n, one, len);
        n += len;
    }
    out[n] = '\0';
    return true;
}

bool json_string_new(const struct json_doc *doc, uint32_t token, char **out, size_t *len)
{
    size_t room = token < doc->count ? json_span(doc, token).len + 1 : 1;
    char *text = malloc(room);

    if (!text || !json_string(doc, token, text, room)) {
        free(text);
        return false;
    }
    *out = text;
    *len = strlen(text);
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
