#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ati/mcp/mcp_priv.h"

enum { LOOK_MS = 50 };

static void inbox_ready(struct loop *loop, struct io *io, uint32_t events);
static void end_timed(struct loop *loop, struct timer *timer);
static void tell_closed(struct loop *loop, struct task *task);
static void ask_timed(struct loop *loop, struct timer *timer);
static void ask_place(struct mcp_ask *ask);
static void look(struct loop *loop, struct task *task);
static void look_timed(struct loop *loop, struct timer *timer);
static void ask_finished(struct loop *loop, struct post *post);

/* --- asks: life ------------------------------------------------------------------------------------- */

void mcp_ask_free(struct mcp_ask *ask)
{
    if (!ask)
        return;
    snapshot_unref(ask->snapshot);
    free(ask->name);
    free(ask->url);
    buf_done(&ask->arguments);
    if (ask->token)
        secret_wipe(ask->token, strlen(ask->token));
    free(ask->token);
    for (size_t i = 0; i < ask->extras.count; i++) {
        char *value = ask->extras.at[i].value;

        if (value)
            secret_wipe(value, strlen(value));
        free(ask->extras.at[i].name);
        free(value);
    }
    free(ask->extras.at);
    free(ask->cursor);
    mcp_notes_done(&ask->notes);
    buf_done(&ask->answer.value);
    buf_done(&ask->answer.error);
    tools_free(ask->answer.tools, ask->answer.tool_count);
    free(ask);
}

CLEANUP_DEFINE(struct mcp_ask, mcp_ask_free)

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "no memory for a call");
}

static bool copy_credential(struct mcp_ask *ask, const struct mcp_credential *c, struct err *err)
{
    struct text_pairs *e = &ask->extras;

    if (!c)
        return true;
    ask->has_credential = true;
    ask->token = mcp_copy(c->token);
    e->at = calloc(c->field_count + 1, sizeof *e->at);
    if (!ask->token || !e->at)
        return no_memory(err);
    for (size_t i = 0; i < c->field_count; i++) {
        struct view name = c->fields[i].name, value = c->fields[i].value;

        e->at[i] = (struct text_pair){mcp_copy(name), mcp_copy(value)};
        e->count++;
        if (!e->at[i].name || !e->at[i].value)
            return no_memory(err);
    }
    return true;
}

/* In one line, as messages over standard streams are. */
static bool copy_arguments(struct mcp_ask *ask, struct view arguments, struct err *err)
{
    struct json_tree tree;
    bool good;

    buf_init(&ask->arguments, SIZE_MAX / 2, "arguments");
    buf_count(&ask->arguments, ask->hub->options.memory);
    if (!json_load_loose(arguments, MCP_VALUES_MAX, &tree, err))
        return err_in(err, "arguments");
    good = tree.doc.tokens[0].kind == JSON_OBJECT
               ? json_render(&tree.doc, 0, JSON_COMPACT, false, &ask->arguments, err)
               : err_set(err, ERR_SYNTAX, "arguments: not an object");
    json_unload(&tree);
    return good;
}

static bool copy_name(struct mcp_ask *ask, struct view name, struct err *err)
{
    struct view prefix = view_str(ask->provider->name);

    if (view_starts(name, prefix) && name.len > prefix.len && name.at[prefix.len] == ':')
        name = view_skip(name, prefix.len + 1);
    ask->name = mcp_copy(name);
    return ask->name || no_memory(err);
}

void mcp_hub_wake(struct mcp_hub *hub)
{
    uint64_t one = 1;

    /* It fails only when the counter is full, and then the hub has been woken already. */
    if (write(hub->wake.fd, &one, sizeof one) < 0)
        return;
}

/* Under the lock. */
static void put_in_inbox(struct mcp_hub *hub, struct mcp_ask *ask)
{
    if (ask->in_inbox)
        return;
    ask->in_inbox = true;
    ask->inbox_next = NULL;
    *hub->inbox_tail = ask;
    hub->inbox_tail = &ask->inbox_next;
}

static void ask_start(struct mcp_ask *ask)
{
    struct mcp_hub *hub = ask->hub;

    pthread_mutex_lock(&hub->lock);
    put_in_inbox(hub, ask);
    pthread_mutex_unlock(&hub->lock);
    mcp_hub_wake(hub);
}

