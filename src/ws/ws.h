/* ws: the WebSocket protocol of RFC 6455, sans-IO.
 *
 * Two floors. The ground floor is the frame: ws_decode reads frames from a stream in any split and
 * never holds payload; ws_unmask; ws_frame_head writes a frame's head. Upstairs stand the opening
 * handshake (upgrade.c) and the rules of Close (close.c). A byte bridge needs no message layer: the
 * decoder checks fragmentation itself and forgets message boundaries.
 *
 * No extension is ever negotiated, so RSV bits must be zero.
 *
 * Memory   struct ws_decoder is all there is (≤ 48 bytes): memory does not depend on frame size.
 * Read in order   upgrade.c decode.c unmask.c encode.c close.c */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "http/http.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* Close codes (RFC 6455, 7.4.1, and the IANA registry). */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire: "the Close was empty" */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire: "there was no Close" */
    WS_CLOSE_INVALID_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_TRY_LATER = 1013,
    WS_CLOSE_BAD_GATEWAY = 1014,
};

/* --- frames ------------------------------------------------------------------------------- */

enum ws_role {
    WS_SERVER,
    WS_CLIENT
}; /* who we are: a server demands masked frames, a client unmasked */

enum ws_event {
    WS_NEED_MORE, /* *in is empty and no event is complete */
    WS_HEAD,      /* d->opcode, d->fin, d->left describe the frame that begins */
    WS_PAYLOAD,   /* a piece of it */
    WS_FRAME_END, /* it is complete (also after a head with no payload) */
    WS_FAILED,    /* the peer broke the protocol: d->close_code and d->reason say how. Final. */
};

struct ws_decoder {
    uint64_t left;      /* payload bytes of the frame still to come */
    uint64_t frame_max; /* larger data frames fail with 1009; 0: no limit but 2^63 - 1 */
    const char *reason; /* after WS_FAILED: a literal for the log */
    uint8_t head[WS_HEAD_MAX];
    uint8_t head_len; /* bytes of a split head kept so far */
    uint8_t mask[4];
    uint8_t phase;  /* 0–3: which mask byte belongs to the next payload byte */
    uint8_t opcode; /* enum ws_opcode of the frame */
    bool fin;
    uint8_t state; /* head, payload, end, failed */
    uint8_t role;
    bool fragmented; /* a data message is open: only continuations may follow */
    uint8_t message; /* opcode of the open message: WS_TEXT or WS_BINARY */
    uint16_t close_code;
};
_Static_assert(sizeof(struct ws_decoder) <= 64, "one line of cache a tunnel");

void ws_decoder_init(struct ws_decoder *d, enum ws_role role, uint64_t frame_max);

/* Reads the next event from *in and advances it. Call until WS_NEED_MORE, then again with more.
 *
 * payload   set for WS_PAYLOAD: a piece of *in itself, still masked on a server. Unmask it with
 *           d->mask starting at *phase; lent until the caller reuses those bytes.
 * phase     set for WS_PAYLOAD: 0–3.
 * Checks    RFC 6455, 5.2–5.5: mask present (server) or absent (client), RSV zero, known opcode,
 *           minimal length encoding, 64-bit length without its top bit, control frames final and
 *           ≤ 125 bytes, continuations only inside a message, new data frames only outside.
 * Bounds    WS_HEAD_MAX bytes are kept between calls, never payload. O(bytes of *in). */
MUST_USE enum ws_event ws_decode(struct ws_decoder *d, struct view *in, struct view *payload,
                                 unsigned *phase);

/* XORs len bytes with the key, whose byte (phase mod 4) belongs to the first. In place, any
 * alignment, vectorised per CPU at start. Masking and unmasking are the same. */
void ws_unmask(uint8_t *at, size_t len, const uint8_t mask[static 4], unsigned phase);
/* As ws_unmask, and moves: reads at, writes to. The two may overlap when to ≤ at: payloads close up
 * over the heads between them in the same pass. */
void ws_unmask_to(uint8_t *to, const uint8_t *at, size_t len, const uint8_t mask[static 4],
                  unsigned phase);

/* Writes the head of an unmasked frame with FIN = 1 and minimal length; returns its length, 2, 4 or
 * 10 (out needs 10). */
size_t ws_frame_head(enum ws_opcode opcode, uint64_t len, uint8_t out[static 10]);
/* As above for a client: with the mask bit and the mask; 6, 8 or 14. fin as given. */
size_t ws_frame_head_masked(enum ws_opcode opcode, bool fin, uint64_t len,
                            const uint8_t mask[static 4], uint8_t out[static WS_HEAD_MAX]);

/* --- Close -------------------------------------------------------------------------------- */

/* A code that may stand in a Close frame: 1000–1003, 1007–1014, 3000–4999. */
bool ws_close_code_valid(unsigned code);
/* Reads a Close payload. Empty: *code = WS_CLOSE_NO_STATUS. On false *code is what to answer: 1002
 * (one byte, illegal code) or 1007 (reason not UTF-8). reason: a piece of payload. */
MUST_USE bool ws_close_parse(struct view payload, unsigned *code, struct view *reason);
/* Writes a whole unmasked Close frame (≤ 127 bytes): WS_CLOSE_NO_STATUS gives an empty payload. The
 * reason is cut to WS_REASON_MAX bytes. Returns its length. */
size_t ws_close_frame(unsigned code, const char *reason, uint8_t out[static 2 + WS_CONTROL_MAX]);

/* --- opening handshake -------------------------------------------------------------------- */

enum { WS_KEY_BYTES = 24, WS_ACCEPT_BYTES = 28 };

enum ws_upgrade {
    WS_UPGRADE_OK,
    WS_UPGRADE_NONE,    /* a plain HTTP request: neither Upgrade: websocket nor a key */
    WS_UPGRADE_BAD,     /* 400 */
    WS_UPGRADE_VERSION, /* 426 with Sec-WebSocket-Version: 13 */
};
/* Checks a client's opening handshake (RFC 6455, 4.2.1): GET, HTTP/1.1, one Host, Connection has
 * upgrade, Upgrade has websocket, one key that is base64 of 16 bytes, version 13, no body. */
enum ws_upgrade ws_upgrade_check(const struct http_head *h, struct view *key, struct err *err);
/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2). out is not terminated. */
MUST_USE bool ws_accept_key(struct view key, uint8_t out[static WS_ACCEPT_BYTES]);
/* The whole 101 answer. subprotocol: empty for none. Returns its length, or 0 when it does not fit.
 */
size_t ws_upgrade_answer(struct view key, struct view subprotocol, uint8_t *out, size_t room);

/* A client's request and the check of the server's answer (tests, load generator). key: 24 bytes.
 */
MUST_USE bool ws_client_request(struct buf *out, struct view host, struct view target,
                                struct view extra_lines, uint8_t key[static WS_KEY_BYTES],
                                struct err *err);
MUST_USE bool ws_client_check(const struct http_head *answer,
                              const uint8_t key[static WS_KEY_BYTES], struct err *err);
