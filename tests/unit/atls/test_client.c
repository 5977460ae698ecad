/* The engine from both ends: a server of the protocol, made of the same parts, and a client that must not be fooled. */
#include "../attest/world.h"

#include <time.h>

#include "atls/client.h"
#include "base/codec.h"

/* What the server does otherwise than it should. */
struct lie {
    const char *head;   /* instead of the answer's own; "@": its length */
    const char *behind; /* the answer */
    bool other_session; /* the quote is for another exporter value */
    bool other_nonce;
    bool no_staple, old_staple;
    bool other_leaf_event;
    bool ends;    /* the connection, with the answer half sent */
    bool failed;  /* {"success": false} */
    bool array;   /* the event log as an array */
    unsigned cut; /* at most so many bytes at a time */
};

struct stage {
    struct world w;
    X509 *ca, *cert;
    EVP_PKEY *ca_key, *key;
    struct buf ca_pem, chain_pem, key_pem;
    struct session_context *server_context, *client_context;
    struct session *server;
    struct atls_client *client;
    struct policy *policy;
    struct buf request;
    bool answered, server_up;
    const struct lie *lie;
    char phases[16];        /* that the client told of */
    struct editions *known; /* none, until a test puts some there */
};

static void entered(void *context, enum atls_phase phase)
{
    struct stage *s = context;
    size_t n = strlen(s->phases);

    assert_true(n + 1 < sizeof s->phases);
    s->phases[n] = "HQCVD"[phase];
}

static void stage_open(struct stage *s, const struct lie *lie, const char *name)
{
    struct sim_certificate_spec spec = {.name = "Web CA", .ca = true, .path_length = 0};
    struct session_client_options options = {.any_certificate = false};
    struct atls_client_options client;
    int64_t now = (int64_t)time(NULL);

    memset(s, 0, sizeof *s);
    world_open(&s->w, 4);
    s->lie = lie;
    /* The web's PKI lives in the real time, the rest in the world's. */
    spec.not_before_s = (now < s->w.now_s ? now : s->w.now_s) - 100;
    spec.not_after_s = (now > s->w.now_s ? now : s->w.now_s) + 1000;
    assert_true(sim_key(&s->ca_key, NULL) && sim_key(&s->key, NULL));
    spec.key = s->ca_key;
    assert_true(sim_certificate(&spec, &s->ca, NULL));
    spec.name = "tee.test";
    spec.alt_names = "DNS:tee.test,IP:127.0.0.1";
    spec.key = s->key;
    spec.ca = false;
    spec.issuer = s->ca;
    spec.issuer_key = s->ca_key;
    assert_true(sim_certificate(&spec, &s->cert, NULL));
    buf_init(&s->ca_pem, 1 << 16, "pem");
    buf_init(&s->chain_pem, 1 << 16, "pem");
    buf_init(&s->key_pem, 1 << 16, "pem");
    buf_init(&s->request, 1 << 16, "request");
    assert_true(sim_pem(s->ca, &s->ca_pem, NULL) && sim_pem(s->cert, &s->chain_pem, NULL) &&
                sim_key_pem(s->key, &s->key_pem, NULL));
    assert_true(session_server_context(buf_view(&s->chain_pem), buf_view(&s->key_pem),
                                       &s->server_context, NULL));
    options.roots = buf_view(&s->ca_pem);
    assert_true(session_client_context(&options, &s->client_context, NULL));
    session_context_leaf(s->server_context, s->w.leaf);
    if (lie->other_leaf_event)
        s->w.leaf[0] ^= 1;
    assert_true(sim_guest_certificate(s->w.guest, s->w.leaf, NULL));
    assert_true(policy_parse(buf_view(&s->w.policy), &s->policy, &s->w.err));
    assert_true(session_accept(s->server_context, &s->server, NULL));
    client = (struct atls_client_options){.context = s->client_context,
                                          .policy = s->policy,
                                          .server_name = name,
                                          .entered = entered,
                                          .context_of_entered = s};
    s->known = calloc(1, sizeof *s->known);
    assert_non_null(s->known);
    client.editions = s->known;
    assert_true(atls_client_new(&client, &s->client, &s->w.err));
}

