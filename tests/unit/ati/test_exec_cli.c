#include "exec_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ati/exec/capture.h"
#include "ati/exec/creds.h"
#include "ati/exec/words.h"

#include "base/poison.h"

#define TOOL "[[tools]]\nname=\"t\"\ndescription=\"d\"\n"
#define SH(script)                                                                     \
    "[provider]\nname=\"p\"\ndescription=\"d\"\nhandler=\"cli\"\ncli_command=\"sh\"\n" \
    "cli_default_args=[\"-c\",'''" script "''',\"sh\"]\n"

static void run(struct exec_world *w, struct told *t, size_t count, const char *const *words)
{
    struct view list[8];

    assert_true(count <= COUNT(list));
    for (size_t i = 0; i < count; i++)
        list[i] = view_str(words[i]);
    begin_request(w, "t",
                  &(struct exec_request){.words = list, .word_count = count, .has_words = true}, t);
}

#define RUN(w, t, ...) \
    run(w, t, COUNT(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

static unsigned files_in(const char *folder, const char *prefix)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    unsigned n = 0;

    if (!dir)
        return 0;
    while ((e = readdir(dir)))
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0 && e->d_name[strlen(prefix)] != '\0';
    closedir(dir);
    return n;
}

static void what_a_program_prints_is_the_value(void **state)
{
    static const struct {
        const char *print, *value;
    } cases[] = {
        {"  {\"b\" : 1.50}\n", "{\"b\":1.50}"},
        {"  plain text \n\n", "\"plain text\""},
        {"", "\"\""},
        {"7", "7"},
        {"7 8", "\"7 8\""},
    };
    struct exec_world *w = *state;
    struct told t;

    use_provider(w, SH("printf %s \"$1\"; echo noise >&2") TOOL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        RUN(w, &t, cases[i].print);
        wait_done(w, &t);
        assert_int_equal(t.exit_code, 0);
        check_value(w, &t, cases[i].value);
    }
}

static void a_program_sees_what_is_given_to_it_and_nothing_else(void **state)
{
    struct exec_world *w = *state;
    char want[512], path[128];
    struct stat st;
    struct told t;

    use_provider(
        w, "[provider]\nname=\"p\"\ndescription=\"d\"\nhandler=\"cli\"\ncli_command=\"env\"\n"
           "[provider.cli_env]\nA=\"x ${short} ${short}$\"\nF=\"@{long}\"\nHOME=\"/own\"\n" TOOL);
    begin(w, "t", "{}", &t);
    wait_done(w, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    (void)snprintf(want, sizeof want, "A=x " SHORT_KEY " " SHORT_KEY "$");
    assert_non_null(strstr(t.value, want));
    (void)snprintf(path, sizeof path, "%s/.creds/long", w->folder);
    (void)snprintf(want, sizeof want, "F=%s", path);
    assert_non_null(strstr(t.value, want));
    assert_non_null(strstr(t.value, "HOME=/own"));
    assert_non_null(strstr(t.value, "LANG=C"));
    assert_null(strstr(t.value, "SECRET_OF_OURS"));
    assert_null(strstr(t.value, "nowhere"));
    assert_null(strstr(t.value, "ATI_"));
    told_done(&t);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal((size_t)st.st_size, strlen(LONG_KEY));
}

static void what_cannot_be_given_ends_the_call(void **state)
{
    static const struct {
        const char *env, *error;
    } cases[] = {
        {"A=\"${nobody}\"", "Missing keyring key: nobody"},
        {"A=\"@{nobody}\"", "Missing keyring key: nobody"},
        {"A=\"@{../long}\"", "keyring key '../long' cannot be the name of a file"},
        {"A=\"@{a/b}\"", "keyring key 'a/b' cannot be the name of a file"},
        {"A=\"@{.}\"", "keyring key '.' cannot be the name of a file"},
        {"A=\"@{}\"", "keyring key '' cannot be the name of a file"},
    };
    struct exec_world *w = *state;
    char toml[512];
    struct told t;

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(toml, sizeof toml, "%s[provider.cli_env]\n%s\n%s", SH("touch \"$HOME/ran\""),
                       cases[i].env, TOOL);
        use_provider(w, toml);
        begin(w, "t", "{}", &t);
        check_failure(w, &t, EXEC_CLI, cases[i].error);
    }
    use_provider(w, "[provider]\nname=\"p\"\ndescription=\"d\"\nhandler=\"cli\"\n"
                    "cli_command=\"/nowhere/at-all\"\n" TOOL);
    begin(w, "t", "{}", &t);
    check_failure(w, &t, EXEC_CLI,
                  "Failed to spawn CLI process: /nowhere/at-all: No such file or directory");
}

static void arguments_become_words(void **state)
{
    static const struct {
        const char *arguments, *words;
    } cases[] = {
        {"{}", "\"\""},
        {"{\"b\":\"x y\",\"a\":true,\"c\":[1, 2],\"d\":false,\"e\":null,\"f\":1.50}",
         "\"[--a][--b][x y][--c][[1,2]][--d][false][--e][null][--f][1.50]\""},
        {"{\"_positional\":[\"a\",1,{\"k\": 2},true],\"x\":1}", "\"[a][1][{\\\"k\\\":2}][true]\""},
        {"{\"_positional\":\"a\"}", "\"[--_positional][a]\""},
        {"{\"a\":1,\"a\":2}", "\"[--a][2]\""},
        {"{\"\\u00e9\":\"\\n\"}", "\"[--é][\\n]\""},
    };
    struct exec_world *w = *state;
    struct told t;

    use_provider(w, SH("for a; do printf '[%s]' \"$a\"; done") TOOL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin(w, "t", cases[i].arguments, &t);
        check_value(w, &t, cases[i].words);
    }
    begin(w, "t", "{\"a\":\"\\u0000\"}", &t);
    check_failure(w, &t, EXEC_CLI, "Invalid arguments: text with U+0000 or half of a surrogate");
}

static void failures_are_told_with_their_code(void **state)
{
    struct exec_world *w = *state;
    struct told t;

    use_provider(
        w, SH("echo out; echo \"bad $K\" >&2; exit 7") "[provider.cli_env]\nK=\"${long}\"\n" TOOL);
    begin(w, "t", "{}", &t);
    wait_done(w, &t);
    assert_int_equal(t.exit_code, 7);
    assert_int_equal(t.status, 502);
    check_failure(w, &t, EXEC_CLI, "CLI exited with code 7: bad [redacted]\n");
    use_provider(w, SH("kill -9 $$") TOOL);
    begin(w, "t", "{}", &t);
    check_failure(w, &t, EXEC_CLI, "CLI exited with code -1: ");
}

/* The pid that a process wrote into a file, as soon as it is there. */
static pid_t pid_in(struct exec_world *w, const char *name)
{
    uint64_t until = patience();
    char path[128], text[32];

    (void)snprintf(path, sizeof path, "%s/%s", w->folder, name);
    while (clock_monotonic_ms(&clock_system) < until) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

        if (fd >= 0)
            close(fd);
        if (n > 0 && text[n - 1] == '\n')
            return (pid_t)strtol(text, NULL, 10);
        turn(w);
    }
    fail_msg("nobody wrote %s", path);
    return 0;
}

