#include "tls/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../support/certs.h"

enum { ROUNDS_MAX = 200000, BULK_BYTES = 1024 * 1024, PATH_BYTES = 256 };

/* Certificates on disk, for the whole run. */
static struct {
    char dir[64];
    struct cert ca, other_ca, client, strange_client;
    char pair_a[2 * PATH_BYTES], pair_b[2 * PATH_BYTES], pair_wild[2 * PATH_BYTES];
    char ca_file[PATH_BYTES];
} files;

/* A server of ours and a client of OpenSSL's on two ends of a socket pair. */
struct ends {
    struct tls_config *config;
    struct tls *server;
    SSL_CTX *client_context;
    SSL *client;
    int fds[2]; /* server's, client's */
    struct err err;
};

static char *path_of(const char *name, const char *suffix, char out[static PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s%s", files.dir, name, suffix);
    return out;
}

static void write_pair(const char *name, const struct cert *c, char pair[static 2 * PATH_BYTES])
{
    char cert[PATH_BYTES], key[PATH_BYTES];

    cert_write(c, path_of(name, ".pem", cert), path_of(name, ".key", key), NULL);
    (void)snprintf(pair, 2 * PATH_BYTES, "%s:%s", cert, key);
}

static void write_server(const char *name, const char *dns_names, bool expired,
                         char pair[static 2 * PATH_BYTES])
{
    struct cert c = cert_make(&(struct cert_spec){
        .common_name = name, .dns_names = dns_names, .issuer = &files.ca, .expired = expired});

    write_pair(name, &c, pair);
    cert_done(&c);
}

static int make_files(void **state)
{
    char pair[2 * PATH_BYTES];

    (void)state;
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    (void)snprintf(files.dir, sizeof files.dir, "/tmp/test-tls-XXXXXX");
    assert_non_null(mkdtemp(files.dir));
    files.ca = cert_make(&(struct cert_spec){.common_name = "ca", .authority = true});
    files.other_ca = cert_make(&(struct cert_spec){.common_name = "other", .authority = true});
    files.client = cert_make(&(struct cert_spec){.common_name = "client", .issuer = &files.ca});
    files.strange_client =
        cert_make(&(struct cert_spec){.common_name = "client", .issuer = &files.other_ca});
    write_pair("ca", &files.ca, pair);
    (void)path_of("ca", ".pem", files.ca_file);
    write_server("a", "DNS:a.test,DNS:also-a.test", false, files.pair_a);
    write_server("b", "DNS:b.test", false, files.pair_b);
    write_server("wild", "DNS:*.wild.test,DNS:a.test", false, files.pair_wild);
    return 0;
}

static int remove_files(void **state)
{
    char command[PATH_BYTES];

    (void)state;
    cert_done(&files.ca);
    cert_done(&files.other_ca);
    cert_done(&files.client);
    cert_done(&files.strange_client);
    (void)snprintf(command, sizeof command, "rm -r %s", files.dir);
    return system(command);
}

static struct tls_config *load(const struct tls_options *o)
{
    struct tls_config *c = NULL;
    struct err err = {0};

    if (!tls_config_load(o, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static struct ends open_ends(struct tls_config *config)
{
    struct ends e = {.config = config};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, e.fds), 0);
    assert_true(tls_accept(config, e.fds[0], &e.server, &e.err));
    e.client_context = SSL_CTX_new(TLS_client_method());
    assert_non_null(e.client_context);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(e.client_context), files.ca.x509),
                     1);
    SSL_CTX_set_verify(e.client_context, SSL_VERIFY_PEER, NULL);
    e.client = SSL_new(e.client_context);
    assert_non_null(e.client);
    SSL_set_connect_state(e.client);
    assert_int_equal(SSL_set_fd(e.client, e.fds[1]), 1);
    return e;
}

static void close_ends(struct ends *e)
{
    SSL_free(e->client);
    SSL_CTX_free(e->client_context);
    tls_free(e->server);
    for (size_t i = 0; i < 2; i++)
        if (e->fds[i] >= 0)
            close(e->fds[i]);
}

