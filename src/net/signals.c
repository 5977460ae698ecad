#include "net/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"

/* Signals belong to the process, so there is one watch of them. */
static struct {
    struct io io;
    signal_seen *seen; /* NULL: not watched */
    void *context;
} watch;

static void signals_ready(struct loop *loop, struct io *io, uint32_t events);

bool signals_watch(struct loop *loop, const int *signos, size_t count, signal_seen *seen,
                   void *context, struct err *err)
{
    sigset_t set;

    CHECK(!watch.seen);
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        sigaddset(&set, signos[i]);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_system(err, ERR_INTERNAL, errno, "blocking signals");
    watch.io.ready = signals_ready;
    watch.io.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watch.io.fd < 0)
        return err_system(err, ERR_INTERNAL, errno, "watching signals");
    if (!loop_watch_level(loop, &watch.io, EPOLLIN, err)) {
        close(watch.io.fd);
        return false;
    }
    watch.seen = seen;
    watch.context = context;
    return true;
}

void signals_unwatch(struct loop *loop)
{
    if (!watch.seen)
        return;
    loop_forget(loop, &watch.io);
    close(watch.io.fd);
    watch.seen = NULL;
}

static void signals_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)loop;
    (void)events;
    while (watch.seen && read(io->fd, &info, sizeof info) == (ssize_t)sizeof info)
        watch.seen(watch.context, (int)info.ssi_signo);
}
