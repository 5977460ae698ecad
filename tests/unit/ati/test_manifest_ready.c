/* The manifests that are shipped: they load without a warning, say which keys they want, and describe tools that can be called. */
#include "unit/base/unit.h"

#include "ati/catalog/catalog.h"
#include "ati/manifest/manifest.h"
#include "base/file.h"
#include "base/json.h"

enum { READY_LEAST = 30, COMMENT_BYTES = 4096 };

static struct catalog *catalog;

static void complain(void *context, const char *text)
{
    (void)context;
    fail_msg("%s", text);
}

static int load(void **state)
{
    struct err err;

    (void)state;
    if (catalog_load(".", 0, complain, NULL, &catalog, &err))
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static int unload(void **state)
{
    (void)state;
    catalog_unref(catalog);
    return 0;
}

typedef void each_provider(const struct tool_provider *p);
typedef void each_tool(const struct tool *t);

static void for_providers(each_provider *f)
{
    for (size_t i = 0; i < catalog_provider_count(catalog); i++)
        if (catalog_provider_at(catalog, i)->path)
            f(catalog_provider_at(catalog, i));
}

static void for_tools(each_tool *f)
{
    for (size_t i = 0; i < catalog_tool_count(catalog); i++)
        if (catalog_tool_at(catalog, i)->provider->path)
            f(catalog_tool_at(catalog, i));
}

/* --- keys --- */

static void named(const struct tool_provider *p, const char *comment, struct view key)
{
    char want[200];

    (void)snprintf(want, sizeof want, "ati key set %.*s ", VIEW_ARG(key));
    if (!strstr(comment, want))
        fail_msg("%s: the comment does not say: %s", p->path, want);
}

/* The names inside ${ } and @{ }. */
static void placeholders_named(const struct tool_provider *p, const char *comment, const char *text)
{
    for (const char *at = text; at && (at = strchr(at, '{')); at++)
        if (at > text && (at[-1] == '$' || at[-1] == '@'))
            named(p, comment, view_from(at + 1, strcspn(at + 1, "}")));
}

static void pairs_named(const struct tool_provider *p, const char *comment,
                        const struct text_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++)
        placeholders_named(p, comment, pairs->at[i].value);
}

static void its_comment_names_its_keys(const struct tool_provider *p)
{
    char comment[COMMENT_BYTES];
    const char *end;
    struct buf text;

    buf_init(&text, MANIFEST_BYTES_MAX, "manifest");
    assert_true(file_read(p->path, &text, NULL));
    (void)snprintf(comment, sizeof comment, "%.*s", VIEW_ARG(buf_view(&text)));
    buf_done(&text);
    end = strstr(comment, "\n[provider]");
    if (comment[0] != '#' || !end)
        fail_msg("%s: a comment stands before [provider]", p->path);
    comment[end - comment] = '\0';
    if (p->auth_key_name)
        named(p, comment, view_str(p->auth_key_name));
    if (p->auth_secret_name)
        named(p, comment, view_str(p->auth_secret_name));
    pairs_named(p, comment, &p->extra_headers);
    pairs_named(p, comment, &p->mcp_env);
    pairs_named(p, comment, &p->cli_env);
    placeholders_named(p, comment, p->mcp_url);
    if (p->auth == AUTH_NONE && !p->cli_env.count && !p->mcp_env.count &&
        !strstr(comment, "No key is needed"))
        fail_msg("%s: the comment does not say whether a key is needed", p->path);
}

static void comments_name_the_keys(void **state)
{
    (void)state;
    for_providers(its_comment_names_its_keys);
}

/* --- providers --- */

static void it_is_whole(const struct tool_provider *p)
{
    const char *file = strrchr(p->path, '/') + 1;

    if (strncmp(file, p->name, strlen(p->name)) != 0 ||
        strcmp(file + strlen(p->name), ".toml") != 0)
        fail_msg("%s: the provider is called %s", p->path, p->name);
    assert_non_null(p->category);
    assert_false(p->internal);
    if (p->auth != AUTH_NONE)
        assert_non_null(p->auth_key_name);
    if (p->handler == HANDLER_HTTP) {
        assert_true(strncmp(p->base_url, "https://", 8) == 0);
        assert_true(p->tool_count > 0);
    }
    if (p->handler == HANDLER_MCP)
        assert_non_null(p->mcp_http ? p->mcp_url : p->mcp_command);
    if (p->handler == HANDLER_CLI)
        assert_non_null(p->cli_command);
}

