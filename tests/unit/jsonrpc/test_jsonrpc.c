#include "jsonrpc/jsonrpc.h"

#include "../base/unit.h"

enum { BAD = -1 };

static const struct {
    const char *text;
    int strict, lenient; /* kinds, or BAD */
    const char *id;      /* NULL: none */
} messages[] = {
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", JSONRPC_REQUEST, JSONRPC_REQUEST, "1"},
    {"{\"id\":\"a\\\"b\",\"method\":\"m\",\"params\":{},\"jsonrpc\":\"2.0\"}", JSONRPC_REQUEST,
     JSONRPC_REQUEST, "\"a\\\"b\""},
    {"{\"jsonrpc\":\"2.0\",\"id\":1.50,\"method\":\"m\",\"params\":[1]}", JSONRPC_REQUEST,
     JSONRPC_REQUEST, "1.50"},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", JSONRPC_NOTIFICATION,
     JSONRPC_NOTIFICATION, NULL},
    {"{\"method\":\"m\"}", BAD, JSONRPC_NOTIFICATION, NULL},
    {"{\"jsonrpc\":null,\"method\":\"m\"}", BAD, JSONRPC_NOTIFICATION, NULL},
    {"{\"jsonrpc\":\"1.0\",\"method\":\"m\"}", BAD, BAD, NULL},
    {"{\"jsonrpc\":2.0,\"method\":\"m\"}", BAD, BAD, NULL},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", BAD, JSONRPC_REQUEST, "null"},
    {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", BAD, BAD, NULL},
    {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", BAD, BAD, NULL},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":7}", BAD, BAD, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"m\",\"params\":7}", BAD, BAD, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"m\",\"params\":null}", BAD, JSONRPC_REQUEST, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}", JSONRPC_RESULT, JSONRPC_RESULT, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":null}", JSONRPC_RESULT, JSONRPC_RESULT, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":1,\"error\":null}", BAD, JSONRPC_RESULT, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":null,\"error\":{\"code\":-5,\"message\":\"m\"}}",
     BAD, JSONRPC_ERROR, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3}", BAD, BAD, "3"},
    {"{\"jsonrpc\":\"2.0\",\"result\":1}", BAD, BAD, NULL},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}", BAD, BAD, "null"},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-5,\"message\":\"m\"}}", JSONRPC_ERROR,
     JSONRPC_ERROR, "null"},
    {"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-5,\"message\":\"m\"}}", BAD, JSONRPC_ERROR, NULL},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":\"text\"}", BAD, JSONRPC_ERROR, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":\"E\",\"message\":\"m\"}}", BAD,
     JSONRPC_ERROR, "3"},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":1,\"message\":{}}}", BAD, JSONRPC_ERROR,
     "3"},
    {"[]", BAD, BAD, NULL},
    {"7", BAD, BAD, NULL},
    {"{}", BAD, BAD, NULL},
};

static void tells_messages_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        struct json_tree tree;
        struct jsonrpc m;

        assert_true(json_load_loose(view_str(messages[i].text), 64, &tree, NULL));
        for (int lenient = 0; lenient < 2; lenient++) {
            int kind = lenient ? messages[i].lenient : messages[i].strict;
            struct err err = {0};
            bool good = jsonrpc_read(&tree.doc, 0, lenient, &m, &err);

            if (good != (kind != BAD) || (good && (int)m.kind != kind) ||
                !view_eq(m.id, view_str(messages[i].id)))
                fail_msg("%s (%s): %s", messages[i].text, lenient ? "leniently" : "strictly",
                         good ? "another kind" : err.text);
        }
        json_unload(&tree);
    }
}

