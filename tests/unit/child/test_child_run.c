/* Programs that are run to their end, and what they inherit. */
#include "child_world.h"

static void tells_how_a_program_ended_and_what_it_said(void **state)
{
    struct world *w = *state;
    struct outcome o;

    run(w, &o, "echo said; echo wrong >&2; exit 7");
    assert_int_equal(o.exit_code, 7);
    assert_int_equal(o.signo, 0);
    assert_string_equal(o.error, "wrong\n");
    assert_text(&o, "said\n");

    run(w, &o, "printf before; kill -SEGV $$");
    assert_int_equal(o.exit_code, -1);
    assert_int_equal(o.signo, SIGSEGV);
    assert_text(&o, "before");

    run(w, &o, "cat; echo end"); /* its input is empty */
    assert_int_equal(o.exit_code, 0);
    assert_text(&o, "end\n");
}

static void collects_much_output_up_to_its_limit(void **state)
{
    struct world *w = *state;
    struct outcome o;

    run(w, &o,
        "head -c 20000000 /dev/zero; head -c 3000000 /dev/zero | tr '\\0' e >&2; echo . >&2");
    assert_int_equal(o.exit_code, 0);
    assert_false(o.too_large);
    assert_int_equal(buf_len(&o.text), 20000000);
    assert_int_equal(o.error_len, CHILD_ERROR_BYTES);
    assert_string_equal(o.error + 57, "e.\n");
    buf_done(&o.text);

    begin(w, &o, "cat /dev/zero", 100000, LONG_MS);
    while (!o.done)
        turn(w);
    assert_true(o.too_large);
    assert_int_equal(buf_len(&o.text), 0);

    begin(w, &o, "head -c 100000 /dev/zero", 100000, LONG_MS);
    while (!o.done)
        turn(w);
    assert_false(o.too_large);
    assert_int_equal(buf_len(&o.text), 100000);
    buf_done(&o.text);
}

static void a_time_out_ends_the_whole_group(void **state)
{
    struct world *w = *state;
    struct outcome o;
    pid_t grandchild;

    /* The second one closes its output and ignores what is polite. */
    begin(w, &o,
          "(trap '' TERM; exec >/dev/null 2>&1; sh -c 'echo $PPID >stubborn; sleep 1000; sleep "
          "1000') & "
          "sleep 1000",
          OUTPUT_MAX, 300);
    while (!o.done)
        turn(w);
    assert_true(o.timed_out);
    assert_int_equal(o.signo, SIGTERM);
    buf_done(&o.text);
    grandchild = number_in(w, "stubborn");
    while (alive(grandchild))
        look_again(w);

    begin(w, &o, "trap '' TERM; echo $$ >self; while :; do sleep 1000; done", OUTPUT_MAX, 300);
    while (!o.done)
        turn(w);
    assert_true(o.timed_out);
    assert_int_equal(o.signo, SIGKILL);
    buf_done(&o.text);
}

static void what_holds_the_output_open_is_cut_off(void **state)
{
    struct world *w = *state;
    struct outcome o;

    run(w, &o, "echo early; (echo $$ >pid; sleep 1000) & exit 3");
    assert_int_equal(o.exit_code, 3);
    assert_text(&o, "early\n");

    /* One that left the group as well is not ours to kill; we do not wait for it either. */
    run(w, &o,
        "setsid sh -c 'echo $$ >escaped; exec sleep 1000' & while [ ! -s escaped ]; do sleep 0.01; "
        "done; exit 4");
    assert_int_equal(o.exit_code, 4);
    buf_done(&o.text);
    assert_int_equal(kill(number_in(w, "escaped"), SIGKILL), 0);
}

static void a_cancelled_one_is_killed_and_not_heard_of(void **state)
{
    struct world *w = *state;
    struct outcome o;
    struct child_job *job = begin(w, &o, "echo $$ >self; sleep 1000 & wait", OUTPUT_MAX, LONG_MS);
    pid_t pid = number_in(w, "self");

    assert_true(alive(pid));
    child_cancel(job);
    while (alive(pid))
        look_again(w);
    assert_false(o.done);
}

