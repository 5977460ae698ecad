/* JSON as json, text and table. */
#include "../base/unit.h"

#include "ati/cli/show.h"

enum { OUT_MAX = 1024 * 1024 };

static void check(const char *json, enum cli_format format, size_t width, const char *expected)
{
    struct err err = {.code = ERR_NONE};
    struct buf out;

    buf_init(&out, OUT_MAX, "test");
    assert_true(cli_render(view_str(json), format, width, &out, &err));
    assert_true(buf_append_byte(&out, '\0', &err));
    assert_string_equal((const char *)buf_view(&out).at, expected);
    buf_done(&out);
}

static void json_is_pretty_and_its_keys_are_sorted(void **state)
{
    (void)state;
    check("{\"b\":[1,{\"z\":1.0,\"a\":null}],\"a\":\"x\",\"c\":{},\"d\":[]}", CLI_JSON, 0,
          "{\n  \"a\": \"x\",\n  \"b\": [\n    1,\n    {\n      \"a\": null,\n      \"z\": 1.0\n   "
          " }\n"
          "  ],\n  \"c\": {},\n  \"d\": []\n}");
    check("\"a\\nb\"", CLI_JSON, 0, "\"a\\nb\"");
    check("{\"\\u0062\":\"\\u00e9\\/\\ud83d\\ude00\",\"a\":\"\\u0000\\t\",\"b\":\"\\ud800\"}",
          CLI_JSON, 0, "{\n  \"a\": \"\\u0000\\t\",\n  \"b\": \"\\ud800\"\n}");
    check("[\"\\u00e9\\/\\ud83d\\ude00\", \"a\\\\u\"]", CLI_JSON, 0,
          "[\n  \"é/😀\",\n  \"a\\\\u\"\n]");
    check("12345678901234567890", CLI_JSON, 0, "12345678901234567890");
}

static void text_is_raw(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"\"a\\nb \\\"q\\\" \\u00e9\"", "a\nb \"q\" é"},
        {"null", "null"},
        {"true", "true"},
        {"-1.50", "-1.50"},
        {"{\"b\":{\"y\":1,\"x\":[1, 2]},\"a\":\"two words\",\"n\":null,\"t\":false}",
         "a: two words\nb: {\"x\":[1,2],\"y\":1}\nn: null\nt: false"},
        {"{}", ""},
        {"[{\"b\":1,\"a\":\"x\"},{\"c\":null}]", "{\"a\":\"x\",\"b\":1}\n{\"c\":null}"},
        {"[\"one\",2,[3],null]", "one\n2\n[3]\nnull"},
        {"[]", ""},
        {"\"a\\u0000b\"", "\"a\\u0000b\""}, /* cannot be told raw */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(cases[i].json, CLI_TEXT, 0, cases[i].text);
}

static void objects_become_tables(void **state)
{
    (void)state;
    check("{\"b\":{\"x\":1},\"a\":\"raw\",\"n\":null}", CLI_TABLE, 0,
          "┌─────┬─────────┐\n"
          "│ Key ┆ Value   │\n"
          "╞═════╪═════════╡\n"
          "│ a   ┆ raw     │\n"
          "│ b   ┆ {\"x\":1} │\n"
          "│ n   ┆ null    │\n"
          "└─────┴─────────┘");
    check("[{\"b\":1,\"a\":\"raw\"},{\"c\":[true],\"a\":null},5]", CLI_TABLE, 0,
          "┌─────┬───┬────────┐\n"
          "│ a   ┆ b ┆ c      │\n"
          "╞═════╪═══╪════════╡\n"
          "│ raw ┆ 1 ┆        │\n"
          "│     ┆   ┆ [true] │\n"
          "└─────┴───┴────────┘");
}

static void other_values_are_tables_of_nothing(void **state)
{
    (void)state;
    check("\"x\"", CLI_TABLE, 0, "\"x\"");
    check("[1,2]", CLI_TABLE, 0, "[\n  1,\n  2\n]");
    check("[]", CLI_TABLE, 0, "[]");
    check("null", CLI_TABLE, 0, "null");
}

static void what_is_no_json_is_left_as_it_is(void **state)
{
    char deep[2 * 100 + 1];

    (void)state;
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    check(deep, CLI_JSON, 0, deep);
    check("not json", CLI_TEXT, 0, "not json");
}

/* Documents of every size end by an error or a rendering, and nothing is leaked. */
static void large_documents_are_rendered(void **state)
{
    struct err err;
    struct buf json, out;

    (void)state;
    buf_init(&json, OUT_MAX, "test");
    buf_init(&out, (size_t)16 * OUT_MAX, "test");
    assert_true(buf_append_str(&json, "[", &err));
    for (int i = 0; i < 2000; i++)
        assert_true(
            buf_appendf(&json, &err, "%s{\"name\":\"n%d\",\"value\":%d}", i ? "," : "", i, i));
    assert_true(buf_append_str(&json, "]", &err));
    for (int format = CLI_JSON; format <= CLI_TEXT; format++) {
        buf_reset(&out);
        assert_true(cli_render(buf_view(&json), (enum cli_format)format, 40, &out, &err));
        assert_non_null(memmem(out.area + out.head, buf_len(&out), "n1999", 5));
    }
    buf_done(&json);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_pretty_and_its_keys_are_sorted),
        cmocka_unit_test(text_is_raw),
        cmocka_unit_test(objects_become_tables),
        cmocka_unit_test(other_values_are_tables_of_nothing),
        cmocka_unit_test(what_is_no_json_is_left_as_it_is),
        cmocka_unit_test(large_documents_are_rendered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
