#include <stdio.h>
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { TWINS_LOOKED_FOR = 256 }; /* each is compared with all above it */

static const char *const methods[] = {"GET",   "POST", "PUT",     "DELETE",
                                      "PATCH", "HEAD", "OPTIONS", NULL};
static const char *const capitalised[] = {"Get",   "Post", "Put",    "Delete",
                                          "Patch", "Head", "Options"};

const char *tool_method_name(enum tool_method m)
{
    return methods[m];
}

const char *tool_method_capitalised(enum tool_method m)
{
    return capitalised[m];
}

/* "GET", "get" and "Get", but not "gEt". */
static int method_of(const char *given)
{
    for (int i = 0; methods[i]; i++) {
        struct view v = view_str(given), upper = view_str(methods[i]);
        bool lower = true;

        if (view_eq(v, upper) || view_eq(v, view_str(capitalised[i])))
            return i;
        for (const char *c = given; *c; c++)
            lower = lower && *c >= 'a' && *c <= 'z';
        if (lower && view_eq_nocase(v, upper))
            return i;
    }
    return -1;
}

static bool read_method(struct manifest_reader *r, uint32_t token, void *into)
{
    char given[80];
    int i;

    (void)manifest_choice(r, token, methods, given);
    i = r->doc->tokens[token].kind == JSON_STRING ? method_of(given) : -1;
    if (i < 0)
        return manifest_refuse(r, token, "method",
                               "\"%s\" is none of: GET, POST, PUT, DELETE, "
                               "PATCH, HEAD, OPTIONS",
                               given);
    *(enum tool_method *)into = (enum tool_method)i;
    return true;
}

/* Kept as JSON text, with its keys in the order of the manifest. */
static bool read_schema(struct manifest_reader *r, uint32_t token, void *into)
{
    if (r->doc->tokens[token].kind != JSON_OBJECT)
        return manifest_refuse(r, token, "input_schema",
                               "must be a table: a JSON Schema, written as TOML");
    return manifest_copy(json_source(r->doc, token), into, r->err);
}

static bool read_format(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const formats[] = {"text", "json", "markdown_table", "raw", NULL};
    char given[80];
    int i = manifest_choice(r, token, formats, given);

    if (i < 0)
        return manifest_refuse(r, token, "format",
                               "\"%s\" is none of: text, json, markdown_table, raw", given);
    *(enum tool_format *)into = (enum tool_format)i;
    return true;
}

#define T(field) offsetof(struct tool, field)

const struct manifest_field manifest_response_fields[] = {
    FIELD("extract", TEXT, T(extract)),
    FIELD("format", OWN, T(format), .text = "text", .read = read_format),
    {0},
};

static bool read_response(struct manifest_reader *r, uint32_t token, void *into)
{
    return manifest_read_in(r, "response", token, manifest_response_fields, into);
}

/* clang-format off */
const struct manifest_field manifest_tool_fields[] = {
    FIELD("name", TEXT, T(name)),
    FIELD("description", TEXT, T(description)),
    FIELD("endpoint", TEXT, T(endpoint), .text = ""),
    FIELD("method", OWN, T(method), .text = "GET", .read = read_method),
    FIELD("scope", TEXT, T(scope)),
    FIELD("input_schema", OWN, T(schema), .read = read_schema),
    FIELD("response", OWN, 0, .read = read_response),
    FIELD("tags", TEXTS, T(tags)),
    FIELD("examples", TEXTS, T(examples)),
    FIELD("hint", TEXT, T(hint)),
    {0},
};
/* clang-format on */

static bool set(const char *text)
{
    return text && *text;
}

static bool default_scope(struct tool *t, struct err *err)
{
    size_t n = strlen(t->name) + sizeof "tool:";

    if (t->scope)
        return true;
    t->scope = malloc(n);
    if (!t->scope)
        return err_set(err, ERR_MEMORY, "no memory for a manifest");
    (void)snprintf(t->scope, n, "tool:%s", t->name);
    return true;
}

static bool read_tool(struct manifest_reader *r, uint32_t token, struct tool *t)
{
    t->provider = r->provider;
    if (!manifest_read(r, token, manifest_tool_fields, t))
        return false;
    if (!set(t->name))
        return manifest_refuse(r, token, "name", "is missing: every tool has one");
    if (t->description && !*t->description)
        manifest_warn(r, token, "description", "is empty: it is what a model chooses by");
    if (!t->description)
        return manifest_refuse(r, token, "description",
                               "is missing: it is what a model chooses by");
    if (t->scope && !*t->scope)
        manifest_warn(r, json_member(r->doc, token, "scope"), "scope",
                      "empty: anybody may call this tool");
    return r->provider->internal || default_scope(t, r->err);
}

static void warn_of_twins(struct manifest_reader *r, uint32_t token, const struct tool *t)
{
    for (const struct tool *other = r->provider->tools; other < t; other++)
        if (strcmp(other->name, t->name) == 0) {
            manifest_warn(r, token, "name",
                          "a tool of this name stands above; the last one counts");
            return;
        }
}

bool manifest_tools(struct manifest_reader *r, uint32_t token)
{
    struct tool_provider *p = r->provider;
    uint32_t at = json_first(token), n;

    if (!token)
        return true;
    n = r->doc->tokens[token].count;
    if (r->doc->tokens[token].kind != JSON_ARRAY)
        return manifest_refuse(r, token, "tools",
                               "must be an array of tables: [[tools]], not "
                               "[tools]");
    p->tools = calloc((size_t)n + 1, sizeof *p->tools);
    if (!p->tools)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    for (uint32_t i = 0; i < n; i++, at = r->doc->tokens[at].next) {
        (void)snprintf(r->where, sizeof r->where, "tools[%u].", i);
        p->tool_count = i + 1;
        if (!read_tool(r, at, &p->tools[i]))
            return false;
        if (n <= TWINS_LOOKED_FOR)
            warn_of_twins(r, at, &p->tools[i]);
        r->where[0] = '\0';
    }
    return true;
}

static bool implied_tool(struct tool_provider *p, struct err *err)
{
    struct tool *t = calloc(1, sizeof *t);

    if (!t)
        return err_set(err, ERR_MEMORY, "no memory for a manifest");
    p->tools = t;
    p->tool_count = 1;
    t->provider = p;
    return manifest_copy(view_str(p->name), &t->name, err) &&
           manifest_copy(view_str(p->description), &t->description, err) &&
           manifest_copy(VIEW(""), &t->endpoint, err) && default_scope(t, err);
}

bool manifest_complete(struct tool_provider *p, struct err *err)
{
    for (size_t n = p->base_url ? strlen(p->base_url) : 0; n && p->base_url[n - 1] == '/'; n--)
        p->base_url[n - 1] = '\0';
    if (!p->base_url && !manifest_copy(VIEW(""), &p->base_url, err))
        return false;
    if (!p->mcp_transport && !manifest_copy(VIEW("stdio"), &p->mcp_transport, err))
        return false;
    p->mcp_http = strcmp(p->mcp_transport, "http") == 0;
    if (p->handler == HANDLER_OPENAPI && p->openapi_spec) { /* the document's tools alone count */
        tools_free(p->tools, p->tool_count);
        p->tools = NULL;
        p->tool_count = 0;
    }
    if (p->handler == HANDLER_CLI && !p->tool_count) {
        free(p->tools);
        return implied_tool(p, err);
    }
    return p->handler != HANDLER_FILES || p->tool_count || manifest_file_tools(p, err);
}
