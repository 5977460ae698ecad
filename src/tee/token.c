#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "tee/site.h"

#include "base/poison.h"

enum { TOKEN_FILE_MAX = 4096 };

static bool take_token(struct view token, struct tee_token *out, struct err *err)
{
    if (token.len < TEE_TOKEN_LEAST)
        return err_set(err, ERR_CONFIG, "a token has at least %d bytes; this one has %zu",
                       TEE_TOKEN_LEAST, token.len);
    out->set = secret_sha256(token.at, token.len, out->sha256);
    return out->set || err_set(err, ERR_INTERNAL, "SHA-256 failed");
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
    if (file.area)
        secret_wipe(file.area, file.size);
    buf_done(&file);
    return good;
}

bool tee_token_good(const struct tee_token *t, struct view authorization)
{
    uint8_t sha256[32];
    struct view token;

    if (!t->set || authorization.len < 7 ||
        !view_eq_nocase(view_first(authorization, 7), VIEW("Bearer ")))
        return false;
    token = view_trim_ows(view_skip(authorization, 7));
    return secret_sha256(token.at, token.len, sha256) &&
           secret_equal(sha256, t->sha256, sizeof sha256);
}
