/* signer: keys and tokens made on the spot, for the tests of those who verify them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/secret.h"
#include "jwt/jwt.h"

struct signer {
    enum jwt_algorithm algorithm;
    EVP_PKEY *key;      /* ES256, EdDSA */
    uint8_t secret[32]; /* HS256 */
    char jwk[512];
};

static inline void signer_encode(const void *at, size_t len, char *out)
{
    base64url_encode(view_from(at, len), out);
}

/* kid: NULL for none. */
static inline void signer_init(struct signer *s, enum jwt_algorithm algorithm, const char *kid)
{
    uint8_t point[65];
    size_t len = 32;
    char x[64], y[64], id[160] = "";

    s->algorithm = algorithm;
    s->key = NULL;
    if (kid)
        (void)snprintf(id, sizeof id, ",\"kid\":\"%s\"", kid);
    switch (algorithm) {
    case JWT_ES256:
        s->key = EVP_EC_gen("P-256");
        assert_int_equal(EVP_PKEY_get_octet_string_param(s->key, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                         sizeof point, &len),
                         1);
        signer_encode(point + 1, 32, x);
        signer_encode(point + 33, 32, y);
        (void)snprintf(s->jwk, sizeof s->jwk,
                       "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"%s}", x, y, id);
        break;
    case JWT_EDDSA:
        s->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        assert_int_equal(EVP_PKEY_get_raw_public_key(s->key, point, &len), 1);
        signer_encode(point, 32, x);
        (void)snprintf(s->jwk, sizeof s->jwk,
                       "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"%s}", x, id);
        break;
    case JWT_HS256:
        random_bytes(s->secret, sizeof s->secret);
        signer_encode(s->secret, sizeof s->secret, x);
        (void)snprintf(s->jwk, sizeof s->jwk, "{\"kty\":\"oct\",\"k\":\"%s\"%s}", x, id);
        break;
    }
}

static inline void signer_done(struct signer *s)
{
    EVP_PKEY_free(s->key);
}

/* ECDSA in ASN.1 to two numbers of 32 bytes. */
static inline void signer_raw(const uint8_t *der, size_t len, uint8_t out[static 64])
{
    const uint8_t *at = der;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);

    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32), 32);
    ECDSA_SIG_free(pair);
}

static inline size_t signer_sign(const struct signer *s, const char *text, uint8_t out[static 64])
{
    EVP_MD_CTX *context;
    uint8_t der[80];
    size_t len = sizeof der;
    unsigned mac_len = 0;

    if (s->algorithm == JWT_HS256) {
        assert_non_null(HMAC(EVP_sha256(), s->secret, sizeof s->secret, (const uint8_t *)text,
                             strlen(text), out, &mac_len));
        return mac_len;
    }
    context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL,
                                        s->algorithm == JWT_ES256 ? EVP_sha256() : NULL, NULL,
                                        s->key),
                     1);
    assert_int_equal(EVP_DigestSign(context, der, &len, (const uint8_t *)text, strlen(text)), 1);
    EVP_MD_CTX_free(context);
    if (s->algorithm == JWT_ES256)
        signer_raw(der, len, out);
    else
        memcpy(out, der, 64);
    return 64;
}

/* header: NULL for {"alg":…} alone. */
static inline char *signer_token(const struct signer *s, const char *header, const char *claims,
                                 char *out, size_t size)
{
    static const char *const headers[] = {"{\"alg\":\"ES256\"}", "{\"alg\":\"EdDSA\"}",
                                          "{\"alg\":\"HS256\"}"};
    uint8_t signature[64];
    size_t n;

    if (!header)
        header = headers[s->algorithm];
    assert_true(BASE64_LEN(strlen(header)) + BASE64_LEN(strlen(claims)) + 96 < size);
    signer_encode(header, strlen(header), out);
    n = strlen(out);
    out[n++] = '.';
    signer_encode(claims, strlen(claims), out + n);
    n = signer_sign(s, out, signature);
    (void)strncat(out, ".", 2);
    signer_encode(signature, n, out + strlen(out));
    return out;
}
