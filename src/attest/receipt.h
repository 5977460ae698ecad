/* receipt: one attestation as a document that can be verified again, offline and by anybody: all that was looked at, what was
 * asked for, and what was found. Pure, as verify is.
 *
 *   { "receipt": "postern-attestation/1",
 *     "session":  { "verified_at", "server_name", "certificate", "certificate_sha256",
 *                   "binder": "tls-exporter", "nonce", "exporter_sha256", "report_data", "quote_age" },
 *     "evidence": { "type": "tdx", "quote", "event_log", "collateral": QuoteCollateralV3 },
 *     "policy":   { "sha256", "text" },
 *     "summary":  { "status", "tcb_date", "compose_hash", … },
 *     "sha256":   of the canonical text of all this without this member }
 *
 * What it is worth: evidence and summary are verified anew, so that nobody can make them say what the hardware did not sign. The
 * time, the nonce and the hash of the exporter value are the client's word: the report data is the hash of a secret, which is
 * not told. "sha256" finds accidents, no forger. The exporter value itself is never in it.
 *
 * Read strictly: unknown and missing members are errors, as are other versions, binders and kinds of evidence. Bytes are
 * lowercase hex, times RFC 3339 in UTC. Limit: RECEIPT_BYTES_MAX. Read in order: receipt.c, receipt_verify.c */
#pragma once

#include "attest/verify.h"

enum {
    RECEIPT_BYTES_MAX = 16 * 1024 * 1024, /* the largest seen has 60,000 */
    RECEIPT_NAME_MAX = 253,               /* a server's */
    RECEIPT_CERTIFICATE_MAX = 64 * 1024,
};

#define RECEIPT_VERSION "postern-attestation/1"

/* Views are lent: by who fills it, or by the receipt that was parsed. */
struct receipt {
    int64_t verified_at_s;
    uint64_t quote_age_s;    /* from asking for the quote to the verdict */
    struct view server_name; /* asked for; without brackets */
    struct view certificate; /* the server's leaf, DER */
    uint8_t certificate_sha256[HASH_BYTES];
    uint8_t nonce[32], exporter_sha256[HASH_BYTES];
    uint8_t report_data[REPORT_DATA_BYTES]; /* that the session required */
    struct view quote, event_log;
    const struct collateral *collateral;
    struct view policy; /* its exact text */

    /* Of a parsed one. */
    uint8_t policy_sha256[HASH_BYTES], sha256[HASH_BYTES]; /* as it says */
    uint32_t summary;                                      /* token of the object */
    struct collateral *owned;
    struct json_tree tree;
    char *text;
    uint8_t *area;
};

/* Appends the document. a: the attestation that it is the receipt of. */
MUST_USE bool receipt_write(const struct receipt *r, const struct attestation *a, struct buf *out,
                            struct attest_err *err);

/* Shape only. */
MUST_USE bool receipt_parse(struct view json, struct receipt **out, struct attest_err *err);
void receipt_free(struct receipt *r); /* NULL is fine */
CLEANUP_DEFINE(struct receipt, receipt_free)

struct receipt_judge {
    const struct policy *policy; /* NULL: the receipt's own */
    const struct trust *trust;   /* whose platforms count; NULL: as the policy says */
    bool has_time;
    int64_t at_s; /* has_time: judge as of then, beside as of verified_at */
};

/* Verifies from the evidence alone, as of verified_at and by the receipt's own policy, and holds everything that the receipt says
 * against what was found; then by the judge's policy and time. A root that is not Intel's counts when the judge names it or a
 * policy: who forges a receipt would bring a root of his own. *out lends the receipt's bytes. */
MUST_USE bool receipt_verify(const struct receipt *r, const struct receipt_judge *judge,
                             struct attestation **out, struct attest_err *err);

/* Between receipt.c and receipt_verify.c, and for tests. */
void receipt_write_summary(const struct attestation *a, struct json_writer *w);
/* What "sha256" must be. False: no memory, or text that is no Unicode. */
MUST_USE bool receipt_digest(const struct json_doc *doc, uint8_t out[static HASH_BYTES]);
