#include "bridge/admit.h"

#include <stdio.h>

#include "base/codec.h"
#include "base/secret.h"
#include "base/text.h"
#include "bridge/client_addr.h"
#include "ws/ws.h"

#include "base/poison.h"

#define BEARER_PREFIX "bearer."

static bool refuse(struct verdict *v, enum reason reason, const char *sentence)
{
    v->reason = reason;
    v->http_status = reason_http_status(reason);
    return err_set(&v->err, ERR_DENIED, "%s", sentence);
}

static bool address(const struct policy *p, const struct admit_request *r, struct verdict *v)
{
    v->client = client_addr(r->head, &r->peer, r->peer_trusted, p->trusted_proxies,
                            p->trusted_proxy_count);
    if (!p->allow_from_count)
        return true;
    for (size_t i = 0; i < p->allow_from_count; i++)
        if (cidr_contains(&p->allow_from[i], &v->client))
            return true;
    return refuse(v, REASON_ADDRESS_REFUSED, "the client's address is not in --allow-from");
}

static bool handshake(const struct admit_request *r, struct verdict *v)
{
    switch (ws_upgrade_check(r->head, &v->key, &v->err)) {
    case WS_UPGRADE_OK:
        return true;
    case WS_UPGRADE_NONE:
        return refuse(v, REASON_NOT_WEBSOCKET, "a plain HTTP request; this port speaks WebSocket");
    case WS_UPGRADE_VERSION:
        return refuse(v, REASON_BAD_VERSION, "the only WebSocket version here is 13");
    case WS_UPGRADE_BAD:
        break;
    }
    v->reason = REASON_BAD_REQUEST;
    v->http_status = reason_http_status(REASON_BAD_REQUEST);
    return false;
}

static bool page(const struct policy *p, const struct admit_request *r, struct verdict *v)
{
    unsigned origins = http_field_count(r->head, VIEW("Origin"));
    struct view host = view_from("", 0);

    if (!http_field(r->head, VIEW("Host"), &host))
        return refuse(v, REASON_BAD_REQUEST, "no Host, or more than one");
    if (origins > 1)
        return refuse(v, REASON_BAD_REQUEST, "more than one Origin");
    if (origins && http_field(r->head, VIEW("Origin"), &v->origin) && p->origins &&
        !origin_set_has(p->origins, v->origin, host))
        return refuse(v, REASON_ORIGIN_REFUSED, "the page's origin is not in --origins");
    if (p->hosts && !host_set_has(p->hosts, host))
        return refuse(v, REASON_HOST_REFUSED, "the Host is not in --hosts");
    return true;
}

/* The token of "Authorization: Bearer …"; empty when there is none. */
static struct view bearer(const struct http_head *h)
{
    struct view field;

    if (!http_field(h, VIEW("Authorization"), &field) || field.len < 7 ||
        !view_eq_nocase(view_first(field, 7), VIEW("Bearer ")))
        return view_from(NULL, 0);
    return view_trim_ows(view_skip(field, 7));
}

/* The only header a page's script can set: an offered subprotocol "bearer.<base64url of the token>". */
static bool offered_token(const struct http_head *h, uint8_t *out, size_t *len)
{
    struct http_list cursor = {0};
    struct view offered;

    while (http_list_next(h, VIEW("Sec-WebSocket-Protocol"), &cursor, &offered))
        if (view_starts(offered, VIEW(BEARER_PREFIX)))
            return base64url_decode(view_skip(offered, sizeof BEARER_PREFIX - 1), out, len);
    return false;
}

static bool present(const struct policy *p, const struct http_head *h, struct view query,
                    uint8_t *store, size_t room, struct view *token)
{
    size_t len = room;

    *token = bearer(h);
    if (token->len)
        return true;
    if (offered_token(h, store, &len)) {
        *token = view_from(store, len);
        return true;
    }
    if (p->auth_query && query.at && http_query_first(query, VIEW("token"), store, room, &len) &&
        len <= room) {
        *token = view_from(store, len);
        return true;
    }
    return false;
}

static bool credential(const struct policy *p, const struct admit_request *r, struct view query,
                       struct credential_holder *holder, struct verdict *v)
{
    uint8_t store[JWT_BYTES_MAX];
    struct view token;
    bool good;

