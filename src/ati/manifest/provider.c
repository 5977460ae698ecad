#include <stdio.h>
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"
#include "base/text.h"

#include "base/poison.h"

static const char *const handlers[] = {"http",         "mcp",         "openapi", "cli",
                                       "file_manager", "passthrough", NULL};
static const char *const auths[] = {"none",  "bearer", "header", "query",
                                    "basic", "oauth2", "url",    NULL};

const char *manifest_handler_name(enum manifest_handler h)
{
    return handlers[h];
}

const char *manifest_auth_name(enum manifest_auth a)
{
    return auths[a];
}

const char *manifest_handler_shown(const struct tool_provider *p)
{
    return p->handler_text ? p->handler_text : manifest_handler_name(p->handler);
}

/* --- fields of their own --- */

/* An unknown one behaves like http. */
static bool read_handler(struct manifest_reader *r, uint32_t token, void *into)
{
    enum manifest_handler *out = into;
    char given[80];
    int i = manifest_choice(r, token, handlers, given);
    const char *near;

    if (r->doc->tokens[token].kind != JSON_STRING)
        return manifest_refuse(r, token, "handler",
                               "must be a text, one of: http, mcp, openapi, "
                               "cli, file_manager, passthrough");
    *out = i < 0 ? HANDLER_HTTP : (enum manifest_handler)i;
    if (i >= 0)
        return true;
    if (!manifest_text(r, token, "handler", &r->provider->handler_text))
        return false;
    near = manifest_nearest(view_str(given), handlers);
    manifest_warn(r, token, "handler", "\"%s\" is none, and treated as http; did you mean %s?",
                  given, near ? near : "http");
    return true;
}

static bool read_auth(struct manifest_reader *r, uint32_t token, void *into)
{
    char given[80];
    int i = manifest_choice(r, token, auths, given);
    const char *near;

    if (i < 0) {
        near = manifest_nearest(view_str(given), auths);
        return manifest_refuse(r, token, "auth_type",
                               "\"%s\" is none of: none, bearer, header, query, basic, oauth2, "
                               "url%s%s%s",
                               given, near ? "; did you mean " : "", near ? near : "",
                               near ? "?" : "");
    }
    *(enum manifest_auth *)into = (enum manifest_auth)i;
    return true;
}

static bool read_transport(struct manifest_reader *r, uint32_t token, void *into)
{
    static const char *const known[] = {"stdio", "http", NULL};
    char given[80], **out = into;

    if (manifest_choice(r, token, known, given) < 0 && r->doc->tokens[token].kind == JSON_STRING)
        manifest_warn(r, token, "mcp_transport", "\"%s\" is neither stdio nor http: calls fail",
                      given);
    return manifest_text(r, token, "mcp_transport", out);
}

static bool read_replace(struct manifest_reader *r, uint32_t token, void *into)
{
    struct texts two = {0};
    bool good;

    (void)into;
    if (!manifest_texts(r, token, "path_replace", &two)) {
        texts_done(&two);
        return false;
    }
    good = two.count == 2 ||
           manifest_refuse(r, token, "path_replace", "must be two texts: [\"/from\", \"/to\"]");
    if (good) {
        r->provider->passthrough.replace_from = take(two.at[0]);
        r->provider->passthrough.replace_to = take(two.at[1]);
    }
    texts_done(&two);
    return good;
}

static bool position(struct manifest_reader *r, const char *key, uint32_t value, void *context)
{
    struct tool_provider *p = context;
    struct output_position *at = &p->cli_output_positional[p->cli_output_positional_count];
    int64_t index;

    if (!json_integer(r->doc, value, &index) || index < 0)
        return manifest_refuse(r, value, "",
                               "must be a whole number that is not negative: where "
                               "behind these words the output path stands");
    if (!manifest_copy(view_str(key), &at->words, r->err))
        return false;
    at->index = (uint64_t)index;
    p->cli_output_positional_count++;
    return true;
}

static bool read_positional(struct manifest_reader *r, uint32_t token, void *into)
{
    struct tool_provider *p = r->provider;

    (void)into;
    p->cli_output_positional =
        calloc(r->doc->tokens[token].count + 1, sizeof *p->cli_output_positional);
    if (!p->cli_output_positional)
        return err_set(r->err, ERR_MEMORY, "no memory for a manifest");
    return manifest_each(r, "cli_output_positional", token, position, p);
}

/* --- the table of the table --- */

#define P(field) offsetof(struct tool_provider, field)

