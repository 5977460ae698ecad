/* Private to src/jwt. */
#pragma once

#include <openssl/evp.h>

#include "base/locked.h"
#include "jwt/jwt.h"

enum {
    JWT_KEY_ID_BYTES = 128,
    JWT_SECRET_BYTES_MIN = 32, /* of a key set: no shorter than the hash (RFC 7518, 3.2) */
    JWT_HALF_BYTES = 32,       /* of a P-256 coordinate, an Ed25519 key, half a signature */
    JWT_MAC_BYTES = 32,
};

struct jwt_key {
    enum jwt_algorithm algorithm;
    EVP_PKEY *public;   /* ES256, EdDSA */
    struct view secret; /* HS256: in kept, or in the set's locked pages */
    uint8_t kept[JWT_SECRET_BYTES_MAX];
    char id[JWT_KEY_ID_BYTES]; /* kid, "" when there is none */
};

struct jwt_keys {
    struct locked locked;
    size_t count;
    struct jwt_key at[JWT_KEYS_MAX];
};

const char *jwt_algorithm_name(enum jwt_algorithm a); /* as in "alg" */
/* signature.c. signed_part: header and payload with the dot between them. */
MUST_USE bool jwt_signature_good(const struct jwt_key *key, struct view signed_part,
                                 struct view signature);
MUST_USE bool jwt_mac(struct view secret, struct view bytes, uint8_t out[static JWT_MAC_BYTES]);
/* The member is there and is the string text. */
bool jwt_member_is(const struct json_doc *doc, uint32_t object, const char *name, const char *text);