static void cannot_be_started(void **state)
{
    struct world *w = *state;
    char file[128], text[256];
    static char *nowhere[] = {(char *)(uintptr_t) "PATH=/nonexistent", NULL};
    const struct {
        const char *program;
        char **environment;
        const char *folder;
        enum err_code code;
        const char *text;
    } cases[] = {
        {"/nonexistent/program", usual, NULL, ERR_NOT_FOUND,
         "/nonexistent/program: No such file or directory"},
        {"no-such-program", usual, NULL, ERR_NOT_FOUND,
         "no-such-program: No such file or directory"},
        {"sh", nowhere, NULL, ERR_NOT_FOUND, "sh: No such file or directory"},
        {"/etc/passwd", usual, NULL, ERR_DENIED, "/etc/passwd: Permission denied"},
        {"/etc", usual, NULL, ERR_DENIED, "/etc: Permission denied"},
        {"sh", usual, "/nonexistent", ERR_NOT_FOUND,
         "sh: folder /nonexistent: No such file or directory"},
        {file, usual, NULL, ERR_IO, NULL},
    };
    const char *arguments[] = {NULL};
    struct child_job *job = NULL;
    struct outcome o = {0};
    struct err err;
    FILE *f;

    snprintf(file, sizeof file, "%s/no-interpreter", w->folder);
    f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs("echo a script that does not say whose\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(file, 0755), 0);
    snprintf(text, sizeof text, "%s: Exec format error", file);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct child_command command = {.program = cases[i].program,
                                        .arguments = arguments,
                                        .environment = cases[i].environment,
                                        .folder = cases[i].folder};

        err = (struct err){0};
        o = (struct outcome){0};
        if (!child_helper_pid()) {
            assert_false(child_run(w->loop, &command, 1, 1, taken, &o, &job, &err));
            assert_false(o.done);
        } else { /* its answer comes later */
            assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err));
            assert_false(o.done);
            while (!o.done)
                turn(w);
            assert_int_equal(o.exit_code, -1);
            err = o.failed;
        }
        assert_string_equal(err.text, cases[i].text ? cases[i].text : text);
        assert_int_equal(err.code, cases[i].code);
    }
}

static void refuses_too_many_arguments(void **state)
{
    struct world *w = *state;
    static const char *arguments[CHILD_ARGUMENTS_MAX + 2];
    struct child_command command = {
        .program = "true", .arguments = arguments, .environment = usual};
    struct child_job *job = NULL;
    struct outcome o = {0};
    struct err err = {0};

    for (size_t i = 0; i <= CHILD_ARGUMENTS_MAX; i++)
        arguments[i] = "x";
    assert_false(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    arguments[CHILD_ARGUMENTS_MAX] = NULL;
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err));
    while (!o.done)
        turn(w);
    assert_int_equal(o.exit_code, 0);
}

/* A program that somebody still writes. */
static void a_busy_file_is_tried_again(void **state)
{
    struct world *w = *state;
    char file[128], text[256];
    const char *arguments[] = {NULL};
    struct child_command command = {.program = file, .arguments = arguments, .environment = usual};
    struct child_job *job = NULL;
    struct outcome o = {0};
    struct err err = {0};
    int fd;

    snprintf(file, sizeof file, "%s/true", w->folder);
    snprintf(text, sizeof text, "cp /bin/true %s", file);
    assert_int_equal(system(text), 0); /* NOLINT(cert-env33-c) */
    fd = open(file, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err));
    while (!o.done)
        turn(w);
    assert_int_equal(o.exit_code, -1);
    snprintf(text, sizeof text, "%s: Text file busy", file);
    assert_string_equal(o.failed.text, text);

    o = (struct outcome){0};
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err));
    assert_int_equal(close(fd), 0);
    while (!o.done)
        turn(w);
    assert_int_equal(o.failed.code, ERR_NONE);
    assert_int_equal(o.exit_code, 0);

    /* Stopped and cancelled before it ran. */
    fd = open(file, O_WRONLY | O_CLOEXEC);
    o = (struct outcome){0};
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err));
    child_cancel(job);
    assert_true(child_run(w->loop, &command, 1, 1, taken, &o, &job, &err));
    while (!o.done)
        turn(w);
    assert_true(o.timed_out);
    assert_int_equal(o.signo, SIGTERM);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 3; i++)
        look_again(w);
}

