#include "tls/selfsigned.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "base/secret.h"
#include "tls/tls_priv.h"

#include "base/poison.h"

enum { HOUR_S = 3600, DAY_S = 86400, SERIAL_BYTES = 16 };

static bool add(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool good;

    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    good = extension && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool fill(X509 *x, const char *name, unsigned days, EVP_PKEY *key)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
    time_t now = time(NULL);
    uint8_t serial[SERIAL_BYTES];
    char names[320];
    BIGNUM *n;
    bool good;

    (void)snprintf(names, sizeof names, "%s:%s", ip ? "IP" : "DNS", name);
    ASN1_OCTET_STRING_free(ip);
    random_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x7F) | 0x40);
    n = BN_bin2bn(serial, sizeof serial, NULL);
    good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL &&
           X509_set_version(x, X509_VERSION_3) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(x), now - HOUR_S) &&
           ASN1_TIME_set(X509_getm_notAfter(x), now + (time_t)days * DAY_S) &&
           X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                      (const unsigned char *)name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 && X509_set_pubkey(x, key) == 1 &&
           add(x, NID_basic_constraints, "critical,CA:FALSE") &&
           add(x, NID_key_usage, "critical,digitalSignature") &&
           add(x, NID_ext_key_usage, "serverAuth") && add(x, NID_subject_alt_name, names) &&
           X509_sign(x, key, EVP_sha256()) > 0;
    BN_free(n);
    return good;
}

static bool drain(BIO *bio, struct buf *out, struct err *err)
{
    char *at = NULL;
    long n = BIO_get_mem_data(bio, &at);

    return buf_append(out, view_from(at, n > 0 ? (size_t)n : 0), err);
}

bool selfsigned_make(const char *name, unsigned days, struct buf *certificate, struct buf *key,
                     struct err *err)
{
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    bool good = cert_bio && key_bio && pair && x && fill(x, name, days, pair) &&
                PEM_write_bio_X509(cert_bio, x) == 1 &&
                PEM_write_bio_PKCS8PrivateKey(key_bio, pair, NULL, NULL, 0, NULL, NULL) == 1;

    if (!good)
        (void)tls_error(err, ERR_TLS, "making a certificate");
    good = good && drain(cert_bio, certificate, err) && drain(key_bio, key, err);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    X509_free(x);
    EVP_PKEY_free(pair);
    return good;
}
