/* Collateral as one JSON object: written, read again, and each member of its kind. */
#include "faults.h"

static void collateral_text(struct world *w, struct buf *json)
{
    struct json_writer writer;

    buf_init(json, 1 << 20, "json");
    json_begin(&writer, json);
    collateral_write(&w->collateral, &writer);
    assert_true(json_end(&writer, NULL));
}

/* The same of a good quote with this beside it. */
static void ask_with(struct world *w, const struct buf *json)
{
    struct atls_error error;
    struct buf policy;

    if (!verdicts_on())
        return;
    world_hardware_policy(w, TCB_MATCHING_STRICT, &policy);
    (void)!verdicts_evidence(&(struct verdicts_evidence){.quote = buf_view(&w->quote),
                                                         .collateral = buf_view(json),
                                                         .policy = buf_view(&policy),
                                                         .now_s = w->now_s},
                             &error);
    buf_done(&policy);
}

static void collateral_survives_being_written_and_read(void **state)
{
    struct collateral *read;
    struct buf json;
    struct world w;

    (void)state;
    world_open(&w, 4);
    collateral_text(&w, &json);
    assert_true(collateral_parse(buf_view(&json), &read, &w.err));
    w.collateral = *read;
    assert_true(fault_dcap(&w));
    ask_with(&w, &json);
    collateral_free(read);
    buf_done(&json);
    world_close(&w);
}

/* Where the value of a member begins. */
static char *value_of(struct buf *json, const char *key)
{
    char *at = memmem(json->area + json->head, buf_len(json), key, strlen(key));

    assert_non_null(at);
    return at + strlen(key);
}

static void signatures_have_128_digits_of_either_case(void **state)
{
    static const char *const keys[] = {"\"tcb_info_signature\":\"", "\"qe_identity_signature\":\""};
    static const struct {
        size_t digits;
        bool good;
    } cases[] = {{0, false},  {2, false},   {126, false}, {127, false},
                 {128, true}, {129, false}, {130, false}, {256, false}};
    char digits[257];

    (void)state;
    memset(digits, '5', sizeof digits);
    for (size_t k = 0; k < COUNT(keys); k++)
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct collateral *read = NULL;
            struct buf json;
            struct world w;
            char from[200], to[400];

            world_open(&w, 4);
            collateral_text(&w, &json);
            (void)snprintf(from, sizeof from, "%s%.128s", keys[k], value_of(&json, keys[k]));
            (void)snprintf(to, sizeof to, "%s%.*s", keys[k], (int)cases[i].digits, digits);
            buf_replace(&json, from, to);
            w.err.code = ATTEST_OK;
            assert_int_equal(collateral_parse(buf_view(&json), &read, &w.err), cases[i].good);
            assert_int_equal(w.err.code, cases[i].good ? ATTEST_OK : ATTEST_COLLATERAL_SYNTAX);
            ask_with(&w, &json);
            collateral_free(read);
            buf_done(&json);
            world_close(&w);
        }
}

static void upper_case_signs_as_well(void **state)
{
    static const char *const keys[] = {"\"tcb_info_signature\":\"", "\"qe_identity_signature\":\"",
                                       "\"root_ca_crl\":\""};
    struct collateral *read;
    struct buf json;
    struct world w;

    (void)state;
    world_open(&w, 4);
    collateral_text(&w, &json);
    for (size_t k = 0; k < COUNT(keys); k++)
        for (char *at = value_of(&json, keys[k]); *at != '"'; at++)
            if (*at >= 'a')
                *at = (char)(*at - 'a' + 'A');
    assert_true(collateral_parse(buf_view(&json), &read, &w.err));
    w.collateral = *read;
    assert_true(fault_dcap(&w));
    ask_with(&w, &json);
    collateral_free(read);
    buf_done(&json);
    world_close(&w);
}

static void what_is_no_collateral_is_refused(void **state)
{
    static const char *const pieces[][2] = {
        {"\"tcb_info_signature\":\"", "\"tcb_info_signature\":\"zz"},
        {"\"tcb_info\":", "\"tcb_infos\":"},
        {"\"root_ca_crl\":", "\"root_ca_crls\":"},
        {"\"pck_crl\":", "\"pck_crls\":"},
        {"\"root_ca_crl\":\"", "\"root_ca_crl\":\"0"},
        {"\"tcb_info\":", "\"tcb_inf\\u006f\":\"\",\"tcb_info\":"},
        {"\"qe_identity\":\"", "\"qe_identity\":\"\\ud800"},
        {"\"qe_identity\":\"", "\"qe_identity\":\"\\u0000"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct collateral *read;
        struct buf json;
        struct world w;

        world_open(&w, 4);
        collateral_text(&w, &json);
        buf_replace(&json, pieces[i][0], pieces[i][1]);
        assert_false(collateral_parse(buf_view(&json), &read, &w.err));
        assert_int_equal(w.err.code, ATTEST_COLLATERAL_SYNTAX);
        ask_with(&w, &json);
        buf_done(&json);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collateral_survives_being_written_and_read),
        cmocka_unit_test(signatures_have_128_digits_of_either_case),
        cmocka_unit_test(upper_case_signs_as_well),
        cmocka_unit_test(what_is_no_collateral_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
