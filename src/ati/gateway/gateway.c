/* gateway: the process: what it starts with, its signals, and how it ends. */
#include "ati/gateway/gateway.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "ati/gateway/gateway_priv.h"
#include "base/secret.h"
#include "base/version.h"

#include "base/poison.h"

enum { RESOLVE_QUERY_MS = 4000, PATH_BYTES = 4096 };

static void signal_came(void *context, int signo);
static void helper_ended(void *context, int status);

/* --- start ------------------------------------------------------------------------------------- */

static bool open_audit(struct gateway *g, struct err *err)
{
    char path[PATH_BYTES];
    struct audit_options options = {.path = g->config->audit_file,
                                    .rotate_bytes = g->config->audit_rotate_bytes,
                                    .keep = g->config->audit_keep,
                                    .threaded = true};

    (void)snprintf(path, sizeof path, "%s/audit.jsonl", g->config->folder);
    if (!options.path)
        options.path = path;
    return log_new(g->sink, &options.log, err) &&
           (audit_open(&options, &g->audit, err) ||
            err_in(err, "the audit log (ATI_AUDIT_FILE names another)"));
}

/* Before any thread is made: all of them inherit that these signals wait for the loop. */
static bool open_loop(struct gateway *g, struct err *err)
{
    static const int signos[] = {SIGTERM, SIGINT, SIGHUP};

    return loop_new(&clock_system, &g->loop, err) &&
           signals_watch(g->loop, signos, sizeof signos / sizeof *signos, signal_came, g, err) &&
           child_helper_watch(g->loop, helper_ended, g, err);
}

/* By an MCP server. */
static void tools_changed(void *context, const char *provider)
{
    struct gateway *g = context;

    if (g->discovery && !g->stopping)
        discovery_changed(g->discovery, provider);
}

bool gateway_client_new(struct gateway *g, struct loop *loop, struct log *log,
                        struct resolver **resolver, struct client **client, struct err *err)
{
    const struct resolve_options resolve = {.ttl_max_ms = 60ull * 1000,
                                            .negative_ms = 2000,
                                            .stale_ms = 300ull * 1000,
                                            .timeout_ms = RESOLVE_QUERY_MS};
    const struct client_options options = {.user_agent = "ati/" POSTERN_VERSION,
                                           .environment = g->config->environment,
                                           .log = log,
                                           .memory = &g->memory};

    return resolver_new(loop, &resolve, resolver, err) &&
           client_new(loop, *resolver, &options, client, err);
}

/* With the main thread's: MCP servers, collectors. */
static bool open_main(struct gateway *g, struct err *err)
{
    const struct mcp_hub_options hub = {.environment = g->config->environment,
                                        .memory = &g->memory,
                                        .children = &g->children,
                                        .reach = exec_reach_from(g->config->environment),
                                        .version = POSTERN_VERSION,
                                        .log = g->log,
                                        .changed = tools_changed,
                                        .changed_context = g};

    return gateway_client_new(g, g->loop, g->log, &g->resolver, &g->client, err) &&
           mcp_hub_new(g->loop, g->client, &hub, &g->hub, err) &&
           telemetry_new(g->config->environment, POSTERN_VERSION, g->log, &g->telemetry, err) &&
           (!g->telemetry || telemetry_start(g->telemetry, g->loop, g->client, err));
}

/* Posted by a worker. */
static void look(struct loop *loop, struct post *post)
{
    struct gateway *g = CONTAINER(post, struct gateway, looking);

    (void)loop;
    atomic_store(&g->looks, false);
    if (g->discovery && !g->stopping)
        discovery_look(g->discovery);
}

static bool open_shared(struct gateway *g, struct err *err)
{
    const struct exec_shared_options shared = {.mcp = g->hub,
                                               .folder = g->config->folder,
                                               .environment = g->config->environment,
                                               .reach = exec_reach_from(g->config->environment),
                                               .memory = &g->memory,
                                               .children = &g->children};

    return exec_shared_new(&shared, &g->shared, err) &&
           executor_new(g->loop, g->client, g->shared, g->log, &g->executor, err) &&
           quota_new(NULL, &g->quota, err) && mcp_server_sessions_new(&g->sessions, err) &&
           caller_dev(&g->dev, err);
}

/* Nobody else can reach a loopback address. */
static bool may_be_open(const struct gateway *g, const struct addr *bound, struct err *err)
{
    if (g->snapshot->authority || g->config->allow_open || addr_classify(bound) == ADDR_LOOPBACK)
        return true;
    return err_set(err, ERR_CONFIG,
                   "--bind %s without authentication: everybody who reaches it could call every "
                   "tool. Set ATI_JWT_PUBLIC_KEY or ATI_JWT_SECRET, or say --allow-open if that "
                   "is meant",
                   g->config->bind);
}

