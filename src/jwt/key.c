/* key: sets of one key, from PEM or from bytes. */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/p256.h"
#include "base/secret.h"
#include "jwt/jwt_priv.h"

#include "base/poison.h"

_Static_assert((int)JWT_POINT_BYTES == (int)P256_POINT_BYTES, "a point is a point");

static bool set_new(enum jwt_algorithm algorithm, struct jwt_keys **out, struct err *err)
{
    struct jwt_keys *keys = calloc(1, sizeof *keys);

    if (!keys)
        return err_set(err, ERR_MEMORY, "key set");
    keys->count = 1;
    keys->at[0].algorithm = algorithm;
    *out = keys;
    return true;
}

bool jwt_keys_from_pem(struct view pem, struct jwt_keys **out, struct err *err)
{
    CLEANUP(jwt_keys_free_cleanup) struct jwt_keys *keys = NULL;
    uint8_t point[JWT_POINT_BYTES];
    BIO *bio;

    if (!set_new(JWT_ES256, &keys, err) || !keys)
        return false;
    bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    if (bio)
        keys->at[0].public = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!keys->at[0].public)
        return err_set(err, ERR_SYNTAX,
                       "not a public key in PEM (\"BEGIN PUBLIC KEY\", as `openssl ec -pubout` "
                       "writes it)");
    if (!p256_point(keys->at[0].public, point))
        return err_set(err, ERR_SYNTAX, "not a key of P-256, which ES256 needs");
    *out = take(keys);
    return true;
}

bool jwt_keys_from_secret(struct view secret, struct jwt_keys **out, struct err *err)
{
    CLEANUP(jwt_keys_free_cleanup) struct jwt_keys *keys = NULL;

    if (!secret.len || secret.len > JWT_SECRET_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "a secret has 1 to %d bytes", JWT_SECRET_BYTES_MAX);
    if (!set_new(JWT_HS256, &keys, err) || !keys || !locked_new(secret.len, &keys->locked, err))
        return false;
    memcpy(keys->locked.at, secret.at, secret.len);
    locked_seal(&keys->locked);
    keys->at[0].secret = view_from(keys->locked.at, secret.len);
    *out = take(keys);
    return true;
}

bool jwt_keys_point(const struct jwt_keys *k, uint8_t out[static JWT_POINT_BYTES])
{
    return k->count && p256_point(k->at[0].public, out);
}
