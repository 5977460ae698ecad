/* Answers of a certification service, put together: from each of a simulated one, and from damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "attest/expiry.h"
#include "attest/pcs.h"
#include "attest/trust.h"
#include "base/clock.h"
#include "base/codec.h"
#include "sim/pccs.h"

struct world {
    struct sim_platform *platform;
    struct collateral_need need;
    int64_t now_s;
    struct buf bodies[PCS_PARTS];
    char chains[PCS_PARTS][PCS_CHAIN_MAX];
    struct pcs_answer answers[PCS_PARTS];
};

static struct world world;

/* Asks the simulator what the paths say. */
static int open_world(void **state)
{
    struct sim_recipe recipe;

    world.now_s = clock_wall_ms(&clock_system) / 1000;
    sim_recipe_default(&recipe, world.now_s);
    assert_true(sim_platform_new(&recipe, &world.platform, NULL));
    world.need.tdx = true;
    memcpy(world.need.fmspc, recipe.fmspc, sizeof world.need.fmspc);
    for (enum pcs_part part = 0; part < PCS_PARTS; part++) {
        struct sim_pccs_answer a = {.body = &world.bodies[part]};
        struct view path, query;
        char text[PCS_PATH_BYTES];
        struct err err;

        buf_init(&world.bodies[part], 1 << 20, "answer");
        pcs_path(&world.need, part, text);
        path = view_first(view_str(text), view_find(view_str(text), '?'));
        query = path.len < strlen(text) ? view_skip(view_str(text), path.len + 1) : VIEW("");
        assert_true(sim_pccs_call(world.platform, path, query, &a, &err));
        if (a.chain_field) {
            /* "Name: value\r\n" */
            assert_true(sim_pccs_field(&a, world.chains[part], sizeof world.chains[part], &err));
            world.answers[part].chain = view_str(strchr(world.chains[part], ' ') + 1);
            world.answers[part].chain.len -= 2;
        }
        world.answers[part].body = buf_view(&world.bodies[part]);
    }
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PCS_PARTS; i++)
        buf_done(&world.bodies[i]);
    sim_platform_free(world.platform);
    return 0;
}

static bool assemble(const struct pcs_answer *answers, struct buf *json, struct attest_err *err)
{
    buf_init(json, COLLATERAL_BYTES_MAX, "collateral");
    return pcs_assemble(answers, json, err);
}

static void four_answers_are_collateral(void **state)
{
    struct collateral *c = NULL;
    struct attest_err err;
    struct buf json;
    int64_t until_s;

    (void)state;
    assert_true(assemble(world.answers, &json, &err));
    assert_true(collateral_parse(buf_view(&json), &c, &err));
    assert_true(collateral_expiry(c, world.now_s, &until_s));
    assert_true(until_s > world.now_s);
    assert_false(collateral_expiry(c, world.now_s - 86400 * 400, &until_s)); /* of the future */
    assert_true(view_starts(c->tcb_info_issuer_chain, VIEW("-----BEGIN CERTIFICATE-----\n")));
    collateral_free(c);
    buf_done(&json);
}

static void the_roots_crl_may_be_in_der(void **state)
{
    struct pcs_answer answers[PCS_PARTS];
    struct view hex = world.answers[PCS_ROOT_CRL].body;
    struct buf in_hex, in_der;
    uint8_t der[4096];

    (void)state;
    assert_in_range(hex.len, 2, 2 * sizeof der);
    assert_true(hex_decode(hex, der, hex.len / 2));
    memcpy(answers, world.answers, sizeof answers);
    assert_true(assemble(answers, &in_hex, NULL));
    answers[PCS_ROOT_CRL].body = view_from(der, hex.len / 2);
    assert_true(assemble(answers, &in_der, NULL));
    assert_true(view_eq(buf_view(&in_hex), buf_view(&in_der)));
    buf_done(&in_hex);
    buf_done(&in_der);
}

static void damage_is_told_by_part(void **state)
{
    static const struct {
        enum pcs_part part;
        bool chain;
        const char *text, *says;
    } rows[] = {
        {PCS_PCK_CRL, true, "%4", "pck_crl: its issuer chain is not percent-encoded"},
        {PCS_TCB_INFO, true, "%zz", "tcb_info: its issuer chain"},
        {PCS_TCB_INFO, false, "{", "tcb_info: "},
        {PCS_TCB_INFO, false, "{\"tcbInfo\":{}}", "tcb_info: not a signed document"},
        {PCS_TCB_INFO, false, "{\"tcbInfo\":{},\"signature\":\"00\"}", "tcb_info: not a signed"},
        {PCS_QE_IDENTITY, false, "{\"tcbInfo\":{},\"signature\":\"00\"}", "qe_identity: not a"},
        {PCS_ROOT_CRL, false, "", "root_ca_crl: neither DER nor hex"},
        {PCS_ROOT_CRL, false, "308", "root_ca_crl: neither DER nor hex"},
        {PCS_ROOT_CRL, false, "<html>", "root_ca_crl: neither DER nor hex"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pcs_answer answers[PCS_PARTS];
        struct attest_err err;
        struct buf json;

        memcpy(answers, world.answers, sizeof answers);
        *(rows[i].chain ? &answers[rows[i].part].chain : &answers[rows[i].part].body) =
            view_str(rows[i].text);
        assert_false(assemble(answers, &json, &err));
        assert_int_equal(err.code, ATTEST_COLLATERAL_FETCH);
        assert_non_null(strstr(err.text, rows[i].says));
        buf_done(&json);
    }
}

static void the_base_is_what_stands_before_the_version(void **state)
{
    static const char *const urls[] = {
        "https://a.example",
        "https://a.example/",
        "https://a.example/sgx/certification/v4",
        "https://a.example/tdx/certification/v4/",
    };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        assert_true(view_eq(pcs_base(view_str(urls[i])), VIEW("https://a.example")));
    assert_true(view_eq(pcs_base(VIEW("/collateral")), VIEW("/collateral")));
}

static void a_root_says_where_its_crl_is(void **state)
{
    struct trust *intel = NULL;
    BIO *pem = BIO_new(BIO_s_mem());
    char url[PCS_URL_BYTES], *text;
    long len;

    (void)state;
    assert_true(trust_intel(&intel, NULL));
    assert_int_equal(PEM_write_bio_X509(pem, intel->root), 1);
    len = BIO_get_mem_data(pem, &text);
    assert_true(pcs_root_crl_url(view_from(text, (size_t)len), url));
    assert_string_equal(url, "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
    BIO_free(pem);
    trust_free(intel);
    assert_false(pcs_root_crl_url(world.answers[PCS_QE_IDENTITY].chain, url)); /* names none */
    assert_false(pcs_root_crl_url(VIEW("none"), url));
    assert_false(pcs_root_crl_url(VIEW("%"), url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_answers_are_collateral),
        cmocka_unit_test(the_roots_crl_may_be_in_der),
        cmocka_unit_test(damage_is_told_by_part),
        cmocka_unit_test(the_base_is_what_stands_before_the_version),
        cmocka_unit_test(a_root_says_where_its_crl_is),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
