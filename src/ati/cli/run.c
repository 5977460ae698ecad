#include "ati/cli/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "ati/audit/audit.h"
#include "ati/cli/local.h"
#include "ati/cli/remote.h"
#include "ati/quota/quota.h"
#include "ati/token/token.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { ERROR_BYTES_MAX = 64 * 1024 * 1024, PATH_BYTES = 4096 };

struct run {
    struct cli *cli;
    const char *tool;
    const char *const *raw; /* as they were given */
    size_t raw_count;
    struct buf map;  /* what they mean */
    struct buf sent; /* what the tool gets: the same, but for files */
    enum run_files files;
    char *out_path;
    struct caller *caller; /* for the audit log */
    struct buf value, error;
    int exit_code, status; /* of the tool; how to end when a signal came, else 0 */
    bool called;           /* it came to a call: it is audited */
};

static void run_init(struct run *r, struct cli *cli, const struct cli_words *words)
{
    *r = (struct run){.cli = cli,
                      .tool = words->words[0],
                      .raw = words->words + 1,
                      .raw_count = words->count - 1,
                      .exit_code = -1};
    buf_init(&r->map, RUN_BYTES_MAX, "arguments");
    buf_init(&r->sent, RUN_BYTES_MAX, "arguments");
    buf_init(&r->value, REMOTE_BYTES_MAX, "result");
    buf_init(&r->error, ERROR_BYTES_MAX, "error");
    r->files = run_files_kind(view_str(r->tool));
}

static void run_done(struct run *r)
{
    caller_unref(r->caller);
    free(r->out_path);
    buf_done(&r->map);
    buf_done(&r->sent);
    buf_done(&r->value);
    buf_done(&r->error);
}

/* False, with the error where it is told from. */
static bool fail(struct run *r, const struct err *err)
{
    if (!buf_len(&r->error))
        (void)!buf_append_str(&r->error, err->text, NULL);
    return false;
}

static bool prepare(struct run *r)
{
    struct err err;
    bool json;

    if (!run_arguments(r->raw, r->raw_count, &r->map, &json, &err))
        return fail(r, &err);
    if (json)
        r->cli->format = CLI_JSON;
    if (r->files == RUN_FILES_NONE
            ? buf_append(&r->sent, buf_view(&r->map), &err)
            : run_files_arguments(r->files, buf_view(&r->map), &r->sent, &r->out_path, &err))
        return true;
    return fail(r, &err);
}

/* --- through the proxy --------------------------------------------------------------------------- */

static bool request_body(const struct run *r, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "tool_name");
    json_text(&w, view_str(r->tool));
    json_key(&w, "args");
    json_raw(&w, buf_view(&r->sent));
    if (r->raw_count && r->files == RUN_FILES_NONE) {
        json_key(&w, "raw_args");
        json_array(&w);
        for (size_t i = 0; i < r->raw_count; i++)
            json_text(&w, view_str(r->raw[i]));
        json_array_end(&w);
    }
    json_object_end(&w);
    return json_end(&w, err);
}

/* {"result":V} */
static bool take_result(struct run *r, struct view answer)
{
    struct json_tree tree;
    struct err err;
    uint32_t result;
    bool good;

    if (!json_load_loose(answer, UINT32_MAX, &tree, &err))
        return fail(r, &err);
    result = json_member(&tree.doc, 0, "result");
    good = result
               ? buf_append(&r->value, json_source(&tree.doc, result), &err)
               : err_set(&err, ERR_SYNTAX, "Proxy returned invalid response: no result is in it");
    json_unload(&tree);
    return good || fail(r, &err);
}

static struct view text_of(const struct json_doc *doc, const char *name)
{
    uint32_t token = json_member(doc, 0, name);

    return token && doc->tokens[token].kind == JSON_STRING ? json_span(doc, token)
                                                           : (struct view){0};
}

/* Who the audit log says it was: as the token has it; whether that is true is the proxy's to judge. */
static bool claimed_caller(struct run *r, struct err *err)
{
    struct caller_claims claims = {0};
    struct json_tree tree = {0};
    struct buf token, text;
    bool good;

    buf_init(&token, ERROR_BYTES_MAX, "session token");
    buf_init(&text, ERROR_BYTES_MAX, "claims");
    good = token_session(r->cli->environment, &token, err);
    if (good && buf_len(&token) && token_claims(buf_view(&token), &text, NULL) &&
        json_load_loose(buf_view(&text), UINT32_MAX, &tree, NULL)) {
        claims.subject = text_of(&tree.doc, "sub");
        claims.job_id = text_of(&tree.doc, "job_id");
        claims.sandbox_id = text_of(&tree.doc, "sandbox_id");
        good = caller_new(&claims, &r->caller, err);
        json_unload(&tree);
    } else if (good) {
        good = caller_dev(&r->caller, err);
    }
    buf_wipe(&token);
    buf_done(&text);
    return good;
}

