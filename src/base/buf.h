/* buf: bytes that we own, with a ceiling given at birth.
 *
 *   area              head              tail              size
 *    |                 |████ content ████|                  |     0 ≤ head ≤ tail ≤ size ≤ max
 *    └ consumed        └ next to read    └ room
 *
 * An empty buf that was never written owns no area at all. Growing past max is an ERR_LIMIT error
 * that names the buffer, and leaves the content as it was; so is ERR_BUSY, growing past what a budget has left. */
#pragma once

#include "base/budget.h"
#include "base/err.h"
#include "base/view.h"

struct buf {
    uint8_t *area;
    size_t head, tail, size, max;
    const char *what; /* names the buffer in errors: "request body" */
    struct budget *budget;
};
enum { BUF_COUNTED_BYTES = 64 * 1024 }; /* smaller areas are not worth counting */

/* what: a literal that outlives the buf. */
void buf_init(struct buf *b, size_t max, const char *what);
/* Empty, and otherwise like another one: its ceiling, name and budget. For what takes its place. */
void buf_init_like(struct buf *b, const struct buf *other);
/* Its area counts against a budget from now on, also when the buf is moved; b owns none yet. NULL: it does not. */
void buf_count(struct buf *b, struct budget *budget);
/* What counted against a part of a budget counts against the whole alone from now on. */
void buf_pass(struct buf *b);
void buf_done(struct buf *b);  /* frees the area; the buf may be used again, empty */
void buf_reset(struct buf *b); /* empty, keeps the area */

static inline size_t buf_len(const struct buf *b)
{
    return b->tail - b->head;
}

/* Lends the content, until the next call that changes b. */
static inline struct view buf_view(const struct buf *b)
{
    return b->area ? view_from(b->area + b->head, b->tail - b->head) : view_from(NULL, 0);
}

/* Makes room for n more bytes and lends it at *out; follow with buf_wrote. */
MUST_USE bool buf_room(struct buf *b, size_t n, uint8_t **out, struct err *err);
void buf_wrote(struct buf *b, size_t n); /* n bytes of the room are content now */
void buf_eat(struct buf *b, size_t n);   /* the first n bytes of the content are done with */
MUST_USE bool buf_append(struct buf *b, struct view bytes, struct err *err);
MUST_USE bool buf_append_str(struct buf *b, const char *text, struct err *err);
MUST_USE bool buf_appendf(struct buf *b, struct err *err, const char *fmt, ...) PRINTF(3, 4);
MUST_USE bool buf_append_byte(struct buf *b, uint8_t byte, struct err *err);