static void wait_gone(struct exec_world *w, pid_t pid)
{
    uint64_t until = patience();

    /* A grandchild is somebody else's to reap: a zombie is gone enough. */
    while (clock_monotonic_ms(&clock_system) < until) {
        char path[64], text[256] = "";
        int fd;

        if (kill(pid, 0) != 0)
            return;
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            (void)!read(fd, text, sizeof text - 1);
            close(fd);
        }
        if (strstr(text, ") Z "))
            return;
        turn(w);
    }
    fail_msg("%d lives", (int)pid);
}

static void a_program_that_takes_too_long_is_ended_with_its_children(void **state)
{
    struct exec_world *w = *state;
    struct told t;
    pid_t child;

    use_provider(w, SH("sleep 1000 & echo $! >$TMPDIR/pid; wait") "cli_timeout_secs=1\n" TOOL);
    begin(w, "t", "{}", &t);
    child = pid_in(w, "pid");
    check_failure(w, &t, EXEC_CLI, "CLI timed out after 1s");
    wait_gone(w, child);
}

static void a_call_that_is_left_leaves_nothing_behind(void **state)
{
    struct exec_world *w = *state;
    struct told t;
    pid_t child;

    use_provider(
        w, SH("sleep 1000 & echo $! >$TMPDIR/pid; echo >\"$2\"; wait") "cli_output_args=[\"-o\"]\n["
                                                                       "provider.cli_env]\nF=\"@{"
                                                                       "long}\"\n" TOOL);
    RUN(w, &t, "-o", "x.txt");
    child = pid_in(w, "pid");
    exec_cancel(t.execution);
    assert_int_equal(t.dones, 0);
    wait_gone(w, child);
    assert_int_equal(files_in(w->folder, ".ati-"), 0);
}

