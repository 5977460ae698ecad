#include "base/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/codec.h"

#include "base/poison.h"

const uint64_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1] = {
    100,     300,     1000,     3000,     10000,     30000,     100000,    300000,
    1000000, 3000000, 10000000, 30000000, 100000000, 200000000, 300000000,
};

void histogram_observe(struct histogram *h, uint64_t us)
{
    size_t i = 0;

    while (i < HISTOGRAM_BUCKETS - 1 && us > histogram_bounds_us[i])
        i++;
    metric_add(&h->buckets[i], 1);
    metric_add(&h->sum_us, us);
}

void histogram_merge(struct histogram *sum, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        metric_add(&sum->buckets[i], metric_get(&from->buckets[i]));
    metric_add(&sum->sum_us, metric_get(&from->sum_us));
}

void metrics_begin(struct metrics_page *page, struct buf *out)
{
    *page = (struct metrics_page){.out = out};
}

void metrics_family(struct metrics_page *page, const char *name, const char *type, const char *help)
{
    if (page->err.code == ERR_NONE)
        (void)!buf_appendf(page->out, &page->err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                           type);
}

/* suffix: what a histogram puts behind its name; or "". */
static void sample(struct metrics_page *page, const char *name, const char *suffix,
                   const char *labels, const char *value)
{
    bool some = labels && *labels;

    if (page->err.code == ERR_NONE)
        (void)!buf_appendf(page->out, &page->err, "%s%s%s%s%s %s\n", name, suffix, some ? "{" : "",
                           some ? labels : "", some ? "}" : "", value);
}

static void sample_u64(struct metrics_page *page, const char *name, const char *suffix,
                       const char *labels, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    sample(page, name, suffix, labels, text);
}

/* 15 digits: microseconds still count in a sum that has grown for years. */
static void sample_f64(struct metrics_page *page, const char *name, const char *suffix,
                       const char *labels, double value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.15g", value);
    sample(page, name, suffix, labels, text);
}

void metrics_u64(struct metrics_page *page, const char *name, const char *labels, uint64_t value)
{
    sample_u64(page, name, "", labels, value);
}

void metrics_f64(struct metrics_page *page, const char *name, const char *labels, double value)
{
    sample_f64(page, name, "", labels, value);
}

static void bucket(struct metrics_page *page, const char *name, const char *labels,
                   const char *bound, uint64_t value)
{
    if (page->err.code == ERR_NONE)
        (void)!buf_appendf(page->out, &page->err, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name,
                           labels, *labels ? "," : "", bound, value);
}

void metrics_histogram(struct metrics_page *page, const char *name, const char *labels,
                       const struct histogram *h)
{
    uint64_t total = 0;
    char bound[32];

    labels = labels ? labels : "";
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += metric_get(&h->buckets[i]);
        if (i < HISTOGRAM_BUCKETS - 1)
            (void)snprintf(bound, sizeof bound, "%.9g", (double)histogram_bounds_us[i] / 1e6);
        else
            (void)snprintf(bound, sizeof bound, "+Inf");
        bucket(page, name, labels, bound, total);
    }
    sample_f64(page, name, "_sum", labels, (double)metric_get(&h->sum_us) / 1e6);
    sample_u64(page, name, "_count", labels, total);
}

/* One character of a label's value; what is not UTF-8, and NUL, is '?'. Returns its bytes in v. */
static size_t label_character(struct view v, char out[static 4], size_t *len)
{
    uint32_t code;
    size_t n = utf8_first(v, &code);

    *len = n ? n : 1;
    if (!n || !code) {
        out[0] = '?';
    } else if (code == '\\' || code == '"' || code == '\n') {
        out[0] = '\\';
        out[1] = (char)(code == '\n' ? (uint32_t)'n' : code);
        *len = 2;
    } else {
        memcpy(out, v.at, n);
    }
    return n ? n : 1;
}

char *metrics_label(const char *name, struct view value, char *out, size_t size)
{
    size_t at = strlen(name) + 2;

    CHECK(at + 2 <= size);
    (void)snprintf(out, size, "%s=\"", name);
    while (value.len) {
        char one[4];
        size_t len, n = label_character(value, one, &len);

        if (at + len + 2 > size)
            break; /* whole characters only, and room for the quote */
        memcpy(out + at, one, len);
        at += len;
        value = view_skip(value, n);
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

bool metrics_end(struct metrics_page *page, struct err *err)
{
    if (page->err.code == ERR_NONE)
        return true;
    if (err)
        *err = page->err;
    return false;
}
