/* claims: what a token says, read strictly: iss sub aud iat exp jti scope ati job_id sandbox_id. Others, kid and nbf are ignored. */
#include <stdlib.h>

#include "ati/token/token_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { RATE_SPEC_BYTES = 64, RATES_MAX = 128 };

enum text { ISSUER, SUBJECT, ID, SCOPE, JOB, SANDBOX, TEXTS };
static const struct {
    const char *name;
    bool needed;
} text_claims[TEXTS] = {
    [ISSUER] = {"iss", false}, [SUBJECT] = {"sub", true}, [ID] = {"jti", false},
    [SCOPE] = {"scope", true}, [JOB] = {"job_id", false}, [SANDBOX] = {"sandbox_id", false}};

struct said {
    char *texts[TEXTS];
    struct caller_rate *rates;
    size_t rate_count;
};

static bool texts_read(const struct json_doc *doc, struct said *said, struct err *err);
static bool seconds_read(const struct json_doc *doc, const char *name, int64_t *out,
                         struct err *err);
static bool audience_check(const struct json_doc *doc, const char *audience, struct err *err);
static bool issuer_check(const struct said *said, const char *issuer, struct err *err);
static bool extension_read(const struct json_doc *doc, struct said *said, struct err *err);
static bool rates_read(const struct json_doc *doc, uint32_t object, struct said *said,
                       struct err *err);

static void said_done(struct said *said)
{
    for (size_t i = 0; i < TEXTS; i++)
        free(said->texts[i]);
    for (size_t i = 0; i < said->rate_count; i++)
        free(said->rates[i].pattern);
    free(said->rates);
}

static bool caller_make(const struct token_authority *a, const struct said *said, int64_t issued_s,
                        int64_t expires_s, struct caller **out, struct err *err)
{
    const struct caller_claims claims = {
        .subject = view_str(said->texts[SUBJECT]),
        .issuer = view_str(said->texts[ISSUER]),
        .audience = view_str(a->audience),
        .id = view_str(said->texts[ID]),
        .job_id = view_str(said->texts[JOB]),
        .sandbox_id = view_str(said->texts[SANDBOX]),
        .scope = view_str(said->texts[SCOPE]),
        .issued_s = issued_s,
        .expires_s = expires_s,
        .rates = said->rates,
        .rate_count = said->rate_count,
    };

    return caller_new(&claims, out, err);
}

bool token_judge(const struct token_authority *a, const struct json_doc *claims, int64_t now_s,
                 struct caller **out, struct err *err)
{
    CLEANUP(said_done) struct said said = {.rate_count = 0};
    int64_t issued_s = 0, expires_s = 0;

    if (!texts_read(claims, &said, err) || !seconds_read(claims, "iat", &issued_s, err) ||
        !seconds_read(claims, "exp", &expires_s, err))
        return false;
    if (expires_s < now_s - TOKEN_LEEWAY_S)
        return err_set(err, ERR_DENIED, "token: expired");
    return audience_check(claims, a->audience, err) && issuer_check(&said, a->issuer, err) &&
           extension_read(claims, &said, err) &&
           caller_make(a, &said, issued_s, expires_s, out, err);
}

/* The member; 0: it is not there, or null. */
static uint32_t member(const struct json_doc *doc, uint32_t object, const char *name)
{
    uint32_t at = json_member(doc, object, name);

    return at && doc->tokens[at].kind != JSON_NULL ? at : 0;
}

static bool texts_read(const struct json_doc *doc, struct said *said, struct err *err)
{
    size_t len;

    for (size_t i = 0; i < TEXTS; i++) {
        uint32_t at = member(doc, 0, text_claims[i].name);

        if (!at && text_claims[i].needed)
            return err_set(err, ERR_DENIED, "token: without %s", text_claims[i].name);
        if (at && !json_string_new(doc, at, &said->texts[i], &len))
            return err_set(err, ERR_DENIED, "token: %s is not a text", text_claims[i].name);
    }
    return true;
}

static bool seconds_read(const struct json_doc *doc, const char *name, int64_t *out,
                         struct err *err)
{
    uint32_t at = member(doc, 0, name);
    int64_t n = 0;