/* Each worker binds the address once more, and so could another gateway of this user: half of the calls would meet its manifests and
 * keys. */
static bool alone(const struct listener *l, struct err *err)
{
    return !l->shared ||
           err_set(err, ERR_IO,
                   "cannot listen on %s: another program of this user listens there: end it, or "
                   "choose another --port (0 takes a free one)",
                   l->name);
}

static bool is_v6(const char *bind)
{
    return strchr(bind, ':') != NULL && bind[0] != '[';
}

static bool open_workers(struct gateway *g, struct err *err)
{
    const char *bind = g->config->bind ? g->config->bind : "127.0.0.1";
    unsigned n = g->config->workers ? g->config->workers : cpus_usable();
    const struct listen_options options = {.backlog = GATEWAY_BACKLOG, .reuse_port = n > 1};
    struct listener first[LISTENERS_MAX], one;
    char spec[ADDR_TEXT_BYTES + 16];
    size_t count = 0;

    (void)snprintf(spec, sizeof spec, is_v6(bind) ? "[%s]:%u" : "%s:%u", bind, g->config->port);
    if (!listen_open(view_str(spec), &options, first, &count, err))
        return false;
    if (!alone(&first[0], err) || !may_be_open(g, &first[0].addr, err)) {
        listen_close(&first[0]);
        return false;
    }
    g->workers = aligned_alloc(64, (n * sizeof *g->workers + 63) / 64 * 64);
    if (!g->workers) {
        listen_close(&first[0]);
        return err_set(err, ERR_MEMORY, "no memory for workers");
    }
    memset(g->workers, 0, n * sizeof *g->workers);
    g->worker_count = n;
    for (unsigned i = 0; i < n; i++)
        g->workers[i].listener.fd = -1;
    for (unsigned i = 0; i < n; i++) {
        one = first[0];
        if (i > 0 && !listen_again(&first[0], &options, &one, err))
            return false;
        if (!worker_open(&g->workers[i], g, i, &one, err))
            return false;
    }
    return true;
}

static void warn_of_what_is_missing(struct gateway *g)
{
    const struct gateway_config *c = g->config;
    const char *db = NULL;

    for (char **e = c->environment; e && *e; e++)
        if (strncmp(*e, "ATI_DB_URL=", 11) == 0 && (*e)[11])
            db = *e + 11;
    if (!g->snapshot->authority)
        log_event(g->log, LOG_WARN, "auth.none",
                  "no JWT keys are configured: everybody who reaches this address may call every "
                  "tool",
                  F_STR("remedy", "set ATI_JWT_PUBLIC_KEY or ATI_JWT_SECRET; what init has written "
                                  "to config.toml is not read"));
    else
        token_secret_judge(token_authority_secret(g->snapshot->authority), g->log);
    if (c->migrate && !db)
        log_event(g->log, LOG_WARN, "migrate.idle", "--migrate does nothing without ATI_DB_URL");
}

/* What is asked for and cannot be had stops the start: it must not seem to be there. */
static bool possible(const struct gateway_config *c, struct err *err)
{
    for (char **e = c->environment; e && *e; e++)
        if (strncmp(*e, "ATI_DB_URL=", 11) == 0 && (*e)[11 + strspn(*e + 11, " \t")])
            return err_set(err, ERR_CONFIG,
                           "ATI_DB_URL is set, and this build has no persistence: unset it");
    if (c->enable_passthrough)
        return err_set(err, ERR_CONFIG, "--enable-passthrough: this build has no passthrough yet");
    if (c->signature_mode == SIGNATURE_ENFORCE)
        return err_set(err, ERR_CONFIG,
                       "--sig-verify-mode enforce: this build checks no signatures yet, so that "
                       "sandbox_signing_shared_secret would have no effect");
    return true;
}

static uint64_t between(uint64_t least, uint64_t n, uint64_t most)
{
    return n < least ? least : n > most ? most : n;
}

static void open_budgets(struct gateway *g)
{
    const struct gateway_config *c = g->config;
    uint64_t usable = memory_usable(), share;

    budget_init(&g->memory, c->call_memory_max ? c->call_memory_max
                                               : between(CALL_MEMORY_LEAST, usable / 2, SIZE_MAX));
    budget_init(&g->children, c->children_max
                                  ? c->children_max
                                  : between(CHILDREN_LEAST, usable / CHILD_MEMORY, CHILDREN_MOST));
    /* What is read is held a second time on its way to the upstream: a third is the most that could be. */
    share = between(between(0, SHARE_BYTES_LEAST, g->memory.max / 3), g->memory.max / 4, SIZE_MAX);
    for (size_t i = 0; i < GATEWAY_SHARES; i++)
        budget_part_init(&g->shares[i], share, &g->memory);
    random_bytes(&g->share_seed, sizeof g->share_seed);
}

