#include "ati/token/token.h"

#include "unit/jwt/signer.h"

#include <stdlib.h>
#include <unistd.h>

#include <openssl/pem.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define HEX      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SOUND                                                                                    \
    "\"sub\":\"agent-7\",\"aud\":\"ati-proxy\",\"iat\":1800000000,\"exp\":1800001800,\"scope\":" \
    "\"tool:a:b help\""

enum { NOW = 1800000000, TOKEN_BYTES = 16 * 1024 };

static char folder[] = "/tmp/test_token.XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][64];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void file_put(const char *name, struct view text)
{
    FILE *f = fopen(path_of(name), "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text.at, 1, text.len, f), text.len);
    assert_int_equal(fclose(f), 0);
}

static struct token_authority *authority_of(const struct token_config *config)
{
    struct token_authority *a = NULL;
    struct err err = {0};

    if (!token_authority_load(config, &a, &err))
        fail_msg("%s", err.text);
    return a;
}

/* A pair, and who trusts its public half. */
static struct token_authority *es256_authority(struct signer *s, const char *issuer)
{
    struct token_config config = {.issuer = issuer};
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    long len;

    signer_init(s, JWT_ES256, NULL);
    assert_int_equal(PEM_write_bio_PUBKEY(bio, s->key), 1);
    len = BIO_get_mem_data(bio, &at);
    file_put("public.pem", view_from(at, (size_t)len));
    BIO_free(bio);
    config.public_key_file = path_of("public.pem");
    return authority_of(&config);
}

static struct token_authority *hs256_authority(struct signer *s, const char *issuer)
{
    struct token_config config = {.secret_hex = HEX, .issuer = issuer};

    signer_init(s, JWT_HS256, NULL);
    assert_true(hex_decode(VIEW(HEX), s->secret, sizeof s->secret));
    return authority_of(&config);
}

static void says(const struct token_authority *a, const char *token, const char *what)
{
    struct caller *c = NULL;
    struct err err = {0};
    bool good = token_validate(a, view_str(token), NOW, &c, &err);

    if (good != !what)
        fail_msg("%.200s: %s instead of %s", token, good ? "good" : err.text, what ? what : "good");
    if (what && (err.code != ERR_DENIED || !strstr(err.text, what)))
        fail_msg("%.200s: \"%s\" does not say \"%s\"", token, err.text, what);
    caller_unref(c);
}

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

static size_t pem_read(const char *name, char *out, size_t size)
{
    FILE *f = fopen(path_of(name), "re");
    size_t n;

    assert_non_null(f);
    n = fread(out, 1, size, f);
    assert_int_equal(fclose(f), 0);
    return n;
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

static void a_broken_configuration_is_an_error(void **state)
{
    static const struct {
        const char *hex, *says;
    } secrets[] = {
        {"zz", "ATI_JWT_SECRET is not valid hex"},
        {"abc", "ATI_JWT_SECRET is not valid hex"},
        {"0x0102", "ATI_JWT_SECRET is not valid hex"},
        {"   ", "ATI_JWT_SECRET"},
    };
    struct token_authority *a = NULL;
    struct token_config config = {.audience = "x"};
    struct err err = {0};

    (void)state;
    assert_true(token_authority_load(&config, &a, &err));
    assert_null(a);
    for (size_t i = 0; i < COUNT(secrets); i++) {
        config = (struct token_config){.secret_hex = secrets[i].hex};
        assert_false(token_authority_load(&config, &a, &err));
        if (!strstr(err.text, secrets[i].says) || strstr(err.text, "zz"))
            fail_msg("%s: %s", secrets[i].hex, err.text);
    }
    config = (struct token_config){.public_key_file = path_of("missing.pem"), .secret_hex = HEX};
    assert_false(token_authority_load(&config, &a, &err)); /* no falling back to the secret */
    assert_non_null(strstr(err.text, "Cannot read public key"));
    assert_non_null(strstr(err.text, "missing.pem"));
    file_put("broken.pem", VIEW("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    config.public_key_file = path_of("broken.pem");
    assert_false(token_authority_load(&config, &a, &err));
    assert_non_null(strstr(err.text, "not a public key in PEM"));
    file_put("p384.pem", VIEW("-----BEGIN PUBLIC KEY-----\n"
                              "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEqofKIr6LBTeOscce8yCtdG4dO2KLp5uY\n"
                              "WfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3NhfeSpYmLG9dnpi/kpLcKfj0Hb0omhR8\n"
                              "6doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f\n-----END PUBLIC KEY-----\n"));
    config.public_key_file = path_of("p384.pem");
    assert_false(token_authority_load(&config, &a, &err));
    assert_non_null(strstr(err.text, "P-256"));
}

static void takes_its_configuration_from_the_environment(void **state)
{
    char empty[] = "ATI_JWT_PUBLIC_KEY=", secret[] = "ATI_JWT_SECRET=" HEX,
         near[] = "ATI_JWT_ISSUER_=x", issuer[] = "ATI_JWT_ISSUER=me",
         audience[] = "ATI_JWT_AUDIENCE=";
    char *environment[] = {near, empty, secret, issuer, audience, NULL};
    struct token_config config = token_config_from(environment);

    (void)state;
    assert_null(config.public_key_file);
    assert_null(config.private_key_file);
    assert_string_equal(config.secret_hex, HEX);
    assert_string_equal(config.issuer, "me");
    assert_null(config.audience);
}

static void issues_what_it_accepts(void **state)
{
    const struct token_rate rates[] = {{VIEW("tool:a*"), VIEW("1/s")},
                                       {VIEW("*"), VIEW("5/day")},
                                       {VIEW("tool:a*"), VIEW("10/hour")}};
    struct token_request request = {.subject = VIEW("agent \"7\""),
                                    .scope = VIEW("tool:a help"),
                                    .audience = VIEW("ati-proxy"),
                                    .issuer = VIEW("me"),
                                    .job_id = VIEW("j"),
                                    .now_s = NOW,
                                    .ttl_s = 1800,
                                    .rates = rates,
                                    .rate_count = COUNT(rates)};
    struct buf private, public, token, claims;
    struct token_config config = {.issuer = "me"};
    struct token_authority *a;
    struct caller *c = NULL;
    char hex[65];

    (void)state;
    buf_init(&private, 4096, "private");
    buf_init(&public, 4096, "public");
    assert_true(token_keygen_es256(&private, &public, NULL));
    file_put("made.pem", buf_view(&public));
    config.public_key_file = path_of("made.pem");
    for (int turn = 0; turn < 2; turn++) {
        buf_init(&token, TOKEN_BYTES, "token");
        buf_init(&claims, TOKEN_BYTES, "claims");
        if (turn) { /* the other algorithm */
            uint8_t secret[32];

            assert_true(token_keygen_hs256(hex));
            assert_int_equal(strlen(hex), 64);
            assert_true(hex_decode(view_str(hex), secret, sizeof secret));
            config = (struct token_config){.secret_hex = hex, .issuer = "me"};
            assert_true(
                token_issue(&request, VIEW(""), view_from(secret, sizeof secret), &token, NULL));
        } else {
            assert_true(token_issue(&request, buf_view(&private), VIEW(""), &token, NULL));
        }
        a = authority_of(&config);
        assert_true(token_validate(a, buf_view(&token), NOW, &c, NULL));
        assert_string_equal(c->subject, "agent \"7\"");
        assert_string_equal(c->job_id, "j");
        assert_int_equal(c->expires_s, NOW + 1800);
        assert_int_equal(c->rate_count, 2);
        assert_string_equal(c->rates[0].pattern, "*");
        assert_string_equal(c->rates[1].pattern, "tool:a*");
        assert_int_equal(c->rates[1].limit, 10);
        assert_int_equal(strlen(c->id), 36);
        assert_int_equal(c->id[14], '4');
        assert_non_null(strchr("89ab", c->id[19]));
        assert_true(token_claims(buf_view(&token), &claims, NULL));
        assert_true(buf_append_byte(&claims, '\0', NULL));
        assert_ptr_equal(strstr((const char *)buf_view(&claims).at,
                                "{\"iss\":\"me\",\"sub\":\"agent \\\"7\\\"\",\"aud\":\"ati-proxy\","
                                "\"iat\":1800000000,\"exp\":1800001800,\"jti\":\""),
                         buf_view(&claims).at);
        assert_non_null(strstr((const char *)buf_view(&claims).at,
                               "\",\"scope\":\"tool:a help\",\"ati\":{\"v\":1,\"rate\":{\"*\":\"5/"
                               "day\",\"tool:a*\":\"10/hour\"}},\"job_id\":\"j\"}"));
        caller_unref(c);
        token_authority_unref(a);
        buf_done(&token);
        buf_done(&claims);
    }
    buf_done(&private);
    buf_done(&public);
}

static void issues_nothing_that_would_be_refused(void **state)
{
    static char many[TOKEN_BYTES];
    struct token_rate rate = {VIEW("tool:a"), VIEW("1/week")};
    struct token_request request = {.subject = VIEW("a"),
                                    .scope = VIEW("*"),
                                    .audience = VIEW("x"),
                                    .now_s = NOW,
                                    .ttl_s = 1,
                                    .rates = &rate,
                                    .rate_count = 1};
    struct err err = {0};
    struct buf token;

    (void)state;
    buf_init(&token, 2 * TOKEN_BYTES, "token");
    assert_false(token_issue(&request, VIEW(""), VIEW("secret"), &token, &err));
    assert_non_null(strstr(err.text, "1/week"));
    rate = (struct token_rate){VIEW("a b"), VIEW("1/s")};
    assert_false(token_issue(&request, VIEW(""), VIEW("secret"), &token, &err));
    request.rate_count = 0;
    request.ttl_s = INT64_MAX;
    assert_false(token_issue(&request, VIEW(""), VIEW("secret"), &token, &err));
    request.ttl_s = -1;
    assert_false(token_issue(&request, VIEW(""), VIEW("secret"), &token, &err));
    request.ttl_s = 0;
    assert_false(token_issue(&request, VIEW(""), VIEW(""), &token, &err));
    assert_false(token_issue(&request, VIEW("no PEM"), VIEW("secret"), &token, &err));
    assert_non_null(strstr(err.text, "not a private key in PEM"));
    memset(many, 'x', sizeof many - 1);
    for (size_t len = 5000; len < sizeof many - 1; len += 1000) {
        request.scope = view_from(many, len);
        buf_reset(&token);
        if (!token_issue(&request, VIEW(""), VIEW("secret"), &token, &err))
            assert_int_equal(err.code, ERR_LIMIT);
        else
            assert_true(buf_len(&token) <= TOKEN_BYTES_MAX);
    }
    assert_false(token_claims(VIEW("a.b"), &token, &err));
    buf_done(&token);
}

static void publishes_its_key(void **state)
{
    static char token[TOKEN_BYTES];
    struct signer s, secret;
    struct token_authority *a = es256_authority(&s, NULL), *h = hs256_authority(&secret, NULL);
    struct jwt_keys *keys = NULL;
    static struct jwt jwt;
    const struct jwt_expect expect = {.now_s = NOW};
    struct err err = {0};
    char pem[1024], body[256] = "", *line;
    struct buf out;

    (void)state;
    buf_init(&out, 4096, "key set");
    assert_true(token_jwks(a, &out, NULL));
    assert_true(jwt_keys_parse(buf_view(&out), false, &keys, NULL));
    (void)signer_token(&s, "{\"alg\":\"ES256\",\"kid\":\"ati-proxy-1\"}", "{" SOUND "}", token,
                       sizeof token);
    assert_true(jwt_verify(keys, view_str(token), &expect, &jwt, NULL));
    pem[pem_read("public.pem", pem, sizeof pem - 1)] = '\0';
    for (line = strtok(pem, "\n"); line; line = strtok(NULL, "\n"))
        if (line[0] != '-')
            (void)strncat(body, line, sizeof body - strlen(body) - 1);
    assert_true(buf_append_byte(&out, '\0', NULL));
    assert_ptr_equal(
        strstr((const char *)buf_view(&out).at,
               "{\"keys\":[{\"alg\":\"ES256\",\"crv\":\"P-256\",\"kid\":\"ati-proxy-1\","
               "\"kty\":\"EC\",\"use\":\"sig\",\"x\":\""),
        buf_view(&out).at);
    line = strstr((const char *)buf_view(&out).at, "\"x5c\":[\"");
    assert_non_null(line);
    assert_memory_equal(line + 8, body, strlen(body));
    assert_memory_equal(line + 8 + strlen(body), "\"],\"y\":\"", 8);
    buf_reset(&out);
    assert_false(token_jwks(h, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.text, "JWKS not configured");
    assert_false(token_jwks(NULL, &out, &err));
    assert_int_equal(buf_len(&out), 0);
    buf_done(&out);
    jwt_keys_free(keys);
    token_authority_unref(a);
    token_authority_unref(h);
    signer_done(&s);
}

static void finds_the_session_token(void **state)
{
    char given[] = "ATI_SESSION_TOKEN= from.the.environment \n", none[] = "ATI_SESSION_TOKEN= \t",
         file[128], missing[128];
    char *first[] = {given, file, NULL}, *second[] = {none, file, NULL}, *third[] = {missing, NULL};
    static uint8_t huge[TOKEN_BYTES_MAX + 2];
    struct err err = {0};
    struct buf out;

    (void)state;
    (void)snprintf(file, sizeof file, "ATI_SESSION_TOKEN_FILE=%s", path_of("session"));
    (void)snprintf(missing, sizeof missing, "ATI_SESSION_TOKEN_FILE=%s", path_of("nothing"));
    file_put("session", VIEW("\n from.a.file\r\n"));
    buf_init(&out, TOKEN_BYTES, "token");
    assert_true(token_session(first, &out, NULL));
    assert_true(view_eq(buf_view(&out), VIEW("from.the.environment")));
    buf_reset(&out);
    assert_true(token_session(second, &out, NULL));
    assert_true(view_eq(buf_view(&out), VIEW("from.a.file")));
    buf_reset(&out);
    assert_true(token_session(third, &out, NULL));
    assert_int_equal(buf_len(&out), 0);
    file_put("session", VIEW(" \n"));
    assert_true(token_session(second, &out, NULL));
    assert_int_equal(buf_len(&out), 0);
    memset(huge, 'x', sizeof huge);
    file_put("session", view_from(huge, sizeof huge));
    assert_false(token_session(second, &out, &err));
    assert_int_equal(unlink(path_of("session")), 0);
    (void)snprintf(file, sizeof file, "ATI_SESSION_TOKEN_FILE=%s", folder); /* unreadable */
    assert_false(token_session(second, &out, &err));
    (void)snprintf(missing, sizeof missing, "Cannot read %s: Is a directory", folder);
    assert_string_equal(err.text, missing);
    buf_done(&out);
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
        cmocka_unit_test(a_broken_configuration_is_an_error),
        cmocka_unit_test(takes_its_configuration_from_the_environment),
        cmocka_unit_test(issues_what_it_accepts),
        cmocka_unit_test(issues_nothing_that_would_be_refused),
        cmocka_unit_test(publishes_its_key),
        cmocka_unit_test(finds_the_session_token),
    };
    char command[64];
    int failed;

    if (!mkdtemp(folder))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : 1; /* NOLINT(cert-env33-c): our own folder */
}
