#include "ati/catalog/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/secret.h"

#include "base/poison.h"

/* Tools that an MCP server told of. Shared by catalogs. */
struct discovered {
    uint32_t references; /* atomic */
    const struct tool_provider *provider;
    struct tool *tools;
    size_t count;
};

struct catalog {
    uint32_t references; /* atomic */
    struct manifest_set set;
    struct discovered **discovered;
    size_t discovered_count;
    const struct tool **listed; /* public, a name once */
    size_t listed_count;
    const struct tool **slots; /* by name; open addressing, at most half full */
    size_t mask;
    uint64_t seed;
};

/* --- life --- */

static void discovered_unref(struct discovered *d)
{
    if (__atomic_sub_fetch(&d->references, 1, __ATOMIC_ACQ_REL))
        return;
    tools_free(d->tools, d->count);
    free(d);
}

static void catalog_free(struct catalog *c)
{
    for (size_t i = 0; i < c->discovered_count; i++)
        discovered_unref(c->discovered[i]);
    free(c->discovered);
    manifest_set_free(&c->set);
    free(c->listed);
    free(c->slots);
    free(c);
}

struct catalog *catalog_ref(struct catalog *c)
{
    (void)__atomic_add_fetch(&c->references, 1, __ATOMIC_RELAXED);
    return c;
}

void catalog_unref(struct catalog *c)
{
    if (c && __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) == 0)
        catalog_free(c);
}

/* --- the index --- */

static size_t slot_of(const struct catalog *c, struct view name)
{
    size_t at = hash_bytes(name, c->seed) & c->mask;

    while (c->slots[at] && !view_eq(view_str(c->slots[at]->name), name))
        at = (at + 1) & c->mask;
    return at;
}

typedef void each_tool(struct catalog *c, const struct tool *t);

/* Every tool, in load order: of a provider first its own, then what was discovered. */
static void each(struct catalog *c, each_tool *f)
{
    for (size_t i = 0; i < c->set.count; i++) {
        const struct tool_provider *p = c->set.providers[i];

        for (size_t t = 0; t < p->tool_count; t++)
            f(c, &p->tools[t]);
        for (size_t d = 0; d < c->discovered_count; d++)
            for (size_t t = 0; c->discovered[d]->provider == p && t < c->discovered[d]->count; t++)
                f(c, &c->discovered[d]->tools[t]);
    }
}

static void put(struct catalog *c, const struct tool *t)
{
    c->slots[slot_of(c, view_str(t->name))] = t;
}

static void list(struct catalog *c, const struct tool *t)
{
    if (!t->provider->internal && c->slots[slot_of(c, view_str(t->name))] == t)
        c->listed[c->listed_count++] = t;
}

static bool build_index(struct catalog *c, struct err *err)
{
    size_t tools = 0, size = 16;

    for (size_t i = 0; i < c->set.count; i++)
        tools += c->set.providers[i]->tool_count;
    for (size_t i = 0; i < c->discovered_count; i++)
        tools += c->discovered[i]->count;
    while (size < 2 * (tools + 1))
        size *= 2;
    c->mask = size - 1;
    c->slots = calloc(size, sizeof(const struct tool *));
    c->listed = calloc(tools + 1, sizeof(const struct tool *));
    if (!c->slots || !c->listed)
        return err_set(err, ERR_MEMORY, "no memory for a catalog of %zu tools", tools);
    random_bytes(&c->seed, sizeof c->seed);
    each(c, put);
    each(c, list);
    return true;
}

bool catalog_new(struct manifest_set *set, struct catalog **out, struct err *err)
{
    struct catalog *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "no memory for a catalog");
    c->references = 1;
    c->set = *set;
    if (!build_index(c, err)) {
        c->set = (struct manifest_set){0}; /* still the caller's */
        catalog_unref(c);
        return false;
    }
    *set = (struct manifest_set){0};
    *out = c;
    return true;
}

/* --- discoveries --- */

/* What from holds, but for the discovery of provider, and with room for one more. */
static bool share(const struct catalog *from, const struct tool_provider *provider,
                  struct catalog *c)
{
    c->set.providers = calloc(from->set.count + 1, sizeof(struct tool_provider *));
    c->discovered = calloc(from->discovered_count + 1, sizeof(struct discovered *));
    if (!c->set.providers || !c->discovered)
        return false;
    for (; c->set.count < from->set.count; c->set.count++)
        c->set.providers[c->set.count] = tool_provider_ref(from->set.providers[c->set.count]);
    for (size_t i = 0; i < from->discovered_count; i++) {
        struct discovered *d = from->discovered[i];

        if (d->provider == provider)
            continue;
        (void)__atomic_add_fetch(&d->references, 1, __ATOMIC_RELAXED);
        c->discovered[c->discovered_count++] = d;
    }
    return true;
}

bool catalog_discovered(const struct catalog *from, const struct tool_provider *provider,
                        struct tool *tools, size_t count, struct catalog **out, struct err *err)
{
    CLEANUP(catalog_unref_cleanup) struct catalog *c = calloc(1, sizeof *c);
    struct discovered *d = calloc(1, sizeof *d);

    if (c)
        c->references = 1;
    if (!c || !d || !share(from, provider, c)) {
        free(d);
        return err_set(err, ERR_MEMORY, "no memory for a catalog");
    }
    *d = (struct discovered){.references = 1, .provider = provider, .tools = tools, .count = count};
    c->discovered[c->discovered_count++] = d;
    for (size_t i = 0; i < count; i++)
        tools[i].provider = provider;
    if (!build_index(c, err)) {
        d->tools = NULL; /* still the caller's */
        d->count = 0;
        return false;
    }
    *out = take(c);
    return true;
}

/* --- looking up --- */

size_t catalog_provider_count(const struct catalog *c)
{
    return c->set.count;
}

const struct tool_provider *catalog_provider_at(const struct catalog *c, size_t index)
{
    CHECK(index < c->set.count);
    return c->set.providers[index];
}

const struct tool_provider *catalog_provider(const struct catalog *c, struct view name)
{
    for (size_t i = 0; i < c->set.count; i++)
        if (view_eq(view_str(c->set.providers[i]->name), name))
            return c->set.providers[i];
    return NULL;
}

size_t catalog_tool_count(const struct catalog *c)
{
    return c->listed_count;
}

const struct tool *catalog_tool_at(const struct catalog *c, size_t index)
{
    CHECK(index < c->listed_count);
    return c->listed[index];
}

const struct tool *catalog_find(const struct catalog *c, struct view name)
{
    return c->slots[slot_of(c, name)];
}

const struct tool *catalog_resolve(const struct catalog *c, struct view name)
{
    const struct tool *found = catalog_find(c, name);
    char other[CATALOG_NAME_BYTES_MAX];

    if (found || name.len > sizeof other)
        return found;
    if (name.len)
        memcpy(other, name.at, name.len);
    for (size_t i = 0; i < name.len && !found; i++) {
        if (other[i] != '_')
            continue;
        other[i] = ':';
        found = catalog_find(c, view_from(other, name.len));
        other[i] = '_';
    }
    return found;
}
