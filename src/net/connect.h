/* connect: a blocking TCP connection, for threads that have no loop. dial does more, on a loop and with c-ares; libatls lives in
 * other people's programs, whose names the system's resolver knows and which need neither. */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* host: a name or an IP literal, without brackets. *fd: connected, non-blocking, without delay (TCP_NODELAY); the caller's.
 * timeout_ms: of all addresses together, each with its share; 0: the kernel's patience. ERR_NAME, ERR_REFUSED, ERR_TIMEOUT and
 * ERR_IO say why not. */
MUST_USE bool connect_tcp(const char *host, uint16_t port, uint64_t timeout_ms, int *fd,
                          struct err *err);
