/* Owned bytes with a ceiling, beside a model that has none of the arithmetic. */
#include "unit.h"

#include "base/buf.h"

static void check_invariants(const struct buf *b)
{
    assert_true(b->head <= b->tail && b->tail <= b->size && b->size <= b->max);
    assert_true(!b->area == !b->size);
}

static void is_empty_and_owns_nothing_until_it_is_written(void **state)
{
    struct buf b;
    uint8_t *room = NULL;

    (void)state;
    buf_init(&b, 10, "b");
    assert_null(b.area);
    assert_int_equal(buf_len(&b), 0);
    assert_int_equal(buf_view(&b).len, 0);
    assert_true(buf_append(&b, view_from(NULL, 0), NULL));
    assert_true(buf_append_str(&b, "", NULL));
    assert_true(buf_room(&b, 0, &room, NULL));
    buf_eat(&b, 0);
    buf_wrote(&b, 0);
    assert_null(b.area);
    buf_done(&b);
}

static void refuses_to_pass_its_ceiling_and_keeps_the_content(void **state)
{
    struct buf b;
    struct err err = {0};
    uint8_t *room;

    (void)state;
    buf_init(&b, 10, "request body");
    assert_true(buf_append_str(&b, "0123456789", &err));
    assert_false(buf_append_byte(&b, 'x', &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "request body: more than 10 bytes");
    assert_true(view_eq(buf_view(&b), VIEW("0123456789")));
    buf_eat(&b, 4);
    assert_false(buf_append_str(&b, "abcde", NULL));
    assert_true(view_eq(buf_view(&b), VIEW("456789")));
    assert_true(buf_append_str(&b, "abcd", NULL)); /* what was eaten is room again */
    assert_true(view_eq(buf_view(&b), VIEW("456789abcd")));
    assert_false(buf_room(&b, SIZE_MAX, &room, NULL));
    assert_false(buf_room(&b, SIZE_MAX - 5, &room, NULL));
    check_invariants(&b);
    buf_done(&b);
}

static void formats_up_to_the_last_byte(void **state)
{
    struct buf b;
    struct err err = {0};

    (void)state;
    for (size_t max = 0; max <= 8; max++) {
        buf_init(&b, max, "b");
        assert_int_equal(buf_appendf(&b, &err, "%s", "12345"), max >= 5);
        assert_int_equal(buf_len(&b), max >= 5 ? 5 : 0);
        if (max >= 5) {
            assert_int_equal(buf_appendf(&b, &err, "%d", 678), max >= 8);
            assert_memory_equal(buf_view(&b).at, "12345678", buf_len(&b));
        } else {
            assert_int_equal(err.code, ERR_LIMIT);
        }
        check_invariants(&b);
        buf_done(&b);
    }
    buf_init(&b, 100, "b");
    assert_true(buf_appendf(&b, &err, "%s", ""));
    assert_true(buf_appendf(&b, &err, "%c%s", 0, "after a NUL"));
    assert_true(view_eq(buf_view(&b), VIEW("\0after a NUL")));
    buf_done(&b);
}

static void closes_the_gap_before_it_grows(void **state)
{
    struct buf b;
    size_t size;

    (void)state;
    buf_init(&b, 1024 * 1024, "b");
    for (int i = 0; i < 256; i++)
        assert_true(buf_append_byte(&b, (uint8_t)i, NULL));
    size = b.size;
    buf_eat(&b, 200);
    assert_true(buf_append(&b, view_from("0123456789", 10), NULL));
    assert_int_equal(b.size, size);
    assert_int_equal(buf_len(&b), 66);
    assert_int_equal(buf_view(&b).at[0], 200);
    assert_int_equal(buf_view(&b).at[65], '9');
    buf_done(&b);
}

static void starts_anew_after_reset_and_done(void **state)
{
    struct buf b;
    const uint8_t *area;

    (void)state;
    buf_init(&b, 100, "b");
    assert_true(buf_append_str(&b, "abc", NULL));
    area = b.area;
    buf_reset(&b);
    assert_int_equal(buf_len(&b), 0);
    assert_ptr_equal(b.area, area);
    assert_true(buf_append_str(&b, "d", NULL));
    buf_done(&b);
    assert_null(b.area);
    assert_int_equal(buf_len(&b), 0);
    assert_true(buf_append_str(&b, "again", NULL));
    assert_true(view_eq(buf_view(&b), VIEW("again")));
    buf_done(&b);
    buf_done(&b);
}

static void an_eaten_buffer_starts_at_the_front(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100, "b");
    assert_true(buf_append_str(&b, "abc", NULL));
    buf_eat(&b, 3);
    assert_int_equal(b.head, 0);
    assert_int_equal(b.tail, 0);
    buf_done(&b);
}

enum { MODEL_MAX = 700 };

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

static void behaves_like_an_array_in_any_order_of_calls(void **state)
{
    uint8_t model[MODEL_MAX];
    size_t len = 0;
    uint32_t seed = 7;
    struct buf b;

    (void)state;
    buf_init(&b, MODEL_MAX, "b");
    for (int step = 0; step < 20000; step++) {
        uint32_t r = next_random(&seed);
        size_t n = next_random(&seed) % (step % 7 == 0 ? 400 : 40);
        uint8_t bytes[400], *room = NULL;

        memset(bytes, (int)(r >> 4 & 0xFF), sizeof bytes);
        if (r % 8 < 4) {
            bool fits = n <= MODEL_MAX - len;

            assert_int_equal(buf_append(&b, view_from(bytes, n), NULL), fits);
            if (fits)
                memcpy(model + len, bytes, n), len += n;
        } else if (r % 8 < 5) {
            bool fits = n <= MODEL_MAX - len;

            assert_int_equal(buf_room(&b, n, &room, NULL), fits);
            if (fits && n) {
                memset(room, 0xEE, n); /* all of it is ours; a part becomes content */
                buf_wrote(&b, n / 2);
                memset(model + len, 0xEE, n / 2), len += n / 2;
            }
        } else {
            n = n < len ? n : len;
            buf_eat(&b, n);
            memmove(model, model + n, len - n), len -= n;
        }
        check_invariants(&b);
        assert_int_equal(buf_len(&b), len);
        if (len)
            assert_memory_equal(buf_view(&b).at, model, len);
    }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_empty_and_owns_nothing_until_it_is_written),
        cmocka_unit_test(refuses_to_pass_its_ceiling_and_keeps_the_content),
        cmocka_unit_test(formats_up_to_the_last_byte),
        cmocka_unit_test(closes_the_gap_before_it_grows),
        cmocka_unit_test(starts_anew_after_reset_and_done),
        cmocka_unit_test(an_eaten_buffer_starts_at_the_front),
        cmocka_unit_test(behaves_like_an_array_in_any_order_of_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
