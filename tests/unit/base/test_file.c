/* Whole files: read up to a limit, written whole or not at all. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { BIG = 20 * 1024 /* more than is read at a time */ };

static char folder[] = "/tmp/file-XXXXXX";

static char *path_of(const char *name)
{
    static char path[64];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static unsigned entries(void)
{
    DIR *dir = opendir(folder);
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    assert_int_equal(closedir(dir), 0);
    return n - 2;
}

static void what_was_written_is_read(void **state)
{
    static uint8_t bytes[BIG];
    static const size_t sizes[] = {0, 1, 8191, 8192, 8193, BIG};
    struct err err;

    (void)state;
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (uint8_t)(i * 31);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf got;

        assert_true(file_write(path_of("same"), view_from(bytes, sizes[i]), 0600, &err));
        buf_init(&got, BIG + 3, "content");
        assert_true(buf_append_str(&got, "of", NULL)); /* it is appended */
        assert_true(file_read(path_of("same"), &got, &err));
        assert_int_equal(buf_len(&got), sizes[i] + 2);
        assert_true(view_eq(view_skip(buf_view(&got), 2), view_from(bytes, sizes[i])));
        buf_done(&got);
    }
    assert_int_equal(entries(), 1);
    assert_int_equal(unlink(path_of("same")), 0);
}

static void a_file_may_fill_its_limit_and_not_pass_it(void **state)
{
    static uint8_t bytes[BIG];
    struct err err;

    (void)state;
    for (size_t n = BIG - 1; n <= BIG; n++) {
        struct buf got;

        buf_init(&got, BIG - 1, "content");
        assert_true(file_write(path_of("large"), view_from(bytes, n), 0600, &err));
        assert_int_equal(file_read(path_of("large"), &got, &err), n < BIG);
        if (n == BIG) {
            assert_int_equal(err.code, ERR_LIMIT);
            assert_non_null(strstr(err.text, path_of("large")));
            assert_non_null(strstr(err.text, "content"));
        }
        buf_done(&got);
    }
    assert_int_equal(unlink(path_of("large")), 0);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct buf got;
    struct err err;

    (void)state;
    buf_init(&got, 100, "content");
    assert_false(file_read(path_of("missing"), &got, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/missing: No such file"));
    assert_false(file_read(folder, &got, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "Is a directory"));
    assert_int_equal(buf_len(&got), 0);
    buf_done(&got);
}

static void a_dash_is_standard_input(void **state)
{
    int was = dup(STDIN_FILENO), fd;
    struct buf got;
    struct err err;

    (void)state;
    assert_true(file_write(path_of("input"), VIEW("piped in"), 0600, &err));
    fd = open(path_of("input"), O_RDONLY | O_CLOEXEC);
    assert_true(dup2(fd, STDIN_FILENO) >= 0);
    buf_init(&got, 8, "content");
    assert_true(file_read("-", &got, &err));
    assert_true(view_eq(buf_view(&got), VIEW("piped in")));
    buf_done(&got);
    assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_SET), 0); /* it was not closed */
    buf_init(&got, 7, "content");
    assert_false(file_read("-", &got, &err));
    assert_non_null(strstr(err.text, "standard input"));
    buf_done(&got);
    assert_true(dup2(was, STDIN_FILENO) >= 0);
    close(was);
    close(fd);
    assert_int_equal(unlink(path_of("input")), 0);
}

static void a_new_file_takes_the_old_one_s_place_at_once(void **state)
{
    static const unsigned modes[] = {0600, 0644, 0400};
    struct stat about;
    char old[4] = "";
    struct err err;
    int fd;

    (void)state;
    assert_true(file_write(path_of("place"), VIEW("old"), 0644, &err));
    fd = open(path_of("place"), O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        mode_t was = umask(0077);

        assert_true(file_write(path_of("place"), VIEW("newer"), modes[i], &err));
        (void)umask(was);
        assert_int_equal(stat(path_of("place"), &about), 0);
        assert_int_equal(about.st_mode & 07777, modes[i]);
        assert_int_equal(about.st_size, 5);
    }
    assert_int_equal(read(fd, old, 3), 3); /* who has it open still reads the old one, whole */
    assert_string_equal(old, "old");
    close(fd);
    assert_int_equal(entries(), 1);
    assert_int_equal(unlink(path_of("place")), 0);
}

static void nothing_is_left_of_a_failure(void **state)
{
    char *longest = malloc(5000);
    struct err err;

    (void)state;
    assert_int_equal(mkdir(path_of("in the way"), 0700), 0);
    assert_false(file_write(path_of("in the way"), VIEW("x"), 0600, &err));
    assert_non_null(strstr(err.text, "in the way: "));
    assert_int_equal(entries(), 1); /* the directory, and no file beside it */
    assert_int_equal(rmdir(path_of("in the way")), 0);
    assert_false(file_write(path_of("no/such/folder"), VIEW("x"), 0600, &err));
    assert_non_null(strstr(err.text, "no/such/folder: No such file"));
    memset(longest, 'a', 4999);
    longest[4999] = '\0';
    assert_false(file_write(longest, VIEW("x"), 0600, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    free(longest);
    assert_int_equal(entries(), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void folders_are_made_with_those_they_lie_in(void **state)
{
    char path[96], file[96], far[5000];
    struct stat s;
    struct err err;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/a//b/c", folder);
    (void)snprintf(file, sizeof file, "%s/plain/x", folder);
    assert_true(folders_make(path, 0700, &err));
    assert_true(folders_make(path, 0700, &err)); /* they are there */
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0700);
    assert_true(file_write(path_of("plain"), VIEW("x"), 0600, &err));
    assert_false(folders_make(file, 0700, &err));
    assert_non_null(strstr(err.text, "/plain/x: Not a directory"));
    memset(far, 'x', sizeof far - 1);
    far[sizeof far - 1] = '\0';
    assert_false(folders_make(far, 0700, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(unlink(path_of("plain")), 0);
    for (char *slash; strlen(path) > strlen(folder); *slash = '\0') {
        assert_int_equal(rmdir(path), 0);
        slash = strrchr(path, '/');
        while (slash[-1] == '/')
            slash--;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_file_may_fill_its_limit_and_not_pass_it),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(a_dash_is_standard_input),
        cmocka_unit_test(a_new_file_takes_the_old_one_s_place_at_once),
        cmocka_unit_test(nothing_is_left_of_a_failure),
        cmocka_unit_test(folders_are_made_with_those_they_lie_in),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
