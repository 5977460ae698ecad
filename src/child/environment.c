#include <stdlib.h>

#include "base/check.h"
#include "base/secret.h"
#include "child/child.h"

static bool append(struct child_environment *e, char *line, struct err *err)
{
    char **list = reallocarray(e->list, e->count + 2, sizeof *list);

    if (!list)
        return err_set(err, ERR_MEMORY, "no memory for an environment");
    e->list = list;
    e->list[e->count++] = line;
    e->list[e->count] = NULL;
    return true;
}

static void line_free(char *line)
{
    secret_wipe(line, strlen(line));
    free(line);
}

bool child_environment_init(struct child_environment *e, char **ours, const char *const *names,
                            struct err *err)
{
    struct view line, name;

    *e = (struct child_environment){.list = calloc(1, sizeof *e->list)};
    if (!e->list)
        return err_set(err, ERR_MEMORY, "no memory for an environment");
    for (char **at = ours; at && *at; at++) {
        line = view_str(*at);
        name = view_first(line, view_find(line, '='));
        if (name.len == line.len || !name.len)
            continue;
        for (const char *const *wanted = names; *wanted; wanted++)
            if (view_eq(name, view_str(*wanted)) &&
                !child_environment_set(e, name, view_skip(line, name.len + 1), err)) {
                child_environment_done(e);
                return false;
            }
    }
    return true;
}

/* Index of the line that sets name, or count. */
static size_t find(const struct child_environment *e, struct view name)
{
    struct view line;
    size_t i;

    for (i = 0; i < e->count; i++) {
        line = view_str(e->list[i]);
        if (line.len > name.len && line.at[name.len] == '=' && view_starts(line, name))
            break;
    }
    return i;
}

bool child_environment_set(struct child_environment *e, struct view name, struct view value,
                           struct err *err)
{
    size_t at;
    char *line;

    if (!name.len || view_find(name, '=') < name.len || view_find(name, '\0') < name.len)
        return err_set(err, ERR_CONFIG, "\"%.*s\" cannot be the name of an environment variable",
                       name.len < 64 ? (int)name.len : 64, (const char *)name.at);
    if (view_find(value, '\0') < value.len)
        return err_set(err, ERR_CONFIG, "environment variable %.*s: its value holds a NUL byte",
                       VIEW_ARG(view_first(name, 64)));
    line = malloc(name.len + value.len + 2);
    if (!line)
        return err_set(err, ERR_MEMORY, "no memory for an environment");
    memcpy(line, name.at, name.len);
    line[name.len] = '=';
    if (value.len)
        memcpy(line + name.len + 1, value.at, value.len);
    line[name.len + 1 + value.len] = '\0';
    at = find(e, name);
    if (at < e->count) {
        line_free(e->list[at]);
        e->list[at] = line;
        return true;
    }
    if (append(e, line, err))
        return true;
    line_free(line);
    return false;
}

void child_environment_done(struct child_environment *e)
{
    for (size_t i = 0; i < e->count; i++)
        line_free(e->list[i]);
    free(e->list);
    *e = (struct child_environment){0};
}
