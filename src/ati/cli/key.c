#include <stdio.h>

#include "ati/cli/cli.h"
#include "ati/keyring/keyring.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { VALUE_BYTES_MAX = 1024 * 1024 };

/* Standard input, but for the line end behind it. */
static bool value_read(struct buf *out, struct err *err)
{
    uint8_t piece[4096];
    bool good = true;
    size_t n;

    while (good && (n = fread(piece, 1, sizeof piece, stdin)) > 0)
        good = keyring_append(out, view_from(piece, n), err);
    secret_wipe(piece, sizeof piece);
    if (good && ferror(stdin))
        good = err_set(err, ERR_IO, "standard input cannot be read");
    while (out->area && buf_len(out) && strchr("\r\n", out->area[out->tail - 1]))
        out->tail--;
    return good && (buf_len(out) > 0 || err_set(err, ERR_USAGE, "a value is required"));
}

/* The value is told to nobody: not in the log, not on the screen. */
static int set(struct cli *cli, const struct cli_words *words)
{
    struct view name = view_str(words->words[0]), value = view_str(words->words[1]);
    struct buf read;
    struct err err;
    bool good = true;

    buf_init(&read, VALUE_BYTES_MAX, "value");
    if (view_eq(value, VIEW("-"))) {
        good = value_read(&read, &err);
        value = buf_view(&read);
    }
    good = good && keyring_credentials_set(cli->folder, name, value, &err);
    buf_wipe(&read);
    if (!good)
        return cli_fail_err(cli, &err);
    log_event(cli->log, LOG_INFO, "cli.key_saved", "saved key", F_VIEW("name", name));
    return 0;
}

static void print_masked(struct view value)
{
    size_t shown = value.len <= 10 ? 2 : 4;

    if (value.len <= 4)
        for (size_t i = 0; i < value.len; i++)
            (void)putchar('*');
    else
        (void)printf("%.*s...%.*s", VIEW_ARG(view_first(value, shown)),
                     VIEW_ARG(view_skip(value, value.len - shown)));
    (void)putchar('\n');
}

static void print_key(void *context, struct view name, struct view value)
{
    char shown[512];

    ++*(size_t *)context;
    (void)text_escape(name, sizeof shown / 4, shown, sizeof shown);
    (void)printf("%-30s ", shown);
    print_masked(value);
}

static int list(struct cli *cli, const struct cli_words *words)
{
    struct err err;
    size_t count = 0;

    (void)words;
    if (!keyring_credentials_list(cli->folder, print_key, &count, &err))
        return cli_fail_err(cli, &err);
    if (!count)
        (void)printf("No keys stored. Run `ati key set <name> <value>` to add one.\n");
    return 0;
}

static int remove_key(struct cli *cli, const struct cli_words *words)
{
    const char *name = words->words[0];
    struct err err;
    bool found = false;

    if (!keyring_credentials_remove(cli->folder, view_str(name), &found, &err))
        return cli_fail_err(cli, &err);
    if (!found) {
        (void)err_set(&err, ERR_NOT_FOUND, "Key '%s' not found.", name);
        return cli_fail_err(cli, &err);
    }
    log_event(cli->log, LOG_INFO, "cli.key_removed", "removed key", F_STR("name", name));
    return 0;
}

static const struct cli_command commands[] = {
    {.name = "set",
     .summary = "keep a credential; VALUE - is read from standard input",
     .words = "NAME VALUE",
     .words_least = 2,
     .words_most = 2,
     .about = "A value @file:PATH stands for what the file holds when the key is used.\n"
              "\nExample, with a value that no list of processes shows:\n"
              "  ati key set github_token - <token.txt\n",
     .run = set},
    {.name = "list", .summary = "list the names, with values masked", .run = list},
    {.name = "remove",
     .summary = "forget a credential",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .run = remove_key},
};

const struct cli_command cli_key = {
    .name = "key",
    .summary = "credentials in the file of the ATI directory",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};
