/* Children of a loop, in a folder of their own. */
#pragma once

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

static inline unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    assert_int_equal(closedir(dir), 0);
    return n;
}

static inline int open_world(void **state)
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
static inline unsigned count_children(pid_t parent, pid_t *first)
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
static inline int close_world(void **state)
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

static inline void turn(struct world *w)
{
    assert_true(loop_turn(w->loop, 5000, NULL));
}

/* While something is waited for that the loop is not told of. */
static inline void look_again(struct world *w)
{
    assert_true(loop_turn(w->loop, 5, NULL));
}

struct outcome {
    bool done, timed_out, too_large;
    int exit_code, signo;
    struct buf text;
    size_t error_len;
    char error[64]; /* its end */
    struct err failed;
};

static inline void taken(void *context, struct child_output *output)
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

static inline struct child_job *begin(struct world *w, struct outcome *o, const char *script,
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

static inline void run(struct world *w, struct outcome *o, const char *script)
{
    begin(w, o, script, OUTPUT_MAX, LONG_MS);
    while (!o->done)
        turn(w);
}

static inline void assert_text(struct outcome *o, const char *text)
{
    struct view v = buf_view(&o->text);

    assert_int_equal(v.len, strlen(text));
    assert_memory_equal(v.len ? (const char *)v.at : "", text, v.len);
    buf_done(&o->text);
}

static inline bool alive(pid_t pid)
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
static inline pid_t number_in(struct world *w, const char *name)
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

struct talk {
    struct child *child;
    struct buf text;
    bool ended;
    int status;
    uint64_t unread;
    size_t total;
    bool abandon; /* at the first output */
};

static inline void heard(void *context, struct view piece)
{
    struct talk *t = context;

    t->total += piece.len;
    if (t->total <= 1024 * 1024)
        assert_true(buf_append(&t->text, piece, NULL));
    if (t->abandon)
        child_abandon(t->child);
}

static inline void talk_ended(void *context, int status, struct view error)
{
    struct talk *t = context;

    (void)error;
    t->ended = true;
    t->status = status;
    t->unread = child_unread(t->child);
}

static inline void open_talk(struct world *w, struct talk *t, const char *script)
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
static inline pid_t pid_of(struct world *w, const struct talk *t)
{
    while (child_helper_pid() && !child_pid(t->child))
        turn(w);
    assert_true(child_pid(t->child) > 0);
    return child_pid(t->child);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

/* Started by ourselves, then by a helper. */
#define BOTH_WAYS(tests) both_ways(tests, sizeof(tests) / sizeof *(tests))
static inline int both_ways(const struct CMUnitTest *tests, size_t count)
{
    int failed = _cmocka_run_group_tests("started by ourselves", tests, count, NULL, NULL);

    if (!child_helper_start("test-helper", environ, NULL))
        return 1;
    return failed + _cmocka_run_group_tests("started by a helper", tests, count, NULL, NULL);
}
