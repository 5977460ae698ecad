#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "ati/exec/creds.h"
#include "ati/exec/exec_priv.h"
#include "ati/exec/flight.h"
#include "base/check.h"
#include "base/text.h"
#include "child/child.h"

#include "base/poison.h"

enum {
    HTTP_BAD_GATEWAY = 502,
    HTTP_BUSY = 503,
    HTTP_INTERNAL = 500,
    HTTP_OK = 200,
    SHOWN_FROM_BYTES = 64 * 1024
};

const char *exec_variable(char **environment, const char *name)
{
    size_t len = strlen(name);

    for (char **v = environment; v && *v; v++)
        if (!strncmp(*v, name, len) && (*v)[len] == '=')
            return *v + len + 1;
    return NULL;
}

enum client_reach exec_reach_from(char **environment)
{
    const char *value = exec_variable(environment, "ATI_SSRF_PROTECTION");

    if (value && (!strcmp(value, "1") || !strcasecmp(value, "true")))
        return CLIENT_PUBLIC;
    return value && !strcasecmp(value, "warn") ? CLIENT_WARN : CLIENT_ANYWHERE;
}

CLEANUP_DEFINE(struct exec_shared, exec_shared_free)

bool exec_shared_new(const struct exec_shared_options *options, struct exec_shared **out,
                     struct err *err)
{
    CLEANUP(exec_shared_free_cleanup) struct exec_shared *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, ERR_MEMORY, "no memory for what executors share");
    s->mcp = options->mcp;
    s->environment = options->environment;
    s->reach = options->reach;
    s->memory = options->memory;
    s->children = options->children;
    s->folder = options->folder ? strdup(options->folder) : NULL;
    if (options->folder && !s->folder)
        return err_set(err, ERR_MEMORY, "no memory for what executors share");
    if (!flights_new(&s->tokens, err) || !flights_new(&s->outputs, err))
        return false;
    temporary_sweep(s->environment);
    creds_sweep(s->folder);
    *out = take(s);
    return true;
}

void exec_shared_free(struct exec_shared *s)
{
    if (!s)
        return;
    flights_free(s->tokens);
    flights_free(s->outputs);
    free(s->folder);
    free(s);
}

bool executor_new(struct loop *loop, struct client *client, struct exec_shared *shared,
                  struct log *log, struct executor **out, struct err *err)
{
    struct executor *x = calloc(1, sizeof *x);

    if (!x)
        return err_set(err, ERR_MEMORY, "no memory for an executor");
    x->loop = loop;
    x->client = client;
    x->shared = shared;
    x->log = log;
    *out = x;
    return true;
}

/* What the handler made is gone already. */
static void execution_free(struct execution *e)
{
    task_cancel(e->executor->loop, &e->finish);
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    mask_free(e->mask);
    free(e->secrets);
    buf_done(&e->result.value);
    buf_done(&e->result.error);
    snapshot_unref(e->request.snapshot);
    caller_unref(e->request.caller);
    free(e);
}

static void stop(struct execution *e)
{
    if (e->state)
        e->handler->cancel(e);
    e->state = NULL;
}

/* Tells the receiver, last. */
static void deliver(struct execution *e)
{
    stop(e);
    e->done(e->context, &e->result);
    execution_free(e);
}

/* --- what is told ------------------------------------------------------------------------------------- */

/* response.extract. What cannot be extracted stays in the result. */
static bool extract(struct execution *e, struct err *err)
{
    struct buf found;
    bool good;

    buf_init(&found, e->result.value.max, "extracted response");
    buf_count(&found, e->executor->shared->memory);
    good = jsonpath_extract(buf_view(&e->result.value), view_str(e->request.tool->extract), &found,
                            err);
    if (good) {
        buf_done(&e->result.value);
        e->result.value = found;
    } else {
        buf_done(&found);
    }
    return good;
}

/* Rather nothing than what may hold a secret. */
static void tell_nothing(struct execution *e, const struct err *err)
{
    struct exec_result *r = &e->result;

    buf_done(&r->value);
    buf_done(&r->error);
    r->outcome = e->handler->failure;
    r->busy = err->code == ERR_BUSY && !e->carried_out;
    r->status = r->busy ? HTTP_BUSY : HTTP_BAD_GATEWAY;
    (void)!buf_append_str(&r->error,
                          r->busy                 ? err->text
                          : err->code == ERR_BUSY ? EXEC_CARRIED_OUT
                                                  : "no memory for the answer",
                          NULL);
    e->stage = STAGE_DONE;
}