static struct mcp_ask *ask_new(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
                               const struct tool_provider *provider,
                               const struct mcp_credential *credential, mcp_done *done,
                               void *context, struct err *err)
{
    CLEANUP(mcp_ask_free_cleanup) struct mcp_ask *ask = calloc(1, sizeof *ask);

    if (!ask) {
        (void)no_memory(err);
        return NULL;
    }
    ask->hub = hub;
    ask->asker = asker;
    ask->snapshot = snapshot ? snapshot_ref(snapshot) : NULL;
    ask->provider = provider;
    ask->done = done;
    ask->context = context;
    ask->post.run = ask_finished;
    mcp_notes_init(&ask->notes);
    timer_init(&ask->timer, ask_timed);
    buf_init(&ask->answer.value, SIZE_MAX / 2, "a result");
    buf_init(&ask->answer.error, SIZE_MAX / 2, "an error");
    buf_count(&ask->answer.value, hub->options.memory);
    buf_count(&ask->answer.error, hub->options.memory);
    return copy_credential(ask, credential, err) ? take(ask) : NULL;
}

bool mcp_list(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
              const struct tool_provider *provider, const struct mcp_credential *credential,
              mcp_done *done, void *context, struct mcp_ask **out, struct err *err)
{
    struct mcp_ask *ask = ask_new(hub, asker, snapshot, provider, credential, done, context, err);

    if (!ask)
        return false;
    ask->list = true;
    *out = ask;
    ask_start(ask);
    return true;
}

bool mcp_make_room(struct mcp_hub *hub, struct loop *asker, mcp_done *done, void *context,
                   struct mcp_ask **out, struct err *err)
{
    struct mcp_ask *ask = ask_new(hub, asker, NULL, NULL, NULL, done, context, err);

    if (!ask)
        return false;
    ask->room = true;
    *out = ask;
    ask_start(ask);
    return true;
}

/* What does not fit is left out. */
static void copy_field(struct view value, char *out, size_t size)
{
    if (value.len && value.len < size)
        memcpy(out, value.at, value.len);
}

bool mcp_call(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
              const struct tool_provider *provider, const struct mcp_credential *credential,
              const struct mcp_order *order, mcp_done *done, void *context, struct mcp_ask **out,
              struct err *err)
{
    CLEANUP(mcp_ask_free_cleanup)
    struct mcp_ask *ask = ask_new(hub, asker, snapshot, provider, credential, done, context, err);

    if (!ask || !copy_name(ask, order->name, err) || !copy_arguments(ask, order->arguments, err))
        return false;
    if (order->url.len && !(ask->url = mcp_copy(order->url)))
        return no_memory(err);
    copy_field(order->traceparent, ask->trace.parent, sizeof ask->trace.parent);
    copy_field(order->tracestate, ask->trace.state, sizeof ask->trace.state);
    ask->progressed = order->progressed;
    *out = ask;
    ask_start(take(ask));
    return true;
}

void mcp_cancel(struct mcp_ask *ask)
{
    struct mcp_hub *hub = ask->hub;
    bool finished;

    pthread_mutex_lock(&hub->lock);
    ask->cancelled = true;
    finished = ask->finished; /* then it is on its way to us, and ends there */
    if (!finished)
        put_in_inbox(hub, ask);
    pthread_mutex_unlock(&hub->lock);
    if (!finished)
        mcp_hub_wake(hub);
}

/* On the asker's loop. */
static void ask_finished(struct loop *loop, struct post *post)
{
    struct mcp_ask *ask = OWNER(post, struct mcp_ask, post);

    (void)loop;
    mcp_notes_tell(ask);
    if (!ask->cancelled)
        ask->done(ask->context, &ask->answer);
    if (mcp_notes_answered(&ask->notes))
        mcp_ask_free(ask);
}

static void stop_waiting(struct mcp_ask *ask)
{
    struct mcp_ask **at = &ask->hub->waiting;

    if (!ask->waits)
        return;
    while (*at != ask)
        at = &(*at)->waits_next;
    *at = ask->waits_next;
    ask->waits = false;
}

/* It has its answer, or nobody wants one. */
static void ask_end(struct mcp_ask *ask)
{
    struct mcp_hub *hub = ask->hub;
    bool cancelled, last;

    timer_cancel(&ask->timer);
    stop_waiting(ask);
    mcp_connection_remove(ask);
    pthread_mutex_lock(&hub->lock);
    cancelled = ask->cancelled;
    ask->finished = true;
    if (ask->in_inbox) { /* the word that it is cancelled: it has been heard */
        struct mcp_ask **at = &hub->inbox;

        while (*at != ask)
            at = &(*at)->inbox_next;
        *at = ask->inbox_next;
        if (!*at)
            hub->inbox_tail = at;
        ask->in_inbox = false;
    }
    pthread_mutex_unlock(&hub->lock);
    last = mcp_notes_end(&ask->notes, !cancelled);
    if (!cancelled)
        loop_post(ask->asker, &ask->post);
    else if (last)
        mcp_ask_free(ask);
}

