/* $ref: JSON Pointers (RFC 6901) in URI fragments. What references mostly point at, the members of components and the paths, is
 * indexed once: large documents have thousands of either. */
#include "ati/openapi/openapi_priv.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { POINTER_BYTES_MAX = 2048, SHOWN_BYTES = 120 };

static int reference_order(uint32_t group, struct view name, const struct reference *r)
{
    size_t common = name.len < r->name.len ? name.len : r->name.len;
    int order;

    if (group != r->group)
        return group < r->group ? -1 : 1;
    order = common ? memcmp(name.at, r->name.at, common) : 0;
    if (order)
        return order;
    return name.len == r->name.len ? 0 : name.len < r->name.len ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
    const struct reference *left = a, *right = b;
    int order = reference_order(left->group, left->name, right);

    if (order)
        return order;
    return left->value < right->value ? -1 : 1;
}

/* The members of group, if it is an object. */
static bool add_group(struct openapi *o, uint32_t group, struct err *err)
{
    uint32_t key = json_first(group);
    struct reference *grown;

    if (!group || kind_of(o, group) != JSON_OBJECT || !count_of(o, group))
        return true;
    grown = reallocarray(o->references, o->reference_count + count_of(o, group), sizeof *grown);
    if (!grown)
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for references");
    o->references = grown;
    for (uint32_t i = 0; i < count_of(o, group); i++) {
        struct reference *r = &grown[o->reference_count];
        size_t len;

        *r = (struct reference){.group = group, .value = next_of(o, key), .name = span_of(o, key)};
        if (view_find(r->name, '\\') < r->name.len &&
            json_string_new(&o->tree.doc, key, &r->decoded, &len))
            r->name = view_from(r->decoded, len);
        o->reference_count++;
        key = next_of(o, r->value);
    }
    return true;
}

bool openapi_index(struct openapi *o, struct err *err)
{
    uint32_t components = top_member(o, "components"), key = json_first(components);

    if (!add_group(o, o->paths, err))
        return false;
    if (components && kind_of(o, components) == JSON_OBJECT)
        for (uint32_t i = 0; i < count_of(o, components); i++) {
            if (!add_group(o, next_of(o, key), err))
                return false;
            key = next_of(o, next_of(o, key));
        }
    if (o->reference_count)
        qsort(o->references, o->reference_count, sizeof *o->references, by_name);
    return true;
}

/* The last of equal names: the one that counts. */
uint32_t openapi_group_member(const struct openapi *o, uint32_t group, struct view name)
{
    size_t low = 0, high = o->reference_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (reference_order(group, name, &o->references[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low && !reference_order(group, name, &o->references[low - 1])
               ? o->references[low - 1].value
               : 0;
}

/* The group's members stand in the index. */
static bool is_indexed(const struct openapi *o, uint32_t group)
{
    size_t low = 0, high = o->reference_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (o->references[middle].group == group)
            return true;
        if (o->references[middle].group < group)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* One step of a pointer. 0: there is nothing. */
static uint32_t child(const struct openapi *o, uint32_t at, const char *part)
{
    uint32_t element = json_first(at);
    uint64_t index;

    if (kind_of(o, at) == JSON_OBJECT) {
        if (at && is_indexed(o, at))
            return openapi_group_member(o, at, view_str(part));
        return json_member(&o->tree.doc, at, part);
    }
    if (kind_of(o, at) != JSON_ARRAY || !text_u64(view_str(part), UINT32_MAX, false, &index) ||
        index >= count_of(o, at))
        return 0;
    while (index--)
        element = next_of(o, element);
    return element;
}

/* %xx of a fragment, in place. */
static void percent_decode(char *text)
{
    char *out = text;

    for (; *text; text++, out++) {
        uint8_t byte;

        *out = *text;
        if (*text == '%' && strnlen(text, 3) == 3 && hex_decode(view_from(text + 1, 2), &byte, 1) &&
            byte) {
            *out = (char)byte;
            text += 2;
        }
    }
    *out = '\0';
}

/* ~1 and ~0, in place. */
static void pointer_decode(char *part)
{
    char *out = part;

    for (; *part; part++, out++) {
        *out = *part;
        if (part[0] == '~' && (part[1] == '0' || part[1] == '1')) {
            *out = part[1] == '1' ? '/' : '~';
            part++;
        }
    }
    *out = '\0';
}

/* The $ref leads nowhere. */
static uint32_t lost(const struct openapi *o, uint32_t ref, const char *why, struct err *err)
{
    char shown[SHOWN_BYTES + 8];

    (void)text_escape(span_of(o, ref), SHOWN_BYTES, shown, sizeof shown);
    (void)err_set(err, ERR_NOT_FOUND, "\"%s\" is %s", shown, why);
    return 0;
}

/* Where a $ref (a string's token) points. */
static uint32_t target_of(const struct openapi *o, uint32_t ref, struct err *err)
{
    char text[POINTER_BYTES_MAX], *part, *rest;
    uint32_t at = 0;

    if (!json_string(&o->tree.doc, ref, text, sizeof text))
        return lost(o, ref, "no text that can be followed", err);
    if (strncmp(text, "#/", 2) != 0)
        return lost(o, ref, "outside of the document: references are followed inside it alone",
                    err);
    percent_decode(text);
    rest = text + 2;
    while ((part = strsep(&rest, "/"))) {
        pointer_decode(part);
        at = child(o, at, part);
        if (!at)
            return lost(o, ref, "not in the document", err);
    }
    return at;
}

uint32_t openapi_resolve(const struct openapi *o, uint32_t token, struct err *err)
{
    for (unsigned depth = 0; depth < OPENAPI_DEPTH_MAX; depth++) {
        uint32_t ref;

        if (!token || kind_of(o, token) != JSON_OBJECT) {
            (void)err_set(err, ERR_SYNTAX, "no object where one was expected");
            return 0;
        }
        ref = json_member(&o->tree.doc, token, "$ref");
        if (!ref || kind_of(o, ref) != JSON_STRING)
            return token;
        token = target_of(o, ref, err);
        if (!token)
            return 0;
    }
    (void)err_set(err, ERR_LIMIT, "references in a circle, or more than %d in a row",
                  OPENAPI_DEPTH_MAX);
    return 0;
}
