/* Operations in the order of the document, with their names, and those that a filter lets through. */
#include <stdio.h>

#include "ati/openapi/openapi_priv.h"
#include "base/text.h"

#include "base/poison.h"

static const struct {
    const char *name;
    enum tool_method method;
} methods[] = {
    {"get", METHOD_GET},       {"post", METHOD_POST},   {"put", METHOD_PUT},
    {"delete", METHOD_DELETE}, {"patch", METHOD_PATCH},
};

struct walk {
    const struct openapi *o;
    const struct openapi_filter *filter;
    manifest_warning *warn;
    void *warn_context;
    operation_seen *seen;
    void *context;
    uint64_t count;
};

static bool has(const struct texts *list, struct view text)
{
    for (size_t i = 0; list && i < list->count; i++)
        if (view_eq(view_str(list->at[i]), text))
            return true;
    return false;
}

static bool has_tag(const struct openapi *o, const struct texts *list, uint32_t operation)
{
    uint32_t tags = member_of(o, operation, "tags"), tag = json_first(tags);

    if (!list || !list->count || !tags || kind_of(o, tags) != JSON_ARRAY)
        return false;
    for (uint32_t i = 0; i < count_of(o, tags); i++, tag = next_of(o, tag)) {
        CLEANUP(text_free_cleanup) char *text = openapi_text(o, tag);

        if (text && has(list, view_str(text)))
            return true;
    }
    return false;
}

static bool passes(const struct openapi *o, const struct openapi_filter *f,
                   const struct operation *op)
{
    struct view name = view_str(op->name);

    if (!f)
        return true;
    if (f->include_operations && f->include_operations->count && !has(f->include_operations, name))
        return false;
    if (has(f->exclude_operations, name))
        return false;
    if (f->include_tags && f->include_tags->count && !has_tag(o, f->include_tags, op->token))
        return false;
    return !has_tag(o, f->exclude_tags, op->token);
}

/* "{method}_{path}": without slashes at the ends, '_' for those inside, without braces. */
static char *made_name(const char *method, const char *path)
{
    struct view rest = view_str(path);
    char *name, *out;

    while (view_starts(rest, VIEW("/")))
        rest = view_skip(rest, 1);
    while (view_ends(rest, VIEW("/")))
        rest.len--;
    name = malloc(strlen(method) + rest.len + 2);
    if (!name)
        return NULL;
    out = stpcpy(name, method);
    *out++ = '_';
    for (; rest.len; rest = view_skip(rest, 1)) {
        char c = (char)rest.at[0];

        if (c == '/')
            c = '_';
        if (c != '{' && c != '}')
            *out++ = c;
    }
    *out = '\0';
    return name;
}

static bool one(struct walk *w, struct operation *op, const char *method, struct err *err)
{
    CLEANUP(text_free_cleanup)
    char *name = openapi_text(w->o, member_of(w->o, op->token, "operationId"));

    if (name && !name[0])
        free(take(name));
    if (!name)
        name = made_name(method, op->path);
    if (!name)
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for an operation");
    if (strlen(name) > OPENAPI_NAME_BYTES_MAX) {
        op->name = name;
        openapi_tell(&(struct teller){w->warn, w->warn_context, op}, "left out",
                     &(struct err){.code = ERR_LIMIT, .text = "its name is too long"});
        return true;
    }
    op->name = name;
    if (!passes(w->o, w->filter, op) || openapi_multipart(w->o, op->token))
        return true;
    w->count++;
    return w->seen(w->context, op, err);
}

static bool enough(const struct walk *w)
{
    return w->filter && w->filter->max_operations && w->count >= w->filter->max_operations;
}

/* The operations of one path. */
static bool path_item(struct walk *w, uint32_t key, uint32_t value, struct err *err)
{
    CLEANUP(text_free_cleanup) char *text = openapi_text(w->o, key);
    CLEANUP(text_free_cleanup) char *path = NULL;
    struct operation op = {0};
    struct err why = {0};

    if (!text || strncmp(text, "x-", 2) == 0)
        return true;
    /* Behind a base URL, "users" would be a part of the host's name. */
    path = malloc(strlen(text) + 2);
    if (!path)
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a path");
    path[0] = '/';
    (void)stpcpy(path + (text[0] != '/'), text);
    op.path = path;
    op.item = openapi_resolve(w->o, value, &why);
    if (!op.item)
        openapi_tell(&(struct teller){w->warn, w->warn_context, &op}, "the path is left out", &why);
    for (size_t i = 0; op.item && i < sizeof methods / sizeof *methods && !enough(w); i++) {
        op.method = methods[i].method;
        op.token = json_member(&w->o->tree.doc, op.item, methods[i].name);
        op.name = NULL;
        if (op.token && kind_of(w->o, op.token) == JSON_OBJECT &&
            !one(w, &op, methods[i].name, err))
            return false;
    }
    return true;
}

bool openapi_operations(const struct openapi *o, const struct openapi_filter *filter,
                        manifest_warning *warn, void *warn_context, operation_seen *seen,
                        void *context, struct err *err)
{
    struct walk w = {.o = o,
                     .filter = filter,
                     .warn = warn,
                     .warn_context = warn_context,
                     .seen = seen,
                     .context = context};
    uint32_t key = json_first(o->paths);

    for (uint32_t i = 0; o->paths && i < count_of(o, o->paths) && !enough(&w); i++) {
        if (!path_item(&w, key, next_of(o, key), err))
            return false;
        key = next_of(o, next_of(o, key));
    }
    return true;
}

void openapi_tell(const struct teller *t, const char *what, const struct err *err)
{
    char text[ERR_TEXT_BYTES + 2 * OPENAPI_NAME_BYTES_MAX], name[OPENAPI_NAME_BYTES_MAX];

    if (!t->warn)
        return;
    (void)text_escape(view_str(t->op->name ? t->op->name : t->op->path), sizeof name - 8, name,
                      sizeof name);
    (void)snprintf(text, sizeof text, "OpenAPI operation %s: %s: %s.", name, what, err->text);
    t->warn(t->context, text);
}
