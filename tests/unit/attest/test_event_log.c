/* What a guest measured: digests computed anew, lies found, registers replayed. */
#include "world.h"

#include "base/codec.h"

static void expect_hex(const uint8_t *bytes, size_t n, const char *hex)
{
    char text[2 * 64 + 1];

    hex_encode(view_from(bytes, n), text);
    assert_string_equal(text, hex);
}

/* Values computed independently: of report data, of digests, of the register after each event. */
static void known_values(void **state)
{
    uint8_t nonce[32], exporter[32], out[64], digest[48];
    static const char log[] =
        "[{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"system-preparing\","
        "\"event_payload\":\"\"},"
        "{\"imr\":3,\"event_type\":134217729,\"digest\":"
        "\"fd1232a6a2ed33051c76fa5c6b11a12c8bb3a6b7cececd8d8464c28b4bfa37296c68d731960f92c30966c87b"
        "7f992b4c\","
        "\"event\":\"compose-hash\",\"event_payload\":"
        "\"1111111111111111111111111111111111111111111111111111111111111111\"}]";
    uint8_t registers[RTMR_COUNT][MEASUREMENT_BYTES];
    struct event_log *parsed;
    struct attest_err err;

    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        nonce[i] = (uint8_t)i;
        exporter[i] = (uint8_t)(32 + i);
    }
    assert_true(attest_report_data(nonce, exporter, out));
    expect_hex(out, 64,
               "ee4320ebaf3fdb4f2c832b137200c08e235e0fa7bbd0eb1740c7063ba8a0d151da77e003398e1714a95"
               "5d475b05e3e950b639503b452ec185de4229bc4873949");
    assert_true(event_digest(
        1, VIEW("New TLS Certificate"),
        VIEW("06298432e8066b29e2223bcc23aa9504b56ae508fabf3435508869b9c3190e22"), digest));
    expect_hex(digest, 48,
               "f63a4bbd43d75d099a82bda008f4b0e34c27d9207386a522f49e72ecfdf1ad9e0d5616519737ff1ecce"
               "7917e12dca449");
    assert_true(event_log_parse(view_str(log), &parsed, &err));
    expect_hex(parsed->events[0].digest, 48,
               "f9974020ef507068183313d0ca808e0d1ca9b2d1ad0c61f5784e7157c362c06536f5ddacdad4451693f"
               "48fcc72fff624");
    assert_true(event_log_replay(parsed, registers));
    expect_hex(registers[3], 48,
               "62ce858b339e831cf352cdc5573652cffa5687dd164e3413aca5d89c991eb3b852a43207d956835e3b1"
               "459508982721f");
    expect_hex(registers[0], 48,
               "00000000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "0000000000000");
    event_log_free(parsed);
}

/* Two names and payloads may have one preimage: that is why some names are refused. */
static void a_colon_makes_two_events_one_digest(void **state)
{
    uint8_t one[48], other[48];
    struct buf canonical;

    (void)state;
    assert_true(event_digest(1, VIEW("a:b"), VIEW("c"), one));
    assert_true(event_digest(1, VIEW("a"), VIEW("b:c"), other));
    assert_memory_equal(one, other, 48);
    assert_true(event_digest(2, VIEW("a:b"), VIEW("c"), one));
    assert_true(event_digest(2, VIEW("a"), VIEW("b:c"), other));
    assert_memory_not_equal(one, other, 48);
    buf_init(&canonical, 1024, "canonical");
    assert_true(event_canonical(VIEW("say \"x\\y\""), VIEW("\xab\xcd"), &canonical));
    assert_true(
        view_eq(buf_view(&canonical),
                VIEW("{\"name\":\"say \\\"x\\\\y\\\"\",\"payload\":\"abcd\",\"type\":134217729}")));
    buf_done(&canonical);
}

#define D47                                                                                        \
    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1" \
    "a1"
#define D48 D47 "a1"
#define RT(name, payload)                                                   \
    "{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"" name \
    "\",\"event_payload\":\"" payload "\"}"
#define FW(imr, digest)                                      \
    "{\"imr\":" imr ",\"event_type\":4,\"digest\":\"" digest \
    "\",\"event\":\"\",\"event_payload\":\"00\"}"
#define RT_AT(imr)                                                                       \
    "{\"imr\":" imr ",\"event_type\":134217729,\"digest\":\"\",\"event\":\"x\",\"event_" \
    "payload\":\"\"}"
#define LONG_NAME /* 128 bytes */                                      \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* --- logs that are none: each is a test of its own --- */

struct log_fault {
    const char *name, *log;
    enum attest_code code;
};

