/* token: one bearer token, kept as a salted hash: the salt is of this process, so that neither a core of another one nor a list of
 * hashes tells anything. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum { TOKEN_LEAST = 32, TOKEN_SALT_BYTES = 32 };

struct tee_token {
    bool set; /* false: there is none */
    uint8_t salt[TOKEN_SALT_BYTES], sha256[32];
};

/* The file's first line, 32 bytes at least. path NULL: text, if it is not NULL or empty. */
MUST_USE bool tee_token_load(const char *path, const char *text, struct tee_token *out,
                             struct err *err);
/* authorization is "Bearer", blanks, and the token: ^Bearer\s+(.+), in that case. In constant time. */
bool tee_token_good(const struct tee_token *t, struct view authorization);
