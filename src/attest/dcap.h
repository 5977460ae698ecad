/* dcap: is this quote by genuine Intel hardware, and how well patched was it, at that time? Pure: quote, collateral, time
 * and root in, report or one error out; no I/O, no clock, no globals ("DCAP Quote Verification", and architecture
 * specification of TDX, 12). All checks are made; a report exists only when all have passed. */
#pragma once

#include "attest/cache.h"
#include "attest/certification.h"
#include "attest/tcb_match.h"

struct dcap_options {
    enum tcb_matching matching;
    bool allow_debug;         /* a TD or enclave in debug mode: its memory can be read */
    bool allow_service_td;    /* MRSERVICETD is set: a service TD has power over it */
    struct dcap_cache *cache; /* lent; NULL: everything is verified from the start */
};

struct dcap_report {
    struct quote quote; /* lends the quote's bytes */
    struct pck pck;
    bool processor_ca;           /* by whose CA the PCK is: collateral differs */
    struct tcb_verdict verdict;  /* all together */
    struct tcb_verdict platform; /* level and module */
    struct tcb_verdict qe;
    enum tcb_status level; /* the platform's own */
    int64_t tcb_date_s;    /* of its level */
    bool has_module;
    enum tcb_status module;
    uint32_t tcb_evaluation, qe_evaluation; /* tcbEvaluationDataNumber */
    int64_t valid_until_s;                  /* when the first piece of collateral ends */
    bool intel;                             /* the root was Intel's */
};

enum { DCAP_CLOCK_LEAST_S = 1672531200 }; /* 2023-01-01: a clock before it was never set */

MUST_USE bool dcap_verify(const struct quote *quote, const struct collateral *collateral,
                          int64_t now_s, const struct trust *trust,
                          const struct dcap_options *options, struct dcap_report *out,
                          struct attest_err *err);

/* Which collateral a quote needs, from its own certificates, before anything is verified: to fetch, not to trust. */
struct collateral_need {
    uint8_t fmspc[6];
    bool processor_ca, tdx;
    bool
        has_request; /* the quote does not have its PCK certificate: it comes first, and tells fmspc and processor_ca */
    struct pck_request request;
};
MUST_USE bool dcap_need(const struct quote *quote, struct collateral_need *out,
                        struct attest_err *err);
/* The same of a PCK's chain in PEM: fmspc and processor_ca are written. */
MUST_USE bool dcap_need_of(struct view pem, struct collateral_need *need, struct attest_err *err);
