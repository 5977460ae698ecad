/* discovery: which tools MCP servers have: a few servers at once, each with its time. What was found is kept, so that a reload
 * does not begin without it. Who did not answer is asked again when somebody looks for tools: the first time at once, then after a
 * while that doubles from DISCOVERY_AGAIN_MS to DISCOVERY_AGAIN_MOST_MS. */
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

/* A server that is being asked. */
struct asked {
    struct discovery *discovery;
    const struct tool_provider *provider; /* of the snapshot that is asked */
    struct exec_listing *listing;         /* NULL: the place is free */
    struct timer timer;
};

/* What one has said. */
struct known {
    char *provider;
    struct tool *tools;
    size_t count;
    bool found;        /* it has answered once */
    bool changed;      /* it said that there is more to say */
    bool failed;       /* it did not answer when it was asked last */
    uint64_t wait_ms;  /* from that failure to the next question; 0: it is the first one in a row */
    uint64_t again_ms; /* when that may be */
};

struct discovery {
    struct gateway *gateway;
    struct asked asked[DISCOVERY_AT_ONCE];
    struct snapshot *snapshot; /* whose servers are asked; NULL: nobody is */
    size_t next;               /* provider to look at */
    bool changed_only;         /* of them those that have changed, or may be asked again */
    struct timer again;        /* to ask those */
    struct known *known;
    size_t known_count;
    _Atomic uint64_t
        due_ms; /* the first again_ms of those that failed; read by workers; UINT64_MAX: none did */
    void (*done)(struct gateway *g);
};

static void go_on(struct discovery *d);
static void timed_out(struct loop *loop, struct timer *timer);
static void ask_again(struct loop *loop, struct timer *timer);

bool discovery_new(struct gateway *g, struct discovery **out, struct err *err)
{
    struct discovery *d = calloc(1, sizeof *d);

    if (!d)
        return err_set(err, ERR_MEMORY, "no memory for discovery");
    d->gateway = g;
    atomic_init(&d->due_ms, UINT64_MAX);
    timer_init(&d->again, ask_again);
    for (size_t i = 0; i < DISCOVERY_AT_ONCE; i++) {
        d->asked[i].discovery = d;
        timer_init(&d->asked[i].timer, timed_out);
    }
    *out = d;
    return true;
}

static void release(struct asked *a)
{
    timer_cancel(&a->timer);
    a->provider = NULL;
    a->listing = NULL;
}

static void stop(struct discovery *d)
{
    for (size_t i = 0; i < DISCOVERY_AT_ONCE; i++)
        if (d->asked[i].listing) {
            exec_list_cancel(d->asked[i].listing);
            release(&d->asked[i]);
        }
    snapshot_unref(d->snapshot);
    d->snapshot = NULL;
}

void discovery_free(struct discovery *d)
{
    if (!d)
        return;
    timer_cancel(&d->again);
    stop(d);
    for (size_t i = 0; i < d->known_count; i++) {
        tools_free(d->known[i].tools, d->known[i].count);
        free(d->known[i].provider);
    }
    free(d->known);
    free(d);
}

/* --- what is known ----------------------------------------------------------------------------- */

