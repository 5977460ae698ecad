/* The library as its headers describe it: what is lent may go, what is wrong has a number, a name and a sentence. */
#include <atls/atls.h>

#include "../attest/world.h"

struct pieces {
    struct world w;
    struct atls_policy *policy;
    struct atls_collateral *collateral;
    struct atls_verifier *verifier;
};

static void open_pieces(struct pieces *p)
{
    struct json_writer writer;
    struct buf json;
    struct atls_error error;

    world_open(&p->w, 5);
    buf_init(&json, COLLATERAL_BYTES_MAX, "collateral");
    json_begin(&writer, &json);
    collateral_write(&p->w.collateral, &writer);
    assert_true(json_end(&writer, NULL));
    assert_int_equal(atls_collateral_parse((const char *)buf_view(&json).at, buf_len(&json),
                                           &p->collateral, &error),
                     ATLS_OK);
    buf_done(&json);
    assert_int_equal(atls_policy_parse((const char *)buf_view(&p->w.policy).at,
                                       buf_len(&p->w.policy), &p->policy, &error),
                     ATLS_OK);
    assert_int_equal(atls_verifier_new(&p->verifier, &error), ATLS_OK);
}

static void close_pieces(struct pieces *p)
{
    atls_verifier_free(p->verifier);
    atls_collateral_free(p->collateral);
    atls_policy_free(p->policy);
    world_close(&p->w);
}

static struct atls_evidence evidence(const struct pieces *p)
{
    struct atls_evidence e = ATLS_EVIDENCE_INIT;

    e.quote = buf_view(&p->w.quote).at;
    e.quote_len = buf_len(&p->w.quote);
    e.event_log = (const char *)buf_view(&p->w.log).at;
    e.event_log_len = buf_len(&p->w.log);
    e.collateral = p->collateral;
    e.at = p->w.now_s;
    e.leaf_sha256 = p->w.leaf;
    e.report_data = p->w.report_data;
    return e;
}

static void a_report_outlives_its_evidence(void **state)
{
    struct atls_report *report;
    struct atls_evidence e;
    struct atls_error error;
    struct pieces p;
    uint8_t mrtd[48];
    char *json;

    (void)state;
    open_pieces(&p);
    e = evidence(&p);
    if (atls_verify(p.verifier, &e, p.policy, &report, &error) != ATLS_OK)
        fail_msg("%s", error.message);
    memcpy(mrtd, p.w.guest->td.mrtd, sizeof mrtd);
    close_pieces(&p);

    assert_string_equal(atls_report_status(report), "UpToDate");
    assert_null(atls_report_advisory(report, 0));
    assert_true(atls_report_simulated(report));
    assert_true(atls_report_runtime_verified(report));
    assert_int_equal(atls_report_tcb_date(report), 1710288000);
    assert_int_equal(atls_report_valid_until(report), WORLD_NOW_S + 30 * 86400);
    assert_memory_equal(atls_report_measurement(report, ATLS_MRTD), mrtd, 48);
    assert_non_null(atls_report_measurement(report, ATLS_RTMR3));
    assert_null(atls_report_measurement(report, (enum atls_register)5));
    assert_non_null(atls_report_compose_hash(report));
    assert_non_null(atls_report_os_image_hash(report));
    json = atls_report_json(report);
    assert_non_null(strstr(json, "\"status\":\"UpToDate\""));
    atls_free(json);
    atls_report_free(report);
}

static void refusals_have_number_name_class_and_sentence(void **state)
{
    struct atls_report *report = NULL;
    struct atls_evidence e;
    struct atls_error error;
    struct pieces p;
    char *json;

    (void)state;
    open_pieces(&p);
    p.w.leaf[0] ^= 1;
    e = evidence(&p);
    assert_int_equal(atls_verify(p.verifier, &e, p.policy, &report, &error),
                     ATLS_E_CERTIFICATE_EVENT);
    assert_null(report);
    assert_int_equal(error.code, ATLS_E_CERTIFICATE_EVENT);
    assert_string_equal(atls_error_name(error.code), "certificate_not_in_event_log");
    assert_string_equal(atls_error_class(error.code), "binding");
    assert_false(atls_error_retryable(error.code));
    assert_true(atls_error_retryable(ATLS_E_TIMEOUT));
    assert_non_null(strstr(error.message, "certificate not in event log"));
    json = atls_error_json(&error);
    assert_non_null(strstr(json, "\"number\":701"));
    atls_free(json);
    /* error is optional. */
    assert_int_equal(atls_verify(p.verifier, &e, p.policy, &report, NULL),
                     ATLS_E_CERTIFICATE_EVENT);
    close_pieces(&p);
}

static void evidence_that_is_none_is_refused(void **state)
{
    struct atls_report *report = NULL;
    struct atls_evidence e;
    struct atls_error error;
    struct pieces p;

    (void)state;
    open_pieces(&p);
    for (int i = 0; i < 5; i++) {
        e = evidence(&p);
        switch (i) {
        case 0:
            e.size = 0;
            break;
        case 1:
            e.size = sizeof e + 8;
            break;
        case 2:
            e.quote = NULL;
            break;
        case 3:
            e.collateral = NULL;
            break;
        default:
            e.quote_len = (size_t)1 << 20;
        }
        assert_int_equal(atls_verify(p.verifier, &e, p.policy, &report, &error),
                         i < 4 ? ATLS_E_POLICY : ATLS_E_QUOTE_SYNTAX);
        assert_null(report);
    }
    /* A caller that was built before the last two members existed: they count as not given. */
    e = evidence(&p);
    e.size = offsetof(struct atls_evidence, leaf_sha256);
    p.w.leaf[0] ^= 1;
    assert_int_equal(atls_verify(p.verifier, &e, p.policy, &report, &error), ATLS_OK);
    atls_report_free(report);
    close_pieces(&p);
}