static void outputs_are_captured_by_flag_and_by_place(void **state)
{
#define WRITES                                                                                     \
    "for a; do case \"$a\" in */.ati-cli-out-*) printf hello >\"${a#--out=}\";; esac; done; echo " \
    "\" done \""
    static const char one[] =
        "{\"stdout\":\"done\",\"outputs\":{\"%s\":{\"content_base64\":\"aGVsbG8=\","
        "\"content_type\":\"%s\",\"size_bytes\":5}}}";
    static const struct {
        const char *words[5];
        const char *original, *type;
    } cases[] = {
        {{"--out", "/a/b.txt"}, "/a/b.txt", "text/plain"},
        {{"--OUT", "c.PNG", "more"}, "c.PNG", "image/png"},
        {{"--out=d.tar.gz"}, "d.tar.gz", "application/octet-stream"},
        {{"-o", "--odd"}, "--odd", "application/octet-stream"},
        {{"shot", "x.json"}, "x.json", "application/json"},
        {{"--flag", "shot", "page", "u", "y.pdf"}, "y.pdf", "application/pdf"},
        {{"shot", "--out", "e.csv"}, "e.csv", "text/csv"},
        {{"--out", "same", "-o", "same"}, "same", "application/octet-stream"},
    };
    struct exec_world *w = *state;
    struct told t;

    use_provider(w,
                 SH(WRITES) "cli_output_args=[\"--out\",\"-o\"]\n"
                            "[provider.cli_output_positional]\n\"shot\"=0\n\"shot page\"=1\n" TOOL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t count = 0;
        char want[512];

        while (count < COUNT(cases[i].words) && cases[i].words[count])
            count++;
        run(w, &t, count, cases[i].words);
        (void)snprintf(want, sizeof want, one, cases[i].original, cases[i].type);
        check_value(w, &t, want);
        assert_int_equal(files_in(w->folder, ".ati-"), 0);
    }
    RUN(w, &t, "other", "shot", "z"); /* nothing to capture: the plain value */
    check_value(w, &t, "\"done\"");
    RUN(w, &t, "--out");
    check_value(w, &t, "\"done\"");
    RUN(w, &t, "--out", "a", "--out=b");
    check_value(
        w, &t,
        "{\"stdout\":\"done\",\"outputs\":{\"a\":{\"content_base64\":\"aGVsbG8=\",\"content_type\":"
        "\"application/octet-stream\",\"size_bytes\":5},\"b\":{\"content_base64\":\"aGVsbG8=\","
        "\"content_type\":\"application/octet-stream\",\"size_bytes\":5}}}");
}