static bool wants(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Returns what the server says in the end; the client may have failed. */
static enum tls_status shake_hands(struct ends *e)
{
    enum tls_status status = TLS_WANT_READ;
    bool client_over = false;

    for (int i = 0; i < ROUNDS_MAX; i++) {
        if (!client_over) {
            int result = SSL_do_handshake(e->client);

            client_over = result == 1 || !wants(e->client, result);
        }
        ERR_clear_error(); /* the client's */
        if (status == TLS_WANT_READ || status == TLS_WANT_WRITE)
            status = tls_handshake(e->server, &e->err);
        assert_int_equal(ERR_peek_error(), 0);
        if (client_over && status != TLS_WANT_READ && status != TLS_WANT_WRITE)
            return status;
    }
    fail_msg("the handshake does not end");
    return TLS_FAILED;
}

static struct ends connect_ends(struct tls_config *config)
{
    struct ends e = open_ends(config);

    if (shake_hands(&e) != TLS_OK)
        fail_msg("%s", e.err.text);
    return e;
}

static void check_down(struct ends *e, const char *text)
{
    size_t n = strlen(text);
    char got[64];
    int count;

    assert_int_equal(tls_send(e->server, text, &n, &e->err), TLS_OK);
    assert_int_equal(n, strlen(text));
    count = SSL_read(e->client, got, sizeof got);
    assert_int_equal(count, (int)strlen(text));
    assert_memory_equal(got, text, n);
}

static void check_up(struct ends *e, const char *text)
{
    char got[64];
    size_t n = sizeof got;

    assert_int_equal(SSL_write(e->client, text, (int)strlen(text)), (int)strlen(text));
    assert_int_equal(tls_recv(e->server, got, &n, &e->err), TLS_OK);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, n);
    n = sizeof got;
    assert_int_equal(tls_recv(e->server, got, &n, &e->err), TLS_WANT_READ);
    assert_int_equal(n, 0);
    assert_false(tls_pending(e->server));
}

static const char *server_name(const struct ends *e)
{
    static char name[64];
    X509 *x509 = SSL_get0_peer_certificate(e->client);

    assert_non_null(x509);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, name,
                                          sizeof name) > 0);
    return name;
}

static void shakes_hands_and_carries_bytes(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);

    (void)state;
    tls_config_unref(c);
    assert_string_equal(tls_version(e.server), "TLSv1.3");
    assert_false(tls_client_verified(e.server));
    assert_false(tls_kernel_send(e.server));
    assert_false(tls_kernel_recv(e.server));
    check_down(&e, "hello");
    check_up(&e, "good day");
    close_ends(&e);
}

/* Gives the server the bytes of in, one at a time, and a turn after each. */
static enum tls_status drip(struct ends *e, BIO *in)
{
    enum tls_status status = TLS_WANT_READ;
    char byte;

    while (BIO_read(in, &byte, 1) == 1) {
        assert_int_equal(send(e->fds[1], &byte, 1, 0), 1);
        status = tls_handshake(e->server, &e->err);
        if (status != TLS_OK)
            assert_int_equal(status, TLS_WANT_READ);
    }
    return status;
}

static void takes_a_handshake_byte_by_byte(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = open_ends(c);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    enum tls_status status = TLS_WANT_READ;
    char bytes[4096];

    (void)state;
    SSL_set_bio(e.client, in, out);
    for (int i = 0; i < 8 && status != TLS_OK; i++) {
        ssize_t n;

        (void)SSL_do_handshake(e.client);
        ERR_clear_error();
        status = drip(&e, out);
        while ((n = recv(e.fds[1], bytes, sizeof bytes, 0)) > 0)
            assert_int_equal(BIO_write(in, bytes, (int)n), n);
    }
    assert_int_equal(status, TLS_OK);
    close_ends(&e);
    tls_config_unref(c);
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 131 + i / 251);
}

