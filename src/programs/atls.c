/* atls: attested TLS on the command line. */
#include "atls_cli/commands.h"
#include "base/command.h"

static const struct command commands[] = {
    {"verify", "verify a quote with its collateral, offline", atls_verify},
    {"inspect", "show every field of a quote; nothing is verified", atls_inspect},
};

static const struct command_program program = {
    .name = "atls",
    .summary = "attested TLS: talk to a trusted execution environment, and to nothing else",
    .commands = commands,
    .count = sizeof commands / sizeof *commands,
};

int main(int argc, char **argv)
{
    extern char **environ;

    return command_main(&program, argc, argv, environ);
}
