/* Input: a header, NUL, claims. Signed by a key that nobody else has, they are accepted only when
 * they say what was expected; the input itself, as a token, never is; as a key set it is read or
 * refused. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/secret.h"
#include "jwt/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECRET_BYTES = 32, NOW_S = 1800000000, PART_BYTES_MAX = 4096 };

static uint8_t secret[SECRET_BYTES];
static struct jwt_keys *keys;
static struct jwt verified;
static const struct jwt_expect expect = {
    .audience = "bridge", .issuer = "me", .now_s = NOW_S, .leeway_s = 60, .need_exp = true};

static void make(void)
{
    char text[128], json[256];

    random_bytes(secret, sizeof secret);
    base64url_encode(view_from(secret, sizeof secret), text);
    (void)snprintf(json, sizeof json, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\"}]}", text);
    CHECK(jwt_keys_parse(view_str(json), true, &keys, NULL));
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

static void check_claims(void)
{
    const struct json_doc *c = &verified.claims;
    uint32_t exp = json_member(c, 0, "exp"), iss = json_member(c, 0, "iss");
    char text[64];

    CHECK(c->tokens[0].kind == JSON_OBJECT && exp && json_member(c, 0, "aud"));
    CHECK(c->tokens[exp].kind == JSON_NUMBER);
    CHECK(strtod((const char *)json_span(c, exp).at, NULL) > NOW_S - 60);
    CHECK(iss && json_string(c, iss, text, sizeof text) && strcmp(text, "me") == 0);
    CHECK(memchr(verified.subject, 0, sizeof verified.subject));
}

static void check_key_set(struct view json)
{
    struct jwt_keys *set = NULL;
    struct err err = {0};

    if (jwt_keys_parse(json, true, &set, &err))
        CHECK(jwt_keys_count(set) > 0 && jwt_keys_count(set) <= JWT_KEYS_MAX);
    else
        CHECK(err.text[0]);
    jwt_keys_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char token[2 * BASE64_LEN(PART_BYTES_MAX) + 64];
    struct view rest = view_from(data, size), header = {0}, claims = {0};
    struct err err = {0};

    if (!keys)
        make();
    if (size == 0 || size > PART_BYTES_MAX)
        return 0;
    check_key_set(rest);
    CHECK(!jwt_verify(keys, rest, &expect, &verified, &err) && err.code == ERR_DENIED);
    (void)view_next(&rest, 0, &header);
    if (rest.at)
        (void)view_next(&rest, 0, &claims);
    if (jwt_verify(keys, view_from(token, sign(header, claims, token)), &expect, &verified, &err))
        check_claims();
    else
        CHECK(err.code == ERR_DENIED && err.text[0]);
    return 0;
}
