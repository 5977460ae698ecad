/* Event streams: the same events for every cut, and an event that was read is written and read again the same. Input: how it is
 * cut, then the stream. */
#include "sse/sse.h"
#include "base/check.h"

enum { INPUT_MAX = 1 << 16, DATA_MAX = 1 << 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct sse_event *e)
{
    struct sse s;
    struct buf text;
    struct view in;
    struct sse_event again;

    buf_init(&text, 2 * INPUT_MAX, "text");
    CHECK(sse_write(&text, e->type, e->id, e->data, NULL));
    sse_init(&s, INPUT_MAX);
    in = buf_view(&text);
    CHECK(sse_feed(&s, &in, &again, NULL) && again.data.at && !in.len);
    CHECK(view_eq(again.type, e->type) && view_eq(again.id, e->id) && view_eq(again.data, e->data));
    buf_done(&text);
    sse_done(&s);
}

/* The events as one text. */
static void read_all(struct view all, size_t step, struct buf *out)
{
    struct sse s;
    struct sse_event e;
    struct view in;
    bool good = true;

    sse_init(&s, DATA_MAX);
    while (all.len && good) {
        in = view_first(all, step);
        all = view_skip(all, in.len);
        while (in.len && (good = sse_feed(&s, &in, &e, NULL))) {
            if (!e.data.at)
                continue;
            CHECK(e.data.len <= DATA_MAX && e.id.len <= SSE_FIELD_BYTES_MAX);
            write_again(&e);
            CHECK(buf_append(out, e.type, NULL) && buf_append_byte(out, 0, NULL) &&
                  buf_append(out, e.id, NULL) && buf_append_byte(out, 1, NULL) &&
                  buf_append(out, e.data, NULL) && buf_append_byte(out, 2, NULL));
        }
    }
    CHECK(good || !sse_end(&s, &e));
    if (good && sse_end(&s, &e))
        CHECK(buf_append(out, e.data, NULL) && buf_append_byte(out, 3, NULL));
    CHECK(buf_append_byte(out, good, NULL));
    CHECK(buf_appendf(out, NULL, "%llu", (unsigned long long)s.retry_ms));
    sse_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;

    if (size < 1 || size > INPUT_MAX)
        return 0;
    buf_init(&whole, 1 << 28, "events");
    buf_init(&pieces, 1 << 28, "events");
    read_all(view_from(data + 1, size - 1), size, &whole);
    read_all(view_from(data + 1, size - 1), (size_t)data[0] + 1, &pieces);
    CHECK(view_eq(buf_view(&whole), buf_view(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
