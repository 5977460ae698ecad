#include <stdlib.h>

#include "ati/keyring/keyring_priv.h"

#include "base/poison.h"

enum { NAME_BYTES_MAX = 512 };

bool keyring_empty(struct keyring **out, struct err *err)
{
    struct ring none = {.count = 0};

    return ring_finish(&none, false, out, err);
}

struct keyring *keyring_ref(struct keyring *k)
{
    atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
    return k;
}

void keyring_unref(struct keyring *k)
{
    /* The last one to leave must see what the others did before they left. */
    if (!k || atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) != 1)
        return;
    locked_done(&k->pages);
    free(k->entries);
    free(k);
}

bool keyring_ephemeral(const struct keyring *k)
{
    return k->ephemeral;
}

size_t keyring_count(const struct keyring *k)
{
    return k->count;
}

void keyring_at(const struct keyring *k, size_t index, struct view *name, struct view *value)
{
    const struct keyring_entry *e = &k->entries[index];

    *name = view_from(k->pages.at + e->name, e->name_len);
    *value = view_from(k->pages.at + e->value, e->value_len);
}

static int compare(struct view a, struct view b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least ? memcmp(a.at, b.at, least) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool find(const struct keyring *k, struct view name, struct view *value)
{
    size_t low = 0, high = k->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct view there, lent;
        int order;

        keyring_at(k, middle, &there, &lent);
        order = compare(name, there);
        if (!order) {
            *value = lent;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

bool keyring_find(const struct keyring *k, struct view name, struct view *value)
{
    uint8_t lower[NAME_BYTES_MAX];

    if (find(k, name, value))
        return true;
    if (name.len > sizeof lower)
        return false;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = ascii_lower(name.at[i]);
    return find(k, view_from(lower, name.len), value);
}
