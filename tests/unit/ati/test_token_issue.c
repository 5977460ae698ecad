/* Who signs tokens, what is issued, published and found. */
#include "token_world.h"

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
        cmocka_unit_test(a_broken_configuration_is_an_error),
        cmocka_unit_test(takes_its_configuration_from_the_environment),
        cmocka_unit_test(issues_what_it_accepts),
        cmocka_unit_test(issues_nothing_that_would_be_refused),
        cmocka_unit_test(publishes_its_key),
        cmocka_unit_test(finds_the_session_token),
    };

    return RUN_TOKEN_TESTS(tests);
}
