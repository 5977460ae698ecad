/* The page of figures as a scraper reads it, and figures that threads fill. */
#include "unit.h"

#include <pthread.h>

#include "base/metrics.h"

static void puts_each_value_into_the_bucket_of_its_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        struct histogram h = {0};

        assert_true(i == 0 || histogram_bounds_us[i - 1] < histogram_bounds_us[i]);
        histogram_observe(&h, histogram_bounds_us[i]); /* a bound belongs to its own bucket */
        histogram_observe(&h, histogram_bounds_us[i] + 1);
        assert_int_equal(metric_get(&h.buckets[i]), 1);
        assert_int_equal(metric_get(&h.buckets[i + 1]), 1);
        assert_int_equal(metric_get(&h.sum_us), 2 * histogram_bounds_us[i] + 1);
    }
    assert_int_equal(histogram_bounds_us[0], 100);
    assert_int_equal(histogram_bounds_us[HISTOGRAM_BUCKETS - 2], 300000000);
}

static void merging_adds(void **state)
{
    struct histogram a = {0}, b = {0}, sum = {0};

    (void)state;
    histogram_observe(&a, 50);
    histogram_observe(&b, 70);
    histogram_observe(&b, UINT32_MAX);
    histogram_merge(&sum, &a);
    histogram_merge(&sum, &b);
    assert_int_equal(metric_get(&sum.buckets[0]), 2);
    assert_int_equal(metric_get(&sum.buckets[HISTOGRAM_BUCKETS - 1]), 1);
    assert_int_equal(metric_get(&sum.sum_us), 120ull + UINT32_MAX);
}

static void writes_the_page_in_the_exposition_format(void **state)
{
    static const char expected[] = "# HELP requests_total Requests\n"
                                   "# TYPE requests_total counter\n"
                                   "requests_total 18446744073709551615\n"
                                   "requests_total{code=\"200\"} 0\n"
                                   "lag_seconds 0.25\n"
                                   "lag_seconds 123456789.123457\n"
                                   "lag_seconds 0\n";
    struct metrics_page page;
    struct err err;
    struct buf out;

    (void)state;
    buf_init(&out, 4096, "page");
    metrics_begin(&page, &out);
    metrics_family(&page, "requests_total", "counter", "Requests");
    metrics_u64(&page, "requests_total", NULL, UINT64_MAX);
    metrics_u64(&page, "requests_total", "code=\"200\"", 0);
    metrics_f64(&page, "lag_seconds", "", 0.25);
    metrics_f64(&page, "lag_seconds", NULL, 123456789.123457);
    metrics_f64(&page, "lag_seconds", NULL, 0);
    assert_true(metrics_end(&page, &err));
    assert_int_equal(buf_len(&out), strlen(expected));
    assert_memory_equal(buf_view(&out).at, expected, strlen(expected));
    buf_done(&out);
}

static void writes_histograms_with_running_totals(void **state)
{
    static const char expected[] =
        "h_bucket{le=\"0.0001\"} 0\nh_bucket{le=\"0.0003\"} 1\nh_bucket{le=\"0.001\"} 1\n"
        "h_bucket{le=\"0.003\"} 1\nh_bucket{le=\"0.01\"} 1\nh_bucket{le=\"0.03\"} 1\n"
        "h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"0.3\"} 1\nh_bucket{le=\"1\"} 2\n"
        "h_bucket{le=\"3\"} 2\nh_bucket{le=\"10\"} 2\nh_bucket{le=\"30\"} 2\n"
        "h_bucket{le=\"100\"} 2\nh_bucket{le=\"200\"} 2\nh_bucket{le=\"300\"} 2\n"
        "h_bucket{le=\"+Inf\"} 3\nh_sum 86400001.000203\nh_count 3\n";
    struct metrics_page page;
    struct histogram h = {0};
    struct buf out;

    (void)state;
    histogram_observe(&h, 200);
    histogram_observe(&h, 1000000);
    histogram_observe(&h, 86400000000003); /* a sum of days still counts microseconds */
    buf_init(&out, 4096, "page");
    metrics_begin(&page, &out);
    metrics_histogram(&page, "h", NULL, &h);
    assert_true(metrics_end(&page, NULL));
    assert_int_equal(buf_len(&out), strlen(expected));
    assert_memory_equal(buf_view(&out).at, expected, strlen(expected));
    buf_done(&out);
}

