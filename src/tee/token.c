#include "tee/token.h"

#include "attest/digest.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKEN_FILE_MAX = 4096 };

static bool hash(const struct tee_token *t, struct view token, uint8_t out[static 32])
{
    const struct view pieces[] = {view_from(t->salt, sizeof t->salt), token};

    return digest_sha256(pieces, 2, out);
}

static bool take_token(struct view token, struct tee_token *out, struct err *err)
{
    if (token.len < TOKEN_LEAST)
        return err_set(err, ERR_CONFIG, "a token has at least %d bytes; this one has %zu",
                       TOKEN_LEAST, token.len);
    if (view_find(token, '\n') < token.len || view_find(token, '\r') < token.len)
        return err_set(err, ERR_CONFIG, "a token is one line");
    random_bytes(out->salt, sizeof out->salt);
    out->set = hash(out, token, out->sha256);
    return out->set || err_set(err, ERR_MEMORY, "no memory for a digest");
}

bool tee_token_load(const char *path, const char *text, struct tee_token *out, struct err *err)
{
    struct buf file;
    bool good;

    *out = (struct tee_token){.set = false};
    if (!path)
        return !text || !*text || take_token(view_str(text), out, err);
    buf_init(&file, TOKEN_FILE_MAX, "token file");
    good = file_read(path, &file, err) &&
           (take_token(text_trim(buf_view(&file)), out, err) || err_in(err, "%s", path));
    buf_wipe(&file);
    return good;
}

bool tee_token_good(const struct tee_token *t, struct view authorization)
{
    static const char scheme[] = "Bearer";
    struct view token = view_trim_ows(view_skip(authorization, sizeof scheme - 1));
    uint8_t sha256[32];

    if (!t->set || !view_starts(authorization, view_str(scheme)) ||
        authorization.len < sizeof scheme ||
        (authorization.at[sizeof scheme - 1] != ' ' && authorization.at[sizeof scheme - 1] != '\t'))
        return false;
    return token.len && hash(t, token, sha256) && secret_equal(sha256, t->sha256, sizeof sha256);
}
