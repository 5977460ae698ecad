/* The proto3 JSON mapping of opentelemetry.proto: 64-bit numbers are strings, ids are hexadecimal. */
#include "ati/telemetry/telemetry_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"

#include "base/poison.h"

static void put_number_text(struct json_writer *w, const char *key, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, value);
    json_key(w, key);
    json_text(w, view_str(text));
}

static void put_double(struct json_writer *w, double value)
{
    char text[40];

    (void)snprintf(text, sizeof text, "%.17g", value);
    json_raw(w, view_str(text));
}

static void put_attributes(struct json_writer *w, const struct span_attribute *attributes,
                           size_t count)
{
    json_array(w);
    for (size_t i = 0; i < count; i++) {
        json_object(w);
        json_key(w, "key");
        json_text(w, view_str(attributes[i].name));
        json_key(w, "value");
        json_object(w);
        if (attributes[i].number) {
            put_number_text(w, "intValue", attributes[i].value);
        } else {
            json_key(w, "stringValue");
            json_text(w, attributes[i].text);
        }
        json_object_end(w);
        json_object_end(w);
    }
    json_array_end(w);
}

bool telemetry_encode_attributes(const struct span_attribute *attributes, size_t count,
                                 struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    put_attributes(&w, attributes, count);
    return json_end(&w, err);
}

bool telemetry_encode_span(const struct span *s, int64_t end_ns, bool failed,
                           const struct span_attribute *attributes, size_t count, struct buf *out,
                           struct err *err)
{
    struct json_writer w;

    if (buf_len(out) && !buf_append_byte(out, ',', err))
        return false;
    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "traceId");
    json_hex(&w, view_from(s->context.trace_id, sizeof s->context.trace_id));
    json_key(&w, "spanId");
    json_hex(&w, view_from(s->context.span_id, sizeof s->context.span_id));
    if (s->parent.valid) {
        json_key(&w, "parentSpanId");
        json_hex(&w, view_from(s->parent.span_id, sizeof s->parent.span_id));
    }
    if (s->context.state[0]) {
        json_key(&w, "traceState");
        json_text(&w, view_str(s->context.state));
    }
    json_key(&w, "name");
    json_text(&w, view_str(s->name));
    json_key(&w, "kind");
    json_u64(&w, (uint64_t)s->kind);
    put_number_text(&w, "startTimeUnixNano", s->start_ns);
    put_number_text(&w, "endTimeUnixNano", end_ns);
    json_key(&w, "attributes");
    put_attributes(&w, attributes, count);
    if (failed) {
        json_key(&w, "status");
        json_raw(&w, VIEW("{\"code\":2}"));
    }
    json_object_end(&w);
    return json_end(&w, err);
}

/* {"resourceX":[{"resource":{…},"scopeX":[{"scope":{…},"X":[ … up to where the records stand. */
static void open_body(struct json_writer *w, struct view resource, const char *version,
                      const char *resources, const char *scopes, const char *records)
{
    json_object(w);
    json_key(w, resources);
    json_array(w);
    json_object(w);
    json_key(w, "resource");
    json_object(w);
    json_key(w, "attributes");
    json_raw(w, resource);
    json_object_end(w);
    json_key(w, scopes);
    json_array(w);
    json_object(w);
    json_key(w, "scope");
    json_object(w);
    json_key(w, "name");
    json_text(w, VIEW("ati"));
    json_key(w, "version");
    json_text(w, view_str(version));
    json_object_end(w);
    json_key(w, records);
    json_array(w);
}

static bool close_body(struct json_writer *w, struct err *err)
{
    json_array_end(w);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    return json_end(w, err);
}

bool telemetry_encode_traces(struct view resource, const char *version, struct view spans,
                             struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    open_body(&w, resource, version, "resourceSpans", "scopeSpans", "spans");
    json_raw(&w, spans);
    return close_body(&w, err);
}

static void put_point(struct json_writer *w, const struct telemetry_series *s, int64_t start_ns,
                      int64_t now_ns)
{
    json_object(w);
    json_key(w, "attributes");
    json_raw(w, view_str(s->labels));
    put_number_text(w, "startTimeUnixNano", start_ns);
    put_number_text(w, "timeUnixNano", now_ns);
    if (!s->histogram) {
        put_number_text(w, "asInt", (int64_t)s->count);
        json_object_end(w);
        return;
    }
    put_number_text(w, "count", (int64_t)s->count);
    json_key(w, "sum");
    put_double(w, s->sum);
    json_key(w, "bucketCounts");
    json_array(w);
    for (size_t i = 0; i <= TELEMETRY_BOUNDS; i++) {
        char text[24];

        (void)snprintf(text, sizeof text, "%" PRIu64, s->buckets[i]);
        json_text(w, view_str(text));
    }
    json_array_end(w);
    json_key(w, "explicitBounds");
    json_array(w);
    for (size_t i = 0; i < TELEMETRY_BOUNDS; i++)
        put_double(w, telemetry_series_bounds_ms[i]);
    json_array_end(w);
    json_object_end(w);
}

static bool told_before(const struct telemetry_series_table *t, const struct telemetry_series *s)
{
    for (const struct telemetry_series *before = t->all; before != s; before = before->next)
        if (strcmp(before->instrument, s->instrument) == 0)
            return true;
    return false;
}

static void put_metric(struct json_writer *w, const struct telemetry_series *first,
                       int64_t start_ns, int64_t now_ns)
{
    json_object(w);
    json_key(w, "name");
    json_text(w, view_str(first->instrument));
    if (first->histogram) {
        json_key(w, "unit");
        json_text(w, VIEW("ms"));
    }
    json_key(w, first->histogram ? "histogram" : "sum");
    json_object(w);
    json_key(w, "aggregationTemporality");
    json_u64(w, 2); /* cumulative */
    if (!first->histogram) {
        json_key(w, "isMonotonic");
        json_bool(w, true);
    }
    json_key(w, "dataPoints");
    json_array(w);
    for (const struct telemetry_series *s = first; s; s = s->next)
        if (strcmp(s->instrument, first->instrument) == 0)
            put_point(w, s, start_ns, now_ns);
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
}

bool telemetry_encode_metrics(struct view resource, const char *version,
                              const struct telemetry_series_table *t, int64_t start_ns,
                              int64_t now_ns, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    open_body(&w, resource, version, "resourceMetrics", "scopeMetrics", "metrics");
    for (const struct telemetry_series *s = t->all; s; s = s->next)
        if (!told_before(t, s))
            put_metric(&w, s, start_ns, now_ns);
    return close_body(&w, err);
}
