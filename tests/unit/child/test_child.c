#include "child/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

enum { LONG_MS = 60 * 1000, OUTPUT_MAX = 64 * 1024 * 1024 };

struct world {
    struct loop *loop;
    char folder[64];
    unsigned fds; /* open before */
};

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    assert_int_equal(closedir(dir), 0);
    return n;
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->fds = count_fds();
    assert_true(loop_new(&clock_system, &w->loop, NULL));
    snprintf(w->folder, sizeof w->folder, "/tmp/postern-child-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    *state = w;
    return 0;
}

/* Processes that one of ours has started, zombies among them; the first of them. */
static unsigned count_children(pid_t parent, pid_t *first)
{
    char path[64], line[1024] = "";
    unsigned n = 0;
    FILE *file;
    char *end;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    assert_int_equal(fclose(file), 0);
    for (char *at = line; strtol(at, &end, 10) > 0; at = end)
        if (n++ == 0)
            *first = (pid_t)strtol(at, NULL, 10);
    return n;
}

/* No process, no zombie and no descriptor is left, but the helper. */
static int close_world(void **state)
{
    struct world *w = *state;
    char command[96];

    pid_t helper = child_helper_pid(), only = 0;

    child_end_all(w->loop);
    loop_free(w->loop);
    if (helper) {
        assert_int_equal(count_children(getpid(), &only), 1);
        assert_int_equal(only, helper);
        assert_int_equal(count_children(helper, &only), 0);
    } else {
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
    assert_int_equal(count_fds(), w->fds);
    snprintf(command, sizeof command, "rm -rf %s", w->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
    free(w);
    return 0;
}

static void turn(struct world *w)
{
    assert_true(loop_turn(w->loop, 5000, NULL));
}

/* While something is waited for that the loop is not told of. */
static void look_again(struct world *w)
{
    assert_true(loop_turn(w->loop, 5, NULL));
}

/* --- collected -------------------------------------------------------------------------------------- */

struct outcome {
    bool done, timed_out, too_large;
    int exit_code, signo;
    struct buf text;
    size_t error_len;
    char error[64]; /* its end */
    struct err failed;
};

static void taken(void *context, struct child_output *output)
{
    struct outcome *o = context;

    assert_false(o->done);
    o->done = true;
    o->timed_out = output->timed_out;
    o->too_large = output->too_large;
    o->exit_code = output->exit_code;
    o->signo = output->signo;
    o->text = output->text;
    buf_init(&output->text, 0, "taken");
    o->error_len = output->error.len;
    snprintf(o->error, sizeof o->error, "%.*s",
             VIEW_ARG(view_skip(output->error, o->error_len > 60 ? o->error_len - 60 : 0)));
    if (output->failed)
        o->failed = *output->failed;
}

static char *usual[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};

static struct child_job *begin(struct world *w, struct outcome *o, const char *script,
                               size_t output_max, uint64_t timeout_ms)
{
    const char *arguments[] = {"-c", script, NULL};
    struct child_command command = {
        .program = "sh", .arguments = arguments, .environment = usual, .folder = w->folder};
    struct child_job *job = NULL;
    struct err err = {0};

    *o = (struct outcome){0};
    if (!child_run(w->loop, &command, output_max, timeout_ms, taken, o, &job, &err))
        fail_msg("%s", err.text);
    assert_false(o->done);
    return job;
}

static void run(struct world *w, struct outcome *o, const char *script)
{
    begin(w, o, script, OUTPUT_MAX, LONG_MS);
    while (!o->done)
        turn(w);
}

static void assert_text(struct outcome *o, const char *text)
{
    struct view v = buf_view(&o->text);

    assert_int_equal(v.len, strlen(text));
    assert_memory_equal(v.len ? (const char *)v.at : "", text, v.len);
    buf_done(&o->text);
}

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

static bool alive(pid_t pid)
{
    char path[64], state = 'X', line[512];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return false;
    if (fgets(line, sizeof line, file))
        state = *(strrchr(line, ')') + 2);
    assert_int_equal(fclose(file), 0);
    return state != 'Z' && state != 'X';
}

/* The number that a script wrote into a file of the folder, once it is there in full. */
static pid_t number_in(struct world *w, const char *name)
{
    char path[128], line[32] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    while (!strchr(line, '\n')) {
        look_again(w);
        file = fopen(path, "r");
        if (file) {
            if (!fgets(line, sizeof line, file))
                line[0] = '\0';
            assert_int_equal(fclose(file), 0);
        }
    }
    return (pid_t)strtol(line, NULL, 10);
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

/* --- what it inherits ------------------------------------------------------------------------------- */

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

/* --- talk ------------------------------------------------------------------------------------------- */

struct talk {
    struct child *child;
    struct buf text;
    bool ended;
    int status;
    uint64_t unread;
    size_t total;
    bool abandon; /* at the first output */
};

static void heard(void *context, struct view piece)
{
    struct talk *t = context;

    t->total += piece.len;
    if (t->total <= 1024 * 1024)
        assert_true(buf_append(&t->text, piece, NULL));
    if (t->abandon)
        child_abandon(t->child);
}

static void talk_ended(void *context, int status, struct view error)
{
    struct talk *t = context;

    (void)error;
    t->ended = true;
    t->status = status;
    t->unread = child_unread(t->child);
}

static void open_talk(struct world *w, struct talk *t, const char *script)
{
    static const struct child_receiver receiver = {.output = heard, .ended = talk_ended};
    const char *arguments[] = {"-c", script, NULL};
    struct child_command command = {
        .program = "sh", .arguments = arguments, .environment = usual, .folder = w->folder};
    struct err err = {0};

    *t = (struct talk){0};
    buf_init(&t->text, 2 * 1024 * 1024, "talk");
    if (!child_open(w->loop, &command, &receiver, t, &t->child, &err))
        fail_msg("%s", err.text);
}

/* A helper takes its time. */
static pid_t pid_of(struct world *w, const struct talk *t)
{
    while (child_helper_pid() && !child_pid(t->child))
        turn(w);
    assert_true(child_pid(t->child) > 0);
    return child_pid(t->child);
}

static void talks_both_ways(void **state)
{
    struct world *w = *state;
    struct talk t;

    open_talk(w, &t, "while read line; do echo got $line; done; echo bye");
    assert_true(child_write(t.child, VIEW("one\n"), NULL));
    (void)pid_of(w, &t);
    while (buf_len(&t.text) < 8)
        turn(w);
    assert_true(child_write(t.child, VIEW("two\n"), NULL));
    child_close_input(t.child);
    assert_false(child_write(t.child, VIEW("three\n"), NULL));
    while (!t.ended)
        turn(w);
    assert_int_equal(t.status, 0);
    assert_true(view_eq(buf_view(&t.text), VIEW("got one\ngot two\nbye\n")));
    buf_done(&t.text);
}

static void large_input_comes_back_whole(void **state)
{
    struct world *w = *state;
    struct talk t;
    struct err err = {0};
    enum { LOTS = 40 * 1024 * 1024 };
    uint8_t *lots = malloc(LOTS);

    assert_non_null(lots);
    memset(lots, 'x', LOTS);
    open_talk(w, &t, "cat");
    assert_true(child_write(t.child, view_from(lots, LOTS), &err));
    assert_false(child_write(t.child, view_from(lots, LOTS), &err)); /* CHILD_INPUT_MAX */
    assert_int_equal(err.code, ERR_LIMIT);
    child_close_input(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(t.total, LOTS);
    buf_done(&t.text);
    free(lots);
}

static void a_child_may_stop_reading(void **state)
{
    struct world *w = *state;
    struct talk t;
    struct err err = {0};

    open_talk(w, &t, "exec 0<&-; echo closed; exec sleep 1000");
    while (!buf_len(&t.text))
        turn(w);
    assert_false(child_write(t.child, VIEW("x"), &err));
    assert_int_equal(err.code, ERR_IO);
    assert_false(t.ended);
    child_stop(t.child);
    child_stop(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(WTERMSIG(t.status), SIGTERM);
    buf_done(&t.text);
}

static void tells_what_was_never_read(void **state)
{
    struct world *w = *state;
    struct talk t;
    static char lots[200000]; /* more than a pipe holds */
    char file[128];
    int fd;

    open_talk(w, &t, "head -c 3 >&2");
    assert_true(child_write(t.child, VIEW("onetwofour"), NULL));
    while (!t.ended)
        turn(w);
    assert_int_equal(t.unread, 7);
    buf_done(&t.text);

    memset(lots, 'x', sizeof lots);
    open_talk(w, &t, "while [ ! -e written ]; do sleep 0.01; done");
    assert_true(child_write(t.child, view_from(lots, sizeof lots), NULL));
    snprintf(file, sizeof file, "%s/written", w->folder);
    fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    while (!t.ended)
        turn(w);
    assert_int_equal(t.unread, sizeof lots);
    buf_done(&t.text);

    open_talk(w, &t, "cat >/dev/null");
    assert_true(child_write(t.child, view_from(lots, sizeof lots), NULL));
    child_close_input(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(t.unread, 0);
    buf_done(&t.text);
}

static void standard_error_can_be_seen_while_it_runs(void **state)
{
    struct world *w = *state;
    struct talk t;

    open_talk(w, &t, "echo warning >&2; read line; exit 5");
    while (!child_error(t.child).len)
        turn(w);
    assert_true(view_eq(child_error(t.child), VIEW("warning\n")));
    assert_true(child_write(t.child, VIEW("go\n"), NULL));
    while (!t.ended)
        turn(w);
    assert_int_equal(WEXITSTATUS(t.status), 5);
    buf_done(&t.text);
}

static void may_be_abandoned_while_it_speaks(void **state)
{
    struct world *w = *state;
    struct talk t;
    pid_t pid;

    open_talk(w, &t, "while :; do echo and so on; done");
    pid = pid_of(w, &t);
    t.abandon = true;
    while (alive(pid))
        look_again(w);
    assert_false(t.ended);
    assert_true(t.total <= 64 * 1024);
    buf_done(&t.text);
}

static void the_end_of_a_loop_kills_all_of_its(void **state)
{
    struct world *w = *state;
    struct talk a, b;
    pid_t first, second;

    open_talk(w, &a, "trap '' TERM; sleep 1000 & wait");
    open_talk(w, &b, "sleep 1000");
    first = pid_of(w, &a);
    second = pid_of(w, &b);
    child_stop(a.child);
    child_end_all(w->loop);
    assert_false(alive(first) || alive(second));
    assert_false(a.ended || b.ended);
    buf_done(&a.text);
    buf_done(&b.text);
}

/* --- many ------------------------------------------------------------------------------------------- */

static void five_hundred_at_once(void **state)
{
    struct world *w = *state;
    enum { MANY = 500 };
    static struct outcome o[MANY];
    const char *arguments[] = {NULL};
    struct child_command command = {
        .program = "pwd", .arguments = arguments, .environment = usual, .folder = w->folder};
    struct child_job *job;

    for (size_t i = 0; i < MANY; i++) {
        o[i] = (struct outcome){0};
        assert_true(child_run(w->loop, &command, OUTPUT_MAX, LONG_MS, taken, &o[i], &job, NULL));
    }
    for (size_t i = 0; i < MANY; i++) {
        while (!o[i].done)
            turn(w);
        assert_int_equal(o[i].exit_code, 0);
        assert_int_equal(buf_len(&o[i].text), strlen(w->folder) + 1);
        buf_done(&o[i].text);
    }
}

static void *loop_of_its_own(void *context)
{
    struct world w = {0};
    struct outcome o;

    snprintf(w.folder, sizeof w.folder, "%s", (const char *)context);
    assert_true(loop_new(&clock_system, &w.loop, NULL));
    for (int i = 0; i < 50; i++) {
        run(&w, &o, "echo $PPID; exit 9");
        assert_int_equal(o.exit_code, 9);
        assert_int_equal(strtol((const char *)buf_view(&o.text).at, NULL, 10),
                         child_helper_pid() ? child_helper_pid() : getpid());
        buf_done(&o.text);
    }
    child_end_all(w.loop);
    loop_free(w.loop);
    return NULL;
}

static void several_loops_have_children_of_their_own(void **state)
{
    struct world *w = *state;
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, loop_of_its_own, w->folder), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* --- with a helper ---------------------------------------------------------------------------------- */

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

/* More than the helper is asked at a time, of which some are not wanted any more when their turn comes. */
static void many_are_cancelled_and_stopped_before_they_run(void **state)
{
    struct world *w = *state;
    enum { MANY = 200 };
    static struct outcome o[MANY];
    struct child_job *jobs[MANY];

    for (size_t i = 0; i < MANY; i++)
        jobs[i] = begin(w, &o[i], "exec sleep 1000", OUTPUT_MAX, i % 2 ? 1 : LONG_MS);
    for (size_t i = 0; i < MANY; i += 2)
        child_cancel(jobs[i]);
    for (size_t i = 1; i < MANY; i += 2) {
        while (!o[i].done)
            turn(w);
        assert_true(o[i].timed_out);
        assert_int_equal(o[i].signo, SIGTERM);
        buf_done(&o[i].text);
    }
    for (size_t i = 0; i < MANY; i += 2)
        assert_false(o[i].done);
}

static bool helper_holds(const char *text)
{
    char path[64], line[256];
    size_t len = strlen(text);
    bool found = false;
    FILE *maps;
    int mem;

    snprintf(path, sizeof path, "/proc/%d/mem", (int)child_helper_pid());
    mem = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)child_helper_pid());
    maps = fopen(path, "r");
    if (mem < 0 || !maps) {
        print_message("its memory can be seen by root alone\n");
        skip();
    }
    while (!found && fgets(line, sizeof line, maps)) {
        char *end, *rights = strchr(line, ' ');
        unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, NULL, 16);
        char *bytes;
        ssize_t n;

        if (!rights || strncmp(rights, " rw", 3) != 0 || to - from > (256UL << 20))
            continue;
        bytes = malloc(to - from);
        assert_non_null(bytes);
        n = pread(mem, bytes, to - from, (off_t)from);
        found = n > 0 && memmem(bytes, (size_t)n, text, len);
        free(bytes);
    }
    assert_int_equal(fclose(maps), 0);
    assert_int_equal(close(mem), 0);
    return found;
}

/* Put together here, so that the program's own text does not hold it. */
static void planted(char out[static 64], const char *what)
{
    snprintf(out, 64, "%s-%s-%d", "planted", what, (int)getpid());
}

/* What it has from us, and had no reason to forget. */
static char kept[64];

static void the_helper_keeps_nothing_of_what_it_forwards(void **state)
{
    struct world *w = *state;
    char secret[64], line[128], *environment[] = {usual[0], line, NULL};
    const char *arguments[] = {"-c", "test ${#SECRET} -gt 8", NULL};
    struct child_command command = {
        .program = "sh", .arguments = arguments, .environment = environment, .folder = w->folder};
    struct child_job *job = NULL;
    struct outcome o = {0};

    planted(secret, "variable");
    snprintf(line, sizeof line, "SECRET=%s", secret);
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, NULL));
    while (!o.done)
        turn(w);
    assert_int_equal(o.exit_code, 0);
    assert_false(helper_holds(secret + 8));
    assert_true(helper_holds(kept));
    planted(secret, "environment"); /* of ours, from before it was started */
    assert_false(helper_holds(secret + 8));
}

/* Somebody who has a helper with two children, one of which has a child of its own, and is killed. */
static _Noreturn void be_killed(struct world *w)
{
    struct talk t[2];

    if (!child_helper_start("second", NULL, NULL) || !loop_new(&clock_system, &w->loop, NULL))
        _exit(1);
    open_talk(w, &t[0], "echo $PPID >helper; trap '' TERM; sleep 1000 & echo $! >inner; wait");
    open_talk(w, &t[1], "echo $$ >child; exec sleep 1000");
    for (;;)
        (void)!loop_turn(w->loop, 1000, NULL);
}

static void all_end_with_the_one_they_work_for(void **state)
{
    struct world *w = *state;
    pid_t user = fork(), helper, child, inner;

    assert_true(user >= 0);
    if (user == 0)
        be_killed(w);
    helper = number_in(w, "helper");
    inner = number_in(w, "inner");
    child = number_in(w, "child");
    assert_true(alive(helper) && alive(inner) && alive(child));
    assert_int_equal(kill(helper, SIGTERM), 0); /* which is not for it */
    assert_int_equal(kill(user, SIGKILL), 0);
    assert_int_equal(waitpid(user, NULL, 0), user);
    while (alive(helper) || alive(inner) || alive(child))
        look_again(w);
}

/* The last one: there is no helper any more. */
static void without_its_helper_nothing_is_started_and_nobody_hangs(void **state)
{
    struct world *w = *state;
    pid_t helper = child_helper_pid(), pid;
    struct child_command command = {
        .program = "true", .arguments = (const char *const[]){NULL}, .environment = usual};
    struct child_job *job = NULL;
    struct outcome o[2];
    struct err err = {0};
    struct talk t;

    open_talk(w, &t, "sleep 1000");
    pid = pid_of(w, &t);
    assert_int_equal(kill(helper, SIGSTOP), 0);
    begin(w, &o[0], "true", OUTPUT_MAX, LONG_MS);
    begin(w, &o[1], "true", OUTPUT_MAX, 1);
    assert_int_equal(kill(helper, SIGKILL), 0);
    while (!o[0].done || !o[1].done || !t.ended)
        turn(w);
    assert_false(alive(pid));
    assert_int_equal(WTERMSIG(t.status), SIGKILL);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(o[i].failed.text, "sh: the process that starts programs has ended");
    assert_false(child_run(w->loop, &command, 1, LONG_MS, taken, &o[0], &job, &err));
    assert_string_equal(err.text, "true: the process that starts programs has ended");
    child_end_all(w->loop);
    assert_false(child_run(w->loop, &command, 1, LONG_MS, taken, &o[0], &job, &err));
    assert_string_equal(err.text, "true: the process that starts programs has ended");
    child_end_all(w->loop);
    child_helper_stop();
    w->fds--; /* the line to it */
    buf_done(&t.text);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)
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
        IN_WORLD(talks_both_ways),
        IN_WORLD(large_input_comes_back_whole),
        IN_WORLD(a_child_may_stop_reading),
        IN_WORLD(tells_what_was_never_read),
        IN_WORLD(standard_error_can_be_seen_while_it_runs),
        IN_WORLD(may_be_abandoned_while_it_speaks),
        IN_WORLD(the_end_of_a_loop_kills_all_of_its),
        IN_WORLD(five_hundred_at_once),
        IN_WORLD(several_loops_have_children_of_their_own),
        IN_WORLD(many_are_cancelled_and_stopped_before_they_run),
    };
    const struct CMUnitTest helper_tests[] = {
        IN_WORLD(the_helper_keeps_nothing_of_what_it_forwards),
        IN_WORLD(without_its_helper_nothing_is_started_and_nobody_hangs),
    };
    const struct CMUnitTest before[] = {IN_WORLD(all_end_with_the_one_they_work_for)};
    char secret[64];
    int failed = cmocka_run_group_tests_name("started by ourselves", tests, NULL, NULL) +
                 cmocka_run_group_tests_name("somebody else's helper", before, NULL, NULL);

    planted(secret, "environment");
    failed += setenv("CHILD_TEST_ENVIRONMENT", secret, 1);
    secret_wipe(secret, sizeof secret); /* the helper is a copy of us */
    planted(kept, "memory");
    if (!child_helper_start("test-helper", environ, NULL))
        return 1;
    failed += cmocka_run_group_tests_name("started by a helper", tests, NULL, NULL) +
              cmocka_run_group_tests_name("the helper", helper_tests, NULL, NULL);
    return failed;
}
