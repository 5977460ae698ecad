#include "attest/pki.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/clock.h"

#include "base/poison.h"

enum { ENTRIES_MAX = 100000 };

/* --- certificates --- */

bool pki_common_name(const X509 *certificate, char out[static TRUST_NAME_BYTES])
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *text;
    int n;

    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return false;
    text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    n = ASN1_STRING_length(text);
    if (n <= 0 || n >= TRUST_NAME_BYTES)
        return false;
    memcpy(out, ASN1_STRING_get0_data(text), (size_t)n);
    out[n] = '\0';
    for (int i = 0; i < n; i++)
        if (out[i] < ' ' || out[i] > '~')
            return false;
    return true;
}

struct view pki_sgx_extension(const X509 *certificate)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
    int at = oid ? X509_get_ext_by_OBJ(certificate, oid, -1) : -1;
    const ASN1_OCTET_STRING *value;

    ASN1_OBJECT_free(oid);
    if (at < 0)
        return view_from(NULL, 0);
    value = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
    return view_from(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
}

/* --- CRLs --- */

static bool entries_plain(X509_CRL *crl)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);
    int count = all ? sk_X509_REVOKED_num(all) : 0;

    if (count > ENTRIES_MAX)
        return false;
    for (int i = 0; i < count; i++) {
        const X509_REVOKED *one = sk_X509_REVOKED_value(all, i);

        for (int k = 0; k < X509_REVOKED_get_ext_count(one); k++)
            if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(one, k)))
                return false;
    }
    return true;
}

/* The CRL speaks of all certificates of its issuer, and says nothing that we do not understand. */
static bool whole(X509_CRL *crl)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *extension = X509_CRL_get_ext(crl, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

        if (nid == NID_issuing_distribution_point || nid == NID_delta_crl ||
            (X509_EXTENSION_get_critical(extension) && nid != NID_crl_number &&
             nid != NID_authority_key_identifier))
            return false;
    }
    return X509_CRL_get_signature_nid(crl) == NID_ecdsa_with_SHA256 && entries_plain(crl);
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;

    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static bool in_window(const struct pki *pki, const char *what, int64_t from, int64_t until,
                      struct attest_err *err)
{
    bool early = pki->now_s < from;
    char at[CLOCK_RFC3339_BYTES], border[CLOCK_RFC3339_BYTES];

    if (from > 0 && !early && pki->now_s <= until)
        return true;
    (void)clock_rfc3339(pki->now_s * 1000, at);
    (void)clock_rfc3339((early ? from : until) * 1000, border);
    return attest_fail(err, ATTEST_CRL_TIME, "DCAP verification failed: %s %s: %s, and it is %s",
                       what, early ? "is not yet valid" : "is expired", border, at);
}

/* Some versions of OpenSSL decode times that are none, and others do not: here none are. */
static bool times_good(X509_CRL *crl)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

    for (int i = 0; all && i < sk_X509_REVOKED_num(all); i++)
        if (ASN1_TIME_check(X509_REVOKED_get0_revocationDate(sk_X509_REVOKED_value(all, i))) != 1)
            return false;
    return ASN1_TIME_check(X509_CRL_get0_lastUpdate(crl)) == 1 &&
           (!next || ASN1_TIME_check(next) == 1);
}

/* NULL: it is not one CRL in DER. */
static X509_CRL *crl_decode(struct view der)
{
    const uint8_t *at = der.at;
    X509_CRL *crl = der.len <= PKI_CRL_MAX ? d2i_X509_CRL(NULL, &at, (long)der.len) : NULL;

    ERR_clear_error();
    if (crl && at == der.at + der.len && times_good(crl))
        return crl;
    X509_CRL_free(crl);
    return NULL;
}

bool pki_crl_until(struct view der, int64_t *until_s)
{
    X509_CRL *crl = crl_decode(der);

    if (crl)
        *until_s = seconds_of(X509_CRL_get0_nextUpdate(crl));
    X509_CRL_free(crl);
    return crl != NULL;
}

/* Into pki, whose time it must be good at. */
static bool crl_parse(struct pki *pki, struct view der, const char *what, X509_CRL **out,
                      struct attest_err *err)
{
    X509_CRL *crl = crl_decode(der);
    int64_t from, until;

