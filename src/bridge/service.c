#include "bridge/service_priv.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "net/confine.h"

enum { BACKLOG = 4096, SPLICE_FDS = 64, SPARE_FDS = 64, STOP_WAIT_MS = 500 };

/* Options that accepted sockets inherit: set once on the listener, not once a connection. */
static void client_options(int fd)
{
    const int on = 1, idle = 60, interval = 10, probes = 5, patience = 30000,
              unsent = 512 * 1024; /* as RELAY_UNSENT_BYTES */

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
}

static void know_local_addresses(struct bridge *b)
{
    struct ifaddrs *list, *one;

    if (getifaddrs(&list) < 0)
        return;
    for (one = list; one && b->local_count < LOCAL_ADDRESSES_MAX; one = one->ifa_next)
        if (one->ifa_addr &&
            (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6))
            addr_from_sockaddr(one->ifa_addr, &b->local[b->local_count++]);
    freeifaddrs(list);
}

/* The index-th worker's sockets: its own where the address can be bound again, a duplicate of the
 * shared one where it cannot. */
static bool sockets_for(const struct listener *first, size_t count,
                        const struct listen_options *options, unsigned index, struct listener *out,
                        struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (index == 0)
            out[i] = first[i];
        else if (!listen_again(&first[i], options, &out[i], err))
            return false;
        if (out[i].addr.family != AF_UNIX)
            client_options(out[i].fd);
    }
    return true;
}

static uint32_t connections_max(const struct config *c, uint64_t descriptors)
{
    uint64_t most = descriptors * 45 / 100;

    if (most > 65536)
        most = 65536;
    return c->connections_max ? c->connections_max : (uint32_t)most;
}

static void say_capacity(struct service *s)
{
    struct bridge *b = &s->bridge;
    uint64_t descriptors = s->descriptors;

    if ((uint64_t)b->connections_max * 2 + SPLICE_FDS + SPARE_FDS > descriptors)
        log_event(
            s->log, LOG_WARN, "descriptors.few",
            "max-connections needs more file descriptors than the limit allows; raise LimitNOFILE",
            F_U64("max_connections", b->connections_max), F_U64("descriptors", descriptors));
    log_event(s->log, LOG_INFO, "capacity", "capacity", F_U64("workers", b->worker_count),
              F_U64("max_connections", b->connections_max), F_U64("descriptors", descriptors),
              F_U64("targets", allowlist_count(s->policy->allow)));
}

static bool make_workers(struct service *s, struct err *err)
{
    const struct config *c = s->source.config;
    struct bridge *b = &s->bridge;
    struct listener *first = s->first, *mine = s->mine;
    size_t count = 0;
    unsigned wanted = c->workers ? c->workers : cpus_usable();
    struct listen_options options = {
        .backlog = BACKLOG,
        .reuse_port = wanted > 1,
        .defer_accept_s = 3,
        .fast_open = c->fast_open ? 256 : 0,
    };

    if (wanted > WORKERS_MAX)
        wanted = WORKERS_MAX;
    if (!listen_open(view_str(c->listen), &options, first, &count, err))
        return false;
    b->worker_count = wanted;
    for (unsigned i = 0; i < wanted; i++) {
        struct log *log;

        if (!sockets_for(first, count, &options, i, mine, err) ||
            !log_new(s->source.sink, &log, err) ||
            !worker_new(b, i, log, mine, count, s->policy, s->tls, &b->workers[i], err))
            return false;
    }
    b->on_loopback = true;
    for (size_t i = 0; i < count; i++) {
        b->listening[b->listening_count++] = first[i].addr;
        b->on_loopback &= addr_classify(&first[i].addr) == ADDR_LOOPBACK;
    }
    return true;
}

static void say_listening(struct service *s)
{
    const struct bridge *b = &s->bridge;
    const char *target = s->policy->has_default ? s->policy->default_target.text : "none";

    for (size_t i = 0; i < b->workers[0]->listener_count; i++) {
        const struct listener *l = &b->workers[0]->listeners[i];
        char message[LISTENER_NAME_BYTES + TARGET_BYTES_MAX + 64];

        (void)snprintf(message, sizeof message, "atlas-proxy listening on %s%s, default target %s",
                       l->name, s->tls ? " (wss)" : "", target);
        log_event(s->log, LOG_INFO, "listening", message, F_STR("address", l->name),
                  F_STR("default_target", target), F_BOOL("tls", s->tls != NULL));
        if (l->shared)
            log_event(
                s->log, LOG_WARN, "listening.shared",
                "another program listens on the same address and takes a share of the connections",
                F_STR("address", l->name));
    }
}

