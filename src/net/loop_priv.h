/* What loop.c and timer.c share. */
#pragma once

#include "net/loop.h"

enum { TIMER_WORDS = TIMER_SLOTS / 64 };
_Static_assert(TIMER_SLOTS % 64 == 0, "the bitmap of slots has whole words");
_Static_assert((TIMER_SLOTS & (TIMER_SLOTS - 1)) == 0, "a tick finds its slot by a mask");

/* Slot s holds the timers of the ticks t ≡ s, done < t < done + TIMER_SLOTS. A set bit means that
 * the slot may hold timers: cancelling does not clear it, whoever finds the slot empty does. */
struct timer_wheel {
    uint64_t done; /* every tick up to this one has been served */
    struct timer *firing;
    uint64_t armed[TIMER_WORDS];
    struct timer *slots[TIMER_SLOTS];
};

/* tail: where the next one is linked in. */
struct task_list {
    struct task *first, **tail;
};

struct loop {
    const struct clock *clock;
    uint64_t now_ms;
    int epoll_fd;
    uint32_t busy_us;
    struct io wake; /* an eventfd: posts, loop_stop */

    struct epoll_event events[LOOP_EVENTS_MAX];
    int event_at, event_count; /* the batch being served; event_at is the entry under way */

    struct task_list tasks, long_tasks;
    struct task *round;
    struct retired *retired;
    struct timer_wheel wheel;

    uint64_t turn_end_us;
    _Atomic uint64_t lag_us; /* taken by the metrics' reader */
    _Atomic uint64_t alive_ms;
    atomic_bool stop;

    /* Other threads write here: kept off the lines above. */
    _Alignas(64) _Atomic(struct post *) posts;
};

#define WHEEL_NEVER UINT64_MAX

void wheel_start(struct timer_wheel *w, uint64_t now_ms);
/* When the next slot that holds timers comes up, or WHEEL_NEVER. */
uint64_t wheel_next_ms(struct timer_wheel *w);
/* Fires what is due at loop->now_ms. */
void wheel_advance(struct loop *loop);
