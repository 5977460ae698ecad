#include "bridge/tunnel.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "bridge/stream.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum { SLAB_TUNNELS = 256 };

struct tunnel_slab {
    struct tunnel_slab *next;
    struct tunnel tunnels[SLAB_TUNNELS];
};

static bool slab_add(struct worker *w)
{
    struct tunnel_slab *slab =
        mmap(NULL, sizeof *slab, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (slab == MAP_FAILED)
        return false;
    slab->next = w->slabs;
    w->slabs = slab;
    for (size_t i = SLAB_TUNNELS; i > 0; i--) {
        slab->tunnels[i - 1].next = w->free_tunnels;
        w->free_tunnels = &slab->tunnels[i - 1];
    }
    return true;
}

void tunnel_slabs_free(struct worker *w)
{
    while (w->slabs) {
        struct tunnel_slab *slab = w->slabs;

        w->slabs = slab->next;
        munmap(slab, sizeof *slab);
    }
    w->free_tunnels = NULL;
}

void tunnel_list_add(struct tunnel_list *list, struct tunnel *t)
{
    t->next = NULL;
    t->previous = list->last;
    if (list->last)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
    list->count++;
}

void tunnel_list_remove(struct tunnel_list *list, struct tunnel *t)
{
    if (t->previous)
        t->previous->next = t->next;
    else
        list->first = t->next;
    if (t->next)
        t->next->previous = t->previous;
    else
        list->last = t->previous;
    t->previous = t->next = NULL;
    list->count--;
}

void tunnel_listed(struct tunnel *t)
{
    if (tunnel_has(t, T_LISTED))
        return;
    tunnel_list_remove(&t->worker->pending, t);
    tunnel_list_add(&t->worker->tunnels, t);
    t->flags |= T_LISTED;
}

static void bits_of(struct io *io, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= IO_READABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->bits |= IO_ENDED;
    if (events & (EPOLLHUP | EPOLLERR))
        io->bits |= IO_FAILED | IO_WRITABLE;
    if (events & EPOLLOUT)
        io->bits |= IO_WRITABLE;
}

/* Room alone is no news when there was room before. */
static bool news(const struct io *io, uint32_t before, uint32_t events)
{
    return (events & ~(uint32_t)EPOLLOUT) || before != io->bits;
}

static void client_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct tunnel *t = CONTAINER(io, struct tunnel, client);
    uint32_t before = io->bits;

    (void)loop;
    bits_of(io, events);
    if (news(io, before, events))
        tunnel_wake(t);
}

static void target_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct tunnel *t = CONTAINER(io, struct tunnel, target);
    uint32_t before = io->bits;

    (void)loop;
    bits_of(io, events);
    if (news(io, before, events))
        tunnel_wake(t);
}

static void evict_oldest(struct worker *w)
{
    struct tunnel *oldest = w->pending.first;

    metric_add(&w->stats.evicted, 1);
    metric_add(&w->stats.refused[REASON_OVERLOADED], 1);
    tunnel_free(oldest);
}

static metric *gauge_of(struct worker_stats *s, enum tunnel_phase phase)
{
    switch (phase) {
    case TUNNEL_GREETING:
        return &s->pending;
    case TUNNEL_DIALLING:
        return &s->dialling;
    case TUNNEL_OPEN:
        return &s->open;
    case TUNNEL_ENDING:
        return &s->ending;
    case TUNNEL_GONE:
        break;
    }
    return NULL;
}

void tunnel_phase_set(struct tunnel *t, enum tunnel_phase phase)
{
    struct worker_stats *s = &t->worker->stats;

    metric_sub(gauge_of(s, (enum tunnel_phase)t->phase), 1);
    if (phase != TUNNEL_GONE)
        metric_add(gauge_of(s, phase), 1);
    t->phase = (uint8_t)phase;
}

static void count_stalled(struct tunnel *t)
{
    bool stalled = tunnel_stalled(t);

    if (stalled == tunnel_has(t, (uint32_t)T_STALLED))
        return;
    t->flags ^= (uint32_t)T_STALLED;
    if (stalled)
        metric_add(&t->worker->stats.stalled, 1);
    else
        metric_sub(&t->worker->stats.stalled, 1);
}

struct tunnel *tunnel_new(struct worker *w, int fd, const struct addr *peer)
{
    struct tunnel *t;

    if (!w->free_tunnels && !slab_add(w))
        return NULL;
    if (w->pending.count >= w->pending_max)
        evict_oldest(w);
    t = w->free_tunnels;
    w->free_tunnels = t->next;
    *t = (struct tunnel){
        .client = {.ready = client_ready, .fd = fd, .bits = IO_READABLE | IO_WRITABLE},
        .target = {.ready = target_ready, .fd = -1},
        .task = {.run = tunnel_run},
        .worker = w,
        .peer = *peer,
        .client_addr = *peer,
        .up_want = RELAY_READ_FIRST,
        .down_want = RELAY_READ_FIRST,
        .close_code = WS_CLOSE_NO_STATUS,
        .id = ((uint64_t)w->index << 48) | ++w->next_id,
    };
    t->start_ms = t->heard_ms = t->data_ms = t->progress_ms = tunnel_now(t);
    timer_init(&t->timer, deadlines_fire);
    if (!loop_watch(w->loop, &t->client, NULL)) {
        t->next = w->free_tunnels;
        w->free_tunnels = t;
        return NULL;
    }
    tunnel_list_add(&w->pending, t);
    metric_add(&w->stats.pending, 1);
    atomic_fetch_add_explicit(&w->load, 1, memory_order_relaxed);
    deadlines_arm(t);
    return t;
}

