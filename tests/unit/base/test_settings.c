/* One table, four sources, one precedence; and every complaint at once. */
#include "unit.h"

#include <unistd.h>

#include "base/settings.h"

struct target {
    bool wet;
    uint32_t count;
    uint64_t big, size, wait_ms;
    const char *name, *list;
    int mode;
};

#define ROW(n, k, f, d, ...)                                                            \
    {                                                                                   \
        .name = (n), .group = "All", .kind = (k), .offset = offsetof(struct target, f), \
        .fallback = (d), .help = "What " n " does", ##__VA_ARGS__                       \
    }

static const struct setting rows[] = {
    ROW("wet", SETTING_BOOL, wet, "false"),
    ROW("count", SETTING_U32, count, "3", .least = 1, .most = 9),
    ROW("big", SETTING_U64, big, "0"),
    ROW("size", SETTING_SIZE, size, "64K"),
    ROW("wait-time", SETTING_DURATION, wait_ms, "1500ms"),
    ROW("name", SETTING_TEXT, name, NULL),
    ROW("list", SETTING_LIST, list, NULL),
    ROW("mode", SETTING_CHOICE, mode, "auto", .choices = "auto|on|off"),
};

static const struct settings_program program = {
    .name = "prog",
    .prefix = "PROG_",
    .summary = "Does things.",
    .usage = "prog [OPTIONS]",
    .rows = rows,
    .count = COUNT_OF(rows),
};

/* One start of the program, and all that it said. */
struct start {
    struct target target;
    struct settings *settings;
    enum settings_action action;
    char *said;
    size_t said_bytes;
    char path[64];
    struct err err;
    bool good;
};

static void start_end(struct start *s)
{
    settings_free(s->settings);
    free(s->said);
    if (*s->path)
        (void)unlink(s->path);
}

/* args: NULL-terminated, without the program's name. file: NULL, or a text that --config names. */
static void start_as(struct start *s, const struct settings_program *which, const char *file,
                     const char *const *environment, const char *const *args)
{
    const char *argv[16] = {"prog"}, *none[] = {NULL};
    FILE *complaints;
    int argc = 1;

    *s = (struct start){.action = SETTINGS_RUN};
    if (file) {
        int fd;

        (void)strcpy(s->path, "/tmp/settings-XXXXXX");
        fd = mkstemp(s->path);
        assert_true(fd >= 0 && write(fd, file, strlen(file)) == (ssize_t)strlen(file));
        (void)close(fd);
        argv[argc++] = "--config";
        argv[argc++] = s->path;
    }
    for (size_t i = 0; args && args[i]; i++)
        argv[argc++] = args[i];
    complaints = open_memstream(&s->said, &s->said_bytes);
    s->good = settings_load(which, argc, (char **)(uintptr_t)argv,
                            (char **)(uintptr_t)(environment ? environment : none), &s->target,
                            complaints, &s->settings, &s->action, &s->err);
    (void)fclose(complaints);
}

