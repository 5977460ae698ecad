/* certification: how a quote without its PCK certificate says which one it is: certification data of type 2 or 3. Enough to ask a
 * certification service for it ("PCS API", Get PCK Certificate); what comes back is judged as any other is.
 *
 *   encrypted PPID (type 2: RSA-2048, 256 bytes; type 3: RSA-3072, 384) ‖ CPUSVN (16) ‖ PCESVN (2) ‖ PCEID (2) */
#pragma once

#include "attest/quote.h"

enum {
    CERTIFICATION_PPID_RSA2048 = 2,
    CERTIFICATION_PPID_RSA3072 = 3,
    CERTIFICATION_QEID_BYTES = 16,
    CERTIFICATION_PPID_MAX = 384,
    CERTIFICATION_TCBM_BYTES =
        18, /* CPUSVN ‖ PCESVN, as the service tells what it has answered for */
};

struct pck_request {
    uint8_t qeid
        [CERTIFICATION_QEID_BYTES]; /* of the quoting enclave: which machine, to a caching service */
    uint8_t encrypted_ppid[CERTIFICATION_PPID_MAX];
    size_t ppid_len;
    uint8_t tcbm[CERTIFICATION_TCBM_BYTES];
    uint8_t pceid[2];
};

/* The quote has such data. */
bool certification_asks(const struct quote *quote);
MUST_USE bool certification_request(const struct quote *quote, struct pck_request *out,
                                    struct attest_err *err);
