/* debug: the steps of a connection as lines on standard error, when the environment asks for them: ATLS_DEBUG or DEBUG_ATLS is "1" (or
 * any word but 0, false, no and off), or "json".
 *
 * Told are states, sizes, times, digests, and what is public: names, the nonce, the certificate, the platform's family, the verdict.
 * Never told: the exporter value and anything else of TLS' keys, header fields, targets, bodies, what stands in a URL besides its
 * host. All functions take NULL for "nobody asked". */
#pragma once

#include "atls/client.h"
#include "base/log.h"

struct debug;

struct debug *debug_open(void); /* NULL: nobody asked, or no memory */
void debug_close(struct debug *d);
struct log *debug_log(const struct debug *d);

void debug_dialling(struct debug *d, const char *host, uint16_t port, const char *proxy);
void debug_connected(struct debug *d);
void debug_phase(struct debug *d, const struct atls_client *c, enum atls_phase phase);
void debug_fetching(struct debug *d, const char *service, const struct collateral_need *need,
                    bool anew);
void debug_fetched(struct debug *d, const struct collateral *c);
void debug_failed(struct debug *d, const struct attest_err *err);
/* Ciphertext. */
void debug_received(struct debug *d, size_t bytes);
void debug_sent(struct debug *d, size_t bytes);
