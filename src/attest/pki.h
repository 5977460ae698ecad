/* pki: the certificates and CRLs below one trust root (RFC 5280, by OpenSSL): is this path good now, is nobody
 * on it revoked, and may its leaf do what it is used for?
 *
 * A path is leaf ← root (who signs TCB documents) or leaf ← platform or processor CA ← root (a PCK). A chain
 * as received holds just that, in order, with or without the root; a root in it must be the trusted one, byte
 * for byte. Every certificate but the root must be covered by a CRL of its issuer: unknown means no.
 * Limits: PKI_CHAIN_MAX certificates of PKI_DER_MAX bytes, CRLs of PKI_CRL_MAX bytes. */
#pragma once

#include "attest/trust.h"

enum { PKI_CHAIN_MAX = 4, PKI_DER_MAX = 8 * 1024, PKI_CRL_MAX = 1024 * 1024 };

struct pki_chain {
    X509 *certificates[PKI_CHAIN_MAX]; /* owned; leaf first */
    unsigned count;
};

/* pem: blocks of "CERTIFICATE" and nothing else, lines ended by LF or CRLF; a NUL may stand at the end. what: names
 * it in errors. */
MUST_USE bool pki_chain_parse(struct view pem, const char *what, struct pki_chain *out,
                              struct attest_err *err);
void pki_chain_done(struct pki_chain *chain);

struct pki {
    const struct trust *trust; /* lent */
    int64_t now_s;
    X509_CRL *root_crl, *pck_crl; /* owned */
    int64_t crls_until_s;         /* when the first of them ends */
};

/* Takes both CRLs in DER; checks the root's, and that the root is not on them. */
MUST_USE bool pki_open(const struct trust *trust, int64_t now_s, struct view root_crl,
                       struct view pck_crl, struct pki *out, struct attest_err *err);
void pki_close(struct pki *pki);
/* The chain leads from a signer of TCB documents to the root. */
MUST_USE bool pki_signer_good(const struct pki *pki, const struct pki_chain *chain,
                              const char *what, struct attest_err *err);
/* The chain leads from a PCK through its CA to the root. */
MUST_USE bool pki_pck_good(const struct pki *pki, const struct pki_chain *chain,
                           struct attest_err *err);

/* The one common name of the subject, in printable ASCII. False: there is none, or more than one. */
MUST_USE bool pki_common_name(const X509 *certificate, char out[static TRUST_NAME_BYTES]);
/* The value of Intel's SGX extension (1.2.840.113741.1.13.1); empty: the certificate has none. */
struct view pki_sgx_extension(const X509 *certificate);
