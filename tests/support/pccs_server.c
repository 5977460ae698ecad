#include "pccs_server.h"

#include <stdio.h>

#include "base/check.h"
#include "sim/pccs.h"

enum { DAYS = 30, FLOOD_BYTES = 5 * 1024 * 1024 };

static bool answer(void *context, const struct serve_request *request, struct serve_answer *answer,
                   struct err *err)
{
    struct pccs_server *s = context;
    struct sim_pccs_answer a = {.body = answer->body};
    bool crl = view_find_text(request->path, VIEW("crl"));
    uint8_t *room;

    atomic_fetch_add(&s->requests, 1);
    if (atomic_exchange(&s->holds, false)) {
        CHECK(sem_post(&s->there) == 0);
        while (sem_wait(&s->go_on) != 0)
            ;
    }
    switch (atomic_load(&s->mood)) {
    case PCCS_GOOD:
        break;
    case PCCS_FAILS:
        return err_set(err, ERR_IO, "not today");
    case PCCS_REDIRECTS:
        answer->status = 302;
        answer->extra = "Location: /elsewhere\r\n";
        return true;
    case PCCS_FLOODS:
        CHECK(buf_room(answer->body, FLOOD_BYTES, &room, err));
        memset(room, ' ', FLOOD_BYTES);
        buf_wrote(answer->body, FLOOD_BYTES);
        return true;
    }
    s->platform->recipe.document_days = atomic_load(crl ? &s->crl_days : &s->document_days);
    if (!sim_pccs_call(s->platform, request->path, request->query, &a, err))
        return false;
    answer->content_type = a.content_type;
    if (!a.chain_field)
        return true;
    CHECK(sim_pccs_field(&a, s->field, sizeof s->field, err));
    answer->extra = s->field;
    return true;
}

static void *serve(void *context)
{
    struct pccs_server *s = context;

    CHECK(loop_run(s->loop, NULL));
    return NULL;
}

void pccs_server_open(struct pccs_server *s, struct sim_platform *platform)
{
    static const char *const paths[] = {
        "/sgx/certification/v4/pckcrl",
        "/sgx/certification/v4/rootcacrl",
        "/tdx/certification/v4/tcb",
        "/tdx/certification/v4/qe/identity",
    };
    static const struct listen_options options = {.backlog = 64};
    const struct serve_options serving = {
        .routes = s->routes, .route_count = 4, .answer_bytes_max = 2 * (size_t)FLOOD_BYTES};
    struct listener listeners[LISTENERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < 4; i++)
        s->routes[i] = (struct serve_route){"GET", paths[i], answer, s};
    s->platform = platform;
    atomic_init(&s->mood, PCCS_GOOD);
    atomic_init(&s->requests, 0);
    atomic_init(&s->document_days, DAYS);
    atomic_init(&s->crl_days, DAYS);
    atomic_init(&s->holds, false);
    CHECK(sem_init(&s->there, 0, 0) == 0 && sem_init(&s->go_on, 0, 0) == 0);
    CHECK(loop_new(&clock_system, &s->loop, NULL));
    CHECK(server_new(s->loop, &serving, &s->server, NULL));
    CHECK(listen_open(VIEW("127.0.0.1:0"), &options, listeners, &count, NULL) && count == 1);
    (void)snprintf(s->url, sizeof s->url, "http://%s", listeners[0].name);
    CHECK(server_listen(s->server, &listeners[0], NULL));
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

void pccs_server_close(struct pccs_server *s)
{
    loop_stop(s->loop);
    pthread_join(s->thread, NULL);
    server_free(s->server);
    loop_free(s->loop);
    sem_destroy(&s->there);
    sem_destroy(&s->go_on);
}
