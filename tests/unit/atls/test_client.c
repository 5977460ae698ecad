/* The client from its first byte to the application's, with a server that is honest; and what it does when it is left. */
#include "stage.h"

static void an_honest_server_is_attested(void **state)
{
    static const struct lie honest[] = {
        {0},
        {.array = true},
        {.cut = 1},
        {.cut = 1000},
        {.head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 "
                 "200 OK\r\nContent-Length: @\r\n\r\n"},
        {.head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nConnection: keep-alive\r\nServer: "
                 "x\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(honest); i++) {
        static const char expected[] =
            "POST /tdx_quote HTTP/1.1\r\nHost: tee.test\r\nContent-Type: application/json\r\n"
            "Content-Length: 80\r\nConnection: keep-alive\r\n\r\n{\"nonce_hex\":\"";
        struct stage s;
        struct view out;
        uint8_t word[16];

        stage_open(&s, &honest[i], "tee.test");
        if (stage_run(&s) != ATLS_ATTESTED)
            fail_msg("%zu: %s", i, atls_client_error(s.client)->text);
        assert_true(view_starts(buf_view(&s.near.request),
                                VIEW("POST /tdx_quote HTTP/1.1\r\nHost: tee.test\r\n")));
        assert_memory_equal(s.near.request.area, expected, sizeof expected - 1);
        assert_true(atls_client_stapled(s.client));
        assert_true(atls_client_attestation(s.client)->runtime_verified);
        /* Now the connection is the application's. */
        assert_true(atls_client_write(s.client, VIEW("GET"), NULL));
        out = atls_client_output(s.client);
        assert_int_equal(BIO_write(s.near.peer.in, out.at, (int)out.len), (int)out.len);
        assert_int_equal(SSL_read(s.near.peer.ssl, word, sizeof word), 3);
        stage_close(&s);
    }
}

static void what_was_attested_makes_a_receipt_that_verifies(void **state)
{
    static const struct lie honest = {0};
    struct receipt_judge judge = {.policy = NULL};
    struct attestation *a = NULL;
    struct receipt lent, *r = NULL;
    uint8_t exporter[32], hash[32];
    struct buf text;
    struct stage s;

    (void)state;
    stage_open(&s, &honest, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_ATTESTED);
    atls_client_receipt(s.client, &lent);
    buf_init(&text, 1 << 20, "receipt");
    if (!receipt_write(&lent, atls_client_attestation(s.client), &text, &s.w.err) ||
        !receipt_parse(buf_view(&text), &r, &s.w.err))
        fail_msg("%s", s.w.err.text);
    judge.trust = s.w.trust;
    if (!receipt_verify(r, &judge, &a, &s.w.err))
        fail_msg("%s", s.w.err.text);
    assert_true(view_eq(r->server_name, VIEW("tee.test")));
    assert_memory_equal(r->nonce, atls_client_nonce(s.client), 32);
    assert_memory_equal(r->certificate_sha256, s.w.leaf, 32);
    assert_int_equal(SSL_export_keying_material(s.near.peer.ssl, exporter, 32,
                                                "EXPORTER-Channel-Binding", 24, NULL, 0, 0),
                     1);
    assert_true(secret_sha256(exporter, 32, hash));
    assert_memory_equal(r->exporter_sha256, hash, 32);
    attestation_free(a);
    receipt_free(r);
    buf_done(&text);
    stage_close(&s);
}

static void collateral_is_asked_for_when_none_is_stapled_or_it_is_old(void **state)
{
    static const struct lie lies[] = {{.no_staple = true}, {.old_staple = true}};

    (void)state;
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct stage s;
        struct buf json;

        stage_open(&s, &lies[i], "tee.test");
        assert_int_equal(stage_run(&s), ATLS_WANT_COLLATERAL);
        assert_memory_equal(atls_client_need(s.client)->fmspc, s.w.platform->recipe.fmspc, 6);
        assert_null(atls_client_attestation(s.client));
        assert_false(atls_client_write(s.client, VIEW("GET"), NULL));
        buf_init(&json, 1 << 20, "json");
        assert_true(sim_collateral(s.w.platform, &json, NULL));
        stage_give(&s, buf_view(&json));
        assert_int_equal(stage_run(&s), ATLS_ATTESTED);
        assert_string_equal(s.phases, lies[i].no_staple ? "QCVD" : "QVCVD");
        assert_false(atls_client_stapled(s.client));
        buf_done(&json);
        stage_close(&s);
    }
}