static bool has_tool(const struct tool_provider *p, const char *name)
{
    size_t len = strlen(p->name);

    for (size_t i = 0; i < p->tool_count; i++)
        if (strcmp(p->tools[i].name, name) == 0)
            return true;
    return strncmp(name, p->name, len) == 0 && name[len] == ':';
}

/* Which MCP server the proxy is to ask: what the variable says that the tool's manifest names, where there is one here. Nothing else of
 * our environment leaves: it must be a URL. *out: lent; empty: none is named. */
static bool find_upstream(const struct run *r, struct view *out, struct err *err)
{
    struct manifest_set set = {0};
    const char *variable = NULL;
    struct err ignored;
    bool good;

    *out = VIEW("");
    if (!manifest_load(r->cli->folder, cli_now_s(), NULL, NULL, &set, &ignored))
        return true;
    for (size_t i = 0; i < set.count && !variable; i++)
        if (set.providers[i]->mcp_url_env && has_tool(set.providers[i], r->tool)) {
            variable = set.providers[i]->mcp_url_env;
            *out = text_trim(view_str(cli_environment(r->cli, variable)));
        }
    good = !out->len || view_starts(*out, VIEW("http://")) || view_starts(*out, VIEW("https://")) ||
           err_set(err, ERR_USAGE,
                   "%s names the MCP server of %s, and begins with neither http:// nor https://",
                   variable, r->tool);
    manifest_set_free(&set);
    return good;
}

static bool remote(struct run *r)
{
    struct view upstream;
    enum remote_outcome outcome;
    struct buf body, answer;
    struct err err;
    bool good = false;
    int status;

    log_event(r->cli->log, LOG_DEBUG, "run.mode", "mode: proxy", F_STR("url", r->cli->proxy_url));
    if (!find_upstream(r, &upstream, &err) || !claimed_caller(r, &err))
        return fail(r, &err);
    buf_init(&body, RUN_BYTES_MAX, "request");
    buf_init(&answer, REMOTE_BYTES_MAX, "answer");
    if (request_body(r, &body, &err)) {
        r->called = true;
        outcome = cli_remote(r->cli, "POST", VIEW("/call"), buf_view(&body), upstream, r->tool,
                             &answer, &r->error, &status);
        good = outcome == REMOTE_OK && take_result(r, buf_view(&answer));
        r->status = outcome == REMOTE_SIGNAL ? status : 0;
    } else {
        (void)fail(r, &err);
    }
    buf_done(&body);
    buf_done(&answer);
    return good;
}

/* --- in this process ----------------------------------------------------------------------------- */

static void called(void *context, struct exec_result *result)
{
    struct run *r = context;

    r->exit_code = result->exit_code;
    if (result->outcome == EXEC_OK) {
        r->value = result->value;
        buf_init(&result->value, 0, "value");
    } else if (result->outcome == EXEC_NO_RECORDS) {
        (void)!buf_append_str(&r->error, "No records found (404)", NULL);
    } else {
        (void)!buf_append(&r->error, buf_view(&result->error), NULL);
        if (!buf_len(&r->error))
            (void)!buf_append_str(&r->error, "the tool reported an error", NULL);
    }
}

static bool may(const struct cli_local *l, const struct tool *tool, struct err *err)
{
    if (caller_may(l->caller, tool->scope, cli_now_s()))
        return true;
    if (caller_expired(l->caller, cli_now_s()))
        return err_set(err, ERR_DENIED, "Scopes have expired (expired at %lld)",
                       (long long)l->caller->expires_s);
    return err_set(err, ERR_DENIED, "Access denied: '%s' is not in your scopes", tool->name);
}

/* Counted in a file: this process is short. Whoever asks for no limits needs none. */
static bool within_rate(const struct cli_local *l, const struct tool *tool, struct err *err)
{
    char path[PATH_BYTES];
    struct quota *quota;
    uint64_t retry_after_s;
    bool good;

    if (!l->caller->rate_count)
        return true;
    (void)snprintf(path, sizeof path, "%s/rate-state.json", l->cli->folder);
    if (!quota_new(path, &quota, err))
        return false;
    good = quota_take(quota, l->caller, tool->name, cli_now_s(), &retry_after_s, err);
    quota_free(quota);
    return good;
}

static bool call(struct run *r, struct cli_local *l, const struct tool *tool, struct err *err)
{
    struct buf arguments;
    bool good;

    buf_init(&arguments, RUN_BYTES_MAX, "arguments");
    good = run_keys(buf_view(&r->sent), view_str(tool->schema), &arguments, err) &&
           may(l, tool, err) && within_rate(l, tool, err);
    if (good) {
        r->called = true;
        r->caller = caller_ref(l->caller);
        good =
            cli_local_call(l, tool, buf_view(&arguments), r->raw, r->raw_count, called, r, err) &&
            !buf_len(&r->error);
    }
    buf_done(&arguments);
    return good;
}

/* What is odd about the manifests may be why a tool is not there. */
static void tell_odd(const struct cli *cli)
{
    struct cli_local again;
    struct err err;

    (void)!cli_local_open(&again, cli, true, &err);
    cli_local_close(&again);
}

