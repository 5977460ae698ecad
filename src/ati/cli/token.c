#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "ati/cli/claims.h"
#include "ati/cli/cli.h"
#include "ati/token/token.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/locked.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { PEM_BYTES_MAX = 64 * 1024, RATES_MAX = 128, SHOWN_BYTES_MAX = 64 * 1024 };

static void hint(const char *text)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s\n", text);
}

/* --- keygen -------------------------------------------------------------------------------------- */

static int keygen_es256(const struct cli *cli)
{
    struct buf private, public;
    struct err err;
    int status = 0;

    buf_init(&private, PEM_BYTES_MAX, "private key");
    buf_init(&public, PEM_BYTES_MAX, "public key");
    if (!token_keygen_es256(&private, &public, &err)) {
        status = cli_fail_err(cli, &err);
    } else {
        hint("Generated ES256 key pair\n=== Private Key (keep secret — for token issuance only) "
             "===");
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&private)));
        hint("=== Public Key (distribute — for token validation) ===");
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&public)));
        hint("Save the private key to a file and set ATI_JWT_PRIVATE_KEY=<path>\n"
             "Save the public key to a file and set ATI_JWT_PUBLIC_KEY=<path>");
    }
    buf_wipe(&private);
    buf_done(&public);
    return status;
}

static int keygen(struct cli *cli, const struct cli_words *words)
{
    const char *flag = cli_value(words, "algorithm"), *algorithm = words->count ? words->words[0]
                                                                   : flag       ? flag
                                                                                : "ES256";
    char hex[65];
    struct err err;

    if (strcasecmp(algorithm, "ES256") == 0)
        return keygen_es256(cli);
    if (strcasecmp(algorithm, "HS256") != 0) {
        (void)err_set(&err, ERR_USAGE, "Unsupported algorithm: %s. Use ES256 or HS256.", algorithm);
        return cli_fail_err(cli, &err);
    }
    if (!token_keygen_hs256(hex))
        return cli_fail(cli, VIEW("no secret could be made"));
    hint("Generated HS256 shared secret");
    (void)printf("%s\n", hex);
    hint("Set ATI_JWT_SECRET=<secret above>");
    secret_wipe(hex, sizeof hex);
    return 0;
}

/* --- issue --------------------------------------------------------------------------------------- */

/* What to sign with: one of the two. */
struct signing {
    struct buf pem;
    struct locked secret;
};

static void signing_done(struct signing *s)
{
    buf_wipe(&s->pem);
    locked_done(&s->secret);
}

static bool pem_read(const char *path, struct buf *pem, struct err *err)
{
    struct err why = {0};
    uint8_t *room; /* all of it at once: a buffer that grows leaves copies */

    return buf_room(pem, PEM_BYTES_MAX, &room, err) &&
           (file_read(path, pem, &why) ||
            err_set(err, why.code, "Cannot read private key %s", why.text));
}

static bool hex_read(const char *hex, const char *what, struct locked *secret, struct err *err)
{
    struct view digits = text_trim(view_str(hex));

    if (digits.len % 2 || !digits.len)
        return err_set(err, ERR_USAGE, "%s: %s", what,
                       digits.len ? "an odd number of digits" : "no digits");
    if (!locked_new(digits.len / 2, secret, err))
        return false;
    return hex_decode(digits, secret->at, secret->size) ||
           err_set(err, ERR_USAGE, "%s: digits are 0-9 and a-f", what);
}

/* --key, --secret, then the environment, where a public key says that it is ES256: a private key beside a secret alone is nobody's. */
static bool signing_find(const struct cli *cli, const struct cli_words *words, struct signing *s,
                         struct err *err)
{
    const char *key = cli_value(words, "key"), *secret = cli_value(words, "secret");
    struct token_config config = token_config_from(cli->environment);

    if (key)
        return pem_read(key, &s->pem, err);
    if (secret)
        return hex_read(secret, "Invalid hex secret", &s->secret, err);
    if (config.private_key_file && (config.public_key_file || !config.secret_hex))
        return pem_read(config.private_key_file, &s->pem, err);
    if (config.secret_hex && !config.public_key_file)
        return hex_read(config.secret_hex, "ATI_JWT_SECRET is not valid hex", &s->secret, err);
    return err_set(err, ERR_USAGE,
                   "No signing key available. Provide --key <path>, --secret <hex>, or set "
                   "ATI_JWT_PRIVATE_KEY / ATI_JWT_SECRET.");
}

/* "tool:github:*=10/hour": the last '=' ends the pattern. */
static bool rates_read(const struct cli_words *words, struct token_rate *rates, size_t *count,
                       struct err *err)
{
    const char *const *given = cli_values(words, "rate", count);

