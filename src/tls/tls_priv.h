/* What tls.c, tls_config.c, tls_names.c, tls_error.c and tls_kernel.c share. */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/view.h"
#include "tls/tls.h"

enum {
    TLS_CERTIFICATES_MAX = 256,
    TLS_NAME_BYTES_MAX = 253, /* of a DNS name */
};

/* A name that a certificate is for. */
struct tls_name {
    SSL_CTX *context;
    bool wildcard; /* "*.example.com": text is "example.com", and one label stands before it */
    uint8_t len;
    char text[TLS_NAME_BYTES_MAX + 1]; /* lower case */
};

struct tls_names {
    struct tls_name *at;
    size_t count, room;
};

struct tls_config {
    atomic_uint refs;
    size_t context_count;
    SSL_CTX *contexts[TLS_CERTIFICATES_MAX]; /* the first is the default */
    struct tls_names names;
};

/* tls_names.c: adds the DNS names of the certificate's subjectAltName. */
MUST_USE bool tls_names_add(struct tls_names *names, const X509 *certificate, SSL_CTX *context,
                            struct err *err);
/* The context for a name that a client sent: an exact match, else a wildcard, else NULL. Of several
 * the first that was added. */
SSL_CTX *tls_names_find(const struct tls_names *names, const char *wanted);
void tls_names_done(struct tls_names *names);

/* tls_error.c: puts the first error of OpenSSL's queue of this thread after the text, and empties
 * the queue. Always returns false. */
bool tls_error(struct err *err, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
/* The same for an error code that was kept. */
bool tls_error_text(struct err *err, unsigned long code, const char *doing);