bool service_new(const struct service_source *source, struct service **out, struct err *err)
{
    const struct config *c = source->config;
    struct guests_limits limits = {
        .tunnels_max = c->per_ip_max, .rate = c->rate_per_ip, .rate_burst = c->rate_burst};
    uint64_t descriptors = descriptors_raise();
    struct service *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, ERR_MEMORY, "service");
    s->source = *source;
    s->log = source->log;
    s->bridge.config = c;
    s->bridge.clock = &clock_system;
    s->bridge.log_sink = source->sink;
    s->bridge.connections_max = connections_max(c, descriptors);
    s->start_ms = clock_monotonic_ms(&clock_system);
    know_local_addresses(&s->bridge);
    notify_open();
    if (!service_policy(c, source->settings, s->log, &s->policy, err) ||
        !reload_tls(c, &s->tls, err) || !guests_new(&limits, &s->bridge.guests, err) ||
        !loop_new(&clock_system, &s->loop, err) || !make_workers(s, err) || !ops_open(s, err) ||
        !reload_watch_files(s, err)) {
        service_free(s);
        return false;
    }
    listen_systemd_done();
    s->descriptors = descriptors;
    *out = s;
    return true;
}

/* --- rights ---------------------------------------------------------------------------------- */

static void add_certificates(struct confine_paths *p, const char *list)
{
    struct view rest = view_str(list), pair, file;

    while (list && view_next(&rest, ',', &pair))
        while (view_next(&pair, ':', &file)) {
            char path[CONFINE_PATH_BYTES + 1]; /* one that is too long stays too long */

            (void)snprintf(path, sizeof path, "%.*s", VIEW_ARG(view_first(file, sizeof path - 1)));
            confine_folder_of(p, path);
        }
}

static void collect_paths(const struct service *s, struct confinement *out)
{
    const struct config *c = s->source.config;

    confine_folder_of(&out->read, settings_file(s->source.settings));
    confine_folder_of(&out->read, c->allowlist_file);
    confine_folder_of(&out->read, c->auth_token_file);
    confine_folder_of(&out->read, c->auth_jwt_jwks);
    confine_folder_of(&out->read, c->tls_client_ca);
    add_certificates(&out->read, c->tls_cert);
    for (size_t i = 0; i < s->bridge.workers[0]->listener_count; i++) {
        const struct listener *l = &s->bridge.workers[0]->listeners[i];

        if (l->addr.family == AF_UNIX && !l->inherited && !strncmp(l->name, "unix:/", 6))
            confine_folder_of(&out->write, l->name + 5);
    }
}

enum { DNS_PORT = 53, DNS_SERVERS_MAX = 16 };

/* The ports that Landlock leaves open: those of the allowlist and of the name servers. None when a reload
 * may bring new ones, by either file, because what Landlock has closed stays closed. */
static bool connect_ports(const struct service *s, uint16_t **out, size_t *count)
{
    const struct config *c = s->source.config;
    struct view rest = view_str(c->dns_servers), one;
    uint16_t *ports, *more;
    size_t n;

    if (c->allowlist_file || settings_file(s->source.settings) ||
        !allowlist_ports(s->policy->allow, &ports, &n))
        return false;
    more = realloc(ports, (n + 1 + DNS_SERVERS_MAX) * sizeof *ports);
    if (!more) {
        free(ports);
        return false;
    }
    more[n++] = DNS_PORT;
    for (int i = 0; c->dns_servers && i < DNS_SERVERS_MAX && view_next(&rest, ',', &one); i++) {
        struct addr server;

        if (addr_parse(text_trim(one), &server))
            more[n++] = server.port;
    }
    *out = more;
    *count = n;
    return true;
}

bool service_confine(struct service *s, struct err *err)
{
    const struct config *c = s->source.config;
    struct confinement *confinement = calloc(1, sizeof *confinement);
    uint16_t *ports = NULL;
    bool good;

    if (!confinement)
        return err_set(err, ERR_MEMORY, "sandbox");
    confinement->user = c->user;
    confinement->seccomp = (enum sandbox_mode)c->seccomp;
    confinement->landlock = (enum sandbox_mode)c->landlock;
    collect_paths(s, confinement);
    if (connect_ports(s, &ports, &confinement->connect_port_count))
        confinement->connect_ports = ports;
    good = confine(confinement, &s->sandbox, err);
    if (good)
        log_event(s->log, LOG_INFO, "sandbox", s->sandbox.text);
    free(ports);
    free(confinement);
    return good;
}

/* --- life ------------------------------------------------------------------------------------ */

static void stop_all(struct service *s)
{
    atomic_store(&s->bridge.stopping, true);
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        worker_stop(s->bridge.workers[i]);
}

