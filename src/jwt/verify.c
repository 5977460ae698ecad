/* verify: one token: its parts, its signature, then what it claims. */
#include "base/codec.h"
#include "base/text.h"
#include "jwt/jwt_priv.h"

#include "base/poison.h"

enum { HEADER_BYTES_MAX = 1024, HEADER_TOKENS_MAX = 64, SIGNATURE_BYTES_MAX = 64 };
enum { CLAIM_TEXT_BYTES = 512 };
#define SECONDS_MAX \
    (1ll << 53) /* what a JSON number holds exactly; also keeps sums from overflowing */

struct parts {
    struct view header, payload, signature; /* as in the token, in base64url */
    struct view signed_part;
};

static bool parts_read(struct view token, struct parts *out, struct err *err);
static bool split(struct view token, struct parts *out);
static bool header_read(struct view text, enum jwt_algorithm *algorithm, char *id, struct err *err);
static bool signature_check(const struct jwt_keys *keys, const struct parts *p,
                            enum jwt_algorithm algorithm, const char *id, struct err *err);
static bool payload_read(struct view text, struct jwt *out, struct err *err);
static bool times_check(const struct json_doc *claims, const struct jwt_expect *expect,
                        struct err *err);
static bool audience_check(const struct json_doc *claims, const char *audience, struct err *err);
static bool text_is(const struct json_doc *doc, uint32_t token, const char *text);

bool jwt_verify(const struct jwt_keys *keys, struct view token, const struct jwt_expect *expect,
                struct jwt *out, struct err *err)
{
    uint32_t subject;

    if (!jwt_open(keys, token, out, err) || !times_check(&out->claims, expect, err))
        return false;
    if (expect->audience && !audience_check(&out->claims, expect->audience, err))
        return false;
    if (expect->issuer &&
        !text_is(&out->claims, json_member(&out->claims, 0, "iss"), expect->issuer))
        return err_set(err, ERR_DENIED, "token: from another issuer, or from none");
    subject = json_member(&out->claims, 0, "sub");
    if (subject && !json_string(&out->claims, subject, out->subject, sizeof out->subject))
        return err_set(err, ERR_DENIED, "token: sub is not a string of at most %zu bytes",
                       sizeof out->subject - 1);
    return true;
}

bool jwt_open(const struct jwt_keys *keys, struct view token, struct jwt *out, struct err *err)
{
    enum jwt_algorithm algorithm = JWT_ES256;
    char id[JWT_KEY_ID_BYTES] = "";
    struct parts p = {0};

    return parts_read(token, &p, err) && header_read(p.header, &algorithm, id, err) &&
           signature_check(keys, &p, algorithm, id, err) && payload_read(p.payload, out, err);
}

bool jwt_peek(struct view token, struct jwt *out, struct err *err)
{
    struct parts p = {0};

    return parts_read(token, &p, err) && payload_read(p.payload, out, err);
}

static bool parts_read(struct view token, struct parts *out, struct err *err)
{
    if (token.len > JWT_BYTES_MAX)
        return err_set(err, ERR_DENIED, "token: longer than %d bytes", JWT_BYTES_MAX);
    return split(token, out) ||
           err_set(err, ERR_DENIED, "token: not three parts with dots between them");
}

static bool split(struct view token, struct parts *out)
{
    struct view rest = token;

    if (!view_next(&rest, '.', &out->header) || !view_next(&rest, '.', &out->payload) ||
        !view_next(&rest, '.', &out->signature) || rest.at)
        return false;
    out->signed_part = view_first(token, out->header.len + 1 + out->payload.len);
    return true;
}

static bool decode(struct view text, void *out, size_t room, struct view *bytes)
{
    size_t len = room;

    if (!base64url_decode(text, out, &len))
        return false;
    *bytes = view_from(out, len);
    return true;
}

static bool header_read(struct view text, enum jwt_algorithm *algorithm, char *id, struct err *err)
{
    struct json_token tokens[HEADER_TOKENS_MAX];
    char bytes[HEADER_BYTES_MAX];
    struct json_doc doc;
    struct view json;
    uint32_t kid;

    if (!decode(text, bytes, sizeof bytes, &json) ||
        !json_parse(json, tokens, HEADER_TOKENS_MAX, &doc, NULL) || tokens[0].kind != JSON_OBJECT)
        return err_set(err, ERR_DENIED, "token: the header cannot be read");
    if (json_member(&doc, 0, "crit"))
        return err_set(err, ERR_DENIED, "token: demands extensions (crit), and none is known");
    kid = json_member(&doc, 0, "kid");
    id[0] = '\0';
    if (kid && !json_string(&doc, kid, id, JWT_KEY_ID_BYTES))
        return err_set(err, ERR_DENIED, "token: kid is not a string of at most %d bytes",
                       JWT_KEY_ID_BYTES - 1);
    for (*algorithm = JWT_ES256; *algorithm <= JWT_HS256; (*algorithm)++)
        if (jwt_member_is(&doc, 0, "alg", jwt_algorithm_name(*algorithm)))
            return true;
    return err_set(err, ERR_DENIED, "token: signed by none of ES256, EdDSA, HS256");
}

