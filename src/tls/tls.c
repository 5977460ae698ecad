#include "tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tls/tls_priv.h"

enum { KEY_UPDATE_BYTES = 5, KEY_UPDATE_REQUESTED = 1 /* RFC 8446, 4.6.3 */ };

struct tls {
    SSL *ssl;
    struct tls_config *config;
    int fd;
    bool open; /* the handshake is done */
    bool kernel_send, kernel_recv;
    bool starved;          /* the last read wanted more: what is buffered is part of a record */
    bool untold;           /* an end came behind bytes: the next read says so */
    bool asked_for_keys;   /* the peer wants new keys, and the kernel has ours */
    enum tls_status ended; /* TLS_OK: not yet; else what every read says from now on */
    unsigned long error;   /* of OpenSSL, with TLS_FAILED */
};

static void forget_errors(void);
static enum tls_status settle(struct tls *t, int result, const char *doing, struct err *err);
static enum tls_status fail(struct tls *t, const char *doing, struct err *err);
static enum tls_status recv_one(struct tls *t, void *at, size_t room, size_t *n, struct err *err);
static enum tls_status send_kernel(struct tls *t, const void *at, size_t *n, struct err *err);
static void watch_messages(int writing, int version, int type, const void *message, size_t len,
                           SSL *ssl, void *context);

bool tls_accept(struct tls_config *c, int fd, struct tls **out, struct err *err)
{
    struct tls *t = calloc(1, sizeof *t);

    ERR_clear_error();
    if (!t)
        return err_set(err, ERR_MEMORY, "no memory for a TLS connection");
    t->ssl = SSL_new(c->contexts[0]);
    if (!t->ssl || !SSL_set_fd(t->ssl, fd)) {
        SSL_free(t->ssl);
        free(t);
        return tls_error(err, ERR_MEMORY, "opening a TLS connection");
    }
    SSL_set_accept_state(t->ssl);
    t->fd = fd;
    t->config = tls_config_ref(c);
    *out = t;
    return true;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    tls_config_unref(t->config);
    free(t);
}

enum tls_status tls_handshake(struct tls *t, struct err *err)
{
    int result;

    if (t->ended != TLS_OK)
        return fail(t, "handshake", err);
    forget_errors();
    result = SSL_do_handshake(t->ssl);
    if (result != 1)
        return settle(t, result, "handshake", err);
    t->open = true;
    t->kernel_send = BIO_get_ktls_send(SSL_get_wbio(t->ssl));
    t->kernel_recv = BIO_get_ktls_recv(SSL_get_rbio(t->ssl));
    if (t->kernel_send) {
        SSL_set_msg_callback(t->ssl, watch_messages);
        SSL_set_msg_callback_arg(t->ssl, t);
    }
    return TLS_OK;
}

enum tls_status tls_recv(struct tls *t, void *at, size_t *n, struct err *err)
{
    enum tls_status status = TLS_OK;
    size_t room = *n, got = 0, one = 0;

    *n = 0;
    /* Whole records at a time, for as long as bytes of the next one are here already. */
    do {
        status = recv_one(t, (char *)at + got, room - got, &one, err);
        got += one;
    } while (status == TLS_OK && got < room && SSL_has_pending(t->ssl));
    *n = got;
    t->untold = got > 0 && (status == TLS_EOF || status == TLS_FAILED);
    return got > 0 ? TLS_OK : status;
}

enum tls_status tls_send(struct tls *t, const void *at, size_t *n, struct err *err)
{
    size_t offered = *n, taken = 0, one = 0;
    int result = 1;

    if (t->kernel_send)
        return send_kernel(t, at, n, err);
    *n = 0;
    if (t->ended == TLS_FAILED)
        return fail(t, "send", err);
    forget_errors();
    while (taken < offered &&
           (result = SSL_write_ex(t->ssl, (const char *)at + taken, offered - taken, &one)) == 1)
        taken += one;
    *n = taken;
    if (taken > 0) {
        ERR_clear_error();
        return TLS_OK; /* what stopped it will say so again */
    }
    return offered == 0 ? TLS_OK : settle(t, result, "send", err);
}

