/* What all hold together, and buffers that count against it. */
#include "unit.h"

#include <pthread.h>

#include "base/buf.h"

static void gives_what_is_there_and_takes_it_back(void **state)
{
    struct budget b;

    (void)state;
    budget_init(&b, 100);
    assert_true(budget_take(&b, 0) && budget_take(&b, 60) && budget_take(&b, 40));
    assert_false(budget_take(&b, 1));
    assert_false(budget_take(&b, UINT64_MAX));
    budget_give(&b, 40);
    assert_true(budget_take(&b, 39) && budget_take(&b, 1));
    assert_int_equal(b.used, 100);
    assert_int_equal(b.refused, 2);
}

static void keeps_its_last_quarter_for_what_has_begun(void **state)
{
    struct budget b;

    (void)state;
    budget_init(&b, 100);
    assert_true(budget_room(&b) && budget_take(&b, 75) && budget_room(&b));
    assert_true(budget_take(&b, 1));
    assert_false(budget_room(&b));
    assert_true(budget_take(&b, 24));
    budget_give(&b, 25);
    assert_true(budget_room(&b));
    assert_int_equal(b.refused, 1);
}

static void nobody_stands_for_no_bound(void **state)
{
    (void)state;
    assert_true(budget_take(NULL, UINT64_MAX) && budget_room(NULL));
    budget_give(NULL, 1);
}

static void a_part_is_taken_of_the_whole(void **state)
{
    struct budget whole, part;
    struct buf b;
    uint8_t *room;

    (void)state;
    budget_init(&whole, 1 << 20);
    budget_part_init(&part, 300000, &whole);
    buf_init(&b, 1 << 20, "a body");
    buf_count(&b, &part);
    assert_true(buf_room(&b, 200000, &room, NULL));
    assert_true(part.used == 200000 && whole.used == 200000);
    assert_false(budget_take(&part, 100001));
    assert_true(part.refused == 0 && whole.refused == 1);
    buf_pass(&b);
    assert_true(part.used == 0 && whole.used == 200000);
    buf_pass(&b); /* there is nothing above a whole */
    assert_true(budget_take(&whole, (1 << 20) - 200000 - 10));
    assert_false(budget_take(&part, 11));
    assert_int_equal(part.used, 0);
    buf_done(&b);
    assert_true(budget_take(&part, 11));
    budget_give(&part, 11);
    assert_true(part.used == 0 && whole.used == (1 << 20) - 200000 - 10);
}

static struct budget shared;

static void *take_and_give(void *held)
{
    for (int i = 0; i < 20000; i++)
        if (budget_take(&shared, 3)) {
            if (shared.used > shared.max)
                *(bool *)held = false;
            budget_give(&shared, 3);
        }
    return NULL;
}

static void holds_among_threads(void **state)
{
    pthread_t threads[4];
    bool held = true;

    (void)state;
    budget_init(&shared, 8); /* for two of four */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &held), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(held);
    assert_int_equal(shared.used, 0);
}

static void buffers_count_once_they_are_large(void **state)
{
    struct budget b;
    struct buf buf, other;
    struct err err = {0};
    uint8_t *room;

    (void)state;
    budget_init(&b, 300000);
    buf_init(&buf, 1000000, "a body");
    buf_count(&buf, &b);
    assert_true(buf_room(&buf, BUF_COUNTED_BYTES, &room, &err));
    assert_int_equal(b.used, 0);
    buf_wrote(&buf, BUF_COUNTED_BYTES);
    assert_true(buf_append_str(&buf, "more", &err));
    assert_int_equal(b.used, buf.size);
    other = buf; /* it moves with its share */
    buf_init_like(&buf, &other);
    assert_true(buf.budget == &b && !buf.area && buf.max == other.max && buf.what == other.what);
    assert_true(buf_room(&buf, 100000, &room, &err));
    assert_int_equal(b.used, buf.size + other.size);
    assert_false(buf_room(&buf, 200000, &room, &err));
    assert_int_equal(err.code, ERR_BUSY);
    assert_string_equal(
        err.text, "a body: no memory left for its 200000 bytes; try again when others have ended");
    assert_int_equal(buf.size, 100000); /* as it was */
    buf_done(&other);
    assert_int_equal(b.used, 100000);
    assert_true(buf_room(&buf, 200000, &room, &err));
    buf_done(&buf);
    assert_int_equal(b.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_is_there_and_takes_it_back),
        cmocka_unit_test(keeps_its_last_quarter_for_what_has_begun),
        cmocka_unit_test(nobody_stands_for_no_bound),
        cmocka_unit_test(a_part_is_taken_of_the_whole),
        cmocka_unit_test(holds_among_threads),
        cmocka_unit_test(buffers_count_once_they_are_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
