/* JSON: exactly RFC 8259 is read, and what is written is read back. */
#include "unit.h"

#include "base/json.h"

enum { TOKENS = 256 };

static struct json_token tokens[TOKENS];

static bool parses(struct view text)
{
    struct view v = block(text);
    struct json_doc doc;
    bool good = json_parse(v, tokens, TOKENS, &doc, NULL);

    block_free(v);
    return good;
}

static void accepts_what_the_standard_accepts(void **state)
{
    static const struct view good[] = {
        VIEW("0"),
        VIEW("-0"),
        VIEW("1"),
        VIEW("-1"),
        VIEW("10"),
        VIEW("0.0"),
        VIEW("-0.5e-10"),
        VIEW("1e5"),
        VIEW("1E+5"),
        VIEW("1.25E-0007"),
        VIEW("123456789012345678901234567890"),
        VIEW("1e999999"),
        VIEW("true"),
        VIEW("false"),
        VIEW("null"),
        VIEW(" true "),
        VIEW("\t\r\n null\n"),
        VIEW("\"\""),
        VIEW("\"a\""),
        VIEW(" \"a\" "),
        VIEW("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABCD\\uabcd\""),
        VIEW("\"\\ud800\""),
        VIEW("\"\\ud83d\\ude00\""),
        VIEW("\"\x7f\""),
        VIEW("\"é€😀\""),
        VIEW("\"\u2028\""),
        VIEW("[]"),
        VIEW("{}"),
        VIEW(" [ ] "),
        VIEW("[ 1 , 2 ]"),
        VIEW("[[],{},[[]]]"),
        VIEW("{\"\":0}"),
        VIEW("{\"a\":1,\"b\":2}"),
        VIEW("{ \"a\" : [ { } ] }"),
        VIEW("[true,false,null,0,\"\",{},[]]"),
        VIEW("{\"a\":{\"a\":{\"a\":1}}}"),
        VIEW("{\"a\":1,\"A\":2}"),
        VIEW("[\"a\",\"a\"]"),
        VIEW("[{\"a\":1},{\"a\":1}]"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!parses(good[i]))
            fail_msg("%.*s", VIEW_ARG(good[i]));
}

static void refuses_all_else(void **state)
{
    static const struct view bad[] = {
        VIEW(""),
        VIEW(" "),
        VIEW("\n"),
        VIEW("\xef\xbb\xbf"
             "0"),
        VIEW("\0"),
        VIEW("0\0"),
        /* numbers */
        VIEW("-"),
        VIEW("+1"),
        VIEW("01"),
        VIEW("-01"),
        VIEW("00"),
        VIEW("1."),
        VIEW(".5"),
        VIEW("-.5"),
        VIEW("1.e5"),
        VIEW("1e"),
        VIEW("1e+"),
        VIEW("1e5.5"),
        VIEW("0x10"),
        VIEW("1_000"),
        VIEW("1,000"),
        VIEW("1 2"),
        VIEW("- 1"),
        VIEW("--1"),
        VIEW("NaN"),
        VIEW("Infinity"),
        VIEW("-Infinity"),
        VIEW("1f"),
        VIEW("１"),
        VIEW("[01]"),
        VIEW("[1.]"),
        VIEW("[-]"),
        VIEW("[1e]"),
        /* words */
        VIEW("t"),
        VIEW("tru"),
        VIEW("truE"),
        VIEW("True"),
        VIEW("truee"),
        VIEW("nul"),
        VIEW("nulll"),
        VIEW("undefined"),
        VIEW("[nul]"),
        VIEW("[truefalse]"),
        VIEW("[true false]"),
        /* strings */
        VIEW("\""),
        VIEW("\"a"),
        VIEW("'a'"),
        VIEW("\"a\"b"),
        VIEW("\"\\\""),
        VIEW("\"\\x41\""),
        VIEW("\"\\a\""),
        VIEW("\"\\'\""),
        VIEW("\"\\0\""),
        VIEW("\"\\u\""),
        VIEW("\"\\u00\""),
        VIEW("\"\\u004\""),
        VIEW("\"\\u004g\""),
        VIEW("\"\\U0041\""),
        VIEW("\"\\u 041\""),
        VIEW("\"\n\""),
        VIEW("\"\t\""),
        VIEW("\"\x1f\""),
        VIEW("\"\0\""),
        VIEW("\"\\\n\""),
        VIEW("\"\xff\""),
        VIEW("\"\xc0\x80\""),
        VIEW("\"\xed\xa0\x80\""),
        VIEW("\"\xe2\x82\""),
        VIEW("\"\xf4\x90\x80\x80\""),
        VIEW("\"\\u00e\xc3\xa9\""),
        /* arrays */
        VIEW("["),
        VIEW("]"),
        VIEW("[1"),
        VIEW("[1,"),
        VIEW("[1,]"),
        VIEW("[,1]"),
        VIEW("[,]"),
        VIEW("[1,,2]"),
        VIEW("[1 2]"),
        VIEW("[1:2]"),
        VIEW("[\"a\":1]"),
        VIEW("[1]]"),
        VIEW("[1}"),
        VIEW("[1],"),
        VIEW("[1][2]"),
        VIEW("[1;2]"),
        VIEW("[1,\xa0"
             "2]"),
        VIEW("[1]\f"),
        VIEW("[\v1]"),
        /* objects */
        VIEW("{"),
        VIEW("}"),
        VIEW("{\"a\""),
        VIEW("{\"a\":"),
        VIEW("{\"a\":1"),
        VIEW("{\"a\":1,"),
        VIEW("{\"a\":1,}"),
        VIEW("{,}"),
        VIEW("{,\"a\":1}"),
        VIEW("{\"a\"}"),
        VIEW("{\"a\":}"),
        VIEW("{\"a\",1}"),
        VIEW("{\"a\" 1}"),
        VIEW("{\"a\":1 \"b\":2}"),
        VIEW("{\"a\":1;\"b\":2}"),
        VIEW("{a:1}"),
        VIEW("{1:1}"),
        VIEW("{null:1}"),
        VIEW("{[]:1}"),
        VIEW("{{}:1}"),
        VIEW("{\"a\"::1}"),
        VIEW("{\"a\":1:2}"),
        VIEW("{\"a\":1]"),
        VIEW("{\"a\":1}}"),
        VIEW("{\"a\":1}x"),
        VIEW("{\"a\":1}{}"),
        VIEW("{\"a\":\"b\":1}"),
        VIEW("{\"a\" \"b\"}"),
        VIEW("{1}"),
        VIEW("{\"a\":1 2}"),
        VIEW("{:1}"),
        /* comments */
        VIEW("/**/1"),
        VIEW("1//"),
        VIEW("[1/**/]"),
        VIEW("#1"),
        VIEW("[1,#\n2]"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (parses(bad[i]))
            fail_msg("%.*s", VIEW_ARG(bad[i]));
}

static const char sample[] = " {\"a\" : [1, -2.5e3, \"x\\\"\\u0041\"],\n\"b\": {\"c\": null, \"d\":"
                             " true}, \"e\": {}, \"f\": [], \"g\": \"\" } ";

static void no_part_of_a_document_is_a_document(void **state)
{
    size_t end = strlen(sample) - 1; /* all but the blank behind it */

    (void)state;
    assert_true(parses(view_str(sample)));
    assert_true(parses(view_from(sample, end)));
    for (size_t n = 0; n < end; n++)
        assert_false(parses(view_from(sample, n)));
    for (size_t n = 2; n < end; n++)
        assert_false(parses(view_from(sample + n, end - n)));
}

/* kind, text, count, next */
static void check_token(const struct json_doc *doc, uint32_t i, enum json_kind kind,
                        const char *text, uint32_t count, uint32_t next)
{
    struct view span = json_span(doc, i);

    if (doc->tokens[i].kind != kind || !view_eq(span, view_str(text)) ||
        doc->tokens[i].count != count || doc->tokens[i].next != next)
        fail_msg("token %u: kind %u, \"%.*s\", count %u, next %u", i, doc->tokens[i].kind,
                 VIEW_ARG(span), doc->tokens[i].count, doc->tokens[i].next);
}

static void gives_the_spans_of_all_values(void **state)
{
    struct json_doc doc;

    (void)state;
    assert_true(json_parse(view_str(sample), tokens, TOKENS, &doc, NULL));
    assert_int_equal(doc.count, 18);
    check_token(&doc, 1, JSON_STRING, "a", 0, 2);
    check_token(&doc, 2, JSON_ARRAY, "[1, -2.5e3, \"x\\\"\\u0041\"]", 3, 6);
    check_token(&doc, 3, JSON_NUMBER, "1", 0, 4);
    check_token(&doc, 4, JSON_NUMBER, "-2.5e3", 0, 5);
    check_token(&doc, 5, JSON_STRING, "x\\\"\\u0041", 0, 6);
    check_token(&doc, 6, JSON_STRING, "b", 0, 7);
    check_token(&doc, 7, JSON_OBJECT, "{\"c\": null, \"d\": true}", 2, 12);
    check_token(&doc, 8, JSON_STRING, "c", 0, 9);
    check_token(&doc, 9, JSON_NULL, "null", 0, 10);
    check_token(&doc, 11, JSON_BOOL, "true", 0, 12);
    check_token(&doc, 13, JSON_OBJECT, "{}", 0, 14);
    check_token(&doc, 15, JSON_ARRAY, "[]", 0, 16);
    check_token(&doc, 17, JSON_STRING, "", 0, 18);
    assert_int_equal(doc.tokens[0].kind, JSON_OBJECT);
    assert_int_equal(doc.tokens[0].count, 5);
    assert_int_equal(doc.tokens[0].next, 18);
}

static void reads_a_value_that_stands_alone(void **state)
{
    static const struct {
        const char *text, *span;
        enum json_kind kind;
    } rows[] = {{"17", "17", JSON_NUMBER},       {" -1.5 ", "-1.5", JSON_NUMBER},
                {"\nnull", "null", JSON_NULL},   {"true\r\n", "true", JSON_BOOL},
                {"\" a \"", " a ", JSON_STRING}, {" [] ", "[]", JSON_ARRAY},
                {"\t{}\t", "{}", JSON_OBJECT}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(view_str(rows[i].text));
        struct json_doc doc;

        assert_true(json_parse(v, tokens, 1, &doc, NULL));
        assert_int_equal(doc.count, 1);
        check_token(&doc, 0, rows[i].kind, rows[i].span, 0, 1);
        block_free(v);
    }
}

static void says_what_was_expected_and_where(void **state)
{
    static const struct {
        const char *text, *error;
        enum err_code code;
    } rows[] = {
        {"", "JSON: at byte 0 a value was expected", ERR_SYNTAX},
        {"[1,]", "JSON: at byte 3 a value was expected", ERR_SYNTAX},
        {"[1", "JSON: at byte 2 ',' or the closing bracket was expected", ERR_SYNTAX},
        {"{1", "JSON: at byte 1 a key in quotes was expected", ERR_SYNTAX},
        {"{\"a\"1", "JSON: at byte 4 ':' was expected", ERR_SYNTAX},
        {"-x", "JSON: at byte 1 a digit was expected", ERR_SYNTAX},
        {"\"a\n\"", "JSON: at byte 2 the end of a string was expected", ERR_SYNTAX},
        {"\"\\x", "JSON: at byte 2 an escape was expected", ERR_SYNTAX},
        {"\"\\u00\"", "JSON: at byte 2 four hex digits was expected", ERR_SYNTAX},
        {"1 1", "JSON: at byte 2 the end of the text was expected", ERR_SYNTAX},
        {"\"\xff\"", "JSON: not UTF-8", ERR_SYNTAX},
        {"{\"a\":1,\"a\":2}", "JSON: the key \"a\" stands twice in one object", ERR_SYNTAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_doc doc;
        struct err err = {0};

        assert_false(json_parse(view_str(rows[i].text), tokens, TOKENS, &doc, &err));
        assert_string_equal(err.text, rows[i].error);
        assert_int_equal(err.code, rows[i].code);
    }
}

static void refuses_a_key_that_reads_the_same_as_another(void **state)
{
    static const char *const bad[] = {
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"b\":2,\"c\":3,\"b\":4}",
        "{\"exp\":1,\"\\u0065xp\":2}",
        "{\"\\u0065xp\":2,\"e\\u0078p\":1}",
        "{\"\":1,\"\":2}",
        "{\"a/\":1,\"a\\/\":2}",
        "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}",
        "{\"\\ud83d\\uDE00\":1,\"\\uD83D\\ude00\":2}",
        "{\"\\ud800\":1,\"\\uD800\":2}",
        "{\"\\u0000\":1,\"\\u0000\":2}",
        "[[{\"x\":{\"a\":1,\"a\":2}}]]",
        "{\"a\":{\"b\":[1,{\"c\":1}]},\"x\":[[]],\"\\u0061\":2}",
    };
    static const char *const good[] = {
        "{\"a\":1,\"\\\\u0061\":2}",
        "{\"\\ud83d\":1,\"\\ud83d\\ude00\":2}",
        "{\"\\ud83d\\u0041\":1,\"\\ud83dA \":2}",
        "{\"a\":1,\"a\\u0000\":2}",
        "{\"ab\":1,\"a\":2,\"\":3}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (parses(view_str(bad[i])))
            fail_msg("%s", bad[i]);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!parses(view_str(good[i])))
            fail_msg("%s", good[i]);
}

static void counts_levels_and_values_to_the_limit(void **state)
{
    struct err err = {0};
    struct json_doc doc;

    (void)state;
    for (unsigned depth = 1; depth <= JSON_DEPTH_MAX + 2; depth++) {
        for (int objects = 0; objects < 2; objects++) {
            char text[8 * (JSON_DEPTH_MAX + 2)] = "";
            size_t n = 0;

            for (unsigned i = 0; i < depth; i++)
                n += (size_t)snprintf(text + n, sizeof text - n,
                                      !objects ? "["
                                      : i      ? "\"\":{"
                                               : "{");
            for (unsigned i = 0; i < depth; i++)
                text[n++] = objects ? '}' : ']';
            assert_int_equal(parses(view_from(text, n)), depth <= JSON_DEPTH_MAX);
        }
    }
    assert_true(json_parse(VIEW("[1,2]"), tokens, 3, &doc, NULL));
    for (uint32_t max = 0; max < 3; max++) {
        assert_false(json_parse(VIEW("[1,2]"), tokens, max, &doc, &err));
        assert_int_equal(err.code, ERR_LIMIT);
    }
    assert_false(json_parse(VIEW("7"), tokens, 0, &doc, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

/* Strings are read in strides: every byte must be seen wherever it stands in one, and beside another. */
static void sees_every_byte_at_every_place(void **state)
{
    enum { LENGTH = 20 };
    struct json_doc doc;

    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        for (size_t at = 0; at < LENGTH; at++) {
            bool plain = c >= ' ' && c < 0x80 && c != '"' && c != '\\';
            char text[LENGTH + 3] = "\"", read[LENGTH + 1];

            memset(text + 1, 0x7F, LENGTH);
            text[1 + at] = (char)c;
            text[1 + LENGTH] = '"';
            if (parses(view_from(text, LENGTH + 2)) != plain)
                fail_msg("byte %02x at %zu", c, at);
            if (!plain)
                continue;
            assert_true(json_parse(view_from(text, LENGTH + 2), tokens, TOKENS, &doc, NULL));
            assert_true(json_string(&doc, 0, read, sizeof read));
            assert_memory_equal(read, text + 1, LENGTH);
            assert_false(json_string(&doc, 0, read, sizeof read - 1));
        }
    }
}

static void finds_members_by_how_their_keys_read(void **state)
{
    static const char text[] =
        "{\"a\":{\"x\":1},\"\\u0062\":2,\"c\\\"d\":[{\"x\":3}],\"x\":4,\"é\":5}";
    struct json_doc doc;
    int64_t n = 0;

    (void)state;
    assert_true(json_parse(view_str(text), tokens, TOKENS, &doc, NULL));
    assert_true(json_integer(&doc, json_member(&doc, 0, "b"), &n));
    assert_int_equal(n, 2);
    assert_true(json_integer(&doc, json_member(&doc, 0, "x"), &n));
    assert_int_equal(n, 4);
    assert_true(json_integer(&doc, json_member(&doc, 0, "é"), &n));
    assert_int_equal(n, 5);
    assert_true(json_integer(&doc, json_member(&doc, json_member(&doc, 0, "a"), "x"), &n));
    assert_int_equal(n, 1);
    assert_int_equal(doc.tokens[json_member(&doc, 0, "c\"d")].kind, JSON_ARRAY);
    assert_int_equal(json_member(&doc, 0, "\\u0062"), 0);
    assert_int_equal(json_member(&doc, 0, "c\\\"d"), 0);
    assert_int_equal(json_member(&doc, 0, ""), 0);
    assert_int_equal(json_member(&doc, 0, "xx"), 0);
    assert_int_equal(json_member(&doc, json_member(&doc, 0, "c\"d"), "x"), 0); /* no object */
    assert_int_equal(json_member(&doc, 0, "\xff\xff"), 0);
    assert_int_equal(json_member(&doc, 9999, "a"), 0);
}

static void steps_over_whole_values(void **state)
{
    struct json_doc doc;
    uint32_t at;
    char seen[64] = "";
    size_t n = 0;

    (void)state;
    assert_true(json_parse(VIEW("[[1,[2]],{\"a\":{}},3,[],\"s\"]"), tokens, TOKENS, &doc, NULL));
    at = json_first(0);
    for (uint32_t i = 0; i < doc.tokens[0].count; i++, at = doc.tokens[at].next)
        n += (size_t)snprintf(seen + n, sizeof seen - n, "%.*s;", VIEW_ARG(json_span(&doc, at)));
    assert_string_equal(seen, "[1,[2]];{\"a\":{}};3;[];s;");
    assert_int_equal(at, doc.count);
}

static void decodes_the_escapes_of_strings(void **state)
{
    static const struct {
        const char *json, *text; /* NULL: not for a C string */
    } rows[] = {
        {"\"\"", ""},
        {"\"plain é\"", "plain é"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\\u07ff\\u0800\\uffff\"", "Aé€\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
        {"\"\\ud83d\\ude00\\ud800\\udc00\\udbff\\udfff\"", "😀\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\"\\ud83d\"", NULL},
        {"\"\\ude00\"", NULL},
        {"\"\\ud83dx\"", NULL},
        {"\"\\ud83d\\n\"", NULL},
        {"\"\\ud83d\\ud83d\\ude00\"", NULL},
        {"\"\\ude00\\ud83d\"", NULL},
        {"\"a\\u0000b\"", NULL},
        {"1", NULL},
        {"null", NULL},
        {"[\"a\"]", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(view_str(rows[i].json));
        struct json_doc doc;
        size_t need = rows[i].text ? strlen(rows[i].text) + 1 : 100;

        assert_true(json_parse(v, tokens, TOKENS, &doc, NULL));
        for (size_t size = 0; size <= need; size++) {
            char *out = malloc(size ? size : 1);
            bool good = json_string(&doc, 0, out, size);

            if (good != (rows[i].text && size == need))
                fail_msg("%s into %zu bytes: %d", rows[i].json, size, good);
            if (good)
                assert_string_equal(out, rows[i].text);
            free(out);
        }
        block_free(v);
    }
}

static void reads_whole_numbers_and_truth(void **state)
{
    static const struct {
        const char *json;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };
    struct json_doc doc;
    bool truth;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t n = 4711;

        assert_true(json_parse(view_str(rows[i].json), tokens, TOKENS, &doc, NULL));
        assert_int_equal(json_integer(&doc, 0, &n), rows[i].good);
        assert_true(n == (rows[i].good ? rows[i].value : 4711));
        assert_false(json_integer(&doc, 1, &n));
    }
    assert_true(json_parse(VIEW("[true,false,0,\"true\"]"), tokens, TOKENS, &doc, NULL));
    assert_true(json_boolean(&doc, 1, &truth) && truth);
    assert_true(json_boolean(&doc, 2, &truth) && !truth);
    assert_false(json_boolean(&doc, 3, &truth));
    assert_false(json_boolean(&doc, 4, &truth));
    assert_false(json_boolean(&doc, 5, &truth));
}

static void writes_commas_and_nesting_itself(void **state)
{
    static const char expected[] =
        "{\"a\":[],\"b\":{},\"c\":[1,-2,true,false,null,\"x\",[[]],{\"d\":[0]}],"
        "\"e\":18446744073709551615,\"f\":-9223372036854775808,\"g\":1.5,\"h\":{\"i\":1,\"j\":2}}";
    struct json_writer w;
    struct buf out;

    (void)state;
    buf_init(&out, 4096, "json");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "a"), json_array(&w), json_array_end(&w);
    json_key(&w, "b"), json_object(&w), json_object_end(&w);
    json_key(&w, "c"), json_array(&w);
    json_u64(&w, 1), json_i64(&w, -2), json_bool(&w, true), json_bool(&w, false), json_null(&w);
    json_text(&w, VIEW("x"));
    json_array(&w), json_array(&w), json_array_end(&w), json_array_end(&w);
    json_object(&w), json_key(&w, "d"), json_array(&w), json_u64(&w, 0), json_array_end(&w);
    json_object_end(&w);
    json_array_end(&w);
    json_key(&w, "e"), json_u64(&w, UINT64_MAX);
    json_key(&w, "f"), json_i64(&w, INT64_MIN);
    json_key(&w, "g"), json_raw(&w, VIEW("1.5"));
    json_key(&w, "h"), json_object(&w), json_key(&w, "i"), json_u64(&w, 1);
    json_key(&w, "j"), json_u64(&w, 2), json_object_end(&w);
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    assert_int_equal(buf_len(&out), strlen(expected));
    assert_memory_equal(buf_view(&out).at, expected, strlen(expected));
    assert_true(parses(buf_view(&out)));
    buf_done(&out);
}

static void written_text_reads_back_with_bad_bytes_replaced(void **state)
{
    static const struct {
        struct view in;
        const char *json;
    } rows[] = {
        {VIEW(""), "\"\""},
        {VIEW("é€😀/'"), "\"é€😀/'\""},
        {VIEW("plain\"as\\it\x7fis€~!\xff#"), "\"plain\\\"as\\\\it\\u007fis€~!\uFFFD#\""},
        {VIEW("\"\\"), "\"\\\"\\\\\""},
        {VIEW("\0\x01\n\x1f\x7f"), "\"\\u0000\\u0001\\n\\u001f\\u007f\""},
        {VIEW("\xff"
              "a\xe2\x82"),
         "\"\uFFFDa\uFFFD\uFFFD\""},
        {VIEW("\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(rows[i].in);
        struct json_writer w;
        struct buf out;

        buf_init(&out, 4096, "json");
        json_begin(&w, &out);
        json_text(&w, v);
        assert_true(json_end(&w, NULL));
        assert_true(view_eq(buf_view(&out), view_str(rows[i].json)));
        assert_true(parses(buf_view(&out)));
        buf_done(&out);
        block_free(v);
    }
}

static void writes_as_deep_as_it_reads(void **state)
{
    struct json_writer w;
    struct buf out;

    (void)state;
    buf_init(&out, 4096, "json");
    json_begin(&w, &out);
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        if (i % 2)
            json_key(&w, "k"), json_array(&w);
        else
            json_object(&w);
        if (i % 2)
            json_u64(&w, 1);
    }
    json_u64(&w, 2);
    for (int i = JSON_DEPTH_MAX - 1; i >= 0; i--) {
        if (i % 2)
            json_array_end(&w);
        else
            json_object_end(&w);
    }
    assert_true(json_end(&w, NULL));
    assert_true(parses(buf_view(&out)));
    buf_done(&out);
}

static void renders_as(const char *text, enum json_layout layout, bool sorted, const char *want)
{
    struct json_tree tree;
    struct buf out;

    buf_init(&out, 4096, "json");
    assert_true(json_load_loose(view_str(text), 1000, &tree, NULL));
    assert_true(json_render(&tree.doc, 0, layout, sorted, &out, NULL));
    assert_true(buf_append_byte(&out, 0, NULL));
    assert_string_equal((const char *)buf_view(&out).at, want);
    json_unload(&tree);
    buf_done(&out);
}

static void renders_what_it_read(void **state)
{
    static const char text[] = " { \"b\" : [ 1.10 , -0, 18446744073709551616 , [ ] , { } ] , "
                               "\"a\\n\":\"\\u00e4/\" , \"A\" : null } ";

    (void)state;
    renders_as(text, JSON_COMPACT, false,
               "{\"b\":[1.10,-0,18446744073709551616,[],{}],\"a\\n\":\"\\u00e4/\",\"A\":null}");
    renders_as(text, JSON_PRETTY, true,
               "{\n  \"A\": null,\n  \"a\\n\": \"\\u00e4/\",\n  \"b\": [\n    1.10,\n    -0,\n"
               "    18446744073709551616,\n    [],\n    {}\n  ]\n}");
    renders_as("7", JSON_PRETTY, true, "7");
    renders_as("\"\\ud800\"", JSON_COMPACT, true, "\"\\ud800\"");
}

static void sorts_keys_as_they_read(void **state)
{
    (void)state;
    renders_as("{\"b\":1,\"\\u0061\":2,\"aa\":3,\"\":4,\"\u00e4\":5}", JSON_COMPACT, true,
               "{\"\":4,\"\\u0061\":2,\"aa\":3,\"b\":1,\"\u00e4\":5}");
    renders_as("{\"a\":1,\"b\":2,\"\\u0061\":3,\"a\":{\"x\":4}}", JSON_COMPACT, true,
               "{\"a\":{\"x\":4},\"b\":2}");
}

static void reads_loosely_what_strangers_write(void **state)
{
    char deep[2 * JSON_DEEP_MAX + 3];
    struct json_tree tree;
    int64_t number;

    (void)state;
    assert_true(json_load_loose(VIEW("{\"a\":1,\"b\":2,\"a\":3}"), 10, &tree, NULL));
    assert_true(json_integer(&tree.doc, json_member(&tree.doc, 0, "a"), &number));
    assert_int_equal(number, 3);
    assert_string_equal((const char *)json_source(&tree.doc, json_member(&tree.doc, 0, "a")).at,
                        "3}");
    json_unload(&tree);
    for (size_t depth = JSON_DEEP_MAX; depth <= JSON_DEEP_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        assert_int_equal(json_load_loose(view_from(deep, 2 * depth), 1000, &tree, NULL),
                         depth == JSON_DEEP_MAX);
        if (depth == JSON_DEEP_MAX)
            json_unload(&tree);
    }
}

static void the_first_failure_to_write_sticks(void **state)
{
    struct json_writer w;
    struct err err = {0};
    struct buf out;

    (void)state;
    buf_init(&out, 8, "answer");
    json_begin(&w, &out);
    json_array(&w);
    json_text(&w, VIEW("longer than that"));
    json_u64(&w, 1);
    json_array_end(&w);
    assert_false(json_end(&w, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "answer"));
    buf_done(&out);
}

/* More than one piece of it, and none. */
static void writes_bytes_in_hex(void **state)
{
    uint8_t bytes[600];
    struct json_writer w;
    struct buf out;
    char want[2 * sizeof bytes + 8] = "[\"";

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    hex_encode(view_from(bytes, sizeof bytes), want + 2);
    memcpy(want + 2 + 2 * sizeof bytes, "\",\"\"]", 6);
    buf_init(&out, 4096, "hex");
    json_begin(&w, &out);
    json_array(&w);
    json_hex(&w, view_from(bytes, sizeof bytes));
    json_hex(&w, view_from(NULL, 0));
    json_array_end(&w);
    assert_true(json_end(&w, NULL));
    assert_true(view_eq(buf_view(&out), view_str(want)));
    buf_done(&out);
}

static void takes_out_blanks_and_nothing_else(void **state)
{
    static const struct {
        struct view text, want;
    } cases[] = {
        {VIEW("{}"), VIEW("{}")},
        {VIEW(" { \"a b\" : [ 1.50 , -0 ,\t1e+05\r\n ] , \"a b\" : \" \\\" \\\\\" } "),
         VIEW("{\"a b\":[1.50,-0,1e+05],\"a b\":\" \\\" \\\\\"}")},
        {VIEW("\n true\n"), VIEW("true")},
        {VIEW("12345678901234567890123"), VIEW("12345678901234567890123")},
        {VIEW("\" x \""), VIEW("\" x \"")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t *text = malloc(cases[i].text.len);
        size_t len = cases[i].text.len;

        assert_non_null(text);
        memcpy(text, cases[i].text.at, len);
        assert_true(json_compact(text, &len, NULL));
        assert_true(view_eq(view_from(text, len), cases[i].want));
        assert_true(json_compact(text, &len, NULL));
        assert_true(view_eq(view_from(text, len), cases[i].want));
        free(text);
    }
}

static void leaves_what_is_no_json_as_it_was(void **state)
{
    char deep[2 * JSON_DEEP_MAX], broken[] = " [1, 2";
    size_t len = sizeof broken - 1;
    struct err err;

    (void)state;
    assert_false(json_compact((uint8_t *)broken, &len, &err));
    assert_int_equal(len, sizeof broken - 1);
    assert_string_equal(broken, " [1, 2");
    len = 0;
    assert_false(json_compact((uint8_t *)broken, &len, &err));
    for (size_t depth = JSON_WRAPPED_MAX; depth <= JSON_WRAPPED_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        len = 2 * depth;
        assert_int_equal(json_compact((uint8_t *)deep, &len, &err), depth == JSON_WRAPPED_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_standard_accepts),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(no_part_of_a_document_is_a_document),
        cmocka_unit_test(gives_the_spans_of_all_values),
        cmocka_unit_test(reads_a_value_that_stands_alone),
        cmocka_unit_test(says_what_was_expected_and_where),
        cmocka_unit_test(refuses_a_key_that_reads_the_same_as_another),
        cmocka_unit_test(counts_levels_and_values_to_the_limit),
        cmocka_unit_test(sees_every_byte_at_every_place),
        cmocka_unit_test(finds_members_by_how_their_keys_read),
        cmocka_unit_test(steps_over_whole_values),
        cmocka_unit_test(decodes_the_escapes_of_strings),
        cmocka_unit_test(reads_whole_numbers_and_truth),
        cmocka_unit_test(writes_commas_and_nesting_itself),
        cmocka_unit_test(written_text_reads_back_with_bad_bytes_replaced),
        cmocka_unit_test(writes_as_deep_as_it_reads),
        cmocka_unit_test(renders_what_it_read),
        cmocka_unit_test(sorts_keys_as_they_read),
        cmocka_unit_test(reads_loosely_what_strangers_write),
        cmocka_unit_test(the_first_failure_to_write_sticks),
        cmocka_unit_test(writes_bytes_in_hex),
        cmocka_unit_test(takes_out_blanks_and_nothing_else),
        cmocka_unit_test(leaves_what_is_no_json_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
