#include "base/p256.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

#include "base/poison.h"

enum { HALF = 32 };

bool p256_public(const uint8_t point[static P256_POINT_BYTES], EVP_PKEY **out)
{
    uint8_t octets[1 + P256_POINT_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[] = "P-256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof octets),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    memcpy(octets + 1, point, P256_POINT_BYTES);
    if (context && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    if (key)
        *out = key;
    return key != NULL;
}

/* The point of a number in 1 … n − 1. */
static bool public_of(const BIGNUM *d, uint8_t out[static 1 + P256_POINT_BYTES])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    bool good = point && !BN_is_zero(d) && BN_cmp(d, EC_GROUP_get0_order(group)) < 0 &&
                EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1 &&
                EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out,
                                   1 + P256_POINT_BYTES, NULL) == 1 + P256_POINT_BYTES;

    EC_POINT_free(point);
    EC_GROUP_free(group);
    return good;
}

bool p256_private(const uint8_t scalar[static P256_SCALAR_BYTES], EVP_PKEY **out)
{
    uint8_t octets[1 + P256_POINT_BYTES];
    BIGNUM *d = BN_secure_new();
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (d && build && context && BN_bin2bn(scalar, P256_SCALAR_BYTES, d)) {
        BN_set_flags(d, BN_FLG_CONSTTIME);
        if (public_of(d, octets) &&
            OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, octets,
                                             sizeof octets) == 1 &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1)
            params = OSSL_PARAM_BLD_to_param(build);
        if (params && EVP_PKEY_fromdata_init(context) == 1 &&
            EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) != 1)
            key = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    BN_clear_free(d);
    ERR_clear_error();
    if (key)
        *out = key;
    return key != NULL;
}

bool p256_point(const EVP_PKEY *key, uint8_t out[static P256_POINT_BYTES])
{
    uint8_t octets[1 + P256_POINT_BYTES];
    char group[16];
    size_t n;

    if (!key ||
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &n) !=
            1 ||
        (strcmp(group, "prime256v1") != 0 && strcmp(group, "P-256") != 0) ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof octets, &n) !=
            1 ||
        n != sizeof octets || octets[0] != POINT_CONVERSION_UNCOMPRESSED) {
        ERR_clear_error();
        return false;
    }
    memcpy(out, octets + 1, P256_POINT_BYTES);
    return true;
}

size_t p256_der(const uint8_t signature[static P256_SIGNATURE_BYTES],
                uint8_t out[static P256_DER_MAX])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, HALF, NULL);
    BIGNUM *s = BN_bin2bn(signature + HALF, HALF, NULL);
    unsigned char *end = out;
    int n = 0;

    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair owns them now */
        if (i2d_ECDSA_SIG(pair, NULL) <= P256_DER_MAX)
            n = i2d_ECDSA_SIG(pair, &end);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return n > 0 ? (size_t)n : 0;
}

bool p256_good(EVP_PKEY *key, struct view message,
               const uint8_t signature[static P256_SIGNATURE_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[P256_DER_MAX];
    size_t n = p256_der(signature, der);
    bool good = context && n && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, der, n, message.at, message.len) == 1;

    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* a wrong signature leaves entries that TLS would take for its own */
    return good;
}

bool p256_sign(EVP_PKEY *key, struct view message, uint8_t out[static P256_SIGNATURE_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[P256_DER_MAX];
    const uint8_t *at = der;
    size_t n = sizeof der;
    ECDSA_SIG *pair = NULL;
    bool good = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, der, &n, message.at, message.len) == 1 &&
                (pair = d2i_ECDSA_SIG(NULL, &at, (long)n)) != NULL &&
                BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, HALF) == HALF &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + HALF, HALF) == HALF;

    ECDSA_SIG_free(pair);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}