static void sees_its_own_environment_alone(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"HOME", "CHILD_TEST_SHOWN", "CHILD_TEST_UNSET", NULL};
    const char *arguments[] = {"/proc/self/environ", NULL};
    struct child_environment e;
    struct child_command command = {.program = "cat", .arguments = arguments};
    struct child_job *job = NULL;
    struct outcome o = {0};
    struct err err = {0};
    struct view v;
    static const char expected[] =
        "HOME=/home/of/test\0CHILD_TEST_SHOWN=a=b\0EMPTY=\0PATH=/usr/bin:/bin";

    assert_int_equal(setenv("HOME", "/home/of/test", 1), 0);
    assert_int_equal(setenv("CHILD_TEST_SHOWN", "a=b", 1), 0);
    assert_int_equal(setenv("CHILD_TEST_SECRET", "never", 1), 0);
    {
        char *ours[] = {(char *)(uintptr_t) "HOME=/home/of/test",
                        (char *)(uintptr_t) "CHILD_TEST_SHOWN=a=b",
                        (char *)(uintptr_t) "CHILD_TEST_SECRET=never", NULL};

        assert_true(child_environment_init(&e, ours, names, &err));
    }
    assert_true(child_environment_set(&e, VIEW("EMPTY"), VIEW("first"), &err));
    assert_true(child_environment_set(&e, VIEW("PATH"), VIEW("/usr/bin:/bin"), &err));
    assert_true(child_environment_set(&e, VIEW("EMPTY"), VIEW(""), &err));
    assert_int_equal(e.count, 4);
    assert_false(child_environment_set(&e, VIEW(""), VIEW("x"), &err));
    assert_false(child_environment_set(&e, VIEW("A=B"), VIEW("x"), &err));
    assert_false(child_environment_set(&e, VIEW("A\0B"), VIEW("x"), &err));
    assert_false(child_environment_set(&e, VIEW("SECRET"), VIEW("hid\0den"), &err));
    assert_string_equal(err.text, "environment variable SECRET: its value holds a NUL byte");
    assert_int_equal(e.count, 4);
    command.environment = e.list;
    assert_true(child_run(w->loop, &command, OUTPUT_MAX, LONG_MS, taken, &o, &job, &err));
    child_environment_done(&e);
    while (!o.done)
        turn(w);
    v = buf_view(&o.text);
    assert_int_equal(v.len, sizeof expected);
    assert_memory_equal(v.at, expected, sizeof expected);
    buf_done(&o.text);
}

/* A program without a shell before it, which has descriptors and a mask of its own. */
static void run_alone(struct world *w, struct outcome *o, const char *program, const char *first,
                      const char *second, const char *third)
{
    const char *arguments[] = {first, second, third, NULL};
    struct child_command command = {
        .program = program, .arguments = arguments, .environment = usual, .folder = w->folder};
    struct child_job *job;

    *o = (struct outcome){0};
    assert_true(child_run(w->loop, &command, OUTPUT_MAX, LONG_MS, taken, o, &job, NULL));
    while (!o->done)
        turn(w);
    assert_int_equal(o->exit_code, 0);
}

