/* module: attested TLS as a WebAssembly module: the engines of tls, attest, atls and http behind flat functions, for packages/.
 *
 *   JavaScript ── bytes, texts ──► exports ──► atls/client, http/exchange ──► exports ── bytes, JSON ──► JavaScript
 *
 * One job: to lend the engines a memory that JavaScript can reach. It decides nothing; no file system, no sockets. Imports, from
 * "env": entropy(at, len), now() → Unix seconds, log(at, len) (what a failed CHECK says, before the module traps).
 *
 * Handles   pointers (0: failed). Whoever has made one frees it; freeing 0 is fine.
 * Bytes     (at, len) in the module's memory, lent for the call, unless "taken over": then they came from alloc and the module
 *           releases them.
 * Answers   what a function has to tell lies at answer_at(), answer_len() bytes long, until the next call of any function.
 * Errors    a function that fails says so by what it returns; its answer is then the error, in JSON: class, code, number, message,
 *           retryable (include/atls/error_list.h).
 * Memory    may grow at any call: views in JavaScript are then gone.
 * Limits    those of the engines; one thread. */
#pragma once

#include <stdint.h>

#include "attest/attest_err.h"
#include "base/buf.h"
#include "base/json.h"

#define WASM_EXPORT(name) __attribute__((export_name(#name), used)) name

/* What the functions give back beside handles. */
enum wasm_result { WASM_FAILED = 0, WASM_DONE = 1 };
enum wasm_read {
    WASM_WAIT = 0,
    WASM_END = -1,
    WASM_BROKEN = -2
}; /* more than 0: that many bytes */

/* --- memory.c --- */
/* 0: no memory. */
void *alloc(uint32_t n);
void release(void *at);
const void *answer_at(void);
uint32_t answer_len(void);

/* --- about.c --- */
/* Answer: { "version", "build": SHA-256 of all that it was made of, "openssl", "openssl_source": SHA-256 of its source, "abi": 1 }. */
void about(void);

/* --- roots.c --- */
/* Trust anchors, as scripts/embed-roots --asset writes them; taken over. Before that, contexts without roots of their own trust
 * nobody. */
int32_t roots_load(uint8_t *at, uint32_t len);

/* --- policy.c --- */
struct policy;
struct policy *policy_new(const char *json, uint32_t len);
void policy_delete(struct policy *p);
/* Answer: { "digest": SHA-256 of the policy in hex, "pccs_url", "reattest_after": seconds, 0: never, "simulation": trusts another root
 * than Intel's }. */
void policy_about(const struct policy *p);
/* Answer: a canonical app-compose manifest: defaults with the members of user, both JSON texts. */
int32_t compose_merge_texts(const char *defaults, uint32_t defaults_len, const char *user,
                            uint32_t user_len);
/* Answer: its SHA-256 in hex, of the canonical text. */
int32_t compose_digest(const char *json, uint32_t len);

/* --- connection.c: one attested connection --- */
struct wasm_connection;
struct wasm_context;
struct dcap_cache;

/* Remembers what of Intel's was found true; for any number of connections, and as long as the module lives. */
struct dcap_cache *verifier_new(void);

/* policy: lent, and must outlive it. roots: PEM of CAs to trust; len 0: those that were loaded. extra: and those as well. */
struct wasm_context *context_new(const struct policy *policy, const char *roots, uint32_t len,
                                 uint32_t extra);
void context_delete(struct wasm_context *c);

/* name: whom the certificate must be for; host: Host of the quote request. Not NUL-terminated. */
struct wasm_connection *connection_new(struct wasm_context *context, struct dcap_cache *verifier,
                                       const char *name, uint32_t name_len, const char *host,
                                       uint32_t host_len);
void connection_delete(struct wasm_connection *c);

/* Ciphertext from the network. All of it is taken; what is wrong with it shows in the next step or read. */
void connection_feed(struct wasm_connection *c, const uint8_t *at, uint32_t len);
void connection_feed_end(struct wasm_connection *c); /* the other end closed */
/* Answer: ciphertext for the network. Returns its length. It stays until it was sent. */
uint32_t connection_output(struct wasm_connection *c);
void connection_sent(struct wasm_connection *c, uint32_t n);

/* 0 send the output and feed more, 1 wants collateral, 2 attested, 3 failed (the answer is the error). now_s: Unix seconds; now_ms:
 * milliseconds of a clock that never goes back. */
int32_t connection_step(struct wasm_connection *c, double now_s, double now_ms);
/* Where it is, or has failed: 0 handshake, 1 waiting for the quote, 2 for collateral, 3 verifying, 4 attested. */
int32_t connection_phase(const struct wasm_connection *c);
/* After 1. Answer: { "fmspc": in hex, "ca": "platform" or "processor", "tee": "tdx" or "sgx": the family of platforms; "anew": what was
 * given before was too old: not from a cache, "requests": { "pck_crl", "tcb_info", "qe_identity", "root_ca_crl": paths below the
 * service's base, which is its URL without /sgx/certification/v4 or /tdx/… behind it } }. Fails for a quote without a certificate. */
