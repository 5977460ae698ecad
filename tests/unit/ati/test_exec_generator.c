#include "exec_world.h"

#include <sys/stat.h>

#include "ati/exec/generator.h"

#include "base/poison.h"

#define PROVIDER "[provider]\nname=\"p\"\ndescription=\"d\"\nbase_url=\"http://127.0.0.1:{port}\"\n"
#define SH(auth, script, more)                                                                 \
    PROVIDER auth                                                                              \
        "[provider.auth_generator]\ntype=\"command\"\ncommand=\"sh\"\nargs=[\"-c\",'''" script \
        "''']\n" more
#define TOOL   "[[tools]]\nname=\"t\"\ndescription=\"d\"\nendpoint=\"/\"\n"
#define BEARER "auth_type=\"bearer\"\n"

/* What the upstream was sent, behind the request line. */
static const char *ask(struct exec_world *w, int *fd, struct told *t)
{
    const char *request;

    begin(w, "t", "{}", t);
    *fd = serve(w);
    request = heard(w, *fd, "\r\n\r\n");
    return request;
}

static void end(struct exec_world *w, int fd, struct told *t)
{
    answer(w, fd, 200, "1");
    check_value(w, t, "1");
}

static void what_it_prints_is_the_credential(void **state)
{
    static const struct {
        const char *toml, *sent;
    } cases[] = {
        {SH(BEARER, "echo '  a value '", ""), "Authorization: Bearer a value\r\n"},
        {SH("auth_type=\"header\"\nauth_header_name=\"X-K\"\nauth_value_prefix=\"K \"\n", "echo v",
            ""),
         "X-K: K v\r\n"},
        {SH("auth_type=\"query\"\nauth_query_name=\"q\"\n", "echo 'a b'", ""),
         "GET /?q=a+b HTTP/1.1\r\n"},
        {SH(BEARER, "echo '{\"token\":\"t1\",\"access_token\":\"t2\"}'",
            "output_format=\"json\"\n"),
         "Authorization: Bearer t1\r\n"},
        {SH(BEARER, "echo '{\"access_token\":\"t2\"}'", "output_format=\"json\"\n"),
         "Authorization: Bearer t2\r\n"},
        {SH(BEARER, "echo '{\"a\":1}'", "output_format=\"json\"\n"),
         "Authorization: Bearer {\"a\":1}\r\n"},
        {SH(BEARER, "echo '{\"a\":{\"b\":\"x\",\"n\":7},\"p\":\"main\"}'",
            "output_format=\"json\"\n[provider.auth_generator.inject]\n"
            "\"a.b\"={type=\"header\",name=\"X-B\"}\n\"a.n\"={type=\"header\",name=\"X-N\"}\n"
            "p={type=\"query\",name=\"q\"}\n"),
         "X-B: x\r\n"},
        {SH(BEARER, "echo $G", "[provider.auth_generator.env]\nG=\"g ${short}\"\n"),
         "Authorization: Bearer g " SHORT_KEY "\r\n"},
        {PROVIDER BEARER "[provider.auth_generator]\ntype=\"command\"\ncommand=\"printf\"\n"
                         "args=[\"%s\",\"${JWT_SUB}|${JWT_SCOPE}|${TOOL_NAME}|${short}|$x|${\"]\n",
         "Authorization: Bearer dev|*|t|" SHORT_KEY "|$x|${\r\n"},
        {PROVIDER BEARER "[provider.auth_generator]\ntype=\"script\"\ninterpreter=\"sh\"\n"
                         "script='''case $0 in */.ati-gen-*) stat -c %a $0;; esac'''\n",
         "Authorization: Bearer 600\r\n"},
    };
    struct exec_world *w = *state;
    char toml[2048];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told t;
        const char *request;
        int fd;

        (void)snprintf(toml, sizeof toml, "%s%s", cases[i].toml, TOOL);
        use_provider(w, toml);
        request = ask(w, &fd, &t);
        if (!strstr(request, cases[i].sent))
            fail_msg("%zu: %s", i, request);
        if (strstr(cases[i].toml, "X-N"))
            assert_true(strstr(request, "X-N: 7\r\n") &&
                        strstr(request, "Authorization: Bearer main\r\n"));
        end(w, fd, &t);
    }
}

static void it_sees_three_variables_of_ours(void **state)
{
    struct exec_world *w = *state;
    const char *request;
    struct told t;
    int fd;

    use_provider(w, SH(BEARER, "env | cut -d= -f1 | sort | tr \"\\n\" \" \"", "") TOOL);
    request = ask(w, &fd, &t);
    /* PWD, and what shells set for themselves, beside them. */
    assert_non_null(strstr(request, "HOME"));
    assert_non_null(strstr(request, "PATH"));
    assert_non_null(strstr(request, "TMPDIR"));
    assert_null(strstr(request, "LANG"));
    assert_null(strstr(request, "SECRET_OF_OURS"));
    end(w, fd, &t);
}

