/* Whom the client takes for its peer: TLS 1.3 alone, a certificate for that name, one protocol; and bytes that were changed on
 * the way. */
#include "stage.h"

#include <openssl/err.h>

/* --- certificates --- */

static GENERAL_NAME *dns_name(const char *bytes, int n)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    assert_true(name && text && ASN1_STRING_set(text, bytes, n) == 1);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    return name;
}
static void add_name(X509 *x, const char *bytes, int n)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

    assert_true(names && sk_GENERAL_NAME_push(names, dns_name(bytes, n)) == 1);
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE), 1);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}
static void name_with_a_nul(X509 *x)
{
    add_name(x, "tee.test\0.attacker.test", 23);
}
static void name_with_a_nul_at_its_end(X509 *x)
{
    add_name(x, "tee.test\0", 9);
}
static void name_with_a_dot_at_its_end(X509 *x)
{
    add_name(x, "tee.test.", 9);
}
static void name_of_everything(X509 *x)
{
    add_name(x, "*", 1);
}
static void name_with_a_star_inside(X509 *x)
{
    add_name(x, "t*.test", 7);
}
static void name_with_a_star_in_an_idn(X509 *x)
{
    add_name(x, "xn--*.test", 10);
}
static void name_with_a_star_behind(X509 *x)
{
    add_name(x, "tee.*", 5);
}
static void name_with_a_blank(X509 *x)
{
    add_name(x, " tee.test", 9);
}
static void extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *made;
    int at = X509_get_ext_by_NID(x, nid, -1);

    if (at >= 0)
        X509_EXTENSION_free(X509_delete_ext(x, at));
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    made = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(made);
    assert_int_equal(X509_add_ext(x, made, -1), 1);
    X509_EXTENSION_free(made);
}
static void for_clients_alone(X509 *x)
{
    extension(x, NID_ext_key_usage, "clientAuth");
}
static void with_an_unknown_critical_extension(X509 *x)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.3.4.5", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *made;

    assert_true(oid && value &&
                ASN1_OCTET_STRING_set(value, (const unsigned char *)"\5\0", 2) == 1);
    made = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    assert_int_equal(X509_add_ext(x, made, -1), 1);
    X509_EXTENSION_free(made);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
}

/* --- what is no TLS, or too little of it --- */

#define BABBLE_FAULT(f, error, text) \
    LIE_FAULT(f, error, .babble = {(const uint8_t *)(text), sizeof(text) - 1})

/* Fatal ones, each number. */
static void alerts_are_told_by_name(void **state)
{
    static const struct {
        unsigned number;
        const char *words;
    } names[] = {
        {40, "TLS handshake failed: TLS handshake: the other end sent the alert handshake_failure "
             "(40)"},
        {70,
         "TLS handshake failed: TLS handshake: the other end sent the alert protocol_version (70)"},
        {112, "TLS handshake failed: TLS handshake: the other end sent the alert unrecognized_name "
              "(112)"},
        {255, "TLS handshake failed: TLS handshake: the other end sent the alert of no name (255)"},
    };

    static uint8_t record[] = {0x15, 3, 3, 0, 2, 2, 0};
    static const struct lie tells = {.babble = {record, sizeof record}};
    struct stage s;

    (void)state;
    stage_open(&s, &tells, "tee.test");
    for (unsigned number = 1; number < 256; number++) {
        record[sizeof record - 1] = (uint8_t)number;
        stage_connect(&s, "tee.test");
        assert_int_equal(stage_run(&s), ATLS_FAILED);
        assert_int_equal(atls_client_error(s.client)->code, ATTEST_TLS_HANDSHAKE);
        for (size_t i = 0; i < COUNT(names); i++)
            if (names[i].number == number)
                assert_string_equal(atls_client_error(s.client)->text, names[i].words);
    }
    stage_close(&s);
}

/* --- what a server chooses --- */

static const struct lie offers_more = {.tickets = true};

