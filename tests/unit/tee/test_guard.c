/* Guarded paths, and all the spellings of them that an application may take for the same. */
#include "tee/guard.h"

#include "heads.h"

static void a_path_and_all_below_it(void **state)
{
    static const struct {
        const char *list, *path;
        bool covered;
    } cases[] = {
        {NULL, "/anything", true},
        {"/", "/anything", true},
        {"/", "/", true},
        {"/metrics", "/metrics", true},
        {"/metrics/", "/metrics", true},
        {"/metrics", "/metrics/", true},
        {"/metrics", "/metrics/a/b", true},
        {"/metrics", "/metricsx", false},
        {"/metrics", "/metric", false},
        {"/metrics", "/", false},
        {"/metrics", "/v1/metrics", false},
        {"/a, /v1/admin ,/b", "/v1/admin/x", true},
        {"/a, /v1/admin ,/b", "/v1", false},
        {"/metrics", "/METRICS", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (guard_covers(cases[i].list, view_str(cases[i].path)) != cases[i].covered)
            fail_msg("%s of %s", cases[i].path, cases[i].list ? cases[i].list : "all");
}

static void no_spelling_gets_around_it(void **state)
{
    static const char *const paths[] = {
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/x/y/../../metrics",
        "/../metrics",
        "/metrics/..", /* one that does not resolve it is in it */
        "/metrics/../x",
        "/metrics/..%2Fx", /* one that does not decode a slash is in it */
        "/%6detrics",
        "/%6D%65trics/a",
        "/x%2f..%2Fmetrics", /* one that does is, too */
        "/x\\..\\metrics",
        "/x%5C..%5cmetrics",
        "/metrics;a=b",
        "/metrics;a=b/c",
        "/x/..;a/metrics",
        "/metrics%00.html",
        "/x%00",
        "metrics", /* no path at all */
    };
    static const char *const open[] = {"/x/%6dx",    "/%zzmetrics", "/met%72icsx", "/%256detrics",
                                       "/x;metrics", "/%",          "/%6"};

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        if (!guard_covers("/metrics", view_str(paths[i])))
            fail_msg("%s gets around it", paths[i]);
    for (size_t i = 0; i < COUNT(open); i++)
        if (guard_covers("/metrics", view_str(open[i])))
            fail_msg("%s is not it", open[i]);
}

static void lists_are_checked(void **state)
{
    struct err err;

    (void)state;
    assert_true(guard_check(NULL, &err));
    assert_true(guard_check("/metrics, /admin", &err));
    assert_false(guard_check("/metrics,admin", &err));
    assert_non_null(strstr(err.text, "\"admin\" does not begin with a slash"));
    assert_false(guard_check("/metrics,", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_all_below_it),
        cmocka_unit_test(no_spelling_gets_around_it),
        cmocka_unit_test(lists_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
