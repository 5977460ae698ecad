#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#include "base/poison.h"

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *b, size_t max, const char *what)
{
    *b = (struct buf){.max = max, .what = what};
}

void buf_done(struct buf *b)
{
    free(b->area);
    *b = (struct buf){.max = b->max, .what = b->what};
}

void buf_reset(struct buf *b)
{
    b->head = b->tail = 0;
}

bool buf_room(struct buf *b, size_t n, uint8_t **out, struct err *err)
{
    size_t len = b->tail - b->head, size;
    uint8_t *area;

    if (n > b->max || len > b->max - n)
        return err_set(err, ERR_LIMIT, "%s: more than %zu bytes", b->what, b->max);
    if (b->size - b->tail < n && b->head > 0) { /* close up before growing */
        memmove(b->area, b->area + b->head, len);
        b->head = 0;
        b->tail = len;
    }
    if (b->size - b->tail < n) {
        size = b->size > b->max / 2 ? b->max : b->size * 2;
        if (size < len + n)
            size = len + n;
        if (size < FIRST_BYTES && b->max >= FIRST_BYTES)
            size = FIRST_BYTES;
        area = realloc(b->area, size);
        if (!area)
            return err_set(err, ERR_MEMORY, "%s: out of memory at %zu bytes", b->what, size);
        b->area = area;
        b->size = size;
    }
    *out = b->area + b->tail;
    return true;
}

void buf_wrote(struct buf *b, size_t n)
{
    CHECK(n <= b->size - b->tail);
    b->tail += n;
}

void buf_eat(struct buf *b, size_t n)
{
    CHECK(n <= b->tail - b->head);
    b->head += n;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

bool buf_append(struct buf *b, struct view bytes, struct err *err)
{
    uint8_t *room = NULL;

    if (!bytes.len)
        return true;
    if (!buf_room(b, bytes.len, &room, err))
        return false;
    memcpy(room, bytes.at, bytes.len); /* NOLINT(clang-analyzer-core.NonNullParamChecker): room */
    buf_wrote(b, bytes.len);
    return true;
}

bool buf_append_str(struct buf *b, const char *text, struct err *err)
{
    return buf_append(b, view_str(text), err);
}

bool buf_append_byte(struct buf *b, uint8_t byte, struct err *err)
{
    return buf_append(b, view_from(&byte, 1), err);
}

bool buf_appendf(struct buf *b, struct err *err, const char *fmt, ...)
{
    va_list args, again;
    uint8_t *room = NULL;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        va_end(again);
        return err_set(err, ERR_INTERNAL, "%s: text cannot be formatted", b->what);
    }
    if (!buf_room(b, (size_t)n + 1, &room, err)) {
        va_end(again);
        return false;
    }
    (void)vsnprintf((char *)room, (size_t)n + 1, fmt, again);
    va_end(again);
    buf_wrote(b, (size_t)n);
    return true;
}
