/* connection: what the files of this folder know of a connection. */
#pragma once

#include "atls/client.h"
#include "http/exchange.h"
#include "wasm/module.h"

enum { WASM_RECEIVED_MAX = 1024 * 1024, WASM_SENT_MAX = 64 * 1024 };

struct wasm_connection {
    struct atls_client *is;
    struct http_exchange exchange; /* the one under way, or the last */
    bool exchanging;
    struct buf in;    /* received of it, and not looked at yet */
    struct buf out;   /* a head, or a chunk's frame */
    struct buf fault; /* of the answer: told when what came before it was read */
    bool end;         /* nothing more will come */
};

/* One read of TLS: WASM_DONE, or enum wasm_read. */
int32_t wasm_receive(struct wasm_connection *c, uint8_t *at, size_t room, size_t *n);
int32_t wasm_send(struct wasm_connection *c, struct view bytes);
