/* Private to src/ati/token. */
#pragma once

#include <stdatomic.h>

#include "ati/token/token.h"
#include "jwt/jwt.h"

struct token_authority {
    atomic_uint references;
    struct jwt_keys *keys; /* of one key: its algorithm is the authority's */
    bool es256;
    size_t secret_bytes;            /* of HS256 */
    uint8_t point[JWT_POINT_BYTES]; /* ES256 */
    char *issuer, *audience;        /* issuer NULL: any, and none */
};

/* The value of name; NULL: not set, or empty. */
const char *token_environment(char **environment, const char *name);
/* claims.c. What verified claims say, as a caller; time, audience and issuer included. */
MUST_USE bool token_judge(const struct token_authority *a, const struct json_doc *claims,
                          int64_t now_s, struct caller **out, struct err *err);
enum { TOKEN_PATTERN_BYTES_MAX = 255 };
/* Pattern and spec of a rate are such. */
MUST_USE bool token_rate_read(struct view pattern, struct view spec, uint64_t *limit,
                              uint64_t *window_s, struct err *err);