    if (!at)
        return err_set(err, ERR_DENIED, "token: without %s", name);
    if (!json_integer(doc, at, &n) || n < 0)
        return err_set(err, ERR_DENIED, "token: %s is not a whole number of seconds", name);
    *out = n;
    return true;
}

static bool text_is(const struct json_doc *doc, uint32_t token, const char *text)
{
    char *value;
    size_t len;
    bool same;

    if (!json_string_new(doc, token, &value, &len))
        return false;
    same = strcmp(value, text) == 0;
    free(value);
    return same;
}

static bool audience_check(const struct json_doc *doc, const char *audience, struct err *err)
{
    uint32_t aud = member(doc, 0, "aud"), at = json_first(aud);

    if (!aud)
        return err_set(err, ERR_DENIED, "token: without aud");
    if (doc->tokens[aud].kind != JSON_ARRAY) {
        if (text_is(doc, aud, audience))
            return true;
    } else {
        for (uint32_t i = 0; i < doc->tokens[aud].count; i++, at = doc->tokens[at].next)
            if (text_is(doc, at, audience))
                return true;
    }
    return err_set(err, ERR_DENIED, "token: made for another audience");
}

static bool issuer_check(const struct said *said, const char *issuer, struct err *err)
{
    if (!issuer)
        return true;
    if (!said->texts[ISSUER])
        return err_set(err, ERR_DENIED, "token: without iss");
    return strcmp(said->texts[ISSUER], issuer) == 0 ||
           err_set(err, ERR_DENIED, "token: from another issuer");
}

static bool extension_read(const struct json_doc *doc, struct said *said, struct err *err)
{
    uint32_t ati = member(doc, 0, "ati"), rate;
    int64_t version;

    if (!ati)
        return true;
    if (doc->tokens[ati].kind != JSON_OBJECT)
        return err_set(err, ERR_DENIED, "token: ati is not an object");
    if (!json_integer(doc, json_member(doc, ati, "v"), &version) || version < 0 ||
        version > UINT8_MAX)
        return err_set(err, ERR_DENIED, "token: ati.v is not a number from 0 to 255");
    rate = member(doc, ati, "rate");
    return !rate || rates_read(doc, rate, said, err);
}

bool token_rate_read(struct view pattern, struct view spec, uint64_t *limit, uint64_t *window_s,
                     struct err *err)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.at[i] <= ' ')
            return err_set(err, ERR_SYNTAX, "a pattern has no blanks");
    if (!pattern.len || pattern.len > TOKEN_PATTERN_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "a pattern has 1 to %d bytes", TOKEN_PATTERN_BYTES_MAX);
    return caller_rate_parse(spec, limit, window_s, err);
}

static bool rate_read(const struct json_doc *doc, uint32_t key, struct caller_rate *rate,
                      struct err *err)
{
    char spec[RATE_SPEC_BYTES];
    size_t len;

    if (!json_string(doc, doc->tokens[key].next, spec, sizeof spec))
        return err_set(err, ERR_SYNTAX, "a rate is a short text");
    if (!json_string_new(doc, key, &rate->pattern, &len))
        return err_set(err, ERR_SYNTAX, "a pattern cannot be read");
    return token_rate_read(view_str(rate->pattern), view_str(spec), &rate->limit, &rate->window_s,
                           err);
}

static bool rates_read(const struct json_doc *doc, uint32_t object, struct said *said,
                       struct err *err)
{
    uint32_t key = json_first(object), count = doc->tokens[object].count;
    struct err why;

    if (doc->tokens[object].kind != JSON_OBJECT)
        return err_set(err, ERR_DENIED, "token: ati.rate is not an object");
    if (count > RATES_MAX)
        return err_set(err, ERR_DENIED, "token: ati.rate has more than %d rates", RATES_MAX);
    said->rates = calloc(count ? count : 1, sizeof *said->rates);
    if (!said->rates)
        return err_set(err, ERR_MEMORY, "token");
    for (; said->rate_count < count; key = doc->tokens[doc->tokens[key].next].next)
        if (!rate_read(doc, key, &said->rates[said->rate_count++], &why))
            return err_set(err, ERR_DENIED, "token: ati.rate: %s", why.text);
    return true;
}
