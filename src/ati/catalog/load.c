#include <stdio.h>
#include <stdlib.h>

#include "ati/catalog/catalog.h"
#include "ati/openapi/openapi.h"
#include "base/file.h"

#include "base/poison.h"

struct load {
    const char *folder;
    manifest_warning *warn;
    void *context;
};

static void warn(const struct load *l, const struct tool_provider *p, const char *why)
{
    struct err all;

    if (!l->warn)
        return;
    (void)err_set(&all, ERR_CONFIG, "%s: provider %.80s has no tools: %s",
                  p->path ? p->path : "built in", p->name, why);
    l->warn(l->context, all.text);
}

/* --- where the document is --- */

static bool path_of(const struct load *l, const char *spec, char *out, size_t size, struct err *err)
{
    int n;

    if (strstr(spec, "://"))
        return err_set(err, ERR_CONFIG,
                       "Unsupported spec format: URL specs must be downloaded first with `ati "
                       "provider import-openapi`. Use a local file path.");
    n = *spec == '/' ? snprintf(out, size, "%s", spec)
                     : snprintf(out, size, "%s/specs/%s", l->folder, spec);
    return n < (int)size || err_set(err, ERR_LIMIT, "openapi_spec: the path is too long");
}

static bool read_document(const struct load *l, const struct tool_provider *p, char *path,
                          size_t size, struct buf *text, struct err *err)
{
    size_t n;

    if (p->spec_content) {
        (void)snprintf(path, size, "%s", p->path ? p->path : p->name);
        return buf_append(text, view_str(p->spec_content), err);
    }
    if (!path_of(l, p->openapi_spec, path, size, err))
        return false;
    if (file_read(path, text, err))
        return true;
    n = strlen(path); /* its error begins with the path, and so will ours */
    if (strncmp(err->text, path, n) == 0 && strncmp(err->text + n, ": ", 2) == 0)
        memmove(err->text, err->text + n + 2, strlen(err->text + n + 2) + 1);
    return err_in(err, "Failed to read spec file %s", path);
}

/* --- its tools --- */

/* Whose scope a manifest names, keeps it; else those of internal providers ask for none. */
static bool named_scope(const struct tool_provider *p, const struct tool *t)
{
    const char *operation = t->name + strlen(p->name) + 1;

    for (size_t i = 0; i < p->openapi_override_count; i++)
        if (strcmp(p->openapi_overrides[i].operation, operation) == 0)
            return p->openapi_overrides[i].scope != NULL;
    return false;
}

static void adopt(struct tool_provider *p, struct tool *tools, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tools[i].provider = p;
        if (p->internal && !named_scope(p, &tools[i])) {
            free(tools[i].scope);
            tools[i].scope = NULL;
        }
    }
    tools_free(p->tools, p->tool_count);
    p->tools = tools;
    p->tool_count = count;
}

static bool join(const struct load *l, struct tool_provider *p, struct err *err)
{
    const struct openapi_filter filter = {
        .include_tags = &p->openapi_include_tags,
        .exclude_tags = &p->openapi_exclude_tags,
        .include_operations = &p->openapi_include_operations,
        .exclude_operations = &p->openapi_exclude_operations,
        .max_operations = p->openapi_max_operations,
        .overrides = p->openapi_overrides,
        .override_count = p->openapi_override_count,
    };
    CLEANUP(openapi_free_cleanup) struct openapi *document = NULL;
    struct tool *tools;
    char path[4096];
    struct buf text;
    size_t count;
    bool good;

    buf_init(&text, OPENAPI_BYTES_MAX, "OpenAPI document");
    good = read_document(l, p, path, sizeof path, &text, err) &&
           (openapi_parse(buf_view(&text), path, &document, err) || err_in(err, "%s", path)) &&
           openapi_tools(document, p->name, &filter, l->warn, l->context, &tools, &count, err);
    buf_done(&text);
    if (good)
        adopt(p, tools, count);
    return good;
}

static void warn_of_twins(const struct load *l, const struct catalog *c)
{
    for (size_t i = 0; l->warn && i < catalog_provider_count(c); i++) {
        const struct tool_provider *p = catalog_provider_at(c, i);

        for (size_t t = 0; t < p->tool_count; t++) {
            const struct tool *other = catalog_find(c, view_str(p->tools[t].name));
            struct err all;

            if (other->provider == p)
                continue;
            (void)err_set(&all, ERR_CONFIG, "%s: tool %.120s is also in %s, which counts",
                          p->path ? p->path : "built in", other->name,
                          other->provider->path ? other->provider->path : "what is built in");
            l->warn(l->context, all.text);
        }
    }
}

bool catalog_load(const char *folder, int64_t now_s, manifest_warning *warn_with, void *context,
                  struct catalog **out, struct err *err)
{
    const struct load l = {folder, warn_with, context};
    struct manifest_set set = {0};

    if (!manifest_load(folder, now_s, warn_with, context, &set, err))
        return false;
    for (size_t i = 0; i < set.count; i++) {
        struct tool_provider *p = set.providers[i];
        struct err why;

        if (p->handler != HANDLER_OPENAPI || (!p->openapi_spec && !p->spec_content) ||
            join(&l, p, &why))
            continue;
        if (why.code == ERR_MEMORY) {
            manifest_set_free(&set);
            return err_set(err, ERR_MEMORY, "%s", why.text);
        }
        warn(&l, p, why.text);
    }
    if (!catalog_new(&set, out, err)) {
        manifest_set_free(&set);
        return false;
    }
    warn_of_twins(&l, *out);
    return true;
}
