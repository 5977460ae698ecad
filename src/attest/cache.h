/* cache: what has been verified is not verified again. It knows collateral and PCK chains by the SHA-256 of all that they
 * were, and keeps what came of them together with the time in which their dates hold; what is not there, or is out of that
 * time, is verified from the start. So a verdict never depends on it, only its cost: a second quote of the same
 * platform costs the two signatures that are its own.
 *
 * Owner: the caller, who lends it to verifications, one at a time.
 * Limits: CACHE_AUTHORITIES, CACHE_PLATFORMS, CACHE_KEYS; what was not used for longest goes. */
#pragma once

#include "attest/platform.h"
#include "base/p256.h"

enum { CACHE_AUTHORITIES = 8, CACHE_PLATFORMS = 32, CACHE_KEYS = 32 };

struct dcap_cache;

MUST_USE bool dcap_cache_new(struct dcap_cache **out, struct attest_err *err);
void dcap_cache_free(struct dcap_cache *c); /* NULL is fine */
CLEANUP_DEFINE(struct dcap_cache, dcap_cache_free)

/* For dcap.c. Authorities and platforms stay the cache's, until the next call that adds one of the kind. */
struct pki_shelf *dcap_cache_shelf(struct dcap_cache *c);
/* Found, it works with this trust, whose root was part of the key, and at this time. */
const struct authority *dcap_cache_authority(struct dcap_cache *c,
                                             const uint8_t key[static SHA256_BYTES],
                                             const struct trust *trust, int64_t now_s);
const struct authority *dcap_cache_add_authority(struct dcap_cache *c,
                                                 const uint8_t key[static SHA256_BYTES],
                                                 const struct authority *a);
const struct platform *dcap_cache_platform(struct dcap_cache *c,
                                           const uint8_t key[static SHA256_BYTES], int64_t now_s);
const struct platform *dcap_cache_add_platform(struct dcap_cache *c,
                                               const uint8_t key[static SHA256_BYTES],
                                               const struct platform *p);
/* The key at a point of P-256, decoded: an attestation key lives as long as its platform's quoting enclave. Lent until the next
 * call; NULL: it is no such point. */
EVP_PKEY *dcap_cache_key(struct dcap_cache *c, const uint8_t point[static P256_POINT_BYTES]);
