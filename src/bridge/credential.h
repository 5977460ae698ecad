/* credential: who may use the bridge at all: tokens known by their SHA-256, or JWTs signed by known keys. */
#pragma once

#include "bridge/target.h"
#include "jwt/jwt.h"

struct credentials;

struct credential_source {
    const char *token_file;   /* NULL: none */
    const char *jwks_file;    /* NULL: none */
    const char *audience, *issuer;
};

/* Token file: "sha256:<64 hex> [label]" or "<64 hex> [label]" a line, '#' comments. */
MUST_USE bool credentials_load(const struct credential_source *source, struct credentials **out,
                               struct err *err);
void credentials_free(struct credentials *c);

struct credential_holder {
    char subject[64];  /* label of the token, or sub of the JWT, printable */
    struct jwt *jwt;   /* its claims, when it was one; free with credential_holder_done */
};
void credential_holder_done(struct credential_holder *h);

/* Is this token good? Time does not depend on where a wrong token differs. */
MUST_USE bool credentials_accept(const struct credentials *c, struct view token, int64_t now_s,
                                 struct credential_holder *out, struct err *err);
/* A JWT with a tgt claim reaches only the targets it lists, compared canonically. */
bool credential_permits(const struct credential_holder *h, const struct target *target);