/* --- asks: on the hub's loop ------------------------------------------------------------------------ */

void mcp_ask_failed(struct mcp_ask *ask, struct view text)
{
    ask->answer.failed = true;
    buf_reset(&ask->answer.error);
    if (!buf_append(&ask->answer.error, text, NULL))
        buf_reset(&ask->answer.error);
    ask_end(ask);
}

static void ask_listed(struct mcp_ask *ask, const struct json_doc *doc, uint32_t result)
{
    struct mcp_answer *a = &ask->answer;
    char *cursor = NULL;
    struct err err = {0};
    bool again;

    if (!mcp_list_page(doc, result, ask->provider->name, &a->tools, &a->tool_count,
                       &ask->list_bytes, &cursor, &err)) {
        mcp_ask_failed(ask, view_str(err.text));
        return;
    }
    /* A cursor that points to its own page leads nowhere. */
    again = cursor && (!ask->cursor || strcmp(cursor, ask->cursor) != 0) &&
            ++ask->pages < MCP_PAGES_MAX;
    free(ask->cursor);
    ask->cursor = cursor;
    if (again)
        mcp_connection_send(ask->request.connection, ask);
    else
        ask_end(ask);
}

/* False: nobody has mapped it yet. */
static bool take_mapped(struct mcp_ask *ask, bool *single, bool *good, struct err *err)
{
    struct mcp_mapped *m = ask->request.connection->mapped;
    struct mcp_answer *a = &ask->answer;

    if (!m)
        return false;
    *good = m->good;
    *single = m->single;
    *err = m->err;
    a->tool_failed = m->tool_failed;
    a->value = m->value;
    a->error = m->error;
    buf_init_like(&m->value, &a->value);
    buf_init_like(&m->error, &a->error);
    return true;
}

void mcp_ask_result(struct mcp_ask *ask, const struct json_doc *doc, uint32_t result)
{
    const struct mcp_way *way = ask->request.connection->way;
    struct mcp_answer *a = &ask->answer;
    struct err err = {0};
    bool single = false, good = false;

    if (ask->list) {
        ask_listed(ask, doc, result);
        return;
    }
    if (!take_mapped(ask, &single, &good, &err))
        good = mcp_result_map(doc, result, &a->value, &a->tool_failed, &single, &a->error, &err) &&
               mcp_way_mask(way, &a->value, true, &err) &&
               mcp_way_mask(way, &a->error, false, &err);
    if (!good) {
        buf_done(&a->value);
        a->busy = a->carried_out = err.code == ERR_BUSY;
        mcp_ask_failed(ask, view_str(err.text));
        return;
    }
    a->failed = a->tool_failed && single;
    if (!a->failed)
        buf_reset(&a->error);
    ask_end(ask);
}

void mcp_ask_progress(struct mcp_ask *ask, struct view params)
{
    uint64_t due = loop_now_ms(ask->hub->loop) + ask->hub->options.call_ms;
    uint64_t latest = ask->begun_ms + MCP_CALL_MS_MAX;

    if (!ask->list && timer_armed(&ask->timer))
        timer_set(ask->hub->loop, &ask->timer, due < latest ? due : latest);
    if (ask->progressed)
        mcp_notes_add(ask, params);
}

static void ask_timed(struct loop *loop, struct timer *timer)
{
    struct mcp_ask *ask = OWNER(timer, struct mcp_ask, timer);
    char text[320];

    if (ask->waits) {
        mcp_ask_failed(ask, VIEW("MCP transport error: as many programs run as may; try again when "
                                 "others have ended"));
        return;
    }
    mcp_connection_cancel(ask, "the time for it is over");
    snprintf(text, sizeof text, "MCP transport error: [%.200s] no answer within %llu s",
             ask->provider->name,
             (unsigned long long)(loop_now_ms(loop) - ask->begun_ms + 500) / 1000);
    mcp_ask_failed(ask, view_str(text));
}

