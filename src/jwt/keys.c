/* keys: a JWK set (RFC 7517) to keys that can verify. */
#include <stdlib.h>

#include <openssl/core_names.h>

#include "base/codec.h"
#include "base/secret.h"
#include "jwt/jwt_priv.h"

#include "base/poison.h"

enum { KEY_SET_TOKENS_MAX = 16384 };

static bool set_read(const struct json_doc *doc, bool symmetric, struct jwt_keys *keys,
                     struct err *err);
static bool is_for_verifying(const struct json_doc *doc, uint32_t key, enum jwt_algorithm a);
static bool kind_of(const struct json_doc *doc, uint32_t key, bool symmetric,
                    enum jwt_algorithm *out);
static bool key_read(const struct json_doc *doc, uint32_t at, struct jwt_key *key, struct err *err);
static bool bytes_of(const struct json_doc *doc, uint32_t key, const char *name, uint8_t *out,
                     size_t *len);
static EVP_PKEY *p256_public(const uint8_t point[static 1 + 2 * JWT_HALF_BYTES]);

bool jwt_keys_parse(struct view json, bool symmetric, struct jwt_keys **out, struct err *err)
{
    CLEANUP(jwt_keys_free_cleanup) struct jwt_keys *keys = calloc(1, sizeof *keys);
    struct json_token *tokens = calloc(KEY_SET_TOKENS_MAX, sizeof *tokens);
    struct json_doc doc;
    bool good;

    if (!keys || !tokens) {
        free(tokens);
        return err_set(err, ERR_MEMORY, "key set");
    }
    good = json_parse(json, tokens, KEY_SET_TOKENS_MAX, &doc, err) &&
           set_read(&doc, symmetric, keys, err);
    free(tokens);
    if (!good)
        return false;
    if (keys->count == 0)
        return err_set(err, ERR_SYNTAX,
                       symmetric ? "no key that can be used: EC P-256, OKP Ed25519 or oct"
                                 : "no key that can be used: EC P-256 or OKP Ed25519");
    *out = take(keys);
    return true;
}

void jwt_keys_free(struct jwt_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++)
        EVP_PKEY_free(k->at[i].public);
    locked_done(&k->locked);
    secret_wipe(k, sizeof *k);
    free(k);
}

size_t jwt_keys_count(const struct jwt_keys *k)
{
    return k->count;
}

static bool set_read(const struct json_doc *doc, bool symmetric, struct jwt_keys *keys,
                     struct err *err)
{
    uint32_t list = doc->tokens[0].kind == JSON_OBJECT ? json_member(doc, 0, "keys") : 0, at;

