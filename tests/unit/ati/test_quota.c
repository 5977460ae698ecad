#include "ati/quota/quota.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { NOW = 1800000000 };

static char folder[] = "/tmp/test_quota.XXXXXX", file[64];

static struct caller *caller_of(const char *subject, const struct caller_rate *rates, size_t count)
{
    const struct caller_claims claims = {
        .subject = view_str(subject), .scope = VIEW("*"), .rates = rates, .rate_count = count};
    struct caller *c = NULL;

    assert_true(caller_new(&claims, &c, NULL));
    return c;
}

static struct quota *quota_of(const char *path)
{
    struct quota *q = NULL;

    assert_true(quota_new(path, &q, NULL));
    return q;
}

static struct caller *limited(const char *subject, const char *pattern, uint64_t limit,
                              uint64_t window_s)
{
    char copy[64];
    const struct caller_rate rate = {copy, limit, window_s};

    (void)snprintf(copy, sizeof copy, "%s", pattern);
    return caller_of(subject, &rate, 1);
}

/* Seconds to wait; 0: taken. */
static uint64_t ask(struct quota *q, const struct caller *c, const char *tool, int64_t now_s)
{
    uint64_t wait_s = 0;
    struct err err = {0};

    if (quota_take(q, c, tool, now_s, &wait_s, &err))
        return 0;
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(wait_s > 0);
    return wait_s;
}

static void a_window_slides(void **state)
{
    struct quota *q = quota_of(NULL);
    struct caller *c = limited("a", "tool:x", 3, 60);

    (void)state;
    assert_int_equal(ask(q, c, "x", NOW), 0);
    assert_int_equal(ask(q, c, "x", NOW + 10), 0);
    assert_int_equal(ask(q, c, "x", NOW + 20), 0);
    assert_int_equal(ask(q, c, "x", NOW + 20), 40); /* the first one is over at 60 */
    assert_int_equal(ask(q, c, "x", NOW + 59), 1);
    assert_int_equal(ask(q, c, "x", NOW + 60), 0);
    assert_int_equal(ask(q, c, "x", NOW + 60), 10);
    assert_int_equal(ask(q, c, "x", NOW + 70), 0);
    assert_int_equal(ask(q, c, "x", NOW + 1000), 0);
    assert_int_equal(ask(q, c, "x", NOW + 1000), 0);
    assert_int_equal(ask(q, c, "x", NOW + 1000), 0);
    assert_int_equal(ask(q, c, "x", NOW + 1000), 60);
    assert_int_equal(ask(q, c, "y", NOW + 1000), 0); /* another tool */
    caller_unref(c);
    quota_free(q);
}