/* The server sends all, always from another place in memory. */
static void bulk_down(struct ends *e, size_t piece)
{
    static uint8_t places[2][BULK_BYTES], got[BULK_BYTES];
    size_t sent = 0, received = 0, blocked = 0;

    for (size_t i = 0; i < BULK_BYTES; i++)
        places[0][i] = places[1][i] = byte_at(i);
    memset(got, 0, sizeof got);
    for (int i = 0; i < ROUNDS_MAX && received < BULK_BYTES; i++) {
        size_t n = BULK_BYTES - sent < piece ? BULK_BYTES - sent : piece;
        int count;

        if (n > 0) {
            enum tls_status status = tls_send(e->server, places[i % 2] + sent, &n, &e->err);

            assert_true(status == TLS_OK || status == TLS_WANT_WRITE);
            blocked += status == TLS_WANT_WRITE;
            sent += n;
            if (status == TLS_OK)
                continue;
        }
        while ((count = SSL_read(e->client, got + received, (int)(BULK_BYTES - received))) > 0)
            received += (size_t)count;
        ERR_clear_error();
    }
    assert_int_equal(received, BULK_BYTES);
    assert_memory_equal(got, places[0], BULK_BYTES);
    assert_true(blocked > 0);
}

static void bulk_up(struct ends *e, size_t piece)
{
    static uint8_t all[BULK_BYTES], got[BULK_BYTES];
    size_t sent = 0, received = 0;

    for (size_t i = 0; i < BULK_BYTES; i++)
        all[i] = byte_at(i + 7);
    memset(got, 0, sizeof got);
    for (int i = 0; i < ROUNDS_MAX && received < BULK_BYTES; i++) {
        enum tls_status status;
        int count = 1;

        while (sent < BULK_BYTES &&
               (count = SSL_write(e->client, all + sent, (int)(BULK_BYTES - sent))) > 0)
            sent += (size_t)count;
        ERR_clear_error();
        do {
            size_t n = BULK_BYTES - received < piece ? BULK_BYTES - received : piece;

            status = n ? tls_recv(e->server, got + received, &n, &e->err) : TLS_WANT_READ;
            assert_true(status == TLS_OK || status == TLS_WANT_READ);
            assert_true((status == TLS_OK) == (n > 0) || received == BULK_BYTES);
            received += status == TLS_OK ? n : 0;
        } while (status == TLS_OK);
    }
    assert_int_equal(received, BULK_BYTES);
    assert_memory_equal(got, all, BULK_BYTES);
}

static void carries_a_mebibyte_each_way_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {BULK_BYTES, 256 * 1024, 16384, 16385, 1000, 97};
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct ends e = connect_ends(c);

        (void)SSL_set_mode(e.client, SSL_MODE_ENABLE_PARTIAL_WRITE);
        bulk_down(&e, pieces[i]);
        bulk_up(&e, pieces[i]);
        close_ends(&e);
    }
    tls_config_unref(c);
}

static void says_when_decrypted_bytes_wait(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    char got[8] = "";
    size_t total = 0;

    (void)state;
    assert_int_equal(SSL_write(e.client, "abc", 3), 3);
    assert_int_equal(SSL_write(e.client, "de", 2), 2);
    do {
        size_t n = 1;

        assert_int_equal(tls_recv(e.server, got + total, &n, &e.err), TLS_OK);
        assert_int_equal(n, 1);
        total++;
    } while (tls_pending(e.server));
    assert_string_equal(got, "abcde");
    close_ends(&e);
    tls_config_unref(c);
}

