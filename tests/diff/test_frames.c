/* Our frame decoder beside wslay's frame layer, over streams of good frames and mutations of them: of what
 * we take, wslay reads the same opcodes and the same payload. (wslay checks less: fragments are the
 * business of its upper layer.) Deterministic: the generator is seeded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <wslay/wslay.h>

#include "ws/ws.h"

enum { ROUNDS = 40000, STREAM_MAX = 4096 };

struct reading {
    uint8_t bytes
        [2 *
         STREAM_MAX]; /* an opcode before each piece of a frame's payload, and 0xFF at its end */
    size_t len;
};

static uint32_t seed = 12345;

static uint32_t next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static size_t one_frame(uint8_t *out, bool *open)
{
    static const uint16_t sizes[] = {0, 1, 5, 125, 126, 127, 300, 700};
    enum ws_opcode opcode;
    uint8_t mask[4];
    size_t len = sizes[next_random() % 8], n;
    bool fin = next_random() % 3 != 0;

    if (next_random() % 4 == 0) {
        opcode = next_random() % 2 ? WS_PING : WS_PONG;
        len %= 126;
        fin = true;
    } else {
        opcode = *open ? WS_CONTINUATION : next_random() % 2 ? WS_TEXT : WS_BINARY;
        *open = !fin;
    }
    for (int i = 0; i < 4; i++)
        mask[i] = (uint8_t)next_random();
    n = ws_frame_head_masked(opcode, fin, len, mask, out);
    for (size_t i = 0; i < len; i++)
        out[n + i] = (uint8_t)next_random();
    return n + len;
}

static size_t stream(uint8_t *out)
{
    size_t n = 0;
    bool open = false;

    while (n < STREAM_MAX - 800 && next_random() % 6)
        n += one_frame(out + n, &open);
    for (uint32_t flips = next_random() % 3; n && flips; flips--)
        out[next_random() % n] ^= (uint8_t)(1u << next_random() % 8);
    return n;
}

/* True: all of it was taken. */
static bool ours(const uint8_t *bytes, size_t n, struct reading *r)
{
    struct view in = view_from(bytes, n), piece;
    struct ws_decoder d;
    unsigned phase;

    ws_decoder_init(&d, WS_SERVER, 0);
    for (;;) {
        switch (ws_decode(&d, &in, &piece, &phase)) {
        case WS_NEED_MORE:
            return true;
        case WS_HEAD:
            r->bytes[r->len++] = d.opcode;
            break;
        case WS_PAYLOAD:
            for (size_t i = 0; i < piece.len; i++)
                r->bytes[r->len++] = piece.at[i] ^ d.mask[(phase + i) % 4];
            break;
        case WS_FRAME_END:
            r->bytes[r->len++] = 0xFF;
            break;
        case WS_FAILED:
            return false;
        }
    }
}

static ssize_t give(uint8_t *buf, size_t len, int flags, void *context)
{
    struct view *in = context;
    size_t n = in->len < len ? in->len : len;

    (void)flags;
    if (!n)
        return -1;
    memcpy(buf, in->at, n);
    *in = view_skip(*in, n);
    return (ssize_t)n;
}

static bool theirs(const uint8_t *bytes, size_t n, struct reading *r)
{
    const struct wslay_frame_callbacks callbacks = {.recv_callback = give};
    struct view in = view_from(bytes, n);
    wslay_frame_context_ptr context;
    uint64_t left = 0;
    bool inside = false;

    assert_int_equal(wslay_frame_context_init(&context, &callbacks, &in), 0);
    for (;;) {
        struct wslay_frame_iocb io = {0};
        ssize_t got = wslay_frame_recv(context, &io);

        if (got < 0) {
            wslay_frame_context_free(context);
            return got == WSLAY_ERR_WANT_READ;
        }
        if (!inside) {
            r->bytes[r->len++] = io.opcode;
            left = io.payload_length;
            inside = true;
        }
        if (got)
            memcpy(r->bytes + r->len, io.data, (size_t)got);
        r->len += (size_t)got;
        left -= (uint64_t)got;
        if (!left) {
            r->bytes[r->len++] = 0xFF;
            inside = false;
        }
    }
}

static void what_we_take_another_reads_the_same(void **state)
{
    static uint8_t bytes[STREAM_MAX];
    static struct reading a, b;
    unsigned taken = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = stream(bytes);

        a.len = b.len = 0;
        if (!ours(bytes, n, &a))
            continue;
        taken++;
        if (!theirs(bytes, n, &b))
            fail_msg("round %d: taken by us alone", round);
        /* A head at the very end may be told by one of us before its first byte of payload. */
        assert_true(a.len == b.len || a.len == b.len + 1);
        assert_memory_equal(a.bytes, b.bytes, b.len);
    }
    assert_true(taken > ROUNDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_we_take_another_reads_the_same)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
