/* Input: a document. It is refused with a reason, or becomes tools that everybody who reads tools can read: names that stand once,
 * endpoints that stay behind the host, schemas by the strict rules, and a manifest that loads. */
#include <string.h>

#include "ati/openapi/openapi.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUES_MAX = 1 << 20, MANIFEST_TEXT_MAX = 1 << 22 };

static void warned(void *context, const char *text)
{
    (void)context;
    CHECK(strlen(text) > 10 && strncmp(text, "OpenAPI operation ", 18) == 0);
}

static void check_schema(const char *schema)
{
    struct json_tree tree;
    uint32_t properties;

    CHECK(json_load(view_str(schema), VALUES_MAX, &tree, NULL));
    properties = json_member(&tree.doc, 0, "properties");
    CHECK(properties && tree.doc.tokens[properties].kind == JSON_OBJECT);
    for (uint32_t i = 0, key = json_first(properties); i < tree.doc.tokens[properties].count; i++) {
        uint32_t value = tree.doc.tokens[key].next;

        CHECK(json_member(&tree.doc, value, "type") &&
              json_member(&tree.doc, value, "x-ati-param-location"));
        key = tree.doc.tokens[value].next;
    }
    json_unload(&tree);
}

static void check_tools(const struct openapi *o, const struct openapi_filter *filter)
{
    struct tool *tools;
    struct err err = {0};
    size_t count;

    if (!openapi_tools(o, "p", filter, warned, NULL, &tools, &count, &err)) {
        CHECK(err.code == ERR_LIMIT && err.text[0]);
        return;
    }
    CHECK(!filter || count <= filter->max_operations);
    for (size_t i = 0; i < count; i++) {
        const struct tool *t = &tools[i];

        CHECK(strncmp(t->name, "p:", 2) == 0 && t->endpoint[0] == '/' && t->description);
        CHECK(strncmp(t->scope, "tool:", 5) == 0 && strcmp(t->scope + 5, t->name) == 0);
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(tools[k].name, t->name) != 0);
        for (size_t k = 1; k < t->tags.count; k++)
            CHECK(strcmp(t->tags.at[k - 1], t->tags.at[k]) < 0);
        check_schema(t->schema);
    }
    tools_free(tools, count);
}

static void check_manifest(const struct openapi *o)
{
    struct tool_provider *p;
    struct err err = {0};
    struct buf toml;

    buf_init(&toml, MANIFEST_TEXT_MAX, "manifest");
    CHECK(openapi_manifest(o, "p", NULL, NULL, &toml, NULL));
    /* What has no form in TOML (a title that is no text) would be told here. */
    if (manifest_parse(buf_view(&toml), "p.toml", NULL, NULL, &p, &err))
        tool_provider_unref(p);
    else
        CHECK(err.text[0]);
    buf_done(&toml);
}

static void check_name(struct view origin)
{
    struct buf name;

    buf_init(&name, MANIFEST_TEXT_MAX, "name");
    CHECK(openapi_name(origin, &name, NULL));
    for (size_t i = 0; i < buf_len(&name); i++)
        CHECK(strchr("abcdefghijklmnopqrstuvwxyz0123456789_", buf_view(&name).at[i]));
    buf_done(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct openapi_filter three = {.max_operations = 3};
    struct openapi *o;
    struct err err = {0};

    check_name(view_from(data, size));
    if (!openapi_parse(view_from(data, size), "https://from.example/a/b", &o, &err)) {
        CHECK(err.code != ERR_NONE && err.text[0]);
        return 0;
    }
    check_tools(o, NULL);
    check_tools(o, &three);
    check_manifest(o);
    openapi_free(o);
    return 0;
}