static void a_part_of_a_record_is_nothing_to_read(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    BIO *out = BIO_new(BIO_s_mem());
    char bytes[256], got[64];
    int len;

    (void)state;
    SSL_set0_wbio(e.client, out);
    assert_int_equal(SSL_write(e.client, "whole", 5), 5);
    len = BIO_read(out, bytes, sizeof bytes);
    for (int i = 0; i < len; i++) {
        size_t n = sizeof got;
        enum tls_status status;

        assert_int_equal(send(e.fds[1], bytes + i, 1, 0), 1);
        status = tls_recv(e.server, got, &n, &e.err);
        assert_int_equal(status, i + 1 < len ? TLS_WANT_READ : TLS_OK);
        assert_false(tls_pending(e.server));
    }
    assert_memory_equal(got, "whole", 5);
    close_ends(&e);
    tls_config_unref(c);
}

static void use_client_certificate(struct ends *e, const struct cert *cert)
{
    assert_int_equal(SSL_use_certificate(e->client, cert->x509), 1);
    assert_int_equal(SSL_use_PrivateKey(e->client, cert->key), 1);
}

static void checks_client_certificates(void **state)
{
    static const struct {
        const struct cert *cert;
        bool required, ok, verified;
        const char *reason;
    } rows[] = {
        {NULL, false, true, false, NULL},
        {NULL, true, false, false, "did not return a certificate"},
        {&files.client, false, true, true, NULL},
        {&files.client, true, true, true, NULL},
        {&files.strange_client, false, false, false, "certificate verify failed"},
        {&files.strange_client, true, false, false, "certificate verify failed"},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        size_t row = i / 2;
        struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a,
                                                          .client_ca = files.ca_file,
                                                          .client_required = rows[row].required,
                                                          .tls12 = true});
        struct ends e = open_ends(c);

        if (i % 2)
            assert_true(SSL_set_max_proto_version(e.client, TLS1_2_VERSION));
        if (rows[row].cert)
            use_client_certificate(&e, rows[row].cert);
        assert_int_equal(shake_hands(&e), rows[row].ok ? TLS_OK : TLS_FAILED);
        assert_int_equal(tls_client_verified(e.server), rows[row].verified);
        if (rows[row].reason) {
            assert_int_equal(e.err.code, ERR_TLS);
            assert_non_null(strstr(e.err.text, rows[row].reason));
        }
        close_ends(&e);
        tls_config_unref(c);
    }
}

/* OpenSSL's macro casts const away, so it gets a copy. */
static void set_server_name(SSL *client, const char *name)
{
    char copy[64];

    (void)snprintf(copy, sizeof copy, "%s", name);
    assert_int_equal(SSL_set_tlsext_host_name(client, copy), 1);
}

static void chooses_the_certificate_by_name(void **state)
{
    static const char *const rows[][2] = {
        {NULL, "a"},           {"a.test", "a"},         {"A.Test", "a"},     {"also-a.test", "a"},
        {"b.test", "b"},       {"x.wild.test", "wild"}, {"wild.test", "a"},  {"x.y.wild.test", "a"},
        {"unknown.test", "a"}, {"test", "a"},           {".wild.test", "a"},
    };
    char certificates[8 * PATH_BYTES];
    struct tls_config *c;

    (void)state;
    (void)snprintf(certificates, sizeof certificates, "%s,%s,%s", files.pair_a, files.pair_b,
                   files.pair_wild);
    c = load(&(struct tls_options){.certificates = certificates});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ends e = open_ends(c);

        if (rows[i][0])
            set_server_name(e.client, rows[i][0]);
        assert_int_equal(shake_hands(&e), TLS_OK);
        assert_string_equal(server_name(&e), rows[i][1]);
        check_down(&e, "x");
        close_ends(&e);
    }
    tls_config_unref(c);
}

static void reload_keeps_old_connections_and_serves_new_ones_anew(void **state)
{
    struct tls_config *old = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(old), f;
    struct tls_config *new;

    (void)state;
    tls_config_unref(old);
    new = load(&(struct tls_options){.certificates = files.pair_b});
    f = connect_ends(new);
    assert_string_equal(server_name(&e), "a");
    assert_string_equal(server_name(&f), "b");
    check_down(&e, "old");
    check_up(&e, "old");
    check_down(&f, "new");
    tls_config_unref(new);
    close_ends(&e);
    check_up(&f, "new");
    close_ends(&f);
}

