/* trust: the one root that a verification ends at, and the names that its PKI uses.
 *
 * Intel's is compiled in (trust_intel). Any other comes from the caller as a certificate, for simulators and
 * private platforms; the verifier treats it alike and reports which it was. The names of the certificates
 * below follow from the root's own: "Intel SGX Root CA" gives "Intel SGX PCK Platform CA" and so on. */
#pragma once

#include <openssl/x509.h>

#include "attest/attest_err.h"
#include "base/secret.h"
#include "base/view.h"

enum { TRUST_NAME_BYTES = 96 };

struct trust {
    X509 *root;                   /* owned */
    EVP_PKEY *key;                /* lent by root */
    X509_STORE *store;            /* owned; the root alone */
    uint8_t sha256[SHA256_BYTES]; /* of the root's DER */
    bool intel;
    char platform_ca[TRUST_NAME_BYTES], processor_ca[TRUST_NAME_BYTES];
    char pck[TRUST_NAME_BYTES], tcb_signing[TRUST_NAME_BYTES];
};

MUST_USE bool trust_intel(struct trust **out, struct attest_err *err);
/* der: a self-signed P-256 CA certificate whose common name ends in " Root CA". */
MUST_USE bool trust_custom(struct view der, struct trust **out, struct attest_err *err);
/* Of a root in DER. */
bool trust_is_intel(const uint8_t sha256[static SHA256_BYTES]);
void trust_free(struct trust *t); /* NULL is fine */
CLEANUP_DEFINE(struct trust, trust_free)