    if (!crl || !whole(crl)) {
        X509_CRL_free(crl);
        return attest_fail(
            err, ATTEST_CRL_SYNTAX,
            "DCAP verification failed: Failed to parse CRL: %s is no complete CRL in "
            "DER",
            what);
    }
    from = seconds_of(X509_CRL_get0_lastUpdate(crl));
    until = seconds_of(X509_CRL_get0_nextUpdate(crl));
    if (!in_window(pki, what, from, until, err)) {
        X509_CRL_free(crl);
        return false;
    }
    span_narrow(&pki->crls, from, until);
    *out = crl;
    return true;
}

/* crl is by the holder of this certificate. */
static bool crl_by(X509_CRL *crl, X509 *issuer)
{
    bool good = (X509_get_key_usage(issuer) & KU_CRL_SIGN) &&
                X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) == 0 &&
                X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1;

    ERR_clear_error();
    return good;
}

static bool revoked(X509_CRL *crl, X509 *certificate)
{
    X509_REVOKED *entry;

    return X509_CRL_get0_by_serial(crl, &entry, X509_get_serialNumber(certificate)) != 0;
}

bool pki_open(const struct trust *trust, int64_t now_s, struct view root_crl, struct view pck_crl,
              struct pki *out, struct attest_err *err)
{
    struct pki pki = {.trust = trust, .now_s = now_s, .crls = SPAN_ALL};
    bool good = crl_parse(&pki, root_crl, "the root CA's CRL", &pki.root_crl, err) &&
                crl_parse(&pki, pck_crl, "the PCK CA's CRL", &pki.pck_crl, err);

    if (good && !crl_by(pki.root_crl, trust->root))
        good = attest_fail(err, ATTEST_CRL_SIGNATURE,
                           "DCAP verification failed: the root CA's CRL is not by the root CA");
    if (good && revoked(pki.root_crl, trust->root))
        good = attest_fail(err, ATTEST_CERTIFICATE_REVOKED,
                           "DCAP verification failed: the root CA itself is revoked");
    if (good)
        *out = pki;
    else
        pki_close(&pki);
    return good;
}

void pki_close(struct pki *pki)
{
    X509_CRL_free(pki->root_crl);
    X509_CRL_free(pki->pck_crl);
    pki->root_crl = pki->pck_crl = NULL;
}

/* --- paths --- */

static bool path_failed(int code, const char *what, struct attest_err *err)
{
    bool time = code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;

    return attest_fail(err, time ? ATTEST_CERTIFICATE_TIME : ATTEST_CERTIFICATE_CHAIN,
                       "DCAP verification failed: Failed to verify certificate chain of %s: %s",
                       what, X509_verify_cert_error_string(code));
}

/* When all of them are good. At the second of its end OpenSSL takes a certificate for expired. */
static void span_of(const STACK_OF(X509) * path, struct span *span)
{
    for (int i = 0; i < sk_X509_num(path); i++) {
        const X509 *one = sk_X509_value(path, i);

        span_narrow(span, seconds_of(X509_get0_notBefore(one)),
                    seconds_of(X509_get0_notAfter(one)) - 1);
    }
}

static bool openssl_path(const struct pki *pki, const struct pki_chain *chain, const char *what,
                         unsigned *length, struct span *span, struct attest_err *err)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    bool ready = context && others;
    bool good = false;

    for (unsigned i = 1; ready && i < chain->count; i++)
        ready = sk_X509_push(others, chain->certificates[i]) > 0;
    if (ready &&
        X509_STORE_CTX_init(context, pki->trust->store, chain->certificates[0], others) == 1) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);

        X509_VERIFY_PARAM_set_time(param, (time_t)pki->now_s);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
        X509_VERIFY_PARAM_set_depth(param, PKI_CHAIN_MAX);
        good = X509_verify_cert(context) == 1;
        if (good) {
            *length = (unsigned)sk_X509_num(X509_STORE_CTX_get0_chain(context));
            span_of(X509_STORE_CTX_get0_chain(context), span);
        } else {
            path_failed(X509_STORE_CTX_get_error(context), what, err);
        }
    } else {
        attest_fail(err, ATTEST_MEMORY, "no memory for a certificate path");
    }
    sk_X509_free(others);
    X509_STORE_CTX_free(context);
    ERR_clear_error();
    return good;
}

/* The chain is a path of so many certificates to the root, which may stand at its end, and each is of the
 * one kind that this PKI has. */
