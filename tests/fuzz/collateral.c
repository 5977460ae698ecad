/* Collateral, and each kind of document in it: what is read can be written and read again. */
#include "attest/collateral.h"
#include "attest/pki.h"
#include "attest/qe_identity.h"
#include "attest/tcb_info.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct collateral *c)
{
    struct collateral *again = NULL;
    struct json_writer w;
    struct attest_err err;
    struct buf json;

    buf_init(&json, 2 * (size_t)COLLATERAL_BYTES_MAX, "collateral");
    json_begin(&w, &json);
    collateral_write(c, &w);
    if (json_end(&w, NULL)) {
        CHECK(collateral_parse(buf_view(&json), &again, &err));
        CHECK(view_eq(again->tcb_info, c->tcb_info) && view_eq(again->pck_crl, c->pck_crl));
        CHECK(view_eq(again->qe_identity_signature, c->qe_identity_signature));
        collateral_free(again);
    }
    buf_done(&json);
}

static void check_documents(struct view tcb, struct view qe, struct view chain)
{
    struct qe_identity *identity;
    struct tcb_info *info;
    struct pki_chain certificates;
    struct attest_err err;

    if (tcb_info_parse(tcb, &info, &err)) {
        for (uint32_t i = 1; i < info->level_count; i++)
            CHECK(memcmp(info->levels[i - 1].sgx, info->levels[i].sgx, SVN_COUNT) >= 0);
        tcb_info_free(info);
    }
    if (qe_identity_parse(qe, &identity, &err)) {
        for (uint32_t i = 1; i < identity->level_count; i++)
            CHECK(identity->levels[i - 1].isvsvn > identity->levels[i].isvsvn);
        qe_identity_free(identity);
    }
    if (pki_chain_parse(chain, "chain", NULL, &certificates, &err)) {
        CHECK(certificates.count >= 1 && certificates.count <= PKI_CHAIN_MAX);
        pki_chain_done(&certificates);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view all = view_from(data, size);
    struct collateral *c = NULL;
    struct attest_err err;

    check_documents(all, all, all);
    if (!collateral_parse(all, &c, &err))
        return 0;
    check_round_trip(c);
    check_documents(c->tcb_info, c->qe_identity, c->tcb_info_issuer_chain);
    collateral_free(c);
    return 0;
}
