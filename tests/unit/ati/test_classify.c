/* What a failure is called, and how the process ends, comes from its message. */
#include "../base/unit.h"

#include "ati/cli/cli.h"

static void the_first_row_that_fits_counts(void **state)
{
    static const struct {
        const char *message, *code;
        int exit_status;
    } cases[] = {
        {"Unknown tool: 'x'. Run 'ati tool list' to see available tools.", "tool.not_found", 1},
        {"Proxy error (404): {\"error\":\"Tool 'x' not found\"}", "tool.not_found", 1},
        {"Access denied: 'github:x' is not in your scopes", "auth.scope_denied", 3},
        {"Scopes have expired (expired at 5)", "auth.scope_denied", 3},
        {"Invalid ATI_SESSION_TOKEN: token has expired", "auth.expired", 3},
        {"API Key NOT found in keyring", "auth.missing_key", 3},
        {"Missing key: x", "auth.missing_key", 3},
        {"no keys found", "auth.missing_key", 3},
        {"Proxy request failed: timeout", "provider.timeout", 4},
        {"Upstream API error: API error (500): x", "provider.upstream_error", 4},
        {"502 Bad Gateway", "provider.upstream_error", 4},
        {"MCP error: gone", "provider.upstream_error", 4},
        {"Provider 'x' not found. Run 'ati provider list' to see available providers.",
         "provider.not_found", 4},
        {"--url is required for HTTP transport", "input.missing_arg", 2},
        {"something is missing", "input.missing_arg", 2},
        {"Invalid --env format: x (expected KEY=VALUE)", "input.invalid_value", 2},
        {"cannot parse it", "input.invalid_value", 2},
        {"Rate limit exceeded for 'x': 1/hour (limit: 1/hour)", "rate.exceeded", 5},
        {"rate.exceeded", "rate.exceeded", 5},
        {"CLI exited with code 3: no", "tool.execution_failed", 1},
        {"not found", "tool.execution_failed", 1},
        {"", "tool.execution_failed", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cli_class c = cli_classify(view_str(cases[i].message));

        assert_string_equal(c.code, cases[i].code);
        assert_int_equal(c.exit_status, cases[i].exit_status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_that_fits_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