static struct collateral *collateral_of(struct stage *s, uint32_t evaluation)
{
    struct collateral *out;
    struct buf json;

    s->w.platform->recipe.evaluation = evaluation;
    buf_init(&json, 1 << 20, "json");
    assert_true(sim_collateral(s->w.platform, &json, NULL));
    assert_true(collateral_parse(buf_view(&json), &out, &s->w.err));
    buf_done(&json);
    return out;
}

/* Stapled, then kept, then fetched: each is older than what was accepted; the last one may be new enough. */
static void older_collateral_is_fetched_anew_once_and_then_refused(void **state)
{
    static const struct lie honest = {0};

    (void)state;
    for (uint32_t last = 17; last <= 18; last++) {
        struct edition *known;
        struct stage s;

        stage_open(&s, &honest, "tee.test");
        s.known->count = 1;
        known = &s.known->all[0];
        *known = (struct edition){.tee = TEE_TDX, .tcb_info = 18, .qe_identity = 18};
        memcpy(known->fmspc, s.w.platform->recipe.fmspc, 6);
        memcpy(known->root_sha256, s.w.trust->sha256, 32);
        assert_int_equal(stage_run(&s), ATLS_WANT_COLLATERAL);
        assert_false(atls_client_anew(s.client)); /* a cache may know better than the endpoint */
        atls_client_give_collateral(s.client, collateral_of(&s, 17));
        assert_int_equal(stage_run(&s), ATLS_WANT_COLLATERAL);
        assert_true(atls_client_anew(s.client));
        atls_client_give_collateral(s.client, collateral_of(&s, last));
        if (last < 18) {
            assert_int_equal(stage_run(&s), ATLS_FAILED);
            assert_int_equal(atls_client_error(s.client)->code, ATTEST_TCB_ROLLBACK);
        } else {
            assert_int_equal(stage_run(&s), ATLS_ATTESTED);
            assert_int_equal(atls_client_attestation(s.client)->edition.tcb_info, 18);
        }
        stage_close(&s);
    }
}

/* Told by the clock that the client is stepped with, from the verdict on. */
static void a_proof_grows_old_as_the_policy_says(void **state)
{
    static const struct lie honest = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct atls_client_options options = {.server_name = "tee.test"};
        struct stage s;

        stage_open(&s, &honest, "tee.test");
        if (i) {
            atls_client_free(s.client);
            policy_free(s.policy);
            buf_replace(&s.w.policy, "\"allow_simulated\"",
                        "\"reattest_after\":600,\"allow_simulated\"");
            assert_true(policy_parse(buf_view(&s.w.policy), &s.policy, &s.w.err));
            options.context = s.client_context;
            options.policy = s.policy;
            assert_true(atls_client_new(&options, &s.client, &s.w.err));
        }
        assert_int_equal(stage_run(&s), ATLS_ATTESTED); /* at 1000 ms */
        assert_true(atls_client_due_ms(s.client) == (i ? 601000 : UINT64_MAX));
        stage_close(&s);
    }
}

static void attest_again(struct stage *s)
{
    stage_again(s);
    assert_null(atls_client_attestation(s->client));
    assert_false(atls_client_write(s->client, VIEW("GET"), NULL));
}

static void a_connection_can_be_attested_again(void **state)
{
    static const struct lie honest = {.version = 0};
    uint8_t nonce[32];
    struct stage s;

    (void)state;
    stage_open(&s, &honest, "127.0.0.1");
    assert_int_equal(stage_run(&s), ATLS_ATTESTED);
    assert_string_equal(s.phases, "QVD");
    memcpy(nonce, atls_client_nonce(s.client), 32);
    attest_again(&s);
    if (stage_run(&s) != ATLS_ATTESTED)
        fail_msg("%s", atls_client_error(s.client)->text);
    assert_string_equal(s.phases, "QVDQVD");
    assert_memory_not_equal(nonce, atls_client_nonce(s.client), 32);
    stage_close(&s);
}

/* The same session, and the quote that was good for the first nonce. */
static void an_old_quote_of_the_same_session_is_refused(void **state)
{
    static const struct lie replays = {.replays = true};
    struct stage s;

    (void)state;
    stage_open(&s, &replays, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_ATTESTED);
    attest_again(&s);
    assert_int_equal(stage_run(&s), ATLS_FAILED);
    assert_int_equal(atls_client_error(s.client)->code, ATTEST_REPORT_DATA);
    assert_null(atls_client_attestation(s.client));
    stage_close(&s);
}