static void gives_parts_as_spans(void **state)
{
    struct json_tree tree;
    struct jsonrpc m;
    uint32_t at;
    struct view batch =
        VIEW("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\/b\",\"params\":{\"x\": 1.0}},"
             " {\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32601,\"message\":\"n\\u00f6\"}},"
             " {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":[1, 2]}]");

    (void)state;
    assert_true(json_load(batch, 64, &tree, NULL));
    at = json_first(0);
    assert_true(jsonrpc_read(&tree.doc, at, false, &m, NULL));
    assert_string_equal(m.method, "a/b");
    assert_true(view_eq(json_source(&tree.doc, m.params), VIEW("{\"x\": 1.0}")));
    at = tree.doc.tokens[at].next;
    assert_true(jsonrpc_read(&tree.doc, at, false, &m, NULL));
    assert_int_equal(m.code, JSONRPC_METHOD_NOT_FOUND);
    assert_true(view_eq(json_source(&tree.doc, m.message), VIEW("\"n\\u00f6\"")));
    assert_true(m.error && !m.result);
    at = tree.doc.tokens[at].next;
    assert_true(jsonrpc_read(&tree.doc, at, false, &m, NULL));
    assert_true(view_eq(json_source(&tree.doc, m.result), VIEW("[1, 2]")));
    json_unload(&tree);
}

static void an_error_without_a_code_has_minus_one(void **state)
{
    static const char *const errors[] = {
        "{\"id\":1,\"error\":{\"message\":\"m\"}}",
        "{\"id\":1,\"error\":{\"code\":1.5,\"message\":\"m\"}}",
        "{\"id\":1,\"error\":\"text\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        struct json_tree tree;
        struct jsonrpc m;

        assert_true(json_load(view_str(errors[i]), 64, &tree, NULL));
        assert_true(jsonrpc_read(&tree.doc, 0, true, &m, NULL));
        assert_int_equal(m.code, -1);
        assert_int_equal(m.message != 0, i < 2);
        json_unload(&tree);
    }
}

static void long_methods_are_invalid(void **state)
{
    char text[256];

    (void)state;
    for (int len = 127; len < 129; len++) {
        struct json_tree tree;
        struct jsonrpc m;

        snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%0*d\"}", len, 7);
        assert_true(json_load(view_str(text), 64, &tree, NULL));
        assert_int_equal(jsonrpc_read(&tree.doc, 0, true, &m, NULL), len == 127);
        json_unload(&tree);
    }
}

static void knows_its_own_ids(void **state)
{
    (void)state;
    assert_true(jsonrpc_id_is(VIEW("7"), 7));
    assert_true(jsonrpc_id_is(VIEW("18446744073709551615"), UINT64_MAX));
    assert_false(jsonrpc_id_is(VIEW("\"7\""), 7));
    assert_false(jsonrpc_id_is(VIEW("77"), 7));
    assert_false(jsonrpc_id_is(VIEW(""), 0));
    assert_false(jsonrpc_id_is(VIEW("null"), 0));
}

static void writes_whole_messages(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024, "messages");
    assert_true(jsonrpc_write_request(&out, 1, "tools/list", VIEW(""), NULL));
    assert_true(buf_append_byte(&out, '\n', NULL));
    assert_true(jsonrpc_write_request(&out, 2, "m", VIEW("{\"a\":1}"), NULL));
    assert_true(buf_append_byte(&out, '\n', NULL));
    assert_true(jsonrpc_write_notification(&out, "n", VIEW("{}"), NULL));
    assert_true(buf_append_byte(&out, '\n', NULL));
    assert_true(jsonrpc_write_result(&out, VIEW("\"x\""), VIEW("null"), NULL));
    assert_true(buf_append_byte(&out, '\n', NULL));
    assert_true(jsonrpc_write_error(&out, VIEW(""), -32700, VIEW("a \"b\""), VIEW(""), NULL));
    assert_true(buf_append_byte(&out, '\n', NULL));
    assert_true(jsonrpc_write_error(&out, VIEW("4"), -1, VIEW("m"), VIEW("[0]"), NULL));
    assert_true(
        view_eq(buf_view(&out),
                VIEW("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"m\",\"params\":{\"a\":1}}\n"
                     "{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":{}}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":null}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"a "
                     "\\\"b\\\"\"}}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":4,\"error\":{\"code\":-1,\"message\":\"m\","
                     "\"data\":[0]}}")));
    buf_done(&out);
    buf_init(&out, 16, "messages");
    assert_false(jsonrpc_write_request(&out, 1, "tools/list", VIEW(""), NULL));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_messages_apart),
        cmocka_unit_test(gives_parts_as_spans),
        cmocka_unit_test(an_error_without_a_code_has_minus_one),
        cmocka_unit_test(long_methods_are_invalid),
        cmocka_unit_test(knows_its_own_ids),
        cmocka_unit_test(writes_whole_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
