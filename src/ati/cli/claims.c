#include "ati/cli/claims.h"

#include <stdlib.h>

#include "ati/token/token.h"

#include "base/poison.h"

enum { VALUES_MAX = 4096 };

static bool seconds(const struct json_doc *doc, const char *name, int64_t *out, struct err *err)
{
    uint32_t at = json_member(doc, 0, name);

    return (at && json_integer(doc, at, out) && *out >= 0) ||
           err_set(err, ERR_SYNTAX, "Invalid token: %s is not there, or no number", name);
}

static bool check(struct cli_claims *c, struct err *err)
{
    const struct json_doc *doc = &c->tree.doc;
    uint32_t aud = json_member(doc, 0, "aud"), sub = json_member(doc, 0, "sub"),
             scope = json_member(doc, 0, "scope");
    size_t len;

    if (!sub || doc->tokens[sub].kind != JSON_STRING)
        return err_set(err, ERR_SYNTAX, "Invalid token: sub is not there, or no text");
    if (!aud || (doc->tokens[aud].kind != JSON_STRING && doc->tokens[aud].kind != JSON_ARRAY))
        return err_set(err, ERR_SYNTAX, "Invalid token: aud is not there, or no text");
    if (!scope || !json_string_new(doc, scope, &c->scope, &len))
        return err_set(err, ERR_SYNTAX, "Invalid token: scope is not there, or no text");
    return seconds(doc, "iat", &c->issued_s, err) && seconds(doc, "exp", &c->expires_s, err);
}

bool cli_claims_read(struct cli_claims *c, struct view token, struct err *err)
{
    struct err why;

    *c = (struct cli_claims){.scope = NULL};
    buf_init(&c->text, TOKEN_BYTES_MAX, "claims");
    if (!token_claims(token, &c->text, &why))
        return err_set(err, why.code, "Invalid %s", why.text); /* "token: …" */
    return json_load(buf_view(&c->text), VALUES_MAX, &c->tree, err) && check(c, err);
}

void cli_claims_done(struct cli_claims *c)
{
    json_unload(&c->tree);
    buf_done(&c->text);
    free(c->scope);
}

void cli_claims_write(const struct cli_claims *c, const char *name, struct json_writer *w)
{
    uint32_t at = json_member(&c->tree.doc, 0, name);

    json_key(w, name);
    if (at)
        json_raw(w, json_source(&c->tree.doc, at));
    else
        json_null(w);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void cli_claims_scopes(const struct cli_claims *c, struct json_writer *w)
{
    const char *at = c->scope;

    json_key(w, "scopes");
    json_array(w);
    while (*at) {
        size_t n = 0;

        while (is_blank(*at))
            at++;
        while (at[n] && !is_blank(at[n]))
            n++;
        if (n)
            json_text(w, view_from(at, n));
        at += n;
    }
    json_array_end(w);
}

char *cli_claims_text(const struct cli_claims *c, const char *name)
{
    const struct json_doc *doc = &c->tree.doc;
    uint32_t token = json_member(doc, 0, name), at = json_first(token);
    struct buf text;
    size_t len;
    char *one;
    bool good = true;

    if (!token)
        return NULL;
    if (doc->tokens[token].kind != JSON_ARRAY)
        return json_string_new(doc, token, &one, &len) ? one : NULL;
    buf_init(&text, TOKEN_BYTES_MAX + 1, "claim");
    for (uint32_t i = 0; good && i < doc->tokens[token].count; i++, at = doc->tokens[at].next) {
        good = json_string_new(doc, at, &one, &len);
        if (!good)
            break;
        good = (!i || buf_append_str(&text, ", ", NULL)) && buf_append_str(&text, one, NULL);
        free(one);
    }
    if (good && buf_append_byte(&text, '\0', NULL))
        return (char *)text.area; /* its owner now */
    buf_done(&text);
    return NULL;
}
