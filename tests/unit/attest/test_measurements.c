/* What runs there: event logs that lie, certificates that were not measured, registers and hashes that are others. */
#include "faults.h"

#include "attest/digest.h"
#include "base/codec.h"

/* --- the guest, changed --- */

static struct sim_event *find(struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->guest->count; i++)
        if (strcmp(w->guest->events[i].name, name) == 0)
            return &w->guest->events[i];
    fail_msg("there is no event %s", name);
    return NULL;
}

static void drop(struct world *w, const char *name)
{
    struct sim_event *e = find(w, name);
    size_t behind = (size_t)(w->guest->events + w->guest->count - (e + 1));

    memmove(e, e + 1, behind * sizeof *e);
    w->guest->count--;
}

static void add(struct world *w, unsigned imr, uint32_t type, const char *name, struct view payload)
{
    struct sim_event *e = &w->guest->events[w->guest->count++];

    *e = (struct sim_event){.imr = imr, .type = type, .payload_len = payload.len};
    (void)snprintf(e->name, sizeof e->name, "%s", name);
    memcpy(e->payload, payload.at, payload.len);
    assert_true(event_digest(1, view_str(name), payload, e->digest));
}

static void relog(struct world *w)
{
    world_quote(w);
    world_log(w);
}

/* The guest has really measured what its events say. */
static void remeasure(struct world *w)
{
    memset(w->guest->td.rtmr, 0, sizeof w->guest->td.rtmr);
    for (unsigned i = 0; i < w->guest->count; i++) {
        const struct sim_event *e = &w->guest->events[i];
        uint8_t *rtmr = w->guest->td.rtmr[e->imr];
        const struct view pieces[] = {view_from(rtmr, MEASUREMENT_BYTES),
                                      view_from(e->digest, MEASUREMENT_BYTES)};

        assert_true(digest_sha384(pieces, 2, rtmr));
    }
    relog(w);
}

/* --- payloads that lie --- */

/* Digests are kept, so that the log replays. */
static void forged_compose(struct world *w)
{
    find(w, EVENT_COMPOSE_HASH)->payload[0] ^= 1;
    world_log(w);
}
static void forged_image(struct world *w)
{
    find(w, EVENT_OS_IMAGE_HASH)->payload[0] ^= 1;
    world_log(w);
}
static void forged_certificate(struct world *w)
{
    find(w, EVENT_CERTIFICATE)->payload[0] ^= 1;
    world_log(w);
}
static void renamed_event(struct world *w)
{
    find(w, "storage-fs")->name[0] = 'S';
    world_log(w);
}
/* The same lie with empty digests, as newer guests send them: then the registers do not come out. */
static void forged_without_digests(struct world *w)
{
    find(w, EVENT_COMPOSE_HASH)->payload[0] ^= 1;
    buf_reset(&w->log);
    assert_true(sim_guest_log(w->guest, false, &w->log, NULL));
}
/* And with the digest that the lie would have. */
static void forged_consistently(struct world *w)
{
    struct sim_event *e = find(w, EVENT_COMPOSE_HASH);

    e->payload[0] ^= 1;
    assert_true(event_digest(1, VIEW(EVENT_COMPOSE_HASH), view_from(e->payload, e->payload_len),
                             e->digest));
    world_log(w);
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
    forged_compose(&w); /* every claimed digest is still there */
    assert_false(world_verify(&w));
    assert_int_equal(w.err.code, ATTEST_EVENT_DIGEST);
    assert_non_null(strstr(w.err.text, "forged"));
    world_close(&w);
}

/* --- events that are not as they were --- */

static void dropped_event(struct world *w)
{
    drop(w, "storage-fs");
    world_log(w);
}
static void dropped_firmware_event(struct world *w)
{
    drop(w, "acpi-tables");
    world_log(w);
}
static void dropped_certificate(struct world *w)
{
    drop(w, EVENT_CERTIFICATE);
    world_log(w);
}
static void duplicated(struct world *w, const char *name)
{
    w->guest->events[w->guest->count++] = *find(w, name);
    world_log(w);
}
static void duplicated_event(struct world *w)
{
    duplicated(w, "storage-fs");
}
static void duplicated_firmware_event(struct world *w)
{
    duplicated(w, "acpi-tables");
}
static void duplicated_compose(struct world *w)
{
    duplicated(w, EVENT_COMPOSE_HASH);
}
static void appended_event(struct world *w)
{
    add(w, 3, EVENT_TYPE_RUNTIME, "more", VIEW("x"));
    world_log(w);
}
static void swapped(struct world *w, unsigned at)
{
    struct sim_event first = w->guest->events[at];

    w->guest->events[at] = w->guest->events[at + 1];
    w->guest->events[at + 1] = first;
    world_log(w);
}
static void swapped_events(struct world *w)
{
    swapped(w, 10);
}
static void swapped_firmware_events(struct world *w)
{
    swapped(w, 0);
}
static void firmware_digest(struct world *w)
{
    w->guest->events[0].digest[0] ^= 1;
    world_log(w);
}
static void no_log(struct world *w)
{
    buf_reset(&w->log);
}

