/* budget: how much of something all threads together may hold at once: bytes, processes. Each request is bounded by itself; a budget
 * bounds their sum. Nobody waits for it: who gets nothing says so (ERR_BUSY) and may be asked again later.
 *
 *   budget_take ─► held ─► budget_give          by whoever holds it, or by a buf (buf_count)
 *   budget_room ─► may something new begin? Its last quarter is for what has begun already.
 *
 * A part of a budget is the share of somebody who is not to have all of it: what is taken there is taken of the whole, too. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

/* NULL stands for one without bound. */
struct budget {
    uint64_t max; /* not 0; as it was before threads were made */
    _Atomic uint64_t used;
    _Atomic uint64_t refused; /* how often, of both kinds; of a part: counted by the whole */
    struct budget *whole;     /* NULL: it is no part */
};
void budget_init(struct budget *b, uint64_t max);
void budget_part_init(struct budget *b, uint64_t max, struct budget *whole); /* whole: no part */
/* False: that would be more than there is; nothing was taken. */
MUST_USE bool budget_take(struct budget *b, uint64_t n);
void budget_give(struct budget *b, uint64_t n); /* of what was taken */
/* These bytes stay taken of the whole, and count no more as the part's. Of a whole: nothing. */
void budget_pass(struct budget *part, uint64_t n);
uint64_t budget_left(const struct budget *b); /* just now; counts as nothing */
/* False counts as refused. */
MUST_USE bool budget_room(struct budget *b);
