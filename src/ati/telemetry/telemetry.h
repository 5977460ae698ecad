/* telemetry: traces and metrics of the gateway to an OpenTelemetry collector, over OTLP/HTTP in its JSON encoding (OTLP 1.x, proto3 JSON mapping).
 *
 *   loops: span_begin … span_end, counts ─► a ring each ─► batches ─► POST {endpoint}/v1/traces, /v1/metrics
 *
 * Off unless OTEL_EXPORTER_OTLP_ENDPOINT (or one of the two of its own) is set: then a span costs nothing. Trace context is that of W3C
 * (traceparent, tracestate). Batches leave every TELEMETRY_EVERY_MS or when half full; what a collector does not take is tried
 * TELEMETRY_TRIES times and dropped, counted. At the end what waits is sent, for at most TELEMETRY_FLUSH_MS.
 * Labels are bounded: templates of routes, names of tools, providers and routes; never paths.
 *
 * Read in order   context.c (pure: traceparent, sampling) config.c encode.c (pure) telemetry.c */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "client/client.h"

enum {
    TELEMETRY_EVERY_MS = 5000,
    TELEMETRY_TRIES = 3,
    TELEMETRY_FLUSH_MS = 5000,
    TELEMETRY_ATTRIBUTES_MAX = 8
};

struct trace_context {
    uint8_t trace_id[16], span_id[8];
    bool sampled, valid;
    char state[256]; /* tracestate as it came; "" */
};
/* context.c: a malformed one is as none. */
void trace_context_parse(struct view traceparent, struct view tracestate,
                         struct trace_context *out);
/* "00-…-…-01" and its NUL. */
char *trace_context_format(const struct trace_context *c, char out[static 56]);

struct telemetry; /* one a process */
/* *out NULL: off. Lent: environment, log. */
MUST_USE bool telemetry_new(char **environment, const char *version, struct log *log,
                            struct telemetry **out, struct err *err);
/* Exports from this loop, by this client. */
MUST_USE bool telemetry_start(struct telemetry *t, struct loop *loop, struct client *client,
                              struct err *err);
/* Sends what waits, then calls done; after it the telemetry may be freed. */
void telemetry_flush(struct telemetry *t, void (*done)(void *context), void *context);
void telemetry_free(struct telemetry *t); /* NULL is fine */

struct span_attribute {
    const char *name; /* a literal */
    bool number;
    struct view text;
    int64_t value;
};
/* As OTLP numbers them. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };
struct span {
    struct trace_context context, parent;
    const char *name; /* a literal */
    int64_t start_ns; /* wall clock */
    enum span_kind kind;
};
/* t NULL: nothing happens, and context stays invalid. parent: invalid ones start a trace. */
void span_begin(struct telemetry *t, struct span *s, const char *name, enum span_kind kind,
                const struct trace_context *parent);
/* Any thread. attributes are copied. */
void span_end(struct telemetry *t, struct span *s, bool failed,
              const struct span_attribute *attributes, size_t count);

/* Metrics: a labelled counter and a histogram in ms, by name and labels; any thread. labels: at most TELEMETRY_ATTRIBUTES_MAX. */
void telemetry_count(struct telemetry *t, const char *instrument,
                     const struct span_attribute *labels, size_t count, uint64_t n);
void telemetry_observe(struct telemetry *t, const char *instrument,
                       const struct span_attribute *labels, size_t count, double ms);
