#include <stdio.h>
#include <stdlib.h>

#include "ati/exec/answer.h"
#include "ati/exec/capture.h"
#include "ati/exec/creds.h"
#include "ati/exec/exec_priv.h"
#include "ati/exec/generator.h"
#include "ati/exec/words.h"
#include "ati/mcp/mcp.h"
#include "base/text.h"
#include "child/child.h"
#include "net/owner.h"

#include "base/poison.h"

enum { HTTP_BAD_GATEWAY = 502, WRAPPED_MAX = 4096 };

struct cli_call {
    struct execution *e;
    struct generation *generation;
    struct child_job *job;
    struct mcp_ask *room; /* NULL: no place for the program is waited for */
    struct child_environment environment;
    struct creds creds;
    struct captures captures;
    struct words words;
    char **list; /* arguments, NULL-terminated */
    size_t list_count;
    struct buf value;
    struct task reading;
    uint64_t started_us;
};

static const struct tool_provider *provider_of(const struct cli_call *c)
{
    return c->e->request.tool->provider;
}

static void fail(struct cli_call *c, const struct err *err)
{
    exec_fail_err(c->e, EXEC_CLI, "", err);
}

/* --- the environment -------------------------------------------------------------------------- */

/* "@{key}": the path of a file that holds it. */
static bool set_file(struct cli_call *c, struct view name, struct view key, struct err *err)
{
    const struct keyring *keyring = c->e->request.snapshot->keyring;
    struct view value;
    char *path;
    bool good;

    if (!creds_file(&c->creds, c->e->executor->shared->folder, keyring, key, &path, err))
        return false;
    if (keyring_find(keyring, key, &value))
        exec_secret(c->e, value);
    good = child_environment_set(&c->environment, name, view_str(path), err);
    free(path);
    return good;
}

/* Text with ${key}. */
static bool set_text(struct cli_call *c, struct view name, struct view value, struct err *err)
{
    const struct keyring *keyring = c->e->request.snapshot->keyring;
    struct view rest = value, entry;
    char missing[128];
    struct buf text;
    bool good;

    buf_init(&text, KEYRING_BYTES_MAX, "environment");
    good = keyring_expand(keyring, value, KEYRING_MISSING_FAILS, &text, missing, err);
    if (!good && err->code == ERR_NOT_FOUND)
        (void)err_set(err, ERR_NOT_FOUND, "Missing keyring key: %s", missing);
    good = good && child_environment_set(&c->environment, name, buf_view(&text), err);
    while (good && view_find_text(rest, VIEW("${"))) {
        rest = view_skip(
            rest, (size_t)((const uint8_t *)memmem(rest.at, rest.len, "${", 2) - rest.at) + 2);
        if (keyring_find(keyring, view_first(rest, view_find(rest, '}')), &entry))
            exec_secret(c->e, entry);
    }
    buf_wipe(&text);
    return good;
}

static bool set_generated(struct cli_call *c, struct err *err)
{
    struct generated g;
    size_t cursor = 0;

    while (c->generation && generator_output(c->generation, &cursor, &g)) {
        exec_secret(c->e, g.value);
        if (g.place == GENERATOR_HEADER)
            continue;
        if (!child_environment_set(&c->environment,
                                   g.place == GENERATOR_ENV ? g.name : VIEW("ATI_AUTH_TOKEN"),
                                   g.value, err))
            return false;
    }
    return true;
}

static bool make_environment(struct cli_call *c, struct err *err)
{
    static const char *const ours[] = {"PATH", "HOME", "TMPDIR", "LANG", "USER", "TERM", NULL};
    const struct text_pairs *own = &provider_of(c)->cli_env;

    if (!child_environment_init(&c->environment, c->e->executor->shared->environment, ours, err))
        return false;
    for (size_t i = 0; i < own->count; i++) {
        struct view name = view_str(own->at[i].name), value = view_str(own->at[i].value);
        bool file = view_starts(value, VIEW("@{")) && view_find(value, '}') == value.len - 1;

        if (!(file ? set_file(c, name, view_first(view_skip(value, 2), value.len - 3), err)
                   : set_text(c, name, value, err)))
            return false;
    }
    return set_generated(c, err);
}

