/* Several programs in one: which is meant, and what is said when none is. */
#include "unit.h"

#include "base/command.h"
#include "support/capture.h"

/* What the command that ran was given. */
static struct {
    const char *which;
    int argc;
    char words[4][64]; /* argv */
    char **environment;
} ran;

static int note(const char *which, int argc, char **argv, char **environment, int status)
{
    ran.which = which;
    ran.argc = argc;
    ran.environment = environment;
    for (int i = 0; i < argc && i < 4; i++)
        (void)snprintf(ran.words[i], sizeof ran.words[i], "%s", argv[i]);
    return status;
}

static int run_verify(int argc, char **argv, char **environment)
{
    return note("verify", argc, argv, environment, 42);
}

static int run_inspect(int argc, char **argv, char **environment)
{
    return note("inspect", argc, argv, environment, 0);
}

static const struct command commands[] = {
    {"verify", "looks closely", run_verify},
    {"inspect", "looks", run_inspect},
};

static const struct command_program program = {
    .name = "prog",
    .summary = "several in one",
    .epilogue = "That is all.\n",
    .commands = commands,
    .count = COUNT_OF(commands),
};

static struct capture said;

/* words: NULL-terminated, without the program's name. */
static int start(const char *const *words)
{
    char *environment[] = {NULL};
    char text[4][64];
    char *argv[6] = {text[0]};
    int argc = 1, status;

    ran.which = NULL;
    (void)strcpy(text[0], "/usr/bin/prog");
    for (; words[argc - 1]; argc++) {
        (void)snprintf(text[argc], sizeof text[argc], "%s", words[argc - 1]);
        argv[argc] = text[argc];
    }
    capture_begin(&said);
    status = command_main(&program, argc, argv, environment);
    capture_end(&said);
    return status;
}

#define START(...) start((const char *const[]){__VA_ARGS__, NULL})

static void a_command_gets_what_is_behind_its_name(void **state)
{
    (void)state;
    assert_int_equal(START("verify", "--flag", "verify"), 42);
    assert_string_equal(ran.which, "verify");
    assert_int_equal(ran.argc, 3);
    assert_string_equal(ran.words[0], "prog verify"); /* so that its messages name it */
    assert_string_equal(ran.words[1], "--flag");
    assert_string_equal(ran.words[2], "verify");
    assert_non_null(ran.environment);
    assert_int_equal(START("inspect"), 0);
    assert_string_equal(ran.which, "inspect");
    assert_int_equal(ran.argc, 1);
    assert_string_equal(said.out, "");
    assert_string_equal(said.err, "");
}

static void help_is_asked_for_in_every_usual_way(void **state)
{
    static const char *const words[] = {"--help", "-h", "help"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        assert_int_equal(START(words[i]), 0);
        assert_null(ran.which);
        assert_non_null(strstr(said.out, "prog: several in one\n\nUsage: prog COMMAND"));
        assert_non_null(strstr(said.out, "  verify       looks closely\n"));
        assert_non_null(strstr(said.out, "  inspect      looks\n"));
        assert_non_null(strstr(said.out, "\nThat is all.\n"));
        assert_string_equal(said.err, "");
    }
    assert_int_equal(START("help", "inspect"), 0);
    assert_string_equal(ran.which, "inspect");
    assert_int_equal(ran.argc, 2);
    assert_string_equal(ran.words[0], "prog inspect");
    assert_string_equal(ran.words[1], "--help");
}

static void the_version_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        unsigned major, minor;

        assert_int_equal(START(i ? "-V" : "--version"), 0);
        assert_int_equal(sscanf(said.out, "prog %u.%u", &major, &minor),
                         2); /* NOLINT(cert-err34-c) */
        assert_string_equal(strchr(said.out, '\n'), "\n");
    }
}

static void without_a_word_help_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(start((const char *const[]){NULL}), 2);
    assert_non_null(strstr(said.err, "Usage: prog COMMAND"));
    assert_string_equal(said.out, "");
}

