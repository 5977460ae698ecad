/* guests: how many tunnels an address has, and how fast it asks for new ones; one table a process.
 *
 * Fixed size, one mutex, taken once when a connection is accepted or ends: never on the data path.
 * IPv6 clients count by /64. An address without open tunnels gives its place to a newcomer, the one
 * unseen for longest in its bucket first. When a bucket is full of addresses with open tunnels a
 * newcomer is not counted (it is admitted: the global limit still holds). */
#pragma once

#include "net/addr.h"

struct guests;

struct guests_limits {
    uint32_t tunnels_max;      /* at once from one address; 0: no limit */
    uint32_t rate, rate_burst; /* tokens a second, and at most; rate 0: no limit */
};

enum guests_answer { GUEST_WELCOME, GUEST_TOO_MANY, GUEST_TOO_FAST };

MUST_USE bool guests_new(const struct guests_limits *limits, struct guests **out, struct err *err);
void guests_free(struct guests *g);
/* Asks for a place. GUEST_WELCOME must be given back with guests_leave. Any thread. */
enum guests_answer guests_enter(struct guests *g, const struct addr *client, uint64_t now_ms);
void guests_leave(struct guests *g, const struct addr *client);
