#include "ati/mcp/mcp_priv.h"

#include "../base/unit.h"

enum { FAILED = 1, SINGLE = 2 };

static const struct {
    const char *result, *value, *text;
    unsigned flags;
} results[] = {
    {"{\"content\":[{\"type\":\"text\",\"text\":\"plain\"}]}", "\"plain\"", "plain", SINGLE},
    {"{\"content\":[{\"type\":\"text\",\"text\":\"\"}]}", "\"\"", "", SINGLE},
    {"{\"content\":[{\"type\":\"text\",\"text\":\" {\\\"b\\\": 1.00, \\\"a\\\": [ ]} \"}]}",
     "{\"a\":[],\"b\":1.00}", " {\"b\": 1.00, \"a\": [ ]} ", SINGLE},
    {"{\"content\":[{\"type\":\"text\",\"text\":\"null\"}],\"isError\":false}", "null", "null",
     SINGLE},
    {"{\"content\":[{\"type\":\"text\",\"text\":\"a\\u0000b\"}]}", "\"a\\u0000b\"",
     "{\"data\":null,\"mimeType\":null,\"text\":\"a\\u0000b\",\"type\":\"text\"}", SINGLE},
    {"{\"content\":[{\"type\":\"text\"}]}", "null",
     "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":\"text\"}", SINGLE},
    {"{\"content\":[{\"type\":\"text\",\"text\":7}]}", "7",
     "{\"data\":null,\"mimeType\":null,\"text\":7,\"type\":\"text\"}", SINGLE},
    {"{\"content\":[{\"type\":\"text\",\"text\":\"no\"}],\"isError\":true}", "\"no\"", "no",
     SINGLE | FAILED},
    {"{\"content\":[{\"type\":\"text\",\"text\":\"no\"}],\"isError\":\"true\"}", "\"no\"", "no",
     SINGLE},
    {"{\"content\":[{\"type\":\"image\",\"data\":\"AA\",\"mimeType\":\"m\",\"x\":1}]}",
     "{\"data\":\"AA\",\"mimeType\":\"m\",\"type\":\"image\"}",
     "{\"data\":\"AA\",\"mimeType\":\"m\",\"text\":null,\"type\":\"image\",\"x\":1}", SINGLE},
    {"{\"content\":[{\"type\":\"audio\"}]}", "{\"data\":null,\"mimeType\":null,\"type\":\"audio\"}",
     "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":\"audio\"}", SINGLE},
    {"{\"content\":[{\"uri\":\"u\",\"type\":\"resource_link\",\"mimeType\":null}]}",
     "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":\"resource_link\",\"uri\":\"u\"}",
     "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":\"resource_link\",\"uri\":\"u\"}",
     SINGLE},
    {"{\"content\":[{}]}", "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":null}",
     "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":null}", SINGLE},
    {"{\"content\":[\"x\"]}", "\"x\"", "\"x\"", SINGLE},
    {"{\"content\":[]}", "{\"content\":[],\"isError\":false}", "", 0},
    {"{\"content\":null}", "{\"content\":[],\"isError\":false}", "", 0},
    {"{}", "{\"content\":[],\"isError\":false}", "", 0},
    {"{\"isError\":true,\"structuredContent\":{\"b\":1,\"a\":2}}",
     "{\"content\":[],\"isError\":true,\"structuredContent\":{\"a\":2,\"b\":1}}", "", FAILED},
    {"{\"content\":[{\"type\":\"text\",\"text\":\"1\"},7]}",
     "{\"content\":[{\"data\":null,\"mimeType\":null,\"text\":\"1\",\"type\":\"text\"},7],"
     "\"isError\":false}",
     "", 0},
};

static void maps_results_for_callers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct view result = block(view_str(results[i].result));
        struct json_tree tree;
        struct buf value, text;
        struct err err = {0};
        bool failed, single;

        buf_init(&value, 4096, "value");
        buf_init(&text, 4096, "text");
        assert_true(json_load_loose(result, 64, &tree, NULL));
        if (!mcp_result_map(&tree.doc, 0, &value, &failed, &single, &text, &err))
            fail_msg("%s: %s", results[i].result, err.text);
        if (!view_eq(buf_view(&value), view_str(results[i].value)) ||
            !view_eq(buf_view(&text), view_str(results[i].text)))
            fail_msg("%s: %.*s, \"%.*s\"", results[i].result, VIEW_ARG(buf_view(&value)),
                     VIEW_ARG(buf_view(&text)));
        assert_int_equal(failed, (results[i].flags & FAILED) != 0);
        assert_int_equal(single, (results[i].flags & SINGLE) != 0);
        json_unload(&tree);
        buf_done(&value);
        buf_done(&text);
        block_free(result);
    }
}

