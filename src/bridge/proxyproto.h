/* proxyproto: the PROXY protocol header, versions 1 and 2 (HAProxy's specification), both ways. */
#pragma once

#include "base/limits.h"
#include "net/addr.h"

enum proxy_result {
    PROXY_MORE,   /* what is there may be the beginning of a header */
    PROXY_NONE,   /* it is not one */
    PROXY_DONE,
    PROXY_FAILED, /* it begins like one and goes wrong */
};

struct proxy_header {
    struct addr source, destination; /* of the connection that was proxied */
    bool local;  /* LOCAL, UNKNOWN, AF_UNSPEC or AF_UNIX: keep the socket's own addresses */
    size_t bytes; /* of the header */
};

/* bytes: everything received so far. At most PROXY_V1_BYTES_MAX / PROXY_V2_BYTES_MAX are looked at. */
MUST_USE enum proxy_result proxy_header_parse(struct view bytes, struct proxy_header *out,
                                              struct err *err);

/* Write a header; return its length, 0 when it does not fit. Addresses of unlike families are written as
 * UNKNOWN (v1) or AF_UNSPEC (v2). */
size_t proxy_v1_write(const struct addr *source, const struct addr *destination, uint8_t *out,
                      size_t room);
/* id: PP2_TYPE_UNIQUE_ID; authority: PP2_TYPE_AUTHORITY; empty: left out. */
size_t proxy_v2_write(const struct addr *source, const struct addr *destination, struct view id,
                      struct view authority, uint8_t *out, size_t room);
