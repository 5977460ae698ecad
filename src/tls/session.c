#include "tls/session.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/roots.h"
#include "tls/tls_priv.h"

#include "base/poison.h"

enum {
    OUTPUT_MAX = 64 * 1024 * 1024,
    PIECE_BYTES = 16 * 1024,
    PEM_MAX = 16 * 1024 * 1024,
    LABEL_BYTES_MAX = 63 /* RFC 1035, 2.3.4 */
};

static const uint8_t http11[] = "\x08http/1.1";
static const char exporter_label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 */

struct session_context {
    atomic_uint refs;
    SSL_CTX *ssl;
    bool any_certificate;
    uint8_t leaf[SESSION_HASH_BYTES];
};

struct session {
    struct session_context *context;
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    struct buf output;
};

CLEANUP_DEFINE(struct session_context, session_context_unref)
CLEANUP_DEFINE(struct session, session_free)

/* --- contexts --- */

static bool common(struct session_context *c)
{
    SSL_CTX *ssl = c->ssl;

    return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_early_data(ssl, 0) == 1 && SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF) >= 0 &&
           (SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET) != 0) &&
           (SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS) != 0);
}

static struct session_context *context_new(const SSL_METHOD *method, struct err *err)
{
    struct session_context *c = calloc(1, sizeof *c);

    if (!c) {
        (void)err_set(err, ERR_MEMORY, "no memory for a TLS context");
        return NULL;
    }
    atomic_init(&c->refs, 1);
    c->ssl = SSL_CTX_new(method);
    if (c->ssl && common(c))
        return c;
    (void)tls_error(err, ERR_TLS, "setting up TLS");
    session_context_unref(c);
    return NULL;
}

struct session_context *session_context_ref(struct session_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void session_context_unref(struct session_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(c->ssl);
    free(c);
}

void session_context_leaf(const struct session_context *c, uint8_t out[static SESSION_HASH_BYTES])
{
    memcpy(out, c->leaf, sizeof c->leaf);
}

static X509 *next_certificate(BIO *bio)
{
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    ERR_clear_error(); /* the end of the text is an error to OpenSSL */
    return x;
}

static bool add_roots(SSL_CTX *ssl, struct view pem, struct err *err)
{
    BIO *bio = pem.len <= PEM_MAX ? BIO_new_mem_buf(pem.at, (int)pem.len) : NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    unsigned count = 0;
    X509 *x;

    while (bio && (x = next_certificate(bio)) != NULL) {
        count += X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
    }
    BIO_free(bio);
    return count > 0 || err_set(err, ERR_CONFIG, "no CA certificate in PEM was given");
}

static int accept_any(X509_STORE_CTX *store, void *context)
{
    (void)store;
    (void)context;
    return 1;
}

/* Whom to trust. */
static bool judge(struct session_context *c, const struct session_client_options *o,
                  struct err *err)
{
    c->any_certificate = o->any_certificate;
    if (o->any_certificate) {
        SSL_CTX_set_cert_verify_callback(c->ssl, accept_any, NULL);
        return true;
    }
    if (o->roots.len && !add_roots(c->ssl, o->roots, err))
        return false;
    return (o->roots.len && !o->built_in_too) || tls_roots_use(SSL_CTX_get_cert_store(c->ssl)) ||
           tls_error(err, ERR_TLS, "setting up the built-in CAs");
}

/* What servers of today and of ten years ago have in common, without what RFC 9325, 4.2 warns of. */
static bool allow_tls12(SSL_CTX *ssl, struct err *err)
{
#ifdef OPENSSL_NO_TLS1_2
    (void)ssl;
    return err_set(err, ERR_CONFIG, "TLS 1.2 is not built in");
#else
    return (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
            SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1) ||
           tls_error(err, ERR_TLS, "setting up TLS 1.2");
#endif
}

bool session_client_context(const struct session_client_options *options,
                            struct session_context **out, struct err *err)
{
    CLEANUP(session_context_unref_cleanup)
    struct session_context *c = context_new(TLS_client_method(), err);

    if (!c || !judge(c, options, err))
        return false;
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_alpn_protos(c->ssl, http11, sizeof http11 - 1) != 0 ||
        (options->suites && SSL_CTX_set_ciphersuites(c->ssl, options->suites) != 1))
        return tls_error(err, ERR_TLS, "setting up TLS");
    if (options->tls12 && !allow_tls12(c->ssl, err))
        return false;
    *out = take(c);
    return true;
}