static void all_of_them_load(void **state)
{
    (void)state;
    assert_true(catalog_provider_count(catalog) > READY_LEAST);
    for_providers(it_is_whole);
}

/* --- tools --- */

static bool listed(const struct json_doc *doc, uint32_t array, struct view name)
{
    uint32_t at = json_first(array);

    for (uint32_t i = 0; array && i < doc->tokens[array].count; i++, at = doc->tokens[at].next)
        if (view_eq(json_span(doc, at), name))
            return true;
    return false;
}

static struct view location_of(const struct json_doc *doc, uint32_t property)
{
    uint32_t token = json_member(doc, property, "x-ati-param-location");

    return token ? json_span(doc, token) : VIEW("");
}

/* Each {name} of the endpoint is a property that goes there and must be given. */
static void endpoint_is_filled(const struct tool *t, const struct json_doc *doc,
                               uint32_t properties, uint32_t required)
{
    for (const char *at = t->endpoint; (at = strchr(at, '{')); at++) {
        struct view name = view_from(at + 1, strcspn(at + 1, "}"));
        char key[100];
        uint32_t property;

        (void)snprintf(key, sizeof key, "%.*s", VIEW_ARG(name));
        property = json_member(doc, properties, key);
        if (!property || !view_eq(location_of(doc, property), VIEW("path")) ||
            !listed(doc, required, name))
            fail_msg("%s: %s is no required property of the path", t->name, key);
    }
}

static void property_is_described(const struct tool *t, const struct json_doc *doc, uint32_t key,
                                  bool located)
{
    uint32_t property = doc->tokens[key].next;
    struct view location = location_of(doc, property);
    char in_braces[120];

    (void)snprintf(in_braces, sizeof in_braces, "{%.*s}", VIEW_ARG(json_span(doc, key)));
    if (!json_member(doc, property, "description"))
        fail_msg("%s: %s has no description", t->name, in_braces);
    if (located != (location.len > 0))
        fail_msg("%s: either all properties say where they go, or none", t->name);
    if (view_eq(location, VIEW("path")) && !strstr(t->endpoint, in_braces))
        fail_msg("%s: %s does not stand in the endpoint", t->name, in_braces);
    if (t->method == METHOD_GET && view_eq(location, VIEW("body")))
        fail_msg("%s: GET has no body", t->name);
}

static void schema_is_sound(const struct tool *t)
{
    uint32_t properties, required, at;
    struct json_tree tree;
    bool located;

    assert_true(json_load(view_str(t->schema), 4096, &tree, NULL));
    properties = json_member(&tree.doc, 0, "properties");
    required = json_member(&tree.doc, 0, "required");
    assert_true(properties != 0);
    located = location_of(&tree.doc, tree.doc.tokens[json_first(properties)].next).len > 0;
    at = json_first(properties);
    for (uint32_t i = 0; i < tree.doc.tokens[properties].count; i++) {
        property_is_described(t, &tree.doc, at, located);
        at = tree.doc.tokens[tree.doc.tokens[at].next].next;
    }
    at = json_first(required);
    for (uint32_t i = 0; required && i < tree.doc.tokens[required].count; i++) {
        char key[100];

        assert_true(json_string(&tree.doc, at, key, sizeof key));
        if (!json_member(&tree.doc, properties, key))
            fail_msg("%s: %s is required, but no property", t->name, key);
        at = tree.doc.tokens[at].next;
    }
    endpoint_is_filled(t, &tree.doc, properties, required);
    json_unload(&tree);
}

static void it_can_be_called(const struct tool *t)
{
    size_t n = strlen(t->provider->name);

    if (t->provider->handler == HANDLER_HTTP) {
        if (strncmp(t->name, t->provider->name, n) != 0 || t->name[n] != ':')
            fail_msg("%s does not begin with %s:", t->name, t->provider->name);
        if (t->endpoint[0] != '/')
            fail_msg("%s: endpoint %s", t->name, t->endpoint);
    }
    if (t->schema)
        schema_is_sound(t);
    else if (strchr(t->endpoint, '{'))
        fail_msg("%s: nothing fills %s", t->name, t->endpoint);
}

static void tools_can_be_called(void **state)
{
    (void)state;
    for_tools(it_can_be_called);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_them_load),
        cmocka_unit_test(comments_name_the_keys),
        cmocka_unit_test(tools_can_be_called),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
