#include "tee/service.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/secret.h"
#include "http/http.h"
#include "net/process.h"
#include "tee/site.h"
#include "tls/selfsigned.h"

#include "base/poison.h"

enum { PEM_MAX = 256 * 1024, SELF_DAYS = 365 };

struct service {
    struct site site;
    const struct tee_config *config;
    struct log_sink *sink;
    struct log *log, *attester_log;
    struct loop *loop; /* the main thread's */
    struct timer drain_timer;
};

/* --- certificate --- */

struct session_context *site_context(struct site *s)
{
    struct session_context *c;

    pthread_mutex_lock(&s->lock);
    c = session_context_ref(s->context);
    pthread_mutex_unlock(&s->lock);
    return c;
}

static bool read_pem(const char *path, struct buf *out, struct err *err)
{
    return file_read(path, out, err);
}

static bool make_context(const struct tee_config *c, struct session_context **out, struct err *err)
{
    struct buf chain, key;
    bool good;

    buf_init(&chain, PEM_MAX, "certificate");
    buf_init(&key, PEM_MAX, "key");
    if (c->cert)
        good = read_pem(c->cert, &chain, err) && read_pem(c->key, &key, err);
    else
        good = selfsigned_make(c->name, SELF_DAYS, &chain, &key, err);
    good = good && (session_server_context(buf_view(&chain), buf_view(&key), out, err) ||
                    (c->cert && err_in(err, "%s", c->cert)));
    if (key.area)
        secret_wipe(key.area, key.size);
    buf_done(&chain);
    buf_done(&key);
    return good;
}

/* Measured first, then served. The same one again changes nothing. */
static bool use_certificate(struct service *s, struct err *err)
{
    struct session_context *made, *old;
    uint8_t sha256[SESSION_HASH_BYTES], before[SESSION_HASH_BYTES];
    char hex[2 * SESSION_HASH_BYTES + 1];

    if (!make_context(s->config, &made, err))
        return false;
    session_context_leaf(made, sha256);
    if (s->site.context) {
        session_context_leaf(s->site.context, before);
        if (memcmp(before, sha256, sizeof sha256) == 0) {
            session_context_unref(made);
            return true;
        }
    }
    if (!attester_certificate(s->site.attester, sha256, err)) {
        session_context_unref(made);
        return false;
    }
    pthread_mutex_lock(&s->site.lock);
    old = s->site.context;
    s->site.context = made;
    pthread_mutex_unlock(&s->site.lock);
    session_context_unref(old);
    hex_encode(view_from(sha256, sizeof sha256), hex);
    log_event(s->log, LOG_INFO, "certificate.measured", "certificate measured and in use",
              F_STR("sha256", hex));
    return true;
}

/* --- the application --- */

static bool resolve_upstream(struct site *s, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct view spec = view_str(s->config->upstream);
    struct sockaddr_un *un = (struct sockaddr_un *)&s->upstream;
    struct addrinfo *all;
    char host[256], service[8];
    uint16_t port = 0;
    struct view name;
    int code;

    if (view_starts(spec, VIEW("unix:"))) {
        name = view_skip(spec, 5);
        if (!name.len || name.len >= sizeof un->sun_path)
            return err_set(err, ERR_CONFIG,
                           "--upstream: the path of a Unix socket has 1 to 107 bytes");
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, name.at, name.len);
        s->upstream_len = sizeof *un;
        return true;
    }
    if (!http_authority_split(spec, &name, &port) || name.len >= sizeof host || !port)
        return err_set(err, ERR_CONFIG, "--upstream: expected host:port or unix:PATH");
    (void)snprintf(host, sizeof host, "%.*s", VIEW_ARG(name));
    (void)snprintf(service, sizeof service, "%u", port);
    code = getaddrinfo(host, service, &hints, &all);
    if (code)
        return err_set(err, ERR_NAME, "--upstream: %s: %s", host, gai_strerror(code));
    memcpy(&s->upstream, all->ai_addr, all->ai_addrlen);
    s->upstream_len = all->ai_addrlen;
    freeaddrinfo(all);
    return true;
}

/* --- workers --- */