static void texts_go_in_and_out(void **state)
{
    static const char manifest[] = "{\"b\":1,\"a\":[true]}";
    struct atls_collateral *again;
    struct atls_policy *policy;
    struct atls_need need;
    struct atls_error error;
    uint8_t hash[32], other[32];
    struct pieces p;
    char *text;

    (void)state;
    open_pieces(&p);
    assert_int_equal(atls_collateral_json(p.collateral, &text, &error), ATLS_OK);
    assert_int_equal(atls_collateral_parse(text, strlen(text), &again, &error), ATLS_OK);
    atls_free(text);
    atls_collateral_free(again);
    assert_int_equal(atls_quote_json(buf_view(&p.w.quote).at, buf_len(&p.w.quote), &text, &error),
                     ATLS_OK);
    assert_non_null(strstr(text, "\"version\":5"));
    atls_free(text);
    assert_int_equal(atls_quote_need(buf_view(&p.w.quote).at, buf_len(&p.w.quote), &need, &error),
                     ATLS_OK);
    assert_true(need.tdx && !need.processor_ca);
    assert_int_equal(atls_quote_json("s", 1, &text, &error), ATLS_E_QUOTE_SYNTAX);
    assert_int_equal(atls_policy_parse("{}", 2, &policy, &error), ATLS_E_POLICY);
    assert_int_equal(atls_policy_dev(&policy, &error), ATLS_OK);
    assert_string_equal(atls_policy_pccs_url(policy),
                        "https://pccs.phala.network/tdx/certification/v4");
    assert_int_equal(atls_policy_reattest_after(policy), 0);
    assert_memory_not_equal(atls_policy_digest(policy), atls_policy_digest(p.policy), 32);
    atls_policy_free(policy);

    assert_int_equal(atls_compose_merge(manifest, "{\"c\":2,\"b\":3}", &text, &error), ATLS_OK);
    assert_string_equal(text, "{\"b\":3,\"a\":[true],\"c\":2}");
    atls_free(text);
    assert_int_equal(atls_compose_hash(manifest, strlen(manifest), hash, &error), ATLS_OK);
    assert_true(secret_sha256(manifest, strlen(manifest), other));
    assert_memory_equal(hash, other, 32);
    assert_int_equal(atls_compose_hash("{", 1, hash, &error), ATLS_E_POLICY);
    close_pieces(&p);
}

static void a_connection_speaks_first_and_fails_for_good(void **state)
{
    struct atls_connection_options options = ATLS_CONNECTION_OPTIONS_INIT;
    struct atls_context *context;
    struct atls_connection *c;
    struct atls_error error;
    struct pieces p;
    size_t len;

    (void)state;
    open_pieces(&p);
    assert_int_equal(atls_connection_new(&options, &c, &error), ATLS_E_POLICY);
    assert_int_equal(atls_context_new(p.policy, "no PEM", 6, &context, &error), ATLS_E_POLICY);
    assert_int_equal(atls_context_new(p.policy, NULL, 0, &context, &error), ATLS_OK);
    options.context = context;
    options.verifier = p.verifier;
    options.server_name = "a b";
    assert_int_equal(atls_connection_new(&options, &c, &error), ATLS_E_SERVER_NAME);
    options.server_name = "tee.example";
    assert_int_equal(atls_connection_new(&options, &c, &error), ATLS_OK);
    assert_int_equal(atls_connection_step(c, p.w.now_s, 1), ATLS_WANT_READ);
    assert_int_equal(*(const uint8_t *)atls_connection_output(c, &len), 22); /* handshake */
    atls_connection_sent(c, len);
    (void)atls_connection_output(c, &len);
    assert_int_equal(len, 0);
    assert_null(atls_connection_report(c));
    assert_int_equal(atls_connection_error(c)->code, ATLS_OK);
    assert_int_not_equal(atls_connection_write(c, "x", 1, &error), ATLS_OK);
    assert_int_not_equal(atls_connection_reattest(c, &error), ATLS_OK);
    atls_connection_feed(c, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    assert_int_equal(atls_connection_step(c, p.w.now_s, 2), ATLS_FAILED);
    assert_int_equal(atls_connection_error(c)->code, ATLS_E_TLS_HANDSHAKE);
    assert_int_equal(atls_connection_step(c, p.w.now_s, 3), ATLS_FAILED);
    atls_connection_free(c);
    atls_context_free(context);
    close_pieces(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_outlives_its_evidence),
        cmocka_unit_test(refusals_have_number_name_class_and_sentence),
        cmocka_unit_test(evidence_that_is_none_is_refused),
        cmocka_unit_test(texts_go_in_and_out),
        cmocka_unit_test(a_connection_speaks_first_and_fails_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
