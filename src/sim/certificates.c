#include "sim/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/secret.h"

#include "base/poison.h"

static bool failed(const char *what, struct err *err)
{
    char reason[128];

    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    return err_set(err, ERR_INTERNAL, "%s: %s", what, reason);
}

bool sim_key(EVP_PKEY **out, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    if (!key)
        return failed("making a key", err);
    *out = key;
    return true;
}

static bool set_serial(X509 *x, uint64_t serial)
{
    uint8_t random[16];
    BIGNUM *n;
    bool good;

    if (serial)
        return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) == 1;
    random_bytes(random, sizeof random);
    random[0] = (uint8_t)((random[0] & 0x7F) | 0x40);
    n = BN_bin2bn(random, sizeof random, NULL);
    good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return good;
}

static bool set_name(X509 *x, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(x);
    const unsigned char *cn = (const unsigned char *)name;

    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, cn, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"Postern",
                                      -1, -1, 0) == 1;
}

static bool add_extension(X509 *x, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool good = extension && X509_add_ext(x, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    return good;
}

static bool add_sgx(X509 *x, struct view value)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool good = oid && octets && ASN1_OCTET_STRING_set(octets, value.at, (int)value.len) == 1 &&
                (extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, octets)) != NULL &&
                X509_add_ext(x, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    return good;
}

static bool add_extensions(X509 *x, X509 *issuer, const struct sim_certificate_spec *spec)
{
    char constraints[48];
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    if (!spec->ca)
        (void)snprintf(constraints, sizeof constraints, "critical,CA:FALSE");
    else if (spec->path_length < 0)
        (void)snprintf(constraints, sizeof constraints, "critical,CA:TRUE");
    else
        (void)snprintf(constraints, sizeof constraints, "critical,CA:TRUE,pathlen:%d",
                       spec->path_length);
    return add_extension(x, &context, NID_basic_constraints, constraints) &&
           add_extension(x, &context, NID_key_usage,
                         spec->ca ? "critical,keyCertSign,cRLSign"
                                  : "critical,digitalSignature,nonRepudiation") &&
           add_extension(x, &context, NID_subject_key_identifier, "hash") &&
           add_extension(x, &context, NID_authority_key_identifier, "keyid:always") &&
           (!spec->alt_names ||
            add_extension(x, &context, NID_subject_alt_name, spec->alt_names)) &&
           (!spec->sgx_extension.len || add_sgx(x, spec->sgx_extension));
}

static bool fill(X509 *x, const struct sim_certificate_spec *spec)
{
    X509 *issuer = spec->issuer ? spec->issuer : x;

    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x, spec->serial) &&
           ASN1_TIME_set(X509_getm_notBefore(x), (time_t)spec->not_before_s) &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)spec->not_after_s) &&
           set_name(x, spec->name) && X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
           X509_set_pubkey(x, spec->key) == 1 && add_extensions(x, issuer, spec) &&
           X509_sign(x, spec->issuer_key ? spec->issuer_key : spec->key, EVP_sha256()) > 0;
}

bool sim_certificate(const struct sim_certificate_spec *spec, X509 **out, struct err *err)
{
    X509 *x = X509_new();

    if (!x || !fill(x, spec)) {
        X509_free(x);
        return failed(spec->name, err);
    }
    /* As it will be read: what OpenSSL caches of a certificate it takes from its DER. */
    *out = X509_dup(x);
    X509_free(x);
    return *out || failed(spec->name, err);
}

static bool revoke(X509_CRL *crl, X509 *certificate, int64_t when_s)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)when_s);
    bool good = entry && when && X509_REVOKED_set_revocationDate(entry, when) == 1 &&
                X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate)) == 1 &&
                X509_CRL_add0_revoked(crl, entry) == 1;

    ASN1_TIME_free(when);
    if (!good)
        X509_REVOKED_free(entry);
    return good;
}

static bool fill_crl(X509_CRL *crl, const struct sim_crl_spec *spec)
{
    ASN1_TIME *this_time = ASN1_TIME_set(NULL, (time_t)spec->this_s);
    ASN1_TIME *next_time = ASN1_TIME_set(NULL, (time_t)spec->next_s);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    bool good = this_time && next_time && number && ASN1_INTEGER_set(number, 1) == 1 &&
                X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer)) == 1 &&
                X509_CRL_set1_lastUpdate(crl, this_time) == 1 &&
                X509_CRL_set1_nextUpdate(crl, next_time) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1;

    for (size_t i = 0; good && i < 4 && spec->revoked[i]; i++)
        good = revoke(crl, spec->revoked[i], spec->this_s);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(this_time);
    ASN1_TIME_free(next_time);
    return good && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, spec->key, EVP_sha256()) > 0;
}

bool sim_crl(const struct sim_crl_spec *spec, X509_CRL **out, struct err *err)
{
    X509_CRL *crl = X509_CRL_new();

    if (!crl || !fill_crl(crl, spec)) {
        X509_CRL_free(crl);
        return failed("making a CRL", err);
    }
    *out = crl;
    return true;
}

/* --- as text and back --- */

static bool drain(BIO *bio, bool wrote, struct buf *out, struct err *err)
{
    char *at = NULL;
    long n = wrote ? BIO_get_mem_data(bio, &at) : 0;
    bool good = n > 0 ? buf_append(out, view_from(at, (size_t)n), err) : failed("writing PEM", err);

    BIO_free(bio);
    return good;
}

bool sim_pem(X509 *certificate, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return drain(bio, bio && PEM_write_bio_X509(bio, certificate) == 1, out, err);
}

bool sim_key_pem(const EVP_PKEY *key, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return drain(bio,
                 bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1,
                 out, err);
}

bool sim_der(const X509 *certificate, struct buf *out, struct err *err)
{
    uint8_t *der = NULL;
    int n = i2d_X509(certificate, &der);
    bool good = n > 0 ? buf_append(out, view_from(der, (size_t)n), err) : failed("DER", err);

    OPENSSL_free(der);
    return good;
}

bool sim_crl_der(const X509_CRL *crl, struct buf *out, struct err *err)
{
    uint8_t *der = NULL;
    int n = i2d_X509_CRL(crl, &der);
    bool good = n > 0 ? buf_append(out, view_from(der, (size_t)n), err) : failed("DER", err);

    OPENSSL_free(der);
    return good;
}

bool sim_pem_read(struct view pem, X509 **out, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    if (!x)
        return failed("reading a certificate", err);
    *out = x;
    return true;
}

bool sim_key_pem_read(struct view pem, EVP_PKEY **out, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    if (!key)
        return failed("reading a key", err);
    *out = key;
    return true;
}