static void accept_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct acceptor *a = (struct acceptor *)(void *)io;

    (void)loop;
    (void)events;
    for (int i = 0; i < 64; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        conn_accept(a->worker, fd);
    }
}

static void drain_run(struct loop *loop, struct post *post)
{
    struct worker *w = (struct worker *)(void *)((char *)post - offsetof(struct worker, drain));

    for (size_t i = 0; i < w->listener_count; i++) {
        loop_forget(loop, &w->acceptors[i].io);
        listen_close(&w->listeners[i]);
    }
    w->listener_count = 0;
    conn_drain_all(w);
}

static void *worker_run(void *context)
{
    struct worker *w = context;
    struct err err;

    if (!loop_run(w->loop, &err))
        log_event(w->log, LOG_ERROR, "worker.failed", "a worker ended", F_STR("error", err.text));
    return NULL;
}

static bool worker_open(struct service *s, struct worker *w, const struct listener *first,
                        size_t count, struct err *err)
{
    static const struct listen_options options = {.backlog = 1024, .reuse_port = true};

    w->site = &s->site;
    w->drain.run = drain_run;
    if (!loop_new(&clock_system, &w->loop, err) || !log_new(s->sink, &w->log, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct acceptor *a = &w->acceptors[i];
        bool shared = first[i].inherited || first[i].addr.family == AF_UNIX;

        if (w == s->site.workers) {
            w->listeners[i] = first[i];
        } else if (shared) {
            continue; /* the first worker has it alone */
        } else if (!listen_clone(&first[i], &options, &w->listeners[i], err)) {
            return false;
        }
        w->listener_count = i + 1;
        a->worker = w;
        a->io = (struct io){.ready = accept_ready, .fd = w->listeners[i].fd};
        if (!loop_watch_level(w->loop, &a->io, EPOLLIN, err))
            return false;
    }
    return true;
}

static bool workers_open(struct service *s, struct err *err)
{
    static const struct listen_options options = {.backlog = 1024, .reuse_port = true};
    unsigned n = s->config->workers ? s->config->workers : cpus_usable();
    struct listener listeners[LISTENERS_MAX];
    size_t count = 0;

    n = n > TEE_WORKERS_MAX ? TEE_WORKERS_MAX : n;
    s->site.workers = calloc(n, sizeof *s->site.workers);
    if (!s->site.workers)
        return err_set(err, ERR_MEMORY, "no memory for workers");
    if (!listen_open(view_str(s->config->listen), &options, listeners, &count, err))
        return false;
    while (s->site.worker_count < n) {
        struct worker *w = &s->site.workers[s->site.worker_count++];

        if (!worker_open(s, w, listeners, count, err))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        log_event(s->log, LOG_INFO, "listening", "atlas-tee listening",
                  F_STR("address", listeners[i].name), F_STR("upstream", s->config->upstream),
                  F_STR("provider", s->config->provider));
    return true;
}

static bool workers_start(struct service *s, struct err *err)
{
    for (unsigned i = 0; i < s->site.worker_count; i++) {
        struct worker *w = &s->site.workers[i];

        if (pthread_create(&w->thread, NULL, worker_run, w) != 0)
            return err_set(err, ERR_MEMORY, "no thread for a worker");
        w->started = true;
    }
    return true;
}

static void workers_end(struct service *s)
{
    for (unsigned i = 0; i < s->site.worker_count; i++) {
        struct worker *w = &s->site.workers[i];

        if (w->started)
            pthread_join(w->thread, NULL);
    }
    attester_free(s->site.attester); /* gives jobs back to loops that are still there */
    s->site.attester = NULL;
    for (unsigned i = 0; i < s->site.worker_count; i++) {
        struct worker *w = &s->site.workers[i];
        struct err ignored;

        if (!w->loop)
            continue;
        for (size_t k = 0; k < w->listener_count; k++)
            listen_close(&w->listeners[k]);
        conn_end_all(w);
        (void)!loop_turn(w->loop, 0, &ignored);
        loop_free(w->loop);
    }
    free(s->site.workers);
}

/* --- signals --- */

static void drain_over(struct loop *loop, struct timer *timer)
{
    struct service *s =
        (struct service *)(void *)((char *)timer - offsetof(struct service, drain_timer));

    for (unsigned i = 0; i < s->site.worker_count; i++)
        loop_stop(s->site.workers[i].loop);
    loop_stop(loop);
}

/* Looks whether all have gone; the timer says when that is enough. */
static void drain_begin(struct service *s, int signo)
{
    if (atomic_exchange(&s->site.draining, true)) {
        drain_over(s->loop, &s->drain_timer);
        return;
    }
    notify_stopping("draining");
    log_event(s->log, LOG_INFO, "draining", "draining", F_STR("signal", strsignal(signo)));
    for (unsigned i = 0; i < s->site.worker_count; i++)
        loop_post(s->site.workers[i].loop, &s->site.workers[i].drain);
    loop_stop(s->loop);
}

static void reload(struct service *s)
{
    struct err err;

    if (use_certificate(s, &err))
        log_event(s->log, LOG_INFO, "reloaded", "reloaded");
    else
        log_event(s->log, LOG_ERROR, "reload.failed", "the certificate in use stays",
                  F_STR("error", err.text));
}

static void signalled(void *context, int signo)
{
    struct service *s = context;

    if (signo == SIGHUP)
        reload(s);
    else
        drain_begin(s, signo);
}

/* Joins workers that end by themselves; those that do not are stopped when the time is over. */
static void wait_for_workers(struct service *s)
{
    uint64_t until = clock_monotonic_ms(&clock_system) + s->config->drain_timeout_ms;

    while (atomic_load(&s->site.connections) && clock_monotonic_ms(&clock_system) < until)
        if (!loop_turn(s->loop, 50, NULL))
            break;
    for (unsigned i = 0; i < s->site.worker_count; i++)
        loop_stop(s->site.workers[i].loop);
}

/* --- */

static bool prepare(struct service *s, struct err *err)
{
    const struct tee_config *c = s->config;
    struct attester_options attester = {
        .pccs_url = c->no_staple ? NULL : c->pccs_url,
        .cache = c->cache,
        .waiting_max = c->quotes_waiting,
        .log = s->attester_log,
    };
    const struct provider_options provider = {
        .spec = c->provider,
        .timeout_ms = c->quote_timeout_ms,
        .ccel = c->ccel,
        .event_log = c->event_log,
    };

    if (!c->cert != !c->key)
        return err_set(err, ERR_CONFIG, "--cert and --key belong together");
    return tee_token_load(c->auth_token_file, getenv("AUTH_SERVICE_TOKEN"), &s->site.auth, err) &&
           tee_token_load(c->metrics_token_file, NULL, &s->site.metrics, err) &&
           resolve_upstream(&s->site, err) && provider_open(&provider, &attester.provider, err) &&
           attester_new(&attester, &s->site.attester, err) && use_certificate(s, err) &&
           workers_open(s, err);
}

static bool serve(struct service *s, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

    if (!loop_new(&clock_system, &s->loop, err) ||
        !signals_watch(s->loop, signals, 3, signalled, s, err) || !prepare(s, err) ||
        !workers_start(s, err))
        return false;
    timer_init(&s->drain_timer, drain_over);
    notify_open();
    notify_ready("serving");
    if (!loop_run(s->loop, err))
        return false;
    wait_for_workers(s);
    return true;
}

bool tee_service_run(const struct tee_config *config, struct log_sink *sink, struct log *log,
                     struct err *err)
{
    struct service *s = calloc(1, sizeof *s);
    bool good;

    if (!s)
        return err_set(err, ERR_MEMORY, "no memory for the service");
    s->config = s->site.config = config;
    s->sink = sink;
    s->log = log;
    pthread_mutex_init(&s->site.lock, NULL);
    descriptors_raise();
    good = log_new(sink, &s->attester_log, err) && serve(s, err);
    if (!good)
        for (unsigned i = 0; i < s->site.worker_count; i++)
            if (s->site.workers[i].started)
                loop_stop(s->site.workers[i].loop);
    workers_end(s);
    session_context_unref(s->site.context);
    if (s->loop)
        signals_unwatch(s->loop);
    loop_free(s->loop);
    pthread_mutex_destroy(&s->site.lock);
    free(s);
    log_event(log, LOG_INFO, "stopped", "stopped");
    return good;
}
