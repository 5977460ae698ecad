#include "bridge/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "bridge/tunnel.h"
#include "net/process.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum { DRAIN_STEP_MS = 64, RESOLVE_QUERY_MS = 4000 };

static bool dialling_parts(struct worker *w, struct err *err)
{
    const struct config *c = w->config;
    struct resolve_options resolve = {
        .ttl_max_ms = 60ull * 1000,
        .negative_ms = 2000,
        .stale_ms = c->dns_stale_ms,
        .timeout_ms = c->connect_timeout_ms ? c->connect_timeout_ms : RESOLVE_QUERY_MS,
        .servers = c->dns_servers,
    };
    struct addr sources[DIAL_ATTEMPTS_MAX * 16];
    struct dial_options dial = {
        .timeout_ms = c->connect_timeout_ms,
        .fast_open = c->fast_open,
        .sources = sources,
    };
    struct view rest = view_str(c->source_addr), one;

    while (c->source_addr && view_next(&rest, ',', &one)) {
        if (dial.source_count == sizeof sources / sizeof sources[0])
            return err_set(err, ERR_CONFIG, "--source-addr: more than %zu addresses",
                           dial.source_count);
        if (!addr_parse_ip(view_trim_ows(one), false, &sources[dial.source_count++]))
            return err_set(
                err, ERR_CONFIG,
                "--source-addr: \"%.*s\" is not an IP address; write for example 10.0.0.5",
                VIEW_ARG(view_first(one, 64)));
    }
    return resolver_new(w->loop, &resolve, &w->resolver, err) &&
           dialer_new(w->loop, w->resolver, &dial, &w->dialer, err);
}

static void drain_step(struct loop *loop, struct timer *timer);

bool worker_new(struct bridge *bridge, unsigned index, struct log *log,
                const struct listener *listeners, size_t count, struct policy *policy,
                struct tls_config *tls, struct worker **out, struct err *err)
{
    struct worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

    if (!w)
        return err_set(err, ERR_MEMORY, "worker %u", index);
    CHECK(count <= LISTENERS_MAX);
    memset(w, 0, sizeof *w);
    w->bridge = bridge;
    w->config = bridge->config;
    w->index = index;
    w->log = log;
    w->spare_fd = -1;
    memcpy(w->listeners, listeners, count * sizeof listeners[0]);
    w->listener_count = count;
    w->policy = policy_ref(policy);
    w->tls = tls ? tls_config_ref(tls) : NULL;
    w->pending_max = bridge->config->pending_max / bridge->worker_count + 1;
    chunk_pool_init(&w->chunks, bridge->config->buffer_memory, &w->stats);
    w->chunks.freed = tunnel_release_waiting;
    pipe_pool_init(&w->pipes, &w->stats);
    timer_init(&w->drain_timer, drain_step);
    if (!loop_new(bridge->clock, &w->loop, err) || !dialling_parts(w, err) ||
        !accept_start(w, err)) {
        worker_free(w);
        return false;
    }
    loop_busy_poll(w->loop, bridge->config->busy_poll_us);
    *out = w;
    return true;
}

static void prefetch(void *context, struct view name)
{
    resolve_prefetch(((struct worker *)context)->resolver, name);
}

/* Names of the allowlist are looked up before anybody asks, so that no tunnel waits for DNS. */
static void prefetch_names(struct worker *w)
{
    if (!allowlist_names(w->policy->allow, prefetch, w))
        log_event(w->log, LOG_WARN, "prefetch.failed",
                  "out of memory: names are looked up when asked for");
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct err err = {0};
    char name[16];

    (void)snprintf(name, sizeof name, "worker-%u", w->index);
    (void)pthread_setname_np(pthread_self(), name);
    if (w->config->pin && !cpu_pin(w->index, &err))
        log_event(w->log, LOG_WARN, "worker.unpinned", err.text);
    prefetch_names(w);
    if (!loop_run(w->loop, &err)) {
        log_event(w->log, LOG_ERROR, "worker.failed", err.text, F_U64("worker", w->index));
        abort();
    }
    atomic_store(&w->ended, true);
    return NULL;
}

