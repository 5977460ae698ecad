/* proxyproto: the PROXY protocol, versions 1 (a line of text) and 2 (binary), both ways: the header
 * that a proxy puts before the bytes of a connection to say whose connection it is.
 *
 *   v1   "PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n"           at most PROXY_V1_BYTES_MAX
 *   v2   12 bytes of signature, version and command, family, length,  at most PROXY_V2_BYTES_MAX
 *        addresses, then TLVs (skipped)
 *
 * Only what a trusted proxy sent may be believed: that is the caller's to know. */
#pragma once

#include "base/limits.h"
#include "net/addr.h"

struct proxy_header {
    struct addr source, destination; /* AF_UNSPEC when local */
    bool local;   /* no internet addresses: the proxy's own connection (a health check), UNKNOWN,
                   * AF_UNSPEC, AF_UNIX: the peer's address stands */
    size_t bytes; /* length of the header: the stream begins behind it */
};

enum proxy_result {
    PROXY_MORE,   /* may become a header; call again with the same bytes and more behind them */
    PROXY_NONE,   /* the stream does not begin with a PROXY header */
    PROXY_DONE,   /* *out is written */
    PROXY_FAILED, /* it begins with one that is malformed or too long */
};
/* bytes: everything received so far, from the first byte. Any split gives the same result. */
MUST_USE enum proxy_result proxy_header_parse(struct view bytes, struct proxy_header *out,
                                              struct err *err);

/* Write a header into out and return its length; 0 when it does not fit. IPv4 and IPv6 may be
 * mixed: the IPv4 one is written IPv4-mapped. Any other address makes it UNKNOWN (v1) or LOCAL
 * (v2). */
size_t proxy_v1_write(const struct addr *source, const struct addr *destination, uint8_t *out,
                      size_t room);
/* unique_id (at most 128 bytes) and authority (at most 260): TLVs; left out when empty. */
size_t proxy_v2_write(const struct addr *source, const struct addr *destination,
                      struct view unique_id, struct view authority, uint8_t *out, size_t room);
