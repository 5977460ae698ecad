#include <stdlib.h>

#include "ati/keyring/keyring.h"
#include "ati/keyring/mask_priv.h"
#include "base/codec.h"
#include "base/secret.h"

#include "base/poison.h"

#define MASKED "[redacted]"

enum {
    WINDOW_BYTES = 64 * 1024,
    STEP_BYTES = 8 * 1024 * 1024, /* looked at in a step, for all forms together */
    LONGEST_CHARACTER = 4,
    UTF8_2 = 0x80,
    UTF8_3 = 0x800,
    UTF8_4 = 0x10000
};

/* --- escapes ---------------------------------------------------------------------------------------- */

static bool hex4(struct view v, uint32_t *code)
{
    *code = 0;
    if (v.len < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = ascii_lower(v.at[i]);

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *code = *code * 16 + (c <= '9' ? c - (uint32_t)'0' : c - (uint32_t)'a' + 10);
    }
    return true;
}

/* A half of a pair for itself, too. */
static size_t put_utf8(uint32_t code, uint8_t out[static 4])
{
    size_t n = code < UTF8_2 ? 1 : code < UTF8_3 ? 2 : code < UTF8_4 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(lead[n] | code);
    return n;
}

/* v begins with a backslash. Returns the bytes of the escape; one that is none stands for itself. */
static size_t unescape(struct view v, uint8_t out[static 4], size_t *n)
{
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char *name = v.len > 1 && v.at[1] ? strchr(names, v.at[1]) : NULL;
    uint32_t code, low;

    *n = 1;
    if (name) {
        out[0] = (uint8_t)means[name - names];
        return 2;
    }
    if (v.len < 6 || v.at[1] != 'u' || !hex4(view_skip(v, 2), &code)) {
        out[0] = '\\';
        return 1;
    }
    if (code >= 0xD800 && code < 0xDC00 && v.len >= 12 && v.at[6] == '\\' && v.at[7] == 'u' &&
        hex4(view_skip(v, 8), &low) && low >= 0xDC00 && low < 0xE000) {
        *n = put_utf8(UTF8_4 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
        return 12;
    }
    *n = put_utf8(code, out);
    return 6;
}

/* --- the window ------------------------------------------------------------------------------------- */

static void put(struct mask *m, const uint8_t *at, size_t n)
{
    memcpy(m->window + m->len, at, n);
    m->len += n;
    if (m->len > m->used)
        m->used = m->len;
}

/* Until it is full, or the text or its string has ended. */
static void fill(struct mask *m)
{
    while (!m->ended && m->read < m->in.len && m->room - m->len >= 4) {
        const uint8_t *from = m->in.at + m->read;
        size_t most = m->in.len - m->read, n = 0, meant;
        uint8_t one[4];

        if (most > m->room - m->len)
            most = m->room - m->len;
        if (!m->escapes)
            n = most;
        while (n < most && from[n] != '\\' && (!m->inside || from[n] != '"'))
            n++;
        put(m, from, n);
        m->read += n;
        if (n == most)
            continue;
        if (from[n] == '"') {
            m->ended = true;
        } else if (m->room - m->len >= sizeof one) {
            m->read += unescape(view_skip(m->in, m->read), one, &meant);
            put(m, one, meant);
            m->bent = true;
        }
    }
    if (m->read == m->in.len)
        m->ended = true;
}

/* A place in the window, and in the text. */
struct place {
    size_t window, text;
};

/* Goes on to a place in the window; one that is in the midst of an escape: before it, or with up, behind it. */
static void seek(const struct mask *m, struct place *p, size_t to, bool up)
{
    while (p->window < to) {
        uint8_t one[4];
        size_t n = 1, used = 1;

        if (!m->bent) {
            n = used = to - p->window;
        } else if (m->in.at[p->text] == '\\') {
            used = unescape(view_skip(m->in, p->text), one, &n);
            if (p->window + n > to && !up)
                return;
        }
        p->window += n;
        p->text += used;
    }
}

static void find_next(const struct mask *m, struct mask_form *f, size_t from)
{
    const uint8_t *hit =
        from < m->len ? memmem(m->window + from, m->len - from, f->at, f->len) : NULL;

    f->next = hit ? (size_t)(hit - m->window) : SIZE_MAX;
}

/* The first place from there on where a form stands, and where it ends with all that overlap. */
static bool find(struct mask *m, size_t from, size_t *first, size_t *end)
{
    bool grew = true;

    *first = SIZE_MAX;
    for (size_t i = 0; i < m->count; i++) {
        struct mask_form *f = &m->forms[i];

        if (f->secret < m->least)
            continue;
        if (f->next < from)
            find_next(m, f, from);
        if (f->next < *first)
            *first = f->next;
    }
    if (*first == SIZE_MAX)
        return false;
    *end = *first + 1;
    while (grew) {
        grew = false;
        for (size_t i = 0; i < m->count; i++) {
            struct mask_form *f = &m->forms[i];

            while (f->secret >= m->least && f->next < *end) {
                if (f->next + f->len > *end) {
                    *end = f->next + f->len;
                    grew = true;
                }
                find_next(m, f, f->next + 1);
            }
        }
    }
    return true;
}

static bool put_out(struct mask *m, size_t from, size_t to, struct view word, struct err *err)
{
    if (!m->hit)
        buf_init_like(&m->out, m->text);
    m->hit = true;
    if (!buf_append(&m->out, view_from(m->in.at + m->copied, from - m->copied), err) ||
        !buf_append(&m->out, word, err))
        return false;
    m->copied = to;
    return true;
}

/* A string that is too short for any form, as most are, needs no window. */
static bool skip_short(struct mask *m)
{
    size_t at = m->read;

    while (at < m->in.len && at - m->read < m->shortest - 1 && m->in.at[at] != '"' &&
           m->in.at[at] != '\\')
        at++;
    if (at == m->in.len || m->in.at[at] != '"')
        return false;
    m->read = m->at = at;
    m->ended = true;
    return true;
}

/* What the window holds, but for what may be the beginning of a form. */
static bool look(struct mask *m, struct err *err)
{
    struct place p = {0, m->at};
    size_t first, end, from = 0, keep;

    if (m->inside && !m->len && skip_short(m))
        return true;
    fill(m);
    for (size_t i = 0; i < m->count; i++)
        if (m->forms[i].secret >= m->least)
            find_next(m, &m->forms[i], 0);
    keep = m->ended ? m->len : m->len - (m->len < m->longest ? m->len : m->longest - 1);
    while (find(m, from, &first, &end)) {
        if (!m->ended && first >= LONGEST_CHARACTER &&
            end + m->longest > m->len) { /* more may overlap it */
            keep = first;
            break;
        }
        seek(m, &p, first, false);
        first = p.text;
        seek(m, &p, end, true);
        if (!put_out(m, first, p.text, VIEW(MASKED), err))
            return false;
        from = p.window;
    }
    seek(m, &p, keep > from ? keep : from, false);
    memmove(m->window, m->window + p.window, m->len - p.window);
    m->len -= p.window;
    m->at = p.text;
    return true;
}

static void open_window(struct mask *m, size_t at, bool inside)
{
    m->at = m->read = at;
    m->len = 0;
    m->inside = inside;
    m->ended = m->bent = false;
}

static void drop_window(struct mask *m)
{
    if (m->window)
        secret_wipe(m->window, m->used);
    free(m->window);
    m->window = NULL;
    m->room = m->used = 0;
}

/* Room for the pass: a short text needs little. */
static bool have_window(struct mask *m, struct err *err)
{
    size_t room = 2 * m->longest + (m->in.len < WINDOW_BYTES ? m->in.len : WINDOW_BYTES);

    if (m->room >= room)
        return true;
    drop_window(m);
    m->window = malloc(room);
    if (!m->window)
        return err_set(err, ERR_MEMORY, "no memory to look for credentials");
    m->room = room;
    return true;
}

/* --- JSON ------------------------------------------------------------------------------------------- */

/* A number becomes a text. */
static bool look_at_number(struct mask *m, size_t from, size_t to, struct err *err)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct mask_form *f = &m->forms[i];

        if (f->number && f->secret >= m->least && memmem(m->in.at + from, to - from, f->at, f->len))
            return put_out(m, from, to, VIEW("\"" MASKED "\""), err);
    }
    return true;
}

