#include <stdlib.h>

#include "base/json.h"

#include "base/poison.h"

struct render {
    const struct json_doc *doc;
    enum json_layout layout;
    bool sorted;
    struct buf *out;
    struct err *err;
};

/* A key as it reads, so that escapes do not change the order. */
struct member {
    char *name; /* NULL: as in span, which has no escapes */
    struct view span;
    uint32_t key;
};

static bool value(const struct render *r, uint32_t token, unsigned depth);

static bool put(const struct render *r, struct view text)
{
    return buf_append(r->out, text, r->err);
}

static bool new_line(const struct render *r, unsigned depth)
{
    bool good = r->layout == JSON_COMPACT || put(r, VIEW("\n"));

    for (unsigned i = 0; good && r->layout == JSON_PRETTY && i < depth; i++)
        good = put(r, VIEW("  "));
    return good;
}

static struct view member_name(const struct member *m)
{
    return m->name ? view_str(m->name) : m->span;
}

/* By bytes; equal ones in the order in which they stand. */
static int member_order(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    struct view l = member_name(left), r = member_name(right);
    size_t common = l.len < r.len ? l.len : r.len;
    int order = common ? memcmp(l.at, r.at, common) : 0;

    if (order)
        return order;
    if (l.len != r.len)
        return l.len < r.len ? -1 : 1;
    return left->key < right->key ? -1 : 1;
}

static void members_free(struct member *list, uint32_t count)
{
    for (uint32_t i = 0; list && i < count; i++)
        free(list[i].name);
    free(list);
}

/* Sorted, and the last alone of those that are equal. A key that cannot be decoded (a lone surrogate, NUL) sorts as it is written. */
static bool members_of(const struct json_doc *doc, uint32_t object, bool sorted,
                       struct member **out, uint32_t *count, struct err *err)
{
    uint32_t n = doc->tokens[object].count, key = json_first(object), kept = 0;
    struct member *list = calloc(n ? n : 1, sizeof *list);

    if (!list)
        return err_set(err, ERR_MEMORY, "JSON: no memory for %u members", n);
    for (uint32_t i = 0; i < n; i++) {
        size_t len;

        list[i] = (struct member){.span = json_span(doc, key), .key = key};
        if (view_find(list[i].span, '\\') < list[i].span.len)
            (void)!json_string_new(doc, key, &list[i].name, &len);
        key = doc->tokens[doc->tokens[key].next].next;
    }
    if (sorted && n > 1)
        qsort(list, n, sizeof *list, member_order);
    for (uint32_t i = 0; i < n; i++) {
        if (sorted && i + 1 < n && view_eq(member_name(&list[i]), member_name(&list[i + 1])))
            free(list[i].name);
        else
            list[kept++] = list[i];
    }
    *out = list;
    *count = kept;
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than JSON_DEEP_MAX */
static bool object(const struct render *r, uint32_t token, unsigned depth)
{
    struct member *list = NULL;
    uint32_t count = 0;
    bool good;

    if (!members_of(r->doc, token, r->sorted, &list, &count, r->err))
        return false;
    good = put(r, VIEW("{"));
    for (uint32_t i = 0; good && i < count; i++)
        good = (!i || put(r, VIEW(","))) && new_line(r, depth + 1) &&
               put(r, json_source(r->doc, list[i].key)) &&
               put(r, r->layout == JSON_PRETTY ? VIEW(": ") : VIEW(":")) &&
               value(r, r->doc->tokens[list[i].key].next, depth + 1);
    good = good && (!count || new_line(r, depth)) && put(r, VIEW("}"));
    members_free(list, count);
    return good;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than JSON_DEEP_MAX */
static bool array(const struct render *r, uint32_t token, unsigned depth)
{
    uint32_t count = r->doc->tokens[token].count, at = json_first(token);
    bool good = put(r, VIEW("["));

    for (uint32_t i = 0; good && i < count; i++) {
        good = (!i || put(r, VIEW(","))) && new_line(r, depth + 1) && value(r, at, depth + 1);
        at = r->doc->tokens[at].next;
    }
    return good && (!count || new_line(r, depth)) && put(r, VIEW("]"));
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than JSON_DEEP_MAX */
static bool value(const struct render *r, uint32_t token, unsigned depth)
{
    switch (r->doc->tokens[token].kind) {
    case JSON_OBJECT:
        return object(r, token, depth);
    case JSON_ARRAY:
        return array(r, token, depth);
    case JSON_STRING:
    case JSON_NUMBER:
    case JSON_BOOL:
    case JSON_NULL:
        return put(r, json_source(r->doc, token));
    }
    return false;
}

bool json_render(const struct json_doc *doc, uint32_t token, enum json_layout layout, bool sorted,
                 struct buf *out, struct err *err)
{
    struct render r = {.doc = doc, .layout = layout, .sorted = sorted, .out = out, .err = err};

    return value(&r, token, 0);
}
