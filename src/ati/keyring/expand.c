/* expand: "${name}" to values, and buffers that may hold them. */
#include <stdlib.h>

#include "ati/keyring/keyring_priv.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

enum { FIRST_BYTES = 256, MISSING_BYTES = 128 };

bool keyring_append(struct buf *b, struct view bytes, struct err *err)
{
    size_t len = buf_len(b), size;
    uint8_t *area;

    if (b->size - b->tail >= bytes.len || bytes.len > b->max || len > b->max - bytes.len)
        return buf_append(b, bytes, err); /* nothing moves */
    size = b->size > b->max / 2 ? b->max : b->size * 2;
    if (size < len + bytes.len)
        size = len + bytes.len;
    if (size < FIRST_BYTES && b->max >= FIRST_BYTES)
        size = FIRST_BYTES;
    area = malloc(size);
    if (!area)
        return err_set(err, ERR_MEMORY, "%s: out of memory at %zu bytes", b->what, size);
    if (len)
        memcpy(area, b->area + b->head, len);
    buf_wipe(b);
    b->area = area;
    b->size = size;
    b->tail = len;
    return buf_append(b, bytes, err);
}

/* Takes the text before the next "${name}", and the name. False: there is none, and all of it was taken. */
static bool next(struct view *rest, struct view *before, struct view *name)
{
    for (size_t at = 0; at + 1 < rest->len; at++) {
        struct view behind = view_skip(*rest, at + 2);
        size_t end;

        if (rest->at[at] != '$' || rest->at[at + 1] != '{')
            continue;
        end = view_find(behind, '}');
        if (end == behind.len)
            break;
        *before = view_first(*rest, at);
        *name = view_first(behind, end);
        *rest = view_skip(behind, end + 1);
        return true;
    }
    *before = *rest;
    *rest = view_skip(*rest, rest->len);
    return false;
}

bool keyring_expand(const struct keyring *k, struct view text, enum keyring_missing how,
                    struct buf *out, char missing[static MISSING_BYTES], struct err *err)
{
    struct view rest = text, before, name, value;

    while (next(&rest, &before, &name)) {
        if (!keyring_append(out, before, err))
            return false;
        if (!keyring_find(k, name, &value)) {
            if (how == KEYRING_MISSING_FAILS) {
                (void)text_escape(name, MISSING_BYTES, missing, MISSING_BYTES);
                return err_set(err, ERR_NOT_FOUND, "%s", missing);
            }
            if (how == KEYRING_MISSING_ENDS)
                return keyring_append(out, view_skip(text, (size_t)(name.at - 2 - text.at)), err);
            value = view_from(name.at - 2, name.len + 3);
        }
        if (!keyring_append(out, value, err))
            return false;
    }
    return keyring_append(out, before, err);
}
