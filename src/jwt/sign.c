/* sign: tokens of our own, and keys for them. */
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/codec.h"
#include "base/p256.h"
#include "base/secret.h"
#include "jwt/jwt_priv.h"

#include "base/poison.h"

enum { SIGNATURE_BYTES = 64 };

struct jwt_signer {
    EVP_PKEY *key;        /* ES256 */
    struct locked secret; /* else HS256 */
};

static int no_passphrase(char *out, int size, int writing, void *context);

bool jwt_signer_from_pem(struct view pem, struct jwt_signer **out, struct err *err)
{
    CLEANUP(jwt_signer_free_cleanup) struct jwt_signer *s = calloc(1, sizeof *s);
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    uint8_t point[P256_POINT_BYTES];

    if (s && bio)
        s->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!s)
        return err_set(err, ERR_MEMORY, "signing key");
    if (!s->key)
        return err_set(err, ERR_SYNTAX,
                       "not a private key in PEM (\"BEGIN PRIVATE KEY\" or \"BEGIN EC PRIVATE "
                       "KEY\", without a passphrase)");
    if (!p256_point(s->key, point))
        return err_set(err, ERR_SYNTAX, "not a key of P-256, which ES256 needs");
    *out = take(s);
    return true;
}

/* Or OpenSSL would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *context) /* NOLINT: their type */
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

bool jwt_signer_from_secret(struct view secret, struct jwt_signer **out, struct err *err)
{
    CLEANUP(jwt_signer_free_cleanup) struct jwt_signer *s = calloc(1, sizeof *s);

    if (!secret.len || secret.len > JWT_SECRET_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "a secret has 1 to %d bytes", JWT_SECRET_BYTES_MAX);
    if (!s)
        return err_set(err, ERR_MEMORY, "signing key");
    if (!locked_new(secret.len, &s->secret, err))
        return false;
    memcpy(s->secret.at, secret.at, secret.len);
    *out = take(s);
    return true;
}

void jwt_signer_free(struct jwt_signer *s)
{
    if (!s)
        return;
    EVP_PKEY_free(s->key);
    locked_done(&s->secret);
    free(s);
}

static bool encode(struct view bytes, struct buf *out, struct err *err)
{
    uint8_t *room;

    if (!buf_room(out, BASE64_LEN(bytes.len) + 1, &room, err))
        return false;
    base64url_encode(bytes, (char *)room);
    buf_wrote(out, strlen((char *)room));
    return true;
}

static bool signature_make(const struct jwt_signer *s, struct view signed_part,
                           uint8_t out[static SIGNATURE_BYTES], size_t *len)
{
    *len = s->key ? SIGNATURE_BYTES : JWT_MAC_BYTES;
    return s->key ? p256_sign(s->key, signed_part, out)
                  : jwt_mac(view_from(s->secret.at, s->secret.size), signed_part, out);
}

bool jwt_sign(const struct jwt_signer *s, struct view claims, struct buf *out, struct err *err)
{
    struct view header = s->key ? VIEW("{\"typ\":\"JWT\",\"alg\":\"ES256\"}")
                                : VIEW("{\"typ\":\"JWT\",\"alg\":\"HS256\"}");
    size_t from = buf_len(out), len;
    uint8_t signature[SIGNATURE_BYTES];

    if (!encode(header, out, err) || !buf_append_byte(out, '.', err) || !encode(claims, out, err))
        return false;
    if (!signature_make(s, view_skip(buf_view(out), from), signature, &len))
        return err_set(err, ERR_INTERNAL, "the token cannot be signed");
    return buf_append_byte(out, '.', err) && encode(view_from(signature, len), out, err);
}

static bool bio_take(BIO *bio, struct buf *out, struct err *err)
{
    char *at = NULL;
    long len = BIO_get_mem_data(bio, &at);

    return len > 0 ? buf_append(out, view_from(at, (size_t)len), err)
                   : err_set(err, ERR_MEMORY, "no memory for a key");
}

bool jwt_pair_new(struct buf *private, struct buf *public, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *hidden = BIO_new(BIO_s_secmem()), *open = BIO_new(BIO_s_mem()); /* secmem wipes */
    bool good = key && hidden && open &&
                PEM_write_bio_PKCS8PrivateKey(hidden, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                PEM_write_bio_PUBKEY(open, key) == 1;

    good = good ? bio_take(hidden, private, err) && bio_take(open, public, err)
                : err_set(err, ERR_INTERNAL, "no key pair could be made");
    BIO_free(hidden);
    BIO_free(open);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}
