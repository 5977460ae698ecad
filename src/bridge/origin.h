/* origin: which web pages may connect, and under which names we are reached. Exact matches only: a
 * suffix match would let evil-example.com in. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct origin_set; /* of the Origin header (RFC 6454) */
struct host_set;   /* of the Host header */

/* Comma-separated: "https://app.example.com", "http://localhost:3000", "same-host", "null". */
MUST_USE bool origin_set_parse(struct view text, struct origin_set **out, struct err *err);
void origin_set_free(struct origin_set *s);
/* host: the request's Host, for same-host. Scheme and host compare without case; a default port is
 * the same as none. */
bool origin_set_has(const struct origin_set *s, struct view origin, struct view host);

/* Comma-separated names with or without a port; without one, any port matches. */
MUST_USE bool host_set_parse(struct view text, struct host_set **out, struct err *err);
void host_set_free(struct host_set *s);
bool host_set_has(const struct host_set *s, struct view host);
