/* certificate: P-256 keys and X.509 certificates to order (RFC 5280), by OpenSSL: for endpoints that vouch for themselves, for
 * simulators and for tests. Objects belong to the caller. */
#pragma once

#include <openssl/x509.h>

#include "base/buf.h"

enum certificate_use {
    CERTIFICATE_SIGNS,  /* digitalSignature, nonRepudiation */
    CERTIFICATE_SERVES, /* digitalSignature; serverAuth */
    CERTIFICATE_ISSUES, /* a CA: keyCertSign, cRLSign */
};

struct certificate_spec {
    const char
        *common_name; /* of the subject; one of more than 64 bytes (RFC 5280, A.1) is left out */
    const char *organisation; /* NULL: none */
    const char *alt_names;    /* "DNS:*.example.com,IP:127.0.0.1"; NULL: none */
    enum certificate_use use;
    int path_length; /* of a CA; −1: none */
    EVP_PKEY *key;   /* whose certificate it is */
    X509 *issuer;    /* NULL: it signs itself */
    EVP_PKEY *issuer_key;
    int64_t not_before_s, not_after_s;
    uint64_t serial;           /* 0: random, 127 bits */
    const char *extension_oid; /* one more, not critical; NULL: none */
    struct view extension;     /* its value */
};

MUST_USE bool certificate_key(EVP_PKEY **out, struct err *err);
MUST_USE bool certificate_make(const struct certificate_spec *spec, X509 **out, struct err *err);
/* "DNS:NAME", or "IP:NAME" of a literal, for alt_names. ERR_USAGE: it is neither name nor literal. */
MUST_USE bool certificate_alt_name(const char *name, char *out, size_t size, struct err *err);

/* PKCS #10 (RFC 2986) for key in PEM, appended: what an authority is asked for a certificate with. name: as above; it is common name and
 * subjectAltName. */
MUST_USE bool certificate_request(const char *name, EVP_PKEY *key, struct buf *out,
                                  struct err *err);

/* PEM, appended. Of keys: PKCS #8, for the caller to wipe. */
MUST_USE bool certificate_pem(X509 *certificate, struct buf *out, struct err *err);
MUST_USE bool certificate_key_pem(const EVP_PKEY *key, struct buf *out, struct err *err);
