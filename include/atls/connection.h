/* connection.h: one attested connection, without any I/O, for event loops and other languages. (dial.h does the I/O too.)
 *
 *   bytes from the network ──► feed ──► step ──► output ──► bytes to the network
 *
 * until step says ATLS_ATTESTED; then read and write what the application says. Whatever fails is final, and no application byte
 * has been sent by then. TLS 1.3 alone; the quote is asked for on the same session and is bound to it. */
#ifndef ATLS_CONNECTION_H
#define ATLS_CONNECTION_H

#include <atls/step.h>
#include <atls/verify.h>

/* TLS settings and trusted CAs for connections under one policy; may be shared by threads. */
struct atls_context;
struct atls_connection;

enum atls_read {
    ATLS_READ_SOME, /* there may be more */
    ATLS_READ_WAIT, /* feed more */
    ATLS_READ_END,  /* the other end said that there is no more */
    ATLS_READ_ERROR /* atls_connection_error */
};

struct atls_connection_options {
    size_t size;
    struct atls_context *context;   /* lent */
    struct atls_verifier *verifier; /* lent; NULL: everything is verified from the start */
    const char *server_name;        /* a DNS name, or an IP literal without brackets */
    const char *host;               /* Host of the quote request; NULL: the server name */
};
#define ATLS_CONNECTION_OPTIONS_INIT                                   \
    {                                                                  \
        sizeof(struct atls_connection_options), NULL, NULL, NULL, NULL \
    }

ATLS_BEGIN

/* policy: lent, and must outlive the context. roots: PEM of CAs to trust instead of Mozilla's; NULL: those. */
ATLS_CHECKED atls_result atls_context_new(const struct atls_policy *policy, const char *roots,
                                          size_t roots_len, struct atls_context **out,
                                          struct atls_error *error);
ATLS_API void atls_context_free(struct atls_context *context); /* NULL is fine */

ATLS_CHECKED atls_result atls_connection_new(const struct atls_connection_options *options,
                                             struct atls_connection **out,
                                             struct atls_error *error);
ATLS_API void atls_connection_free(struct atls_connection *c); /* NULL is fine */

/* Ciphertext from the network; all of it is taken. Errors show in the next step or read. */
ATLS_API void atls_connection_feed(struct atls_connection *c, const void *bytes, size_t len);
/* The other end closed its socket. */
ATLS_API void atls_connection_feed_end(struct atls_connection *c);
/* Ciphertext for the network, lent until the next call; say how much of it went. */
ATLS_API const void *atls_connection_output(struct atls_connection *c, size_t *len);
ATLS_API void atls_connection_sent(struct atls_connection *c, size_t len);

/* Goes as far as it can. now_s: Unix seconds; now_ms: milliseconds of a clock that never goes back. */
ATLS_API enum atls_step atls_connection_step(struct atls_connection *c, int64_t now_s,
                                             uint64_t now_ms);
/* Lent by the connection. code ATLS_OK: nothing has failed. */
ATLS_API const struct atls_error *atls_connection_error(struct atls_connection *c);

ATLS_API void atls_connection_need(const struct atls_connection *c, struct atls_need *out);
/* Takes the collateral over. */
ATLS_API void atls_connection_give_collateral(struct atls_connection *c,
                                              struct atls_collateral *collateral);
/* The endpoint's own was used. */
ATLS_API bool atls_connection_stapled(const struct atls_connection *c);

/* After ATLS_ATTESTED. The report is lent by the connection. */
ATLS_API const struct atls_report *atls_connection_report(struct atls_connection *c);
/* *len: in, room at to; out, bytes put there. */
ATLS_API enum atls_read atls_connection_read(struct atls_connection *c, void *to, size_t *len);
ATLS_CHECKED atls_result atls_connection_write(struct atls_connection *c, const void *bytes,
                                               size_t len, struct atls_error *error);
/* Says that we write no more; the output holds it. */
ATLS_API void atls_connection_close(struct atls_connection *c);
/* Asks for another quote on the same session, with a new nonce; step goes on until ATLS_ATTESTED. No application bytes may be
 * under way. */
ATLS_CHECKED atls_result atls_connection_reattest(struct atls_connection *c,
                                                  struct atls_error *error);

ATLS_END

#endif
