/* `ati provider …`: the row. */
#include "ati/cli/provider.h"

#include "base/poison.h"

#define COUNT(options) (sizeof(options) / sizeof *(options))

/* Options of load, then those that add-mcp has, too, then those of add-mcp. */
static const struct cli_option servers[] = {
    {.name = "name", .value = "NAME", .help = "of the provider", .required = true},
    {.name = "mcp", .help = "an MCP server, not an OpenAPI document"},
    {.name = "transport",
     .value = "TRANSPORT",
     .help = "how the server is spoken to: http or stdio; else stdio"},
    {.name = "save", .help = "for good: as import-openapi and add-mcp do"},
    {.name = "ttl", .value = "SECONDS", .help = "how long it stays", .fallback = "3600"},
    {.name = "auth", .value = "TYPE", .help = "none, bearer, header, query, basic or oauth2"},
    {.name = "auth-key", .value = "NAME", .help = "key of the keyring; else {name}_api_key"},
    {.name = "auth-query", .value = "NAME", .help = "parameter that takes the key"},

    {.name = "url", .value = "URL", .help = "where the server is (http)"},
    {.name = "command", .value = "COMMAND", .help = "what starts the server (stdio)"},
    {.name = "args",
     .value = "ARG",
     .help = "arguments of the command",
     .many = true,
     .greedy = true},
    {.name = "env",
     .value = "KEY=VALUE",
     .help = "its environment; ${name} is a key of the keyring",
     .many = true},
    {.name = "auth-header", .value = "NAME", .help = "header that takes the key"},

    {.name = "transport",
     .value = "TRANSPORT",
     .help = "how the server is spoken to: http or stdio",
     .required = true},
    {.name = "auth", .value = "TYPE", .help = "none, bearer or header; else none"},
    {.name = "auth-key", .value = "NAME", .help = "key of the keyring"},
    {.name = "description", .value = "TEXT", .help = "what it is for"},
    {.name = "category", .value = "NAME", .help = "where it belongs"},
};
enum { OF_LOAD = 8, OF_ADD_MCP = 5 };

static const struct cli_option add_cli[] = {
    {.name = "command", .value = "COMMAND", .help = "the program", .required = true},
    {.name = "default-args",
     .value = "ARG",
     .help = "arguments before those of a call",
     .many = true,
     .greedy = true},
    {.name = "env",
     .value = "KEY=VALUE",
     .help = "its environment; ${name} is a key of the keyring",
     .many = true},
    {.name = "description", .value = "TEXT", .help = "what it is for"},
    {.name = "category", .value = "NAME", .help = "where it belongs"},
    {.name = "timeout", .value = "SECONDS", .help = "how long a call may take; else 120"},
};

/* The last one is inspect-openapi's, too. */
static const struct cli_option import_openapi[] = {
    {.name = "name", .value = "NAME", .help = "of the provider; else made of SPEC"},
    {.name = "auth-key", .value = "NAME", .help = "key of the keyring; else {name}_api_key"},
    {.name = "dry-run", .help = "show what would be written, and write nothing"},
    {.name = "include-tags",
     .value = "TAG",
     .help = "only operations that have one of these tags",
     .many = true},
};

static const struct cli_command commands[] = {
    {.name = "list", .summary = "what providers there are", .run = provider_list},
    {.name = "info",
     .summary = "tell about one",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .run = provider_info},
    {.name = "remove",
     .summary = "delete the manifest of one",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .run = provider_remove},
    {.name = "add-mcp",
     .summary = "write a manifest for an MCP server",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .options = servers + OF_LOAD,
     .option_count = COUNT(servers) - OF_LOAD,
     .run = provider_add_mcp,
     .about = "Examples:\n"
              "  ati provider add-mcp docs --transport http --url https://docs.example/mcp\n"
              "  ati provider add-mcp files --transport stdio --command npx \\\n"
              "    --args -y @modelcontextprotocol/server-filesystem /srv\n"},
    {.name = "add-cli",
     .summary = "write a manifest for a program of this machine",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .options = add_cli,
     .option_count = COUNT(add_cli),
     .run = provider_add_cli,
     .about = "Example:\n"
              "  ati provider add-cli gh --command gh --env 'GH_TOKEN=${github_token}'\n"},
    {.name = "import-openapi",
     .summary = "make a provider of an OpenAPI document",
     .words = "SPEC",
     .words_least = 1,
     .words_most = 1,
     .options = import_openapi,
     .option_count = COUNT(import_openapi),
     .run = provider_import_openapi,
     .about = "SPEC is a path or a URL, of JSON or YAML (OpenAPI 3.0 or 3.1).\n"
              "\nExample, which writes nothing yet:\n"
              "  ati provider import-openapi https://shop.example/openapi.yaml \\\n"
              "    --name shop --include-tags orders --dry-run\n"},
    {.name = "inspect-openapi",
     .summary = "tell about an OpenAPI document",
     .words = "SPEC",
     .words_least = 1,
     .words_most = 1,
     .options = import_openapi + COUNT(import_openapi) - 1,
     .option_count = 1,
     .run = provider_inspect_openapi},
    {.name = "load",
     .summary = "use a provider for a while",
     .words = "[SPEC]",
     .words_most = 1,
     .options = servers,
     .option_count = COUNT(servers) - OF_ADD_MCP,
     .run = provider_load,
     .about = "Examples:\n"
              "  ati provider load openapi.json --name pets\n"
              "  ati provider load --mcp --transport http --url https://docs.example/mcp \\\n"
              "    --name docs\n"},
    {.name = "unload",
     .summary = "forget a provider that was loaded for a while",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .run = provider_unload},
};

const struct cli_command cli_provider = {
    .name = "provider",
    .summary = "where tools come from",
    .commands = commands,
    .command_count = COUNT(commands),
};
