#include "request.h"

#include "bridge/origin.h"

static bool has(const char *list, const char *origin, const char *host)
{
    struct origin_set *s = NULL;
    struct err err = {0};
    bool good;

    if (!origin_set_parse(view_str(list), "--origins", &s, &err))
        fail_msg("%s", err.text);
    good = origin_set_has(s, view_str(origin), view_str(host));
    origin_set_free(s);
    return good;
}

static void admits_exactly_the_listed_origins(void **state)
{
    static const struct {
        const char *list, *origin;
        bool good;
    } rows[] = {
        {"https://app.test", "https://app.test", true},
        {"https://app.test", "HTTPS://App.TEST", true},
        {"HTTPS://App.Test", "https://app.test", true},
        {"https://app.test", "https://app.test:443", true},
        {"https://app.test:443", "https://app.test", true},
        {"http://app.test", "http://app.test:80", true},
        {"https://app.test", "https://app.test:80", false},
        {"https://app.test", "http://app.test", false},
        {"https://app.test", "http://app.test:443", false},
        {"https://app.test:8443", "https://app.test:8443", true},
        {"https://app.test:8443", "https://app.test", false},
        {"https://app.test", "https://evil-app.test", false},
        {"https://app.test", "https://app.test.evil.test", false},
        {"https://app.test", "https://x.app.test", false},
        {"https://app.test", "https://app.tes", false},
        {"https://app.test", "https://app.test/", false},
        {"https://app.test", "https://app.test/x", false},
        {"https://app.test", "https://app.test?x", false},
        {"https://app.test", "https://app.test@evil.test", false},
        {"https://app.test", "https://app.test:pw@evil.test", false},
        {"https://app.test", "https://evil.test#https://app.test", false},
        {"https://app.test", "https://app.test evil", false},
        {"https://app.test", "https://app.test,https://app.test", false},
        {"https://app.test", "https:app.test", false},
        {"https://app.test", "https:/app.test", false},
        {"https://app.test", "//app.test", false},
        {"https://app.test", "app.test", false},
        {"https://app.test", "", false},
        {"https://app.test", "null", false},
        {"https://app.test", "file://", false},
        {"https://app.test", "https://", false},
        {"https://app.test", "https://app.test:", false},
        {"https://app.test", "https://app.test:0443", false},
        {"https://app.test", "https://app.test:65979", false},
        {"null", "null", true},
        {"null", "NULL", false},
        {"null", "https://app.test", false},
        {"https://a.test, https://b.test ,", "https://b.test", true},
        {"http://[::1]:3000", "http://[0:0::1]:3000", true},
        {"http://[::1]:3000", "http://[::2]:3000", false},
        {"http://127.0.0.1:3000", "http://127.0.0.1:3000", true},
        {"http://127.0.0.1:3000", "http://localhost:3000", false},
        {"chrome-extension://abcdefgh", "chrome-extension://abcdefgh", true},
        {"chrome-extension://abcdefgh", "chrome-extension://abcdefgi", false},
        {"chrome-extension://abcdefgh", "https://abcdefgh", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (has(rows[i].list, rows[i].origin, "bridge.test") != rows[i].good)
            fail_msg("%s in %s", rows[i].origin, rows[i].list);
}

static void same_host_compares_with_the_host_field(void **state)
{
    static const struct {
        const char *origin, *host;
        bool good;
    } rows[] = {
        {"http://bridge.test:9000", "bridge.test:9000", true},
        {"https://bridge.test", "bridge.test", true},
        {"https://bridge.test", "BRIDGE.test.", true},
        {"https://bridge.test", "bridge.test:443", true},
        {"http://bridge.test", "bridge.test:80", true},
        {"http://bridge.test", "bridge.test", true},
        {"https://bridge.test:443", "bridge.test", true},
        {"https://bridge.test", "bridge.test:80", false},
        {"https://bridge.test:8443", "bridge.test", false},
        {"https://bridge.test", "bridge.test:8443", false},
        {"http://[::1]:9000", "[::1]:9000", true},
        {"http://[::1]:9000", "[::1]:9001", false},
        {"https://bridge.test.evil.test", "bridge.test", false},
        {"https://evil.test", "bridge.test", false},
        {"https://bridge.test", "", false},
        {"https://bridge.test", "bridge.test:", false},
        {"https://bridge.test", "u@bridge.test", false},
        {"null", "null", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (has("same-host", rows[i].origin, rows[i].host) != rows[i].good)
            fail_msg("%s at %s", rows[i].origin, rows[i].host);
    assert_true(has("null,same-host,https://app.test", "https://app.test", "bridge.test"));
    assert_true(has("null,same-host,https://app.test", "null", "bridge.test"));
    assert_false(has("null,https://app.test", "https://bridge.test", "bridge.test"));
}

static void refuses_a_list_that_means_nothing(void **state)
{
    static const struct {
        const char *list, *says;
    } rows[] = {
        {"", "names no origin"},
        {" , ", "names no origin"},
        {"app.example.com", "\"app.example.com\" is not an origin"},
        {"https://app.test/", "without a path"},
        {"*", "\"*\" is not an origin"},
        {"https://*.app.test", "is not an origin"},
        {"https://a.test,b.test", "\"b.test\""},
        {"1https://a.test", "is not an origin"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct origin_set *s = NULL;
        struct err err = {0};

        if (origin_set_parse(view_str(rows[i].list), "--origins", &s, &err))
            fail_msg("\"%s\" was accepted", rows[i].list);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.text, "--origins"));
        if (!strstr(err.text, rows[i].says))
            fail_msg("\"%s\": %s", rows[i].list, err.text);
    }
}

static void hosts_are_names_with_or_without_a_port(void **state)
{
    static const struct {
        const char *list, *host;
        bool good;
    } rows[] = {
        {"bridge.test", "bridge.test", true},
        {"bridge.test", "BRIDGE.Test", true},
        {"bridge.test", "bridge.test.", true},
        {"bridge.test", "bridge.test:9000", true},
        {"bridge.test:9000", "bridge.test:9000", true},
        {"bridge.test:9000", "bridge.test:9001", false},
        {"bridge.test:9000", "bridge.test", false},
        {"bridge.test", "xbridge.test", false},
        {"bridge.test", "bridge.test.evil.test", false},
        {"bridge.test", "127.0.0.1", false},
        {"bridge.test", "", false},
        {"bridge.test", "bridge.test:x", false},
        {"bridge.test", "bridge.test:0", false},
        {"a.test,127.0.0.1,[::1]:9000", "127.0.0.1:1", true},
        {"a.test,127.0.0.1,[::1]:9000", "[::1]:9000", true},
        {"a.test,127.0.0.1,[::1]:9000", "[::1]", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct host_set *s = NULL;

        assert_true(host_set_parse(view_str(rows[i].list), "--hosts", &s, NULL));
        if (host_set_has(s, view_str(rows[i].host)) != rows[i].good)
            fail_msg("%s in %s", rows[i].host, rows[i].list);
        host_set_free(s);
    }
}

static void refuses_hosts_that_are_none(void **state)
{
    static const char *const rows[] = {"", ",", "a b", "http://a", "a:0", "a:x", "*.a.test", "::1"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct host_set *s = NULL;
        struct err err = {0};

        if (host_set_parse(view_str(rows[i]), "--hosts", &s, &err))
            fail_msg("\"%s\" was accepted", rows[i]);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.text, "--hosts"));
    }
}

static void so_many_origins_and_no_more(void **state)
{
    char list[ORIGINS_MAX * 2 + 64];
    struct origin_set *s = NULL;
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < ORIGINS_MAX - 1; i++)
        list[n++] = ',';
    (void)snprintf(list + n, sizeof list - n, "https://a.test");
    assert_true(origin_set_parse(view_str(list), "--origins", &s, NULL));
    origin_set_free(s);
    list[n++] = ',';
    (void)snprintf(list + n, sizeof list - n, "https://a.test");
    assert_false(origin_set_parse(view_str(list), "--origins", &s, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admits_exactly_the_listed_origins),
        cmocka_unit_test(same_host_compares_with_the_host_field),
        cmocka_unit_test(refuses_a_list_that_means_nothing),
        cmocka_unit_test(hosts_are_names_with_or_without_a_port),
        cmocka_unit_test(refuses_hosts_that_are_none),
        cmocka_unit_test(so_many_origins_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
