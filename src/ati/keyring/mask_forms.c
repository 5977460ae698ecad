#include <stdlib.h>

#include "ati/keyring/keyring.h"
#include "ati/keyring/mask_priv.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/secret.h"

#include "base/poison.h"

/* No form is longer than that many times the secret, and that much. */
enum { FORM_TIMES = 18, FORM_MORE = 64, ESCAPE_MORE = 5, FORMS_STEP = 8 };

static bool alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool is_number(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!mask_digit(v.at[i]))
            return false;
    return true;
}

static bool add(struct mask *m, struct view text, size_t secret, struct err *err)
{
    struct mask_form *more, *f;

    if (!text.len || !text.at)
        return true;
    for (size_t i = 0; i < m->count; i++)
        if (view_eq(view_from(m->forms[i].at, m->forms[i].len), text)) {
            if (secret > m->forms[i].secret)
                m->forms[i].secret = secret; /* a secret may be written as another one's form is */
            return true;
        }
    more = m->forms;
    if (m->count % FORMS_STEP == 0)
        more = reallocarray(m->forms, m->count + FORMS_STEP, sizeof *more);
    if (more)
        m->forms = more;
    f = more ? &more[m->count] : NULL;
    if (!f || !(f->at = malloc(text.len)))
        return err_set(err, ERR_MEMORY, "no memory to look for credentials");
    memcpy(f->at, text.at, text.len);
    f->len = text.len;
    f->secret = secret;
    f->number = is_number(text);
    m->count++;
    if (text.len > m->longest)
        m->longest = text.len;
    return true;
}

/* As it stands in a JSON string, and with its slashes escaped, as some writers do: for documents within strings. */
static bool add_json(struct mask *m, struct view secret, struct buf *form, struct err *err)
{
    struct json_writer w;
    struct view quoted;
    size_t len;

    buf_reset(form);
    json_begin(&w, form);
    json_text(&w, secret);
    if (!json_end(&w, NULL))
        return true; /* it is no text */
    quoted = buf_view(form);
    if (!quoted.at)
        return true;
    quoted = view_from(quoted.at + 1, quoted.len - 2);
    if (!add(m, quoted, secret.len, err))
        return false;
    len = buf_len(form);
    for (size_t i = 0; i < quoted.len; i++)
        if (!buf_append(form, quoted.at[i] == '/' ? VIEW("\\/") : view_from(quoted.at + i, 1), err))
            return false;
    return add(m, view_skip(buf_view(form), len), secret.len, err);
}

/* Base64 of what begins with the secret, as in Basic, or with something else in front: the characters that do not depend on what
 * stands around it. */
static bool add_base64(struct mask *m, struct view secret, struct buf *form, struct err *err)
{
    for (size_t before = 0; before < 3; before++) {
        size_t first = (before * 8 + 5) / 6, bits = (before + secret.len) * 8;
        struct view kept;
        uint8_t *plain, *code;

        buf_reset(form);
        if (!buf_room(form, before + secret.len + BASE64_LEN(before + secret.len) + 1, &plain, err))
            return false;
        memset(plain, 0, before);
        memcpy(plain + before, secret.at, secret.len);
        code = plain + before + secret.len;
        base64_encode(view_from(plain, before + secret.len), (char *)code);
        kept = view_from(code + first, bits / 6 - first);
        if (!add(m, kept, secret.len, err))
            return false;
        for (uint8_t *c = code; *c; c++)
            *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
        if (!add(m, kept, secret.len, err))
            return false;
    }
    return true;
}

/* Nobody agrees on what needs no escape. */
static bool add_url(struct mask *m, struct view secret, struct buf *form, struct err *err)
{
    static const char *const plain[] = {"-_.~*", "-_.~", "-_.*", "-_.!~*'()", "-_.~/", "-_.~:@/"};
    static const char *const digits[] = {"0123456789ABCDEF", "0123456789abcdef"};

    for (size_t way = 0; way < 4 * (sizeof plain / sizeof *plain); way++) {
        const char *hex = digits[way & 1], *bare = plain[way / 4];

        buf_reset(form);
        for (size_t i = 0; i < secret.len; i++) {
            uint8_t c = secret.at[i];
            uint8_t escape[3] = {'%', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
            bool same = alphanumeric(c) || (c && strchr(bare, c));

            if (!buf_append(form,
                            same                    ? view_from(&c, 1)
                            : c == ' ' && (way & 2) ? VIEW("+")
                                                    : view_from(escape, 3),
                            err))
                return false;
        }
        if (!add(m, buf_view(form), secret.len, err))
            return false;
    }
    return true;
}

/* JSON and URLs write it as it is, whoever writes them; most keys are so. */
static bool is_same_everywhere(struct view secret)
{
    for (size_t i = 0; i < secret.len; i++)
        if (!alphanumeric(secret.at[i]) && !(secret.at[i] && strchr("-_.", secret.at[i])))
            return false;
    return true;
}

bool mask_add(struct mask *m, struct view secret, struct err *err)
{
    struct buf form;
    uint8_t *room;
    size_t edge = secret.len;
    bool good;

    /* In a string that others wrote, each character but these may be an escape of six. */
    for (size_t i = 0; i < secret.len; i++)
        if (!alphanumeric(secret.at[i]))
            edge += ESCAPE_MORE;
    buf_init(&form, FORM_TIMES * secret.len + FORM_MORE, "a credential's form");
    good = buf_room(&form, form.max, &room, err) && /* at once: growing would leave copies behind */
           add(m, secret, secret.len, err) && add_base64(m, secret, &form, err) &&
           (is_same_everywhere(secret) ||
            (add_json(m, secret, &form, err) && add_url(m, secret, &form, err)));
    buf_wipe(&form);
    if (edge > m->edge)
        m->edge = edge;
    if (m->longest > m->edge)
        m->edge = m->longest;
    return good;
}
