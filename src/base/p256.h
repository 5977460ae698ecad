/* p256: ECDSA on P-256 with SHA-256 (FIPS 186-5) in the fixed-width form r ‖ s of quotes, signed documents
 * and JOSE, by OpenSSL. Signatures may have a high s. Keys are OpenSSL's and belong to the caller. */
#pragma once

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/view.h"

enum {
    P256_SCALAR_BYTES = 32,
    P256_POINT_BYTES = 64,
    P256_SIGNATURE_BYTES = 64,
    P256_DER_MAX = 72
};

/* x ‖ y, 32 bytes each, big-endian. False: not a point of the curve, or no memory. */
MUST_USE bool p256_public(const uint8_t point[static P256_POINT_BYTES], EVP_PKEY **out);
/* The pair whose private half is this number, big-endian. False: it is 0 or not below the order n, or no memory. */
MUST_USE bool p256_private(const uint8_t scalar[static P256_SCALAR_BYTES], EVP_PKEY **out);
/* The public half of key as x ‖ y. False: not a P-256 key. */
MUST_USE bool p256_point(const EVP_PKEY *key, uint8_t out[static P256_POINT_BYTES]);
/* The signature is by this key, which is a P-256 key. r and s out of 1 … n − 1 are refused. */
MUST_USE bool p256_good(EVP_PKEY *key, struct view message,
                        const uint8_t signature[static P256_SIGNATURE_BYTES]);
MUST_USE bool p256_sign(EVP_PKEY *key, struct view message,
                        uint8_t out[static P256_SIGNATURE_BYTES]);
/* r ‖ s as OpenSSL wants it (RFC 3279, 2.2.3). Bytes written; 0: no memory. */
size_t p256_der(const uint8_t signature[static P256_SIGNATURE_BYTES],
                uint8_t out[static P256_DER_MAX]);
