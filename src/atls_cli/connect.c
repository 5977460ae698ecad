/* atls connect: standard input and output on an attested connection; netcat with a proof. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "atls_cli/commands.h"
#include "atls_cli/endpoint.h"
#include "atls_cli/output.h"
#include "base/command.h"

#include "base/poison.h"

enum { PIECE_BYTES = 12 * 1024, RECEIVED_MAX = 4 * 1024 * 1024 };

struct config {
    struct endpoint_config endpoint;
};

static const struct setting rows[] = {ENDPOINT_ROWS};

static const struct settings_program program = {
    .name = "atls connect",
    .prefix = "ATLS_CONNECT_",
    .summary = "Connects to HOST:PORT; once it has proved to be what the policy asks for, standard "
               "input goes there and what comes goes to standard output.",
    .usage = "atls connect HOST:PORT --policy FILE [--proxy URL]",
    .epilogue = "When the policy's reattest_after is over, the connection ends with status 16: in "
                "the middle "
                "of a\nstream no other proof can be asked for.\nExit status: as atls get.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "HOST:PORT",
    .words_least = 1,
    .words_most = 1,
};

/* The end of standard input is not the end: the answer may still come. */
static bool send_input(struct attested *c, bool *open, struct attest_err *err)
{
    uint8_t bytes[PIECE_BYTES];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    if (n < 0 && errno != EINTR)
        return attest_fail(err, ATTEST_IO, "standard input: %s", strerror(errno));
    if (n == 0)
        *open = false;
    return n <= 0 || attested_write(c, view_from(bytes, (size_t)n), err);
}

/* Bytes from there, to standard output. What they mean is not known here, so that no quote can be asked for in between: when the
 * proof has grown too old, it is over. */
static bool take_output(struct attested *c, struct buf *in, bool *end, struct attest_err *err)
{
    uint64_t left = attested_due_in_ms(c);

    if (!left)
        return attested_fresh(c, err);
    if (!attested_read(c, in, end, left == UINT64_MAX ? 0 : left, err))
        return left != UINT64_MAX && err->code == ATTEST_TIMEOUT && attested_fresh(c, err);
    return output_write(buf_view(in), err);
}

/* For poll(2). */
static int patience(const struct attested *c)
{
    uint64_t left = attested_due_in_ms(c);

    return left == UINT64_MAX ? -1 : left < INT_MAX ? (int)left : INT_MAX;
}

static bool pump(struct attested *c, struct attest_err *err)
{
    bool open = true, end = false, good = true;
    struct buf in;

    buf_init(&in, RECEIVED_MAX, "received bytes");
    while (good && !end) {
        struct pollfd fds[] = {{attested_fd(c), POLLIN, 0}, {open ? STDIN_FILENO : -1, POLLIN, 0}};

        if (poll(fds, 2, patience(c)) < 0 && errno != EINTR) {
            good = attest_fail(err, ATTEST_IO, "waiting: %s", strerror(errno));
            break;
        }
        good = attested_fresh(c, err);
        if (good && fds[1].revents)
            good = send_input(c, &open, err);
        if (good && fds[0].revents) {
            good = take_output(c, &in, &end, err);
            buf_reset(&in);
        }
    }
    buf_done(&in);
    return good;
}

int cli_connect(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    CLEANUP(policy_free_cleanup) struct policy *policy = NULL;
    CLEANUP(attested_free_cleanup) struct attested *c = NULL;
    struct attest_err why = {.code = ATTEST_OK};
    struct endpoint endpoint;
    struct config config;
    struct err err;
    unsigned words;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    if (!endpoint_policy(program.name, &config.endpoint, &policy, &status))
        return status;
    if (!endpoint_parse(settings_words(settings, &words)[0], false, &endpoint, &err)) {
        (void)fprintf(stderr, "%s: %s\n", program.name, err.text);
        return 2;
    }
    if (!endpoint_open(program.name, &config.endpoint, &endpoint, policy, &c, &status))
        return status;
    return pump(c, &why) ? 0 : endpoint_failed(program.name, config.endpoint.json, &why);
}
