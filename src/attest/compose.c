#include "attest/compose.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/digest.h"
#include "base/text.h"

#include "base/poison.h"

enum {
    TOKENS_MAX = 64 * 1024,
    DIGITS_MAX = 17,
    PLAIN_EXPONENT_MAX = 16,
    PLAIN_EXPONENT_LEAST = -5
};

static bool no_memory(struct attest_err *err)
{
    return attest_fail(
        err, ATTEST_MEMORY,
        "Failed to serialize app_compose for hashing: no memory, or more than %d bytes",
        COMPOSE_BYTES_MAX);
}

/* --- numbers --- */

/* The shortest digits that read back as value, and the place of the point behind the first of them. */
static int shortest(double value, char digits[static DIGITS_MAX + 8], int *exponent)
{
    char text[40] = "0e0";
    int n = 0;

    for (int precision = 0; precision < DIGITS_MAX; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value) /* NOLINT(cert-err34-c): we wrote the text */
            break;
    }
    for (const char *c = text; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    return n;
}

static bool zeros(struct buf *out, int n)
{
    bool good = true;

    while (good && n-- > 0)
        good = buf_append_byte(out, '0', NULL);
    return good;
}

/* 1.0, 123.45, 0.001, 1e21, 1.5e-7. */
static bool put_double(double value, struct buf *out)
{
    char digits[DIGITS_MAX + 8] = "0";
    int exponent, n = shortest(fabs(value), digits, &exponent);
    int whole = exponent + 1; /* digits before the point */
    bool good = !signbit(value) || buf_append_byte(out, '-', NULL);

    if (n <= whole && whole <= PLAIN_EXPONENT_MAX)
        return good && buf_append(out, view_from(digits, (size_t)n), NULL) &&
               zeros(out, whole - n) && buf_append_str(out, ".0", NULL);
    if (whole > 0 && whole <= PLAIN_EXPONENT_MAX)
        return good && buf_append(out, view_from(digits, (size_t)whole), NULL) &&
               buf_append_byte(out, '.', NULL) &&
               buf_append(out, view_from(digits + whole, (size_t)(n - whole)), NULL);
    if (whole <= 0 && whole > PLAIN_EXPONENT_LEAST)
        return good && buf_append_str(out, "0.", NULL) && zeros(out, -whole) &&
               buf_append(out, view_from(digits, (size_t)n), NULL);
    return good && buf_append_byte(out, (uint8_t)digits[0], NULL) &&
           (n == 1 || (buf_append_byte(out, '.', NULL) &&
                       buf_append(out, view_from(digits + 1, (size_t)n - 1), NULL))) &&
           buf_appendf(out, NULL, "e%d", exponent);
}

static bool put_number(struct view text, struct buf *out, struct attest_err *err)
{
    bool negative = text.at[0] == '-';
    struct view digits = view_skip(text, negative);
    char copy[512];
    uint64_t n;
    double value;

    if (text_u64(digits, negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX, false, &n) &&
        !(negative && !n))
        return buf_append(out, text, NULL) || no_memory(err);
    if (text.len >= sizeof copy)
        return attest_fail(err, ATTEST_POLICY,
                           "Failed to serialize app_compose for hashing: a number of %zu digits",
                           text.len);
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    value = strtod(copy, NULL);
    if (!isfinite(value))
        return attest_fail(err, ATTEST_POLICY,
                           "Failed to serialize app_compose for hashing: number out of range");
    return put_double(value, out) || no_memory(err);
}

/* --- strings --- */

static bool put_character(uint8_t c, struct buf *out)
{
    static const char from[] = "\"\\\b\t\n\f\r", to[] = "\"\\btnfr";
    const char *at = c ? strchr(from, c) : NULL;

    if (at)
        return buf_append_byte(out, '\\', NULL) &&
               buf_append_byte(out, (uint8_t)to[at - from], NULL);
    if (c < ' ')
        return buf_appendf(out, NULL, "\\u%04x", c);
    return buf_append_byte(out, c, NULL);
}

static bool put_string(const struct json_doc *doc, uint32_t token, struct buf *out,
                       struct attest_err *err)
{
    char *text;
    size_t len;
    bool good;

    if (!json_string_new(doc, token, &text, &len))
        return attest_fail(err, ATTEST_POLICY,
                           "Failed to serialize app_compose for hashing: a string has a lone "
                           "surrogate or a NUL in it");
    good = buf_append_byte(out, '"', NULL);
    for (size_t i = 0; good && i < len; i++)
        good = put_character((uint8_t)text[i], out);
    good = good && buf_append_byte(out, '"', NULL);
    free(text);
    return good || no_memory(err);
}

/* --- values --- */

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than JSON_DEPTH_MAX */
static bool put_container(const struct json_doc *doc, uint32_t token, struct buf *out,
                          struct attest_err *err)
{
    const struct json_token *t = &doc->tokens[token];
    bool object = t->kind == JSON_OBJECT;
    uint32_t at = json_first(token);

