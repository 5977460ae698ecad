#include "ati/cli/local.h"

#include <stdio.h>
#include <stdlib.h>

#include "ati/token/token.h"
#include "base/secret.h"
#include "base/version.h"
#include "child/child.h"

#include "base/poison.h"

enum { SESSION_BYTES_MAX = 64 * 1024, SUGGESTIONS_MAX = 10 };

int64_t cli_now_s(void)
{
    return clock_wall_ms(&clock_system) / 1000;
}

static void odd(void *context, const char *text)
{
    const struct cli_local *l = context;

    log_event(l->cli->log, LOG_DEBUG, "manifest.odd", text);
}

static void odd_and_told(void *context, const char *text)
{
    const struct cli_local *l = context;

    log_event(l->cli->log, LOG_WARN, "manifest.odd", text);
}

/* Whose scopes count: those of the session token where this machine can judge one; else everything is allowed. */
static bool find_caller(struct cli_local *l, struct err *err)
{
    struct token_config config = token_config_from(l->cli->environment);
    bool good;

    if (!token_authority_load(&config, &l->authority, err))
        return false;
    if (!l->authority)
        return caller_dev(&l->caller, err);
    good = token_session(l->cli->environment, &l->token, err);
    if (good && !buf_len(&l->token))
        good = err_set(
            err, ERR_DENIED,
            "ATI_SESSION_TOKEN is required because JWT validation is configured locally. Set "
            "ATI_SESSION_TOKEN, ATI_SESSION_TOKEN_FILE, or write the token to %s.",
            TOKEN_FILE);
    else if (good)
        good = token_validate(l->authority, buf_view(&l->token), cli_now_s(), &l->caller, err) ||
               err_in(err, "Invalid ATI_SESSION_TOKEN");
    return good;
}

/* What a generator is told of it. Where nothing judges tokens here, whoever reads it does. */
static bool find_token(struct cli_local *l, const struct tool *tool, struct err *err)
{
    const struct generator *g = tool->provider->generator;

    return !g || !exec_wants_token(g) || buf_len(&l->token) ||
           token_session(l->cli->environment, &l->token, err);
}

static bool load_keyring(struct cli_local *l, struct err *err)
{
    const struct keyring_source source = {
        .folder = l->cli->folder, .environment = l->cli->environment, .fall_through = true};
    struct keyring_report report = {0};
    char message[128];

    secret_no_dumps(); /* from here on there are credentials in the process */
    if (!keyring_load(&source, &l->keyring, &report, err))
        return false;
    (void)snprintf(message, sizeof message, "keyring: %s", report.source);
    log_event(l->cli->log, LOG_DEBUG, "keyring.loaded", message, F_U64("entries", report.entries));
    for (size_t i = 0; i < report.warning_count; i++)
        log_event(l->cli->log, LOG_DEBUG, "keyring.odd", report.warnings[i]);
    return true;
}

/* The catalog is the snapshot's from here on. */
static bool renew(struct cli_local *l, struct catalog *catalog, struct err *err)
{
    struct snapshot *snapshot;

    if (!snapshot_new(catalog, l->keyring, l->authority, &snapshot, err))
        return catalog_unref(catalog), false;
    snapshot_unref(l->snapshot);
    catalog_unref(l->catalog);
    l->snapshot = snapshot;
    l->catalog = catalog;
    return true;
}

bool cli_local_open(struct cli_local *l, const struct cli *cli, bool told, struct err *err)
{
    struct catalog *catalog;

    *l = (struct cli_local){.cli = cli};
    buf_init(&l->token, SESSION_BYTES_MAX, "session token");
    return find_caller(l, err) &&
           catalog_load(cli->folder, cli_now_s(), told ? odd_and_told : odd, l, &catalog, err) &&
           (load_keyring(l, err) || (catalog_unref(catalog), false)) && renew(l, catalog, err);
}

