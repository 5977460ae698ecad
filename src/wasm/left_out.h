/* left_out: OpenSSL's own declarations of these are in no header that it installs. */
#pragma once

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ec_method_st EC_METHOD;
const EC_METHOD *EC_GFp_mont_method(void);
const EC_METHOD *EC_GFp_nistp224_method(void);
const EC_METHOD *EC_GFp_nistp521_method(void);
struct nistp224_pre_comp_st *EC_nistp224_pre_comp_dup(struct nistp224_pre_comp_st *table);
struct nistp521_pre_comp_st *EC_nistp521_pre_comp_dup(struct nistp521_pre_comp_st *table);
void EC_nistp224_pre_comp_free(struct nistp224_pre_comp_st *table);
void EC_nistp521_pre_comp_free(struct nistp521_pre_comp_st *table);
int ossl_x448(uint8_t secret[56], const uint8_t own[56], const uint8_t peer[56]);
void ossl_x448_public_from_private(uint8_t out[56], const uint8_t own[56]);
int ossl_ed448_sign(OSSL_LIB_CTX *library, uint8_t *out, const uint8_t *message, size_t len,
                    const uint8_t public[57], const uint8_t own[57], const uint8_t *context,
                    size_t context_len, const uint8_t hashed, const char *properties);
int ossl_ed448_verify(OSSL_LIB_CTX *library, const uint8_t *message, size_t len,
                      const uint8_t signature[114], const uint8_t public[57],
                      const uint8_t *context, size_t context_len, const uint8_t hashed,
                      const char *properties);
int ossl_ed448_pubkey_verify(const uint8_t *public, size_t len);
int ossl_ed448_public_from_private(OSSL_LIB_CTX *library, uint8_t out[57], const uint8_t own[57],
                                   const char *properties);
int ossl_err_load_crypto_strings(void);
int ossl_err_load_ASN1_strings(void);
int ossl_err_load_EC_strings(void);
int ossl_err_load_EVP_strings(void);
int ossl_err_load_RSA_strings(void);
int ossl_err_load_X509_strings(void);
