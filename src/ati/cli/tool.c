#include "ati/cli/tool.h"

#include <stdio.h>
#include <stdlib.h>

#include "ati/cli/remote.h"
#include "ati/cli/show.h"
#include "base/codec.h"
#include "base/json.h"

#include "base/poison.h"

enum {
    ERROR_BYTES_MAX = 64 * 1024 * 1024,
    FOUND_MAX = 20,
    SHORT_CHARACTERS = 80,
    QUERY_SHOWN_MAX = 128
};

/* --- through the proxy --------------------------------------------------------------------------- */

/* At most so many characters, and one line. */
static void print_short(const char *text)
{
    struct view v = view_str(text);

    for (size_t n = 0; n < SHORT_CHARACTERS && v.len; n++) {
        uint32_t code;
        size_t bytes = utf8_first(v, &code);

        if (!bytes)
            bytes = 1;
        if (v.at[0] < ' ')
            (void)putchar(' ');
        else
            (void)fwrite(v.at, 1, bytes, stdout);
        v = view_skip(v, bytes);
    }
    (void)putchar('\n');
}

static char *text_of(const struct json_doc *doc, uint32_t object, const char *name)
{
    uint32_t token = json_member(doc, object, name);
    char *text;
    size_t len;

    return token && json_string_new(doc, token, &text, &len) ? text : NULL;
}

static void print_row(const struct json_doc *doc, uint32_t tool)
{
    char *name = text_of(doc, tool, "name"), *provider = text_of(doc, tool, "provider"),
         *description = text_of(doc, tool, "description");

    (void)printf("%-40s %-15s ", name ? name : "", provider ? provider : "");
    print_short(description ? description : "");
    free(name);
    free(provider);
    free(description);
}

/* The answer of /tools: as it is, or a line for each. */
static bool show_remote_tools(const struct cli *cli, struct view answer, size_t *count,
                              struct err *err)
{
    struct json_tree tree;
    uint32_t at = json_first(0);

    if (!json_load_loose(answer, UINT32_MAX, &tree, err))
        return false;
    *count = tree.doc.tokens[0].kind == JSON_ARRAY ? tree.doc.tokens[0].count : 1;
    for (size_t i = 0;
         cli->format != CLI_JSON && tree.doc.tokens[0].kind == JSON_ARRAY && i < *count; i++) {
        print_row(&tree.doc, at);
        at = tree.doc.tokens[at].next;
    }
    json_unload(&tree);
    return cli->format != CLI_JSON || cli_show(cli, answer, err);
}

static bool show_remote_list(const struct cli *cli, const char *provider, struct view answer,
                             struct err *err)
{
    size_t count;

    (void)provider;
    if (!show_remote_tools(cli, answer, &count, err))
        return false;
    if (!count)
        log_event(cli->log, LOG_WARN, "tool.none", "no tools available from proxy");
    return true;
}

static bool show_remote_found(const struct cli *cli, const char *query, struct view answer,
                              struct err *err)
{
    size_t count;

    if (!show_remote_tools(cli, answer, &count, err))
        return false;
    if (!count)
        log_event(cli->log, LOG_WARN, "tool.none", "no tools match search", F_STR("query", query));
    return true;
}

static bool show_remote_info(const struct cli *cli, const char *name, struct view answer,
                             struct err *err)
{
    struct buf text;
    bool good;

    (void)name;
    if (cli->format == CLI_JSON)
        return cli_show(cli, answer, err);
    buf_init(&text, TOOL_BYTES_MAX, "tool");
    good = tool_info_remote(answer, &text, err);
    if (good)
        cli_print(buf_view(&text));
    buf_done(&text);
    return good;
}

typedef bool show_remote(const struct cli *cli, const char *asked, struct view answer,
                         struct err *err);

/* before + the encoded value: "/tools?search=a%20b". value NULL: /tools. */
static int ask_proxy(struct cli *cli, const char *before, const char *value, show_remote *show)
{
    struct buf path, answer, error;
    enum remote_outcome outcome;
    struct err err;
    int status = 0;

    log_event(cli->log, LOG_DEBUG, "run.mode", "mode: proxy", F_STR("url", cli->proxy_url));
    buf_init(&path, CLIENT_URL_BYTES_MAX, "path");
    buf_init(&answer, REMOTE_BYTES_MAX, "answer");
    buf_init(&error, ERROR_BYTES_MAX, "error");
    if (!buf_append_str(&path, value ? before : "/tools", &err) ||
        (value && !remote_encode(view_str(value), &path, &err))) {
        status = cli_fail_err(cli, &err);
    } else {
        outcome = cli_remote(cli, "GET", buf_view(&path), (struct view){0}, VIEW(""), "tools",
                             &answer, &error, &status);
        if (outcome == REMOTE_FAILED)
            status = cli_fail(cli, buf_view(&error));
        else if (outcome == REMOTE_OK)
            status = show(cli, value, buf_view(&answer), &err) ? 0 : cli_fail_err(cli, &err);
    }
    buf_done(&path);
    buf_done(&answer);
    buf_done(&error);
    return status;
}

