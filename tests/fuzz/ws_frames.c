/* Frames from a stream: whatever the bytes, the events must not depend on how the stream was cut, payload
 * must be what the definition of masking says, and no rule of RFC 6455 may be passed over. */
#include <stdlib.h>

#include "base/check.h"
#include "ws/ws.h"

enum { EVENTS_MAX = 4096, INPUT_MAX = 1 << 16 };

struct trace {
    uint8_t *payload;
    size_t payload_len, events;
    uint64_t sum; /* of heads, ends and failures, in order */
    bool failed;
    uint16_t code;
};

static void note(struct trace *t, uint64_t what)
{
    t->sum = (t->sum ^ what) * 0x100000001B3u;
    t->events++;
}

static void feed(struct ws_decoder *d, struct view in, struct trace *t)
{
    struct view piece;
    unsigned phase;

    for (;;) {
        switch (ws_decode(d, &in, &piece, &phase)) {
        case WS_NEED_MORE:
            CHECK(in.len == 0);
            return;
        case WS_HEAD:
            CHECK(d->opcode <= WS_BINARY || (d->opcode >= WS_CLOSE && d->opcode <= WS_PONG));
            CHECK(d->opcode < WS_CLOSE || (d->fin && d->left <= WS_CONTROL_MAX));
            CHECK(d->left >> 63 == 0);
            note(t, 1 + d->opcode * 7u + (uint64_t)d->fin * 131 + d->left * 1031);
            break;
        case WS_PAYLOAD:
            CHECK(piece.len > 0 && phase < 4);
            for (size_t i = 0; i < piece.len; i++)
                t->payload[t->payload_len + i] =
                    (uint8_t)(piece.at[i] ^ (d->role == WS_SERVER ? d->mask[(phase + i) % 4] : 0));
            t->payload_len += piece.len;
            break;
        case WS_FRAME_END:
            note(t, 3);
            break;
        case WS_FAILED:
            CHECK(d->close_code == WS_CLOSE_PROTOCOL_ERROR || d->close_code == WS_CLOSE_TOO_BIG);
            CHECK(d->reason);
            t->failed = true;
            t->code = d->close_code;
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_decoder whole, cut;
    struct trace a = {0}, b = {0};
    enum ws_role role;
    uint64_t limit;
    size_t step, at = 0;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    role = data[0] & 1 ? WS_CLIENT : WS_SERVER;
    limit = data[0] & 2 ? 1000 : 0;
    step = (size_t)data[1] % 17 + 1;
    data += 2;
    size -= 2;
    a.payload = malloc(size + 1);
    b.payload = malloc(size + 1);
    CHECK(a.payload && b.payload);
    ws_decoder_init(&whole, role, limit);
    ws_decoder_init(&cut, role, limit);
    feed(&whole, view_from(data, size), &a);
    while (at < size && !b.failed) {
        size_t n = size - at < step ? size - at : step;

        feed(&cut, view_from(data + at, n), &b);
        at += n;
    }
    CHECK(a.failed == b.failed && a.code == b.code && a.events == b.events && a.sum == b.sum);
    CHECK(a.payload_len == b.payload_len);
    CHECK(a.payload_len == 0 || memcmp(a.payload, b.payload, a.payload_len) == 0);
    free(a.payload);
    free(b.payload);
    return 0;
}
