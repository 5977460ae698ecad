/* credential: who may ask for a tunnel at all: bearer tokens by their SHA-256, or signed tokens
 * (JWT).
 *
 *   Authorization: Bearer TOKEN                 programs
 *   Sec-WebSocket-Protocol: bearer.BASE64URL    pages: the only header that a script can fill
 *   ?token=TOKEN                                only when permitted: URLs end up in logs
 *
 * The first place that holds a credential decides; two in one place are none. A token is looked for
 * among the hashes, all of them, in constant time, and then verified as a JWT when a key set was
 * given. Tokens themselves are never kept, logged or put into errors. */
#pragma once

#include "http/http.h"
#include "jwt/jwt.h"

enum { CREDENTIAL_SUBJECT_BYTES = 64, CREDENTIAL_TOKENS_MAX = 16384 };

struct credentials;

/* Texts are lent for the call; .at NULL: there is none. Names are for errors. */
struct credential_source {
    /* One hash a line, "sha256:" before it or not; a label for the log may follow; '#' comments. */
    struct view tokens;
    const char *tokens_name;
    struct view jwks;
    const char *jwks_name;
    const char *audience, *issuer; /* NULL: any; copied */
};
MUST_USE bool credentials_new(const struct credential_source *source, struct credentials **out,
                              struct err *err);
void credentials_free(struct credentials *c); /* NULL is fine */
CLEANUP_DEFINE(struct credentials, credentials_free)

/* What a good credential gives. */
struct grant {
    char subject[CREDENTIAL_SUBJECT_BYTES]; /* whose it was, escaped; "" when that is not known */
    struct jwt *jwt;                        /* NULL: not a JWT */
};
void grant_done(struct grant *g);
/* May its holder reach the canonical target? A JWT without "tgt" says nothing of targets. */
bool grant_allows(const struct grant *g, struct view target);

/* query: of the request target; .at NULL for "not to be looked at". ERR_DENIED: missing or wrong.
 */
MUST_USE bool credentials_check(const struct credentials *c, const struct http_head *h,
                                struct view query, int64_t wall_ms, struct grant *out,
                                struct err *err);
/* This offered subprotocol carries a credential: it must never be selected. */
bool credential_is_subprotocol(struct view offered);
