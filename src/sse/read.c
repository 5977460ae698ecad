#include <string.h>

#include "base/text.h"
#include "sse/sse.h"

enum place { IN_NAME, AT_VALUE, IN_VALUE }; /* of struct sse's at; AT_VALUE: one blank may come */

static const struct view bom = {(const uint8_t *)"\xEF\xBB\xBF", 3};

void sse_init(struct sse *s, size_t data_max)
{
    *s = (struct sse){0};
    /* Each line adds a line feed, the last one's is taken away again. */
    buf_init(&s->data, data_max + 1, "an event's data");
    buf_init(&s->type, SSE_FIELD_BYTES_MAX, "an event's type");
    buf_init(&s->id, SSE_FIELD_BYTES_MAX, "an event's id");
    buf_init(&s->value, SSE_FIELD_BYTES_MAX, "a field of an event");
}

void sse_done(struct sse *s)
{
    buf_done(&s->data);
    buf_done(&s->type);
    buf_done(&s->id);
    buf_done(&s->value);
}

/* The name of the line's field. The first line may begin with a mark that says nothing. */
static struct view name_of(const struct sse *s)
{
    struct view name = view_from(s->name, s->name_len);

    return !s->begun && view_starts(name, bom) ? view_skip(name, bom.len) : name;
}

/* Longer names than any that counts are cut: they stay unknown. */
static void add_name(struct sse *s, struct view piece)
{
    size_t room = sizeof s->name - s->name_len;

    piece = view_first(piece, room);
    if (piece.len)
        memcpy(s->name + s->name_len, piece.at, piece.len);
    s->name_len = (uint8_t)(s->name_len + piece.len);
}

static bool add_value(struct sse *s, struct view piece, struct err *err)
{
    struct view name = name_of(s);

    if (view_eq(name, VIEW("data")))
        return buf_append(&s->data, piece, err);
    if (view_eq(name, VIEW("event")) || view_eq(name, VIEW("id")) || view_eq(name, VIEW("retry")))
        return buf_append(&s->value, piece, err);
    return true; /* a comment, or a field that nobody knows */
}

/* A blank line. True: an event. */
static bool dispatch(struct sse *s, struct sse_event *out)
{
    struct view data = buf_view(&s->data);

    if (!s->has_data) {
        buf_reset(&s->type);
        return false;
    }
    out->type = buf_len(&s->type) ? buf_view(&s->type) : VIEW("message");
    out->data = view_from(data.at, data.len - 1);
    out->id = buf_view(&s->id);
    s->told = true;
    return true;
}

static bool end_line(struct sse *s, struct err *err)
{
    struct view name = name_of(s), value = buf_view(&s->value);
    uint64_t ms;
    bool good = true;

    if (view_eq(name, VIEW("data"))) {
        s->has_data = true;
        good = buf_append_byte(&s->data, '\n', err);
    } else if (view_eq(name, VIEW("event"))) {
        buf_reset(&s->type);
        good = buf_append(&s->type, value, err);
    } else if (view_eq(name, VIEW("id")) && view_find(value, '\0') == value.len) {
        buf_reset(&s->id);
        good = buf_append(&s->id, value, err);
    } else if (view_eq(name, VIEW("retry")) && text_u64(value, UINT64_MAX, true, &ms)) {
        s->retry_ms = ms;
    }
    buf_reset(&s->value);
    s->name_len = 0;
    s->at = IN_NAME;
    s->begun = true;
    return good;
}

static size_t line_end(struct view v)
{
    size_t feed = view_find(v, '\n');

    return view_find(view_first(v, feed), '\r');
}

/* Takes a piece of one line's inside. piece: not empty, without line ends. */
static bool inside(struct sse *s, struct view piece, struct err *err)
{
    size_t n;

    if (s->at == IN_NAME) {
        n = view_find(piece, ':');
        add_name(s, view_first(piece, n));
        if (n == piece.len)
            return true;
        s->at = AT_VALUE;
        piece = view_skip(piece, n + 1);
    }
    if (s->at == AT_VALUE && piece.len) {
        if (piece.at[0] == ' ')
            piece = view_skip(piece, 1);
        s->at = IN_VALUE;
    }
    return add_value(s, piece, err);
}

/* A line has ended. True and out->data.at: an event. */
static bool line(struct sse *s, struct sse_event *out, struct err *err)
{
    if (s->at == IN_NAME && !name_of(s).len) {
        s->name_len = 0;
        s->begun = true;
        dispatch(s, out);
        return true;
    }
    return end_line(s, err);
}

bool sse_feed(struct sse *s, struct view *in, struct sse_event *out, struct err *err)
{
    size_t n;

    *out = (struct sse_event){0};
    if (s->told) {
        buf_reset(&s->data);
        buf_reset(&s->type);
        s->told = s->has_data = false;
    }
    while (in->len && !out->data.at && !s->err.code) {
        if (s->after_cr && in->at[0] == '\n')
            *in = view_skip(*in, 1);
        s->after_cr = false;
        n = line_end(*in);
        if (n && !inside(s, view_first(*in, n), &s->err))
            break;
        *in = view_skip(*in, n);
        if (!in->len)
            break;
        s->after_cr = in->at[0] == '\r';
        *in = view_skip(*in, 1);
        if (!line(s, out, &s->err))
            break;
    }
    if (s->err.code && err)
        *err = s->err;
    return !s->err.code;
}

bool sse_end(struct sse *s, struct sse_event *out)
{
    *out = (struct sse_event){0};
    if (s->err.code || s->told)
        return false;
    if ((s->at != IN_NAME || s->name_len) && !end_line(s, &s->err))
        return false;
    return dispatch(s, out);
}
