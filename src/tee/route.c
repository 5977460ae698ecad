#include "tee/route.h"

#include "atls/quote_exchange.h"
#include "tee/guard.h"

#include "base/poison.h"

static void refuse(struct route *r, int status, const char *fields, const char *why)
{
    r->to = ROUTE_REFUSED;
    r->status = status;
    r->fields = fields;
    (void)err_set(&r->why, ERR_DENIED, "%s", why);
}

static bool bears(const struct tee_token *t, const struct http_head *head)
{
    struct view value;

    return http_field(head, VIEW("Authorization"), &value) && tee_token_good(t, value);
}

static void refuse_bearer(struct route *r)
{
    refuse(r, 401, "WWW-Authenticate: Bearer\r\n", "a bearer token is needed");
}

/* WebSocket alone (RFC 6455, 4.1): what other protocols would carry nobody here could judge. */
static bool upgrades(const struct http_head *head, const struct route *r)
{
    struct view protocol;

    return r->minor == 1 && r->plan.kind == HTTP_BODY_NONE && view_eq(head->method, VIEW("GET")) &&
           http_field_has_token(head, VIEW("Connection"), VIEW("upgrade")) &&
           http_field(head, VIEW("Upgrade"), &protocol) &&
           view_eq_nocase(protocol, VIEW("websocket"));
}

static void quote(const struct http_head *head, struct route *r)
{
    if (view_eq(head->method, VIEW("POST")))
        r->to = ROUTE_QUOTE;
    else if (view_eq(head->method, VIEW("OPTIONS")))
        r->to = ROUTE_QUOTE_OPTIONS;
    else
        refuse(r, 405, "Allow: POST, OPTIONS\r\n", "Method Not Allowed");
}

static void application(const struct route_rules *rules, const struct http_head *head,
                        struct route *r)
{
    if (rules->auth->set && guard_covers(rules->auth_paths, r->path) && !bears(rules->auth, head))
        refuse_bearer(r);
    else if (rules->body_max && r->plan.kind == HTTP_BODY_LENGTH && r->plan.left > rules->body_max)
        refuse(r, 413, NULL, "the body is too large");
    else
        r->to = ROUTE_APPLICATION;
    r->upgrade = r->to == ROUTE_APPLICATION && rules->websockets && upgrades(head, r);
}

static void choose(const struct route_rules *rules, const struct http_head *head, struct route *r)
{
    bool get = view_eq(head->method, VIEW("GET")) || r->head_only;

    if (cors_preflight(head, r->extra))
        r->to = ROUTE_PREFLIGHT;
    else if (r->quote)
        quote(head, r);
    else if (get && view_eq(r->path, VIEW("/health")))
        r->to = ROUTE_HEALTH;
    else if (!get || !rules->metrics->set || !view_eq(r->path, VIEW("/metrics")))
        application(rules, head, r);
    else if (bears(rules->metrics, head))
        r->to = ROUTE_METRICS;
    else
        refuse_bearer(r);
}

void route_request(const struct route_rules *rules, const struct http_head *head, struct route *r)
{
    struct http_target target;

    *r = (struct route){
        .path = VIEW(""),
        .plan = {.kind = HTTP_BODY_NONE, .done = true},
        .minor = head->minor,
        .head_only = view_eq(head->method, VIEW("HEAD")),
        .keep = head->minor == 1 && !http_field_has_token(head, VIEW("Connection"), VIEW("close")),
    };
    if (http_target_split(head->target, &target, &r->why) && target.form == HTTP_ORIGIN_FORM)
        r->path = target.path;
    if (!http_body_plan(head, false, VIEW(""), &r->plan, &r->why)) {
        r->status = 400; /* where this request ends nobody knows */
        r->keep = false;
        return;
    }
    if (!r->path.len) {
        refuse(r, 400, NULL, "the request target is not a path");
        r->keep = false;
        return;
    }
    r->quote = view_eq(r->path, VIEW(EXCHANGE_PATH));
    cors_fields(rules->cors_origins, head, r->extra);
    choose(rules, head, r);
}
