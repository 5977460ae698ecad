/* What answers of a proxy mean. */
#include "../base/unit.h"

#include "ati/cli/remote.h"

enum { MAX = 1024 * 1024 };

static void answers_are_results_or_errors(void **state)
{
    static const struct {
        int status;
        const char *body, *error; /* NULL: a result */
    } cases[] = {
        {200, "{\"result\":1}", NULL},
        {200, "{\"result\":null,\"error\":null}", NULL},
        {299, "[{\"error\":\"of an element\"}]", NULL},
        {200, "5", NULL},
        {200, "{\"error\":\"a\\nb\"}", "Proxy error (200): a\nb"},
        {200, "{\"error\":{\"b\": 1, \"a\": []}}", "Proxy error (200): {\"a\":[],\"b\":1}"},
        {200, "{\"error\":false}", "Proxy error (200): false"},
        {200, "{\"error\":\"\\u0000\"}", "Proxy error (200): \"\\u0000\""},
        {404, "{\"error\":\"Tool 'x' not found\"}",
         "Proxy error (404): {\"error\":\"Tool 'x' not found\"}"},
        {401, "", "Proxy error (401): "},
        {199, "5", "Proxy error (199): 5"},
        {302, "moved", "Proxy error (302): moved"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf error;
        bool good;

        buf_init(&error, MAX, "test");
        good = remote_judge(cases[i].status, view_str(cases[i].body), &error);
        assert_int_equal(good, !cases[i].error);
        assert_true(view_eq(buf_view(&error), view_str(cases[i].error)));
        buf_done(&error);
    }
}

static void what_is_no_json_is_no_answer(void **state)
{
    static const char *const bodies[] = {"", "<html>", "{", "{\"result\":1}x"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct buf error;

        buf_init(&error, MAX, "test");
        assert_false(remote_judge(200, view_str(bodies[i]), &error));
        assert_true(view_starts(buf_view(&error), VIEW("Proxy returned invalid response: ")));
        buf_done(&error);
    }
}

static void values_are_encoded_for_urls(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, MAX, "test");
    assert_true(remote_encode(VIEW("aZ09-._~ /?&=+%#é\n"), &out, NULL));
    assert_true(view_eq(buf_view(&out), VIEW("aZ09-._~%20%2F%3F%26%3D%2B%25%23%C3%A9%0A")));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_results_or_errors),
        cmocka_unit_test(what_is_no_json_is_no_answer),
        cmocka_unit_test(values_are_encoded_for_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
