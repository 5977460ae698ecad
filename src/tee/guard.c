#include "tee/guard.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/text.h"

#include "base/poison.h"

/* A path as it stands so far, "/a/b" without a slash at its end; "" is the root. It grows over the bytes that it was read from, and
 * never catches up with what is still to be read. */
struct walk {
    uint8_t *at;
    size_t len;
};

bool guard_check(const char *list, struct err *err)
{
    struct view rest = view_str(list), one;
    char shown[64];

    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (view_starts(one, VIEW("/")))
            continue;
        (void)text_escape(one, 32, shown, sizeof shown);
        return err_set(err, ERR_CONFIG, "--auth-paths: \"%s\" does not begin with a slash", shown);
    }
    return true;
}

static bool listed(const char *list, const struct walk *w)
{
    struct view rest = view_str(list), one, path = view_from(w->at, w->len);

    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        while (view_ends(one, VIEW("/")))
            one.len--;
        if (view_eq(one, path))
            return true;
    }
    return false;
}

static void step(struct walk *w, struct view segment)
{
    size_t end = view_find(segment, ';');

    segment = view_first(segment, end);
    if (!segment.len || view_eq(segment, VIEW(".")))
        return;
    if (view_eq(segment, VIEW(".."))) {
        size_t slash = view_find_last(view_from(w->at, w->len), '/');

        w->len = slash < w->len ? slash : 0;
        return;
    }
    w->at[w->len++] = '/';
    memmove(w->at + w->len, segment.at, segment.len);
    w->len += segment.len;
}

/* Decodes once. Returns the new length; no longer than before. */
static size_t decode(struct view v, uint8_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < v.len; i++) {
        uint8_t byte = v.at[i];

        if (byte == '%' && hex_decode(view_first(view_skip(v, i + 1), 2), &byte, 1))
            i += 2;
        out[n++] = byte == '\\' ? '/' : byte;
    }
    return n;
}

bool guard_covers(const char *list, struct view path)
{
    uint8_t bytes[HTTP_LINE_BYTES_MAX];
    struct walk w = {.at = bytes};
    struct view rest, segment;

    if (!list || path.len > sizeof bytes || !view_starts(path, VIEW("/")))
        return true;
    rest = view_from(bytes, decode(path, bytes));
    if (view_find(rest, '\0') < rest.len || listed(list, &w))
        return true;
    while (view_next(&rest, '/', &segment)) {
        step(&w, segment);
        if (w.len && listed(list, &w))
            return true;
    }
    return false;
}
