/* Policies are read whole or refused whole. */
#include "world.h"

#define H32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define H48 H32 "202122232425262728292a2b2c2d2e2f"
#define BOOT \
    "{\"mrtd\":\"" H48 "\",\"rtmr0\":\"" H48 "\",\"rtmr1\":\"" H48 "\",\"rtmr2\":\"" H48 "\"}"
#define T "{\"type\":\"dstack_tdx\""
#define FULL \
    T ",\"expected_bootchain\":" BOOT ",\"app_compose\":{\"a\":1},\"os_image_hash\":\"" H32 "\""
#define OFF ",\"disable_runtime_verification\":true"

static void defaults_are_the_references(void **state)
{
    struct policy *p = NULL;
    struct attest_err err;

    (void)state;
    if (!policy_parse(VIEW(FULL "}"), &p, &err))
        fail_msg("%s", err.text);
    assert_true(p->allowed[TCB_STATUS_UP_TO_DATE]);
    assert_false(p->allowed[TCB_STATUS_OUT_OF_DATE]);
    assert_string_equal(p->pccs_url, POLICY_PCCS_URL);
    assert_false(p->cache_collateral || p->runtime_unverified || p->allow_simulated ||
                 p->has_grace);
    assert_int_equal(p->matching, TCB_MATCHING_STRICT);
    assert_int_equal(p->tls, POLICY_TLS_WEBPKI);
    assert_int_equal(p->bootchain_count, 1);
    policy_free(p);
    assert_true(policy_dev(&p, &err));
    assert_true(p->runtime_unverified && p->allowed[TCB_STATUS_OUT_OF_DATE] &&
                p->allowed[TCB_STATUS_SW_HARDENING]);
    policy_free(p);
}

static void good_ones(void **state)
{
    static const char *const good[] = {
        T OFF "}",
        T OFF ",\"pccs_url\":\"\"}",
        T OFF ",\"pccs_url\":null,\"app_compose\":null,\"expected_bootchain\":null}",
        T OFF ",\"pccs_url\":\"http://127.0.0.1:8081\"}",
        T OFF ",\"x_note\":{\"any\":[1,2]}}",
        T OFF ",\"allowed_tcb_status\":[]}",
        T OFF ",\"allowed_tcb_status\":[\"ConfigurationAndSWHardeningNeeded\","
              "\"OutOfDateConfigurationNeeded\",\"TDRelaunchAdvised\",\"Revoked\"]}",
        T OFF ",\"allowed_tcb_status\":[\"OutOfDate\"],\"grace_period\":0}",
        T OFF ",\"reject_advisories\":[\"INTEL-SA-1\"],\"reattest_after\":60,\"max_quote_age\":9,"
              "\"min_tcb_evaluation_data_number\":17}",
        T OFF ",\"tcb_matching\":\"intel\"}",
        FULL ",\"tls_trust\":\"attestation\"}",
        T ",\"expected_bootchain\":[" BOOT "," BOOT "],\"app_compose_hash\":[\"" H32 "\",\"" H32
          "\"],\"os_image_hash\":\"" H32 "\"}",
        T ",\"expected_bootchain\":" BOOT ",\"app_compose\":\"text of the "
          "file\",\"os_image_hash\":"
          "\"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct policy *p = NULL;
        struct attest_err err;

        if (!policy_parse(view_str(good[i]), &p, &err))
            fail_msg("%s: %s", good[i], err.text);
        policy_free(p);
    }
}

static void bad_ones_are_told_what_is_wrong(void **state)
{
    static const struct {
        const char *json, *words;
    } bad[] = {
        {"", "invalid policy: "},
        {"[]", "it is not an object"},
        {"{}", "missing field `type`"},
        {"{\"type\":\"sgx\"}", "unknown type `sgx`"},
        {"{\"type\":\"dstack_tdx\",\"type\":\"dstack_tdx\"}", "stands twice"},
        {T OFF ",\"alowed_tcb_status\":[]}", "unknown field `alowed_tcb_status`"},
        {T OFF ",\"allowed_tcb_status\":[\"uptodate\"]}",
         "invalid TCB status 'uptodate', valid values are: [\"UpToDate\", \"OutOfDate\", "},
        {T OFF ",\"allowed_tcb_status\":\"UpToDate\"}", "allowed_tcb_status must be an array"},
        {T OFF ",\"grace_period\":5}",
         "grace_period requires allowed_tcb_status to include OutOfDate"},
        {T OFF ",\"grace_period\":-5}", "grace_period must be a whole number"},
        {T OFF ",\"os_image_hash\":\"xyz\"}", "os_image_hash must be a lowercase hex string"},
        {T OFF ",\"os_image_hash\":\"\"}", "os_image_hash must be a lowercase hex string"},
        {T OFF ",\"os_image_hash\":[]}", "os_image_hash must be one value, or an array"},
        {T OFF ",\"expected_bootchain\":{\"mrtd\":\"00\"}}",
         "expected_bootchain.mrtd must be a lowercase hex string"},
        {T OFF ",\"expected_bootchain\":{}}", "missing field `expected_bootchain.mrtd`"},
        {T OFF ",\"expected_bootchain\":{\"mrtb\":1}}", "unknown field `expected_bootchain.mrtb`"},
        {T "}", "expected_bootchain and os_image_hash must be provided together"},
        {T ",\"expected_bootchain\":" BOOT "}", "must be provided together"},
        {T ",\"expected_bootchain\":" BOOT ",\"os_image_hash\":\"" H32 "\"}",
         "app_compose must be provided"},
        {FULL ",\"app_compose_hash\":\"" H32 "\"}",
         "app_compose_hash must be given without app_compose"},
        {T OFF ",\"pccs_url\":\"http://pccs.example\"}", "pccs_url must be an https URL"},
        {T OFF ",\"pccs_url\":\"http://127.0.0.1.example\"}", "pccs_url must be an https URL"},
        {T OFF ",\"pccs_url\":\"https://a b\"}", "pccs_url must be a URL without blanks"},
        {T OFF ",\"cache_collateral\":1}", "cache_collateral must be true or false"},
        {T OFF ",\"tls_trust\":\"none\"}", "tls_trust must be \"webpki\" or \"attestation\""},
        {T OFF ",\"tls_trust\":\"attestation\"}", "requires runtime verification"},
        {T OFF ",\"tcb_matching\":\"lax\"}", "tcb_matching must be \"strict\" or \"intel\""},
        {T OFF ",\"trusted_roots\":[\"x\"],\"allow_simulated\":true}", "trusted_roots must be"},
        {T OFF ",\"trusted_roots\":[],\"allow_simulated\":true}", "trusted_roots must be"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct policy *p = NULL;
        struct attest_err err = {.code = ATTEST_OK};

        if (policy_parse(view_str(bad[i].json), &p, &err) || !strstr(err.text, bad[i].words) ||
            err.code != ATTEST_POLICY)
            fail_msg("%s: wanted \"%s\", got \"%s\"", bad[i].json, bad[i].words, err.text);
    }
}

static void connections_are_shared_by_the_bytes_of_the_policy(void **state)
{
    struct policy *a, *b;

    (void)state;
    assert_true(policy_parse(VIEW(T OFF "}"), &a, NULL));
    assert_true(policy_parse(VIEW(T OFF " }"), &b, NULL));
    assert_memory_not_equal(a->digest, b->digest, HASH_BYTES);
    policy_free(a);
    policy_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_references),
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones_are_told_what_is_wrong),
        cmocka_unit_test(connections_are_shared_by_the_bytes_of_the_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
