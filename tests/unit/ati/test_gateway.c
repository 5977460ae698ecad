/* What of the gateway is pure: flags, who asks, content types, names of routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ati/gateway/gateway_priv.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- flags ------------------------------------------------------------------------------------- */

static void flags_become_a_configuration(void **state)
{
    char *environment[] = {(char[]){"X=1"}, (char[]){"ATI_AUDIT_FILE=/a/b"},
                           (char[]){"ATI_MAX_CALL_MEMORY=2MiB"}, (char[]){"ATI_MAX_CHILDREN=5"},
                           NULL};
    struct gateway_config c;
    struct err err;

    (void)state;
    assert_true(gateway_config_init(&c, environment, NULL));
    assert_int_equal(c.port, 8090);
    assert_null(c.bind);
    assert_string_equal(c.audit_file, "/a/b");
    assert_int_equal(c.signature_mode, SIGNATURE_LOG);
    assert_int_equal(c.drain_ms, 30000);
    assert_int_equal(c.call_memory_max, 2 << 20);
    assert_int_equal(c.children_max, 5);
    assert_true(gateway_config_set(&c, "max-call-memory", "1GiB", &err));
    assert_true(gateway_config_set(&c, "max-children", "6", &err));
    assert_int_equal(c.call_memory_max, 1 << 30);
    assert_int_equal(c.children_max, 6);
    assert_true(gateway_config_set(&c, "port", "0", &err));
    assert_true(gateway_config_set(&c, "bind", "[::1]", &err));
    assert_true(gateway_config_set(&c, "sig-verify-mode", "enforce", &err));
    assert_true(gateway_config_set(&c, "sig-drift-seconds", "5", &err));
    assert_true(gateway_config_set(&c, "env-keys", NULL, &err));
    assert_true(gateway_config_set(&c, "allow-open", NULL, &err));
    assert_true(gateway_config_set(&c, "workers", "3", &err));
    assert_true(gateway_config_set(&c, "drain-seconds", "7", &err));
    assert_true(gateway_config_set(&c, "audit-rotate", "1MiB", &err));
    assert_true(gateway_config_set(&c, "metrics-listen", "127.0.0.1:1", &err));
    assert_int_equal(c.port, 0);
    assert_string_equal(c.bind, "[::1]");
    assert_int_equal(c.signature_mode, SIGNATURE_ENFORCE);
    assert_int_equal(c.signature_drift_s, 5);
    assert_true(c.env_keys && c.allow_open && !c.migrate && !c.enable_passthrough);
    assert_int_equal(c.workers, 3);
    assert_int_equal(c.drain_ms, 7000);
    assert_int_equal(c.audit_rotate_bytes, 1 << 20);
    assert_string_equal(c.metrics_listen, "127.0.0.1:1");
}

static void flags_that_cannot_be_meant_are_told(void **state)
{
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"port", "65536"},
        {"port", "-1"},
        {"port", ""},
        {"port", "80 "},
        {"bind", "localhost"},
        {"bind", "127.0.0.1:80"},
        {"bind", ""},
        {"bind", "1.2.3"},
        {"sig-verify-mode", "LOG"},
        {"sig-verify-mode", ""},
        {"workers", "257"},
        {"drain-seconds", "1s"},
        {"audit-rotate", "1 x"},
        {"audit-keep", "no"},
        {"max-call-memory", "half"},
        {"max-children", "1000001"},
        {"no-such", "x"},
    };
    struct gateway_config c;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(gateway_config_init(&c, NULL, NULL));
        if (gateway_config_set(&c, cases[i].name, cases[i].value, &err))
            fail_msg("--%s %s is taken", cases[i].name, cases[i].value);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.text, cases[i].name));
    }
}

/* --- who asks ---------------------------------------------------------------------------------- */

static struct gateway gateway;
static struct worker worker = {.gateway = &gateway};
static char good_token[1024];