static bool local(struct run *r)
{
    const struct tool *tool;
    struct cli_local l;
    struct err err = {.code = ERR_NONE};
    bool good = false;

    log_event(r->cli->log, LOG_DEBUG, "run.mode", "mode: local (no ATI_PROXY_URL)");
    if (cli_local_open(&l, r->cli, false, &err)) {
        tool = cli_local_find(&l, r->tool, &err);
        if (tool) {
            good = call(r, &l, tool, &err);
        } else if (err.code == ERR_NONE && !l.work.signo) {
            cli_local_unknown(&l, r->tool, &r->error);
            tell_odd(r->cli);
        }
    }
    if (l.work.signo)
        r->status = cli_work_status(&l.work);
    else if (!good)
        (void)fail(r, &err);
    cli_local_close(&l);
    return good;
}

/* --- afterwards ---------------------------------------------------------------------------------- */

static void audit(struct run *r, int64_t when_ms, uint64_t duration_ms)
{
    const char *named = cli_environment(r->cli, "ATI_AUDIT_FILE");
    struct audit_options options = {.path = named, .log = r->cli->log};
    struct audit_record record = {.when_ms = when_ms,
                                  .tool = view_str(r->tool),
                                  .arguments = buf_view(&r->map),
                                  .ok = !buf_len(&r->error) && !r->status,
                                  .duration_ms = duration_ms,
                                  .caller = r->caller,
                                  .error = r->status ? VIEW("interrupted") : buf_view(&r->error),
                                  .exit_code = r->exit_code};
    char path[PATH_BYTES];
    struct audit *log;
    struct err err;

    (void)snprintf(path, sizeof path, "%s/audit.jsonl", r->cli->folder);
    if (!named)
        options.path = path;
    if (!audit_open(&options, &log, &err)) {
        log_event(r->cli->log, LOG_WARN, "audit.failed", "the audit log cannot be written",
                  F_STR("error", err.text));
        return;
    }
    audit_write(log, &record);
    audit_close(log);
}

/* Files that came with the result go where they belong. */
static bool keep_files(struct run *r)
{
    struct buf shown, refused;
    bool changed = true, good;
    struct err err;

    buf_init(&shown, REMOTE_BYTES_MAX, "result");
    buf_init(&refused, PATH_BYTES, "paths");
    if (r->files == RUN_FILES_DOWNLOAD)
        good = run_files_answer(buf_view(&r->value), r->out_path, &shown, &err);
    else
        good = run_outputs(buf_view(&r->value), r->raw, r->raw_count, buf_view(&r->map), &shown,
                           &changed, &refused, &err);
    if (buf_len(&refused))
        log_event(r->cli->log, LOG_WARN, "run.refused",
                  "the result names files that the arguments do not: they are not written",
                  F_VIEW("paths", buf_view(&refused)));
    if (good && changed) {
        buf_done(&r->value);
        r->value = shown;
    } else {
        buf_done(&shown);
    }
    buf_done(&refused);
    return good || fail(r, &err);
}

/* The message stays as clients know it; where a person looks next stands before it. */
static void tell_remedy(const struct run *r)
{
    if (!r->cli->proxy_url && view_find_text(buf_view(&r->error), VIEW("not found in keyring")))
        log_event(
            r->cli->log, LOG_WARN, "keyring.missing",
            "\"ati key set NAME VALUE\" adds a key, \"ati key list\" shows those that there are",
            F_STR("dir", r->cli->folder));
}

static int run(struct cli *cli, const struct cli_words *words)
{
    int64_t when_ms = clock_wall_ms(&clock_system);
    uint64_t start_ms = clock_monotonic_ms(&clock_system);
    struct run r;
    struct err err;
    bool good;
    int status;

    run_init(&r, cli, words);
    good = prepare(&r) && (cli->proxy_url ? remote(&r) : local(&r));
    if (r.called)
        audit(&r, when_ms, clock_monotonic_ms(&clock_system) - start_ms);
    good = good && keep_files(&r) && (cli_show(cli, buf_view(&r.value), &err) || fail(&r, &err));
    if (good) {
        status = 0;
    } else if (r.status) {
        status = r.status;
    } else {
        tell_remedy(&r);
        status = cli_fail(cli, buf_view(&r.error));
    }
    run_done(&r);
    return status;
}

const struct cli_command cli_run = {
    .name = "run",
    .summary = "call a tool",
    .words = "TOOL [ARGS…]",
    .words_least = 1,
    .words_most = 1,
    .verbatim = true,
    .takes_tool = true,
    .run = run,
    .about = "Everything behind TOOL is the tool's: --key VALUE, with VALUE as JSON where it\n"
             "is some and as a string otherwise; --key alone is true. -J or --json among them\n"
             "make the output JSON. \"ati tool info TOOL\" shows what a tool takes.\n"
             "Through a proxy, if the tool's manifest is here too and has mcp_url_env, the\n"
             "variable of that name says which MCP server the proxy is to ask.\n"
             "\nExamples:\n"
             "  ati run github:search_repositories --query tdx --per-page 5\n"
             "  ati run gh issue list --limit 3\n",
};
