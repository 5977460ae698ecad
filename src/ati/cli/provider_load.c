/* load: a provider for a while (cache/providers/NAME.json), or for good (--save). */
#include <stdlib.h>

#include "ati/cli/provider.h"
#include "ati/cli/provider_probe.h"
#include "ati/keyring/keyring.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

enum {
    TTL_S_MAX = 366 * 24 * 3600,
    CACHED_BYTES_MAX = 128 * 1024 * 1024,
    KEY_BYTES = PROVIDER_NAME_BYTES_MAX + 16,
    WHEN_BYTES = 40,
    DESCRIPTION_BYTES = 192
};

struct load {
    const struct cli *cli;
    const struct cli_words *w;
    const char *name;
    uint64_t ttl_s;
    int64_t now_us;
    struct keyring *keyring;
    char until[WHEN_BYTES];
    /* what is found out */
    const char *auth; /* its type */
    const char *key;  /* of the keyring; NULL: none is needed */
    char key_made[KEY_BYTES];
    bool resolved;
    struct text_pairs env;
    struct buf cached, result;
};

static void member(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text)
        json_text(w, view_str(text));
    else
        json_null(w);
}

/* RFC 3339 with the offset, as the clients know it. */
static void when(int64_t wall_us, char out[static WHEN_BYTES])
{
    char text[CLOCK_RFC3339_US_BYTES];
    size_t n = strlen(clock_rfc3339_us(wall_us, text));

    (void)snprintf(out, WHEN_BYTES, "%.*s+00:00", (int)(n - 1), text);
}

static bool has_key(const struct load *l, struct view name)
{
    struct view value;

    return keyring_find(l->keyring, name, &value);
}

/* --- what stands in the cache ------------------------------------------------------------------- */

static void write_args(struct json_writer *w, const char *key, const struct cli_words *words,
                       const char *option)
{
    size_t count = 0;
    const char *const *given = option ? cli_values(words, option, &count) : NULL;

    json_key(w, key);
    json_array(w);
    for (size_t i = 0; i < count; i++)
        json_text(w, view_str(given[i]));
    json_array_end(w);
}

static void write_env(struct json_writer *w, const char *key, const struct text_pairs *env)
{
    json_key(w, key);
    json_object(w);
    for (size_t i = 0; i < env->count; i++)
        member(w, env->at[i].name, env->at[i].value);
    json_object_end(w);
}

struct kept { /* of a cached provider; NULL: null */
    const char *type, *base_url, *header, *query, *transport, *url, *command;
    struct view spec;
};

static bool write_cached(struct load *l, const struct kept *k, struct err *err)
{
    struct json_writer w;
    struct buf text;
    struct json_tree tree;
    char created[WHEN_BYTES];
    bool mcp = k->transport != NULL, good;

    buf_init(&text, CACHED_BYTES_MAX, "cached provider");
    when(l->now_us, created);
    json_begin(&w, &text);
    json_object(&w);
    member(&w, "name", l->name);
    member(&w, "provider_type", k->type);
    member(&w, "base_url", k->base_url);
    member(&w, "auth_type", l->auth);
    member(&w, "auth_key_name", l->key);
    member(&w, "auth_header_name", k->header);
    member(&w, "auth_query_name", k->query);
    json_key(&w, "spec_content");
    if (mcp)
        json_null(&w);
    else
        json_text(&w, k->spec);
    member(&w, "mcp_transport", k->transport);
    member(&w, "mcp_url", k->url);
    member(&w, "mcp_command", k->command);
    write_args(&w, "mcp_args", l->w, k->command ? "args" : NULL);
    write_env(&w, "mcp_env", &l->env);
    member(&w, "cli_command", NULL);
    write_args(&w, "cli_default_args", l->w, NULL);
    write_env(&w, "cli_env", &(struct text_pairs){0});
    member(&w, "cli_timeout_secs", NULL);
    member(&w, "auth", l->auth);
    write_args(&w, "skills", l->w, NULL);
    member(&w, "created_at", created);
    json_key(&w, "ttl_seconds");
    json_u64(&w, l->ttl_s);
    json_object_end(&w);
    good = json_end(&w, err) && json_load(buf_view(&text), OPENAPI_VALUES_MAX, &tree, err);
    if (good) {
        good = json_render(&tree.doc, 0, JSON_PRETTY, false, &l->cached, err);
        json_unload(&tree);
    }
    buf_done(&text);
    return good;
}

