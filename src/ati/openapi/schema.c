/* Arguments as JSON Schema, keys in the order of their bytes. Of a schema it says what the caller needs to fill it in: type, values,
 * what is inside, default, description, example. */
#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

enum {
    INSIDE_MAX = 2, /* levels of objects that show their properties */
    ITEMS_MAX = 6,  /* levels of arrays in arrays */
    VALUE_DEPTH_MAX =
        8, /* of a default, an example: a schema must stay readable at JSON_DEPTH_MAX */
    VALUE_BYTES_MAX = 16 * 1024
};

struct writing {
    const struct openapi *o;
    struct json_writer w;
    struct err *err;
    bool failed; /* err says why */
};

static const char *const types[] = {
    [TYPE_NONE] = "string",     [TYPE_STRING] = "string",   [TYPE_NUMBER] = "number",
    [TYPE_INTEGER] = "integer", [TYPE_BOOLEAN] = "boolean", [TYPE_ARRAY] = "array",
    [TYPE_OBJECT] = "object",
};

static void write_schema(struct writing *s, uint32_t schema, unsigned level,
                         const struct argument *a);

/* How deep the value at token goes, and whether every reader of ours can read it. */
static bool is_modest(const struct openapi *o, uint32_t token)
{
    uint32_t ends[VALUE_DEPTH_MAX], depth = 0;

    if (span_of(o, token).len > VALUE_BYTES_MAX)
        return false;
    for (uint32_t at = token; at < next_of(o, token); at++) {
        enum json_kind kind = kind_of(o, at);

        while (depth && at >= ends[depth - 1])
            depth--;
        if (kind == JSON_OBJECT && count_of(o, at) > JSON_MEMBERS_MAX)
            return false;
        if ((kind == JSON_OBJECT || kind == JSON_ARRAY) && depth == VALUE_DEPTH_MAX)
            return false;
        if (kind == JSON_OBJECT || kind == JSON_ARRAY)
            ends[depth++] = next_of(o, at);
    }
    return true;
}

static void write_value(struct writing *s, uint32_t token)
{
    struct buf text;

    buf_init(&text, (size_t)2 * VALUE_BYTES_MAX, "value in a schema");
    if (json_render(&s->o->tree.doc, token, JSON_COMPACT, true, &text, s->err))
        json_raw(&s->w, buf_view(&text));
    else
        s->failed = true;
    buf_done(&text);
}

static void member(struct writing *s, const char *key, uint32_t token)
{
    if (!token || !is_modest(s->o, token))
        return;
    json_key(&s->w, key);
    write_value(s, token);
}

static void text_member(struct writing *s, const char *key, uint32_t token)
{
    if (!token || kind_of(s->o, token) != JSON_STRING)
        return;
    json_key(&s->w, key);
    json_raw(&s->w, json_source(&s->o->tree.doc, token));
}

/* The first of a list, or of named examples. */
static uint32_t first_example(const struct openapi *o, uint32_t examples)
{
    if (!examples || !count_of(o, examples))
        return 0;
    if (kind_of(o, examples) == JSON_ARRAY)
        return json_first(examples);
    if (kind_of(o, examples) != JSON_OBJECT)
        return 0;
    return member_of(o, openapi_resolve(o, next_of(o, json_first(examples)), NULL), "value");
}

static uint32_t example_of(const struct openapi *o, const struct layers *l, uint32_t described)
{
    uint32_t found = member_of(o, described, "example");

    if (!found)
        found = first_example(o, member_of(o, described, "examples"));
    if (!found)
        found = layers_find(o, l, "example");
    return found ? found : first_example(o, layers_find(o, l, "examples"));
}

