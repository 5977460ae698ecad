#include "attest/digest.h"

#include <openssl/evp.h>

#include "base/poison.h"

static bool digest(const EVP_MD *which, const struct view *pieces, size_t count, uint8_t *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestInit_ex(context, which, NULL) == 1;

    for (size_t i = 0; good && i < count; i++)
        good = EVP_DigestUpdate(context, pieces[i].at, pieces[i].len) == 1;
    good = good && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

bool digest_sha256(const struct view *pieces, size_t count, uint8_t *out)
{
    return digest(EVP_sha256(), pieces, count, out);
}

bool digest_sha384(const struct view *pieces, size_t count, uint8_t *out)
{
    return digest(EVP_sha384(), pieces, count, out);
}

bool digest_sha512(const struct view *pieces, size_t count, uint8_t *out)
{
    return digest(EVP_sha512(), pieces, count, out);
}
