#include "bridge/allowlist.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/secret.h"
#include "bridge/allowlist_priv.h"

#include "base/poison.h"

enum { TABLE_SIZE_FIRST = 16, PORTS = 65536 };

static const char *key_of(const struct allow_entry *e, bool canonical);
static bool table_grow(const struct allowlist *list, struct allow_table *t, bool canonical,
                       struct err *err);
static void table_put(const struct allowlist *list, struct allow_table *t, struct allow_entry *e,
                      bool canonical);
static struct allow_entry *table_get(const struct allowlist *list, const struct allow_table *t,
                                     struct view key, bool canonical);
static bool push(struct allow_entry ***array, size_t *count, size_t *room, struct allow_entry *e,
                 struct err *err);
static bool same_choices(const struct allow_entry *a, const struct allow_entry *b);
static bool pattern_matches(const struct allowlist *list, const struct allow_entry *e,
                            const struct target *t);

/* --- life ------------------------------------------------------------------------------------ */

bool allowlist_new(struct allowlist **out, struct err *err)
{
    CLEANUP(allowlist_free_cleanup) struct allowlist *list = calloc(1, sizeof *list);

    if (!list)
        return err_set(err, ERR_MEMORY, "allowlist");
    random_bytes(&list->seed, sizeof list->seed);
    if (!table_grow(list, &list->raw, false, err) || !table_grow(list, &list->canonical, true, err))
        return false;
    *out = take(list);
    return true;
}

void allowlist_free(struct allowlist *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        allow_entry_free(list->entries[i]);
    free(list->entries);
    free(list->patterns);
    free(list->raw.slots);
    free(list->canonical.slots);
    free(list);
}

void allow_entry_free(struct allow_entry *e)
{
    if (!e)
        return;
    free(e->text);
    free(e->pins);
    free(e);
}

bool allowlist_keep(struct allowlist *list, struct allow_entry **e, struct err *err)
{
    bool exact = allow_entry_exact(*e);
    const struct allow_entry *twin =
        exact ? table_get(list, &list->canonical, view_str((*e)->target.text), true) : NULL;

    if (twin && !same_choices(twin, *e))
        return err_set(err, ERR_CONFIG,
                       "repeats another entry with different addresses or options");
    if (twin) {
        allow_entry_free(take(*e));
        return true;
    }
    if (list->count == ALLOWLIST_ENTRIES_MAX)
        return err_set(err, ERR_LIMIT, "is one too many: a list has at most %d",
                       ALLOWLIST_ENTRIES_MAX);
    if (exact && (!table_grow(list, &list->raw, false, err) ||
                  !table_grow(list, &list->canonical, true, err)))
        return false;
    if (!exact && !push(&list->patterns, &list->pattern_count, &list->pattern_room, *e, err))
        return false;
    (*e)->index = (uint32_t)list->count;
    if (!push(&list->entries, &list->count, &list->room, *e, err)) {
        list->pattern_count -= !exact;
        return false;
    }
    if (exact) {
        table_put(list, &list->raw, *e, false);
        table_put(list, &list->canonical, *e, true);
    }
    *e = NULL;
    return true;
}

/* --- matching -------------------------------------------------------------------------------- */

const struct allow_entry *allowlist_match(const struct allowlist *list, struct view requested,
                                          struct target *out, bool *by_pattern)
{
    const struct allow_entry *e = table_get(list, &list->raw, requested, false);
    struct target t;

    *by_pattern = false;
    if (!e) {
        if (requested.len > TARGET_BYTES_MAX || !target_parse(requested, &t, NULL))
            return NULL;
        e = table_get(list, &list->canonical, view_str(t.text), true);
    }
    if (e) {
        *out = e->target;
        return e;
    }
    for (size_t i = 0; i < list->pattern_count; i++)
        if (pattern_matches(list, list->patterns[i], &t)) {
            *by_pattern = true;
            *out = t;
            return list->patterns[i];
        }
    return NULL;
}

/* Exactly one label stands before the parent. */
static bool wildcard_matches(const struct allow_entry *e, const struct target *t)
{
    struct view host = view_str(t->host), parent = view_str(e->target.host);
    size_t dot = view_find(host, '.');

    return t->kind == TARGET_NAME && dot < host.len && view_eq(view_skip(host, dot + 1), parent);
}

static bool pattern_matches(const struct allowlist *list, const struct allow_entry *e,
                            const struct target *t)
{
    if (t->kind == TARGET_UNIX || t->port < e->port_first || t->port > e->port_last)
        return false;
    switch (e->kind) {
    case ALLOW_EXACT:
        return strcmp(e->target.host, t->host) == 0;
    case ALLOW_WILDCARD:
        return wildcard_matches(e, t);
    case ALLOW_CIDR:
        if (t->kind == TARGET_IP)
            return cidr_contains(&e->cidr, &t->addr);
        return t->kind == TARGET_NAME && list->cidr_names;
    }
    return false;
}

