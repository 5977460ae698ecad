#include <stdlib.h>

#include "ati/exec/exec_priv.h"
#include "base/codec.h"
#include "base/json.h"

#include "base/poison.h"

#define MASKED "[redacted]"

/* No form is longer than that many times the secret, and that much. */
enum { FORM_TIMES = 18, FORM_MORE = 64 };
enum { MASK_SECRET_MAX = 64 * 1024 }; /* longer ones are certificates: nobody echoes those */

/* As buf_view, in a form that analysers follow: without memory there are no bytes. */
static struct view bytes_of(const struct buf *b)
{
    return b->area ? buf_view(b) : VIEW("");
}

/* Appends text with every needle masked. Only called when there is one. */
static bool replace(struct view text, struct view needle, struct buf *out, struct err *err)
{
    const uint8_t *hit;

    while (text.len && (hit = memmem(text.at, text.len, needle.at, needle.len))) {
        size_t n = (size_t)(hit - text.at);

        if (!buf_append(out, view_first(text, n), err) || !buf_append(out, VIEW(MASKED), err))
            return false;
        text = view_skip(text, n + needle.len);
    }
    return buf_append(out, text, err);
}

static bool mask_form(struct buf *text, struct view needle, struct err *err)
{
    struct buf out;

    if (!view_find_text(bytes_of(text), needle))
        return true;
    buf_init(&out, text->max,
             text->what); /* no form is shorter than the word that takes its place */
    if (!replace(bytes_of(text), needle, &out, err)) {
        keyring_wipe(&out);
        buf_done(&out);
        return false;
    }
    keyring_wipe(text);
    buf_done(text);
    *text = out;
    return true;
}

/* As it stands in a JSON string, and with its slashes escaped, as some writers do. */
static bool mask_json(struct buf *text, struct view secret, struct buf *form, struct err *err)
{
    struct json_writer w;
    struct view quoted;
    size_t len;

    buf_reset(form);
    json_begin(&w, form);
    json_text(&w, secret);
    if (!json_end(&w, err))
        return false;
    quoted = bytes_of(form);
    quoted = view_from(quoted.at + 1, quoted.len - 2);
    if (!mask_form(text, quoted, err))
        return false;
    if (view_find(quoted, '/') == quoted.len)
        return true;
    len = buf_len(form);
    for (size_t i = 0; i < quoted.len; i++)
        if (!buf_append(form, quoted.at[i] == '/' ? VIEW("\\/") : view_from(quoted.at + i, 1), err))
            return false;
    return mask_form(text, view_skip(bytes_of(form), len), err);
}

/* Base64 of what begins with the secret, as in Basic, or with blanks of its own in front: the characters that do not depend on what
 * stands around it. */
static bool mask_base64(struct buf *text, struct view secret, struct buf *form, struct err *err)
{
    for (size_t before = 0; before < 3; before++) {
        uint8_t *room;
        size_t first = (before * 8 + 5) / 6, bits = (before + secret.len) * 8;
        uint8_t *plain;

        buf_reset(form);
        if (!buf_room(form, before + secret.len + BASE64_LEN(before + secret.len) + 1, &room, err))
            return false;
        plain = room;
        memset(plain, 0, before);
        memcpy(plain + before, secret.at, secret.len);
        room += before + secret.len;
        base64_encode(view_from(plain, before + secret.len), (char *)room);
        if (!mask_form(text, view_from(room + first, bits / 6 - first), err))
            return false;
    }
    return true;
}

static bool mask_url(struct buf *text, struct view secret, struct buf *form, struct err *err)
{
    static const char digits[] = "0123456789ABCDEF";
    bool same = true;

    buf_reset(form);
    for (size_t i = 0; i < secret.len; i++) {
        uint8_t c = secret.at[i];
        bool plain = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
                     (c && strchr("-_.~*", c));
        uint8_t escape[3] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};

        same = same && plain;
        if (!buf_append(form, plain ? view_from(&c, 1) : view_from(escape, 3), err))
            return false;
    }
    return same || mask_form(text, bytes_of(form), err);
}

static bool mask_one(struct buf *text, bool json, struct view secret, struct buf *form,
                     struct err *err)
{
    return (json || mask_form(text, secret, err)) && mask_json(text, secret, form, err) &&
           mask_base64(text, secret, form, err) && mask_url(text, secret, form, err);
}

bool mask_secrets(struct buf *text, bool json, size_t least, const struct view *secrets,
                  size_t count, struct err *err)
{
    struct buf form;
    uint8_t *room;
    size_t longest = 0;
    bool good;

    for (size_t i = 0; i < count; i++)
        if (secrets[i].len > longest && secrets[i].len <= MASK_SECRET_MAX)
            longest = secrets[i].len;
    if (longest < least || !buf_len(text))
        return true;
    buf_init(&form, FORM_TIMES * longest + FORM_MORE, "a credential's form");
    good = buf_room(&form, form.max, &room, err); /* at once: growing would leave copies behind */
    for (size_t i = 0; good && i < count && buf_len(text); i++)
        if (secrets[i].len >= least && secrets[i].len <= MASK_SECRET_MAX)
            good = mask_one(text, json, secrets[i], &form, err);
    keyring_wipe(&form);
    buf_done(&form);
    return good;
}