/* Nor on the next connection. */
static void an_old_quote_of_another_session_is_refused(void **state)
{
    static const struct lie replays = {.replays = true};
    struct stage s;

    (void)state;
    stage_open(&s, &replays, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_ATTESTED);
    stage_connect(&s, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_FAILED);
    assert_int_equal(atls_client_error(s.client)->code, ATTEST_REPORT_DATA);
    stage_close(&s);
}

static void no_nonce_comes_twice(void **state)
{
    enum { CONNECTIONS = 12 };
    static const struct lie honest = {.version = 0};
    uint8_t nonces[2 * CONNECTIONS][32];
    struct stage s;

    (void)state;
    stage_open(&s, &honest, "tee.test");
    for (size_t i = 0; i < COUNT(nonces); i += 2) {
        assert_int_equal(stage_run(&s), ATLS_ATTESTED);
        memcpy(nonces[i], atls_client_nonce(s.client), 32);
        attest_again(&s);
        assert_int_equal(stage_run(&s), ATLS_ATTESTED);
        memcpy(nonces[i + 1], atls_client_nonce(s.client), 32);
        stage_connect(&s, "tee.test");
    }
    for (size_t i = 0; i < COUNT(nonces); i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(nonces[i], nonces[k], 32);
    stage_close(&s);
}

/* Whoever waits no longer lets go of it wherever it stands: nothing was let through, and nothing is left in memory. */
static void it_can_be_left_in_every_state(void **state)
{
    static const struct lie slow = {.cut = 512, .no_staple = true};
    enum atls_step step = ATLS_WANT_READ;
    unsigned turns = 0;

    (void)state;
    while (step == ATLS_WANT_READ) {
        struct stage s;

        stage_open(&s, &slow, "tee.test");
        step = stage_turns(&s, turns++);
        assert_null(atls_client_attestation(s.client));
        assert_false(atls_client_write(s.client, VIEW("GET"), NULL));
        stage_close(&s);
    }
    assert_int_equal(step, ATLS_WANT_COLLATERAL);
    assert_true(turns > 20);
}

static void the_end_is_an_end_in_every_state(void **state)
{
    static const struct lie slow = {.cut = 512};
    enum atls_step step = ATLS_WANT_READ;
    unsigned turns = 0;

    (void)state;
    while (step == ATLS_WANT_READ) {
        enum attest_code code;
        struct stage s;

        stage_open(&s, &slow, "tee.test");
        step = stage_turns(&s, turns++);
        if (step == ATLS_WANT_READ) {
            assert_int_equal(stage_ends(&s), ATLS_FAILED);
            code = atls_client_error(s.client)->code;
            assert_true(code == ATTEST_TLS_HANDSHAKE || code == ATTEST_CLOSED);
            assert_int_equal(atls_client_step(s.client, s.w.now_s, 1000), ATLS_FAILED);
        }
        stage_close(&s);
    }
    assert_int_equal(step, ATLS_ATTESTED);
}

/* What was decided stands: bytes that come later change nothing. */
static void a_failure_is_final(void **state)
{
    static const struct lie lies = {.other_nonce = true};
    struct stage s;

    (void)state;
    stage_open(&s, &lies, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_FAILED);
    assert_false(atls_client_reattest(s.client));
    assert_int_equal(stage_run(&s), ATLS_FAILED);
    assert_int_equal(atls_client_error(s.client)->code, ATTEST_REPORT_DATA);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_server_is_attested),
        cmocka_unit_test(what_was_attested_makes_a_receipt_that_verifies),
        cmocka_unit_test(collateral_is_asked_for_when_none_is_stapled_or_it_is_old),
        cmocka_unit_test(older_collateral_is_fetched_anew_once_and_then_refused),
        cmocka_unit_test(a_proof_grows_old_as_the_policy_says),
        cmocka_unit_test(a_connection_can_be_attested_again),
        cmocka_unit_test(an_old_quote_of_the_same_session_is_refused),
        cmocka_unit_test(an_old_quote_of_another_session_is_refused),
        cmocka_unit_test(no_nonce_comes_twice),
        cmocka_unit_test(it_can_be_left_in_every_state),
        cmocka_unit_test(the_end_is_an_end_in_every_state),
        cmocka_unit_test(a_failure_is_final),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
