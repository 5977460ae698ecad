#include "bridge/admit.h"

#include "bridge/client_addr.h"
#include "ws/ws.h"

enum { SUBPROTOCOL_BYTES_MAX = 128 };

struct admission {
    const struct policy *policy;
    const struct admit_request *request;
    struct verdict *out;
    struct view host;
    struct view query; /* .at NULL: none */
    bool has_origin;
    bool has_target; /* the query names one */
    size_t requested_len;
    struct grant grant;
};

/* REASON_NONE: go on with the next. */
typedef enum reason check(struct admission *a);
static check client_check, handshake_check, request_target_check, origin_check, host_check,
    credential_check, subprotocol_check, target_check;

static bool refuses_by_close(const struct admission *a, enum reason reason);

void policy_admit(const struct policy *p, const struct admit_request *request, struct verdict *out)
{
    static check *const checks[] = {client_check,      handshake_check, request_target_check,
                                    origin_check,      host_check,      credential_check,
                                    subprotocol_check, target_check};
    struct admission a = {.policy = p, .request = request, .out = out};

    *out = (struct verdict){.client = request->peer, .http_status = 200};
    for (size_t i = 0; i < sizeof checks / sizeof *checks && out->reason == REASON_NONE; i++)
        out->reason = checks[i](&a);
    grant_done(&a.grant);
    if (out->reason == REASON_NONE)
        return;
    out->entry = NULL;
    out->by_pattern = false;
    out->by_close = refuses_by_close(&a, out->reason);
    out->http_status = reason_http_status(out->reason);
}

/* A page's script cannot see an HTTP status, but a Close frame it can. Only who may use the bridge
 * at all is told that way: the rest learns nothing. */
static bool refuses_by_close(const struct admission *a, enum reason reason)
{
    if (reason != REASON_TARGET_NOT_ALLOWED && reason != REASON_NO_TARGET)
        return false;
    switch (a->policy->reject) {
    case REJECT_AUTO:
        return a->has_origin;
    case REJECT_HTTP:
        return false;
    case REJECT_CLOSE:
        return true;
    }
    return false;
}

static enum reason refuse(struct admission *a, enum reason reason, const char *sentence)
{
    (void)err_set(&a->out->err, ERR_DENIED, "%s", sentence);
    return reason;
}

static enum reason client_check(struct admission *a)
{
    const struct policy *p = a->policy;
    const struct http_head *h = a->request->head;
    struct addr *client = &a->out->client;

    a->has_origin = http_field_count(h, VIEW("Origin")) > 0;
    if (!http_field(h, VIEW("Origin"), &a->out->origin))
        a->out->origin = (struct view){0};
    if (!client_addr_find(h, &a->request->peer, a->request->peer_trusted, p->trusted_proxies,
                          p->trusted_proxy_count, client, &a->out->err))
        return REASON_BAD_REQUEST;
    /* Who may open a Unix socket is the file system's business. */
    if (p->allow_from_count == 0 || client->family == AF_UNIX)
        return REASON_NONE;
    for (size_t i = 0; i < p->allow_from_count; i++)
        if (cidr_contains(&p->allow_from[i], client))
            return REASON_NONE;
    return refuse(a, REASON_ADDRESS_REFUSED, "the client's address is not in --allow-from");
}

static enum reason handshake_check(struct admission *a)
{
    const struct http_head *h = a->request->head;

    switch (ws_upgrade_check(h, &a->out->key, &a->out->err)) {
    case WS_UPGRADE_OK:
        break;
    case WS_UPGRADE_NONE:
        return refuse(a, REASON_NOT_WEBSOCKET, "a plain HTTP request; WebSocket is spoken here");
    case WS_UPGRADE_BAD:
        return REASON_BAD_REQUEST;
    case WS_UPGRADE_VERSION:
        return REASON_BAD_VERSION;
    }
    if (http_field_count(h, VIEW("Origin")) > 1)
        return refuse(a, REASON_BAD_REQUEST, "more than one Origin");
    if (!http_field(h, VIEW("Host"), &a->host))
        return refuse(a, REASON_BAD_REQUEST, "not exactly one Host");
    return REASON_NONE;
}

static enum reason request_target_check(struct admission *a)
{
    struct verdict *out = a->out;
    struct http_target t;
    size_t len = 0;

