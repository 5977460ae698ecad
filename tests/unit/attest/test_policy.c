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

/* policy_parse; as the library says it, too. */
static bool parse(const char *test, struct view json, struct policy **out, struct attest_err *err)
{
    bool good = policy_parse(json, out, err);
    struct atls_error error;

    verdicts_of(test);
    if (verdicts_on()) {
        assert_int_equal(verdicts_policy(json, &error) == ATLS_OK, good);
        if (!good)
            assert_string_equal(error.message, err->text);
    }
    return good;
}

static void defaults_are_the_references(void **state)
{
    struct policy *p = NULL;
    struct attest_err err;

    (void)state;
    if (!parse(__func__, VIEW(FULL "}"), &p, &err))
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

        if (!parse(__func__, view_str(good[i]), &p, &err))
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
        {T OFF ",\"pccs_url\":\"http://127.0.0.1:1@pccs.example/\"}", "without user and password"},
        {T OFF ",\"pccs_url\":\"https://user:password@pccs.example/\"}",
         "without user and password"},
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

        if (parse(__func__, view_str(bad[i].json), &p, &err) || !strstr(err.text, bad[i].words) ||
            err.code != ATTEST_POLICY)
            fail_msg("%s: wanted \"%s\", got \"%s\"", bad[i].json, bad[i].words, err.text);
    }
}

static void bad_policy(const char *test, const char *json)
{
    struct attest_err err = {.code = ATTEST_OK};
    struct policy *p = NULL;

    if (parse(test, view_str(json), &p, &err) || err.code != ATTEST_POLICY)
        fail_msg("%s: %s, %s", json, attest_code_name(err.code), err.text);
}

/* Each member with values of every other kind. */
static void each_member_has_its_type(void **state)
{
    static const char *const kinds[] = {"true", "1",    "1.5",    "\"text\"", "\"\"",     "[]",
                                        "[1]",  "[[]]", "[null]", "{}",       "{\"a\":1}"};
    static const struct {
        const char *member, *takes; /* the numbers of the kinds that it takes */
    } members[] = {
        {"expected_bootchain", ""},
        {"os_image_hash", ""},
        {"app_compose_hash", ""},
        {"allowed_tcb_status", "5"},
        {"grace_period", ""}, /* without OutOfDate */
        {"pccs_url", "4"},
        {"cache_collateral", "0"},
        {"min_tcb_evaluation_data_number", "1"},
        {"reject_advisories", "5"},
        {"reattest_after", "1"},
        {"max_quote_age", "1"},
        {"tcb_matching", ""},
        {"tls_trust", ""},
        {"allow_simulated", "0"},
        {"trusted_roots", ""},
    };

    (void)state;
    for (size_t m = 0; m < COUNT(members); m++)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            char json[256];

            if (k < 10 && strchr(members[m].takes, (char)('0' + k)) && *members[m].takes)
                continue;
            (void)snprintf(json, sizeof json, T OFF ",\"%s\":%s}", members[m].member, kinds[k]);
            bad_policy(__func__, json);
        }
}

/* 96 digits for measurements and 64 for hashes: one fewer, one more, none, and what is no digit. */
static void hex_has_its_length(void **state)
{
    static const struct {
        const char *before, *after;
        size_t digits;
    } places[] = {
        {T OFF ",\"os_image_hash\":\"", "\"}", 64},
        {T OFF ",\"app_compose_hash\":\"", "\"}", 64},
        {T OFF ",\"os_image_hash\":[\"" H32 "\",\"", "\"]}", 64},
        {T OFF ",\"expected_bootchain\":{\"mrtd\":\"",
         "\",\"rtmr0\":\"" H48 "\",\"rtmr1\":\"" H48 "\",\"rtmr2\":\"" H48 "\"}}", 96},
        {T OFF ",\"expected_bootchain\":{\"mrtd\":\"" H48 "\",\"rtmr0\":\"",
         "\",\"rtmr1\":\"" H48 "\",\"rtmr2\":\"" H48 "\"}}", 96},
        {T OFF ",\"expected_bootchain\":{\"mrtd\":\"" H48 "\",\"rtmr0\":\"" H48 "\",\"rtmr1\":\"",
         "\",\"rtmr2\":\"" H48 "\"}}", 96},
        {T OFF ",\"expected_bootchain\":{\"mrtd\":\"" H48 "\",\"rtmr0\":\"" H48
               "\",\"rtmr1\":\"" H48 "\",\"rtmr2\":\"",
         "\"}}", 96},
    };
    static const char digits[] =
        "abababababababababababababababababababababababababababababababababababababababab"
        "abababababababababababab";

    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        const int wrong[] = {0,
                             2,
                             (int)places[i].digits - 1,
                             (int)places[i].digits - 2,
                             (int)places[i].digits + 1,
                             (int)places[i].digits + 2};
        const char *last[] = {"g", " ", "\\u0061", "-"};
        struct attest_err err;
        struct policy *p = NULL;
        char json[1024];

        (void)snprintf(json, sizeof json, "%s%.*s%s", places[i].before, (int)places[i].digits,
                       digits, places[i].after);
        assert_true(parse(__func__, view_str(json), &p, &err));
        policy_free(p);
        (void)snprintf(json, sizeof json, "%s%.*sAB%s", places[i].before, (int)places[i].digits - 2,
                       digits, places[i].after); /* upper case says the same */
        assert_true(parse(__func__, view_str(json), &p, &err));
        policy_free(p);
        for (size_t k = 0; k < COUNT(wrong); k++) {
            (void)snprintf(json, sizeof json, "%s%.*s%s", places[i].before, wrong[k], digits,
                           places[i].after);
            bad_policy(__func__, json);
        }
        for (size_t k = 0; k < COUNT(last); k++) {
            (void)snprintf(json, sizeof json, "%s%.*s%s%s", places[i].before,
                           (int)places[i].digits - 1, digits, last[k], places[i].after);
            bad_policy(__func__, json);
        }
    }
}