bool cli_local_work(struct cli_local *l, const char *label, struct err *err)
{
    const struct cli *cli = l->cli;
    const struct mcp_hub_options hub = {.environment = cli->environment,
                                        .reach = exec_reach_from(cli->environment),
                                        .version = POSTERN_VERSION,
                                        .log = cli->log};
    struct exec_shared_options shared = {
        .folder = cli->folder, .environment = cli->environment, .reach = hub.reach};

    if (l->working) {
        l->work.label = label;
        l->work.finished = false;
        return true;
    }
    l->working = true;
    if (!cli_work_open(&l->work, cli, label, err) ||
        !mcp_hub_new(l->work.loop, l->work.client, &hub, &l->hub, err))
        return false;
    shared.mcp = l->hub;
    return exec_shared_new(&shared, &l->shared, err) &&
           executor_new(l->work.loop, l->work.client, l->shared, cli->log, &l->executor, err);
}

static void hub_closed(void *context)
{
    struct cli_local *l = context;

    cli_work_finish(&l->work);
}

/* Servers end as they like it, unless somebody is in a hurry. */
static void part_from_servers(struct cli_local *l)
{
    struct err ignored;

    if (!l->hub || l->work.signo)
        return;
    l->work.finished = false;
    l->work.progress = false;
    mcp_hub_close(l->hub, hub_closed, l);
    (void)!cli_work_run(&l->work, &ignored);
}

void cli_local_close(struct cli_local *l)
{
    if (l->executor)
        executor_free(l->executor);
    if (l->shared)
        exec_shared_free(l->shared);
    part_from_servers(l);
    mcp_hub_free(l->hub);
    if (l->working) {
        if (l->work.loop)
            child_end_all(l->work.loop);
        cli_work_close(&l->work);
    }
    snapshot_unref(l->snapshot);
    catalog_unref(l->catalog);
    keyring_unref(l->keyring);
    token_authority_unref(l->authority);
    caller_unref(l->caller);
    buf_wipe(&l->token);
}

/* --- discovery: one question a server, all at once ---------------------------------------------- */

struct discovery {
    struct cli_local *local;
    size_t left;     /* servers that have not answered */
    struct err *err; /* of the one that was asked for; NULL: of many, and a warning */
    bool failed;
};

struct question {
    struct discovery *discovery;
    const struct tool_provider *provider;
    struct exec_listing *asked; /* NULL: answered, or never asked */
    struct tool *tools;
    size_t count;
    bool good;
};

static void failed(const struct question *q, struct view why)
{
    q->discovery->failed = true;
    if (q->discovery->err)
        (void)err_set(q->discovery->err, ERR_IO, "%.*s", VIEW_ARG(why));
    else
        log_event(q->discovery->local->cli->log, LOG_WARN, "mcp.discovery_failed",
                  "MCP tool discovery failed", F_STR("provider", q->provider->name),
                  F_VIEW("error", why));
}

static void answered(void *context, struct mcp_answer *answer)
{
    struct question *q = context;

    q->asked = NULL;
    if (answer->failed) {
        failed(q, buf_view(&answer->error));
    } else {
        q->tools = answer->tools;
        q->count = answer->tool_count;
        q->good = true;
        answer->tools = NULL;
        answer->tool_count = 0;
    }
    if (--q->discovery->left == 0)
        cli_work_finish(&q->discovery->local->work);
}

static bool wanted(const struct tool_provider *p, const char *only)
{
    return p->handler == HANDLER_MCP && (p->mcp_url || !p->mcp_url_env) &&
           (only ? strcmp(p->name, only) == 0 : !p->internal);
}

static size_t ask_all(struct discovery *d, struct question *questions, const char *only)
{
    const struct catalog *c = d->local->catalog;
    struct err err;
    size_t n = 0;

    for (size_t i = 0; i < catalog_provider_count(c); i++) {
        const struct tool_provider *p = catalog_provider_at(c, i);
        struct question *q = &questions[n];

        if (!wanted(p, only))
            continue;
        n++;
        *q = (struct question){.discovery = d, .provider = p};
        if (exec_list(d->local->executor, d->local->snapshot, p, answered, q, &q->asked, &err))
            d->left++;
        else
            failed(q, view_str(err.text));
    }
    return n;
}

/* What was found becomes part of the catalog. */
static bool take_answers(struct cli_local *l, struct question *questions, size_t count,
                         struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct question *q = &questions[i];
        struct catalog *catalog;

        if (!q->good)
            continue;
        if (!catalog_discovered(l->catalog, q->provider, q->tools, q->count, &catalog, err))
            return false;
        q->good = false;
        if (!renew(l, catalog, err))
            return false;
    }
    return true;
}

