/* policy: what an endpoint must be. A JSON document of type "dstack_tdx", read whole or refused whole; unknown members are
 * errors ("x_…" are comments), for a misspelt check would silently not be made.
 *
 * Wherever a measurement or hash stands, an array of them may: any one is accepted, for the days of a rollout.
 * Validation needs no network. Memory: the policy owns all it holds. */
#pragma once

#include "attest/quote.h"
#include "attest/tcb_match.h"
#include "attest/trust.h"
#include "base/buf.h"

enum {
    POLICY_BYTES_MAX = 4 * 1024 * 1024,
    POLICY_VALUES_MAX = 16,
    POLICY_BOOTCHAINS_MAX = 16,
    POLICY_ROOTS_MAX = 4,
    POLICY_URL_BYTES = 512,
    HASH_BYTES = 32, /* SHA-256 */
};

#define POLICY_PCCS_URL  "https://pccs.phala.network/tdx/certification/v4"
#define POLICY_INTEL_PCS "https://api.trustedservices.intel.com"

/* Values of which any one will do; count 0: none was given. */
struct measurements {
    unsigned count;
    uint8_t values[POLICY_VALUES_MAX][MEASUREMENT_BYTES];
};

struct hashes {
    unsigned count;
    uint8_t values[POLICY_VALUES_MAX][HASH_BYTES];
};

enum { BOOT_MRTD, BOOT_RTMR0, BOOT_RTMR1, BOOT_RTMR2, BOOT_COUNT };

/* Values that belong together. */
struct bootchain {
    struct measurements fields[BOOT_COUNT];
};

/* How the server's certificate is judged before its quote is. */
enum policy_tls {
    POLICY_TLS_WEBPKI,      /* like a browser's: name and chain */
    POLICY_TLS_ATTESTATION, /* any certificate, if the event log names it: the quote is the only pin */
};

struct policy {
    struct bootchain *bootchains; /* any one */
    unsigned bootchain_count;
    struct hashes compose, os_image;
    bool allowed[TCB_STATUS_COUNT];
    bool has_grace;
    uint64_t grace_s;
    char pccs_url[POLICY_URL_BYTES];
    bool cache_collateral;
    bool runtime_unverified; /* disable_runtime_verification */
    uint32_t evaluation_least;
    bool allow_rollback; /* allow_collateral_rollback */
    struct advisories rejected;
    uint64_t reattest_after_s; /* 0: never */
    uint64_t quote_age_max_s;  /* 0: no limit */
    enum tcb_matching matching;
    enum policy_tls tls;
    bool allow_simulated;
    struct trust *roots[POLICY_ROOTS_MAX]; /* owned; Intel's, if it names none */
    unsigned root_count;
    uint8_t digest[HASH_BYTES]; /* of the document's bytes: connections are shared by it */
    struct buf text;            /* the document itself: receipts hold it */
};

MUST_USE bool policy_parse(struct view json, struct policy **out, struct attest_err *err);
/* For development: a genuine quote of a machine that may be badly patched, and no look at what runs there. */
MUST_USE bool policy_dev(struct policy **out, struct attest_err *err);
void policy_free(struct policy *p); /* NULL is fine */
CLEANUP_DEFINE(struct policy, policy_free)

/* Where collateral may come from: https, or http to this machine (127.0.0.1, localhost, [::1]). */
bool policy_url_good(const char *url);
/* ["UpToDate", "OutOfDate"]: what is allowed, for messages. Returns out. */
char *policy_allowed_text(const struct policy *p, char *out, size_t size);
const char *policy_boot_name(unsigned field); /* "mrtd", "rtmr0", … */
