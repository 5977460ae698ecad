/* Input: a header, NUL, claims. As a token of its own it is never accepted, and shown or refused. Signed by a secret that nobody else has, it is
 * accepted only when it says what it must; then the caller is what the claims say, and may what they allow. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "ati/token/token.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECRET_BYTES = 32, NOW_S = 1800000000, PART_BYTES_MAX = 3500, VALUES_MAX = 8192 };

static uint8_t secret[SECRET_BYTES];
static struct token_authority *authority;
static struct token_cache *cache;

static void make(void)
{
    char hex[2 * SECRET_BYTES + 1];
    const struct token_config config = {.secret_hex = hex, .issuer = "me"};

    random_bytes(secret, sizeof secret);
    hex_encode(view_from(secret, sizeof secret), hex);
    CHECK(token_authority_load(&config, &authority, NULL));
    CHECK(token_cache_new(64, &cache, NULL));
}

static size_t sign(struct view header, struct view claims, char *out)
{
    uint8_t mac[SHA256_BYTES];
    unsigned len = 0;
    size_t n;

    base64url_encode(header, out);
    n = strlen(out);
    out[n++] = '.';
    base64url_encode(claims, out + n);
    n += strlen(out + n);
    CHECK(HMAC(EVP_sha256(), secret, sizeof secret, (const uint8_t *)out, n, mac, &len));
    out[n++] = '.';
    base64url_encode(view_from(mac, len), out + n);
    return n + strlen(out + n);
}

static void check_text(const struct json_doc *doc, const char *name, const char *said)
{
    char text[PART_BYTES_MAX + 1];
    uint32_t at = json_member(doc, 0, name);

    if (!at || doc->tokens[at].kind == JSON_NULL) {
        CHECK(!said);
        return;
    }
    CHECK(said && json_string(doc, at, text, sizeof text) && strcmp(text, said) == 0);
}

/* Against the claims as anybody would read them. */
static void check_caller(const struct caller *c, struct view claims)
{
    struct json_tree tree;
    int64_t exp = 0;

    CHECK(json_load(claims, VALUES_MAX, &tree, NULL));
    check_text(&tree.doc, "sub", c->subject);
    check_text(&tree.doc, "iss", c->issuer);
    check_text(&tree.doc, "jti", c->id);
    check_text(&tree.doc, "job_id", c->job_id);
    check_text(&tree.doc, "sandbox_id", c->sandbox_id);
    check_text(&tree.doc, "scope", c->scope);
    CHECK(strcmp(c->issuer, "me") == 0 && strcmp(c->audience, TOKEN_AUDIENCE) == 0);
    CHECK(json_integer(&tree.doc, json_member(&tree.doc, 0, "exp"), &exp));
    CHECK(exp == c->expires_s && exp >= NOW_S - TOKEN_LEEWAY_S && c->issued_s >= 0);
    for (size_t i = 0; i < c->scope_count; i++)
        CHECK(caller_may(c, c->scopes[i], NOW_S) == (exp >= NOW_S));
    for (size_t i = 0; i < c->rate_count; i++)
        CHECK(c->rates[i].pattern[0] && c->rates[i].window_s >= 1 && c->rates[i].window_s <= 86400);
    json_unload(&tree);
}

static void check_shown(struct view token, bool accepted)
{
    struct json_tree tree;
    struct err err = {0};
    struct buf out;

    buf_init(&out, 4 * PART_BYTES_MAX, "claims");
    if (token_claims(token, &out, &err)) {
        CHECK(json_load(buf_view(&out), VALUES_MAX, &tree, NULL));
        CHECK(tree.doc.tokens[0].kind == JSON_OBJECT);
        json_unload(&tree);
    } else {
        CHECK(!accepted && err.code == ERR_DENIED && err.text[0]);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char token[2 * BASE64_LEN(PART_BYTES_MAX) + 64];
    struct view rest = view_from(data, size), header = {0}, claims = {0}, made;
    struct caller *c = NULL, *again = NULL;
    struct err err = {0};
    bool good;

    if (!authority)
        make();
    if (size == 0 || size > PART_BYTES_MAX)
        return 0;
    CHECK(!token_validate(authority, rest, NOW_S, &c, &err) && err.code == ERR_DENIED);
    check_shown(rest, false);
    (void)view_next(&rest, 0, &header);
    if (rest.at)
        (void)view_next(&rest, 0, &claims);
    made = view_from(token, sign(header, claims, token));
    good = token_validate(authority, made, NOW_S, &c, &err);
    check_shown(made, good);
    CHECK(token_cache_validate(cache, authority, made, NOW_S, &again, NULL) == good);
    caller_unref(again);
    CHECK(token_cache_validate(cache, authority, made, NOW_S, &again, NULL) == good);
    if (good) {
        check_caller(c, claims);
        check_caller(again, claims);
        caller_unref(again);
    } else {
        CHECK(err.code == ERR_DENIED && err.text[0]);
    }
    caller_unref(c);
    return 0;
}
