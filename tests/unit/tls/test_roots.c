/* Each compiled-in root is found by its name; a name alone is worth nothing. */
#include "tls/roots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <pthread.h>

static X509 *root(size_t i)
{
    const uint8_t *at = tls_roots.der + tls_roots.entries[i].offset;
    X509 *x = d2i_X509(NULL, &at, (long)tls_roots.entries[i].len);

    assert_non_null(x);
    assert_ptr_equal(at, tls_roots.der + tls_roots.entries[i].offset + tls_roots.entries[i].len);
    return x;
}

/* X509_V_OK, or why not. Some roots end before this test is run; their time is not the question. */
static int verify(X509_STORE *store, X509 *leaf)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int error;

    assert_non_null(context);
    assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_NO_CHECK_TIME);
    (void)X509_verify_cert(context);
    error = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    return error;
}

static X509_STORE *open_store(void)
{
    X509_STORE *store = X509_STORE_new();

    assert_non_null(store);
    assert_true(tls_roots_use(store));
    return store;
}

/* A certificate for a name of ours that says that it is by issuer, but is signed with a key of ours. */
static X509 *forged(const X509_NAME *issuer, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();

    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"mine", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    assert_int_equal(X509_set_subject_name(x, name), 1);
    assert_int_equal(X509_set_issuer_name(x, issuer), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    X509_NAME_free(name);
    return x;
}

static void the_table_is_whole_and_in_order(void **state)
{
    (void)state;
    assert_in_range(tls_roots.count, 100, 1000);
    for (size_t i = 0; i < tls_roots.count; i++) {
        X509 *x = root(i);

        assert_int_equal(X509_NAME_hash_ex(X509_get_subject_name(x), NULL, NULL, NULL),
                         tls_roots.entries[i].subject);
        assert_true(i == 0 || tls_roots.entries[i - 1].subject <= tls_roots.entries[i].subject);
        X509_free(x);
    }
}

/* Among those of its name; there are roots that share one. */
static bool found(X509_STORE *store, const X509 *x)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) * all;
    bool same = false;

    assert_non_null(context);
    assert_int_equal(X509_STORE_CTX_init(context, store, NULL, NULL), 1);
    all = X509_STORE_CTX_get1_certs(context, X509_get_subject_name(x));
    for (int i = 0; all && i < sk_X509_num(all); i++)
        same = same || X509_cmp(sk_X509_value(all, i), x) == 0;
    sk_X509_pop_free(all, X509_free);
    X509_STORE_CTX_free(context);
    return same;
}

static void every_root_is_found(void **state)
{
    X509_STORE *store = open_store();

    (void)state;
    for (int again = 0; again < 2; again++)
        for (size_t i = 0; i < tls_roots.count; i++) {
            X509 *x = root(i);

            assert_true(found(store, x));
            X509_free(x);
        }
    assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(store)), tls_roots.count);
    X509_STORE_free(store);
}

static void a_root_is_trusted(void **state)
{
    X509_STORE *store = open_store();
    X509 *x = root(0);

    (void)state;
    assert_int_equal(verify(store, x), X509_V_OK);
    X509_free(x);
    X509_STORE_free(store);
}

/* An anchor has lost its signature, and nothing that a chain is judged by. */
static void every_anchor_may_stand_above_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < tls_roots.count; i++) {
        X509 *x = root(i);

        assert_true(X509_check_ca(x) > 0);
        assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 1), 1);
        assert_int_equal(X509_self_signed(x, 0), 1);
        assert_non_null(X509_get0_pubkey(x));
        assert_true(X509_cmp_current_time(X509_get0_notAfter(x)) != 0);
        X509_free(x);
    }
}

enum { ASKERS = 4 };

static void *ask_for_all(void *store)
{
    for (size_t i = 0; i < tls_roots.count; i++) {
        X509 *x = root(i);

        assert_true(found(store, x));
        X509_free(x);
    }
    return NULL;
}

/* Contexts may be shared: whoever comes second finds what the first has put into the store. */
static void threads_may_ask_for_the_same(void **state)
{
    X509_STORE *store = open_store();
    pthread_t askers[ASKERS];

    (void)state;
    for (unsigned i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&askers[i], NULL, ask_for_all, store), 0);
    for (unsigned i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_join(askers[i], NULL), 0);
    assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(store)), tls_roots.count);
    X509_STORE_free(store);
}

static void a_name_alone_is_worth_nothing(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_STORE *store = open_store();

    (void)state;
    for (size_t i = 0; i < tls_roots.count; i += 10) {
        X509 *issuer = root(i), *leaf = forged(X509_get_subject_name(issuer), key);
        int error = verify(store, leaf);

        assert_true(error == X509_V_ERR_CERT_SIGNATURE_FAILURE ||
                    error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                    error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE);
        X509_free(leaf);
        X509_free(issuer);
    }
    X509_STORE_free(store);
    EVP_PKEY_free(key);
}

static void an_unknown_name_is_not_found(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_STORE *store = open_store();
    X509_NAME *name = X509_NAME_new();
    X509 *leaf;

    (void)state;
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"Nobody", -1, -1, 0),
                     1);
    leaf = forged(name, key);
    assert_int_equal(verify(store, leaf), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    X509_free(leaf);
    X509_NAME_free(name);
    X509_STORE_free(store);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_whole_and_in_order),
        cmocka_unit_test(every_root_is_found),
        cmocka_unit_test(a_root_is_trusted),
        cmocka_unit_test(every_anchor_may_stand_above_servers),
        cmocka_unit_test(threads_may_ask_for_the_same),
        cmocka_unit_test(a_name_alone_is_worth_nothing),
        cmocka_unit_test(an_unknown_name_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