/* --- looking at it --------------------------------------------------------------------------- */

size_t allowlist_count(const struct allowlist *list)
{
    return list->count;
}

const struct allow_entry *allowlist_at(const struct allowlist *list, size_t index)
{
    return list->entries[index];
}

static int by_host(const void *a, const void *b)
{
    const struct allow_entry *const *left = a, *const *right = b;

    /* Every slot is filled: NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    return strcmp((*left)->target.host, (*right)->target.host);
}

bool allowlist_names(const struct allowlist *list, void (*visit)(void *context, struct view name),
                     void *context)
{
    const struct allow_entry **named = calloc(list->count + 1, sizeof(const struct allow_entry *));
    size_t count = 0;

    if (!named)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct allow_entry *e = list->entries[i];

        if (e->kind == ALLOW_EXACT && e->target.kind == TARGET_NAME && !e->pins)
            named[count++] = e;
    }
    qsort(named, count, sizeof *named, by_host); /* pointers: NOLINT(bugprone-sizeof-expression) */
    for (size_t i = 0; i < count; i++)
        if (i == 0 || by_host(&named[i - 1], &named[i]) != 0)
            visit(context, view_str(named[i]->target.host));
    free(named);
    return true;
}

bool allowlist_ports(const struct allowlist *list, uint16_t **out, size_t *count)
{
    uint8_t seen[PORTS / 8] = {0};
    uint16_t *ports = calloc(ALLOWLIST_PORTS_MAX, sizeof *ports);
    size_t n = 0;

    if (!ports)
        return false;
    for (size_t i = 0; i < list->count; i++)
        for (uint32_t port = list->entries[i]->port_first; port <= list->entries[i]->port_last;
             port++)
            seen[port / 8] |= (uint8_t)(1u << port % 8);
    for (uint32_t port = 1; port < PORTS; port++) {
        if (!(seen[port / 8] & 1u << port % 8))
            continue;
        if (n == ALLOWLIST_PORTS_MAX) {
            free(ports);
            return false;
        }
        ports[n++] = (uint16_t)port;
    }
    *out = ports;
    *count = n;
    return true;
}

/* --- tables ---------------------------------------------------------------------------------- */

static const char *key_of(const struct allow_entry *e, bool canonical)
{
    return canonical ? e->target.text : e->text;
}

/* The slot of the key, or the free one where it would stand. */
static size_t table_slot(const struct allowlist *list, const struct allow_table *t, struct view key,
                         bool canonical)
{
    size_t i = hash_bytes(key, list->seed) & (t->size - 1);

    while (t->slots[i] && !view_eq(view_str(key_of(t->slots[i], canonical)), key))
        i = (i + 1) & (t->size - 1);
    return i;
}

static struct allow_entry *table_get(const struct allowlist *list, const struct allow_table *t,
                                     struct view key, bool canonical)
{
    return t->slots[table_slot(list, t, key, canonical)];
}

static void table_put(const struct allowlist *list, struct allow_table *t, struct allow_entry *e,
                      bool canonical)
{
    t->slots[table_slot(list, t, view_str(key_of(e, canonical)), canonical)] = e;
    t->used++;
}

/* Makes sure of room for one more. */
static bool table_grow(const struct allowlist *list, struct allow_table *t, bool canonical,
                       struct err *err)
{
    struct allow_table bigger = {.size = t->size ? t->size * 2 : TABLE_SIZE_FIRST};

    if ((t->used + 1) * 2 <= t->size)
        return true;
    bigger.slots = calloc(bigger.size, sizeof(struct allow_entry *));
    if (!bigger.slots)
        return err_set(err, ERR_MEMORY, "allowlist");
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i])
            table_put(list, &bigger, t->slots[i], canonical);
    free(t->slots);
    *t = bigger;
    return true;
}

static bool push(struct allow_entry ***array, size_t *count, size_t *room, struct allow_entry *e,
                 struct err *err)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : TABLE_SIZE_FIRST;
        struct allow_entry **bigger = realloc(*array, more * sizeof(struct allow_entry *));

        if (!bigger)
            return err_set(err, ERR_MEMORY, "allowlist");
        *array = bigger;
        *room = more;
    }
    (*array)[(*count)++] = e;
    return true;
}

/* Two entries for one target agree on how it is reached. */
static bool same_choices(const struct allow_entry *a, const struct allow_entry *b)
{
    if (a->pin_count != b->pin_count || a->send_proxy_set != b->send_proxy_set ||
        a->send_proxy != b->send_proxy)
        return false;
    for (size_t i = 0; i < a->pin_count; i++)
        if (!addr_eq(&a->pins[i], &b->pins[i]))
            return false;
    return true;
}
