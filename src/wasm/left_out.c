/* Parts of OpenSSL that the module does without: tables that it always has would bring them in. Defined here, they are not taken from
 * its libraries. What stands in for them is slower and as good, or says no. */
#include "wasm/left_out.h"

/* P-224 is in no protocol of ours, P-521 in few certificates: the general code does both. */
const EC_METHOD *EC_GFp_nistp224_method(void)
{
    return EC_GFp_mont_method();
}

const EC_METHOD *EC_GFp_nistp521_method(void)
{
    return EC_GFp_mont_method();
}

/* Tables of theirs that nobody makes. */
struct nistp224_pre_comp_st *EC_nistp224_pre_comp_dup(struct nistp224_pre_comp_st *table)
{
    return table;
}

struct nistp521_pre_comp_st *EC_nistp521_pre_comp_dup(struct nistp521_pre_comp_st *table)
{
    return table;
}

void EC_nistp224_pre_comp_free(struct nistp224_pre_comp_st *table)
{
    (void)table;
}

void EC_nistp521_pre_comp_free(struct nistp521_pre_comp_st *table)
{
    (void)table;
}

// NOLINTBEGIN(readability-non-const-parameter): OpenSSL says which types
/* X448 and Ed448: no CA uses them, and nobody offers them. */
int ossl_x448(uint8_t secret[56], const uint8_t own[56], const uint8_t peer[56])
{
    (void)secret;
    (void)own;
    (void)peer;
    return 0;
}

void ossl_x448_public_from_private(uint8_t out[56], const uint8_t own[56])
{
    (void)own;
    __builtin_memset(out, 0, 56); /* no point of any use */
}

int ossl_ed448_sign(OSSL_LIB_CTX *library, uint8_t *out, const uint8_t *message, size_t len,
                    const uint8_t public[57], const uint8_t own[57], const uint8_t *context,
                    size_t context_len, const uint8_t hashed, const char *properties)
{
    (void)library;
    (void)out;
    (void)message;
    (void)len;
    (void)public;
    (void)own;
    (void)context;
    (void)context_len;
    (void)hashed;
    (void)properties;
    return 0;
}

int ossl_ed448_verify(OSSL_LIB_CTX *library, const uint8_t *message, size_t len,
                      const uint8_t signature[114], const uint8_t public[57],
                      const uint8_t *context, size_t context_len, const uint8_t hashed,
                      const char *properties)
{
    (void)library;
    (void)message;
    (void)len;
    (void)signature;
    (void)public;
    (void)context;
    (void)context_len;
    (void)hashed;
    (void)properties;
    return 0;
}

int ossl_ed448_pubkey_verify(const uint8_t *public, size_t len)
{
    (void)public;
    (void)len;
    return 0;
}

int ossl_ed448_public_from_private(OSSL_LIB_CTX *library, uint8_t out[57], const uint8_t own[57],
                                   const char *properties)
{
    (void)library;
    (void)out;
    (void)own;
    (void)properties;
    return 0;
}

// NOLINTEND(readability-non-const-parameter)

/* Words for reasons: those that a peer can cause. TLS brings its own. */
int ossl_err_load_crypto_strings(void)
{
    return ossl_err_load_ASN1_strings() && ossl_err_load_EC_strings() &&
           ossl_err_load_EVP_strings() && ossl_err_load_RSA_strings() &&
           ossl_err_load_X509_strings();
}
