/* roots: the CAs that are trusted unless the caller names others: Mozilla's root program as Debian packages it, compiled in (in
 * WebAssembly: loaded). An anchor is a name, a key and what limits them, in the shape of a certificate that nobody has signed.
 *
 * Decoding all of them takes some 20 ms, and a connection needs one. So they stand in a table by the hash of their subject, and
 * the one that a chain asks for is decoded when it does. */
#pragma once

#include <openssl/x509.h>

#include "base/cleanup.h"
#include "base/view.h"

/* By subject, which may occur more than once. The fields of the asset (src/wasm/roots.c), too. */
struct tls_root {
    uint32_t subject; /* X509_NAME_hash_ex */
    uint32_t offset, len;
};
/* Written by scripts/embed-roots; in WebAssembly, by who loads the asset. */
extern struct tls_roots {
    const struct tls_root *entries;
    size_t count;
    const uint8_t *der;
    size_t der_len;
} tls_roots;

/* Makes them findable for chains that are verified with this store. */
MUST_USE bool tls_roots_use(X509_STORE *store);
