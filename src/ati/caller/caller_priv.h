/* Private to src/ati/caller. */
#pragma once

#include "ati/caller/caller.h"

enum { SCOPE_BYTES_MAX = 1024 };

/* scope.c. The next word of *rest; false: there is none. */
bool scope_next(struct view *rest, struct view *word);
/* "tool:a:b:c" to "tool:a_b:c". False: it has no older spelling, or one that is too long to be granted. */
bool scope_alias(const char *name, char out[static SCOPE_BYTES_MAX]);