#define SECRET_HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int open_everything(void **state)
{
    struct token_config config = {.secret_hex = SECRET_HEX};
    struct token_request request = {.subject = VIEW("agent"),
                                    .scope = VIEW("tool:*"),
                                    .audience = VIEW("ati-proxy"),
                                    .now_s = 1000,
                                    .ttl_s = 60};
    uint8_t secret[32];
    struct buf out;
    struct err err;

    (void)state;
    for (unsigned i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)((i % 16) * 0x11);
    buf_init(&out, sizeof good_token, "token");
    gateway.snapshot = calloc(1, sizeof *gateway.snapshot);
    assert_non_null(gateway.snapshot);
    assert_true(caller_dev(&gateway.dev, &err));
    assert_true(token_authority_load(&config, &gateway.snapshot->authority, &err));
    assert_true(token_cache_new(16, &worker.tokens, &err));
    assert_true(token_issue(&request, VIEW(""), view_from(secret, sizeof secret), &out, &err));
    snprintf(good_token, sizeof good_token, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    return 0;
}

static int close_everything(void **state)
{
    (void)state;
    token_cache_free(worker.tokens);
    token_authority_unref(gateway.snapshot->authority);
    caller_unref(gateway.dev);
    free(gateway.snapshot);
    return 0;
}

/* One request with these Authorization fields (NULL: no further one). subject: of whom it is; NULL: nobody. */
static enum auth_verdict ask(bool dev, const char *path, const char *first, const char *second,
                             const char **subject)
{
    struct snapshot open = {.authority = NULL};
    struct http_head head = {.method = VIEW("GET")};
    struct caller *caller = NULL;
    struct err err = {0};
    enum auth_verdict verdict;

    if (first)
        head.fields[head.count++] = (struct http_field){VIEW("AUTHORIZATION"), view_str(first)};
    head.fields[head.count++] = (struct http_field){VIEW("Host"), VIEW("a")};
    if (second)
        head.fields[head.count++] = (struct http_field){VIEW("authorization"), view_str(second)};
    verdict = auth_decide(&worker, dev ? &open : gateway.snapshot, &head, view_str(path), 1010,
                          &caller, &err);
    assert_int_equal(err.text[0] != '\0', verdict == AUTH_REFUSED); /* says why */
    *subject = !caller ? NULL : strcmp(caller->subject, "dev") == 0 ? "dev" : "agent";
    assert_int_equal(caller != NULL, verdict == AUTH_CALLER);
    caller_unref(caller);
    return verdict;
}

static void says_who_asks(void **state)
{
    char bearer[1100], lower[1100], two_blanks[1100], bare[1100], basic[1100], junk[1100];
    struct {
        bool dev;
        const char *path, *first, *second;
        enum auth_verdict verdict;
        const char *subject;
    } const cases[] = {
        {false, "/health", NULL, NULL, AUTH_OPEN, NULL},
        {false, "/health", "Ati-Key x", NULL, AUTH_OPEN, NULL},
        {false, "/.well-known/jwks.json", "Bearer junk", NULL, AUTH_OPEN, NULL},
        {false, "/health/", NULL, NULL, AUTH_REFUSED, NULL},
        {false, "/Health", NULL, NULL, AUTH_REFUSED, NULL},
        {false, "/%68ealth", NULL, NULL, AUTH_REFUSED, NULL},
        {false, "//health", NULL, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", NULL, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", "", NULL, AUTH_REFUSED, NULL},
        {false, "/tools", "Bearer", NULL, AUTH_REFUSED, NULL},
        {false, "/tools", "Bearer ", NULL, AUTH_REFUSED, NULL},
        {false, "/tools", bearer, NULL, AUTH_CALLER, "agent"},
        {false, "/nowhere", bearer, NULL, AUTH_CALLER, "agent"},
        {false, "/tools", lower, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", two_blanks, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", bare, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", basic, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", junk, NULL, AUTH_REFUSED, NULL},
        {false, "/tools", bearer, bearer, AUTH_REFUSED, NULL},
        {false, "/tools", "Bearer junk", bearer, AUTH_REFUSED, NULL},
        {false, "/tools", "Ati-Key x", NULL, AUTH_NO_STORE, NULL},
        {false, "/tools", "ati-KEY x", NULL, AUTH_NO_STORE, NULL},
        {false, "/tools", "Ati-Key", NULL, AUTH_NO_STORE, NULL},
        {false, "/tools", bearer, "Ati-Key x", AUTH_NO_STORE, NULL},
        {false, "/tools", "Ati-Keys x", NULL, AUTH_REFUSED, NULL},
        {true, "/tools", NULL, NULL, AUTH_CALLER, "dev"},
        {true, "/tools", "Bearer junk", NULL, AUTH_CALLER, "dev"},
        {true, "/tools", "Ati-Key x", NULL, AUTH_NO_STORE, NULL},
        {true, "/health", "Ati-Key x", NULL, AUTH_OPEN, NULL},
    };

    (void)state;
    snprintf(bearer, sizeof bearer, "Bearer %s", good_token);
    snprintf(lower, sizeof lower, "bearer %s", good_token);
    snprintf(two_blanks, sizeof two_blanks, "Bearer  %s", good_token);
    snprintf(bare, sizeof bare, "%s", good_token);
    snprintf(basic, sizeof basic, "Basic %s", good_token);
    snprintf(junk, sizeof junk, "Bearer %sx", good_token);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *subject;
        enum auth_verdict verdict =
            ask(cases[i].dev, cases[i].path, cases[i].first, cases[i].second, &subject);

        if (verdict != cases[i].verdict)
            fail_msg("case %zu: verdict %d", i, (int)verdict);
        if (cases[i].subject)
            assert_string_equal(subject, cases[i].subject);
        else
            assert_null(subject);
    }
}

/* --- what else is pure ------------------------------------------------------------------------- */

static void json_has_many_content_types(void **state)
{
    static const struct {
        const char *type;
        bool json;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json; charset=utf-8", true},
        {"application/json ;x", true},
        {"application/vnd.api+json", true},
        {"application/x+JSON;q", true},
        {"text/json", false},
        {"application/jsonx", false},
        {"application/+json", false},
        {"text/x+json", false},
        {"application/json, text/plain", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_head head = {.count = 1};

        head.fields[0] = (struct http_field){VIEW("content-type"), view_str(cases[i].type)};
        if (request_content_is_json(&head) != cases[i].json)
            fail_msg("%s", cases[i].type);
        head.count = 0;
        assert_false(request_content_is_json(&head));
    }
}

static void labels_are_bounded(void **state)
{
    (void)state;
    assert_string_equal(route_template(ROUTE_TOOL), "/tools/{name}");
    assert_string_equal(route_template(ROUTE_OTHER), "/__passthrough_or_unmatched");
    for (unsigned i = 0; i < ROUTE_COUNT; i++)
        assert_non_null(route_template((enum route_id)i));
    assert_string_equal(stats_method_name(stats_method(VIEW("POST"))), "POST");
    assert_string_equal(stats_method_name(stats_method(VIEW("BREW"))), "OTHER");
    assert_string_equal(stats_method_name(stats_method(VIEW("OTHER"))), "OTHER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_become_a_configuration),
        cmocka_unit_test(flags_that_cannot_be_meant_are_told),
        cmocka_unit_test_setup_teardown(says_who_asks, open_everything, close_everything),
        cmocka_unit_test(json_has_many_content_types),
        cmocka_unit_test(labels_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
