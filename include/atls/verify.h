/* verify.h: is this evidence genuine, and what the policy asks for? No I/O, no clock: the time is an input. A report exists only
 * when every check has passed. */
#ifndef ATLS_VERIFY_H
#define ATLS_VERIFY_H

#include <atls/collateral.h>
#include <atls/policy.h>

/* Remembers which collateral it has found true, by its content: the second quote of a platform costs two signatures instead of
 * nine. Verdicts never depend on it. One thread at a time. */
struct atls_verifier;
struct atls_report;

struct atls_evidence {
    size_t size;
    const void *quote; /* bytes, not hex */
    size_t quote_len;
    const char
        *event_log; /* JSON; NULL: none (good without a policy, or without runtime verification) */
    size_t event_log_len;
    const struct atls_collateral *collateral;
    int64_t at; /* Unix seconds */
    const uint8_t
        *leaf_sha256; /* 32 bytes: the server's certificate; NULL: not from a connection */
    const uint8_t
        *report_data; /* 64 bytes that the quote must carry; NULL: not from a connection */
};
#define ATLS_EVIDENCE_INIT                                                  \
    {                                                                       \
        sizeof(struct atls_evidence), NULL, 0, NULL, 0, NULL, 0, NULL, NULL \
    }

enum atls_register { ATLS_MRTD, ATLS_RTMR0, ATLS_RTMR1, ATLS_RTMR2, ATLS_RTMR3 };

ATLS_BEGIN

ATLS_CHECKED atls_result atls_verifier_new(struct atls_verifier **out, struct atls_error *error);
ATLS_API void atls_verifier_free(struct atls_verifier *verifier); /* NULL is fine */

/* policy: NULL for "is it genuine?" alone. The report keeps nothing of the evidence. */
ATLS_CHECKED atls_result atls_verify(struct atls_verifier *verifier,
                                     const struct atls_evidence *evidence,
                                     const struct atls_policy *policy, struct atls_report **out,
                                     struct atls_error *error);
/* What a quote for a session carries: SHA-512(nonce ‖ exporter value), 32 bytes each. */
ATLS_CHECKED atls_result atls_report_data(const uint8_t nonce[ATLS_NONCE_BYTES],
                                          const uint8_t exporter[32],
                                          uint8_t out[ATLS_REPORT_DATA_BYTES]);

ATLS_API void atls_report_free(struct atls_report *report); /* NULL is fine */
/* Everything, as "atls verify --json" prints under "report". The caller frees it; NULL: no memory. */
ATLS_API char *atls_report_json(const struct atls_report *report);
/* "UpToDate", "SWHardeningNeeded", …: of platform, TDX module and quoting enclave together. */
ATLS_API const char *atls_report_status(const struct atls_report *report);
/* The advisories that apply ("INTEL-SA-00837"), from 0; NULL: no more. */
ATLS_API const char *atls_report_advisory(const struct atls_report *report, unsigned i);
/* Unix seconds: the date of the platform's TCB level, and when the first piece of collateral ends. */
ATLS_API int64_t atls_report_tcb_date(const struct atls_report *report);
ATLS_API int64_t atls_report_valid_until(const struct atls_report *report);
/* The root was not Intel's. */
ATLS_API bool atls_report_simulated(const struct atls_report *report);
/* Boot chain, application and image were those of the policy. */
ATLS_API bool atls_report_runtime_verified(const struct atls_report *report);
/* 48 bytes; NULL: an SGX quote has none. */
ATLS_API const uint8_t *atls_report_measurement(const struct atls_report *report,
                                                enum atls_register which);
/* 32 bytes, as measured; NULL: the log has none. */
ATLS_API const uint8_t *atls_report_compose_hash(const struct atls_report *report);
ATLS_API const uint8_t *atls_report_os_image_hash(const struct atls_report *report);

ATLS_END

#endif
