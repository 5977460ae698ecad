/* tls: TLS on a descriptor, for servers, through OpenSSL; in the kernel where that is possible
 * (kTLS).
 *
 *   tls_config_load ──► struct tls_config (immutable, reference-counted; reload makes a new one)
 *   tls_accept ──► struct tls ──► tls_handshake until TLS_OK ──► tls_recv / tls_send ──► tls_close
 *
 * TLS 1.3 (1.2 by option); ALPN http/1.1 only; session tickets; no early data (0-RTT would replay
 * an upgrade); no renegotiation. With kTLS transmit the caller may write plain bytes to the
 * descriptor with send() and splice(): tls_kernel_send says so. When the peer then asks for new
 * keys, which the kernel cannot give, tls_recv fails with ERR_LIMIT: a last word (Close 1001) can
 * still be sent.
 *
 * SIGPIPE must be ignored in the process: OpenSSL writes with write(). A certificate that has
 * expired is served: that is the operator's to decide. Files are read by OpenSSL; a key with a
 * passphrase is an error.
 *
 * Read in order   tls_config.c (files, options, SNI, ALPN) tls_names.c tls.c (connections)
 * tls_error.c tls_kernel.c */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct tls_config;
struct tls;

struct tls_options {
    /* "cert.pem:key.pem" pairs, comma-separated; the first is the default, others are chosen by SNI
     * from the names in the certificate. */
    const char *certificates;
    bool tls12;            /* also TLS 1.2 */
    const char *client_ca; /* PEM bundle: ask clients for a certificate; NULL: do not */
    bool client_required;  /* refuse clients without a good one */
    bool ktls;             /* try the kernel */
};

MUST_USE bool tls_config_load(const struct tls_options *o, struct tls_config **out,
                              struct err *err);
struct tls_config *tls_config_ref(struct tls_config *c);
void tls_config_unref(struct tls_config *c);
/* Does this kernel have the TLS upper-layer protocol? Probed once, on loopback. */
bool tls_kernel_available(void);

enum tls_status {
    TLS_OK,
    TLS_WANT_READ,  /* call again when the descriptor is readable */
    TLS_WANT_WRITE, /* … writable */
    TLS_EOF,        /* the peer sent close_notify (or FIN in the handshake); a FIN without
                     * close_notify later on is TLS_FAILED: something may have been cut off */
    TLS_FAILED,     /* err says why; the connection is unusable */
};

/* fd: lent for the life of the struct tls. */
MUST_USE bool tls_accept(struct tls_config *c, int fd, struct tls **out, struct err *err);
void tls_free(struct tls *t);
MUST_USE enum tls_status tls_handshake(struct tls *t, struct err *err);
/* *n: in, room; out, bytes. TLS_OK means *n > 0. */
MUST_USE enum tls_status tls_recv(struct tls *t, void *at, size_t *n, struct err *err);
/* *n: in, bytes offered; out, bytes taken (may be fewer). After WANT_* offer the same bytes again,
 * from anywhere in memory. */
MUST_USE enum tls_status tls_send(struct tls *t, const void *at, size_t *n, struct err *err);
/* Decrypted or buffered bytes wait, or an end: recv without readiness. Never true after WANT_READ. */
bool tls_pending(const struct tls *t);
/* Sends close_notify (does not wait for the peer's). TLS_OK, WANT_WRITE or FAILED. */
MUST_USE enum tls_status tls_close(struct tls *t);
bool tls_kernel_send(const struct tls *t);
bool tls_kernel_recv(const struct tls *t);
bool tls_client_verified(const struct tls *t);
const char *tls_version(const struct tls *t);
