#include "ati/snapshot/snapshot.h"

#include <stdlib.h>

#include "base/poison.h"

bool snapshot_new(struct catalog *catalog, struct keyring *keyring,
                  struct token_authority *authority, struct snapshot **out, struct err *err)
{
    struct snapshot *s = malloc(sizeof *s);

    if (!s)
        return err_set(err, ERR_MEMORY, "no memory for a snapshot");
    *s = (struct snapshot){1, catalog_ref(catalog), keyring_ref(keyring),
                           authority ? token_authority_ref(authority) : NULL};
    *out = s;
    return true;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    __atomic_add_fetch(&s->references, 1, __ATOMIC_RELAXED);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || __atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    token_authority_unref(s->authority);
    keyring_unref(s->keyring);
    catalog_unref(s->catalog);
    free(s);
}
