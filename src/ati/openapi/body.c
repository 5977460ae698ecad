/* The body: properties of an object as arguments, anything else as the argument "body". */
#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

static const char whole_body[] = "body";

/* A media type without its parameters. */
static struct view bare(struct view type)
{
    return view_trim_ows(view_first(type, view_find(type, ';')));
}

static bool is_json(struct view type)
{
    return view_eq_nocase(type, VIEW("application/json"));
}

static bool is_form(struct view type)
{
    return view_eq_nocase(type, VIEW("application/x-www-form-urlencoded"));
}

static bool is_multipart(struct view type)
{
    return view_eq_nocase(type, VIEW("multipart/form-data"));
}

static bool is_json_like(struct view type)
{
    return view_ends(type, VIEW("+json")) || view_ends(type, VIEW("/json"));
}

static bool is_range(struct view type)
{
    return view_ends(type, VIEW("/*"));
}

static bool is_structured(struct view type)
{
    return is_json_like(type) || is_form(type) || is_range(type);
}

static uint32_t content_of(const struct openapi *o, uint32_t body)
{
    uint32_t content = member_of(o, body, "content");

    return content && kind_of(o, content) == JSON_OBJECT ? content : 0;
}

/* The key of the first media type that is of this kind; 0: none. */
static uint32_t first_of(const struct openapi *o, uint32_t content, bool (*is)(struct view))
{
    uint32_t key = json_first(content);

    for (uint32_t i = 0; content && i < count_of(o, content); i++) {
        if (is(bare(span_of(o, key))))
            return key;
        key = next_of(o, next_of(o, key));
    }
    return 0;
}

/* A body of several parts, written with the operation: what needs those is no tool. */
bool openapi_multipart(const struct openapi *o, uint32_t operation)
{
    return first_of(o, content_of(o, member_of(o, operation, "requestBody")), is_multipart) != 0;
}

/* The key of the media type that is sent; 0: none can be. */
static uint32_t choose(const struct openapi *o, uint32_t content)
{
    static bool (*const wanted[])(struct view) = {is_json, is_form, is_json_like, is_range};

    for (size_t i = 0; content && i < sizeof wanted / sizeof *wanted; i++) {
        uint32_t key = first_of(o, content, wanted[i]);

        if (key)
            return key;
    }
    return content && count_of(o, content) ? json_first(content) : 0;
}

static bool add_property(const struct openapi *o, struct property *p, uint32_t encodings,
                         bool required, struct arguments *out, struct err *err)
{
    struct argument a = {.name = take(p->name),
                         .place = PLACE_BODY,
                         .schema = p->schema,
                         .required = required && p->required};
    bool good;

    if (out->form) {
        a.style = STYLE_FORM;
        openapi_style(o, member_of(o, encodings, a.name), &a);
    }
    good = arguments_add(out, &a, err);
    free(a.name);
    return good;
}

static bool add_properties(const struct openapi *o, const struct layers *l, uint32_t encodings,
                           bool required, struct arguments *out, struct err *err)
{
    struct property *list;
    size_t count;
    bool good = true;

    if (!layers_properties(o, l, &list, &count, err))
        return false;
    for (size_t i = 0; good && i < count; i++)
        good = add_property(o, &list[i], encodings, required, out, err);
    properties_free(list, count);
    return good;
}

/* The type as it is sent, when the executor would not choose it by itself. */
static bool name_type(const struct openapi *o, uint32_t key, struct arguments *out, struct err *err)
{
    struct view type = bare(span_of(o, key));

    if (is_json(type) || is_form(type) || is_range(type) || is_multipart(type))
        return true;
    out->body_type = openapi_text(o, key);
    return out->body_type || err_set(err, ERR_MEMORY, "OpenAPI: no memory for a media type");
}

/* Arrays, scalars, texts, files. */
static bool add_whole(const struct openapi *o, uint32_t key, uint32_t body, uint32_t schema,
                      bool required, struct arguments *out, struct err *err)
{
    struct argument a = {.name = strdup(whole_body),
                         .place = PLACE_BODY,
                         .described = body,
                         .schema = schema,
                         .required = required};
    bool good;

    if (!a.name)
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for an argument");
    good = name_type(o, key, out, err) && arguments_add(out, &a, err);
    free(a.name);
    if (good)
        out->body_argument = out->at[out->count - 1].name;
    return good;
}

bool openapi_body(const struct openapi *o, const struct operation *op, const struct teller *t,
                  struct arguments *out, struct err *err)
{
    uint32_t written = member_of(o, op->token, "requestBody"), body, key, schema;
    struct err why = {0};
    struct layers l;
    bool required;

    if (!written)
        return true;
    body = openapi_resolve(o, written, &why);
    if (!body) {
        openapi_tell(t, "its body is left out", &why);
        return true;
    }
    key = choose(o, content_of(o, body));
    if (!key)
        return true;
    if (is_multipart(bare(span_of(o, key)))) {
        (void)err_set(&why, ERR_SYNTAX, "multipart/form-data is not sent");
        openapi_tell(t, "its body is left out", &why);
        return true;
    }
    required = openapi_true(o, body, "required");
    schema = member_of(o, next_of(o, key), "schema");
    out->form = is_form(bare(span_of(o, key)));
    out->sent = op->method == METHOD_GET || op->method == METHOD_DELETE;
    layers_collect(o, schema, &l);
    if (l.mixed && layers_hold(o, &l, TYPE_OBJECT)) { /* an object or something else: an object */
        l.mixed = false;
        l.type = TYPE_OBJECT;
    }
    if (l.type == TYPE_NONE && is_structured(bare(span_of(o, key))))
        return true; /* an object of what the caller likes */
    if (l.type != TYPE_OBJECT)
        return add_whole(o, key, body, schema, required, out, err);
    return (!is_json_like(bare(span_of(o, key))) || name_type(o, key, out, err)) &&
           add_properties(o, &l, member_of(o, next_of(o, key), "encoding"), required, out, err);
}
