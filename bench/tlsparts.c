#include "tlsload.h"

#include <openssl/ec.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_BYTES = 4 * 1024 * 1024 };

/* Does one again and again, for the warm-up and then for the time that is measured. one: returns how long it took. */
static void repeat(uint64_t (*one)(void *context), void *context)
{
    uint64_t end = bench_now_ns() + (uint64_t)(tls.o.warmup * 1e9);

    do
        (void)one(context);
    while (bench_now_ns() < end);
    end = bench_now_ns() + (uint64_t)(tls.o.seconds * 1e9);
    do {
        histogram_add(&tls.latency, one(context));
        tls.operations++;
    } while (bench_now_ns() < end);
}

/* --- a plain TLS 1.3 connection: TCP and the handshake are timed, its end is not */

static uint64_t connect_one(void *context)
{
    uint64_t began = bench_now_ns(), took;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = SSL_new(context);

    if (fd < 0 || !ssl)
        bench_die("socket: %m");
    bench_nodelay(fd);
    if (connect(fd, (const struct sockaddr *)&tls.o.connect, sizeof tls.o.connect))
        bench_die("connect: %m");
    if (SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, tls.o.name) != 1 ||
        SSL_set1_host(ssl, tls.o.name) != 1 || SSL_connect(ssl) != 1)
        bench_die("the TLS handshake failed");
    took = bench_now_ns() - began;
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return took;
}

void parts_connect(void)
{
    repeat(connect_one, tls.context);
}

/* --- a quote of the guest agent, on a connection of its own as its clients do */

static uint64_t quote_one(void *context)
{
    static const char request[] =
        "POST /GetQuote HTTP/1.1\r\nHost: dstack\r\nContent-Type: application/json\r\n"
        "Content-Length: 146\r\nConnection: close\r\n\r\n"
        "{\"report_data\":\"";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *answer = context, body[130];
    uint64_t began = bench_now_ns();
    size_t len = 0;
    ssize_t n;

    if (fd < 0 || strlen(tls.o.unix_path) >= sizeof address.sun_path)
        bench_die("%s: no such socket can be", tls.o.unix_path);
    memcpy(address.sun_path, tls.o.unix_path, strlen(tls.o.unix_path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof address))
        bench_die("%s: %m", tls.o.unix_path);
    memset(body, 'a', 128);
    memcpy(body + 128, "\"}", 2);
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1 ||
        send(fd, body, sizeof body, MSG_NOSIGNAL) != (ssize_t)sizeof body)
        bench_die("%s: %m", tls.o.unix_path);
    while ((n = recv(fd, answer + len, ANSWER_BYTES - len, 0)) > 0)
        len += (size_t)n;
    close(fd);
    if (len < 12 || strncmp(answer, "HTTP/1.1 200", 12) != 0)
        bench_die("%s: no quote: %.*s", tls.o.unix_path, (int)(len < 200 ? len : 200), answer);
    return bench_now_ns() - began;
}

void parts_quote(void)
{
    repeat(quote_one, bench_alloc(ANSWER_BYTES));
}

/* --- bare signatures: a prepared key, a prepared digest, as openssl speed does */

struct bare {
    EVP_PKEY_CTX *check;
    uint8_t digest[32], signature[80];
    size_t len;
};

static uint64_t signatures_one(void *context)
{
    const struct bare *b = context;
    uint64_t began = bench_now_ns();

    for (uint32_t i = 0; i < tls.o.count; i++)
        if (EVP_PKEY_verify(b->check, b->signature, b->len, b->digest, sizeof b->digest) != 1)
            bench_die("OpenSSL refuses its own signature");
    return bench_now_ns() - began;
}

void parts_signatures(void)
{
    struct bare b = {.digest = {1}, .len = sizeof b.signature};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY_CTX *sign = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;

    b.check = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (!sign || !b.check || EVP_PKEY_sign_init(sign) != 1 ||
        EVP_PKEY_sign(sign, b.signature, &b.len, b.digest, sizeof b.digest) != 1 ||
        EVP_PKEY_verify_init(b.check) != 1)
        bench_die("OpenSSL makes no P-256 signature");
    repeat(signatures_one, &b);
    EVP_PKEY_CTX_free(sign);
    EVP_PKEY_CTX_free(b.check);
    EVP_PKEY_free(key);
}