/* clang-format off */
const struct manifest_field manifest_provider_fields[] = {
    FIELD("name", TEXT, P(name)),
    FIELD("description", TEXT, P(description)),
    FIELD("handler", OWN, P(handler), .text = "http", .read = read_handler),
    FIELD("base_url", TEXT, P(base_url), FOR_WEB, .text = ""),
    FIELD("auth_type", OWN, P(auth), .text = "none", .read = read_auth),
    FIELD("auth_key_name", TEXT, P(auth_key_name), FOR_CREDENTIALS),
    FIELD("auth_header_name", TEXT, P(auth_header_name), FOR_CREDENTIALS),
    FIELD("auth_query_name", TEXT, P(auth_query_name), FOR_WEB),
    FIELD("auth_value_prefix", TEXT, P(auth_value_prefix), FOR_CREDENTIALS),
    FIELD("auth_secret_name", TEXT, P(auth_secret_name), FOR_HTTP | FOR_OPENAPI),
    FIELD("oauth2_token_url", TEXT, P(oauth2_token_url), FOR_HTTP | FOR_OPENAPI),
    FIELD("oauth2_basic_auth", BOOL, P(oauth2_basic_auth), FOR_HTTP | FOR_OPENAPI),
    FIELD("extra_headers", PAIRS, P(extra_headers), FOR_CREDENTIALS),
    FIELD("internal", BOOL, P(internal)),
    FIELD("private_network", BOOL, P(private_network), FOR_CREDENTIALS),
    FIELD("category", TEXT, P(category)),
    FIELD("skills", TEXTS, P(skills)),
    FIELD("auth_generator", OWN, P(generator), FOR_HTTP | FOR_OPENAPI | FOR_MCP | FOR_CLI, .read = manifest_generator),
    FIELD("mcp_transport", OWN, P(mcp_transport), FOR_MCP, .text = "stdio", .read = read_transport),
    FIELD("mcp_command", TEXT, P(mcp_command), FOR_MCP),
    FIELD("mcp_args", TEXTS, P(mcp_args), FOR_MCP),
    FIELD("mcp_env", PAIRS, P(mcp_env), FOR_MCP),
    FIELD("mcp_url", TEXT, P(mcp_url), FOR_MCP),
    FIELD("mcp_url_env", TEXT, P(mcp_url_env), FOR_MCP),
    FIELD("cli_command", TEXT, P(cli_command), FOR_CLI),
    FIELD("cli_default_args", TEXTS, P(cli_default_args), FOR_CLI),
    FIELD("cli_env", PAIRS, P(cli_env), FOR_CLI),
    FIELD("cli_timeout_secs", COUNT, P(cli_timeout_s), FOR_CLI, 120),
    FIELD("cli_output_args", TEXTS, P(cli_output_args), FOR_CLI),
    FIELD("cli_output_positional", OWN, P(cli_output_positional), FOR_CLI, .read = read_positional),
    FIELD("upload_destinations", OWN, P(upload_destinations), FOR_FILES, .read = manifest_destinations),
    FIELD("upload_default_destination", TEXT, P(upload_default_destination), FOR_FILES),
    FIELD("openapi_spec", TEXT, P(openapi_spec), FOR_OPENAPI),
    FIELD("openapi_include_tags", TEXTS, P(openapi_include_tags), FOR_OPENAPI),
    FIELD("openapi_exclude_tags", TEXTS, P(openapi_exclude_tags), FOR_OPENAPI),
    FIELD("openapi_include_operations", TEXTS, P(openapi_include_operations), FOR_OPENAPI),
    FIELD("openapi_exclude_operations", TEXTS, P(openapi_exclude_operations), FOR_OPENAPI),
    FIELD("openapi_max_operations", COUNT, P(openapi_max_operations), FOR_OPENAPI),
    FIELD("openapi_overrides", OWN, P(openapi_overrides), FOR_OPENAPI, .read = manifest_overrides),
    FIELD("host_match", TEXT, P(passthrough.host_match), FOR_PASSTHROUGH),
    FIELD("path_prefix", TEXT, P(passthrough.path_prefix), FOR_PASSTHROUGH),
    FIELD("strip_prefix", BOOL, P(passthrough.strip_prefix), FOR_PASSTHROUGH, true),
    FIELD("path_replace", OWN, P(passthrough), FOR_PASSTHROUGH, .read = read_replace),
    FIELD("host_override", TEXT, P(passthrough.host_override), FOR_PASSTHROUGH),
    FIELD("forward_websockets", BOOL, P(passthrough.forward_websockets), FOR_PASSTHROUGH),
    FIELD("deny_paths", TEXTS, P(passthrough.deny_paths), FOR_PASSTHROUGH),
    FIELD("forward_authorization_paths", TEXTS, P(passthrough.forward_authorization_paths), FOR_PASSTHROUGH),
    FIELD("connect_timeout_seconds", COUNT, P(passthrough.connect_timeout_s), FOR_PASSTHROUGH, 5),
    FIELD("read_timeout_seconds", COUNT, P(passthrough.read_timeout_s), FOR_PASSTHROUGH, 300),
    FIELD("idle_timeout_seconds", COUNT, P(passthrough.idle_timeout_s), FOR_PASSTHROUGH, 60),
    FIELD("max_request_bytes", COUNT, P(passthrough.max_request_bytes), FOR_PASSTHROUGH, 104857600),
    FIELD("max_response_bytes", COUNT, P(passthrough.max_response_bytes), FOR_PASSTHROUGH, 524288000),
    {0},
};
/* clang-format on */

