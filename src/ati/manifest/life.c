/* How what manifest.h declares comes and goes. */
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"

#include "base/poison.h"

void texts_done(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->at[i]);
    free(t->at);
    *t = (struct texts){0};
}

void text_pairs_done(struct text_pairs *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->at[i].name);
        free(t->at[i].value);
    }
    free(t->at);
    *t = (struct text_pairs){0};
}

bool texts_add(struct texts *t, struct view text, struct err *err)
{
    char **more = realloc(t->at, (t->count + 1) * sizeof *more);

    if (!more)
        return err_set(err, ERR_MEMORY, "no memory for a text");
    t->at = more;
    if (!manifest_copy(text, &t->at[t->count], err))
        return false;
    t->count++;
    return true;
}

void tools_free(struct tool *tools, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tool *t = &tools[i];

        free(t->name);
        free(t->description);
        free(t->endpoint);
        free(t->scope);
        free(t->schema);
        free(t->extract);
        free(t->hint);
        texts_done(&t->tags);
        texts_done(&t->examples);
    }
    free(tools);
}

static void generator_free(struct generator *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->inject_count; i++) {
        free(g->injects[i].path);
        free(g->injects[i].name);
    }
    free(g->injects);
    free(g->command);
    free(g->interpreter);
    free(g->text);
    texts_done(&g->arguments);
    text_pairs_done(&g->environment);
    free(g);
}

static void destinations_free(struct tool_provider *p)
{
    for (size_t i = 0; i < p->upload_destination_count; i++) {
        struct upload_destination *d = &p->upload_destinations[i];

        free(d->key);
        free(d->kind);
        free(d->bucket);
        free(d->prefix);
        free(d->key_ref);
        free(d->endpoint);
    }
    free(p->upload_destinations);
    free(p->upload_default_destination);
}

static void openapi_parts_free(struct tool_provider *p)
{
    for (size_t i = 0; i < p->openapi_override_count; i++) {
        struct openapi_override *o = &p->openapi_overrides[i];

        free(o->operation);
        free(o->hint);
        free(o->description);
        free(o->scope);
        free(o->extract);
        free(o->format);
        texts_done(&o->tags);
        texts_done(&o->examples);
    }
    free(p->openapi_overrides);
    free(p->openapi_spec);
    texts_done(&p->openapi_include_tags);
    texts_done(&p->openapi_exclude_tags);
    texts_done(&p->openapi_include_operations);
    texts_done(&p->openapi_exclude_operations);
    free(p->spec_content);
}

static void cli_parts_free(struct tool_provider *p)
{
    for (size_t i = 0; i < p->cli_output_positional_count; i++)
        free(p->cli_output_positional[i].words);
    free(p->cli_output_positional);
    free(p->cli_command);
    texts_done(&p->cli_default_args);
    texts_done(&p->cli_output_args);
    text_pairs_done(&p->cli_env);
}

static void passthrough_parts_free(struct tool_provider *p)
{
    free(p->passthrough.host_match);
    free(p->passthrough.path_prefix);
    free(p->passthrough.replace_from);
    free(p->passthrough.replace_to);
    free(p->passthrough.host_override);
    texts_done(&p->passthrough.deny_paths);
    texts_done(&p->passthrough.forward_authorization_paths);
}

static void provider_free(struct tool_provider *p)
{
    char *texts[] = {
        p->name,
        p->description,
        p->base_url,
        p->auth_key_name,
        p->auth_header_name,
        p->auth_query_name,
        p->auth_value_prefix,
        p->auth_secret_name,
        p->oauth2_token_url,
        p->category,
        p->mcp_transport,
        p->mcp_command,
        p->mcp_url,
        p->mcp_url_env,
        p->handler_text,
        p->path,
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    text_pairs_done(&p->extra_headers);
    texts_done(&p->skills);
    texts_done(&p->mcp_args);
    text_pairs_done(&p->mcp_env);
    generator_free(p->generator);
    destinations_free(p);
    openapi_parts_free(p);
    cli_parts_free(p);
    passthrough_parts_free(p);
    tools_free(p->tools, p->tool_count);
    free(p);
}

bool manifest_provider_new(struct tool_provider **out, struct err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_set(err, ERR_MEMORY, "no memory for a manifest");
    (*out)->references = 1;
    return true;
}

struct tool_provider *tool_provider_ref(struct tool_provider *p)
{
    (void)__atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
    return p;
}

void tool_provider_unref(struct tool_provider *p)
{
    if (p && __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL) == 0)
        provider_free(p);
}

void manifest_set_free(struct manifest_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        tool_provider_unref(set->providers[i]);
    free(set->providers);
    *set = (struct manifest_set){0};
}