static int choose_http11(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                         const unsigned char *in, unsigned in_len, void *context)
{
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_len, http11, sizeof http11 - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool use_chain(struct session_context *c, struct view pem, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *leaf = bio ? next_certificate(bio) : NULL, *x;
    unsigned n = 0;
    bool good = leaf && SSL_CTX_use_certificate(c->ssl, leaf) == 1 &&
                X509_digest(leaf, EVP_sha256(), c->leaf, &n) == 1;

    while (good && (x = next_certificate(bio)) != NULL) {
        good = SSL_CTX_add0_chain_cert(c->ssl, x) == 1;
        if (!good)
            X509_free(x);
    }
    X509_free(leaf);
    BIO_free(bio);
    return good || tls_error(err, ERR_CONFIG, "the certificate is not in PEM");
}

/* Nobody is asked for a passphrase. NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL says which type */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

bool session_server_context(struct view chain, struct view key, struct session_context **out,
                            struct err *err)
{
    CLEANUP(session_context_unref_cleanup)
    struct session_context *c = context_new(TLS_server_method(), err);
    EVP_PKEY *private;
    BIO *bio;

    if (!c || !use_chain(c, chain, err))
        return false;
    bio = BIO_new_mem_buf(key.at, (int)key.len);
    private = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!private || SSL_CTX_use_PrivateKey(c->ssl, private) != 1 ||
        SSL_CTX_check_private_key(c->ssl) != 1) {
        EVP_PKEY_free(private);
        return tls_error(err, ERR_CONFIG, "the key is not in PEM, or not the certificate's");
    }
    EVP_PKEY_free(private);
    SSL_CTX_set_alpn_select_cb(c->ssl, choose_http11, NULL);
    *out = take(c);
    return true;
}

/* --- sessions --- */

static struct session *session_new(struct session_context *c, struct err *err)
{
    CLEANUP(session_free_cleanup) struct session *s = calloc(1, sizeof *s);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    if (s)
        buf_init(&s->output, OUTPUT_MAX, "TLS output");
    if (!s || !in || !out || !(s->ssl = SSL_new(c->ssl))) {
        BIO_free(in);
        BIO_free(out);
        (void)tls_error(err, ERR_MEMORY, "no memory for a TLS session");
        return NULL;
    }
    s->context = session_context_ref(c);
    (void)BIO_set_mem_eof_return(in, -1); /* empty is not the end */
    SSL_set_bio(s->ssl, in, out);
    s->in = in;
    s->out = out;
    return take(s);
}

/* Labels of letters, digits, '-' and '_' with a dot between each two: one that begins with a dot would stand for all names below
 * it, and one that ends with a dot for the same host by another name. */
static bool name_good(const char *name)
{
    struct view rest = view_str(name);

    while (rest.len) {
        struct view label = view_first(rest, view_find(rest, '.'));

        for (size_t i = 0; i < label.len; i++)
            if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
                        label.at[i]))
                return false;
        if (!label.len || label.len > LABEL_BYTES_MAX)
            return false;
        if (label.len == rest.len)
            return true;
        rest = view_skip(rest, label.len + 1);
    }
    return false;
}

static bool set_name(struct session *s, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    char copy[TLS_NAME_BYTES_MAX + 1]; /* OpenSSL wants one that it might write to */

    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return true; /* a literal: no SNI (RFC 6066, 3) */
    ERR_clear_error();
    if (!name_good(name))
        return false;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    (void)snprintf(copy, sizeof copy, "%s", name);
    return SSL_set_tlsext_host_name(s->ssl, copy) == 1 && SSL_set1_host(s->ssl, name) == 1;
}

bool session_connect(struct session_context *c, const char *server_name, struct session **out,
                     struct err *err)
{
    CLEANUP(session_free_cleanup) struct session *s = NULL;

    s = session_new(c, err);
    if (!s)
        return false;
    if (strlen(server_name) > TLS_NAME_BYTES_MAX || !set_name(s, server_name))
        return err_set(err, ERR_NAME, "not a DNS name or IP address");
    SSL_set_connect_state(s->ssl);
    *out = take(s);
    return true;
}

bool session_accept(struct session_context *c, struct session **out, struct err *err)
{
    struct session *s = session_new(c, err);

    if (!s)
        return false;
    SSL_set_accept_state(s->ssl);
    *out = s;
    return true;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    buf_done(&s->output);
    session_context_unref(s->context);
    free(s);
}

bool session_feed(struct session *s, struct view ciphertext, struct err *err)
{
    while (ciphertext.len) {
        int n = BIO_write(s->in, ciphertext.at,
                          ciphertext.len < INT32_MAX ? (int)ciphertext.len : INT32_MAX);

        if (n <= 0)
            return tls_error(err, ERR_MEMORY, "no memory for TLS input");
        ciphertext = view_skip(ciphertext, (size_t)n);
    }
    return true;
}