static bool copy_text(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

static bool copy_texts(struct texts *out, const struct texts *from)
{
    out->at = from->count ? calloc(from->count, sizeof *out->at) : NULL;
    if (from->count && !out->at)
        return false;
    for (; out->count < from->count; out->count++)
        if (!copy_text(&out->at[out->count], from->at[out->count]))
            return false;
    return true;
}

static bool copy_tool(struct tool *out, const struct tool *from)
{
    out->method = from->method;
    out->format = from->format;
    return copy_text(&out->name, from->name) && copy_text(&out->description, from->description) &&
           copy_text(&out->endpoint, from->endpoint) && copy_text(&out->scope, from->scope) &&
           copy_text(&out->schema, from->schema) && copy_text(&out->extract, from->extract) &&
           copy_text(&out->hint, from->hint) && copy_texts(&out->tags, &from->tags) &&
           copy_texts(&out->examples, &from->examples);
}

static struct tool *copy_tools(const struct tool *from, size_t count)
{
    struct tool *out = calloc(count + 1, sizeof *out);

    for (size_t i = 0; out && i < count; i++)
        if (!copy_tool(&out[i], &from[i])) {
            tools_free(out, count);
            return NULL;
        }
    return out;
}

static struct known *find(struct discovery *d, const char *provider)
{
    for (size_t i = 0; i < d->known_count; i++)
        if (strcmp(d->known[i].provider, provider) == 0)
            return &d->known[i];
    return NULL;
}

/* The one of this provider, made if need be; lent until the next call. NULL: no memory. */
static struct known *known_of(struct discovery *d, const char *provider)
{
    struct known *k = find(d, provider), *more;
    char *name;

    if (k)
        return k;
    more = realloc(d->known, (d->known_count + 1) * sizeof *more);
    if (more)
        d->known = more;
    name = more ? strdup(provider) : NULL;
    if (!name)
        return NULL;
    k = &d->known[d->known_count++];
    *k = (struct known){.provider = name};
    return k;
}

/* Takes tools. False: no memory. */
static bool remember(struct discovery *d, const char *provider, struct tool *tools, size_t count)
{
    struct known *k = known_of(d, provider);

    if (!k) {
        tools_free(tools, count);
        return false;
    }
    tools_free(k->tools, k->count);
    k->tools = tools;
    k->count = count;
    k->found = true;
    k->wait_ms = 0;
    return true;
}

/* It is asked again some time. */
static void remember_failure(struct discovery *d, const char *provider)
{
    struct known *k = known_of(d, provider);

    if (!k)
        return;
    k->again_ms = loop_now_ms(d->gateway->loop) + k->wait_ms;
    k->wait_ms = !k->wait_ms                                ? DISCOVERY_AGAIN_MS
                 : k->wait_ms < DISCOVERY_AGAIN_MOST_MS / 2 ? 2 * k->wait_ms
                                                            : DISCOVERY_AGAIN_MOST_MS;
    k->failed = true;
}

/* Those that a reload has taken away are nobody's. */
static void set_due(struct discovery *d)
{
    const struct catalog *c = d->gateway->snapshot->catalog;
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < d->known_count; i++) {
        const struct known *k = &d->known[i];

        if (k->failed && k->again_ms < due && catalog_provider(c, view_str(k->provider)))
            due = k->again_ms;
    }
    atomic_store(&d->due_ms, due);
}

static bool add(struct catalog *c, const struct tool_provider *provider, const struct known *k,
                struct catalog **out, struct err *err)
{
    struct tool *tools = copy_tools(k->tools, k->count);

    if (!tools)
        return err_set(err, ERR_MEMORY, "no memory for discovered tools");
    if (catalog_discovered(c, provider, tools, k->count, out, err))
        return true;
    tools_free(tools, k->count);
    return false;
}

bool discovery_known(struct discovery *d, struct catalog *c, struct catalog **out, struct err *err)
{
    for (size_t i = 0; i < d->known_count; i++) {
        const struct tool_provider *p = catalog_provider(c, view_str(d->known[i].provider));
        struct catalog *next = NULL;
        bool good;

        if (!d->known[i].found || !p || p->handler != HANDLER_MCP)
            continue;
        good = add(c, p, &d->known[i], &next, err);
        catalog_unref(c);
        if (!good)
            return false;
        c = next;
    }
    *out = c;
    return true;
}

/* --- asking ------------------------------------------------------------------------------------ */

/* The newest snapshot with what this provider has just said. */
static bool publish(struct discovery *d, const char *provider, struct err *err)
{
    struct gateway *g = d->gateway;
    const struct snapshot *now = g->snapshot;
    const struct tool_provider *p = catalog_provider(now->catalog, view_str(provider));
    CLEANUP(catalog_unref_cleanup) struct catalog *catalog = NULL;
    struct snapshot *s;

    if (!p || p->handler != HANDLER_MCP)
        return true;
    if (!add(now->catalog, p, find(d, provider), &catalog, err) ||
        !snapshot_new(catalog, now->keyring, now->authority, &s, err))
        return false;
    gateway_publish(g, s);
    return true;
}

static void answered(void *context, struct mcp_answer *answer)
{
    struct asked *a = context;
    struct discovery *d = a->discovery;
    struct gateway *g = d->gateway;
    const char *name = a->provider->name;
    struct err err = {0};

    a->listing = NULL;
    if (answer->failed) {
        log_event(g->log, LOG_WARN, "mcp.undiscovered", "MCP tool discovery failed",
                  F_STR("provider", name), F_VIEW("error", buf_view(&answer->error)));
        remember_failure(d, name);
    } else {
        size_t count = answer->tool_count;

        bool kept = remember(d, name, answer->tools, count);

        answer->tools = NULL;
        answer->tool_count = 0;
        if (kept && publish(d, name, &err))
            log_event(g->log, LOG_INFO, "mcp.discovered", "discovered MCP tools",
                      F_STR("provider", name), F_U64("tools", count));
        else
            log_event(g->log, LOG_WARN, "mcp.undiscovered", "MCP tool discovery failed",
                      F_STR("provider", name), F_STR("error", err.text));
    }
    release(a);
    go_on(d);
}

