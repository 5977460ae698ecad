/* Collateral from a service, and what is kept of it: for how long, for whom, and what when it cannot be had. */
#include <curl/curl.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "attest/pki.h"
#include "base/file.h"
#include "fetch/fetch_priv.h"
#include "support/pccs_server.h"

enum { PATIENCE_MS = 20000, ALL = 4 /* requests for one entry */, DAY_S = 86400, MARGIN_S = 60 };

static struct sim_platform *platform;
static struct pccs_server server;

struct world {
    char folder[32], cache[64], path[256];
    struct fetch_options options;
    struct collateral_need need;
    unsigned before; /* requests so far */
    struct attest_err err;
};

static void world_open(struct world *w)
{
    *w = (struct world){.need = {.tdx = true}};
    memcpy(w->need.fmspc, platform->recipe.fmspc, sizeof w->need.fmspc);
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/fetch-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->cache, sizeof w->cache, "%s/a/postern", w->folder);
    w->options = (struct fetch_options){
        .url = server.url,
        .timeout_ms = PATIENCE_MS,
        .cache = w->cache,
        .now_s = clock_wall_ms(&clock_system) / 1000,
    };
    assert_true(cache_path(&w->options, &w->need, w->path, sizeof w->path));
    atomic_store(&server.mood, PCCS_GOOD);
    atomic_store(&server.document_days, 30);
    atomic_store(&server.crl_days, 30);
    w->before = atomic_load(&server.requests);
}