static void stage_close(struct stage *s)
{
    atls_client_free(s->client);
    free(s->known);
    session_free(s->server);
    session_context_unref(s->server_context);
    session_context_unref(s->client_context);
    policy_free(s->policy);
    buf_done(&s->ca_pem);
    buf_done(&s->chain_pem);
    buf_done(&s->key_pem);
    buf_done(&s->request);
    X509_free(s->ca);
    X509_free(s->cert);
    EVP_PKEY_free(s->ca_key);
    EVP_PKEY_free(s->key);
    world_close(&s->w);
}

static void put_text(struct json_writer *w, const char *key, struct view text)
{
    json_key(w, key);
    json_text(w, text);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: @\r\n\r\n"

static void put_head(const char *form, size_t len, char *out, size_t size)
{
    const char *at = strchr(form, '@');

    if (at)
        (void)snprintf(out, size, "%.*s%zu%s", (int)(at - form), form, len, at + 1);
    else
        (void)snprintf(out, size, "%s", form);
}

static void answer(struct stage *s, struct view nonce_body)
{
    uint8_t nonce[32], exporter[32], data[64];
    struct buf quote, body, log, staple;
    struct json_writer w;
    char head[512];
    char *hex;

    assert_true(exchange_nonce(nonce_body, nonce, NULL));
    assert_true(session_exporter(s->server, exporter, NULL));
    nonce[0] ^= s->lie->other_nonce;
    exporter[0] ^= s->lie->other_session;
    assert_true(attest_report_data(nonce, exporter, data));
    buf_init(&quote, 1 << 17, "quote");
    buf_init(&body, 1 << 22, "body");
    buf_init(&log, 1 << 20, "log");
    buf_init(&staple, 1 << 20, "staple");
    assert_true(sim_quote(s->w.platform, &s->w.guest->td, 4, data, 70, &quote, NULL));
    assert_true(sim_guest_log(s->w.guest, false, &log, NULL));
    if (s->lie->old_staple)
        s->w.platform->recipe.now_s -= 86400 * 90;
    assert_true(sim_collateral(s->w.platform, &staple, NULL));
    if (s->lie->old_staple)
        s->w.platform->recipe.now_s += 86400 * 90;
    hex = malloc(2 * buf_len(&quote) + 1);
    hex_encode(buf_view(&quote), hex);
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "success");
    json_bool(&w, !s->lie->failed);
    json_key(&w, "quote");
    json_object(&w);
    put_text(&w, "quote", view_str(hex));
    json_key(&w, "event_log");
    if (s->lie->array)
        json_raw(&w, buf_view(&log));
    else
        json_text(&w, buf_view(&log));
    json_object_end(&w);
    json_key(&w, "tcb_info");
    json_null(&w);
    if (!s->lie->no_staple) {
        json_key(&w, "collateral");
        json_raw(&w, buf_view(&staple));
    }
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    free(hex);
    put_head(s->lie->head ? s->lie->head : HEAD, buf_len(&body), head, sizeof head);
    assert_true(session_write(s->server, view_str(head), NULL));
    assert_true(session_write(
        s->server, view_first(buf_view(&body), buf_len(&body) / (s->lie->ends ? 2 : 1)), NULL));
    if (s->lie->behind)
        assert_true(session_write(s->server, view_str(s->lie->behind), NULL));
    if (s->lie->ends)
        session_close(s->server);
    buf_done(&quote);
    buf_done(&body);
    buf_done(&log);
    buf_done(&staple);
}

