#include "ati/cli/cli.h"

#include "base/poison.h"

/* In this order: the first row whose words are all there, or one of them where any is said. */
static const struct {
    const char *words[4];
    bool all;
    struct cli_class class;
} rows[] = {
    {{"unknown tool"}, false, {"tool.not_found", 1}},
    {{"not found", "tool"}, true, {"tool.not_found", 1}},
    {{"scope", "access denied"}, false, {"auth.scope_denied", 3}},
    {{"expired"}, false, {"auth.expired", 3}},
    {{"key not found", "missing key", "no keys found"}, false, {"auth.missing_key", 3}},
    {{"timeout"}, false, {"provider.timeout", 4}},
    {{"upstream", "bad gateway", "mcp error"}, false, {"provider.upstream_error", 4}},
    {{"provider", "not found"}, true, {"provider.not_found", 4}},
    {{"missing", "required"}, false, {"input.missing_arg", 2}},
    {{"invalid", "parse"}, false, {"input.invalid_value", 2}},
    {{"rate limit", "rate.exceeded"}, false, {"rate.exceeded", 5}},
};

static bool holds(struct view message, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= message.len; i++)
        if (view_eq_nocase(view_from(message.at + i, n), view_str(word)))
            return true;
    return false;
}

struct cli_class cli_classify(struct view message)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool found = rows[i].all;

        for (size_t k = 0; k < 4 && rows[i].words[k]; k++)
            if (holds(message, rows[i].words[k]) != rows[i].all)
                found = !rows[i].all;
        if (found)
            return rows[i].class;
    }
    return (struct cli_class){"tool.execution_failed", 1};
}
