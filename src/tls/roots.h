/* roots: the CAs that are trusted unless the caller names others: Mozilla's root program as Debian packages it, compiled in.
 *
 * Decoding all of them takes some 20 ms, and a connection needs one. So they stand in a table by the hash of their subject, and
 * the one that a chain asks for is decoded when it does. */
#pragma once

#include <openssl/x509.h>

#include "base/cleanup.h"
#include "base/view.h"

/* Written by scripts/embed-roots; by subject, which may occur more than once. */
struct tls_root {
    uint32_t subject; /* X509_NAME_hash_ex */
    uint32_t offset, len;
};
extern const struct tls_root tls_roots[];
extern const size_t tls_roots_count;
extern const uint8_t tls_roots_der[];

/* Makes them findable for chains that are verified with this store. */
MUST_USE bool tls_roots_use(X509_STORE *store);
