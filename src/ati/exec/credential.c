#include "ati/exec/credential.h"

#include <stdio.h>
#include <stdlib.h>

#include "ati/exec/generator.h"
#include "ati/exec/oauth.h"
#include "base/codec.h"

#include "base/poison.h"

enum { WRAPPED_MAX = 4096 }; /* of a generator's error */

struct credential {
    struct execution *e;
    credential_done *done;
    void *context;
    struct client_field fields[CREDENTIAL_FIELDS_MAX];
    size_t count;
    struct secret_text texts[CREDENTIAL_FIELDS_MAX]; /* of values that are made here */
    size_t text_count;
    struct view query_name, query_value; /* name empty: none */
    bool starved;
    struct oauth *oauth;
    struct generation *generation;
};

bool secret_text_join(struct secret_text *out, const struct view *parts, size_t count,
                      struct err *err)
{
    size_t len = 0, at = 0;
    char *text;

    *out = (struct secret_text){NULL, 0};
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    text = malloc(len + 1);
    if (!text)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            memcpy(text + at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    text[len] = '\0';
    *out = (struct secret_text){text, len};
    return true;
}

void secret_text_done(struct secret_text *s)
{
    if (s->at)
        secret_wipe(s->at, s->len);
    free(s->at);
    *s = (struct secret_text){NULL, 0};
}

static const struct tool_provider *provider_of(const struct credential *c)
{
    return c->e->request.tool->provider;
}

static bool find(struct credential *c, const char *name, const char *unset, struct view *out,
                 struct err *err)
{
    if (!name)
        return err_set(err, ERR_NOT_FOUND, "API key '%s' not found in keyring", unset);
    if (!keyring_find(c->e->request.snapshot->keyring, view_str(name), out))
        return err_set(err, ERR_NOT_FOUND, "API key '%s' not found in keyring", name);
    exec_secret(c->e, *out);
    return true;
}

/* "name: prefix" and the secret. What would split a request is refused by the client. */
static bool add(struct credential *c, struct view name, struct view prefix, struct view secret,
                struct err *err)
{
    const struct view parts[] = {prefix, secret};