static void says_which_limit_was_reached(void **state)
{
    static const struct {
        uint64_t limit, window_s;
        const char *text;
    } rows[] = {
        {2, 1, "Rate limit exceeded for 'tool:x*': 2/second (limit: 2/second)"},
        {2, 60, "Rate limit exceeded for 'tool:x*': 2/minute (limit: 2/minute)"},
        {2, 3600, "Rate limit exceeded for 'tool:x*': 2/hour (limit: 2/hour)"},
        {2, 86400, "Rate limit exceeded for 'tool:x*': 2/day (limit: 2/day)"},
        {2, 90, "Rate limit exceeded for 'tool:x*': 2/90s (limit: 2/90s)"},
        {0, 60, "Rate limit exceeded for 'tool:x*': 0/minute (limit: 0/minute)"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct quota *q = quota_of(NULL);
        struct caller *c = limited("a", "tool:x*", rows[i].limit, rows[i].window_s);
        struct err err = {0};
        uint64_t wait_s = 0;

        for (uint64_t n = 0; n < rows[i].limit; n++)
            assert_int_equal(ask(q, c, "xyz", NOW), 0);
        assert_false(quota_take(q, c, "xyz", NOW, &wait_s, &err));
        assert_string_equal(err.text, rows[i].text);
        assert_int_equal(wait_s, rows[i].window_s);
        caller_unref(c);
        quota_free(q);
    }
}

static void callers_count_apart_and_their_tokens_together(void **state)
{
    struct quota *q = quota_of(NULL);
    struct caller *a = limited("a", "*", 1, 60), *b = limited("b", "*", 1, 60),
                  *again = limited("a", "*", 1, 60), *longer = limited("a", "*", 1, 3600);

    (void)state;
    assert_int_equal(ask(q, a, "x", NOW), 0);
    assert_int_equal(ask(q, b, "x", NOW), 0);
    assert_int_equal(ask(q, again, "x", NOW), 60);
    assert_int_equal(ask(q, longer, "x", NOW), 3600);
    assert_int_equal(ask(q, a, "x", NOW + 60), 0);
    assert_int_equal(ask(q, longer, "x", NOW + 61), 3599); /* the last one is over in 59 + 3540 */
    caller_unref(a);
    caller_unref(b);
    caller_unref(again);
    caller_unref(longer);
    quota_free(q);
}

/* All that match must allow it; what is refused is counted nowhere. */
static void every_pattern_is_asked_before_one_is_counted(void **state)
{
    char all[] = "*", tools[] = "tool:*", one[] = "tool:x";
    const struct caller_rate rates[] = {{all, 3, 60}, {tools, 100, 60}, {one, 1, 60}};
    struct quota *q = quota_of(NULL);
    struct caller *c = caller_of("a", rates, COUNT(rates));

    (void)state;
    assert_int_equal(ask(q, c, "x", NOW), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask(q, c, "x", NOW), 60); /* by the third */
    assert_int_equal(ask(q, c, "y", NOW), 0);
    assert_int_equal(ask(q, c, "y", NOW), 0);
    assert_int_equal(ask(q, c, "y", NOW), 60); /* by the first */
    caller_unref(c);
    quota_free(q);
}

static void nobody_is_counted_who_has_no_rates(void **state)
{
    struct quota *q = quota_of(NULL);
    struct caller *c = NULL, *other = limited("a", "tool:github:*", 0, 1);

    (void)state;
    assert_true(caller_dev(&c, NULL));
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask(q, c, "x", NOW), 0);
    assert_int_equal(ask(q, other, "github", NOW), 0);
    assert_int_equal(ask(q, other, "github:x", NOW), 1);
    caller_unref(c);
    caller_unref(other);
    quota_free(q);
    quota_free(NULL);
}

static void a_clock_that_is_set_back_forgets_nothing(void **state)
{
    struct quota *q = quota_of(NULL);
    struct caller *c = limited("a", "*", 2, 60);

    (void)state;
    assert_int_equal(ask(q, c, "x", NOW), 0);
    assert_int_equal(ask(q, c, "x", NOW - 1000), 0);
    assert_true(ask(q, c, "x", NOW - 1000) >= 60);
    assert_int_equal(ask(q, c, "x", NOW + 60), 0);
    caller_unref(c);
    quota_free(q);
}

/* Beside a reference that keeps every call. */
static void agrees_with_a_list_of_all_calls(void **state)
{
    enum { CALLS = 4000, LIMIT = 40, WINDOW = 50 };
    static int64_t taken[CALLS];
    struct quota *q = quota_of(NULL);
    struct caller *c = limited("a", "*", LIMIT, WINDOW);
    uint64_t seed = 88172645463325252;
    int64_t now = NOW;
    size_t count = 0, refused = 0;

    (void)state;
    for (size_t i = 0; i < CALLS; i++) {
        size_t in_window = 0;
        bool good;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        now += (int64_t)(seed % 3 ? 0 : seed / 3 % 4);
        for (size_t k = 0; k < count; k++)
            in_window += taken[k] > now - WINDOW;
        good = ask(q, c, "x", now) == 0;
        assert_int_equal(good, in_window < LIMIT);
        if (good)
            taken[count++] = now;
        else
            refused++;
    }
    assert_true(count > 1000 && refused > 1000);
    caller_unref(c);
    quota_free(q);
}