/* As it will be read, before it is written. */
static bool save_cached(struct load *l, struct tool_provider **out, struct err *err)
{
    char path[PROVIDER_PATH_BYTES];

    return provider_path(l->cli, "cache/providers", l->name, ".json", path, err) &&
           manifest_parse_cached(buf_view(&l->cached), path, out, err) &&
           provider_write(l->cli, "cache/providers", path, buf_view(&l->cached), err);
}

/* --- who may ask -------------------------------------------------------------------------------- */

/* --auth, else found; --auth-key, else made of the name. */
static bool choose_auth(struct load *l, enum manifest_auth found, struct err *err)
{
    static const enum manifest_auth known[] = {AUTH_NONE,  AUTH_BEARER, AUTH_HEADER,
                                               AUTH_QUERY, AUTH_BASIC,  AUTH_OAUTH2};
    const char *said = cli_value(l->w, "auth"), *key = cli_value(l->w, "auth-key");
    char shown[80];

    l->auth = NULL;
    for (size_t i = 0; said && i < sizeof known / sizeof *known; i++)
        if (strcmp(said, manifest_auth_name(known[i])) == 0)
            l->auth = manifest_auth_name(known[i]);
    if (said && !l->auth) {
        (void)text_escape(view_str(said), 64, shown, sizeof shown);
        return err_set(err, ERR_USAGE,
                       "Unknown auth type: %s (expected none, bearer, header, query, basic, or "
                       "oauth2)",
                       shown);
    }
    if (!said)
        l->auth = manifest_auth_name(found);
    l->key = NULL;
    l->resolved = true;
    if (strcmp(l->auth, "none") == 0)
        return true;
    (void)snprintf(l->key_made, sizeof l->key_made, "%s_api_key", l->name);
    l->key = key ? key : l->key_made;
    l->resolved = has_key(l, view_str(l->key));
    return true;
}

static void describe_auth(const char *auth, const char *header, const char *query,
                          char out[static DESCRIPTION_BYTES])
{
    const char *text = "No authentication required";

    if (strcmp(auth, "bearer") == 0)
        text = "HTTP Bearer token (Authorization header)";
    else if (strcmp(auth, "basic") == 0)
        text = "HTTP Basic authentication";
    else if (strcmp(auth, "oauth2") == 0)
        text = "OAuth2 client credentials";
    if (strcmp(auth, "header") == 0)
        (void)snprintf(out, DESCRIPTION_BYTES, "API key via header (%.100s)",
                       header ? header : "X-Api-Key");
    else if (strcmp(auth, "query") == 0)
        (void)snprintf(out, DESCRIPTION_BYTES, "API key via query parameter (%.100s)",
                       query ? query : "api_key");
    else
        (void)snprintf(out, DESCRIPTION_BYTES, "%s", text);
}

static void setup_command(struct json_writer *w, struct view key, const char *placeholder)
{
    char line[2 * PROVIDER_PATH_BYTES];

    (void)snprintf(line, sizeof line, "ati key set %.*s <your-%.*s>", VIEW_ARG(key),
                   placeholder ? (int)strlen(placeholder) : (int)key.len,
                   placeholder ? placeholder : (const char *)key.at);
    json_text(w, view_str(line));
}

/* --- OpenAPI ------------------------------------------------------------------------------------ */

static void odd(void *context, const char *text)
{
    log_event((struct log *)context, LOG_WARN, "openapi.odd", text);
}

/* What the tools are named after, and how they are reached. */
struct document {
    struct openapi *o;
    struct openapi_auth auth;
    size_t tools;
};

static bool tell_openapi(struct load *l, const struct document *d, const struct kept *k,
                         struct err *err)
{
    char description[DESCRIPTION_BYTES];
    struct json_writer w;

