#include "certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { DAY_S = 24 * 60 * 60 };

static void add_extension(X509 *x509, const struct cert_spec *spec, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, spec->issuer ? spec->issuer->x509 : x509, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension && X509_add_ext(x509, extension, -1));
    X509_EXTENSION_free(extension);
}

struct cert cert_make(const struct cert_spec *spec)
{
    struct cert c = {.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    const unsigned char *cn = (const unsigned char *)spec->common_name;
    X509_NAME *name;
    uint32_t serial;

    CHECK(c.x509 && c.key && RAND_bytes((unsigned char *)&serial, sizeof serial) == 1);
    name = X509_get_subject_name(c.x509);
    CHECK(X509_set_version(c.x509, X509_VERSION_3));
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(c.x509), (long)(serial >> 1)));
    CHECK(X509_gmtime_adj(X509_getm_notBefore(c.x509), -2L * DAY_S));
    CHECK(X509_gmtime_adj(X509_getm_notAfter(c.x509), spec->expired ? -1L * DAY_S : 2L * DAY_S));
    CHECK(X509_set_pubkey(c.x509, c.key));
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, cn, -1, -1, 0));
    CHECK(X509_set_issuer_name(c.x509,
                               spec->issuer ? X509_get_subject_name(spec->issuer->x509) : name));
    if (spec->authority)
        add_extension(c.x509, spec, NID_basic_constraints, "critical,CA:TRUE");
    if (spec->dns_names)
        add_extension(c.x509, spec, NID_subject_alt_name, spec->dns_names);
    CHECK(X509_sign(c.x509, spec->issuer ? spec->issuer->key : c.key, EVP_sha256()));
    return c;
}

void cert_done(struct cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    memset(c, 0, sizeof *c);
}

void cert_write(const struct cert *c, const char *cert_path, const char *key_path,
                const char *passphrase)
{
    FILE *cert = fopen(cert_path, "w"), *key = fopen(key_path, "w");

    CHECK(cert && key && PEM_write_X509(cert, c->x509));
    CHECK(PEM_write_PKCS8PrivateKey(key, c->key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                                    passphrase ? (int)strlen(passphrase) : 0, NULL, NULL));
    CHECK(fclose(cert) == 0 && fclose(key) == 0);
}