/* The server's turn: handshake, then the request, once it is whole. */
static void serve(struct stage *s)
{
    struct err why;

    if (!s->server_up) {
        enum tls_status status = session_handshake(s->server, &why);

        s->server_up = status == TLS_OK;
        if (!s->server_up)
            return;
    }
    for (;;) {
        uint8_t bytes[4096];
        size_t n = sizeof bytes;

        if (session_read(s->server, bytes, &n, &why) != TLS_OK)
            break;
        assert_true(buf_append(&s->request, view_from(bytes, n), NULL));
    }
    if (!s->answered && buf_len(&s->request)) {
        struct view all = buf_view(&s->request);
        const uint8_t *blank = memmem(all.at, all.len, "\r\n\r\n", 4);

        assert_non_null(blank);
        s->answered = true;
        answer(s, view_skip(all, (size_t)(blank - all.at) + 4));
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes go to and fro until the client has an opinion. */
static enum atls_step run(struct stage *s)
{
    for (int i = 0; i < 200000; i++) {
        enum atls_step step = atls_client_step(s->client, s->w.now_s, 1000);
        struct view to_server, to_client;
        size_t n;

        if (step != ATLS_WANT_READ)
            return step;
        to_server = atls_client_output(s->client);
        assert_true(session_feed(s->server, to_server, NULL));
        atls_client_sent(s->client, to_server.len);
        serve(s);
        to_client = session_output(s->server);
        n = s->lie->cut ? least(to_client.len, s->lie->cut) : to_client.len;
        assert_true(atls_client_feed(s->client, view_first(to_client, n)));
        session_sent(s->server, n);
        if (!to_server.len && !to_client.len)
            atls_client_feed_end(s->client);
    }
    return ATLS_WANT_READ;
}

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
        uint8_t word[16];
        size_t n = sizeof word;

        stage_open(&s, &honest[i], "tee.test");
        if (run(&s) != ATLS_ATTESTED)
            fail_msg("%zu: %s", i, atls_client_error(s.client)->text);
        assert_true(view_starts(buf_view(&s.request),
                                VIEW("POST /tdx_quote HTTP/1.1\r\nHost: tee.test\r\n")));
        assert_memory_equal(s.request.area, expected, sizeof expected - 1);
        assert_true(atls_client_stapled(s.client));
        assert_true(atls_client_attestation(s.client)->runtime_verified);
        /* Now the connection is the application's. */
        assert_true(atls_client_write(s.client, VIEW("GET"), NULL));
        assert_true(session_feed(s.server, atls_client_output(s.client), NULL));
        assert_int_equal(session_read(s.server, word, &n, NULL), TLS_OK);
        assert_int_equal(n, 3);
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
    assert_int_equal(run(&s), ATLS_ATTESTED);
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
    assert_true(session_exporter(s.server, exporter, NULL));
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
        struct collateral *fetched;
        struct stage s;
        struct buf json;

        stage_open(&s, &lies[i], "tee.test");
        assert_int_equal(run(&s), ATLS_WANT_COLLATERAL);
        assert_memory_equal(atls_client_need(s.client)->fmspc, s.w.platform->recipe.fmspc, 6);
        assert_null(atls_client_attestation(s.client));
        assert_false(atls_client_write(s.client, VIEW("GET"), NULL));
        buf_init(&json, 1 << 20, "json");
        assert_true(sim_collateral(s.w.platform, &json, NULL));
        assert_true(collateral_parse(buf_view(&json), &fetched, &s.w.err));
        atls_client_give_collateral(s.client, fetched);
        assert_int_equal(run(&s), ATLS_ATTESTED);
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
        assert_int_equal(run(&s), ATLS_WANT_COLLATERAL);
        assert_false(atls_client_anew(s.client)); /* a cache may know better than the endpoint */
        atls_client_give_collateral(s.client, collateral_of(&s, 17));
        assert_int_equal(run(&s), ATLS_WANT_COLLATERAL);
        assert_true(atls_client_anew(s.client));
        atls_client_give_collateral(s.client, collateral_of(&s, last));
        if (last < 18) {
            assert_int_equal(run(&s), ATLS_FAILED);
            assert_int_equal(atls_client_error(s.client)->code, ATTEST_TCB_ROLLBACK);
        } else {
            assert_int_equal(run(&s), ATLS_ATTESTED);
            assert_int_equal(atls_client_attestation(s.client)->edition.tcb_info, 18);
        }
        stage_close(&s);
    }
}

