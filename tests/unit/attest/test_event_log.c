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

#define D48                                                                                        \
    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1" \
    "a1a1"
#define RT(name, payload)                                                   \
    "{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"" name \
    "\",\"event_payload\":\"" payload "\"}"
#define FW(imr, digest)                                      \
    "{\"imr\":" imr ",\"event_type\":4,\"digest\":\"" digest \
    "\",\"event\":\"\",\"event_payload\":\"00\"}"

static void each_malformed_log_has_its_error(void **state)
{
    static const struct {
        const char *log;
        enum attest_code code;
    } cases[] = {
        {"", ATTEST_EVENT_SYNTAX},
        {"{}", ATTEST_EVENT_SYNTAX},
        {"[1]", ATTEST_EVENT_SYNTAX},
        {"[{}]", ATTEST_EVENT_SYNTAX},
        {"[" FW("4", D48) "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("-1", D48) "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("0.0", D48) "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("0", "") "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("0", "a1") "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("0", D48 "a1") "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("0", D48 " ") "]", ATTEST_EVENT_SYNTAX},
        {"[" FW("3", D48) "]", ATTEST_EVENT_REGISTER},
        {"[{\"imr\":0,\"imr\":3,\"event_type\":4,\"digest\":\"" D48
         "\",\"event\":\"\",\"event_payload\":\"\"}]",
         ATTEST_EVENT_SYNTAX},
        {"[{\"imr\":0,\"\\u0069mr\":3,\"event_type\":4,\"digest\":\"" D48
         "\",\"event\":\"\",\"event_payload\":\"\"}]",
         ATTEST_EVENT_SYNTAX},
        {"[{\"imr\":0,\"event_type\":134217729,\"digest\":\"\",\"event\":\"x\",\"event_payload\":"
         "\"\"}]",
         ATTEST_EVENT_REGISTER},
        {"[{\"imr\":3,\"event_type\":134217729,\"digest\":\"" D48
         "\",\"event\":\"x\",\"event_payload\":\"\"}]",
         ATTEST_EVENT_DIGEST},
        {"[" RT("x", "0") "]", ATTEST_EVENT_SYNTAX},
        {"[" RT("x", "zz") "]", ATTEST_EVENT_SYNTAX},
        {"[" RT("", "") "]", ATTEST_EVENT_NAME},
        {"[" RT("a\\u0001b", "") "]", ATTEST_EVENT_NAME},
        {"[" RT("\\ud800", "") "]", ATTEST_EVENT_SYNTAX},
        {"[" RT("compose-hash:x", "") "]", ATTEST_EVENT_NAME},
        {"[" RT("New TLS Certificate:x", "") "]", ATTEST_EVENT_NAME},
        {"[" RT("compose-hash", "") "," RT("compose-hash", "") "]", ATTEST_EVENT_ORDER},
        {"[" RT("system-ready", "") "," RT("compose-hash", "") "]", ATTEST_EVENT_ORDER},
        {"[" RT("boot-mr-done", "") "," RT("compose-hash", "") "]", ATTEST_EVENT_ORDER},
        {"[" RT("New TLS Certificate", "") "," RT("system-ready", "") "]", ATTEST_EVENT_ORDER},
        {"[{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"x\",\"event_payload\":"
         "\"\",\"version\":3}]",
         ATTEST_EVENT_SYNTAX},
        {"[{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"x\",\"event_payload\":"
         "\"\",\"version\":2,\"preimage\":\"00\"}]",
         ATTEST_EVENT_DIGEST},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct event_log *log = NULL;
        struct attest_err err = {.code = ATTEST_OK};

        if (event_log_parse(view_str(cases[i].log), &log, &err) || err.code != cases[i].code)
            fail_msg("%s: wanted %s, got %s: %s", cases[i].log, attest_code_name(cases[i].code),
                     attest_code_name(err.code), err.text);
    }
}

/* Version 2, with and without its preimage, and with a digest of the wrong version. */
static void the_second_form_of_digests_is_known(void **state)
{
    static const struct {
        unsigned digest_version;
        bool good;
    } cases[] = {{2, true}, {1, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char log[1024], hex[97], preimage[512];
        uint8_t digest[48];
        struct event_log *parsed;
        struct attest_err err;
        struct buf canonical;

        assert_true(event_digest(cases[i].digest_version, VIEW("x"), VIEW("\x01"), digest));
        hex_encode(view_from(digest, 48), hex);
        buf_init(&canonical, 1024, "canonical");
        assert_true(event_canonical(VIEW("x"), VIEW("\x01"), &canonical));
        hex_encode(buf_view(&canonical), preimage);
        (void)snprintf(log, sizeof log,
                       "[{\"imr\":3,\"event_type\":134217729,\"digest\":\"%s\",\"event\":\"x\","
                       "\"event_payload\":\"01\","
                       "\"version\":2,\"preimage\":\"%s\"}]",
                       hex, preimage);
        assert_int_equal(event_log_parse(view_str(log), &parsed, &err), cases[i].good);
        if (cases[i].good)
            event_log_free(parsed);
        buf_done(&canonical);
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
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(a_colon_makes_two_events_one_digest),
        cmocka_unit_test(each_malformed_log_has_its_error),
        cmocka_unit_test(the_second_form_of_digests_is_known),
        cmocka_unit_test(lookups_see_runtime_events_alone),
        cmocka_unit_test(too_many_events_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