    if (!p->credentials || r->tls_client_verified)
        return true;
    if (!present(p, r->head, query, store, sizeof store, &token))
        return refuse(v, REASON_UNAUTHORIZED, "no credential");
    good = credentials_accept(p->credentials, token, r->wall_ms / 1000, holder, &v->err);
    secret_wipe(store, sizeof store);
    if (!good) {
        v->reason = REASON_UNAUTHORIZED;
        v->http_status = reason_http_status(REASON_UNAUTHORIZED);
        return false;
    }
    (void)snprintf(v->subject, sizeof v->subject, "%s", holder->subject);
    return true;
}

static bool known_subprotocol(const struct policy *p, struct view offered)
{
    if (!p->subprotocols)
        return true;
    for (size_t i = 0; p->subprotocols[i]; i++)
        if (view_eq(view_str(p->subprotocols[i]), offered))
            return true;
    return false;
}

/* A browser fails the connection when it offered subprotocols and none was chosen; a credential is
 * never chosen, because it would be echoed. */
static bool subprotocol(const struct policy *p, const struct admit_request *r, struct verdict *v)
{
    struct http_list cursor = {0};
    struct view offered;
    bool any = false;

    while (http_list_next(r->head, VIEW("Sec-WebSocket-Protocol"), &cursor, &offered)) {
        if (!http_is_token(offered))
            return refuse(v, REASON_BAD_REQUEST, "Sec-WebSocket-Protocol: not a list of tokens");
        if (view_starts(offered, VIEW(BEARER_PREFIX)))
            continue;
        any = true;
        if (known_subprotocol(p, offered)) {
            v->subprotocol = offered;
            return true;
        }
    }
    if (any && p->subprotocols)
        return refuse(v, REASON_SUBPROTOCOL_REFUSED, "no offered subprotocol is in --subprotocols");
    return true;
}

static bool refuse_target(const struct policy *p, enum reason reason, const char *sentence,
                          struct verdict *v)
{
    v->by_close = p->reject == REJECT_CLOSE || (p->reject == REJECT_AUTO && v->origin.len);
    return refuse(v, reason, sentence);
}

static bool target(const struct policy *p, struct view query, const struct credential_holder *holder,
                   struct verdict *v)
{
    size_t len = 0;

    if (!query.at || !http_query_first(query, VIEW("target"), v->requested_bytes,
                                       sizeof v->requested_bytes, &len)) {
        if (!p->has_default)
            return refuse_target(p, REASON_NO_TARGET, "no target named, and there is no default", v);
        v->target = p->default_target;
        v->entry = p->default_entry;
        v->requested = view_str(v->target.text);
    } else {
        v->requested = view_from(v->requested_bytes,
                                 len < sizeof v->requested_bytes ? len : sizeof v->requested_bytes);
        if (len > TARGET_BYTES_MAX)
            return refuse_target(p, REASON_TARGET_NOT_ALLOWED, "the target is too long", v);
        v->entry = allowlist_match(p->allow, v->requested, &v->target, &v->by_pattern);
        if (!v->entry)
            return refuse_target(p, REASON_TARGET_NOT_ALLOWED, "the target is not on the allowlist", v);
    }
    if (!credential_permits(holder, &v->target)) {
        v->entry = NULL;
        return refuse_target(p, REASON_TARGET_NOT_ALLOWED, "the token does not permit this target", v);
    }
    return true;
}

void policy_admit(const struct policy *p, const struct admit_request *r, struct verdict *v)
{
    struct credential_holder holder = {0};
    struct http_target url;

    memset(v, 0, sizeof *v);
    if (address(p, r, v) && handshake(r, v) && page(p, r, v)) {
        if (!http_target_split(r->head->target, &url, &v->err)) {
            v->reason = REASON_BAD_REQUEST;
            v->http_status = reason_http_status(REASON_BAD_REQUEST);
        } else if (credential(p, r, url.query, &holder, v) && subprotocol(p, r, v)) {
            (void)target(p, url.query, &holder, v);
        }
    }
    credential_holder_done(&holder);
}
