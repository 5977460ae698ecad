/* digest: SHA-256, SHA-384 and SHA-512 (FIPS 180-4) over a few pieces, by OpenSSL. */
#pragma once

#include "base/cleanup.h"
#include "base/view.h"

enum { SHA384_BYTES = 48, SHA512_BYTES = 64 };

/* out: 32, 48 or 64 bytes. False: OpenSSL has no memory. */
MUST_USE bool digest_sha256(const struct view *pieces, size_t count, uint8_t *out);
MUST_USE bool digest_sha384(const struct view *pieces, size_t count, uint8_t *out);
MUST_USE bool digest_sha512(const struct view *pieces, size_t count, uint8_t *out);
