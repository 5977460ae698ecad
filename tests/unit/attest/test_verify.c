/* Is it what the policy asks for? One good session, and every way in which it may be wrong. */
#include "world.h"

#include "base/codec.h"

enum { DAY_S = 86400 };

static void good(void **state)
{
    for (int strict = 0; strict < 2; strict++) {
        struct world w;

        (void)state;
        world_open(&w, 4);
        world_policy(&w, strict);
        if (!world_verify(&w))
            fail_msg("%s", w.err.text);
        assert_int_equal(w.attestation->runtime_verified, strict);
        assert_true(w.attestation->simulated);
        assert_memory_equal(w.attestation->compose_hash, w.guest->compose_hash, 32);
        assert_memory_equal(w.attestation->os_image_hash, w.guest->os_image_hash, 32);
        world_close(&w);
    }
}

/* --- spoilers --- */

static void relog(struct world *w)
{
    world_quote(w);
    world_log(w);
}

/* A log that keeps the digests of the genuine one, so that it replays, and lies in a payload. */
static void v_forged_compose(struct world *w)
{
    static const char fake[] = "\"event\":\"compose-hash\",\"event_payload\":\"00";
    char want[48 + 8];

    (void)snprintf(want, sizeof want, "\"event\":\"compose-hash\",\"event_payload\":\"%02x",
                   w->guest->compose_hash[0]);
    buf_replace(&w->log, want, fake);
}
static void v_forged_image(struct world *w)
{
    char want[64];

    (void)snprintf(want, sizeof want, "\"event\":\"os-image-hash\",\"event_payload\":\"%02x",
                   w->guest->os_image_hash[0]);
    buf_replace(&w->log, want, "\"event\":\"os-image-hash\",\"event_payload\":\"00");
}
static void v_forged_certificate(struct world *w)
{
    buf_replace(&w->log, "\"event_payload\":\"3165", "\"event_payload\":\"3265");
}
/* The same lie with empty digests, as newer guests send them: then the registers do not come out. */
static void v_forged_without_digests(struct world *w)
{
    buf_reset(&w->log);
    assert_true(sim_guest_log(w->guest, false, &w->log, NULL));
    v_forged_compose(w);
}
static void v_renamed_event(struct world *w)
{
    buf_replace(&w->log, "\"event\":\"storage-fs\"", "\"event\":\"storage-fz\"");
}
static void v_dropped_event(struct world *w)
{
    w->guest->count--; /* the certificate's */
    world_log(w);
}
static void v_appended_event(struct world *w)
{
    assert_true(sim_guest_emit(w->guest, "more", VIEW("x"), NULL));
    world_log(w);
}
static void v_swapped_events(struct world *w)
{
    struct sim_event first = w->guest->events[10], second = w->guest->events[11];

    w->guest->events[10] = second;
    w->guest->events[11] = first;
    world_log(w);
}
static void v_firmware_digest(struct world *w)
{
    w->guest->events[0].digest[0] ^= 1;
    world_log(w);
}
static void v_second_compose(struct world *w)
{
    assert_true(
        sim_guest_emit(w->guest, "compose-hash", view_from(w->guest->compose_hash, 32), NULL));
    relog(w);
}
static void v_no_log(struct world *w)
{
    buf_reset(&w->log);
}
static void v_no_certificate(struct world *w)
{
    sim_guest_free(w->guest);
    assert_true(sim_guest_boot(VIEW(WORLD_COMPOSE), &w->guest, NULL));
    relog(w);
}
static void v_other_certificate(struct world *w)
{
    w->leaf[5] ^= 1;
}
static void v_earlier_certificate(struct world *w)
{
    uint8_t next[32] = {9};

    assert_true(sim_guest_certificate(w->guest, next, NULL));
    relog(w);
}
static void certificate_event(struct world *w, struct view payload)
{
    assert_true(sim_guest_emit(w->guest, EVENT_CERTIFICATE, payload, NULL));
    relog(w);
}
static void v_certificate_raw(struct world *w)
{
    certificate_event(w, view_from(w->leaf, 32));
}
static void v_certificate_upper(struct world *w)
{
    char hex[65];

    hex_encode(view_from(w->leaf, 32), hex);
    for (size_t i = 0; i < 64; i++)
        if (hex[i] == 'e')
            hex[i] = 'E';
    certificate_event(w, view_str(hex));
}
static void v_certificate_not_hex(struct world *w)
{
    certificate_event(w, VIEW("zz1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e"));
}
static void v_certificate_not_utf8(struct world *w)
{
    certificate_event(w, VIEW("\xff\xfe"));
}

