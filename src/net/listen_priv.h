/* One element of a listener list, taken apart. */
#pragma once

#include <sys/types.h>

#include "net/listen.h"

struct listen_spec {
    enum { LISTEN_TCP, LISTEN_UNIX, LISTEN_FD, LISTEN_SYSTEMD } kind;
    struct view host; /* TCP: without brackets; empty: all addresses. Unix: path or @name.
                         systemd: name, .at NULL for all. Lends the text */
    struct addr addr; /* TCP: the literal, or AF_UNSPEC when host is a name or empty */
    uint16_t port;
    int fd;
    mode_t mode;
    bool has_mode;
};

MUST_USE bool listen_spec_parse(struct view element, struct listen_spec *out, struct err *err);
