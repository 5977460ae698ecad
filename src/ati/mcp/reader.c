/* Messages that take long to read (MCP_HEAVY_BYTES): masked, parsed and mapped on a thread of their own, so that other connections go
 * on meanwhile. A connection's messages stay in their order: what comes behind a long one waits for it, at most MCP_MESSAGE_BYTES_MAX;
 * beyond, the hub waits for the thread, which holds the server back. */
#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"

struct mcp_reading {
    struct mcp_reading *next;     /* of its connection */
    struct mcp_reading *next_job; /* of the thread */
    struct mcp_connection *c;
    struct mcp_exchange *x; /* http: whom it is said to; NULL: nobody any more */
    bool http, whole;
    struct buf text;
    struct mask *mask; /* NULL: it is short, and is read when its turn has come */
    bool done, orphan; /* under the reader's lock; orphan: the thread frees it */
    bool json, starved;
    struct json_tree tree; /* of json */
    size_t held;           /* of the budget, for the tree */
    struct mcp_mapped mapped;
};

/* One a hub, made with its first long message. */
struct mcp_reader {
    struct mcp_hub *hub;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    struct mcp_reading *first, **last;
    bool ending;
};

static void reading_free(struct mcp_reading *r)
{
    struct budget *memory = r->text.budget;

    buf_wipe(&r->text);
    mask_free(r->mask);
    if (r->json)
        json_unload(&r->tree);
    budget_give(memory, r->held);
    buf_done(&r->mapped.value);
    buf_done(&r->mapped.error);
    free(r);
}

/* --- on the thread ---------------------------------------------------------------------------------- */

/* What a call's result is to its caller: masked once more, for a text may be a document. */
static bool map(struct mcp_reading *r, uint32_t result, struct err *err)
{
    struct mcp_mapped *m = &r->mapped;

    return mcp_result_map(&r->tree.doc, result, &m->value, &m->tool_failed, &m->single, &m->error,
                          err) &&
           mask_text(r->mask, &m->value, true, MASK_VALUE_BYTES_MIN, err) &&
           mask_text(r->mask, &m->error, false, MASK_ERROR_BYTES_MIN, err);
}

static void read_it(struct mcp_reading *r)
{
    uint32_t result;
    struct err err = {0};

    if (!mask_text(r->mask, &r->text, true, MASK_VALUE_BYTES_MIN, &err)) {
        r->starved = true;
        return;
    }
    r->json = json_load_loose(buf_view(&r->text), MCP_VALUES_MAX, &r->tree, &err);
    if (!r->json)
        return;
    r->held = r->tree.doc.count * sizeof *r->tree.tokens;
    if (!budget_take(r->text.budget, r->held)) {
        r->held = 0;
        r->starved = true;
        return;
    }
    result = json_member(&r->tree.doc, 0, "result");
    if (!result)
        return;
    r->mapped.there = true;
    r->mapped.good = map(r, result, &r->mapped.err);
}

/* The next one; NULL: it is over. Under the lock. */
static struct mcp_reading *next_job(struct mcp_reader *reader)
{
    struct mcp_reading *r;

    while (!reader->first && !reader->ending)
        pthread_cond_wait(&reader->work, &reader->lock);
    r = reader->first;
    if (r)
        reader->first = r->next_job;
    if (!reader->first)
        reader->last = &reader->first;
    return r;
}

static void *work(void *context)
{
    struct mcp_reader *reader = context;
    struct mcp_reading *r;

    pthread_mutex_lock(&reader->lock);
    while ((r = next_job(reader)) != NULL) {
        bool orphan = r->orphan;

        pthread_mutex_unlock(&reader->lock);
        if (!orphan)
            read_it(r);
        pthread_mutex_lock(&reader->lock);
        r->done = true;
        orphan = r->orphan;
        pthread_cond_broadcast(&reader->finished);
        pthread_mutex_unlock(&reader->lock);
        if (orphan)
            reading_free(r);
        else
            mcp_hub_wake(reader->hub);
        pthread_mutex_lock(&reader->lock);
    }
    pthread_mutex_unlock(&reader->lock);
    return NULL;
}

static struct mcp_reader *reader_of(struct mcp_hub *hub)
{
    struct mcp_reader *reader = hub->reader;

    if (reader)
        return reader;
    reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->hub = hub;
    reader->last = &reader->first;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->work, NULL);
    pthread_cond_init(&reader->finished, NULL);
    if (pthread_create(&reader->thread, NULL, work, reader) != 0) {
        free(reader);
        return NULL;
    }
    hub->reader = reader;
    return reader;
}

void mcp_reader_free(struct mcp_reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->lock);
    reader->ending = true;
    pthread_cond_signal(&reader->work);
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    pthread_cond_destroy(&reader->work);
    pthread_cond_destroy(&reader->finished);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

/* --- on the hub's loop ------------------------------------------------------------------------------ */

static void queue(struct mcp_reader *reader, struct mcp_reading *r)
{
    pthread_mutex_lock(&reader->lock);
    r->next_job = NULL;
    *reader->last = r;
    reader->last = &r->next_job;
    pthread_cond_signal(&reader->work);
    pthread_mutex_unlock(&reader->lock);
}

/* Wiping a long one takes its time, too. */
static void let_go(struct mcp_reader *reader, struct mcp_reading *r)
{
    if (!r->mask) {
        reading_free(r);
        return;
    }
    r->orphan = true;
    queue(reader, r);
}

