#include "attest/trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/pki.h"
#include "attest/trust_priv.h"

#include "base/poison.h"

enum { ROOT_WORDS = sizeof " Root CA" - 1 };

static bool name_of(char out[static TRUST_NAME_BYTES], const char *maker, size_t n,
                    const char *rest)
{
    return snprintf(out, TRUST_NAME_BYTES, "%.*s %s", (int)n, maker, rest) < TRUST_NAME_BYTES;
}

static bool names(struct trust *t, struct attest_err *err)
{
    char cn[TRUST_NAME_BYTES];
    size_t n;

    if (!pki_common_name(t->root, cn))
        return attest_fail(err, ATTEST_TRUST, "the trusted root has no common name");
    n = strlen(cn);
    if (!view_ends(view_from(cn, n), VIEW(" Root CA")) || n == ROOT_WORDS)
        return attest_fail(err, ATTEST_TRUST,
                           "the common name of a trusted root ends in \" Root CA\"; this one is "
                           "\"%s\"",
                           cn);
    n -= ROOT_WORDS;
    if (!name_of(t->platform_ca, cn, n, "PCK Platform CA") ||
        !name_of(t->processor_ca, cn, n, "PCK Processor CA") ||
        !name_of(t->pck, cn, n, "PCK Certificate") ||
        !name_of(t->tcb_signing, cn, n, "TCB Signing"))
        return attest_fail(err, ATTEST_TRUST, "the common name of the trusted root is too long");
    return true;
}

static bool load(struct view der, bool intel, struct trust **out, struct attest_err *err)
{
    CLEANUP(trust_free_cleanup) struct trust *t = calloc(1, sizeof *t);
    const uint8_t *at = der.at;

    if (!t)
        return attest_fail(err, ATTEST_MEMORY, "no memory for the trusted root");
    t->intel = intel;
    t->root = d2i_X509(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (!t->root || at != der.at + der.len)
        return attest_fail(err, ATTEST_TRUST, "the trusted root is not one certificate in DER");
    t->key = X509_get0_pubkey(t->root);
    if (!t->key || X509_check_ca(t->root) != 1 ||
        X509_get_signature_nid(t->root) != NID_ecdsa_with_SHA256 ||
        X509_verify(t->root, t->key) != 1) {
        ERR_clear_error();
        return attest_fail(err, ATTEST_TRUST,
                           "the trusted root is not a self-signed ECDSA P-256 CA certificate");
    }
    if (!names(t, err))
        return false;
    t->store = X509_STORE_new();
    if (!t->store || X509_STORE_add_cert(t->store, t->root) != 1 ||
        !secret_sha256(der.at, der.len, t->sha256))
        return attest_fail(err, ATTEST_MEMORY, "no memory for the trusted root");
    *out = take(t);
    return true;
}

bool trust_intel(struct trust **out, struct attest_err *err)
{
    return load(view_from(trust_intel_root, sizeof trust_intel_root), true, out, err);
}

bool trust_custom(struct view der, struct trust **out, struct attest_err *err)
{
    return load(der, view_eq(der, view_from(trust_intel_root, sizeof trust_intel_root)), out, err);
}

bool trust_is_intel(const uint8_t sha256[static SHA256_BYTES])
{
    uint8_t intel[SHA256_BYTES];

    return secret_sha256(trust_intel_root, sizeof trust_intel_root, intel) &&
           memcmp(intel, sha256, sizeof intel) == 0;
}

void trust_free(struct trust *t)
{
    if (!t)
        return;
    X509_STORE_free(t->store);
    X509_free(t->root);
    free(t);
}
