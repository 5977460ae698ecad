/* What the attester makes of a guest agent's answers: logs are completed and replayed before anybody sees them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "attest/digest.h"
#include "base/codec.h"
#include "base/json.h"
#include "sim/agent.h"
#include "support/guest_agent.h"
#include "tee/attester.h"

enum { PATIENCE_MS = 20000, TOKENS = 16 * 1024, TEXT_BYTES = 256 * 1024 };

static struct sim_platform *platform;
static struct log_sink *sink;
static struct log *log_of_all;
static char text[TEXT_BYTES]; /* event log of the last answer */

struct machine {
    char folder[32];
    struct sim_guest *guest;
    struct guest_agent agent;
    struct attester *attester;
    struct loop *loop;
    struct attester_job job;
};

static void machine_open(struct machine *m)
{
    char path[64];

    *m = (struct machine){.attester = NULL};
    (void)snprintf(m->folder, sizeof m->folder, "/tmp/attester-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    (void)snprintf(path, sizeof path, "%s/dstack.sock", m->folder);
    assert_true(sim_guest_boot(VIEW("{}"), &m->guest, NULL));
    guest_agent_open(&m->agent, path, platform, m->guest);
    assert_true(loop_new(&clock_system, &m->loop, NULL));
}

static bool start(struct machine *m, struct err *err)
{
    char spec[128];
    const struct provider_options provider = {.spec = spec, .timeout_ms = PATIENCE_MS};
    struct attester_options options = {.waiting_max = 4, .log = log_of_all};

    (void)snprintf(spec, sizeof spec, "dstack:%s", m->agent.path);
    assert_true(provider_open(&provider, &options.provider, err));
    assert_true(attester_new(&options, &m->attester, err));
    if (attester_start(m->attester, err))
        return true;
    attester_free(take(m->attester));
    return false;
}

static void machine_close(struct machine *m)
{
    attester_free(m->attester);
    loop_free(m->loop);
    guest_agent_close(&m->agent);
    sim_guest_free(m->guest);
    assert_int_equal(rmdir(m->folder), 0);
}

static void answered(struct attester_job *job, void *context)
{
    struct machine *m = context;

    assert_ptr_equal(job, &m->job);
    loop_stop(m->loop);
}

static bool ask(struct machine *m, uint8_t filling)
{
    m->job = (struct attester_job){.loop = m->loop, .done = answered, .context = m};
    memset(m->job.report_data, filling, sizeof m->job.report_data);
    assert_true(attester_ask(m->attester, &m->job));
    assert_true(loop_run(m->loop, NULL));
    return m->job.good;
}

/* The log of the answer, and in *log as a client reads it; it replays to the quote's registers. */
static void take_log(struct machine *m, struct event_log **log)
{
    static uint8_t quote_bytes[QUOTE_BYTES_MAX];
    uint8_t rtmr[RTMR_COUNT][MEASUREMENT_BYTES];
    struct attest_err why;
    struct json_tree tree;
    struct quote quote;
    uint32_t object;
    struct view hex;

    assert_true(json_load(buf_view(&m->job.answer), TOKENS, &tree, NULL));
    object = json_member(&tree.doc, 0, "quote");
    assert_true(
        json_string(&tree.doc, json_member(&tree.doc, object, "event_log"), text, sizeof text));
    hex = json_span(&tree.doc, json_member(&tree.doc, object, "quote"));
    assert_true(hex_decode(hex, quote_bytes, hex.len / 2));
    if (!quote_parse(view_from(quote_bytes, hex.len / 2), &quote, &why) ||
        !event_log_parse(view_str(text), log, &why))
        fail_msg("%s", why.text);
    assert_true(view_eq(quote.td.report_data, view_from(m->job.report_data, REPORT_DATA_BYTES)));
    assert_true(event_log_replay(*log, rtmr));
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        assert_true(view_eq(quote.td.rtmr[i], view_from(rtmr[i], MEASUREMENT_BYTES)));
    json_unload(&tree);
    buf_done(&m->job.answer);
}

/* Every event of the text has a digest in it, and that is the one that the client computes. */
static void check_digests(const struct event_log *log)
{
    struct json_tree tree;
    uint32_t at;

    assert_true(json_load(view_str(text), TOKENS, &tree, NULL));
    assert_int_equal(tree.doc.tokens[0].count, log->count);
    at = json_first(0);
    for (uint32_t i = 0; i < log->count; i++) {
        struct view hex = json_span(&tree.doc, json_member(&tree.doc, at, "digest"));
        uint8_t digest[MEASUREMENT_BYTES];

        assert_true(hex_decode(hex, digest, sizeof digest));
        assert_memory_equal(digest, log->events[i].digest, sizeof digest);
        at = tree.doc.tokens[at].next;
    }
    json_unload(&tree);
}

static void digests_that_a_guest_leaves_out_are_filled_in(void **state)
{
    struct event_log *log;
    struct machine m;
    struct err err;
    struct buf raw;

    (void)state;
    machine_open(&m);
    buf_init(&raw, TEXT_BYTES, "log");
    assert_true(sim_guest_log(m.guest, false, &raw, NULL));
    assert_true(view_find_text(buf_view(&raw), VIEW("\"digest\":\"\""))); /* or nothing is shown */
    buf_done(&raw);
    if (!start(&m, &err))
        fail_msg("%s", err.text);
    assert_true(ask(&m, 'x'));
    take_log(&m, &log);
    check_digests(log);
    event_log_free(log);
    machine_close(&m);
}

#define SECOND_FORM(payload)                                                                       \
    "{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"second \\u0022form\\u0022\"," \
    "\"event_payload\":\"" payload "\",\"version\":2}"

/* A log whose last event is in the second form, and the quote that goes with it. */
static bool second_form(struct guest_agent *a, struct view method, struct view body,
                        struct buf *out, struct err *err)
{
    struct sim_guest *g = a->guest;
    struct buf quote, log;
    struct json_tree tree;
    struct json_writer w;
    uint8_t data[REPORT_DATA_BYTES];
    bool good;

    if (!view_eq(method, VIEW("GetQuote")))
        return sim_agent_call(a->platform, g, method, body, out, err);
    assert_true(json_load(body, TOKENS, &tree, NULL));
    assert_true(hex_decode(json_span(&tree.doc, json_member(&tree.doc, 0, "report_data")), data,
                           sizeof data));
    json_unload(&tree);
    buf_init(&quote, QUOTE_BYTES_MAX, "quote");
    buf_init(&log, TEXT_BYTES, "log");
    assert_true(sim_guest_log(g, false, &log, NULL));
    log.tail--; /* the bracket */
    assert_true(buf_append_str(&log, "," SECOND_FORM("abcd") "]", NULL));
    assert_true(sim_quote(a->platform, &g->td, 4, data, 0, &quote, NULL));
    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "quote");
    json_hex(&w, buf_view(&quote));
    json_key(&w, "event_log");
    json_raw(&w, buf_view(&log)); /* an array, not its text: both are taken */
    json_object_end(&w);
    good = json_end(&w, err);
    buf_done(&quote);
    buf_done(&log);
    return good;
}

