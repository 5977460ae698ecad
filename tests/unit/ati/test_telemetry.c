#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ati/telemetry/telemetry_priv.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void reads_and_writes_a_context(void **state)
{
    struct trace_context c;
    char text[56];

    (void)state;
    trace_context_parse(VIEW("00-" TRACE "-" SPAN "-01"), VIEW("a=1,b=2"), &c);
    assert_true(c.valid);
    assert_true(c.sampled);
    assert_string_equal(c.state, "a=1,b=2");
    assert_string_equal(trace_context_format(&c, text), "00-" TRACE "-" SPAN "-01");
    trace_context_parse(VIEW("00-" TRACE "-" SPAN "-00"), VIEW(""), &c);
    assert_true(c.valid);
    assert_false(c.sampled);
    trace_context_parse(VIEW("cc-" TRACE "-" SPAN "-03-what-comes-later"), VIEW(""), &c);
    assert_true(c.valid);
    assert_true(c.sampled);
}

static void takes_no_malformed_context(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-01-more",
        "cc-" TRACE "-" SPAN "-01more",
        "ff-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-011",
        "0g-" TRACE "-" SPAN "-01",
    };
    struct trace_context c;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        trace_context_parse(view_str(bad[i]), VIEW("a=1"), &c);
        if (c.valid || c.state[0])
            fail_msg("%s", bad[i]);
    }
}

/* A writable copy, good until the next call. */
static char **environment_of(const char *const *list)
{
    static char text[8][256], *copy[9];
    size_t n = 0;

    for (; list[n]; n++) {
        (void)snprintf(text[n], sizeof text[n], "%s", list[n]);
        copy[n] = text[n];
    }
    copy[n] = NULL;
    return copy;
}

static struct telemetry_config configured(const char *const *environment)
{
    struct telemetry_config c;
    struct err err = {0};

    if (!telemetry_config_load(&c, environment_of(environment), "1.2.3", &err))
        fail_msg("%s", err.text);
    return c;
}

static const char *resource_of(const struct telemetry_config *c)
{
    static char text[4096];

    (void)snprintf(text, sizeof text, "%.*s", VIEW_ARG(buf_view(&c->resource)));
    return text;
}

#define ATTRIBUTE(k, v) "{\"key\":\"" k "\",\"value\":{\"stringValue\":\"" v "\"}}"

static void is_off_unless_asked_for(void **state)
{
    const char *blank[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=  ", "OTEL_SERVICE_NAME=x", NULL};
    struct telemetry *t = (struct telemetry *)(void *)blank;
    struct telemetry_config c = configured(blank);

    (void)state;
    assert_null(c.traces_url);
    assert_null(c.metrics_url);
    telemetry_config_done(&c);
    assert_true(telemetry_new(environment_of(blank), "1", NULL, &t, NULL));
    assert_null(t);
}

static void reads_the_standard_variables(void **state)
{
    const char *some[] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318//",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://m/x/",
        "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20abc=, x-a = b ,broken,=c",
        "OTEL_RESOURCE_ATTRIBUTES=service.name=low,deployment.environment=low,k=v%2Cw",
        "ENVIRONMENT_TIER=staging",
        "SERVICE_NAME=middle",
        "OTEL_SERVICE_NAME=high",
        NULL};
    struct telemetry_config c = configured(some);

    (void)state;
    assert_string_equal(c.traces_url, "http://collector:4318/v1/traces");
    assert_string_equal(c.metrics_url, "https://m/x/");
    assert_int_equal(c.header_count, 2);
    assert_string_equal(c.headers[0].name, "Authorization");
    assert_string_equal(c.headers[0].value, "Basic abc=");
    assert_string_equal(c.headers[1].name, "x-a");
    assert_string_equal(c.headers[1].value, "b");
    assert_string_equal(
        resource_of(&c),
        "[" ATTRIBUTE("k", "v,w") "," ATTRIBUTE("deployment.environment", "staging") "," ATTRIBUTE(
            "service.name", "high") "," ATTRIBUTE("service.version", "1.2.3") "]");
    telemetry_config_done(&c);
}