/* --- what a provider must be --- */

static bool set(const char *text)
{
    return text && *text;
}

static bool invalid(const char *name, struct err *err, const char *reason, const char *detail)
{
    (void)err_set(err, ERR_CONFIG, "%s%s", reason, detail);
    return err_in(err, "Manifest %s is invalid", name);
}

static bool passthrough_good(struct tool_provider *p, const char *name, struct err *err)
{
    char given[200];
    char *prefix = p->passthrough.path_prefix;

    if (!set(p->base_url))
        return invalid(name, err, "passthrough provider requires non-empty base_url", "");
    if (!p->passthrough.host_match && !prefix)
        return invalid(name, err,
                       "passthrough provider requires at least one of host_match or path_prefix",
                       "");
    if (prefix && *prefix != '/') {
        (void)snprintf(given, sizeof given, "%s')", prefix);
        return invalid(name, err, "passthrough path_prefix must start with '/' (got: '", given);
    }
    for (size_t n = prefix ? strlen(prefix) : 0; n > 1 && prefix[n - 1] == '/'; n--)
        prefix[n - 1] = '\0';
    if (p->passthrough.host_match && !*p->passthrough.host_match)
        return invalid(name, err, "passthrough host_match must be non-empty when set", "");
    if (p->passthrough.forward_websockets && strncmp(p->base_url, "http://", 7) != 0 &&
        strncmp(p->base_url, "https://", 8) != 0)
        return invalid(name, err,
                       "forward_websockets requires base_url to use http:// or https:// (proxy "
                       "derives ws/wss automatically); got: ",
                       p->base_url);
    if (p->passthrough.replace_from && *p->passthrough.replace_from != '/') {
        (void)snprintf(given, sizeof given, "%s')", p->passthrough.replace_from);
        return invalid(name, err, "passthrough path_replace source must start with '/' (got: '",
                       given);
    }
    return true;
}

static bool default_destination_good(const struct tool_provider *p, const char *name,
                                     struct err *err)
{
    char text[200];

    if (!p->upload_default_destination)
        return true;
    for (size_t i = 0; i < p->upload_destination_count; i++)
        if (strcmp(p->upload_destinations[i].key, p->upload_default_destination) == 0)
            return true;
    (void)snprintf(text, sizeof text, "%s' is not present in [provider.upload_destinations]",
                   p->upload_default_destination);
    return invalid(name, err, "upload_default_destination '", text);
}

static bool is_variable(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t len = strlen(name);

    return len && strspn(name, letters) == len && (*name < '0' || *name > '9');
}

static bool url_variable_good(const struct tool_provider *p, const char *name, struct err *err)
{
    const char *transport = p->mcp_transport ? p->mcp_transport : "stdio";
    char text[240];

    if (!p->mcp_url_env)
        return true;
    if (!text_trim(view_str(p->mcp_url_env)).len)
        return invalid(name, err, "mcp_url_env must not be empty when set", "");
    if (!is_variable(p->mcp_url_env)) {
        (void)snprintf(text, sizeof text, "%.128s' is not a valid POSIX env var name",
                       p->mcp_url_env);
        return invalid(name, err, "mcp_url_env '", text);
    }
    if (p->handler == HANDLER_MCP && strcmp(transport, "http") == 0)
        return true;
    (void)snprintf(text, sizeof text, "(got handler = \"%.80s\", transport = \"%.80s\")",
                   manifest_handler_shown(p), transport);
    return invalid(name, err,
                   "mcp_url_env requires handler = \"mcp\" and mcp_transport = \"http\" ", text);
}

static bool good_provider(struct tool_provider *p, const char *name, struct err *err)
{
    if (!url_variable_good(p, name, err))
        return false;
    if (p->handler == HANDLER_FILES)
        return default_destination_good(p, name, err);
    return p->handler != HANDLER_PASSTHROUGH || passthrough_good(p, name, err);
}