/* --- system events in other places; all of it honestly measured --- */

static void second_compose(struct world *w) /* an application's, behind system-ready */
{
    add(w, 3, EVENT_TYPE_RUNTIME, EVENT_COMPOSE_HASH, view_from(w->guest->compose_hash, 32));
    remeasure(w);
}
static void late_compose(struct world *w)
{
    drop(w, EVENT_COMPOSE_HASH);
    second_compose(w);
}
static void decoy(struct world *w, unsigned imr, uint32_t type, const char *name)
{
    struct sim_event genuine = *find(w, name);

    drop(w, name);
    add(w, imr, type, name, view_from(genuine.payload, genuine.payload_len));
    remeasure(w);
}
enum { FIRMWARE_TYPE = 0x0000000A };
static void compose_in_rtmr0(struct world *w)
{
    decoy(w, 0, EVENT_TYPE_RUNTIME, EVENT_COMPOSE_HASH);
}
static void compose_in_rtmr1(struct world *w)
{
    decoy(w, 1, EVENT_TYPE_RUNTIME, EVENT_COMPOSE_HASH);
}
static void compose_in_rtmr2(struct world *w)
{
    decoy(w, 2, EVENT_TYPE_RUNTIME, EVENT_COMPOSE_HASH);
}
/* The boot chain is as the policy has it, whatever it is: the lie is to be found by its place alone. */
static void compose_as_firmware(struct world *w, unsigned imr)
{
    decoy(w, imr, FIRMWARE_TYPE, EVENT_COMPOSE_HASH);
    world_policy(w, true);
}
static void compose_as_firmware_in_rtmr0(struct world *w)
{
    compose_as_firmware(w, 0);
}
static void compose_as_firmware_in_rtmr1(struct world *w)
{
    compose_as_firmware(w, 1);
}
static void compose_as_firmware_in_rtmr2(struct world *w)
{
    compose_as_firmware(w, 2);
}
static void compose_as_firmware_in_rtmr3(struct world *w)
{
    decoy(w, 3, FIRMWARE_TYPE, EVENT_COMPOSE_HASH);
}
/* Only the log calls it so: the register comes out. */
static void compose_of_another_type(struct world *w)
{
    find(w, EVENT_COMPOSE_HASH)->type = FIRMWARE_TYPE;
    world_log(w);
}
static void firmware_of_runtime_type(struct world *w)
{
    find(w, "acpi-tables")->type = EVENT_TYPE_RUNTIME;
    world_log(w);
}
/* "compose-hash:x" with a payload has the digest of "compose-hash" with "x:" before that. */
static void ambiguous_compose(struct world *w)
{
    add(w, 3, EVENT_TYPE_RUNTIME, EVENT_COMPOSE_HASH ":x", VIEW("y"));
    remeasure(w);
}
static void image_not_measured(struct world *w)
{
    drop(w, EVENT_OS_IMAGE_HASH);
    remeasure(w);
}
static void compose_not_measured(struct world *w)
{
    drop(w, EVENT_COMPOSE_HASH);
    remeasure(w);
}

/* --- certificates --- */