static void what_goes_wrong_is_told_in_the_words_that_clients_know(void **state)
{
#define WRAPPED(text) "API key 'auth_generator: " text "' not found in keyring"
    static const struct {
        const char *toml, *error;
    } cases[] = {
        {SH(BEARER, "echo oops '${long}' >&2; exit 3", ""),
         WRAPPED("Generator exited with code 3: oops [redacted]\n")},
        {SH(BEARER, "kill -9 $$", ""), WRAPPED("Generator exited with code -1: ")},
        {SH(BEARER, "sleep 1000", "timeout_secs=1\n"), WRAPPED("Generator timed out after 1s")},
        {SH(BEARER, "true", ""), WRAPPED("Failed to parse generator output: it is empty")},
        {SH(BEARER, "echo '{\"a\":{}}'",
            "output_format=\"json\"\n[provider.auth_generator.inject]\n\"a.b\"={type=\"header\","
            "name=\"X\"}\n"),
         WRAPPED("Failed to parse generator output: JSON path 'a.b' not found in output")},
        {SH(BEARER, "${nobody}", ""),
         WRAPPED("Keyring key 'nobody' not found (required by auth_generator)")},
        {PROVIDER BEARER "[provider.auth_generator]\ntype=\"command\"\ncommand=\"/nowhere/x\"\n",
         WRAPPED("Failed to spawn generator process: /nowhere/x: No such file or directory")},
    };
    struct exec_world *w = *state;
    char toml[2048];
    struct told t;

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(toml, sizeof toml, "%s%s", cases[i].toml, TOOL);
        use_provider(w, toml);
        begin(w, "t", "{}", &t);
        check_failure(w, &t, EXEC_HTTP, cases[i].error);
    }
    use_provider(w, SH(BEARER, "echo no json", "output_format=\"json\"\n") TOOL);
    begin(w, "t", "{}", &t);
    wait_done(w, &t);
    assert_non_null(
        strstr(t.error, "auth_generator: Failed to parse generator output: invalid JSON: "));
    told_done(&t);
    nobody_comes(w);
}

/* How often the generator has run. */
static long runs(const struct exec_world *w)
{
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/runs", w->folder);
    return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

#define COUNTING "printf x >>$TMPDIR/runs; echo v; echo ${long} >/dev/null"

static void outputs_are_kept_as_long_as_they_may(void **state)
{
    struct exec_world *w = *state;
    struct told t[5];
    int fd;

    use_provider(w, SH(BEARER, COUNTING, "") TOOL);
    for (int i = 0; i < 2; i++) {
        (void)ask(w, &fd, &t[0]);
        end(w, fd, &t[0]);
    }
    assert_int_equal(runs(w), 2); /* nothing is kept unless it is said */
    use_provider(w, SH(BEARER, COUNTING, "cache_ttl_secs=3600\n") TOOL);
    for (size_t i = 0; i < COUNT(t); i++) /* all wait for one */
        begin(w, "t", "{}", &t[i]);
    for (size_t i = 0; i < COUNT(t); i++) {
        fd = serve(w);
        assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "Bearer v\r\n"));
        answer(w, fd, 200, "1");
    }
    for (size_t i = 0; i < COUNT(t); i++)
        check_value(w, &t[i], "1");
    assert_int_equal(runs(w), 3);
    (void)ask(w, &fd, &t[0]);
    end(w, fd, &t[0]);
    assert_int_equal(runs(w), 3);
    /* An entry that it uses has changed. */
    load_keyring(w, "{\"long\":\"another value of the entry\"}");
    use_provider(w, SH(BEARER, COUNTING, "cache_ttl_secs=3600\n") TOOL);
    (void)ask(w, &fd, &t[0]);
    end(w, fd, &t[0]);
    assert_int_equal(runs(w), 4);
}

static void each_subject_has_its_own(void **state)
{
    struct exec_world *w = *state;
    const struct caller_claims claims = {.subject = VIEW("agent-7"),
                                         .scope = VIEW("tool:a tool:b")};
    const struct caller_claims less = {.subject = VIEW("agent-7"), .scope = VIEW("tool:a")};
    struct told t;
    int fd;

    use_provider(w, SH(BEARER, "echo '${JWT_SUB}/${JWT_SCOPE}'", "cache_ttl_secs=3600\n") TOOL);
    assert_non_null(strstr(ask(w, &fd, &t), "Bearer dev/*\r\n"));
    end(w, fd, &t);
    caller_unref(w->caller);
    w->caller = NULL;
    assert_true(caller_new(&claims, &w->caller, NULL));
    assert_non_null(strstr(ask(w, &fd, &t), "Bearer agent-7/tool:a tool:b\r\n"));
    end(w, fd, &t);
    /* the same subject with less */
    caller_unref(w->caller);
    w->caller = NULL;
    assert_true(caller_new(&less, &w->caller, NULL));
    assert_non_null(strstr(ask(w, &fd, &t), "Bearer agent-7/tool:a\r\n"));
    end(w, fd, &t);
}

