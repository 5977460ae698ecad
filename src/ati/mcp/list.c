#include <stdio.h>
#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"

#include "base/poison.h"

static char *joined(const char *a, const char *between, const char *b)
{
    char *text;

    return asprintf(&text, "%s%s%s", a, between, b) < 0 ? NULL : text;
}

static bool rendered(const struct json_doc *doc, uint32_t token, char **out, struct err *err)
{
    struct view source = json_source(doc, token);
    struct buf text;
    bool good;

    buf_init(&text, 2 * source.len + 1, "a tool's schema");
    good = json_render(doc, token, JSON_COMPACT, true, &text, err) &&
           buf_append_byte(&text, '\0', err);
    if (good)
        *out = (char *)text.area; /* nothing was eaten: it begins there */
    else
        buf_done(&text);
    return good;
}

/* False without an err: it has no name, and cannot be called. */
static bool read_tool(const struct json_doc *doc, uint32_t token, const char *provider,
                      struct tool *out, struct err *err)
{
    uint32_t name = json_member(doc, token, "name");
    uint32_t description = json_member(doc, token, "description");
    uint32_t schema = json_member(doc, token, "inputSchema");
    char *own;
    size_t len;

    err->code = ERR_NONE;
    if (!name || !json_string_new(doc, name, &own, &len))
        return false;
    if (!len) {
        free(own);
        return false;
    }
    out->method = METHOD_POST;
    out->endpoint = strdup("");
    out->name = joined(provider, ":", own);
    out->scope = out->name ? joined("tool", ":", out->name) : NULL;
    free(own);
    if (!description || !json_string_new(doc, description, &out->description, &len))
        out->description = strdup("");
    if (!out->name || !out->scope || !out->endpoint || !out->description)
        return err_set(err, ERR_MEMORY, "no memory for a tool");
    return !schema || doc->tokens[schema].kind != JSON_OBJECT ||
           rendered(doc, schema, &out->schema, err);
}

/* A new one at the end, empty. Room is for a power of two. */
static struct tool *add(struct tool **tools, size_t *count, struct err *err)
{
    struct tool *more = *tools;

    if ((*count & (*count - 1)) == 0)
        more = reallocarray(*tools, *count ? 2 * *count : 1, sizeof *more);
    if (!more) {
        (void)err_set(err, ERR_MEMORY, "no memory for %zu tools", *count + 1);
        return NULL;
    }
    *tools = more;
    more[*count] = (struct tool){0};
    return &more[(*count)++];
}

static void drop_last(struct tool *tools, size_t *count)
{
    struct tool *t = &tools[--*count];

    free(t->name);
    free(t->scope);
    free(t->endpoint);
    free(t->description);
    free(t->schema);
}

static size_t length(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t bytes_of(const struct tool *t)
{
    return sizeof *t + length(t->name) + length(t->scope) + length(t->endpoint) +
           length(t->description) + length(t->schema);
}

/* Those that have a name; others cannot be called. */
static bool add_tools(const struct json_doc *doc, uint32_t list, const char *provider,
                      struct tool **tools, size_t *count, size_t *bytes, struct err *err)
{
    uint32_t at = json_first(list);

    for (uint32_t i = 0; i < doc->tokens[list].count && *count < MCP_TOOLS_MAX; i++) {
        struct tool *t = add(tools, count, err);

        if (!t)
            return false;
        if (!read_tool(doc, at, provider, t, err)) {
            drop_last(*tools, count);
            if (err->code)
                return false;
        } else {
            *bytes += bytes_of(t);
        }
        if (*bytes > MCP_LIST_BYTES_MAX)
            return err_set(err, ERR_LIMIT,
                           "MCP transport error: [%s] its tools take more than %d bytes", provider,
                           (int)MCP_LIST_BYTES_MAX);
        at = doc->tokens[at].next;
    }
    return true;
}

bool mcp_list_page(const struct json_doc *doc, uint32_t result, const char *provider,
                   struct tool **tools, size_t *count, size_t *bytes, char **cursor,
                   struct err *err)
{
    uint32_t list = json_member(doc, result, "tools"),
             next = json_member(doc, result, "nextCursor");
    struct view source;

    if (list && doc->tokens[list].kind == JSON_ARRAY &&
        !add_tools(doc, list, provider, tools, count, bytes, err))
        return false;
    *cursor = NULL;
    if (!next || doc->tokens[next].kind != JSON_STRING || *count >= MCP_TOOLS_MAX)
        return true;
    source = json_source(doc, next);
    *cursor = mcp_copy(source);
    return *cursor || err_set(err, ERR_MEMORY, "no memory for a cursor");
}