void session_feed_end(struct session *s)
{
    (void)BIO_set_mem_eof_return(s->in, 0);
}

static void collect(struct session *s)
{
    uint8_t *room;
    size_t n = BIO_ctrl_pending(s->out);

    if (!n || !buf_room(&s->output, n, &room, NULL))
        return;
    (void)BIO_read_ex(s->out, room, n, &n);
    buf_wrote(&s->output, n);
}

struct view session_output(struct session *s)
{
    collect(s);
    return buf_view(&s->output);
}

void session_sent(struct session *s, size_t n)
{
    buf_eat(&s->output, n);
}

/* Why OpenSSL could not go on. */
static enum tls_status status_of(struct session *s, int result, const char *doing, struct err *err)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_READ;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    default:
        break;
    }
    if (ERR_peek_error() && SSL_get_verify_result(s->ssl) != X509_V_OK) {
        ERR_clear_error();
        (void)err_set(err, ERR_TLS, "the server's certificate: %s",
                      X509_verify_cert_error_string(SSL_get_verify_result(s->ssl)));
    } else {
        (void)tls_error(err, ERR_TLS, "TLS %s", doing);
    }
    return TLS_FAILED;
}

static bool protocol_good(struct session *s, struct err *err)
{
    const unsigned char *chosen;
    unsigned n;

    SSL_get0_alpn_selected(s->ssl, &chosen, &n);
    return !n || (n == sizeof http11 - 2 && memcmp(chosen, http11 + 1, n) == 0) ||
           err_set(err, ERR_TLS, "the server chose another protocol than http/1.1 (ALPN)");
}

enum tls_status session_handshake(struct session *s, struct err *err)
{
    int result;

    ERR_clear_error();
    result = SSL_do_handshake(s->ssl);
    if (result != 1)
        return status_of(s, result, "handshake", err);
    return protocol_good(s, err) ? TLS_OK : TLS_FAILED;
}

enum tls_status session_read(struct session *s, void *at, size_t *n, struct err *err)
{
    size_t room = *n;
    int result;

    *n = 0;
    ERR_clear_error();
    result = SSL_read_ex(s->ssl, at, room, n);
    return result == 1 ? TLS_OK : status_of(s, result, "reading", err);
}

bool session_write(struct session *s, struct view plaintext, struct err *err)
{
    while (plaintext.len) {
        size_t piece = plaintext.len < PIECE_BYTES ? plaintext.len : PIECE_BYTES, wrote;

        ERR_clear_error();
        if (SSL_write_ex(s->ssl, plaintext.at, piece, &wrote) != 1)
            return tls_error(err, ERR_TLS, "TLS writing");
        plaintext = view_skip(plaintext, wrote);
    }
    return true;
}

void session_close(struct session *s)
{
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
}

bool session_exporter(const struct session *s, uint8_t out[static SESSION_EXPORTER_BYTES],
                      struct err *err)
{
    if (SSL_is_init_finished(s->ssl) && SSL_version(s->ssl) == TLS1_3_VERSION &&
        SSL_export_keying_material(s->ssl, out, SESSION_EXPORTER_BYTES, exporter_label,
                                   sizeof exporter_label - 1, NULL, 0, 0) == 1)
        return true;
    return tls_error(err, ERR_TLS, "no exporter value (RFC 8446, 7.5)");
}

bool session_leaf(const struct session *s, uint8_t out[static SESSION_HASH_BYTES], struct err *err)
{
    const X509 *leaf;
    unsigned n = 0;

    if (SSL_is_server(s->ssl)) {
        memcpy(out, s->context->leaf, SESSION_HASH_BYTES);
        return true;
    }
    leaf = SSL_get0_peer_certificate(s->ssl);
    return (leaf && X509_digest(leaf, EVP_sha256(), out, &n) == 1) ||
           err_set(err, ERR_TLS, "missing server certificate");
}

bool session_leaf_der(const struct session *s, struct buf *out, struct err *err)
{
    const X509 *leaf = SSL_get0_peer_certificate(s->ssl);
    int n = leaf ? i2d_X509(leaf, NULL) : 0;
    uint8_t *room;

    if (n <= 0)
        return err_set(err, ERR_TLS, "missing server certificate");
    if (!buf_room(out, (size_t)n, &room, err) || i2d_X509(leaf, &room) != n)
        return false;
    buf_wrote(out, (size_t)n);
    return true;
}

const char *session_cipher(const struct session *s)
{
    return SSL_get_cipher_name(s->ssl);
}

const char *session_group(const struct session *s)
{
    const char *name = SSL_group_to_name(s->ssl, (int)SSL_get_negotiated_group(s->ssl));

    return name ? name : "unknown";
}
