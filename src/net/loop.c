#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/loop_priv.h"

static bool loop_open(struct loop *loop, struct err *err);
static bool turn(struct loop *loop, uint64_t wait_ms, struct err *err);
static int loop_timeout_ms(struct loop *loop, uint64_t wait_ms);
static void loop_events(struct loop *loop);
static void loop_tasks(struct loop *loop);
static void loop_long_tasks(struct loop *loop);
static void loop_posts(struct loop *loop);
static void loop_give_back(struct loop *loop);
static void loop_turn_ended(struct loop *loop, uint64_t start_us);
static void loop_wake(struct loop *loop);
static void wake_ready(struct loop *loop, struct io *io, uint32_t events);

CLEANUP_DEFINE(struct loop, loop_free)

bool loop_new(const struct clock *clock, struct loop **out, struct err *err)
{
    CLEANUP(loop_free_cleanup)
    struct loop *loop = aligned_alloc(_Alignof(struct loop), sizeof *loop);

    if (!loop)
        return err_set(err, ERR_MEMORY, "no memory for an event loop");
    memset(loop, 0, sizeof *loop);
    loop->clock = clock;
    loop->now_ms = clock_monotonic_ms(clock);
    loop->tasks.tail = &loop->tasks.first;
    loop->long_tasks.tail = &loop->long_tasks.first;
    atomic_init(&loop->alive_ms, loop->now_ms);
    wheel_start(&loop->wheel, loop->now_ms);
    if (!loop_open(loop, err))
        return false;
    *out = take(loop);
    return true;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    loop_give_back(loop);
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}

bool loop_run(struct loop *loop, struct err *err)
{
    loop->turn_end_us = clock_monotonic_us();
    while (!atomic_load_explicit(&loop->stop, memory_order_relaxed))
        if (!turn(loop, UINT64_MAX, err))
            return false;
    atomic_store(&loop->stop, false);
    return true;
}

bool loop_turn(struct loop *loop, uint64_t wait_ms, struct err *err)
{
    loop->turn_end_us = clock_monotonic_us();
    return turn(loop, wait_ms, err);
}

void loop_busy_poll(struct loop *loop, uint32_t us)
{
    loop->busy_us = us;
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    loop_wake(loop);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

static bool register_(struct loop *loop, int how, struct io *io, struct err *err)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = io,
    };

    if (epoll_ctl(loop->epoll_fd, how, io->fd, &event) != 0)
        return err_system(err, ERR_INTERNAL, errno, "watching a descriptor");
    return true;
}

bool loop_watch(struct loop *loop, struct io *io, struct err *err)
{
    return register_(loop, EPOLL_CTL_ADD, io, err);
}

bool loop_take_over(struct loop *loop, struct io *io, struct err *err)
{
    return register_(loop, EPOLL_CTL_MOD, io, err);
}

bool loop_watch_level(struct loop *loop, struct io *io, uint32_t events, struct err *err)
{
    struct epoll_event event = {.events = events, .data.ptr = io};

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, io->fd, &event) == 0)
        return true;
    if (errno == EEXIST && epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event) == 0)
        return true;
    return err_system(err, ERR_INTERNAL, errno, "watching a descriptor");
}

void loop_forget(struct loop *loop, struct io *io)
{
    /* Fails when the descriptor was never watched: then there is nothing to take out. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    loop_closing(loop, io);
}

void loop_closing(struct loop *loop, struct io *io)
{
    for (int i = loop->event_at + 1; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == io)
            loop->events[i].data.ptr = NULL;
}

void task_init(struct task *t, void (*run)(struct loop *, struct task *))
{
    *t = (struct task){.run = run};
}

static void append(struct task_list *list, struct task *t)
{
    if (t->link)
        return;
    t->next = NULL;
    t->link = list->tail;
    *list->tail = t;
    list->tail = &t->next;
}

void task_queue(struct loop *loop, struct task *t)
{
    append(&loop->tasks, t);
}

void task_queue_long(struct loop *loop, struct task *t)
{
    append(&loop->long_tasks, t);
}

void task_cancel(struct loop *loop, struct task *t)
{
    if (!t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    else if (loop->tasks.tail == &t->next)
        loop->tasks.tail = t->link;
    else if (loop->long_tasks.tail == &t->next)
        loop->long_tasks.tail = t->link;
    t->next = NULL;
    t->link = NULL;
}

void loop_retire(struct loop *loop, struct retired *r)
{
    r->next = loop->retired;
    loop->retired = r;
}

void loop_post(struct loop *loop, struct post *p)
{
    struct post *first = atomic_load_explicit(&loop->posts, memory_order_relaxed);

    do
        atomic_store_explicit(&p->next, first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&loop->posts, &first, p, memory_order_release,
                                                  memory_order_relaxed));
    /* Only the first one wakes the loop: it takes all that are there. */
    if (!first)
        loop_wake(loop);
}

uint64_t loop_lag_us(struct loop *loop)
{
    return atomic_exchange_explicit(&loop->lag_us, 0, memory_order_relaxed);
}

uint64_t loop_alive_ms(const struct loop *loop)
{
    return atomic_load_explicit(&loop->alive_ms, memory_order_relaxed);
}

