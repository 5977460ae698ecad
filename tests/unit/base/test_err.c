/* Errors: the cause, where it was, and what becomes of texts that are too long. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

static const enum err_code codes[] = {
#define X(name, text, exit_status, http_status) ERR_##name,
    ERR_LIST(X)
#undef X
};

static void every_code_has_a_name_of_its_own_and_plausible_statuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        const char *name = err_name(codes[i]);
        int http = err_http_status(codes[i]), status = err_exit_status(codes[i]);

        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name, err_name(codes[k]));
        assert_true(codes[i] == ERR_NONE ? http == 200 : http >= 400 && http <= 599);
        assert_true(codes[i] == ERR_NONE ? status == 0 : status > 0 && status < 128);
    }
    assert_int_equal(err_exit_status(ERR_USAGE), 2);
    assert_int_equal(err_exit_status(ERR_CONFIG), 2);
    assert_string_equal(err_name(ERR_TIMEOUT), "timed_out");
}

static void records_the_cause_and_returns_false(void **state)
{
    struct err err = {0};

    (void)state;
    assert_false(err_set(&err, ERR_SYNTAX, "line %d: %s", 3, "no colon"));
    assert_int_equal(err.code, ERR_SYNTAX);
    assert_string_equal(err.text, "line 3: no colon");
    assert_false(err_in(&err, "file %s", "a.conf"));
    assert_int_equal(err.code, ERR_SYNTAX);
    assert_string_equal(err.text, "file a.conf: line 3: no colon");
    assert_false(err_system(&err, ERR_IO, ENOENT, "opening %s", "x"));
    assert_int_equal(err.code, ERR_IO);
    assert_string_equal(err.text, "opening x: No such file or directory");
}

static void does_without_a_place_for_the_error(void **state)
{
    (void)state;
    assert_false(err_set(NULL, ERR_IO, "x"));
    assert_false(err_in(NULL, "x"));
    assert_false(err_system(NULL, ERR_IO, EIO, "x"));
}

/* Characters of one to four bytes at every offset to the end of the room. */
static void cuts_what_is_too_long_between_characters_and_says_so(void **state)
{
    static const char *const characters[] = {"a", "é", "€", "😀"};
    enum { MOST = ERR_TEXT_BYTES - 1 };

    (void)state;
    for (size_t c = 0; c < COUNT_OF(characters); c++) {
        for (size_t lead = 0; lead < 4; lead++) {
            char text[2 * ERR_TEXT_BYTES] = "";
            struct err err;
            size_t n, kept;

            memset(text, '-', lead);
            for (n = lead; n < ERR_TEXT_BYTES + 8; n += strlen(characters[c]))
                memcpy(text + n, characters[c], strlen(characters[c]) + 1);
            for (int way = 0; way < 3; way++) {
                err = (struct err){.code = ERR_IO, .text = "cause"};
                if (way == 0)
                    (void)err_set(&err, ERR_IO, "%s", text);
                else if (way == 1)
                    (void)err_in(&err, "%s", text);
                else
                    (void)err_system(&err, ERR_IO, EIO, "%s", text);
                n = strlen(err.text);
                assert_true(n <= MOST);
                assert_true(utf8_valid(view_str(err.text)));
                assert_true(view_ends(view_str(err.text), VIEW("…")));
                kept = n - strlen("…");
                assert_memory_equal(err.text, text, kept);
                assert_true(MOST - n < 4); /* and no more than it must */
            }
        }
    }
}

static void keeps_what_just_fits(void **state)
{
    char text[ERR_TEXT_BYTES + 1];
    struct err err;

    (void)state;
    memset(text, 'x', sizeof text);
    text[ERR_TEXT_BYTES - 1] = '\0';
    (void)err_set(&err, ERR_IO, "%s", text);
    assert_string_equal(err.text, text);
    text[ERR_TEXT_BYTES - 1] = 'x';
    text[ERR_TEXT_BYTES] = '\0';
    (void)err_set(&err, ERR_IO, "%s", text);
    assert_int_equal(strlen(err.text), ERR_TEXT_BYTES - 1);
    assert_true(view_ends(view_str(err.text), VIEW("x…")));
    text[ERR_TEXT_BYTES - 4] = '\0';
    (void)err_set(&err, ERR_IO, "%s", text + 1);
    (void)err_in(&err, "w");
    assert_int_equal(strlen(err.text), ERR_TEXT_BYTES - 1 - 1);
    assert_false(view_ends(view_str(err.text), VIEW("…")));
}

static void cuts_the_cause_when_where_leaves_no_room(void **state)
{
    char where[ERR_TEXT_BYTES];
    struct err err;

    (void)state;
    memset(where, 'w', sizeof where);
    where[300] = '\0';
    (void)err_set(&err, ERR_IO, "the cause is a sentence of some length");
    (void)err_in(&err, "%s", where);
    assert_memory_equal(err.text, where, 300);
    assert_memory_equal(err.text + 300, ": the", 5);
    assert_true(view_ends(view_str(err.text), VIEW("…")));
}

static void bytes_that_are_not_utf8_do_not_take_the_text_along(void **state)
{
    char text[2 * ERR_TEXT_BYTES];
    struct err err;

    (void)state;
    memset(text, '\x80', sizeof text);
    text[sizeof text - 1] = '\0';
    (void)err_set(&err, ERR_IO, "%s", text);
    assert_true(strlen(err.text) > ERR_TEXT_BYTES - 10);
}

static void a_failed_check_says_where_and_aborts(void **state)
{
    int out[2], status;
    char said[256];
    ssize_t n;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(out), 0);
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        (void)dup2(out[1], STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        check_failed("some.c", 7, "a < b");
    }
    (void)close(out[1]);
    n = read(out[0], said, sizeof said - 1);
    (void)close(out[0]);
    assert_true(n > 0);
    said[n] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_string_equal(said, "some.c:7: check failed: a < b\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_of_its_own_and_plausible_statuses),
        cmocka_unit_test(records_the_cause_and_returns_false),
        cmocka_unit_test(does_without_a_place_for_the_error),
        cmocka_unit_test(cuts_what_is_too_long_between_characters_and_says_so),
        cmocka_unit_test(keeps_what_just_fits),
        cmocka_unit_test(cuts_the_cause_when_where_leaves_no_room),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_take_the_text_along),
        cmocka_unit_test(a_failed_check_says_where_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
