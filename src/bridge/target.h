/* target: "host:port" as a value: its canonical spelling, and what kind of thing the host is.
 *
 * The grammar is strict, so that nothing is resolved that is not plainly a name: letters, digits,
 * '-' and
 * '_' in labels of at most 63 bytes; dotted-quad IPv4 and bracketed IPv6 literals only. What a
 * resolver might read as a number (2130706433, 0x7f.1, 127.1) is neither and is refused.
 *
 * Canonical: lower case, one trailing dot of a name removed, the port without leading zeros, IPv6
 * as RFC 5952 writes it. Two spellings of one canonical form are the same endpoint. */
#pragma once

#include "base/limits.h"
#include "net/addr.h"

enum target_kind { TARGET_NAME, TARGET_LOCALHOST, TARGET_IP, TARGET_UNIX };

struct target {
    enum target_kind kind;
    uint16_t port;                   /* 0 for a Unix socket */
    struct addr addr;                /* TARGET_IP: with the port */
    char host[HOST_BYTES_MAX + 1];   /* canonical, no brackets; TARGET_UNIX: the path */
    char text[TARGET_BYTES_MAX + 1]; /* canonical "host:port", or "unix:/path" */
};

/* "host:port", "1.2.3.4:443", "[::1]:8443", "unix:/run/app.sock". The error says what is wrong with
 * it, without repeating it. */
MUST_USE bool target_parse(struct view text, struct target *out, struct err *err);
/* Only the host part: its kind, for a literal its address (port 0), and the canonical spelling
 * without brackets. */
MUST_USE bool target_host(struct view host, enum target_kind *kind, struct addr *addr,
                          char out[static HOST_BYTES_MAX + 1], struct err *err);
/* Gives a target whose kind, addr and host are set its port, and writes its text. */
void target_set_port(struct target *t, uint16_t port);