    describe_auth(l->auth, k->header, k->query, description);
    if (l->cli->format != CLI_JSON) {
        char span[32], line[PROVIDER_PATH_BYTES];

        provider_span(l->ttl_s, span);
        log_event(l->cli->log, LOG_INFO, "provider.loaded", "loaded OpenAPI provider",
                  F_STR("provider", l->name), F_U64("tools", d->tools), F_STR("cached", span),
                  F_STR("status", l->resolved ? "ready" : "needs_auth"));
        if (l->resolved)
            return true;
        (void)snprintf(line, sizeof line, "auth key not set — run: ati key set %s <your-api-key>",
                       l->key);
        log_event(l->cli->log, LOG_INFO, "provider.key_wanted", line, F_STR("auth", description),
                  F_STR("key", l->key));
        return true;
    }
    json_begin(&w, &l->result);
    json_object(&w);
    json_key(&w, "auth");
    json_object(&w);
    member(&w, "description", description);
    if (k->header)
        member(&w, "header_name", k->header);
    member(&w, "key_name", l->key);
    if (k->query)
        member(&w, "query_name", k->query);
    json_key(&w, "resolved");
    json_bool(&w, l->resolved);
    member(&w, "type", l->auth);
    json_object_end(&w);
    member(&w, "base_url", k->base_url);
    member(&w, "cached_until", l->until);
    member(&w, "name", l->name);
    member(&w, "provider_type", "openapi");
    json_key(&w, "setup_commands");
    json_array(&w);
    if (!l->resolved)
        setup_command(&w, view_str(l->key), "api-key");
    json_array_end(&w);
    member(&w, "status", l->resolved ? "ready" : "needs_auth");
    json_key(&w, "tools_count");
    json_u64(&w, d->tools);
    json_object_end(&w);
    return json_end(&w, err) && cli_show(l->cli, buf_view(&l->result), err);
}

static bool read_document(struct load *l, const char *spec, struct buf *text, struct document *d,
                          struct err *err)
{
    struct tool *tools = NULL;

    if (!provider_read_spec(l->cli, spec, text, err) ||
        !openapi_parse(buf_view(text), spec, &d->o, err) || !openapi_auth(d->o, &d->auth, err) ||
        !openapi_tools(d->o, l->name, NULL, odd, l->cli->log, &tools, &d->tools, err))
        return false;
    tools_free(tools, d->tools);
    return true;
}

static bool load_openapi(struct load *l, const char *spec, struct err *err)
{
    struct document d = {0};
    struct kept k = {.type = "openapi"};
    struct tool_provider *p = NULL;
    struct buf text;
    bool good;

    buf_init(&text, OPENAPI_BYTES_MAX, "OpenAPI document");
    good = read_document(l, spec, &text, &d, err) && choose_auth(l, d.auth.type, err);
    if (good) {
        k.base_url = openapi_about(d.o).base_url;
        k.header = cli_value(l->w, "auth-header");
        k.header = k.header ? k.header : d.auth.header_name;
        k.query = cli_value(l->w, "auth-query");
        k.query = k.query ? k.query : d.auth.query_name;
        k.spec = buf_view(&text);
        good = write_cached(l, &k, err) && save_cached(l, &p, err) && tell_openapi(l, &d, &k, err);
    }
    tool_provider_unref(p);
    openapi_auth_done(&d.auth);
    openapi_free(d.o);
    buf_done(&text);
    return good;
}

/* --- MCP ---------------------------------------------------------------------------------------- */

/* Keys that the environment refers to and the keyring has not. */
static bool keys_missing(const struct load *l)
{
    for (size_t i = 0; i < l->env.count; i++) {
        struct view key = provider_reference(l->env.at[i].value);

        if (key.len && !has_key(l, key))
            return true;
    }
    return false;
}

static const char *status_of(const struct load *l)
{
    if (keys_missing(l))
        return "needs_keys";
    return l->resolved ? "ready" : "needs_auth";
}

static void write_env_keys(struct json_writer *w, const struct load *l)
{
    bool some = false;

    for (size_t i = 0; i < l->env.count; i++) {
        struct view key = provider_reference(l->env.at[i].value);

        if (!key.len)
            continue;
        if (!some) {
            json_key(w, "env_vars");
            json_object(w);
        }
        some = true;
        json_key(w, l->env.at[i].name);
        json_object(w);
        json_key(w, "keyring_ref");
        json_text(w, key);
        json_key(w, "resolved");
        json_bool(w, has_key(l, key));
        json_object_end(w);
    }
    if (some)
        json_object_end(w);
}

