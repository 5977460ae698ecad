/* command: programs that are several in one, as git is: "atls verify …", "atls inspect …". Each has a table of settings of its
 * own; what they share is how they are found, and how they start. */
#pragma once

#include "base/settings.h"

struct command {
    const char *name, *summary; /* summary: one line, without a full stop */
    int (*run)(int argc, char **argv,
               char **environment); /* argv[0]: "atls verify"; an exit status */
};

struct command_program {
    const char *name, *summary, *epilogue;
    const struct command *commands;
    size_t count;
};

/* Finds the command and runs it; --help, --version, "help COMMAND" and mistakes are dealt with here. */
int command_main(const struct command_program *program, int argc, char **argv, char **environment);

/* The value of --name: exactly n bytes in hex. text NULL: it was not given, and out stays as it is. */
MUST_USE bool command_hex(const char *text, const char *name, uint8_t *out, size_t n,
                          struct err *err);
/* Loads a command's settings. True: run; false: *status is how to end, all has been said. */
MUST_USE bool command_start(const struct settings_program *program, int argc, char **argv,
                            char **environment, void *target, struct settings **out, int *status);
