/* Private to allowlist*.c. */
#pragma once

#include "bridge/allowlist.h"

/* Exact entries by a text: open addressing, size a power of two, never more than half full. */
struct allow_table {
    struct allow_entry **slots;
    size_t size, used;
};

struct allowlist {
    struct allow_entry **entries;
    size_t count, room;
    struct allow_table raw, canonical; /* by what was written, and by what it means */
    struct allow_entry **patterns;     /* those that are no exact entries, in order; lent */
    size_t pattern_count, pattern_room;
    uint64_t seed;
    bool cidr_names;
};

/* allowlist.c. Keeps *e, and leaves NULL there; or frees it when it repeats an entry. */
MUST_USE bool allowlist_keep(struct allowlist *list, struct allow_entry **e, struct err *err);
void allow_entry_free(struct allow_entry *e);
CLEANUP_DEFINE(struct allow_entry, allow_entry_free)

/* allowlist_entry.c. The error says what is wrong, as the rest of a sentence that begins with the
 * entry: "has no port; write …". */
MUST_USE bool allow_entry_parse(struct view text, bool patterns, struct allow_entry **out,
                                struct err *err);
/* One port, no pattern of hosts. */
static inline bool allow_entry_exact(const struct allow_entry *e)
{
    return e->kind == ALLOW_EXACT && e->port_first == e->port_last;
}
