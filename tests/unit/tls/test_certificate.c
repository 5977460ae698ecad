/* Certificates to order: what stands in them, and whom they hold for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls/certificate.h"
#include "tls/selfsigned.h"

enum { DAY_S = 86400, TLS_NAME_BYTES = 253 };

static EVP_PKEY *a_key(void)
{
    EVP_PKEY *key = NULL;
    struct err err;

    if (!certificate_key(&key, &err))
        fail_msg("%s", err.text);
    return key;
}

static struct certificate_spec a_spec(EVP_PKEY *key)
{
    int64_t now_s = (int64_t)time(NULL);

    return (struct certificate_spec){
        .common_name = "somebody",
        .key = key,
        .not_before_s = now_s - DAY_S,
        .not_after_s = now_s + DAY_S,
    };
}

static X509 *make(const struct certificate_spec *spec)
{
    X509 *x = NULL;
    struct err err;

    if (!certificate_make(spec, &x, &err))
        fail_msg("%s", err.text);
    return x;
}

static bool holds(X509 *leaf, X509 *root, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool good;

    assert_true(X509_STORE_add_cert(store, root) == 1);
    assert_true(X509_STORE_CTX_init(context, store, leaf, NULL) == 1);
    assert_true(X509_STORE_CTX_set_purpose(context, purpose) == 1);
    good = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return good;
}

static void each_use_is_written_into_the_certificate(void **state)
{
    static const struct {
        enum certificate_use use;
        int path_length;
        uint32_t usage;
        long pathlen;
        bool ca;
    } rows[] = {
        {CERTIFICATE_SIGNS, 0, KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION, -1, false},
        {CERTIFICATE_SERVES, 0, KU_DIGITAL_SIGNATURE, -1, false},
        {CERTIFICATE_ISSUES, 2, KU_KEY_CERT_SIGN | KU_CRL_SIGN, 2, true},
        {CERTIFICATE_ISSUES, -1, KU_KEY_CERT_SIGN | KU_CRL_SIGN, -1, true},
    };
    EVP_PKEY *key = a_key();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct certificate_spec spec = a_spec(key);
        X509 *x;

        spec.use = rows[i].use;
        spec.path_length = rows[i].path_length;
        x = make(&spec);
        assert_int_equal(X509_check_ca(x) == 1, rows[i].ca);
        assert_int_equal(X509_get_key_usage(x), rows[i].usage);
        assert_int_equal(X509_get_pathlen(x), rows[i].pathlen);
        assert_int_equal(X509_get_extended_key_usage(x) == XKU_SSL_SERVER,
                         rows[i].use == CERTIFICATE_SERVES);
        assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_CLIENT, 0) == 1,
                         rows[i].use == CERTIFICATE_SIGNS);
        assert_int_equal(X509_verify(x, key), 1);
        X509_free(x);
    }
    EVP_PKEY_free(key);
}

static void a_chain_holds_for_its_root_alone(void **state)
{
    EVP_PKEY *ca_key = a_key(), *other_key = a_key(), *key = a_key();
    struct certificate_spec spec = a_spec(ca_key);
    X509 *ca, *other, *leaf;

    (void)state;
    spec.use = CERTIFICATE_ISSUES;
    ca = make(&spec);
    spec.key = other_key;
    other = make(&spec); /* of the same name */
    spec = a_spec(key);
    spec.use = CERTIFICATE_SERVES;
    spec.common_name = "leaf";
    spec.issuer = ca;
    spec.issuer_key = ca_key;
    leaf = make(&spec);
    assert_true(holds(leaf, ca, X509_PURPOSE_SSL_SERVER));
    assert_false(holds(leaf, ca, X509_PURPOSE_SSL_CLIENT));
    assert_false(holds(leaf, other, X509_PURPOSE_SSL_SERVER));
    X509_free(leaf);
    spec.not_after_s = spec.not_before_s + 1;
    leaf = make(&spec);
    assert_false(holds(leaf, ca, X509_PURPOSE_SSL_SERVER));
    X509_free(leaf);
    X509_free(other);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(ca_key);
}

