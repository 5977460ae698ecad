#include "signer.h"

#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { NOW = 1800000000, TOKEN_BYTES = 16384 };
static const enum jwt_algorithm algorithms[] = {JWT_ES256, JWT_EDDSA, JWT_HS256};
static struct jwt verified; /* large */

static struct jwt_keys *keys_of(const char *first, const char *second)
{
    struct jwt_keys *keys = NULL;
    struct err err = {0};
    char text[2048];

    (void)snprintf(text, sizeof text, "{\"keys\":[%s%s%s]}", first, second ? "," : "",
                   second ? second : "");
    if (!jwt_keys_parse(view_str(text), true, &keys, &err))
        fail_msg("%s", err.text);
    return keys;
}

static const struct jwt_expect any = {.now_s = NOW};

static bool verify(const struct jwt_keys *keys, const char *token, const struct jwt_expect *expect,
                   struct err *err)
{
    *err = (struct err){0};
    return jwt_verify(keys, view_str(token), expect, &verified, err);
}

static void check_refused(const struct jwt_keys *keys, const char *token, const char *says)
{
    struct err err;

    if (verify(keys, token, &any, &err))
        fail_msg("accepted: %s", token);
    assert_int_equal(err.code, ERR_DENIED);
    if (!strstr(err.text, says))
        fail_msg("%s: %s", token, err.text);
    if (strlen(token) > 20)
        assert_null(strstr(err.text, token));
}

/* --- the examples of the RFCs ---------------------------------------------------------------- */

#define RFC_PAYLOAD                                                                                \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

static const char hs256_key[] =
    "{\"kty\":\"oct\",\"k\":"
    "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";
static const char hs256_token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_PAYLOAD
                                  ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static const char es256_key[] = "{\"kty\":\"EC\",\"crv\":\"P-256\","
                                "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\","
                                "\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}";
static const char es256_token[] =
    "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static void accepts_the_tokens_of_rfc_7515(void **state)
{
    static const struct {
        const char *key, *token;
    } rows[] = {{hs256_key, hs256_token}, {es256_key, es256_token}};
    struct jwt_expect then = {.now_s = 1300819379, .issuer = "joe", .need_exp = true};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwt_keys *keys = keys_of(rows[i].key, NULL);
        uint32_t root;
        struct err err;
        bool is_root = false;

        if (!verify(keys, rows[i].token, &then, &err))
            fail_msg("%s", err.text);
        root = json_member(&verified.claims, 0, "http://example.com/is_root");
        assert_true(root && json_boolean(&verified.claims, root, &is_root) && is_root);
        assert_string_equal(verified.subject, "");
        then.now_s++;
        assert_false(verify(keys, rows[i].token, &then, &err));
        assert_non_null(strstr(err.text, "expired"));
        then.now_s--;
        jwt_keys_free(keys);
    }
}

