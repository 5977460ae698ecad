/* A schema is read through its layers: a member counts where it is found first. */
#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

static bool is_known(const struct layers *l, uint32_t token)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->at[i] == token)
            return true;
    return false;
}

static bool is_null_schema(const struct openapi *o, uint32_t schema)
{
    uint32_t type = member_of(o, schema, "type"), values = member_of(o, schema, "enum");

    if (kind_of(o, schema) != JSON_OBJECT)
        return false;
    if (type && kind_of(o, type) == JSON_STRING)
        return view_eq(span_of(o, type), VIEW("null"));
    return values && kind_of(o, values) == JSON_ARRAY && count_of(o, values) == 1 &&
           kind_of(o, json_first(values)) == JSON_NULL;
}

static void collect(const struct openapi *o, uint32_t schema, bool soft, struct layers *l);

/* NOLINTNEXTLINE(misc-no-recursion): every call but the last of a branch adds a layer, and those are LAYERS_MAX */
static void collect_all(const struct openapi *o, uint32_t list, bool alternatives, bool soft,
                        struct layers *l)
{
    uint32_t at = json_first(list), count, left = 0;

    if (!list || kind_of(o, list) != JSON_ARRAY)
        return;
    count = count_of(o, list);
    for (uint32_t i = 0; i < count; i++, at = next_of(o, at))
        left += !is_null_schema(o, at);
    at = json_first(list);
    for (uint32_t i = 0; i < count && l->count < LAYERS_MAX; i++, at = next_of(o, at))
        if (!alternatives || !is_null_schema(o, at))
            collect(o, at, soft || (alternatives && left > 1), l);
}

/* NOLINTNEXTLINE(misc-no-recursion): see collect_all */
static void collect(const struct openapi *o, uint32_t schema, bool soft, struct layers *l)
{
    uint32_t ref = member_of(o, schema, "$ref"), target;

    if (!schema || kind_of(o, schema) != JSON_OBJECT || is_known(l, schema) ||
        l->count == LAYERS_MAX)
        return;
    if (ref && kind_of(o, ref) == JSON_STRING) {
        struct err why = {0};

        target = openapi_resolve(o, schema, &why);
        l->endless |= why.code == ERR_LIMIT;
        if (o->siblings) {
            l->at[l->count] = schema;
            l->soft[l->count++] = soft;
        }
        collect(o, target, soft, l);
        if (!o->siblings)
            return;
    } else {
        l->at[l->count] = schema;
        l->soft[l->count++] = soft;
    }
    collect_all(o, member_of(o, schema, "allOf"), false, soft, l);
    collect_all(o, member_of(o, schema, "oneOf"), true, soft, l);
    collect_all(o, member_of(o, schema, "anyOf"), true, soft, l);
}

static enum schema_type type_named(struct view name)
{
    static const char *const names[] = {
        [TYPE_NONE] = "null",       [TYPE_STRING] = "string",   [TYPE_NUMBER] = "number",
        [TYPE_INTEGER] = "integer", [TYPE_BOOLEAN] = "boolean", [TYPE_ARRAY] = "array",
        [TYPE_OBJECT] = "object",
    };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (view_eq(name, view_str(names[i])))
            return (enum schema_type)i;
    return TYPE_NONE;
}

static enum schema_type type_of_value(const struct openapi *o, uint32_t value)
{
    switch (kind_of(o, value)) {
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_NUMBER:
        return strcspn((const char *)span_of(o, value).at, ".eE") < span_of(o, value).len
                   ? TYPE_NUMBER
                   : TYPE_INTEGER;
    case JSON_BOOL:
        return TYPE_BOOLEAN;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    case JSON_NULL:
        break;
    }
    return TYPE_NONE;
}

/* What two alternatives are together: a string, when they have nothing in common. */
static enum schema_type together(enum schema_type a, enum schema_type b, bool *mixed)
{
    if (a == b || b == TYPE_NONE)
        return a;
    if (a == TYPE_NONE)
        return b;
    if ((a == TYPE_NUMBER && b == TYPE_INTEGER) || (a == TYPE_INTEGER && b == TYPE_NUMBER))
        return TYPE_NUMBER;
    *mixed = true;
    return TYPE_STRING;
}

static enum schema_type type_of_list(const struct openapi *o, uint32_t list,
                                     enum schema_type (*of)(const struct openapi *, uint32_t))
{
    uint32_t at = json_first(list);
    enum schema_type type = TYPE_NONE;
    bool mixed = false;

    for (uint32_t i = 0; !mixed && i < count_of(o, list); i++, at = next_of(o, at))
        type = together(type, of(o, at), &mixed);
    return type;
}

static enum schema_type type_of_name(const struct openapi *o, uint32_t name)
{
    return kind_of(o, name) == JSON_STRING ? type_named(span_of(o, name)) : TYPE_NONE;
}

/* By what one layer says, or by what it holds. */
static enum schema_type type_of(const struct openapi *o, uint32_t layer)
{
    uint32_t type = member_of(o, layer, "type"), values = member_of(o, layer, "enum");
    uint32_t constant = member_of(o, layer, "const");