/* Tickets and early data are offered and not taken: the next connection is whole, with a quote of its own. */
static void nothing_is_resumed(void **state)
{
    struct stage s;

    (void)state;
    stage_open(&s, &offers_more, "tee.test");
    for (int i = 0; i < 3; i++) {
        if (stage_run(&s) != ATLS_ATTESTED)
            fail_msg("%s", atls_client_error(s.client)->text);
        assert_int_equal(SSL_session_reused(s.near.peer.ssl), 0);
        assert_int_equal(SSL_get_early_data_status(s.near.peer.ssl), SSL_EARLY_DATA_NOT_SENT);
        stage_connect(&s, "tee.test");
    }
    stage_close(&s);
}

/* What the client says of itself leaves no choice. */
struct hello {
    unsigned char versions[8], protocols[32];
    size_t versions_len, protocols_len;
    bool psk, early, name;
};

static int look_at_hello(SSL *ssl, int *alert, void *context)
{
    struct hello *h = context;
    const unsigned char *at;
    size_t n;

    (void)alert;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &at, &n) &&
        n <= sizeof h->versions) {
        memcpy(h->versions, at, n);
        h->versions_len = n;
    }
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &at,
                                  &n) &&
        n <= sizeof h->protocols) {
        memcpy(h->protocols, at, n);
        h->protocols_len = n;
    }
    h->psk = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &at, &n);
    h->early = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_early_data, &at, &n);
    h->name = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &at, &n);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static void the_hello_leaves_no_choice(void **state)
{
    static const char *const names[] = {"tee.test", "127.0.0.1"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct hello h = {.versions_len = 0};
        struct stage s;

        stage_open(&s, &offers_more, names[i]);
        SSL_CTX_set_client_hello_cb(s.server_context, look_at_hello, &h);
        assert_int_equal(stage_run(&s), ATLS_ATTESTED);
        stage_connect(&s, names[i]); /* tickets have come */
        assert_int_equal(stage_run(&s), ATLS_ATTESTED);
        assert_int_equal(h.versions_len, 3);
        assert_memory_equal(h.versions, "\x02\x03\x04", 3);
        assert_int_equal(h.protocols_len, 11);
        assert_memory_equal(h.protocols, "\x00\x09\x08http/1.1", 11);
        assert_false(h.psk || h.early);
        assert_int_equal(h.name, i == 0); /* of an address there is none */
        stage_close(&s);
    }
}

/* There is no early exporter that a server could bind a quote to by mistake. */
static void there_is_no_early_exporter(void **state)
{
    unsigned char out[32];
    struct stage s;

    (void)state;
    stage_open(&s, &offers_more, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_ATTESTED);
    assert_int_equal(SSL_export_keying_material_early(s.near.peer.ssl, out, sizeof out,
                                                      "EXPORTER-Channel-Binding", 24, NULL, 0),
                     0);
    ERR_clear_error();
    stage_close(&s);
}

/* In TLS 1.3 an empty context is none: both ends may say either. */
static void an_empty_context_is_none(void **state)
{
    static const struct lie empty = {.context = ""};
    struct stage s;

    (void)state;
    stage_open(&s, &empty, "tee.test");
    assert_int_equal(stage_run(&s), ATLS_ATTESTED);
    stage_close(&s);
}

static void good_certificates_are_good(void **state)
{
    static const struct {
        struct lie lie;
        const char *name;
    } cases[] = {
        {{.alt_names = "DNS:*.tee.test"}, "a.tee.test"},
        {{.alt_names = "DNS:a_b.tee.test"}, "a_b.tee.test"},
        {{.alt_names = "DNS:TEE.Test"}, "tee.test"},
        {{.alt_names = "DNS:other.test,DNS:tee.test"}, "TEE.TEST"},
        {{.alt_names = "IP:::1"}, "::1"},
        {{.alt_names = "DNS:xn--te-bja.test"}, "xn--te-bja.test"},
        {{.protocol = "http/1.1"}, "tee.test"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage s;

        stage_open(&s, &cases[i].lie, cases[i].name);
        if (stage_run(&s) != ATLS_ATTESTED)
            fail_msg("%zu: %s", i, atls_client_error(s.client)->text);
        stage_close(&s);
    }
}

/* --- names that the user gives --- */

static void names_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "a b",
        "a/b",
        "user@host",
        "a\nb",
        "a\r\nX: y",
        "a\tb",
        "h%00",
        "tee.test\x01",
        ".",
        ".test",
        "tee.test.",
        "tee..test",
        "..",
        "*",
        "*.test",
        "t*.test",
        "[::1]",
        "::1::",
        "tee.test:443",
        "t\303\251e.test",
        "\xe2\x80\x8btee.test",
        "tee\xe3\x80\x82test",
        "tee.test\xe2\x80\x8b",
        "a,b",
        "a;b",
        "a=b",
        "a!b",
        "(a)",
        "$a",
        "a&b",
        "a+b",
        "a~b",
        "'a'",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test", /* 64 */
    };
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

        if (atls_client_new(&o, &client, &err))
            fail_msg("\"%s\" passed for a name", bad[i]);
        assert_int_equal(err.code, ATTEST_SERVER_NAME);
        far_name(__func__, bad[i], policy, &err);
    }
    policy_free(policy);
    session_context_unref(context);
}

