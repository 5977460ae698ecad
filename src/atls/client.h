/* client: one attested connection, without any I/O. It shakes hands, asks for a quote on the same session, verifies all that the
 * policy asks for, and only then lets application bytes through. One object natively, in tests and in a browser.
 *
 *   feed ──► step ──► output      until step says ATTESTED; then read and write
 *
 * Whatever fails is final: nothing of the application has been sent by then.
 * Memory   the client owns what it is given collateral; context and policy are lent and must outlive it. */
#pragma once

#include <atls/step.h>

#include "atls/quote_exchange.h"
#include "attest/receipt.h"
#include "tls/session.h"

struct atls_client;

/* What is under way. Collateral is waited for only when none was stapled, or none that is still good. */
enum atls_phase {
    ATLS_PHASE_HANDSHAKE,
    ATLS_PHASE_QUOTE,
    ATLS_PHASE_COLLATERAL,
    ATLS_PHASE_VERIFY,
    ATLS_PHASE_DONE,
};

struct atls_client_options {
    struct session_context *context; /* lent; its roots fit the policy's tls_trust */
    const struct policy *policy;     /* lent */
    struct dcap_cache *cache;        /* lent; NULL: none */
    const struct editions *editions; /* lent: older ones are refused; NULL: nothing is known */
    const char *server_name;
    const char *host; /* of the quote request; NULL: the server name */
    void (*entered)(void *context, enum atls_phase phase); /* for measuring; NULL: nobody listens */
    void *context_of_entered;
};

MUST_USE bool atls_client_new(const struct atls_client_options *options, struct atls_client **out,
                              struct attest_err *err);
void atls_client_free(struct atls_client *c); /* NULL is fine */
CLEANUP_DEFINE(struct atls_client, atls_client_free)

/* Ciphertext, as session.h has it. */
MUST_USE bool atls_client_feed(struct atls_client *c, struct view ciphertext);
void atls_client_feed_end(struct atls_client *c);
struct view atls_client_output(struct atls_client *c);
void atls_client_sent(struct atls_client *c, size_t n);

/* Goes as far as it can. now_s: wall clock; now_ms: monotonic. */
enum atls_step atls_client_step(struct atls_client *c, int64_t now_s, uint64_t now_ms);
const struct attest_err *atls_client_error(const struct atls_client *c);

const struct collateral_need *atls_client_need(const struct atls_client *c);
/* What was given before was too old: no cache should answer this time. It is asked once. */
bool atls_client_anew(const struct atls_client *c);
void atls_client_give_collateral(struct atls_client *c, struct collateral *collateral);
bool atls_client_stapled(const struct atls_client *c);

/* After ATTESTED. */
const struct attestation *atls_client_attestation(const struct atls_client *c);
MUST_USE enum tls_status atls_client_read(struct atls_client *c, void *at, size_t *n,
                                          struct err *err);
MUST_USE bool atls_client_write(struct atls_client *c, struct view plaintext, struct err *err);
void atls_client_close(struct atls_client *c);
/* After ATTESTED: when the policy's reattest_after is over, by the clock of step's now_ms; UINT64_MAX: never. The client itself has no
 * clock: whoever writes looks here first. */
uint64_t atls_client_due_ms(const struct atls_client *c);
/* Asks for another quote on the same session, with a new nonce (long connections): step goes on until ATTESTED. No
 * application bytes may be under way. */
MUST_USE bool atls_client_reattest(struct atls_client *c);

/* After ATTESTED: what the receipt of the last attestation holds, for receipt_write; lent by the client until it attests again. */
void atls_client_receipt(const struct atls_client *c, struct receipt *out);

/* What the last answer held; lent until the next one. */
struct view atls_client_quote(const struct atls_client *c);
struct view atls_client_event_log(const struct atls_client *c);
const char *atls_client_cipher(const struct atls_client *c);
const char *atls_client_group(const struct atls_client *c); /* of the key exchange */
/* SHA-256 of the server's leaf; the nonce of the last quote. */
const uint8_t *atls_client_leaf(const struct atls_client *c);
const uint8_t *atls_client_nonce(const struct atls_client *c);
