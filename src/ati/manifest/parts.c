/* The tables inside [provider]: auth_generator, upload_destinations, openapi_overrides. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"
#include "base/text.h"

#include "base/poison.h"

/* --- auth_generator --- */

static bool read_type(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const types[] = {"command", "script", NULL};
    char given[80];
    int i = manifest_choice(r, token, types, given);

    if (i < 0)
        return manifest_refuse(r, token, "type", "\"%s\" is none of: command, script", given);
    *(bool *)into = i == 1;
    return true;
}

static bool read_output(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const formats[] = {"text", "json", NULL};
    char given[80];
    int i = manifest_choice(r, token, formats, given);

    if (i < 0)
        return manifest_refuse(r, token, "output_format", "\"%s\" is none of: text, json", given);
    *(bool *)into = i == 1;
    return true;
}

static bool read_place(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const places[] = {"primary", "header", "env", "query", NULL};
    char given[80];
    int i = manifest_choice(r, token, places, given);

    if (r->doc->tokens[token].kind != JSON_STRING)
        return manifest_refuse(r, token, "type", "must be a text, one of: header, env, query");
    if (i < 0)
        manifest_warn(r, token, "type",
                      "\"%s\" is none of header, env, query; the value is the "
                      "credential itself",
                      given);
    *(enum generator_place *)into = i < 0 ? GENERATOR_PRIMARY : (enum generator_place)i;
    return true;
}

#define I(field) offsetof(struct generator_inject, field)
const struct manifest_field manifest_inject_fields[] = {
    FIELD("type", OWN, I(place), .read = read_place),
    FIELD("name", TEXT, I(name)),
    {0},
};

static bool inject(struct manifest_reader *r, const char *key, uint32_t value, void *context)
{
    struct generator *g = context;
    struct generator_inject *in = &g->injects[g->inject_count];
    uint32_t type = json_member(r->doc, value, "type");

    if (!manifest_copy(view_str(key), &in->path, r->err))
        return false;
    g->inject_count++;
    if (r->doc->tokens[value].kind == JSON_OBJECT &&
        (!type || r->doc->tokens[type].kind == JSON_OBJECT))
        return manifest_refuse(r, value, "type",
                               "is missing: \"header\", \"env\" or \"query\" (a path of several "
                               "names is one quoted key: inject.\"data.token\")");
    if (!manifest_read(r, value, manifest_inject_fields, in))
        return false;
    return in->name || in->place == GENERATOR_PRIMARY ||
           manifest_refuse(r, value, "name", "is missing: of the header, variable or parameter");
}

static bool read_injects(struct manifest_reader *r, uint32_t token, void *into)
{
    struct generator *g = r->provider->generator;

    (void)into;
    g->injects = calloc(r->doc->tokens[token].count + 1, sizeof *g->injects);
    if (!g->injects)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    return manifest_each(r, "inject", token, inject, g);
}

#define G(field) offsetof(struct generator, field)
/* clang-format off */
const struct manifest_field manifest_generator_fields[] = {
    FIELD("type", OWN, G(script), .read = read_type),
    FIELD("command", TEXT, G(command)),
    FIELD("args", TEXTS, G(arguments)),
    FIELD("interpreter", TEXT, G(interpreter)),
    FIELD("script", TEXT, G(text)),
    FIELD("env", PAIRS, G(environment)),
    FIELD("cache_ttl_secs", COUNT, G(cache_ttl_s)),
    FIELD("output_format", OWN, G(json), .text = "text", .read = read_output),
    FIELD("inject", OWN, G(injects), .read = read_injects),
    FIELD("timeout_secs", COUNT, G(timeout_s), .initial = 30),
    {0},
};
/* clang-format on */

