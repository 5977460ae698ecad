/* listen: listening sockets from their textual form.
 *
 *   host:port   [v6]:port   :port (all addresses, dual stack)   unix:/run/x.sock[;mode=0660]
 *   unix:@abstract   fd:N   systemd (all LISTEN_FDS)   systemd:NAME (those with that LISTEN_FDNAMES)
 *
 * A name is resolved once (blocking: start-up only), and every address of it is bound. [::]:port is
 * dual stack where the system's bindv6only says so. Port 0 takes a free port. A Unix socket file left
 * behind by a dead process is removed only when nobody answers on it.
 *
 * Read in order   listen_spec.c (the text) listen.c (the sockets) */
#pragma once

#include "base/err.h"
#include "net/addr.h"

enum { LISTENERS_MAX = 64, LISTENER_NAME_BYTES = 128 };

struct listener {
    int fd;           /* non-blocking, close-on-exec, listening */
    struct addr addr; /* as bound, port filled in; AF_UNIX for Unix sockets */
    bool inherited;   /* from fd: or systemd: cannot be opened once more per worker */
    bool shared;      /* reuse_port found another program's socket on this address: warn */
    char name[LISTENER_NAME_BYTES]; /* "127.0.0.1:9000", "unix:/run/x.sock" */
};

struct listen_options {
    int backlog;
    bool reuse_port;         /* several sockets on one address, one a worker */
    unsigned defer_accept_s; /* TCP_DEFER_ACCEPT; 0: off */
    unsigned fast_open;      /* TCP_FASTOPEN queue; 0: off */
};

/* Opens everything that spec (one element, or several separated by commas) names; appends to
 * list[*count], room for LISTENERS_MAX. On failure what this call opened is closed again. */
MUST_USE bool listen_open(struct view spec, const struct listen_options *options,
                          struct listener *list, size_t *count, struct err *err);
/* One more socket on the same address (reuse_port), for the next worker. Not for Unix and inherited
 * sockets. */
MUST_USE bool listen_clone(const struct listener *from, const struct listen_options *options,
                           struct listener *out, struct err *err);
/* The same for any: a socket of its own where the address can be bound again, else a duplicate of the shared one. */
MUST_USE bool listen_again(const struct listener *from, const struct listen_options *options,
                           struct listener *out, struct err *err);
/* Syntax only; opens and resolves nothing. */
MUST_USE bool listen_check(struct view spec, struct err *err);
void listen_close(struct listener *l); /* closes; removes the file of a Unix socket of ours */
/* When everything is open: takes systemd's variables out of the environment, so that no child
 * believes that they were meant for it. Not while other threads run. */
void listen_systemd_done(void);