static void a_result_without_room_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(results); i++)
        for (size_t room = 0; room < strlen(results[i].value); room++) {
            struct json_tree tree;
            struct buf value, text;
            bool failed, single;

            buf_init(&value, room, "value");
            buf_init(&text, 4096, "text");
            assert_true(json_load_loose(view_str(results[i].result), 64, &tree, NULL));
            assert_false(mcp_result_map(&tree.doc, 0, &value, &failed, &single, &text, NULL));
            json_unload(&tree);
            buf_done(&value);
            buf_done(&text);
        }
}

/* --- lists ------------------------------------------------------------------------------------------ */

static void page(const char *text, struct tool **tools, size_t *count, char **cursor)
{
    struct json_tree tree;
    struct err err = {0};
    size_t bytes = 0;

    assert_true(json_load_loose(view_str(text), 1 << 20, &tree, NULL));
    if (!mcp_list_page(&tree.doc, 0, "p", tools, count, &bytes, cursor, &err))
        fail_msg("%s", err.text);
    json_unload(&tree);
}

/* Pages of a few large tools each: there is an end to them. */
static void bounds_the_bytes_of_a_list(void **state)
{
    enum { LARGE = 5 * 1024 * 1024 };
    struct tool *tools = NULL;
    size_t count = 0, bytes = 0, pages = 0;
    struct err err = {0};
    struct json_tree tree;
    char *cursor = NULL, *text = malloc(LARGE + 128);
    bool good = true;
    int n;

    (void)state;
    assert_non_null(text);
    n = sprintf(text, "{\"tools\":[{\"name\":\"a\",\"description\":\"");
    memset(text + n, 'd', LARGE);
    strcpy(text + n + LARGE, "\"}],\"nextCursor\":\"more\"}");
    assert_true(json_load_loose(view_str(text), 64, &tree, NULL));
    while (good && pages < 10) {
        good = mcp_list_page(&tree.doc, 0, "p", &tools, &count, &bytes, &cursor, &err);
        if (good)
            free(cursor);
        pages += good;
    }
    assert_false(good);
    assert_int_equal(pages, 6);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "[p]"));
    json_unload(&tree);
    tools_free(tools, count);
    free(text);
}

static void reads_pages_of_tools(void **state)
{
    struct tool *tools = NULL;
    size_t count = 0;
    char *cursor;

    (void)state;
    page(
        "{\"tools\":[{\"name\":\"a\",\"description\":\"d\",\"inputSchema\":{\"z\":1,\"a\":[1, 2]}},"
        "{\"name\":7},{\"description\":\"no "
        "name\"},{\"name\":\"\"},[],null],\"nextCursor\":\"c\\\"1\"}",
        &tools, &count, &cursor);
    assert_int_equal(count, 1);
    assert_string_equal(cursor, "\"c\\\"1\""); /* as JSON */
    free(cursor);
    assert_string_equal(tools[0].name, "p:a");
    assert_string_equal(tools[0].scope, "tool:p:a");
    assert_string_equal(tools[0].description, "d");
    assert_string_equal(tools[0].schema, "{\"a\":[1,2],\"z\":1}");
    assert_string_equal(tools[0].endpoint, "");
    assert_int_equal(tools[0].method, METHOD_POST);

    page("{\"tools\":[{\"name\":\"b\",\"inputSchema\":\"none\"},{\"name\":\"c\"}],\"nextCursor\":"
         "null}",
         &tools, &count, &cursor);
    assert_null(cursor);
    assert_int_equal(count, 3);
    assert_string_equal(tools[2].name, "p:c");
    assert_null(tools[1].schema);

    page("{\"nextCursor\":7}", &tools, &count, &cursor);
    assert_null(cursor);
    assert_int_equal(count, 3);
    tools_free(tools, count);
}