static void write_probe(struct json_writer *w, const struct provider_probe *probe)
{
    member(w, "probe", probe->good ? "ok" : "failed");
    if (!probe->good) {
        json_key(w, "probe_error");
        json_text(w, buf_view(&probe->error));
    }
}

static void write_probe_tools(struct json_writer *w, const struct load *l,
                              const struct provider_probe *probe)
{
    if (!probe->good)
        return;
    json_key(w, "tools");
    json_array(w);
    for (size_t i = 0; i < probe->count; i++)
        json_text(w, view_str(probe->tools[i].name + strlen(l->name) + 1));
    json_array_end(w);
    json_key(w, "tools_count");
    json_u64(w, probe->count);
}

/* Each missing key once, though several variables want it. */
static void write_setup(struct json_writer *w, const struct load *l)
{
    json_key(w, "setup_commands");
    json_array(w);
    for (size_t i = 0; i < l->env.count; i++) {
        struct view key = provider_reference(l->env.at[i].value);
        bool again = false;

        for (size_t k = 0; k < i; k++)
            again |= view_eq(key, provider_reference(l->env.at[k].value));
        if (key.len && !again && !has_key(l, key))
            setup_command(w, key, NULL);
    }
    if (!l->resolved)
        setup_command(w, view_str(l->key), NULL);
    json_array_end(w);
}

static bool tell_mcp_json(struct load *l, const struct kept *k, const struct provider_probe *probe,
                          struct err *err)
{
    struct json_writer w;

    json_begin(&w, &l->result);
    json_object(&w);
    if (l->key) {
        json_key(&w, "auth");
        json_object(&w);
        member(&w, "key_name", l->key);
        json_key(&w, "resolved");
        json_bool(&w, l->resolved);
        member(&w, "type", l->auth);
        json_object_end(&w);
    }
    member(&w, "cached_until", l->until);
    if (k->command)
        member(&w, "command", k->command);
    write_env_keys(&w, l);
    member(&w, "name", l->name);
    write_probe(&w, probe);
    member(&w, "provider_type", "mcp");
    write_setup(&w, l);
    member(&w, "status", status_of(l));
    write_probe_tools(&w, l, probe);
    member(&w, "transport", k->transport);
    if (k->url)
        member(&w, "url", k->url);
    json_object_end(&w);
    return json_end(&w, err) && cli_show(l->cli, buf_view(&l->result), err);
}

static void tell_setup(const struct load *l)
{
    char command[PROVIDER_PATH_BYTES];

    for (size_t i = 0; i < l->env.count; i++) {
        struct view key = provider_reference(l->env.at[i].value);

        if (!key.len || has_key(l, key))
            continue;
        (void)snprintf(command, sizeof command, "ati key set %.*s <your-%.*s>", VIEW_ARG(key),
                       VIEW_ARG(key));
        log_event(l->cli->log, LOG_INFO, "provider.key_wanted", "setup required",
                  F_STR("command", command));
    }
    if (l->resolved)
        return;
    (void)snprintf(command, sizeof command, "ati key set %s <your-%s>", l->key, l->key);
    log_event(l->cli->log, LOG_INFO, "provider.key_wanted", "setup required",
              F_STR("command", command));
}

static void tell_tools(const struct load *l, const struct provider_probe *probe)
{
    struct buf names;
    bool good = true;

    buf_init(&names, LOG_TEXT_MAX, "names of tools");
    for (size_t i = 0; good && i < probe->count; i++)
        good = buf_appendf(&names, NULL, "%s%s", i ? ", " : "",
                           probe->tools[i].name + strlen(l->name) + 1);
    log_event(l->cli->log, LOG_INFO, "provider.discovered", "discovered tools",
              F_VIEW("tools", buf_view(&names)));
    buf_done(&names);
}

static void tell_mcp_text(const struct load *l, const struct kept *k,
                          const struct provider_probe *probe)
{
    char span[32];

    provider_span(l->ttl_s, span);
    if (probe->good) {
        log_event(l->cli->log, LOG_INFO, "provider.loaded", "loaded MCP provider",
                  F_STR("provider", l->name), F_STR("transport", k->transport),
                  F_U64("tools", probe->count), F_STR("cached", span),
                  F_STR("status", status_of(l)));
        tell_tools(l, probe);
    } else {
        log_event(l->cli->log, LOG_WARN, "provider.loaded", "loaded MCP provider (probe failed)",
                  F_STR("provider", l->name), F_STR("transport", k->transport),
                  F_VIEW("error", buf_view(&probe->error)), F_STR("cached", span),
                  F_STR("status", status_of(l)));
    }
    tell_setup(l);
}

