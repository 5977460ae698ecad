/* manifest: what providers and tools there are: files of TOML (manifests/NAME.toml), providers that were loaded for a while
 * (cache/providers/NAME.json), and the tools that are built in.
 *
 *   TOML text ─► toml.cc (toml++) ─► JSON text and the line of each value ─► provider.c tool.c (fields, defaults, checks) ─► struct tool_provider
 *
 * Every mistake is told with file, line, field and what would be right; unknown fields are warnings, with the nearest known one.
 * A provider is immutable once loaded and counted atomically; its tools live as long as it does.
 * With handler "openapi" the tools come from the document alone (openapi/), with "mcp" more are discovered (catalog/).
 *
 * Read in order   load.c toml.cc toml_json.c provider.c parts.c tool.c reader.c builtin.c cached.c life.c write.c */
#pragma once

#include "base/buf.h"

enum {
    MANIFEST_BYTES_MAX = 4 * 1024 * 1024
}; /* of one file; the largest have some hundred tools, at 1 KiB each */

enum manifest_handler {
    HANDLER_HTTP,
    HANDLER_MCP,
    HANDLER_OPENAPI,
    HANDLER_CLI,
    HANDLER_FILES, /* "file_manager" */
    HANDLER_PASSTHROUGH,
};
const char *manifest_handler_name(enum manifest_handler h); /* "http", … */

struct tool_provider;
const char *manifest_handler_shown(const struct tool_provider *p); /* as written */

enum manifest_auth {
    AUTH_NONE,
    AUTH_BEARER,
    AUTH_HEADER,
    AUTH_QUERY,
    AUTH_BASIC,
    AUTH_OAUTH2,
    AUTH_URL
};
const char *manifest_auth_name(enum manifest_auth a);

enum tool_method {
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_HEAD,
    METHOD_OPTIONS
};
const char *tool_method_name(enum tool_method m);        /* "GET" */
const char *tool_method_capitalised(enum tool_method m); /* "Get" */

enum tool_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_MARKDOWN_TABLE, FORMAT_RAW };

struct texts {
    char **at;
    size_t count;
};
struct text_pair {
    char *name, *value;
};
struct text_pairs {
    struct text_pair *at;
    size_t count;
};

void texts_done(struct texts *t);
void text_pairs_done(struct text_pairs *t);
MUST_USE bool texts_add(struct texts *t, struct view text, struct err *err); /* a copy */

enum generator_place { GENERATOR_PRIMARY, GENERATOR_HEADER, GENERATOR_ENV, GENERATOR_QUERY };
struct generator_inject {
    char *path; /* "data.token" */
    enum generator_place place;
    char *name;
};
struct generator {
    bool script; /* else a command */
    char *command, *interpreter, *text;
    struct texts arguments;
    struct text_pairs environment;
    uint64_t cache_ttl_s, timeout_s;
    bool json;
    struct generator_inject *injects;
    size_t inject_count;
};

struct output_position { /* of cli_output_positional */
    char *words;
    uint64_t index;
};
struct upload_destination {
    char *key, *kind, *bucket, *prefix, *key_ref, *endpoint; /* NULL: not said */
};
struct openapi_override {
    char *operation, *hint, *description, *scope, *extract, *format; /* NULL: not said */
    struct texts tags, examples;
};

struct tool_provider;

struct tool {
    const struct tool_provider *provider;
    char *name, *description;
    char *endpoint; /* "" when there is none */
    enum tool_method method;
    char *scope;   /* NULL: none is asked for (internal providers) */
    char *schema;  /* input_schema as JSON text; NULL: none */
    char *extract; /* JSONPath; NULL: none */
    enum tool_format format;
    struct texts tags, examples;
    char *hint; /* NULL: none */
};