/* More different seconds than are kept apart: never too many calls, and nearly all that may be. */
static void long_windows_are_kept_short(void **state)
{
    enum { LIMIT = 5000, WINDOW = 86400 };
    struct quota *q = quota_of(NULL);
    struct caller *c = limited("a", "*", LIMIT, WINDOW);
    size_t taken = 0;
    int64_t now = NOW;

    (void)state;
    for (; now < NOW + WINDOW; now += 10)
        taken += ask(q, c, "x", now) == 0;
    assert_int_equal(taken, LIMIT);
    for (taken = 0; now < NOW + 2 * WINDOW; now += 10)
        taken += ask(q, c, "x", now) == 0;
    assert_true(taken <= LIMIT && taken > LIMIT * 9 / 10);
    caller_unref(c);
    quota_free(q);
}

static void memory_is_bounded(void **state)
{
    struct quota *q = quota_of(NULL);
    struct caller *last = limited("last", "*", 1, 86400);
    char subject[32];

    (void)state;
    for (unsigned i = 0; i < QUOTA_WINDOWS_MAX + 10; i++) {
        struct caller *c;

        (void)snprintf(subject, sizeof subject, "agent-%u", i);
        c = limited(subject, "*", 1, 86400);
        assert_int_equal(ask(q, c, "x", NOW), 0);
        if (i % 1000 == 0) /* who keeps asking is not forgotten */
            assert_true(i == 0 ? ask(q, last, "x", NOW) == 0 : ask(q, last, "x", NOW) > 0);
        caller_unref(c);
    }
    assert_true(ask(q, last, "x", NOW) > 0);
    caller_unref(last);
    quota_free(q);
}

static void a_file_outlives_its_process(void **state)
{
    struct quota *q = quota_of(file);
    struct caller *a = limited("agent 7", "tool:x", 2, 3600), *b = limited("b", "*", 1, 60);
    struct buf text;
    struct stat s;

    (void)state;
    assert_int_equal(ask(q, a, "x", NOW), 0);
    assert_int_equal(ask(q, a, "x", NOW + 5), 0);
    assert_int_equal(ask(q, b, "x", NOW + 5), 0);
    quota_free(q);
    buf_init(&text, 4096, "state");
    assert_true(file_read(file, &text, NULL));
    assert_true(view_eq(buf_view(&text),
                        VIEW("{\"calls\":{\"tool:x agent 7\":[1800000000,1800000005],\"* b\":"
                             "[1800000005]}}")));
    buf_done(&text);
    assert_int_equal(stat(file, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    q = quota_of(file);
    assert_int_equal(ask(q, a, "x", NOW + 10), 3590);
    assert_int_equal(ask(q, b, "x", NOW + 10), 55);
    assert_int_equal(ask(q, a, "x", NOW + 3600), 0);
    assert_int_equal(ask(q, b, "x", NOW + 200000), 0);
    quota_free(q);
    buf_init(&text, 4096, "state");
    assert_true(file_read(file, &text, NULL)); /* what is over is gone */
    assert_true(view_eq(buf_view(&text), VIEW("{\"calls\":{\"* b\":[1800200000]}}")));
    buf_done(&text);
    caller_unref(a);
    caller_unref(b);
}

static void a_file_that_makes_no_sense_is_begun_anew(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"calls\":[]}",
        "{\"calls\":{\"* a\":7}}",
        "{\"calls\":{\"* a\":[\"x\"]}}",
        "{\"calls\":{\"* a\":[-1]}}",
        "{\"calls\":{\"* a\":[1800000000,1.5]}}",
    };
    struct caller *c = limited("a", "*", 1, 60);

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct quota *q = quota_of(file);

        assert_true(file_write(file, view_str(texts[i]), 0600, NULL));
        assert_int_equal(ask(q, c, "x", NOW), 0);
        assert_int_equal(ask(q, c, "x", NOW), 60);
        quota_free(q);
    }
    caller_unref(c);
}

