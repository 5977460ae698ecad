/* Private to the command line: one thing to be done on a loop, with a person in front of it.
 *
 *   cli_work_open ─► start something; its end calls cli_work_finish ─► cli_work_run ─► cli_work_close
 *
 * Ctrl-C, a hang-up and SIGTERM end it early. When it takes long and standard error is a terminal, a line there says so, and is gone
 * before anything else is printed. */
#pragma once

#include "ati/cli/cli.h"
#include "client/client.h"
#include "net/loop.h"

enum { WORK_QUIET_MS = 1000 };

struct cli_work {
    const struct cli *cli;
    struct loop *loop;
    struct resolver *resolver;
    struct client *client;
    const char *label; /* "github:search" */
    struct timer tick;
    uint64_t started_ms;
    bool progress, shown; /* progress: somebody would see it */
    bool finished;
    int signo; /* 0: none came */
};

MUST_USE bool cli_work_open(struct cli_work *w, const struct cli *cli, const char *label,
                            struct err *err);
/* Until cli_work_finish. False: err, or w->signo: what is under way is the caller's to cancel. */
MUST_USE bool cli_work_run(struct cli_work *w, struct err *err);
void cli_work_finish(struct cli_work *w);
void cli_work_close(struct cli_work *w); /* also after a failed cli_work_open */
/* The exit status of what a signal ended. */
static inline int cli_work_status(const struct cli_work *w)
{
    return 128 + w->signo;
}