/* --- in this process ----------------------------------------------------------------------------- */

/* What becomes of a command in the end. */
static int local_status(const struct cli *cli, const struct cli_local *l, bool good,
                        const struct err *err)
{
    if (good)
        return 0;
    return l->work.signo ? cli_work_status(&l->work) : cli_fail_err(cli, err);
}

static bool open_all(struct cli_local *l, struct cli *cli, struct err *err)
{
    log_event(cli->log, LOG_DEBUG, "run.mode", "mode: local (no ATI_PROXY_URL)");
    return cli_local_open(l, cli, true, err) && cli_local_discover(l, NULL, err);
}

static void member(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text)
        json_text(w, view_str(text));
    else
        json_null(w);
}

typedef void tool_row(struct json_writer *w, const struct tool *tool);

static void list_row(struct json_writer *w, const struct tool *t)
{
    member(w, "description", t->description);
    member(w, "method", tool_method_name(t->method));
    member(w, "provider", t->provider->name);
    member(w, "scope", t->scope);
    member(w, "tool", t->name);
}

static void search_row(struct json_writer *w, const struct tool *t)
{
    member(w, "category", t->provider->category);
    member(w, "description", t->description);
    member(w, "handler", manifest_handler_shown(t->provider));
    member(w, "provider", t->provider->name);
    json_key(w, "tags");
    json_array(w);
    for (size_t i = 0; i < t->tags.count; i++)
        json_text(w, view_str(t->tags.at[i]));
    json_array_end(w);
    member(w, "tool", t->name);
}

static void table_row(struct json_writer *w, const struct tool *t)
{
    member(w, "DESCRIPTION", t->description);
    member(w, "PROVIDER", t->provider->name);
    member(w, "TOOL", t->name);
}

static bool show_tools(const struct cli *cli, const struct tool *const *tools, size_t count,
                       tool_row *row, struct err *err)
{
    struct json_writer w;
    struct cli shown = *cli;
    struct buf out;
    bool good;

    if (cli->format != CLI_JSON) {
        shown.format = CLI_TABLE;
        row = table_row;
        if (!count)
            return true;
    }
    buf_init(&out, TOOL_BYTES_MAX, "tools");
    json_begin(&w, &out);
    json_array(&w);
    for (size_t i = 0; i < count; i++) {
        json_object(&w);
        row(&w, tools[i]);
        json_object_end(&w);
    }
    json_array_end(&w);
    good = json_end(&w, err) && cli_show(&shown, buf_view(&out), err);
    buf_done(&out);
    return good;
}

static bool list_local(const struct cli_local *l, const char *provider, struct err *err)
{
    size_t n = catalog_tool_count(l->catalog), count = 0;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it holds */
    const struct tool **tools = calloc(n ? n : 1, sizeof *tools);
    bool good;

    if (!tools)
        return err_set(err, ERR_MEMORY, "tools");
    for (size_t i = 0; i < n; i++) {
        const struct tool *t = catalog_tool_at(l->catalog, i);

        if (caller_may(l->caller, t->scope, cli_now_s()) &&
            (!provider || strcmp(t->provider->name, provider) == 0))
            tools[count++] = t;
    }
    if (!count)
        log_event(l->cli->log, LOG_WARN, "tool.none",
                  "no tools available — check your scopes or manifests");
    good = show_tools(l->cli, tools, count, list_row, err);
    free(tools);
    return good;
}

static int list(struct cli *cli, const struct cli_words *words)
{
    const char *provider = cli_value(words, "provider");
    struct cli_local l;
    struct err err;
    bool good;
    int status;

    if (cli->proxy_url)
        return ask_proxy(cli, "/tools?provider=", provider, show_remote_list);
    good = open_all(&l, cli, &err) && list_local(&l, provider, &err);
    status = local_status(cli, &l, good, &err);
    cli_local_close(&l);
    return status;
}