    if (*count > RATES_MAX)
        return err_set(err, ERR_USAGE, "Invalid rates: more than %d", RATES_MAX);
    for (size_t i = 0; i < *count; i++) {
        struct view rate = view_str(given[i]);
        size_t equals = view_find_last(rate, '=');
        uint64_t limit, window_s;

        rates[i] = (struct token_rate){view_first(rate, equals), view_skip(rate, equals + 1)};
        if (equals == rate.len || !equals ||
            !caller_rate_parse(rates[i].spec, &limit, &window_s, NULL))
            return err_set(err, ERR_USAGE,
                           "Invalid rate spec '%s': expected pattern=count/unit (e.g. "
                           "tool:github:*=10/hour)",
                           given[i]);
    }
    return true;
}

static bool issue_token(const struct cli *cli, const struct cli_words *words,
                        const struct signing *s, struct buf *out, struct err *err)
{
    const char *issuer = cli_value(words, "iss");
    struct token_config config = token_config_from(cli->environment);
    struct token_rate rates[RATES_MAX];
    struct token_request request = {
        .subject = view_str(cli_value(words, "sub")),
        .scope = view_str(cli_value(words, "scope")),
        .audience = view_str(cli_value(words, "aud")),
        .issuer = view_str(issuer ? issuer : config.issuer),
        .now_s = clock_wall_ms(&clock_system) / 1000,
        .rates = rates,
    };
    uint64_t ttl_s;

    if (!text_u64(view_str(cli_value(words, "ttl")), INT64_MAX, true, &ttl_s))
        return err_set(err, ERR_USAGE, "Invalid --ttl '%s': a number of seconds",
                       cli_value(words, "ttl"));
    request.ttl_s = (int64_t)ttl_s;
    return rates_read(words, rates, &request.rate_count, err) &&
           token_issue(&request, buf_view(&s->pem), view_from(s->secret.at, s->secret.size), out,
                       err);
}

static int issue(struct cli *cli, const struct cli_words *words)
{
    struct signing signing = {.secret = {.at = NULL}};
    struct buf token;
    struct err err;
    int status = 0;

    buf_init(&signing.pem, PEM_BYTES_MAX, "private key");
    buf_init(&token, (size_t)2 * TOKEN_BYTES_MAX, "token");
    if (!signing_find(cli, words, &signing, &err) ||
        !issue_token(cli, words, &signing, &token, &err))
        status = cli_fail_err(cli, &err);
    else
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&token)));
    token_secret_judge(status ? 0 : signing.secret.size, cli->log);
    if (!status && isatty(STDERR_FILENO))
        hint("Give it to the sandbox as ATI_SESSION_TOKEN.");
    signing_done(&signing);
    buf_wipe(&token);
    return status;
}

/* --- inspect and validate ------------------------------------------------------------------------ */

static bool inspect_show(const struct cli *cli, const struct cli_claims *c, struct err *err)
{
    static const char *const before[] = {"ati", "aud", "exp", "iat", "iss", "jti", "scope"};
    struct json_writer w;
    struct json_tree tree;
    struct buf out, sorted;
    bool good;

    buf_init(&out, SHOWN_BYTES_MAX, "claims");
    buf_init(&sorted, SHOWN_BYTES_MAX, "claims");
    json_begin(&w, &out);
    json_object(&w);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        cli_claims_write(c, before[i], &w);
    cli_claims_scopes(c, &w);
    cli_claims_write(c, "sub", &w);
    json_object_end(&w);
    good = json_end(&w, err) && json_load(buf_view(&out), UINT32_MAX, &tree, err);
    if (good) {
        good = json_render(&tree.doc, 0, JSON_PRETTY, true, &sorted, err);
        json_unload(&tree);
    }
    if (good)
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&sorted)));
    (void)cli;
    buf_done(&out);
    buf_done(&sorted);
    return good;
}

static int inspect(struct cli *cli, const struct cli_words *words)
{
    struct cli_claims claims;
    struct err err;
    int status = 0;

    if (!cli_claims_read(&claims, view_str(words->words[0]), &err) ||
        !inspect_show(cli, &claims, &err))
        status = cli_fail_err(cli, &err);
    cli_claims_done(&claims);
    return status;
}

static bool authority_find(const struct cli *cli, const struct cli_words *words,
                           struct token_authority **out, struct err *err)
{
    CLEANUP(locked_done) struct locked secret = {.at = NULL};
    struct token_config config = token_config_from(cli->environment);
    const char *key = cli_value(words, "key"), *hex = cli_value(words, "secret");

