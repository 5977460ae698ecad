/* Parameters of the path, then those of the operation: of equal name and place the later one counts. */
#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

static const struct {
    const char *name;
    enum place place;
    enum style style; /* when none is said */
} places[] = {
    {"path", PLACE_PATH, STYLE_SIMPLE},
    {"query", PLACE_QUERY, STYLE_FORM},
    {"header", PLACE_HEADER, STYLE_SIMPLE},
    {"cookie", PLACE_COOKIE, STYLE_FORM},
};

static const struct {
    const char *name;
    enum style style;
} styles[] = {
    {"simple", STYLE_SIMPLE},   {"label", STYLE_LABEL},          {"matrix", STYLE_MATRIX},
    {"form", STYLE_FORM},       {"spaceDelimited", STYLE_SPACE}, {"pipeDelimited", STYLE_PIPE},
    {"deepObject", STYLE_DEEP},
};

/* Which styles a place knows (OpenAPI 3.0.3, "Style Values"). */
static bool fits(enum place place, enum style style)
{
    switch (style) {
    case STYLE_SIMPLE:
        return place == PLACE_PATH || place == PLACE_HEADER;
    case STYLE_LABEL:
    case STYLE_MATRIX:
        return place == PLACE_PATH;
    case STYLE_FORM:
        return place == PLACE_QUERY || place == PLACE_COOKIE || place == PLACE_BODY;
    case STYLE_SPACE:
    case STYLE_PIPE:
    case STYLE_DEEP:
        return place == PLACE_QUERY || place == PLACE_BODY;
    case STYLE_NONE:
        break;
    }
    return false;
}

/* How a value is written, by style and explode of object, if they are there and make sense. */
void openapi_style(const struct openapi *o, uint32_t object, struct argument *a)
{
    struct view name = span_of(o, member_of(o, object, "style"));

    for (size_t i = 0; member_of(o, object, "style") && i < sizeof styles / sizeof *styles; i++)
        if (view_eq(name, view_str(styles[i].name)) && fits(a->place, styles[i].style))
            a->style = styles[i].style;
    a->explode = a->style == STYLE_FORM || a->style == STYLE_DEEP;
    (void)!json_boolean(&o->tree.doc, member_of(o, object, "explode"), &a->explode);
    a->reserved = a->place == PLACE_QUERY && openapi_true(o, object, "allowReserved");
}

/* "If in is "header" and the name field is "Accept", "Content-Type" or "Authorization", the parameter definition SHALL be ignored." */
static bool is_ignored(const struct argument *a)
{
    struct view name = view_str(a->name);

    return a->place == PLACE_HEADER &&
           (view_eq_nocase(name, VIEW("accept")) || view_eq_nocase(name, VIEW("content-type")) ||
            view_eq_nocase(name, VIEW("authorization")));
}

/* Name and place of a parameter. False: they cannot be used. */
static bool identify(const struct openapi *o, uint32_t parameter, struct argument *a,
                     struct err *err)
{
    uint32_t in = member_of(o, parameter, "in");

    for (size_t i = 0; in && i < sizeof places / sizeof *places; i++)
        if (view_eq(span_of(o, in), view_str(places[i].name))) {
            a->place = places[i].place;
            a->style = places[i].style;
            a->name = openapi_text(o, member_of(o, parameter, "name"));
            return a->name ||
                   err_set(err, ERR_SYNTAX, "a parameter whose name is missing or no text");
        }
    return err_set(err, ERR_SYNTAX,
                   "a parameter whose \"in\" is none of path, query, header, cookie");
}

/* Where the value's schema is: said directly, or for a media type. */
static void find_schema(const struct openapi *o, uint32_t parameter, struct argument *a)
{
    uint32_t content = member_of(o, parameter, "content");

    a->schema = member_of(o, parameter, "schema");
    if (a->schema || !content || kind_of(o, content) != JSON_OBJECT || !count_of(o, content))
        return;
    a->schema = member_of(o, next_of(o, json_first(content)), "schema");
    a->as_json = view_find_text(span_of(o, json_first(content)), VIEW("json"));
}

/* The one that is already there, of that name and place. */
static struct argument *same(const struct arguments *list, const struct argument *a)
{
    for (size_t i = 0; i < list->count; i++) {
        struct argument *other = &list->at[i];

        if (other->place == a->place &&
            strcmp(other->wire ? other->wire : other->name, a->name) == 0)
            return other;
    }
    return NULL;
}

static bool add(const struct openapi *o, uint32_t token, const struct teller *t,
                struct arguments *out, struct err *err)
{
    struct err why = {0};
    uint32_t parameter = openapi_resolve(o, token, &why);
    struct argument a = {.described = parameter}, *known;
    bool good = true;

    if (!parameter || !identify(o, parameter, &a, &why)) {
        openapi_tell(t, "a parameter is left out", &why);
        return true;
    }
    openapi_style(o, parameter, &a);
    a.required = a.place == PLACE_PATH || openapi_true(o, parameter, "required");
    find_schema(o, parameter, &a);
    known = same(out, &a);
    if (known) {
        free(a.name);
        a.name = known->name;
        a.wire = known->wire;
        *known = a;
        return true;
    }
    if (!is_ignored(&a))
        good = arguments_add(out, &a, err);
    free(a.name);
    return good;
}

static bool add_all(const struct openapi *o, uint32_t object, const struct teller *t,
                    struct arguments *out, struct err *err)
{
    uint32_t list = member_of(o, object, "parameters"), at = json_first(list);

    if (!list || kind_of(o, list) != JSON_ARRAY)
        return true;
    for (uint32_t i = 0; i < count_of(o, list); i++, at = next_of(o, at))
        if (!add(o, at, t, out, err))
            return false;
    return true;
}

/* {names} of the path that nobody declared. */
static bool add_implied(const char *path, struct arguments *out, struct err *err)
{
    struct view rest = view_str(path);

    for (;;) {
        struct argument a = {.place = PLACE_PATH, .style = STYLE_SIMPLE, .required = true};
        size_t end;
        bool good = true;

        rest = view_skip(rest, view_find(rest, '{') + 1);
        end = view_find(rest, '}');
        if (end == rest.len)
            return true;
        a.name = strndup((const char *)rest.at, end);
        if (!a.name)
            return err_set(err, ERR_MEMORY, "OpenAPI: no memory for an argument");
        if (end && !same(out, &a))
            good = arguments_add(out, &a, err);
        free(a.name);
        if (!good)
            return false;
        rest = view_skip(rest, end + 1);
    }
}

bool openapi_parameters(const struct openapi *o, const struct operation *op, const struct teller *t,
                        struct arguments *out, struct err *err)
{
    return add_all(o, op->item, t, out, err) && add_all(o, op->token, t, out, err) &&
           add_implied(op->path, out, err);
}
