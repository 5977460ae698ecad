/* admit: one pure function from a request to a verdict. No I/O, no clock but the one it is told.
 *
 * Order of checks (what a hostile page may learn first): client address → handshake syntax → Origin →
 * Host → credential → subprotocol → target. Nothing is looked up in DNS and no socket is opened for
 * anything that is refused here. */
#pragma once

#include "bridge/policy.h"
#include "bridge/reason.h"
#include "http/http.h"

struct admit_request {
    const struct http_head *head;
    struct addr peer;  /* the socket's other end, or what the PROXY header said */
    bool peer_trusted; /* the socket's other end is a trusted proxy */
    bool tls;
    bool tls_client_verified; /* a client certificate was presented and verified */
    int64_t wall_ms;          /* for exp and nbf of tokens */
};

struct verdict {
    enum reason reason;    /* REASON_NONE: admitted */
    bool by_close;         /* refused with 101 and a Close frame (a browser); else by http_status */
    int http_status;       /* of a refusal by HTTP */
    struct addr client;    /* who it is, after Forwarded headers; set for every verdict */
    struct view origin;    /* lends the head; empty when there is none */
    struct view requested; /* what to log as the requested target: lends requested_bytes */
    uint8_t requested_bytes[TARGET_BYTES_MAX + 4];
    struct target target;            /* admitted: the canonical target */
    const struct allow_entry *entry; /* admitted: why; lives with the policy */
    bool by_pattern;
    struct view key;         /* Sec-WebSocket-Key; set when the handshake was good */
    struct view subprotocol; /* to select; empty: none */
    char subject[64];        /* whose credential it was, escaped: for the log; "" none */
    struct err err;          /* refused: the sentence for the log */
};

/* Fills *out completely. */
void policy_admit(const struct policy *p, const struct admit_request *request, struct verdict *out);