static void inherits_no_descriptor_no_mask_and_no_rights(void **state)
{
    struct world *w = *state;
    struct outcome o[4];
    int open_fd = open("/etc/passwd", O_RDONLY); /* NOLINT(android-cloexec-open) */
    struct sigaction ignored = {.sa_handler = SIG_IGN}, before;
    long pid, group, session;
    sigset_t mask, old;
    char *end;

    assert_true(open_fd >= 0);
    sigfillset(&mask);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, &old), 0);
    assert_int_equal(sigaction(SIGUSR1, &ignored, &before), 0);
    run_alone(w, &o[0], "ls", "/proc/self/fd", NULL, NULL);
    run_alone(w, &o[1], "grep", "-E", "^(SigBlk|SigIgn|NoNewPrivs)", "/proc/self/status");
    run_alone(w, &o[2], "cut", "-d ", "-f1,5,6", "/proc/self/stat");
    run_alone(w, &o[3], "pwd", NULL, NULL, NULL);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    assert_int_equal(close(open_fd), 0);
    assert_text(&o[0], "0\n1\n2\n3\n"); /* the last one is how it looks */
    assert_text(&o[1], "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nNoNewPrivs:\t1\n");
    assert_true(buf_append_byte(&o[2].text, '\0', NULL));
    pid = strtol((const char *)buf_view(&o[2].text).at, &end, 10);
    group = strtol(end, &end, 10);
    session = strtol(end, &end, 10);
    assert_true(pid > 0 && pid == group && pid == session && *end == '\n');
    buf_done(&o[2].text);
    assert_int_equal(buf_len(&o[3].text), strlen(w->folder) + 1);
    buf_done(&o[3].text);
}

/* Our own 0, 1 and 2 are closed: the pipes would get their numbers. */
static void works_without_streams_of_our_own(void **state)
{
    struct world *w = *state;
    struct outcome o;
    int saved[3];

    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        assert_true(saved[i] >= 0);
    }
    for (int i = 0; i < 3; i++)
        close(i);
    begin(w, &o, "cat; echo out; echo wrong >&2", OUTPUT_MAX, LONG_MS);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    while (!o.done)
        turn(w);
    assert_string_equal(o.error, "wrong\n");
    assert_text(&o, "out\n");
}

static void too_much_for_the_kernel(void **state)
{
    struct world *w = *state;
    enum { ONE = 256 * 1024, ALL = 10 * 1024 * 1024 };
    static const size_t sizes[] = {ONE, ALL};
    char *lots = malloc(ALL + 1);
    const char *arguments[] = {lots, NULL};
    struct child_command command = {
        .program = "true", .arguments = arguments, .environment = usual};
    struct child_job *job = NULL;
    struct outcome o = {0};
    struct err err = {0};

    assert_non_null(lots);
    memset(lots, 'x', ALL);
    for (size_t i = 0; i < 2; i++) {
        lots[sizes[i]] = '\0';
        o = (struct outcome){0};
        if (child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, &err)) {
            assert_int_not_equal(child_helper_pid(), 0);
            while (!o.done)
                turn(w);
            err = o.failed;
        }
        lots[sizes[i]] = 'x';
        assert_int_equal(err.code, ERR_LIMIT);
        assert_string_equal(err.text, "true: Argument list too long");
    }
    free(lots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(tells_how_a_program_ended_and_what_it_said),
        IN_WORLD(collects_much_output_up_to_its_limit),
        IN_WORLD(a_time_out_ends_the_whole_group),
        IN_WORLD(what_holds_the_output_open_is_cut_off),
        IN_WORLD(a_cancelled_one_is_killed_and_not_heard_of),
        IN_WORLD(cannot_be_started),
        IN_WORLD(refuses_too_many_arguments),
        IN_WORLD(too_much_for_the_kernel),
        IN_WORLD(a_busy_file_is_tried_again),
        IN_WORLD(sees_its_own_environment_alone),
        IN_WORLD(inherits_no_descriptor_no_mask_and_no_rights),
        IN_WORLD(works_without_streams_of_our_own),
    };

    return BOTH_WAYS(tests);
}
