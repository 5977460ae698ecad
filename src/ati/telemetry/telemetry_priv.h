/* What the files of telemetry share. */
#pragma once

#include <pthread.h>

#include "ati/telemetry/telemetry.h"

enum {
    TELEMETRY_SPANS_BYTES_MAX = 4 * 1024 * 1024, /* waiting; more are dropped and counted */
    TELEMETRY_SERIES_MAX = 4096,                 /* of metrics */
    TELEMETRY_BUCKETS = 1024,
    TELEMETRY_BODY_BYTES_MAX = 16 * 1024 * 1024,
    TELEMETRY_HEADERS_MAX = 32,
    TELEMETRY_BOUNDS = 15,
};

enum telemetry_sampler { SAMPLER_ON, SAMPLER_OFF, SAMPLER_RATIO };

/* config.c: what the environment says. Owned; secrets may be among the headers. */
struct telemetry_config {
    char *traces_url, *metrics_url; /* NULL: not sent */
    struct telemetry_header {
        char *name, *value;
    } headers[TELEMETRY_HEADERS_MAX];
    size_t header_count;
    struct buf resource; /* attributes as a JSON array */
    enum telemetry_sampler sampler;
    bool parent_based;
    double ratio;
};
MUST_USE bool telemetry_config_load(struct telemetry_config *c, char **environment,
                                    const char *version, struct err *err);
void telemetry_config_done(struct telemetry_config *c);

/* series.c: counters and histograms by instrument and labels. The caller locks. */
struct telemetry_series {
    struct telemetry_series *next, *chain;
    const char *instrument; /* a literal */
    char *labels;           /* attributes as a JSON array */
    bool histogram;
    uint64_t count;
    double sum;
    uint64_t buckets[TELEMETRY_BOUNDS + 1];
};
struct telemetry_series_table {
    struct telemetry_series *all, *buckets[TELEMETRY_BUCKETS];
    size_t count;
    uint64_t seed;
    uint64_t refused; /* there were TELEMETRY_SERIES_MAX */
};
extern const double telemetry_series_bounds_ms[TELEMETRY_BOUNDS];
/* NULL: there is no room. labels: as attributes_write writes them. */
struct telemetry_series *telemetry_series_find(struct telemetry_series_table *t,
                                               const char *instrument, struct view labels,
                                               bool histogram);
void telemetry_series_observe(struct telemetry_series *s, double ms);
void telemetry_series_done(struct telemetry_series_table *t);

/* encode.c: OTLP's JSON. */
MUST_USE bool telemetry_encode_attributes(const struct span_attribute *attributes, size_t count,
                                          struct buf *out, struct err *err);
/* One span, appended behind a comma when out is not empty. */
MUST_USE bool telemetry_encode_span(const struct span *s, int64_t end_ns, bool failed,
                                    const struct span_attribute *attributes, size_t count,
                                    struct buf *out, struct err *err);
/* Whole bodies. resource: the attributes; spans: as telemetry_encode_span wrote them. */
MUST_USE bool telemetry_encode_traces(struct view resource, const char *version, struct view spans,
                                      struct buf *out, struct err *err);
MUST_USE bool telemetry_encode_metrics(struct view resource, const char *version,
                                       const struct telemetry_series_table *t, int64_t start_ns,
                                       int64_t now_ns, struct buf *out, struct err *err);

/* context.c */
bool telemetry_sample(const struct telemetry_config *c, const struct trace_context *parent,
                      const uint8_t trace_id[static 16]);