static void world_close(struct world *w)
{
    char command[64];

    (void)snprintf(command, sizeof command, "rm -r %s", w->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own folder */
}

/* Requests since the last time. */
static unsigned asked(struct world *w)
{
    unsigned now = atomic_load(&server.requests), n = now - w->before;

    w->before = now;
    return n;
}

static bool fetch_at(struct world *w, int64_t now_s)
{
    struct fetch_options o = w->options;
    struct collateral *c;
    bool good;

    o.now_s = now_s;
    good = fetch_collateral(&o, &w->need, &c, &w->err);
    if (good)
        collateral_free(c);
    return good;
}

static bool fetch(struct world *w)
{
    return fetch_at(w, w->options.now_s);
}

/* As if the entry had been written then. */
static void written_at(const char *path, int64_t when_s)
{
    const struct timespec times[2] = {{.tv_sec = when_s}, {.tv_sec = when_s}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* As if the last failure had been then. */
static void failed_at(const struct world *w, int64_t when_s)
{
    char turn[300];

    (void)snprintf(turn, sizeof turn, "%s.turn", w->path);
    written_at(turn, when_s);
}

static unsigned mode_of(const char *path)
{
    struct stat about;

    assert_int_equal(stat(path, &about), 0);
    return about.st_mode & 0777;
}

/* --- */

static void what_was_fetched_is_kept_for_its_owner(void **state)
{
    struct collateral *first, *second;
    struct world w;

    (void)state;
    world_open(&w);
    if (!fetch_collateral(&w.options, &w.need, &first, &w.err))
        fail_msg("%s", w.err.text);
    assert_int_equal(asked(&w), ALL);
    assert_true(fetch_collateral(&w.options, &w.need, &second, &w.err));
    assert_int_equal(asked(&w), 0);
    assert_true(view_eq(first->tcb_info, second->tcb_info));
    assert_true(view_eq(first->pck_crl, second->pck_crl));
    assert_true(view_eq(first->tcb_info_issuer_chain, second->tcb_info_issuer_chain));
    assert_int_equal(second->pck_certificate_chain.len, 0); /* a quote's own, never another's */
    assert_int_equal(mode_of(w.path), 0600);
    assert_int_equal(mode_of(w.cache), 0700);
    collateral_free(first);
    collateral_free(second);
    world_close(&w);
}

static void nothing_is_kept_without_a_cache(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    w.options.cache = NULL;
    assert_true(fetch(&w) && fetch(&w));
    assert_int_equal(asked(&w), 2 * ALL);
    assert_int_not_equal(access(w.cache, F_OK), 0);
    world_close(&w);
}

static void entries_differ_by_all_that_answers_depend_on(void **state)
{
    char paths[5][256];
    struct world w;

    (void)state;
    world_open(&w);
    memcpy(paths[0], w.path, sizeof paths[0]);
    w.need.processor_ca = true;
    assert_true(cache_path(&w.options, &w.need, paths[1], sizeof paths[1]));
    w.need = (struct collateral_need){.tdx = false};
    memcpy(w.need.fmspc, platform->recipe.fmspc, sizeof w.need.fmspc);
    assert_true(cache_path(&w.options, &w.need, paths[2], sizeof paths[2]));
    w.need.tdx = true;
    w.need.fmspc[5] ^= 1;
    assert_true(cache_path(&w.options, &w.need, paths[3], sizeof paths[3]));
    w.need.fmspc[5] ^= 1;
    w.options.url = "https://another.example";
    assert_true(cache_path(&w.options, &w.need, paths[4], sizeof paths[4]));
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(paths[i], paths[k]);
    assert_false(cache_path(&w.options, &w.need, paths[0], 10));
    world_close(&w);
}

static void entries_are_fetched_anew_after_eight_hours(void **state)
{
    struct world w;
    int64_t now_s;

    (void)state;
    world_open(&w);
    now_s = w.options.now_s;
    assert_true(fetch(&w));
    (void)asked(&w);
    written_at(w.path, now_s - FETCH_CACHE_TTL_S);
    assert_true(fetch(&w));
    assert_int_equal(asked(&w), 0);
    written_at(w.path, now_s - FETCH_CACHE_TTL_S - 1);
    assert_true(fetch(&w));
    assert_int_equal(asked(&w), ALL);
    assert_true(fetch(&w)); /* and that was kept */
    assert_int_equal(asked(&w), 0);
    written_at(w.path, now_s + MARGIN_S + 1); /* of a clock that was wrong */
    assert_true(fetch(&w));
    assert_int_equal(asked(&w), ALL);
    world_close(&w);
}

/* Whichever of documents and CRLs ends first counts. */
static void entries_are_fetched_anew_before_they_end(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct world w;
        int64_t end_s;

        world_open(&w);
        end_s = platform->recipe.now_s + 2 * DAY_S;
        atomic_store(which ? &server.document_days : &server.crl_days, 2);
        assert_true(fetch(&w));
        (void)asked(&w);
        written_at(w.path, end_s - 1000);
        assert_true(fetch_at(&w, end_s - MARGIN_S));
        assert_int_equal(asked(&w), 0);
        assert_true(fetch_at(&w, end_s - MARGIN_S + 1));
        assert_int_equal(asked(&w), ALL);
        world_close(&w);
    }
}

static void an_old_entry_serves_when_there_is_no_other(void **state)
{
    struct world w;
    int64_t end_s;

    (void)state;
    world_open(&w);
    end_s = platform->recipe.now_s + 30 * DAY_S;
    assert_true(fetch(&w));
    atomic_store(&server.mood, PCCS_FAILS);
    (void)asked(&w);
    written_at(w.path, w.options.now_s - FETCH_CACHE_TTL_S - 1);
    assert_true(fetch(&w));
    assert_true(asked(&w) > 0); /* it was tried */
    failed_at(&w, w.options.now_s);
    assert_true(fetch(&w)); /* and is not at once again */
    assert_int_equal(asked(&w), 0);
    assert_true(fetch_at(&w, end_s));
    assert_false(fetch_at(&w, end_s + 1)); /* what has ended serves nobody */
    world_close(&w);
}

static void what_cannot_be_read_is_as_if_it_were_not_there(void **state)
{
    struct buf good, now;
    struct world w;

    (void)state;
    world_open(&w);
    assert_true(fetch(&w));
    buf_init(&good, COLLATERAL_BYTES_MAX, "good");
    buf_init(&now, COLLATERAL_BYTES_MAX, "now");
    assert_true(file_read(w.path, &good, NULL));
    for (int i = 0; i < 4; i++) {
        struct view wrong[] = {VIEW(""), VIEW("{}"),
                               view_first(buf_view(&good), buf_len(&good) - 1), VIEW("\0\0\0\0")};

        assert_true(file_write(w.path, wrong[i], 0600, NULL));
        (void)asked(&w);
        assert_true(fetch(&w));
        assert_int_equal(asked(&w), ALL);
        buf_reset(&now);
        assert_true(file_read(w.path, &now, NULL)); /* it is good again */
        assert_true(buf_len(&now) > 1000);
    }
    assert_int_equal(unlink(w.path), 0);
    assert_int_equal(mkdir(w.path, 0700), 0); /* nothing can be written there */
    (void)asked(&w);
    assert_true(fetch(&w));
    assert_int_equal(asked(&w), ALL);
    buf_done(&good);
    buf_done(&now);
    world_close(&w);
}

static void a_failure_is_remembered_for_a_moment(void **state)
{
    struct world w;
    int64_t now_s;

    (void)state;
    world_open(&w);
    now_s = w.options.now_s;
    atomic_store(&server.mood, PCCS_FAILS);
    assert_false(fetch(&w));
    assert_int_equal(w.err.code, ATTEST_COLLATERAL_FETCH);
    assert_non_null(strstr(w.err.text, "status 502"));
    assert_true(asked(&w) > 0);
    failed_at(&w, now_s);
    atomic_store(&server.mood, PCCS_GOOD);
    assert_false(fetch_at(&w, now_s + FETCH_FAILURE_S - 1));
    assert_int_equal(asked(&w), 0);
    assert_non_null(strstr(w.err.text, "status 502"));
    assert_non_null(strstr(w.err.text, "(9 s ago; it is asked again 10 s after a failure)"));
    assert_true(fetch_at(&w, now_s + FETCH_FAILURE_S));
    assert_int_equal(asked(&w), ALL);
    assert_int_equal(unlink(w.path), 0); /* and forgotten after a success */
    failed_at(&w, now_s);
    assert_true(fetch_at(&w, now_s));
    assert_int_equal(asked(&w), ALL);
    world_close(&w);
}

/* --- several at once --- */

enum { VISITORS = 6 };

static void *visit(void *context)
{
    struct world own = *(const struct world *)context;

    return fetch(&own) ? NULL : context;
}

/* Descriptors of ours on the file that says whose turn it is. */
static unsigned waiting(const struct world *w)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    unsigned n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char at[512];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, at, sizeof at);

        n += len > 0 && view_starts(view_from(at, (size_t)len), view_str(w->path));
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

static void check_visitors(enum pccs_mood mood, bool succeed)
{
    pthread_t threads[VISITORS];
    struct world w;

    world_open(&w);
    atomic_store(&server.mood, mood);
    atomic_store(&server.holds, true);
    for (int i = 0; i < VISITORS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, visit, &w), 0);
        if (i == 0)
            while (sem_wait(&server.there) != 0)
                ;
    }
    /* All have looked for an entry and found none. */
    while (waiting(&w) < VISITORS)
        sched_yield();
    assert_int_equal(sem_post(&server.go_on), 0);
    for (int i = 0; i < VISITORS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_int_equal(failed == NULL, succeed);
    }
    assert_int_equal(asked(&w), succeed ? ALL : 1);
    world_close(&w);
}

