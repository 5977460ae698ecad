#include "bridge/credential.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/secret.h"
#include "base/text.h"
#include "bridge/credential_priv.h"
#include "bridge/target.h"

#include "base/poison.h"

enum { TOKEN_BYTES_MAX = JWT_BYTES_MAX, LEEWAY_S = 60 };

/* A token on its way from the request to the comparison. */
struct presented {
    bool found;
    size_t len; /* 0: it is none that can be read */
    uint8_t bytes[TOKEN_BYTES_MAX];
};

static void find_token(const struct http_head *h, struct view query, struct presented *p);
static bool judge(const struct credentials *c, const struct presented *p, int64_t wall_ms,
                  struct grant *out, struct err *err);
static bool hash_listed(const struct credentials *c, struct view token, struct grant *out);
static bool jwt_good(const struct credentials *c, struct view token, int64_t wall_ms,
                     struct grant *out, struct err *err);

bool credentials_check(const struct credentials *c, const struct http_head *h, struct view query,
                       int64_t wall_ms, struct grant *out, struct err *err)
{
    struct presented p;
    bool good;

    p.found = false;
    p.len = 0;
    find_token(h, query, &p);
    good = judge(c, &p, wall_ms, out, err);
    secret_wipe(p.bytes, sizeof p.bytes);
    return good;
}

bool credential_is_subprotocol(struct view offered)
{
    struct view prefix = VIEW("bearer.");

    return offered.len >= prefix.len && view_eq_nocase(view_first(offered, prefix.len), prefix);
}

static void present(struct presented *p, struct view token)
{
    p->found = true;
    p->len = token.len <= sizeof p->bytes ? token.len : 0;
    memcpy(p->bytes, token.at, p->len);
}

/* Other schemes are not for us: a browser sends Basic by itself behind a front end that asked for
 * it. */
static void find_in_authorization(const struct http_head *h, struct presented *p)
{
    struct view scheme = VIEW("Bearer ");

    for (size_t i = 0; i < h->count; i++) {
        struct view value = h->fields[i].value;
        bool again = p->found;

        if (!view_eq_nocase(h->fields[i].name, VIEW("Authorization")) ||
            (!view_eq_nocase(value, VIEW("Bearer")) &&
             !view_eq_nocase(view_first(value, scheme.len), scheme)))
            continue;
        present(p, view_trim_ows(view_skip(value, scheme.len)));
        if (again)
            p->len = 0;
    }
}

static void find_in_subprotocols(const struct http_head *h, struct presented *p)
{
    struct http_list cursor = {0};
    struct view offered;

    while (http_list_next(h, VIEW("Sec-WebSocket-Protocol"), &cursor, &offered)) {
        size_t len = sizeof p->bytes;
        bool again = p->found;

        if (!credential_is_subprotocol(offered))
            continue;
        p->found = true;
        p->len = !again && base64url_decode(view_skip(offered, 7), p->bytes, &len) ? len : 0;
        if (again)
            return;
    }
}

static void find_token(const struct http_head *h, struct view query, struct presented *p)
{
    find_in_authorization(h, p);
    if (!p->found)
        find_in_subprotocols(h, p);
    if (p->found || !query.at)
        return;
    p->found = http_query_first(query, VIEW("token"), p->bytes, sizeof p->bytes, &p->len);
    if (p->len > sizeof p->bytes)
        p->len = 0;
}

static bool judge(const struct credentials *c, const struct presented *p, int64_t wall_ms,
                  struct grant *out, struct err *err)
{
    struct view token = view_from(p->bytes, p->len);

    *out = (struct grant){0};
    if (!p->found)
        return err_set(err, ERR_DENIED, "no credential");
    if (!p->len)
        return err_set(err, ERR_DENIED, "a credential that cannot be read");
    if (c->token_count && hash_listed(c, token, out))
        return true;
    if (!c->keys)
        return err_set(err, ERR_DENIED, "unknown token");
    return jwt_good(c, token, wall_ms, out, err);
}

/* Hashes have one length, and all of them are looked at: the time says nothing (but how many there
 * are). */
static bool hash_listed(const struct credentials *c, struct view token, struct grant *out)
{
    uint8_t hash[SHA256_BYTES];
    const struct credential_token *found = NULL;

    if (!secret_sha256(token.at, token.len, hash))
        return false;
    for (size_t i = 0; i < c->token_count; i++)
        if (secret_equal(hash, c->tokens[i].hash, sizeof hash))
            found = &c->tokens[i];
    secret_wipe(hash, sizeof hash);
    if (found)
        memcpy(out->subject, found->label, sizeof out->subject);
    return found != NULL;
}

static bool jwt_good(const struct credentials *c, struct view token, int64_t wall_ms,
                     struct grant *out, struct err *err)
{
    struct jwt_expect expect = {
        .audience = c->audience,
        .issuer = c->issuer,
        .now_s = wall_ms / 1000,
        .leeway_s = LEEWAY_S,
        .need_exp = true,
    };
    struct jwt *jwt = malloc(sizeof *jwt);

    if (!jwt)
        return err_set(err, ERR_MEMORY, "token");
    if (!jwt_verify(c->keys, token, &expect, jwt, err)) {
        free(jwt);
        return false;
    }
    (void)text_escape(view_str(jwt->subject), sizeof jwt->subject, out->subject,
                      sizeof out->subject);
    out->jwt = jwt;
    return true;
}

/* --- what was granted ------------------------------------------------------------------------ */

void grant_done(struct grant *g)
{
    free(g->jwt);
    *g = (struct grant){0};
}

static bool names_target(const struct json_doc *claims, uint32_t token, struct view target)
{
    char text[TARGET_BYTES_MAX + 1];
    struct target t;

    return json_string(claims, token, text, sizeof text) &&
           target_parse(view_str(text), &t, NULL) && view_eq(view_str(t.text), target);
}

bool grant_allows(const struct grant *g, struct view target)
{
    const struct json_doc *claims;
    uint32_t list, at;

    if (!g->jwt)
        return true;
    claims = &g->jwt->claims;
    list = json_member(claims, 0, "tgt");
    if (!list)
        return true;
    if (claims->tokens[list].kind != JSON_ARRAY)
        return names_target(claims, list, target);
    at = json_first(list);
    for (uint32_t i = 0; i < claims->tokens[list].count; i++, at = claims->tokens[at].next)
        if (names_target(claims, at, target))
            return true;
    return false;
}