bool gateway_new(const struct gateway_config *config, struct log_sink *sink, struct log *log,
                 struct gateway **out, struct err *err)
{
    struct gateway *g = calloc(1, sizeof *g);
    uint8_t id[8];

    if (!g)
        return err_set(err, ERR_MEMORY, "no memory for a gateway");
    pthread_mutex_init(&g->lock, NULL);
    secret_no_dumps();
    (void)descriptors_raise();
    g->config = config;
    g->sink = sink;
    g->log = log;
    g->start_ms = clock_monotonic_ms(&clock_system);
    g->looking.run = look;
    open_budgets(g);
    random_bytes(id, sizeof id);
    for (size_t i = 0; i < sizeof id; i++)
        (void)snprintf(g->id_prefix + 2 * i, 3, "%02x", id[i]);
    notify_open();
    if (!possible(config, err) || !confine_begin(g, err) || !open_loop(g, err) ||
        !discovery_new(g, &g->discovery, err) || !snapshot_load(g, true, &g->snapshot, err) ||
        !open_audit(g, err) || !open_main(g, err) || !open_shared(g, err) ||
        !open_workers(g, err) || !metrics_open(g, err)) {
        gateway_free(g);
        return false;
    }
    g->snapshot_ms = clock_monotonic_ms(&clock_system);
    *out = g;
    return true;
}

void gateway_publish(struct gateway *g, struct snapshot *s)
{
    struct snapshot *old = g->snapshot;

    pthread_mutex_lock(&g->lock);
    g->snapshot = s;
    atomic_fetch_add_explicit(&g->generation, 1, memory_order_release);
    pthread_mutex_unlock(&g->lock);
    snapshot_unref(old);
    g->snapshot_ms = clock_monotonic_ms(&clock_system);
    for (unsigned i = 0; i < g->worker_count && !g->stopping; i++) /* they are being joined then */
        worker_refresh(&g->workers[i]);
    mcp_hub_keep(g->hub, s->catalog);
}

/* --- life -------------------------------------------------------------------------------------- */

static void tell_start(struct gateway *g)
{
    static const char *const modes[] = {"Log", "Warn", "Enforce"};
    const struct catalog *c = g->snapshot->catalog;
    size_t mcp = 0, openapi = 0;
    struct view secret;
    bool signing;

    for (size_t i = 0; i < catalog_provider_count(c); i++) {
        const struct tool_provider *p = catalog_provider_at(c, i);

        mcp += p->handler == HANDLER_MCP;
        openapi += p->handler == HANDLER_OPENAPI;
        if (p->handler == HANDLER_MCP)
            log_event(g->log, LOG_INFO, "mcp.provider", "MCP provider", F_STR("provider", p->name),
                      F_STR("transport", p->mcp_http ? "http" : "stdio"));
        else if (p->handler == HANDLER_OPENAPI)
            log_event(g->log, LOG_INFO, "openapi.provider", "OpenAPI provider",
                      F_STR("provider", p->name));
    }
    signing = keyring_find(g->snapshot->keyring, VIEW("sandbox_signing_shared_secret"), &secret);
    log_event(
        g->log, LOG_INFO, "proxy.starting", "ATI proxy server starting",
        F_STR("version", POSTERN_VERSION), F_STR("addr", g->workers[0].listener.name),
        F_STR("auth", g->snapshot->authority ? "JWT enabled" : "DISABLED (no JWT keys configured)"),
        F_STR("ati_dir", g->config->folder), F_U64("tools", catalog_tool_count(c)),
        F_U64("providers", catalog_provider_count(c)), F_U64("mcp", mcp), F_U64("openapi", openapi),
        F_U64("skills", 0), F_STR("keyring", g->keyring.source), F_STR("db", "disabled"),
        F_U64("passthrough", 0), F_STR("sig_verify_mode", modes[g->config->signature_mode]),
        F_BOOL("sig_verify_secret", signing), F_U64("workers", g->worker_count));
}

static void stop_all(struct gateway *g)
{
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_stop(&g->workers[i]);
}

static void flushed(void *context)
{
    loop_stop(((struct gateway *)context)->loop);
}

