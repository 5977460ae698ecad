/* client_addr: who the client is when proxies stand in front: X-Forwarded-For and Forwarded (RFC 7239),
 * believed only from trusted proxies, read from the right. */
#pragma once

#include "http/http.h"
#include "net/addr.h"

/* peer: the socket's other end, or what a PROXY header said. When it is not among the trusted, it is the
 * client. Otherwise the header's elements are walked from the right, past trusted addresses; the first
 * that is not trusted is the client; an element that cannot be read stops the walk at the last good one.
 * With both headers present Forwarded is read. */
struct addr client_addr(const struct http_head *head, const struct addr *peer, bool peer_trusted,
                        const struct cidr *trusted, size_t trusted_count);
