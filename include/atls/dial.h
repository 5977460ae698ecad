/* dial.h: an attested connection over a socket, made and used by blocking calls: straight over TCP, or through a bridge. */
#ifndef ATLS_DIAL_H
#define ATLS_DIAL_H

#include <atls/verify.h>

struct atls_stream;

struct atls_dial_options {
    size_t size;
    const char *host; /* a DNS name, or an IP literal without brackets */
    uint16_t port;
    const char *server_name;          /* whom the certificate must be for; NULL: the host */
    const struct atls_policy *policy; /* lent until the stream is freed */
    const char *proxy;                /* a bridge, "wss://bridge.example"; NULL: none */
    const char *ca_file;              /* PEM of CAs to trust instead of Mozilla's; NULL: those */
    const char *pccs_url;             /* NULL: the policy's */
    const char *cache;                /* folder for collateral; NULL: none */
    /* Of connecting; of all that comes until it is attested; of fetching. */
    uint64_t timeout_ms;
    struct atls_verifier *verifier; /* lent until the stream is freed; NULL: nothing is known yet */
};
#define ATLS_DIAL_OPTIONS_INIT                                                                  \
    {                                                                                           \
        sizeof(struct atls_dial_options), NULL, 443, NULL, NULL, NULL, NULL, NULL, NULL, 30000, \
            NULL                                                                                \
    }

ATLS_BEGIN

/* Connects, shakes hands, asks for the quote, fetches collateral where none is stapled, verifies. No application byte is sent
 * unless all of it went well. */
ATLS_CHECKED atls_result atls_dial(const struct atls_dial_options *options,
                                   struct atls_stream **out, struct atls_error *error);
/* Says close_notify and closes the socket. NULL is fine. */
ATLS_API void atls_stream_free(struct atls_stream *s);

/* Lent by the stream. */
ATLS_API const struct atls_report *atls_stream_report(struct atls_stream *s);
/* Sends all of it. Once the policy's reattest_after is over, nothing is sent any more (reattest_due): dial again. */
ATLS_CHECKED atls_result atls_stream_write(struct atls_stream *s, const void *bytes, size_t len,
                                           struct atls_error *error);
/* Waits for something to read. *len: in, room at to; out, bytes, 0: the other end said that there is no more. timeout_ms: 0
 * waits for ever. */
ATLS_CHECKED atls_result atls_stream_read(struct atls_stream *s, void *to, size_t *len,
                                          uint64_t timeout_ms, struct atls_error *error);
/* For poll(2): readable does not mean that there is something to read, and there may be when it is not. */
ATLS_API int atls_stream_fd(const struct atls_stream *s);

ATLS_END

#endif