static void a_caller_who_leaves_hands_over_to_who_waits(void **state)
{
    struct exec_world *w = *state;
    struct told first, second, third;
    int fd;

    use_provider(w, SH(BEARER, "sleep 0.2; " COUNTING, "cache_ttl_secs=3600\n") TOOL);
    begin(w, "t", "{}", &first);
    begin(w, "t", "{}", &second);
    begin(w, "t", "{}", &third);
    turn(w);
    exec_cancel(third.execution); /* one who waits */
    exec_cancel(first.execution); /* and who fetches */
    fd = serve(w);
    assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "Bearer v\r\n"));
    end(w, fd, &second);
    assert_int_equal(first.dones + third.dones, 0);
}

static void failures_are_told_to_all_and_not_kept(void **state)
{
    struct exec_world *w = *state;
    struct told t[3];
    int fd;

    use_provider(w,
                 SH(BEARER, "[ -e $TMPDIR/good ] || exit 1; echo v", "cache_ttl_secs=3600\n") TOOL);
    for (size_t i = 0; i < COUNT(t); i++)
        begin(w, "t", "{}", &t[i]);
    for (size_t i = 0; i < COUNT(t); i++)
        check_failure(w, &t[i], EXEC_HTTP, WRAPPED("Generator exited with code 1: "));
    write_file(w->folder, "good", "");
    assert_non_null(strstr(ask(w, &fd, &t[0]), "Bearer v\r\n"));
    end(w, fd, &t[0]);
}

static unsigned scripts_in(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    unsigned n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)))
        n += strncmp(e->d_name, ".ati-gen-", 9) == 0;
    closedir(dir);
    return n;
}

static void scripts_do_not_stay(void **state)
{
    static const char slow[] =
        PROVIDER BEARER "[provider.auth_generator]\ntype=\"script\"\n"
                        "interpreter=\"sh\"\nscript=\"sleep 1000\"\ntimeout_secs=1\n" TOOL;
    struct exec_world *w = *state;
    struct told t;

    use_provider(w, slow);
    begin(w, "t", "{}", &t);
    assert_int_equal(scripts_in(w->folder), 1);
    check_failure(w, &t, EXEC_HTTP, WRAPPED("Generator timed out after 1s"));
    assert_int_equal(scripts_in(w->folder), 0);
    begin(w, "t", "{}", &t);
    exec_cancel(t.execution);
    assert_int_equal(scripts_in(w->folder), 0);
    use_provider(w, PROVIDER BEARER "[provider.auth_generator]\ntype=\"script\"\n"
                                    "interpreter=\"/nowhere/x\"\nscript=\"x\"\n" TOOL);
    begin(w, "t", "{}", &t);
    check_failure(
        w, &t, EXEC_HTTP,
        WRAPPED("Failed to spawn generator process: /nowhere/x: No such file or directory"));
    assert_int_equal(scripts_in(w->folder), 0);
}

static void a_program_gets_it_in_its_environment(void **state)
{
    struct exec_world *w = *state;
    struct told t;

    use_provider(
        w, "[provider]\nname=\"p\"\ndescription=\"d\"\nhandler=\"cli\"\ncli_command=\"sh\"\n"
           "cli_default_args=[\"-c\",'''printf '%s' \"$ATI_AUTH_TOKEN/$EXTRA\" | tr a-z A-Z''']\n"
           "[provider.auth_generator]\ntype=\"command\"\ncommand=\"echo\"\noutput_format=\"json\"\n"
           "args=['''{\"token\":\"tok\",\"e\":\"more\"}''']\n[provider.auth_generator.inject]\n"
           "token={type=\"primary\",name=\"\"}\ne={type=\"env\",name=\"EXTRA\"}\n" TOOL);
    begin(w, "t", "{}", &t);
    check_value(w, &t, "\"TOK/MORE\"");
    use_provider(
        w, "[provider]\nname=\"p\"\ndescription=\"d\"\nhandler=\"cli\"\ncli_command=\"true\"\n"
           "[provider.auth_generator]\ntype=\"command\"\ncommand=\"false\"\n" TOOL);
    begin(w, "t", "{}", &t);
    check_failure(w, &t, EXEC_CLI,
                  "CLI config error: auth_generator failed: Generator exited with code 1: ");
    use_provider(
        w, "[provider]\nname=\"p\"\ndescription=\"d\"\nhandler=\"cli\"\ncli_command=\"true\"\n"
           "[provider.auth_generator]\ntype=\"command\"\ncommand=\"/nowhere/x\"\n" TOOL);
    begin(w, "t", "{}", &t);
    check_failure(w, &t, EXEC_CLI,
                  "CLI config error: auth_generator failed: Failed to spawn generator process: "
                  "/nowhere/x: No such file or directory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_open, exec_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_prints_is_the_credential),
        TEST(it_sees_three_variables_of_ours),
        TEST(what_goes_wrong_is_told_in_the_words_that_clients_know),
        TEST(outputs_are_kept_as_long_as_they_may),
        TEST(each_subject_has_its_own),
        TEST(a_caller_who_leaves_hands_over_to_who_waits),
        TEST(failures_are_told_to_all_and_not_kept),
        TEST(scripts_do_not_stay),
        TEST(a_program_gets_it_in_its_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
