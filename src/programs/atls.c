/* atls: attested TLS on the command line. */
#include <unistd.h>

#include "atls_cli/commands.h"
#include "base/command.h"

static const struct command commands[] = {
    {"get", "GET a URL of an attested endpoint", cli_get},
    {"post", "POST to a URL of an attested endpoint", cli_post},
    {"connect", "standard input and output on an attested connection", cli_connect},
    {"policy", "make a policy, check one, take one from an endpoint", cli_policy},
    {"collateral", "fetch what Intel has signed about a platform", cli_collateral},
    {"receipt", "verify a receipt of an attestation, or show it", cli_receipt},
    {"verify", "verify a quote with its collateral, offline", cli_verify},
    {"bench", "how long verifying and connecting take here", cli_bench},
    {"inspect", "show every field of a quote; nothing is verified", cli_inspect},
};

static const struct command_program program = {
    .name = "atls",
    .summary = "attested TLS: talk to a trusted execution environment, and to nothing else",
    .commands = commands,
    .count = sizeof commands / sizeof *commands,
};

int main(int argc, char **argv)
{
    return command_main(&program, argc, argv, environ);
}
