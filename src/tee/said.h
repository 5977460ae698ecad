/* said: what came of the provider's event log: the digests that newer guests leave out are filled in, and it is replayed, for
 * what does not replay every client refuses. Quotes come with the same log until something is measured: then it and a register
 * change, and what was worked out of it is worth keeping until then. */
#pragma once

#include "attest/event_log.h"
#include "attest/quote.h"
#include "base/buf.h"

struct said {
    struct buf event_log; /* as the provider gave it */
    uint8_t rtmr[RTMR_COUNT][MEASUREMENT_BYTES];
    struct buf log;      /* with digests, as a text in JSON; empty: nothing came yet */
    struct buf tcb_info; /* JSON, the caller's to fill; empty: it was not told */
};

void said_init(struct said *s);
void said_done(struct said *s);
/* This quote comes with this log: the one that was learnt. */
bool said_known(const struct said *s, const struct quote *q, struct view event_log);
void said_forget(struct said *s);
/* False: it does not replay to the registers of the quote, or is no log; all is forgotten. */
MUST_USE bool said_learn(struct said *s, const struct quote *q, struct view event_log,
                         struct err *err);