static void an_unknown_command_is_named_with_the_nearest(void **state)
{
    static const struct {
        const char *word, *said;
    } rows[] = {
        {"verfiy", "prog: unknown command \"verfiy\"; did you mean \"verify\"?; see --help\n"},
        {"inspec", "prog: unknown command \"inspec\"; did you mean \"inspect\"?; see --help\n"},
        {"paint", "prog: unknown command \"paint\"; see --help\n"},
        {"", "prog: unknown command \"\"; see --help\n"},
        {"--quiet", "prog: unknown command \"--quiet\"; see --help\n"},
        {"Verify", "prog: unknown command \"Verify\"; did you mean \"verify\"?; see --help\n"},
        {"a\x1b[1mb", "prog: unknown command \"a\\x1b[1mb\"; see --help\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(START(rows[i].word), 2);
        assert_string_equal(said.err, rows[i].said);
        assert_string_equal(said.out, "");
        assert_null(ran.which);
        assert_int_equal(START("help", rows[i].word), 2);
        assert_string_equal(said.err, rows[i].said);
    }
}

static void hex_options_are_of_one_length(void **state)
{
    uint8_t out[4] = {9, 9, 9, 9};
    struct err err;

    (void)state;
    assert_true(command_hex(NULL, "digest", out, sizeof out, &err));
    assert_int_equal(out[0], 9);
    assert_true(command_hex("00aBcDef", "digest", out, sizeof out, &err));
    assert_memory_equal(out, "\x00\xab\xcd\xef", 4);
    for (size_t i = 0; i < 4; i++) {
        static const char *const wrong[] = {"", "00abcd", "00abcdef01", "00abcdeg"};

        assert_false(command_hex(wrong[i], "digest", out, sizeof out, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_string_equal(err.text, "--digest: expected 8 hex digits");
    }
}

struct target {
    uint32_t count;
};

static const struct setting rows[] = {
    {.name = "count",
     .group = "All",
     .kind = SETTING_U32,
     .offset = offsetof(struct target, count),
     .fallback = "3",
     .help = "How many"},
};

static const struct settings_program one = {
    .name = "prog verify",
    .prefix = "PROG_VERIFY_",
    .summary = "Looks closely.",
    .usage = "prog verify",
    .rows = rows,
    .count = COUNT_OF(rows),
};

static void a_command_starts_or_says_why_not(void **state)
{
    static const struct {
        const char *flag;
        bool runs;
        int status;
        const char *out, *err;
    } cases[] = {
        {"--count=7", true, 0, "", ""},
        {"--help", false, 0, "Usage: prog verify", ""},
        {"--version", false, 0, "prog verify ", ""},
        {"--print-config", false, 0, "count = 3", ""},
        {"--check", false, 0, "count = 3", ""},
        {"--cuont=7", false, 2, "", "--count"},
        {"word", false, 2, "", "word"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char name[] = "prog verify", flag[32], *argv[] = {name, flag, NULL},
             *environment[] = {NULL};
        struct settings *s = NULL;
        struct target target;
        int status = -1;
        bool runs;

        (void)snprintf(flag, sizeof flag, "%s", cases[i].flag);
        capture_begin(&said);
        runs = command_start(&one, 2, argv, environment, &target, &s, &status);
        capture_end(&said);
        assert_int_equal(runs, cases[i].runs);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(s != NULL, runs);
        assert_non_null(strstr(said.out, cases[i].out));
        assert_non_null(strstr(said.err, cases[i].err));
        assert_true(*cases[i].out || !*said.out);
        assert_true(*cases[i].err || !*said.err);
        if (runs)
            assert_int_equal(target.count, 7);
        settings_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gets_what_is_behind_its_name),
        cmocka_unit_test(help_is_asked_for_in_every_usual_way),
        cmocka_unit_test(the_version_is_told),
        cmocka_unit_test(without_a_word_help_is_an_error),
        cmocka_unit_test(an_unknown_command_is_named_with_the_nearest),
        cmocka_unit_test(hex_options_are_of_one_length),
        cmocka_unit_test(a_command_starts_or_says_why_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