static void v_nonce(struct world *w)
{
    w->nonce[0] ^= 1;
    assert_true(attest_report_data(w->nonce, w->exporter, w->report_data));
}
static void v_exporter(struct world *w)
{
    w->exporter[0] ^= 1;
    assert_true(attest_report_data(w->nonce, w->exporter, w->report_data));
}

static void v_mrtd(struct world *w)
{
    w->guest->td.mrtd[0] ^= 1;
    world_quote(w);
}
static void v_rtmr3(struct world *w)
{
    w->guest->td.rtmr[3][0] ^= 1;
    world_quote(w);
}
static void extra_firmware(struct world *w, unsigned imr)
{
    struct sim_event *e = &w->guest->events[0];

    /* Another digest in that register, honestly logged and measured. */
    for (unsigned i = 0; i < w->guest->count; i++)
        if (w->guest->events[i].imr == imr)
            e = &w->guest->events[i];
    e->digest[0] ^= 1;
    memset(w->guest->td.rtmr, 0, sizeof w->guest->td.rtmr);
    world_log(w);
    {
        struct event_log *log;

        assert_true(event_log_parse(buf_view(&w->log), &log, NULL));
        assert_true(event_log_replay(log, w->guest->td.rtmr));
        event_log_free(log);
    }
    world_quote(w);
}
static void v_rtmr0(struct world *w)
{
    extra_firmware(w, 0);
}
static void v_rtmr1(struct world *w)
{
    extra_firmware(w, 1);
}
static void v_rtmr2(struct world *w)
{
    extra_firmware(w, 2);
}

static void guest_with(struct world *w, const char *compose)
{
    sim_guest_free(w->guest);
    assert_true(sim_guest_boot(view_str(compose), &w->guest, NULL));
    assert_true(sim_guest_certificate(w->guest, w->leaf, NULL));
    relog(w);
}
static void v_compose(struct world *w)
{
    guest_with(w, "{\"runner\":\"bash\"}");
}
static void v_policy_image(struct world *w)
{
    char want[40];

    (void)snprintf(want, sizeof want, "\"os_image_hash\":\"%02x", w->guest->os_image_hash[0]);
    buf_replace(&w->policy, want, "\"os_image_hash\":\"00");
}
static void v_not_simulated(struct world *w)
{
    buf_replace(&w->policy, "\"allow_simulated\":true,", "");
}
static void v_intel_root(struct world *w) /* the simulator's root is not given: Intel's counts */
{
    struct view p = buf_view(&w->policy);
    const uint8_t *at = memmem(p.at, p.len, ",\"trusted_roots\"", 16);

    assert_non_null(at);
    w->policy.tail = w->policy.head + (size_t)(at - p.at);
    assert_true(buf_append_str(&w->policy, "}", NULL));
}
static void status(struct world *w, const char *s)
{
    w->platform->recipe.status = s;
    world_collateral(w);
}
static void v_out_of_date(struct world *w)
{
    status(w, "OutOfDate");
}
static void v_hardening(struct world *w)
{
    status(w, "SWHardeningNeeded");
}
static void v_nothing_allowed(struct world *w)
{
    buf_replace(&w->policy, "[\"UpToDate\"]", "[]");
}
static void v_advisory(struct world *w)
{
    w->platform->recipe.advisories = "[\"INTEL-SA-00001\"]";
    world_collateral(w);
    buf_replace(&w->policy, "\"allow_simulated\"",
                "\"reject_advisories\":[\"INTEL-SA-00001\"],\"allow_simulated\"");
}
static void v_evaluation(struct world *w)
{
    buf_replace(&w->policy, "\"allow_simulated\"",
                "\"min_tcb_evaluation_data_number\":18,\"allow_simulated\"");
}
static void v_age_unknown(struct world *w)
{
    buf_replace(&w->policy, "\"allow_simulated\"", "\"max_quote_age\":60,\"allow_simulated\"");
}
static void grace(struct world *w, const char *text)
{
    v_out_of_date(w);
    buf_replace(&w->policy, "[\"UpToDate\"]", text);
}
static void v_grace_over(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":79711999");
}
static void v_grace_zero(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":0");
}
static void v_grace_huge(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":9223372036854775807");
}
static void v_grace_by_qe(struct world *w)
{
    w->platform->recipe.qe_status = "OutOfDate";
    world_collateral(w);
    buf_replace(&w->policy, "[\"UpToDate\"]", "[\"OutOfDate\"],\"grace_period\":999999999");
}

