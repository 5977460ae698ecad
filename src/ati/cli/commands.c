#include "ati/cli/options.h"

#include "base/poison.h"

/* clang-format off */
static const struct cli_command *const commands[] = {
    &cli_run,
    &cli_tool,
    &cli_provider,
    &cli_key,
    &cli_token,
    &cli_auth,
    &cli_init,
    &cli_audit,
    &cli_proxy,
    &cli_completion,
    &cli_version,
};
/* clang-format on */

const struct cli_option cli_globals[] = {
    {.name = "output",
     .value = "FORMAT",
     .help = "how results are shown; else ATI_OUTPUT says",
     .choices = "json|table|text",
     .fallback = "json"},
    {.name = "format", .value = "FORMAT", .help = "same as --output", .choices = "json|table|text"},
    {.name = "json", .letter = 'J', .help = "same as --output json"},
    {.name = "verbose", .help = "tell more on standard error"},
    {.name = "help", .letter = 'h', .help = "tell about a command, and end"},
    {.name = "version", .letter = 'V', .help = "print the version, and end"},
};
const size_t cli_global_count = sizeof cli_globals / sizeof *cli_globals;

const struct cli_command cli_root = {
    .name = "ati",
    .summary = "tools for agents, whose credentials stay where they are",
    .rows = commands,
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it holds */
    .command_count = sizeof commands / sizeof *commands,
};
