#include "base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"

#include "base/poison.h"

enum { ENTROPY_BYTES = 256 }; /* that getentropy gives at once */

void secret_wipe(void *at, size_t len)
{
    OPENSSL_cleanse(at, len);
}

void buf_wipe(struct buf *b)
{
    if (b->area)
        secret_wipe(b->area, b->size);
    buf_done(b);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

bool secret_sha256(const void *at, size_t len, uint8_t out[static SHA256_BYTES])
{
    unsigned n = SHA256_BYTES;

    return EVP_Digest(at, len, out, &n, EVP_sha256(), NULL) == 1 && n == SHA256_BYTES;
}

void random_bytes(void *out, size_t n)
{
    uint8_t *at = out;

    while (n) {
        size_t piece = n < ENTROPY_BYTES ? n : ENTROPY_BYTES;

        CHECK(getentropy(at, piece) == 0);
        at += piece;
        n -= piece;
    }
}
