/* flight: secrets that cost a request or a process, and are good for a while: tokens of OAuth2, outputs of generators. For each key
 * one asker fetches, on whichever loop it lives; the others wait and are told the outcome on theirs. A fetcher that gives up hands
 * over to a waiter. Failures are told to who waits and are not kept.
 *
 *   flight_ask ─► FLIGHT_VALUE   flight_value lends it
 *              ─► FLIGHT_FETCH   the asker fetches: flight_land or flight_fail
 *              ─► FLIGHT_WAIT    told is called later, with FLIGHT_VALUE, FLIGHT_FETCH or FLIGHT_FAILED
 *   flight_end, always, and at any time
 *
 * Memory   at most FLIGHTS_MAX values; beyond, the one that was asked for longest ago goes. Wiped before they are given back.
 * Threads  a lock, held for a look into a table. */
#pragma once

#include "net/loop.h"

enum { FLIGHTS_MAX = 16384, FLIGHT_KEY_BYTES = 32 };

struct flights;
MUST_USE bool flights_new(struct flights **out, struct err *err);
/* When no loop of its askers runs any more. NULL is fine. */
void flights_free(struct flights *all);

enum flight_news { FLIGHT_VALUE, FLIGHT_FETCH, FLIGHT_WAIT, FLIGHT_FAILED };
/* text: of FLIGHT_FAILED; lent for the call. May call flight_end. */
typedef void flight_told(void *context, enum flight_news news, struct view text);

/* SHA-256 of all that a value depends on, in which no two lists of parts read the same as long as none holds a NUL. What is put together is
 * wiped: parts may be secrets. */
MUST_USE bool flight_key(const struct view *parts, size_t count,
                         uint8_t out[static FLIGHT_KEY_BYTES], struct err *err);

struct flight;
/* key: by flight_key. now_ms: of the loop, monotonic. */
MUST_USE bool flight_ask(struct flights *all, struct loop *loop,
                         const uint8_t key[static FLIGHT_KEY_BYTES], flight_told *told,
                         void *context, struct flight **out, enum flight_news *news,
                         struct err *err);
struct view flight_value(const struct flight *f); /* lent until flight_end */
/* The asker that fetches has it: copied. keep_ms: for later askers; 0: only for those who wait. It may then be asked for by
 * flight_value, too. False: no memory; who waits is told. */
MUST_USE bool flight_land(struct flight *f, struct view value, uint64_t keep_ms, struct err *err);
void flight_fail(struct flight *f, struct view text); /* of an asker that does not fetch: nothing */
void flight_end(struct flight *f); /* NULL is fine; told is not called any more */
