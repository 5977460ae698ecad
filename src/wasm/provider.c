/* The algorithms that the module has: OpenSSL's own, and of those only what TLS 1.3, X.509 and DCAP use. It stands in the place of the
 * default provider's table of all, so that the linker leaves the others out.
 *
 *   key exchange  X25519MLKEM768, X25519, P-256, P-384, P-521      signatures  ECDSA, RSA (PKCS #1 in certificates alone), RSA-PSS, Ed25519
 *   ciphers       ChaCha20-Poly1305, AES-128/256-GCM               hashes      SHA-2; SHA-1 for names; SHA-3 for ML-KEM */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <prov/bio.h>
#include <prov/implementations.h>
#include <prov/names.h>
#include <prov/provider_ctx.h>
#include <prov/providercommon.h>
#include <prov/seeding.h>

#define PROPERTIES "provider=default"
#define END_OF_TABLE           \
    {                          \
        NULL, NULL, NULL, NULL \
    }
#define ROW(names, functions)              \
    {                                      \
        names, PROPERTIES, functions, NULL \
    }
#define DECODER_ROW(name, which)                                               \
    {                                                                          \
        name, PROPERTIES ",fips=yes,input=der,structure=SubjectPublicKeyInfo", \
            ossl_SubjectPublicKeyInfo_der_to_##which##_decoder_functions, NULL \
    }

static const OSSL_ALGORITHM digests[] = {
    ROW(PROV_NAMES_SHA1, ossl_sha1_functions),
    ROW(PROV_NAMES_SHA2_256, ossl_sha256_functions),
    ROW(PROV_NAMES_SHA2_384, ossl_sha384_functions),
    ROW(PROV_NAMES_SHA2_512, ossl_sha512_functions),
    ROW(PROV_NAMES_SHA3_256, ossl_sha3_256_functions),
    ROW(PROV_NAMES_SHA3_512, ossl_sha3_512_functions),
    ROW(PROV_NAMES_SHAKE_128, ossl_shake_128_functions),
    ROW(PROV_NAMES_SHAKE_256, ossl_shake_256_functions),
    END_OF_TABLE,
};

