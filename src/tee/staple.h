/* staple: Intel's statements about this platform, kept fresh to be sent along with quotes. It blocks while it fetches; it belongs to
 * one thread. */
#pragma once

#include "attest/dcap.h"
#include "base/buf.h"
#include "base/log.h"

struct staple {
    const char *url;   /* lent; NULL: nothing is stapled */
    const char *cache; /* folder, lent; NULL: none */
    struct log *log;   /* lent */
    struct collateral_need need;
    bool has_need;
    struct buf json; /* empty: none came yet */
    int64_t due_s;   /* when it is to be fetched again */
};

void staple_init(struct staple *s, const char *url, const char *cache, struct log *log);
void staple_done(struct staple *s);
/* Which statements belong to this platform: asked of its first quote. */
void staple_learn(struct staple *s, const struct quote *q);
/* It knows what to fetch, and it is time to. */
bool staple_due(const struct staple *s, int64_t now_s);
/* When that will be, but not later than latest_s. */
int64_t staple_next(const struct staple *s, int64_t latest_s);
/* On failure what was there stays, and it is tried again soon. */
void staple_refresh(struct staple *s);