static void resumes_sessions_with_the_same_keys_only(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct tls_config *reloaded = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c), f;
    SSL_SESSION *session;

    (void)state;
    check_down(&e, "tickets come before this");
    session = SSL_get1_session(e.client);
    assert_int_equal(SSL_SESSION_is_resumable(session), 1);
    assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
    /* OpenSSL forgets the session of a connection that was not closed. */
    SSL_set_shutdown(e.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    close_ends(&e);
    for (int i = 0; i < 2; i++) {
        f = open_ends(i ? reloaded : c);
        assert_int_equal(SSL_set_session(f.client, session), 1);
        assert_int_equal(shake_hands(&f), TLS_OK);
        assert_int_equal(SSL_session_reused(f.client), i ? 0 : 1);
        check_up(&f, "x");
        SSL_set_shutdown(f.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        close_ends(&f);
    }
    SSL_SESSION_free(session);
    tls_config_unref(c);
    tls_config_unref(reloaded);
}

static void agrees_on_http_1_1_or_on_nothing(void **state)
{
    static const struct {
        const char *offer, *chosen;
        bool ok;
    } rows[] = {
        {"\x08http/1.1", "http/1.1", true},
        {"\x02h2\x08http/1.1", "http/1.1", true},
        {"\x02h2", NULL, false},
        {"\x08HTTP/1.1", NULL, false},
        {"\x08http/1.0\x02h2", NULL, false},
        {"", NULL, true},
    };
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ends e = open_ends(c);
        const unsigned char *chosen = NULL;
        unsigned len = 0;

        if (rows[i].offer[0])
            assert_int_equal(SSL_set_alpn_protos(e.client, (const unsigned char *)rows[i].offer,
                                                 (unsigned)strlen(rows[i].offer)),
                             0);
        assert_int_equal(shake_hands(&e), rows[i].ok ? TLS_OK : TLS_FAILED);
        SSL_get0_alpn_selected(e.client, &chosen, &len);
        assert_int_equal(len, rows[i].chosen ? strlen(rows[i].chosen) : 0);
        if (rows[i].chosen)
            assert_memory_equal(chosen, rows[i].chosen, len);
        if (!rows[i].ok)
            assert_non_null(strstr(e.err.text, "application protocol"));
        close_ends(&e);
    }
    tls_config_unref(c);
}

static void speaks_tls_1_2_only_when_told_to(void **state)
{
    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        struct tls_config *c =
            load(&(struct tls_options){.certificates = files.pair_a, .tls12 = allowed != 0});
        struct ends e = open_ends(c);

        assert_true(SSL_set_max_proto_version(e.client, TLS1_2_VERSION));
        assert_int_equal(shake_hands(&e), allowed ? TLS_OK : TLS_FAILED);
        if (allowed) {
            assert_string_equal(tls_version(e.server), "TLSv1.2");
            assert_true(SSL_CIPHER_is_aead(SSL_get_current_cipher(e.client)));
            check_up(&e, "x");
        } else {
            assert_non_null(strstr(e.err.text, "unsupported protocol"));
        }
        close_ends(&e);
        tls_config_unref(c);
    }
}

static void does_not_renegotiate(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a, .tls12 = true});
    struct ends e = open_ends(c);
    int result = -1;

    (void)state;
    assert_true(SSL_set_max_proto_version(e.client, TLS1_2_VERSION));
    assert_int_equal(shake_hands(&e), TLS_OK);
    assert_int_equal(SSL_renegotiate(e.client), 1);
    for (int i = 0; i < 8 && (i == 0 || wants(e.client, result)); i++) {
        char got[16];
        size_t n = sizeof got;

        result = SSL_do_handshake(e.client);
        assert_int_not_equal(tls_recv(e.server, got, &n, &e.err), TLS_OK);
    }
    assert_int_not_equal(result, 1);
    ERR_clear_error();
    close_ends(&e);
    tls_config_unref(c);
}

