/* jwt: JSON Web Tokens in compact form (RFC 7515, 7519) and key sets (RFC 7517): ES256, EdDSA (Ed25519),
 * HS256; signatures through OpenSSL EVP.
 *
 * A verifier decides the algorithm by the key, never by the token (RFC 8725, 3.1); "none" does not exist
 * here; "crit" is refused, because no extension is known.
 *
 * Read in order   keys.c key.c (one key) verify.c signature.c sign.c */
#pragma once

#include "base/json.h"

enum { JWT_BYTES_MAX = 8192, JWT_KEYS_MAX = 64, JWT_SECRET_BYTES_MAX = 512, JWT_POINT_BYTES = 64 };

enum jwt_algorithm { JWT_ES256, JWT_EDDSA, JWT_HS256 };

struct jwt_keys;

/* JWKS document {"keys": […]} : EC P-256, OKP Ed25519, and oct (only when symmetric is true). Keys of
 * other kinds or uses are skipped; a set without any usable key is an error. */
MUST_USE bool jwt_keys_parse(struct view json, bool symmetric, struct jwt_keys **out,
                             struct err *err);
void jwt_keys_free(struct jwt_keys *k); /* NULL is fine */
CLEANUP_DEFINE(struct jwt_keys, jwt_keys_free)
size_t jwt_keys_count(const struct jwt_keys *k);
/* A set of one key. pem: SubjectPublicKeyInfo ("BEGIN PUBLIC KEY") of P-256, for ES256. secret: for HS256, 1 to
 * JWT_SECRET_BYTES_MAX bytes, kept in locked pages. */
MUST_USE bool jwt_keys_from_pem(struct view pem, struct jwt_keys **out, struct err *err);
MUST_USE bool jwt_keys_from_secret(struct view secret, struct jwt_keys **out, struct err *err);
/* The point of the first key as x ‖ y. False: it has none on P-256. */
MUST_USE bool jwt_keys_point(const struct jwt_keys *k, uint8_t out[static JWT_POINT_BYTES]);

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
/* Verifies the signature alone: what the claims say is the caller's to judge. subject stays empty. */
MUST_USE bool jwt_open(const struct jwt_keys *keys, struct view token, struct jwt *out,
                       struct err *err);
/* Verifies nothing: shows the claims to people. */
MUST_USE bool jwt_peek(struct view token, struct jwt *out, struct err *err);

struct jwt_signer;
/* pem: a private key of P-256, as PKCS #8 ("PRIVATE KEY") or SEC 1 ("EC PRIVATE KEY"), unencrypted: ES256. */
MUST_USE bool jwt_signer_from_pem(struct view pem, struct jwt_signer **out, struct err *err);
MUST_USE bool jwt_signer_from_secret(struct view secret, struct jwt_signer **out, struct err *err);
void jwt_signer_free(struct jwt_signer *s); /* NULL is fine */
CLEANUP_DEFINE(struct jwt_signer, jwt_signer_free)
/* A token of these claims (JSON text), appended. Header: {"typ":"JWT","alg":…}. */
MUST_USE bool jwt_sign(const struct jwt_signer *s, struct view claims, struct buf *out,
                       struct err *err);
/* A new pair on P-256: PKCS #8 and SubjectPublicKeyInfo in PEM, appended. private holds a secret: wipe it. */
MUST_USE bool jwt_pair_new(struct buf *private, struct buf *public, struct err *err);
