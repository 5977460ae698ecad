#include "attest/expiry.h"

#include "attest/pki.h"
#include "attest/qe_identity.h"
#include "attest/tcb_info.h"

#include "base/poison.h"

bool collateral_expiry(const struct collateral *c, int64_t now_s, int64_t *until_s)
{
    struct qe_identity *qe = NULL;
    struct tcb_info *tcb = NULL;
    int64_t all[4];
    bool good = tcb_info_parse(c->tcb_info, &tcb, NULL) &&
                qe_identity_parse(c->qe_identity, &qe, NULL) && tcb->issued_s <= now_s &&
                pki_crl_until(c->root_ca_crl, &all[2]) && pki_crl_until(c->pck_crl, &all[3]);

    if (good) {
        all[0] = tcb->next_s;
        all[1] = qe->next_s;
        *until_s = all[0];
        for (size_t i = 1; i < 4; i++)
            if (all[i] < *until_s)
                *until_s = all[i];
    }
    tcb_info_free(tcb);
    qe_identity_free(qe);
    return good;
}
