/* pipeline: the layers that a request passes, outermost first. Their order is the security of the gateway: nothing inside is
 * reached but through all that stands before it. */
#include <stdio.h>

#include "ati/gateway/gateway_priv.h"
#include "base/hash.h"

#include "base/poison.h"

static void count(metric *m)
{
    metric_add(m, 1);
}

/* 1. telemetry: from here on every way out is counted (request.c). */
static void telemetry_layer(struct request *r, struct worker *w, struct serve_exchange *x)
{
    request_begin(r, w, x);
}

/* 2. signatures of sandboxes (X-Sandbox-Signature) are checked here, before anybody asks who calls. */

/* 3. authentication. */
static bool auth_layer(struct request *r)
{
    const struct serve_request *q = &r->exchange->request;
    struct err err = {0};

    switch (
        auth_decide(r->worker, r->snapshot, q->head, q->path, request_now_s(), &r->caller, &err)) {
    case AUTH_OPEN:
    case AUTH_CALLER:
        return true;
    case AUTH_NO_STORE:
        request_empty(r, 503);
        return false;
    case AUTH_REFUSED:
        break;
    }
    /* The caller is not told why, whoever reads the log is. */
    log_event_limited(r->worker->log, LOG_WARN, "auth.refused", "request refused: no valid token",
                      F_VIEW("path", q->path), F_STR("error", err.text),
                      F_STR("request_id", r->id));
    count(&r->worker->stats.unauthorised);
    request_extra(r, "WWW-Authenticate", "Bearer");
    request_empty(r, 401);
    return false;
}

/* Where nobody has to say who they are, a page in a browser of this machine must not: neither by its own origin nor by a name that was made to
 * lead here. */
static bool page_layer(struct request *r)
{
    const struct gateway_config *config = r->worker->gateway->config;
    const struct http_head *head = r->exchange->request.head;
    struct view host = VIEW("");

    if (!r->caller || !r->caller->unrestricted)
        return true;
    (void)!http_field(head, VIEW("Host"), &host);
    if (!config->allow_open && !page_host_fixed(host)) {
        request_text(r, 403,
                     VIEW("forbidden: without authentication only addresses and localhost are "
                          "served; configure tokens, or say --allow-open"));
        return false;
    }
    if (!page_may_speak(head, config->origins, false)) {
        request_text(r, 403, VIEW("forbidden: origin is not allowed"));
        return false;
    }
    return true;
}

/* Whose body it is: a verified caller's, else that of an address; of IPv6 a network's, for whoever has one address there has all of
 * them. Some callers find themselves in the same place: together they have one share. */
static struct budget *share_of(const struct request *r)
{
    struct gateway *g = r->worker->gateway;
    const struct addr *peer = &r->exchange->request.peer;
    struct view who = view_from(peer->ip, sizeof peer->ip / 2);

    if (r->caller && !r->caller->unrestricted)
        who = view_str(r->caller->subject);
    return &g->shares[hash_bytes(who, g->share_seed) % GATEWAY_SHARES];
}

/* A gigabyte is for uploads: nobody else makes the gateway hold one. Until a body is read nobody knows what it is for: nobody has more
 * than a share under way, and what would never fit there is refused for good. */
static bool size_layer(struct request *r)
{
    struct serve_exchange *x = r->exchange;
    size_t most = r->route == ROUTE_CALL ? CALL_BODY_BYTES_MAX : ROUTE_BODY_BYTES_MAX;

    if (r->route == ROUTE_CALL && r->caller &&
        !caller_may(r->caller, "tool:file_manager:upload", request_now_s()))
        most = CALL_ARGUMENT_BYTES_MAX;
    x->memory = share_of(r);
    x->body_bytes_max = most < x->memory->max ? most : (size_t)x->memory->max;
    return true;
}

/* Nothing new begins while what runs may need what is left. */
static bool room_layer(struct request *r)
{
    static const bool holds[ROUTE_COUNT] = {
        [ROUTE_CALL] = true, [ROUTE_MCP] = true, [ROUTE_HELP] = true};

    if (!holds[r->route] || budget_room(&r->worker->gateway->memory))
        return true;
    request_busy(r, REQUEST_BUSY);
    return false;
}

bool pipeline_admit(void *context, struct serve_exchange *x)
{
    struct request *r = x->extra;

    telemetry_layer(r, context, x);
    return auth_layer(r) && page_layer(r) && size_layer(r) && room_layer(r);
}

/* 4. the route. */
void pipeline_route(void *context, struct serve_exchange *x)
{
    const struct entry *entry = context;

    entry->route->answer(x->extra);
}

/* A path of ours with another method; else the place where passthrough routes will be looked for. */
void pipeline_unrouted(void *context, struct serve_exchange *x)
{
    struct request *r = x->extra;

    (void)context;
    if (x->allow[0]) {
        (void)snprintf(r->extra + strlen(r->extra), sizeof r->extra - strlen(r->extra), "%s",
                       x->allow);
        request_empty(r, 405);
        return;
    }
    request_text(r, 404, VIEW("not found: passthrough disabled"));
}

bool pipeline_unreadable(void *context, struct serve_exchange *x, int status, const char *why)
{
    struct request *r = x->extra;
    char text[ERR_TEXT_BYTES + 64];

    (void)context;
    if (status == 503) {
        request_busy(r, REQUEST_BUSY);
        return true;
    }
    if (r->route != ROUTE_CALL || status == 408 || status == 417) {
        (void)snprintf(text, sizeof text, "%s", why);
        request_text(r, status, view_str(text));
        return true;
    }
    call_refuse(r, 400, "Failed to read request body: ", view_str(why));
    return true;
}
