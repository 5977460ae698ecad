/* snapshot: what a call is carried out with: catalog, keyring and who signs tokens, as one immutable whole. SIGHUP and discoveries
 * make a new one; calls under way keep theirs until they end. Counted atomically. */
#pragma once

#include "ati/catalog/catalog.h"
#include "ati/keyring/keyring.h"
#include "ati/token/token.h"

struct snapshot {
    uint32_t references; /* atomic */
    struct catalog *catalog;
    struct keyring *keyring;
    struct token_authority *authority; /* NULL: dev mode */
};
/* Takes a reference of each. */
MUST_USE bool snapshot_new(struct catalog *catalog, struct keyring *keyring,
                           struct token_authority *authority, struct snapshot **out,
                           struct err *err);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL is fine */
CLEANUP_DEFINE(struct snapshot, snapshot_unref)