static void a_captured_file_keeps_its_extension_and_is_as_large_as_allowed(void **state)
{
    struct exec_world *w = *state;
    struct told t;

    use_provider(
        w, SH("echo \"$2\"; head -c \"$3\" /dev/zero >\"$2\"") "cli_output_args=[\"-o\"]\n" TOOL);
    RUN(w, &t, "-o", "a.b.tgz", "1000000");
    wait_done(w, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    assert_non_null(strstr(t.value, ".tgz\",\"outputs\""));
    assert_non_null(strstr(t.value, "\"size_bytes\":1000000}"));
    assert_true(strlen(t.value) > 1333336);
    told_done(&t);
    RUN(w, &t, "-o", "a", "1000001");
    check_failure(w, &t, EXEC_CLI,
                  "Captured output 'a' exceeds ATI_CLI_MAX_OUTPUT_BYTES (1000000 bytes)");
    assert_int_equal(files_in(w->folder, ".ati-"), 0);
}

static void what_was_not_written_or_is_no_file_is_told(void **state)
{
    struct exec_world *w = *state;
    struct told t;

    use_provider(w, SH("$3 \"$4\" \"$2\"") "cli_output_args=[\"-o\"]\n" TOOL);
    RUN(w, &t, "-o", "/x/y", "true");
    check_failure(w, &t, EXEC_CLI, "Captured output '/x/y' was not produced by the CLI");
    RUN(w, &t, "-o", "link", "ln -s", "/etc/passwd"); /* is no link that leads elsewhere */
    wait_done(w, &t);
    assert_int_equal(t.outcome, EXEC_CLI);
    told_done(&t);
    use_provider(w, SH("ln -s /etc/passwd \"$2\"") "cli_output_args=[\"-o\"]\n" TOOL);
    RUN(w, &t, "-o", "link");
    check_failure(w, &t, EXEC_CLI, "Captured output 'link' was not produced by the CLI");
    use_provider(w, SH("mkfifo \"$2\"") "cli_output_args=[\"-o\"]\n" TOOL);
    RUN(w, &t, "-o", "fifo");
    check_failure(w, &t, EXEC_CLI, "Captured output 'fifo' was not produced by the CLI");
    use_provider(w, SH("echo x >\"$2\"; exit 3") "cli_output_args=[\"-o\"]\n" TOOL);
    RUN(w, &t, "-o", "f");
    check_failure(w, &t, EXEC_CLI, "CLI exited with code 3: ");
    assert_int_equal(files_in(w->folder, ".ati-"), 0);
}

static void what_dead_processes_left_is_swept(void **state)
{
    struct exec_world *w = *state;
    char dead[64], ours[64], other[64];
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (!pid)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)snprintf(dead, sizeof dead, ".ati-cli-out-%d-0123456789abcdef.png", (int)pid);
    (void)snprintf(ours, sizeof ours, ".ati-cli-out-%d-0123456789abcdef", (int)getpid());
    (void)snprintf(other, sizeof other, ".ati-cli-outer-%d-0123456789abcdef", (int)pid);
    write_file(w->folder, dead, "x");
    write_file(w->folder, ours, "x");
    write_file(w->folder, other, "x");
    temporary_sweep(w->environment);
    assert_int_equal(files_in(w->folder, dead), 0);
    assert_int_equal(files_in(w->folder, ".ati-cli-out"), 2);
}

static void an_ephemeral_credential_is_gone_after_its_call(void **state)
{
    struct exec_world *w = *state;
    struct creds creds = {.list = NULL};
    struct err err = {0};
    char folder[96], *path;

    (void)snprintf(folder, sizeof folder, "%s/.creds", w->folder);
    assert_true(creds_file(&creds, w->folder, w->keyring, VIEW("long"), &path, &err));
    free(path);
    creds_done(&creds);
    assert_int_equal(files_in(folder, "lon"), 1); /* of a keyring that lasts, it stays */
    assert_false(creds_file(&creds, NULL, w->keyring, VIEW("long"), &path, &err));
    assert_int_equal(err.code, ERR_CONFIG);
}

static int lock_one(const char *folder, const char *name, int how)
{
    char path[160];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && flock(fd, how) == 0);
    return fd;
}

