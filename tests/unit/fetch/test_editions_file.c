/* The remembered editions on disk: whole, private, and not lost between processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <cmocka.h>

#include "base/file.h"
#include "fetch/editions_file.h"

enum { PROCESSES = 8, EACH = 6, PATH_BYTES = 512 };

struct folder {
    char parent[64], path[PATH_BYTES], file[2 * PATH_BYTES], lock[2 * PATH_BYTES];
};

static void folder_open(struct folder *f)
{
    (void)snprintf(f->parent, sizeof f->parent, "/tmp/editions-XXXXXX");
    assert_non_null(mkdtemp(f->parent));
    (void)snprintf(f->path, sizeof f->path, "%s/deep/postern", f->parent);
    (void)snprintf(f->file, sizeof f->file, "%s/editions.json", f->path);
    (void)snprintf(f->lock, sizeof f->lock, "%s/editions.lock", f->path);
}

static void folder_close(struct folder *f)
{
    char deep[PATH_BYTES];

    (void)snprintf(deep, sizeof deep, "%s/deep", f->parent);
    (void)unlink(f->file);
    (void)unlink(f->lock);
    (void)rmdir(f->lock);
    (void)rmdir(f->path);
    (void)rmdir(deep);
    assert_int_equal(rmdir(f->parent), 0);
}

static struct edition family(unsigned n, uint32_t number)
{
    struct edition e = {.tee = TEE_TDX, .tcb_info = number, .qe_identity = number};

    e.fmspc[0] = (uint8_t)n;
    return e;
}

static void keep(const struct folder *f, const struct edition *e)
{
    struct attest_err err;

    if (!editions_keep(f->path, e, &err))
        fail_msg("%s", err.text);
}

static struct editions *load(const struct folder *f)
{
    struct editions *e = NULL;
    struct attest_err err;

    if (!editions_load(f->path, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static void nothing_is_known_before_something_is_kept(void **state)
{
    struct edition one = family(1, 17), lower = family(1, 16);
    struct editions *e;
    struct stat status;
    struct folder f;

    (void)state;
    folder_open(&f);
    e = load(&f);
    assert_int_equal(e->count, 0);
    free(e);
    assert_int_equal(access(f.path, F_OK), -1); /* looking makes nothing */
    keep(&f, &one);
    keep(&f, &lower);
    e = load(&f);
    assert_int_equal(e->count, 1);
    assert_int_equal(e->all[0].tcb_info, 17);
    free(e);
    assert_int_equal(stat(f.file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(f.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    folder_close(&f);
}

static void a_file_that_is_none_is_an_error_and_stays(void **state)
{
    struct edition one = family(1, 17);
    struct attest_err err;
    struct editions *e;
    struct folder f;
    struct buf text;

    (void)state;
    folder_open(&f);
    keep(&f, &one);
    assert_true(file_write(f.file, VIEW("{\"editions\":"), 0600, NULL));
    assert_false(editions_load(f.path, &e, &err));
    assert_int_equal(err.code, ATTEST_EDITIONS);
    assert_non_null(strstr(err.text, f.file));
    assert_non_null(strstr(err.text, "delete it"));
    assert_false(editions_keep(f.path, &one, &err));
    assert_int_equal(err.code, ATTEST_EDITIONS);
    buf_init(&text, 100, "text");
    assert_true(file_read(f.file, &text, NULL));
    assert_true(view_eq(buf_view(&text), VIEW("{\"editions\":")));
    buf_done(&text);
    folder_close(&f);
}

static void what_cannot_be_written_says_so(void **state)
{
    struct edition one = family(1, 17);
    struct attest_err err;
    struct folder f;

    (void)state;
    folder_open(&f);
    assert_false(editions_keep("/proc/postern", &one, &err));
    assert_int_equal(err.code, ATTEST_EDITIONS);
    keep(&f, &one);
    assert_int_equal(unlink(f.lock), 0);
    assert_int_equal(mkdir(f.lock, 0700), 0); /* no lock can be there */
    assert_false(editions_keep(f.path, &one, &err));
    assert_non_null(strstr(err.text, "editions.lock"));
    folder_close(&f);
}

/* Each process keeps families of its own, and raises one that all share. */
static void processes_side_by_side_lose_nothing(void **state)
{
    struct editions *e;
    struct edition all = family(0, 0);
    struct folder f;

    (void)state;
    folder_open(&f);
    for (unsigned p = 0; p < PROCESSES; p++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child)
            continue;
        for (unsigned i = 0; i < EACH; i++) {
            struct edition own = family(1 + p * EACH + i, p), common = family(0, 1 + p * EACH + i);

            if (!editions_keep(f.path, &own, NULL) || !editions_keep(f.path, &common, NULL))
                _exit(1);
        }
        _exit(0);
    }
    for (unsigned p = 0; p < PROCESSES; p++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    e = load(&f);
    assert_int_equal(e->count, 1 + PROCESSES * EACH);
    assert_int_equal(editions_find(e, &all)->tcb_info, PROCESSES * EACH);
    free(e);
    folder_close(&f);
}

/* Who holds the lock is waited for, and what he wrote is there afterwards. */
static void a_lock_is_waited_for(void **state)
{
    struct edition mine = family(1, 17), theirs = family(2, 17);
    struct editions *e;
    struct buf text;
    struct folder f;
    int fd, status;
    pid_t child;

    (void)state;
    folder_open(&f);
    keep(&f, &mine);
    fd = open(f.lock, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        close(fd); /* its copy is the parent's lock */
        _exit(editions_keep(f.path, &theirs, NULL) ? 0 : 1);
    }
    e = load(&f);
    mine.tcb_info = 18;
    assert_true(editions_raise(e, &mine));
    buf_init(&text, EDITIONS_BYTES_MAX, "text");
    assert_true(editions_write(e, &text, NULL));
    assert_true(file_write(f.file, buf_view(&text), 0600, NULL));
    buf_done(&text);
    free(e);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    assert_int_equal(flock(fd, LOCK_UN), 0);
    close(fd);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    e = load(&f);
    assert_int_equal(e->count, 2);
    assert_int_equal(editions_find(e, &mine)->tcb_info, 18);
    free(e);
    folder_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_something_is_kept),
        cmocka_unit_test(a_file_that_is_none_is_an_error_and_stays),
        cmocka_unit_test(what_cannot_be_written_says_so),
        cmocka_unit_test(processes_side_by_side_lose_nothing),
        cmocka_unit_test(a_lock_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
