#include "../jwt/signer.h"
#include "request.h"

#include "bridge/credential.h"

enum { NOW_S = 1800000000, TEXT_BYTES = 16384 };

#define TOKEN "correct horse battery staple"

static char tokens_text[512];

static void hash_of(const char *token, char out[static 65])
{
    uint8_t hash[SHA256_BYTES];

    assert_true(secret_sha256(token, strlen(token), hash));
    hex_encode(view_from(hash, sizeof hash), out);
}

/* TOKEN is alice's; "second" has no label. */
static struct credentials *with_tokens(void)
{
    struct credential_source source = {.tokens_name = "tokens"};
    struct credentials *c = NULL;
    char first[65], second[65];
    struct err err = {0};

    hash_of(TOKEN, first);
    hash_of("second", second);
    (void)snprintf(tokens_text, sizeof tokens_text,
                   "# tokens\n\nsha256:%s alice # of accounting\r\n%s\n", first, second);
    source.tokens = view_str(tokens_text);
    if (!credentials_new(&source, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static bool check(const struct credentials *c, const char *fields, const char *query,
                  struct grant *grant, struct err *err)
{
    static struct request r;
    static char lines[TEXT_BYTES];
    struct view q = {0};

    (void)snprintf(lines, sizeof lines, "Host: a\r\n%s", fields);
    if (!request_make(&r, "/", lines))
        fail_msg("%s", fields);
    *err = (struct err){0};
    return credentials_check(c, &r.head, query ? view_str(query) : q, (int64_t)NOW_S * 1000, grant,
                             err);
}

#define BEARER_TOKEN "bearer.Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ"
#define A            "Authorization: "
#define P            "Sec-WebSocket-Protocol: "

static void finds_the_token_in_its_places(void **state)
{
    static const struct {
        const char *fields, *query, *subject; /* NULL: refused */
    } rows[] = {
        {"", NULL, NULL},
        {A "Bearer " TOKEN "\r\n", NULL, "alice"},
        {A "bearer " TOKEN "\r\n", NULL, "alice"},
        {A "BEARER   " TOKEN "\r\n", NULL, "alice"},
        {"authorization: Bearer second\r\n", NULL, ""},
        {A "Bearer wrong\r\n", NULL, NULL},
        {A "Bearer\r\n", NULL, NULL},
        {A "Bearer " TOKEN "x\r\n", NULL, NULL},
        {A "Bearer correct horse battery stapl\r\n", NULL, NULL},
        {A TOKEN "\r\n", NULL, NULL},
        {A "Basic eDp5\r\n", NULL, NULL},
        {A "Bearerx " TOKEN "\r\n", NULL, NULL},
        {A "Bearer " TOKEN "\r\n" A "Bearer wrong\r\n", NULL, NULL},
        {A "Bearer wrong\r\n" A "Bearer " TOKEN "\r\n", NULL, NULL},
        {A "Bearer " TOKEN "\r\n" A "Bearer " TOKEN "\r\n", NULL, NULL},
        {P BEARER_TOKEN "\r\n", NULL, "alice"},
        {P "binary, " BEARER_TOKEN "\r\n", NULL, "alice"},
        {P BEARER_TOKEN ", binary\r\n", NULL, "alice"},
        {P "binary\r\n" P BEARER_TOKEN "\r\n", NULL, "alice"},
        {P "Bearer.c2Vjb25k\r\n", NULL, ""},
        {P BEARER_TOKEN "=\r\n", NULL, NULL},
        {P "bearer.\r\n", NULL, NULL},
        {P "bearer.!!\r\n", NULL, NULL},
        {P "binary\r\n", NULL, NULL},
        {P "xbearer.c2Vjb25k\r\n", NULL, NULL},
        {P "bearer.c2Vjb25k, bearer.c2Vjb25k\r\n", NULL, NULL},
        {P "bearer.c2Vjb25k, bearer.!!\r\n", NULL, NULL},
        {P "bearer.!!, bearer.c2Vjb25k\r\n", NULL, NULL},
        /* a browser's Basic is for the proxy in front */
        {A "Basic eDp5\r\n" P BEARER_TOKEN "\r\n", NULL, "alice"},
        /* the first place that holds one decides */
        {A "Bearer wrong\r\n" P BEARER_TOKEN "\r\n", NULL, NULL},
        {A "Bearer " TOKEN "\r\n" P "bearer.!!\r\n", "token=x", "alice"},
        {P "bearer.!!\r\n", "token=second", NULL},
        {"", "token=second", ""},
        {"", "x=1&%74oken=correct+horse%20battery+staple", "alice"},
        {"", "token=wrong&token=second", NULL},
        {"", "token=", NULL},
        {"", "token", NULL},
        {"", "Token=second", NULL},
        {A "Basic eDp5\r\n", "token=second", ""},
    };
    struct credentials *c = with_tokens();

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct grant grant;
        struct err err;
        bool good = check(c, rows[i].fields, rows[i].query, &grant, &err);

        if (good != (rows[i].subject != NULL))
            fail_msg("%s ?%s: %s", rows[i].fields, rows[i].query, err.text);
        if (good) {
            assert_string_equal(grant.subject, rows[i].subject);
            assert_true(grant_allows(&grant, VIEW("any.test:1")));
            grant_done(&grant);
        } else {
            assert_int_equal(err.code, ERR_DENIED);
            assert_null(strstr(err.text, "horse"));
        }
    }
    credentials_free(c);
}

static void a_hash_is_no_token(void **state)
{
    struct credentials *c = with_tokens();
    char hash[65], fields[128];
    struct grant grant;
    struct err err;

    (void)state;
    hash_of(TOKEN, hash);
    (void)snprintf(fields, sizeof fields, A "Bearer %s\r\n", hash);
    assert_false(check(c, fields, NULL, &grant, &err));
    credentials_free(c);
}

static void knows_which_subprotocols_carry_credentials(void **state)
{
    (void)state;
    assert_true(credential_is_subprotocol(VIEW("bearer.abc")));
    assert_true(credential_is_subprotocol(VIEW("BEARER.abc")));
    assert_true(credential_is_subprotocol(VIEW("bearer.")));
    assert_false(credential_is_subprotocol(VIEW("bearer")));
    assert_false(credential_is_subprotocol(VIEW("binary")));
    assert_false(credential_is_subprotocol(VIEW("")));
}

#define HEX64 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"

static void refuses_files_that_let_nobody_in_or_hold_no_hashes(void **state)
{
    static const struct {
        const char *text, *says; /* NULL: good */
    } rows[] = {
        {HEX64, NULL},
        {"sha256:" HEX64, NULL},
        {HEX64 "  -\n", NULL},
        {"\t" HEX64 "\tlabel with blanks\t\n", NULL},
        {"# x\n" HEX64 "# y", NULL},
        {"", "tokens: holds no token"},
        {"# nothing\n\n", "holds no token"},
        {"nonsense\n", "tokens:1: not a SHA-256"},
        {"abcd\n", "not a SHA-256"},
        {"\n\n" TOKEN "\n", "tokens:3: not a SHA-256"},
        {HEX64 "0\n", "not a SHA-256"},
        {"sha512:" HEX64 "\n", "not a SHA-256"},
        {HEX64 "\n" HEX64 "x\n", "tokens:2"},
        {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b\n", "Argon2"},
        {"argon2id:$v=19$abc\n", "Argon2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct credential_source source = {.tokens = view_str(rows[i].text),
                                           .tokens_name = "tokens"};
        struct credentials *c = NULL;
        struct err err = {0};

        if (credentials_new(&source, &c, &err) != !rows[i].says)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
        credentials_free(c);
        if (!rows[i].says)
            continue;
        assert_int_equal(err.code, ERR_CONFIG);
        assert_null(strstr(err.text, "horse"));
        assert_null(strstr(err.text, "cmdescud"));
        if (!strstr(err.text, rows[i].says))
            fail_msg("\"%s\": %s", rows[i].text, err.text);
    }
}

static void labels_are_escaped_and_cut(void **state)
{
    struct credential_source source = {.tokens_name = "tokens"};
    struct credentials *c = NULL;
    struct grant grant;
    struct err err;
    char hash[65], text[512];

    (void)state;
    hash_of("t", hash);
    (void)snprintf(text, sizeof text, "%s a\x1b[31m\"%0100u", hash, 1u);
    source.tokens = view_str(text);
    assert_true(credentials_new(&source, &c, NULL));
    assert_true(check(c, A "Bearer t\r\n", NULL, &grant, &err));
    assert_memory_equal(grant.subject, "a\\x1b[31m\\\"000", 14);
    assert_true(strlen(grant.subject) < CREDENTIAL_SUBJECT_BYTES);
    credentials_free(c);
}

struct jwt_case {
    struct signer signer;
    struct credentials *c;
    char jwks[1024], token[TEXT_BYTES], fields[TEXT_BYTES + 64];
};

static void jwt_begin(struct jwt_case *k, enum jwt_algorithm algorithm, struct view tokens)
{
    struct credential_source source = {
        .tokens = tokens,
        .tokens_name = "tokens",
        .jwks_name = "jwks",
        .audience = "bridge",
        .issuer = "me",
    };
    struct err err = {0};

    signer_init(&k->signer, algorithm, "k1");
    (void)snprintf(k->jwks, sizeof k->jwks, "{\"keys\":[%s]}", k->signer.jwk);
    source.jwks = view_str(k->jwks);
    if (!credentials_new(&source, &k->c, &err))
        fail_msg("%s", err.text);
}

static bool jwt_check(struct jwt_case *k, const char *claims, struct grant *grant, struct err *err)
{
    (void)signer_token(&k->signer, NULL, claims, k->token, sizeof k->token);
    (void)snprintf(k->fields, sizeof k->fields, A "Bearer %s\r\n", k->token);
    return check(k->c, k->fields, NULL, grant, err);
}

static void jwt_end(struct jwt_case *k)
{
    credentials_free(k->c);
    signer_done(&k->signer);
}

#define GOOD "\"aud\":\"bridge\",\"iss\":\"me\",\"exp\":1800000100"

static void a_signed_token_lists_its_targets_or_does_not(void **state)
{
    static const struct {
        const char *claims, *target;
        bool good;
    } rows[] = {
        {"{" GOOD "}", "a.test:443", true},
        {"{" GOOD ",\"tgt\":\"a.test:443\"}", "a.test:443", true},
        {"{" GOOD ",\"tgt\":\"A.Test.:0443\"}", "a.test:443", true},
        {"{" GOOD ",\"tgt\":\"a.test:443\"}", "b.test:443", false},
        {"{" GOOD ",\"tgt\":\"a.test\"}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":[\"b.test:1\",\"a.test:443\"]}", "a.test:443", true},
        {"{" GOOD ",\"tgt\":[\"[0::1]:1\"]}", "[::1]:1", true},
        {"{" GOOD ",\"tgt\":[]}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":\"\"}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":null}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":true}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":{\"a.test:443\":\"a.test:443\"}}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":[[\"a.test:443\"]]}", "a.test:443", false},
        {"{" GOOD ",\"tgt\":[7,{},\"a.test:443\"]}", "a.test:443", true},
        {"{" GOOD ",\"tgt\":\"*.test:443\"}", "a.test:443", false},
        {"{" GOOD ",\"x\":{\"tgt\":[]}}", "a.test:443", true},
    };
    static struct jwt_case k;

    (void)state;
    jwt_begin(&k, JWT_ES256, (struct view){0});
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct grant grant;
        struct err err;

        if (!jwt_check(&k, rows[i].claims, &grant, &err))
            fail_msg("%s: %s", rows[i].claims, err.text);
        if (grant_allows(&grant, view_str(rows[i].target)) != rows[i].good)
            fail_msg("%s for %s", rows[i].claims, rows[i].target);
        grant_done(&grant);
    }
    jwt_end(&k);
}

static void a_signed_token_must_be_good_in_all_points(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"aud\":\"bridge\",\"iss\":\"me\"}",
        "{\"aud\":\"bridge\",\"exp\":1800000100}",
        "{\"iss\":\"me\",\"exp\":1800000100}",
        "{\"aud\":\"bridge\",\"iss\":\"me\",\"exp\":1799999940}",
        "{" GOOD ",\"nbf\":1800000061}",
    };
    static struct jwt_case k, stranger;
    struct grant grant;
    struct err err;

    (void)state;
    jwt_begin(&k, JWT_EDDSA, (struct view){0});
    jwt_begin(&stranger, JWT_EDDSA, (struct view){0});
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (jwt_check(&k, bad[i], &grant, &err))
            fail_msg("%s", bad[i]);
        assert_int_equal(err.code, ERR_DENIED);
        assert_null(grant.jwt);
    }
    assert_true(jwt_check(&k, "{" GOOD ",\"sub\":\"bob\\n\"}", &grant, &err));
    assert_string_equal(grant.subject, "bob\\n");
    grant_done(&grant);
    assert_true(jwt_check(&stranger, "{" GOOD "}", &grant, &err));
    grant_done(&grant);
    assert_false(check(k.c, stranger.fields, NULL, &grant, &err));
    jwt_end(&k);
    jwt_end(&stranger);
}

static void tokens_and_signed_tokens_may_be_mixed(void **state)
{
    static struct jwt_case k;
    struct grant grant;
    struct err err;
    char hash[80];

    (void)state;
    hash_of("plain", hash);
    jwt_begin(&k, JWT_EDDSA, view_str(hash));
    assert_true(jwt_check(&k, "{" GOOD "}", &grant, &err));
    grant_done(&grant);
    assert_true(check(k.c, A "Bearer plain\r\n", NULL, &grant, &err));
    assert_null(grant.jwt);
    assert_false(check(k.c, A "Bearer other\r\n", NULL, &grant, &err));
    jwt_end(&k);
}

static void a_shared_secret_is_no_key_for_a_bridge(void **state)
{
    struct credential_source source = {.jwks_name = "jwks"};
    struct credentials *c = NULL;
    struct signer s;
    char jwks[700];
    struct err err = {0};

    (void)state;
    signer_init(&s, JWT_HS256, NULL);
    (void)snprintf(jwks, sizeof jwks, "{\"keys\":[%s]}", s.jwk);
    source.jwks = view_str(jwks);
    assert_false(credentials_new(&source, &c, &err));
    assert_non_null(strstr(err.text, "jwks: no key that can be used"));
    signer_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_token_in_its_places),
        cmocka_unit_test(a_hash_is_no_token),
        cmocka_unit_test(knows_which_subprotocols_carry_credentials),
        cmocka_unit_test(refuses_files_that_let_nobody_in_or_hold_no_hashes),
        cmocka_unit_test(labels_are_escaped_and_cut),
        cmocka_unit_test(a_signed_token_lists_its_targets_or_does_not),
        cmocka_unit_test(a_signed_token_must_be_good_in_all_points),
        cmocka_unit_test(tokens_and_signed_tokens_may_be_mixed),
        cmocka_unit_test(a_shared_secret_is_no_key_for_a_bridge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
