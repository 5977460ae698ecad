/* worker: a thread with a loop, its listener, and everything a request needs on it. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"
#include "base/version.h"

#include "base/poison.h"

enum {
    RESOLVE_QUERY_MS = 4000,
    IDLE_MS = 75 * 1000,
    BODY_STEP_MS = 30 * 1000,
    BODY_RATE_LEAST = 64 * 1024,
    HEAD_MS = 10 * 1000
};

static void late(struct loop *loop, struct timer *timer);

static bool open_client(struct worker *w, struct err *err)
{
    struct gateway *g = w->gateway;

    return gateway_client_new(g, w->loop, w->log, &w->resolver, &w->client, err) &&
           executor_new(w->loop, w->client, g->shared, w->log, &w->executor, err);
}

static bool open_server(struct worker *w, const struct listener *listener, struct err *err)
{
    const struct gateway_config *c = w->gateway->config;
    unsigned each = c->connections_max / w->gateway->worker_count + 1;
    const struct serve_options options = {
        .services = w->services,
        .service_count = gateway_route_count,
        .connections_max = each,
        .body_bytes_max = ROUTE_BODY_BYTES_MAX,
        .head_timeout_ms = HEAD_MS,
        .body_timeout_ms = BODY_STEP_MS,
        .body_rate_least = BODY_RATE_LEAST,
        .idle_timeout_ms = IDLE_MS,
        .admit = pipeline_admit,
        .unreadable = pipeline_unreadable,
        .unrouted = pipeline_unrouted,
        .context = w,
        .extra_bytes = sizeof(struct request),
        .memory = &w->gateway->memory,
    };

    for (size_t i = 0; i < gateway_route_count; i++) {
        const struct route *route = &gateway_routes[i];

        w->entries[i] = (struct entry){w, route};
        w->services[i] = (struct serve_service){route->method, route->path, pipeline_route,
                                                &w->entries[i], route->body_bytes_max};
    }
    w->listener = *listener;
    return server_new(w->loop, &options, &w->server, err);
}

bool worker_open(struct worker *w, struct gateway *g, unsigned index,
                 const struct listener *listener, struct err *err)
{
    *w = (struct worker){.gateway = g, .index = index, .listener = *listener};
    w->snapshot = snapshot_ref(g->snapshot);
    w->generation = atomic_load(&g->generation);
    timer_init(&w->drain_timer, late);
    return loop_new(&clock_system, &w->loop, err) && log_new(g->sink, &w->log, err) &&
           token_cache_new(GATEWAY_TOKENS_MAX, &w->tokens, err) && open_client(w, err) &&
           open_server(w, listener, err);
}

/* What may still speak with other threads ends on this one. */
static void leave(struct worker *w)
{
    timer_cancel(&w->drain_timer);
    server_free(w->server); /* cancels what is under way */
    w->server = NULL;
    executor_free(w->executor);
    w->executor = NULL;
    child_end_all(w->loop);
    loop_stop(w->loop);
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct err err = {0};
    char name[16];

    (void)snprintf(name, sizeof name, "worker-%u", w->index);
    (void)pthread_setname_np(pthread_self(), name);
    if (!loop_run(w->loop, &err)) {
        log_event(w->log, LOG_ERROR, "worker.failed", err.text, F_U64("worker", w->index));
        abort();
    }
    return NULL;
}

bool worker_start(struct worker *w, struct err *err)
{
    struct listener listener = w->listener;
    int failed;

    w->listener.fd = -1;
    if (!server_listen(w->server, &listener, err))
        return false;
    failed = pthread_create(&w->thread, NULL, worker_main, w);
    if (failed)
        return err_system(err, ERR_MEMORY, failed, "thread of worker %u", w->index);
    w->started = true;
    return true;
}

void worker_join(struct worker *w)
{
    if (w->started)
        pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_close(struct worker *w)
{
    struct err ignored;

    if (w->listener.fd >= 0)
        listen_close(&w->listener);
    server_free(w->server);
    w->server = NULL; /* for orders that wait on a loop that never ran */
    executor_free(w->executor);
    w->executor = NULL;
    client_free(w->client);
    if (w->resolver)
        resolver_free(w->resolver);
    token_cache_free(w->tokens);
    if (w->loop) {
        child_end_all(w->loop);
        (void)!loop_turn(w->loop, 0, &ignored); /* memory that events might have named */
        loop_free(w->loop);
    }
    snapshot_unref(w->snapshot);
}

/* --- orders: given by the main thread, carried out on the worker's ------------------------------ */

/* From the moment it is published on a snapshot is everybody's: a request looks whether there is a newer one. */
struct snapshot *worker_snapshot(struct worker *w)
{
    struct gateway *g = w->gateway;

    if (atomic_load_explicit(&g->generation, memory_order_acquire) != w->generation) {
        pthread_mutex_lock(&g->lock);
        snapshot_unref(w->snapshot);
        w->snapshot = snapshot_ref(g->snapshot);
        w->generation = atomic_load(&g->generation);
        pthread_mutex_unlock(&g->lock);
    }
    return w->snapshot;
}

void worker_looks(struct worker *w)
{
    struct gateway *g = w->gateway;

    if (discovery_due(g->discovery, loop_now_ms(w->loop)) && !atomic_exchange(&g->looks, true))
        loop_post(g->loop, &g->looking);
}

struct order {
    struct post post;
    struct worker *worker;
};

static void carry_refresh(struct loop *loop, struct post *post)
{
    struct order *o = CONTAINER(post, struct order, post);

    (void)loop;
    (void)worker_snapshot(o->worker);
    free(o);
}

void worker_refresh(struct worker *w)
{
    struct order *o = w->started ? calloc(1, sizeof *o) : NULL;

    if (!o)
        return;
    *o = (struct order){{.run = carry_refresh}, w};
    loop_post(w->loop, &o->post);
}

static void drained(void *context)
{
    leave(context);
}

/* What is still under way has had its time. */
static void late(struct loop *loop, struct timer *timer)
{
    struct worker *w = CONTAINER(timer, struct worker, drain_timer);

    (void)loop;
    log_event(w->log, LOG_WARN, "drain.late",
              "the time to drain is over: what goes on is cancelled",
              F_U64("requests", metric_get(&w->stats.underway)));
    leave(w);
}

static void carry_drain(struct loop *loop, struct post *post)
{
    struct worker *w = CONTAINER(post, struct worker, drain_order);

    if (!w->server)
        return;
    timer_set(loop, &w->drain_timer, loop_now_ms(loop) + w->gateway->config->drain_ms);
    server_drain(w->server, drained, w);
}

void worker_drain(struct worker *w)
{
    w->drain_order.run = carry_drain;
    loop_post(w->loop, &w->drain_order);
}

static void carry_stop(struct loop *loop, struct post *post)
{
    struct worker *w = CONTAINER(post, struct worker, stop_order);

    (void)loop;
    if (w->server)
        leave(w);
}

void worker_stop(struct worker *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    w->stop_order.run = carry_stop;
    loop_post(w->loop, &w->stop_order);
}