static const struct {
    const char *name;
    void (*spoil)(struct world *w);
    enum attest_code code;
} cases[] = {
#define CASE(f, code)        \
    {                        \
#f, f, ATTEST_##code \
    }
    CASE(v_forged_compose, EVENT_DIGEST),
    CASE(v_forged_image, EVENT_DIGEST),
    CASE(v_forged_certificate, EVENT_DIGEST),
    CASE(v_forged_without_digests, RTMR),
    CASE(v_renamed_event, EVENT_DIGEST),
    CASE(v_dropped_event, CERTIFICATE_EVENT),
    CASE(v_appended_event, RTMR),
    CASE(v_swapped_events, RTMR),
    CASE(v_firmware_digest, RTMR),
    CASE(v_second_compose, EVENT_ORDER),
    CASE(v_no_log, EVENT_SYNTAX),
    CASE(v_no_certificate, CERTIFICATE_EVENT),
    CASE(v_other_certificate, CERTIFICATE_EVENT),
    CASE(v_earlier_certificate, CERTIFICATE_EVENT),
    CASE(v_certificate_raw, CERTIFICATE_EVENT),
    CASE(v_certificate_upper, CERTIFICATE_EVENT),
    CASE(v_certificate_not_hex, EVENT_CERTIFICATE),
    CASE(v_certificate_not_utf8, EVENT_CERTIFICATE),
    CASE(v_nonce, REPORT_DATA),
    CASE(v_exporter, REPORT_DATA),
    CASE(v_mrtd, BOOTCHAIN),
    CASE(v_rtmr0, BOOTCHAIN),
    CASE(v_rtmr1, BOOTCHAIN),
    CASE(v_rtmr2, BOOTCHAIN),
    CASE(v_rtmr3, RTMR),
    CASE(v_compose, COMPOSE_HASH),
    CASE(v_policy_image, OS_IMAGE_HASH),
    CASE(v_not_simulated, POLICY),
    CASE(v_intel_root, CRL_SIGNATURE),
    CASE(v_out_of_date, TCB_NOT_ALLOWED),
    CASE(v_hardening, TCB_NOT_ALLOWED),
    CASE(v_nothing_allowed, TCB_NOT_ALLOWED),
    CASE(v_advisory, TCB_ADVISORY),
    CASE(v_evaluation, TCB_EVALUATION),
    CASE(v_age_unknown, QUOTE_AGE),
    CASE(v_grace_over, TCB_GRACE),
    CASE(v_grace_zero, TCB_GRACE),
    CASE(v_grace_huge, POLICY),
    CASE(v_grace_by_qe, TCB_INFO),
};

