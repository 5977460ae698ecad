#include "base/metrics.h"

#include <inttypes.h>
#include <stdio.h>

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

static void sample(struct metrics_page *page, const char *name, const char *labels,
                   const char *value)
{
    bool some = labels && *labels;

    if (page->err.code == ERR_NONE)
        (void)!buf_appendf(page->out, &page->err, "%s%s%s%s %s\n", name, some ? "{" : "",
                           some ? labels : "", some ? "}" : "", value);
}

void metrics_u64(struct metrics_page *page, const char *name, const char *labels, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    sample(page, name, labels, text);
}

void metrics_f64(struct metrics_page *page, const char *name, const char *labels, double value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.9g", value);
    sample(page, name, labels, text);
}

void metrics_histogram(struct metrics_page *page, const char *name, const char *labels,
                       const struct histogram *h)
{
    const char *comma = labels && *labels ? "," : "";
    char part[96], with[256];
    uint64_t total = 0;

    labels = labels ? labels : "";
    (void)snprintf(part, sizeof part, "%s_bucket", name);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += metric_get(&h->buckets[i]);
        if (i < HISTOGRAM_BUCKETS - 1)
            (void)snprintf(with, sizeof with, "%s%sle=\"%.9g\"", labels, comma,
                           (double)histogram_bounds_us[i] / 1e6);
        else
            (void)snprintf(with, sizeof with, "%s%sle=\"+Inf\"", labels, comma);
        metrics_u64(page, part, with, total);
    }
    (void)snprintf(part, sizeof part, "%s_sum", name);
    metrics_f64(page, part, labels, (double)metric_get(&h->sum_us) / 1e6);
    (void)snprintf(part, sizeof part, "%s_count", name);
    metrics_u64(page, part, labels, total);
}

char *metrics_label(const char *name, struct view value, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "%s=\"", name);
    bool text = utf8_valid(value);

    for (size_t i = 0; i < value.len && at + 4 < size; i++) {
        uint8_t c = value.at[i];

        if (c == '\\' || c == '"' || c == '\n') {
            out[at++] = '\\';
            out[at++] = (char)(c == '\n' ? 'n' : c);
        } else {
            out[at++] = (char)(c >= 0x80 && !text ? '?' : c);
        }
    }
    if (at + 2 <= size) {
        out[at++] = '"';
        out[at] = '\0';
    }
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