/* Without memory or a thread it stays a short one. */
static void hand_over(struct mcp_reading *r)
{
    struct mcp_hub *hub = r->c->hub;
    struct mcp_reader *reader = reader_of(hub);

    if (!reader || !mcp_way_mask_new(r->c->way, &r->mask, NULL))
        return;
    buf_init(&r->mapped.value, SIZE_MAX / 2, "a result");
    buf_init(&r->mapped.error, SIZE_MAX / 2, "an error");
    buf_count(&r->mapped.value, hub->options.memory);
    buf_count(&r->mapped.error, hub->options.memory);
    queue(reader, r);
}

static void starve(struct mcp_connection *c, struct mcp_exchange *x)
{
    if (x) {
        mcp_exchange_starved(x);
        return;
    }
    c->starved = true;
    mcp_connection_failed(c, "MCP transport error: [%s] " MCP_STARVED, c->provider->name);
}

static struct mcp_reading *reading_new(struct mcp_connection *c, struct view text,
                                       struct buf *owned)
{
    struct mcp_reading *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->c = c;
    if (owned) {
        r->text = *owned;
        buf_init_like(owned, &r->text);
        return r;
    }
    buf_init(&r->text, MCP_MESSAGE_BYTES_MAX, "a message");
    buf_count(&r->text, c->hub->options.memory);
    if (buf_append(&r->text, text, NULL))
        return r;
    reading_free(r);
    return NULL;
}

enum mcp_heard mcp_hear(struct mcp_connection *c, struct mcp_exchange *x, bool whole,
                        struct view text, struct buf *owned)
{
    struct mcp_request *const *only = x ? mcp_exchange_request(x) : NULL;
    struct mcp_reading *r, **at = &c->readings;

    if (!c->readings && text.len < MCP_HEAVY_BYTES)
        return mcp_message(c, only, whole, text) ? MCP_HEARD : MCP_HEARD_NOTHING;
    r = reading_new(c, text, owned);
    if (!r) {
        starve(c, x);
        return MCP_HEARD_NOTHING;
    }
    r->x = x;
    r->http = x != NULL;
    r->whole = whole;
    if (text.len >= MCP_HEAVY_BYTES)
        hand_over(r);
    while (*at)
        at = &(*at)->next;
    *at = r;
    c->reading_bytes += text.len;
    if (!r->mask && c->readings == r)
        mcp_hub_wake(c->hub); /* there is no thread: it is read here, soon */
    return MCP_HEARD_LATER;
}

static void wait_for(struct mcp_reading *r)
{
    struct mcp_reader *reader = r->c->hub->reader;

    pthread_mutex_lock(&reader->lock);
    while (!r->done)
        pthread_cond_wait(&reader->finished, &reader->lock);
    pthread_mutex_unlock(&reader->lock);
}

static bool is_done(const struct mcp_reading *r)
{
    struct mcp_reader *reader = r->c->hub->reader;
    bool done;

    if (!r->mask)
        return true;
    pthread_mutex_lock(&reader->lock);
    done = r->done;
    pthread_mutex_unlock(&reader->lock);
    return done;
}

/* Its turn has come: who waits for it is told. */
static void tell(struct mcp_connection *c, struct mcp_reading *r)
{
    struct mcp_request *const *only = r->x ? mcp_exchange_request(r->x) : NULL;
    bool good = false;

    if (r->http && !r->x)
        return; /* nobody wants it any more */
    c->telling = r;
    if (r->starved) {
        starve(c, r->x);
    } else if (r->mask) {
        good = r->json;
        c->mapped = good && r->mapped.there ? &r->mapped : NULL;
        if (good)
            mcp_tree(c, only, r->whole, &r->tree.doc);
        c->mapped = NULL;
    } else {
        good = mcp_message(c, only, r->whole, buf_view(&r->text));
    }
    c->telling = NULL;
    if (r->x)
        mcp_exchange_heard(r->x, r->whole, good);
}

static void deliver(struct mcp_connection *c, bool all)
{
    struct mcp_reading *r;

    while ((r = c->readings) && (all || is_done(r))) {
        if (r->mask && all)
            wait_for(r);
        c->readings = r->next;
        c->reading_bytes -=
            buf_len(&r->text) < c->reading_bytes ? buf_len(&r->text) : c->reading_bytes;
        tell(c, r);
        let_go(c->hub->reader, r);
    }
    if (!c->readings)
        c->reading_bytes = 0;
}

void mcp_readings_tell(struct mcp_hub *hub)
{
    struct mcp_connection *next;

    for (struct mcp_connection *c = hub->connections; c; c = next) {
        next = c->next;
        deliver(c, false);
    }
}

void mcp_readings_finish(struct mcp_connection *c)
{
    deliver(c, true);
}

void mcp_readings_forget(struct mcp_connection *c, const struct mcp_exchange *x)
{
    if (c->telling && c->telling->x == x)
        c->telling->x = NULL;
    for (struct mcp_reading *r = c->readings; r; r = r->next)
        if (r->x == x)
            r->x = NULL;
}

void mcp_readings_drop(struct mcp_connection *c)
{
    struct mcp_reader *reader = c->hub->reader;
    struct mcp_reading *r;

    while ((r = c->readings) != NULL) {
        bool done = false;

        c->readings = r->next;
        if (r->mask) {
            pthread_mutex_lock(&reader->lock);
            done = r->done;
            r->orphan = true;
            pthread_mutex_unlock(&reader->lock);
        }
        if (done)
            let_go(reader, r);
        else if (!r->mask)
            reading_free(r);
    }
}
