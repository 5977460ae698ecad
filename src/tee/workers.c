/* Workers: threads with a loop each, their listeners, and how they end. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tee/service_priv.h"

#include "base/poison.h"

enum { BACKLOG = 1024, ACCEPTS_MAX = 64, ACCEPT_PAUSE_MS = 100 };

/* Without descriptors a listener would stay ready, and the loop would spin. */
static void accepting(struct worker *w, uint32_t events)
{
    for (size_t i = 0; i < w->listener_count; i++)
        (void)!loop_watch_level(w->loop, &w->acceptors[i].io, events, NULL);
}

static void accept_again(struct loop *loop, struct timer *timer)
{
    struct worker *w = (struct worker *)(void *)((char *)timer - offsetof(struct worker, pause));

    (void)loop;
    accepting(w, EPOLLIN);
}

static void accept_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct acceptor *a = (struct acceptor *)(void *)io;
    struct worker *w = a->worker;

    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            conn_accept(w, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_event_limited(w->log, LOG_ERROR, "descriptors.exhausted",
                              "no descriptors are left; accepting pauses");
            accepting(w, 0);
            timer_set(loop, &w->pause, loop_now_ms(loop) + ACCEPT_PAUSE_MS);
            return;
        } else if (errno == EAGAIN || errno == EINVAL || errno == EBADF) {
            return; /* anything else is the end of one that waited in the queue */
        }
    }
}

static void drain_run(struct loop *loop, struct post *post)
{
    struct worker *w = (struct worker *)(void *)((char *)post - offsetof(struct worker, drain));

    timer_cancel(&w->pause);
    for (size_t i = 0; i < w->listener_count; i++) {
        loop_forget(loop, &w->acceptors[i].io);
        listen_close(&w->listeners[i]);
    }
    w->listener_count = 0;
    conn_drain_all(w);
}

static void *worker_run(void *context)
{
    struct worker *w = context;
    struct err err;

    if (!loop_run(w->loop, &err))
        log_event(w->log, LOG_ERROR, "worker.failed", "a worker ended", F_STR("error", err.text));
    return NULL;
}

static const struct listen_options *listening(void)
{
    static const struct listen_options options = {.backlog = BACKLOG, .reuse_port = true};

    return &options;
}

static bool worker_open(struct tee_service *s, struct worker *w, const struct listener *first,
                        size_t count, struct err *err)
{
    w->site = &s->site;
    w->drain.run = drain_run;
    timer_init(&w->pause, accept_again);
    if (!loop_new(&clock_system, &w->loop, err) || !log_new(s->sink, &w->log, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct acceptor *a = &w->acceptors[i];

        if (w == s->site.workers)
            w->listeners[i] = first[i];
        else if (!listen_again(&first[i], listening(), &w->listeners[i], err))
            return false;
        w->listener_count = i + 1;
        a->worker = w;
        a->io = (struct io){.ready = accept_ready, .fd = w->listeners[i].fd};
        if (!loop_watch_level(w->loop, &a->io, EPOLLIN, err))
            return false;
    }
    return true;
}

bool workers_open(struct tee_service *s, struct err *err)
{
    unsigned n = s->config->workers ? s->config->workers : cpus_usable();
    struct listener listeners[LISTENERS_MAX];
    size_t count = 0;

    n = n > TEE_WORKERS_MAX ? TEE_WORKERS_MAX : n;
    s->site.workers = calloc(n, sizeof *s->site.workers);
    if (!s->site.workers)
        return err_set(err, ERR_MEMORY, "no memory for workers");
    if (!listen_open(view_str(s->config->listen), listening(), listeners, &count, err))
        return false;
    while (s->site.worker_count < n) {
        struct worker *w = &s->site.workers[s->site.worker_count++];

        if (!worker_open(s, w, listeners, count, err))
            return false;
    }
    return true;
}

bool workers_start(struct tee_service *s, struct err *err)
{
    const struct worker *first = s->site.workers;

    for (size_t i = 0; i < first->listener_count; i++)
        log_event(s->log, LOG_INFO, "listening", "atlas-tee listening",
                  F_STR("address", first->listeners[i].name),
                  F_STR("upstream", s->config->upstream), F_STR("provider", s->config->provider));
    for (unsigned i = 0; i < s->site.worker_count; i++) {
        struct worker *w = &s->site.workers[i];

        if (pthread_create(&w->thread, NULL, worker_run, w) != 0)
            return err_set(err, ERR_MEMORY, "no thread for a worker");
        w->started = true;
    }
    return true;
}

void workers_drain(struct tee_service *s)
{
    for (unsigned i = 0; i < s->site.worker_count; i++)
        loop_post(s->site.workers[i].loop, &s->site.workers[i].drain);
}

void workers_stop(struct tee_service *s)
{
    for (unsigned i = 0; i < s->site.worker_count; i++)
        if (s->site.workers[i].started)
            loop_stop(s->site.workers[i].loop);
}

void workers_join(struct tee_service *s)
{
    for (unsigned i = 0; i < s->site.worker_count; i++) {
        struct worker *w = &s->site.workers[i];

        if (w->started)
            pthread_join(w->thread, NULL);
        w->started = false;
    }
}

/* Jobs have been given back to the loops, which run them here for the last time. */
void workers_free(struct tee_service *s)
{
    for (unsigned i = 0; i < s->site.worker_count; i++) {
        struct worker *w = &s->site.workers[i];
        struct err ignored;

        for (size_t k = 0; k < w->listener_count; k++)
            listen_close(&w->listeners[k]);
        if (!w->loop)
            continue;
        timer_cancel(&w->pause);
        conn_end_all(w);
        (void)!loop_turn(w->loop, 0, &ignored);
        loop_free(w->loop);
    }
    free(s->site.workers);
}