bool worker_start(struct worker *w, struct err *err)
{
    int failed = pthread_create(&w->thread, NULL, worker_main, w);

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

static void free_all(struct tunnel_list *list)
{
    while (list->first)
        tunnel_free(list->first);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    free_all(&w->pending);
    free_all(&w->tunnels);
    if (w->loop)
        accept_stop(w);
    dialer_free(w->dialer);
    resolver_free(w->resolver);
    if (w->loop)
        loop_free(w->loop);
    chunk_pool_done(&w->chunks);
    pipe_pool_done(&w->pipes);
    tunnel_slabs_free(w);
    if (w->spare_fd >= 0)
        close(w->spare_fd);
    policy_unref(w->policy);
    if (w->tls)
        tls_config_unref(w->tls);
    free(w);
}

/* --- orders: made by the main thread, carried out on the worker's --------------------------- */

struct order {
    struct post post;
    struct worker *worker;
    void (*carry_out)(struct worker *w, struct order *order);
    struct policy *policy;
    struct tls_config *tls;
};

static void order_run(struct loop *loop, struct post *post)
{
    struct order *o = CONTAINER(post, struct order, post);

    (void)loop;
    o->carry_out(o->worker, o);
    free(o);
}

static void order_give(struct worker *w, void (*carry_out)(struct worker *, struct order *),
                       struct policy *policy, struct tls_config *tls)
{
    struct order *o = calloc(1, sizeof *o);

    CHECK(o);
    *o = (struct order){.post = {.run = order_run},
                        .worker = w,
                        .carry_out = carry_out,
                        .policy = policy,
                        .tls = tls};
    loop_post(w->loop, &o->post);
}

static bool still_listed(const struct worker *w, const struct tunnel *t)
{
    struct target ignored;
    bool by_pattern;

    return allowlist_match(w->policy->allow, view_str(tunnel_label(t, 0)), &ignored, &by_pattern);
}

/* Ends the tunnels whose target the new list does not hold. Their own snapshot stays theirs. */
static void revoke_tunnels(struct worker *w)
{
    struct tunnel *t, *next;

    for (t = w->tunnels.first; t; t = next) {
        next = t->next;
        if (t->phase != TUNNEL_OPEN && t->phase != TUNNEL_DIALLING)
            continue;
        if (still_listed(w, t))
            continue;
        metric_add(&w->stats.revoked, 1);
        tunnel_end(t, REASON_ALLOWLIST_CHANGED, BY_BRIDGE);
        tunnel_wake(t);
    }
    /* With --connect-first the target is dialled before the client has its 101. */
    for (t = w->pending.first; t; t = next) {
        next = t->next;
        if (t->phase != TUNNEL_DIALLING || still_listed(w, t))
            continue;
        metric_add(&w->stats.revoked, 1);
        dialling_revoke(t);
    }
}

static void carry_reload(struct worker *w, struct order *o)
{
    policy_unref(w->policy);
    w->policy = o->policy;
    if (w->tls)
        tls_config_unref(w->tls);
    w->tls = o->tls;
    prefetch_names(w);
    atomic_store(&w->generation, w->policy->generation);
    if (w->config->on_revoke == REVOKE_CLOSE)
        revoke_tunnels(w);
}

void worker_reload(struct worker *w, struct policy *policy, struct tls_config *tls)
{
    order_give(w, carry_reload, policy_ref(policy), tls ? tls_config_ref(tls) : NULL);
}

static void carry_stop(struct loop *loop, struct post *post)
{
    struct worker *w = CONTAINER(post, struct worker, stop_order);

    (void)loop;
    accept_stop(w);
    free_all(&w->pending);
    free_all(&w->tunnels);
    loop_stop(w->loop);
}

void worker_stop(struct worker *w)
{
    if (w->stop_ordered)
        return;
    w->stop_ordered = true;
    w->stop_order.run = carry_stop;
    loop_post(w->loop, &w->stop_order);
}

static uint32_t still_serving(const struct worker *w)
{
    uint32_t n = 0;

    for (const struct tunnel *t = w->tunnels.first; t; t = t->next)
        n += t->phase != TUNNEL_ENDING;
    return n;
}

/* In the last third of the drain, tunnels are told to go one by one: clients that all come back at the
 * same moment would fall on the next bridge together. */
static void drain_step(struct loop *loop, struct timer *timer)
{
    struct worker *w = CONTAINER(timer, struct worker, drain_timer);
    uint64_t now = loop_now_ms(loop), span = w->drain_end_ms - w->drain_start_ms;
    uint64_t begin = w->drain_end_ms - span / 3;
    uint32_t left = still_serving(w), quota;
    struct tunnel *t;

    if (!w->pending.count && !w->tunnels.count) {
        loop_stop(loop);
        return;
    }
    if (now >= w->drain_end_ms + w->config->close_timeout_ms) {
        free_all(&w->pending);
        free_all(&w->tunnels);
        loop_stop(loop);
        return;
    }
    quota = now < begin ? 0 : left;
    if (now >= begin && now < w->drain_end_ms) {
        uint64_t steps = (w->drain_end_ms - now) / DRAIN_STEP_MS + 1;

        quota = (uint32_t)((left + steps - 1) / steps);
    }
    for (t = w->tunnels.first; t && quota; t = t->next)
        if (t->phase != TUNNEL_ENDING) {
            tunnel_end(t, REASON_DRAINING, BY_BRIDGE);
            tunnel_wake(t);
            quota--;
        }
    timer_set(loop, timer, now + DRAIN_STEP_MS);
}

static void carry_drain(struct loop *loop, struct post *post)
{
    struct worker *w = CONTAINER(post, struct worker, drain_order);

    (void)loop;
    w->draining = true;
    accept_stop(w);
    atomic_store(&w->accepting_stopped, true);
    w->drain_start_ms = loop_now_ms(w->loop);
    w->drain_end_ms = w->drain_start_ms + w->config->drain_timeout_ms;
    drain_step(w->loop, &w->drain_timer);
}

void worker_drain(struct worker *w)
{
    if (w->drain_ordered)
        return;
    w->drain_ordered = true;
    w->drain_order.run = carry_drain;
    loop_post(w->loop, &w->drain_order);
}

static void answer_knock(struct loop *loop, struct post *post)
{
    (void)loop;
    atomic_store(&CONTAINER(post, struct worker, knock)->knocked, false);
}

void worker_knock(struct worker *w)
{
    if (atomic_exchange(&w->knocked, true))
        return; /* the last one is still unanswered */
    w->knock.run = answer_knock;
    loop_post(w->loop, &w->knock);
}

/* --- what the admin page shows -------------------------------------------------------------- */

static void describe_tunnel(struct json_writer *j, const struct tunnel *t, uint64_t now)
{
    static const char *const phases[] = {"greeting", "dialling", "open", "ending", "gone"};
    char text[ADDR_TEXT_BYTES];

    json_object(j);
    json_key(j, "id");
    json_u64(j, t->id);
    json_key(j, "state");
    json_text(j, view_str(phases[t->phase]));
    json_key(j, "client");
    json_text(j, view_str(addr_format(&t->client_addr, text)));
    json_key(j, "peer");
    json_text(j, view_str(addr_format(&t->peer, text)));
    json_key(j, "target");
    json_text(j, view_str(tunnel_label(t, 0)));
    json_key(j, "address");
    json_text(j, view_str(addr_format(&t->target_addr, text)));
    json_key(j, "origin");
    json_text(j, view_str(tunnel_label(t, 1)));
    json_key(j, "age_ms");
    json_u64(j, now - t->start_ms);
    json_key(j, "silent_ms");
    json_u64(j, now - t->heard_ms);
    json_key(j, "bytes_up");
    json_u64(j, t->up_bytes);
    json_key(j, "bytes_down");
    json_u64(j, t->down_bytes);
    json_key(j, "waiting_up");
    json_u64(j, t->up ? chunk_len(t->up) : 0);
    json_key(j, "waiting_down");
    json_u64(j, t->down ? chunk_len(t->down) : 0);
    json_object_end(j);
}

bool worker_describe(struct worker *w, struct buf *out, struct err *err)
{
    uint64_t now = loop_now_ms(w->loop);
    struct json_writer j;

    json_begin(&j, out);
    json_array(&j);
    for (const struct tunnel *t = w->pending.first; t; t = t->next)
        describe_tunnel(&j, t, now);
    for (const struct tunnel *t = w->tunnels.first; t; t = t->next)
        describe_tunnel(&j, t, now);
    json_array_end(&j);
    return json_end(&j, err);
}