/* What stands between strings. */
static bool look_outside(struct mask *m, struct err *err)
{
    size_t from = m->read, at = from;

    for (; at < m->in.len && m->in.at[at] != '"' && at - from < WINDOW_BYTES; at++) {
        size_t end = at;

        while (end < m->in.len && mask_digit(m->in.at[end]))
            end++;
        if (end - at >= m->least && !look_at_number(m, at, end, err))
            return false;
        if (end > at)
            at = end - 1;
    }
    if (at < m->in.len && m->in.at[at] == '"')
        open_window(m, at + 1, true);
    else
        m->read = at;
    return true;
}

/* --- a pass ----------------------------------------------------------------------------------------- */

static void begin(struct mask *m, bool escapes)
{
    m->in = buf_view(m->text);
    m->escapes = escapes;
    m->again = !m->json && !escapes;
    m->copied = 0;
    m->hit = false;
    open_window(m, 0, false);
}

void mask_begin(struct mask *m, struct buf *text, bool json, size_t least)
{
    m->text = text;
    m->json = json;
    m->least = least;
    m->shortest = SIZE_MAX;
    for (size_t i = 0; i < m->count; i++)
        if (m->forms[i].secret >= least && m->forms[i].len < m->shortest)
            m->shortest = m->forms[i].len;
    begin(m, json);
}