/* For the time of a call. */
static void credential_of(const struct mcp_ask *ask, struct client_field *fields,
                          struct mcp_credential *out)
{
    for (size_t i = 0; i < ask->extras.count; i++)
        fields[i] = (struct client_field){.name = view_str(ask->extras.at[i].name),
                                          .value = view_str(ask->extras.at[i].value),
                                          .secret = true};
    *out = (struct mcp_credential){view_str(ask->token), fields, ask->extras.count};
}

static bool way_of(const struct mcp_ask *ask, struct mcp_way **out, struct err *err)
{
    struct client_field *fields = calloc(ask->extras.count + 1, sizeof *fields);
    struct mcp_credential credential;
    bool good;

    if (!fields)
        return no_memory(err);
    if (ask->has_credential)
        credential_of(ask, fields, &credential);
    good =
        mcp_way_new(ask->provider, ask->snapshot->keyring, ask->has_credential ? &credential : NULL,
                    ask->url, &ask->hub->options, out, err);
    free(fields);
    return good;
}

/* One that is made in just this way; it serves the asker's catalog from now on. What served the same provider in another way
 * has been replaced. */
static struct mcp_connection *find(struct mcp_hub *hub, const struct mcp_way *way,
                                   const struct mcp_ask *ask)
{
    struct mcp_connection *found = NULL, *next;

    for (struct mcp_connection *c = hub->connections; c; c = next) {
        next = c->next;
        if (c->state == MCP_LEAVING || c->old)
            continue;
        if (memcmp(c->way->fingerprint, way->fingerprint, sizeof way->fingerprint) == 0)
            found = c;
        else if (!way->own && !c->way->own && strcmp(c->provider->name, ask->provider->name) == 0)
            mcp_connection_retire(c);
    }
    if (found && found->provider != ask->provider) {
        catalog_unref(found->catalog);
        found->catalog = catalog_ref(ask->snapshot->catalog);
        found->provider = ask->provider;
    }
    return found;
}

/* Tokens of generators come and go: each may leave a connection behind. */
static void close_surplus(struct mcp_hub *hub)
{
    struct mcp_connection *idle = NULL;
    size_t own = 0;

    for (struct mcp_connection *c = hub->connections; c; c = c->next) {
        if (c->state == MCP_LEAVING || !c->way->own)
            continue;
        own++;
        if (!c->asks)
            idle = c; /* the list begins with the newest */
    }
    if (own > MCP_OWN_MAX && idle)
        mcp_connection_close(idle);
}

