/* Files in results and arguments: only where the caller said, and whole. */
#include "../base/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/cli/run.h"
#include "base/file.h"

enum { MAX = 1024 * 1024 };

struct place {
    char folder[64], inner[128];
};

static int begin(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    if (!p)
        return -1;
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/ati-run-XXXXXX");
    *state = p;
    if (!mkdtemp(p->folder) || chdir(p->folder) != 0)
        return -1;
    (void)snprintf(p->inner, sizeof p->inner, "%s/made/for/it.bin", p->folder);
    return 0;
}

static int end(void **state)
{
    struct place *p = *state;
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf -- %s", p->folder);
    if (chdir("/") != 0 || system(command) != 0) /* NOLINT(cert-env33-c): a name of our own */
        return -1;
    free(p);
    return 0;
}

static void check_file(const char *path, struct view expected)
{
    struct buf content;
    struct err err;

    buf_init(&content, MAX, "test");
    assert_true(file_read(path, &content, &err));
    assert_true(view_eq(buf_view(&content), expected));
    buf_done(&content);
}

struct outcome {
    struct buf out, refused;
    bool good, changed;
    struct err err;
};

static const char *outputs(struct outcome *o, const char *result, const char *const *words,
                           const char *map)
{
    size_t count = 0;

    while (words[count])
        count++;
    buf_init(&o->out, MAX, "test");
    buf_init(&o->refused, MAX, "test");
    o->err.code = ERR_NONE;
    o->good = run_outputs(view_str(result), words, count, view_str(map), &o->out, &o->changed,
                          &o->refused, &o->err);
    assert_true(buf_append_byte(&o->out, '\0', NULL) && buf_append_byte(&o->refused, '\0', NULL));
    return (const char *)buf_view(&o->out).at;
}

static void outcome_done(struct outcome *o)
{
    buf_done(&o->out);
    buf_done(&o->refused);
}

static void a_file_is_written_where_the_words_say(void **state)
{
    struct place *p = *state;
    const char *words[] = {"render", "--out", p->inner, NULL};
    char result[512];
    struct outcome o;
    const char *shown;

    (void)snprintf(result, sizeof result,
                   "{\"stdout\":\"ok\",\"outputs\":{\"%s\":{\"content_base64\":\"aGkAIQ==\","
                   "\"content_type\":\"x/y\",\"size_bytes\":4}}}",
                   p->inner);
    shown = outputs(&o, result, words, "{}");
    assert_true(o.good && o.changed);
    (void)snprintf(
        result, sizeof result,
        "{\"stdout\":\"ok\",\"outputs\":{\"%s\":{\"path\":\"%s\",\"content_type\":\"x/y\","
        "\"size_bytes\":4}}}",
        p->inner, p->inner);
    assert_string_equal(shown, result);
    check_file(p->inner, view_from("hi\0!", 4));
    outcome_done(&o);
}

static void paths_are_known_behind_an_equals_sign_and_in_values(void **state)
{
    static const char result[] = "{\"outputs\":{\"a.txt\":{\"content_base64\":\"YQ==\"},\"b/"
                                 "c.txt\":{\"content_base64\":\"Yg==\"}}}";
    const char *words[] = {"--file=a.txt", NULL};
    struct outcome o;

    (void)state;
    (void)outputs(&o, result, words, "{\"deep\":[{\"path\":\"b\\/c.txt\"}]}");
    assert_true(o.good && o.changed);
    assert_int_equal(buf_len(&o.refused), 1);
    check_file("a.txt", VIEW("a"));
    check_file("b/c.txt", VIEW("b"));
    outcome_done(&o);
}

/* A proxy that names files of its own choice. */
static void other_paths_are_refused(void **state)
{
    static const char result[] =
        "{\"outputs\":{\"ours.txt\":{\"content_base64\":\"YQ==\"},\"../"
        "evil\":{\"content_base64\":\"Yg==\"},"
        "\"/etc/x\":{\"content_base64\":\"Yw==\"},\"urs.txt\":{\"content_base64\":\"Yw==\"}}}";
    const char *words[] = {"ours.txt", "x=/etc/x", NULL};
    struct outcome o;
    const char *shown;

    (void)state;
    shown = outputs(&o, result, words, "{\"a\":\"../evil2\",\"b\":\"xours.txt\"}");
    assert_true(o.good && o.changed);
    assert_string_equal((const char *)buf_view(&o.refused).at, "../evil, /etc/x, urs.txt");
    assert_non_null(strstr(shown, "\"../evil\":{\"content_base64\":\"Yg==\"}"));
    assert_non_null(strstr(shown, "\"ours.txt\":{\"path\":\"ours.txt\"}"));
    assert_int_equal(access("../evil", F_OK), -1);
    assert_int_equal(access("urs.txt", F_OK), -1);
    outcome_done(&o);
}

static void content_that_is_no_base64_is_an_error(void **state)
{
    static const char *const bad[] = {"YQ", "YQ=", "Y Q=", "\\ud800"};
    const char *words[] = {"a.txt", NULL};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char result[128];
        struct outcome o;

        (void)snprintf(result, sizeof result,
                       "{\"outputs\":{\"a.txt\":{\"content_base64\":\"%s\"}}}", bad[i]);
        (void)outputs(&o, result, words, "{}");
        assert_false(o.good);
        assert_non_null(strstr(o.err.text, "a.txt: "));
        assert_int_equal(access("a.txt", F_OK), -1);
        outcome_done(&o);
    }
}