    if (!list || doc->tokens[list].kind != JSON_ARRAY)
        return err_set(err, ERR_SYNTAX, "not a key set: {\"keys\": [...]}");
    at = json_first(list);
    for (uint32_t i = 0; i < doc->tokens[list].count; i++, at = doc->tokens[at].next) {
        struct jwt_key *key = &keys->at[keys->count];
        enum jwt_algorithm algorithm;

        if (doc->tokens[at].kind != JSON_OBJECT)
            return err_set(err, ERR_SYNTAX, "keys[%u]: not an object", i);
        if (!kind_of(doc, at, symmetric, &algorithm) || !is_for_verifying(doc, at, algorithm))
            continue;
        if (keys->count == JWT_KEYS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d keys", JWT_KEYS_MAX);
        key->algorithm = algorithm;
        if (!key_read(doc, at, key, err))
            return err_in(err, "keys[%u]", i);
        keys->count++;
    }
    return true;
}

bool jwt_member_is(const struct json_doc *doc, uint32_t object, const char *name, const char *text)
{
    uint32_t at = json_member(doc, object, name);
    char value[64];

    return at && json_string(doc, at, value, sizeof value) && strcmp(value, text) == 0;
}

static bool kind_of(const struct json_doc *doc, uint32_t key, bool symmetric,
                    enum jwt_algorithm *out)
{
    if (jwt_member_is(doc, key, "kty", "EC") && jwt_member_is(doc, key, "crv", "P-256"))
        *out = JWT_ES256;
    else if (jwt_member_is(doc, key, "kty", "OKP") && jwt_member_is(doc, key, "crv", "Ed25519"))
        *out = JWT_EDDSA;
    else if (symmetric && jwt_member_is(doc, key, "kty", "oct"))
        *out = JWT_HS256;
    else
        return false;
    return true;
}

static bool lists(const struct json_doc *doc, uint32_t array, const char *text)
{
    uint32_t at = json_first(array);
    char value[64];

    if (doc->tokens[array].kind != JSON_ARRAY)
        return false;
    for (uint32_t i = 0; i < doc->tokens[array].count; i++, at = doc->tokens[at].next)
        if (json_string(doc, at, value, sizeof value) && strcmp(value, text) == 0)
            return true;
    return false;
}

/* What a key says of its purpose must not forbid ours (RFC 7517, 4.2 to 4.4). */
static bool is_for_verifying(const struct json_doc *doc, uint32_t key, enum jwt_algorithm a)
{
    uint32_t operations = json_member(doc, key, "key_ops");

    return (!json_member(doc, key, "use") || jwt_member_is(doc, key, "use", "sig")) &&
           (!json_member(doc, key, "alg") ||
            jwt_member_is(doc, key, "alg", jwt_algorithm_name(a))) &&
           (!operations || lists(doc, operations, "verify"));
}

static bool key_read(const struct json_doc *doc, uint32_t at, struct jwt_key *key, struct err *err)
{
    uint8_t point[1 + 2 * JWT_HALF_BYTES] = {0x04}; /* uncompressed (SEC 1, 2.3.3) */
    size_t x = JWT_HALF_BYTES, y = JWT_HALF_BYTES;
    uint32_t id = json_member(doc, at, "kid");

    if (id && !json_string(doc, id, key->id, sizeof key->id))
        return err_set(err, ERR_SYNTAX, "kid: not a string of at most %d bytes",
                       JWT_KEY_ID_BYTES - 1);
    switch (key->algorithm) {
    case JWT_ES256:
        if (bytes_of(doc, at, "x", point + 1, &x) && x == JWT_HALF_BYTES &&
            bytes_of(doc, at, "y", point + 1 + JWT_HALF_BYTES, &y) && y == JWT_HALF_BYTES)
            key->public = p256_public(point);
        break;
    case JWT_EDDSA:
        if (bytes_of(doc, at, "x", point, &x) && x == JWT_HALF_BYTES)
            key->public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, x);
        break;
    case JWT_HS256:
        key->secret = view_from(key->kept, sizeof key->kept);
        if (bytes_of(doc, at, "k", key->kept, &key->secret.len) &&
            key->secret.len >= JWT_SECRET_BYTES_MIN)
            return true;
        return err_set(err, ERR_SYNTAX, "k: not base64url of %d to %d bytes", JWT_SECRET_BYTES_MIN,
                       JWT_SECRET_BYTES_MAX);
    }
    return key->public || err_set(err, ERR_SYNTAX, "not a point of the curve");
}

static bool bytes_of(const struct json_doc *doc, uint32_t key, const char *name, uint8_t *out,
                     size_t *len)
{
    uint32_t at = json_member(doc, key, name);
    char text[BASE64_LEN(JWT_SECRET_BYTES_MAX) + 1];
    bool good =
        at && json_string(doc, at, text, sizeof text) && base64url_decode(view_str(text), out, len);

    secret_wipe(text, sizeof text);
    return good;
}

/* NULL: no such point, or no memory. */
static EVP_PKEY *p256_public(const uint8_t point[static 1 + 2 * JWT_HALF_BYTES])
{
    char group[] = "prime256v1";
    uint8_t copy[1 + 2 * JWT_HALF_BYTES];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), *check = NULL;
    EVP_PKEY *key = NULL;

    memcpy(copy, point, sizeof copy);
    if (make && EVP_PKEY_fromdata_init(make) == 1 &&
        EVP_PKEY_fromdata(make, &key, EVP_PKEY_PUBLIC_KEY, params) == 1) {
        check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!check || EVP_PKEY_public_check(check) != 1) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(make);
    return key;
}
