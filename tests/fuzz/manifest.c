/* A manifest that is taken is whole; one that is not says where. What begins as JSON is tried as a cached provider, too. */
#include "ati/manifest/manifest.h"
#include "base/check.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES = 64 * 1024 };

static void hear(void *context, const char *text)
{
    (void)context;
    CHECK(strncmp(text, "f.toml: ", 8) == 0);
}

static void check_tool(const struct tool_provider *p, const struct tool *t)
{
    CHECK(t->provider == p && t->name && *t->name && t->description && t->endpoint);
    CHECK(t->scope || p->internal);
    CHECK(tool_method_name(t->method) && tool_method_capitalised(t->method));
    if (t->schema) {
        struct json_tree tree;

        CHECK(json_load_loose(view_str(t->schema), 1024 * 1024, &tree, NULL));
        CHECK(tree.doc.tokens[0].kind == JSON_OBJECT);
        json_unload(&tree);
    }
}

static void check_provider(struct tool_provider *p)
{
    size_t n = strlen(p->base_url);

    CHECK(p->references == 1 && p->name && *p->name && p->description && p->path);
    CHECK(!n || p->base_url[n - 1] != '/');
    CHECK(manifest_handler_name(p->handler) && manifest_auth_name(p->auth));
    CHECK(p->handler != HANDLER_CLI || p->tool_count);
    CHECK(p->handler != HANDLER_FILES || p->tool_count);
    CHECK(p->handler != HANDLER_PASSTHROUGH || n);
    for (size_t i = 0; i < p->tool_count; i++)
        check_tool(p, &p->tools[i]);
    tool_provider_unref(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = view_from(data, size);
    struct tool_provider *p = NULL;
    struct err err = {0};

    if (size > INPUT_BYTES)
        return 0;
    if (manifest_parse(text, "f.toml", hear, NULL, &p, &err))
        check_provider(p);
    else
        CHECK(err.code != ERR_NONE && strstr(err.text, "anifest f.toml"));
    if (!size || data[0] != '{')
        return 0;
    err = (struct err){0};
    if (manifest_parse_cached(text, "f.json", &p, &err))
        check_provider(p);
    else
        CHECK(err.code != ERR_NONE && strstr(err.text, "f.json"));
    return 0;
}
