/* process: how a daemon lives among others: systemd's protocol, signals, descriptors, users, CPUs. */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include "base/err.h"
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

/* rights.c */
/* Raises the soft RLIMIT_NOFILE to the hard one. Returns the limit in force. */
uint64_t descriptors_raise(void);
/* CPUs we may use: the affinity mask, bounded by the cgroup's cpu.max (rounded up), at least 1. */
unsigned cpus_usable(void);
/* Pins the calling thread to the index-th CPU of the affinity mask. */
MUST_USE bool cpu_pin(unsigned index, struct err *err);
struct user {
    uid_t uid;
    gid_t gid;
};
/* "name", "name:group", "1000:1000". */
MUST_USE bool user_find(const char *text, struct user *out, struct err *err);
/* Leaves root for good: setgroups, setgid, setuid, empties the capability sets, checks. */
MUST_USE bool user_become(const struct user *user, struct err *err);
