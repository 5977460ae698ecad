#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/reason.h"
#include "ws/ws.h"

static void every_token_is_short_lower_case_and_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < REASON_COUNT; a++) {
        const char *token = reason_token((enum reason)a);

        assert_true(strlen(token) > 0 && strlen(token) <= WS_REASON_MAX);
        assert_int_equal(strspn(token, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(token));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(token, reason_token((enum reason)b));
    }
}

static void every_close_code_may_be_sent_or_means_none(void **state)
{
    (void)state;
    for (int r = 0; r < REASON_COUNT; r++) {
        unsigned code = (unsigned)reason_close_code((enum reason)r);

        if (code != WS_CLOSE_NO_STATUS && code != WS_CLOSE_ABNORMAL && !ws_close_code_valid(code))
            fail_msg("%s: %u", reason_token((enum reason)r), code);
    }
}

static void every_http_status_has_a_phrase(void **state)
{
    (void)state;
    for (int r = 0; r < REASON_COUNT; r++) {
        int status = reason_http_status((enum reason)r);

        if (status)
            assert_true(strlen(http_reason(status)) > 0);
        assert_true(strlen(reason_meaning((enum reason)r)) > 0);
    }
}

static void keeps_the_documented_tokens_and_codes(void **state)
{
    static const struct {
        enum reason reason;
        const char *token;
        int close_code, http_status;
    } rows[] = {
        {REASON_TARGET_CLOSED, "target-closed", 1000, 0},
        {REASON_DRAINING, "draining", 1001, 503},
        {REASON_PROTOCOL_ERROR, "protocol-error", 1002, 400},
        {REASON_INVALID_UTF8, "invalid-utf8", 1007, 0},
        {REASON_TARGET_NOT_ALLOWED, "target-not-allowed", 1008, 403},
        {REASON_NO_TARGET, "no-target", 1008, 403},
        {REASON_IDLE_TIMEOUT, "idle-timeout", 1008, 0},
        {REASON_RATE_EXCEEDED, "rate-exceeded", 1008, 429},
        {REASON_ALLOWLIST_CHANGED, "allowlist-changed", 1008, 0},
        {REASON_FRAME_TOO_BIG, "frame-too-big", 1009, 0},
        {REASON_INTERNAL, "internal", 1011, 500},
        {REASON_OVERLOADED, "overloaded", 1013, 503},
        {REASON_DNS_FAILURE, "dns-failure", 1014, 502},
        {REASON_CONNECT_REFUSED, "connect-refused", 1014, 502},
        {REASON_CONNECT_TIMEOUT, "connect-timeout", 1014, 504},
        {REASON_NETWORK_UNREACHABLE, "network-unreachable", 1014, 502},
        {REASON_TARGET_RESET, "target-reset", 1014, 502},
        {REASON_ADDRESS_DENIED, "address-denied", 1014, 502},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(reason_token(rows[i].reason), rows[i].token);
        assert_int_equal(reason_close_code(rows[i].reason), rows[i].close_code);
        assert_int_equal(reason_http_status(rows[i].reason), rows[i].http_status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_short_lower_case_and_its_own),
        cmocka_unit_test(every_close_code_may_be_sent_or_means_none),
        cmocka_unit_test(every_http_status_has_a_phrase),
        cmocka_unit_test(keeps_the_documented_tokens_and_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
