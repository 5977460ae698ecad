/* What was accepted is remembered, and older editions of Intel's documents are refused. */
#include "world.h"

#include "attest/editions.h"

enum { JSON_MAX = 1 << 20 };

static struct edition edition_of(uint8_t root, enum quote_tee tee, uint8_t family, uint32_t tcb,
                                 uint32_t qe)
{
    struct edition e = {.tee = tee, .tcb_info = tcb, .qe_identity = qe};

    memset(e.root_sha256, root, sizeof e.root_sha256);
    memset(e.fmspc, family, sizeof e.fmspc);
    return e;
}

static struct editions *empty(void)
{
    struct editions *e = calloc(1, sizeof *e);

    assert_non_null(e);
    return e;
}

static void only_higher_numbers_are_news(void **state)
{
    struct editions *e = empty();
    struct edition one = edition_of(1, TEE_TDX, 1, 17, 16);
    const struct edition *known;

    (void)state;
    assert_null(editions_find(e, &one));
    assert_true(editions_raise(e, &one));
    assert_false(editions_raise(e, &one));
    one = edition_of(1, TEE_TDX, 1, 16, 17); /* one down, one up */
    assert_true(editions_raise(e, &one));
    known = editions_find(e, &one);
    assert_int_equal(known->tcb_info, 17);
    assert_int_equal(known->qe_identity, 17);
    assert_int_equal(e->count, 1);
    free(e);
}

static void roots_tees_and_families_are_apart(void **state)
{
    struct editions *e = empty();
    const struct edition apart[] = {
        edition_of(1, TEE_TDX, 1, 20, 20),
        edition_of(2, TEE_TDX, 1, 10, 10),
        edition_of(1, TEE_SGX, 1, 11, 11),
        edition_of(1, TEE_TDX, 2, 12, 12),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(apart); i++)
        assert_true(editions_raise(e, &apart[i]));
    assert_int_equal(e->count, COUNT(apart));
    for (size_t i = 0; i < COUNT(apart); i++)
        assert_int_equal(editions_find(e, &apart[i])->tcb_info, apart[i].tcb_info);
    free(e);
}

static void it_reads_what_it_writes(void **state)
{
    struct editions *e = empty(), *again;
    struct attest_err err;
    struct buf text, twice;

    (void)state;
    for (uint8_t i = 0; i < 50; i++) {
        struct edition one =
            edition_of(i, i % 2 ? TEE_TDX : TEE_SGX, (uint8_t)(i / 2), i, UINT32_MAX - i);

        assert_true(editions_raise(e, &one));
    }
    buf_init(&text, JSON_MAX, "text");
    buf_init(&twice, JSON_MAX, "text");
    assert_true(editions_write(e, &text, NULL));
    if (!editions_parse(buf_view(&text), &again, &err))
        fail_msg("%s", err.text);
    assert_int_equal(again->count, 50);
    assert_memory_equal(again->all, e->all, 50 * sizeof *e->all);
    assert_true(editions_write(again, &twice, NULL));
    assert_true(view_eq(buf_view(&text), buf_view(&twice)));
    buf_done(&text);
    buf_done(&twice);
    free(again);
    free(e);
}

#define ENTRY(root, tee, fmspc, rest) \
    "{\"root\":\"" root "\",\"tee\":\"" tee "\",\"fmspc\":\"" fmspc "\",\"tcb_info\":" rest "}"
#define ROOT          "0101010101010101010101010101010101010101010101010101010101010101"
#define GOOD          ENTRY(ROOT, "TDX", "010101010101", "17,\"qe_identity\":17")
#define LIST(entries) "{\"editions\":\"postern-editions/1\",\"accepted\":[" entries "]}"

static void what_is_no_list_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"editions\":\"postern-editions/1\"}",
        "{\"editions\":\"postern-editions/2\",\"accepted\":[]}",
        "{\"editions\":1,\"accepted\":[]}",
        "{\"editions\":\"postern-editions/1\",\"accepted\":{}}",
        LIST("1"),
        LIST("{}"),
        LIST(GOOD "," GOOD),
        LIST(ENTRY("01", "TDX", "010101010101", "17,\"qe_identity\":17")),
        LIST(ENTRY(ROOT, "SEV", "010101010101", "17,\"qe_identity\":17")),
        LIST(ENTRY(ROOT, "TDX", "0101010101", "17,\"qe_identity\":17")),
        LIST(ENTRY(ROOT, "TDX", "010101010101", "-1,\"qe_identity\":17")),
        LIST(ENTRY(ROOT, "TDX", "010101010101", "4294967296,\"qe_identity\":17")),
        LIST(ENTRY(ROOT, "TDX", "010101010101", "17.0,\"qe_identity\":17")),
        LIST(ENTRY(ROOT, "TDX", "010101010101", "17,\"qe\":17")),
        LIST(ENTRY(ROOT, "TDX", "010101010101", "17,\"qe_identity\":17,\"more\":1")),
        LIST(GOOD) "x",
    };
    struct attest_err err;
    struct editions *e;

    (void)state;
    assert_true(editions_parse(view_str(LIST("")), &e, &err));
    free(e);
    assert_true(editions_parse(view_str(LIST(GOOD)), &e, &err));
    assert_int_equal(e->count, 1);
    free(e);
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (editions_parse(view_str(bad[i]), &e, &err))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, ATTEST_EDITIONS);
    }
}