static void every_fault_has_its_error(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world w;

        world_open(&w, 4);
        cases[i].spoil(&w);
        if (world_verify(&w) || w.err.code != cases[i].code) {
            print_error("%s: wanted %s, got %s: %s\n", cases[i].name,
                        attest_code_name(cases[i].code), attest_code_name(w.err.code), w.err.text);
            wrong++;
        }
        world_close(&w);
    }
    assert_int_equal(wrong, 0);
}

/* A client that replays claimed digests and reads payloads would take the forged log: it replays. */
static void a_forged_payload_replays_and_is_refused_all_the_same(void **state)
{
    uint8_t registers[RTMR_COUNT][MEASUREMENT_BYTES];
    struct event_log *genuine;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(event_log_parse(buf_view(&w.log), &genuine, NULL));
    assert_true(event_log_replay(genuine, registers));
    assert_memory_equal(registers[3], w.guest->td.rtmr[3], MEASUREMENT_BYTES);
    event_log_free(genuine);
    v_forged_compose(&w); /* every claimed digest is still there */
    assert_false(world_verify(&w));
    assert_int_equal(w.err.code, ATTEST_EVENT_DIGEST);
    assert_non_null(strstr(w.err.text, "forged"));
    world_close(&w);
}

static void a_grace_period_holds_to_its_last_second(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, 4);
    grace(&w, "[\"OutOfDate\"],\"grace_period\":79712000"); /* from 2024-03-13 to now */
    if (!world_verify(&w))
        fail_msg("%s", w.err.text);
    world_close(&w);
}

/* During a rollout two manifests, two images and two boot chains are good. */
static void several_values_may_be_accepted(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, 4);
    buf_replace(&w.policy, "\"os_image_hash\":\"",
                "\"os_image_hash\":["
                "\"00000000000000000000000000000000000000000000000000000000000000aa\",\"");
    buf_replace(&w.policy, "\",\"allowed_tcb_status\"", "\"],\"allowed_tcb_status\"");
    if (!world_verify(&w))
        fail_msg("%s", w.err.text);
    world_close(&w);
}

/* The texts of the reference client, which its callers look for. */
static void messages_begin_with_the_words_of_their_class(void **state)
{
    static const struct {
        void (*spoil)(struct world *w);
        const char *words;
    } table[] = {
        {v_mrtd, "bootchain mismatch: mrtd expected "},
        {v_rtmr3, "RTMR3 mismatch: expected "},
        {v_other_certificate, "certificate not in event log"},
        {v_compose, "app compose hash mismatch: expected "},
        {v_policy_image, "OS image hash mismatch: expected "},
        {v_out_of_date, "TCB status OutOfDate not allowed (allowed: [\"UpToDate\"])"},
        {v_grace_over, "grace period expired for status OutOfDate (tcb_date: 2024-03-13T00:00:00Z, "
                       "grace_period_secs: 79711999)"},
        {v_nonce, "report data mismatch: expected "},
        {v_forged_compose, "failed to parse event log: "},
        {v_not_simulated, "configuration error: "},
        {v_certificate_not_hex,
         "failed to parse event log: failed to hex-decode certificate event payload: "},
        {v_certificate_not_utf8,
         "failed to parse event log: certificate event payload is not valid UTF-8: "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct world w;

        world_open(&w, 4);
        table[i].spoil(&w);
        assert_false(world_verify(&w));
        if (strncmp(w.err.text, table[i].words, strlen(table[i].words)) != 0)
            fail_msg("wanted \"%s…\", got \"%s\"", table[i].words, w.err.text);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(every_fault_has_its_error),
        cmocka_unit_test(a_forged_payload_replays_and_is_refused_all_the_same),
        cmocka_unit_test(a_grace_period_holds_to_its_last_second),
        cmocka_unit_test(several_values_may_be_accepted),
        cmocka_unit_test(messages_begin_with_the_words_of_their_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
