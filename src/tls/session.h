/* session: one TLS connection without any I/O: ciphertext in, ciphertext out; for attested TLS, at both ends, and for requests to
 * other people's servers.
 *
 *   session_feed ──► handshake / read / write ──► session_output (take it away with session_sent)
 *
 * TLS 1.3 (RFC 8446), 1.2 with forward secrecy and AEAD by option; ALPN http/1.1 offered, by a server insisted on; no early data, no tickets, no renegotiation. Both ends can
 * derive the same exporter value (RFC 5705, RFC 9266), and know the leaf certificate.
 *
 * Memory   plaintext and ciphertext are copied in and out of OpenSSL; a session holds one record of each. Output that nobody
 *          takes grows: stop writing while session_output is not empty.
 * Threads  a context may be shared; a session belongs to one thread. */
#pragma once

#include "base/buf.h"
#include "tls/tls.h"

enum { SESSION_EXPORTER_BYTES = 32, SESSION_HASH_BYTES = 32 };

struct session_context; /* certificates and roots: shared */
struct session;

struct session_client_options {
    /* Certificates in PEM that are trusted instead of the built-in ones; empty: those of Mozilla. */
    struct view roots;
    bool built_in_too; /* beside roots */
    /* Neither name nor chain is judged: the caller pins what it sees in another way. */
    bool any_certificate;
    const char *suites; /* in order of preference, by RFC 8446's names and ':'; NULL: OpenSSL's */
    bool tls12; /* also TLS 1.2: where nobody asks for exporters, which that one lacks here */
};
MUST_USE bool session_client_context(const struct session_client_options *options,
                                     struct session_context **out, struct err *err);
/* chain: PEM, leaf first; key: PEM. Both are copied. */
MUST_USE bool session_server_context(struct view chain, struct view key,
                                     struct session_context **out, struct err *err);
struct session_context *session_context_ref(struct session_context *c);
void session_context_unref(struct session_context *c); /* NULL is fine */
/* SHA-256 of a server's leaf in DER. */
void session_context_leaf(const struct session_context *c, uint8_t out[static SESSION_HASH_BYTES]);

/* server_name: a DNS name, or an IP literal without brackets; checked against the certificate. */
MUST_USE bool session_connect(struct session_context *c, const char *server_name,
                              struct session **out, struct err *err);
MUST_USE bool session_accept(struct session_context *c, struct session **out, struct err *err);
void session_free(struct session *s); /* NULL is fine */

/* Takes all of it. False: no memory. */
MUST_USE bool session_feed(struct session *s, struct view ciphertext, struct err *err);
/* The other end closed its socket: without close_notify before, reads fail from here on. */
void session_feed_end(struct session *s);
/* What is to be sent; lent until the next call. */
struct view session_output(struct session *s);
void session_sent(struct session *s, size_t n);

/* TLS_OK, TLS_WANT_READ (feed more) or TLS_FAILED. There may be output whatever it says. */
MUST_USE enum tls_status session_handshake(struct session *s, struct err *err);
/* *n: in, room; out, bytes. TLS_OK, TLS_WANT_READ, TLS_EOF (close_notify) or TLS_FAILED. */
MUST_USE enum tls_status session_read(struct session *s, void *at, size_t *n, struct err *err);
/* All of it becomes output. */
MUST_USE bool session_write(struct session *s, struct view plaintext, struct err *err);
void session_close(struct session *s); /* close_notify becomes output */

/* Once the handshake is done. EXPORTER-Channel-Binding, no context, 32 bytes: a secret. */
MUST_USE bool session_exporter(const struct session *s, uint8_t out[static SESSION_EXPORTER_BYTES],
                               struct err *err);
/* SHA-256 of the server's leaf in DER, at either end. */
MUST_USE bool session_leaf(const struct session *s, uint8_t out[static SESSION_HASH_BYTES],
                           struct err *err);
/* Once the handshake is done: "TLS_AES_128_GCM_SHA256". */
const char *session_cipher(const struct session *s);
/* "x25519", "X25519MLKEM768": the group of the key exchange. */
const char *session_group(const struct session *s);
/* The server's leaf in DER, appended; at the client's end, once the handshake is done. */
MUST_USE bool session_leaf_der(const struct session *s, struct buf *out, struct err *err);
