#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ws/ws.h"

enum { LONGEST = 4096, ROOM = LONGEST + 256 };

static const uint8_t mask[4] = {0x12, 0x34, 0xAB, 0xCD};
static const size_t lengths[] = {0,   1,   2,    3,    4,    5,    7,    8,    9,   15,  16,
                                 17,  31,  32,   33,   63,   64,   65,   127,  128, 129, 255,
                                 256, 257, 1000, 1023, 1024, 1025, 2047, 4095, 4096};

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 7 + 3);
}

static void unmasking_is_what_the_definition_says(void **state)
{
    static uint8_t area[ROOM];

    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (unsigned phase = 0; phase < 4; phase++)
            for (size_t offset = 0; offset < 67; offset += offset < 4 ? 1 : 21) {
                for (size_t i = 0; i < ROOM; i++)
                    area[i] = byte_at(i);
                ws_unmask(area + offset, lengths[k], mask, phase);
                for (size_t i = 0; i < ROOM; i++) {
                    bool inside = i >= offset && i < offset + lengths[k];
                    uint8_t wanted = byte_at(i);

                    if (inside)
                        wanted ^= mask[(phase + i - offset) % 4];
                    assert_int_equal(area[i], wanted);
                }
            }
}

static void unmasking_in_two_pieces_is_unmasking_at_once(void **state)
{
    static uint8_t whole[700], pieces[700];

    (void)state;
    for (size_t cut = 0; cut <= sizeof whole; cut += 1 + cut / 9) {
        for (size_t i = 0; i < sizeof whole; i++)
            whole[i] = pieces[i] = byte_at(i);
        ws_unmask(whole, sizeof whole, mask, 1);
        ws_unmask(pieces, cut, mask, 1);
        ws_unmask(pieces + cut, sizeof pieces - cut, mask, (unsigned)(1 + cut) % 4);
        assert_memory_equal(whole, pieces, sizeof whole);
    }
}

static void payload_moves_down_over_the_head_before_it(void **state)
{
    static uint8_t area[ROOM];

    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (size_t gap = 0; gap <= 14; gap++) {
            for (size_t i = 0; i < ROOM; i++)
                area[i] = byte_at(i);
            ws_unmask_to(area, area + gap, lengths[k], mask, 2);
            for (size_t i = 0; i < lengths[k]; i++)
                assert_int_equal(area[i], byte_at(i + gap) ^ mask[(2 + i) % 4]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmasking_is_what_the_definition_says),
        cmocka_unit_test(unmasking_in_two_pieces_is_unmasking_at_once),
        cmocka_unit_test(payload_moves_down_over_the_head_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
