/* The table of settings itself: every default is a value that its own row accepts. */
#include "request.h"

#include <stdlib.h>

#include "bridge/config.h"

static struct settings *load(struct config *c, const char *const *environment)
{
    char name[] = "atlas-proxy", *argv[] = {name, NULL};
    enum settings_action action;
    struct settings *s = NULL;
    struct err err;

    if (!settings_load(&config_program, 1, argv, (char **)(uintptr_t)environment, c, stderr, &s,
                       &action, &err))
        fail_msg("%s", err.text);
    return s;
}

static void rows_are_whole_and_named_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_program.count; i++) {
        const struct setting *row = &config_program.rows[i];

        assert_true(row->offset < sizeof(struct config));
        assert_true(row->help && *row->help && row->group && *row->group);
        assert_int_not_equal(row->help[strlen(row->help) - 1], '.');
        assert_true((row->kind == SETTING_CHOICE) == (row->choices != NULL));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(row->name, config_program.rows[k].name);
            assert_int_not_equal(row->offset, config_program.rows[k].offset);
        }
    }
}

static void defaults_are_those_of_the_documents(void **state)
{
    struct config c;
    struct settings *s = load(&c, (const char *const[]){NULL});

    (void)state;
    assert_string_equal(c.listen, "127.0.0.1:9000");
    assert_string_equal(c.target, "127.0.0.1:8443");
    assert_null(c.allowlist);
    assert_int_equal(c.splice, SPLICE_AUTO);
    assert_int_equal(c.profile, PROFILE_DEV);
    settings_free(s);
}

static void the_environment_of_the_first_bridge_is_read(void **state)
{
    struct config c;
    struct settings *s =
        load(&c, (const char *const[]){"ATLS_PROXY_LISTEN=0.0.0.0:9000", "ATLS_PROXY_TARGET=a:1",
                                       "ATLS_PROXY_ALLOWLIST=a:1,b:2", NULL});
    struct policy_source source = config_policy_source(&c, true);

    (void)state;
    assert_string_equal(c.listen, "0.0.0.0:9000");
    assert_string_equal(c.target, "a:1");
    assert_string_equal(c.allowlist, "a:1,b:2");
    (void)source;
    assert_int_equal(settings_source(s, "target"), SOURCE_ENVIRONMENT);
    settings_free(s);
}

static void count_sentence(void *context, const char *sentence)
{
    assert_true(*sentence);
    ++*(unsigned *)context;
}

static void a_review_says_what_production_refuses(void **state)
{
    struct config open, guarded;
    unsigned said = 0, said_guarded = 0, total;
    struct settings *s = load(&open, (const char *const[]){"ATLS_PROXY_LISTEN=0.0.0.0:9000",
                                                           "ATLS_PROXY_ALLOWLIST=a:1", NULL});
    struct settings *t =
        load(&guarded,
             (const char *const[]){"ATLS_PROXY_LISTEN=0.0.0.0:9000", "ATLS_PROXY_ALLOWLIST=a:1",
                                   "ATLS_PROXY_ORIGINS=https://app.example", NULL});

    (void)state;
    total = config_review(&open, count_sentence, &said);
    assert_int_equal(total, said);
    total = config_review(&guarded, count_sentence, &said_guarded);
    assert_int_equal(total, said_guarded);
    assert_true(said > said_guarded);
    settings_free(s);
    settings_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole_and_named_once),
        cmocka_unit_test(defaults_are_those_of_the_documents),
        cmocka_unit_test(the_environment_of_the_first_bridge_is_read),
        cmocka_unit_test(a_review_says_what_production_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
