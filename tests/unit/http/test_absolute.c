/* The URLs that a client asks for, and what a redirect makes of one. */
#include "../base/unit.h"

#include "http/http.h"

static void urls_that_are_some(void **state)
{
    static const struct {
        const char *url;
        bool https;
        const char *user_info, *host;
        uint16_t port;
        const char *authority, *path, *query;
    } cases[] = {
        {"http://a.test", false, NULL, "a.test", 80, "a.test", "", ""},
        {"HTTPS://A.test/", true, NULL, "A.test", 443, "A.test", "/", ""},
        {"http://a.test:8080/x?y?z", false, NULL, "a.test", 8080, "a.test:8080", "/x", "?y?z"},
        {"http://a.test?y/x", false, NULL, "a.test", 80, "a.test", "", "?y/x"},
        {"http://a.test/x#f?g", false, NULL, "a.test", 80, "a.test", "/x", ""},
        {"http://a.test#@b/", false, NULL, "a.test", 80, "a.test", "", ""},
        {"http://a.test/@b:1", false, NULL, "a.test", 80, "a.test", "/@b:1", ""},
        {"http://u:p@a_b-c.test:1/", false, "u:p", "a_b-c.test", 1, "a_b-c.test:1", "/", ""},
        {"http://@a.test/", false, "", "a.test", 80, "a.test", "/", ""},
        {"http://[::1]:65535/", false, NULL, "::1", 65535, "[::1]:65535", "/", ""},
        {"https://[2001:db8::1.2.3.4]", true, NULL, "2001:db8::1.2.3.4", 443, "[2001:db8::1.2.3.4]",
         "", ""},
        {"http://a.test/\\b\"<>", false, NULL, "a.test", 80, "a.test", "/\\b\"<>", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct view v = block(view_str(cases[i].url));
        struct err err = {0};
        struct http_url u;

        if (!http_url_split(v, &u, &err))
            fail_msg("%s: %s", cases[i].url, err.text);
        assert_int_equal(u.https, cases[i].https);
        assert_int_equal(u.user_info.at != NULL, cases[i].user_info != NULL);
        assert_true(view_eq(u.user_info, view_str(cases[i].user_info)));
        assert_true(view_eq(u.host, view_str(cases[i].host)));
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.brackets, cases[i].authority[0] == '[');
        assert_true(view_eq(u.authority, view_str(cases[i].authority)));
        assert_true(view_eq(u.path, view_str(cases[i].path)));
        assert_true(view_eq(u.query, view_str(cases[i].query)));
        assert_int_equal(u.target.len, u.path.len + u.query.len);
        block_free(v);
    }
}

static void urls_that_are_none(void **state)
{
    static const char *const cases[] = {
        "",
        "http",
        "http:",
        "http:/a",
        "http:a.test",
        "//a.test/",
        "/a",
        "ftp://a.test/",
        "ht tp://a.test/",
        "1http://a.test/",
        "http://",
        "http:///a",
        "http://:80/",
        "http://a.test:/",
        "http://a.test:0/",
        "http://a.test:65536/",
        "http://a.test:+1/",
        "http://a.test:80:80/",
        "http://::1/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[]/",
        "http://[v1.a]/",
        "http://[fe80::1%25eth0]/",
        "http://a@b@c/",
        "http://a.test\\@b.test/",
        "http://a%2etest/",
        "http://a,b/",
        "http://.test/",
        "http://a b/",
        "http://a/ b",
        "http://a/\n",
        "http://a/\xc3\xa9",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct view v = block(view_str(cases[i]));
        struct err err = {0};
        struct http_url u;

        if (http_url_split(v, &u, &err))
            fail_msg("%s", cases[i]);
        assert_int_equal(err.code, ERR_SYNTAX);
        block_free(v);
    }
}

static void a_host_has_its_limit(void **state)
{
    char url[HOST_BYTES_MAX + 16] = "http://";
    struct http_url u;

    (void)state;
    memset(url + 7, 'a', HOST_BYTES_MAX + 1);
    assert_false(http_url_split(view_str(url), &u, NULL));
    url[7 + HOST_BYTES_MAX] = '\0';
    assert_true(http_url_split(view_str(url), &u, NULL));
}

static void no_secret_is_in_an_error(void **state)
{
    static const char *const cases[] = {"http://u:hidden@a.test:0/?hidden", "ftp://hidden@a.test/",
                                        "hidden", "http://hid@hidden@a.test/",
                                        "http://hidden.test:x/"};
    struct http_url u;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(http_url_split(view_str(cases[i]), &u, &err));
        assert_null(strstr(err.text, "hidden"));
    }
}

static void urls_as_people_write_them(void **state)
{
    static const char *const cases[][2] = {
        {" http://a.test/b c \t", "http://a.test/b%20c"},
        {"http://a.test/\xc3\xa9?\xff", "http://a.test/%C3%A9?%FF"},
        {"http://a.test/%20#frag ment", "http://a.test/%20"},
        {"", ""},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 256, "URL");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_reset(&out);
        assert_true(http_url_clean(view_str(cases[i][0]), &out, NULL));
        assert_true(view_eq(buf_view(&out), view_str(cases[i][1])));
        assert_true(http_url_is_plain(buf_view(&out)));
    }
    assert_false(http_url_clean(VIEW("http://a.test/\r\nX: y"), &out, NULL));
    assert_false(http_url_clean(VIEW("http://a.test/\x7f"), &out, NULL));
    buf_done(&out);
}

/* RFC 3986, 5.4, all examples that say something about http. */
static void references_of_the_standard(void **state)
{
    static const char *const cases[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g"},
    };
    struct http_url base;
    struct buf out;

    (void)state;
    buf_init(&out, 256, "URL");
    assert_true(http_url_split(VIEW("http://u:p@a/b/c/d;p?q"), &base, NULL));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_reset(&out);
        assert_true(http_url_resolve(&base, view_str(cases[i][0]), &out, NULL));
        if (!view_eq(buf_view(&out), view_str(cases[i][1])))
            fail_msg("%s: %.*s", cases[i][0], VIEW_ARG(buf_view(&out)));
    }
    assert_true(http_url_split(VIEW("https://a:1?q"), &base, NULL));
    buf_reset(&out);
    assert_true(http_url_resolve(&base, VIEW("g"), &out, NULL));
    assert_true(view_eq(buf_view(&out), VIEW("https://a:1/g")));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_that_are_some),        cmocka_unit_test(urls_that_are_none),
        cmocka_unit_test(a_host_has_its_limit),      cmocka_unit_test(no_secret_is_in_an_error),
        cmocka_unit_test(urls_as_people_write_them), cmocka_unit_test(references_of_the_standard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