    if (type && kind_of(o, type) == JSON_STRING)
        return type_named(span_of(o, type));
    if (type && kind_of(o, type) == JSON_ARRAY)
        return type_of_list(o, type, type_of_name);
    if (member_of(o, layer, "properties"))
        return TYPE_OBJECT;
    if (member_of(o, layer, "items"))
        return TYPE_ARRAY;
    if (values && kind_of(o, values) == JSON_ARRAY)
        return type_of_list(o, values, type_of_value);
    return constant ? type_of_value(o, constant) : TYPE_NONE;
}

bool layers_hold(const struct openapi *o, const struct layers *l, enum schema_type type)
{
    for (unsigned i = 0; i < l->count; i++)
        if (type_of(o, l->at[i]) == type)
            return true;
    return false;
}

void layers_collect(const struct openapi *o, uint32_t schema, struct layers *out)
{
    enum schema_type soft = TYPE_NONE;

    out->count = 0;
    out->endless = out->mixed = false;
    out->type = TYPE_NONE;
    collect(o, schema, false, out);
    for (unsigned i = 0; i < out->count && out->type == TYPE_NONE; i++)
        if (!out->soft[i])
            out->type = type_of(o, out->at[i]);
    if (out->type != TYPE_NONE)
        return;
    for (unsigned i = 0; i < out->count && !out->mixed; i++)
        if (out->soft[i])
            soft = together(soft, type_of(o, out->at[i]), &out->mixed);
    out->type = soft;
}

uint32_t layers_find(const struct openapi *o, const struct layers *l, const char *member)
{
    for (unsigned i = 0; i < l->count; i++) {
        uint32_t found = l->soft[i] ? 0 : member_of(o, l->at[i], member);

        if (found)
            return found;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct property *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    /* Of equal names the nearest layer's counts, and the last one in it. */
    if (!order && left->layer != right->layer)
        order = left->layer < right->layer ? -1 : 1;
    return order ? order : left->schema > right->schema ? -1 : 1;
}

static bool lists(const struct openapi *o, uint32_t list, const char *name)
{
    uint32_t at = json_first(list);

    if (!list || kind_of(o, list) != JSON_ARRAY || count_of(o, list) > JSON_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < count_of(o, list); i++, at = next_of(o, at)) {
        struct view span = span_of(o, at);

        if (kind_of(o, at) != JSON_STRING)
            continue;
        if (view_eq(span, view_str(name)))
            return true;
        if (view_find(span, '\\') < span.len) {
            CLEANUP(text_free_cleanup) char *text = openapi_text(o, at);

            if (text && strcmp(text, name) == 0)
                return true;
        }
    }
    return false;
}

static bool is_required(const struct openapi *o, const struct layers *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!l->soft[i] && lists(o, member_of(o, l->at[i], "required"), name))
            return true;
    return false;
}

/* Answers have it, requests must not. */
static bool is_read_only(const struct openapi *o, uint32_t schema)
{
    return kind_of(o, schema) == JSON_OBJECT && openapi_true(o, schema, "readOnly");
}

struct gathering {
    struct property *at;
    size_t count, room;
};

static bool gather(const struct openapi *o, uint32_t properties, unsigned layer,
                   struct gathering *g, struct err *err)
{
    uint32_t key = json_first(properties);

    if (!properties || kind_of(o, properties) != JSON_OBJECT)
        return true;
    if (count_of(o, properties) > JSON_MEMBERS_MAX)
        return err_set(err, ERR_LIMIT, "an object of it has more than %d properties",
                       JSON_MEMBERS_MAX);
    for (uint32_t i = 0; i < count_of(o, properties); i++) {
        uint32_t schema = next_of(o, key);
        char *name = is_read_only(o, schema) ? NULL : openapi_text(o, key);
        struct property *grown;

        if (name && (!g->at || g->count == g->room)) {
            g->room = g->room ? 2 * g->room : 16;
            grown = reallocarray(g->at, g->room, sizeof *grown);
            if (!grown) {
                free(name);
                return err_set(err, ERR_MEMORY, "OpenAPI: no memory for properties");
            }
            g->at = grown;
        }
        if (name)
            g->at[g->count++] = (struct property){.name = name, .schema = schema, .layer = layer};
        key = next_of(o, schema);
    }
    return true;
}

bool layers_properties(const struct openapi *o, const struct layers *l, struct property **out,
                       size_t *count, struct err *err)
{
    struct gathering g = {0};
    size_t kept = 0;

    for (unsigned i = 0; i < l->count; i++)
        if ((!l->soft[i] || !l->mixed) &&
            !gather(o, member_of(o, l->at[i], "properties"), i, &g, err)) {
            properties_free(g.at, g.count);
            return false;
        }
    if (g.count)
        qsort(g.at, g.count, sizeof *g.at, by_name);
    for (size_t i = 0; i < g.count; i++) {
        if (kept && strcmp(g.at[kept - 1].name, g.at[i].name) == 0) {
            free(g.at[i].name);
            continue;
        }
        g.at[kept] = g.at[i];
        g.at[kept].required = is_required(o, l, g.at[kept].name);
        kept++;
    }
    *out = g.at;
    *count = kept;
    return true;
}

void properties_free(struct property *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}
