/* tlsload: the inside of the load generator for TLS terminators. One thread, one epoll, level-triggered, OpenSSL.
 *
 *   tlsload.c     the modes, the loop, the phases, the report
 *   tlsclient.c   one connection: TCP, TLS 1.3, a request, its answer, the next request
 *   tlsparts.c    what an attested connection is made of, one at a time: a TLS handshake, a quote, signatures */
#pragma once

#include <openssl/ssl.h>

#include "common.h"
#include "histogram.h"

enum tls_mode { TLS_REQUESTS, TLS_STREAM, TLS_CONNECT, TLS_QUOTE, TLS_SIGNATURES };

struct tls_options {
    enum tls_mode mode;
    const char *mode_name;
    struct sockaddr_in connect;
    const char *unix_path, *name, *ca, *path;
    uint32_t connections, count;
    double seconds, warmup;
};

struct tls_load {
    struct tls_options o;
    SSL_CTX *context;
    int epoll;
    bool measuring;
    uint32_t open;
    uint64_t operations, bytes_down, failed, lost;
    struct histogram latency;
    char request[1024];
    int request_len;
};

extern struct tls_load tls;

/* --- tlsclient.c */
struct tls_client;
void tls_client_new(void); /* connects */
void tls_client_event(struct tls_client *c);

/* --- tlsparts.c: each runs for o.seconds after o.warmup and fills tls.latency */
void parts_connect(void);
void parts_quote(void);
void parts_signatures(void);
