#include "bridge/credential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKENS_MAX = 65536, JWKS_BYTES_MAX = 256 * 1024, LINE_BYTES_MAX = 512 };

struct token {
    uint8_t hash[SHA256_BYTES];
    char label[64];
};

struct credentials {
    struct token *tokens;
    size_t count;
    struct jwt_keys *keys;
    char *audience, *issuer;
};

static bool add(struct credentials *c, const struct token *token)
{
    struct token *grown = realloc(c->tokens, (c->count + 1) * sizeof *grown);

    if (!grown)
        return false;
    c->tokens = grown;
    grown[c->count++] = *token;
    return true;
}

static bool line_of(struct credentials *c, struct view line, struct err *err)
{
    struct token token = {0};
    struct view label;

    line = text_trim(line);
    if (!line.len || line.at[0] == '#')
        return true;
    if (view_starts(line, VIEW("$argon2")) || view_starts(line, VIEW("argon2")))
        return err_set(err, ERR_CONFIG, "Argon2 hashes are not supported; write sha256:<64 hex digits>");
    if (view_starts(line, VIEW("sha256:")))
        line = view_skip(line, 7);
    if (!hex_decode(view_first(line, 64), token.hash, SHA256_BYTES) ||
        (line.len > 64 && line.at[64] != ' ' && line.at[64] != '\t'))
        return err_set(err, ERR_CONFIG,
                       "not a SHA-256 hash of 64 hex digits; make one with: printf %%s TOKEN | sha256sum");
    label = text_trim(view_skip(line, 64));
    (void)text_escape(label, 48, token.label, sizeof token.label);
    if (c->count == TOKENS_MAX || !add(c, &token))
        return err_set(err, ERR_LIMIT, "more than %d tokens", TOKENS_MAX);
    return true;
}

static bool read_tokens(struct credentials *c, const char *path, struct err *err)
{
    FILE *in = fopen(path, "re");
    char line[LINE_BYTES_MAX];
    unsigned number = 0;
    bool good = true;

    if (!in)
        return err_system(err, ERR_CONFIG, errno, "--auth-token-file %s", path);
    while (good && fgets(line, sizeof line, in)) {
        number++;
        good = line_of(c, view_str(line), err);
    }
    if (good && ferror(in))
        good = err_system(err, ERR_CONFIG, errno, "--auth-token-file %s", path);
    else if (!good)
        (void)err_in(err, "%s:%u", path, number);
    else if (!c->count)
        good = err_set(err, ERR_CONFIG, "--auth-token-file %s: no token in it: nobody could connect", path);
    (void)fclose(in);
    return good;
}

static bool read_keys(struct credentials *c, const char *path, struct err *err)
{
    FILE *in = fopen(path, "re");
    char *text;
    size_t n;
    bool good;

    if (!in)
        return err_system(err, ERR_CONFIG, errno, "--auth-jwt-jwks %s", path);
    text = malloc(JWKS_BYTES_MAX + 1);
    n = text ? fread(text, 1, JWKS_BYTES_MAX + 1, in) : 0;
    if (!text)
        good = err_set(err, ERR_MEMORY, "--auth-jwt-jwks %s", path);
    else if (n > JWKS_BYTES_MAX)
        good = err_set(err, ERR_CONFIG, "--auth-jwt-jwks %s: larger than %d bytes", path, JWKS_BYTES_MAX);
    else if (!jwt_keys_parse(view_from(text, n), false, &c->keys, err))
        good = err_in(err, "--auth-jwt-jwks %s", path);
    else
        good = true;
    if (text)
        secret_wipe(text, JWKS_BYTES_MAX + 1);
    free(text);
    (void)fclose(in);
    return good;
}

static bool copy_text(const char *text, char **out)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

bool credentials_load(const struct credential_source *source, struct credentials **out, struct err *err)
{
    struct credentials *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "credentials");
    if ((source->token_file && !read_tokens(c, source->token_file, err)) ||
        (source->jwks_file && !read_keys(c, source->jwks_file, err))) {
        credentials_free(c);
        return false;
    }
    if (!copy_text(source->audience, &c->audience) || !copy_text(source->issuer, &c->issuer)) {
        credentials_free(c);
        return err_set(err, ERR_MEMORY, "credentials");
    }
    *out = c;
    return true;
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    free(c->tokens);
    jwt_keys_free(c->keys);
    free(c->audience);
    free(c->issuer);
    free(c);
}

void credential_holder_done(struct credential_holder *h)
{
    if (h->jwt)
        secret_wipe(h->jwt, sizeof *h->jwt);
    free(h->jwt);
    h->jwt = NULL;
}

static bool known_token(const struct credentials *c, struct view token, struct credential_holder *out)
{
    uint8_t hash[SHA256_BYTES];
    const struct token *found = NULL;

    if (!secret_sha256(token.at, token.len, hash))
        return false;
    for (size_t i = 0; i < c->count; i++) /* all of them, whatever matches */
        if (secret_equal(hash, c->tokens[i].hash, sizeof hash))
            found = &c->tokens[i];
    if (found)
        (void)snprintf(out->subject, sizeof out->subject, "%s", found->label);
    return found != NULL;
}

bool credentials_accept(const struct credentials *c, struct view token, int64_t now_s,
                        struct credential_holder *out, struct err *err)
{
    struct jwt_expect expect = {.audience = c->audience,
                                .issuer = c->issuer,
                                .now_s = now_s,
                                .leeway_s = 30,
                                .need_exp = true};

    *out = (struct credential_holder){0};
    if (!token.len || token.len > JWT_BYTES_MAX)
        return err_set(err, ERR_DENIED, "no credential");
    if (c->count && known_token(c, token, out))
        return true;
    if (!c->keys)
        return err_set(err, ERR_DENIED, "the token is not known");
    out->jwt = malloc(sizeof *out->jwt);
    if (!out->jwt)
        return err_set(err, ERR_MEMORY, "token");
    if (!jwt_verify(c->keys, token, &expect, out->jwt, err)) {
        credential_holder_done(out);
        return false;
    }
    (void)text_escape(view_str(out->jwt->subject), 48, out->subject, sizeof out->subject);
    return true;
}

static bool same_target(const struct json_doc *doc, uint32_t token, const struct target *target)
{
    char text[TARGET_BYTES_MAX + 1];
    struct target listed;

    return json_string(doc, token, text, sizeof text) && target_parse(view_str(text), &listed, NULL) &&
           !strcmp(listed.text, target->text);
}

bool credential_permits(const struct credential_holder *h, const struct target *target)
{
    const struct json_doc *doc;
    uint32_t claim, at;

    if (!h->jwt)
        return true;
    doc = &h->jwt->claims;
    claim = json_member(doc, 0, "tgt");
    if (!claim)
        return true;
    if (doc->tokens[claim].kind != JSON_ARRAY)
        return same_target(doc, claim, target);
    at = json_first(claim);
    for (uint32_t i = 0; i < doc->tokens[claim].count; i++, at = doc->tokens[at].next)
        if (same_target(doc, at, target))
            return true;
    return false;
}
