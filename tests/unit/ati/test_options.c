/* Words become a command and its options; what cannot be one is told in a sentence. */
#include "../base/unit.h"

#include "ati/cli/options.h"

static int nothing(struct cli *cli, const struct cli_words *words)
{
    (void)cli;
    (void)words;
    return 0;
}

static const struct cli_option add_options[] = {
    {.name = "transport",
     .value = "KIND",
     .help = "how",
     .required = true,
     .choices = "http|stdio"},
    {.name = "args", .value = "A", .help = "its arguments", .many = true, .greedy = true},
    {.name = "env", .value = "K=V", .help = "its environment", .many = true},
    {.name = "save", .help = "keep it"},
    {.name = "ttl", .value = "S", .help = "how long", .fallback = "3600", .letter = 't'},
};
static const struct cli_command provider_commands[] = {
    {.name = "add-mcp",
     .summary = "add a server of MCP tools",
     .words = "NAME",
     .options = add_options,
     .option_count = COUNT_OF(add_options),
     .words_least = 1,
     .words_most = 1,
     .run = nothing},
    {.name = "list", .alias = "ls", .summary = "list them", .run = nothing},
};
static const struct cli_command provider = {.name = "provider",
                                            .summary = "who gives tools",
                                            .commands = provider_commands,
                                            .command_count = COUNT_OF(provider_commands)};
static const struct cli_command run = {.name = "run",
                                       .summary = "call a tool",
                                       .words = "TOOL [ARGS…]",
                                       .words_least = 1,
                                       .words_most = 1,
                                       .verbatim = true,
                                       .run = nothing};
static const struct cli_command pair = {.name = "pair",
                                        .summary = "two words",
                                        .words = "NAME VALUE",
                                        .words_least = 2,
                                        .words_most = 2,
                                        .run = nothing};
static const struct cli_command *const rows[] = {&provider, &run, &pair};
static const struct cli_command root = {
    .name = "ati", .summary = "a program", .rows = rows, .command_count = COUNT_OF(rows)};

enum { ARGV_MAX = 32 };

/* Splits line at its blanks into argv and parses that. */
static bool parse(char *line, struct cli_parsed *p, struct err *err)
{
    static char *argv[ARGV_MAX];
    int argc = 0;
    char *save = NULL;

    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    return cli_parse(&root, argc, argv, p, err);
}

#define GIVEN(text)                      \
    char line[] = text;                  \
    struct cli_parsed p;                 \
    struct err err = {.code = ERR_NONE}; \
    bool good = parse(line, &p, &err)

static void a_command_gets_its_words_and_options(void **state)
{
    GIVEN("ati provider add-mcp --transport=stdio github --env A=1 --env=B=2 --save -t 5");
    const char *const *env;
    size_t n;

    (void)state;
    assert_true(good);
    assert_string_equal(p.name, "ati provider add-mcp");
    assert_int_equal(p.words.count, 1);
    assert_string_equal(p.words.words[0], "github");
    assert_string_equal(cli_value(&p.words, "transport"), "stdio");
    assert_true(cli_given(&p.words, "save"));
    assert_false(cli_given(&p.words, "args"));
    assert_string_equal(cli_value(&p.words, "ttl"), "5");
    env = cli_values(&p.words, "env", &n);
    assert_int_equal(n, 2);
    assert_string_equal(env[0], "A=1");
    assert_string_equal(env[1], "B=2");
    assert_null(env[2]);
    cli_parsed_done(&p);
}

static void what_is_not_given_has_its_fallback_or_nothing(void **state)
{
    GIVEN("ati provider add-mcp x --transport http");
    size_t n;

    (void)state;
    assert_true(good);
    assert_string_equal(cli_value(&p.words, "ttl"), "3600");
    assert_false(cli_given(&p.words, "ttl"));
    assert_null(cli_value(&p.words, "args"));
    assert_null(cli_values(&p.words, "args", &n));
    assert_int_equal(n, 0);
    cli_parsed_done(&p);
}

static void a_greedy_option_takes_words_up_to_the_next_flag(void **state)
{
    GIVEN("ati provider add-mcp x --args -y --package @scope/x -5 --env A=1 --args --save "
          "--transport=http");
    const char *const *args;
    size_t n;

    (void)state;
    assert_true(good);
    args = cli_values(&p.words, "args", &n);
    assert_int_equal(n, 5);
    assert_string_equal(args[0], "-y");
    assert_string_equal(args[1], "--package");
    assert_string_equal(args[3], "-5");
    assert_string_equal(args[4], "--save"); /* right behind --args it is a value */
    assert_false(cli_given(&p.words, "save"));
    assert_string_equal(cli_value(&p.words, "transport"), "http");
    cli_parsed_done(&p);
}

