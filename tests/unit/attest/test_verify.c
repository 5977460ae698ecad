/* Is it what the policy asks for? One good session, the status of the platform, grace periods. What is measured stands in
 * test_measurements. */
#include "faults.h"

static void good(void **state)
{
    for (int strict = 0; strict < 2; strict++) {
        struct world w;

        (void)state;
        world_open(&w, 4);
        world_policy(&w, strict);
        if (!world_verify(&w))
            fail_msg("%s", w.err.text);
        assert_int_equal(w.attestation->runtime_verified, strict);
        assert_true(w.attestation->simulated);
        assert_memory_equal(w.attestation->compose_hash, w.guest->compose_hash, 32);
        assert_memory_equal(w.attestation->os_image_hash, w.guest->os_image_hash, 32);
        world_close(&w);
    }
}

/* --- roots --- */

static void simulated_though_not_allowed(struct world *w)
{
    buf_replace(&w->policy, "\"allow_simulated\":true,", "");
}
static void
simulators_root_not_given(struct world *w) /* the simulator's root is not given: Intel's counts */
{
    struct view p = buf_view(&w->policy);
    const uint8_t *at = memmem(p.at, p.len, ",\"trusted_roots\"", 16);

    assert_non_null(at);
    w->policy.tail = w->policy.head + (size_t)(at - p.at);
    assert_true(buf_append_str(&w->policy, "}", NULL));
}

/* --- statuses --- */

static void status(struct world *w, const char *s)
{
    w->platform->recipe.status = s;
    world_collateral(w);
}
static void out_of_date(struct world *w)
{
    status(w, "OutOfDate");
}
static void hardening_needed(struct world *w)
{
    status(w, "SWHardeningNeeded");
}
static void nothing_allowed(struct world *w)
{
    buf_replace(&w->policy, "[\"UpToDate\"]", "[]");
}
static void rejected_advisory(struct world *w)
{
    w->platform->recipe.advisories = "[\"INTEL-SA-00001\"]";
    world_collateral(w);
    buf_replace(&w->policy, "\"allow_simulated\"",
                "\"reject_advisories\":[\"INTEL-SA-00001\"],\"allow_simulated\"");
}
static void evaluation_below_the_least(struct world *w)
{
    buf_replace(&w->policy, "\"allow_simulated\"",
                "\"min_tcb_evaluation_data_number\":18,\"allow_simulated\"");
}
static void age_unknown(struct world *w)
{
    buf_replace(&w->policy, "\"allow_simulated\"", "\"max_quote_age\":60,\"allow_simulated\"");
}

/* --- grace periods: the level is of 2024-03-13, 79712000 seconds ago --- */

static void grace(struct world *w, const char *text)
{
    out_of_date(w);
    buf_replace(&w->policy, "[\"UpToDate\"]", text);
}
static void grace_over_by_a_second(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":79711999");
}
static void grace_of_0(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":0");
}
static void grace_overflows(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":9223372036854775807");
}
static void grace_for_the_quoting_enclave(struct world *w)
{
    w->platform->recipe.qe_status = "OutOfDate";
    world_collateral(w);
    buf_replace(&w->policy, "[\"UpToDate\"]", "[\"OutOfDate\"],\"grace_period\":999999999");
}
static void grace_for_the_module(struct world *w)
{
    w->platform->recipe.module_status = "OutOfDate";
    world_collateral(w);
    buf_replace(&w->policy, "[\"UpToDate\"]", "[\"OutOfDate\"],\"grace_period\":999999999");
}
static void grace_beyond_all_numbers(struct world *w)
{
    grace(w, "[\"OutOfDate\"],\"grace_period\":18446744073709551616");
}
static void
grace_for_a_worse_status(struct world *w) /* it is for OutOfDate alone, which must be allowed */
{
    status(w, "OutOfDateConfigurationNeeded");
    buf_replace(&w->policy, "[\"UpToDate\"]", "[\"OutOfDate\"],\"grace_period\":999999999");
}

static void a_grace_period_holds_to_its_last_second(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, 4);
    grace(&w, "[\"OutOfDate\"],\"grace_period\":79712000"); /* from 2024-03-13 to now */
    if (!world_verify(&w))
        fail_msg("%s", w.err.text);
    world_close(&w);
}

/* --- each status, by each policy --- */

static void a_status_passes_where_it_is_allowed(void **state)
{
    static const char *const statuses[] = {
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
    };

    (void)state;
    for (size_t is = 0; is < COUNT(statuses); is++)
        for (size_t allowed = 0; allowed < COUNT(statuses); allowed++) {
            bool revoked = is == COUNT(statuses) - 1, good = is == allowed && !revoked;
            struct world w;
            char list[64];

            world_open(&w, 4);
            status(&w, statuses[is]);
            (void)snprintf(list, sizeof list, "[\"%s\"]", statuses[allowed]);
            buf_replace(&w.policy, "[\"UpToDate\"]", list);
            assert_int_equal(world_verify(&w), good);
            assert_int_equal(w.err.code, good      ? ATTEST_OK
                                         : revoked ? ATTEST_TCB_REVOKED
                                                   : ATTEST_TCB_NOT_ALLOWED);
            world_close(&w);
        }
}

/* During a rollout two manifests, two images and two boot chains are good. */
static void several_values_may_be_accepted(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, 4);
    buf_replace(&w.policy, "\"os_image_hash\":\"",
                "\"os_image_hash\":["
                "\"00000000000000000000000000000000000000000000000000000000000000aa\",\"");
    buf_replace(&w.policy, "\",\"allowed_tcb_status\"", "\"],\"allowed_tcb_status\"");
    if (!world_verify(&w))
        fail_msg("%s", w.err.text);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        VERIFY_FAULT_SAYS(simulated_though_not_allowed, POLICY, "configuration error: "),
        VERIFY_FAULT(simulators_root_not_given, CRL_SIGNATURE),
        VERIFY_FAULT_SAYS(out_of_date, TCB_NOT_ALLOWED,
                          "TCB status OutOfDate not allowed (allowed: [\"UpToDate\"])"),
        VERIFY_FAULT(hardening_needed, TCB_NOT_ALLOWED),
        VERIFY_FAULT(nothing_allowed, TCB_NOT_ALLOWED),
        VERIFY_FAULT(rejected_advisory, TCB_ADVISORY),
        VERIFY_FAULT(evaluation_below_the_least, TCB_EVALUATION),
        VERIFY_FAULT(age_unknown, QUOTE_AGE),
        VERIFY_FAULT_SAYS(
            grace_over_by_a_second, TCB_GRACE,
            "grace period expired for status OutOfDate (tcb_date: 2024-03-13T00:00:00Z, "
            "grace_period_secs: 79711999)"),
        VERIFY_FAULT(grace_of_0, TCB_GRACE),
        VERIFY_FAULT(grace_overflows, POLICY),
        VERIFY_FAULT(grace_beyond_all_numbers, POLICY),
        VERIFY_FAULT(grace_for_the_quoting_enclave, TCB_INFO),
        VERIFY_FAULT(grace_for_the_module, TCB_INFO),
        VERIFY_FAULT(grace_for_a_worse_status, TCB_NOT_ALLOWED),
        cmocka_unit_test(a_grace_period_holds_to_its_last_second),
        cmocka_unit_test(a_status_passes_where_it_is_allowed),
        cmocka_unit_test(several_values_may_be_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
