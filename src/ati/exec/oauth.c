#include "ati/exec/oauth.h"

#include <stdlib.h>

#include "ati/exec/credential.h"
#include "ati/exec/flight.h"
#include "ati/exec/place.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

#define FAILED "OAuth2 token exchange failed: "

enum { ANSWER_VALUES_MAX = 1024, SHOWN_MAX = 200, EXPIRES_MAX_S = 7 * 24 * 3600 };

struct oauth {
    struct execution *e;
    oauth_done *done;
    void *context;
    struct secret_text url; /* no secret, but the same life */
    struct view id, secret;
    struct flight *flight;
    struct client_call *call;
    struct buf body;
    struct secret_text basic;
    struct client_field fields[3];
};

static const struct tool_provider *provider_of(const struct oauth *o)
{
    return o->e->request.tool->provider;
}

static bool find(struct oauth *o, const char *name, const char *unset, struct view *out,
                 struct err *err)
{
    if (!name || !keyring_find(o->e->request.snapshot->keyring, view_str(name), out))
        return err_set(err, ERR_NOT_FOUND, "API key '%s' not found in keyring",
                       name ? name : unset);
    exec_secret(o->e, *out);
    return true;
}

/* Absolute, or behind the base URL. */
static bool find_url(struct oauth *o, struct err *err)
{
    const struct tool_provider *p = provider_of(o);
    struct view url = view_str(p->oauth2_token_url), base = view_str(p->base_url), parts[2];

    if (!url.len)
        return err_set(err, ERR_CONFIG, FAILED "oauth2_token_url not set");
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
    const struct view zero = view_from("", 1);
    const struct view parts[] = {view_str(p->name),
                                 zero,
                                 secret_text_view(&o->url),
                                 zero,
                                 o->id,
                                 zero,
                                 o->secret,
                                 zero,
                                 p->oauth2_basic_auth ? zero : VIEW("")};
    struct secret_text all;
    bool good;

    if (!secret_text_join(&all, parts, sizeof parts / sizeof *parts, err))
        return false;
    good =
        secret_sha256(all.at, all.len, out) || err_set(err, ERR_MEMORY, "no memory for a digest");
    secret_text_done(&all);
    return good;
}

/* --- the request ------------------------------------------------------------------------------ */

