/* process: how a daemon lives among others: systemd's protocol, signals, descriptors, users, CPUs. */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/view.h"
#include "net/loop.h"

/* notify.c: sd_notify(3)'s datagram, without libsystemd. No-ops when NOTIFY_SOCKET is not set. */
void notify_ready(const char *status);
void notify_reloading(void); /* with MONOTONIC_USEC */
void notify_stopping(const char *status);
void notify_status(const char *status);
void notify_watchdog(void);
/* WATCHDOG_USEC / 2 in ms when this process is meant to send WATCHDOG=1; 0: not. */
uint64_t notify_watchdog_ms(void);
/* Opens the socket; call before the sandbox closes. */
void notify_open(void);

/* signals.c: signals as events of one loop (signalfd). Blocks them in the calling thread; threads made
 * afterwards inherit the mask. SIGPIPE is ignored process-wide. */
typedef void signal_seen(void *context, int signo);
MUST_USE bool signals_watch(struct loop *loop, const int *signos, size_t count, signal_seen *seen,
                            void *context, struct err *err);
void signals_unwatch(struct loop *loop); /* the signals stay blocked; may be called from seen */

/* rights.c */
/* Raises the soft RLIMIT_NOFILE to the hard one. Returns the limit in force. */
uint64_t descriptors_raise(void);
/* CPUs we may use: the affinity mask, bounded by the cgroup's cpu.max (rounded up), at least 1. */
unsigned cpus_usable(void);
/* The bound in the text of a cpu.max file ("150000 100000" is 2), or 0 when it sets none. */
unsigned cpus_quota(struct view text);
/* Bytes we may use: what the kernel calls available, bounded by the cgroup's memory.max; 0: nobody knows. */
uint64_t memory_usable(void);
/* Pins the calling thread to the index-th CPU of the affinity mask. */
MUST_USE bool cpu_pin(unsigned index, struct err *err);
struct user {
    uid_t uid;
    gid_t gid;
};
/* "name", "name:group", "1000:1000", "1000" (group: the user's own, else the same number). Blocking. */
MUST_USE bool user_find(const char *text, struct user *out, struct err *err);
/* Leaves root for good: setgroups, setgid, setuid, empties the capability sets, checks. Root is refused
 * as a user. Before threads are made. */
MUST_USE bool user_become(const struct user *user, struct err *err);
/* Empties the capability sets of the calling thread, the bounding set as far as it may. For a service
 * that was given a capability to bind a low port and needs it no more. */
MUST_USE bool capabilities_drop(struct err *err);
/* The same, but those of the set (bit n: capability n) that it has stay. */
MUST_USE bool capabilities_keep(uint64_t set, struct err *err);
