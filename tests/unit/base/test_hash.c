/* The hash of tables: depends on every bit, on the length and on the seed, and spreads. */
#include "unit.h"

#include "base/hash.h"

static void depends_on_every_bit_of_bytes_and_seed(void **state)
{
    uint8_t bytes[33];

    (void)state;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint64_t plain;

        memset(bytes, 0x5A, sizeof bytes);
        plain = hash_bytes(view_from(bytes, len), 1);
        for (size_t i = 0; i < 8 * len; i++) {
            bytes[i / 8] ^= (uint8_t)(1 << i % 8);
            assert_int_not_equal(hash_bytes(view_from(bytes, len), 1), plain);
            bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        for (unsigned i = 0; i < 64; i++)
            assert_int_not_equal(hash_bytes(view_from(bytes, len), 1 ^ 1ull << i), plain);
    }
}

static void tells_zeros_by_their_number(void **state)
{
    uint8_t zeros[64] = {0};
    uint64_t seen[65];

    (void)state;
    for (size_t len = 0; len <= sizeof zeros; len++) {
        seen[len] = hash_bytes(view_from(zeros, len), 0);
        for (size_t k = 0; k < len; k++)
            assert_int_not_equal(seen[k], seen[len]);
    }
    assert_int_equal(hash_bytes(view_from(NULL, 0), 0), seen[0]);
}

static void does_not_depend_on_where_the_bytes_lie(void **state)
{
    uint8_t room[64];

    (void)state;
    for (size_t at = 0; at < 9; at++) {
        memset(room, 0xFF, sizeof room);
        memcpy(room + at, "nineteen characters", 19);
        assert_int_equal(hash_bytes(view_from(room + at, 19), 42),
                         hash_bytes(VIEW("nineteen characters"), 42));
    }
}

/* Keys that resemble each other, as addresses do: no bucket gets more than twice its share, whichever
 * bits choose it. */
static void spreads_keys_that_count_up(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift <= 56; shift += 8) {
        unsigned buckets[256] = {0};

        for (uint32_t key = 0; key < 256 * 64; key++)
            buckets[hash_bytes(view_from(&key, sizeof key), 99) >> shift & 255]++;
        for (size_t i = 0; i < 256; i++)
            assert_in_range(buckets[i], 20, 128);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depends_on_every_bit_of_bytes_and_seed),
        cmocka_unit_test(tells_zeros_by_their_number),
        cmocka_unit_test(does_not_depend_on_where_the_bytes_lie),
        cmocka_unit_test(spreads_keys_that_count_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
