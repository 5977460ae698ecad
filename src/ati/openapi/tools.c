#include <stdio.h>

#include "ati/openapi/openapi_priv.h"
#include "base/hash.h"
#include "base/secret.h"

#include "base/poison.h"

/* Whose name is whose: open addressing, never more than half full. */
struct slot {
    uint32_t tool, next; /* tool: index + 1; next: the number for the next one of that name */
};

struct making {
    const struct openapi *o;
    const char *provider;
    const struct openapi_filter *filter;
    manifest_warning *warn;
    void *context;
    struct tool *tools;
    size_t count, room, bytes;
    struct slot *slots;
    size_t slot_count; /* a power of two */
    uint64_t seed;
    struct buf schema;
};

static struct slot *slot_of(const struct making *m, const char *name)
{
    size_t i = hash_bytes(view_str(name), m->seed) & (m->slot_count - 1);

    while (m->slots[i].tool && strcmp(m->tools[m->slots[i].tool - 1].name, name) != 0)
        i = (i + 1) & (m->slot_count - 1);
    return &m->slots[i];
}

/* Room for one more tool and its name. */
static bool make_room(struct making *m, struct err *err)
{
    size_t room = m->room ? 2 * m->room : 64;
    struct tool *tools;
    struct slot *slots;

    if (m->count < m->room)
        return true;
    tools = reallocarray(m->tools, room, sizeof *tools);
    if (tools)
        m->tools = tools;
    slots = calloc(room, 2 * sizeof *slots);
    if (!tools || !slots) {
        free(slots);
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for %zu tools", room);
    }
    m->room = room;
    {
        struct slot *old = m->slots;
        size_t old_count = m->slot_count;

        m->slots = slots;
        m->slot_count = 2 * room;
        for (size_t i = 0; i < old_count; i++)
            if (old[i].tool)
                *slot_of(m, tools[old[i].tool - 1].name) = old[i];
        free(old);
    }
    return true;
}

/* "{provider}:{name}", with a number where that is taken. */
static bool name_tool(struct making *m, const struct operation *op, struct tool *t, struct err *err)
{
    struct slot *first;

    if (asprintf(&t->name, "%s:%s", m->provider, op->name) < 0) {
        t->name = NULL;
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a tool");
    }
    first = slot_of(m, t->name);
    if (!first->tool) {
        *first = (struct slot){.tool = (uint32_t)m->count + 1, .next = 2};
        return true;
    }
    while (slot_of(m, t->name)->tool) {
        free(take(t->name));
        if (asprintf(&t->name, "%s:%s_%u", m->provider, op->name, first->next++) < 0) {
            t->name = NULL;
            return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a tool");
        }
    }
    *slot_of(m, t->name) = (struct slot){.tool = (uint32_t)m->count + 1, .next = 2};
    if (m->warn) {
        struct err why = {0};

        (void)err_set(&why, ERR_SYNTAX, "that name is taken by another operation; it is %s here",
                      t->name);
        openapi_tell(&(struct teller){m->warn, m->context, op}, "named anew", &why);
    }
    return true;
}

/* The override for an operation: of the tool's own name first (one that was numbered). */
static const struct openapi_override *override_of(const struct making *m,
                                                  const struct operation *op, const char *name)
{
    const struct openapi_override *found = NULL;

    for (size_t i = 0; m->filter && i < m->filter->override_count; i++) {
        const struct openapi_override *o = &m->filter->overrides[i];

        if (strcmp(o->operation, name + strlen(m->provider) + 1) == 0)
            return o;
        if (strcmp(o->operation, op->name) == 0)
            found = o;
    }
    return found;
}

static bool copy(char **out, const char *text, struct err *err)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out || err_set(err, ERR_MEMORY, "OpenAPI: no memory for a tool");
}

static size_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