/* --- a whole manifest --- */

static bool wanted(struct manifest_reader *r, uint32_t token, const char *field, const char *value)
{
    return set(value) || manifest_refuse(r, token, field, "is missing: every provider has one");
}

/* Where a scheme was forgotten every call would fail, and not say which line to mend. One that begins with a placeholder may have it there. */
static void look_at_url(struct manifest_reader *r, uint32_t token, const char *name,
                        const char *value)
{
    static const char *const good[] = {"http://", "https://", "${"};
    char shown[80];

    if (!set(value))
        return;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (strncasecmp(value, good[i], strlen(good[i])) == 0)
            return;
    (void)snprintf(shown, sizeof shown, "provider.%s", name);
    manifest_warn(r, json_member(r->doc, token, name), shown,
                  "begins with neither http:// nor https://: calls fail");
}

static bool read_provider(struct manifest_reader *r, uint32_t token)
{
    struct tool_provider *p = r->provider;
    uint32_t handler = json_member(r->doc, token, "handler");
    manifest_warning *warn = r->warn;

    if (!token)
        return manifest_refuse(r, 0, "provider",
                               "is missing: a manifest begins with a [provider] table");
    r->warn = NULL; /* told when its turn comes; the others must know who they are for */
    if (handler && r->doc->tokens[handler].kind == JSON_STRING &&
        !read_handler(r, handler, &p->handler))
        return false;
    r->warn = warn;
    if (!manifest_read_in(r, "provider", token, manifest_provider_fields, p))
        return false;
    if (p->description && !*p->description)
        manifest_warn(r, token, "provider.description", "is empty");
    if (p->handler == HANDLER_HTTP || p->handler == HANDLER_OPENAPI)
        look_at_url(r, token, "base_url", p->base_url);
    if (p->handler == HANDLER_MCP && p->mcp_transport && strcmp(p->mcp_transport, "http") == 0)
        look_at_url(r, token, "mcp_url", p->mcp_url);
    if (p->name && !*p->name)
        manifest_warn(r, token, "provider.name", "is empty");
    return (p->name || wanted(r, token, "provider.name", NULL)) &&
           (p->description || wanted(r, token, "provider.description", NULL));
}

static bool read_manifest(struct manifest_reader *r)
{
    static const char *const known[] = {"provider", "tools", NULL};
    uint32_t at = json_first(0);

    for (uint32_t i = 0; i < r->doc->tokens[0].count; i++, at = r->doc->tokens[at + 1].next) {
        struct view key = json_span(r->doc, at);
        const char *near = manifest_nearest(key, known);
        char shown[80];

        if (view_eq(key, VIEW("provider")) || view_eq(key, VIEW("tools")))
            continue;
        (void)text_escape(key, 48, shown, sizeof shown);
        manifest_warn(r, at, shown, "unknown table, ignored%s%s%s", near ? "; did you mean " : "",
                      near ? near : "", near ? "?" : "");
    }
    return read_provider(r, json_member(r->doc, 0, "provider")) &&
           manifest_tools(r, json_member(r->doc, 0, "tools"));
}

/* The document as JSON, with the line of each token. */
struct document {
    struct buf json;
    struct json_tree tree;
    uint32_t *lines;
};

static void document_done(struct document *d)
{
    json_unload(&d->tree);
    free(d->lines);
    buf_done(&d->json);
}

static bool read_document(struct view toml, struct document *d, struct err *err)
{
    size_t lines;

    return toml_to_json(toml, &d->json, &d->lines, &lines, err) &&
           json_load_loose(buf_view(&d->json), MANIFEST_VALUES_MAX, &d->tree, err);
}

bool manifest_parse(struct view toml, const char *name, manifest_warning *warn, void *context,
                    struct tool_provider **out, struct err *err)
{
    CLEANUP(tool_provider_unref_cleanup) struct tool_provider *p = NULL;
    struct document d = {0};
    struct manifest_reader r = {
        .doc = &d.tree.doc, .file = name, .warn = warn, .context = context, .err = err};
    bool good;

    if (!manifest_provider_new(&p, err) || !manifest_copy(view_str(name), &p->path, err))
        return false;
    buf_init(&d.json, (size_t)2 * MANIFEST_BYTES_MAX, "manifest as JSON");
    if (!read_document(toml, &d, err)) {
        document_done(&d);
        return err_in(err, "Failed to parse manifest %s", name);
    }
    r.provider = p;
    r.lines = d.lines;
    good = read_manifest(&r) && good_provider(p, name, err) && manifest_complete(p, err);
    document_done(&d);
    if (good)
        *out = take(p);
    return good;
}