static bool path(const struct pki *pki, const struct pki_chain *chain, unsigned want,
                 const char *what, struct span *span, struct attest_err *err)
{
    unsigned length = 0;

    if (chain->count < want - 1)
        return attest_fail(err, ATTEST_CERTIFICATE_CHAIN,
                           "DCAP verification failed: Certificate chain is too short for %s: %u "
                           "certificates",
                           what, chain->count);
    if (!openssl_path(pki, chain, what, &length, span, err))
        return false;
    if (length != want || chain->count > want ||
        (chain->count == want && X509_cmp(chain->certificates[want - 1], pki->trust->root) != 0))
        return attest_fail(err, ATTEST_CERTIFICATE_CHAIN,
                           "DCAP verification failed: the certificate chain of %s is not the path "
                           "to the root: a path of %u, %u were given",
                           what, length, chain->count);
    for (unsigned i = 0; i < want - 1; i++)
        if (X509_get_signature_nid(chain->certificates[i]) != NID_ecdsa_with_SHA256)
            return attest_fail(err, ATTEST_CERTIFICATE_CHAIN,
                               "DCAP verification failed: certificate %u of %s is not signed by "
                               "ECDSA with SHA-256",
                               i + 1, what);
    if (X509_get_extension_flags(chain->certificates[0]) & EXFLAG_CA)
        return attest_fail(err, ATTEST_CERTIFICATE_CHAIN,
                           "DCAP verification failed: the leaf of %s is a CA (CaUsedAsEndEntity)",
                           what);
    return true;
}

static bool purpose(const X509 *certificate, const char *first, const char *second,
                    const char *what, struct attest_err *err)
{
    char cn[TRUST_NAME_BYTES];

    if (!pki_common_name(certificate, cn))
        return attest_fail(err, ATTEST_CERTIFICATE_PURPOSE,
                           "DCAP verification failed: a certificate of %s has no common name",
                           what);
    if (strcmp(cn, first) == 0 || (second && strcmp(cn, second) == 0))
        return true;
    return attest_fail(err, ATTEST_CERTIFICATE_PURPOSE,
                       "DCAP verification failed: a certificate of %s is \"%s\", expected \"%s\"",
                       what, cn, first);
}

static bool not_revoked(X509_CRL *crl, X509 *certificate, const char *what, struct attest_err *err)
{
    return !revoked(crl, certificate) ||
           attest_fail(err, ATTEST_CERTIFICATE_REVOKED,
                       "DCAP verification failed: %s is revoked (CertRevoked)", what);
}

bool pki_signer_good(const struct pki *pki, const struct pki_chain *chain, const char *what,
                     struct span *span, struct attest_err *err)
{
    X509 *leaf = chain->certificates[0];

    if (!path(pki, chain, 2, what, span, err) ||
        !purpose(leaf, pki->trust->tcb_signing, NULL, what, err))
        return false;
    if (pki_sgx_extension(leaf).len)
        return attest_fail(err, ATTEST_CERTIFICATE_PURPOSE,
                           "DCAP verification failed: %s is signed by a PCK certificate", what);
    return not_revoked(pki->root_crl, leaf, "the TCB signing certificate", err);
}

bool pki_pck_good(const struct pki *pki, const struct pki_chain *chain, struct span *span,
                  struct attest_err *err)
{
    static const char what[] = "the PCK certificate";
    X509 *leaf = chain->certificates[0], *ca = chain->certificates[1];

    if (!path(pki, chain, 3, what, span, err) || !purpose(leaf, pki->trust->pck, NULL, what, err) ||
        !purpose(ca, pki->trust->platform_ca, pki->trust->processor_ca, what, err) ||
        !not_revoked(pki->root_crl, ca, "the PCK certificate's CA", err))
        return false;
    if (X509_NAME_cmp(X509_CRL_get_issuer(pki->pck_crl), X509_get_subject_name(ca)) != 0)
        return attest_fail(
            err, ATTEST_CRL_MISSING,
            "DCAP verification failed: the PCK CA's CRL is of another CA than the PCK "
            "certificate's (UnknownRevocationStatus)");
    if (!crl_by(pki->pck_crl, ca))
        return attest_fail(err, ATTEST_CRL_SIGNATURE,
                           "DCAP verification failed: the PCK CA's CRL is not by the PCK CA");
    return not_revoked(pki->pck_crl, leaf, what, err);
}
