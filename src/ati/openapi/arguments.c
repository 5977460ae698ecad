#include <stdio.h>

#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

void arguments_done(struct arguments *a)
{
    for (size_t i = 0; i < a->count; i++) {
        free(a->at[i].name);
        free(a->at[i].wire);
    }
    free(a->at);
    free(a->body_type);
    *a = (struct arguments){0};
}

static bool in_use(const struct arguments *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->at[i].name, name) == 0)
            return true;
    return false;
}

/* "{place}_{name}", with a number when even that is taken. */
static bool rename_it(const struct arguments *list, struct argument *a, struct err *err)
{
    static const char *const places[] = {
        [PLACE_PATH] = "path",     [PLACE_QUERY] = "query", [PLACE_HEADER] = "header",
        [PLACE_COOKIE] = "cookie", [PLACE_BODY] = "body",
    };
    CLEANUP(text_free_cleanup) char *name = NULL;

    if (asprintf(&name, "%s_%s", places[a->place], a->name) < 0) {
        name = NULL;
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for an argument");
    }
    for (unsigned n = 2; in_use(list, name); n++) {
        free(take(name));
        if (asprintf(&name, "%s_%s_%u", places[a->place], a->name, n) < 0) {
            name = NULL;
            return err_set(err, ERR_MEMORY, "OpenAPI: no memory for an argument");
        }
    }
    if (a->wire)
        free(a->name);
    else
        a->wire = a->name;
    a->name = take(name);
    return true;
}

bool arguments_add(struct arguments *list, struct argument *a, struct err *err)
{
    size_t room = list->room ? 2 * list->room : 16;
    struct argument *grown;

    if (list->count == JSON_MEMBERS_MAX)
        return err_set(err, ERR_LIMIT, "it has more than %d arguments", JSON_MEMBERS_MAX);
    if (list->count == list->room) {
        grown = reallocarray(list->at, room, sizeof *grown);
        if (!grown)
            return err_set(err, ERR_MEMORY, "OpenAPI: no memory for an argument");
        list->at = grown;
        list->room = room;
    }
    if (in_use(list, a->name) && !rename_it(list, a, err))
        return false;
    list->at[list->count++] = *a;
    *a = (struct argument){0};
    return true;
}