/* Masked: what may be left of a secret where it was cut goes, and the prefix comes. */
static bool complete_error(struct execution *e, struct err *err)
{
    struct buf *error = &e->result.error, whole;
    size_t edge = mask_edge(e->mask), len = buf_len(error);

    if (e->cut_tail)
        error->tail -= edge < len ? edge : len;
    len = buf_len(error);
    if (e->cut_head)
        buf_eat(error, edge < len ? edge : len);
    if (!e->prefix[0])
        return true;
    buf_init_like(&whole, error);
    if (!buf_append_str(&whole, e->prefix, err) || !buf_append(&whole, buf_view(error), err)) {
        buf_done(&whole);
        return false;
    }
    buf_done(error);
    *error = whole;
    return true;
}

/* A text is masked: on to the next. */
static bool next_stage(struct execution *e, struct err *err)
{
    struct exec_result *r = &e->result;
    bool wanted = r->outcome == EXEC_OK && e->request.tool->extract;

    if (e->stage == STAGE_ERROR && !complete_error(e, err))
        return false;
    if (e->stage != STAGE_VALUE || !wanted) {
        e->stage = e->stage == STAGE_ERROR ? STAGE_VALUE : STAGE_DONE;
        return true;
    }
    e->stage = STAGE_EXTRACTED;
    if (!extract(e, err)) {
        if (err->code == ERR_BUSY)
            return false;
        r->outcome = EXEC_EXTRACT;
        r->status = HTTP_INTERNAL;
        (void)!buf_append_str(&r->error, err->text, NULL);
        e->stage = STAGE_DONE;
    }
    return true;
}

/* A piece of the work. */
static bool work(struct execution *e, struct err *err)
{
    bool error = e->stage == STAGE_ERROR, more = false;

    if (e->secret_lost)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    if (!e->mask && !mask_new(e->secrets, e->secret_count, &e->mask, err))
        return false;
    if (!e->masking)
        mask_begin(e->mask, error ? &e->result.error : &e->result.value, !error,
                   error ? MASK_ERROR_BYTES_MIN : MASK_VALUE_BYTES_MIN);
    if (!mask_step(e->mask, &more, err))
        return false;
    e->masking = more;
    return more || next_stage(e, err);
}

static void finished(struct loop *loop, struct task *task)
{
    struct execution *e =
        (struct execution *)(void *)((char *)task - offsetof(struct execution, finish));
    struct err err = {0};

    while (e->stage != STAGE_DONE) {
        if (!work(e, &err))
            tell_nothing(e, &err);
        if (e->masking && e->stage != STAGE_DONE) {
            task_queue_long(loop, task);
            return;
        }
    }
    deliver(e);
}

void executor_free(struct executor *x)
{
    struct err err = {0};

    if (!x)
        return;
    while (x->executions) {
        struct execution *e = x->executions;

        if (!e->finished)
            exec_fail(e, EXEC_CANCELLED, HTTP_INTERNAL, "the gateway is ending");
        while (e->stage != STAGE_DONE)
            if (!work(e, &err))
                tell_nothing(e, &err);
        deliver(e);
    }
    free(x);
}

/* --- ends --------------------------------------------------------------------------------------------- */

static void end(struct execution *e, enum exec_outcome outcome, int status)
{
    CHECK(!e->finished);
    e->finished = true;
    e->result.outcome = outcome;
    e->result.status = status;
    task_queue(e->executor->loop, &e->finish);
}

void exec_finish(struct execution *e, enum exec_outcome outcome, struct buf *json)
{
    buf_done(&e->result.value);
    e->result.value = *json;
    buf_init_like(json, &e->result.value);
    end(e, outcome, HTTP_OK);
}

void exec_fail_text(struct execution *e, enum exec_outcome outcome, int status, const char *prefix,
                    struct view text)
{
    (void)snprintf(e->prefix, sizeof e->prefix, "%s", prefix);
    e->cut_tail = text.len > EXEC_ERROR_BYTES_MAX;
    /* What does not fit into memory is left out: the outcome tells enough. */
    (void)!buf_append(&e->result.error, view_first(text, EXEC_ERROR_BYTES_MAX), NULL);
    end(e, outcome, status);
}

