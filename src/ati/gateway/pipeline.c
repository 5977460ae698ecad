/* pipeline: the layers that a request passes, outermost first. Their order is the security of the gateway: nothing inside is
 * reached but through all that stands before it. */
#include <stdio.h>

#include "ati/gateway/gateway_priv.h"

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

    switch (auth_decide(r->worker, r->snapshot, q->head, q->path, request_now_s(), &r->caller)) {
    case AUTH_OPEN:
    case AUTH_CALLER:
        return true;
    case AUTH_NO_STORE:
        request_empty(r, 503);
        return false;
    case AUTH_REFUSED:
        break;
    }
    count(&r->worker->stats.unauthorised);
    request_extra(r, "WWW-Authenticate", "Bearer");
    request_empty(r, 401);
    return false;
}

bool pipeline_admit(void *context, struct serve_exchange *x)
{
    struct request *r = x->extra;

    telemetry_layer(r, context, x);
    return auth_layer(r);
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
    if (r->route != ROUTE_CALL || status == 408 || status == 417) {
        (void)snprintf(text, sizeof text, "%s", why);
        request_text(r, status, view_str(text));
        return true;
    }
    call_refuse(r, 400, "Failed to read request body: ", view_str(why));
    return true;
}
