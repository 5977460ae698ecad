/* Quotes that do not have their PCK certificate, but name it. */
#include "world.h"

#include "attest/pki.h"
#include "base/codec.h"
#include "sim/pccs.h"

static void open_world(struct world *w, uint16_t certification)
{
    world_open(w, 4);
    w->platform->recipe.certification = certification;
    world_quote(w);
}

static struct quote parsed(struct world *w)
{
    struct quote q;

    if (!quote_parse(buf_view(&w->quote), &q, &w->err))
        fail_msg("%s", w->err.text);
    return q;
}

static void the_request_is_what_the_quote_says(void **state)
{
    static const struct {
        uint16_t type;
        size_t ppid;
    } kinds[] = {{CERTIFICATION_PPID_RSA2048, 256}, {CERTIFICATION_PPID_RSA3072, 384}};

    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct collateral_need need;
        struct quote q;
        struct world w;

        open_world(&w, kinds[i].type);
        q = parsed(&w);
        assert_true(certification_asks(&q));
        assert_true(dcap_need(&q, &need, &w.err));
        assert_true(need.has_request && need.tdx);
        assert_int_equal(need.request.ppid_len, kinds[i].ppid);
        assert_memory_equal(need.request.encrypted_ppid, q.certification.at, kinds[i].ppid);
        assert_memory_equal(need.request.tcbm, w.platform->recipe.cpusvn, SVN_COUNT);
        assert_int_equal(need.request.tcbm[16], w.platform->recipe.pcesvn);
        assert_int_equal(need.request.tcbm[17], 0);
        assert_memory_equal(need.request.pceid, w.platform->recipe.pceid, 2);
        assert_memory_equal(need.request.qeid, q.user_data.at, sizeof need.request.qeid);
        world_close(&w);
    }
}

static void data_of_another_length_is_refused(void **state)
{
    static const struct {
        uint16_t type;
        size_t bytes;
    } wrong[] = {{2, 275}, {2, 277}, {2, 404}, {3, 403}, {3, 405}, {3, 276}, {3, 0}};
    uint8_t bytes[512] = {0};
    struct world w;

    (void)state;
    open_world(&w, CERTIFICATION_PPID_RSA3072);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct quote q = parsed(&w);
        struct collateral_need need;

        q.certification_type = wrong[i].type;
        q.certification = view_from(bytes, wrong[i].bytes);
        assert_false(dcap_need(&q, &need, &w.err));
        assert_int_equal(w.err.code, ATTEST_QUOTE_CERTIFICATION);
    }
    world_close(&w);
}

/* The chain is another's word until its key is found to have signed the quoting enclave's report. */
static void it_verifies_with_the_chain_of_its_own_pck_alone(void **state)
{
    struct sim_platform *other;
    struct buf chain;
    struct world w;

    (void)state;
    open_world(&w, CERTIFICATION_PPID_RSA3072);
    buf_init(&chain, 1 << 16, "chain");
    assert_false(world_verify(&w));
    assert_int_equal(w.err.code, ATTEST_QUOTE_CERTIFICATION);
    assert_true(sim_pck_chain(w.platform, &chain, NULL));
    world_put(&w, P_PCK_CHAIN, buf_view(&chain));
    if (!world_verify(&w))
        fail_msg("%s", w.err.text);
    assert_true(w.attestation->runtime_verified);

    assert_true(sim_platform_new(&w.platform->recipe, &other, NULL));
    buf_reset(&chain);
    assert_true(sim_pck_chain(other, &chain, NULL));
    world_put(&w, P_PCK_CHAIN, buf_view(&chain));
    assert_false(world_verify(&w));
    buf_done(&chain);
    sim_platform_free(other);
    world_close(&w);
}

static bool ask(struct world *w, const char *form, const struct pck_request *r, char *fields,
                size_t size)
{
    char ppid[2 * CERTIFICATION_PPID_MAX + 1], tcbm[2 * CERTIFICATION_TCBM_BYTES + 1], pceid[5];
    char query[1200];
    struct buf body;
    struct sim_pccs_answer a = {.body = &body};
    bool good;

    buf_init(&body, 1 << 16, "body");
    hex_encode(view_from(r->encrypted_ppid, r->ppid_len), ppid);
    hex_encode(view_from(r->tcbm, sizeof r->tcbm), tcbm);
    hex_encode(view_from(r->pceid, sizeof r->pceid), pceid);
    (void)snprintf(query, sizeof query,
                   "qeid=00&encrypted_ppid=%s&cpusvn=%.32s&pcesvn=%s&pceid=%s%s", ppid, tcbm,
                   tcbm + 32, pceid, form);
    good = sim_pccs_call(w->platform, VIEW("/sgx/certification/v4/pckcert"), view_str(query), &a,
                         NULL) &&
           sim_pccs_field(&a, fields, size, NULL);
    if (good) {
        struct pki_chain chain;

        assert_true(pki_chain_parse(buf_view(&body), "answer", NULL, &chain, NULL));
        assert_int_equal(chain.count, 1);
        pki_chain_done(&chain);
    }
    buf_done(&body);
    return good;
}

static void the_simulated_service_knows_its_machine_and_no_other(void **state)
{
    struct collateral_need need;
    char fields[1 << 14], tcbm[64];
    struct quote q;
    struct world w;

    (void)state;
    open_world(&w, CERTIFICATION_PPID_RSA2048);
    q = parsed(&w);
    assert_true(dcap_need(&q, &need, &w.err));
    assert_true(ask(&w, "", &need.request, fields, sizeof fields));
    assert_non_null(strstr(fields, "SGX-PCK-Certificate-Issuer-Chain: -----BEGIN%20CERTIFICATE"));
    hex_encode(view_from(need.request.tcbm, sizeof need.request.tcbm), tcbm);
    assert_non_null(strstr(fields, tcbm));
    need.request.encrypted_ppid[9] ^= 1;
    assert_false(ask(&w, "", &need.request, fields, sizeof fields));
    need.request.encrypted_ppid[9] ^= 1;
    need.request.tcbm[3] ^= 1;
    assert_false(ask(&w, "", &need.request, fields, sizeof fields));
    need.request.tcbm[3] ^= 1;
    need.request.pceid[0] ^= 1;
    assert_false(ask(&w, "", &need.request, fields, sizeof fields));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_what_the_quote_says),
        cmocka_unit_test(data_of_another_length_is_refused),
        cmocka_unit_test(it_verifies_with_the_chain_of_its_own_pck_alone),
        cmocka_unit_test(the_simulated_service_knows_its_machine_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
