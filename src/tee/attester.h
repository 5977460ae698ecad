/* attester: makes answers to /tdx_quote, one after the other, on a thread of its own, for providers block for seconds: a quote, what
 * came of its event log (said.h), and collateral that is kept fresh (staple.h), as JSON (answer.h).
 *
 * A job belongs to who asked until it is handed in, then to the attester, and is given back on the asker's loop. */
#pragma once

#include "base/log.h"
#include "net/loop.h"
#include "quote/provider.h"

struct attester;

struct attester_options {
    struct provider *provider; /* taken */
    const char *pccs_url;      /* NULL: nothing is stapled */
    const char *cache;         /* folder, or NULL */
    unsigned waiting_max;
    struct log *log; /* for its thread alone; lent */
};

struct attester_job {
    struct post post; /* first */
    struct attester_job *next;
    struct loop *loop; /* where done is called */
    uint8_t report_data[REPORT_DATA_BYTES];
    struct buf answer; /* JSON; empty: it failed */
    bool good;
    void (*done)(struct attester_job *job, void *context);
    void *context; /* NULL: nobody waits any more */
};

MUST_USE bool attester_new(const struct attester_options *options, struct attester **out,
                           struct err *err);
/* Asks the provider for a first quote, so that one that does not work is found at the start, fetches a first collateral, and starts
 * the thread. When the process is confined. */
MUST_USE bool attester_start(struct attester *a, struct err *err);
void attester_free(
    struct attester *a); /* ends the thread; jobs under way are given back. NULL is fine */
/* False: too many wait. */
MUST_USE bool attester_ask(struct attester *a, struct attester_job *job);
/* Measures a certificate, once for each. Blocks; any thread. */
MUST_USE bool attester_certificate(struct attester *a, const uint8_t sha256[static 32],
                                   struct err *err);

struct attester_stats {
    uint64_t quotes, failures, refused, events;
    uint64_t waiting, last_us;
};
struct attester_stats attester_stats(struct attester *a); /* any thread */
