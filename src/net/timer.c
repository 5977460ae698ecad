#include "net/loop_priv.h"

#include <stddef.h>

static void wheel_insert(struct timer_wheel *w, struct timer *t);
static struct timer **wheel_collect(struct timer_wheel *w, uint64_t tick, struct timer **end);
static void timer_push(struct timer **list, struct timer *t);
static bool wheel_find(struct timer_wheel *w, uint64_t from, uint64_t *tick);

void timer_init(struct timer *t, void (*fire)(struct loop *, struct timer *))
{
    *t = (struct timer){.fire = fire};
}

void timer_set(struct loop *loop, struct timer *t, uint64_t due_ms)
{
    timer_cancel(t);
    t->due_ms = due_ms;
    wheel_insert(&loop->wheel, t);
}

void timer_cancel(struct timer *t)
{
    if (!t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->next = NULL;
    t->link = NULL;
}

void wheel_start(struct timer_wheel *w, uint64_t now_ms)
{
    w->done = now_ms / TIMER_TICK_MS;
}

uint64_t wheel_next_ms(struct timer_wheel *w)
{
    uint64_t tick;

    return wheel_find(w, w->done + 1, &tick) ? tick * TIMER_TICK_MS : WHEEL_NEVER;
}

void wheel_advance(struct loop *loop)
{
    struct timer_wheel *w = &loop->wheel;
    struct timer *t, **end = &w->firing;
    uint64_t tick, now = loop->now_ms / TIMER_TICK_MS;

    if (now <= w->done)
        return;
    for (uint64_t from = w->done + 1; wheel_find(w, from, &tick) && tick <= now; from = tick + 1)
        end = wheel_collect(w, tick, end);
    /* From here on whatever a callback arms, even for the past, waits for a later tick. */
    w->done = now;
    while ((t = w->firing) != NULL) {
        timer_cancel(t);
        if (t->due_ms > loop->now_ms)
            wheel_insert(w, t); /* it waits beyond the horizon, and hops on */
        else
            t->fire(loop, t);
    }
}

static void wheel_insert(struct timer_wheel *w, struct timer *t)
{
    /* Rounded up, so that a timer is never early. */
    uint64_t tick = t->due_ms / TIMER_TICK_MS + (t->due_ms % TIMER_TICK_MS != 0);
    size_t slot;

    if (tick <= w->done)
        tick = w->done + 1;
    if (tick - w->done > TIMER_SLOTS - 1)
        tick = w->done + TIMER_SLOTS - 1;
    slot = tick % TIMER_SLOTS;
    timer_push(&w->slots[slot], t);
    w->armed[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* Moves the timers of a slot to the end of the firing list. Returns the new end. */
static struct timer **wheel_collect(struct timer_wheel *w, uint64_t tick, struct timer **end)
{
    size_t slot = tick % TIMER_SLOTS;

    *end = w->slots[slot];
    if (*end)
        (*end)->link = end;
    w->slots[slot] = NULL;
    w->armed[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    while (*end)
        end = &(*end)->next;
    return end;
}

static void timer_push(struct timer **list, struct timer *t)
{
    t->next = *list;
    t->link = list;
    if (t->next)
        t->next->link = &t->next;
    *list = t;
}

/* The first tick from `from` on, within the horizon, whose slot holds a timer. */
static bool wheel_find(struct timer_wheel *w, uint64_t from, uint64_t *tick)
{
    uint64_t at = from, end = w->done + TIMER_SLOTS;

    while (at < end) {
        size_t slot = at % TIMER_SLOTS;
        uint64_t bits = w->armed[slot / 64] >> (slot % 64);

        if (bits == 0) {
            at += 64 - slot % 64;
            continue;
        }
        at += (unsigned)__builtin_ctzll(bits);
        if (at >= end)
            return false;
        slot = at % TIMER_SLOTS;
        if (w->slots[slot]) {
            *tick = at;
            return true;
        }
        w->armed[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    }
    return false;
}