static void names_itself_when_nobody_does(void **state)
{
    const char *listed[] = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t",
                            "OTEL_RESOURCE_ATTRIBUTES=service.name=low", NULL};
    const char *bare[] = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t", NULL};
    struct telemetry_config c = configured(listed);

    (void)state;
    assert_string_equal(c.traces_url, "http://t");
    assert_null(c.metrics_url);
    assert_string_equal(resource_of(&c), "[" ATTRIBUTE("service.name", "low") "," ATTRIBUTE(
                                             "service.version", "1.2.3") "]");
    telemetry_config_done(&c);
    c = configured(bare);
    assert_string_equal(resource_of(&c), "[" ATTRIBUTE("service.name", "ati-proxy") "," ATTRIBUTE(
                                             "service.version", "1.2.3") "]");
    telemetry_config_done(&c);
}

static void says_what_is_wrong_with_them(void **state)
{
    static const char *const bad[][3] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318", NULL, NULL},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_TRACES_SAMPLER=sometimes", NULL},
    };
    const char *ratio[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c",
                           "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=1.5", NULL};
    struct telemetry_config c;
    struct err err;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *environment[] = {bad[i][0], bad[i][1], NULL};

        assert_false(telemetry_config_load(&c, environment_of(environment), "1", &err));
        assert_int_equal(err.code, ERR_CONFIG);
    }
    assert_false(telemetry_config_load(&c, environment_of(ratio), "1", &err));
    assert_string_equal(err.text, "OTEL_TRACES_SAMPLER_ARG: 1.5 is no number from 0 to 1");
}

static void samples_as_it_is_told(void **state)
{
    static const struct {
        const char *name, *argument;
        int parent; /* -1: none, else whether it is sampled */
        uint8_t low;
        bool kept;
    } cases[] = {
        {"OTEL_TRACES_SAMPLER=always_on", NULL, 0, 0, true},
        {"OTEL_TRACES_SAMPLER=always_off", NULL, 1, 0, false},
        {"OTEL_TRACES_SAMPLER=parentbased_always_on", NULL, 0, 0, false},
        {"OTEL_TRACES_SAMPLER=parentbased_always_on", NULL, -1, 0, true},
        {"OTEL_TRACES_SAMPLER=parentbased_always_off", NULL, 1, 0, true},
        {"OTEL_TRACES_SAMPLER=parentbased_always_off", NULL, -1, 0, false},
        {"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5", -1, 0x70, true},
        {"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5", -1, 0x90, false},
        {"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0", -1, 0, false},
        {"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=1", -1, 0xFE, true},
        {"A=b", NULL, 0, 0, false},
        {"A=b", NULL, -1, 0, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *environment[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", cases[i].name,
                                     cases[i].argument, NULL};
        struct telemetry_config c = configured(environment);
        struct trace_context parent = {.valid = cases[i].parent >= 0,
                                       .sampled = cases[i].parent == 1};
        uint8_t trace[16] = {1, [8] = cases[i].low};

        if (telemetry_sample(&c, &parent, trace) != cases[i].kept)
            fail_msg("case %zu", i);
        telemetry_config_done(&c);
    }
}

static void becomes(struct buf *out, const char *want)
{
    assert_true(buf_append_byte(out, 0, NULL));
    assert_string_equal((const char *)buf_view(out).at, want);
    buf_done(out);
}

static void encodes_spans(void **state)
{
    const struct span_attribute attributes[] = {
        {.name = "url.path", .text = VIEW("/a\"b")},
        {.name = "http.response.status_code", .number = true, .value = 502},
    };
    struct span s = {.name = "proxy.call", .start_ns = 1000000000000000001, .kind = SPAN_SERVER};
    struct buf spans, body;

    (void)state;
    trace_context_parse(VIEW("00-" TRACE "-" SPAN "-01"), VIEW("a=1"), &s.parent);
    s.context = s.parent;
    memset(s.context.span_id, 0xAB, sizeof s.context.span_id);
    buf_init(&spans, 4096, "spans");
    buf_init(&body, 4096, "body");
    assert_true(telemetry_encode_span(&s, 1000000000000000002, true, attributes, 2, &spans, NULL));
    s.parent.valid = false;
    s.context.state[0] = '\0';
    assert_true(telemetry_encode_span(&s, 1000000000000000003, false, NULL, 0, &spans, NULL));
    assert_true(telemetry_encode_traces(VIEW("[]"), "9", buf_view(&spans), &body, NULL));
    becomes(&body, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[]},\"scopeSpans\":[{"
                   "\"scope\":{\"name\":\"ati\",\"version\":\"9\"},"
                   "\"spans\":[{\"traceId\":\"" TRACE
                   "\",\"spanId\":\"abababababababab\",\"parentSpanId\":\"" SPAN
                   "\",\"traceState\":\"a=1\","
                   "\"name\":\"proxy.call\",\"kind\":2,\"startTimeUnixNano\":"
                   "\"1000000000000000001\",\"endTimeUnixNano\":\"1000000000000000002\","
                   "\"attributes\":[{\"key\":\"url.path\",\"value\":{\"stringValue\":\"/"
                   "a\\\"b\"}},{\"key\":\"http.response.status_code\",\"value\":"
                   "{\"intValue\":\"502\"}}],\"status\":{\"code\":2}},{\"traceId\":\"" TRACE
                   "\",\"spanId\":\"abababababababab\",\"name\":\"proxy.call\","
                   "\"kind\":2,\"startTimeUnixNano\":\"1000000000000000001\",\"endTimeUnixNano\":"
                   "\"1000000000000000003\",\"attributes\":[]}]}]}]}");
    buf_done(&spans);
}

