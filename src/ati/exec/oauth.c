#include "ati/exec/oauth.h"

#include <stdlib.h>

#include "ati/exec/credential.h"
#include "ati/exec/grant.h"
#include "ati/exec/place.h"
#include "base/codec.h"

#include "base/poison.h"

#define FAILED "OAuth2 token exchange failed"

enum { EXPIRES_MAX_S = 7 * 24 * 3600 };

struct oauth {
    struct execution *e;
    struct secret_text url; /* no secret, but the same life */
    struct view id, secret;
    struct secret_text basic;
    struct grant grant;
    oauth_done *done;
    void *context;
};

static const struct tool_provider *provider_of(const struct oauth *o)
{
    return o->e->request.tool->provider;
}

static bool find(struct oauth *o, const char *field, const char *name, struct view *out,
                 struct err *err)
{
    if (!name)
        return err_set(err, ERR_CONFIG, FAILED ": %s not set for OAuth2", field);
    if (!keyring_find(o->e->request.snapshot->keyring, view_str(name), out))
        return err_set(err, ERR_NOT_FOUND, "API key '%s' not found in keyring", name);
    exec_secret(o->e, *out);
    return true;
}

/* Absolute, or behind the base URL. */
static bool find_url(struct oauth *o, struct err *err)
{
    const struct tool_provider *p = provider_of(o);
    struct view url = view_str(p->oauth2_token_url), base = view_str(p->base_url), parts[2];

    if (!url.len)
        return err_set(err, ERR_CONFIG, FAILED ": oauth2_token_url not set");
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    parts[0] = view_starts(url, VIEW("http")) ? VIEW("") : base;
    parts[1] = url;
    if (!secret_text_join(&o->url, parts, 2, err))
        return false;
    return view_starts(secret_text_view(&o->url), VIEW("https://")) ||
           err_set(err, ERR_DENIED, "OAuth2 token URL must use HTTPS: '%s'", o->url.at);
}

static bool key_of(const struct oauth *o, uint8_t out[static FLIGHT_KEY_BYTES], struct err *err)
{
    const struct tool_provider *p = provider_of(o);
    const struct view parts[] = {view_str(p->name), secret_text_view(&o->url), o->id, o->secret,
                                 p->oauth2_basic_auth ? VIEW("basic") : VIEW("")};

    return flight_key(parts, sizeof parts / sizeof *parts, out, err);
}

/* --- the request ------------------------------------------------------------------------------ */

static bool write_body(struct oauth *o, struct err *err)
{
    bool basic = provider_of(o)->oauth2_basic_auth;
    struct buf *body = &o->grant.body;
    uint8_t *room;

    buf_init(body, 128 + 3 * (o->id.len + o->secret.len), "token request");
    return buf_room(body, body->max, &room, err) && /* at once: no copies */
           buf_append_str(body, "grant_type=client_credentials", err) &&
           (basic || (buf_append_str(body, "&client_id=", err) &&
                      place_encode(body, o->id, OCTETS_FORM, err) &&
                      buf_append_str(body, "&client_secret=", err) &&
                      place_encode(body, o->secret, OCTETS_FORM, err)));
}

static bool write_basic(struct oauth *o, struct err *err)
{
    const struct view parts[] = {o->id, VIEW(":"), o->secret};
    struct secret_text pair;

    if (!secret_text_join(&pair, parts, 3, err))
        return false;
    o->basic.len = sizeof "Basic " - 1 + BASE64_LEN(pair.len);
    o->basic.at = malloc(o->basic.len + 1);
    if (o->basic.at) {
        memcpy(o->basic.at, "Basic ", sizeof "Basic ");
        base64_encode(secret_text_view(&pair), o->basic.at + sizeof "Basic " - 1);
    }
    secret_text_done(&pair);
    return o->basic.at || err_set(err, ERR_MEMORY, "no memory for a credential");
}

static bool write_request(struct grant *g, struct err *err)
{
    struct oauth *o = g->context;

    if (!write_body(o, err))
        return false;
    if (!provider_of(o)->oauth2_basic_auth)
        return true;
    if (!write_basic(o, err))
        return false;
    grant_field(g, VIEW("Authorization"), secret_text_view(&o->basic), true);
    return true;
}

/* --- who asks --------------------------------------------------------------------------------- */

static const struct grant_kind kind = {FAILED, OAUTH_EXPIRES_S, EXPIRES_MAX_S, OAUTH_TIMEOUT_MS,
                                       write_request};

static void told(void *context, const char *error)
{
    struct oauth *o = context;

    secret_text_done(&o->basic); /* it has left */
    o->done(o->context, error);
}

bool oauth_start(struct execution *e, oauth_done *done, void *context, struct oauth **out,
                 bool *ready, struct err *err)
{
    const struct tool_provider *p = e->request.tool->provider;
    struct oauth *o = calloc(1, sizeof *o);
    uint8_t key[FLIGHT_KEY_BYTES];

    if (!o)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    o->e = e;
    o->done = done;
    o->context = context;
    *out = o;
    if (!find(o, "auth_key_name", p->auth_key_name, &o->id, err) ||
        !find(o, "auth_secret_name", p->auth_secret_name, &o->secret, err) || !find_url(o, err) ||
        !key_of(o, key, err))
        return false;
    o->grant = (struct grant){
        .e = e,
        .kind = &kind,
        .url = secret_text_view(&o->url),
        .reach = p->private_network ? CLIENT_ANYWHERE : e->executor->shared->reach,
        .done = told,
        .context = o,
    };
    return grant_start(&o->grant, key, ready, err);
}

struct view oauth_token(const struct oauth *o)
{
    return grant_token(&o->grant);
}

void oauth_end(struct oauth *o)
{
    if (!o)
        return;
    grant_end(&o->grant);
    secret_text_done(&o->basic);
    secret_text_done(&o->url);
    free(o);
}
