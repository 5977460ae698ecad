/* client_addr: who the client is, when it comes through proxies that we trust.
 *
 *   peer is no trusted proxy     the peer; headers are ignored: anybody can write them
 *   X-Forwarded-For, Forwarded   walked from the right, over trusted proxies, to the first address
 *                                that is none; an element that cannot be read stops the walk
 *
 * A proxy writes one of the two fields and may pass the other through as the client wrote it. So
 * when both lead somewhere and not to the same address, one of them is forged, and the request is
 * refused. X-Real-IP is not read: it is no list, so nobody can tell who wrote it. */
#pragma once

#include "http/http.h"
#include "net/addr.h"

/* peer: the socket's other end, or what its PROXY header said. trusted: CIDRs of the proxies. *out
 * is always written: the peer when nothing better is known, port 0 where a field names none. False:
 * the fields contradict each other. */
MUST_USE bool client_addr_find(const struct http_head *h, const struct addr *peer,
                               bool peer_trusted, const struct cidr *trusted, size_t trusted_count,
                               struct addr *out, struct err *err);