/* Without null, which says that the value may be left out. */
static void write_enum(struct writing *s, const struct layers *l)
{
    uint32_t values = layers_find(s->o, l, "enum"), constant = layers_find(s->o, l, "const");
    uint32_t at = json_first(values);
    bool some = false;

    if (l->type == TYPE_ARRAY || l->type == TYPE_OBJECT || l->mixed)
        return;
    if (constant) {
        json_key(&s->w, "enum");
        json_array(&s->w);
        write_value(s, constant);
        json_array_end(&s->w);
        return;
    }
    if (!values || kind_of(s->o, values) != JSON_ARRAY || !is_modest(s->o, values))
        return;
    for (uint32_t i = 0; i < count_of(s->o, values); i++, at = next_of(s->o, at)) {
        if (kind_of(s->o, at) == JSON_NULL)
            continue;
        if (!some) {
            json_key(&s->w, "enum");
            json_array(&s->w);
        }
        some = true;
        write_value(s, at);
    }
    if (some)
        json_array_end(&s->w);
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than ITEMS_MAX */
static void write_items(struct writing *s, const struct layers *l, unsigned level)
{
    uint32_t items = layers_find(s->o, l, "items");

    for (unsigned i = 0; !items && i < l->count && !l->mixed; i++)
        items = member_of(s->o, l->at[i], "items");
    if (!items || level >= ITEMS_MAX)
        return;
    json_key(&s->w, "items");
    write_schema(s, items, level + 1, NULL);
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than ITEMS_MAX */
static void write_properties(struct writing *s, const struct layers *l, unsigned level)
{
    struct property *list;
    size_t count;
    struct err why = {0};
    bool required = false;

    if (!layers_properties(s->o, l, &list, &count, &why)) {
        s->failed = why.code != ERR_LIMIT; /* too many are not shown */
        if (s->failed)
            (void)err_set(s->err, why.code, "%s", why.text);
        return;
    }
    if (count > JSON_MEMBERS_MAX || !count) {
        properties_free(list, count);
        return;
    }
    json_key(&s->w, "properties");
    json_object(&s->w);
    for (size_t i = 0; i < count && !s->failed && !s->w.err.code; i++) {
        json_key(&s->w, list[i].name);
        write_schema(s, list[i].schema, level + 1, NULL);
    }
    json_object_end(&s->w);
    for (size_t i = 0; i < count; i++) {
        if (!list[i].required)
            continue;
        if (!required) {
            json_key(&s->w, "required");
            json_array(&s->w);
        }
        required = true;
        json_text(&s->w, view_str(list[i].name));
    }
    if (required)
        json_array_end(&s->w);
    properties_free(list, count);
}

/* How an array in the query is written, by the older key. */
static const char *collection_of(const struct argument *a)
{
    switch (a->style) {
    case STYLE_FORM:
        return a->explode ? "multi" : "csv";
    case STYLE_SPACE:
        return "ssv";
    case STYLE_PIPE:
        return "pipes";
    case STYLE_NONE:
    case STYLE_SIMPLE:
    case STYLE_LABEL:
    case STYLE_MATRIX:
    case STYLE_DEEP:
        break;
    }
    return NULL;
}

/* The style, when the older keys do not say it. */
static const char *style_of(const struct argument *a, enum schema_type type)
{
    static const char *const names[] = {
        [STYLE_SIMPLE] = "simple",        [STYLE_LABEL] = "label",
        [STYLE_MATRIX] = "matrix",        [STYLE_FORM] = "form",
        [STYLE_SPACE] = "spaceDelimited", [STYLE_PIPE] = "pipeDelimited",
        [STYLE_DEEP] = "deepObject",
    };
    bool parts = type == TYPE_ARRAY || type == TYPE_OBJECT;

    if (a->style == STYLE_NONE || a->as_json)
        return NULL;
    if (a->style == STYLE_LABEL || a->style == STYLE_MATRIX)
        return names[a->style];
    if (!parts || (a->place == PLACE_QUERY && type == TYPE_ARRAY && collection_of(a)))
        return NULL;
    return names[a->style];
}

static void write_place(struct writing *s, const struct argument *a, enum schema_type type)
{
    static const char *const places[] = {
        [PLACE_PATH] = "path",    [PLACE_QUERY] = "query", [PLACE_HEADER] = "header",
        [PLACE_COOKIE] = "query", [PLACE_BODY] = "body",
    };
    const char *style = style_of(a, type);

    if (a->place == PLACE_QUERY && type == TYPE_ARRAY && collection_of(a) && !a->as_json) {
        json_key(&s->w, "x-ati-collection-format");
        json_text(&s->w, view_str(collection_of(a)));
    }
    if (a->as_json) {
        json_key(&s->w, "x-ati-param-content");
        json_text(&s->w, VIEW("application/json"));
    }
    if (style) {
        json_key(&s->w, "x-ati-param-explode");
        json_bool(&s->w, a->explode);
    }
    if (a->place == PLACE_COOKIE) {
        json_key(&s->w, "x-ati-param-in");
        json_text(&s->w, VIEW("cookie"));
    }
    json_key(&s->w, "x-ati-param-location");
    json_text(&s->w, view_str(places[a->place]));
    if (a->wire) {
        json_key(&s->w, "x-ati-param-name");
        json_text(&s->w, view_str(a->wire));
    }
    if (a->reserved) {
        json_key(&s->w, "x-ati-param-reserved");
        json_bool(&s->w, true);
    }
    if (style) {
        json_key(&s->w, "x-ati-param-style");
        json_text(&s->w, view_str(style));
    }
}

/* a: what it is an argument for; NULL: it is inside of one.
 * NOLINTNEXTLINE(misc-no-recursion): no deeper than ITEMS_MAX */
static void write_schema(struct writing *s, uint32_t schema, unsigned level,
                         const struct argument *a)
{
    uint32_t described = a ? a->described : 0, description;
    struct layers l;

    layers_collect(s->o, schema, &l);
    json_object(&s->w);
    description = member_of(s->o, described, "description");
    member(s, "default", layers_find(s->o, &l, "default"));
    if (l.endless && !l.count) {
        json_key(&s->w, "description");
        json_text(&s->w, VIEW("(schema too deeply nested)"));
        l.type = TYPE_OBJECT;
    } else {
        text_member(s, "description",
                    description ? description : layers_find(s->o, &l, "description"));
    }
    write_enum(s, &l);
    member(s, "example", example_of(s->o, &l, described));
    if (l.type == TYPE_ARRAY)
        write_items(s, &l, level);
    if (l.type == TYPE_OBJECT && level < INSIDE_MAX)
        write_properties(s, &l, level);
    json_key(&s->w, "type");
    json_text(&s->w, view_str(types[l.type]));
    if (a)
        write_place(s, a, l.type);
    json_object_end(&s->w);
}

struct place_in_order {
    const struct argument *argument;
};

static int by_name(const void *a, const void *b)
{
    const struct place_in_order *left = a, *right = b;

    return strcmp(left->argument->name, right->argument->name);
}

static bool write_arguments(struct writing *s, const struct arguments *a)
{
    struct place_in_order *sorted = calloc(a->count ? a->count : 1, sizeof *sorted);

    if (!sorted)
        return err_set(s->err, ERR_MEMORY, "OpenAPI: no memory for arguments");
    for (size_t i = 0; i < a->count; i++)
        sorted[i].argument = &a->at[i];
    if (a->count)
        qsort(sorted, a->count, sizeof *sorted, by_name);
    json_key(&s->w, "properties");
    json_object(&s->w);
    for (size_t i = 0; i < a->count && !s->failed && !s->w.err.code; i++) {
        json_key(&s->w, sorted[i].argument->name);
        write_schema(s, sorted[i].argument->schema, 0, sorted[i].argument);
    }
    json_object_end(&s->w);
    free(sorted);
    return !s->failed;
}

static void write_required(struct writing *s, const struct arguments *a)
{
    bool some = false;

    for (size_t i = 0; i < a->count; i++) {
        if (!a->at[i].required)
            continue;
        if (!some) {
            json_key(&s->w, "required");
            json_array(&s->w);
        }
        some = true;
        json_text(&s->w, view_str(a->at[i].name));
    }
    if (some)
        json_array_end(&s->w);
}

static bool has_body(const struct arguments *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->at[i].place == PLACE_BODY)
            return true;
    return false;
}

bool openapi_schema(const struct openapi *o, const struct arguments *a, struct buf *out,
                    struct err *err)
{
    struct writing s = {.o = o, .err = err};

    json_begin(&s.w, out);
    json_object(&s.w);
    if (!write_arguments(&s, a))
        return false;
    write_required(&s, a);
    json_key(&s.w, "type");
    json_text(&s.w, VIEW("object"));
    if (a->body_argument) {
        json_key(&s.w, "x-ati-body-argument");
        json_text(&s.w, view_str(a->body_argument));
    }
    if (a->form) {
        json_key(&s.w, "x-ati-body-encoding");
        json_text(&s.w, VIEW("form"));
    }
    if (a->sent && has_body(a)) {
        json_key(&s.w, "x-ati-body-sent");
        json_bool(&s.w, true);
    }
    if (a->body_type) {
        json_key(&s.w, "x-ati-body-type");
        json_text(&s.w, view_str(a->body_type));
    }
    json_object_end(&s.w);
    return json_end(&s.w, err);
}