    if (c->count == CREDENTIAL_FIELDS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d credential fields", CREDENTIAL_FIELDS_MAX);
    if (!secret_text_join(&c->texts[c->text_count], parts, 2, err))
        return false;
    c->fields[c->count++] = (struct client_field){
        .name = name, .value = secret_text_view(&c->texts[c->text_count++]), .secret = true};
    return true;
}

/* base64("{key}:"): the key is the user, and there is no password. */
static bool add_basic(struct credential *c, struct view key, struct err *err)
{
    const struct view parts[] = {key, VIEW(":")};
    struct secret_text pair, encoded;
    bool good;

    if (!secret_text_join(&pair, parts, 2, err))
        return false;
    encoded.len = BASE64_LEN(pair.len);
    encoded.at = malloc(encoded.len + 1);
    good = encoded.at || err_set(err, ERR_MEMORY, "no memory for a credential");
    if (good) {
        base64_encode(secret_text_view(&pair), encoded.at);
        good = add(c, VIEW("Authorization"), VIEW("Basic "), secret_text_view(&encoded), err);
    }
    secret_text_done(&encoded);
    secret_text_done(&pair);
    return good;
}

static bool add_primary(struct credential *c, struct view value, struct err *err)
{
    const struct tool_provider *p = provider_of(c);

    switch (p->auth) {
    case AUTH_BEARER:
    case AUTH_OAUTH2:
        return add(c, VIEW("Authorization"), VIEW("Bearer "), value, err);
    case AUTH_HEADER:
        return add(c, view_str(p->auth_header_name ? p->auth_header_name : "X-Api-Key"),
                   view_str(p->auth_value_prefix), value, err);
    case AUTH_QUERY:
        c->query_name = view_str(p->auth_query_name ? p->auth_query_name : "api_key");
        c->query_value = value;
        return true;
    case AUTH_BASIC:
        return add_basic(c, value, err);
    case AUTH_NONE:
    case AUTH_URL:
        return true;
    }
    return true;
}

static bool take_generated(struct credential *c, struct err *err)
{
    enum manifest_auth auth = provider_of(c)->auth;
    struct generated g;
    size_t cursor = 0;

    while (generator_output(c->generation, &cursor, &g)) {
        exec_secret(c->e, g.value);
        if (g.place == GENERATOR_HEADER && !add(c, g.name, VIEW(""), g.value, err))
            return false;
        if (g.place == GENERATOR_PRIMARY &&
            (auth == AUTH_BEARER || auth == AUTH_HEADER || auth == AUTH_QUERY) &&
            !add_primary(c, g.value, err))
            return false;
    }
    return true;
}

static void wrap_generator(const char *error, char *out, size_t size)
{
    (void)snprintf(out, size, "API key 'auth_generator: %s' not found in keyring", error);
}

static void generated(void *context, const char *error)
{
    struct credential *c = context;
    struct err err;
    char text[WRAPPED_MAX];

    if (!error && take_generated(c, &err)) {
        c->done(c->context, NULL);
        return;
    }
    c->starved = error && generator_starved(c->generation);
    if (c->starved) { /* nothing is wrong with the key */
        c->done(c->context, error);
        return;
    }
    wrap_generator(error ? error : err.text, text, sizeof text);
    c->done(c->context, text);
}

static bool take_token(struct credential *c, struct err *err)
{
    exec_secret(c->e, oauth_token(c->oauth));
    return add_primary(c, oauth_token(c->oauth), err);
}

static void exchanged(void *context, const char *error)
{
    struct credential *c = context;
    struct err err;

    if (!error && !take_token(c, &err))
        error = err.text;
    c->done(c->context, error);
}

static bool start_generator(struct credential *c, bool *ready, struct err *err)
{
    const struct exec_request *r = &c->e->request;
    const struct generator_asker asker = {r->caller, r->token, view_str(r->tool->name)};
    struct executor *x = c->e->executor;
    char text[WRAPPED_MAX];

    if (generator_start(x->loop, x->shared, r->snapshot->keyring, &asker, r->tool->provider,
                        generated, c, &c->generation, ready, err) &&
        (!*ready || take_generated(c, err)))
        return true;
    if (err->code == ERR_BUSY)
        return false;
    wrap_generator(err->text, text, sizeof text);
    return err_set(err, err->code, "%s", text);
}

static bool start(struct credential *c, bool *ready, struct err *err)
{
    const struct tool_provider *p = provider_of(c);
    struct view key = VIEW("");

    *ready = true;
    if (p->generator)
        return start_generator(c, ready, err);
    if (p->auth == AUTH_NONE || p->auth == AUTH_URL)
        return true;
    if (p->auth == AUTH_OAUTH2)
        return oauth_start(c->e, exchanged, c, &c->oauth, ready, err) &&
               (!*ready || take_token(c, err));
    return find(c, p->auth_key_name, "auth_key_name not set", &key, err) &&
           add_primary(c, key, err);
}

bool credential_start(struct execution *e, credential_done *done, void *context,
                      struct credential **out, bool *ready, struct err *err)
{
    struct credential *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    c->e = e;
    c->done = done;
    c->context = context;
    *out = c;
    return start(c, ready, err);
}

bool credential_starved(const struct credential *c)
{
    return c->starved;
}

void credential_free(struct credential *c)
{
    if (!c)
        return;
    oauth_end(c->oauth);
    generator_end(c->generation);
    for (size_t i = 0; i < c->text_count; i++)
        secret_text_done(&c->texts[i]);
    free(c);
}

size_t credential_fields(const struct credential *c, const struct client_field **fields)
{
    *fields = c->fields;
    return c->count;
}

bool credential_query(const struct credential *c, struct view *name, struct view *value)
{
    *name = c->query_name;
    *value = c->query_value;
    return c->query_name.len > 0;
}
