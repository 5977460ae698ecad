/* jwt: JSON Web Tokens in compact form (RFC 7515, 7519) and key sets (RFC 7517): ES256, EdDSA (Ed25519),
 * HS256; signatures through OpenSSL EVP.
 *
 * A verifier decides the algorithm by the key, never by the token (RFC 8725, 3.1); "none" does not exist
 * here; "crit" is refused, because no extension is known.
 *
 * Read in order   keys.c verify.c signature.c */
#pragma once

#include "base/json.h"

enum { JWT_BYTES_MAX = 8192, JWT_KEYS_MAX = 64 };

enum jwt_algorithm { JWT_ES256, JWT_EDDSA, JWT_HS256 };

struct jwt_keys;

/* JWKS document {"keys": […]} : EC P-256, OKP Ed25519, and oct (only when symmetric is true). Keys of
 * other kinds or uses are skipped; a set without any usable key is an error. */
MUST_USE bool jwt_keys_parse(struct view json, bool symmetric, struct jwt_keys **out,
                             struct err *err);
void jwt_keys_free(struct jwt_keys *k); /* NULL is fine */
CLEANUP_DEFINE(struct jwt_keys, jwt_keys_free)
size_t jwt_keys_count(const struct jwt_keys *k);

struct jwt_expect {
    const char *audience; /* must be (in) aud; NULL: any */
    const char *issuer;   /* must equal iss; NULL: any */
    int64_t now_s;        /* seconds since 1970 */
    int64_t leeway_s;     /* for exp, nbf, iat */
    bool need_exp;
};
enum { JWT_TOKENS_MAX = 512 };
struct jwt {
    struct json_doc claims; /* of payload below */
    struct json_token tokens[JWT_TOKENS_MAX];
    char payload[JWT_BYTES_MAX]; /* decoded JSON */
    char subject[128];           /* sub, "" when there is none */
};
/* Verifies signature, then time, audience and issuer. out is large: keep it off small stacks. Errors
 * (ERR_DENIED) never hold the token. */
MUST_USE bool jwt_verify(const struct jwt_keys *keys, struct view token,
                         const struct jwt_expect *expect, struct jwt *out, struct err *err);