static void tell_keyless(const struct mcp_hub *hub, const struct tool_provider *p)
{
    char variable[160];

    (void)snprintf(variable, sizeof variable, "ATI_KEY_%s", p->auth_key_name);
    for (char *c = variable; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    log_event_limited(hub->options.log, LOG_WARN, "mcp.keyless",
                      "key of an MCP server is not in the keyring: it is asked without a "
                      "credential; `ati key set` adds one, or with --env-keys the variable",
                      F_STR("provider", p->name), F_STR("key", p->auth_key_name),
                      F_STR("variable", variable));
}

/* --- places for programs ---------------------------------------------------------------------------- */

static struct mcp_connection *longest_idle(const struct mcp_hub *hub)
{
    struct mcp_connection *found = NULL;

    for (struct mcp_connection *c = hub->connections; c; c = c->next)
        if (c->state == MCP_READY && c->child && !c->asks &&
            (!found || c->idle_since_ms <= found->idle_since_ms))
            found = c;
    return found;
}

/* Servers are asked for their tools when they may be: what another one of them does now, it will have done soon. */
static bool wait_for_place(struct mcp_ask *ask)
{
    struct mcp_hub *hub = ask->hub;
    struct mcp_connection *idle = longest_idle(hub);
    struct mcp_ask **at = &hub->waiting;

    if (ask->waited || (!idle && !ask->list))
        return false;
    while (*at)
        at = &(*at)->waits_next;
    *at = ask;
    ask->waits_next = NULL;
    ask->waits = ask->waited = true;
    ask->waits_until_ms = ask->list ? UINT64_MAX : loop_now_ms(hub->loop) + MCP_ROOM_MS;
    if (!timer_armed(&hub->looking))
        timer_set(hub->loop, &hub->looking, loop_now_ms(hub->loop) + LOOK_MS);
    if (idle)
        mcp_connection_close(idle);
    return true;
}

bool mcp_hub_takes_place(struct mcp_connection *c)
{
    if (!c->hub->waiting || !c->child)
        return false;
    mcp_connection_close(c);
    return true;
}

/* As many go on as there are places, and those that have waited long enough. */
static void look(struct loop *loop, struct task *task)
{
    struct mcp_hub *hub = OWNER(task, struct mcp_hub, look);
    uint64_t places = budget_left(hub->options.children);
    struct mcp_ask *next, *go = NULL, **last = &go;

    for (struct mcp_ask *ask = hub->waiting; ask; ask = next) {
        next = ask->waits_next;
        if (!places && loop_now_ms(loop) < ask->waits_until_ms)
            continue;
        places -= places > 0;
        stop_waiting(ask);
        ask->waits_next = NULL;
        *last = ask;
        last = &ask->waits_next;
    }
    for (; go; go = next) {
        next = go->waits_next;
        if (go->room)
            ask_end(go);
        else
            ask_place(go);
    }
    timer_cancel(&hub->looking);
    if (hub->waiting)
        timer_set(loop, &hub->looking, loop_now_ms(loop) + LOOK_MS);
}

/* A child that does not end with its input is not heard of again. */
static void look_timed(struct loop *loop, struct timer *timer)
{
    look(loop, &OWNER(timer, struct mcp_hub, looking)->look);
}

/* To its connection, which is made if need be. */
static void ask_place(struct mcp_ask *ask)
{
    struct mcp_hub *hub = ask->hub;
    struct mcp_way *way = NULL;
    struct mcp_connection *c;
    struct err err = {0};

    if (hub->closing) {
        mcp_ask_failed(ask, VIEW("MCP transport error: the gateway is ending"));
        return;
    }
    if (ask->room) {
        if (!wait_for_place(ask))
            ask_end(ask);
        return;
    }
    if (!way_of(ask, &way, &err) || !way) {
        mcp_ask_failed(ask, view_str(err.text));
        return;
    }
    c = find(hub, way, ask);
    if (c) {
        mcp_way_free(way);
    } else {
        if (!mcp_connection_new(hub, way, ask->snapshot->catalog, ask->provider, &c, &err)) {
            if (err.code == ERR_BUSY && wait_for_place(ask))
                return;
            ask->answer.busy = err.code == ERR_BUSY;
            mcp_ask_failed(ask, view_str(err.text));
            return;
        }
        if (c->way->own)
            close_surplus(hub);
        if (c->way->keyless)
            tell_keyless(hub, ask->provider);
    }
    mcp_connection_add(c, ask);
}

bool mcp_ask_move(struct mcp_ask *ask)
{
    if (ask->moved)
        return false;
    ask->moved = true;
    mcp_connection_remove(ask);
    ask_place(ask);
    return true;
}

static void ask_begin(struct mcp_ask *ask)
{
    struct loop *loop = ask->hub->loop;

    ask->begun_ms = loop_now_ms(loop);
    timer_set(loop, &ask->timer,
              ask->begun_ms + (ask->list ? ask->hub->options.start_ms : ask->hub->options.call_ms));
    ask_place(ask);
}

/* --- the hub ---------------------------------------------------------------------------------------- */

static struct mcp_ask *next_in_inbox(struct mcp_hub *hub, bool *begin, bool *cancelled)
{
    struct mcp_ask *ask;

    pthread_mutex_lock(&hub->lock);
    ask = hub->inbox;
    if (ask) {
        hub->inbox = ask->inbox_next;
        if (!hub->inbox)
            hub->inbox_tail = &hub->inbox;
        ask->in_inbox = false;
        *cancelled = ask->cancelled;
        *begin = !ask->begun;
        ask->begun = true;
    }
    pthread_mutex_unlock(&hub->lock);
    return ask;
}

static void empty_inbox(struct mcp_hub *hub)
{
    struct mcp_ask *ask;
    bool begin, cancelled;

    while ((ask = next_in_inbox(hub, &begin, &cancelled)) != NULL) {
        if (cancelled) {
            if (!begin)
                mcp_connection_cancel(ask, "the caller does not wait for it any more");
            ask_end(ask);
        } else if (begin) {
            ask_begin(ask);
        }
    }
}

static bool in_catalog(const struct catalog *catalog, const struct mcp_connection *c)
{
    const struct tool_provider *p = catalog_provider(catalog, view_str(c->provider->name));

    return p && (p == c->provider || mcp_way_same(p, c->provider));
}

static void keep_those_of(struct mcp_hub *hub)
{
    struct mcp_connection *next;
    struct catalog *catalog;

    pthread_mutex_lock(&hub->lock);
    catalog = hub->keep;
    hub->keep = NULL;
    pthread_mutex_unlock(&hub->lock);
    if (!catalog)
        return;
    for (struct mcp_connection *c = hub->connections; c; c = next) {
        next = c->next;
        if (c->state != MCP_LEAVING && !in_catalog(catalog, c))
            mcp_connection_retire(c);
    }
    catalog_unref(catalog);
}

static void inbox_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct mcp_hub *hub = OWNER(io, struct mcp_hub, wake);
    uint64_t count;

    (void)loop;
    (void)events;
    if (read(io->fd, &count, sizeof count) < 0)
        return;
    keep_those_of(hub);
    empty_inbox(hub);
    mcp_readings_tell(hub);
}