static void timed_out(struct loop *loop, struct timer *timer)
{
    struct asked *a = CONTAINER(timer, struct asked, timer);

    (void)loop;
    log_event(a->discovery->gateway->log, LOG_WARN, "mcp.undiscovered",
              "MCP tool discovery timed out (30s)", F_STR("provider", a->provider->name));
    exec_list_cancel(a->listing);
    remember_failure(a->discovery, a->provider->name);
    release(a);
    go_on(a->discovery);
}

static bool ask(struct discovery *d, struct asked *a, const struct tool_provider *p)
{
    struct gateway *g = d->gateway;
    struct err err;

    if (!exec_list(g->executor, d->snapshot, p, answered, a, &a->listing, &err)) {
        log_event(g->log, LOG_WARN, "mcp.undiscovered", "MCP tool discovery failed",
                  F_STR("provider", p->name), F_STR("error", err.text));
        a->listing = NULL;
        remember_failure(d, p->name);
        return false;
    }
    a->provider = p;
    timer_set(g->loop, &a->timer, loop_now_ms(g->loop) + DISCOVERY_MS);
    return true;
}

/* Is it to be asked? */
static bool wanted(struct discovery *d, const struct tool_provider *p)
{
    struct known *k = p->handler == HANDLER_MCP ? find(d, p->name) : NULL;
    bool due = k && (k->changed || (k->failed && k->again_ms <= loop_now_ms(d->gateway->loop)));

    if (p->handler != HANDLER_MCP || (p->mcp_url_env && !p->mcp_url) || (d->changed_only && !due))
        return false; /* a server that only callers know cannot be asked */
    if (k)
        k->changed = k->failed = false;
    return true;
}

/* Gives every free place a server; when there are neither servers nor asked ones any more, it is done. */
static void go_on(struct discovery *d)
{
    size_t count = catalog_provider_count(d->snapshot->catalog), busy = 0;
    void (*done)(struct gateway *) = d->done;

    for (size_t i = 0; i < DISCOVERY_AT_ONCE; i++) {
        struct asked *a = &d->asked[i];

        while (!a->listing && d->next < count) {
            const struct tool_provider *p = catalog_provider_at(d->snapshot->catalog, d->next++);

            if (wanted(d, p))
                (void)!ask(d, a, p);
        }
        busy += a->listing != NULL;
    }
    if (busy)
        return;
    snapshot_unref(d->snapshot);
    d->snapshot = NULL;
    d->done = NULL;
    set_due(d);
    if (done)
        done(d->gateway);
}

static void begin(struct discovery *d)
{
    d->snapshot = snapshot_ref(d->gateway->snapshot);
    d->next = 0;
    go_on(d);
}

void discovery_start(struct discovery *d, void (*done)(struct gateway *g))
{
    stop(d);
    if (done)
        d->done = done;
    d->changed_only = false;
    begin(d);
}

static void wait_a_while(struct discovery *d)
{
    timer_set(d->gateway->loop, &d->again, loop_now_ms(d->gateway->loop) + DISCOVERY_AGAIN_MS);
}

static void ask_again(struct loop *loop, struct timer *timer)
{
    struct discovery *d = CONTAINER(timer, struct discovery, again);

    (void)loop;
    if (d->snapshot) { /* it may have been asked before it changed */
        wait_a_while(d);
        return;
    }
    d->changed_only = true;
    begin(d);
}

void discovery_changed(struct discovery *d, const char *provider)
{
    struct known *k = known_of(d, provider);

    if (!k)
        return;
    k->changed = true;
    if (!timer_armed(&d->again))
        wait_a_while(d);
}

void discovery_look(struct discovery *d)
{
    if (d->snapshot) /* it goes on */
        return;
    d->changed_only = true;
    begin(d);
}

bool discovery_due(const struct discovery *d, uint64_t now_ms)
{
    return atomic_load_explicit(&d->due_ms, memory_order_relaxed) <= now_ms;
}
