#include "base/budget.h"

#include <stddef.h>

#include "base/check.h"

#include "base/poison.h"

void budget_init(struct budget *b, uint64_t max)
{
    b->max = max;
    atomic_init(&b->used, 0);
    atomic_init(&b->refused, 0);
}

static bool refuse(struct budget *b)
{
    atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
    return false;
}

bool budget_take(struct budget *b, uint64_t n)
{
    uint64_t used;

    if (!b || !n)
        return true;
    used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (n > b->max || used > b->max - n)
            return refuse(b);
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void budget_give(struct budget *b, uint64_t n)
{
    if (b && n)
        CHECK(atomic_fetch_sub_explicit(&b->used, n, memory_order_relaxed) >= n);
}

bool budget_room(struct budget *b)
{
    return !b || atomic_load_explicit(&b->used, memory_order_relaxed) <= b->max - b->max / 4 ||
           refuse(b);
}