/* --- arguments -------------------------------------------------------------------------------- */

static bool make_arguments(struct cli_call *c, struct err *err)
{
    const struct tool_provider *p = provider_of(c);
    const struct exec_request *r = &c->e->request;
    const struct view *words = r->words;
    size_t own = p->cli_default_args.count, count = r->word_count;

    if (!r->has_words) {
        if (!words_from(r->arguments, &c->words, err))
            return false;
        words = c->words.list;
        count = c->words.count;
    }
    if (own + count > CHILD_ARGUMENTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d arguments", CHILD_ARGUMENTS_MAX);
    for (size_t i = 0; i < count; i++)
        if (view_find(words[i], '\0') < words[i].len)
            return err_set(err, ERR_SYNTAX, "argument %zu holds a NUL", i + 1);
    c->list = calloc(own + count + 1, sizeof *c->list);
    if (!c->list)
        return err_set(err, ERR_MEMORY, "no memory for arguments");
    c->list_count = own + count;
    for (size_t i = 0; i < own; i++) {
        c->list[i] = strdup(p->cli_default_args.at[i]);
        if (!c->list[i])
            return err_set(err, ERR_MEMORY, "no memory for arguments");
    }
    return captures_rewrite(&c->captures, p, c->e->executor->shared->environment, words, count,
                            c->list + own, err);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void read_on(struct loop *loop, struct task *task)
{
    struct cli_call *c = OWNER(task, struct cli_call, reading);
    struct err err;
    bool more;

    if (!captures_read(&c->captures, &c->value, &more, &err) ||
        (!more && !buf_append_byte(&c->value, '}', &err)))
        fail(c, &err);
    else if (more)
        task_queue_long(loop, task);
    else
        exec_finish(c->e, EXEC_OK, &c->value);
}

/* {"stdout":…,"outputs":{…}}, the latter in pieces. */
static void take_captures(struct cli_call *c, struct view printed)
{
    struct json_writer w;
    struct err err;

    buf_init(&c->value, CAPTURE_RESULT_BYTES_MAX, "result");
    buf_count(&c->value, c->e->executor->shared->memory);
    if (buf_append_str(&c->value, "{\"stdout\":", &err)) {
        json_begin(&w, &c->value);
        json_text(&w, printed);
        if (json_end(&w, &err) && buf_append_byte(&c->value, ',', &err)) {
            task_queue_long(c->e->executor->loop, &c->reading);
            return;
        }
    }
    fail(c, &err);
}

static void succeed(struct cli_call *c, struct buf *printed)
{
    struct view all = buf_view(printed), text = text_trim(all);
    struct err err;

    if (c->captures.count) {
        take_captures(c, text);
        return;
    }
    if (text.len) {
        printed->head += (size_t)(text.at - all.at);
        printed->tail = printed->head + text.len;
    } else {
        buf_reset(printed);
    }
    if (answer_value(printed, &err))
        exec_finish(c->e, EXEC_OK, printed);
    else
        fail(c, &err);
}

static void ended(void *context, struct child_output *output)
{
    struct cli_call *c = context;
    struct execution *e = c->e;
    char prefix[48];

    c->job = NULL;
    e->carried_out = !output->failed;
    e->result.upstream_us = clock_monotonic_us() - c->started_us;
    creds_done(&c->creds);
    if (output->failed) {
        exec_fail_err(e, EXEC_CLI, "Failed to spawn CLI process: ", output->failed);
    } else if (output->timed_out) {
        exec_fail(e, EXEC_CLI, HTTP_BAD_GATEWAY, "CLI timed out after %llus",
                  (unsigned long long)provider_of(c)->cli_timeout_s);
    } else if (output->starved) {
        exec_fail(e, EXEC_CLI, HTTP_BAD_GATEWAY, EXEC_CARRIED_OUT);
    } else if (output->too_large) {
        exec_fail(e, EXEC_CLI, HTTP_BAD_GATEWAY, "CLI printed more than %d bytes",
                  EXEC_RESULT_BYTES_MAX);
    } else if (output->exit_code != 0) {
        e->result.exit_code = output->exit_code;
        (void)snprintf(prefix, sizeof prefix, "CLI exited with code %d: ", output->exit_code);
        exec_fail_child(e, EXEC_CLI, HTTP_BAD_GATEWAY, prefix, output->error);
    } else {
        e->result.exit_code = 0;
        succeed(c, &output->text);
    }
}

/* --- the beginning ---------------------------------------------------------------------------- */

static bool spawn(struct cli_call *c, struct err *err)
{
    const struct tool_provider *p = provider_of(c);
    const struct child_command command = {.program = p->cli_command,
                                          .arguments = (const char *const *)c->list,
                                          .environment = c->environment.list,
                                          .places = c->e->executor->shared->children,
                                          .memory = c->e->executor->shared->memory};

    c->started_us = clock_monotonic_us();
    if (!child_run(c->e->executor->loop, &command, EXEC_RESULT_BYTES_MAX, p->cli_timeout_s * 1000,
                   ended, c, &c->job, err))
        return err_in(err, "Failed to spawn CLI process");
    child_environment_done(&c->environment);
    return true;
}

static void room_made(void *context, struct mcp_answer *answer)
{
    struct cli_call *c = context;
    struct err err;

    (void)answer;
    c->room = NULL;
    if (!spawn(c, &err))
        fail(c, &err);
}

static bool launch(struct cli_call *c, struct err *err)
{
    struct executor *x = c->e->executor;
    struct err ignored;

    if (!make_environment(c, err) || !make_arguments(c, err))
        return false;
    return spawn(c, err) ||
           (err->code == ERR_BUSY && x->shared->mcp &&
            mcp_make_room(x->shared->mcp, x->loop, room_made, c, &c->room, &ignored));
}

static void generated(void *context, const char *error)
{
    struct cli_call *c = context;
    struct err err;

    if (error && generator_starved(c->generation))
        exec_fail_busy(c->e, EXEC_CLI, error);
    else if (error)
        exec_fail_text(c->e, EXEC_CLI, HTTP_BAD_GATEWAY,
                       "CLI config error: auth_generator failed: ", view_str(error));
    else if (!launch(c, &err))
        fail(c, &err);
}

static bool start(struct execution *e, struct err *err)
{
    const struct exec_request *r = &e->request;
    const struct generator_asker asker = {r->caller, r->token, view_str(r->tool->name)};
    struct cli_call *c = calloc(1, sizeof *c);
    bool ready = true;

    if (!c)
        return err_set(err, ERR_MEMORY, "no memory for a call");
    c->e = e;
    e->state = c;
    task_init(&c->reading, read_on);
    buf_init(&c->value, 0, "result");
    captures_init(&c->captures, e->executor->shared->environment);
    if (!r->tool->provider->cli_command)
        return err_set(err, ERR_CONFIG, "CLI config error: provider missing cli_command");
    if (r->tool->provider->generator &&
        !generator_start(e->executor->loop, e->executor->shared, r->snapshot->keyring, &asker,
                         r->tool->provider, generated, c, &c->generation, &ready, err))
        return err->code != ERR_BUSY && err_in(err, "CLI config error: auth_generator failed");
    return !ready || launch(c, err);
}

static void cancel(struct execution *e)
{
    struct cli_call *c = e->state;

    if (c->job)
        child_cancel(c->job);
    if (c->room)
        mcp_cancel(c->room);
    task_cancel(e->executor->loop, &c->reading);
    generator_end(c->generation);
    child_environment_done(&c->environment);
    creds_done(&c->creds);
    captures_done(&c->captures);
    words_done(&c->words);
    for (size_t i = 0; c->list && i < c->list_count; i++)
        free(c->list[i]);
    free(c->list);
    buf_done(&c->value);
    free(c);
}

const struct exec_handler exec_cli = {start, cancel, EXEC_CLI};