    if (!buf_append_byte(out, object ? '{' : '[', NULL))
        return no_memory(err);
    for (uint32_t i = 0; i < t->count; i++) {
        if (i && !buf_append_byte(out, ',', NULL))
            return no_memory(err);
        if (object) {
            if (!put_string(doc, at, out, err))
                return false;
            if (!buf_append_byte(out, ':', NULL))
                return no_memory(err);
            at = doc->tokens[at].next;
        }
        if (!compose_canonical(doc, at, out, err))
            return false;
        at = doc->tokens[at].next;
    }
    return buf_append_byte(out, object ? '}' : ']', NULL) || no_memory(err);
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than JSON_DEPTH_MAX */
bool compose_canonical(const struct json_doc *doc, uint32_t token, struct buf *out,
                       struct attest_err *err)
{
    switch (doc->tokens[token].kind) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return put_container(doc, token, out, err);
    case JSON_STRING:
        return put_string(doc, token, out, err);
    case JSON_NUMBER:
        return put_number(json_span(doc, token), out, err);
    case JSON_NULL:
    case JSON_BOOL:
        return buf_append(out, json_span(doc, token), NULL) || no_memory(err);
    }
    return false;
}

static bool hash_string(const struct json_doc *doc, uint32_t token, uint8_t out[static 32],
                        struct attest_err *err)
{
    struct view text;
    char *copy;
    size_t len;
    bool good;

    if (!json_string_new(doc, token, &copy, &len))
        return attest_fail(err, ATTEST_POLICY,
                           "Failed to serialize app_compose for hashing: its text is no UTF-8");
    text = view_from(copy, len);
    good = digest_sha256(&text, 1, out);
    free(copy);
    return good || no_memory(err);
}

bool compose_hash(const struct json_doc *doc, uint32_t token, uint8_t out[static 32],
                  struct attest_err *err)
{
    struct buf text;
    struct view v;
    bool good;

    if (doc->tokens[token].kind == JSON_STRING)
        return hash_string(doc, token, out, err);
    buf_init(&text, COMPOSE_BYTES_MAX, "app_compose");
    good = compose_canonical(doc, token, &text, err);
    v = buf_view(&text);
    good = good && (digest_sha256(&v, 1, out) || no_memory(err));
    buf_done(&text);
    return good;
}

bool compose_hash_text(struct view json, uint8_t out[static 32], struct attest_err *err)
{
    struct json_tree tree;
    struct err why;
    bool good;

    if (json.len > COMPOSE_BYTES_MAX)
        return attest_fail(err, ATTEST_POLICY, "an app-compose manifest has at most 4 MiB");
    if (!json_load(json, TOKENS_MAX, &tree, &why))
        return attest_fail(err, ATTEST_POLICY, "invalid app_compose: %s", why.text);
    good = compose_hash(&tree.doc, 0, out, err);
    json_unload(&tree);
    return good;
}

/* --- merging --- */

static bool member_name(const struct json_doc *doc, uint32_t key, char **out,
                        struct attest_err *err)
{
    size_t len;

    return json_string_new(doc, key, out, &len) ||
           attest_fail(err, ATTEST_POLICY, "app_compose: a member's name is no text");
}

/* Appends "key":value, behind a comma when it is not the first. */
static bool put_member(const struct json_doc *keys, uint32_t key, const struct json_doc *values,
                       uint32_t value, bool first, struct buf *out, struct attest_err *err)
{
    if (!first && !buf_append_byte(out, ',', NULL))
        return no_memory(err);
    if (!put_string(keys, key, out, err))
        return false;
    if (!buf_append_byte(out, ':', NULL))
        return no_memory(err);
    return compose_canonical(values, value, out, err);
}

/* The members of one; those that other has, too, with its value or, skip, not at all. */
static bool put_members(const struct json_doc *one, const struct json_doc *other, bool skip,
                        bool *first, struct buf *out, struct attest_err *err)
{
    uint32_t key = json_first(0);

    for (uint32_t i = 0; i < one->tokens[0].count; i++) {
        uint32_t value = one->tokens[key].next, there;
        bool good = true;
        char *name;

        if (!member_name(one, key, &name, err))
            return false;
        there = json_member(other, 0, name);
        free(name);
        if (!there || !skip) {
            good =
                put_member(one, key, there ? other : one, there ? there : value, *first, out, err);
            *first = false;
        }
        if (!good)
            return false;
        key = one->tokens[value].next;
    }
    return true;
}

static bool merge(const struct json_doc *defaults, const struct json_doc *user, struct buf *out,
                  struct attest_err *err)
{
    bool first = true;

    if (user->tokens[0].kind != JSON_OBJECT || defaults->tokens[0].kind != JSON_OBJECT)
        return compose_canonical(user, 0, out, err);
    if (!buf_append_byte(out, '{', NULL))
        return no_memory(err);
    return put_members(defaults, user, false, &first, out, err) &&
           put_members(user, defaults, true, &first, out, err) &&
           (buf_append_byte(out, '}', NULL) || no_memory(err));
}

bool compose_merge(struct view defaults, struct view user, struct buf *out, struct attest_err *err)
{
    struct json_tree base, added;
    struct err why;
    bool good;

    if (!json_load(defaults, TOKENS_MAX, &base, &why))
        return attest_fail(err, ATTEST_POLICY, "the default app_compose: %s", why.text);
    if (!json_load(user, TOKENS_MAX, &added, &why)) {
        json_unload(&base);
        return attest_fail(err, ATTEST_POLICY, "app_compose: %s", why.text);
    }
    good = merge(&base.doc, &added.doc, out, err);
    json_unload(&base);
    json_unload(&added);
    return good;
}