bool cli_local_discover(struct cli_local *l, const char *provider, struct err *err)
{
    size_t room = catalog_provider_count(l->catalog), count;
    struct question *questions = calloc(room ? room : 1, sizeof *questions);
    struct discovery d = {.local = l, .err = provider ? err : NULL};
    bool good, any = false;

    if (!questions)
        return err_set(err, ERR_MEMORY, "discovery");
    for (size_t i = 0; i < room; i++)
        any |= wanted(catalog_provider_at(l->catalog, i), provider);
    if (!any)
        return free(questions), true;
    if (!cli_local_work(l, provider ? provider : "MCP servers", err))
        return free(questions), false;
    count = ask_all(&d, questions, provider);
    good = d.left == 0 || cli_work_run(&l->work, err);
    for (size_t i = 0; i < count; i++)
        if (questions[i].asked)
            exec_list_cancel(questions[i].asked);
    good = good && take_answers(l, questions, count, err);
    for (size_t i = 0; i < count; i++)
        if (questions[i].good)
            tools_free(questions[i].tools, questions[i].count);
    free(questions);
    return good && !(provider && d.failed);
}

/* --- one tool ------------------------------------------------------------------------------------ */

/* The MCP provider that a name begins with, or NULL. */
static const struct tool_provider *mcp_provider_of(const struct cli_local *l, const char *name)
{
    struct view whole = view_str(name), prefix = view_first(whole, view_find(whole, ':'));
    const struct tool_provider *p =
        prefix.len < whole.len ? catalog_provider(l->catalog, prefix) : NULL;

    return p && p->handler == HANDLER_MCP ? p : NULL;
}

const struct tool *cli_local_find(struct cli_local *l, const char *name, struct err *err)
{
    const struct tool *tool = catalog_resolve(l->catalog, view_str(name));
    const struct tool_provider *p;

    err->code = ERR_NONE;
    if (tool)
        return tool;
    p = mcp_provider_of(l, name);
    if (!p)
        return NULL;
    if (!cli_local_discover(l, p->name, err))
        return NULL;
    return catalog_find(l->catalog, view_str(name));
}

void cli_local_unknown(const struct cli_local *l, const char *name, struct buf *out)
{
    const struct tool *like[SUGGESTIONS_MAX];
    size_t n =
        catalog_suggest(l->catalog, l->caller, cli_now_s(), view_str(name), like, SUGGESTIONS_MAX);

    (void)!buf_appendf(out, NULL, "Unknown tool: '%s'. %s", name,
                       n ? "Did you mean one of:\n"
                         : "Run 'ati tool list' to see available tools.");
    for (size_t i = 0; i < n; i++)
        (void)!buf_appendf(out, NULL, "  - %s\n", like[i]->name);
    if (n)
        (void)!buf_append_str(out, "Run 'ati tool info <name>' to see parameters.", NULL);
}

struct local_call {
    struct cli_local *local;
    exec_done *done;
    void *context;
    bool over;
};

static void call_over(void *context, struct exec_result *result)
{
    struct local_call *c = context;

    c->over = true;
    c->done(c->context, result);
    cli_work_finish(&c->local->work);
}

bool cli_local_call(struct cli_local *l, const struct tool *tool, struct view arguments,
                    const char *const *words, size_t count, exec_done *done, void *context,
                    struct err *err)
{
    struct local_call call = {.local = l, .done = done, .context = context};
    struct view *views = calloc(count ? count : 1, sizeof *views);
    struct exec_request request = {.snapshot = l->snapshot,
                                   .tool = tool,
                                   .caller = l->caller,
                                   .arguments = arguments,
                                   .words = views,
                                   .word_count = count,
                                   .has_words = true};
    struct execution *execution;
    bool good;

    if (!views)
        return err_set(err, ERR_MEMORY, "arguments");
    for (size_t i = 0; i < count; i++)
        views[i] = view_str(words[i]);
    good = find_token(l, tool, err);
    request.token = buf_view(&l->token);
    good = good && cli_local_work(l, tool->name, err) &&
           exec_start(l->executor, &request, call_over, &call, &execution, err);
    if (good) {
        good = cli_work_run(&l->work, err);
        if (!call.over)
            exec_cancel(execution);
    }
    free(views);
    return good;
}