static void credentials_of_processes_that_are_gone_are_removed(void **state)
{
    struct exec_world *w = *state;
    char folder[96], from[160], to[160];
    int owner;

    (void)snprintf(folder, sizeof folder, "%s/.creds", w->folder);
    creds_sweep(NULL);
    creds_sweep(w->folder); /* there may be no such folder */
    (void)mkdir(folder, 0700);
    write_file(folder, "gone_0123456789abcdef", "x");
    write_file(folder, "a_b_0123456789abcdef", "x");
    write_file(folder, "held_0123456789abcdef", "x");
    write_file(folder, "key", "x");
    write_file(folder, "key_0123456789abcde", "x");
    write_file(folder, "key_0123456789abcdeF", "x");
    write_file(folder, "_0123456789abcdef", "x");
    write_file(folder, ".k_0123456789abcdef", "x");
    write_file(w->folder, "elsewhere", "kept");
    (void)snprintf(from, sizeof from, "%s/elsewhere", w->folder);
    (void)snprintf(to, sizeof to, "%s/link_0123456789abcdef", folder);
    assert_int_equal(symlink(from, to), 0);
    (void)snprintf(to, sizeof to, "%s/hard_0123456789abcdef", folder);
    assert_int_equal(link(from, to), 0);
    (void)snprintf(to, sizeof to, "%s/folder_0123456789abcdef", folder);
    assert_int_equal(mkdir(to, 0700), 0);
    owner = lock_one(folder, "held_0123456789abcdef", LOCK_SH);
    creds_sweep(w->folder);
    assert_int_equal(files_in(folder, "gone"), 0);
    assert_int_equal(files_in(folder, "a_b"), 0);
    assert_int_equal(files_in(folder, "held"), 1);
    assert_int_equal(files_in(folder, "ke"), 3);
    assert_int_equal(files_in(folder, "_0"), 1);
    assert_int_equal(files_in(folder, ".k"), 1);
    assert_int_equal(files_in(folder, "link"), 1);
    assert_int_equal(files_in(folder, "hard"), 1);
    assert_int_equal(files_in(folder, "folder"), 1);
    close(lock_one(w->folder, "elsewhere", LOCK_SH));
    close(owner);
    creds_sweep(w->folder);
    assert_int_equal(files_in(folder, "held"), 0);
}

static void two_limits_on_arguments(void **state)
{
    struct exec_world *w = *state;
    static struct view many[CHILD_ARGUMENTS_MAX + 1];
    struct told t;

    use_provider(w, SH("exit 0") TOOL);
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = VIEW("x");
    begin_request(
        w, "t", &(struct exec_request){.words = many, .word_count = COUNT(many), .has_words = true},
        &t);
    check_failure(w, &t, EXEC_CLI, "more than 4096 arguments");
    many[0] = view_from("a\0b", 3);
    begin_request(w, "t", &(struct exec_request){.words = many, .word_count = 1, .has_words = true},
                  &t);
    check_failure(w, &t, EXEC_CLI, "argument 1 holds a NUL");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_open, exec_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_program_prints_is_the_value),
        TEST(a_program_sees_what_is_given_to_it_and_nothing_else),
        TEST(what_cannot_be_given_ends_the_call),
        TEST(arguments_become_words),
        TEST(failures_are_told_with_their_code),
        TEST(a_program_that_takes_too_long_is_ended_with_its_children),
        TEST(a_call_that_is_left_leaves_nothing_behind),
        TEST(outputs_are_captured_by_flag_and_by_place),
        TEST(a_captured_file_keeps_its_extension_and_is_as_large_as_allowed),
        TEST(what_was_not_written_or_is_no_file_is_told),
        TEST(what_dead_processes_left_is_swept),
        TEST(an_ephemeral_credential_is_gone_after_its_call),
        TEST(credentials_of_processes_that_are_gone_are_removed),
        TEST(two_limits_on_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