static void stops_at_so_many_tools(void **state)
{
    struct tool *tools = NULL;
    size_t count = 0;
    char *cursor;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20, "text");
    assert_true(
        buf_append_str(&text, "{\"nextCursor\":\"more\",\"tools\":[{\"name\":\"x\"}", NULL));
    for (int i = 0; i < MCP_TOOLS_MAX; i++)
        assert_true(buf_append_str(&text, ",{\"name\":\"x\"}", NULL));
    assert_true(buf_append(&text, VIEW("]}\0"), NULL));
    page((const char *)buf_view(&text).at, &tools, &count, &cursor);
    assert_int_equal(count, MCP_TOOLS_MAX);
    assert_null(cursor);
    tools_free(tools, count);
    buf_done(&text);
}

/* --- ways ------------------------------------------------------------------------------------------- */

static void secrets_of_a_way_are_masked(void **state)
{
    const struct view secrets[] = {VIEW("longer-secret"), VIEW("secret")};
    struct mcp_way way = {0};
    static const char *const cases[][2] = {
        {"", ""},
        {"nothing", "nothing"},
        {"secret", "[redacted]"},
        {"a secret, a longer-secret; longer-", "a [redacted], a [redacted]; longer-"},
        {"secretsecretsecre", "[redacted][redacted]secre"},
    };
    struct buf out;

    (void)state;
    assert_true(mask_new(secrets, 2, &way.mask, NULL));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_init(&out, 256, "out");
        assert_true(buf_append_str(&out, cases[i][0], NULL));
        assert_true(mcp_way_mask(&way, &out, false, NULL));
        assert_true(view_eq(buf_view(&out), view_str(cases[i][1])));
        buf_done(&out);
    }
    mask_free(way.mask);
}

static const struct mcp_hub_options options; /* no environment */

static void print_of(const struct tool_provider *p, const struct mcp_credential *c,
                     const struct keyring *k, uint8_t out[static SHA256_BYTES])
{
    struct mcp_way *way = NULL;
    struct err err = {0};

    if (!mcp_way_new(p, k, c, NULL, &options, &way, &err))
        fail_msg("%s", err.text);
    memcpy(out, way->fingerprint, SHA256_BYTES);
    mcp_way_free(way);
}

static void ways_differ_where_a_server_would(void **state)
{
    static char *ours[] = {(char *)(uintptr_t) "ATI_KEY_MY_KEY=0123456789", NULL};
    static char *others[] = {(char *)(uintptr_t) "ATI_KEY_MY_KEY=012345678x", NULL};
    char *arguments[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "b"};
    char *joined[] = {(char *)(uintptr_t) "a\nb"};
    struct text_pair env[] = {{(char *)(uintptr_t) "K", (char *)(uintptr_t) "${my_key}"}};
    struct keyring_source source = {
        .folder = "/nonexistent", .env_keys = true, .environment = ours};
    struct keyring_report report;
    struct keyring *first, *second;
    struct tool_provider p = {.name = (char *)(uintptr_t) "p",
                              .mcp_command = (char *)(uintptr_t) "c",
                              .mcp_args = {arguments, 2},
                              .mcp_env = {env, 1}};
    struct tool_provider q = p;
    struct mcp_credential token = {.token = VIEW("token-1")}, other = {.token = VIEW("token-2")};
    uint8_t prints[6][SHA256_BYTES], again[SHA256_BYTES];

    (void)state;
    assert_true(keyring_load(&source, &first, &report, NULL));
    source.environment = others;
    assert_true(keyring_load(&source, &second, &report, NULL));
    print_of(&p, NULL, first, prints[0]);
    print_of(&p, NULL, second, prints[1]);
    print_of(&p, &token, first, prints[2]);
    print_of(&p, &other, first, prints[3]);
    q.mcp_args = (struct texts){joined, 1};
    print_of(&q, NULL, first, prints[4]);
    assert_false(mcp_way_same(&p, &q));
    q = p;
    q.name = (char *)(uintptr_t) "q";
    print_of(&q, NULL, first, prints[5]);
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(prints[i], prints[k], SHA256_BYTES);
    q = p;
    assert_true(mcp_way_same(&p, &q));
    print_of(&q, NULL, first, again);
    assert_memory_equal(again, prints[0], SHA256_BYTES);
    keyring_unref(first);
    keyring_unref(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_results_for_callers),
        cmocka_unit_test(a_result_without_room_is_an_error),
        cmocka_unit_test(reads_pages_of_tools),
        cmocka_unit_test(bounds_the_bytes_of_a_list),
        cmocka_unit_test(stops_at_so_many_tools),
        cmocka_unit_test(secrets_of_a_way_are_masked),
        cmocka_unit_test(ways_differ_where_a_server_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
