/* pki: the certificates and CRLs below one trust root (RFC 5280, by OpenSSL): is this path good now, is nobody
 * on it revoked, and may its leaf do what it is used for?
 *
 * A path is leaf ← root (who signs TCB documents) or leaf ← platform or processor CA ← root (a PCK). A chain
 * as received holds just that, in order, with or without the root; a root in it must be the trusted one, byte
 * for byte. Every certificate but the root must be covered by a CRL of its issuer: unknown means no.
 * Limits: those of chain.h, CRLs of PKI_CRL_MAX bytes. */
#pragma once

#include "attest/chain.h"
#include "attest/trust.h"

enum { PKI_CRL_MAX = 1024 * 1024 };

/* The seconds in which something holds, both ends included. */
struct span {
    int64_t from_s, until_s;
};
#define SPAN_ALL ((struct span){INT64_MIN, INT64_MAX})

static inline void span_narrow(struct span *s, int64_t from_s, int64_t until_s)
{
    if (from_s > s->from_s)
        s->from_s = from_s;
    if (until_s < s->until_s)
        s->until_s = until_s;
}

static inline bool span_holds(const struct span *s, int64_t at_s)
{
    return at_s >= s->from_s && at_s <= s->until_s;
}

struct pki {
    const struct trust *trust; /* lent */
    int64_t now_s;
    X509_CRL *root_crl, *pck_crl; /* owned */
    struct span crls;             /* when both are good */
};

/* Takes both CRLs in DER; checks the root's, and that the root is not on them. */
MUST_USE bool pki_open(const struct trust *trust, int64_t now_s, struct view root_crl,
                       struct view pck_crl, struct pki *out, struct attest_err *err);
void pki_close(struct pki *pki);
/* When a CRL in DER says that the next one comes, whoever signed it. False: it is none. */
MUST_USE bool pki_crl_until(struct view der, int64_t *until_s);
/* The chain leads from a signer of TCB documents to the root. span: narrowed to when its certificates are good. */
MUST_USE bool pki_signer_good(const struct pki *pki, const struct pki_chain *chain,
                              const char *what, struct span *span, struct attest_err *err);
/* The chain leads from a PCK through its CA to the root. span: likewise. */
MUST_USE bool pki_pck_good(const struct pki *pki, const struct pki_chain *chain, struct span *span,
                           struct attest_err *err);

/* The one common name of the subject, in printable ASCII. False: there is none, or more than one. */
MUST_USE bool pki_common_name(const X509 *certificate, char out[static TRUST_NAME_BYTES]);
/* The value of Intel's SGX extension (1.2.840.113741.1.13.1); empty: the certificate has none. */
struct view pki_sgx_extension(const X509 *certificate);
