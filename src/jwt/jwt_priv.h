/* Private to src/jwt. */
#pragma once

#include <openssl/evp.h>

#include "jwt/jwt.h"

enum {
    JWT_KEY_ID_BYTES = 128,
    JWT_SECRET_BYTES_MIN = 32, /* RFC 7518, 3.2: no shorter than the hash */
    JWT_SECRET_BYTES_MAX = 512,
    JWT_POINT_BYTES = 32, /* of a P-256 coordinate, an Ed25519 key, half a signature */
};

struct jwt_key {
    enum jwt_algorithm algorithm;
    EVP_PKEY *public;                     /* ES256, EdDSA */
    uint8_t secret[JWT_SECRET_BYTES_MAX]; /* HS256 */
    size_t secret_len;
    char id[JWT_KEY_ID_BYTES]; /* kid, "" when there is none */
};

struct jwt_keys {
    size_t count;
    struct jwt_key at[JWT_KEYS_MAX];
};

const char *jwt_algorithm_name(enum jwt_algorithm a); /* as in "alg" */
/* signature.c. signed_part: header and payload with the dot between them. */
MUST_USE bool jwt_signature_good(const struct jwt_key *key, struct view signed_part,
                                 struct view signature);
/* The member is there and is the string text. */
bool jwt_member_is(const struct json_doc *doc, uint32_t object, const char *name, const char *text);
