/* origin: which pages may open a tunnel (Origin), and under which names we may be called (Host).
 *
 * A WebSocket is not bound by the same-origin policy: any page may open one to a bridge that its
 * visitor can reach, so a list of origins is the only thing between a hostile page and the targets.
 * Comparison is exact, scheme + host + port; nothing matches by its end ("evil-example.com"). */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum { ORIGINS_MAX = 1024 };

struct origin_set;

/* "https://app.example.com, http://localhost:3000, null, same-host". Scheme and host without case;
 * the port is that of the scheme when it is left out. what: names the setting in errors. */
MUST_USE bool origin_set_parse(struct view list, const char *what, struct origin_set **out,
                               struct err *err);
void origin_set_free(struct origin_set *s); /* NULL is fine */
CLEANUP_DEFINE(struct origin_set, origin_set_free)
/* origin: the header's value. host: that of the Host field, for "same-host". A Host without a port
 * has the port that is usual for the origin's scheme. */
bool origin_set_has(const struct origin_set *s, struct view origin, struct view host);

struct host_set;

/* "bridge.example.com, localhost:9000": with a port, only with that port; without one, with any. */
MUST_USE bool host_set_parse(struct view list, const char *what, struct host_set **out,
                             struct err *err);
void host_set_free(struct host_set *s); /* NULL is fine */
CLEANUP_DEFINE(struct host_set, host_set_free)
/* host: the value of the Host field. */
bool host_set_has(const struct host_set *s, struct view host);