static void of_many_that_want_the_same_one_asks(void **state)
{
    (void)state;
    check_visitors(PCCS_GOOD, true);
    check_visitors(PCCS_FAILS, false); /* its failure is everybody's */
}

/* --- what is not taken --- */

static void answers_have_limits(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    w.options.cache = NULL;
    atomic_store(&server.mood, PCCS_REDIRECTS);
    assert_false(fetch(&w));
    assert_non_null(strstr(w.err.text, "status 302"));
    assert_int_equal(asked(&w), 1);
    atomic_store(&server.mood, PCCS_FLOODS);
    assert_false(fetch(&w));
    assert_int_equal(w.err.code, ATTEST_COLLATERAL_FETCH);
    w.options.url = "http://collateral.example";
    assert_false(fetch(&w));
    assert_non_null(strstr(w.err.text, "https only"));
    w.need.fmspc[0] ^= 0xFF;
    w.options.url = server.url;
    atomic_store(&server.mood, PCCS_GOOD);
    assert_false(fetch(&w));
    assert_non_null(strstr(w.err.text, "status 404"));
    world_close(&w);
}

static void the_usual_folder_is_the_user_s(void **state)
{
    (void)state;
    assert_int_equal(setenv("HOME", "/home/somebody", 1), 0);
    assert_int_equal(setenv("XDG_CACHE_HOME", "/var/cache/me", 1), 0);
    assert_string_equal(fetch_cache_default(), "/var/cache/me/postern");
    assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
    assert_string_equal(fetch_cache_default(), "/home/somebody/.cache/postern");
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    assert_string_equal(fetch_cache_default(), "/home/somebody/.cache/postern");
    assert_int_equal(unsetenv("HOME"), 0);
    assert_null(fetch_cache_default());
}

static int open_all(void **state)
{
    struct sim_recipe recipe;

    (void)state;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -1;
    sim_recipe_default(&recipe, clock_wall_ms(&clock_system) / 1000);
    if (!sim_platform_new(&recipe, &platform, NULL))
        return -1;
    pccs_server_open(&server, platform);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    pccs_server_close(&server);
    sim_platform_free(platform);
    curl_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_fetched_is_kept_for_its_owner),
        cmocka_unit_test(nothing_is_kept_without_a_cache),
        cmocka_unit_test(entries_differ_by_all_that_answers_depend_on),
        cmocka_unit_test(entries_are_fetched_anew_after_eight_hours),
        cmocka_unit_test(entries_are_fetched_anew_before_they_end),
        cmocka_unit_test(an_old_entry_serves_when_there_is_no_other),
        cmocka_unit_test(what_cannot_be_read_is_as_if_it_were_not_there),
        cmocka_unit_test(a_failure_is_remembered_for_a_moment),
        cmocka_unit_test(of_many_that_want_the_same_one_asks),
        cmocka_unit_test(answers_have_limits),
        cmocka_unit_test(the_usual_folder_is_the_user_s),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
