#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ws/ws.h"

static void only_registered_and_application_codes_stand_in_a_close(void **state)
{
    static const struct {
        unsigned code;
        bool good;
    } cases[] = {
        {0, false},    {999, false},   {1000, true},  {1001, true}, {1002, true}, {1003, true},
        {1004, false}, {1005, false},  {1006, false}, {1007, true}, {1008, true}, {1009, true},
        {1010, true},  {1011, true},   {1012, true},  {1013, true}, {1014, true}, {1015, false},
        {1016, false}, {2999, false},  {3000, true},  {3999, true}, {4000, true}, {4999, true},
        {5000, false}, {65535, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ws_close_code_valid(cases[i].code) != cases[i].good)
            fail_msg("code %u", cases[i].code);
}

static void a_close_payload_is_read_or_answered(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
        unsigned code;
        const char *reason;
    } cases[] = {
        {"", 0, true, WS_CLOSE_NO_STATUS, ""},
        {"\x03", 1, false, WS_CLOSE_PROTOCOL_ERROR, ""},
        {"\x03\xe8", 2, true, 1000, ""},
        {"\x03\xe8"
         "bye",
         5, true, 1000, "bye"},
        {"\x03\xec", 2, false, WS_CLOSE_PROTOCOL_ERROR, ""},
        {"\x03\xed", 2, false, WS_CLOSE_PROTOCOL_ERROR, ""},
        {"\x03\xe8\xff", 3, false, WS_CLOSE_INVALID_DATA, ""},
        {"\x03\xe8\xe2\x82\xac", 5, true, 1000, "\xe2\x82\xac"},
        {"\x03\xe8\xe2\x82", 4, false, WS_CLOSE_INVALID_DATA, ""},
        {"\x13\x87", 2, true, 4999, ""},
        {"\x13\x88", 2, false, WS_CLOSE_PROTOCOL_ERROR, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view reason = view_from("", 0);
        unsigned code = 0;
        bool good = ws_close_parse(view_from(cases[i].bytes, cases[i].len), &code, &reason);

        assert_int_equal(good, cases[i].good);
        assert_int_equal(code, cases[i].code);
        if (good)
            assert_true(view_eq(reason, view_str(cases[i].reason)));
    }
}

static void a_close_frame_is_written_whole_and_cut_to_its_limit(void **state)
{
    uint8_t out[2 + WS_CONTROL_MAX];
    char longest[300];
    size_t n;

    (void)state;
    n = ws_close_frame(WS_CLOSE_NO_STATUS, "ignored", out);
    assert_int_equal(n, 2);
    assert_memory_equal(out, "\x88\x00", 2);
    n = ws_close_frame(1008, "no", out);
    assert_int_equal(n, 6);
    assert_memory_equal(out, "\x88\x04\x03\xf0no", 6);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    n = ws_close_frame(1008, longest, out);
    assert_int_equal(n, 2 + WS_CONTROL_MAX);
    assert_int_equal(out[1], WS_CONTROL_MAX);
}

/* The 123 bytes that fit may end inside a character: it is left out as a whole. */
static void a_reason_is_cut_between_characters(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t k = 0; k < sizeof characters / sizeof characters[0]; k++)
        for (size_t lead = 0; lead < 4; lead++) {
            char reason[300] = "xxxx";
            uint8_t out[2 + WS_CONTROL_MAX];
            struct view said;
            unsigned code;
            size_t n, size = strlen(characters[k]);

            for (n = lead; n < 200; n += size)
                memcpy(reason + n, characters[k], size + 1);
            n = ws_close_frame(1008, reason, out);
            assert_true(ws_close_parse(view_from(out + 2, n - 2), &code, &said));
            assert_int_equal(said.len, lead + (WS_REASON_MAX - lead) / size * size);
            assert_memory_equal(said.at, reason, said.len);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_registered_and_application_codes_stand_in_a_close),
        cmocka_unit_test(a_close_payload_is_read_or_answered),
        cmocka_unit_test(a_close_frame_is_written_whole_and_cut_to_its_limit),
        cmocka_unit_test(a_reason_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
