/* quote_exchange: the one question of the attested-TLS protocol and its answer, as bytes: POST /tdx_quote over HTTP/1.1, JSON
 * both ways. Sans-IO, for both ends.
 *
 * The answer must be a complete response of status 200 with a known end, on a connection that stays open, and not a byte more:
 * what follows is the application's. Limits: EXCHANGE_BODY_MAX, and those of http/exchange. */
#pragma once

#include "attest/collateral.h"
#include "http/exchange.h"

enum { EXCHANGE_BODY_MAX = 8 * 1024 * 1024, EXCHANGE_NONCE_BYTES = 32 };

#define EXCHANGE_PATH "/tdx_quote"

/* The request, appended. host: the bare server name, or what takes its place in Host. */
MUST_USE bool exchange_request(const char *host, const uint8_t nonce[static EXCHANGE_NONCE_BYTES],
                               struct buf *out, struct err *err);

/* What an answer holds. */
struct exchange_answer {
    struct buf quote;              /* bytes */
    struct buf event_log;          /* JSON text */
    struct collateral *collateral; /* stapled; NULL: none, or none that can be read */
};
void exchange_answer_done(struct exchange_answer *a);

struct exchange_reader {
    struct buf bytes; /* of the head; then of the body */
    struct http_exchange http;
    bool in_body, done;
    int status;
};
void exchange_reader_init(struct exchange_reader *r);
void exchange_reader_done(struct exchange_reader *r);
/* Takes all bytes that came. False: err says why. When r->done is set the answer is complete: exchange_parse. */
MUST_USE bool exchange_feed(struct exchange_reader *r, struct view bytes, struct attest_err *err);
MUST_USE bool exchange_parse(struct exchange_reader *r, struct exchange_answer *out,
                             struct attest_err *err);

/* The server's side: the nonce in a request's body. Unknown members are ignored. */
MUST_USE bool exchange_nonce(struct view body, uint8_t out[static EXCHANGE_NONCE_BYTES],
                             struct err *err);
