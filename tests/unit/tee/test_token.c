/* Bearer tokens, as the auth service reads them. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "tee/token.h"

#include "heads.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static void of(const char *text, struct tee_token *out)
{
    struct err err;

    if (!tee_token_load(NULL, text, out, &err))
        fail_msg("%s", err.text);
}

static bool good(const struct tee_token *t, const char *authorization)
{
    return tee_token_good(t, view_str(authorization));
}

static void only_bearer_blanks_and_the_token(void **state)
{
    static const struct {
        const char *value;
        bool good;
    } cases[] = {
        {"Bearer " TOKEN, true},
        {"Bearer    " TOKEN, true},
        {"Bearer\t" TOKEN, true},
        {"Bearer \t " TOKEN, true},
        {"bearer " TOKEN, false}, /* the case counts */
        {"BEARER " TOKEN, false},
        {"Bearer" TOKEN, false},
        {" Bearer " TOKEN, false}, /* from the beginning */
        {"Bearer", false},
        {"Bearer ", false},
        {"Bearer  ", false},
        {"", false},
        {TOKEN, false},
        {"Basic " TOKEN, false},
        {"Bearer " TOKEN "0", false},
        {"Bearer 0123456789abcdef0123456789abcde", false},
        {"Bearer " TOKEN " x", false}, /* all that follows is the token */
        {"Bearer 0123456789ABCDEF0123456789abcdef", false},
    };
    struct tee_token t;

    (void)state;
    of(TOKEN, &t);
    for (size_t i = 0; i < COUNT(cases); i++)
        if (good(&t, cases[i].value) != cases[i].good)
            fail_msg("\"%s\"", cases[i].value);
}

static void short_tokens_are_refused_without_being_told(void **state)
{
    struct tee_token t;
    struct err err;

    (void)state;
    assert_false(tee_token_load(NULL, "0123456789abcdef0123456789abcde", &t, &err));
    assert_non_null(strstr(err.text, "at least 32 bytes; this one has 31"));
    assert_null(strstr(err.text, "0123456789"));
    assert_false(t.set);
    assert_false(good(&t, "Bearer 0123456789abcdef0123456789abcde"));
    assert_false(tee_token_load(NULL, TOKEN "\r\n" TOKEN, &t, &err));
    assert_null(strstr(err.text, "0123456789"));
}

static void without_a_token_nobody_bears_it(void **state)
{
    struct tee_token t;

    (void)state;
    of(NULL, &t);
    assert_false(t.set);
    of("", &t);
    assert_false(t.set);
    assert_false(good(&t, "Bearer "));
    assert_false(good(&t, ""));
}

static void the_hash_is_salted_each_time(void **state)
{
    struct tee_token one, two;

    (void)state;
    of(TOKEN, &one);
    of(TOKEN, &two);
    assert_memory_not_equal(one.salt, two.salt, sizeof one.salt);
    assert_memory_not_equal(one.sha256, two.sha256, sizeof one.sha256);
    assert_true(good(&one, "Bearer " TOKEN) && good(&two, "Bearer " TOKEN));
}

static void a_file_beats_the_variable_and_its_line_end_does_not_count(void **state)
{
    char path[] = "/tmp/test_token.XXXXXX";
    struct tee_token t;
    struct err err;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_true(file_write(path, VIEW("  " TOKEN "\n\n"), 0600, &err));
    assert_true(tee_token_load(path, "another-token-that-is-long-enough-too", &t, &err));
    assert_true(good(&t, "Bearer " TOKEN));
    assert_true(file_write(path, VIEW("short\n"), 0600, &err));
    assert_false(tee_token_load(path, TOKEN, &t, &err));
    assert_non_null(strstr(err.text, path));
    assert_false(t.set);
    unlink(path);
    assert_false(tee_token_load(path, TOKEN, &t, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_bearer_blanks_and_the_token),
        cmocka_unit_test(short_tokens_are_refused_without_being_told),
        cmocka_unit_test(without_a_token_nobody_bears_it),
        cmocka_unit_test(the_hash_is_salted_each_time),
        cmocka_unit_test(a_file_beats_the_variable_and_its_line_end_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
