/* Private to credential*.c. */
#pragma once

#include "base/secret.h"
#include "bridge/credential.h"

struct credential_token {
    uint8_t hash[SHA256_BYTES];
    char label[CREDENTIAL_SUBJECT_BYTES];
};

struct credentials {
    struct credential_token *tokens;
    size_t token_count;
    struct jwt_keys *keys; /* NULL: JWTs are not taken */
    char *audience, *issuer;
};