static void none_found(const struct cli *cli, const char *query)
{
    char message[256];

    (void)snprintf(message, sizeof message, "no tools match '%.*s' — try a different search term",
                   QUERY_SHOWN_MAX, query);
    log_event(cli->log, LOG_WARN, "tool.none", message);
}

static int search(struct cli *cli, const struct cli_words *words)
{
    const struct tool *found[FOUND_MAX];
    struct cli_local l;
    struct err err;
    struct buf query;
    bool good = true;
    int status;

    buf_init(&query, CLIENT_URL_BYTES_MAX, "query");
    for (size_t i = 0; good && i < words->count; i++)
        good = (!i || buf_append_byte(&query, ' ', &err)) &&
               buf_append_str(&query, words->words[i], &err);
    if (!good || !buf_append_byte(&query, '\0', &err)) {
        status = cli_fail_err(cli, &err);
    } else if (cli->proxy_url) {
        status =
            ask_proxy(cli, "/tools?search=", (const char *)buf_view(&query).at, show_remote_found);
    } else {
        good = open_all(&l, cli, &err);
        if (good) {
            size_t n =
                catalog_search(l.catalog, l.caller, cli_now_s(),
                               view_str((const char *)buf_view(&query).at), found, FOUND_MAX);

            if (!n)
                none_found(cli, (const char *)buf_view(&query).at);
            good = show_tools(cli, found, n, search_row, &err);
        }
        status = local_status(cli, &l, good, &err);
        cli_local_close(&l);
    }
    buf_done(&query);
    return status;
}

static bool show_info(struct cli_local *l, const struct tool *tool, struct err *err)
{
    bool json = l->cli->format == CLI_JSON, good = true;
    struct buf help, out;

    buf_init(&help, TOOL_BYTES_MAX, "help");
    buf_init(&out, TOOL_BYTES_MAX, "tool");
    if (tool->provider->handler == HANDLER_CLI)
        good = tool_help(l, tool->provider, &help, err);
    good = good && (json ? tool_info_json(tool, buf_view(&help), &out, err) &&
                               cli_show(l->cli, buf_view(&out), err)
                         : tool_info_text(tool, buf_view(&help), &out, err));
    if (good && !json)
        cli_print(buf_view(&out));
    buf_done(&help);
    buf_done(&out);
    return good;
}

/* What is not in the caller's scopes is not there. */
static int info_local(struct cli *cli, const char *name)
{
    const struct tool *tool = NULL;
    struct err err = {.code = ERR_NONE};
    struct cli_local l;
    struct buf unknown;
    int status;

    log_event(cli->log, LOG_DEBUG, "run.mode", "mode: local (no ATI_PROXY_URL)");
    if (cli_local_open(&l, cli, true, &err))
        tool = cli_local_find(&l, name, &err);
    if (tool && !caller_may(l.caller, tool->scope, cli_now_s()))
        tool = NULL;
    if (tool || err.code != ERR_NONE || l.work.signo) {
        status = local_status(cli, &l, tool && show_info(&l, tool, &err), &err);
    } else {
        buf_init(&unknown, ERROR_BYTES_MAX, "error");
        cli_local_unknown(&l, name, &unknown);
        status = cli_fail(cli, buf_view(&unknown));
        buf_done(&unknown);
    }
    cli_local_close(&l);
    return status;
}

static int info(struct cli *cli, const struct cli_words *words)
{
    return cli->proxy_url ? ask_proxy(cli, "/tools/", words->words[0], show_remote_info)
                          : info_local(cli, words->words[0]);
}

static const struct cli_option list_options[] = {
    {.name = "provider", .value = "NAME", .help = "only tools of this provider"},
};

static const struct cli_command commands[] = {
    {.name = "list",
     .summary = "list the tools that may be called",
     .options = list_options,
     .option_count = sizeof list_options / sizeof *list_options,
     .run = list},
    {.name = "info",
     .summary = "show what a tool does, and what it takes",
     .words = "NAME",
     .words_least = 1,
     .words_most = 1,
     .takes_tool = true,
     .run = info},
    {.name = "search",
     .summary = "find tools by words, the best first",
     .words = "QUERY…",
     .words_least = 1,
     .words_most = 64,
     .run = search},
};

const struct cli_command cli_tool = {
    .name = "tool",
    .alias = "tools",
    .summary = "what tools there are",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};
