/* loop: one epoll, its timers, its run queue and its clock; one a thread, nothing shared.
 *
 * io        a descriptor is registered once, edge-triggered, for everything (EPOLLIN | EPOLLOUT |
 *           EPOLLRDHUP | EPOLLET); its owner keeps readiness bits and clears them
 *           on EAGAIN. After loop_forget + close, events of the same batch may still name the struct:
 *           ready is then a no-op, and its memory may be reused only after the batch, so owners free
 *           through loop_retire.
 * timers    a wheel of TIMER_SLOTS slots of TIMER_TICK_MS; arming is O(1); a deadline beyond the
 *           horizon waits in the last slot and hops on. Timers fire late by at most one tick, never early.
 * tasks     a FIFO of things to run soon: after the events of this batch, before the next wait. A task
 *           that re-queues itself runs again in the next round, so that no one starves others.
 *           Long ones have a FIFO of their own behind it: at least one a turn, and no further one once
 *           LOOP_LONG_US have passed, so that what is short waits for one of them and not for all.
 * posts     from other threads: loop_post wakes the loop by eventfd.
 * Order of one turn   wait → clock → events → tasks → timers → posts → retired memory. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/err.h"

enum { TIMER_TICK_MS = 16, TIMER_SLOTS = 1024, LOOP_EVENTS_MAX = 256, LOOP_LONG_US = 200 };

struct loop;

struct io {
    void (*ready)(struct loop *loop, struct io *io, uint32_t events); /* EPOLL* bits */
    int fd;
    uint32_t bits; /* the owner's */
};

struct timer {
    struct timer *next, **link; /* link NULL: not armed */
    uint64_t due_ms;
    void (*fire)(struct loop *loop, struct timer *timer);
};

struct task {
    struct task *next, **link; /* link NULL: not queued */
    void (*run)(struct loop *loop, struct task *task);
};

/* Memory to give back after the batch: put one of these at hand in the object. */
struct retired {
    struct retired *next;
    void (*free)(struct loop *loop, struct retired *retired);
};

struct post {
    _Atomic(struct post *) next;
    void (*run)(struct loop *loop, struct post *post); /* on the loop's thread; owns post again */
};

/* clock: lent for the life of the loop. */
MUST_USE bool loop_new(const struct clock *clock, struct loop **out, struct err *err);
/* Before it sleeps the loop looks for events again and again for this long, µs: lower latency for a whole
 * core. 0, the default: it sleeps at once. */
void loop_busy_poll(struct loop *loop, uint32_t us);
void loop_free(struct loop *loop);
/* Runs until loop_stop. */
MUST_USE bool loop_run(struct loop *loop, struct err *err);
/* One turn: waits at most wait_ms (0: polls). For tests and for loop_run itself. */
MUST_USE bool loop_turn(struct loop *loop, uint64_t wait_ms, struct err *err);
void loop_stop(struct loop *loop); /* any thread; async-signal-safe */

uint64_t loop_now_ms(const struct loop *loop); /* monotonic, read once a turn */

/* io->ready and io->fd set by the caller; edge-triggered for everything. */
MUST_USE bool loop_watch(struct loop *loop, struct io *io, struct err *err);
/* io takes the place of another that watched the same descriptor in the same way: one call instead of two. */
MUST_USE bool loop_take_over(struct loop *loop, struct io *io, struct err *err);
/* Level-triggered for the given EPOLL bits (listeners, resolver sockets); may be called again to
 * change them. */
MUST_USE bool loop_watch_level(struct loop *loop, struct io *io, uint32_t events, struct err *err);
/* Before close. ready will not be called again, not even in this batch. */
void loop_forget(struct loop *loop, struct io *io);
/* As loop_forget without its system call, when close follows at once and the descriptor has no duplicate:
 * the kernel forgets it then. In a process that starts others it may have one at any time, between clone
 * and exec. */
void loop_closing(struct loop *loop, struct io *io);

void timer_init(struct timer *t, void (*fire)(struct loop *, struct timer *));
/* Arms or moves. */
void timer_set(struct loop *loop, struct timer *t, uint64_t due_ms);
void timer_cancel(struct timer *t);
static inline bool timer_armed(const struct timer *t)
{
    return t->link != NULL;
}

void task_init(struct task *t, void (*run)(struct loop *, struct task *));
void task_queue(struct loop *loop, struct task *t);      /* no-op when it is queued already */
void task_queue_long(struct loop *loop, struct task *t); /* the same, behind all that is short */
void task_cancel(struct loop *loop, struct task *t);
static inline bool task_queued(const struct task *t)
{
    return t->link != NULL;
}

void loop_retire(struct loop *loop, struct retired *r);
void loop_post(struct loop *loop, struct post *p); /* any thread; takes p until run */

/* Time from the wake-up to the end of the turn of the slowest turn since the last call, µs. */
uint64_t loop_lag_us(struct loop *loop);
/* Monotonic ms at which the loop last ended a turn; any thread (watchdog). */
uint64_t loop_alive_ms(const struct loop *loop);
