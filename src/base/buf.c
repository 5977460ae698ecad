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

void buf_init_like(struct buf *b, const struct buf *other)
{
    *b = (struct buf){.max = other->max, .what = other->what, .budget = other->budget};
}

void buf_count(struct buf *b, struct budget *budget)
{
    CHECK(!b->area);
    b->budget = budget;
}

static size_t counted(size_t size)
{
    return size > BUF_COUNTED_BYTES ? size : 0;
}

void buf_pass(struct buf *b)
{
    if (!b->budget || !b->budget->whole)
        return;
    budget_pass(b->budget, counted(b->size));
    b->budget = b->budget->whole;
}

void buf_done(struct buf *b)
{
    free(b->area);
    budget_give(b->budget, counted(b->size));
    buf_init_like(b, b);
}

void buf_reset(struct buf *b)
{
    b->head = b->tail = 0;
}

static bool grow(struct buf *b, size_t size, struct err *err)
{
    size_t more = counted(size) - counted(b->size);
    uint8_t *area;

    if (!budget_take(b->budget, more))
        return err_set(err, ERR_BUSY,
                       "%s: no memory left for its %zu bytes; try again when others have ended",
                       b->what, size);
    area = realloc(b->area, size);
    if (!area) {
        budget_give(b->budget, more);
        return err_set(err, ERR_MEMORY, "%s: out of memory at %zu bytes", b->what, size);
    }
    b->area = area;
    b->size = size;
    return true;
}

bool buf_room(struct buf *b, size_t n, uint8_t **out, struct err *err)
{
    size_t len = b->tail - b->head, size;

    if (n > b->max || len > b->max - n)
        return err_set(err, ERR_LIMIT, "%s: more than %zu bytes", b->what, b->max);
    if (!n && !b->area) {
        *out = NULL; /* no bytes, and no address to count from */
        return true;
    }
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
        if (!grow(b, size, err))
            return false;
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
    va_list args;
    char *text;
    bool good;
    int n;

    /* Not straight into the room: a NUL has none there when the content ends just at max. */
    va_start(args, fmt);
    n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        return err_set(err, ERR_MEMORY, "%s: out of memory", b->what);
    good = buf_append(b, view_from(text, (size_t)n), err);
    free(text);
    return good;
}