/* MCP servers have been told; what was measured is still to be. */
static void servers_closed(void *context)
{
    struct gateway *g = context;

    if (g->telemetry)
        telemetry_flush(g->telemetry, flushed, g);
    else
        loop_stop(g->loop);
}

/* All workers have. */
static void all_ended(struct loop *loop, struct post *post)
{
    struct gateway *g = CONTAINER(post, struct gateway, ended);

    (void)loop;
    discovery_free(g->discovery);
    g->discovery = NULL;
    mcp_hub_close(g->hub, servers_closed, g);
}

static void drain(struct gateway *g)
{
    if (g->stopping)
        return;
    g->stopping = true;
    notify_stopping("draining");
    if (!g->serving) {
        g->ended.run = all_ended; /* nobody was listened to yet */
        loop_post(g->loop, &g->ended);
        return;
    }
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_drain(&g->workers[i]);
}

static void stop_asked(struct gateway *g, int signo)
{
    if (g->stop_signals++) {
        log_event(g->log, LOG_WARN, "proxy.stopping", "second signal: stopping at once");
        stop_all(g);
        return;
    }
    log_event(g->log, LOG_INFO, "proxy.draining", "draining", F_STR("signal", strsignal(signo)),
              F_SECONDS("timeout", g->config->drain_ms));
    drain(g);
}

/* It was made before keys were read and rights given up: there is no second one in this process. */
static void helper_ended(void *context, int status)
{
    struct gateway *g = context;

    g->helpless = true;
    log_event(
        g->log, LOG_ERROR, "helper.ended",
        "ati-children, the process that starts programs, has ended, and the programs that ran "
        "with it: draining, to be started anew",
        F_STR("how", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "by itself"),
        F_SECONDS("timeout", g->config->drain_ms));
    drain(g);
}

static void signal_came(void *context, int signo)
{
    struct gateway *g = context;

    if (signo != SIGHUP)
        stop_asked(g, signo);
    else if (!g->stopping)
        gateway_reload(g);
}

static void *ender_main(void *argument)
{
    struct gateway *g = argument;

    for (unsigned i = 0; i < g->worker_count; i++)
        worker_join(&g->workers[i]);
    g->ended.run = all_ended;
    loop_post(g->loop, &g->ended);
    return NULL;
}

void gateway_serve(struct gateway *g)
{
    struct err err;
    unsigned started = 0;

    if (g->stopping) /* all_ended is on its way: nobody may start to run behind it */
        return;
    tell_start(g);
    while (started < g->worker_count && worker_start(&g->workers[started], &err))
        started++;
    g->serving = started > 0;
    if (started < g->worker_count) {
        log_event(g->log, LOG_ERROR, "proxy.failed", "a worker does not start",
                  F_STR("error", err.text));
        g->stopping = true;
        if (!g->serving) {
            loop_stop(g->loop);
            return;
        }
        stop_all(g);
    }
    if (pthread_create(&g->ender, NULL, ender_main, g) != 0)
        abort(); /* nobody could end what runs */
    notify_ready("serving");
}

bool gateway_run(struct gateway *g, struct err *err)
{
    bool good;

    if (!log_sink_start(g->sink, err) || !audit_start(g->audit, err))
        return false;
    warn_of_what_is_missing(g);
    discovery_start(g->discovery, gateway_serve);
    good = loop_run(g->loop, err);
    if (g->serving) {
        if (!good)
            stop_all(g);
        pthread_join(g->ender, NULL);
    }
    log_event(g->log, LOG_INFO, "proxy.stopped", "stopped");
    if (good && g->helpless)
        return err_set(err, ERR_IO, "ati-children, the process that starts programs, has ended");
    return good;
}

void gateway_free(struct gateway *g)
{
    struct err ignored;

    if (!g)
        return;
    server_free(g->metrics);
    discovery_free(g->discovery);
    executor_free(g->executor);
    mcp_hub_free(g->hub);
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_close(&g->workers[i]);
    free(g->workers);
    exec_shared_free(g->shared);
    telemetry_free(g->telemetry);
    client_free(g->client);
    if (g->loop)
        child_end_all(g->loop);
    if (g->resolver)
        resolver_free(g->resolver);
    if (g->loop) {
        (void)!loop_turn(g->loop, 0, &ignored);
        loop_free(g->loop);
    }
    mcp_server_sessions_free(g->sessions);
    quota_free(g->quota);
    audit_close(g->audit);
    caller_unref(g->dev);
    snapshot_unref(g->snapshot);
    pthread_mutex_destroy(&g->lock);
    free(g->confinement);
    free(g);
}
