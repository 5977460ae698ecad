/* dial: a name or literal to a connected TCP socket: happy eyeballs (RFC 8305) over judged addresses.
 *
 * Every address is judged immediately before connect(), and the address judged is the one connected
 * to: no name is looked at twice. Families are interleaved, the next attempt starts 250 ms after the
 * last or at once when it failed; A waits 50 ms for AAAA; at most DIAL_ATTEMPTS_MAX attempts; the first
 * socket that connects wins and the others are closed before any byte was sent. The family that won is
 * tried first for ten minutes.
 *
 * judge may be called from inside dial_start. When attempts fail differently, the most telling is
 * reported: no resources, denied, refused, no ports, unreachable, timed out. With fast_open, DIAL_OK may
 * come before the target has answered: the SYN then leaves with the first bytes, and a refusal shows
 * at the first read.
 *
 * Read in order   dial.c (life of a dial) dial_try.c (attempts) dial_prefer.c */
#pragma once

#include "base/metrics.h"
#include "net/resolve.h"

enum { DIAL_ATTEMPTS_MAX = 6, DIAL_STAGGER_MS = 250, DIAL_AAAA_WAIT_MS = 50 };

enum dial_outcome {
    DIAL_OK,
    DIAL_NAME,         /* dns-failure */
    DIAL_DENIED,       /* address-denied: every address was refused by the judge */
    DIAL_REFUSED,      /* connect-refused */
    DIAL_RESET,        /* target-reset: it accepted and reset at once */
    DIAL_TIMEOUT,      /* connect-timeout */
    DIAL_UNREACHABLE,  /* network-unreachable */
    DIAL_NO_PORTS,     /* EADDRNOTAVAIL on every source address */
    DIAL_NO_RESOURCES, /* descriptors or memory */
};
const char *dial_outcome_name(enum dial_outcome o); /* the stable tokens above */

struct dial_result {
    enum dial_outcome outcome;
    int fd;       /* DIAL_OK: the receiver owns it; non-blocking */
    bool watched; /* the loop watches fd, for an io that is gone: loop_take_over it, or close it */
    struct addr address; /* DIAL_OK: connected to; else the last one tried, or AF_UNSPEC */
    uint64_t resolve_us, connect_us;
    struct err err; /* the sentence for the log */
};

/* May we connect to a? name: what it was resolved from; literal: it was an IP literal. */
typedef bool dial_judge(void *context, struct view name, bool literal, const struct addr *a);
typedef void dial_done(void *context, const struct dial_result *result);

struct dialer;
struct dial;

struct dial_options {
    uint64_t timeout_ms;        /* resolving and connecting together; 0: the kernel's patience */
    bool fast_open;             /* TCP_FASTOPEN_CONNECT */
    const struct addr *sources; /* local addresses, round robin; copied */
    size_t source_count;
};

MUST_USE bool dialer_new(struct loop *loop, struct resolver *resolver,
                         const struct dial_options *options, struct dialer **out, struct err *err);
void dialer_free(struct dialer *d);

/* host: a name, IPv4, or IPv6 with or without brackets; fixed/fixed_count: connect to these instead
 * of resolving (pinned entries; still judged as literals; port counts, theirs do not), else NULL. done is called exactly once
 * unless cancelled, never from inside this call. NULL: out of memory. */
struct dial *dial_start(struct dialer *d, struct view host, uint16_t port, const struct addr *fixed,
                        size_t fixed_count, dial_judge *judge, void *judge_context, dial_done *done,
                        void *context);
void dial_cancel(struct dial *dial);

struct dial_stats {
    metric started, connected, no_ports;
    struct histogram resolve_us, connect_us;
};
const struct dial_stats *dialer_stats(const struct dialer *d);
