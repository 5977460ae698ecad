#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "ati/cli/cli.h"
#include "ati/keyring/keyring.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { VALUE_BYTES_MAX = 1024 * 1024 };

/* Up to the end, from a terminal to the end of the line. False: err, or the end. No stream of stdio: it would keep a copy. */
static bool piece_read(struct buf *out, bool line, bool *more, struct err *err)
{
    uint8_t piece[4096];
    ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    bool good = true;

    if (n < 0 && errno != EINTR)
        good = err_system(err, ERR_IO, errno, "standard input cannot be read");
    if (n > 0)
        good = keyring_append(out, view_from(piece, (size_t)n), err);
    *more = n < 0 || (n > 0 && !(line && piece[n - 1] == '\n'));
    secret_wipe(piece, sizeof piece);
    return good;
}

/* A person types or pastes it: it is not shown. Signals wait until the terminal is as it was. */
static bool typed_read(struct buf *out, const char *name, struct err *err)
{
    struct pollfd ready[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    struct termios was, quiet;
    bool good = true, more = true;
    sigset_t signals, before;

    if (tcgetattr(STDIN_FILENO, &was) != 0)
        return err_system(err, ERR_IO, errno, "terminal");
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGQUIT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, &before);
    ready[1].fd = signalfd(-1, &signals, SFD_CLOEXEC);
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ECHONL;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    (void)fprintf(stderr, "Value of %s (it is not shown; Enter ends it): ", name);
    while (good && more && (poll(ready, 2, -1) >= 0 || errno == EINTR) && !ready[1].revents)
        if (ready[0].revents)
            good = piece_read(out, true, &more, err);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &was);
    if (ready[1].fd >= 0)
        close(ready[1].fd);
    (void)sigprocmask(SIG_SETMASK, &before, NULL); /* one that came ends us here */
    return good;
}

/* Standard input, but for the line end behind it. */
static bool value_read(struct buf *out, const char *name, struct err *err)
{
    bool good = true, more = true;

    if (isatty(STDIN_FILENO))
        good = typed_read(out, name, err);
    else
        while (good && more)
            good = piece_read(out, false, &more, err);
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
        good = value_read(&read, words->words[0], &err);
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
