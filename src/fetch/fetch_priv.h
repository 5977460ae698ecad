/* Private to fetch*.c. */
#pragma once

#include "fetch/fetch.h"

/* cache.c. Path of the entry, or false: no cache, or no room. */
bool cache_path(const struct fetch_options *o, const struct collateral_need *need, char *out,
                size_t size);
/* NULL: nothing good is there. */
struct collateral *cache_load(const char *path, int64_t now_s);
void cache_store(const char *folder, const char *path, struct view json);