/* The same of a machine that says this, by the policy of one that boots well. */
static void ask_with(const char *test, struct view log, const struct attest_err *said)
{
    static struct world w;

    if (!verdicts_on())
        return;
    if (!w.platform)
        world_open(&w, 4);
    verdicts_of(test);
    buf_reset(&w.log);
    assert_true(buf_append(&w.log, log, NULL));
    (void)!world_verify(&w);
    if (said->code != ATTEST_OK && log.len) {
        assert_int_equal(w.err.code, said->code);
        assert_string_equal(w.err.text, said->text);
    }
}

static void log_fault_test(void **state)
{
    const struct log_fault *f = *state;
    struct attest_err err = {.code = ATTEST_OK};
    struct event_log *log = NULL;

    if (event_log_parse(view_str(f->log), &log, &err) || err.code != f->code)
        fail_msg("wanted %s, got %s: %s", attest_code_name(f->code), attest_code_name(err.code),
                 err.text);
    ask_with(f->name, view_str(f->log), &err);
}

#define LOG_FAULT(f, error, text)                                                     \
    {                                                                                 \
        .name = #f, .test_func = log_fault_test, .initial_state = &(struct log_fault) \
        {                                                                             \
            .name = #f, .log = text, .code = ATTEST_##error                           \
        }                                                                             \
    }

static void digests_may_be_in_upper_case(void **state)
{
    static const char log[] = "[" FW("0", D47 "B2") "," FW("0", D47 "b2") "]";
    struct event_log *parsed;
    struct attest_err err;

    (void)state;
    err.code = ATTEST_OK;
    assert_true(event_log_parse(view_str(log), &parsed, &err));
    ask_with(__func__, view_str(log), &err);
    assert_memory_equal(parsed->events[0].digest, parsed->events[1].digest, MEASUREMENT_BYTES);
    event_log_free(parsed);
}

static void a_name_may_have_128_bytes(void **state)
{
    static const char log[] = "[" RT(LONG_NAME, "") "," RT("a:b", "63") "]";
    struct event_log *parsed;
    struct attest_err err;

    (void)state;
    err.code = ATTEST_OK;
    assert_true(event_log_parse(view_str(log), &parsed, &err));
    ask_with(__func__, view_str(log), &err);
    assert_int_equal(parsed->events[0].name.len, EVENT_NAME_MAX);
    event_log_free(parsed);
}

