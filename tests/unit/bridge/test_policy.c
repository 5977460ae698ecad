#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/policy.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define DEFAULT  .target = "127.0.0.1:8443"
#define HASH     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char said[4096]; /* the warnings, one a line */

static void say(void *context, const char *sentence)
{
    size_t n = strlen(said);

    assert_ptr_equal(context, said);
    (void)snprintf(said + n, sizeof said - n, "%s\n", sentence);
}

static bool load(const struct policy_source *s, struct policy **p, struct err *err)
{
    said[0] = '\0';
    *err = (struct err){0};
    return policy_load(s, say, said, p, err);
}

/* A file that is gone with the process. */
static const char *file(const char *text)
{
    static char paths[8][32];
    static unsigned next;
    char *path = paths[next++ % 8];
    FILE *out = tmpfile();
    int fd;

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0 && fflush(out) == 0);
    fd = dup(fileno(out));
    assert_true(fd >= 0);
    (void)fclose(out);
    (void)snprintf(path, 32, "/proc/self/fd/%d", fd);
    return path;
}

static void keeps_to_the_rules_of_the_default_target(void **state)
{
    static const struct {
        struct policy_source source;
        const char *target; /* NULL: none */
        const char *warning, *error;
    } rows[] = {
        {{.allowlist = "127.0.0.1:8443", DEFAULT}, "127.0.0.1:8443", "", NULL},
        {{.allowlist = "a.test:1,127.0.0.1:08443", DEFAULT}, "127.0.0.1:8443", "", NULL},
        {{.allowlist = "a.test:1", DEFAULT}, NULL, "no default target: 127.0.0.1:8443", NULL},
        {{.allowlist = "a.test:1", DEFAULT, .strict_default = true},
         NULL,
         "",
         "Default target 127.0.0.1:8443 is not in allowlist"},
        {{.allowlist = "a.test:1", .target = "b.test:1", .target_explicit = true},
         NULL,
         "",
         "Default target b.test:1 is not in allowlist"},
        {{.allowlist = "a.test:1", .target = "", .target_explicit = true},
         NULL,
         "",
         "is not in allowlist"},
        {{.allowlist = "a.test:1", .target = "A.Test.:1", .target_explicit = true},
         "a.test:1",
         "",
         NULL},
        {{.allowlist = "*.b.test:1",
          .allow_patterns = true,
          .target = "a.b.test:1",
          .target_explicit = true},
         "a.b.test:1",
         "",
         NULL},
        {{.allowlist = "a.test:1"}, NULL, "", NULL},
        {{.allow_empty = true, DEFAULT}, NULL, "no default target", NULL},
        {{.allow_empty = true, .target = "a.test:1", .target_explicit = true},
         NULL,
         "no default target",
         NULL},
        {{.allow_empty = true, DEFAULT, .strict_default = true}, NULL, "", "is not in allowlist"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy *p = NULL;
        struct err err;
        bool good = load(&rows[i].source, &p, &err);

        if (good != !rows[i].error)
            fail_msg("row %zu: %s", i, err.text);
        if (!good) {
            assert_non_null(strstr(err.text, rows[i].error));
            assert_int_equal(err.code, ERR_CONFIG);
            continue;
        }
        assert_int_equal(p->has_default, rows[i].target != NULL);
        if (rows[i].target) {
            assert_string_equal(p->default_target.text, rows[i].target);
            assert_non_null(p->default_entry);
        }
        if (!strstr(said, rows[i].warning) || (!rows[i].warning[0] && said[0]))
            fail_msg("row %zu said: %s", i, said);
        policy_unref(p);
    }
}

/* The lists of the documentation, without a word about a default target. */
static void the_documented_examples_load(void **state)
{
    static const char *const lists[] = {
        "vllm.example.com:443,tee2.example.com:8443",
        "localhost:8443,vllm.concrete-security.com:443",
        "tee1.example.com:443,tee2.example.com:443",
        "tee1.example.com:443,tee1.example.com:8443,tee2.example.com:443",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct policy_source s = {.allowlist = lists[i], DEFAULT};
        struct policy *p = NULL;
        struct err err;

        if (!load(&s, &p, &err))
            fail_msg("%s: %s", lists[i], err.text);
        assert_false(p->has_default);
        policy_unref(p);
    }
}

static void an_empty_allowlist_is_an_error_that_names_the_variable(void **state)
{
    static const char *const lists[] = {NULL, "", ",", " , ,\t", "\xc2\xa0,"};

    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct policy_source s = {.allowlist = lists[i], DEFAULT};
        struct policy *p = NULL;
        struct err err;

        assert_false(load(&s, &p, &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(err_exit_status(err.code), 2);
        assert_non_null(strstr(err.text, "ATLS_PROXY_ALLOWLIST"));
        assert_non_null(strstr(err.text, "tee.example.com:443"));
        s.allow_empty = true;
        assert_true(load(&s, &p, &err));
        assert_int_equal(allowlist_count(p->allow), 0);
        policy_unref(p);
    }
}

static void joins_the_variable_and_the_file(void **state)
{
    struct policy_source s = {.allowlist = "a.test:1,b.test:2"};
    struct policy *p = NULL;
    struct err err;

    (void)state;
    s.allowlist_file = file("# more\nb.test:2\nc.test:3, d.test:4 # two\n");
    if (!load(&s, &p, &err))
        fail_msg("%s", err.text);
    assert_int_equal(allowlist_count(p->allow), 4);
    policy_unref(p);
    s.allowlist = NULL;
    s.allowlist_file = file("a.test:1");
    assert_true(load(&s, &p, &err));
    assert_int_equal(allowlist_count(p->allow), 1);
    policy_unref(p);
    s.allowlist_file = file("a.test:1\nnonsense\n");
    assert_false(load(&s, &p, &err));
    assert_non_null(strstr(err.text, ":2: allowlist entry 2 \"nonsense\" has no port"));
    s.lax_allowlist = true;
    s.allowlist_file = file("a.test:1\nnonsense\n");
    assert_true(load(&s, &p, &err));
    assert_non_null(strstr(said, "\"nonsense\" has no port"));
    policy_unref(p);
}

static void files_that_cannot_be_used_are_named(void **state)
{
    static const struct {
        struct policy_source source;
        const char *says;
    } rows[] = {
        {{.allowlist_file = "/nonexistent/list"}, "/nonexistent/list: cannot be opened"},
        {{.allowlist_file = "/"}, "/: cannot be read"},
        {{.allowlist = "a:1", .auth_token_file = "/nonexistent/tokens"}, "/nonexistent/tokens"},
        {{.allowlist = "a:1", .auth_jwt_jwks = "/nonexistent/keys"}, "/nonexistent/keys"},
        {{.allowlist = "a:1", .auth_token_file = "/dev/null"}, "/dev/null: holds no token"},
        {{.allowlist = "a:1", .auth_jwt_jwks = "/dev/null"}, "/dev/null: "},
        {{.allowlist_file = "/dev/zero"}, "/dev/zero: "},
        {{.allowlist = "a:1", .auth_token_file = "/dev/zero"}, "/dev/zero: "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy *p = NULL;
        struct err err;

        if (load(&rows[i].source, &p, &err))
            fail_msg("row %zu was accepted", i);
        assert_int_equal(err.code, ERR_CONFIG);
        if (!strstr(err.text, rows[i].says))
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void settings_that_make_no_sense_are_named(void **state)
{
    static const struct {
        struct policy_source source;
        const char *says;
    } rows[] = {
        {{.allowlist = "a:1", .origins = "app.example.com"}, "\"app.example.com\""},
        {{.allowlist = "a:1", .origins = ""}, "--origins"},
        {{.allowlist = "a:1", .hosts = "a b"}, "--hosts"},
        {{.allowlist = "a:1", .subprotocols = "bin ary"}, "--subprotocols"},
        {{.allowlist = "a:1", .subprotocols = "bearer.x"}, "--subprotocols"},
        {{.allowlist = "a:1", .subprotocols = " ,"}, "--subprotocols: names none"},
        {{.allowlist = "a:1", .allow_from = "10.0.0.0/33"}, "--allow-from: \"10.0.0.0/33\""},
        {{.allowlist = "a:1", .allow_from = ","}, "--allow-from: names no network"},
        {{.allowlist = "a:1", .trusted_proxies = "fishes"}, "--trusted-proxies: \"fishes\""},
        {{.allowlist = "a:1", .limit_exempt = "10.0.0.1/8"}, "--limit-exempt: \"10.0.0.1/8\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy *p = NULL;
        struct err err;

        if (load(&rows[i].source, &p, &err))
            fail_msg("row %zu was accepted", i);
        assert_int_equal(err.code, ERR_CONFIG);
        if (!strstr(err.text, rows[i].says))
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void everything_set_ends_up_in_the_policy(void **state)
{
    struct policy_source s = {
        .allowlist = "a.test:1",
        .origins = "https://a.test",
        .hosts = "a.test",
        .subprotocols = "binary, v2 ,",
        .auth_query = true,
        .trusted_proxies = "10.0.0.0/8, ::1",
        .allow_from = "0.0.0.0/0",
        .limit_exempt = "127.0.0.1,127.0.0.2,",
        .reject = REJECT_CLOSE,
        .deny_addr = DENY_PRIVATE,
        .proxy_protocol = PROXY_HEADER_REQUIRE,
        .send_proxy = SEND_PROXY_V2,
    };
    struct policy *p = NULL;
    struct err err;

    (void)state;
    s.auth_token_file = file(HASH);
    if (!load(&s, &p, &err))
        fail_msg("%s", err.text);
    assert_non_null(p->origins);
    assert_non_null(p->hosts);
    assert_non_null(p->credentials);
    assert_string_equal(p->subprotocols[0], "binary");
    assert_string_equal(p->subprotocols[1], "v2");
    assert_null(p->subprotocols[2]);
    assert_int_equal(p->trusted_proxy_count, 2);
    assert_int_equal(p->allow_from_count, 1);
    assert_int_equal(p->limit_exempt_count, 2);
    assert_int_equal(p->reject, REJECT_CLOSE);
    assert_int_equal(p->deny_addr, DENY_PRIVATE);
    assert_int_equal(p->proxy_protocol, PROXY_HEADER_REQUIRE);
    assert_int_equal(p->send_proxy, SEND_PROXY_V2);
    assert_true(p->auth_query);
    assert_string_equal(said, "");
    policy_unref(p);
}

static void nothing_set_means_anybody(void **state)
{
    struct policy_source s = {.allowlist = "a.test:1", .allow_from = "0"};
    struct policy *p = NULL;
    struct err err;

    (void)state;
    assert_true(load(&s, &p, &err));
    assert_null(p->origins);
    assert_null(p->hosts);
    assert_null(p->credentials);
    assert_null(p->subprotocols);
    assert_int_equal(p->allow_from_count, 0);
    policy_unref(p);
}

static void warns_of_settings_without_effect_and_of_open_doors(void **state)
{
    static const char keys[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                               "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    struct policy_source s = {.allowlist = "a.test:1",
                              .auth_query = true,
                              .auth_jwt_issuer = "x",
                              .proxy_protocol = PROXY_HEADER_OPTIONAL};
    struct policy *p = NULL;
    struct err err;

    (void)state;
    assert_true(load(&s, &p, &err));
    assert_non_null(strstr(said, "--auth-query has no effect"));
    assert_non_null(strstr(said, "--auth-jwt-issuer have no effect"));
    assert_non_null(strstr(said, "--proxy-protocol without --trusted-proxies"));
    policy_unref(p);
    s.auth_jwt_jwks = file(keys);
    if (!load(&s, &p, &err))
        fail_msg("%s", err.text);
    assert_null(strstr(said, "no effect"));
    assert_non_null(strstr(said, "without --auth-jwt-audience"));
    policy_unref(p);
    assert_true(
        policy_load(&(struct policy_source){.allowlist = "a:1", DEFAULT}, NULL, NULL, &p, NULL));
    policy_unref(p);
}

static void each_load_is_a_later_generation(void **state)
{
    struct policy_source s = {.allowlist = "a.test:1"};
    struct policy *first = NULL, *second = NULL;
    struct err err;

    (void)state;
    assert_true(load(&s, &first, &err) && load(&s, &second, &err));
    assert_true(second->generation > first->generation && first->generation > 0);
    assert_ptr_equal(policy_ref(first), first);
    policy_unref(first);
    assert_int_equal(allowlist_count(first->allow), 1); /* one reference is left */
    policy_unref(first);
    policy_unref(second);
    policy_unref(NULL);
}

/* --- the address policy ---------------------------------------------------------------------- */

static bool judge(const char *allowlist, enum policy_deny deny, bool literal, const char *address)
{
    struct policy_source s = {
        .allowlist = allowlist, .allow_patterns = true, .cidr_names = true, .deny_addr = deny};
    struct policy *p = NULL;
    struct addr a;
    struct err err;
    bool good;

    if (!load(&s, &p, &err))
        fail_msg("%s", err.text);
    assert_true(addr_parse_ip(view_str(address), false, &a));
    good = policy_judge(p, allowlist_at(p->allow, 0), literal, &a);
    policy_unref(p);
    return good;
}

static void names_may_not_point_inward(void **state)
{
    static const struct {
        const char *address;
        bool special_for_names, private;
    } rows[] = {
        {"8.8.8.8", true, true},
        {"2606:4700::1111", true, true},
        {"10.0.0.1", true, false},
        {"172.16.0.1", true, false},
        {"192.168.1.1", true, false},
        {"100.64.0.1", true, false},
        {"fd12::1", true, false},
        {"::ffff:10.0.0.1", true, false},
        {"64:ff9b::10.0.0.1", true, false},
        {"127.0.0.1", false, false},
        {"127.255.0.1", false, false},
        {"::1", false, false},
        {"::ffff:127.0.0.1", false, false},
        {"64:ff9b::7f00:1", false, false},
        {"2002:7f00:1::", false, false},
        {"169.254.1.1", false, false},
        {"169.254.169.254", false, false},
        {"::ffff:169.254.169.254", false, false},
        {"64:ff9b::a9fe:a9fe", false, false},
        {"2002:a9fe:a9fe::1", false, false},
        {"fd00:ec2::254", false, false},
        {"fe80::1", false, false},
        {"0.0.0.0", false, false},
        {"0.1.2.3", false, false},
        {"::", false, false},
        {"224.0.0.1", false, false},
        {"ff02::1", false, false},
        {"240.0.0.1", false, false},
        {"255.255.255.255", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *a = rows[i].address;

        if (judge("a.test:1", DENY_SPECIAL_FOR_NAMES, false, a) != rows[i].special_for_names ||
            judge("*.a.test:1", DENY_SPECIAL_FOR_NAMES, false, a) != rows[i].special_for_names)
            fail_msg("special-for-names: %s", a);
        if (judge("a.test:1", DENY_PRIVATE, false, a) != rows[i].private)
            fail_msg("private: %s", a);
        assert_true(judge("a.test:1", DENY_OFF, false, a));
        assert_true(judge("a.test:1", DENY_PRIVATE, true, a));
    }
}

static void a_name_admitted_by_a_range_must_resolve_into_it(void **state)
{
    (void)state;
    assert_true(judge("10.0.0.0/8:1", DENY_SPECIAL_FOR_NAMES, false, "10.1.2.3"));
    assert_true(judge("10.0.0.0/8:1", DENY_SPECIAL_FOR_NAMES, false, "::ffff:10.1.2.3"));
    assert_false(judge("10.0.0.0/8:1", DENY_SPECIAL_FOR_NAMES, false, "11.1.2.3"));
    assert_false(judge("10.0.0.0/8:1", DENY_OFF, false, "8.8.8.8"));
    assert_false(judge("10.0.0.0/8:1", DENY_PRIVATE, false, "10.1.2.3"));
    assert_false(judge("127.0.0.0/8:1", DENY_SPECIAL_FOR_NAMES, false, "127.0.0.1"));
    assert_true(judge("127.0.0.0/8:1", DENY_SPECIAL_FOR_NAMES, true, "127.0.0.1"));
    assert_true(judge("[fd00::]/8:1", DENY_SPECIAL_FOR_NAMES, false, "fd12::1"));
    assert_false(judge("[fd00::]/8:1", DENY_SPECIAL_FOR_NAMES, false, "fd00:ec2::254"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_to_the_rules_of_the_default_target),
        cmocka_unit_test(the_documented_examples_load),
        cmocka_unit_test(an_empty_allowlist_is_an_error_that_names_the_variable),
        cmocka_unit_test(joins_the_variable_and_the_file),
        cmocka_unit_test(files_that_cannot_be_used_are_named),
        cmocka_unit_test(settings_that_make_no_sense_are_named),
        cmocka_unit_test(everything_set_ends_up_in_the_policy),
        cmocka_unit_test(nothing_set_means_anybody),
        cmocka_unit_test(warns_of_settings_without_effect_and_of_open_doors),
        cmocka_unit_test(each_load_is_a_later_generation),
        cmocka_unit_test(names_may_not_point_inward),
        cmocka_unit_test(a_name_admitted_by_a_range_must_resolve_into_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
