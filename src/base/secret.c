#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/check.h"

#include "base/poison.h"

void secret_wipe(void *at, size_t len)
{
    OPENSSL_cleanse(at, len);
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
        ssize_t got = getrandom(at, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

void secret_no_dumps(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
