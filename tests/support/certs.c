#include "certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "tls/certificate.h"

enum { DAY_S = 24 * 60 * 60 };

struct cert cert_make(const struct cert_spec *spec)
{
    int64_t now_s = (int64_t)time(NULL);
    struct certificate_spec made = {
        .common_name = spec->common_name,
        .alt_names = spec->dns_names,
        .use = spec->authority ? CERTIFICATE_ISSUES : CERTIFICATE_SIGNS,
        .path_length = -1,
        .not_before_s = now_s - 2 * (int64_t)DAY_S,
        .not_after_s = now_s + (spec->expired ? -1 : 2) * (int64_t)DAY_S,
    };
    struct cert c = {.x509 = NULL};

    CHECK(certificate_key(&made.key, NULL));
    if (spec->issuer) {
        made.issuer = spec->issuer->x509;
        made.issuer_key = spec->issuer->key;
    }
    CHECK(certificate_make(&made, &c.x509, NULL));
    c.key = made.key;
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