static void digests_of_the_second_form_are_filled_in_as_such(void **state)
{
    static const uint8_t payload[] = {0xab, 0xcd};
    uint8_t digest[MEASUREMENT_BYTES];
    const struct event *e;
    struct event_log *log;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m);
    assert_true(event_digest(2, VIEW("second \"form\""), view_from(payload, 2), digest));
    {
        const struct view pieces[] = {view_from(m.guest->td.rtmr[3], MEASUREMENT_BYTES),
                                      view_from(digest, sizeof digest)};

        assert_true(digest_sha384(pieces, 2, m.guest->td.rtmr[3]));
    }
    m.agent.answer = second_form;
    if (!start(&m, &err))
        fail_msg("%s", err.text);
    assert_true(ask(&m, 'y'));
    take_log(&m, &log);
    check_digests(log);
    e = event_log_last(log, "second \"form\"");
    assert_non_null(e);
    assert_int_equal(e->version, 2);
    assert_memory_equal(e->digest, digest, sizeof digest);
    event_log_free(log);
    machine_close(&m);
}

/* Something else was measured than the log tells: found at the start, and later. */
static void a_log_that_does_not_replay_is_not_handed_out(void **state)
{
    struct machine m;
    struct err err;

    (void)state;
    for (unsigned i = 0; i < RTMR_COUNT; i++) {
        char wanted[32];

        machine_open(&m);
        m.guest->td.rtmr[i][0] ^= 1;
        assert_false(start(&m, &err));
        (void)snprintf(wanted, sizeof wanted, "does not replay to RTMR%u", i);
        if (!strstr(err.text, wanted))
            fail_msg("%s", err.text);
        m.guest->td.rtmr[i][0] ^= 1;
        assert_true(start(&m, &err));
        m.guest->td.rtmr[i][0] ^= 1;
        assert_false(ask(&m, 'x'));
        assert_int_equal(buf_len(&m.job.answer), 0);
        buf_done(&m.job.answer);
        assert_int_equal(attester_stats(m.attester).failures, 1);
        machine_close(&m);
    }
}

static void a_certificate_is_measured_once(void **state)
{
    uint8_t leaf[32] = {1};
    struct event_log *log;
    struct machine m;
    struct err err;
    unsigned before;

    (void)state;
    machine_open(&m);
    assert_true(start(&m, &err));
    before = m.guest->count;
    for (int i = 0; i < 3; i++)
        assert_true(attester_certificate(m.attester, leaf, &err));
    assert_int_equal(m.guest->count, before + 1);
    leaf[0] = 2;
    assert_true(attester_certificate(m.attester, leaf, &err));
    assert_int_equal(m.guest->count, before + 2);
    assert_int_equal(attester_stats(m.attester).events, 2);
    assert_true(ask(&m, 'x'));
    take_log(&m, &log);
    assert_true(view_starts(event_log_last(log, EVENT_CERTIFICATE)->payload, VIEW("0200")));
    event_log_free(log);
    m.agent.status = 404;
    m.agent.text = "";
    m.agent.only = "EmitEvent";
    atomic_store(&m.agent.mood, AGENT_REFUSES);
    leaf[0] = 3;
    for (int i = 0; i < 2; i++) { /* what was not measured is not taken for measured */
        assert_false(attester_certificate(m.attester, leaf, &err));
        assert_non_null(strstr(err.text, "has no EmitEvent"));
    }
    machine_close(&m);
}

static int make_all(void **state)
{
    struct sim_recipe recipe;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    sim_recipe_default(&recipe, clock_wall_ms(&clock_system) / 1000);
    return sim_platform_new(&recipe, &platform, NULL) &&
                   log_sink_new(fd, LOG_JSON, LOG_ERROR, &clock_system, &sink, NULL) &&
                   log_new(sink, &log_of_all, NULL)
               ? 0
               : -1;
}

static int free_all(void **state)
{
    (void)state;
    log_sink_free(sink);
    sim_platform_free(platform);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_that_a_guest_leaves_out_are_filled_in),
        cmocka_unit_test(digests_of_the_second_form_are_filled_in_as_such),
        cmocka_unit_test(a_log_that_does_not_replay_is_not_handed_out),
        cmocka_unit_test(a_certificate_is_measured_once),
    };

    return cmocka_run_group_tests(tests, make_all, free_all);
}