static void new_keys_change_nothing_for_the_caller(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(e.client, SSL_KEY_UPDATE_REQUESTED), 1);
        check_up(&e, "with new keys");
        check_down(&e, "with new keys");
    }
    close_ends(&e);
    tls_config_unref(c);
}

static void an_orderly_end_is_told_after_the_bytes_before_it(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    char got[64];
    size_t n = sizeof got;

    (void)state;
    assert_int_equal(SSL_write(e.client, "last", 4), 4);
    assert_true(SSL_shutdown(e.client) >= 0);
    assert_int_equal(tls_recv(e.server, got, &n, &e.err), TLS_OK);
    assert_int_equal(n, 4);
    for (int i = 0; i < 2; i++) {
        n = sizeof got;
        assert_int_equal(tls_recv(e.server, got, &n, &e.err), TLS_EOF);
        assert_int_equal(n, 0);
        assert_false(tls_pending(e.server));
    }
    /* The other direction is open still. */
    n = 3;
    assert_int_equal(tls_send(e.server, "bye", &n, &e.err), TLS_OK);
    assert_int_equal(SSL_read(e.client, got, sizeof got), 3);
    close_ends(&e);
    tls_config_unref(c);
}

static void our_end_is_orderly(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    char byte;

    (void)state;
    check_down(&e, "bye");
    assert_int_equal(tls_close(e.server), TLS_OK);
    assert_int_equal(SSL_get_error(e.client, SSL_read(e.client, &byte, 1)), SSL_ERROR_ZERO_RETURN);
    close_ends(&e);
    tls_config_unref(c);
}

static void an_end_without_close_notify_is_a_failure(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    char got[64];
    size_t n = sizeof got;

    (void)state;
    check_down(&e, "what is unread would make a reset of the end");
    assert_int_equal(SSL_write(e.client, "cut", 3), 3);
    close(e.fds[1]);
    e.fds[1] = -1;
    assert_int_equal(tls_recv(e.server, got, &n, &e.err), TLS_OK);
    assert_int_equal(n, 3);
    for (int i = 0; i < 2; i++) {
        n = sizeof got;
        assert_int_equal(tls_recv(e.server, got, &n, &e.err), TLS_FAILED);
        assert_non_null(strstr(e.err.text, "unexpected eof"));
        assert_int_equal(e.err.code, ERR_TLS);
    }
    assert_int_equal(tls_close(e.server), TLS_FAILED);
    n = 1;
    assert_int_equal(tls_send(e.server, "x", &n, &e.err), TLS_FAILED);
    assert_int_equal(n, 0);
    assert_int_equal(ERR_peek_error(), 0);
    close_ends(&e);
    tls_config_unref(c);
}

static void a_peer_that_is_gone_is_a_failure_to_send(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    size_t n = 1;

    (void)state;
    close(e.fds[1]);
    e.fds[1] = -1;
    assert_int_equal(tls_send(e.server, "x", &n, &e.err), TLS_FAILED);
    assert_non_null(strstr(e.err.text, strerror(EPIPE)));
    close_ends(&e);
    tls_config_unref(c);
}

static void a_broken_record_is_a_failure(void **state)
{
    static const char record[] = "\x17\x03\x03\x00\x20"
                                 "0123456789abcdef0123456789abcdef";
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = connect_ends(c);
    char got[64];

    (void)state;
    assert_int_equal(send(e.fds[1], record, sizeof record - 1, 0), sizeof record - 1);
    for (int i = 0; i < 2; i++) {
        size_t n = sizeof got;

        assert_int_equal(tls_recv(e.server, got, &n, &e.err), TLS_FAILED);
        assert_non_null(strstr(e.err.text, "bad record mac"));
        assert_int_equal(ERR_peek_error(), 0);
    }
    close_ends(&e);
    tls_config_unref(c);
}

