#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ws/ws.h"

static const uint8_t mask[4] = {1, 2, 3, 4};

static void heads_are_the_bytes_of_the_standard(void **state)
{
    uint8_t out[WS_HEAD_MAX];

    (void)state;
    assert_int_equal(ws_frame_head(WS_BINARY, 5, out), 2);
    assert_memory_equal(out, "\x82\x05", 2);
    assert_int_equal(ws_frame_head(WS_PONG, 125, out), 2);
    assert_memory_equal(out, "\x8a\x7d", 2);
    assert_int_equal(ws_frame_head(WS_BINARY, 0x1234, out), 4);
    assert_memory_equal(out, "\x82\x7e\x12\x34", 4);
    assert_int_equal(ws_frame_head(WS_BINARY, 0x123456789abcdef0, out), 10);
    assert_memory_equal(out, "\x82\x7f\x12\x34\x56\x78\x9a\xbc\xde\xf0", 10);
    assert_int_equal(ws_frame_head_masked(WS_TEXT, false, 126, mask, out), 8);
    assert_memory_equal(out, "\x01\xfe\x00\x7e\x01\x02\x03\x04", 8);
    assert_int_equal(ws_frame_head_masked(WS_CONTINUATION, true, 0, mask, out), 6);
    assert_memory_equal(out, "\x80\x80\x01\x02\x03\x04", 6);
}

static void heads_have_the_shortest_form(void **state)
{
    static const struct {
        uint64_t len;
        size_t head;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {1ull << 40, 10}};
    uint8_t out[WS_HEAD_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ws_decoder d;
        struct view in, piece;
        unsigned phase;
        size_t n = ws_frame_head(WS_BINARY, cases[i].len, out);

        assert_int_equal(n, cases[i].head);
        ws_decoder_init(&d, WS_CLIENT, 0);
        in = view_from(out, n);
        assert_int_equal(ws_decode(&d, &in, &piece, &phase), WS_HEAD);
        assert_true(d.left == cases[i].len && d.fin && d.opcode == WS_BINARY);
        n = ws_frame_head_masked(WS_TEXT, false, cases[i].len, mask, out);
        assert_int_equal(n, cases[i].head + 4);
        ws_decoder_init(&d, WS_SERVER, 0);
        in = view_from(out, n);
        assert_int_equal(ws_decode(&d, &in, &piece, &phase), WS_HEAD);
        assert_true(d.left == cases[i].len && !d.fin && d.opcode == WS_TEXT);
        assert_memory_equal(d.mask, mask, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_the_bytes_of_the_standard),
        cmocka_unit_test(heads_have_the_shortest_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
