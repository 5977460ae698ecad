/* Which files stay readable, and which changes of them are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "net/confine.h"
#include "net/watch.h"

enum { SETTLE_MS = 100 };

static char folder[] = "/tmp/test_confine.XXXXXX";
static uint64_t now_ms = 1000;

static uint64_t hand_monotonic_ms(void *context)
{
    (void)context;
    return now_ms;
}

static int64_t hand_wall_ms(void *context)
{
    (void)context;
    return 0;
}

static const struct clock hand_clock = {hand_monotonic_ms, hand_wall_ms, NULL};

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) && mkdir(in_folder("live"), 0700) == 0 &&
                   mkdir(in_folder("archive"), 0700) == 0 &&
                   file_write(in_folder("archive/key1.pem"), VIEW("1"), 0600, NULL) &&
                   symlink("../archive/key1.pem", in_folder("live/key.pem")) == 0
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command); /* NOLINT(cert-env33-c): our own folder */
}

static void a_link_keeps_both_folders(void **state)
{
    struct confine_paths *p = calloc(1, sizeof *p);
    char real[4096];

    (void)state;
    assert_non_null(p);
    confine_folder_of(p, NULL);
    confine_path(p, NULL);
    assert_int_equal(p->count, 0);
    confine_folder_of(p, in_folder("live/key.pem"));
    assert_int_equal(p->count, 2);
    assert_string_equal(p->list[0], in_folder("live"));
    assert_non_null(realpath(in_folder("archive"), real));
    assert_string_equal(p->list[1], real);
    confine_folder_of(p, in_folder("live/other.pem")); /* is not there; its folder is known */
    assert_int_equal(p->count, 2);
    confine_folder_of(p, "in-this-folder.pem");
    assert_string_equal(p->list[2], ".");
    confine_folder_of(p, "/key.pem");
    assert_string_equal(p->list[3], "/");
    assert_null(p->list[4]);
    assert_false(p->full);
    free(p);
}

static void what_does_not_fit_is_not_left_out_silently(void **state)
{
    struct confinement *c = calloc(1, sizeof *c);
    struct sandbox_report report;
    char path[CONFINE_PATH_BYTES + 2];
    struct err err;

    (void)state;
    assert_non_null(c);
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    confine_path(&c->read, path);
    assert_true(c->read.full);
    assert_false(confine(c, &report, &err));
    assert_non_null(strstr(err.text, "the sandbox knows at most"));
    memset(c, 0, sizeof *c);
    for (int i = 0; i <= CONFINE_PATHS_MAX; i++) {
        (void)snprintf(path, sizeof path, "/%d", i);
        confine_path(&c->write, path);
    }
    assert_false(confine(c, &report, &err));
    free(c);
}

static void count(void *context)
{
    ++*(int *)context;
}

static void turn(struct loop *loop)
{
    assert_true(loop_turn(loop, 0, NULL));
}

static void changes_that_come_together_are_told_once(void **state)
{
    struct loop *loop;
    struct watch w = {0};
    int calls = 0;

    (void)state;
    assert_true(loop_new(&hand_clock, &loop, NULL));
    watch_close(&w); /* not open */
    assert_true(watch_open(&w, loop, SETTLE_MS, count, &calls, NULL));
    assert_true(watch_file(&w, NULL, NULL));
    assert_true(watch_file(&w, in_folder("live/key.pem"), NULL));
    assert_false(watch_file(&w, "/nonexistent/folder/key.pem", NULL));
    assert_true(file_write(in_folder("live/cert.pem"), VIEW("1"), 0600, NULL));
    turn(loop);
    now_ms += SETTLE_MS / 2;
    assert_int_equal(unlink(in_folder("live/key.pem")), 0);
    assert_int_equal(symlink("../archive/key2.pem", in_folder("live/key.pem")), 0);
    turn(loop);
    now_ms += SETTLE_MS - 2 * TIMER_TICK_MS; /* of the first change it is long ago */
    turn(loop);
    turn(loop);
    assert_int_equal(calls, 0);
    now_ms += 4 * TIMER_TICK_MS;
    turn(loop);
    turn(loop);
    assert_int_equal(calls, 1);
    watch_close(&w);
    assert_true(file_write(in_folder("live/cert.pem"), VIEW("2"), 0600, NULL));
    now_ms += 10 * SETTLE_MS;
    turn(loop);
    assert_int_equal(calls, 1);
    loop_free(loop);
}

static void without_a_wait_they_are_told_at_once(void **state)
{
    struct loop *loop;
    struct watch w = {0};
    int calls = 0;

    (void)state;
    assert_true(loop_new(&hand_clock, &loop, NULL));
    assert_true(watch_open(&w, loop, 0, count, &calls, NULL));
    assert_true(watch_file(&w, in_folder("live/cert.pem"), NULL));
    assert_true(file_write(in_folder("live/cert.pem"), VIEW("3"), 0600, NULL));
    turn(loop);
    assert_int_equal(calls, 1);
    watch_close(&w);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_keeps_both_folders),
        cmocka_unit_test(what_does_not_fit_is_not_left_out_silently),
        cmocka_unit_test(changes_that_come_together_are_told_once),
        cmocka_unit_test(without_a_wait_they_are_told_at_once),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
