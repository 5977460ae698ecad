/* list and info. Documents of OpenAPI are not read, servers not asked. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ati/cli/provider.h"
#include "base/json.h"

#include "base/poison.h"

enum { SHOWN_BYTES_MAX = 64 * 1024 * 1024, COLUMNS = 5, CLI_TIMEOUT_S = 120, TYPE_BYTES = 64 };

static int64_t now_s(void)
{
    return clock_wall_ms(&clock_system) / 1000;
}

static void odd(void *context, const char *text)
{
    log_event((struct log *)context, LOG_DEBUG, "manifest.odd", text);
}

/* Those that stand in files. */
static bool is_shown(const struct tool_provider *p)
{
    return p->path != NULL;
}

static const char *type_of(const struct tool_provider *p, char out[static TYPE_BYTES])
{
    switch (p->handler) {
    case HANDLER_MCP:
        (void)snprintf(out, TYPE_BYTES, "mcp/%s", p->mcp_http ? "http" : "stdio");
        return out;
    case HANDLER_OPENAPI:
        return "openapi";
    case HANDLER_CLI:
        return "cli";
    case HANDLER_HTTP:
    case HANDLER_FILES:
    case HANDLER_PASSTHROUGH:
        break;
    }
    return "http";
}

static const char *tools_of(const struct tool_provider *p, char out[static TYPE_BYTES])
{
    if (p->handler == HANDLER_MCP || p->handler == HANDLER_OPENAPI)
        return "auto";
    if (p->handler == HANDLER_CLI)
        return "1";
    (void)snprintf(out, TYPE_BYTES, "%zu", p->tool_count);
    return out;
}

static int64_t remaining(const struct tool_provider *p)
{
    int64_t left = p->expires_s - now_s();

    return left > 0 ? left : 0;
}

static const char *description_of(const struct tool_provider *p, char out[static TYPE_BYTES])
{
    char span[32];

    if (!p->cached)
        return p->description;
    provider_span((uint64_t)remaining(p), span);
    (void)snprintf(out, TYPE_BYTES, "(cached, %s remaining)", span);
    return out;
}

static void member(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text)
        json_text(w, view_str(text));
    else
        json_null(w);
}

static void list_one(struct json_writer *w, const struct tool_provider *p)
{
    char text[TYPE_BYTES];

    json_object(w);
    member(w, "auth", manifest_auth_name(p->auth));
    member(w, "description", description_of(p, text));
    json_key(w, "internal");
    json_bool(w, p->internal);
    member(w, "name", p->name);
    if (p->cached) {
        json_key(w, "remaining_seconds");
        json_i64(w, remaining(p));
    }
    member(w, "source", p->cached ? "cached" : "permanent");
    member(w, "tools", tools_of(p, text));
    member(w, "type", type_of(p, text));
    json_object_end(w);
}

static bool list_json(const struct cli *cli, const struct manifest_set *set, struct err *err)
{
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, SHOWN_BYTES_MAX, "list of providers");
    json_begin(&w, &out);
    json_array(&w);
    for (size_t i = 0; i < set->count; i++)
        if (is_shown(set->providers[i]))
            list_one(&w, set->providers[i]);
    json_array_end(&w);
    good = json_end(&w, err) && cli_show(cli, buf_view(&out), err);
    buf_done(&out);
    return good;
}

/* Cells are written one behind the other into text; at: where each ends. */
struct table {
    struct buf text;
    size_t *ends, count;
};

static bool cell(struct table *t, const char *text, struct err *err)
{
    if (!buf_append_str(&t->text, text, err))
        return false;
    t->ends[t->count++] = buf_len(&t->text);
    return true;
}

static bool fill(struct table *t, const struct manifest_set *set, struct err *err)
{
    char text[TYPE_BYTES];

    if (!cell(t, "AUTH", err) || !cell(t, "DESCRIPTION", err) || !cell(t, "NAME", err) ||
        !cell(t, "TOOLS", err) || !cell(t, "TYPE", err))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        const struct tool_provider *p = set->providers[i];

        if (!is_shown(p) || p->internal)
            continue;
        if (!cell(t, manifest_auth_name(p->auth), err) || !cell(t, description_of(p, text), err) ||
            !cell(t, p->name, err) || !cell(t, tools_of(p, text), err) ||
            !cell(t, type_of(p, text), err))
            return false;
    }
    return true;
}