/* --- the way there --- */

/* A record that only keeps middleboxes calm (RFC 8446, D.4) means nothing to either end. */
enum { RECORD_HEAD = 5, CALMING = 0x14 };

enum deed { FLIP_HEAD, FLIP_FIRST, FLIP_LAST, TWICE, SWAP, DROP, INJECT, INJECT_ALERT, CUT_SHORT };

/* What is done to which record of the server's; one test at a time. */
static struct {
    enum deed deed;
    unsigned record;
} plan;

static uint8_t types[64]; /* of the records */

static void put(struct buf *out, struct view bytes)
{
    assert_true(buf_append(out, bytes, NULL));
}

static void do_it(struct stage *s, struct view record, struct buf *out)
{
    static const uint8_t data[] = {0x17, 3,  3,  0,  24, 1,  2,  3,  4,  5,  6,  7,  8,  9, 10,
                                   11,   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
    size_t before = buf_len(out);
    uint8_t *at;

    switch (plan.deed) {
    case FLIP_HEAD:
    case FLIP_FIRST:
    case FLIP_LAST:
        put(out, record);
        at = out->area + out->head + before;
        at[plan.deed == FLIP_HEAD    ? 0
           : plan.deed == FLIP_FIRST ? RECORD_HEAD
                                     : record.len - 1] ^= 1;
        break;
    case TWICE:
        put(out, record);
        put(out, record);
        break;
    case SWAP:
        put(&s->here->held, record);
        break;
    case DROP:
        break;
    case INJECT:
        put(out, view_from(data, sizeof data));
        put(out, record);
        break;
    case INJECT_ALERT: /* close_notify, as if nothing were encrypted */
        put(out, VIEW("\x15\x03\x03\x00\x02\x01\x00"));
        put(out, record);
        break;
    case CUT_SHORT: /* by so many bytes that those behind are not, by chance, the same */
        put(out, view_first(record, record.len - 8));
        break;
    }
}

static void meddle(struct stage *s, struct buf *to_client)
{
    struct view rest = buf_view(to_client);
    struct buf out;

    buf_init(&out, 1 << 22, "out");
    while (rest.len >= RECORD_HEAD) {
        struct view record = view_first(rest, RECORD_HEAD + ((size_t)rest.at[3] << 8 | rest.at[4]));

        if (s->here->records < COUNT(types))
            types[s->here->records] = rest.at[0];
        if (s->here->records++ == plan.record) {
            do_it(s, record, &out);
        } else {
            put(&out, record);
            put(&out, buf_view(&s->here->held)); /* what was held comes behind the next */
            buf_reset(&s->here->held);
        }
        rest = view_skip(rest, record.len);
    }
    buf_done(to_client);
    *to_client = out;
}

/* Every record of a session, in every way: TLS finds it, and nothing is attested. */
static void no_record_can_be_tampered_with(void **state)
{
    static const struct lie meddled = {.meddle = meddle};
    unsigned records, told = 0;

    (void)state;
    plan.record = UINT_MAX;
    {
        struct stage s;

        stage_open(&s, &meddled, "tee.test");
        assert_int_equal(stage_run(&s), ATLS_ATTESTED);
        records = s.near.records;
        assert_true(records >= 6 && records < COUNT(types));
        stage_close(&s);
    }
    for (plan.record = 0; plan.record < records; plan.record++) {
        if (types[plan.record] == CALMING)
            continue;
        told++;
        for (plan.deed = FLIP_HEAD; plan.deed <= CUT_SHORT; plan.deed++) {
            enum atls_step step;
            enum attest_code code;
            struct stage s;

            stage_open(&s, &meddled, "tee.test");
            step = stage_run(&s);
            code = atls_client_error(s.client)->code;
            if (step == ATLS_ATTESTED)
                fail_msg("record %u of %u, deed %d", plan.record, records, (int)plan.deed);
            assert_true(code == ATTEST_TLS_HANDSHAKE || code == ATTEST_CLOSED);
            stage_close(&s);
        }
    }
    assert_true(told >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIE_FAULT(tls_1_2, TLS_HANDSHAKE, .version = TLS1_2_VERSION),
        BABBLE_FAULT(speaks_http, TLS_HANDSHAKE,
                     "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        BABBLE_FAULT(speaks_ssh, TLS_HANDSHAKE, "SSH-2.0-OpenSSH_9.2\r\n"),
        BABBLE_FAULT(speaks_smtp, TLS_HANDSHAKE, "220 mail.test ESMTP\r\n"),
        BABBLE_FAULT(speaks_of_postgresql, TLS_HANDSHAKE, "N"),
        BABBLE_FAULT(sends_zeros, TLS_HANDSHAKE, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        BABBLE_FAULT(sends_part_of_a_head, TLS_HANDSHAKE, "\x16\x03\x03"),
        BABBLE_FAULT(sends_a_record_of_nothing, TLS_HANDSHAKE, "\x16\x03\x03\0\0"),
        BABBLE_FAULT(sends_a_record_of_32_kib, TLS_HANDSHAKE, "\x16\x03\x03\x80\0\x02\0\0"),
        BABBLE_FAULT(sends_a_record_of_65535_bytes, TLS_HANDSHAKE, "\x16\x03\x03\xff\xff"),
        BABBLE_FAULT(sends_a_record_of_ssl_2, TLS_HANDSHAKE,
                     "\x80\x2e\x01\0\x02\0\x15\0\0\0\x10\x01\0\x80"),
        BABBLE_FAULT(sends_a_record_of_version_2, TLS_HANDSHAKE, "\x16\x02\0\0\x04\x02\0\0\0"),
        BABBLE_FAULT(sends_a_record_of_version_4, TLS_HANDSHAKE, "\x16\x04\0\0\x04\x02\0\0\0"),
        BABBLE_FAULT(sends_a_record_of_no_type, TLS_HANDSHAKE, "\x63\x03\x03\0\x04\x02\0\0\0"),
        BABBLE_FAULT(sends_data_at_once, TLS_HANDSHAKE, "\x17\x03\x03\0\x04\x02\0\0\0"),
        BABBLE_FAULT(sends_a_hello_of_a_client, TLS_HANDSHAKE, "\x16\x03\x03\0\x04\x01\0\0\0"),
        BABBLE_FAULT(sends_an_empty_hello, TLS_HANDSHAKE, "\x16\x03\x03\0\x04\x02\0\0\0"),
        BABBLE_FAULT(sends_a_hello_of_16_mib, TLS_HANDSHAKE, "\x16\x03\x03\0\x04\x02\xff\xff\xff"),
        BABBLE_FAULT(sends_a_finished_first, TLS_HANDSHAKE, "\x16\x03\x03\0\x04\x14\0\0\0"),
        BABBLE_FAULT(alert_of_one_byte, TLS_HANDSHAKE, "\x15\x03\x03\0\x01\x02"),
        BABBLE_FAULT(alert_of_three_bytes, TLS_HANDSHAKE, "\x15\x03\x03\0\x03\x02\x28\x28"),
        BABBLE_FAULT(alert_of_no_level, TLS_HANDSHAKE, "\x15\x03\x03\0\x02\x07\x28"),
        BABBLE_FAULT(alert_that_warns, TLS_HANDSHAKE, "\x15\x03\x03\0\x02\x01\x70"),
        cmocka_unit_test(alerts_are_told_by_name),
        LIE_FAULT(protocol_h2, TLS_HANDSHAKE, .protocol = "h2"),
        LIE_FAULT(protocol_http_1_0, TLS_HANDSHAKE, .protocol = "http/1.0"),
        LIE_FAULT(protocol_longer_than_ours, TLS_HANDSHAKE, .protocol = "http/1.1x"),
        LIE_FAULT_BY(certificate_for_another_name, TLS_HANDSHAKE, "other.test", .version = 0),
        LIE_FAULT_BY(certificate_for_another_address, TLS_HANDSHAKE, "127.0.0.2", .version = 0),
        LIE_FAULT_BY(certificate_of_a_name_below, TLS_HANDSHAKE, "a.tee.test", .version = 0),
        LIE_FAULT_BY(certificate_with_the_address_as_a_name, TLS_HANDSHAKE, "127.0.0.1",
                     .alt_names = "DNS:127.0.0.1"),
        LIE_FAULT(certificate_expired, TLS_HANDSHAKE, .from_s = -100, .to_s = -50),
        LIE_FAULT(certificate_of_the_future, TLS_HANDSHAKE, .from_s = 50000, .to_s = 100000),
        LIE_FAULT(certificate_by_itself, TLS_HANDSHAKE, .self_signed = true),
        LIE_FAULT(certificate_of_an_unknown_ca, TLS_HANDSHAKE, .unknown_ca = true),
        LIE_FAULT(certificate_without_its_issuers, TLS_HANDSHAKE, .without_issuer = true),
        LIE_FAULT(certificate_with_a_common_name_alone, TLS_HANDSHAKE, .alt_names = ""),
        LIE_FAULT(certificate_for_clients_alone, TLS_HANDSHAKE, .dress = for_clients_alone),
        LIE_FAULT(certificate_with_an_unknown_critical_extension, TLS_HANDSHAKE,
                  .dress = with_an_unknown_critical_extension),
        LIE_FAULT(certificate_with_a_nul_in_its_name, TLS_HANDSHAKE, .alt_names = "",
                  .dress = name_with_a_nul),
        LIE_FAULT(certificate_with_a_nul_behind_its_name, TLS_HANDSHAKE, .alt_names = "",
                  .dress = name_with_a_nul_at_its_end),
        LIE_FAULT(certificate_with_a_dot_behind_its_name, TLS_HANDSHAKE, .alt_names = "",
                  .dress = name_with_a_dot_at_its_end),
        LIE_FAULT(certificate_with_a_blank_before_its_name, TLS_HANDSHAKE, .alt_names = "",
                  .dress = name_with_a_blank),
        LIE_FAULT(certificate_for_everything, TLS_HANDSHAKE, .alt_names = "",
                  .dress = name_of_everything),
        LIE_FAULT(certificate_for_part_of_a_label, TLS_HANDSHAKE, .alt_names = "",
                  .dress = name_with_a_star_inside),
        LIE_FAULT_BY(certificate_for_part_of_a_label_of_an_idn, TLS_HANDSHAKE, "xn--te-bja.test",
                     .alt_names = "", .dress = name_with_a_star_in_an_idn),
        LIE_FAULT_BY(certificate_for_two_labels_at_once, TLS_HANDSHAKE, "a.b.tee.test",
                     .alt_names = "DNS:*.tee.test"),
        LIE_FAULT_BY(certificate_for_names_below_alone, TLS_HANDSHAKE, "tee.test",
                     .alt_names = "DNS:*.tee.test"),
        LIE_FAULT_BY(certificate_for_a_star_behind, TLS_HANDSHAKE, "tee.test", .alt_names = "",
                     .dress = name_with_a_star_behind),
        LIE_FAULT_BY(certificate_for_the_look_alike, TLS_HANDSHAKE, "tee.test",
                     .alt_names = "DNS:xn--te-bja.test"),
        cmocka_unit_test(good_certificates_are_good),
        cmocka_unit_test(nothing_is_resumed),
        cmocka_unit_test(the_hello_leaves_no_choice),
        cmocka_unit_test(there_is_no_early_exporter),
        cmocka_unit_test(an_empty_context_is_none),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(no_record_can_be_tampered_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
