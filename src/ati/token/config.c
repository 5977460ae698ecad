/* config: who signs tokens, from ATI_JWT_*. */
#include <stdlib.h>

#include "ati/token/token_priv.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/locked.h"
#include "base/text.h"

#include "base/poison.h"

enum { PEM_BYTES_MAX = 64 * 1024 };

static bool public_key_read(const char *path, struct token_authority *a, struct err *err);
static bool secret_read(const char *hex, struct token_authority *a, struct err *err);

const char *token_environment(char **environment, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; environment && environment[i]; i++)
        if (strncmp(environment[i], name, n) == 0 && environment[i][n] == '=')
            return environment[i][n + 1] ? environment[i] + n + 1 : NULL;
    return NULL;
}

struct token_config token_config_from(char **environment)
{
    return (struct token_config){
        .public_key_file = token_environment(environment, "ATI_JWT_PUBLIC_KEY"),
        .private_key_file = token_environment(environment, "ATI_JWT_PRIVATE_KEY"),
        .secret_hex = token_environment(environment, "ATI_JWT_SECRET"),
        .issuer = token_environment(environment, "ATI_JWT_ISSUER"),
        .audience = token_environment(environment, "ATI_JWT_AUDIENCE"),
    };
}

bool token_authority_load(const struct token_config *config, struct token_authority **out,
                          struct err *err)
{
    CLEANUP(token_authority_unref_cleanup) struct token_authority *a = NULL;

    if (!config->public_key_file && !config->secret_hex) {
        *out = NULL;
        return true;
    }
    a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, ERR_MEMORY, "token authority");
    atomic_init(&a->references, 1);
    a->audience = strdup(config->audience ? config->audience : TOKEN_AUDIENCE);
    a->issuer = config->issuer ? strdup(config->issuer) : NULL;
    if (!a->audience || (config->issuer && !a->issuer))
        return err_set(err, ERR_MEMORY, "token authority");
    if (config->public_key_file ? !public_key_read(config->public_key_file, a, err)
                                : !secret_read(config->secret_hex, a, err))
        return false;
    *out = take(a);
    return true;
}

struct token_authority *token_authority_ref(struct token_authority *a)
{
    atomic_fetch_add_explicit(&a->references, 1, memory_order_relaxed);
    return a;
}

void token_authority_unref(struct token_authority *a)
{
    /* The last one to leave must see what the others did before they left. */
    if (!a || atomic_fetch_sub_explicit(&a->references, 1, memory_order_acq_rel) != 1)
        return;
    jwt_keys_free(a->keys);
    free(a->issuer);
    free(a->audience);
    free(a);
}

static bool public_key_read(const char *path, struct token_authority *a, struct err *err)
{
    struct err why = {0};
    struct buf pem;
    bool good;

    buf_init(&pem, PEM_BYTES_MAX, "public key");
    good = file_read(path, &pem, &why)
               ? jwt_keys_from_pem(buf_view(&pem), &a->keys, err) ||
                     err_in(err, "Invalid PEM key: %s", path)
               : err_set(err, why.code, "Cannot read public key %s", why.text);
    buf_done(&pem);
    a->es256 = true;
    return good && jwt_keys_point(a->keys, a->point);
}

static bool secret_read(const char *hex, struct token_authority *a, struct err *err)
{
    struct view digits = text_trim(view_str(hex));
    struct locked secret;
    bool good;

    if (digits.len % 2)
        return err_set(err, ERR_CONFIG,
                       "ATI_JWT_SECRET is not valid hex: an odd number of digits (%zu)",
                       digits.len);
    if (!locked_new(digits.len / 2, &secret, err))
        return false;
    good =
        hex_decode(digits, secret.at, digits.len / 2)
            ? jwt_keys_from_secret(view_from(secret.at, digits.len / 2), &a->keys, err) ||
                  err_in(err, "ATI_JWT_SECRET")
            : err_set(err, ERR_CONFIG, "ATI_JWT_SECRET is not valid hex: digits are 0-9 and a-f");
    locked_done(&secret);
    a->secret_bytes = digits.len / 2;
    return good;
}

size_t token_authority_secret(const struct token_authority *a)
{
    return a->secret_bytes;
}

void token_secret_judge(size_t bytes, struct log *log)
{
    if (bytes && bytes < TOKEN_SECRET_BYTES_LEAST)
        log_event(log, LOG_WARN, "auth.short_secret",
                  "the HS256 secret is shorter than 32 bytes (RFC 7518, 3.2), and may be guessed "
                  "from a token: ati token keygen HS256 makes a good one",
                  F_U64("bytes", bytes));
}
