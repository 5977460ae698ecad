/* What was verified before is known again by its content; dates, roots and other content are still looked at. */
#include "world.h"

enum { DAY_S = 86400 };

static bool verify(struct world *w, struct dcap_cache *cache, int64_t now_s)
{
    const struct dcap_options options = {.matching = TCB_MATCHING_STRICT, .cache = cache};
    struct dcap_report report;
    struct world then = *w;
    struct quote quote;
    bool good;

    then.err = (struct attest_err){.code = ATTEST_OK};
    then.now_s = now_s;
    assert_true(quote_parse(buf_view(&w->quote), &quote, &then.err));
    good = dcap_verify(&quote, &w->collateral, now_s, w->trust, &options, &report, &then.err);
    world_ask_dcap(&then, buf_view(&w->quote), options.matching);
    w->err = then.err;
    return good;
}

static void what_is_kept_expires(void **state)
{
    CLEANUP(dcap_cache_free_cleanup) struct dcap_cache *cache = NULL;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(dcap_cache_new(&cache, NULL));
    assert_true(verify(&w, cache, w.now_s));
    assert_true(verify(&w, cache, w.now_s + 30 * DAY_S));
    assert_false(verify(&w, cache, w.now_s + 30 * DAY_S + 1));
    assert_int_equal(w.err.code, ATTEST_CRL_TIME);
    assert_false(verify(&w, cache, w.now_s - 400 * DAY_S));
    assert_int_equal(w.err.code, ATTEST_CRL_TIME);
    assert_true(verify(&w, cache, w.now_s));
    world_close(&w);
}

static void another_root_trusts_nothing_of_it(void **state)
{
    CLEANUP(dcap_cache_free_cleanup) struct dcap_cache *cache = NULL;
    struct trust *mine;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(dcap_cache_new(&cache, NULL));
    assert_true(verify(&w, cache, w.now_s));
    mine = w.trust;
    assert_true(trust_intel(&w.trust, NULL));
    assert_false(verify(&w, cache, w.now_s));
    assert_int_equal(w.err.code, ATTEST_CRL_SIGNATURE);
    trust_free(w.trust);
    w.trust = mine;
    assert_true(verify(&w, cache, w.now_s));
    world_close(&w);
}

/* The same root by another object: what is kept must not hold on to the first. */
static void a_trust_may_go_before_the_cache(void **state)
{
    CLEANUP(dcap_cache_free_cleanup) struct dcap_cache *cache = NULL;
    uint8_t *der = NULL;
    struct world w;
    int n;

    (void)state;
    world_open(&w, 4);
    assert_true(dcap_cache_new(&cache, NULL));
    assert_true(verify(&w, cache, w.now_s));
    n = i2d_X509(w.trust->root, &der);
    assert_true(n > 0);
    trust_free(w.trust);
    assert_true(trust_custom(view_from(der, (size_t)n), &w.trust, NULL));
    OPENSSL_free(der);
    /* Another chain text, so that a platform is opened below the authority that is kept. */
    assert_true(verify(&w, cache, w.now_s));
    assert_true(sim_pck_chain(w.platform, &w.parts[P_PCK_CHAIN], NULL));
    world_views(&w);
    assert_true(verify(&w, cache, w.now_s));
    world_close(&w);
}

static void flip(struct buf *b)
{
    b->area[b->head + buf_len(b) / 2] ^= 1;
}

static void every_byte_of_collateral_counts(void **state)
{
    CLEANUP(dcap_cache_free_cleanup) struct dcap_cache *cache = NULL;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(dcap_cache_new(&cache, NULL));
    for (unsigned part = P_CA_CHAIN; part < P_PCK_CHAIN; part++) {
        struct buf *b = &w.parts[part];

        assert_true(verify(&w, cache, w.now_s));
        flip(b);
        assert_false(verify(&w, cache, w.now_s));
        flip(b);
    }
    world_close(&w);
}

/* More families than it keeps: the first is verified anew, and known again. */
static void it_is_bounded(void **state)
{
    enum { WORLDS = CACHE_AUTHORITIES + 2 };
    CLEANUP(dcap_cache_free_cleanup) struct dcap_cache *cache = NULL;
    static struct world worlds[WORLDS];

    (void)state;
    assert_true(dcap_cache_new(&cache, NULL));
    for (size_t i = 0; i < WORLDS; i++)
        world_open(&worlds[i], i % 2 ? 4 : 5);
    for (size_t n = 0; n < 3; n++)
        for (size_t i = 0; i < WORLDS; i++)
            assert_true(verify(&worlds[i], cache, worlds[i].now_s));
    for (size_t i = 0; i < WORLDS; i++)
        world_close(&worlds[i]);
}

static void keys_are_known_by_their_points(void **state)
{
    enum { KEYS = CACHE_KEYS + 8 };
    CLEANUP(dcap_cache_free_cleanup) struct dcap_cache *cache = NULL;
    static uint8_t points[KEYS][P256_POINT_BYTES];
    const uint8_t none[P256_POINT_BYTES] = {1};
    uint8_t got[P256_POINT_BYTES];

    (void)state;
    assert_true(dcap_cache_new(&cache, NULL));
    for (size_t i = 0; i < KEYS; i++) {
        EVP_PKEY *key = EVP_EC_gen("P-256");

        assert_true(p256_point(key, points[i]));
        EVP_PKEY_free(key);
    }
    for (size_t n = 0; n < 3; n++)
        for (size_t i = 0; i < KEYS; i++) {
            EVP_PKEY *key = dcap_cache_key(cache, points[i]);

            assert_true(p256_point(key, got));
            assert_memory_equal(got, points[i], sizeof got);
            assert_ptr_equal(dcap_cache_key(cache, points[i]), key);
            assert_null(dcap_cache_key(cache, none));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_expires),
        cmocka_unit_test(another_root_trusts_nothing_of_it),
        cmocka_unit_test(a_trust_may_go_before_the_cache),
        cmocka_unit_test(every_byte_of_collateral_counts),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(keys_are_known_by_their_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