static bool load_mcp(struct load *l, const char *transport, struct err *err)
{
    bool http = strcmp(transport, "http") == 0, good;
    struct kept k = {.type = "mcp",
                     .base_url = "",
                     .header = cli_value(l->w, "auth-header"),
                     .query = cli_value(l->w, "auth-query"),
                     .transport = transport,
                     .url = http ? cli_value(l->w, "url") : NULL,
                     .command = http ? NULL : cli_value(l->w, "command")};
    struct provider_probe probe = {0};
    struct tool_provider *p = NULL;

    if (!provider_transport_check(l->w, transport, err) || !choose_auth(l, AUTH_NONE, err) ||
        !provider_env_read(l->w, &l->env, err) || !write_cached(l, &k, err) ||
        !save_cached(l, &p, err))
        return false;
    good = provider_probe(l->cli, p, l->keyring, &probe, err);
    if (good && l->cli->format == CLI_JSON)
        good = tell_mcp_json(l, &k, &probe, err);
    else if (good)
        tell_mcp_text(l, &k, &probe);
    provider_probe_done(&probe);
    return good;
}

/* --- the command -------------------------------------------------------------------------------- */

static bool open_load(struct load *l, struct err *err)
{
    const struct keyring_source source = {
        .folder = l->cli->folder, .environment = l->cli->environment, .fall_through = true};
    const char *ttl = cli_value(l->w, "ttl");
    struct keyring_report report = {0};
    char shown[80];

    l->ttl_s = PROVIDER_TTL_S;
    if (ttl && (!text_u64(view_str(ttl), TTL_S_MAX, false, &l->ttl_s) || !l->ttl_s)) {
        (void)text_escape(view_str(ttl), 64, shown, sizeof shown);
        return err_set(err, ERR_USAGE, "Invalid --ttl: %s (expected seconds, 1 to %d)", shown,
                       TTL_S_MAX);
    }
    l->now_us = clock_wall_us(&clock_system);
    when(l->now_us + (int64_t)l->ttl_s * 1000000, l->until);
    return keyring_load(&source, &l->keyring, &report, err);
}

static bool load(struct load *l, const char *spec, struct err *err)
{
    bool good;

    buf_init(&l->cached, CACHED_BYTES_MAX, "cached provider");
    buf_init(&l->result, CACHED_BYTES_MAX, "what was loaded");
    good = open_load(l, err);
    if (good && cli_given(l->w, "mcp")) {
        const char *transport = cli_value(l->w, "transport");

        good = load_mcp(l, transport ? transport : "stdio", err);
    } else if (good) {
        good = load_openapi(l, spec, err);
    }
    provider_env_done(&l->env);
    keyring_unref(l->keyring);
    buf_done(&l->cached);
    buf_done(&l->result);
    return good;
}

/* For good: as import-openapi and add-mcp do. */
static bool save(const struct cli *cli, const struct cli_words *w, const char *spec,
                 const char *name, struct err *err)
{
    const struct provider_import import = {
        .spec = spec, .name = name, .key = cli_value(w, "auth-key")};
    const char *transport = cli_value(w, "transport");

    return spec ? provider_import(cli, &import, err)
                : provider_write_mcp(cli, w, name, transport ? transport : "stdio", err);
}

int provider_load(struct cli *cli, const struct cli_words *words)
{
    struct load l = {.cli = cli, .w = words, .name = cli_value(words, "name")};
    bool mcp = cli_given(words, "mcp");
    const char *spec = mcp || !words->count ? NULL : words->words[0];
    struct err err;
    bool good;

    if (!mcp && !spec)
        good = err_set(&err, ERR_USAGE,
                       "OpenAPI mode requires a spec path or URL. Use --mcp for MCP providers.");
    else if (!provider_name_check(l.name, &err))
        good = false;
    else if (cli_given(words, "save"))
        good = save(cli, words, spec, l.name, &err);
    else
        good = load(&l, spec, &err);
    return good ? 0 : cli_fail_err(cli, &err);
}