void tunnel_wake(struct tunnel *t)
{
    if (t->heavy)
        task_queue_long(t->worker->loop, &t->task);
    else
        task_queue(t->worker->loop, &t->task);
}

void tunnel_run(struct loop *loop, struct task *task)
{
    struct tunnel *t = CONTAINER(task, struct tunnel, task);
    bool more = false;

    (void)loop;
    t->heavy = false;
    switch ((enum tunnel_phase)t->phase) {
    case TUNNEL_GREETING:
        greeting_run(t);
        break;
    case TUNNEL_DIALLING:
        if (t->client.bits & IO_FAILED)
            tunnel_client_gone(t, true);
        break;
    case TUNNEL_OPEN:
    case TUNNEL_ENDING:
        more = relay_up(t);
        if (t->phase != TUNNEL_GONE)
            more |= relay_down(t);
        break;
    case TUNNEL_GONE:
        return;
    }
    if (t->phase == TUNNEL_GONE)
        return;
    tunnel_advance(t);
    if (t->phase == TUNNEL_GONE)
        return;
    count_stalled(t);
    if (more)
        tunnel_wake(t);
}

static void unwait(struct tunnel *t)
{
    struct tunnel **at = &t->worker->waiting_first;

    t->worker->waiting_last = NULL;
    while (*at) {
        if (*at == t)
            *at = t->next_waiting;
        if (!*at)
            break;
        t->worker->waiting_last = *at;
        at = &(*at)->next_waiting;
    }
    t->flags &= ~(uint32_t)T_WAITING;
}

void tunnel_wait_for_memory(struct tunnel *t)
{
    struct worker *w = t->worker;

    if (tunnel_has(t, T_WAITING))
        return;
    metric_add(&w->stats.buffer_waits, 1);
    t->flags |= T_WAITING;
    t->next_waiting = NULL;
    if (w->waiting_first)
        w->waiting_last->next_waiting = t;
    else
        w->waiting_first = t;
    w->waiting_last = t;
    w->chunks.wanted = true;
}

void tunnel_release_waiting(struct chunk_pool *pool)
{
    struct worker *w = CONTAINER(pool, struct worker, chunks);
    struct tunnel *t = w->waiting_first;

    if (t)
        w->waiting_first = t->next_waiting;
    pool->wanted = w->waiting_first != NULL;
    if (!t)
        return;
    t->flags &= ~(uint32_t)T_WAITING;
    tunnel_wake(t);
}

const char *tunnel_label(const struct tunnel *t, unsigned index)
{
    const char *at = t->label ? t->label : "\0\0";

    while (index--)
        at += strlen(at) + 1;
    return at;
}

static void memory_reuse(struct loop *loop, struct retired *retired)
{
    struct tunnel *t = CONTAINER(retired, struct tunnel, retired);

    (void)loop;
    t->next = t->worker->free_tunnels;
    t->worker->free_tunnels = t;
}

static void leave_lists(struct tunnel *t)
{
    struct worker *w = t->worker;

    tunnel_list_remove(tunnel_has(t, T_LISTED) ? &w->tunnels : &w->pending, t);
    if (tunnel_has(t, (uint32_t)T_STALLED))
        metric_sub(&w->stats.stalled, 1);
    if (tunnel_has(t, T_WAITING))
        unwait(t);
    if (tunnel_has(t, T_COUNTED))
        guests_leave(w->bridge->guests, &t->client_addr);
    atomic_fetch_sub_explicit(&w->load, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&w->bridge->connections, 1, memory_order_relaxed);
}

static void give_back(struct tunnel *t)
{
    struct worker *w = t->worker;

    if (t->phase == TUNNEL_GREETING || t->phase == TUNNEL_DIALLING) {
        if (t->dial)
            dial_cancel(t->dial);
    } else if (t->pipe) {
        pipe_give(&w->pipes, t->pipe);
    }
    if (t->up)
        chunk_give(&w->chunks, t->up);
    if (t->down)
        chunk_give(&w->chunks, t->down);
    free(t->control); /* or the greeting, in the same place */
    free(t->meter);
    free(t->label);
    tls_free(t->tls);
    policy_unref(t->policy);
}

void tunnel_free(struct tunnel *t)
{
    struct worker *w = t->worker;

    CHECK(t->phase != TUNNEL_GONE);
    leave_lists(t);
    give_back(t);
    tunnel_phase_set(t, TUNNEL_GONE);
    task_cancel(w->loop, &t->task);
    timer_cancel(&t->timer);
    if (t->client.fd >= 0) {
        loop_closing(w->loop, &t->client);
        close(t->client.fd);
    }
    if (t->target.fd >= 0) {
        loop_closing(w->loop, &t->target);
        close(t->target.fd);
    }
    t->retired.free = memory_reuse;
    loop_retire(w->loop, &t->retired);
    if (w->chunks.wanted)
        tunnel_release_waiting(&w->chunks); /* it may have been its turn */
    if (w->paused)
        accept_resume(w);
}