/* A key verifies by its own algorithm only; what the token names must be that (RFC 8725, 3.1). */
static bool signature_check(const struct jwt_keys *keys, const struct parts *p,
                            enum jwt_algorithm algorithm, const char *id, struct err *err)
{
    uint8_t bytes[SIGNATURE_BYTES_MAX];
    struct view signature = {0};
    bool any = false;

    if (!decode(p->signature, bytes, sizeof bytes, &signature))
        return err_set(err, ERR_DENIED, "token: the signature cannot be read");
    for (size_t i = 0; i < keys->count; i++) {
        const struct jwt_key *key = &keys->at[i];

        if (key->algorithm != algorithm || (id[0] && key->id[0] && strcmp(id, key->id) != 0))
            continue;
        any = true;
        if (jwt_signature_good(key, p->signed_part, signature))
            return true;
    }
    return any ? err_set(err, ERR_DENIED, "token: the signature is wrong")
               : err_set(err, ERR_DENIED, "token: signed by a key that is not in the key set");
}

static bool payload_read(struct view text, struct jwt *out, struct err *err)
{
    struct view json;

    if (!decode(text, out->payload, sizeof out->payload, &json) ||
        !json_parse(json, out->tokens, JWT_TOKENS_MAX, &out->claims, NULL) ||
        out->tokens[0].kind != JSON_OBJECT)
        return err_set(err, ERR_DENIED, "token: the claims cannot be read");
    out->subject[0] = '\0';
    return true;
}

/* A NumericDate (RFC 7519, 2): seconds, perhaps with a fraction, which is dropped. */
static bool seconds(const struct json_doc *doc, uint32_t token, int64_t *out)
{
    struct view span = json_span(doc, token);
    size_t dot = view_find(span, '.');
    uint64_t whole;

    if (doc->tokens[token].kind != JSON_NUMBER)
        return false;
    for (size_t i = dot + 1; i < span.len; i++)
        if (span.at[i] < '0' || span.at[i] > '9')
            return false;
    if (!text_u64(view_first(span, dot), SECONDS_MAX, false, &whole))
        return false;
    *out = (int64_t)whole;
    return true;
}

static bool times_check(const struct json_doc *claims, const struct jwt_expect *expect,
                        struct err *err)
{
    uint32_t exp = json_member(claims, 0, "exp"), nbf = json_member(claims, 0, "nbf"),
             iat = json_member(claims, 0, "iat");
    int64_t end, begin, made;

    if (!exp && expect->need_exp)
        return err_set(err, ERR_DENIED, "token: without exp");
    if ((exp && !seconds(claims, exp, &end)) || (nbf && !seconds(claims, nbf, &begin)) ||
        (iat && !seconds(claims, iat, &made)))
        return err_set(err, ERR_DENIED, "token: exp, nbf or iat is not a time");
    if (exp && expect->now_s >= end + expect->leeway_s)
        return err_set(err, ERR_DENIED, "token: expired");
    if ((nbf && expect->now_s < begin - expect->leeway_s) ||
        (iat && expect->now_s < made - expect->leeway_s))
        return err_set(err, ERR_DENIED, "token: not valid yet");
    return true;
}

static bool audience_check(const struct json_doc *claims, const char *audience, struct err *err)
{
    uint32_t aud = json_member(claims, 0, "aud"), at = json_first(aud);

    if (aud && claims->tokens[aud].kind == JSON_ARRAY) {
        for (uint32_t i = 0; i < claims->tokens[aud].count; i++, at = claims->tokens[at].next)
            if (text_is(claims, at, audience))
                return true;
    } else if (text_is(claims, aud, audience)) {
        return true;
    }
    return err_set(err, ERR_DENIED, "token: made for another audience, or for none");
}

/* token: 0 is no member. */
static bool text_is(const struct json_doc *doc, uint32_t token, const char *text)
{
    char value[CLAIM_TEXT_BYTES];

    return token && json_string(doc, token, value, sizeof value) && strcmp(value, text) == 0;
}
