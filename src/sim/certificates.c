#include "sim/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls/certificate.h"

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
    return certificate_key(out, err);
}

bool sim_certificate(const struct sim_certificate_spec *spec, X509 **out, struct err *err)
{
    const struct certificate_spec made = {
        .common_name = spec->name,
        .organisation = "Postern",
        .alt_names = spec->alt_names,
        .use = spec->ca ? CERTIFICATE_ISSUES : CERTIFICATE_SIGNS,
        .path_length = spec->path_length,
        .key = spec->key,
        .issuer = spec->issuer,
        .issuer_key = spec->issuer_key,
        .not_before_s = spec->not_before_s,
        .not_after_s = spec->not_after_s,
        .serial = spec->serial,
        .extension_oid = spec->sgx_extension.len ? "1.2.840.113741.1.13.1" : NULL,
        .extension = spec->sgx_extension,
    };

    return certificate_make(&made, out, err);
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

bool sim_pem(X509 *certificate, struct buf *out, struct err *err)
{
    return certificate_pem(certificate, out, err);
}

bool sim_key_pem(const EVP_PKEY *key, struct buf *out, struct err *err)
{
    return certificate_key_pem(key, out, err);
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