/* Version 2, with and without its preimage, with one that is not canonical, and with what belongs to version 1. */
static void each_form_of_digests_is_known_by_its_number(void **state)
{
    static const char whole[] = "{\"name\":\"x\",\"payload\":\"01\",\"type\":134217729}";
    static const struct {
        const char *version;
        unsigned digest_version;
        const char *preimage; /* NULL: none */
        enum attest_code code;
    } cases[] = {
        {"2", 2, whole, ATTEST_OK},
        {"2", 2, NULL, ATTEST_OK},
        {"1", 1, NULL, ATTEST_OK},
        {"2", 1, whole, ATTEST_EVENT_DIGEST},
        {"2", 1, NULL, ATTEST_EVENT_DIGEST},
        {"1", 2, NULL, ATTEST_EVENT_DIGEST},
        {"1", 2, whole, ATTEST_EVENT_DIGEST},
        {"2", 2, "", ATTEST_EVENT_DIGEST},
        {"2", 2, "{\"name\":\"x\",\"payload\":\"01\",\"type\":134217729} ", ATTEST_EVENT_DIGEST},
        {"2", 2, "{\"name\": \"x\",\"payload\":\"01\",\"type\":134217729}", ATTEST_EVENT_DIGEST},
        {"2", 2, "{\"type\":134217729,\"name\":\"x\",\"payload\":\"01\"}", ATTEST_EVENT_DIGEST},
        {"2", 2, "{\"name\":\"\\u0078\",\"payload\":\"01\",\"type\":134217729}",
         ATTEST_EVENT_DIGEST},
        {"2", 2, "{\"name\":\"y\",\"payload\":\"01\",\"type\":134217729}", ATTEST_EVENT_DIGEST},
        {"0", 1, NULL, ATTEST_EVENT_SYNTAX},
        {"3", 2, NULL, ATTEST_EVENT_SYNTAX},
        {"\"2\"", 2, NULL, ATTEST_EVENT_SYNTAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char log[1024], hex[97], preimage[512] = "", member[600] = "";
        struct attest_err err = {.code = ATTEST_OK};
        struct event_log *parsed;
        uint8_t digest[48];

        assert_true(event_digest(cases[i].digest_version, VIEW("x"), VIEW("\x01"), digest));
        hex_encode(view_from(digest, 48), hex);
        if (cases[i].preimage) {
            hex_encode(view_str(cases[i].preimage), preimage);
            (void)snprintf(member, sizeof member, ",\"preimage\":\"%s\"", preimage);
        }
        (void)snprintf(log, sizeof log,
                       "[{\"imr\":3,\"event_type\":134217729,\"digest\":\"%s\",\"event\":\"x\","
                       "\"event_payload\":\"01\",\"version\":%s%s}]",
                       hex, cases[i].version, member);
        if (event_log_parse(view_str(log), &parsed, &err))
            event_log_free(parsed);
        ask_with(__func__, view_str(log), &err);
        if (err.code != cases[i].code)
            fail_msg("%zu: wanted %s, got %s", i, attest_code_name(cases[i].code),
                     attest_code_name(err.code));
    }
}

static void lookups_see_runtime_events_alone(void **state)
{
    static const char log[] = "[{\"imr\":0,\"event_type\":4,\"digest\":\"" D48
                              "\",\"event\":\"x\",\"event_payload\":\"aa\"}," RT("x", "01") "," RT(
                                  "y", "") "," RT("x", "02") "]";
    struct event_log *parsed;
    struct attest_err err;

    (void)state;
    assert_true(event_log_parse(view_str(log), &parsed, &err));
    assert_int_equal(event_log_first(parsed, "x")->payload.at[0], 1);
    assert_int_equal(event_log_last(parsed, "x")->payload.at[0], 2);
    assert_null(event_log_first(parsed, "z"));
    assert_null(event_log_last(parsed, "z"));
    event_log_free(parsed);
}

static void too_many_events_are_refused(void **state)
{
    struct event_log *parsed;
    struct attest_err err;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 22, "log");
    assert_true(buf_append_str(&text, "[", NULL));
    for (unsigned i = 0; i <= EVENTS_MAX; i++)
        assert_true(buf_append_str(&text, i ? ",{}" : "{}", NULL));
    assert_true(buf_append_str(&text, "]", NULL));
    assert_false(event_log_parse(buf_view(&text), &parsed, &err));
    assert_int_equal(err.code, ATTEST_EVENT_SYNTAX);
    ask_with(__func__, buf_view(&text), &err);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(a_colon_makes_two_events_one_digest),
        LOG_FAULT(log_empty, EVENT_SYNTAX, ""),
        LOG_FAULT(log_an_object, EVENT_SYNTAX, "{}"),
        LOG_FAULT(event_a_number, EVENT_SYNTAX, "[1]"),
        LOG_FAULT(event_empty, EVENT_SYNTAX, "[{}]"),
        LOG_FAULT(imr_4, EVENT_SYNTAX, "[" FW("4", D48) "]"),
        LOG_FAULT(imr_negative, EVENT_SYNTAX, "[" FW("-1", D48) "]"),
        LOG_FAULT(imr_with_a_fraction, EVENT_SYNTAX, "[" FW("0.0", D48) "]"),
        LOG_FAULT(imr_twice, EVENT_SYNTAX,
                  "[{\"imr\":0,\"imr\":3,\"event_type\":4,\"digest\":\"" D48
                  "\",\"event\":\"\",\"event_payload\":\"\"}]"),
        LOG_FAULT(imr_twice_by_an_escape, EVENT_SYNTAX,
                  "[{\"imr\":0,\"\\u0069mr\":3,\"event_type\":4,\"digest\":\"" D48
                  "\",\"event\":\"\",\"event_payload\":\"\"}]"),
        LOG_FAULT(digest_empty, EVENT_SYNTAX, "[" FW("0", "") "]"),
        LOG_FAULT(digest_of_a_byte, EVENT_SYNTAX, "[" FW("0", "a1") "]"),
        LOG_FAULT(digest_of_47_bytes, EVENT_SYNTAX, "[" FW("0", D47) "]"),
        LOG_FAULT(digest_of_49_bytes, EVENT_SYNTAX, "[" FW("0", D48 "a1") "]"),
        LOG_FAULT(digest_of_95_digits, EVENT_SYNTAX, "[" FW("0", D47 "a") "]"),
        LOG_FAULT(digest_with_a_blank, EVENT_SYNTAX, "[" FW("0", D48 " ") "]"),
        LOG_FAULT(digest_with_a_blank_before, EVENT_SYNTAX, "[" FW("0", " " D48) "]"),
        LOG_FAULT(digest_with_a_blank_inside, EVENT_SYNTAX, "[" FW("0", D47 " 1") "]"),
        LOG_FAULT(digest_not_in_hex, EVENT_SYNTAX, "[" FW("0", D47 "zz") "]"),
        LOG_FAULT(digest_of_a_runtime_event_short, EVENT_SYNTAX,
                  "[{\"imr\":3,\"event_type\":134217729,\"digest\":\"" D47
                  "\",\"event\":\"x\",\"event_payload\":\"\"}]"),
        LOG_FAULT(digest_of_another_event, EVENT_DIGEST,
                  "[{\"imr\":3,\"event_type\":134217729,\"digest\":\"" D48
                  "\",\"event\":\"x\",\"event_payload\":\"\"}]"),
        LOG_FAULT(firmware_event_in_rtmr3, EVENT_REGISTER, "[" FW("3", D48) "]"),
        LOG_FAULT(runtime_event_in_rtmr0, EVENT_REGISTER, "[" RT_AT("0") "]"),
        LOG_FAULT(runtime_event_in_rtmr1, EVENT_REGISTER, "[" RT_AT("1") "]"),
        LOG_FAULT(runtime_event_in_rtmr2, EVENT_REGISTER, "[" RT_AT("2") "]"),
        LOG_FAULT(payload_of_a_digit, EVENT_SYNTAX, "[" RT("x", "0") "]"),
        LOG_FAULT(payload_not_in_hex, EVENT_SYNTAX, "[" RT("x", "zz") "]"),
        LOG_FAULT(name_empty, EVENT_NAME, "[" RT("", "") "]"),
        LOG_FAULT(name_of_129_bytes, EVENT_NAME, "[" RT(LONG_NAME "n", "") "]"),
        LOG_FAULT(name_not_printable, EVENT_NAME, "[" RT("a\\u0001b", "") "]"),
        LOG_FAULT(name_with_a_delete, EVENT_NAME, "[" RT("a\\u007fb", "") "]"),
        LOG_FAULT(name_of_a_lone_surrogate, EVENT_SYNTAX, "[" RT("\\ud800", "") "]"),
        LOG_FAULT(name_with_a_nul, EVENT_SYNTAX, "[" RT("a\\u0000b", "") "]"),
        LOG_FAULT(name_not_in_utf8, EVENT_SYNTAX, "[" RT("\xff", "") "]"),
        LOG_FAULT(name_of_app_id_and_more, EVENT_NAME, "[" RT("app-id:x", "") "]"),
        LOG_FAULT(name_of_compose_hash_and_more, EVENT_NAME, "[" RT("compose-hash:x", "") "]"),
        LOG_FAULT(name_of_compose_hash_and_nothing, EVENT_NAME, "[" RT("compose-hash:", "") "]"),
        LOG_FAULT(name_of_instance_id_and_more, EVENT_NAME, "[" RT("instance-id:x", "") "]"),
        LOG_FAULT(name_of_os_image_hash_and_more, EVENT_NAME, "[" RT("os-image-hash:x:y", "") "]"),
        LOG_FAULT(name_of_key_provider_and_more, EVENT_NAME, "[" RT("key-provider:x", "") "]"),
        LOG_FAULT(name_of_boot_done_and_more, EVENT_NAME, "[" RT("boot-mr-done:x", "") "]"),
        LOG_FAULT(name_of_system_ready_and_more, EVENT_NAME, "[" RT("system-ready:x", "") "]"),
        LOG_FAULT(name_of_a_certificate_and_more, EVENT_NAME,
                  "[" RT("New TLS Certificate:x", "") "]"),
        LOG_FAULT(compose_hash_twice, EVENT_ORDER,
                  "[" RT("compose-hash", "") "," RT("compose-hash", "") "]"),
        LOG_FAULT(compose_hash_after_ready, EVENT_ORDER,
                  "[" RT("system-ready", "") "," RT("compose-hash", "") "]"),
        LOG_FAULT(compose_hash_after_boot, EVENT_ORDER,
                  "[" RT("boot-mr-done", "") "," RT("compose-hash", "") "]"),
        LOG_FAULT(certificate_before_ready, EVENT_ORDER,
                  "[" RT("New TLS Certificate", "") "," RT("system-ready", "") "]"),
        cmocka_unit_test(digests_may_be_in_upper_case),
        cmocka_unit_test(a_name_may_have_128_bytes),
        cmocka_unit_test(each_form_of_digests_is_known_by_its_number),
        cmocka_unit_test(lookups_see_runtime_events_alone),
        cmocka_unit_test(too_many_events_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