static void names_are_what_they_say(void **state)
{
    EVP_PKEY *key = a_key();
    struct certificate_spec spec = a_spec(key);
    X509 *x;

    (void)state;
    spec.alt_names = "DNS:a.test,DNS:*.b.test,IP:127.0.0.1,IP:::1";
    x = make(&spec);
    assert_int_equal(X509_check_host(x, "a.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "x.b.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "x.y.b.test", 0, 0, NULL), 0);
    assert_int_equal(X509_check_host(x, "somebody", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.2", 0), 0);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void names_that_are_none_are_refused(void **state)
{
    static const char *const names[] = {
        "",       "DNS:",  "IP:",       "a.test", "URI:http://a", "DNS:a b",   "DNS:a..b", "DNS:.a",
        "DNS:a.", "DNS:*", "DNS:a.*.b", "DNS:a,", "IP:1.2.3",     "IP:a.test", "DNS:a\n"};
    EVP_PKEY *key = a_key();
    struct certificate_spec spec = a_spec(key);
    X509 *x = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        spec.alt_names = names[i];
        if (certificate_make(&spec, &x, &err))
            fail_msg("taken: \"%s\"", names[i]);
        assert_non_null(strstr(err.text, "making a certificate for \"somebody\""));
    }
    spec = a_spec(key);
    spec.common_name = "";
    assert_false(certificate_make(&spec, &x, &err));
    assert_null(x);
    EVP_PKEY_free(key);
}

static void a_name_tells_what_it_is(void **state)
{
    static const struct {
        const char *name, *out; /* NULL: refused */
    } rows[] = {
        {"a.test", "DNS:a.test"},
        {"*.a.test", "DNS:*.a.test"},
        {"10.0.0.1", "IP:10.0.0.1"},
        {"::1", "IP:::1"},
        {"a_b-c.1", "DNS:a_b-c.1"},
        {"", NULL},
        {"a,b", NULL},
        {"[::1]", NULL},
        {"a:443", NULL},
        {"a/b", NULL},
        {"\xff", NULL},
    };
    char out[64];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(certificate_alt_name(rows[i].name, out, sizeof out, &err),
                         rows[i].out != NULL);
        if (rows[i].out)
            assert_string_equal(out, rows[i].out);
        else
            assert_int_equal(err.code, ERR_USAGE);
    }
    assert_false(certificate_alt_name("a.test", out, 10, &err));
}

static void what_vouches_for_itself_is_read_back(void **state)
{
    struct buf pem, key_pem;
    EVP_PKEY *key;
    struct err err;
    BIO *bio;
    X509 *x;

    (void)state;
    buf_init(&pem, 1 << 16, "certificate");
    buf_init(&key_pem, 1 << 16, "key");
    assert_true(selfsigned_make("tee.example", 30, &pem, &key_pem, &err));
    bio = BIO_new_mem_buf(pem.area, (int)buf_len(&pem));
    x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key_pem.area, (int)buf_len(&key_pem));
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_true(x && key && X509_check_private_key(x, key) == 1);
    assert_true(holds(x, x, X509_PURPOSE_SSL_SERVER));
    assert_int_equal(X509_check_host(x, "tee.example", 0, 0, NULL), 1);
    EVP_PKEY_free(key);
    X509_free(x);
    buf_reset(&pem);
    buf_reset(&key_pem);
    assert_false(selfsigned_make("no name", 30, &pem, &key_pem, &err));
    assert_int_equal(buf_len(&pem) + buf_len(&key_pem), 0);
    buf_done(&pem);
    buf_done(&key_pem);
}

static X509_REQ *request_for(const char *name, EVP_PKEY *key)
{
    struct buf pem;
    X509_REQ *r;
    struct err err;
    BIO *bio;

    buf_init(&pem, 8192, "request");
    if (!certificate_request(name, key, &pem, &err))
        fail_msg("%s", err.text);
    bio = BIO_new_mem_buf(buf_view(&pem).at, (int)buf_len(&pem));
    r = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    assert_non_null(r);
    BIO_free(bio);
    buf_done(&pem);
    return r;
}

static void a_request_names_its_key_and_whom_it_is_for(void **state)
{
    char cn[128], longest[TLS_NAME_BYTES + 1];
    EVP_PKEY *key = a_key(), *other = a_key();
    STACK_OF(X509_EXTENSION) * extensions;
    GENERAL_NAMES *names;
    struct buf pem;
    struct err err;
    X509_REQ *r;

    (void)state;
    r = request_for("tee.example.com", key);
    assert_int_equal(X509_REQ_verify(r, key), 1);
    assert_int_not_equal(X509_REQ_verify(r, other), 1);
    assert_int_equal(X509_REQ_check_private_key(r, key), 1);
    X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(r), NID_commonName, cn, sizeof cn);
    assert_string_equal(cn, "tee.example.com");
    extensions = X509_REQ_get_extensions(r);
    names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_DNS);
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(r);
    /* Longer than a common name may be: subjectAltName is what counts. */
    memset(longest, 'a', sizeof longest - 1);
    for (size_t i = 50; i < sizeof longest - 1; i += 51)
        longest[i] = '.';
    longest[sizeof longest - 1] = '\0';
    r = request_for(longest, key);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(r)), 0);
    X509_REQ_free(r);
    buf_init(&pem, 8192, "request");
    assert_false(certificate_request("no name", key, &pem, &err));
    assert_int_equal(buf_len(&pem), 0);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_use_is_written_into_the_certificate),
        cmocka_unit_test(a_chain_holds_for_its_root_alone),
        cmocka_unit_test(names_are_what_they_say),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(a_name_tells_what_it_is),
        cmocka_unit_test(what_vouches_for_itself_is_read_back),
        cmocka_unit_test(a_request_names_its_key_and_whom_it_is_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
