/* validate: one token, and what the authority says of itself. */
#include <stdlib.h>

#include "ati/token/token_priv.h"
#include "base/codec.h"
#include "base/secret.h"

#include "base/poison.h"

_Static_assert((int)TOKEN_BYTES_MAX == (int)JWT_BYTES_MAX, "what is issued can be read");

static void jwt_drop(struct jwt *jwt)
{
    secret_wipe(jwt, sizeof *jwt);
    free(jwt);
}

bool token_validate(const struct token_authority *a, struct view token, int64_t now_s,
                    struct caller **out, struct err *err)
{
    struct jwt *jwt = malloc(sizeof *jwt);
    bool good;

    if (!jwt)
        return err_set(err, ERR_MEMORY, "token");
    good = jwt_open(a->keys, token, jwt, err) && token_judge(a, &jwt->claims, now_s, out, err);
    jwt_drop(jwt);
    return good;
}

bool token_claims(struct view token, struct buf *out, struct err *err)
{
    struct jwt *jwt = malloc(sizeof *jwt);
    bool good;

    if (!jwt)
        return err_set(err, ERR_MEMORY, "token");
    good = jwt_peek(token, jwt, err) && json_render(&jwt->claims, 0, JSON_COMPACT, false, out, err);
    jwt_drop(jwt);
    return good;
}

/* SubjectPublicKeyInfo of a point on P-256 (RFC 5480, 2): all but the point is always the same. */
static struct view spki(const uint8_t point[static JWT_POINT_BYTES], uint8_t out[static 91])
{
    static const uint8_t before[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

    memcpy(out, before, sizeof before);
    memcpy(out + sizeof before, point, JWT_POINT_BYTES);
    return view_from(out, sizeof before + JWT_POINT_BYTES);
}

static void half_write(struct json_writer *w, const char *name, const uint8_t *half)
{
    char text[BASE64_LEN(JWT_POINT_BYTES / 2) + 1];

    base64url_encode(view_from(half, JWT_POINT_BYTES / 2), text);
    json_key(w, name);
    json_text(w, view_str(text));
}

static void member(struct json_writer *w, const char *name, const char *text)
{
    json_key(w, name);
    json_text(w, view_str(text));
}

bool token_jwks(const struct token_authority *a, struct buf *out, struct err *err)
{
    uint8_t der[91];
    char text[BASE64_LEN(sizeof der) + 1];
    struct json_writer w;

    if (!a || !a->es256)
        return err_set(err, ERR_NOT_FOUND, "JWKS not configured");
    base64_encode(spki(a->point, der), text);
    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "keys");
    json_array(&w);
    json_object(&w);
    member(&w, "alg", "ES256");
    member(&w, "crv", "P-256");
    member(&w, "kid", TOKEN_KEY_ID);
    member(&w, "kty", "EC");
    member(&w, "use", "sig");
    half_write(&w, "x", a->point);
    json_key(&w, "x5c");
    json_array(&w);
    json_text(&w, view_str(text));
    json_array_end(&w);
    half_write(&w, "y", a->point + JWT_POINT_BYTES / 2);
    json_object_end(&w);
    json_array_end(&w);
    json_object_end(&w);
    return json_end(&w, err);
}