/* A letter more, a letter less, another case: none of it passes for the member, and none is ignored. */
static void misspelt_members_are_refused(void **state)
{
    static const char *const members[] = {
        "expected_bootchain",
        "os_image_hash",
        "app_compose",
        "app_compose_hash",
        "allowed_tcb_status",
        "grace_period",
        "pccs_url",
        "cache_collateral",
        "disable_runtime_verification",
        "min_tcb_evaluation_data_number",
        "reject_advisories",
        "reattest_after",
        "max_quote_age",
        "tcb_matching",
        "tls_trust",
        "allow_simulated",
        "trusted_roots",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(members); i++) {
        char json[256];

        (void)snprintf(json, sizeof json, T OFF ",\"%ss\":null}", members[i]);
        bad_policy(__func__, json);
        (void)snprintf(json, sizeof json, T OFF ",\"%.*s\":null}", (int)strlen(members[i]) - 1,
                       members[i]);
        bad_policy(__func__, json);
        (void)snprintf(json, sizeof json, T OFF ",\"%c%s\":null}", members[i][0] - 'a' + 'A',
                       members[i] + 1);
        bad_policy(__func__, json);
        (void)snprintf(json, sizeof json, T OFF ",\"X_%s\":null}", members[i]);
        bad_policy(__func__, json);
    }
}

static void collateral_comes_by_https_or_from_this_machine(void **state)
{
    static const char *const bad[] = {
        "http://pccs.example",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "http://127.0.0.1@pccs.example",
        "http://127.0.0.1:80@pccs.example",
        "http://localhost:@pccs.example/",
        "http://[::1]:80:80/",
        "http://127.0.0.1:8o/",
        "http://localhost.example",
        "http://localhost@pccs.example",
        "http://[::1].example",
        "http://127.0.0.2",
        "HTTP://pccs.example",
        "ftp://pccs.example",
        "file:///etc/passwd",
        "pccs.example",
        "//pccs.example",
        "https://",
        " https://pccs.example",
    };

    static const char *const good[] = {
        "https://pccs.example",
        "https://pccs.example:8081/tdx/certification/v4",
        "http://127.0.0.1",
        "http://127.0.0.1/",
        "http://localhost:8081/sgx/certification/v4/",
        "http://[::1]:8081",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(policy_url_good(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++) {
        char json[256];

        (void)snprintf(json, sizeof json, T OFF ",\"pccs_url\":\"%s\"}", bad[i]);
        bad_policy(__func__, json);
        assert_false(policy_url_good(bad[i]));
    }
}

static void connections_are_shared_by_the_bytes_of_the_policy(void **state)
{
    struct attest_err err;
    struct policy *a, *b;

    (void)state;
    assert_true(parse(__func__, VIEW(T OFF "}"), &a, &err));
    assert_true(parse(__func__, VIEW(T OFF " }"), &b, &err));
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
        cmocka_unit_test(each_member_has_its_type),
        cmocka_unit_test(hex_has_its_length),
        cmocka_unit_test(misspelt_members_are_refused),
        cmocka_unit_test(collateral_comes_by_https_or_from_this_machine),
        cmocka_unit_test(connections_are_shared_by_the_bytes_of_the_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