static void certificate_not_measured(struct world *w)
{
    drop(w, EVENT_CERTIFICATE);
    remeasure(w);
}
static void other_certificate(struct world *w)
{
    w->leaf[5] ^= 1;
}
static void earlier_certificate(struct world *w)
{
    uint8_t next[32] = {9};

    assert_true(sim_guest_certificate(w->guest, next, NULL));
    relog(w);
}
static void certificate_in_rtmr0(struct world *w)
{
    decoy(w, 0, EVENT_TYPE_RUNTIME, EVENT_CERTIFICATE);
}
static void certificate_in_rtmr1(struct world *w)
{
    decoy(w, 1, EVENT_TYPE_RUNTIME, EVENT_CERTIFICATE);
}
static void certificate_in_rtmr2(struct world *w)
{
    decoy(w, 2, EVENT_TYPE_RUNTIME, EVENT_CERTIFICATE);
}
static void certificate_as_firmware_in_rtmr0(struct world *w)
{
    decoy(w, 0, FIRMWARE_TYPE, EVENT_CERTIFICATE);
}
static void certificate_as_firmware_in_rtmr1(struct world *w)
{
    decoy(w, 1, FIRMWARE_TYPE, EVENT_CERTIFICATE);
}
static void certificate_as_firmware_in_rtmr2(struct world *w)
{
    decoy(w, 2, FIRMWARE_TYPE, EVENT_CERTIFICATE);
}
static void certificate_as_firmware_in_rtmr3(struct world *w)
{
    decoy(w, 3, FIRMWARE_TYPE, EVENT_CERTIFICATE);
}
static void certificate_event(struct world *w, struct view payload)
{
    assert_true(sim_guest_emit(w->guest, EVENT_CERTIFICATE, payload, NULL));
    relog(w);
}
static void certificate_raw(struct world *w)
{
    certificate_event(w, view_from(w->leaf, 32));
}
static void certificate_in_upper_case(struct world *w)
{
    char hex[65];

    hex_encode(view_from(w->leaf, 32), hex);
    for (size_t i = 0; i < 64; i++)
        if (hex[i] == 'e')
            hex[i] = 'E';
    certificate_event(w, view_str(hex));
}
static void certificate_of_63_digits(struct world *w)
{
    char hex[65];

    hex_encode(view_from(w->leaf, 32), hex);
    certificate_event(w, view_from(hex, 63));
}
static void certificate_not_in_hex(struct world *w)
{
    certificate_event(w, VIEW("zz1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e"));
}
static void certificate_not_in_utf8(struct world *w)
{
    certificate_event(w, VIEW("\xff\xfe"));
}

/* --- session --- */

static void other_nonce(struct world *w)
{
    w->nonce[0] ^= 1;
    assert_true(attest_report_data(w->nonce, w->exporter, w->report_data));
}
static void other_session(struct world *w)
{
    w->exporter[0] ^= 1;
    assert_true(attest_report_data(w->nonce, w->exporter, w->report_data));
}

/* --- registers --- */

static void mrtd(struct world *w)
{
    w->guest->td.mrtd[47] ^= 1;
    world_quote(w);
}
/* Another digest in that register, honestly logged and measured. */
static void other_firmware(struct world *w, unsigned imr)
{
    struct sim_event *e = w->guest->events;

    while (e->imr != imr)
        e++;
    e->digest[0] ^= 1;
    remeasure(w);
}
static void rtmr0(struct world *w)
{
    other_firmware(w, 0);
}
static void rtmr1(struct world *w)
{
    other_firmware(w, 1);
}
static void rtmr2(struct world *w)
{
    other_firmware(w, 2);
}
/* The register of the quote and the log are a bit apart. */
static void register_of_quote(struct world *w, unsigned imr)
{
    w->guest->td.rtmr[imr][47] ^= 1;
    world_quote(w);
}
static void replay_of_rtmr0(struct world *w)
{
    register_of_quote(w, 0);
}
static void replay_of_rtmr1(struct world *w)
{
    register_of_quote(w, 1);
}
static void replay_of_rtmr2(struct world *w)
{
    register_of_quote(w, 2);
}
static void replay_of_rtmr3(struct world *w)
{
    register_of_quote(w, 3);
}
/* One bit of the policy's, instead. */
static void policy_off_by_a_bit(struct world *w, const char *key)
{
    struct buf *b = &w->policy;
    char *at = memmem(b->area + b->head, buf_len(b), key, strlen(key));

    assert_non_null(at);
    at += strlen(key) + 95;
    *at = (char)(*at < 'a' ? *at ^ 1 : ((*at - 'a') ^ 1) + 'a');
}
static void policy_mrtd(struct world *w)
{
    policy_off_by_a_bit(w, "\"mrtd\":\"");
}
static void policy_rtmr0(struct world *w)
{
    policy_off_by_a_bit(w, "\"rtmr0\":\"");
}
static void policy_rtmr1(struct world *w)
{
    policy_off_by_a_bit(w, "\"rtmr1\":\"");
}
static void policy_rtmr2(struct world *w)
{
    policy_off_by_a_bit(w, "\"rtmr2\":\"");
}

/* --- hashes --- */

