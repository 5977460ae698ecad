/* What fuzzing starts from is still good: quotes, collateral, logs, policies and receipts of one simulated machine, each with each. */
#include "world.h"

#include "attest/receipt.h"
#include "support/corpus.h"

enum { THEN_S = 1795262400 }; /* 2026-11-21T12:00:00Z: when they were made */

static bool verify(const struct verdicts_evidence *e)
{
    struct collateral *collateral = NULL;
    struct attestation *a = NULL;
    struct policy *policy = NULL;
    struct attest_err err;
    struct atls_error error;
    struct attest_input in = {.quote = e->quote, .event_log = e->log, .now_s = e->now_s};
    bool good = policy_parse(e->policy, &policy, &err) &&
                collateral_parse(e->collateral, &collateral, &err);

    in.collateral = collateral;
    good = good && attest_verify(&in, policy, NULL, &a, &err);
    if (verdicts_on())
        assert_int_equal(verdicts_evidence(e, &error) == ATLS_OK, good);
    attestation_free(a);
    collateral_free(collateral);
    policy_free(policy);
    return good;
}

static void evidence_of_one_machine_is_good_together(void **state)
{
    struct corpus quotes, collaterals, logs, policies;
    unsigned good = 0;

    (void)state;
    verdicts_of(__func__);
    corpus_open(&quotes, "quote");
    corpus_open(&collaterals, "collateral");
    corpus_open(&logs, "event_log");
    corpus_open(&policies, "policy");
    for (unsigned q = 0; q < quotes.count; q++)
        for (unsigned c = 0; c < collaterals.count; c++)
            for (unsigned l = 0; l <= logs.count; l++)
                for (unsigned p = 0; p < policies.count; p++)
                    good += verify(&(struct verdicts_evidence){
                        .quote = quotes.files[q],
                        .collateral = collaterals.files[c],
                        .log = l < logs.count ? logs.files[l] : VIEW(""),
                        .policy = policies.files[p],
                        .now_s = THEN_S,
                    });
    assert_true(good > 0);
    corpus_close(&quotes);
    corpus_close(&collaterals);
    corpus_close(&logs);
    corpus_close(&policies);
}

static void policies_are_good(void **state)
{
    struct corpus policies;

    (void)state;
    verdicts_of(__func__);
    corpus_open(&policies, "policy");
    for (unsigned i = 0; i < policies.count; i++) {
        struct policy *p = NULL;
        struct atls_error error;
        struct attest_err err;

        if (!policy_parse(policies.files[i], &p, &err))
            fail_msg("%s", err.text);
        if (verdicts_on())
            assert_int_equal(verdicts_policy(policies.files[i], &error), ATLS_OK);
        policy_free(p);
    }
    corpus_close(&policies);
}

/* As the fuzz target judges them: by their own policy, so that a root of their own counts. */
static bool verify_receipt(struct view text)
{
    struct receipt_judge judge = {.policy = NULL};
    struct attestation *a = NULL;
    struct policy *own = NULL;
    struct receipt *r = NULL;
    struct attest_err err;
    struct atls_error error;
    bool good = receipt_parse(text, &r, &err) && policy_parse(r->policy, &own, &err);

    judge.policy = own;
    good = good && receipt_verify(r, &judge, &a, &err);
    if (verdicts_on()) {
        (void)!verdicts_receipt(text, view_from(NULL, 0), -1, &error);
        if (own)
            assert_int_equal(verdicts_receipt(text, r->policy, -1, &error) == ATLS_OK, good);
    }
    attestation_free(a);
    policy_free(own);
    receipt_free(r);
    return good;
}

static void receipts_are_good_or_were_edited(void **state)
{
    struct corpus receipts;
    unsigned good = 0;

    (void)state;
    verdicts_of(__func__);
    corpus_open(&receipts, "receipt");
    for (unsigned i = 0; i < receipts.count; i++)
        good += verify_receipt(receipts.files[i]);
    assert_true(good > 0 && good < receipts.count);
    corpus_close(&receipts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_of_one_machine_is_good_together),
        cmocka_unit_test(policies_are_good),
        cmocka_unit_test(receipts_are_good_or_were_edited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
