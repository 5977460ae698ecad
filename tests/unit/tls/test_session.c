/* Both ends of a session, face to face. How the client looks at strangers stands in tests/unit/atls/test_peer.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <time.h>

#include "sim/certificates.h"
#include "tls/session.h"

struct ends {
    struct session_context *server_context, *client_context;
    struct session *server, *client;
};

static void open_ends(struct ends *e)
{
    struct session_client_options options = {.any_certificate = false};
    int64_t now = (int64_t)time(NULL);
    struct sim_certificate_spec spec = {.name = "A",
                                        .alt_names = "DNS:a.test",
                                        .not_before_s = now - 100,
                                        .not_after_s = now + 1000};
    struct buf chain, key;
    X509 *x = NULL;

    buf_init(&chain, 1 << 16, "chain");
    buf_init(&key, 1 << 16, "key");
    assert_true(sim_key(&spec.key, NULL) && sim_certificate(&spec, &x, NULL) &&
                sim_pem(x, &chain, NULL) && sim_key_pem(spec.key, &key, NULL));
    options.roots = buf_view(&chain); /* it is its own root */
    assert_true(session_server_context(buf_view(&chain), buf_view(&key), &e->server_context, NULL));
    assert_true(session_client_context(&options, &e->client_context, NULL));
    assert_true(session_accept(e->server_context, &e->server, NULL));
    assert_true(session_connect(e->client_context, "a.test", &e->client, NULL));
    X509_free(x);
    EVP_PKEY_free(spec.key);
    buf_done(&chain);
    buf_done(&key);
}

static void close_ends(struct ends *e)
{
    session_free(e->server);
    session_free(e->client);
    session_context_unref(e->server_context);
    session_context_unref(e->client_context);
}

static size_t carry(struct session *from, struct session *to)
{
    struct view out = session_output(from);
    size_t n = out.len;

    assert_true(session_feed(to, out, NULL));
    session_sent(from, n);
    return n;
}

static void shake(struct ends *e)
{
    enum tls_status client, server;

    do {
        client = session_handshake(e->client, NULL);
        (void)carry(e->client, e->server);
        server = session_handshake(e->server, NULL);
        (void)carry(e->server, e->client);
        assert_true(client != TLS_FAILED && server != TLS_FAILED);
    } while (client != TLS_OK || server != TLS_OK);
}

static void both_ends_know_the_same(void **state)
{
    uint8_t at_client[SESSION_EXPORTER_BYTES], at_server[SESSION_EXPORTER_BYTES];
    uint8_t leaf[SESSION_HASH_BYTES], own[SESSION_HASH_BYTES], word[16];
    size_t n = sizeof word;
    struct ends e;

    (void)state;
    open_ends(&e);
    assert_false(session_exporter(e.client, at_client, NULL));
    assert_false(session_exporter(e.server, at_server, NULL));
    shake(&e);
    assert_true(session_exporter(e.client, at_client, NULL) &&
                session_exporter(e.server, at_server, NULL));
    assert_memory_equal(at_client, at_server, sizeof at_client);
    assert_true(session_leaf(e.client, leaf, NULL) && session_leaf(e.server, own, NULL));
    assert_memory_equal(leaf, own, sizeof leaf);
    assert_true(session_write(e.client, VIEW("hello"), NULL));
    (void)carry(e.client, e.server);
    assert_int_equal(session_read(e.server, word, &n, NULL), TLS_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(word, "hello", 5);
    close_ends(&e);
}

static void an_end_is_told_from_a_cut(void **state)
{
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        uint8_t word[16];
        size_t n = sizeof word;
        struct ends e;

        open_ends(&e);
        shake(&e);
        assert_int_equal(session_read(e.client, word, &n, NULL), TLS_WANT_READ);
        if (!cut)
            session_close(e.server);
        (void)carry(e.server, e.client);
        session_feed_end(e.client);
        n = sizeof word;
        assert_int_equal(session_read(e.client, word, &n, NULL), cut ? TLS_FAILED : TLS_EOF);
        close_ends(&e);
    }
}

/* A client that wants less than TLS 1.3, or another protocol, is sent away. */
static void the_server_insists_as_well(void **state)
{
    static const struct {
        int version;
        const char *protocols;
        bool good;
    } cases[] = {
        {TLS1_3_VERSION, NULL, true},
        {TLS1_3_VERSION, "\x08http/1.1", true},
        {TLS1_3_VERSION, "\x02h2\x08http/1.1", true},
        {TLS1_3_VERSION, "\x02h2", false},
        {TLS1_2_VERSION, "\x08http/1.1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const unsigned char *protocols = (const unsigned char *)cases[i].protocols;
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL *ssl = SSL_new(context);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        enum tls_status status;
        struct ends e;
        uint8_t bytes[4096];
        int n;

        assert_true(context && ssl && in && out);
        open_ends(&e);
        SSL_set_bio(ssl, in, out);
        SSL_set_connect_state(ssl);
        assert_int_equal(SSL_set_max_proto_version(ssl, cases[i].version), 1);
        if (protocols)
            assert_int_equal(
                SSL_set_alpn_protos(ssl, protocols, (unsigned)strlen(cases[i].protocols)), 0);
        do {
            struct view reply;

            (void)SSL_do_handshake(ssl);
            n = BIO_read(out, bytes, sizeof bytes);
            if (n > 0)
                assert_true(session_feed(e.server, view_from(bytes, (size_t)n), NULL));
            status = session_handshake(e.server, NULL);
            reply = session_output(e.server);
            if (reply.len)
                assert_int_equal(BIO_write(in, reply.at, (int)reply.len), (int)reply.len);
            session_sent(e.server, reply.len);
        } while (status == TLS_WANT_READ);
        assert_int_equal(status, cases[i].good ? TLS_OK : TLS_FAILED);
        SSL_free(ssl);
        SSL_CTX_free(context);
        close_ends(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_know_the_same),
        cmocka_unit_test(an_end_is_told_from_a_cut),
        cmocka_unit_test(the_server_insists_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
