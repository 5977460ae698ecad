/* conn: one client, from accept to the end: handshake, requests in turn, each answered here or by the application.
 *
 *   HANDSHAKE ─► HEAD ─┬─► QUOTE ──┬─► HEAD …          at most one request is under way
 *                      └─► PROXY ──┤
 *                            └─────┴─► TUNNEL            the application switched to WebSocket
 *
 * Backpressure: the client is read only while the application's buffer has room and the other way round; so a connection holds
 * at most some hundred KiB. Everything runs on the worker's loop. Private to conn*.c.
 *
 * Read in order   conn.c (life) conn_bytes.c (TLS) conn_request.c (heads, small answers) conn_quote.c conn_proxy.c
 * conn_tunnel.c */
#pragma once

#include "atls/quote_exchange.h"
#include "tee/access.h"
#include "tee/proxy.h"
#include "tee/route.h"
#include "tee/upstream.h"

enum conn_phase { CONN_HANDSHAKE, CONN_HEAD, CONN_QUOTE, CONN_PROXY, CONN_TUNNEL, CONN_CLOSING };

enum {
    CONN_READABLE = 1,
    CONN_WRITABLE = 2,
    CONN_HUNG_UP = 4,
    CONN_IN_MAX = 64 * 1024,    /* decrypted, not yet used */
    CONN_OUT_HIGH = 256 * 1024, /* encrypted, not yet sent: stop making more */
    CONN_PIECE_BYTES = 12 * 1024,
    CONN_QUOTE_BODY_MAX = 4096,
};

struct conn {
    struct io io;
    struct worker *worker;
    struct conn *previous, *next;
    struct task task;
    struct timer timer;
    struct retired retired;
    struct addr peer;
    struct session *session;
    struct session_context *context;
    enum conn_phase phase;
    bool ended;    /* the client sends no more */
    bool shut;     /* nor do we */
    bool keep;     /* the connection, behind this answer */
    bool began;    /* a byte of this request has come */
    bool attested; /* this session was given a quote */
    struct buf in; /* plaintext of the client */
    struct http_parser parser;
    struct route request; /* its path is gone once its head is */
    struct access access;

    /* /tdx_quote */
    struct attester_job *job;
    struct buf body;
    uint64_t minute_ms;
    unsigned minute_quotes;

    /* the application */
    struct upstream *upstream;
    struct http_parser answer_parser;
    struct http_body answer_plan;
    enum proxy_framing framing;
    bool answering;   /* its head has gone to the client */
    bool body_sent;   /* bytes of the request's body have gone: it cannot be asked again */
    struct buf again; /* the head, to ask a fresh connection when a kept one turns out dead */
};

/* conn.c */
void conn_end(struct conn *c); /* frees it; touch it no more */
void conn_wake(struct conn *c);
void conn_deadline(struct conn *c, uint64_t after_ms); /* 0: none */
/* The line of the request under way in the log, if it has none yet. */
void conn_access_end(struct conn *c, bool complete);

/* conn_bytes.c. False: the client is gone. */
MUST_USE bool conn_flush(struct conn *c);   /* sends what is encrypted */
MUST_USE bool conn_receive(struct conn *c); /* as long as there is room for what it decrypts to */
MUST_USE bool conn_decrypt(struct conn *c); /* plaintext may be in c->in afterwards */
MUST_USE bool conn_write(struct conn *c, struct view plaintext);
bool conn_backed_up(struct conn *c); /* the client does not take what was made for it */

/* conn_request.c */
bool conn_read_head(struct conn *c); /* false: the connection is gone, or waits */
void conn_next_request(struct conn *c);
/* A whole small answer; the request's body is passed over, or the connection closed. fields: complete lines, or NULL. */
void conn_answer(struct conn *c, int status, const char *content_type, const char *fields,
                 struct view body);
/* {"error":"…"}; for /tdx_quote, whose clients look for it, {"detail":"…"}. */
void conn_answer_error(struct conn *c, int status, const char *fields, const char *text);

/* conn_quote.c */
void conn_quote_start(struct conn *c);
void conn_quote_run(struct conn *c);
void conn_quote_forget(struct conn *c); /* nobody waits for the answer any more */

/* conn_proxy.c */
void conn_proxy_start(struct conn *c, const struct http_head *head);
void conn_proxy_run(struct conn *c);

/* conn_tunnel.c */
void conn_tunnel_start(struct conn *c);
void conn_tunnel_run(struct conn *c);