    if (!http_target_split(a->request->head->target, &t, &out->err))
        return REASON_BAD_REQUEST;
    if (t.form != HTTP_ORIGIN_FORM && t.form != HTTP_ABSOLUTE_FORM)
        return refuse(a, REASON_BAD_REQUEST, "the request target is neither a path nor a URL");
    a->query = t.query;
    a->has_target = t.query.at && http_query_first(t.query, VIEW("target"), out->requested_bytes,
                                                   sizeof out->requested_bytes, &len);
    a->requested_len = len;
    out->requested = view_first(view_from(out->requested_bytes, sizeof out->requested_bytes), len);
    return REASON_NONE;
}

/* Programs that are no browsers send no Origin, and could send any. */
static enum reason origin_check(struct admission *a)
{
    if (!a->policy->origins || !a->has_origin ||
        origin_set_has(a->policy->origins, a->out->origin, a->host))
        return REASON_NONE;
    return refuse(a, REASON_ORIGIN_REFUSED, "the Origin is not in --origins");
}

static enum reason host_check(struct admission *a)
{
    if (!a->policy->hosts || host_set_has(a->policy->hosts, a->host))
        return REASON_NONE;
    return refuse(a, REASON_HOST_REFUSED, "the Host is not in --hosts");
}

static enum reason credential_check(struct admission *a)
{
    const struct credentials *c = a->policy->credentials;
    struct view none = {0};

    if (!c || a->request->tls_client_verified)
        return REASON_NONE;
    if (!credentials_check(c, a->request->head, a->policy->auth_query ? a->query : none,
                           a->request->wall_ms, &a->grant, &a->out->err))
        return a->out->err.code == ERR_MEMORY ? REASON_OVERLOADED : REASON_UNAUTHORIZED;
    memcpy(a->out->subject, a->grant.subject, sizeof a->out->subject);
    return REASON_NONE;
}

_Static_assert(sizeof((struct verdict *)0)->subject == CREDENTIAL_SUBJECT_BYTES, "copied whole");

static bool known(const struct policy *p, struct view offered)
{
    if (!p->subprotocols)
        return true;
    for (size_t i = 0; p->subprotocols[i]; i++)
        if (view_eq(view_str(p->subprotocols[i]), offered))
            return true;
    return false;
}

/* A browser that offered some gives up unless one of them is selected. */
static enum reason subprotocol_check(struct admission *a)
{
    struct http_list cursor = {0};
    struct view offered;
    bool any = false;

    while (http_list_next(a->request->head, VIEW("Sec-WebSocket-Protocol"), &cursor, &offered)) {
        if (credential_is_subprotocol(offered))
            continue;
        if (!http_is_token(offered) || offered.len > SUBPROTOCOL_BYTES_MAX)
            return refuse(a, REASON_BAD_REQUEST, "a subprotocol that is no token");
        any = true;
        if (known(a->policy, offered)) {
            a->out->subprotocol = offered;
            return REASON_NONE;
        }
    }
    return any ? refuse(a, REASON_SUBPROTOCOL_REFUSED,
                        "no offered subprotocol is in --subprotocols")
               : REASON_NONE;
}

static enum reason default_target(struct admission *a)
{
    const struct policy *p = a->policy;
    size_t len = strlen(p->default_target.text);

    if (!p->has_default)
        return refuse(a, REASON_NO_TARGET, "no target named, and there is no default");
    memcpy(a->out->requested_bytes, p->default_target.text, len);
    a->out->requested = view_from(a->out->requested_bytes, len);
    a->out->target = p->default_target;
    a->out->entry = p->default_entry;
    a->out->by_pattern = p->default_by_pattern;
    return REASON_NONE;
}

static enum reason target_check(struct admission *a)
{
    struct verdict *out = a->out;
    enum reason reason = REASON_NONE;

    if (!a->has_target)
        reason = default_target(a);
    else if (a->requested_len <= TARGET_BYTES_MAX)
        out->entry =
            allowlist_match(a->policy->allow, out->requested, &out->target, &out->by_pattern);
    if (reason != REASON_NONE)
        return reason;
    if (!out->entry)
        return refuse(a, REASON_TARGET_NOT_ALLOWED, "the target is not in the allowlist");
    if (!grant_allows(&a->grant, view_str(out->target.text)))
        return refuse(a, REASON_TARGET_NOT_ALLOWED, "the token does not list this target");
    return REASON_NONE;
}
