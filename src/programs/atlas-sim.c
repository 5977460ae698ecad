/* atlas-sim: a TDX platform that is not there, with the PKI behind it. */
#include <unistd.h>

#include "base/command.h"
#include "sim_cli/commands.h"

static const struct command commands[] = {
    {"init", "make a simulated platform in a folder", sim_init},
    {"quote", "print a quote of it", sim_quote_command},
    {"serve", "serve its PCCS and its guest agent", sim_serve},
};

static const struct command_program program = {
    .name = "atlas-sim",
    .summary = "a simulated TDX platform, for tests and demonstrations",
    .commands = commands,
    .count = sizeof commands / sizeof *commands,
};

int main(int argc, char **argv)
{
    return command_main(&program, argc, argv, environ);
}