static void guest_with(struct world *w, const char *compose)
{
    sim_guest_free(w->guest);
    assert_true(sim_guest_boot(view_str(compose), &w->guest, NULL));
    assert_true(sim_guest_certificate(w->guest, w->leaf, NULL));
    relog(w);
}
static void other_compose(struct world *w)
{
    guest_with(w, "{\"runner\":\"bash\"}");
}
static void other_image(struct world *w)
{
    char want[40];

    (void)snprintf(want, sizeof want, "\"os_image_hash\":\"%02x", w->guest->os_image_hash[0]);
    buf_replace(&w->policy, want, "\"os_image_hash\":\"00");
}

/* The text that was measured is that of the policy's object in its one form: no blank, members as they stand there. */
static void a_manifest_has_one_text(void **state)
{
    static const struct {
        const char *measured, *policy;
        bool good;
    } cases[] = {
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1,\"b\":\"x\"}", true},
        {"{\"a\":1,\"b\":\"x\"}", "{ \"a\" : 1,\n\t\"b\":\"x\" }", true},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1,\"b\":\"\\u0078\"}", true},
        {"{\"a\":1,\"b\":\"x\"}", "{\"b\":\"x\",\"a\":1}", false},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1.0,\"b\":\"x\"}", false},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1e0,\"b\":\"x\"}", false},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":\"1\",\"b\":\"x\"}", false},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1,\"b\":\"X\"}", false},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1}", false},
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1,\"b\":\"x\",\"c\":null}", false},
        {"{\"a\": 1}", "{\"a\": 1}", false}, /* such a file is named by its text or hash */
        {"{\"a\": 1}", "\"{\\\"a\\\": 1}\"", true},
        {"{\"a\": 1}", "\"{\\\"a\\\":1}\"", false},
        {"{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\\u00e9\"}", true},
        {"{\"a\":\"\xc3\xa9\"}", "{\"a\":\"e\\u0301\"}", false}, /* the same to the eye */
        {"{\"a\":\"\\u00e9\"}", "{\"a\":\"\xc3\xa9\"}", false},
        {"{\"a\":\"/\"}", "{\"a\":\"\\/\"}", true},
        {"{\"a\":\"\\n\"}", "{\"a\":\"\\u000a\"}", true},
        {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"b\":1}}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world w;
        struct buf next;

        world_open(&w, 4);
        guest_with(&w, cases[i].measured);
        buf_init(&next, 1 << 16, "value");
        assert_true(buf_appendf(&next, NULL, "\"app_compose\":%s,\"x_was\":", cases[i].policy) &&
                    buf_append_byte(&next, 0, NULL));
        buf_replace(&w.policy, "\"app_compose\":", (const char *)next.area);
        if (world_verify(&w) != cases[i].good)
            fail_msg("%s as %s: %s", cases[i].measured, cases[i].policy, w.err.text);
        if (!cases[i].good)
            assert_int_equal(w.err.code, ATTEST_COMPOSE_HASH);
        buf_done(&next);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_FAULT_SAYS(forged_compose, EVENT_DIGEST, "failed to parse event log: "),
        VERIFY_FAULT(forged_image, EVENT_DIGEST),
        VERIFY_FAULT(forged_certificate, EVENT_DIGEST),
        VERIFY_FAULT(renamed_event, EVENT_DIGEST),
        VERIFY_FAULT(forged_without_digests, RTMR),
        VERIFY_FAULT(forged_consistently, RTMR),
        cmocka_unit_test(a_forged_payload_replays_and_is_refused_all_the_same),
        VERIFY_FAULT(dropped_event, RTMR),
        VERIFY_FAULT(dropped_firmware_event, RTMR),
        VERIFY_FAULT(dropped_certificate, CERTIFICATE_EVENT),
        VERIFY_FAULT(duplicated_event, RTMR),
        VERIFY_FAULT(duplicated_firmware_event, RTMR),
        VERIFY_FAULT(duplicated_compose, EVENT_ORDER),
        VERIFY_FAULT(appended_event, RTMR),
        VERIFY_FAULT(swapped_events, RTMR),
        VERIFY_FAULT(swapped_firmware_events, RTMR),
        VERIFY_FAULT(firmware_digest, RTMR),
        VERIFY_FAULT(no_log, EVENT_SYNTAX),
        VERIFY_FAULT(second_compose, EVENT_ORDER),
        VERIFY_FAULT(late_compose, EVENT_ORDER),
        VERIFY_FAULT(compose_in_rtmr0, EVENT_REGISTER),
        VERIFY_FAULT(compose_in_rtmr1, EVENT_REGISTER),
        VERIFY_FAULT(compose_in_rtmr2, EVENT_REGISTER),
        VERIFY_FAULT(compose_as_firmware_in_rtmr0, COMPOSE_HASH),
        VERIFY_FAULT(compose_as_firmware_in_rtmr1, COMPOSE_HASH),
        VERIFY_FAULT(compose_as_firmware_in_rtmr2, COMPOSE_HASH),
        VERIFY_FAULT(compose_as_firmware_in_rtmr3, EVENT_REGISTER),
        VERIFY_FAULT(compose_of_another_type, EVENT_REGISTER),
        VERIFY_FAULT(firmware_of_runtime_type, EVENT_REGISTER),
        VERIFY_FAULT(ambiguous_compose, EVENT_NAME),
        VERIFY_FAULT(image_not_measured, OS_IMAGE_HASH),
        VERIFY_FAULT(compose_not_measured, COMPOSE_HASH),
        VERIFY_FAULT(certificate_not_measured, CERTIFICATE_EVENT),
        VERIFY_FAULT_SAYS(other_certificate, CERTIFICATE_EVENT, "certificate not in event log"),
        VERIFY_FAULT(earlier_certificate, CERTIFICATE_EVENT),
        VERIFY_FAULT(certificate_in_rtmr0, EVENT_REGISTER),
        VERIFY_FAULT(certificate_in_rtmr1, EVENT_REGISTER),
        VERIFY_FAULT(certificate_in_rtmr2, EVENT_REGISTER),
        VERIFY_FAULT(certificate_as_firmware_in_rtmr0, CERTIFICATE_EVENT),
        VERIFY_FAULT(certificate_as_firmware_in_rtmr1, CERTIFICATE_EVENT),
        VERIFY_FAULT(certificate_as_firmware_in_rtmr2, CERTIFICATE_EVENT),
        VERIFY_FAULT(certificate_as_firmware_in_rtmr3, EVENT_REGISTER),
        VERIFY_FAULT(certificate_raw, CERTIFICATE_EVENT),
        VERIFY_FAULT(certificate_in_upper_case, CERTIFICATE_EVENT),
        VERIFY_FAULT(certificate_of_63_digits, CERTIFICATE_EVENT),
        VERIFY_FAULT_SAYS(
            certificate_not_in_hex, EVENT_CERTIFICATE,
            "failed to parse event log: failed to hex-decode certificate event payload: "),
        VERIFY_FAULT_SAYS(
            certificate_not_in_utf8, EVENT_CERTIFICATE,
            "failed to parse event log: certificate event payload is not valid UTF-8: "),
        VERIFY_FAULT_SAYS(other_nonce, REPORT_DATA, "report data mismatch: expected "),
        VERIFY_FAULT(other_session, REPORT_DATA),
        VERIFY_FAULT_SAYS(mrtd, BOOTCHAIN, "bootchain mismatch: mrtd expected "),
        VERIFY_FAULT(rtmr0, BOOTCHAIN),
        VERIFY_FAULT(rtmr1, BOOTCHAIN),
        VERIFY_FAULT(rtmr2, BOOTCHAIN),
        VERIFY_FAULT(replay_of_rtmr0, RTMR),
        VERIFY_FAULT(replay_of_rtmr1, RTMR),
        VERIFY_FAULT(replay_of_rtmr2, RTMR),
        VERIFY_FAULT_SAYS(replay_of_rtmr3, RTMR, "RTMR3 mismatch: expected "),
        VERIFY_FAULT_SAYS(policy_mrtd, BOOTCHAIN, "bootchain mismatch: mrtd"),
        VERIFY_FAULT_SAYS(policy_rtmr0, BOOTCHAIN, "bootchain mismatch: rtmr0"),
        VERIFY_FAULT_SAYS(policy_rtmr1, BOOTCHAIN, "bootchain mismatch: rtmr1"),
        VERIFY_FAULT_SAYS(policy_rtmr2, BOOTCHAIN, "bootchain mismatch: rtmr2"),
        VERIFY_FAULT_SAYS(other_compose, COMPOSE_HASH, "app compose hash mismatch: expected "),
        VERIFY_FAULT_SAYS(other_image, OS_IMAGE_HASH, "OS image hash mismatch: expected "),
        cmocka_unit_test(a_manifest_has_one_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