struct tool_provider {
    uint32_t references; /* atomic */
    char *name, *description;
    enum manifest_handler handler;
    char *handler_text; /* as written, when it is none of them; else NULL */
    char *base_url;     /* without trailing slashes; "" when there is none */
    enum manifest_auth auth;
    char *auth_key_name, *auth_header_name, *auth_query_name, *auth_value_prefix,
        *auth_secret_name; /* NULL: not said */
    char *oauth2_token_url;
    bool oauth2_basic_auth;
    struct text_pairs extra_headers;
    bool internal,
        private_network; /* private_network: may be reached although the address rules are on */
    char *category;
    struct texts skills;
    struct generator *generator; /* NULL: none */
    bool mcp_http;               /* mcp_transport: else stdio */
    char *mcp_transport;         /* as written */
    char *mcp_command, *mcp_url;
    char *
        mcp_url_env; /* callers may choose the server: whose variable of this name says so. NULL: they may not */
    struct texts mcp_args;
    struct text_pairs mcp_env;
    char *cli_command;
    struct texts cli_default_args, cli_output_args;
    struct text_pairs cli_env;
    uint64_t cli_timeout_s;
    struct output_position *cli_output_positional;
    size_t cli_output_positional_count;
    struct upload_destination *upload_destinations;
    size_t upload_destination_count;
    char *upload_default_destination;
    char *openapi_spec;
    struct texts openapi_include_tags, openapi_exclude_tags, openapi_include_operations,
        openapi_exclude_operations;
    uint64_t openapi_max_operations; /* 0: no limit */
    struct openapi_override *openapi_overrides;
    size_t openapi_override_count;
    struct { /* handler "passthrough": checked and kept; routes are compiled elsewhere */
        char *host_match, *path_prefix, *replace_from, *replace_to, *host_override;
        bool strip_prefix, forward_websockets;
        struct texts deny_paths, forward_authorization_paths;
        uint64_t connect_timeout_s, read_timeout_s, idle_timeout_s, max_request_bytes,
            max_response_bytes;
    } passthrough;
    struct tool *tools; /* of the manifest, the document or built in; not the discovered ones */
    size_t tool_count;
    char *path;         /* of the file it came from; NULL: built in */
    bool cached;        /* from cache/providers */
    int64_t expires_s;  /* of a cached one */
    char *spec_content; /* of a cached openapi one; NULL */
};
struct tool_provider *tool_provider_ref(struct tool_provider *p);
void tool_provider_unref(struct tool_provider *p); /* NULL is fine */

/* Told of what is odd but no error; text is a whole sentence. */
typedef void manifest_warning(void *context, const char *text);

struct manifest_set {
    struct tool_provider *
        *providers; /* in load order: manifests by file name, cached ones, built in */
    size_t count;
};
void manifest_set_free(
    struct manifest_set *set); /* what it points at; the set itself is the caller's */

/* Everything under folder. now_s: for what has expired (its file is removed). False: nothing was loaded. Documents of openapi providers are
 * not read here: catalog_load does. */
MUST_USE bool manifest_load(const char *folder, int64_t now_s, manifest_warning *warn,
                            void *context, struct manifest_set *out, struct err *err);
/* One manifest. name: of the file, for messages. Pure. */
MUST_USE bool manifest_parse(struct view toml, const char *name, manifest_warning *warn,
                             void *context, struct tool_provider **out, struct err *err);
/* A provider of cache/providers, from its JSON text. */
MUST_USE bool manifest_parse_cached(struct view json, const char *name, struct tool_provider **out,
                                    struct err *err);

void tools_free(struct tool *tools, size_t count); /* an array and what its tools hold */

/* toml.cc: the only C++ of the tree. TOML (1.0.0) as a JSON object, appended to json; lines: the line (from 1) of each value and key, in the
 * order of the JSON's tokens; *lines is the caller's (free). Dates become strings. ERR_SYNTAX: "line 14: …". */
MUST_USE bool toml_to_json(struct view toml, struct buf *json, uint32_t **lines, size_t *line_count,
                           struct err *err);

/* write.c: manifests that commands make. Appends `name = "value"` with the escapes of a TOML basic string. */
MUST_USE bool manifest_write_text(struct buf *out, const char *name, struct view value,
                                  struct err *err);
MUST_USE bool manifest_write_texts(struct buf *out, const char *name, const struct view *values,
                                   size_t count, struct err *err);
