/* signature: is it by this key? (RFC 7518, 3.2 and 3.4; RFC 8037, 3.1) */
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "base/secret.h"
#include "jwt/jwt_priv.h"

#include "base/poison.h"

enum { SIGNATURE_BYTES = 2 * JWT_POINT_BYTES, DER_BYTES_MAX = 72 };

static bool public_good(const struct jwt_key *key, const EVP_MD *digest, struct view signed_part,
                        struct view signature);
static size_t der_of(struct view raw, uint8_t out[static DER_BYTES_MAX]);
static bool mac_good(const struct jwt_key *key, struct view signed_part, struct view signature);

const char *jwt_algorithm_name(enum jwt_algorithm a)
{
    static const char *const names[] = {
        [JWT_ES256] = "ES256", [JWT_EDDSA] = "EdDSA", [JWT_HS256] = "HS256"};

    return names[a];
}

bool jwt_signature_good(const struct jwt_key *key, struct view signed_part, struct view signature)
{
    uint8_t der[DER_BYTES_MAX];

    switch (key->algorithm) {
    case JWT_ES256:
        if (signature.len != SIGNATURE_BYTES)
            return false;
        return public_good(key, EVP_sha256(), signed_part, view_from(der, der_of(signature, der)));
    case JWT_EDDSA:
        return signature.len == SIGNATURE_BYTES && public_good(key, NULL, signed_part, signature);
    case JWT_HS256:
        return mac_good(key, signed_part, signature);
    }
    return false;
}

static bool public_good(const struct jwt_key *key, const EVP_MD *digest, struct view signed_part,
                        struct view signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && signature.len &&
                EVP_DigestVerifyInit(context, NULL, digest, NULL, key->public) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.len, signed_part.at,
                                 signed_part.len) == 1;

    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* a wrong signature leaves entries that TLS would take for its own */
    return good;
}

/* JWS writes r and s with fixed width; OpenSSL reads them as ASN.1. Returns 0 when there is no
 * memory. */
static size_t der_of(struct view raw, uint8_t out[static DER_BYTES_MAX])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.at, JWT_POINT_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(raw.at + JWT_POINT_BYTES, JWT_POINT_BYTES, NULL);
    unsigned char *end = out;
    int n = 0;

    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair owns them now */
        if (i2d_ECDSA_SIG(pair, NULL) <= DER_BYTES_MAX)
            n = i2d_ECDSA_SIG(pair, &end);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return n > 0 ? (size_t)n : 0;
}

static bool mac_good(const struct jwt_key *key, struct view signed_part, struct view signature)
{
    uint8_t mac[SHA256_BYTES];
    unsigned len = 0;
    bool good;

    if (signature.len != sizeof mac ||
        !HMAC(EVP_sha256(), key->secret, (int)key->secret_len, signed_part.at, signed_part.len, mac,
              &len) ||
        len != sizeof mac)
        return false;
    good = secret_equal(mac, signature.at, sizeof mac);
    secret_wipe(mac, sizeof mac);
    return good;
}