/* A developer's simulators must not push Intel's platforms out. */
static void when_it_is_full_the_oldest_simulator_goes(void **state)
{
    struct editions *e = empty();
    struct edition intel = edition_of(0, TEE_TDX, 1, 17, 17), first, one;
    struct trust *trust;

    (void)state;
    assert_true(trust_intel(&trust, NULL));
    memcpy(intel.root_sha256, trust->sha256, sizeof intel.root_sha256);
    trust_free(trust);
    assert_true(trust_is_intel(intel.root_sha256));
    assert_true(editions_raise(e, &intel));
    first = edition_of(7, TEE_TDX, 1, 1, 1);
    for (uint32_t i = 0; i < EDITIONS_MAX; i++) {
        one = edition_of(7, TEE_TDX, 1, 1, 1);
        one.fmspc[0] = (uint8_t)i;
        one.fmspc[5] = (uint8_t)(i >> 8);
        if (!i)
            first = one;
        assert_true(editions_raise(e, &one));
    }
    assert_int_equal(e->count, EDITIONS_MAX);
    assert_non_null(editions_find(e, &intel));
    assert_null(editions_find(e, &first));
    assert_non_null(editions_find(e, &one));
    free(e);
}

/* --- in a verification --- */

static bool verify(struct world *w, const struct editions *known, struct edition *out)
{
    const struct attest_input in = {
        .quote = buf_view(&w->quote),
        .event_log = buf_view(&w->log),
        .collateral = &w->collateral,
        .editions = known,
        .now_s = w->now_s,
    };
    struct attestation *a = NULL;
    struct policy *policy = NULL;
    bool good;

    w->err = (struct attest_err){.code = ATTEST_OK};
    good = policy_parse(buf_view(&w->policy), &policy, &w->err) &&
           attest_verify(&in, policy, NULL, &a, &w->err);
    if (good && out)
        *out = a->edition;
    attestation_free(a);
    policy_free(policy);
    return good;
}

static void collateral_that_goes_back_is_refused(void **state)
{
    static const struct {
        int tcb, qe; /* beside what was accepted */
        bool good;
    } cases[] = {{0, 0, true},   {1, 1, true},    {1, 0, true},   {0, 1, true},  {-1, 0, false},
                 {0, -1, false}, {-1, -1, false}, {1, -1, false}, {-1, 1, false}};
    struct editions *known = empty();
    struct edition accepted;
    struct world w;

    (void)state;
    world_open(&w, 4);
    if (!verify(&w, known, &accepted))
        fail_msg("%s", w.err.text);
    assert_int_equal(accepted.tcb_info, w.platform->recipe.evaluation);
    assert_int_equal(accepted.tee, TEE_TDX);
    assert_memory_equal(accepted.fmspc, w.platform->recipe.fmspc, 6);
    assert_memory_equal(accepted.root_sha256, w.trust->sha256, 32);
    for (size_t i = 0; i < COUNT(cases); i++) {
        known->count = 1;
        known->all[0] = accepted;
        known->all[0].tcb_info = (uint32_t)((int)accepted.tcb_info - cases[i].tcb);
        known->all[0].qe_identity = (uint32_t)((int)accepted.qe_identity - cases[i].qe);
        if (verify(&w, known, NULL) != cases[i].good)
            fail_msg("%d %d: %s", cases[i].tcb, cases[i].qe, w.err.text);
        if (!cases[i].good) {
            assert_int_equal(w.err.code, ATTEST_TCB_ROLLBACK);
            assert_non_null(strstr(w.err.text, "TCB info error: the collateral is older"));
        }
    }
    free(known);
    world_close(&w);
}

static void what_was_accepted_elsewhere_does_not_count(void **state)
{
    struct editions *known = empty();
    struct edition accepted;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(verify(&w, NULL, &accepted));
    accepted.tcb_info = accepted.qe_identity = 99;
    known->count = 1;
    for (int i = 0; i < 4; i++) {
        known->all[0] = accepted;
        if (i == 0)
            known->all[0].root_sha256[31] ^= 1;
        if (i == 1)
            known->all[0].tee = TEE_SGX;
        if (i == 2)
            known->all[0].fmspc[0] ^= 1;
        assert_int_equal(verify(&w, known, NULL), i < 3);
    }
    free(known);
    world_close(&w);
}

static void a_policy_may_allow_it(void **state)
{
    struct editions *known = empty();
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(verify(&w, NULL, &known->all[0]));
    known->count = 1;
    known->all[0].qe_identity++;
    assert_false(verify(&w, known, NULL));
    buf_replace(&w.policy, "\"allow_simulated\"",
                "\"allow_collateral_rollback\":true,\"allow_simulated\"");
    if (!verify(&w, known, NULL))
        fail_msg("%s", w.err.text);
    buf_replace(&w.policy, "\"allow_collateral_rollback\":true",
                "\"allow_collateral_rollback\":\"yes\"");
    assert_false(verify(&w, known, NULL));
    assert_int_equal(w.err.code, ATTEST_POLICY);
    free(known);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_higher_numbers_are_news),
        cmocka_unit_test(roots_tees_and_families_are_apart),
        cmocka_unit_test(it_reads_what_it_writes),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(when_it_is_full_the_oldest_simulator_goes),
        cmocka_unit_test(collateral_that_goes_back_is_refused),
        cmocka_unit_test(what_was_accepted_elsewhere_does_not_count),
        cmocka_unit_test(a_policy_may_allow_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