static void drop_out(struct mask *m)
{
    if (m->hit)
        buf_done(&m->out);
    m->hit = false;
}

/* The text is what was put out, if anything was. */
static bool finish(struct mask *m, struct err *err)
{
    if (!m->hit)
        return true;
    if (!put_out(m, m->in.len, m->in.len, VIEW(""), err))
        return false;
    buf_wipe(m->text);
    *m->text = m->out;
    m->hit = false;
    return true;
}

static bool over(const struct mask *m)
{
    return m->read == m->in.len && (m->ended || (m->json && !m->inside));
}

static bool go_on(struct mask *m, struct err *err)
{
    if (m->json && !m->inside)
        return look_outside(m, err);
    if (!look(m, err))
        return false;
    if (m->inside && m->ended && m->read < m->in.len) {
        m->read++; /* the quote */
        m->inside = false;
    }
    return true;
}

/* Seen at a glance, as of most answers: it is short, means what is written, and none is. */
static bool is_clean(const struct mask *m)
{
    if (m->in.len > WINDOW_BYTES || memchr(m->in.at, '\\', m->in.len))
        return false;
    for (size_t i = 0; i < m->count; i++)
        if (m->forms[i].secret >= m->least &&
            memmem(m->in.at, m->in.len, m->forms[i].at, m->forms[i].len))
            return false;
    return true;
}

bool mask_step(struct mask *m, bool *more, struct err *err)
{
    struct view now;
    size_t budget = STEP_BYTES / (m->count + 1) + WINDOW_BYTES, from = m->read;

    *more = m->count && m->in.len;
    if (*more && !m->read && is_clean(m)) {
        *more = false;
        return true;
    }
    if (*more && !have_window(m, err))
        goto failed;
    while (*more && !over(m)) {
        if (m->read - from >= budget)
            return true;
        if (!go_on(m, err))
            goto failed;
    }
    if (!finish(m, err))
        goto failed;
    now = buf_view(m->text);
    *more = *more && m->again && now.at && view_find(now, '\\') < now.len;
    if (*more)
        begin(m, true);
    return true;
failed:
    drop_out(m);
    return false;
}

bool mask_text(struct mask *m, struct buf *text, bool json, size_t least, struct err *err)
{
    bool more = true;

    mask_begin(m, text, json, least);
    while (more)
        if (!mask_step(m, &more, err))
            return false;
    return true;
}

/* --- life ------------------------------------------------------------------------------------------- */

bool mask_new(const struct view *secrets, size_t count, struct mask **out, struct err *err)
{
    struct mask *m = calloc(1, sizeof *m);

    if (!m)
        return err_set(err, ERR_MEMORY, "no memory to look for credentials");
    for (size_t i = 0; i < count; i++) {
        if (secrets[i].len < MASK_ERROR_BYTES_MIN || secrets[i].len > MASK_SECRET_BYTES_MAX)
            continue;
        if (!mask_add(m, secrets[i], err)) {
            mask_free(m);
            return false;
        }
    }
    *out = m;
    return true;
}

void mask_free(struct mask *m)
{
    if (!m)
        return;
    drop_out(m);
    for (size_t i = 0; i < m->count; i++) {
        secret_wipe(m->forms[i].at, m->forms[i].len);
        free(m->forms[i].at);
    }
    free(m->forms);
    drop_window(m);
    free(m);
}

size_t mask_edge(const struct mask *m)
{
    return m->edge ? m->edge - 1 : 0;
}

bool mask_secrets(struct buf *text, bool json, size_t least, const struct view *secrets,
                  size_t count, struct err *err)
{
    struct mask *m = NULL;
    bool good;

    if (!buf_len(text))
        return true;
    if (!mask_new(secrets, count, &m, err) || !m)
        return false;
    good = mask_text(m, text, json, least, err);
    mask_free(m);
    return good;
}
