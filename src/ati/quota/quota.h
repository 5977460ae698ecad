/* quota: how often a caller has called, by the patterns of its token's rates: sliding windows.
 *
 * A window is kept for each (subject, pattern) in memory, for all loops of the process; every pattern that matches "tool:{name}" is
 * checked first, and only when all allow it is the call recorded in all: before it is carried out. With a file
 * (rate-state.json: the command line, whose processes are short) the counts outlive the process: its folder is locked while it is
 * read and written. One that cannot be understood is begun anew; one that cannot be written allows nothing.
 *
 * Time     in seconds; a call counts until window_s seconds have passed since its own. A clock that is set back forgets nothing.
 * Memory   at most QUOTA_WINDOWS_MAX windows; what was used the longest ago goes first. At most QUOTA_MARKS_MAX different seconds in
 *          each: beyond that two neighbours become one, and count until the later one is over.
 * Format   {"calls": {"{pattern} {subject}": [seconds, …]}}
 *
 * Read in order   quota.c window.c file.c */
#pragma once

#include "ati/caller/caller.h"

enum { QUOTA_WINDOWS_MAX = 100000, QUOTA_MARKS_MAX = 1024 };

struct quota;
/* file: NULL for memory alone. */
MUST_USE bool quota_new(const char *file, struct quota **out, struct err *err);
void quota_free(struct quota *q); /* NULL is fine */
/* Any thread. tool: its resolved name. False: ERR_LIMIT, "Rate limit exceeded for '{pattern}': {count}/{window} (limit: {limit}/{window})", and
 * *retry_after_s, at least 1. */
MUST_USE bool quota_take(struct quota *q, const struct caller *caller, const char *tool,
                         int64_t now_s, uint64_t *retry_after_s, struct err *err);