static void a_dishonest_server_is_refused(void **state)
{
    static const struct {
        struct lie lie;
        const char *name;
        enum attest_code code;
    } lies[] = {
        {{.other_session = true},
         "tee.test",
         ATTEST_REPORT_DATA}, /* a relay: a genuine quote for another session */
        {{.other_nonce = true}, "tee.test", ATTEST_REPORT_DATA},
        {{.other_leaf_event = true}, "tee.test", ATTEST_CERTIFICATE_EVENT},
        {{.failed = true}, "tee.test", ATTEST_QUOTE_ANSWER},
        {{.ends = true}, "tee.test", ATTEST_CLOSED},
        {{.behind = "HTTP/1.1 200 OK\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 500 Oh\r\nContent-Length: @\r\n\r\n"}, "tee.test", ATTEST_HTTP_STATUS},
        {{.head = "HTTP/1.1 204 None\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nContent-Length: 5\r\n\r\n"},
         "tee.test",
         ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nTransfer-Encoding: chunked\r\n\r\n"},
         "tee.test",
         ATTEST_HTTP},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nConnection: close\r\n\r\n"},
         "tee.test",
         ATTEST_CLOSED},
        {{.head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nContent-Encoding: gzip\r\n\r\n"},
         "tee.test",
         ATTEST_HTTP},
        {{.head = "HTTP/1.1 101 Hm\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{.head = "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 "
                  "A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
                  "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 "
                  "A\r\n\r\n"},
         "tee.test",
         ATTEST_HTTP},
        {{.head = "garbage\r\n\r\n"}, "tee.test", ATTEST_HTTP},
        {{0}, "other.test", ATTEST_TLS_HANDSHAKE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct stage s;
        enum atls_step step;

        stage_open(&s, &lies[i].lie, lies[i].name);
        step = run(&s);
        if (step != ATLS_FAILED || atls_client_error(s.client)->code != lies[i].code)
            fail_msg("%zu: step %d, wanted %s, got %s: %s", i, (int)step,
                     attest_code_name(lies[i].code),
                     attest_code_name(atls_client_error(s.client)->code),
                     atls_client_error(s.client)->text);
        assert_false(atls_client_write(s.client, VIEW("GET"), NULL));
        stage_close(&s);
    }
}

static void names_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"", "a b", "a/b", "user@host", "a\nb", "h%00"};
    struct session_client_options options = {.any_certificate = true};
    struct session_context *context;
    struct policy *policy;

    (void)state;
    assert_true(session_client_context(&options, &context, NULL));
    assert_true(policy_dev(&policy, NULL));
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct atls_client_options o = {
            .context = context, .policy = policy, .server_name = bad[i]};
        struct atls_client *client;
        struct attest_err err;

        assert_false(atls_client_new(&o, &client, &err));
        assert_int_equal(err.code, ATTEST_SERVER_NAME);
    }
    policy_free(policy);
    session_context_unref(context);
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
        assert_int_equal(run(&s), ATLS_ATTESTED); /* at 1000 ms */
        assert_true(atls_client_due_ms(s.client) == (i ? 601000 : UINT64_MAX));
        stage_close(&s);
    }
}

static void a_connection_can_be_attested_again(void **state)
{
    static const struct lie honest = {0};
    uint8_t nonce[32];
    struct stage s;

    (void)state;
    stage_open(&s, &honest, "127.0.0.1");
    assert_int_equal(run(&s), ATLS_ATTESTED);
    assert_string_equal(s.phases, "QVD");
    memcpy(nonce, atls_client_nonce(s.client), 32);
    assert_true(atls_client_reattest(s.client));
    assert_null(atls_client_attestation(s.client));
    s.answered = false;
    buf_reset(&s.request);
    if (run(&s) != ATLS_ATTESTED)
        fail_msg("%s", atls_client_error(s.client)->text);
    assert_string_equal(s.phases, "QVDQVD");
    assert_memory_not_equal(nonce, atls_client_nonce(s.client), 32);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_server_is_attested),
        cmocka_unit_test(what_was_attested_makes_a_receipt_that_verifies),
        cmocka_unit_test(collateral_is_asked_for_when_none_is_stapled_or_it_is_old),
        cmocka_unit_test(older_collateral_is_fetched_anew_once_and_then_refused),
        cmocka_unit_test(a_dishonest_server_is_refused),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(a_proof_grows_old_as_the_policy_says),
        cmocka_unit_test(a_connection_can_be_attested_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