static void start(struct start *s, const char *file, const char *const *environment,
                  const char *const *args)
{
    start_as(s, &program, file, environment, args);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void defaults_are_read_like_any_value(void **state)
{
    struct start s;

    (void)state;
    start(&s, NULL, NULL, NULL);
    assert_true(s.good);
    assert_int_equal(s.action, SETTINGS_RUN);
    assert_false(s.target.wet);
    assert_int_equal(s.target.count, 3);
    assert_int_equal(s.target.size, 65536);
    assert_int_equal(s.target.wait_ms, 1500);
    assert_null(s.target.name);
    assert_int_equal(s.target.mode, 0);
    assert_int_equal(settings_source(s.settings, "count"), SOURCE_DEFAULT);
    start_end(&s);
}

static void a_flag_beats_the_environment_and_that_the_file(void **state)
{
    struct start s;

    (void)state;
    start(&s, "count = 4\nbig = 5\nname = \"of the file\"\n",
          WORDS("PROG_COUNT=6", "PROG_BIG=7", "PATH=/bin"), WORDS("--count", "8"));
    assert_true(s.good);
    assert_int_equal(s.target.count, 8);
    assert_int_equal(s.target.big, 7);
    assert_string_equal(s.target.name, "of the file");
    assert_int_equal(settings_source(s.settings, "count"), SOURCE_FLAG);
    assert_int_equal(settings_source(s.settings, "big"), SOURCE_ENVIRONMENT);
    assert_int_equal(settings_source(s.settings, "name"), SOURCE_FILE);
    start_end(&s);
}

static void flags_come_in_every_usual_form(void **state)
{
    struct start s;

    (void)state;
    start(&s, NULL, NULL,
          WORDS("--wet", "--list", "a", "--list=b,c", "--mode=off", "--wait-time", "2m"));
    assert_true(s.good);
    assert_true(s.target.wet);
    assert_string_equal(s.target.list, "a,b,c");
    assert_int_equal(s.target.mode, 2);
    assert_int_equal(s.target.wait_ms, 120000);
    start_end(&s);
    start(&s, NULL, WORDS("PROG_WET=yes"), WORDS("--no-wet"));
    assert_true(s.good);
    assert_false(s.target.wet);
    start_end(&s);
}

static void what_is_asked_for_is_told_apart(void **state)
{
    static const struct {
        const char *flag;
        enum settings_action action;
    } cases[] = {{"--help", SETTINGS_HELP},       {"-h", SETTINGS_HELP},
                 {"--version", SETTINGS_VERSION}, {"-V", SETTINGS_VERSION},
                 {"--check", SETTINGS_CHECK},     {"--print-config", SETTINGS_PRINT}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct start s;

        start(&s, NULL, NULL, WORDS(cases[i].flag));
        assert_true(s.good);
        assert_int_equal(s.action, cases[i].action);
        start_end(&s);
    }
}

static void files_speak_the_subset_of_toml(void **state)
{
    static const struct {
        const char *file, *name, *list;
    } cases[] = {
        {"name = bare words # a comment", "bare words", NULL},
        {"name = in#side", "in#side", NULL},
        {"  name=\"q\\\"u\\\\o\\nt\\te\" # after", "q\"u\\o\nt\te", NULL},
        {"# nothing\n\n\tname = x\r\n", "x", NULL},
        {"name = \"\"", "", NULL},
        {"list = [\"a\", \"b\",]", NULL, "a,b"},
        {"list = []", NULL, ""},
        {"list = a,b", NULL, "a,b"},
        {"list = [::1]:80, [::2]:81", NULL, "[::1]:80, [::2]:81"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct start s;

        start(&s, cases[i].file, NULL, NULL);
        if (!s.good)
            print_error("%s: %s\n", cases[i].file, s.said);
        assert_true(s.good);
        if (cases[i].name)
            assert_string_equal(s.target.name, cases[i].name);
        if (cases[i].list)
            assert_string_equal(s.target.list, cases[i].list);
        start_end(&s);
    }
}

static void a_wrong_line_is_named_with_what_to_write(void **state)
{
    static const struct {
        const char *file, *complaint;
    } cases[] = {
        {"wet", ":1: no '=' in the line"},
        {"\ncuont = 4", ":2: unknown key \"cuont\"; did you mean \"count\"?"},
        {"count = 4\ncount = 5", ":2: count: already set in line 1"},
        {"count = 10", ":1: count: "},
        {"count = many", ":1: count: "},
        {"wet = perhaps", ":1: wet: "},
        {"mode = sometimes", ":1: mode: "},
        {"size = 1Q", ":1: size: "},
        {"wait-time = soon", ":1: wait-time: "},
        {"name = \"open", "the quotes are not closed"},
        {"name = \"\\x\"", "unknown escape"},
        {"name = 'single'", "with double quotes"},
        {"name = [\"a\"]", "this setting takes one value, no list"},
        {"name = \"a\" b", "nothing but a comment may stand behind the value"},
        {"list = [\"a\"", "the list is not closed"},
        {"list = [\"a\" \"b\"]", "write a list as"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct start s;

        start(&s, cases[i].file, NULL, NULL);
        assert_false(s.good);
        if (!strstr(s.said, cases[i].complaint))
            fail_msg("\"%s\" gave: %s", cases[i].file, s.said);
        assert_int_equal(s.err.code, ERR_USAGE);
        start_end(&s);
    }
}

static void every_complaint_is_made_at_once(void **state)
{
    struct start s;

    (void)state;
    start(&s, "count = 99\n", WORDS("PROG_BIG=x", "PROG_SIZ=1"), WORDS("--wait-tme=3", "word"));
    assert_false(s.good);
    assert_non_null(strstr(s.said, "count"));
    assert_non_null(strstr(s.said, "PROG_BIG"));
    assert_non_null(strstr(s.said, "PROG_SIZ"));
    assert_non_null(strstr(s.said, "--wait-tme; did you mean --wait-time?"));
    assert_non_null(strstr(s.said, "word"));
    assert_null(s.settings);
    start_end(&s);
}

static void a_missing_file_or_value_is_an_error(void **state)
{
    struct start s;

    (void)state;
    start(&s, NULL, NULL, WORDS("--config", "/nonexistent/file"));
    assert_false(s.good);
    assert_non_null(strstr(s.said, "/nonexistent/file: No such file"));
    start_end(&s);
    start(&s, NULL, NULL, WORDS("--count"));
    assert_false(s.good);
    assert_non_null(strstr(s.said, "--count: a value must follow"));
    start_end(&s);
    start(&s, NULL, WORDS("PROG_CONFIG=/nonexistent/file"), NULL);
    assert_false(s.good);
    assert_non_null(strstr(s.said, "PROG_CONFIG"));
    start_end(&s);
}

static void what_is_printed_reads_back_the_same(void **state)
{
    struct start one, two;
    char *text = NULL;
    size_t n = 0;
    FILE *out;

    (void)state;
    start(
        &one, NULL, NULL,
        WORDS("--name", "a \"b\" \\ c\n#d", "--list", "x,y", "--wet", "--size=1M", "--mode", "on"));
    assert_true(one.good);
    out = open_memstream(&text, &n);
    settings_print(one.settings, out);
    (void)fclose(out);
    start(&two, text, NULL, NULL);
    if (!two.good)
        print_error("%s\n%s", text, two.said);
    assert_true(two.good);
    assert_string_equal(two.target.name, one.target.name);
    assert_string_equal(two.target.list, one.target.list);
    assert_int_equal(two.target.wet, one.target.wet);
    assert_int_equal(two.target.size, one.target.size);
    assert_int_equal(two.target.mode, one.target.mode);
    free(text);
    start_end(&one);
    start_end(&two);
}

static void help_names_every_row_with_its_variable(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    settings_help(&program, out);
    (void)fclose(out);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_non_null(strstr(text, rows[i].name));
        assert_non_null(strstr(text, rows[i].help));
    }
    assert_non_null(strstr(text, "PROG_"));
    free(text);
}

/* --- words without dashes --- */

static const struct settings_program with_words = {
    .name = "prog",
    .prefix = "PROG_",
    .summary = "Does things.",
    .usage = "prog FILE [OTHER]",
    .rows = rows,
    .count = COUNT_OF(rows),
    .word = "FILE",
    .words_least = 1,
    .words_most = 2,
};

static void words_stand_anywhere_between_flags(void **state)
{
    const struct {
        const char *const *args;
        const char *first, *second; /* NULL: none */
        uint32_t count;
    } cases[] = {
        {WORDS("one"), "one", NULL, 3},
        {WORDS("one", "two"), "one", "two", 3},
        {WORDS("one", "--count", "4", "two"), "one", "two", 4},
        {WORDS("--count=4", "one", "--wet"), "one", NULL, 4},
        {WORDS("-"), "-", NULL, 3}, /* standard input */
        {WORDS("-", "-"), "-", "-", 3},
        {WORDS("--", "--count", "-h"), "--count", "-h", 3}, /* whatever they look like */
        {WORDS("one", "--", "--"), "one", "--", 3},
        {WORDS(""), "", NULL, 3},
        {WORDS("--wet", "true"), "true", NULL, 3}, /* --wet takes no word */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *const *words;
        struct start s;
        unsigned count;

        start_as(&s, &with_words, NULL, NULL, cases[i].args);
        if (!s.good)
            fail_msg("case %zu: %s", i, s.err.text);
        words = settings_words(s.settings, &count);
        assert_int_equal(count, cases[i].second ? 2 : 1);
        assert_string_equal(words[0], cases[i].first);
        if (cases[i].second)
            assert_string_equal(words[1], cases[i].second);
        assert_int_equal(s.target.count, cases[i].count);
        start_end(&s);
    }
}

static void too_few_and_too_many_words_are_named(void **state)
{
    const struct {
        const struct settings_program *program;
        const char *const *args;
        const char *said;
    } cases[] = {
        {&with_words, WORDS("--wet"), "FILE is missing"},
        {&with_words, WORDS("--"), "FILE is missing"},
        {&with_words, WORDS("--count", "4"), "FILE is missing"},
        {&with_words, WORDS("one", "two", "three"), "\"three\""},
        {&with_words, WORDS("one", "two", "thr\nee"), "\"thr\\nee\""},
        {&program, WORDS("one"), "\"one\""},
        {&program, WORDS("--", "one"), "\"one\""},
        {&program, WORDS("-"), "\"-\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct start s;

        start_as(&s, cases[i].program, NULL, NULL, cases[i].args);
        if (s.good || !strstr(s.said, cases[i].said))
            fail_msg("case %zu: %s", i, s.said);
        assert_int_equal(s.err.code, ERR_USAGE);
        start_end(&s);
    }
}

/* Who asks what the program is need not say what it is to do. */
static void help_needs_no_words(void **state)
{
    static const char *const flags[] = {"--help", "-h", "--version", "-V"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct start s;

        start_as(&s, &with_words, NULL, NULL, WORDS(flags[i]));
        assert_true(s.good);
        start_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_read_like_any_value),
        cmocka_unit_test(a_flag_beats_the_environment_and_that_the_file),
        cmocka_unit_test(flags_come_in_every_usual_form),
        cmocka_unit_test(what_is_asked_for_is_told_apart),
        cmocka_unit_test(files_speak_the_subset_of_toml),
        cmocka_unit_test(a_wrong_line_is_named_with_what_to_write),
        cmocka_unit_test(every_complaint_is_made_at_once),
        cmocka_unit_test(a_missing_file_or_value_is_an_error),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(help_names_every_row_with_its_variable),
        cmocka_unit_test(words_stand_anywhere_between_flags),
        cmocka_unit_test(too_few_and_too_many_words_are_named),
        cmocka_unit_test(help_needs_no_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