int32_t connection_need(struct wasm_connection *c);
/* A QuoteCollateralV3 object. */
int32_t connection_give_collateral(struct wasm_connection *c, const char *json, uint32_t len);

/* After 2. Answers: the summary { "tee", "status", "advisory_ids", "measurement": MRTD or MRENCLAVE, "simulated", "stapled", "cipher", "group",
 * "certificate": SHA-256 of the server's, "verified_at" }; the whole report, as "atls verify --json" has it; a receipt, as "atls receipt verify" takes it. */
int32_t connection_summary(struct wasm_connection *c);
int32_t connection_report(struct wasm_connection *c);
int32_t connection_receipt(struct wasm_connection *c);
/* Milliseconds of the same clock after which it must be attested again; infinite: never. */
double connection_due_ms(struct wasm_connection *c);
/* Asks for another quote on the same session; step goes on from 0. Nothing may be under way. */
int32_t connection_reattest(struct wasm_connection *c);

/* The application's bytes, raw. enum wasm_read; WASM_END: the other end said that there is no more. */
int32_t connection_read(struct wasm_connection *c, uint8_t *at, uint32_t room);
int32_t connection_write(struct wasm_connection *c, const uint8_t *at, uint32_t len);
void connection_close(struct wasm_connection *c); /* close_notify becomes output */
/* Between requests: takes in what came. 0: the other end has closed, or speaks unasked: of no more use. */
uint32_t connection_quiet(struct wasm_connection *c);

/* --- request.c: HTTP/1.1 on it, one request at a time --- */
/* head: method NUL target NUL, then name NUL value NUL for each field; Host among them; none that says where the body ends.
 * body: its bytes; -1: in pieces of unknown number (chunked); -2: none. */
int32_t request_begin(struct wasm_connection *c, const char *head, uint32_t len, double body);
int32_t request_body(struct wasm_connection *c, const uint8_t *at, uint32_t len);
/* Fails when fewer bytes came than were announced. */
int32_t request_end(struct wasm_connection *c);
/* WASM_WAIT, WASM_BROKEN, or 1: answer { "status", "reason", "fields": [[name, value]…], "length": null: not known }. Informational
 * ones are passed over. */
int32_t response_head(struct wasm_connection *c);
/* enum wasm_read; WASM_END: the body is whole. As many bytes as are there and have room. */
int32_t response_read(struct wasm_connection *c, uint8_t *at, uint32_t room);
/* After WASM_END: another request may follow on this connection. */
uint32_t response_keeps(struct wasm_connection *c);
/* Something of the answer came: a request must not be sent a second time. */
uint32_t response_begun(struct wasm_connection *c);

/* --- collateral.c: what a PCS or PCCS answers, put together --- */
/* kind: 0 pck_crl, 1 tcb_info, 2 qe_identity, 3 root_ca_crl. body: as it came; chain: the field that ends in "Issuer-Chain", as it
 * came; len 0 where there is none. */
int32_t collateral_part(uint32_t kind, const uint8_t *body, uint32_t body_len, const char *chain,
                        uint32_t chain_len);
/* Where the root's own certificate says that its CRL is, for a service that has none. Answer: a URL. After part 2. */
int32_t collateral_root_crl_url(void);
/* Answer: a QuoteCollateralV3 object. The parts are forgotten. */
int32_t collateral_build(void);
/* Answer: { "expires": Unix seconds, when the first part of it ends }. */
int32_t collateral_about(const char *json, uint32_t len, double now_s);

/* --- evidence.c: offline --- */
/* leaf: 32 bytes, report_data: 64, or NULL. policy: NULL: is it genuine? log_len 0: none. Answer: the report, or the error. */
int32_t evidence_verify(struct dcap_cache *verifier, const struct policy *policy,
                        const uint8_t *quote, uint32_t quote_len, const char *log, uint32_t log_len,
                        const char *collateral, uint32_t collateral_len, const uint8_t *leaf,
                        const uint8_t *report_data, double now_s);
/* policy: to judge by, beside the receipt's own; NULL: none. now_s: to judge as of, beside the receipt's time; less than 0: none.
 * Answer: the report, or the error. */
int32_t receipt_check(const struct policy *policy, const char *json, uint32_t len, double now_s);
/* Answer: what the quote says, unverified. */
int32_t quote_about(const uint8_t *quote, uint32_t quote_len);

/* --- inside --- */
void wasm_answer_bytes(struct view bytes);                    /* lent until the next call */
int32_t wasm_answer_buf(struct buf *bytes);                   /* taken over; WASM_DONE */
int32_t wasm_answer(struct json_writer *w, struct buf *json); /* takes json over */
int32_t wasm_fail(const struct attest_err *err);              /* WASM_FAILED */
int32_t wasm_fail_text(enum attest_code code, const char *text);
