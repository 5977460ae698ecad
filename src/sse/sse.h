/* sse: event streams (WHATWG HTML, 9.2), sans-IO: bytes in, events out.
 *
 * UTF-8 text in lines that end in LF, CRLF or CR; a BOM at the start is passed over. An event ends at a blank line; one that the
 * end of the stream cuts off is not an event, but sse_end gives its data for those who want it. Any split of the input gives the
 * same events. Bytes are not looked at: whether data is UTF-8 is for those to say who read it.
 *
 * Memory   the data of one event, at most data_max bytes, its type and its id, at most SSE_FIELD_BYTES_MAX each: ERR_LIMIT beyond
 *          that, and the stream is unusable.
 * Read in order   read.c write.c */
#pragma once

#include "base/buf.h"

enum { SSE_FIELD_BYTES_MAX = 4096 };

struct sse {
    struct buf data, type, id; /* of the event that is being read; id stays */
    struct buf value;          /* of the line that is being read, unless it is data */
    uint64_t retry_ms;         /* last one the server asked for; 0: none */
    uint8_t name[16];          /* of the line's field, its first bytes */
    uint8_t name_len;
    uint8_t at; /* where in a line */
    bool begun, after_cr, has_data, told;
    struct err err; /* sticks */
};
void sse_init(struct sse *s, size_t data_max);
void sse_done(struct sse *s);

struct sse_event {
    struct view type; /* "message" when the stream names none */
    struct view data; /* lines joined by LF */
    struct view id;   /* the last one seen, also in earlier events */
};
/* Takes bytes out of *in up to the end of the next event. True and out->data.at not NULL: an event, lent until the next call;
 * call again while in->len. False: err, now and from then on. */
MUST_USE bool sse_feed(struct sse *s, struct view *in, struct sse_event *out, struct err *err);
/* The stream ended. True: there was an unfinished event with data, in *out. */
bool sse_end(struct sse *s, struct sse_event *out);

/* Appends one event: "event: T\n" when type is not empty, "id: I\n" when id is not, "data: …\n" for each line, and a blank line.
 * ERR_SYNTAX: a type or an id of several lines, or an id with NUL: readers would pass it over. */
MUST_USE bool sse_write(struct buf *out, struct view type, struct view id, struct view data,
                        struct err *err);