static bool loop_open(struct loop *loop, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &loop->wake};

    loop->wake.ready = wake_ready;
    loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->wake.fd < 0 || loop->epoll_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake.fd, &event) != 0)
        return err_system(err, ERR_INTERNAL, errno, "opening an event loop");
    return true;
}

/* As epoll_wait, but awake for a while before it sleeps. */
static int wait_for_events(struct loop *loop, int timeout)
{
    uint64_t until;
    int count;

    if (!loop->busy_us || timeout == 0)
        return epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, timeout);
    until = clock_monotonic_us() + loop->busy_us;
    do
        count = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, 0);
    while (count == 0 && clock_monotonic_us() < until);
    return count ? count : epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, timeout);
}

static bool turn(struct loop *loop, uint64_t wait_ms, struct err *err)
{
    int timeout = loop_timeout_ms(loop, wait_ms);
    int count = wait_for_events(loop, timeout);
    uint64_t start_us;

    if (count < 0 && errno != EINTR)
        return err_system(err, ERR_INTERNAL, errno, "epoll_wait");
    /* A turn that did not wait began when the one before it ended. */
    start_us = timeout == 0 ? loop->turn_end_us : clock_monotonic_us();
    loop->event_count = count < 0 ? 0 : count;
    loop->now_ms = clock_monotonic_ms(loop->clock);
    loop_events(loop);
    loop_tasks(loop);
    loop_long_tasks(loop);
    wheel_advance(loop);
    loop_posts(loop);
    loop_give_back(loop);
    loop_turn_ended(loop, start_us);
    return true;
}

static int loop_timeout_ms(struct loop *loop, uint64_t wait_ms)
{
    uint64_t next, now;

    if (loop->tasks.first || loop->long_tasks.first || wait_ms == 0)
        return 0;
    next = wheel_next_ms(&loop->wheel);
    if (next != WHEEL_NEVER) {
        /* The end of the last turn is a better "now" than its beginning. */
        now = atomic_load_explicit(&loop->alive_ms, memory_order_relaxed);
        next = next > now ? next - now : 0;
    }
    if (next < wait_ms)
        wait_ms = next;
    if (wait_ms == UINT64_MAX)
        return -1;
    return wait_ms < INT_MAX ? (int)wait_ms : INT_MAX;
}

static void loop_events(struct loop *loop)
{
    struct io *io;

    for (loop->event_at = 0; loop->event_at < loop->event_count; loop->event_at++) {
        io = loop->events[loop->event_at].data.ptr;
        if (io)
            io->ready(loop, io, loop->events[loop->event_at].events);
    }
    loop->event_at = loop->event_count = 0;
}

/* One round: what is queued while it runs waits for the next turn. */
static void loop_tasks(struct loop *loop)
{
    struct task *t;

    if (!loop->tasks.first)
        return;
    loop->round = loop->tasks.first;
    loop->round->link = &loop->round;
    loop->tasks.first = NULL;
    loop->tasks.tail = &loop->tasks.first;
    while ((t = loop->round) != NULL) {
        task_cancel(loop, t);
        t->run(loop, t);
    }
}

static void loop_long_tasks(struct loop *loop)
{
    struct task *t = loop->long_tasks.first;
    uint64_t start_us;

    if (!t)
        return;
    start_us = clock_monotonic_us();
    do {
        task_cancel(loop, t);
        t->run(loop, t);
        t = loop->long_tasks.first;
    } while (t && clock_monotonic_us() - start_us < LOOP_LONG_US);
}

static void loop_posts(struct loop *loop)
{
    struct post *newest, *next, *oldest = NULL;

    if (!atomic_load_explicit(&loop->posts, memory_order_relaxed))
        return;
    newest = atomic_exchange_explicit(&loop->posts, NULL, memory_order_acquire);
    for (struct post *p = newest; p; p = next) {
        next = atomic_load_explicit(&p->next, memory_order_relaxed);
        atomic_store_explicit(&p->next, oldest, memory_order_relaxed);
        oldest = p;
    }
    for (struct post *p = oldest; p; p = next) {
        next = atomic_load_explicit(&p->next, memory_order_relaxed);
        p->run(loop, p);
    }
}

static void loop_give_back(struct loop *loop)
{
    struct retired *r;

    while ((r = loop->retired) != NULL) {
        loop->retired = r->next;
        r->free(loop, r);
    }
}

static void loop_turn_ended(struct loop *loop, uint64_t start_us)
{
    uint64_t turn_us;

    loop->turn_end_us = clock_monotonic_us();
    turn_us = loop->turn_end_us - start_us;
    if (turn_us > atomic_load_explicit(&loop->lag_us, memory_order_relaxed))
        atomic_store_explicit(&loop->lag_us, turn_us, memory_order_relaxed);
    atomic_store_explicit(&loop->alive_ms, loop->now_ms + turn_us / 1000, memory_order_relaxed);
}

static void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    /* It fails only when the counter is full, and then the loop has been woken already. */
    if (write(loop->wake.fd, &one, sizeof one) < 0)
        return;
}

/* Edge-triggered: every write is a new edge, so the counter is never read. */
static void wake_ready(struct loop *loop, struct io *io, uint32_t events)
{
    (void)loop;
    (void)io;
    (void)events;
}