    if (key || hex) {
        config.public_key_file = key;
        config.secret_hex = key ? NULL : hex;
    }
    if (!key && hex && !hex_read(hex, "Invalid hex secret", &secret, err))
        return false;
    return token_authority_load(&config, out, err) &&
           (*out || err_set(err, ERR_USAGE,
                            "No validation key available. Provide --key <path>, --secret <hex>, "
                            "or set ATI_JWT_PUBLIC_KEY / ATI_JWT_SECRET."));
}

static int validate(struct cli *cli, const struct cli_words *words)
{
    CLEANUP(token_authority_unref_cleanup) struct token_authority *a = NULL;
    CLEANUP(caller_unref_cleanup) struct caller *caller = NULL;
    struct err err = {0}, why;

    if (!authority_find(cli, words, &a, &err))
        return cli_fail_err(cli, &err);
    token_secret_judge(token_authority_secret(a), cli->log);
    if (token_validate(a, view_str(words->words[0]), clock_wall_ms(&clock_system) / 1000, &caller,
                       &err)) {
        log_event(cli->log, LOG_INFO, "token.valid", "VALID", F_STR("sub", caller->subject),
                  F_STR("scope", caller->scope), F_I64("exp", caller->expires_s));
        return 0;
    }
    (void)err_set(&why, err.code, "INVALID — %s", err.text);
    log_event(cli->log, LOG_ERROR, "token.invalid", why.text);
    return 1;
}

static const struct cli_option keygen_options[] = {
    {.name = "algorithm", .value = "A", .help = "ES256 or HS256, as the word says, too"},
};
static const struct cli_option issue_options[] = {
    {.name = "sub", .value = "NAME", .help = "who the token is for", .required = true},
    {.name = "scope", .value = "SCOPES", .help = "what it allows: words", .required = true},
    {.name = "ttl", .value = "SECONDS", .help = "how long it lives", .fallback = "1800"},
    {.name = "aud", .value = "NAME", .help = "who shall accept it", .fallback = TOKEN_AUDIENCE},
    {.name = "iss", .value = "NAME", .help = "who says so; else ATI_JWT_ISSUER"},
    {.name = "key", .value = "FILE", .help = "private key in PEM, P-256: signs by ES256"},
    {.name = "secret", .value = "HEX", .help = "shared secret: signs by HS256"},
    {.name = "rate",
     .value = "RATE",
     .help = "how often, by pattern: tool:github:*=10/hour",
     .many = true},
};
static const struct cli_option validate_options[] = {
    {.name = "key", .value = "FILE", .help = "public key in PEM"},
    {.name = "secret", .value = "HEX", .help = "shared secret"},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct cli_command commands[] = {
    {.name = "keygen",
     .summary = "make a key pair (ES256), or a secret (HS256)",
     .words = "[ALGORITHM]",
     .words_most = 1,
     .options = keygen_options,
     .option_count = COUNT(keygen_options),
     .about = "ES256 prints two PEM texts, the private key first; HS256 a secret in hexadecimal\n"
              "digits. \"ati init --proxy --es256\" writes a key pair to files.\n",
     .stateless = true,
     .run = keygen},
    {.name = "issue",
     .summary = "make a token for a sandbox",
     .options = issue_options,
     .option_count = COUNT(issue_options),
     .about = "Signed by --key or --secret, else by ATI_JWT_PRIVATE_KEY or ATI_JWT_SECRET.\n"
              "Scopes are tool:NAME, tool:PREFIX:*, help, and * for everything.\n"
              "\nExample:\n"
              "  ati token issue --key ~/.ati/jwt-private.pem --sub sandbox-17 --ttl 1800 \\\n"
              "    --scope \"tool:github:* tool:weather:forecast\" --rate 'tool:*=9/hour'\n",
     .run = issue},
    {.name = "inspect",
     .summary = "show what a token says, without verifying it",
     .words = "TOKEN",
     .words_least = 1,
     .words_most = 1,
     .run = inspect},
    {.name = "validate",
     .summary = "verify a token: signature, times, audience, issuer",
     .words = "TOKEN",
     .words_least = 1,
     .words_most = 1,
     .options = validate_options,
     .option_count = COUNT(validate_options),
     .about = "By --key or --secret, else by ATI_JWT_PUBLIC_KEY or ATI_JWT_SECRET.\n",
     .run = validate},
};

const struct cli_command cli_token = {
    .name = "token",
    .summary = "session tokens: make, issue, inspect, validate",
    .commands = commands,
    .command_count = COUNT(commands),
};