static void results_without_files_are_left_alone(void **state)
{
    static const char *const results[] = {"5", "{}", "[{\"outputs\":{}}]", "{\"outputs\":[1]}",
                                          "not json"};
    const char *words[] = {NULL};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct outcome o;

        (void)outputs(&o, results[i], words, "{}");
        assert_true(o.good);
        assert_false(o.changed);
        outcome_done(&o);
    }
}

static const char *sent(struct buf *out, enum run_files kind, const char *map, char **path,
                        struct err *err)
{
    buf_init(out, MAX, "test");
    if (!run_files_arguments(kind, view_str(map), out, path, err))
        return NULL;
    assert_true(buf_append_byte(out, '\0', NULL));
    return (const char *)buf_view(out).at;
}

static void a_download_keeps_its_destination_to_itself(void **state)
{
    struct buf out;
    struct err err;
    char *path;

    (void)state;
    assert_string_equal(sent(&out, RUN_FILES_DOWNLOAD,
                             "{\"url\":\"http://x/\",\"out\":\"f\",\"inline\":true,\"timeout\":5}",
                             &path, &err),
                        "{\"url\":\"http://x/\",\"timeout\":5}");
    assert_string_equal(path, "f");
    free(path);
    buf_done(&out);
    assert_non_null(sent(&out, RUN_FILES_DOWNLOAD, "{\"url\":\"http://x/\"}", &path, &err));
    assert_null(path);
    buf_done(&out);
}

static void an_upload_sends_the_file(void **state)
{
    struct buf out;
    struct err err;
    char *path;

    (void)state;
    assert_true(file_write("My.PNG", VIEW("data"), 0600, &err));
    assert_string_equal(
        sent(&out, RUN_FILES_UPLOAD, "{\"path\":\"./My.PNG\",\"destination\":\"d\",\"odd\":1}",
             &path, &err),
        "{\"destination\":\"d\",\"filename\":\"My.PNG\",\"content_type\":\"image/png\","
        "\"content_base64\":\"ZGF0YQ==\"}");
    assert_null(path);
    buf_done(&out);
    assert_string_equal(
        sent(&out, RUN_FILES_UPLOAD,
             "{\"path\":\"My.PNG\",\"object_name\":\"o.bin\",\"content_type\":\"a/b\"}", &path,
             &err),
        "{\"filename\":\"o.bin\",\"content_type\":\"a/b\",\"content_base64\":\"ZGF0YQ==\"}");
    buf_done(&out);
    assert_null(sent(&out, RUN_FILES_UPLOAD, "{\"path\":\"nobody\"}", &path, &err));
    assert_non_null(strstr(err.text, "failed to read nobody: "));
    buf_done(&out);
    assert_null(sent(&out, RUN_FILES_UPLOAD, "{}", &path, &err));
    assert_string_equal(err.text, "missing required --path");
    buf_done(&out);
}

static void an_answer_is_written_or_shown(void **state)
{
    static const char answer[] =
        "{\"success\":true,\"size_bytes\":2,\"content_base64\":\"aGk=\",\"content_type\":\"t/p\"}";
    struct buf out;
    struct err err;

    (void)state;
    buf_init(&out, MAX, "test");
    assert_true(run_files_answer(view_str(answer), "new/f", &out, &err));
    assert_true(buf_append_byte(&out, '\0', NULL));
    assert_string_equal(
        (const char *)buf_view(&out).at,
        "{\"success\":true,\"size_bytes\":2,\"content_type\":\"t/p\",\"path\":\"new/f\"}");
    check_file("new/f", VIEW("hi"));
    buf_reset(&out);
    assert_true(run_files_answer(view_str(answer), NULL, &out, &err));
    assert_true(view_eq(buf_view(&out), view_str(answer)));
    buf_reset(&out);
    assert_false(run_files_answer(VIEW("{\"success\":true}"), "g", &out, &err));
    assert_int_equal(access("g", F_OK), -1);
    buf_done(&out);
}

static void both_spellings_are_intercepted(void **state)
{
    (void)state;
    assert_int_equal(run_files_kind(VIEW("file_manager:download")), RUN_FILES_DOWNLOAD);
    assert_int_equal(run_files_kind(VIEW("file_manager_upload")), RUN_FILES_UPLOAD);
    assert_int_equal(run_files_kind(VIEW("file_manager:list")), RUN_FILES_NONE);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_file_is_written_where_the_words_say),
        IN_PLACE(paths_are_known_behind_an_equals_sign_and_in_values),
        IN_PLACE(other_paths_are_refused),
        IN_PLACE(content_that_is_no_base64_is_an_error),
        IN_PLACE(results_without_files_are_left_alone),
        IN_PLACE(a_download_keeps_its_destination_to_itself),
        IN_PLACE(an_upload_sends_the_file),
        IN_PLACE(an_answer_is_written_or_shown),
        IN_PLACE(both_spellings_are_intercepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