void exec_fail_err(struct execution *e, enum exec_outcome outcome, const char *prefix,
                   const struct err *err)
{
    bool starved = err->code == ERR_BUSY;

    e->result.busy = starved && !e->carried_out;
    exec_fail_text(e, outcome, e->result.busy ? HTTP_BUSY : HTTP_BAD_GATEWAY, prefix,
                   view_str(starved && e->carried_out ? EXEC_CARRIED_OUT : err->text));
}

void exec_fail_busy(struct execution *e, enum exec_outcome outcome, const char *text)
{
    e->result.busy = true;
    exec_fail_text(e, outcome, HTTP_BUSY, "", view_str(text));
}

void exec_fail_child(struct execution *e, enum exec_outcome outcome, int status, const char *prefix,
                     struct view said)
{
    e->cut_head = said.len >= CHILD_ERROR_BYTES;
    exec_fail_text(e, outcome, status, prefix, said);
}

void exec_fail(struct execution *e, enum exec_outcome outcome, int status, const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    int n;

    va_start(args, fmt);
    n = vasprintf(&text, fmt, args);
    va_end(args);
    exec_fail_text(e, outcome, status, "", n < 0 ? VIEW("no memory") : view_str(text));
    if (n >= 0)
        free(text);
}

void exec_secret(struct execution *e, struct view secret)
{
    struct view *more;

    for (size_t i = 0; i < e->secret_count; i++)
        if (view_eq(e->secrets[i], secret))
            return;
    if (secret.len < MASK_ERROR_BYTES_MIN)
        return;
    more = reallocarray(e->secrets, e->secret_count + 1, sizeof *more);
    if (!more) {
        e->secret_lost = true;
        return;
    }
    more[e->secret_count++] = secret;
    e->secrets = more;
}

const char *exec_shown(const struct execution *e, struct view said, size_t most, char *out,
                       size_t size)
{
    bool cut = said.len > SHOWN_FROM_BYTES;
    struct mask *mask = NULL;
    struct buf text;
    size_t edge = 0;

    *out = '\0';
    buf_init(&text, (size_t)2 * SHOWN_FROM_BYTES, "an answer");
    if (!e->secret_lost && mask_new(e->secrets, e->secret_count, &mask, NULL) && mask) {
        if (buf_append(&text, view_first(said, SHOWN_FROM_BYTES), NULL) &&
            mask_text(mask, &text, false, MASK_ERROR_BYTES_MIN, NULL)) {
            edge = cut ? mask_edge(mask) : 0;
            (void)text_escape(
                view_first(buf_view(&text),
                           buf_len(&text) - (edge < buf_len(&text) ? edge : buf_len(&text))),
                most, out, size);
        }
        mask_free(mask);
    }
    buf_wipe(&text);
    return out;
}

static const struct exec_handler *handler_of(enum manifest_handler h)
{
    switch (h) {
    case HANDLER_HTTP:
    case HANDLER_OPENAPI:
    case HANDLER_PASSTHROUGH: /* has routes, not tools; what is listed there is a request as any other */
        return &exec_http;
    case HANDLER_MCP:
        return &exec_mcp;
    case HANDLER_CLI:
        return &exec_cli;
    case HANDLER_FILES:
        return &exec_files;
    }
    return &exec_http;
}

bool exec_start(struct executor *x, const struct exec_request *request, exec_done *done,
                void *context, struct execution **out, struct err *err)
{
    struct execution *e = calloc(1, sizeof *e);
    struct err why = {.code = ERR_NONE};

    if (!e)
        return err_set(err, ERR_MEMORY, "no memory for a call");
    e->executor = x;
    e->request = *request;
    e->request.snapshot = snapshot_ref(request->snapshot);
    e->request.caller = caller_ref(request->caller);
    e->handler = handler_of(request->tool->provider->handler);
    e->done = done;
    e->context = context;
    e->result.exit_code = -1;
    buf_init(&e->result.value, EXEC_RESULT_BYTES_MAX, "result");
    buf_init(&e->result.error, 2 * (size_t)EXEC_ERROR_BYTES_MAX, "error");
    buf_count(&e->result.error, x->shared->memory);
    task_init(&e->finish, finished);
    e->next = x->executions;
    e->link = &x->executions;
    if (e->next)
        e->next->link = &e->next;
    x->executions = e;
    if (!e->handler->start(e, &why) && !e->finished)
        exec_fail_err(e, e->handler->failure, "", &why);
    *out = e;
    return true;
}

void exec_cancel(struct execution *e)
{
    stop(e);
    execution_free(e);
}
