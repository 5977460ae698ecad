/* The admin listener: /metrics, /healthz, /readyz, /debug/tunnels. */
#include <errno.h>
#include <stdlib.h>

#include "bridge/service_priv.h"

enum { DESCRIBE_BYTES_MAX = 64 * 1024 * 1024, DESCRIBE_WAIT_S = 1, ADMIN_BACKLOG = 64 };

static bool metrics(void *context, const struct serve_request *request, struct serve_answer *answer,
                    struct err *err)
{
    (void)request;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return service_metrics(context, answer->body, err);
}

static bool healthz(void *context, const struct serve_request *request, struct serve_answer *answer,
                    struct err *err)
{
    (void)context;
    (void)request;
    answer->content_type = "application/json";
    return buf_append_str(answer->body, "{\"status\":\"ok\"}\n", err);
}

/* Ready: listening, not draining, not full. */
static bool readyz(void *context, const struct serve_request *request, struct serve_answer *answer,
                   struct err *err)
{
    struct service *s = context;
    const struct bridge *b = &s->bridge;
    const char *word = "ready";

    (void)request;
    if (atomic_load(&b->draining))
        word = "draining";
    else if (atomic_load(&b->connections) >= b->connections_max)
        word = "full";
    answer->content_type = "application/json";
    answer->status = strcmp(word, "ready") == 0 ? 200 : 503;
    return buf_appendf(answer->body, err, "{\"status\":\"%s\"}\n", word);
}

/* One worker is asked for its tunnels; it writes them on its own thread while we wait, for a second at
 * most. A worker that comes too late finds nobody waiting, and frees the question. */
struct question {
    struct post post;
    struct worker *worker;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct buf out;
    bool done, good, abandoned;
};

static void question_free(struct question *q)
{
    buf_done(&q->out);
    pthread_cond_destroy(&q->answered);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static void answer_question(struct loop *loop, struct post *post)
{
    struct question *q =
        (struct question *)(void *)((char *)post - offsetof(struct question, post));
    bool abandoned;

    (void)loop;
    pthread_mutex_lock(&q->lock);
    abandoned = q->abandoned;
    if (!abandoned) {
        q->good = worker_describe(q->worker, &q->out, NULL);
        q->done = true;
        pthread_cond_signal(&q->answered);
    }
    pthread_mutex_unlock(&q->lock);
    if (abandoned)
        question_free(q);
}

static struct question *ask(struct worker *w)
{
    struct question *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->answered, NULL);
    buf_init(&q->out, DESCRIBE_BYTES_MAX, "list of tunnels");
    q->worker = w;
    q->post.run = answer_question;
    loop_post(w->loop, &q->post);
    return q;
}

static bool wait_for(struct question *q)
{
    struct timespec until;
    bool done;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DESCRIBE_WAIT_S;
    pthread_mutex_lock(&q->lock);
    while (!q->done)
        if (pthread_cond_timedwait(&q->answered, &q->lock, &until) == ETIMEDOUT)
            break;
    done = q->done;
    q->abandoned = !done;
    pthread_mutex_unlock(&q->lock);
    return done;
}

static bool tunnels(void *context, const struct serve_request *request, struct serve_answer *answer,
                    struct err *err)
{
    struct service *s = context;

    (void)request;
    answer->content_type = "application/json";
    if (!buf_append_str(answer->body, "{\"workers\":[", err))
        return false;
    for (unsigned i = 0; i < s->bridge.worker_count; i++) {
        struct question *q = ask(s->bridge.workers[i]);
        bool good;

        if (!q)
            return err_set(err, ERR_MEMORY, "list of tunnels");
        if (!wait_for(q)) {
            good = buf_append_str(answer->body, i ? ",null" : "null", err);
        } else {
            good = (!i || buf_append_str(answer->body, ",", err)) &&
                   (q->good ? buf_append(answer->body, buf_view(&q->out), err)
                            : buf_append_str(answer->body, "null", err));
            question_free(q);
        }
        if (!good)
            return false;
    }
    return buf_append_str(answer->body, "]}\n", err);
}

bool ops_open(struct service *s, struct err *err)
{
    const char *where = s->source.config->admin;
    struct listen_options options = {.backlog = ADMIN_BACKLOG};
    struct listener listeners[LISTENERS_MAX];
    size_t count = 0;
    struct serve_options serve = {
        .routes = s->routes, .route_count = 4, .answer_bytes_max = DESCRIBE_BYTES_MAX};

    s->routes[0] = (struct serve_route){"GET", "/metrics", metrics, s};
    s->routes[1] = (struct serve_route){"GET", "/healthz", healthz, s};
    s->routes[2] = (struct serve_route){"GET", "/readyz", readyz, s};
    s->routes[3] = (struct serve_route){"GET", "/debug/tunnels", tunnels, s};
    if (!where || !*where || !strcmp(where, "off"))
        return true;
    if (!listen_open(view_str(where), &options, listeners, &count, err)) {
        if (settings_source(s->source.settings, "admin") != SOURCE_DEFAULT)
            return err_in(err, "--admin");
        /* Several bridges on one machine: the first has the default port, the others do without. */
        log_event(s->log, LOG_WARN, "admin.unavailable",
                  "no admin listener: its default address is taken; set --admin, or --admin off",
                  F_STR("error", err->text));
        *err = (struct err){0};
        return true;
    }
    if (!server_new(s->loop, &serve, &s->admin, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        char message[LISTENER_NAME_BYTES + 32];

        if (!server_listen(s->admin, &listeners[i], err))
            return false;
        s->bridge.listening[s->bridge.listening_count++] = listeners[i].addr;
        (void)snprintf(message, sizeof message, "admin on %s", listeners[i].name);
        log_event(s->log, LOG_INFO, "admin.listening", message,
                  F_STR("address", listeners[i].name));
    }
    return true;
}
