/* words: arguments of a call as words of a command line. Pure.
 *
 * {"_positional": […]}: those. Else for each key, in the order of their bytes, "--key" and its value, but for true; texts as they are,
 * all else as compact JSON. */
#pragma once

#include "base/json.h"

struct words {
    struct view *list;
    size_t count;
    struct buf text; /* what list lends from */
};
MUST_USE bool words_from(struct view arguments, struct words *out, struct err *err);
void words_done(struct words *w);
