/* From the texts of the token file and the key set to credentials. */
#include <stdlib.h>

#include "base/codec.h"
#include "base/text.h"
#include "bridge/credential_priv.h"

#include "base/poison.h"

static bool tokens_read(struct view text, const char *name, struct credentials *c, struct err *err);
static bool token_read(struct view line, struct credential_token *out, struct err *err);
static bool copy(const char *text, char **out, struct err *err);

bool credentials_new(const struct credential_source *source, struct credentials **out,
                     struct err *err)
{
    CLEANUP(credentials_free_cleanup) struct credentials *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "credentials");
    if (source->tokens.at && !tokens_read(source->tokens, source->tokens_name, c, err))
        return false;
    if (source->jwks.at && !jwt_keys_parse(source->jwks, false, &c->keys, err))
        return err_in(err, "%s", source->jwks_name);
    if (!copy(source->audience, &c->audience, err) || !copy(source->issuer, &c->issuer, err))
        return false;
    *out = take(c);
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

/* The line without its comment, or an empty view. */
static bool next_line(struct view *rest, struct view *line)
{
    if (!view_next(rest, '\n', line))
        return false;
    *line = text_trim(view_first(*line, view_find(*line, '#')));
    return true;
}

static bool tokens_read(struct view text, const char *name, struct credentials *c, struct err *err)
{
    struct view rest = text, line;
    size_t count = 0;
    unsigned number = 0;

    while (next_line(&rest, &line))
        count += line.len > 0;
    if (count == 0)
        return err_set(err, ERR_CONFIG, "%s: holds no token, so nobody could come in", name);
    if (count > CREDENTIAL_TOKENS_MAX)
        return err_set(err, ERR_CONFIG, "%s: more than %d tokens", name, CREDENTIAL_TOKENS_MAX);
    c->tokens = calloc(count, sizeof *c->tokens);
    if (!c->tokens)
        return err_set(err, ERR_MEMORY, "credentials");
    for (rest = text; next_line(&rest, &line);) {
        number++;
        if (line.len == 0)
            continue;
        if (!token_read(line, &c->tokens[c->token_count++], err))
            return err_in(err, "%s:%u", name, number);
    }
    return true;
}

/* What stands there may be a token in the clear: no error repeats it. */
static bool token_read(struct view line, struct credential_token *out, struct err *err)
{
    struct view prefix = VIEW("sha256:"), hash, label;
    size_t end = 0;

    while (end < line.len && line.at[end] != ' ' && line.at[end] != '\t')
        end++;
    hash = view_first(line, end);
    label = text_trim(view_skip(line, end));
    if (view_eq_nocase(view_first(hash, 6), VIEW("argon2")) || view_starts(hash, VIEW("$argon2")))
        return err_set(err, ERR_CONFIG,
                       "Argon2 hashes are not supported; write the SHA-256 of a long random token");
    if (view_starts(hash, prefix))
        hash = view_skip(hash, prefix.len);
    if (!hex_decode(hash, out->hash, sizeof out->hash))
        return err_set(err, ERR_CONFIG,
                       "not a SHA-256 in 64 hexadecimal digits; make one with: "
                       "printf %%s TOKEN | sha256sum");
    if (!view_eq(label, VIEW("-"))) /* sha256sum's name for its standard input */
        (void)text_escape(label, sizeof out->label, out->label, sizeof out->label);
    return true;
}

static bool copy(const char *text, char **out, struct err *err)
{
    if (!text)
        return true;
    *out = strdup(text);
    return *out || err_set(err, ERR_MEMORY, "credentials");
}