/* An older file, whose counts were nobody's. */
static void counts_by_pattern_alone_are_not_ours(void **state)
{
    struct quota *q = quota_of(file);
    struct caller *c = limited("a", "tool:x", 1, 60);

    (void)state;
    assert_true(
        file_write(file, VIEW("{\"calls\":{\"tool:x\":[1800000000,1800000000]}}"), 0600, NULL));
    assert_int_equal(ask(q, c, "x", NOW), 0);
    assert_int_equal(ask(q, c, "x", NOW), 60);
    quota_free(q);
    caller_unref(c);
}

static void a_file_that_cannot_be_kept_allows_nothing(void **state)
{
    struct quota *q = quota_of("/nonexistent/folder/rate-state.json");
    struct caller *c = limited("a", "*", 1, 60);
    struct err err = {0};
    uint64_t wait_s;

    (void)state;
    assert_false(quota_take(q, c, "x", NOW, &wait_s, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/folder"));
    quota_free(q);
    caller_unref(c);
}

static void processes_share_a_file(void **state)
{
    enum { PROCESSES = 6, EACH = 20, LIMIT = 50 };
    struct caller *c = limited("a", "*", LIMIT, 3600);
    int taken = 0;

    (void)state;
    (void)unlink(file);
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            struct quota *q = quota_of(file);
            int mine = 0;

            for (int k = 0; k < EACH; k++)
                mine += ask(q, c, "x", NOW) == 0;
            _exit(mine);
        }
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;

        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        taken += WEXITSTATUS(status);
    }
    assert_int_equal(taken, LIMIT);
    caller_unref(c);
}

enum { THREADS = 8, EACH_THREAD = 5000, THREAD_LIMIT = 10000 };

struct share {
    struct quota *q;
    struct caller *shared, *own;
    atomic_uint *taken;
};

static void *hammer(void *context)
{
    const struct share *s = context;
    uint64_t wait_s;

    for (unsigned i = 0; i < EACH_THREAD; i++) {
        if (quota_take(s->q, s->shared, "x", NOW + i / 100, &wait_s, NULL))
            atomic_fetch_add(s->taken, 1);
        (void)!quota_take(s->q, s->own, "x", NOW + i, &wait_s, NULL);
    }
    return NULL;
}

static void threads_share_a_limit(void **state)
{
    struct quota *q = quota_of(NULL);
    struct share shares[THREADS];
    pthread_t threads[THREADS];
    atomic_uint taken = 0;
    char subject[16];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        (void)snprintf(subject, sizeof subject, "t%u", i);
        shares[i] = (struct share){q, limited("all", "*", THREAD_LIMIT, 3600),
                                   limited(subject, "*", 10, 5), &taken};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &shares[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        caller_unref(shares[i].shared);
        caller_unref(shares[i].own);
    }
    assert_int_equal(taken, THREAD_LIMIT);
    quota_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_slides),
        cmocka_unit_test(says_which_limit_was_reached),
        cmocka_unit_test(callers_count_apart_and_their_tokens_together),
        cmocka_unit_test(every_pattern_is_asked_before_one_is_counted),
        cmocka_unit_test(nobody_is_counted_who_has_no_rates),
        cmocka_unit_test(a_clock_that_is_set_back_forgets_nothing),
        cmocka_unit_test(agrees_with_a_list_of_all_calls),
        cmocka_unit_test(long_windows_are_kept_short),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_file_outlives_its_process),
        cmocka_unit_test(a_file_that_makes_no_sense_is_begun_anew),
        cmocka_unit_test(counts_by_pattern_alone_are_not_ours),
        cmocka_unit_test(a_file_that_cannot_be_kept_allows_nothing),
        cmocka_unit_test(processes_share_a_file),
        cmocka_unit_test(threads_share_a_limit),
    };
    char command[64];
    int failed;

    if (!mkdtemp(folder))
        return 1;
    (void)snprintf(file, sizeof file, "%s/rate-state.json", folder);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : 1; /* NOLINT(cert-env33-c): our own folder */
}