static void two_dashes_end_a_greedy_option_and_all_flags(void **state)
{
    GIVEN("ati provider add-mcp --transport http --args a b -- --odd");
    size_t n;

    (void)state;
    assert_true(good);
    (void)cli_values(&p.words, "args", &n);
    assert_int_equal(n, 2);
    assert_string_equal(p.words.words[0], "--odd");
    cli_parsed_done(&p);
}

static void many_values_are_kept_in_their_order(void **state)
{
    enum { N = 100 };
    char texts[N][16];
    char *argv[N + 8] = {(char[]){"ati"}, (char[]){"provider"},         (char[]){"add-mcp"},
                         (char[]){"x"},   (char[]){"--transport=http"}, (char[]){"--args"}};
    struct cli_parsed p;
    const char *const *args;
    size_t n;

    (void)state;
    for (int i = 0; i < N; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "a%d", i);
        argv[6 + i] = texts[i];
    }
    assert_true(cli_parse(&root, N + 6, argv, &p, NULL));
    args = cli_values(&p.words, "args", &n);
    assert_int_equal(n, N);
    for (int i = 0; i < N; i++)
        assert_string_equal(args[i], texts[i]);
    assert_null(args[N]);
    cli_parsed_done(&p);
}

static void global_flags_stand_anywhere(void **state)
{
    static const struct {
        const char *line;
        bool verbose, has_format;
        enum cli_format format;
    } cases[] = {
        {"ati --output text provider list", false, true, CLI_TEXT},
        {"ati provider --format=table list", false, true, CLI_TABLE},
        {"ati provider list -J --verbose", true, true, CLI_JSON},
        {"ati --verbose provider ls --output table --json", true, true, CLI_JSON},
        {"ati provider list", false, false, CLI_JSON},
        {"ati -J provider list --output text", false, true, CLI_JSON},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli_parsed p;
        char line[128];

        (void)snprintf(line, sizeof line, "%s", cases[i].line);
        assert_true(parse(line, &p, NULL));
        assert_string_equal(p.name, "ati provider list");
        assert_int_equal(p.verbose, cases[i].verbose);
        assert_int_equal(p.has_format, cases[i].has_format);
        assert_int_equal(p.format, cases[i].format);
        cli_parsed_done(&p);
    }
}

static void words_of_a_verbatim_command_are_taken_as_they_are(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"ati run t --help -J --output=text x", "t|--help|-J|--output=text|x"},
        {"ati --verbose run t -- --a -- b", "t|--a|--|b"},
        {"ati run t --a -- b", "t|--a|--|b"},
        {"ati run -J t", "t"},
        {"ati run -- t --a", "t|--a"},
        {"ati run -- t -J", "t|-J"},
        {"ati run t -J --output table --verbose --format=text -- a -J", "t|a|-J"},
        {"ati run t --output yaml a", "t|--output|yaml|a"},
        {"ati run t --format=wide --json", "t|--format=wide|--json"},
        {"ati run t --output", "t|--output"},
        {"ati run t a --output text", "t|a|--output|text"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char line[128], joined[128] = "";
        struct cli_parsed p;
        size_t n = 0;

        (void)snprintf(line, sizeof line, "%s", cases[i].line);
        assert_true(parse(line, &p, NULL));
        for (size_t k = 0; k < p.words.count; k++)
            n += (size_t)snprintf(joined + n, sizeof joined - n, "%s%s", k ? "|" : "",
                                  p.words.words[k]);
        assert_string_equal(joined, cases[i].words);
        assert_false(p.help);
        cli_parsed_done(&p);
    }
}

static void numbers_below_zero_and_a_lone_dash_are_words(void **state)
{
    GIVEN("ati pair -5 -");

    (void)state;
    assert_true(good);
    assert_string_equal(p.words.words[0], "-5");
    assert_string_equal(p.words.words[1], "-");
    cli_parsed_done(&p);
}

