#include "net/watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/view.h"

static void settled(struct loop *loop, struct timer *timer)
{
    struct watch *w = (struct watch *)(void *)((char *)timer - offsetof(struct watch, settled));

    (void)loop;
    w->changed(w->context);
}

/* Several changes of one save come together: one call answers all that were read in one go. */
static void ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct watch *w = (struct watch *)(void *)io;
    char read_events[4096];
    bool any = false;

    (void)events;
    while (read(io->fd, read_events, sizeof read_events) > 0)
        any = true;
    if (any && w->settle_ms)
        timer_set(loop, &w->settled, loop_now_ms(loop) + w->settle_ms);
    else if (any)
        w->changed(w->context);
}

bool watch_open(struct watch *w, struct loop *loop, uint64_t settle_ms,
                void (*changed)(void *context), void *context, struct err *err)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0)
        return err_system(err, ERR_IO, errno, "--watch");
    *w = (struct watch){.io = {.ready = ready, .fd = fd},
                        .loop = loop,
                        .settle_ms = settle_ms,
                        .changed = changed,
                        .context = context};
    timer_init(&w->settled, settled);
    if (loop_watch_level(loop, &w->io, EPOLLIN, err))
        return true;
    close(fd);
    w->io.ready = NULL;
    return false;
}

bool watch_file(struct watch *w, const char *path, struct err *err)
{
    struct view text = view_str(path);
    size_t slash = view_find_last(text, '/');
    char folder[4096];
    int n;

    if (!path)
        return true;
    n = slash < text.len ? snprintf(folder, sizeof folder, "%.*s", (int)slash + 1, path)
                         : snprintf(folder, sizeof folder, ".");
    if (n < 0 || (size_t)n >= sizeof folder)
        return err_set(err, ERR_CONFIG, "--watch: path too long: %.80s…", path);
    if (inotify_add_watch(w->io.fd, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_CREATE) <
        0)
        return err_system(err, ERR_IO, errno, "--watch: %s", folder);
    return true;
}

void watch_close(struct watch *w)
{
    if (!w->io.ready)
        return;
    timer_cancel(&w->settled);
    loop_forget(w->loop, &w->io);
    close(w->io.fd);
    w->io.ready = NULL;
}
