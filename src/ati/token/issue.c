/* issue: tokens and keys of our own. */
#include <stdio.h>

#include "ati/token/token_priv.h"
#include "base/codec.h"
#include "base/secret.h"

#include "base/poison.h"

enum { CLAIMS_BYTES_MAX = TOKEN_BYTES_MAX, UUID_BYTES = 37 };
#define SECONDS_MAX (1ll << 53) /* what every reader of JSON holds exactly */

static bool request_check(const struct token_request *r, struct err *err);
static bool claims_write(const struct token_request *r, struct buf *out, struct err *err);
static void uuid_make(char out[static UUID_BYTES]);

bool token_issue(const struct token_request *request, struct view key_pem, struct view secret,
                 struct buf *out, struct err *err)
{
    CLEANUP(jwt_signer_free_cleanup) struct jwt_signer *signer = NULL;
    size_t before = buf_len(out);
    struct buf claims;
    bool good;

    if (!request_check(request, err) ||
        (key_pem.len ? !jwt_signer_from_pem(key_pem, &signer, err)
                     : !jwt_signer_from_secret(secret, &signer, err)))
        return false;
    buf_init(&claims, CLAIMS_BYTES_MAX, "claims");
    good = claims_write(request, &claims, err) && jwt_sign(signer, buf_view(&claims), out, err);
    buf_done(&claims);
    return good &&
           (buf_len(out) - before <= TOKEN_BYTES_MAX ||
            err_set(err, ERR_LIMIT, "the token is longer than %d bytes: fewer scopes would help",
                    TOKEN_BYTES_MAX));
}

static bool request_check(const struct token_request *r, struct err *err)
{
    uint64_t limit, window_s;

    for (size_t i = 0; i < r->rate_count; i++)
        if (!token_rate_read(r->rates[i].pattern, r->rates[i].spec, &limit, &window_s, err))
            return false;
    return (r->now_s >= 0 && r->ttl_s >= 0 && r->now_s <= SECONDS_MAX - r->ttl_s) ||
           err_set(err, ERR_USAGE, "a token cannot live that long");
}

static void text(struct json_writer *w, const char *name, struct view value)
{
    json_key(w, name);
    json_text(w, value);
}

static void number(struct json_writer *w, const char *name, int64_t value)
{
    json_key(w, name);
    json_i64(w, value);
}

/* Of equal patterns the last one counts. */
static void rate(struct json_writer *w, const struct token_request *r, size_t index)
{
    const struct token_rate *one = &r->rates[index];
    char pattern[TOKEN_PATTERN_BYTES_MAX + 1];

    for (size_t i = index + 1; i < r->rate_count; i++)
        if (view_eq(r->rates[i].pattern, one->pattern))
            return;
    (void)snprintf(pattern, sizeof pattern, "%.*s", VIEW_ARG(one->pattern));
    text(w, pattern, one->spec);
}

static void extension(struct json_writer *w, const struct token_request *r)
{
    json_key(w, "ati");
    json_object(w);
    number(w, "v", 1);
    if (r->rate_count) {
        json_key(w, "rate");
        json_object(w);
        for (size_t i = 0; i < r->rate_count; i++)
            rate(w, r, i);
        json_object_end(w);
    }
    json_object_end(w);
}

static bool claims_write(const struct token_request *r, struct buf *out, struct err *err)
{
    struct json_writer w;
    char id[UUID_BYTES];

    uuid_make(id);
    json_begin(&w, out);
    json_object(&w);
    if (r->issuer.len)
        text(&w, "iss", r->issuer);
    text(&w, "sub", r->subject);
    text(&w, "aud", r->audience);
    number(&w, "iat", r->now_s);
    number(&w, "exp", r->now_s + r->ttl_s);
    text(&w, "jti", view_str(id));
    text(&w, "scope", r->scope);
    extension(&w, r);
    if (r->job_id.len)
        text(&w, "job_id", r->job_id);
    if (r->sandbox_id.len)
        text(&w, "sandbox_id", r->sandbox_id);
    json_object_end(&w);
    return json_end(&w, err);
}

/* Version 4 (RFC 9562, 5.4). */
static void uuid_make(char out[static UUID_BYTES])
{
    uint8_t bytes[16];
    char hex[sizeof bytes * 2 + 1];

    random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    hex_encode(view_from(bytes, sizeof bytes), hex);
    (void)snprintf(out, UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
}

bool token_keygen_es256(struct buf *private_pem, struct buf *public_pem, struct err *err)
{
    return jwt_pair_new(private_pem, public_pem, err);
}

bool token_keygen_hs256(char out[static 65])
{
    uint8_t secret[32];

    random_bytes(secret, sizeof secret);
    hex_encode(view_from(secret, sizeof secret), out);
    secret_wipe(secret, sizeof secret);
    return true;
}
