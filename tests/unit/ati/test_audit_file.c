#include "ati/audit/audit.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { WHEN_S = 1800000000 };

static char folder[] = "/tmp/test_audit.XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][96];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static struct audit *audit_of(const char *name, bool threaded, uint64_t rotate_bytes, unsigned keep)
{
    const struct audit_options options = {path_of(name), rotate_bytes, keep, threaded, NULL};
    struct audit *a = NULL;
    struct err err = {0};

    if (!audit_open(&options, &a, &err) || (threaded && !audit_start(a, &err)))
        fail_msg("%s", err.text);
    return a;
}

static void say(struct audit *a, const char *tool, int64_t second)
{
    const struct audit_record r = {
        .when_ms = second * 1000, .tool = view_str(tool), .ok = true, .exit_code = -1};

    audit_write(a, &r);
}

/* Tools of the lines found, one a line. */
static void note(void *context, struct view line)
{
    struct buf *out = context;
    struct json_tree tree;
    char name[64];

    assert_true(json_load(line, 64, &tree, NULL));
    assert_true(json_string(&tree.doc, json_member(&tree.doc, 0, "tool"), name, sizeof name));
    json_unload(&tree);
    assert_true(buf_appendf(out, NULL, "%s\n", name));
}

static void finds(const char *name, const struct audit_query *query, const char *tools)
{
    struct buf out;
    struct err err = {0};

    buf_init(&out, 16 * 1024 * 1024, "found");
    if (!audit_search(path_of(name), query, note, &out, &err))
        fail_msg("%s", err.text);
    if (!view_eq(buf_view(&out), view_str(tools)))
        fail_msg("found\n%.*sinstead of\n%s", VIEW_ARG(buf_view(&out)), tools);
    buf_done(&out);
}

static void count(void *context, struct view line)
{
    struct json_tree tree;

    assert_true(json_load(line, 64, &tree, NULL));
    json_unload(&tree);
    ++*(size_t *)context;
}

static size_t lines_of(const char *name)
{
    const struct audit_query all = {.last = 0};
    size_t lines = 0;

    assert_true(audit_search(path_of(name), &all, count, &lines, NULL));
    return lines;
}

