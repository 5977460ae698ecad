#include "attest/certification.h"

#include "base/poison.h"

enum { RSA2048_BYTES = 256, RSA3072_BYTES = 384 };

bool certification_asks(const struct quote *q)
{
    return q->certification_type == CERTIFICATION_PPID_RSA2048 ||
           q->certification_type == CERTIFICATION_PPID_RSA3072;
}

bool certification_request(const struct quote *q, struct pck_request *out, struct attest_err *err)
{
    size_t ppid =
        q->certification_type == CERTIFICATION_PPID_RSA2048 ? RSA2048_BYTES : RSA3072_BYTES;
    size_t want = ppid + CERTIFICATION_TCBM_BYTES + sizeof out->pceid;
    struct view rest = q->certification;

    if (!certification_asks(q) || rest.len != want)
        return attest_fail(err, ATTEST_QUOTE_CERTIFICATION,
                           "certification data of type %u and %zu bytes does not name a PCK "
                           "certificate",
                           q->certification_type, rest.len);
    *out = (struct pck_request){.ppid_len = ppid};
    memcpy(out->qeid, q->user_data.at, sizeof out->qeid);
    memcpy(out->encrypted_ppid, rest.at, ppid);
    rest = view_skip(rest, ppid);
    memcpy(out->tcbm, rest.at, sizeof out->tcbm);
    rest = view_skip(rest, sizeof out->tcbm);
    memcpy(out->pceid, rest.at, sizeof out->pceid);
    return true;
}