static void drain_now(struct loop *loop, struct timer *timer)
{
    struct service *s = (struct service *)(void *)((char *)timer - offsetof(struct service, grace));

    (void)loop;
    atomic_store(&s->bridge.stopping, true);
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        worker_drain(s->bridge.workers[i]);
    /* Who reads "draining" on /readyz may rely on the port being closed. A stuck worker is not waited
     * for longer than a moment. */
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        for (int n = 0; n < STOP_WAIT_MS && !atomic_load(&s->bridge.workers[i]->accepting_stopped);
             n++)
            usleep(1000);
    atomic_store(&s->bridge.draining, true);
}

static void stop_asked(struct service *s, int signo)
{
    if (s->stop_signals++) {
        log_event(s->log, LOG_WARN, "stopping", "second signal: stopping at once");
        stop_all(s);
        return;
    }
    log_event(s->log, LOG_INFO, "draining", "draining", F_STR("signal", strsignal(signo)),
              F_SECONDS("timeout", s->source.config->drain_timeout_ms));
    notify_stopping("draining");
    if (!s->source.config->drain_grace_ms) {
        drain_now(s->loop, &s->grace);
        return;
    }
    atomic_store(&s->bridge.draining, true); /* /readyz says so while we still accept */
    timer_set(s->loop, &s->grace, loop_now_ms(s->loop) + s->source.config->drain_grace_ms);
}

static void summary(struct service *s)
{
    uint64_t open = 0, pending = 0, up = 0, down = 0;

    for (unsigned i = 0; i < s->bridge.worker_count; i++) {
        const struct worker_stats *w = &s->bridge.workers[i]->stats;

        open += metric_get(&w->open);
        pending += metric_get(&w->pending);
        up += metric_get(&w->up_bytes);
        for (int p = 0; p < PATH_COUNT; p++)
            down += metric_get(&w->down_bytes[p]);
    }
    log_event(s->log, LOG_INFO, "summary", "summary", F_U64("open", open),
              F_U64("pending", pending), F_U64("bytes_up", up), F_U64("bytes_down", down),
              F_U64("reloads", s->reloads_good), F_U64("reload_failures", s->reloads_failed),
              F_U64("log_dropped", log_sink_dropped(s->source.sink)));
}

static void signal_came(void *context, int signo)
{
    struct service *s = context;

    if (signo == SIGHUP)
        reload_now(s);
    else if (signo == SIGUSR1)
        summary(s);
    else
        stop_asked(s, signo);
}

/* Says "alive" only while every worker's loop still turns. An idle loop is woken to prove it. */
static void watchdog_step(struct loop *loop, struct timer *timer)
{
    struct service *s =
        (struct service *)(void *)((char *)timer - offsetof(struct service, watchdog));
    uint64_t now = clock_monotonic_ms(&clock_system);
    bool alive = true;

    for (unsigned i = 0; i < s->bridge.worker_count; i++) {
        if (atomic_load(&s->bridge.workers[i]->ended)) /* it has drained */
            continue;
        if (loop_alive_ms(s->bridge.workers[i]->loop) + 2 * s->watchdog_ms < now)
            alive = false;
        worker_knock(s->bridge.workers[i]);
    }
    if (alive)
        notify_watchdog();
    else
        log_event(s->log, LOG_ERROR, "worker.stuck", "a worker's loop does not turn");
    timer_set(loop, timer, loop_now_ms(loop) + s->watchdog_ms);
}

static void *ender_main(void *argument)
{
    struct service *s = argument;

    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        worker_join(s->bridge.workers[i]);
    loop_stop(s->loop);
    return NULL;
}

bool service_run(struct service *s, struct err *err)
{
    static const int signos[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    pthread_t ender;
    bool good;

    timer_init(&s->grace, drain_now);
    timer_init(&s->watchdog, watchdog_step);
    if (!signals_watch(s->loop, signos, sizeof signos / sizeof signos[0], signal_came, s, err) ||
        !log_sink_start(s->source.sink, err))
        return false;
    say_listening(s);
    say_capacity(s);
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        if (!worker_start(s->bridge.workers[i], err))
            return false;
    if (pthread_create(&ender, NULL, ender_main, s))
        return err_set(err, ERR_MEMORY, "thread that waits for the workers");
    s->watchdog_ms = notify_watchdog_ms();
    if (s->watchdog_ms)
        timer_set(s->loop, &s->watchdog, loop_now_ms(s->loop) + s->watchdog_ms);
    notify_ready("serving");
    good = loop_run(s->loop, err);
    if (!good)
        stop_all(s);
    pthread_join(ender, NULL);
    log_event(s->log, LOG_INFO, "stopped", "stopped");
    return good;
}

void service_free(struct service *s)
{
    if (!s)
        return;
    server_free(s->admin);
    for (unsigned i = 0; i < s->bridge.worker_count; i++)
        worker_free(s->bridge.workers[i]);
    watch_close(&s->watch);
    if (s->loop)
        loop_free(s->loop);
    policy_unref(s->policy);
    tls_config_unref(s->tls);
    guests_free(s->bridge.guests);
    free(s);
}