static void use_default(uint64_t *value, uint64_t usual)
{
    if (!*value)
        *value = usual;
}

bool mcp_hub_new(struct loop *loop, struct client *client, const struct mcp_hub_options *options,
                 struct mcp_hub **out, struct err *err)
{
    struct mcp_hub *hub = calloc(1, sizeof *hub);

    if (!hub)
        return err_set(err, ERR_MEMORY, "no memory for MCP connections");
    hub->loop = loop;
    hub->client = client;
    hub->options = *options;
    use_default(&hub->options.call_ms, MCP_CALL_MS);
    use_default(&hub->options.start_ms, MCP_START_MS);
    use_default(&hub->options.idle_ms, MCP_IDLE_MS);
    hub->inbox_tail = &hub->inbox;
    timer_init(&hub->end, end_timed);
    task_init(&hub->told_closed, tell_closed);
    timer_init(&hub->looking, look_timed);
    task_init(&hub->look, look);
    hub->wake = (struct io){.ready = inbox_ready, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (hub->wake.fd >= 0 && loop_watch_level(loop, &hub->wake, EPOLLIN, err)) {
        pthread_mutex_init(&hub->lock, NULL);
        *out = hub;
        return true;
    }
    if (hub->wake.fd < 0)
        (void)err_system(err, ERR_INTERNAL, errno, "waking the loop of MCP connections");
    else
        close(hub->wake.fd);
    free(hub);
    return false;
}

void mcp_hub_keep(struct mcp_hub *hub, struct catalog *catalog)
{
    struct catalog *before;

    pthread_mutex_lock(&hub->lock);
    before = hub->keep;
    hub->keep = catalog_ref(catalog);
    pthread_mutex_unlock(&hub->lock);
    catalog_unref(before);
    mcp_hub_wake(hub);
}

static void fail_all(struct mcp_hub *hub)
{
    struct mcp_connection *next;

    hub->closing = true;
    empty_inbox(hub);
    while (hub->waiting)
        mcp_ask_failed(hub->waiting, VIEW("MCP transport error: the gateway is ending"));
    for (struct mcp_connection *c = hub->connections; c; c = next) {
        next = c->next;
        mcp_connection_failed(c, "MCP transport error: the gateway is ending");
    }
}

static void tell_closed(struct loop *loop, struct task *task)
{
    struct mcp_hub *hub = OWNER(task, struct mcp_hub, told_closed);
    void (*closed)(void *) = hub->closed;

    (void)loop;
    hub->closed = NULL;
    timer_cancel(&hub->end);
    if (closed)
        closed(hub->closed_context);
}

static void end_timed(struct loop *loop, struct timer *timer)
{
    struct mcp_hub *hub = OWNER(timer, struct mcp_hub, end);

    task_queue(loop, &hub->told_closed);
}

void mcp_hub_lost(struct mcp_hub *hub)
{
    if (hub->closing && !hub->connections)
        task_queue(hub->loop, &hub->told_closed);
    if (hub->waiting)
        task_queue(hub->loop, &hub->look); /* its place is free when this round is over */
}

void mcp_hub_close(struct mcp_hub *hub, void (*closed)(void *context), void *context)
{
    hub->closed = closed;
    hub->closed_context = context;
    fail_all(hub);
    timer_set(hub->loop, &hub->end, loop_now_ms(hub->loop) + MCP_END_MS);
    mcp_hub_lost(hub);
}

void mcp_hub_free(struct mcp_hub *hub)
{
    if (!hub)
        return;
    fail_all(hub);
    while (hub->connections)
        mcp_connection_free(hub->connections);
    timer_cancel(&hub->end);
    timer_cancel(&hub->looking);
    task_cancel(hub->loop, &hub->told_closed);
    task_cancel(hub->loop, &hub->look);
    mcp_reader_free(hub->reader);
    loop_forget(hub->loop, &hub->wake);
    close(hub->wake.fd);
    catalog_unref(hub->keep);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}