static size_t terminal_width(void)
{
    struct winsize size;

    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static bool draw(const struct table *t, struct view *cells, struct err *err)
{
    struct buf out;
    size_t start = 0;
    bool good;

    for (size_t i = 0; i < t->count; i++) {
        cells[i] = view_first(view_skip(buf_view(&t->text), start), t->ends[i] - start);
        start = t->ends[i];
    }
    buf_init(&out, SHOWN_BYTES_MAX, "table of providers");
    good = cli_table_write(cells, COLUMNS, t->count / COLUMNS, terminal_width(), &out, err);
    if (good)
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    return good;
}

static bool list_table(const struct manifest_set *set, struct err *err)
{
    struct table t = {.ends = calloc((set->count + 1) * (size_t)COLUMNS, sizeof *t.ends)};
    struct view *cells = calloc((set->count + 1) * (size_t)COLUMNS, sizeof *cells);
    bool good = t.ends && cells;

    buf_init(&t.text, SHOWN_BYTES_MAX, "table of providers");
    good = good ? fill(&t, set, err) && draw(&t, cells, err)
                : err_set(err, ERR_MEMORY, "no memory for a list");
    buf_done(&t.text);
    free(t.ends);
    free(cells);
    return good;
}

static size_t shown(const struct manifest_set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++)
        count += is_shown(set->providers[i]);
    return count;
}

int provider_list(struct cli *cli, const struct cli_words *words)
{
    struct manifest_set set;
    struct err err;
    bool good = true;

    (void)words;
    if (!manifest_load(cli->folder, now_s(), odd, cli->log, &set, &err))
        return cli_fail_err(cli, &err);
    if (!shown(&set))
        (void)puts("No providers configured. Run `ati provider load`, `ati provider add-mcp`, or "
                   "`ati provider import-openapi`.");
    else
        good = cli->format == CLI_JSON ? list_json(cli, &set, &err) : list_table(&set, &err);
    manifest_set_free(&set);
    return good ? 0 : cli_fail_err(cli, &err);
}

static void texts_member(struct json_writer *w, const char *key, const struct texts *list)
{
    json_key(w, key);
    json_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_text(w, view_str(list->at[i]));
    json_array_end(w);
}

static bool info_json(const struct cli *cli, const struct tool_provider *p, struct err *err)
{
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, SHOWN_BYTES_MAX, "provider");
    json_begin(&w, &out);
    json_object(&w);
    member(&w, "auth_type", manifest_auth_name(p->auth));
    member(&w, "base_url", p->base_url);
    member(&w, "category", p->category);
    if (p->handler == HANDLER_CLI) {
        member(&w, "cli_command", p->cli_command);
        texts_member(&w, "cli_default_args", &p->cli_default_args);
        json_key(&w, "cli_timeout_secs");
        if (p->cli_timeout_s == CLI_TIMEOUT_S)
            json_null(&w);
        else
            json_u64(&w, p->cli_timeout_s);
    }
    member(&w, "description", p->description);
    member(&w, "handler", manifest_handler_shown(p));
    json_key(&w, "internal");
    json_bool(&w, p->internal);
    member(&w, "name", p->name);
    json_object_end(&w);
    good = json_end(&w, err) && cli_show(cli, buf_view(&out), err);
    buf_done(&out);
    return good;
}

static void info_cli(const struct tool_provider *p)
{
    if (p->cli_command)
        (void)printf("Command:     %s\n", p->cli_command);
    for (size_t i = 0; i < p->cli_default_args.count; i++)
        (void)printf("%s\"%s\"%s", i ? ", " : "Default args: [", p->cli_default_args.at[i],
                     i + 1 == p->cli_default_args.count ? "]\n" : "");
    if (p->cli_env.count)
        (void)puts("Environment:");
    for (size_t i = 0; i < p->cli_env.count; i++)
        (void)printf("  %s = %s\n", p->cli_env.at[i].name, p->cli_env.at[i].value);
    if (p->cli_timeout_s != CLI_TIMEOUT_S)
        (void)printf("Timeout:     %" PRIu64 "s\n", p->cli_timeout_s);
}

static void info_text(const struct tool_provider *p)
{
    (void)printf("Provider:    %s\nDescription: %s\nHandler:     %s\nBase URL:    %s\n"
                 "Auth:        %s\n",
                 p->name, p->description, manifest_handler_shown(p), p->base_url,
                 manifest_auth_name(p->auth));
    if (p->category)
        (void)printf("Category:    %s\n", p->category);
    if (p->handler == HANDLER_MCP)
        (void)printf("Transport:   MCP (%s)\n", p->mcp_http ? "http" : "stdio");
    if (p->handler == HANDLER_CLI)
        info_cli(p);
}

static const struct tool_provider *find(const struct manifest_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->providers[i]->name, name) == 0)
            return set->providers[i];
    return NULL;
}

int provider_info(struct cli *cli, const struct cli_words *words)
{
    const struct tool_provider *p;
    struct manifest_set set;
    struct err err;
    bool good = true;

    if (!manifest_load(cli->folder, now_s(), odd, cli->log, &set, &err))
        return cli_fail_err(cli, &err);
    p = find(&set, words->words[0]);
    if (!p)
        good =
            err_set(&err, ERR_NOT_FOUND,
                    "Provider '%s' not found. Run 'ati provider list' to see available providers.",
                    words->words[0]);
    else if (cli->format == CLI_JSON)
        good = info_json(cli, p, &err);
    else
        info_text(p);
    manifest_set_free(&set);
    return good ? 0 : cli_fail_err(cli, &err);
}
