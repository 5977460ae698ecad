/* What the words behind `ati run TOOL` mean. */
#include "../base/unit.h"

#include "ati/cli/run.h"

enum { MAX = 1024 * 1024, WORDS_MAX = 16 };

struct words {
    const char *at[WORDS_MAX];
};

static void check(const char *const *words, const char *expected, bool json)
{
    struct err err = {.code = ERR_NONE};
    size_t count = 0;
    struct buf map;
    bool got;

    while (words[count])
        count++;
    buf_init(&map, MAX, "test");
    if (expected[0] == '{') {
        assert_true(run_arguments(words, count, &map, &got, &err));
        assert_int_equal(got, json);
        assert_true(buf_append_byte(&map, '\0', &err));
        assert_string_equal((const char *)buf_view(&map).at, expected);
    } else {
        assert_false(run_arguments(words, count, &map, &got, &err));
        assert_string_equal(err.text, expected);
    }
    buf_done(&map);
}

static void words_become_an_object(void **state)
{
    static const struct {
        struct words words;
        const char *map;
        bool json;
    } cases[] = {
        {{{NULL}}, "{}", false},
        {{{"--query", "two words"}}, "{\"query\":\"two words\"}", false},
        {{{"--n", "10", "--on", "true", "--none", "null", "--list", "[1]", "--neg", "-5"}},
         "{\"n\":10,\"on\":true,\"none\":null,\"list\":[1],\"neg\":-5}",
         false},
        {{{"--o", "{\"a\": 1}"}}, "{\"o\":{\"a\": 1}}", false},
        {{{"--s", "\"10\""}}, "{\"s\":\"10\"}", false},
        {{{"--version", "007", "--x", "1.2.3", "--empty", ""}},
         "{\"version\":\"007\",\"x\":\"1.2.3\",\"empty\":\"\"}",
         false},
        {{{"--big", "12345678901234567890123"}}, "{\"big\":12345678901234567890123}", false},
        {{{"--flag"}}, "{\"flag\":true}", false},
        {{{"--a", "--b", "1"}}, "{\"a\":true,\"b\":1}", false},
        {{{"--a", "-b"}}, "{\"a\":\"-b\"}", false},
        {{{"bare", "--a", "1", "more"}}, "{\"a\":1}", false},
        {{{"-x", "--a", "1"}}, "{\"a\":1}", false},
        {{{"--a=1"}}, "{\"a=1\":true}", false},
        {{{"--a=1", "2"}}, "{\"a=1\":2}", false},
        {{{"--a", "1", "--b", "2", "--a", "3"}}, "{\"a\":3,\"b\":2}", false},
        {{{"----deep", "1"}}, "{\"deep\":1}", false},
        {{{"--help"}}, "{\"help\":true}", false},
        {{{"--a", "1", "--json"}}, "{\"a\":1}", true},
        {{{"-J", "--a", "1"}}, "{\"a\":1}", true},
        {{{"--a", "-J"}}, "{\"a\":true}", true},
        {{{"--a", "1", "--verbose", "--output", "text", "--format", "table", "--b"}},
         "{\"a\":1,\"b\":true}",
         false},
        {{{"--a", "1", "--output"}}, "{\"a\":1}", false},
        {{{"--q", "a\"b\\c\n\xFF"}}, "{\"q\":\"a\\\"b\\\\c\\n\xEF\xBF\xBD\"}", false},
        {{{"--"}}, "Empty argument key", false},
        {{{"--a", "1", "---"}}, "Empty argument key", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(cases[i].words.at, cases[i].map, cases[i].json);
}

static void check_keys(const char *map, const char *schema, const char *expected)
{
    struct err err = {.code = ERR_NONE};
    struct buf out;

    buf_init(&out, MAX, "test");
    assert_true(run_keys(view_str(map), view_str(schema), &out, &err));
    assert_true(buf_append_byte(&out, '\0', &err));
    assert_string_equal((const char *)buf_view(&out).at, expected);
    buf_done(&out);
}

static void keys_are_spelt_as_the_schema_has_them(void **state)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"repo_name\":{},\"perPage\":{},\"repo-name2\":{},"
        "\"x\\u005fy\":{}}}";

    (void)state;
    check_keys("{\"repo-name\":1}", schema, "{\"repo_name\":1}");
    check_keys("{\"repoName\":1}", schema, "{\"repo_name\":1}");
    check_keys("{\"repo_name\":1}", schema, "{\"repo_name\":1}");
    check_keys("{\"REPO--NAME_\":1}", schema, "{\"repo_name\":1}");
    check_keys("{\"per_page\":{\"per_page\":2}}", schema, "{\"perPage\":{\"per_page\":2}}");
    check_keys("{\"repo-name2\":1,\"other-key\":2}", schema, "{\"other-key\":2,\"repo-name2\":1}");
    check_keys("{\"repo-name\":1,\"repoName\":2}", schema, "{\"repo_name\":2}");
    check_keys("{\"xy\":1}", schema, "{\"x\\u005fy\":1}");
    check_keys("{\"a\":1}", "", "{\"a\":1}");
    check_keys("{\"a\":1}", "{\"properties\":[]}", "{\"a\":1}");
    check_keys("{}", schema, "{}");
}

static void a_property_of_that_very_name_goes_first(void **state)
{
    (void)state;
    check_keys("{\"repo_name\":1,\"reponame\":2}",
               "{\"properties\":{\"reponame\":{},\"repo_name\":{}}}",
               "{\"repo_name\":1,\"reponame\":2}");
}

static void a_schema_that_cannot_be_read_is_an_error(void **state)
{
    struct err err = {.code = ERR_NONE};
    struct buf out;

    (void)state;
    buf_init(&out, MAX, "test");
    assert_false(run_keys(VIEW("{}"), VIEW("{"), &out, &err));
    assert_non_null(strstr(err.text, "the tool's schema: "));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_an_object),
        cmocka_unit_test(keys_are_spelt_as_the_schema_has_them),
        cmocka_unit_test(a_property_of_that_very_name_goes_first),
        cmocka_unit_test(a_schema_that_cannot_be_read_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
