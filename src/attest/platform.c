#include "attest/platform.h"

#include "base/poison.h"

bool platform_chain(const struct quote *q, struct view given, struct view *pem,
                    struct attest_err *err)
{
    *pem = given.len ? given : q->certification;
    if (given.len)
        return true;
    if (q->certification_type != CERTIFICATION_PCK_CHAIN)
        return attest_fail(
            err, ATTEST_QUOTE_CERTIFICATION,
            "DCAP verification failed: Unsupported DCAP PCK cert format: certification "
            "data of type %u has no chain; give pck_certificate_chain in the "
            "collateral",
            q->certification_type);
    return true;
}

/* The CRL's own chain adds nothing: its issuer is in the PCK chain. It must be certificates, no more: there is published
 * collateral that carries the other CA's. */
static bool crl_chain(struct view pem, struct pki_shelf *shelf, struct attest_err *err)
{
    struct pki_chain chain;

    if (!pem.len)
        return true;
    if (!pki_chain_parse(pem, "the PCK CRL's issuer", shelf, &chain, err))
        return false;
    pki_chain_done(&chain);
    return true;
}

static bool judge(const struct authority *a, const struct collateral *c, struct pki_shelf *shelf,
                  struct platform *p, struct attest_err *err)
{
    char issuer[TRUST_NAME_BYTES];

    if (p->chain.count < 2)
        return attest_fail(err, ATTEST_CERTIFICATE_CHAIN,
                           "DCAP verification failed: Certificate chain is too short in quote");
    if (!pki_pck_good(&a->pki, &p->chain, &p->span, err) ||
        !crl_chain(c->pck_crl_issuer_chain, shelf, err) ||
        !pck_parse(pki_sgx_extension(p->chain.certificates[0]), &p->pck, err))
        return false;
    p->processor_ca = pki_common_name(p->chain.certificates[1], issuer) &&
                      strcmp(issuer, a->pki.trust->processor_ca) == 0;
    return true;
}

bool platform_open(const struct authority *authority, const struct collateral *collateral,
                   struct view pem, struct pki_shelf *shelf, struct platform *out,
                   struct attest_err *err)
{
    struct platform p = {.span = SPAN_ALL};

    if (!pki_chain_parse(pem,
                         collateral->pck_certificate_chain.len ? "the PCK certificate"
                                                               : "the PCK certificate in quote",
                         shelf, &p.chain, err))
        return false;
    if (!judge(authority, collateral, shelf, &p, err)) {
        platform_close(&p);
        return false;
    }
    *out = p;
    return true;
}

void platform_close(struct platform *p)
{
    pki_chain_done(&p->chain);
}
