#include "tls/tls_priv.h"

#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static bool add_pairs(struct tls_config *c, const struct tls_options *o, struct err *err);
static bool add_pair(struct tls_config *c, struct view pair, const struct tls_options *o,
                     struct err *err);
static bool split_pair(struct view pair, char cert[static PATH_MAX], char key[static PATH_MAX],
                       struct err *err);
static SSL_CTX *context_new(const struct tls_options *o);
static bool load_pair(SSL_CTX *context, const char *cert, const char *key, struct err *err);
static bool load_client_ca(SSL_CTX *context, const struct tls_options *o, struct err *err);
static int no_passphrase(char *out, int size, int writing, void *context);
static int choose_certificate(SSL *ssl, int *alert, void *context);
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *context);

CLEANUP_DEFINE(struct tls_config, tls_config_unref)

bool tls_config_load(const struct tls_options *o, struct tls_config **out, struct err *err)
{
    CLEANUP(tls_config_unref_cleanup) struct tls_config *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "no memory for the TLS settings");
    atomic_init(&c->refs, 1);
    ERR_clear_error();
    if (o->client_required && !o->client_ca)
        return err_set(err, ERR_CONFIG,
                       "client certificates are required, but no file of CAs is given to check "
                       "them by");
    if (!add_pairs(c, o, err))
        return false;
    for (size_t i = 0; i < c->context_count; i++)
        if (!tls_names_add(&c->names, SSL_CTX_get0_certificate(c->contexts[i]), c->contexts[i],
                           err))
            return false;
    *out = take(c);
    return true;
}

struct tls_config *tls_config_ref(struct tls_config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_config_unref(struct tls_config *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < c->context_count; i++)
        SSL_CTX_free(c->contexts[i]);
    tls_names_done(&c->names);
    free(c);
}

static bool add_pairs(struct tls_config *c, const struct tls_options *o, struct err *err)
{
    struct view rest = view_str(o->certificates), pair;

    while (view_next(&rest, ',', &pair))
        if (pair.len && !add_pair(c, pair, o, err))
            return false;
    if (c->context_count == 0)
        return err_set(err, ERR_CONFIG, "no certificate is given; write cert.pem:key.pem");
    return true;
}

static bool add_pair(struct tls_config *c, struct view pair, const struct tls_options *o,
                     struct err *err)
{
    char cert[PATH_MAX], key[PATH_MAX];
    SSL_CTX *context;

    if (!split_pair(pair, cert, key, err))
        return false;
    if (c->context_count == TLS_CERTIFICATES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d certificates", TLS_CERTIFICATES_MAX);
    context = context_new(o);
    if (!context)
        return tls_error(err, ERR_MEMORY, "setting up TLS");
    c->contexts[c->context_count++] = context;
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(context, c);
    return load_pair(context, cert, key, err) && load_client_ca(context, o, err);
}

static bool split_pair(struct view pair, char cert[static PATH_MAX], char key[static PATH_MAX],
                       struct err *err)
{
    size_t colon = view_find_last(pair, ':');
    struct view second = view_skip(pair, colon + 1);

    if (colon == pair.len || colon == 0 || second.len == 0)
        return err_set(err, ERR_CONFIG, "certificate \"%.*s\" has no key; write cert.pem:key.pem",
                       VIEW_ARG(view_first(pair, ERR_TEXT_BYTES)));
    if (colon >= PATH_MAX || second.len >= PATH_MAX)
        return err_set(err, ERR_CONFIG, "the name of a certificate's file is too long");
    (void)snprintf(cert, PATH_MAX, "%.*s", VIEW_ARG(view_first(pair, colon)));
    (void)snprintf(key, PATH_MAX, "%.*s", VIEW_ARG(second));
    return true;
}

static SSL_CTX *context_new(const struct tls_options *o)
{
    static const unsigned char session_context[] = "postern";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context)
        return NULL;
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE |
                                           SSL_OP_PRIORITIZE_CHACHA);
    if (o->ktls && tls_kernel_available())
        (void)SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Tickets carry all: nothing is remembered here, so nobody can fill a cache. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* One read of the socket brings the head and the body of a record. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(context, o->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) &&
        SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
        SSL_CTX_set_max_early_data(context, 0) &&
        SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static bool load_pair(SSL_CTX *context, const char *cert, const char *key, struct err *err)
{
    bool locked = false, ok;

    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        return tls_error(err, ERR_CONFIG, "certificate %s", cert);
    SSL_CTX_set_default_passwd_cb_userdata(context, &locked);
    ok = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (ok)
        return true;
    if (!locked && ERR_GET_REASON(ERR_peek_error()) != X509_R_KEY_VALUES_MISMATCH)
        return tls_error(err, ERR_CONFIG, "key %s", key);
    ERR_clear_error();
    if (locked)
        return err_set(err, ERR_CONFIG, "key %s has a passphrase; a service needs one without",
                       key);
    return err_set(err, ERR_CONFIG, "key %s does not belong to certificate %s", key, cert);
}

static bool load_client_ca(SSL_CTX *context, const struct tls_options *o, struct err *err)
{
    STACK_OF(X509_NAME) * names;

    if (!o->client_ca)
        return true;
    names = SSL_load_client_CA_file(o->client_ca);
    if (!names || SSL_CTX_load_verify_file(context, o->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_error(err, ERR_CONFIG, "CAs for client certificates %s", o->client_ca);
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context,
                       SSL_VERIFY_PEER | (o->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    return true;
}

/* A service has nobody to ask: a key with a passphrase is an error and not a prompt.
 * context: a bool to set, or NULL. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is OpenSSL's */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    bool *locked = context;

    (void)out;
    (void)size;
    (void)writing;
    if (locked)
        *locked = true;
    return -1;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is OpenSSL's */
static int choose_certificate(SSL *ssl, int *alert, void *context)
{
    const struct tls_config *c = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *found = name ? tls_names_find(&c->names, name) : NULL;

    (void)alert;
    if (!found)
        return SSL_TLSEXT_ERR_NOACK;
    if (!SSL_set_SSL_CTX(ssl, found))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301, 3.2: a client that offers protocols, but not ours, is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *context)
{
    static const char ours[] = "http/1.1";
    struct view rest = view_from(in, in_len);

    (void)ssl;
    (void)context;
    while (rest.len > 0) {
        struct view one = view_first(view_skip(rest, 1), rest.at[0]);

        if (view_eq(one, VIEW("http/1.1"))) {
            *out = (const unsigned char *)ours;
            *out_len = sizeof ours - 1;
            return SSL_TLSEXT_ERR_OK;
        }
        rest = view_skip(rest, 1 + (size_t)rest.at[0]);
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
