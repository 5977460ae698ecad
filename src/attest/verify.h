/* verify: everything together. Is this endpoint what the policy asks for? Pure, as dcap is. In the order in which the
 * reference client looks, so that a doubly wrong peer gets the same error from both:
 *
 *   event log · certificate · quote · DCAP · grace period and TCB status · report data · replay of the registers ·
 *   boot chain · app compose · OS image
 *
 * Whatever the policy leaves out, a report exists only when every check that it does not leave out has passed. */
#pragma once

#include "attest/dcap.h"
#include "attest/editions.h"
#include "attest/event_log.h"
#include "attest/policy.h"

struct attest_input {
    struct view quote;     /* bytes */
    struct view event_log; /* JSON; empty: none (good with no policy, or no runtime verification) */
    const struct collateral *collateral; /* lent */
    struct dcap_cache *cache;            /* lent; NULL: none */
    const struct editions *editions;     /* lent: older ones are refused; NULL: nothing is known */
    int64_t now_s;
    const uint8_t
        *leaf_sha256; /* 32 bytes, of the server's certificate; NULL: not from a connection */
    const uint8_t
        *report_data; /* 64 bytes that the quote must carry; NULL: not from a connection */
    bool has_age;
    uint64_t age_s; /* since the nonce was sent, or since the quote was made */
};

struct attestation {
    struct dcap_report dcap;
    struct event_log *log; /* owned; NULL: there was none */
    bool has_compose, has_os_image;
    uint8_t compose_hash[HASH_BYTES], os_image_hash[HASH_BYTES]; /* as measured */
    bool simulated;                                              /* the root was not Intel's */
    struct edition edition; /* of the collateral: for editions_raise */
    bool runtime_verified;  /* boot chain, compose and OS image were those of the policy */
    int64_t verified_at_s;
};

/* policy: NULL for "is it genuine?" alone. trust: NULL: as the policy says, else Intel's. */
MUST_USE bool attest_verify(const struct attest_input *in, const struct policy *policy,
                            const struct trust *trust, struct attestation **out,
                            struct attest_err *err);
void attestation_free(struct attestation *a); /* NULL is fine */
CLEANUP_DEFINE(struct attestation, attestation_free)

/* What a quote for this session carries: SHA-512(nonce ‖ exporter value), 32 bytes each. */
MUST_USE bool attest_report_data(const uint8_t nonce[static 32], const uint8_t exporter[static 32],
                                 uint8_t out[static REPORT_DATA_BYTES]);
