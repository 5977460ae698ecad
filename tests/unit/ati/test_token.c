/* Tokens judged: claims, forms, signatures. */
#include "token_world.h"

static void judges_claims(void **state)
{
    static const struct {
        const char *claims, *wrong; /* wrong: NULL: good */
    } rows[] = {
        {"{" SOUND "}", NULL},
        {"{" SOUND ",\"iss\":\"me\",\"jti\":\"x\",\"job_id\":\"j\",\"sandbox_id\":\"s\"}", NULL},
        {"{" SOUND ",\"iss\":null,\"jti\":null,\"ati\":null,\"job_id\":null}", NULL},
        {"{" SOUND ",\"nbf\":99999999999,\"more\":[{\"a\":1}]}", NULL},
        {"{" SOUND ",\"ati\":{\"v\":1}}", NULL},
        {"{" SOUND ",\"ati\":{\"v\":255,\"rate\":null,\"x\":0}}", NULL},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":{}}}", NULL},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":{\"tool:a\":\"10/hour\",\"*\":\"1/s\"}}}", NULL},
        {"{" SOUND ",\"ati\":{}}", "ati.v"},
        {"{" SOUND ",\"ati\":{\"v\":256}}", "ati.v"},
        {"{" SOUND ",\"ati\":{\"v\":-1}}", "ati.v"},
        {"{" SOUND ",\"ati\":{\"v\":\"1\"}}", "ati.v"},
        {"{" SOUND ",\"ati\":[]}", "ati is not"},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":[]}}", "ati.rate"},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":{\"tool:a\":\"10/week\"}}}", "ati.rate"},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":{\"tool:b\":\"1/s\",\"tool:a\":10}}}", "ati.rate"},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":{\"tool: a\":\"1/s\"}}}", "ati.rate"},
        {"{" SOUND ",\"ati\":{\"v\":1,\"rate\":{\"\":\"1/s\"}}}", "ati.rate"},
        {"{" SOUND ",\"iss\":7}", "iss is not a text"},
        {"{" SOUND ",\"jti\":[]}", "jti is not a text"},
        {"{" SOUND ",\"job_id\":{}}", "job_id is not a text"},
        {"{" SOUND ",\"sandbox_id\":true}", "sandbox_id is not a text"},
        {"{\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}", "without sub"},
        {"{\"sub\":null,\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "without sub"},
        {"{\"sub\":7,\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "sub is not"},
        {"{\"sub\":\"a\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}", "without aud"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"exp\":1800000000,\"scope\":\"\"}", "without iat"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"scope\":\"\"}", "without exp"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000}", "without scope"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":[\"x\"]}",
         "scope is not a text"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}", NULL},
        {"{\"sub\":\"\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}", NULL},
        /* 60 s of grace, and not one more */
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1799999940,\"scope\":\"\"}", NULL},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1799999939,\"scope\":\"\"}",
         "expired"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":0,\"scope\":\"\"}", "expired"},
        /* issued in the future: not looked at */
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":9999999999,\"exp\":1800000000,\"scope\":"
         "\"\"}",
         NULL},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1.5,\"exp\":1800000000,\"scope\":\"\"}",
         "iat"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":-1,\"exp\":1800000000,\"scope\":\"\"}",
         "iat"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":\"1800000000\",\"scope\":\"\"}",
         "exp"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1e10,\"scope\":\"\"}", "exp"},
        {"{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":99999999999999999999,\"scope\":"
         "\"\"}",
         "exp"},
        {"{\"sub\":\"a\",\"aud\":\"other\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "another audience"},
        {"{\"sub\":\"a\",\"aud\":\"\",\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "another audience"},
        {"{\"sub\":\"a\",\"aud\":[\"x\",\"ati-proxy\"],\"iat\":1,\"exp\":1800000000,\"scope\":"
         "\"\"}",
         NULL},
        {"{\"sub\":\"a\",\"aud\":[\"x\"],\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "another audience"},
        {"{\"sub\":\"a\",\"aud\":[],\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "another audience"},
        {"{\"sub\":\"a\",\"aud\":[[\"ati-proxy\"]],\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "another audience"},
        {"{\"sub\":\"a\",\"aud\":{\"ati-proxy\":1},\"iat\":1,\"exp\":1800000000,\"scope\":\"\"}",
         "another audience"},
        {"{" SOUND ",\"sub\":\"root\"}", "cannot be read"}, /* twice */
        {"{" SOUND ",\"\\u0073ub\":\"root\"}", "cannot be read"},
        {"{" SOUND "} ", NULL},
        {"{" SOUND "}x", "cannot be read"},
        {"{" SOUND, "cannot be read"},
        {"[]", "cannot be read"},
        {"\"text\"", "cannot be read"},
        {"", "cannot be read"},
        {"{\"sub\":\"a\\u0000b\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1800000000,\"scope\":"
         "\"\"}",
         "sub is not a text"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
         "cannot be read"},
    };
    static char token[TOKEN_BYTES];
    struct signer s[2];
    struct token_authority *a[] = {es256_authority(&s[0], NULL), hs256_authority(&s[1], NULL)};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < 2; k++)
            says(a[k], signer_token(&s[k], NULL, rows[i].claims, token, sizeof token),
                 rows[i].wrong);
    for (size_t k = 0; k < 2; k++) {
        token_authority_unref(a[k]);
        signer_done(&s[k]);
    }
}

static void needs_the_issuer_when_one_is_configured(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer s;
    struct token_authority *a = es256_authority(&s, "https://me");

    (void)state;
    says(a, signer_token(&s, NULL, "{" SOUND "}", token, sizeof token), "without iss");
    says(a, signer_token(&s, NULL, "{" SOUND ",\"iss\":\"https://me/\"}", token, sizeof token),
         "another issuer");
    says(a, signer_token(&s, NULL, "{" SOUND ",\"iss\":\"https://me\"}", token, sizeof token),
         NULL);
    token_authority_unref(a);
    signer_done(&s);
}

static void makes_a_caller_of_the_claims(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer s;
    struct token_authority *a = es256_authority(&s, NULL);
    struct caller *c = NULL;

    (void)state;
    (void)signer_token(
        &s, NULL,
        "{" SOUND ",\"iss\":\"me\",\"jti\":\"id-1\",\"job_id\":\"job-1\",\"sandbox_id\":"
        "\"box-1\",\"ati\":{\"v\":1,\"rate\":{\"tool:a*\":\"10/hour\",\"*\":\"2/s\"}}}",
        token, sizeof token);
    assert_true(token_validate(a, view_str(token), NOW, &c, NULL));
    assert_string_equal(c->subject, "agent-7");
    assert_string_equal(c->issuer, "me");
    assert_string_equal(c->audience, "ati-proxy");
    assert_string_equal(c->id, "id-1");
    assert_string_equal(c->job_id, "job-1");
    assert_string_equal(c->sandbox_id, "box-1");
    assert_string_equal(c->scope, "tool:a:b help");
    assert_int_equal(c->scope_count, 2);
    assert_int_equal(c->issued_s, 1800000000);
    assert_int_equal(c->expires_s, 1800001800);
    assert_false(c->unrestricted);
    assert_int_equal(c->rate_count, 2);
    assert_string_equal(c->rates[0].pattern, "tool:a*");
    assert_true(c->rates[0].limit == 10 && c->rates[0].window_s == 3600);
    assert_true(c->rates[1].limit == 2 && c->rates[1].window_s == 1);
    caller_unref(c);
    token_authority_unref(a);
    signer_done(&s);
}

/* Authenticated by the leeway, and allowed nothing. */
static void the_leeway_opens_the_door_and_no_tool(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer s;
    struct token_authority *a = es256_authority(&s, NULL);
    struct caller *c = NULL;

    (void)state;
    (void)signer_token(&s, NULL,
                       "{\"sub\":\"a\",\"aud\":\"ati-proxy\",\"iat\":1,\"exp\":1799999970,"
                       "\"scope\":\"*\"}",
                       token, sizeof token);
    assert_true(token_validate(a, view_str(token), NOW, &c, NULL));
    assert_false(caller_may(c, "tool:x", NOW));
    assert_true(caller_may(c, "tool:x", 1799999970));
    caller_unref(c);
    token_authority_unref(a);
    signer_done(&s);
}

static void refuses_headers_that_do_not_agree(void **state)
{
    static const char *const es256[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":null}",
        "{\"alg\":\"es256\"}",
        "{\"alg\":\"ES384\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":[\"ES256\"]}",
        "{\"typ\":\"JWT\"}",
        "{}",
        "[]",
        "",
        "null",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\"}",
        "{\"alg\":\"none\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"ES256\",\"kid\":7}",
        "{\"alg\":\"ES256\"}x",
        "{\"alg\":\"ES256\"",
    };
    static const char *const fine[] = {
        "{\"typ\":\"JWT\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"anything\",\"x\":[[[[1]]]]}",
        " { \"alg\" : \"ES256\" } ",
    };
    static char token[TOKEN_BYTES];
    struct signer s;
    struct token_authority *a = es256_authority(&s, NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(es256); i++)
        says(a, signer_token(&s, es256[i], "{" SOUND "}", token, sizeof token), "token: ");
    for (size_t i = 0; i < COUNT(fine); i++)
        says(a, signer_token(&s, fine[i], "{" SOUND "}", token, sizeof token), NULL);
    token_authority_unref(a);
    signer_done(&s);
}

/* The public key is no secret: nobody may sign with it. */
static void refuses_hs256_with_the_public_key_as_secret(void **state)
{
    struct signer s;
    struct token_authority *a = es256_authority(&s, NULL);
    const struct token_request request = {.subject = VIEW("a"),
                                          .scope = VIEW("*"),
                                          .audience = VIEW("ati-proxy"),
                                          .now_s = NOW,
                                          .ttl_s = 60};
    char pem[1024];
    size_t n = pem_read("public.pem", pem, sizeof pem);
    struct buf token;

    (void)state;
    for (size_t cut = n - 1; cut <= n; cut++) { /* with and without its line end */
        buf_init(&token, TOKEN_BYTES, "token");
        assert_true(token_issue(&request, VIEW(""), view_from(pem, cut), &token, NULL));
        assert_true(buf_append_byte(&token, '\0', NULL));
        says(a, (const char *)buf_view(&token).at, "not in the key set");
        buf_done(&token);
    }
    token_authority_unref(a);
    signer_done(&s);
}

static void refuses_other_peoples_signatures_and_other_forms_of_ours(void **state)
{
    static char token[TOKEN_BYTES], other[TOKEN_BYTES];
    struct signer s, stranger;
    struct token_authority *a = es256_authority(&s, NULL);
    uint8_t signature[96];
    size_t head, len;
    char *dot;

    (void)state;
    signer_init(&stranger, JWT_ES256, NULL);
    says(a, signer_token(&stranger, NULL, "{" SOUND "}", token, sizeof token),
         "signature is wrong");
    (void)signer_token(&s, NULL, "{" SOUND "}", token, sizeof token);
    says(a, token, NULL);
    dot = strrchr(token, '.');
    head = (size_t)(dot - token) + 1;
    len = sizeof signature;
    assert_true(base64url_decode(view_str(dot + 1), signature, &len));
    assert_int_equal(len, 64);
    for (size_t cut = 0; cut <= 96; cut++) { /* of every length but the right one */
        if (cut == 64)
            continue;
        memcpy(other, token, head);
        base64url_encode(view_from(signature, cut), other + head);
        says(a, other, "token: ");
    }
    for (size_t bit = 0; bit < 512; bit++) {
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memcpy(other, token, head);
        base64url_encode(view_from(signature, 64), other + head);
        says(a, other, "signature is wrong");
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* ASN.1, as X.509 has it */
    {
        ECDSA_SIG *pair = ECDSA_SIG_new();
        uint8_t *der = NULL;
        int n;

        assert_int_equal(ECDSA_SIG_set0(pair, BN_bin2bn(signature, 32, NULL),
                                        BN_bin2bn(signature + 32, 32, NULL)),
                         1);
        n = i2d_ECDSA_SIG(pair, &der);
        assert_true(n > 0);
        memcpy(other, token, head);
        base64url_encode(view_from(der, (size_t)n), other + head);
        says(a, other, "token: ");
        OPENSSL_free(der);
        ECDSA_SIG_free(pair);
    }
    memcpy(other, token, head); /* r = s = 0 */
    memset(signature, 0, sizeof signature);
    base64url_encode(view_from(signature, 64), other + head);
    says(a, other, "signature is wrong");
    token_authority_unref(a);
    signer_done(&stranger);
    signer_done(&s);
}

static void refuses_what_is_not_quite_a_token(void **state)
{
    static const struct {
        const char *before, *behind;
    } around[] = {{"", "."},  {".", ""}, {"", ".x"}, {" ", ""}, {"", " "},
                  {"", "\n"}, {"", "="}, {"", "=="}, {"", "A"}, {"Bearer ", ""}};
    static const char *const forms[] = {"", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30"};
    static char token[TOKEN_BYTES], other[TOKEN_BYTES + 64];
    struct signer s;
    struct token_authority *a = es256_authority(&s, NULL);
    size_t len;

    (void)state;
    (void)signer_token(&s, NULL, "{" SOUND "}", token, sizeof token);
    len = strlen(token);
    for (size_t i = 0; i < COUNT(forms); i++)
        says(a, forms[i], "token: ");
    for (size_t i = 0; i < COUNT(around); i++) {
        (void)snprintf(other, sizeof other, "%s%s%s", around[i].before, token, around[i].behind);
        says(a, other, "token: ");
    }
    for (size_t cut = 0; cut < len; cut++) {
        (void)snprintf(other, sizeof other, "%.*s", (int)cut, token);
        says(a, other, "token: ");
    }
    for (size_t i = 0; i < len; i++) { /* every byte replaced */
        memcpy(other, token, len + 1);
        other[i] = other[i] == 'A' ? 'B' : 'A';
        says(a, other, "token: ");
    }
    memset(other, 'A', sizeof other - 1);
    other[sizeof other - 1] = '\0';
    says(a, other, "longer than 8192");
    token_authority_unref(a);
    signer_done(&s);
}

static void refuses_the_secret_of_another(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer s, stranger;
    struct token_authority *a = hs256_authority(&s, NULL);

    (void)state;
    signer_init(&stranger, JWT_HS256, NULL);
    says(a, signer_token(&stranger, NULL, "{" SOUND "}", token, sizeof token),
         "signature is wrong");
    says(a, signer_token(&s, NULL, "{" SOUND "}", token, sizeof token), NULL);
    says(a, signer_token(&s, "{\"alg\":\"ES256\"}", "{" SOUND "}", token, sizeof token),
         "not in the key set");
    says(a, signer_token(&s, "{\"alg\":\"none\"}", "{" SOUND "}", token, sizeof token),
         "signed by none of");
    token_authority_unref(a);
    signer_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_claims),
        cmocka_unit_test(needs_the_issuer_when_one_is_configured),
        cmocka_unit_test(makes_a_caller_of_the_claims),
        cmocka_unit_test(the_leeway_opens_the_door_and_no_tool),
        cmocka_unit_test(refuses_headers_that_do_not_agree),
        cmocka_unit_test(refuses_hs256_with_the_public_key_as_secret),
        cmocka_unit_test(refuses_other_peoples_signatures_and_other_forms_of_ours),
        cmocka_unit_test(refuses_what_is_not_quite_a_token),
        cmocka_unit_test(refuses_the_secret_of_another),
    };

    return RUN_TOKEN_TESTS(tests);
}