static bool append(struct texts *list, char *text, struct err *err)
{
    char **grown = text ? reallocarray(list->at, list->count + 1, sizeof *grown) : NULL;

    if (!grown) {
        free(text);
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a tool");
    }
    list->at = grown;
    grown[list->count++] = text;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of the operation and the override: sorted, each once. */
static bool add_tags(const struct openapi *o, const struct operation *op, const struct texts *more,
                     struct texts *out, struct err *err)
{
    uint32_t tags = member_of(o, op->token, "tags"), tag = json_first(tags);
    size_t kept = 0;

    for (uint32_t i = 0; tags && kind_of(o, tags) == JSON_ARRAY && i < count_of(o, tags); i++) {
        char *text = openapi_text(o, tag);

        if (text && !append(out, text, err))
            return false;
        tag = next_of(o, tag);
    }
    for (size_t i = 0; more && i < more->count; i++)
        if (!append(out, strdup(more->at[i]), err))
            return false;
    if (out->count)
        qsort(out->at, out->count, sizeof *out->at, by_bytes);
    for (size_t i = 0; i < out->count; i++) {
        if (kept && strcmp(out->at[kept - 1], out->at[i]) == 0)
            free(out->at[i]);
        else
            out->at[kept++] = out->at[i];
    }
    out->count = kept;
    return true;
}

/* "{summary} — {description}" where both stand and differ. */
static bool describe(const struct openapi *o, uint32_t operation, char **out, struct err *err)
{
    CLEANUP(text_free_cleanup) char *summary = openapi_text(o, member_of(o, operation, "summary"));
    CLEANUP(text_free_cleanup)
    char *description = openapi_text(o, member_of(o, operation, "description"));

    if (summary && !summary[0])
        free(take(summary));
    if (description && !description[0])
        free(take(description));
    if (!summary || !description || strcmp(summary, description) == 0)
        return copy(out, summary ? summary : description ? description : "", err);
    if (asprintf(out, "%s — %s", summary, description) < 0) {
        *out = NULL;
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a tool");
    }
    return true;
}

static enum tool_format format_of(const char *name)
{
    if (name && strcmp(name, "json") == 0)
        return FORMAT_JSON;
    if (name && strcmp(name, "markdown_table") == 0)
        return FORMAT_MARKDOWN_TABLE;
    return name && strcmp(name, "raw") == 0 ? FORMAT_RAW : FORMAT_TEXT;
}

static bool make_schema(struct making *m, const struct operation *op, struct tool *t,
                        struct err *err)
{
    struct teller teller = {m->warn, m->context, op};
    struct arguments list = {0};
    bool good;

    buf_reset(&m->schema);
    good = openapi_parameters(m->o, op, &teller, &list, err) &&
           openapi_body(m->o, op, &teller, &list, err) &&
           openapi_schema(m->o, &list, &m->schema, err) && buf_append_byte(&m->schema, '\0', err) &&
           copy(&t->schema, (const char *)buf_view(&m->schema).at, err);
    arguments_done(&list);
    return good;
}

static bool fill(struct making *m, const struct operation *op, struct tool *t, struct err *err)
{
    const struct openapi_override *over;

    if (!name_tool(m, op, t, err))
        return false;
    over = t->name ? override_of(m, op, t->name) : NULL;
    if (over && over->scope ? !copy(&t->scope, over->scope, err)
                            : asprintf(&t->scope, "tool:%s", t->name) < 0)
        return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a tool");
    t->method = op->method;
    t->format = format_of(over ? over->format : NULL);
    if (!copy(&t->endpoint, op->path, err) ||
        !add_tags(m->o, op, over ? &over->tags : NULL, &t->tags, err) ||
        (over && over->description ? !copy(&t->description, over->description, err)
                                   : !describe(m->o, op->token, &t->description, err)))
        return false;
    for (size_t i = 0; over && i < over->examples.count; i++)
        if (!append(&t->examples, strdup(over->examples.at[i]), err))
            return false;
    return copy(&t->hint, over ? over->hint : NULL, err) &&
           copy(&t->extract, over ? over->extract : NULL, err);
}

/* A tool goes where its provider does; servers of its own are told. */
static bool look_at_servers(const struct making *m, const struct operation *op, struct err *err)
{
    uint32_t servers = member_of(m->o, op->token, "servers");
    CLEANUP(text_free_cleanup) char *url = NULL;
    struct err why = {0};

    if (!servers)
        servers = member_of(m->o, op->item, "servers");
    if (!servers || kind_of(m->o, servers) != JSON_ARRAY || !count_of(m->o, servers))
        return true;
    if (!openapi_server(m->o, servers, m->o->base_url, &url, &why))
        return why.code == ERR_LIMIT || err_set(err, why.code, "%s", why.text);
    if (strcmp(url, m->o->base_url) == 0)
        return true;
    (void)err_set(&why, ERR_CONFIG, "the document serves it at %.160s, calls go to base_url", url);
    openapi_tell(&(struct teller){m->warn, m->context, op}, "a server of its own", &why);
    return true;
}

static bool make(void *context, const struct operation *op, struct err *err)
{
    struct making *m = context;
    struct tool *t;
    struct err why = {0};

    if (!make_room(m, err) || !look_at_servers(m, op, err))
        return false;
    t = &m->tools[m->count];
    *t = (struct tool){0};
    if (!make_schema(m, op, t, &why)) {
        if (why.code != ERR_LIMIT)
            return err_set(err, why.code, "%s", why.text);
        openapi_tell(&(struct teller){m->warn, m->context, op}, "left out", &why);
        return true;
    }
    if (!fill(m, op, t, err)) {
        m->count++; /* what it has goes away with the others */
        return false;
    }
    m->count++;
    m->bytes += length(t->schema) + length(t->description) + length(t->endpoint) + sizeof *t;
    return m->bytes <= OPENAPI_TOOLS_BYTES_MAX ||
           err_set(err, ERR_LIMIT, "OpenAPI: the tools of this document take more than %d bytes",
                   OPENAPI_TOOLS_BYTES_MAX);
}

bool openapi_tools(const struct openapi *o, const char *provider,
                   const struct openapi_filter *filter, manifest_warning *warn, void *context,
                   struct tool **out, size_t *count, struct err *err)
{
    struct making m = {
        .o = o, .provider = provider, .filter = filter, .warn = warn, .context = context};
    bool good;

    random_bytes(&m.seed, sizeof m.seed);
    buf_init(&m.schema, OPENAPI_SCHEMA_BYTES_MAX, "input schema of a tool");
    good = openapi_operations(o, filter, warn, context, make, &m, err);
    buf_done(&m.schema);
    free(m.slots);
    if (!good) {
        tools_free(m.tools, m.count);
        return false;
    }
    *out = m.tools;
    *count = m.count;
    return true;
}
