/* Pages that may read answers. */
#include "tee/cors.h"

#include "heads.h"

static void suffixes_with_any_port_and_whole_origins(void **state)
{
    static const char list[] = "https://app.example:8443, *.example.org,http://plain.example";
    static const struct {
        const char *origin;
        bool allowed;
    } cases[] = {
        {"https://app.example:8443", true},
        {"HTTPS://app.example:8443", false},
        {"https://APP.example:8443", true},
        {"https://app.example", false},
        {"http://app.example:8443", false},
        {"http://plain.example", true},
        {"https://a.example.org", true},
        {"http://a.example.org", true},
        {"https://a.b.example.org:3000", true},
        {"https://A.EXAMPLE.ORG", true},
        {"https://example.org", false},
        {"https://evilexample.org", false},
        {"https://a.example.org.evil", false},
        {"https://a.example.org:evil", false},
        {"https://a.example.org:70000", false},
        {"https://a.example.org:", false},
        {"https://evil/a.example.org", false},
        {"https://evil?.example.org", false},
        {"https://user@a.example.org", false},
        {"ftp://a.example.org", false},
        {"a.example.org", false},
        {"null", false},
        {"", false},
        {"https://", false},
        {"https://.example.org", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (cors_allows(list, view_str(cases[i].origin)) != cases[i].allowed)
            fail_msg("%s", cases[i].origin);
}

static void mistakes_in_the_list_are_told(void **state)
{
    static const char *const bad[] = {
        "app.example",    "*", "*.", "https://", "https://a/b", "null", "https://a.example,",
        "ftp://a.example"};
    struct err err;

    (void)state;
    assert_true(cors_check(NULL, &err));
    assert_true(cors_check("https://app.example:8443, *.example.org", &err));
    for (size_t i = 0; i < COUNT(bad); i++)
        if (cors_check(bad[i], &err) || !strstr(err.text, "--cors-origins"))
            fail_msg("%s", bad[i]);
}

static void fields_name_the_page_and_always_vary(void **state)
{
    char fields[CORS_FIELDS_BYTES];
    struct message m;

    (void)state;
    cors_fields("*.example.org", request_of(&m, "GET /", "Origin: https://a.example.org:1\r\n"),
                fields);
    assert_string_equal(fields, "Vary: Origin\r\nAccess-Control-Allow-Origin: "
                                "https://a.example.org:1\r\nAccess-Control-Expose-Headers: "
                                "Content-Length,Content-Range\r\n");
    cors_fields("*.example.org", request_of(&m, "GET /", "Origin: https://evil\r\n"), fields);
    assert_string_equal(fields, "Vary: Origin\r\n");
    cors_fields("*.example.org", request_of(&m, "GET /", ""), fields);
    assert_string_equal(fields, "Vary: Origin\r\n");
    cors_fields(
        "*.example.org",
        request_of(&m, "GET /", "Origin: https://a.example.org\r\nOrigin: https://evil\r\n"),
        fields);
    assert_string_equal(fields, "Vary: Origin\r\n");
    cors_fields(NULL, request_of(&m, "GET /", "Origin: https://a.example.org\r\n"), fields);
    assert_string_equal(fields, "");
}

static void a_preflight_is_a_question_of_an_allowed_page(void **state)
{
    static const char ask[] =
        "Origin: https://a.example.org\r\nAccess-Control-Request-Method: POST\r\n";
    char fields[CORS_FIELDS_BYTES];
    struct message m;

    (void)state;
    cors_fields("*.example.org", request_of(&m, "OPTIONS /", ask), fields);
    assert_true(cors_preflight(&m.head, fields));
    assert_false(cors_preflight(request_of(&m, "GET /", ask), fields));
    assert_false(
        cors_preflight(request_of(&m, "OPTIONS /", "Origin: https://a.example.org\r\n"), fields));
    cors_fields("*.other.org", request_of(&m, "OPTIONS /", ask), fields);
    assert_false(cors_preflight(&m.head, fields));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suffixes_with_any_port_and_whole_origins),
        cmocka_unit_test(mistakes_in_the_list_are_told),
        cmocka_unit_test(fields_name_the_page_and_always_vary),
        cmocka_unit_test(a_preflight_is_a_question_of_an_allowed_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
