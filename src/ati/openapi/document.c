#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

char *openapi_text(const struct openapi *o, uint32_t token)
{
    char *text;
    size_t len;

    return token && json_string_new(&o->tree.doc, token, &text, &len) ? text : NULL;
}

bool openapi_true(const struct openapi *o, uint32_t object, const char *member)
{
    bool value = false;

    return json_boolean(&o->tree.doc, member_of(o, object, member), &value) && value;
}

/* A string, or a number as it is written (YAML's `version: 1.0`); "" when there is neither. */
static bool said(const struct openapi *o, uint32_t token, char **out, struct err *err)
{
    struct view number = span_of(o, token);

    if (token && kind_of(o, token) == JSON_NUMBER)
        *out = strndup((const char *)number.at, number.len);
    else
        *out = openapi_text(o, token);
    if (!*out)
        *out = strdup("");
    return *out || err_set(err, ERR_MEMORY, "OpenAPI: no memory for a text");
}

static bool check_version(struct openapi *o, struct err *err)
{
    CLEANUP(text_free_cleanup) char *version = NULL;
    CLEANUP(text_free_cleanup) char *old = NULL;

    if (kind_of(o, 0) != JSON_OBJECT)
        return err_set(err, ERR_SYNTAX, "the document is no object");
    if (!said(o, top_member(o, "openapi"), &version, err) ||
        !said(o, top_member(o, "swagger"), &old, err))
        return false;
    if (!version[0] && old[0])
        return err_set(err, ERR_SYNTAX,
                       "missing field `openapi`: this is Swagger %.16s, which is not supported; "
                       "convert it to OpenAPI 3.0 or 3.1 first",
                       old);
    if (!version[0])
        return err_set(
            err, ERR_SYNTAX,
            "missing field `openapi` (\"3.0.3\" or \"3.1.0\"): this is no OpenAPI document");
    if (strncmp(version, "3.", 2) != 0)
        return err_set(err, ERR_SYNTAX, "OpenAPI %.32s is not supported; 3.0 and 3.1 are", version);
    o->siblings = strncmp(version, "3.0", 3) != 0;
    return true;
}

/* What of the document is needed again and again. */
static bool look(struct openapi *o, const char *origin, struct err *err)
{
    uint32_t info;

    if (!check_version(o, err))
        return false;
    info = top_member(o, "info");
    o->paths = top_member(o, "paths");
    if (o->paths && kind_of(o, o->paths) != JSON_OBJECT)
        return err_set(err, ERR_SYNTAX, "paths is no object");
    return said(o, member_of(o, info, "title"), &o->title, err) &&
           said(o, member_of(o, info, "version"), &o->version, err) &&
           said(o, member_of(o, info, "description"), &o->description, err) &&
           openapi_server(o, top_member(o, "servers"), origin, &o->base_url, err) &&
           openapi_index(o, err);
}

/* The text as JSON, in memory of our own. */
static bool as_json(struct view text, struct openapi *o, struct err *err)
{
    struct view bare = view_starts(text, VIEW("\xEF\xBB\xBF")) ? view_skip(text, 3) : text;
    struct view front = bare;

    while (front.len && strchr(" \t\r\n", front.at[0]))
        front = view_skip(front, 1);
    if (front.len && front.at[0] == '{') {
        if (!buf_append(&o->json, bare, err))
            return false;
        if (json_load_loose(buf_view(&o->json), OPENAPI_VALUES_MAX, &o->tree, err))
            return true;
        if (err->code != ERR_SYNTAX)
            return false;
        buf_reset(&o->json);
    }
    return yaml_to_json(text, &o->json, err) &&
           json_load_loose(buf_view(&o->json), OPENAPI_VALUES_MAX, &o->tree, err);
}

bool openapi_parse(struct view text, const char *origin, struct openapi **out, struct err *err)
{
    CLEANUP(openapi_free_cleanup) struct openapi *o = calloc(1, sizeof *o);
    struct err why = {0};

    if (!o)
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a document");
    buf_init(&o->json, OPENAPI_BYTES_MAX, "OpenAPI document");
    if (!as_json(text, o, &why) || !look(o, origin ? origin : "", &why)) {
        (void)err_set(err, why.code, "Failed to parse spec as YAML: %s", why.text);
        return false;
    }
    *out = take(o);
    return true;
}

void openapi_free(struct openapi *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->reference_count; i++)
        free(o->references[i].decoded);
    free(o->references);
    free(o->title);
    free(o->version);
    free(o->description);
    free(o->base_url);
    json_unload(&o->tree);
    buf_done(&o->json);
    free(o);
}

struct openapi_about openapi_about(const struct openapi *o)
{
    return (struct openapi_about){.title = o->title,
                                  .version = o->version,
                                  .description = o->description,
                                  .base_url = o->base_url};
}

struct view openapi_json(const struct openapi *o)
{
    return buf_view(&o->json);
}