/* AES-256-CTR is for the random generator. */
static const OSSL_ALGORITHM ciphers[] = {
    ROW(PROV_NAMES_ChaCha20_Poly1305, ossl_chacha20_ossl_poly1305_functions),
    ROW(PROV_NAMES_AES_128_GCM, ossl_aes128gcm_functions),
    ROW(PROV_NAMES_AES_256_GCM, ossl_aes256gcm_functions),
    ROW(PROV_NAMES_AES_256_ECB, ossl_aes256ecb_functions),
    ROW(PROV_NAMES_AES_256_CTR, ossl_aes256ctr_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM macs[] = {
    ROW(PROV_NAMES_HMAC, ossl_hmac_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM kdfs[] = {
    ROW(PROV_NAMES_HKDF, ossl_kdf_hkdf_functions),
    ROW(PROV_NAMES_TLS1_3_KDF, ossl_kdf_tls1_3_kdf_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM generators[] = {
    ROW(PROV_NAMES_CTR_DRBG, ossl_drbg_ctr_functions),
    ROW(PROV_NAMES_SEED_SRC, ossl_seed_src_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM keys[] = {
    ROW(PROV_NAMES_EC, ossl_ec_keymgmt_functions),
    ROW(PROV_NAMES_RSA, ossl_rsa_keymgmt_functions),
    ROW(PROV_NAMES_RSA_PSS, ossl_rsapss_keymgmt_functions),
    ROW(PROV_NAMES_X25519, ossl_x25519_keymgmt_functions),
    ROW(PROV_NAMES_ED25519, ossl_ed25519_keymgmt_functions),
    ROW(PROV_NAMES_ML_KEM_768, ossl_ml_kem_768_keymgmt_functions),
    ROW(PROV_NAMES_X25519MLKEM768, ossl_mlx_x25519_kem_kmgmt_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM exchanges[] = {
    ROW(PROV_NAMES_ECDH, ossl_ecdh_keyexch_functions),
    ROW(PROV_NAMES_X25519, ossl_x25519_keyexch_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM encapsulations[] = {
    ROW(PROV_NAMES_ML_KEM_768, ossl_ml_kem_asym_kem_functions),
    ROW(PROV_NAMES_X25519MLKEM768, ossl_mlx_kem_asym_kem_functions),
    END_OF_TABLE,
};

static const OSSL_ALGORITHM signatures[] = {
    ROW(PROV_NAMES_ECDSA, ossl_ecdsa_signature_functions),
    ROW(PROV_NAMES_RSA, ossl_rsa_signature_functions),
    ROW(PROV_NAMES_ED25519, ossl_ed25519_signature_functions),
    END_OF_TABLE,
};

/* Public keys of certificates. */
static const OSSL_ALGORITHM decoders[] = {
    DECODER_ROW("EC", ec),           DECODER_ROW("RSA", rsa), DECODER_ROW("RSA-PSS", rsapss),
    DECODER_ROW("ED25519", ed25519), DECODER_ROW("DER", der), END_OF_TABLE,
};

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
    (void)context;
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_DIGEST:
        return digests;
    case OSSL_OP_CIPHER:
        return ciphers;
    case OSSL_OP_MAC:
        return macs;
    case OSSL_OP_KDF:
        return kdfs;
    case OSSL_OP_RAND:
        return generators;
    case OSSL_OP_KEYMGMT:
        return keys;
    case OSSL_OP_KEYEXCH:
        return exchanges;
    case OSSL_OP_KEM:
        return encapsulations;
    case OSSL_OP_SIGNATURE:
        return signatures;
    case OSSL_OP_DECODER:
        return decoders;
    default:
        return NULL;
    }
}

static void teardown(void *context)
{
    BIO_meth_free(ossl_prov_ctx_get0_core_bio_method(context));
    ossl_prov_ctx_free(context);
}

static const OSSL_DISPATCH provider[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))ossl_prov_get_capabilities},
    OSSL_DISPATCH_END,
};

OSSL_provider_init_fn ossl_default_provider_init, ossl_base_provider_init, ossl_null_provider_init;

int ossl_default_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                               const OSSL_DISPATCH **out, void **context)
{
    OSSL_FUNC_core_get_params_fn *get_params = NULL;
    OSSL_FUNC_core_get_libctx_fn *get_libctx = NULL;
    BIO_METHOD *bio;
    PROV_CTX *c;

    if (!ossl_prov_bio_from_dispatch(in) || !ossl_prov_seeding_from_dispatch(in))
        return 0;
    for (; in->function_id; in++) {
        if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
            get_params = OSSL_FUNC_core_get_params(in);
        if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            get_libctx = OSSL_FUNC_core_get_libctx(in);
    }
    c = get_libctx ? ossl_prov_ctx_new() : NULL;
    bio = c ? ossl_bio_prov_init_bio_method() : NULL;
    if (!bio) {
        ossl_prov_ctx_free(c);
        return 0;
    }
    ossl_prov_ctx_set0_libctx(c, (OSSL_LIB_CTX *)get_libctx(handle));
    ossl_prov_ctx_set0_handle(c, handle);
    ossl_prov_ctx_set0_core_bio_method(c, bio);
    ossl_prov_ctx_set0_core_get_params(c, get_params);
    *context = c;
    *out = provider;
    return 1;
}

/* Nobody asks for the other two. */
int ossl_base_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                            const OSSL_DISPATCH **out, void **context)
{
    (void)handle;
    (void)in;
    (void)out;
    (void)context;
    return 0;
}

int ossl_null_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                            const OSSL_DISPATCH **out, void **context)
{
    (void)handle;
    (void)in;
    (void)out;
    (void)context;
    return 0;
}