bool manifest_generator(struct manifest_reader *r, uint32_t token, void *into)
{
    struct generator *g = calloc(1, sizeof *g);

    (void)into;
    if (!g)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    r->provider->generator = g;
    if (!manifest_read_in(r, "auth_generator", token, manifest_generator_fields, g))
        return false;
    if (!json_member(r->doc, token, "type"))
        return manifest_refuse(r, token, "auth_generator.type", "is missing: command or script");
    if (!g->script && !(g->command && *g->command))
        return manifest_refuse(r, token, "auth_generator.command",
                               "is missing: the program to start");
    if (g->script && !(g->interpreter && *g->interpreter))
        return manifest_refuse(r, token, "auth_generator.interpreter",
                               "is missing: what runs the script, such as \"bash\"");
    if (g->script && !(g->text && *g->text))
        return manifest_refuse(r, token, "auth_generator.script", "is missing: the script's text");
    return true;
}

/* --- upload_destinations --- */

static bool read_kind(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const kinds[] = {"gcs", "fal_storage", NULL};
    char given[80];

    if (manifest_choice(r, token, kinds, given) < 0)
        return manifest_refuse(r, token, "kind", "\"%s\" is none of: gcs, fal_storage", given);
    return manifest_text(r, token, "kind", into);
}

#define D(field) offsetof(struct upload_destination, field)
const struct manifest_field manifest_destination_fields[] = {
    FIELD("kind", OWN, D(kind), .read = read_kind),
    FIELD("bucket", TEXT, D(bucket)),
    FIELD("prefix", TEXT, D(prefix)),
    FIELD("key_ref", TEXT, D(key_ref)),
    FIELD("endpoint", TEXT, D(endpoint)),
    {0},
};

static bool destination(struct manifest_reader *r, const char *key, uint32_t value, void *context)
{
    struct tool_provider *p = context;
    struct upload_destination *d = &p->upload_destinations[p->upload_destination_count];

    if (!manifest_copy(view_str(key), &d->key, r->err))
        return false;
    p->upload_destination_count++;
    if (!manifest_read(r, value, manifest_destination_fields, d))
        return false;
    if (!d->kind)
        return manifest_refuse(r, value, "kind", "is missing: gcs or fal_storage");
    if (strcmp(d->kind, "gcs") == 0 && !(d->bucket && *d->bucket))
        return manifest_refuse(r, value, "bucket", "is missing: kind \"gcs\" stores in one");
    return true;
}

bool manifest_destinations(struct manifest_reader *r, uint32_t token, void *into)
{
    struct tool_provider *p = r->provider;

    (void)into;
    p->upload_destinations =
        calloc(r->doc->tokens[token].count + 1, sizeof *p->upload_destinations);
    if (!p->upload_destinations)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    return manifest_each(r, "upload_destinations", token, destination, p);
}

/* --- openapi_overrides --- */

#define O(field) offsetof(struct openapi_override, field)

static bool read_format(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const formats[] = {"text", "json", "markdown_table", "raw", NULL};
    char given[80];

    if (manifest_choice(r, token, formats, given) < 0)
        return manifest_refuse(r, token, "response_format",
                               "\"%s\" is none of: text, json, markdown_table, raw", given);
    return manifest_text(r, token, "response_format", into);
}

/* clang-format off */
const struct manifest_field manifest_override_fields[] = {
    FIELD("hint", TEXT, O(hint)),
    FIELD("tags", TEXTS, O(tags)),
    FIELD("examples", TEXTS, O(examples)),
    FIELD("description", TEXT, O(description)),
    FIELD("scope", TEXT, O(scope)),
    FIELD("response_extract", TEXT, O(extract)),
    FIELD("response_format", OWN, O(format), .read = read_format),
    {0},
};
/* clang-format on */

static bool override(struct manifest_reader *r, const char *key, uint32_t value, void *context)
{
    struct tool_provider *p = context;
    struct openapi_override *o = &p->openapi_overrides[p->openapi_override_count];

    if (!manifest_copy(view_str(key), &o->operation, r->err))
        return false;
    p->openapi_override_count++;
    return manifest_read(r, value, manifest_override_fields, o);
}

bool manifest_overrides(struct manifest_reader *r, uint32_t token, void *into)
{
    struct tool_provider *p = r->provider;

    (void)into;
    p->openapi_overrides = calloc(r->doc->tokens[token].count + 1, sizeof *p->openapi_overrides);
    if (!p->openapi_overrides)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    return manifest_each(r, "openapi_overrides", token, override, p);
}
