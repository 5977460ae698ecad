#include "ati/cli/work.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/version.h"
#include "net/owner.h"
#include "net/process.h"
#include "net/resolve.h"

#include "base/poison.h"

enum { TICK_MS = 250 };

static const struct resolve_options names = {
    .ttl_max_ms = 60000, .negative_ms = 2000, .stale_ms = 300000, .timeout_ms = 10000};

static void hide_progress(struct cli_work *w)
{
    if (w->shown)
        (void)fputs("\r\033[K", stderr);
    w->shown = false;
}

static void tick(struct loop *loop, struct timer *timer)
{
    struct cli_work *w = OWNER(timer, struct cli_work, tick);
    uint64_t now = loop_now_ms(loop);

    if (now - w->started_ms >= WORK_QUIET_MS) {
        (void)fprintf(stderr, "\r\033[K%s … %u s", w->label,
                      (unsigned)((now - w->started_ms) / 1000));
        w->shown = true;
    }
    timer_set(loop, timer, now + TICK_MS);
}

static void signal_came(void *context, int signo)
{
    struct cli_work *w = context;

    w->signo = signo;
    loop_stop(w->loop);
}

static bool open_client(struct cli_work *w, struct err *err)
{
    const struct client_options options = {.user_agent = "ati/" POSTERN_VERSION,
                                           .environment = w->cli->environment,
                                           .log = w->cli->log};

    return client_new(w->loop, w->resolver, &options, &w->client, err);
}

bool cli_work_open(struct cli_work *w, const struct cli *cli, const char *label, struct err *err)
{
    static const int signos[] = {SIGINT, SIGTERM, SIGHUP};

    *w = (struct cli_work){.cli = cli, .label = label};
    timer_init(&w->tick, tick);
    if (!loop_new(&clock_system, &w->loop, err) ||
        !resolver_new(w->loop, &names, &w->resolver, err) || !open_client(w, err) ||
        !signals_watch(w->loop, signos, sizeof signos / sizeof *signos, signal_came, w, err))
        return false;
    w->progress = isatty(STDERR_FILENO) && !cli->verbose;
    return true;
}

bool cli_work_run(struct cli_work *w, struct err *err)
{
    bool good = true;

    w->started_ms = loop_now_ms(w->loop);
    if (w->progress)
        timer_set(w->loop, &w->tick, w->started_ms + WORK_QUIET_MS);
    if (!w->finished)
        good = loop_run(w->loop, err);
    timer_cancel(&w->tick);
    hide_progress(w);
    return good && !w->signo;
}

void cli_work_finish(struct cli_work *w)
{
    w->finished = true;
    loop_stop(w->loop);
}

void cli_work_close(struct cli_work *w)
{
    if (!w->loop)
        return;
    hide_progress(w);
    client_free(w->client);
    resolver_free(w->resolver);
    signals_unwatch(w->loop);
    loop_free(w->loop);
    w->loop = NULL;
}
