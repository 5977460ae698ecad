/* Authorities of tokens, and a folder for their keys. */
#pragma once

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

static inline void file_put(const char *name, struct view text)
{
    FILE *f = fopen(path_of(name), "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text.at, 1, text.len, f), text.len);
    assert_int_equal(fclose(f), 0);
}

static inline struct token_authority *authority_of(const struct token_config *config)
{
    struct token_authority *a = NULL;
    struct err err = {0};

    if (!token_authority_load(config, &a, &err))
        fail_msg("%s", err.text);
    return a;
}

/* A pair, and who trusts its public half. */
static inline struct token_authority *es256_authority(struct signer *s, const char *issuer)
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

static inline struct token_authority *hs256_authority(struct signer *s, const char *issuer)
{
    struct token_config config = {.secret_hex = HEX, .issuer = issuer};

    signer_init(s, JWT_HS256, NULL);
    assert_true(hex_decode(VIEW(HEX), s->secret, sizeof s->secret));
    return authority_of(&config);
}

static inline void says(const struct token_authority *a, const char *token, const char *what)
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

static inline size_t pem_read(const char *name, char *out, size_t size)
{
    FILE *f = fopen(path_of(name), "re");
    size_t n;

    assert_non_null(f);
    n = fread(out, 1, size, f);
    assert_int_equal(fclose(f), 0);
    return n;
}

/* In a folder of its own. */
#define RUN_TOKEN_TESTS(tests) token_tests(tests, sizeof(tests) / sizeof *(tests))
static inline int token_tests(const struct CMUnitTest *tests, size_t count)
{
    char command[64];
    int failed;

    if (!mkdtemp(folder))
        return 1;
    failed = _cmocka_run_group_tests("token", tests, count, NULL, NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : 1; /* NOLINT(cert-env33-c): our own folder */
}