bool tls_pending(const struct tls *t)
{
    return t->untold || SSL_pending(t->ssl) > 0 || (!t->starved && SSL_has_pending(t->ssl));
}

enum tls_status tls_close(struct tls *t)
{
    enum tls_status status;
    int result;

    if (t->ended == TLS_FAILED || !t->open)
        return TLS_FAILED;
    forget_errors();
    result = SSL_shutdown(t->ssl);
    if (result >= 0)
        return TLS_OK; /* sent; whether the peer's has come does not matter */
    status = SSL_get_error(t->ssl, result) == SSL_ERROR_WANT_WRITE ? TLS_WANT_WRITE : TLS_FAILED;
    ERR_clear_error();
    return status;
}

bool tls_kernel_send(const struct tls *t)
{
    return t->kernel_send;
}

bool tls_kernel_recv(const struct tls *t)
{
    return t->kernel_recv;
}

bool tls_client_verified(const struct tls *t)
{
    return SSL_get0_peer_certificate(t->ssl) && SSL_get_verify_result(t->ssl) == X509_V_OK;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

static enum tls_status recv_one(struct tls *t, void *at, size_t room, size_t *n, struct err *err)
{
    int result;

    *n = 0;
    if (t->asked_for_keys) {
        (void)err_set(err, ERR_LIMIT, "the peer asked for new keys, which kernel TLS cannot give");
        return TLS_FAILED;
    }
    if (t->ended == TLS_EOF)
        return TLS_EOF;
    if (t->ended == TLS_FAILED)
        return fail(t, "receive", err);
    forget_errors();
    result = SSL_read_ex(t->ssl, at, room, n);
    t->starved = result != 1;
    return result == 1 ? TLS_OK : settle(t, result, "receive", err);
}

/* Both are looked at after a failure, and neither is reset by OpenSSL. */
static void forget_errors(void)
{
    ERR_clear_error();
    errno = 0;
}

/* What a call that did not succeed means. */
static enum tls_status settle(struct tls *t, int result, const char *doing, struct err *err)
{
    int system_error = errno;

    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        t->ended = TLS_EOF;
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        t->error = ERR_peek_error();
        if (t->error == 0)
            t->error = ERR_PACK(ERR_LIB_SSL, 0, SSL_R_UNEXPECTED_EOF_WHILE_READING);
        if (system_error != 0)
            t->error = (unsigned long)system_error | ERR_SYSTEM_FLAG;
        break;
    default:
        t->error = ERR_peek_error();
        break;
    }
    ERR_clear_error();
    if (!t->open && ERR_GET_REASON(t->error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        t->ended = TLS_EOF;
        return TLS_EOF;
    }
    t->ended = TLS_FAILED;
    return fail(t, doing, err);
}

static enum tls_status fail(struct tls *t, const char *doing, struct err *err)
{
    if (t->ended == TLS_EOF)
        return TLS_EOF;
    (void)tls_error_text(err, t->error, doing);
    return TLS_FAILED;
}

/* The kernel makes records of what is written to the descriptor. */
static enum tls_status send_kernel(struct tls *t, const void *at, size_t *n, struct err *err)
{
    ssize_t sent = send(t->fd, at, *n, MSG_NOSIGNAL);

    *n = sent > 0 ? (size_t)sent : 0;
    if (sent >= 0)
        return TLS_OK;
    if (errno == EAGAIN || errno == EINTR)
        return TLS_WANT_WRITE;
    (void)err_system(err, ERR_TLS, errno, "TLS send");
    return TLS_FAILED;
}

/* OpenSSL would answer a request for new keys with its next write, but the kernel writes, and with
 * the keys it has: the connection has to end before more is said (RFC 8446, 4.6.3). */
static void watch_messages(int writing, int version, int type, const void *message, size_t len,
                           SSL *ssl, void *context)
{
    struct tls *t = context;
    const unsigned char *m = message;

    (void)version;
    (void)ssl;
    if (!writing && type == SSL3_RT_HANDSHAKE && len == KEY_UPDATE_BYTES &&
        m[0] == SSL3_MT_KEY_UPDATE && m[KEY_UPDATE_BYTES - 1] == KEY_UPDATE_REQUESTED)
        t->asked_for_keys = true;
}