/* Its payload is text, no claims: the signature is what is good. */
static void knows_the_signature_of_rfc_8037(void **state)
{
    struct jwt_keys *keys = keys_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
                                    NULL);

    (void)state;
    check_refused(
        keys,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PP"
        "Ot7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        "claims cannot be read");
    check_refused(
        keys,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd.hgyY0il_MGCjP0JzlnLWG1PP"
        "Ot7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        "signature is wrong");
    jwt_keys_free(keys);
}

/* --- signatures ------------------------------------------------------------------------------ */

static void accepts_its_own_algorithm_by_its_own_key(void **state)
{
    static char token[TOKEN_BYTES];

    (void)state;
    for (size_t a = 0; a < COUNT(algorithms); a++) {
        struct signer signer, stranger;
        struct jwt_keys *keys;
        struct err err;

        signer_init(&signer, algorithms[a], NULL);
        signer_init(&stranger, algorithms[a], NULL);
        keys = keys_of(stranger.jwk, signer.jwk);
        /* Many, because r and s of ECDSA are now and then short. */
        for (unsigned i = 0; i < 64; i++) {
            char claims[64];

            (void)snprintf(claims, sizeof claims, "{\"sub\":\"user-%u\"}", i);
            if (!verify(keys, signer_token(&signer, NULL, claims, token, sizeof token), &any, &err))
                fail_msg("%s", err.text);
            assert_memory_equal(verified.subject, "user-", 5);
        }
        jwt_keys_free(keys);
        keys = keys_of(stranger.jwk, NULL);
        check_refused(keys, token, "signature is wrong");
        jwt_keys_free(keys);
        signer_done(&signer);
        signer_done(&stranger);
    }
}

static void one_changed_bit_anywhere_spoils_it(void **state)
{
    static char token[TOKEN_BYTES];

    (void)state;
    for (size_t a = 0; a < COUNT(algorithms); a++) {
        struct signer signer;
        struct jwt_keys *keys;
        struct err err;

        signer_init(&signer, algorithms[a], NULL);
        keys = keys_of(signer.jwk, NULL);
        (void)signer_token(&signer, NULL, "{\"sub\":\"user\"}", token, sizeof token);
        for (size_t i = 0; token[i]; i++)
            for (unsigned bit = 0; bit < 7; bit++) {
                token[i] = (char)(token[i] ^ 1 << bit);
                if (token[i] && verify(keys, token, &any, &err))
                    fail_msg("byte %zu, bit %u", i, bit);
                token[i] = (char)(token[i] ^ 1 << bit);
            }
        for (size_t len = strlen(token) - 1; len > 0; len--)
            assert_false(jwt_verify(keys, view_from(token, len), &any, &verified, &err));
        assert_true(verify(keys, token, &any, &err));
        jwt_keys_free(keys);
        signer_done(&signer);
    }
}

/* RFC 8725, 3.1: the key decides, not the token. */
static void a_token_cannot_choose_how_it_is_verified(void **state)
{
    static char token[TOKEN_BYTES], forged[TOKEN_BYTES];
    struct signer public, secret;
    struct jwt_keys *keys;
    char head[128], *dot;

    (void)state;
    signer_init(&public, JWT_ES256, NULL);
    signer_init(&secret, JWT_HS256, NULL);
    keys = keys_of(public.jwk, NULL);
    check_refused(keys, signer_token(&secret, NULL, "{}", token, sizeof token),
                  "not in the key set");
    check_refused(keys, signer_token(&public, "{\"alg\":\"EdDSA\"}", "{}", token, sizeof token),
                  "not in the key set");
    check_refused(keys, signer_token(&public, "{\"alg\":\"none\"}", "{}", token, sizeof token),
                  "none of ES256");
    check_refused(keys, signer_token(&public, "{\"alg\":\"None\"}", "{}", token, sizeof token),
                  "none of ES256");
    check_refused(keys, signer_token(&public, "{\"alg\":\"es256\"}", "{}", token, sizeof token),
                  "none of ES256");
    check_refused(keys, signer_token(&public, "{\"alg\":[\"ES256\"]}", "{}", token, sizeof token),
                  "none of ES256");
    check_refused(keys, signer_token(&public, "{}", "{}", token, sizeof token), "none of ES256");
    signer_encode("{\"alg\":\"none\"}", 14, head);
    (void)snprintf(forged, sizeof forged, "%s.e30.", head);
    check_refused(keys, forged, "none of ES256");
    (void)signer_token(&public, NULL, "{}", token, sizeof token);
    dot = strrchr(token, '.');
    dot[1] = '\0';
    check_refused(keys, token, "signature is wrong");
    jwt_keys_free(keys);
    signer_done(&public);
    signer_done(&secret);
}

static void signatures_of_another_form_are_refused(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer signer;
    struct jwt_keys *keys;
    uint8_t zero[65] = {0};
    char text[96], *dot;
    const size_t lengths[] = {1, 32, 63, 64, 65};

    (void)state;
    signer_init(&signer, JWT_ES256, NULL);
    keys = keys_of(signer.jwk, NULL);
    (void)signer_token(&signer, NULL, "{}", token, sizeof token);
    dot = strrchr(token, '.');
    for (size_t i = 0; i < COUNT(lengths); i++) {
        signer_encode(zero, lengths[i], text);
        (void)snprintf(dot + 1, 100, "%s", text);
        check_refused(keys, token, "signature");
    }
    (void)snprintf(dot + 1, 100, "!!!!");
    check_refused(keys, token, "signature cannot be read");
    (void)snprintf(dot + 1, 100, "AAA=");
    check_refused(keys, token, "signature cannot be read");
    jwt_keys_free(keys);
    signer_done(&signer);
}

static void kid_picks_the_key(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer one, two, nameless;
    struct jwt_keys *keys;
    struct err err;

    (void)state;
    signer_init(&one, JWT_EDDSA, "k1");
    signer_init(&two, JWT_EDDSA, "k2");
    signer_init(&nameless, JWT_EDDSA, NULL);
    keys = keys_of(one.jwk, two.jwk);
    assert_true(verify(
        keys, signer_token(&two, "{\"alg\":\"EdDSA\",\"kid\":\"k2\"}", "{}", token, sizeof token),
        &any, &err));
    assert_true(verify(keys, signer_token(&two, NULL, "{}", token, sizeof token), &any, &err));
    check_refused(
        keys, signer_token(&two, "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}", "{}", token, sizeof token),
        "signature is wrong");
    check_refused(
        keys, signer_token(&two, "{\"alg\":\"EdDSA\",\"kid\":\"k3\"}", "{}", token, sizeof token),
        "not in the key set");
    check_refused(keys,
                  signer_token(&two, "{\"alg\":\"EdDSA\",\"kid\":7}", "{}", token, sizeof token),
                  "kid is not a string");
    jwt_keys_free(keys);
    keys = keys_of(one.jwk, nameless.jwk);
    assert_true(verify(
        keys,
        signer_token(&nameless, "{\"alg\":\"EdDSA\",\"kid\":\"k9\"}", "{}", token, sizeof token),
        &any, &err));
    jwt_keys_free(keys);
    signer_done(&one);
    signer_done(&two);
    signer_done(&nameless);
}

static void malformed_tokens_are_refused(void **state)
{
    static char token[TOKEN_BYTES], claims[9000];
    static const struct {
        const char *header, *claims, *says;
    } rows[] = {
        {"{\"alg\":\"EdDSA\",\"crit\":[\"x\"],\"x\":1}", "{}", "crit"},
        {"{\"alg\":\"EdDSA\",\"crit\":[]}", "{}", "crit"},
        {"{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}", "{}", "header cannot be read"},
        {"[\"alg\",\"EdDSA\"]", "{}", "header cannot be read"},
        {"{\"alg\":\"EdDSA\"", "{}", "header cannot be read"},
        {"{\"alg\":\"EdDSA\"} ", "[]", "claims cannot be read"},
        {NULL, "", "claims cannot be read"},
        {NULL, "{", "claims cannot be read"},
        {NULL, "{\"exp\":1,\"exp\":9999999999}", "claims cannot be read"},
        {NULL, "{} {}", "claims cannot be read"},
        {NULL, "null", "claims cannot be read"},
        {NULL, "{\"sub\":7}", "sub is not a string"},
    };
    struct signer signer;
    struct jwt_keys *keys;

    (void)state;
    signer_init(&signer, JWT_EDDSA, NULL);
    keys = keys_of(signer.jwk, NULL);
    for (size_t i = 0; i < COUNT(rows); i++)
        check_refused(keys,
                      signer_token(&signer, rows[i].header, rows[i].claims, token, sizeof token),
                      rows[i].says);
    check_refused(keys, "", "three parts");
    check_refused(keys, ".", "three parts");
    check_refused(keys, "..", "header cannot be read");
    check_refused(keys, "a.b", "three parts");
    check_refused(keys, "a.b.c.d", "three parts");
    check_refused(keys, "!.b.c", "header cannot be read");
    memset(claims, ' ', sizeof claims - 1);
    memcpy(claims, "{}", 2);
    check_refused(keys, signer_token(&signer, NULL, claims, token, sizeof token), "longer than");
    (void)snprintf(claims, sizeof claims, "{\"sub\":\"%0200u\"}", 1u);
    check_refused(keys, signer_token(&signer, NULL, claims, token, sizeof token),
                  "sub is not a string of at most 127");
    jwt_keys_free(keys);
    signer_done(&signer);
}

/* --- claims ---------------------------------------------------------------------------------- */

static void claims_must_be_what_is_expected(void **state)
{
    static const struct jwt_expect plain = {.now_s = NOW, .leeway_s = 60},
                                   strict = {.now_s = NOW, .leeway_s = 60, .need_exp = true},
                                   audience = {.now_s = NOW, .audience = "bridge"},
                                   issuer = {.now_s = NOW, .issuer = "https://issuer.test"};
    static const struct {
        const struct jwt_expect *expect;
        const char *claims, *says; /* NULL: accepted */
    } rows[] = {
        {&plain, "{}", NULL},
        {&strict, "{}", "without exp"},
        {&strict, "{\"exp\":null}", "not a time"},
        {&strict, "{\"exp\":\"1800000001\"}", "not a time"},
        {&strict, "{\"exp\":true}", "not a time"},
        {&strict, "{\"exp\":-1}", "not a time"},
        {&strict, "{\"exp\":1e10}", "not a time"},
        {&strict, "{\"exp\":99999999999999999999}", "not a time"},
        {&strict, "{\"exp\":9223372036854775807}", "not a time"},
        {&strict, "{\"exp\":0}", "expired"},
        {&strict, "{\"exp\":1799999940}", "expired"},
        {&strict, "{\"exp\":1799999940.9}", "expired"},
        {&strict, "{\"exp\":1799999941}", NULL},
        {&strict, "{\"exp\":1800000001}", NULL},
        {&strict, "{\"exp\":1800000001.5}", NULL},
        {&strict, "{\"exp\":9007199254740992}", NULL},
        {&plain, "{\"nbf\":1800000060}", NULL},
        {&plain, "{\"nbf\":1800000061}", "not valid yet"},
        {&plain, "{\"nbf\":\"x\"}", "not a time"},
        {&plain, "{\"iat\":1800000060}", NULL},
        {&plain, "{\"iat\":1800000061}", "not valid yet"},
        {&plain, "{\"iat\":[]}", "not a time"},
        {&plain, "{\"aud\":\"other\",\"iss\":\"other\"}", NULL},
        {&audience, "{}", "audience"},
        {&audience, "{\"aud\":\"bridge\"}", NULL},
        {&audience, "{\"aud\":\"br\\u0069dge\"}", NULL},
        {&audience, "{\"aud\":\"Bridge\"}", "audience"},
        {&audience, "{\"aud\":\"bridge2\"}", "audience"},
        {&audience, "{\"aud\":\"\"}", "audience"},
        {&audience, "{\"aud\":[\"x\",\"bridge\"]}", NULL},
        {&audience, "{\"aud\":[[\"y\",{\"a\":1}],\"bridge\"]}", NULL},
        {&audience, "{\"aud\":[[\"bridge\"]]}", "audience"},
        {&audience, "{\"aud\":[]}", "audience"},
        {&audience, "{\"aud\":{\"bridge\":\"bridge\"}}", "audience"},
        {&audience, "{\"aud\":1,\"x\":\"bridge\"}", "audience"},
        {&audience, "{\"x\":{\"aud\":\"bridge\"}}", "audience"},
        {&issuer, "{\"iss\":\"https://issuer.test\"}", NULL},
        {&issuer, "{\"iss\":\"https://issuer.test.evil\"}", "issuer"},
        {&issuer, "{\"iss\":\"https://issuer.tes\"}", "issuer"},
        {&issuer, "{\"iss\":[\"https://issuer.test\"]}", "issuer"},
        {&issuer, "{}", "issuer"},
    };
    static char token[TOKEN_BYTES];
    struct signer signer;
    struct jwt_keys *keys;

    (void)state;
    signer_init(&signer, JWT_EDDSA, NULL);
    keys = keys_of(signer.jwk, NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err;

        (void)signer_token(&signer, NULL, rows[i].claims, token, sizeof token);
        if (verify(keys, token, rows[i].expect, &err) != !rows[i].says)
            fail_msg("%s: %s", rows[i].claims, err.text);
        if (rows[i].says && !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].claims, err.text);
    }
    jwt_keys_free(keys);
    signer_done(&signer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_tokens_of_rfc_7515),
        cmocka_unit_test(knows_the_signature_of_rfc_8037),
        cmocka_unit_test(accepts_its_own_algorithm_by_its_own_key),
        cmocka_unit_test(one_changed_bit_anywhere_spoils_it),
        cmocka_unit_test(a_token_cannot_choose_how_it_is_verified),
        cmocka_unit_test(signatures_of_another_form_are_refused),
        cmocka_unit_test(kid_picks_the_key),
        cmocka_unit_test(malformed_tokens_are_refused),
        cmocka_unit_test(claims_must_be_what_is_expected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
