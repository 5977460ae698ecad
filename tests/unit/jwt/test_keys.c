#include "signer.h"

#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define EC       "{\"kty\":\"EC\",\"crv\":\"P-256\","
#define EC_X     "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
#define EC_Y     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define OKP \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OCT \
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i\"}"
#define RSA "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuu\",\"e\":\"AQAB\"}"

static void takes_the_keys_it_can_use_and_skips_the_others(void **state)
{
    static const struct {
        const char *keys;
        bool symmetric;
        size_t count;
    } rows[] = {
        {EC EC_X EC_Y "}", false, 1},
        {OKP "}", false, 1},
        {OCT, true, 1},
        {EC EC_X EC_Y "}," OKP "}", false, 2},
        {RSA "," OKP "}", false, 1},
        {OCT "," OKP "}", false, 1},
        {OCT "," OKP "}", true, 2},
        {"{}," OKP "}", false, 1},
        {OKP ",\"use\":\"sig\",\"alg\":\"EdDSA\",\"key_ops\":[\"verify\"],\"kid\":\"k\"}", false,
         1},
        {OKP ",\"use\":\"enc\"}," OKP "}", false, 1},
        {OKP ",\"alg\":\"ES256\"}," OKP "}", false, 1},
        {OKP ",\"key_ops\":[\"sign\"]}," OKP "}", false, 1},
        {OKP ",\"key_ops\":\"verify\"}," OKP "}", false, 1},
        {OKP ",\"x5c\":[\"MII\"],\"unknown\":{\"a\":[1,2,{}]}}", false, 1},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\"," EC_X EC_Y "}," OKP "}", false, 1},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}," OKP "}", false, 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwt_keys *keys = NULL;
        struct err err = {0};
        char text[2048];

        (void)snprintf(text, sizeof text, "{\"keys\":[%s],\"more\":1}", rows[i].keys);
        if (!jwt_keys_parse(view_str(text), rows[i].symmetric, &keys, &err))
            fail_msg("%s: %s", text, err.text);
        assert_int_equal(jwt_keys_count(keys), rows[i].count);
        jwt_keys_free(keys);
    }
}

static void refuses_sets_that_are_none_or_hold_a_broken_key(void **state)
{
    static const struct {
        const char *text;
        bool symmetric;
        const char *says;
    } rows[] = {
        {"", false, ""},
        {"{", false, ""},
        {"[]", false, "not a key set"},
        {"{}", false, "not a key set"},
        {"{\"keys\":{}}", false, "not a key set"},
        {"{\"keys\":[]}", false, "no key that can be used"},
        {"{\"keys\":[" RSA "]}", false, "no key that can be used"},
        {"{\"keys\":[" OCT "]}", false, "no key that can be used"},
        {"{\"keys\":[7]}", false, "keys[0]: not an object"},
        {"{\"keys\":[" OKP "}," EC EC_X "\"y\":\"\"}]}", false, "keys[1]: not a point"},
        {"{\"keys\":[" EC EC_X "\"z\":1}]}", false, "not a point"},
        {"{\"keys\":[" EC EC_X "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}", false,
         "not a point"},
        {"{\"keys\":[" EC EC_X "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0=\"}]}", false,
         "not a point"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", false, "not a point"},
        {"{\"keys\":[" OKP ",\"kid\":7}]}", false, "kid"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}", true, "32 to 512 bytes"},
        {"{\"keys\":[{\"kty\":\"oct\"}]}", true, "32 to 512 bytes"},
        {"{\"keys\":[" OKP ",\"kty\":\"OKP\"}]}", false, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwt_keys *keys = NULL;
        struct err err = {0};

        if (jwt_keys_parse(view_str(rows[i].text), rows[i].symmetric, &keys, &err))
            fail_msg("%s was accepted", rows[i].text);
        if (!err.text[0] || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].text, err.text);
    }
}

static void holds_64_keys_and_no_more(void **state)
{
    static char text[64 * 1024];
    struct jwt_keys *keys = NULL;
    struct err err = {0};
    size_t n = (size_t)snprintf(text, sizeof text, "{\"keys\":[");

    (void)state;
    for (unsigned i = 0; i < JWT_KEYS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s" OKP ",\"kid\":\"k%u\"}", i ? "," : "",
                              i);
    (void)snprintf(text + n, sizeof text - n, "]}");
    assert_true(jwt_keys_parse(view_str(text), false, &keys, NULL));
    assert_int_equal(jwt_keys_count(keys), JWT_KEYS_MAX);
    jwt_keys_free(keys);
    (void)snprintf(text + n, sizeof text - n, "," OKP "}]}");
    assert_false(jwt_keys_parse(view_str(text), false, &keys, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    jwt_keys_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_keys_it_can_use_and_skips_the_others),
        cmocka_unit_test(refuses_sets_that_are_none_or_hold_a_broken_key),
        cmocka_unit_test(holds_64_keys_and_no_more),
        cmocka_unit_test(freeing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