static void encodes_metrics_by_instrument(void **state)
{
    struct telemetry_series_table t = {0};
    struct telemetry_series *s;
    struct buf body;

    (void)state;
    s = telemetry_series_find(&t, "duration", VIEW("[1]"), true);
    telemetry_series_observe(s, 0);
    telemetry_series_observe(s, 7.5);
    telemetry_series_observe(s, 99999);
    s = telemetry_series_find(&t, "requests", VIEW("[1]"), false);
    s->count = 5;
    s = telemetry_series_find(&t, "requests", VIEW("[2]"), false);
    s->count = 6;
    assert_ptr_equal(telemetry_series_find(&t, "requests", VIEW("[2]"), false), s);
    buf_init(&body, 8192, "body");
    assert_true(telemetry_encode_metrics(VIEW("[]"), "9", &t, 1, 2, &body, NULL));
    becomes(
        &body,
        "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[]},\"scopeMetrics\":[{\"scope\":{"
        "\"name\":\"ati\",\"version\":\"9\"},"
        "\"metrics\":[{\"name\":\"requests\",\"sum\":{\"aggregationTemporality\":2,\"isMonotonic\":"
        "true,\"dataPoints\":["
        "{\"attributes\":[2],\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"asInt\":\"6\"},"
        "{\"attributes\":[1],\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"asInt\":\"5\"}]}}"
        ","
        "{\"name\":\"duration\",\"unit\":\"ms\",\"histogram\":{\"aggregationTemporality\":2,"
        "\"dataPoints\":["
        "{\"attributes\":[1],\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"count\":\"3\","
        "\"sum\":100006.5,"
        "\"bucketCounts\":[\"1\",\"0\",\"1\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\","
        "\"0\",\"0\",\"0\",\"1\"],"
        "\"explicitBounds\":[0,5,10,25,50,75,100,250,500,750,1000,2500,5000,7500,10000]}]}}]}]}]}");
    telemetry_series_done(&t);
}

static void keeps_no_more_series_than_it_may(void **state)
{
    struct telemetry_series_table t = {0};

    (void)state;
    for (int i = 0; i < TELEMETRY_SERIES_MAX; i++) {
        char labels[16];

        (void)snprintf(labels, sizeof labels, "[%d]", i);
        assert_non_null(telemetry_series_find(&t, "n", view_str(labels), false));
    }
    assert_null(telemetry_series_find(&t, "n", VIEW("[-1]"), false));
    assert_non_null(telemetry_series_find(&t, "n", VIEW("[7]"), false));
    assert_int_equal(t.refused, 1);
    telemetry_series_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_a_context),
        cmocka_unit_test(takes_no_malformed_context),
        cmocka_unit_test(is_off_unless_asked_for),
        cmocka_unit_test(reads_the_standard_variables),
        cmocka_unit_test(names_itself_when_nobody_does),
        cmocka_unit_test(says_what_is_wrong_with_them),
        cmocka_unit_test(samples_as_it_is_told),
        cmocka_unit_test(encodes_spans),
        cmocka_unit_test(encodes_metrics_by_instrument),
        cmocka_unit_test(keeps_no_more_series_than_it_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
