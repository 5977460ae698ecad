/* Providers that were loaded for a while: JSON with the fields of a manifest, and when they end. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"
#include "base/clock.h"

#include "base/poison.h"

static const char *const kept[] = {
    "name",
    "base_url",
    "auth_type",
    "auth_key_name",
    "auth_header_name",
    "auth_query_name",
    "mcp_transport",
    "mcp_url",
    "mcp_command",
    "mcp_args",
    "mcp_env",
    "cli_command",
    "cli_default_args",
    "cli_env",
    "cli_timeout_secs",
    "skills",
};

/* Fields of manifests that stand in cached providers, too; ends with a name of NULL. */
static void fields_of(struct manifest_field *out)
{
    size_t n = 0;

    for (const struct manifest_field *f = manifest_provider_fields; f->name; f++)
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if (strcmp(f->name, kept[i]) == 0)
                out[n++] = *f;
    out[n] = (struct manifest_field){0};
}

static bool type_of(struct manifest_reader *r, struct tool_provider *p)
{
    uint32_t token = json_member(r->doc, 0, "provider_type");
    char type[16];

    if (!token || !json_string(r->doc, token, type, sizeof type))
        return manifest_refuse(r, 0, "provider_type", "is missing: openapi, mcp or cli");
    if (strcmp(type, "openapi") == 0)
        p->handler = HANDLER_OPENAPI;
    else if (strcmp(type, "mcp") == 0)
        p->handler = HANDLER_MCP;
    else if (strcmp(type, "cli") == 0)
        p->handler = HANDLER_CLI;
    else
        return manifest_refuse(r, token, "provider_type", "is none of: openapi, mcp, cli");
    return true;
}

/* A time that is none has ended long ago; a file without one is not what we take it for, and is not ours to remove. */
static bool expiry(struct manifest_reader *r, int64_t *out)
{
    uint32_t created = json_member(r->doc, 0, "created_at"),
             ttl = json_member(r->doc, 0, "ttl_seconds");
    int64_t since, seconds;

    if (!created || r->doc->tokens[created].kind != JSON_STRING)
        return manifest_refuse(r, created, "created_at", "is missing: a time as in RFC 3339");
    if (!ttl || !json_integer(r->doc, ttl, &seconds) || seconds < 0)
        return manifest_refuse(r, ttl, "ttl_seconds",
                               "must be a whole number that is not negative");
    if (!clock_rfc3339_parse(json_span(r->doc, created), &since))
        *out = INT64_MIN;
    else
        *out = seconds > INT64_MAX - since ? INT64_MAX : since + seconds;
    return true;
}

static bool describe(struct tool_provider *p, struct err *err)
{
    size_t n = strlen(p->name) + sizeof " (cached)";

    p->description = malloc(n);
    if (!p->description)
        return err_set(err, ERR_MEMORY, "no memory for a manifest");
    (void)snprintf(p->description, n, "%s (cached)", p->name);
    return true;
}

static bool read_cached(struct manifest_reader *r)
{
    struct manifest_field fields[sizeof kept / sizeof *kept + 1];
    struct tool_provider *p = r->provider;
    uint32_t spec;

    if (r->doc->tokens[0].kind != JSON_OBJECT)
        return manifest_refuse(r, 0, "provider", "must be an object");
    fields_of(fields);
    if (!type_of(r, p) || !manifest_read(r, 0, fields, p))
        return false;
    if (!p->name || !*p->name)
        return manifest_refuse(r, 0, "name", "is missing: every provider has one");
    spec = json_member(r->doc, 0, "spec_content");
    if (spec && r->doc->tokens[spec].kind != JSON_NULL &&
        !manifest_text(r, spec, "spec_content", &p->spec_content))
        return false;
    p->cached = true;
    return expiry(r, &p->expires_s) && describe(p, r->err) && manifest_complete(p, r->err);
}

bool manifest_parse_cached(struct view json, const char *name, struct tool_provider **out,
                           struct err *err)
{
    CLEANUP(tool_provider_unref_cleanup) struct tool_provider *p = NULL;
    struct json_tree tree;
    bool good;

    if (!manifest_provider_new(&p, err) || !manifest_copy(view_str(name), &p->path, err))
        return false;
    if (!json_load(json, MANIFEST_VALUES_MAX, &tree, err))
        return err_in(err, "Failed to parse cached provider %s", name);
    good = read_cached(
        &(struct manifest_reader){.doc = &tree.doc, .file = name, .provider = p, .err = err});
    json_unload(&tree);
    if (good)
        *out = take(p);
    return good;
}
