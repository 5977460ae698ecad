/* signature: is it by this key? (RFC 7518, 3.2 and 3.4; RFC 8037, 3.1) */
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "base/p256.h"
#include "base/secret.h"
#include "jwt/jwt_priv.h"

#include "base/poison.h"

enum { EDDSA_BYTES = 64 };

static bool eddsa_good(EVP_PKEY *key, struct view signed_part, struct view signature);
static bool mac_good(const struct jwt_key *key, struct view signed_part, struct view signature);

const char *jwt_algorithm_name(enum jwt_algorithm a)
{
    static const char *const names[] = {
        [JWT_ES256] = "ES256", [JWT_EDDSA] = "EdDSA", [JWT_HS256] = "HS256"};

    return names[a];
}

bool jwt_signature_good(const struct jwt_key *key, struct view signed_part, struct view signature)
{
    switch (key->algorithm) {
    case JWT_ES256:
        return signature.len == P256_SIGNATURE_BYTES &&
               p256_good(key->public, signed_part, signature.at);
    case JWT_EDDSA:
        return eddsa_good(key->public, signed_part, signature);
    case JWT_HS256:
        return mac_good(key, signed_part, signature);
    }
    return false;
}

static bool eddsa_good(EVP_PKEY *key, struct view signed_part, struct view signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && signature.len == EDDSA_BYTES &&
                EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.len, signed_part.at,
                                 signed_part.len) == 1;

    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* a wrong signature leaves entries that TLS would take for its own */
    return good;
}

static bool mac_good(const struct jwt_key *key, struct view signed_part, struct view signature)
{
    uint8_t mac[JWT_MAC_BYTES];
    bool good = signature.len == sizeof mac && jwt_mac(key->secret, signed_part, mac) &&
                secret_equal(mac, signature.at, sizeof mac);

    secret_wipe(mac, sizeof mac);
    return good;
}

bool jwt_mac(struct view secret, struct view bytes, uint8_t out[static JWT_MAC_BYTES])
{
    unsigned len = 0;

    return HMAC(EVP_sha256(), secret.at, (int)secret.len, bytes.at, bytes.len, out, &len) &&
           len == JWT_MAC_BYTES;
}
