/* Private to fetch*.c. */
#pragma once

#include "fetch/fetch.h"

/* cache.c. Path of the entry, or false: no cache, or no room. */
bool cache_path(const struct fetch_options *o, const struct collateral_need *need, char *out,
                size_t size);
/* The folder, and the one above it. False: errno. */
bool cache_make(const char *folder);
/* NULL: nothing good is there. old: also what should be fetched anew by now, but is not out of date. */
struct collateral *cache_load(const char *path, int64_t now_s, bool old);
void cache_store(const char *path, struct view json);

enum { FETCH_REQUESTS = 5 }; /* at most, for one entry */

/* One asks for an entry at a time, in this process and in others: waits for whoever does. The folder is made. -1: without
 * a turn, which is no reason not to ask, and fine for all below. */
int cache_turn(const struct fetch_options *o, const char *path);
void cache_turn_end(int turn);
/* What went wrong, for those who come soon; NULL: nothing. */
void cache_turn_tell(int turn, const char *failure);
/* Somebody was told so a moment ago. */
bool cache_failed(int turn, int64_t now_s, char *why, size_t size, int64_t *ago_s);
