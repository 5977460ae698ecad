#include "base/command.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/text.h"
#include "base/version.h"

#include "base/poison.h"

enum { NEAR = 3, NAME_BYTES = 96 };

static void help(const struct command_program *p, FILE *out)
{
    (void)fprintf(out, "%s: %s\n\nUsage: %s COMMAND [OPTIONS]\n\nCommands:\n", p->name, p->summary,
                  p->name);
    for (size_t i = 0; i < p->count; i++)
        (void)fprintf(out, "  %-12s %s\n", p->commands[i].name, p->commands[i].summary);
    (void)fprintf(out, "\n\"%s COMMAND --help\" tells more of one; --version prints the version.\n",
                  p->name);
    if (p->epilogue)
        (void)fprintf(out, "\n%s", p->epilogue);
}

static const struct command *find(const struct command_program *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->commands[i].name, name) == 0)
            return &p->commands[i];
    return NULL;
}

static int unknown(const struct command_program *p, const char *name)
{
    const char *near = NULL;
    unsigned distance = NEAR;
    char shown[64];

    for (size_t i = 0; i < p->count; i++) {
        unsigned d = text_distance(view_str(name), view_str(p->commands[i].name));

        if (d < distance) {
            distance = d;
            near = p->commands[i].name;
        }
    }
    (void)text_escape(view_str(name), 32, shown, sizeof shown);
    (void)fprintf(stderr, "%s: unknown command \"%s\"%s%s%s; see --help\n", p->name, shown,
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return 2;
}

static int run(const struct command_program *p, const struct command *c, int argc, char **argv,
               char **environment)
{
    char name[NAME_BYTES];

    (void)snprintf(name, sizeof name, "%s %s", p->name, c->name);
    argv[0] = name;
    return c->run(argc, argv, environment);
}

int command_main(const struct command_program *p, int argc, char **argv, char **environment)
{
    const char *first = argc > 1 ? argv[1] : NULL;
    const struct command *c;

    if (!first) {
        help(p, stderr);
        return 2;
    }
    if (!strcmp(first, "--version") || !strcmp(first, "-V")) {
        (void)printf("%s %s\n", p->name, POSTERN_VERSION);
        return 0;
    }
    if (!strcmp(first, "--help") || !strcmp(first, "-h") || (!strcmp(first, "help") && argc == 2)) {
        help(p, stdout);
        return 0;
    }
    if (!strcmp(first, "help")) {
        char flag[] = "--help", *two[] = {NULL, flag, NULL};

        c = find(p, argv[2]);
        return c ? run(p, c, 2, two, environment) : unknown(p, argv[2]);
    }
    c = find(p, first);
    return c ? run(p, c, argc - 1, argv + 1, environment) : unknown(p, first);
}

bool command_hex(const char *text, const char *name, uint8_t *out, size_t n, struct err *err)
{
    return !text || hex_decode(view_str(text), out, n) ||
           err_set(err, ERR_USAGE, "--%s: expected %zu hex digits", name, 2 * n);
}

bool command_start(const struct settings_program *program, int argc, char **argv,
                   char **environment, void *target, struct settings **out, int *status)
{
    CLEANUP(settings_free_cleanup) struct settings *s = NULL;
    enum settings_action action;
    struct err err;

    if (!settings_load(program, argc, argv, environment, target, stderr, &s, &action, &err)) {
        *status = err_exit_status(err.code);
        return false;
    }
    *status = 0;
    if (action == SETTINGS_HELP)
        settings_help(program, stdout);
    else if (action == SETTINGS_VERSION)
        (void)printf("%s %s\n", program->name, POSTERN_VERSION);
    else if (action == SETTINGS_PRINT || action == SETTINGS_CHECK)
        settings_print(s, stdout);
    else
        *out = take(s);
    return *out != NULL;
}
