/* transport: a stream of bytes to HOST:PORT, straight over TCP or through a bridge (ws:// or wss://). Blocking, with time-outs; one
 * thread. */
#pragma once

#include "attest/attest_err.h"
#include "base/buf.h"

struct transport;

struct transport_options {
    const char *host; /* without brackets */
    uint16_t port;
    const char *proxy;   /* "ws://127.0.0.1:9000", or with "?target=…" of its own; NULL: none */
    const char *ca_file; /* CAs for wss://; NULL: the built-in ones */
    uint64_t timeout_ms; /* of connecting; of the bridge's handshake; of sending */
};

MUST_USE bool transport_open(const struct transport_options *o, struct transport **out,
                             struct attest_err *err);
void transport_free(struct transport *t); /* NULL is fine */
CLEANUP_DEFINE(struct transport, transport_free)

MUST_USE bool transport_send(struct transport *t, struct view bytes, struct attest_err *err);
/* Waits for bytes and appends them. *end: there are no more. timeout_ms: 0 waits for ever. */
MUST_USE bool transport_receive(struct transport *t, struct buf *out, bool *end,
                                uint64_t timeout_ms, struct attest_err *err);
/* For poll(2); readable does not mean that receive has something to say. */
int transport_fd(const struct transport *t);