static void lines_are_there_at_once_and_private(void **state)
{
    struct audit *a = audit_of("plain", false, 0, 0);
    const struct audit_query all = {.last = 0};
    struct stat s;

    (void)state;
    say(a, "one", WHEN_S);
    finds("plain", &all, "one\n");
    say(a, "two", WHEN_S);
    finds("plain", &all, "one\ntwo\n");
    audit_close(a);
    a = audit_of("plain", false, 0, 0); /* appended */
    say(a, "three", WHEN_S);
    audit_close(a);
    finds("plain", &all, "one\ntwo\nthree\n");
    assert_int_equal(stat(path_of("plain"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    audit_close(NULL);
}

static void a_thread_writes_all_before_the_end(void **state)
{
    struct audit *a = audit_of("threaded", true, 0, 0);

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        say(a, "x", WHEN_S);
    audit_close(a);
    assert_int_equal(lines_of("threaded"), 10000);
}

static void *hammer(void *context)
{
    for (unsigned i = 0; i < 5000; i++)
        say(context, "y", WHEN_S);
    return NULL;
}

static void threads_share_one(void **state)
{
    struct audit *a = audit_of("shared", true, 0, 0);
    pthread_t threads[4];
    uint64_t dropped;

    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, a), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    dropped = audit_dropped(a);
    audit_close(a);
    assert_int_equal(lines_of("shared") + dropped, 20000);
    assert_int_equal(dropped, 0);
}

static void processes_share_and_rotate_a_file(void **state)
{
    enum { PROCESSES = 4, EACH = 400 };

    (void)state;
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            struct audit *a = audit_of("processes", i % 2, 8192, 100);

            for (int k = 0; k < EACH; k++)
                say(a, "z", WHEN_S);
            audit_close(a);
            _exit(0);
        }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(access(path_of("processes.1"), F_OK), 0);
    assert_int_equal(lines_of("processes"), PROCESSES * EACH);
}

static void rotated_files_are_kept_by_number(void **state)
{
    struct audit *a = audit_of("rotated", false, 1, 2); /* after every line */
    const struct audit_query all = {.last = 0}, two = {.last = 2}, nine = {.last = 9};

    (void)state;
    finds("rotated", &all, "");
    say(a, "one", WHEN_S);
    say(a, "two", WHEN_S);
    finds("rotated", &all, "one\ntwo\n");
    say(a, "three", WHEN_S);
    finds("rotated", &all, "two\nthree\n");
    say(a, "four", WHEN_S);
    finds("rotated", &all, "three\nfour\n");
    finds("rotated", &two, "three\nfour\n");
    finds("rotated", &nine, "three\nfour\n");
    assert_int_not_equal(access(path_of("rotated.3"), F_OK), 0);
    audit_close(a);
}

static void a_file_that_was_moved_is_followed(void **state)
{
    const struct audit_query all = {.last = 0};

    (void)state;
    for (int threaded = 0; threaded < 2; threaded++) {
        struct audit *a = audit_of("moved", threaded, 0, 0);

        say(a, "one", WHEN_S);
        if (threaded) { /* written out, then moved */
            audit_close(a);
            a = audit_of("moved", threaded, 0, 0);
        }
        assert_int_equal(rename(path_of("moved"), path_of("away")), 0);
        audit_reopen(a);
        say(a, "two", WHEN_S);
        audit_close(a);
        finds("away", &all, "one\n");
        finds("moved", &all, "two\n");
        assert_int_equal(unlink(path_of("moved")), 0);
    }
}

static void what_cannot_be_written_is_counted(void **state)
{
    const struct audit_options nowhere = {"/nonexistent/audit.jsonl", 0, 0, false, NULL};
    const struct audit_options full = {"/dev/full", 0, 0, false, NULL};
    struct audit *a = NULL;
    struct err err = {0};

    (void)state;
    assert_false(audit_open(&nowhere, &a, &err));
    assert_non_null(strstr(err.text, "/nonexistent/audit.jsonl"));
    assert_true(audit_open(&full, &a, NULL));
    say(a, "x", WHEN_S);
    say(a, "x", WHEN_S);
    assert_int_equal(audit_dropped(a), 2);
    audit_close(a);
}

/* Files of ours may grow to so many bytes; a write is cut there, as a disk that is full does it. */
static void files_may_have(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void no_line_is_left_half_written(void **state)
{
    struct audit *a = audit_of("cut", false, 0, 0), *other = audit_of("cut", false, 0, 0);
    const struct audit_query all = {.last = 0};
    struct stat s, after;

    (void)state;
    say(a, "one", WHEN_S);
    assert_int_equal(stat(path_of("cut"), &s), 0);
    files_may_have((rlim_t)s.st_size + 20);
    say(a, "lost", WHEN_S);
    files_may_have(RLIM_INFINITY);
    assert_int_equal(audit_dropped(a), 1);
    assert_int_equal(stat(path_of("cut"), &after), 0);
    assert_int_equal(after.st_size, s.st_size);
    say(other, "two", WHEN_S);
    say(a, "three", WHEN_S);
    finds("cut", &all, "one\ntwo\nthree\n");
    audit_close(a);
    audit_close(other);
}

/* Waits for a line of the log. */
static void hears(int fd, const char *text)
{
    char line[4096] = "";
    size_t n = 0;

    while (!strstr(line, text)) {
        ssize_t got = read(fd, line + n, sizeof line - 1 - n);

        assert_true(got > 0);
        n += (size_t)got;
        line[n] = '\0';
    }
}

static void lines_wait_for_room(void **state)
{
    struct audit_options options = {path_of("waits"), 0, 0, true, NULL};
    struct log_sink *sink;
    struct audit *a = NULL;
    struct stat s;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(log_sink_new(ends[1], LOG_JSON, LOG_INFO, &clock_system, &sink, NULL));
    assert_true(log_new(sink, &options.log, NULL));
    assert_true(audit_open(&options, &a, NULL) && audit_start(a, NULL));
    files_may_have(150);
    for (size_t i = 0; i < 5; i++)
        say(a, "x", WHEN_S);
    hears(ends[0], "\"audit.failed\"");
    assert_int_equal(stat(path_of("waits"), &s), 0);
    assert_in_range(s.st_size, 1, 150);
    assert_int_equal(lines_of("waits"), 1);
    files_may_have(RLIM_INFINITY);
    hears(ends[0], "\"audit.written\"");
    say(a, "x", WHEN_S);
    audit_close(a);
    assert_int_equal(lines_of("waits"), 6);
    log_sink_free(sink);
    close(ends[0]);
    close(ends[1]);
}

static void finds_by_tool_time_and_number(void **state)
{
    static const struct {
        const char *tool;
        int64_t since_s;
        size_t last;
        const char *found;
    } rows[] = {
        {"", 0, 0, "a:x\na:y\nb\na:x\n"},
        {"a:x", 0, 0, "a:x\na:x\n"},
        {"a:*", 0, 0, "a:x\na:y\na:x\n"},
        {"a", 0, 0, ""},
        {"*", 0, 0, "a:x\na:y\nb\na:x\n"},
        {"A:x", 0, 0, ""},
        {"", WHEN_S + 10, 0, "a:y\nb\na:x\n"},
        {"", WHEN_S + 11, 0, "b\na:x\n"},
        {"", WHEN_S + 31, 0, ""},
        {"", 0, 1, "a:x\n"},
        {"", 0, 3, "a:y\nb\na:x\n"},
        {"", 0, 100, "a:x\na:y\nb\na:x\n"},
        {"a:*", 0, 2, "a:y\na:x\n"},
        {"a:*", WHEN_S + 20, 2, "a:x\n"},
    };
    static const char *const odd[] = {"\n",
                                      "not JSON\n",
                                      "{}\n",
                                      "[]\n",
                                      "7\n",
                                      "{\"tool\":\"a:x\"}\n",
                                      "{\"tool\":7,\"ts\":\"2027-01-15T08:00:00+00:00\"}\n",
                                      "{\"tool\":\"a:x\",\"ts\":7}\n",
                                      "{\"tool\":\"a:x\",\"ts\":"};
    struct audit *a = audit_of("search", false, 0, 0);
    FILE *f;

    (void)state;
    for (size_t i = 0; i < COUNT(odd); i++) {
        static const char *const tools[] = {"a:x", "a:y", "b", "a:x"};

        if (i < COUNT(tools))
            say(a, tools[i], WHEN_S + 10 * (int64_t)i);
        f = fopen(path_of("search"), "ae"); /* what is odd stands in between */
        assert_non_null(f);
        assert_true(fputs(odd[i], f) >= 0 && fclose(f) == 0);
    }
    audit_close(a);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct audit_query query = {view_str(rows[i].tool), rows[i].since_s, rows[i].last};

        finds("search", &query, rows[i].found);
    }
}

/* Written by somebody with nanoseconds, and without a line end behind the last line. */
static void reads_lines_of_others(void **state)
{
    const struct audit_query since = {.since_s = 1795297417};

    (void)state;
    assert_true(file_write(
        path_of("others"),
        VIEW("{\"ts\":\"2026-11-21T21:43:36.999999999+00:00\",\"tool\":\"early\",\"args\":{}}\n"
             "{\"ts\":\"2026-11-21T21:43:37.168843739+00:00\",\"tool\":\"late\",\"args\":{}}"),
        0600, NULL));
    finds("others", &since, "late\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_there_at_once_and_private),
        cmocka_unit_test(a_thread_writes_all_before_the_end),
        cmocka_unit_test(threads_share_one),
        cmocka_unit_test(processes_share_and_rotate_a_file),
        cmocka_unit_test(rotated_files_are_kept_by_number),
        cmocka_unit_test(a_file_that_was_moved_is_followed),
        cmocka_unit_test(what_cannot_be_written_is_counted),
        cmocka_unit_test(no_line_is_left_half_written),
        cmocka_unit_test(lines_wait_for_room),
        cmocka_unit_test(finds_by_tool_time_and_number),
        cmocka_unit_test(reads_lines_of_others),
    };
    char command[64];
    int failed;

    (void)signal(SIGXFSZ, SIG_IGN);
    if (!mkdtemp(folder))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : 1; /* NOLINT(cert-env33-c): our own folder */
}
