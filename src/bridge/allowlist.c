#include "bridge/allowlist.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/secret.h"
#include "bridge/allowlist_priv.h"

#include "base/poison.h"

enum { PORTS_MAX = 1024 };

bool allowlist_new(struct allowlist **out, struct err *err)
{
    struct allowlist *list = calloc(1, sizeof *list);

    if (!list)
        return err_set(err, ERR_MEMORY, "allowlist");
    random_bytes(&list->seed, sizeof list->seed);
    *out = list;
    return true;
}

void allow_entry_free(struct allow_entry *e)
{
    if (!e)
        return;
    free(e->text);
    free(e->pins);
    free(e);
}

void allowlist_free(struct allowlist *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        allow_entry_free(list->entries[i]);
    free(list->entries);
    free(list->raw);
    free(list->canonical);
    free(list);
}

/* --- two hash tables of the exact entries: by what was written, by what it means -------------- */

static const char *key_of(const struct allow_entry *e, bool canonical)
{
    return canonical ? e->target.text : e->text;
}

static void table_put(const struct allowlist *list, struct allow_entry **table, struct allow_entry *e,
                      bool canonical)
{
    size_t i = hash_bytes(view_str(key_of(e, canonical)), list->seed) & (list->table_size - 1);

    while (table[i]) {
        if (!strcmp(key_of(table[i], canonical), key_of(e, canonical)))
            return; /* the first one written stands */
        i = (i + 1) & (list->table_size - 1);
    }
    table[i] = e;
}

static const struct allow_entry *table_get(const struct allowlist *list,
                                           struct allow_entry *const *table, struct view key,
                                           bool canonical)
{
    size_t i;

    if (!list->table_size)
        return NULL;
    for (i = hash_bytes(key, list->seed) & (list->table_size - 1); table[i];
         i = (i + 1) & (list->table_size - 1))
        if (view_eq(view_str(key_of(table[i], canonical)), key))
            return table[i];
    return NULL;
}

static bool exact(const struct allow_entry *e)
{
    return e->kind == ALLOW_EXACT && e->port_first == e->port_last;
}

bool allowlist_index(struct allowlist *list, struct err *err)
{
    size_t size = 16;
    struct allow_entry **raw, **canonical;

    while (size < list->count * 2)
        size *= 2;
    raw = calloc(size, sizeof(struct allow_entry *));
    canonical = calloc(size, sizeof(struct allow_entry *));
    if (!raw || !canonical) {
        free(raw);
        free(canonical);
        return err_set(err, ERR_MEMORY, "allowlist of %zu entries", list->count);
    }
    free(list->raw);
    free(list->canonical);
    list->raw = raw;
    list->canonical = canonical;
    list->table_size = size;
    for (size_t i = 0; i < list->count; i++)
        if (exact(list->entries[i])) {
            table_put(list, raw, list->entries[i], false);
            table_put(list, canonical, list->entries[i], true);
        }
    return true;
}

/* --- matching -------------------------------------------------------------------------------- */

static bool wildcard(const struct allow_entry *e, const struct target *t)
{
    struct view host = view_str(t->host), suffix = view_str(e->suffix);

    if (t->kind != TARGET_NAME || host.len <= suffix.len || !view_ends(host, suffix))
        return false;
    return view_find(view_first(host, host.len - suffix.len), '.') == host.len - suffix.len;
}

static bool pattern(const struct allowlist *list, const struct allow_entry *e, const struct target *t)
{
    if (t->port < e->port_first || t->port > e->port_last || t->kind == TARGET_UNIX)
        return false;
    switch (e->kind) {
    case ALLOW_EXACT:
        return !exact(e) && !strcmp(e->target.host, t->host);
    case ALLOW_WILDCARD:
        return wildcard(e, t);
    case ALLOW_CIDR:
        if (t->kind == TARGET_IP)
            return cidr_contains(&e->cidr, &t->addr);
        return t->kind == TARGET_NAME && list->cidr_names;
    }
    return false;
}

const struct allow_entry *allowlist_match(const struct allowlist *list, struct view requested,
                                          struct target *out, bool *by_pattern)
{
    const struct allow_entry *e = table_get(list, list->raw, requested, false);

    *by_pattern = false;
    if (e) {
        *out = e->target;
        return e;
    }
    if (requested.len > TARGET_BYTES_MAX || !target_parse(requested, out, NULL))
        return NULL;
    e = table_get(list, list->canonical, view_str(out->text), true);
    if (e)
        return e;
    for (size_t i = 0; i < list->count && list->patterns; i++)
        if (pattern(list, list->entries[i], out)) {
            *by_pattern = true;
            return list->entries[i];
        }
    return NULL;
}

size_t allowlist_count(const struct allowlist *list)
{
    return list->count;
}

const struct allow_entry *allowlist_at(const struct allowlist *list, size_t index)
{
    return list->entries[index];
}

bool allowlist_cidr_names(const struct allowlist *list)
{
    return list->cidr_names;
}

static bool port_add(uint16_t *ports, size_t *count, uint16_t port)
{
    for (size_t i = 0; i < *count; i++)
        if (ports[i] == port)
            return true;
    if (*count == PORTS_MAX)
        return false;
    ports[(*count)++] = port;
    return true;
}

bool allowlist_ports(const struct allowlist *list, uint16_t **out, size_t *count)
{
    uint16_t *ports = calloc(PORTS_MAX, sizeof *ports);
    size_t n = 0;

    if (!ports)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct allow_entry *e = list->entries[i];

        if (e->kind == ALLOW_EXACT && e->target.kind == TARGET_UNIX)
            continue;
        for (uint32_t port = e->port_first; port <= e->port_last; port++)
            if (!port_add(ports, &n, (uint16_t)port)) {
                free(ports);
                return false;
            }
    }
    *out = ports;
    *count = n;
    return true;
}
