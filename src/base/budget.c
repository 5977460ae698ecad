#include "base/budget.h"

#include <stddef.h>

#include "base/check.h"

#include "base/poison.h"

void budget_init(struct budget *b, uint64_t max)
{
    b->max = max;
    b->whole = NULL;
    atomic_init(&b->used, 0);
    atomic_init(&b->refused, 0);
}

void budget_part_init(struct budget *b, uint64_t max, struct budget *whole)
{
    budget_init(b, max);
    b->whole = whole;
}

static bool refuse(struct budget *b)
{
    if (b->whole)
        b = b->whole;
    atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
    return false;
}

static void give(struct budget *b, uint64_t n)
{
    CHECK(atomic_fetch_sub_explicit(&b->used, n, memory_order_relaxed) >= n);
}

static bool take_here(struct budget *b, uint64_t n)
{
    uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

    do {
        if (n > b->max || used > b->max - n)
            return refuse(b);
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool budget_take(struct budget *b, uint64_t n)
{
    if (!b || !n)
        return true;
    if (!take_here(b, n))
        return false;
    if (!b->whole || take_here(b->whole, n))
        return true;
    give(b, n);
    return false;
}

void budget_give(struct budget *b, uint64_t n)
{
    if (!b || !n)
        return;
    give(b, n);
    if (b->whole)
        give(b->whole, n);
}

void budget_pass(struct budget *part, uint64_t n)
{
    if (part && part->whole && n)
        give(part, n);
}

uint64_t budget_left(const struct budget *b)
{
    return b ? b->max - atomic_load_explicit(&b->used, memory_order_relaxed) : UINT64_MAX;
}

bool budget_room(struct budget *b)
{
    return !b || atomic_load_explicit(&b->used, memory_order_relaxed) <= b->max - b->max / 4 ||
           refuse(b);
}
