/* guard: which paths are for bearers of the token. Two programs read a path, and must not read it in two ways: ours would let
 * pass what the application then serves. So a path is guarded if any reading of it that an application may have comes by a
 * guarded one: percent-encoding, "//", ".", "..", backslashes, parameters behind ';'. */
#pragma once

#include "base/err.h"
#include "base/view.h"

/* Every path of the list, or NULL, begins with a slash. */
MUST_USE bool guard_check(const char *list, struct err *err);
/* list: "/metrics,/admin": each and all below it. NULL: everything. */
bool guard_covers(const char *list, struct view path);
