/* listen: listening sockets from their textual form.
 *
 *   host:port   [v6]:port   :port (all addresses, dual stack)   unix:/run/x.sock[;mode=0660]
 *   unix:@abstract   fd:N   systemd (all LISTEN_FDS)   systemd:NAME (those with that LISTEN_FDNAMES)
 *
 * A name is resolved once, and every address of it is bound. Port 0 takes a free port. A Unix socket
 * file left behind by a dead process is removed only when nobody answers on it. */
#pragma once

#include "base/err.h"
#include "net/addr.h"

enum { LISTENERS_MAX = 64, LISTENER_NAME_BYTES = 128 };

struct listener {
    int fd;             /* non-blocking, close-on-exec, listening */
    struct addr addr;   /* as bound, port filled in; AF_UNIX for Unix sockets */
    bool inherited;     /* from fd: or systemd: cannot be opened once more per worker */
    char name[LISTENER_NAME_BYTES]; /* "127.0.0.1:9000", "unix:/run/x.sock" */
};

struct listen_options {
    int backlog;
    bool reuse_port;      /* several sockets on one address, one a worker */
    unsigned defer_accept_s; /* TCP_DEFER_ACCEPT; 0: off */
    unsigned fast_open;   /* TCP_FASTOPEN queue; 0: off */
};

/* Opens everything that spec (one element, or several separated by commas) names; appends to
 * list[*count], room for LISTENERS_MAX. On failure what this call opened is closed again. */
MUST_USE bool listen_open(struct view spec, const struct listen_options *options,
                          struct listener *list, size_t *count, struct err *err);
/* One more socket on the same address (reuse_port), for the next worker. */
MUST_USE bool listen_clone(const struct listener *from, const struct listen_options *options,
                           struct listener *out, struct err *err);
/* Syntax only; opens and resolves nothing. */
MUST_USE bool listen_check(struct view spec, struct err *err);
void listen_close(struct listener *l); /* closes; removes the file of a Unix socket of ours */
