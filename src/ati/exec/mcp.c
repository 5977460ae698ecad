/* Tools of MCP servers: maybe a generator's credential first, then the hub's connection. */
#include "ati/mcp/mcp.h"

#include <stdlib.h>

#include "ati/exec/exec_priv.h"
#include "ati/exec/generator.h"

enum { FIELDS_MAX = 64 };

struct call {
    struct execution *e;
    struct generation *generation; /* NULL: none is needed */
    struct mcp_ask *ask;           /* NULL: not yet, or answered */
};

/* Lends what the generation lends. */
static void credential_of(const struct generation *g, const struct tool_provider *provider,
                          struct client_field *fields, struct mcp_credential *out)
{
    enum generator_place wanted = provider->mcp_http ? GENERATOR_HEADER : GENERATOR_ENV;
    struct generated given;
    size_t cursor = 0;

    *out = (struct mcp_credential){.fields = fields};
    while (out->field_count < FIELDS_MAX && generator_output(g, &cursor, &given)) {
        if (given.place == GENERATOR_PRIMARY)
            out->token = given.value;
        else if (given.place == wanted)
            fields[out->field_count++] =
                (struct client_field){.name = given.name, .value = given.value, .secret = true};
    }
}

/* --- a call ----------------------------------------------------------------------------------------- */

static void answered(void *context, struct mcp_answer *answer)
{
    struct call *c = context;
    struct execution *e = c->e;

    c->ask = NULL;
    e->result.tool_failed = answer->tool_failed;
    e->carried_out = answer->carried_out || !answer->failed;
    e->result.busy = answer->busy && !answer->carried_out;
    if (answer->failed && answer->carried_out)
        exec_fail_text(e, EXEC_MCP, 502, "", VIEW(EXEC_CARRIED_OUT));
    else if (answer->failed)
        exec_fail_text(e, EXEC_MCP, answer->busy ? 503 : 502, "", buf_view(&answer->error));
    else
        exec_finish(e, EXEC_OK, &answer->value);
}

/* Last: whoever is told may cancel. */
static void progressed(void *context, struct view params)
{
    struct call *c = context;

    c->e->request.progressed(c->e->context, params);
}

static bool ask(struct call *c, struct err *err)
{
    struct execution *e = c->e;
    const struct exec_request *r = &e->request;
    struct client_field fields[FIELDS_MAX];
    struct mcp_credential credential;
    const struct mcp_order order = {.name = view_str(r->tool->name),
                                    .url = r->mcp_url,
                                    .arguments = r->arguments,
                                    .traceparent = r->traceparent,
                                    .tracestate = r->tracestate,
                                    .progressed = r->progressed ? progressed : NULL};

    if (c->generation)
        credential_of(c->generation, r->tool->provider, fields, &credential);
    return mcp_call(e->executor->shared->mcp, e->executor->loop, r->snapshot, r->tool->provider,
                    c->generation ? &credential : NULL, &order, answered, c, &c->ask, err);
}

static void generated(void *context, const char *error)
{
    struct call *c = context;
    struct err err = {0};

    if (error && generator_starved(c->generation))
        exec_fail_busy(c->e, EXEC_MCP, error);
    else if (error)
        exec_fail_text(c->e, EXEC_MCP, 502,
                       "Missing MCP configuration: auth_generator failed: ", view_str(error));
    else if (!ask(c, &err))
        exec_fail_err(c->e, EXEC_MCP, "MCP transport error: ", &err);
}

static bool start(struct execution *e, struct err *err)
{
    const struct exec_request *r = &e->request;
    const struct generator_asker asker = {r->caller, r->token, view_str(r->tool->name)};
    struct call *c = calloc(1, sizeof *c);
    bool ready = true;

    if (!c)
        return err_set(err, ERR_MEMORY, "MCP transport error: no memory for a call");
    e->state = c;
    c->e = e;
    if (!e->executor->shared->mcp)
        return err_set(err, ERR_CONFIG, "MCP transport error: MCP servers cannot be reached here");
    if (r->tool->provider->generator &&
        !generator_start(e->executor->loop, e->executor->shared, r->snapshot->keyring, &asker,
                         r->tool->provider, generated, c, &c->generation, &ready, err))
        return err->code != ERR_BUSY &&
               err_in(err, "Missing MCP configuration: auth_generator failed");
    return !ready || ask(c, err) || err_in(err, "MCP transport error");
}

static void cancel(struct execution *e)
{
    struct call *c = e->state;

    if (!c)
        return;
    e->state = NULL;
    if (c->ask)
        mcp_cancel(c->ask);
    generator_end(c->generation);
    free(c);
}

const struct exec_handler exec_mcp = {start, cancel, EXEC_MCP};

/* --- a provider's tools ----------------------------------------------------------------------------- */

struct exec_listing {
    struct executor *executor;
    struct snapshot *snapshot;
    const struct tool_provider *provider;
    struct generation *generation;
    struct mcp_ask *ask;
    exec_listed *done;
    void *context;
};

static void listing_free(struct exec_listing *l)
{
    generator_end(l->generation);
    snapshot_unref(l->snapshot);
    free(l);
}

static void listed(void *context, struct mcp_answer *answer)
{
    struct exec_listing *l = context;

    l->ask = NULL;
    l->done(l->context, answer);
    listing_free(l);
}

static bool list(struct exec_listing *l, struct err *err)
{
    struct client_field fields[FIELDS_MAX];
    struct mcp_credential credential;

    if (l->generation)
        credential_of(l->generation, l->provider, fields, &credential);
    return mcp_list(l->executor->shared->mcp, l->executor->loop, l->snapshot, l->provider,
                    l->generation ? &credential : NULL, listed, l, &l->ask, err);
}

static void list_failed(struct exec_listing *l, const char *prefix, const char *why)
{
    struct mcp_answer answer = {.failed = true};

    buf_init(&answer.value, 0, "a result");
    buf_init(&answer.error, EXEC_ERROR_BYTES_MAX, "an error");
    if (!buf_append_str(&answer.error, prefix, NULL) || !buf_append_str(&answer.error, why, NULL))
        buf_reset(&answer.error);
    listed(l, &answer);
    buf_done(&answer.error);
}

static void list_generated(void *context, const char *error)
{
    struct exec_listing *l = context;
    struct err err = {0};

    if (error)
        list_failed(l, "Missing MCP configuration: auth_generator failed: ", error);
    else if (!list(l, &err))
        list_failed(l, "MCP transport error: ", err.text);
}

bool exec_list(struct executor *x, struct snapshot *snapshot, const struct tool_provider *provider,
               exec_listed *done, void *context, struct exec_listing **out, struct err *err)
{
    static const struct generator_asker nobody;
    struct exec_listing *l = calloc(1, sizeof *l);
    bool ready = true, good;

    if (!l)
        return err_set(err, ERR_MEMORY, "no memory for a list of tools");
    *l = (struct exec_listing){.executor = x,
                               .snapshot = snapshot_ref(snapshot),
                               .provider = provider,
                               .done = done,
                               .context = context};
    good = x->shared->mcp || err_set(err, ERR_CONFIG, "MCP servers cannot be reached here");
    if (good && provider->generator &&
        !generator_start(x->loop, x->shared, snapshot->keyring, &nobody, provider, list_generated,
                         l, &l->generation, &ready, err))
        good = err_in(err, "Missing MCP configuration: auth_generator failed");
    if (good && (!ready || list(l, err))) {
        *out = l;
        return true;
    }
    listing_free(l);
    return false;
}

void exec_list_cancel(struct exec_listing *l)
{
    if (l->ask)
        mcp_cancel(l->ask);
    listing_free(l);
}