static void what_is_no_tls_fails_the_handshake(void **state)
{
    static const char *const rows[][2] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http request"},
        {"\x05\x01\x00 and so on and so on", "what came is no TLS record"},
        {"\x16\x03\x01\x02\x00\x02garbage garbage", "TLS handshake: "},
    };
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ends e = open_ends(c);
        size_t len = strlen(rows[i][0]) + 8;
        char bytes[64] = "";

        (void)snprintf(bytes, sizeof bytes, "%s", rows[i][0]);
        if (i == 2) /* NULs: strlen has stopped at the first */
            memcpy(bytes, "\x16\x03\x01\x00\x10\x63garbage garbage!", len = 22);
        assert_int_equal(send(e.fds[1], bytes, len, 0), len);
        assert_int_equal(tls_handshake(e.server, &e.err), TLS_FAILED);
        assert_int_equal(e.err.code, ERR_TLS);
        assert_non_null(strstr(e.err.text, rows[i][1]));
        assert_int_equal(tls_handshake(e.server, &e.err), TLS_FAILED);
        assert_int_equal(tls_close(e.server), TLS_FAILED);
        assert_int_equal(ERR_peek_error(), 0);
        close_ends(&e);
    }
    tls_config_unref(c);
}

static void a_peer_that_leaves_in_the_handshake_is_an_end(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a});
    struct ends e = open_ends(c);

    (void)state;
    assert_int_equal(tls_handshake(e.server, &e.err), TLS_WANT_READ);
    close(e.fds[1]);
    e.fds[1] = -1;
    assert_int_equal(tls_handshake(e.server, &e.err), TLS_EOF);
    assert_int_equal(tls_handshake(e.server, &e.err), TLS_EOF);
    close_ends(&e);
    tls_config_unref(c);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void says_which_file_is_wrong_and_why(void **state)
{
    char cert_a[PATH_BYTES], key_a[PATH_BYTES], key_b[PATH_BYTES], none[PATH_BYTES];
    char locked_cert[PATH_BYTES], locked_key[PATH_BYTES], junk[PATH_BYTES];
    const char *const rows[][5] = {
        /* certificate, key, CAs, and two texts that must be in the error */
        {none, key_a, NULL, none, "No such file"},
        {cert_a, none, NULL, none, "No such file"},
        {junk, key_a, NULL, junk, "no start line"},
        {cert_a, junk, NULL, junk, "key "},
        {cert_a, key_b, NULL, key_b, "does not belong"},
        {locked_cert, locked_key, NULL, locked_key, "has a passphrase"},
        {cert_a, "", NULL, cert_a, "has no key"},
        {"", key_a, NULL, key_a, "has no key"},
        {cert_a, key_a, none, none, "No such file"},
        {cert_a, key_a, junk, junk, "client certificates"},
    };

    (void)state;
    (void)path_of("a", ".pem", cert_a);
    (void)path_of("a", ".key", key_a);
    (void)path_of("b", ".key", key_b);
    (void)path_of("none", ".pem", none);
    cert_write(&files.client, path_of("locked", ".pem", locked_cert),
               path_of("locked", ".key", locked_key), "secret");
    write_text(path_of("junk", ".pem", junk), "junk\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char pair[2 * PATH_BYTES];
        struct tls_config *c = NULL;
        struct err err = {0};

        (void)snprintf(pair, sizeof pair, "%s:%s", rows[i][0], rows[i][1]);
        assert_false(tls_config_load(
            &(struct tls_options){.certificates = pair, .client_ca = rows[i][2]}, &c, &err));
        assert_null(c);
        assert_int_equal(err.code, ERR_CONFIG);
        if (!strstr(err.text, rows[i][3]) || !strstr(err.text, rows[i][4]))
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void refuses_settings_that_make_no_sense(void **state)
{
    static const struct tls_options rows[] = {
        {.certificates = NULL},
        {.certificates = ""},
        {.certificates = ",,"},
        {.certificates = "only-a-certificate.pem"},
        {.certificates = files.pair_a, .client_required = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_config *c = NULL;
        struct err err = {0};

        assert_false(tls_config_load(&rows[i], &c, &err));
        assert_int_equal(err.code, ERR_CONFIG);
    }
}

static void serves_a_certificate_that_has_expired(void **state)
{
    char pair[2 * PATH_BYTES];
    struct tls_config *c;
    struct ends e;

    (void)state;
    write_server("expired", "DNS:expired.test", true, pair);
    c = load(&(struct tls_options){.certificates = pair});
    e = open_ends(c);
    SSL_set_verify(e.client, SSL_VERIFY_NONE, NULL);
    assert_int_equal(shake_hands(&e), TLS_OK);
    close_ends(&e);
    tls_config_unref(c);
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof a;

    assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&a, len), 0);
    fds[0] = accept(listener, NULL, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

static void works_over_tcp_with_or_without_the_kernel(void **state)
{
    struct tls_config *c = load(&(struct tls_options){.certificates = files.pair_a, .ktls = true});
    struct ends e = open_ends(c);
    char got[64];
    int count = -1;
    size_t n = 5;

    (void)state;
    close(e.fds[0]);
    close(e.fds[1]);
    tls_free(e.server);
    tcp_pair(e.fds);
    assert_true(tls_accept(c, e.fds[0], &e.server, &e.err));
    assert_int_equal(SSL_set_fd(e.client, e.fds[1]), 1);
    assert_int_equal(shake_hands(&e), TLS_OK);
    assert_int_equal(tls_kernel_available(), tls_kernel_available());
    assert_true(tls_kernel_available() || !tls_kernel_send(e.server));
    assert_int_equal(tls_send(e.server, "hello", &n, &e.err), TLS_OK);
    for (int i = 0; i < ROUNDS_MAX && count <= 0; i++) {
        struct pollfd readable = {.fd = e.fds[1], .events = POLLIN};

        assert_int_equal(poll(&readable, 1, 10000), 1); /* TCP takes its time */
        count = SSL_read(e.client, got, sizeof got);
    }
    assert_int_equal(count, 5);
    ERR_clear_error();
    close_ends(&e);
    tls_config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shakes_hands_and_carries_bytes),
        cmocka_unit_test(takes_a_handshake_byte_by_byte),
        cmocka_unit_test(carries_a_mebibyte_each_way_in_pieces_of_any_size),
        cmocka_unit_test(says_when_decrypted_bytes_wait),
        cmocka_unit_test(a_part_of_a_record_is_nothing_to_read),
        cmocka_unit_test(checks_client_certificates),
        cmocka_unit_test(chooses_the_certificate_by_name),
        cmocka_unit_test(reload_keeps_old_connections_and_serves_new_ones_anew),
        cmocka_unit_test(resumes_sessions_with_the_same_keys_only),
        cmocka_unit_test(agrees_on_http_1_1_or_on_nothing),
        cmocka_unit_test(speaks_tls_1_2_only_when_told_to),
        cmocka_unit_test(does_not_renegotiate),
        cmocka_unit_test(new_keys_change_nothing_for_the_caller),
        cmocka_unit_test(an_orderly_end_is_told_after_the_bytes_before_it),
        cmocka_unit_test(our_end_is_orderly),
        cmocka_unit_test(an_end_without_close_notify_is_a_failure),
        cmocka_unit_test(a_peer_that_is_gone_is_a_failure_to_send),
        cmocka_unit_test(a_broken_record_is_a_failure),
        cmocka_unit_test(what_is_no_tls_fails_the_handshake),
        cmocka_unit_test(a_peer_that_leaves_in_the_handshake_is_an_end),
        cmocka_unit_test(says_which_file_is_wrong_and_why),
        cmocka_unit_test(refuses_settings_that_make_no_sense),
        cmocka_unit_test(serves_a_certificate_that_has_expired),
        cmocka_unit_test(works_over_tcp_with_or_without_the_kernel),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
