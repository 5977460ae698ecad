/* token: the session tokens of sandboxes: JWTs (RFC 7519) by ES256 or HS256, made, judged, and shown.
 *
 *   environment ─► token_config ─► token_authority ─► token_validate: bytes ─► struct caller
 *
 * The authority decides the algorithm: the token's own word only has to agree (RFC 8725, 3.1). exp has a leeway of 60 s here,
 * none in caller_may. iss, when one is configured, must be there and equal. aud may be a string, or an array that holds it.
 * A configuration that cannot be used is an error, never "no authentication".
 * A token with a rate that cannot be read is refused: a limit that somebody meant to set must not be lost (docs/decisions/033).
 * Good verdicts are kept by the SHA-256 of the token for as long as they hold (struct token_cache, one a loop): ES256 costs 60 µs.
 *
 * Read in order   config.c validate.c claims.c cache.c issue.c session.c */
#pragma once

#include "ati/caller/caller.h"
#include "base/buf.h"
#include "base/log.h"

enum {
    TOKEN_LEEWAY_S = 60,
    TOKEN_TTL_S = 1800,
    TOKEN_BYTES_MAX = 8192,
    TOKEN_SECRET_BYTES_LEAST = 32 /* of HS256: RFC 7518, 3.2 */
};
#define TOKEN_AUDIENCE "ati-proxy"
#define TOKEN_KEY_ID   "ati-proxy-1"
#define TOKEN_FILE     "/run/ati/session_token"

/* ATI_JWT_*: lent by the environment. NULL: not set, or empty. A public key goes before a secret. */
struct token_config {
    const char *public_key_file, *private_key_file, *secret_hex, *issuer, *audience;
};
struct token_config token_config_from(char **environment);

struct token_authority; /* immutable; counted atomically */
/* *out NULL: nothing is configured. */
MUST_USE bool token_authority_load(const struct token_config *config, struct token_authority **out,
                                   struct err *err);
struct token_authority *token_authority_ref(struct token_authority *a);
void token_authority_unref(struct token_authority *a); /* NULL is fine */
CLEANUP_DEFINE(struct token_authority, token_authority_unref)

size_t
token_authority_secret(const struct token_authority *a); /* bytes of HS256's; 0: it is ES256 */
/* A warning when a secret of so many bytes, not 0, is shorter than TOKEN_SECRET_BYTES_LEAST. It is used nevertheless. */
void token_secret_judge(size_t bytes, struct log *log);

/* ERR_DENIED with the reason, without the token. */
MUST_USE bool token_validate(const struct token_authority *a, struct view token, int64_t now_s,
                             struct caller **out, struct err *err);
/* The document of /.well-known/jwks.json, appended. ERR_NOT_FOUND, "JWKS not configured": HS256 has none. */
MUST_USE bool token_jwks(const struct token_authority *a, struct buf *out, struct err *err);

struct token_cache;
MUST_USE bool token_cache_new(size_t entries_max, struct token_cache **out, struct err *err);
void token_cache_free(struct token_cache *c);
/* As token_validate, from memory where it can. authority: verdicts of another one are forgotten. */
MUST_USE bool token_cache_validate(struct token_cache *c, struct token_authority *a,
                                   struct view token, int64_t now_s, struct caller **out,
                                   struct err *err);

struct token_rate {
    struct view pattern, spec; /* "tool:github:*", "10/hour" */
};
/* What to put into a token. Empty: left out. */
struct token_request {
    struct view subject, scope, audience, issuer, job_id,
        sandbox_id; /* subject, scope and audience: always there */
    int64_t now_s, ttl_s;
    const struct token_rate *rates;
    size_t rate_count;
};
/* Signs with key_pem (PKCS #8 or SEC 1, P-256) or, when it is empty, the bytes of secret. Claims in the order iss sub aud iat exp jti scope
 * ati job_id sandbox_id; jti is a random UUID. More than TOKEN_BYTES_MAX: ERR_LIMIT. */
MUST_USE bool token_issue(const struct token_request *request, struct view key_pem,
                          struct view secret, struct buf *out, struct err *err);
/* The claims without any check of signature or time: {"iss":…} as a JSON object, appended. */
MUST_USE bool token_claims(struct view token, struct buf *out, struct err *err);
/* private: PKCS #8 PEM (wipe it); public: SPKI PEM. P-256. */
MUST_USE bool token_keygen_es256(struct buf *private_pem, struct buf *public_pem, struct err *err);
MUST_USE bool token_keygen_hs256(char out[static 65]); /* 64 hex digits */

/* session.c: ATI_SESSION_TOKEN, else the file that ATI_SESSION_TOKEN_FILE names, else TOKEN_FILE; trimmed. Nothing found: out stays
 * empty. "Cannot read {path}: {why}". */
MUST_USE bool token_session(char **environment, struct buf *out, struct err *err);