/* Labels as long as names of things get: nothing may be cut in the middle. */
static void histograms_keep_their_labels_whole(void **state)
{
    char labels[600], wanted[700];
    struct metrics_page page;
    struct histogram h = {0};
    struct buf out;

    (void)state;
    memset(labels, 'x', sizeof labels);
    memcpy(labels, "a=\"", 3);
    memcpy(labels + sizeof labels - 2, "\"", 2);
    buf_init(&out, 64 * 1024, "page");
    metrics_begin(&page, &out);
    metrics_histogram(&page, "h", labels, &h);
    assert_true(metrics_end(&page, NULL));
    (void)snprintf(wanted, sizeof wanted, "h_bucket{%s,le=\"+Inf\"} 0\nh_sum{%s", labels, "a=\"x");
    assert_true(view_find_text(buf_view(&out), view_str(wanted)));
    (void)snprintf(wanted, sizeof wanted, "h_count{%s} 0\n", labels);
    assert_true(view_ends(buf_view(&out), view_str(wanted)));
    buf_done(&out);
}

static void escapes_what_a_label_may_not_hold(void **state)
{
    static const struct {
        struct view value;
        const char *label;
    } rows[] = {
        {VIEW(""), "k=\"\""},
        {VIEW("plain é€😀"), "k=\"plain é€😀\""},
        {VIEW("a\"b\\c\nd\te"), "k=\"a\\\"b\\\\c\\nd\te\""},
        {VIEW("\xff|\xe2\x82|\0|"), "k=\"?|??|?|\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(rows[i].value);
        char out[64];

        assert_string_equal(metrics_label("k", v, out, sizeof out), rows[i].label);
        block_free(v);
    }
}

static void a_label_that_does_not_fit_is_cut_between_characters_and_closed(void **state)
{
    static const struct view value = VIEW("é\"€\\😀\n!");

    (void)state;
    for (size_t size = strlen("k") + 4; size < 40; size++) {
        char *out = malloc(size);
        size_t n;

        assert_non_null(out);
        (void)metrics_label("k", value, out, size);
        n = strlen(out);
        assert_true(n < size);
        assert_true(view_starts(view_str(out), VIEW("k=\"")) && out[n - 1] == '"');
        assert_true(utf8_valid(view_str(out)));
        assert_memory_equal(out + 3, "é\\\"€\\\\😀\\n!", n - 4);
        assert_true(n - 4 != 3 && n - 4 != 8 && n - 4 != 14); /* in the middle of an escape */
        free(out);
    }
}

static void the_first_failure_sticks(void **state)
{
    struct metrics_page page;
    struct err err = {0};
    struct buf out;

    (void)state;
    buf_init(&out, 20, "metrics page");
    metrics_begin(&page, &out);
    metrics_u64(&page, "a", NULL, 1);
    metrics_u64(&page, "a_name_that_is_longer", NULL, 1);
    metrics_u64(&page, "b", NULL, 2);
    assert_false(metrics_end(&page, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "metrics page"));
    assert_true(view_eq(buf_view(&out), VIEW("a 1\n")));
    assert_false(metrics_end(&page, NULL));
    buf_done(&out);
}

static void counts_up_and_down(void **state)
{
    metric m = 0;

    (void)state;
    metric_add(&m, 5);
    metric_sub(&m, 2);
    assert_int_equal(metric_get(&m), 3);
}

enum { ROUNDS = 20000 };

static void *observe(void *histogram)
{
    for (int i = 0; i < ROUNDS; i++)
        histogram_observe(histogram, 150);
    return NULL;
}

/* Each of two threads fills its own; a third adds them up meanwhile and sees no count go back. */
static void may_be_read_while_it_is_written(void **state)
{
    struct histogram own[2] = {0};
    pthread_t threads[2];
    uint64_t before = 0;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, observe, &own[i]), 0);
    for (int i = 0; i < 1000; i++) {
        struct histogram sum = {0};

        histogram_merge(&sum, &own[0]);
        histogram_merge(&sum, &own[1]);
        assert_true(metric_get(&sum.buckets[1]) >= before);
        before = metric_get(&sum.buckets[1]);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metric_get(&own[0].buckets[1]) + metric_get(&own[1].buckets[1]), 2 * ROUNDS);
    assert_int_equal(metric_get(&own[0].sum_us), 150ull * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_each_value_into_the_bucket_of_its_bound),
        cmocka_unit_test(merging_adds),
        cmocka_unit_test(writes_the_page_in_the_exposition_format),
        cmocka_unit_test(writes_histograms_with_running_totals),
        cmocka_unit_test(histograms_keep_their_labels_whole),
        cmocka_unit_test(escapes_what_a_label_may_not_hold),
        cmocka_unit_test(a_label_that_does_not_fit_is_cut_between_characters_and_closed),
        cmocka_unit_test(the_first_failure_sticks),
        cmocka_unit_test(counts_up_and_down),
        cmocka_unit_test(may_be_read_while_it_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