static void help_and_version_win_over_what_is_missing(void **state)
{
    static const struct {
        const char *line, *name;
        bool version;
    } cases[] = {
        {"ati --help", "ati", false},
        {"ati help", "ati", false},
        {"ati provider -h", "ati provider", false},
        {"ati provider add-mcp --help", "ati provider add-mcp", false},
        {"ati help provider add-mcp", "ati provider add-mcp", false},
        {"ati provider help list", "ati provider list", false},
        {"ati run --help", "ati run", false},
        {"ati --version", "ati", true},
        {"ati -V", "ati", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli_parsed p;
        char line[128];

        (void)snprintf(line, sizeof line, "%s", cases[i].line);
        assert_true(parse(line, &p, NULL));
        assert_string_equal(p.name, cases[i].name);
        assert_int_equal(p.help, !cases[i].version);
        assert_int_equal(p.version, cases[i].version);
        cli_parsed_done(&p);
    }
}

static void mistakes_are_told_with_what_was_meant(void **state)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"ati", "a command is missing"},
        {"ati provder", "unknown command 'provder'; did you mean 'provider'?"},
        {"ati zzzzz", "unknown command 'zzzzz'"},
        {"ati provider", "a command is missing"},
        {"ati help provider lst", "unknown command 'lst'; did you mean 'list'?"},
        {"ati provider list --transport http", "unknown flag '--transport'"},
        {"ati provider add-mcp x --trasport http",
         "unknown flag '--trasport'; did you mean '--transport'?"},
        {"ati provider add-mcp x --trans=http",
         "unknown flag '--trans=http'; did you mean '--transport'?"},
        {"ati provider add-mcp x -z", "unknown flag '-z'"},
        {"ati provider add-mcp x --transport", "--transport needs a value: --transport KIND"},
        {"ati provider add-mcp x --transport --save",
         "--transport needs a value: --transport KIND"},
        {"ati provider add-mcp x --args --", "--args needs a value: --args A"},
        {"ati provider add-mcp x --transport tcp", "--transport: 'tcp' is none of http|stdio"},
        {"ati provider add-mcp x --transport http --transport http", "--transport was given twice"},
        {"ati provider add-mcp x --save=1", "--save takes no value"},
        {"ati provider add-mcp x", "--transport KIND is missing"},
        {"ati provider add-mcp --transport http", "NAME is missing"},
        {"ati pair a", "VALUE is missing"},
        {"ati pair a b c", "unexpected argument 'c'"},
        {"ati --output xml provider list", "--output: 'xml' is none of json|table|text"},
        {"ati provider list --output", "--output needs a value: --output FORMAT"},
        {"ati run", "TOOL is missing"},
        {"ati pair a --\033[2J", "unknown flag '--\\x1b[2J'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {.code = ERR_NONE};
        struct cli_parsed p;
        char line[128];

        (void)snprintf(line, sizeof line, "%s", cases[i].line);
        assert_false(parse(line, &p, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_string_equal(err.text, cases[i].says);
        cli_parsed_done(&p);
    }
}

/* Every command there is: its help fits the terminal, names every flag, and its table is sound. */
static void check_help(const struct cli_command *c, const char *name)
{
    char *text = NULL, flag[64], inner[CLI_NAME_BYTES];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct view rest, line;

    assert_non_null(out);
    cli_help(c, name, out);
    assert_int_equal(fclose(out), 0);
    rest = view_from(text, len);
    while (view_next(&rest, '\n', &line)) {
        size_t columns = 0;

        for (size_t i = 0; i < line.len; i++)
            columns += (line.at[i] & 0xC0) != 0x80;
        if (columns > CLI_COLUMNS)
            fail_msg("%s --help: more than %d columns: %.*s", name, CLI_COLUMNS, VIEW_ARG(line));
        assert_true(!line.len || line.at[line.len - 1] != ' ');
    }
    for (size_t i = 0; i < c->option_count; i++) {
        const struct cli_option *o = &c->options[i];

        (void)snprintf(flag, sizeof flag, "--%s", o->name);
        assert_non_null(strstr(text, flag));
        assert_true(o->help && o->help[0] && o->help[strlen(o->help) - 1] != '.');
        assert_true(!o->fallback || o->value);
        for (size_t k = 0; k < cli_global_count; k++)
            assert_string_not_equal(o->name, cli_globals[k].name);
    }
    free(text);
    assert_true((c->run != NULL) != (c->command_count > 0));
    assert_true(!c->command_count || !c->option_count);
    assert_true(c->words_most >= c->words_least && (!c->words_most || c->words));
    for (size_t i = 0; i < c->command_count; i++) {
        const struct cli_command *sub = cli_sub(c, i);

        (void)snprintf(inner, sizeof inner, "%s %s", name, sub->name);
        check_help(sub, inner);
    }
}

static void every_command_tells_of_itself_in_80_columns(void **state)
{
    (void)state;
    check_help(&cli_root, "ati");
    check_help(&root, "ati");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gets_its_words_and_options),
        cmocka_unit_test(what_is_not_given_has_its_fallback_or_nothing),
        cmocka_unit_test(a_greedy_option_takes_words_up_to_the_next_flag),
        cmocka_unit_test(two_dashes_end_a_greedy_option_and_all_flags),
        cmocka_unit_test(many_values_are_kept_in_their_order),
        cmocka_unit_test(global_flags_stand_anywhere),
        cmocka_unit_test(words_of_a_verbatim_command_are_taken_as_they_are),
        cmocka_unit_test(numbers_below_zero_and_a_lone_dash_are_words),
        cmocka_unit_test(help_and_version_win_over_what_is_missing),
        cmocka_unit_test(mistakes_are_told_with_what_was_meant),
        cmocka_unit_test(every_command_tells_of_itself_in_80_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
