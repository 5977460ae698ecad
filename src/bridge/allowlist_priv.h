/* Private to allowlist*.c. */
#pragma once

#include "bridge/allowlist.h"

struct allowlist {
    struct allow_entry **entries;
    size_t count, room;
    struct allow_entry **raw, **canonical; /* open addressing, table_size a power of two */
    size_t table_size;
    uint64_t seed;
    bool patterns;   /* some entry is one */
    bool cidr_names;
};

MUST_USE bool allowlist_index(struct allowlist *list, struct err *err);
void allow_entry_free(struct allow_entry *e);
CLEANUP_DEFINE(struct allow_entry, allow_entry_free)
/* One entry from its text. */
MUST_USE bool allow_entry_parse(struct view text, bool patterns, struct allow_entry **out, struct err *err);
