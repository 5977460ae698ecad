/* What the main thread serves in the clear: challenges of ACME, and the pages for monitoring. */
#include "tee/service_priv.h"

#include "base/poison.h"

enum { BACKLOG = 128, CONNECTIONS_MAX = 256, BODY_MAX = 4096, ANSWER_MAX = 256 * 1024 };

static bool metrics(void *context, const struct serve_request *request, struct serve_answer *answer,
                    struct err *err)
{
    struct tee_service *s = context;

    (void)request;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return tee_metrics(&s->site, answer->body, err);
}

static bool healthz(void *context, const struct serve_request *request, struct serve_answer *answer,
                    struct err *err)
{
    (void)context;
    (void)request;
    answer->content_type = "application/json";
    return buf_append_str(answer->body, "{\"status\":\"ok\"}\n", err);
}

/* Ready: serving, not draining, not full. */
static bool readyz(void *context, const struct serve_request *request, struct serve_answer *answer,
                   struct err *err)
{
    struct tee_service *s = context;
    const char *word = "ready";

    (void)request;
    if (atomic_load(&s->site.draining))
        word = "draining";
    else if (atomic_load(&s->site.connections) >= s->config->connections_max)
        word = "full";
    answer->content_type = "application/json";
    answer->status = strcmp(word, "ready") == 0 ? 200 : 503;
    return buf_appendf(answer->body, err, "{\"status\":\"%s\"}\n", word);
}

static bool open_server(struct tee_service *s, const char *spec,
                        const struct serve_options *options, struct server **out, struct err *err)
{
    static const struct listen_options listening = {.backlog = BACKLOG};
    struct listener listeners[LISTENERS_MAX];
    size_t n = 0;

    if (!listen_open(view_str(spec), &listening, listeners, &n, err))
        return false;
    if (!server_new(s->loop, options, out, err)) {
        while (n)
            listen_close(&listeners[--n]);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        log_event(s->log, LOG_INFO, "listening.plain", "listening in the clear",
                  F_STR("address", listeners[i].name),
                  F_STR("for", options->otherwise ? "acme" : "admin"));
        if (!server_listen(*out, &listeners[i], err)) {
            while (++i < n)
                listen_close(&listeners[i]);
            return false;
        }
    }
    return true;
}

bool plain_open(struct tee_service *s, struct err *err)
{
    const struct tee_config *c = s->config;
    const struct serve_options acme = {
        .otherwise = acme_answer,
        .otherwise_context = &s->acme,
        .connections_max = CONNECTIONS_MAX,
        .body_bytes_max = BODY_MAX,
        .answer_bytes_max = ACME_CHALLENGE_MAX,
    };
    const struct serve_options admin = {
        .routes = s->routes,
        .route_count = sizeof s->routes / sizeof *s->routes,
        .body_bytes_max = BODY_MAX,
        .answer_bytes_max = ANSWER_MAX,
    };

    s->routes[0] = (struct serve_route){"GET", "/metrics", metrics, s};
    s->routes[1] = (struct serve_route){"GET", "/healthz", healthz, s};
    s->routes[2] = (struct serve_route){"GET", "/readyz", readyz, s};
    return (!c->acme_listen || (acme_open(&s->acme, c->acme_webroot, s->log, err) &&
                                open_server(s, c->acme_listen, &acme, &s->acme_server, err))) &&
           (!c->admin || open_server(s, c->admin, &admin, &s->admin_server, err));
}

void plain_free(struct tee_service *s)
{
    server_free(s->acme_server);
    server_free(s->admin_server);
    acme_close(&s->acme);
}