static bool write_body(struct oauth *o, struct err *err)
{
    bool basic = provider_of(o)->oauth2_basic_auth;
    uint8_t *room;

    buf_init(&o->body, 128 + 3 * (o->id.len + o->secret.len), "token request");
    return buf_room(&o->body, o->body.max, &room, err) && /* at once: no copies */
           buf_append_str(&o->body, "grant_type=client_credentials", err) &&
           (basic || (buf_append_str(&o->body, "&client_id=", err) &&
                      place_encode(&o->body, o->id, OCTETS_FORM, err) &&
                      buf_append_str(&o->body, "&client_secret=", err) &&
                      place_encode(&o->body, o->secret, OCTETS_FORM, err)));
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

static bool token_of(struct view body, struct secret_text *token, uint64_t *keep_ms,
                     struct err *err)
{
    int64_t expires_s = OAUTH_EXPIRES_S;
    struct json_tree tree;
    uint32_t at, expires;
    bool good;

    if (!json_load_loose(body, ANSWER_VALUES_MAX, &tree, err))
        return err_in(err, FAILED "the answer");
    at = json_member(&tree.doc, 0, "access_token");
    expires = json_member(&tree.doc, 0, "expires_in");
    good = at && json_string_new(&tree.doc, at, &token->at, &token->len);
    if (good && !token->len) {
        secret_text_done(token);
        good = false;
    }
    if (expires && !json_integer(&tree.doc, expires, &expires_s))
        expires_s = OAUTH_EXPIRES_S;
    if (expires_s > EXPIRES_MAX_S)
        expires_s = EXPIRES_MAX_S;
    json_unload(&tree);
    *keep_ms =
        expires_s > OAUTH_MARGIN_MS / 1000 ? (uint64_t)expires_s * 1000 - OAUTH_MARGIN_MS : 0;
    return good || err_set(err, ERR_SYNTAX, FAILED "the answer has no access_token");
}

static bool read_answer(struct oauth *o, struct client_answer *a, struct err *err)
{
    struct secret_text token = {NULL, 0};
    char shown[SHOWN_MAX * 4 + 8];
    uint64_t keep_ms = 0;
    bool good;

    if (a->end.outcome != CLIENT_OK)
        return err_set(err, a->end.err.code, FAILED "%s", a->end.err.text);
    if (a->status < 200 || a->status > 299) {
        return err_set(err, ERR_DENIED, FAILED "HTTP %d: %s", a->status,
                       exec_shown(o->e, buf_view(&a->body), SHOWN_MAX, shown, sizeof shown));
    }
    if (!token_of(buf_view(&a->body), &token, &keep_ms, err))
        return false;
    good = flight_land(o->flight, secret_text_view(&token), keep_ms, err);
    secret_text_done(&token);
    return good;
}

static void request_done(struct oauth *o)
{
    if (o->call)
        client_cancel(o->call);
    o->call = NULL;
    keyring_wipe(&o->body);
    buf_done(&o->body);
    secret_text_done(&o->basic);
}

static void answered(void *context, struct client_answer *answer)
{
    struct oauth *o = context;
    struct err err;
    bool good = read_answer(o, answer, &err);

    o->call = NULL;
    if (answer->body.area)
        secret_wipe(answer->body.area, answer->body.size);
    request_done(o);
    if (!good)
        flight_fail(o->flight, view_str(err.text));
    o->done(o->context, good ? NULL : err.text);
}

static bool fetch(struct oauth *o, struct err *err)
{
    const struct tool_provider *p = provider_of(o);
    struct executor *x = o->e->executor;
    struct client_request request = {
        .method = VIEW("POST"),
        .url = secret_text_view(&o->url),
        .fields = o->fields,
        .has_body = true,
        .repeatable = true,
        .reach = p->private_network ? CLIENT_ANYWHERE : x->shared->reach,
        .timeout_ms = OAUTH_TIMEOUT_MS,
    };
    size_t n = 0;

    if (!write_body(o, err) || (p->oauth2_basic_auth && !write_basic(o, err)))
        return false;
    o->fields[n++] = (struct client_field){.name = VIEW("Content-Type"),
                                           .value = VIEW("application/x-www-form-urlencoded")};
    o->fields[n++] =
        (struct client_field){.name = VIEW("Accept"), .value = VIEW("application/json")};
    if (o->basic.at)
        o->fields[n++] = (struct client_field){
            .name = VIEW("Authorization"), .value = secret_text_view(&o->basic), .secret = true};
    request.field_count = n;
    request.body = buf_view(&o->body);
    o->call = client_collect(x->client, &request, OAUTH_ANSWER_BYTES_MAX, answered, o, err);
    return o->call || err_in(err, "OAuth2 token exchange failed");
}

/* --- who asks --------------------------------------------------------------------------------- */

static void told(void *context, enum flight_news news, struct view text)
{
    struct oauth *o = context;
    struct err err;

    if (news == FLIGHT_FETCH) {
        if (fetch(o, &err))
            return;
        request_done(o);
        flight_fail(o->flight, view_str(err.text));
        o->done(o->context, err.text);
    } else {
        o->done(o->context, news == FLIGHT_VALUE ? NULL : (const char *)text.at);
    }
}

bool oauth_start(struct execution *e, oauth_done *done, void *context, struct oauth **out,
                 bool *ready, struct err *err)
{
    const struct tool_provider *p = e->request.tool->provider;
    struct oauth *o = calloc(1, sizeof *o);
    uint8_t key[FLIGHT_KEY_BYTES];
    enum flight_news news;

    if (!o)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    o->e = e;
    o->done = done;
    o->context = context;
    *out = o;
    if (!find(o, p->auth_key_name, "auth_key_name not set", &o->id, err) ||
        !find(o, p->auth_secret_name, "auth_secret_name not set", &o->secret, err) ||
        !find_url(o, err) || !key_of(o, key, err) ||
        !flight_ask(e->executor->shared->tokens, e->executor->loop, key, told, o, &o->flight, &news,
                    err))
        return false;
    *ready = news == FLIGHT_VALUE;
    if (news != FLIGHT_FETCH || fetch(o, err))
        return true;
    request_done(o);
    flight_fail(o->flight, view_str(err->text));
    return false;
}

struct view oauth_token(const struct oauth *o)
{
    return flight_value(o->flight);
}

void oauth_end(struct oauth *o)
{
    if (!o)
        return;
    request_done(o);
    flight_end(o->flight);
    secret_text_done(&o->url);
    free(o);
}
