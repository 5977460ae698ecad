/* certs: certificates for tests, made when they are needed, gone when they are not. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

struct cert_spec {
    const char *common_name;
    const char *dns_names;     /* "DNS:a.test,DNS:*.b.test" or NULL */
    const struct cert *issuer; /* NULL: signs itself */
    bool authority;            /* may sign others */
    bool expired;
};

struct cert cert_make(const struct cert_spec *spec);
void cert_done(struct cert *c);
/* passphrase: NULL for none. */
void cert_write(const struct cert *c, const char *cert_path, const char *key_path,
                const char *passphrase);
