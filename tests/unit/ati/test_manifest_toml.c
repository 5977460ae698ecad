/* TOML 1.0.0 as JSON text: in the order of the text, each token with its line, and mistakes with theirs. */
#include "unit/base/unit.h"

#include "ati/manifest/manifest.h"
#include "base/json.h"

enum { JSON_BYTES = 8 * 1024 * 1024 };

struct vector {
    const char *toml, *json;
};

static void becomes_json_in_its_own_order(void **state)
{
    static const struct vector vectors[] = {
        {"", "{}"},
        {"# nothing\n", "{}"},
        {"\xEF\xBB\xBFkey = 1", "{\"key\":1}"},
        {"z = 1\na = 2\nm = 3\n", "{\"z\":1,\"a\":2,\"m\":3}"},
        {"a.b.c = 1\na.d = 2\n", "{\"a\":{\"b\":{\"c\":1},\"d\":2}}"},
        {"z.a = 1\nb = 0\nz.b = 2\n", "{\"z\":{\"a\":1,\"b\":2},\"b\":0}"},
        {"[o.\"get/x\"]\nhint = \"h\"\n", "{\"o\":{\"get/x\":{\"hint\":\"h\"}}}"},
        {"o.'a.b' = 1\n\"o\".\"\" = 2", "{\"o\":{\"a.b\":1,\"\":2}}"},
        {"t = { z = 1, a.b = [ 1, \"x\" ], e = {} }",
         "{\"t\":{\"z\":1,\"a\":{\"b\":[1,\"x\"]},\"e\":{}}}"},
        {"[[x]]\nn = 1\n[[x]]\nn = 2\n[[x.y]]\nz = 3\n",
         "{\"x\":[{\"n\":1},{\"n\":2,\"y\":[{\"z\":3}]}]}"},
        {"a = [\n  1, # one\n  2,\n]\n", "{\"a\":[1,2]}"},
        {"[b]\nx = 1\n[a]\nx = 2\n[b.c]\ny = 3\n",
         "{\"b\":{\"x\":1,\"c\":{\"y\":3}},\"a\":{\"x\":2}}"},
        /* strings */
        {"s = \"a\\tb\\n\\\"\\\\ \\u00e9 \\U0001F600\"", "{\"s\":\"a\\tb\\n\\\"\\\\ é 😀\"}"},
        {"s = 'C:\\n'", "{\"s\":\"C:\\\\n\"}"},
        {"s = \"\"\"\nfirst\n  second \\\n     third\"\"\"", "{\"s\":\"first\\n  second third\"}"},
        {"s = '''\nraw \\ '' here\n'''", "{\"s\":\"raw \\\\ '' here\\n\"}"},
        {"s = \"\"\"quote at the end\"\"\"\"\"", "{\"s\":\"quote at the end\\\"\\\"\"}"},
        {"\"é\" = 'é' # é", "{\"é\":\"é\"}"},
        {"s = \"\"\"a \\\n  é\"\"\"", "{\"s\":\"a é\"}"},
        {"s = \"# no comment\" # a comment", "{\"s\":\"# no comment\"}"},
        /* numbers */
        {"i = [0, +1, -1, 1_000, 0xDEADbeef, 0o755, 0b101]",
         "{\"i\":[0,1,-1,1000,3735928559,493,5]}"},
        {"i = [9223372036854775807, -9223372036854775808]",
         "{\"i\":[9223372036854775807,-9223372036854775808]}"},
        {"f = [1.0, -0.5, 3.14159, 1e3, 6.626e-34, 0.1, 1e400_0]", NULL},
        {"f = [1.0, -0.5, 3.14159, 1e3, 6.626e-34, 0.1, 0.30000000000000004]",
         "{\"f\":[1.0,-0.5,3.14159,1000.0,6.626e-34,0.1,0.30000000000000004]}"},
        {"f = [1e300, -0.0]", "{\"f\":[1e+300,-0.0]}"},
        {"b = [true, false]", "{\"b\":[true,false]}"},
        /* dates are texts */
        {"d = 1979-05-27T07:32:00Z", "{\"d\":\"1979-05-27T07:32:00Z\"}"},
        {"d = 1979-05-27 00:32:00.999999-07:30", "{\"d\":\"1979-05-27T00:32:00.999999000-07:30\"}"},
        {"d = [1979-05-27T07:32:00, 1979-05-27, 07:32:00]",
         "{\"d\":[\"1979-05-27T07:32:00\",\"1979-05-27\",\"07:32:00\"]}"},
        /* line ends */
        {"a = 1\r\nb = 2\r\n", "{\"a\":1,\"b\":2}"},
        {"\"\\u006eame\" = 1", "{\"name\":1}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct view toml = block(view_str(vectors[i].toml));
        uint32_t *lines = NULL;
        size_t count = 0;
        struct err err;
        struct buf json;
        bool good;

        buf_init(&json, JSON_BYTES, "json");
        good = toml_to_json(toml, &json, &lines, &count, &err);
        if (good != (vectors[i].json != NULL))
            fail_msg("%s: %s", vectors[i].toml, good ? "taken" : err.text);
        if (good && !view_eq(buf_view(&json), view_str(vectors[i].json)))
            fail_msg("%s: %.*s", vectors[i].toml, VIEW_ARG(buf_view(&json)));
        if (good) {
            struct json_tree tree;

            assert_true(json_load_loose(buf_view(&json), 4096, &tree, NULL));
            assert_int_equal(tree.doc.count, count); /* a line for each token */
            json_unload(&tree);
        }
        free(lines);
        buf_done(&json);
        block_free(toml);
    }
}

static void refuses_what_is_no_toml_and_says_where(void **state)
{
    static const struct {
        const char *toml, *begins;
    } vectors[] = {
        {"a = 1\na = 2\n", "line 2: "},
        {"\n\n[t]\n[t]\n", "line 4: "},
        {"a.b = 1\n[a]\nc = 1\n", "line 2: "}, /* a table that dotted keys made is closed */
        {"t = { a = 1 }\nt.b = 2\n", "line 2: "},
        {"t = {\n a = 1 }", "line 1: "}, /* 1.0: an inline table is one line */
        {"a = [1\n", "line "},
        {"a = ", "line 1: "},
        {"a\n", "line 1: "},
        {"= 1", "line 1: "},
        {"\na = \"unfinished\nb = 1", "line 2: "},
        {"a = 'x", "line 1: "},
        {"a = \"\"\"x", "line 1: "},
        {"a = \"\\q\"", "line 1: "},
        {"a = \"\\ud800\"", "line 1: "},
        {"a = 9223372036854775808", "line 1: "},
        {"a = -9223372036854775809", "line 1: "},
        {"a = 007", "line 1: "},
        {"a = 1__0", "line 1: "},
        {"a = .5", "line 1: "},
        {"a = 5.", "line 1: "},
        {"a = yes", "line 1: "},
        {"a = 1979-13-01", "line 1: "},
        {"a = 1 b = 2", "line 1: "},
        {"a = \"\x01\"", "line 1: "},
        {"a = \"\xFF\"", "line 1: "},
        {"a = \"\\u0000\"", "line 1: text must not hold U+0000"},
        {"a = 1\n\xC3\xA9 = 1", "line 2: "},
        {"a = 1979-05-27T07:32:00.\xFF", "line 1: "},
        {"a = é", "line 1: "},
        {"a = 0\"é", "line 1: "},
        {"a = \"\"\"\\é\"\"\"", "line 1: "},
        {"[:x]\n", "line 1: "},
        {"d = 1979-05-27T:20:00\n", "line 1: "},
        {"d = 1979-05-27T07::\n", "line 1: "},
        {"[[ : ]]\n", "line 1: "},
        {"\n\na = nan", "line 3: inf and nan are no numbers of JSON"},
        {"a = [inf]", "line 1: inf and nan are no numbers of JSON"},
        {"a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "line 1: "},
        {"x = 1\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1",
         "line 2: a key of more than 24 parts"},
        {"[a.\"b.c\".a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]",
         "line 1: a key of more than 24 parts"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct view toml = block(view_str(vectors[i].toml));
        uint32_t *lines = NULL;
        struct buf json;
        struct err err = {0};
        size_t count;

        buf_init(&json, JSON_BYTES, "json");
        if (toml_to_json(toml, &json, &lines, &count, &err))
            fail_msg("taken: %s", vectors[i].toml);
        if (strncmp(err.text, vectors[i].begins, strlen(vectors[i].begins)) != 0)
            fail_msg("%s: %s", vectors[i].toml, err.text);
        assert_int_equal(err.code, ERR_SYNTAX);
        buf_done(&json);
        block_free(toml);
    }
}

static void knows_the_line_of_each_token(void **state)
{
    static const char toml[] =
        "# one\na = 1\n\n[t]\nlist = [\n  1,\n  \"x\",\n]\n[[many]]\nz = { q = 1 "
        "}\n";
    /* { a 1 t { list [ 1 x ] } many [ { z { q 1 */
    static const uint32_t want[] = {1, 2, 2, 4, 4, 5, 5, 6, 7, 9, 9, 9, 10, 10, 10, 10};
    uint32_t *lines = NULL;
    struct buf json;
    size_t count;

    (void)state;
    buf_init(&json, JSON_BYTES, "json");
    assert_true(toml_to_json(view_str(toml), &json, &lines, &count, NULL));
    assert_int_equal(count, COUNT_OF(want));
    for (size_t i = 0; i < count; i++)
        if (lines[i] != want[i])
            fail_msg("token %zu: line %u, not %u", i, lines[i], want[i]);
    free(lines);
    buf_done(&json);
}

/* Tables and arrays cannot be made deep enough to hurt whoever frees them. */
static void bounds_what_nests(void **state)
{
    static const struct {
        const char *opening, *closing;
        size_t times;
    } shapes[] = {
        {"[", "]", 100000},
        {"{a=", "}", 100000},
        {"[{a.b.c=", "}]", 50000},
        {"{a.b.c.d.e.f=", "}", 50000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        uint32_t *lines = NULL;
        struct buf toml, json;
        struct err err;
        size_t count;

        buf_init(&toml, JSON_BYTES, "toml");
        buf_init(&json, JSON_BYTES, "json");
        assert_true(buf_append_str(&toml, "k = ", NULL));
        for (size_t n = 0; n < shapes[i].times; n++)
            assert_true(buf_append_str(&toml, shapes[i].opening, NULL));
        assert_true(buf_append_byte(&toml, '1', NULL));
        for (size_t n = 0; n < shapes[i].times; n++)
            assert_true(buf_append_str(&toml, shapes[i].closing, NULL));
        assert_false(toml_to_json(buf_view(&toml), &json, &lines, &count, &err));
        assert_int_equal(err.code, ERR_SYNTAX);
        buf_done(&toml);
        buf_done(&json);
    }
}

static void a_string_that_was_written_reads_the_same(void **state)
{
    static const char nasty[] =
        "quote \" backslash \\ tab \t line\nreturn \r bell \x07 del \x7F é 😀 # = [x]";
    const struct view two[] = {VIEW("a\"b"), VIEW("")};
    struct buf toml, json;
    struct json_tree tree;
    uint32_t *lines = NULL;
    size_t count, len;
    char *back;

    (void)state;
    buf_init(&toml, 4096, "toml");
    buf_init(&json, 4096, "json");
    assert_true(manifest_write_text(&toml, "text", view_str(nasty), NULL));
    assert_true(manifest_write_texts(&toml, "texts", two, 2, NULL));
    assert_true(manifest_write_texts(&toml, "none", NULL, 0, NULL));
    assert_true(toml_to_json(buf_view(&toml), &json, &lines, &count, NULL));
    assert_true(json_load(buf_view(&json), 64, &tree, NULL));
    assert_true(json_string_new(&tree.doc, json_member(&tree.doc, 0, "text"), &back, &len));
    assert_string_equal(back, nasty);
    assert_true(view_eq(json_source(&tree.doc, json_member(&tree.doc, 0, "texts")),
                        VIEW("[\"a\\\"b\",\"\"]")));
    assert_true(view_eq(json_source(&tree.doc, json_member(&tree.doc, 0, "none")), VIEW("[]")));
    free(back);
    json_unload(&tree);
    free(lines);
    buf_done(&toml);
    buf_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(becomes_json_in_its_own_order),
        cmocka_unit_test(refuses_what_is_no_toml_and_says_where),
        cmocka_unit_test(knows_the_line_of_each_token),
        cmocka_unit_test(bounds_what_nests),
        cmocka_unit_test(a_string_that_was_written_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
