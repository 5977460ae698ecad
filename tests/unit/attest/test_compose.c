/* The one text that a JSON value has, its hash, and the merge with defaults. */
#include "world.h"

#include "attest/compose.h"
#include "base/codec.h"

static void canonical(const char *json, const char *want)
{
    struct json_tree tree;
    struct atls_error error;
    struct attest_err err;
    struct buf out;

    buf_init(&out, 1 << 20, "canonical");
    assert_true(json_load(view_str(json), 4096, &tree, NULL));
    if (verdicts_on())
        assert_int_equal(verdicts_compose(view_str(json), &error), ATLS_OK);
    if (!compose_canonical(&tree.doc, 0, &out, &err))
        fail_msg("%s: %s", json, err.text);
    if (!view_eq(buf_view(&out), view_str(want)))
        fail_msg("%s gave %.*s, wanted %s", json, VIEW_ARG(buf_view(&out)), want);
    json_unload(&tree);
    buf_done(&out);
}

static void values_have_one_text(void **state)
{
    static const char *const table[][2] = {
        {" { \"b\" : 1 , \"a\" : [ true , null , { } , [ ] ] } ",
         "{\"b\":1,\"a\":[true,null,{},[]]}"},
        {"\"\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"A/\xc3\xa9\xf0\x9f\x98\x80\""},
        {"\"\\b\\t\\n\\f\\r\\u0001\\u001f\\\"\\\\\"", "\"\\b\\t\\n\\f\\r\\u0001\\u001f\\\"\\\\\""},
        {"\"\\u007f\\u2028\"", "\"\x7f\xe2\x80\xa8\""},
        {"18446744073709551615", "18446744073709551615"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"18446744073709551616", "1.8446744073709552e19"},
        {"-0", "-0.0"},
        {"1.0", "1.0"},
        {"1e2", "100.0"},
        {"1e15", "1000000000000000.0"},
        {"1e16", "1e16"},
        {"1e21", "1e21"},
        {"1.5e300", "1.5e300"},
        {"123.456", "123.456"},
        {"0.1", "0.1"},
        {"0.00001", "0.00001"},
        {"0.000001", "1e-6"},
        {"1.5e-7", "1.5e-7"},
        {"2.2250738585072014e-308", "2.2250738585072014e-308"},
        {"-1.25", "-1.25"},
    };

    (void)state;
    verdicts_of(__func__);
    for (size_t i = 0; i < COUNT(table); i++)
        canonical(table[i][0], table[i][1]);
}

static void hashes_are_of_that_text(void **state)
{
    static const char *const same[] = {
        "{\"docker_compose_file\":\"services:\\n  app:\\n    image: "
        "a\\n\",\"runner\":\"docker-compose\"}",
        "{ \"docker_compose_file\" : \"services:\\u000a  app:\\n    image: "
        "a\\n\",\n\"runner\":\"docker-compose\" }",
        "\"{\\\"docker_compose_file\\\":\\\"services:\\\\n  app:\\\\n    image: "
        "a\\\\n\\\",\\\"runner\\\":\\\"docker-compose\\\"}\"",
    };
    uint8_t hash[32];
    char hex[65];

    (void)state;
    verdicts_of(__func__);
    for (size_t i = 0; i < COUNT(same); i++) {
        struct atls_error error;
        struct json_tree tree;

        if (verdicts_on())
            assert_int_equal(verdicts_compose(view_str(same[i]), &error), ATLS_OK);

        assert_true(json_load(view_str(same[i]), 64, &tree, NULL));
        assert_true(compose_hash(&tree.doc, 0, hash, NULL));
        json_unload(&tree);
        hex_encode(view_from(hash, 32), hex);
        assert_string_equal(hex,
                            "c3fc6d5856ffaa2a06fc52829536254599e56da33883c8f89675de2972622973");
    }
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const bad[] = {"", "{", "{}}", "{\"a\":1,\"a\":2}", "[1,]", "\xff"};

    (void)state;
    verdicts_of(__func__);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct atls_error error;
        struct attest_err err;
        uint8_t hash[32];

        assert_false(compose_hash_text(view_str(bad[i]), hash, &err));
        assert_int_equal(err.code, ATTEST_POLICY);
        assert_non_null(strstr(err.text, "invalid app_compose: JSON: "));
        if (verdicts_on())
            assert_int_equal(verdicts_compose(view_str(bad[i]), &error), ATTEST_POLICY);
    }
}

static void what_has_no_text_is_refused(void **state)
{
    static const char *const bad[] = {"\"\\ud800\"", "\"\\u0000\"", "1e999", "{\"\\udc00\":1}"};

    (void)state;
    verdicts_of(__func__);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct atls_error error;
        struct json_tree tree;
        uint8_t hash[32];

        assert_true(json_load(view_str(bad[i]), 64, &tree, NULL));
        assert_false(compose_hash(&tree.doc, 0, hash, NULL));
        if (verdicts_on())
            assert_int_equal(verdicts_compose(view_str(bad[i]), &error), ATTEST_POLICY);
        json_unload(&tree);
    }
}

static void merging_keeps_places(void **state)
{
    static const char *const table[][3] = {
        {"{\"a\":1,\"b\":{\"x\":1},\"c\":3}", "{\"d\":4,\"b\":[2],\"e\":5}",
         "{\"a\":1,\"b\":[2],\"c\":3,\"d\":4,\"e\":5}"},
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"{}", "{\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1}", "7", "7"},
    };

    (void)state;
    verdicts_of(__func__);
    for (size_t i = 0; i < COUNT(table); i++) {
        struct atls_error error;
        struct buf out;

        buf_init(&out, 4096, "merged");
        assert_true(compose_merge(view_str(table[i][0]), view_str(table[i][1]), &out, NULL));
        if (!view_eq(buf_view(&out), view_str(table[i][2])))
            fail_msg("%.*s", VIEW_ARG(buf_view(&out)));
        if (verdicts_on())
            assert_int_equal(verdicts_merge(table[i][0], table[i][1], &error), ATLS_OK);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_one_text),       cmocka_unit_test(hashes_are_of_that_text),
        cmocka_unit_test(what_is_no_json_is_refused), cmocka_unit_test(what_has_no_text_is_refused),
        cmocka_unit_test(merging_keeps_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
