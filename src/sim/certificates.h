/* certificates: Intel's certificates (tls/certificate.h) and CRLs to order. For simulators and tests: nothing here is ever trusted
 * by itself. Objects belong to the caller. */
#pragma once

#include <openssl/x509.h>

#include "base/buf.h"

struct sim_certificate_spec {
    const char *name;     /* common name of the subject */
    EVP_PKEY *key;        /* whose certificate it is */
    X509 *issuer;         /* NULL: it signs itself */
    EVP_PKEY *issuer_key; /* NULL: key */
    bool ca;              /* keyCertSign and cRLSign; else digitalSignature */
    int path_length;      /* of a CA; −1: none */
    int64_t not_before_s, not_after_s;
    uint64_t serial;           /* 0: random */
    struct view sgx_extension; /* value of Intel's extension; empty: none */
    const char *alt_names;     /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
};

struct sim_crl_spec {
    X509 *issuer;
    EVP_PKEY *key;
    int64_t this_s, next_s;
    X509 *revoked[4]; /* NULL ends */
};

MUST_USE bool sim_key(EVP_PKEY **out, struct err *err); /* P-256 */
MUST_USE bool sim_certificate(const struct sim_certificate_spec *spec, X509 **out, struct err *err);
MUST_USE bool sim_crl(const struct sim_crl_spec *spec, X509_CRL **out, struct err *err);

/* Append. */
MUST_USE bool sim_pem(X509 *certificate, struct buf *out, struct err *err);
MUST_USE bool sim_key_pem(const EVP_PKEY *key, struct buf *out, struct err *err); /* PKCS #8 */
MUST_USE bool sim_der(const X509 *certificate, struct buf *out, struct err *err);
MUST_USE bool sim_crl_der(const X509_CRL *crl, struct buf *out, struct err *err);
/* One object of PEM text. */
MUST_USE bool sim_pem_read(struct view pem, X509 **out, struct err *err);
MUST_USE bool sim_key_pem_read(struct view pem, EVP_PKEY **out, struct err *err);
