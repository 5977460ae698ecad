/* Lent bytes, and taking what was declared with a clean-up. */
#include "unit.h"

#include "base/cleanup.h"

static const struct view nothing = {NULL, 0};

static void compares_with_and_without_case(void **state)
{
    (void)state;
    assert_true(view_eq(VIEW("ab"), VIEW("ab")));
    assert_false(view_eq(VIEW("ab"), VIEW("aB")));
    assert_false(view_eq(VIEW("ab"), VIEW("abc")));
    assert_true(view_eq(nothing, VIEW("")));
    assert_true(view_eq_nocase(VIEW("aBz[{"), VIEW("AbZ[{")));
    assert_false(view_eq_nocase(VIEW("[@"), VIEW("{`")));
    assert_false(view_eq_nocase(VIEW("ä"), VIEW("Ä")));
    assert_false(view_eq_nocase(VIEW("a"), VIEW("aa")));
    for (unsigned c = 0; c < 256; c++)
        assert_int_equal(ascii_lower((uint8_t)c), c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static void finds_beginnings_ends_and_middles(void **state)
{
    (void)state;
    assert_true(view_starts(VIEW("abc"), VIEW("ab")) && view_starts(VIEW("abc"), nothing));
    assert_false(view_starts(VIEW("ab"), VIEW("abc")) || view_starts(nothing, VIEW("a")));
    assert_true(view_ends(VIEW("abc"), VIEW("bc")) && view_ends(VIEW("abc"), nothing));
    assert_false(view_ends(VIEW("bc"), VIEW("abc")) || view_ends(VIEW("abc"), VIEW("ab")));
    assert_int_equal(view_find(VIEW("abcb"), 'b'), 1);
    assert_int_equal(view_find_last(VIEW("abcb"), 'b'), 3);
    assert_int_equal(view_find(VIEW("abcb"), 'x'), 4);
    assert_int_equal(view_find_last(VIEW("abcb"), 'x'), 4);
    assert_int_equal(view_find(nothing, 'x'), 0);
    assert_int_equal(view_find_last(nothing, 'x'), 0);
    assert_true(view_find_text(VIEW("abcb"), VIEW("cb")));
    assert_false(view_find_text(VIEW("abcb"), VIEW("ba")) || view_find_text(nothing, VIEW("a")) ||
                 view_find_text(VIEW("a"), VIEW("ab")) || view_find_text(VIEW("a"), nothing));
}

static void clips_pieces_to_what_is_there(void **state)
{
    (void)state;
    assert_true(view_eq(view_skip(VIEW("abc"), 1), VIEW("bc")));
    assert_int_equal(view_skip(VIEW("abc"), 4).len, 0);
    assert_int_equal(view_skip(nothing, 4).len, 0);
    assert_true(view_eq(view_first(VIEW("abc"), 2), VIEW("ab")));
    assert_true(view_eq(view_first(VIEW("abc"), SIZE_MAX), VIEW("abc")));
    assert_int_equal(view_str(NULL).len, 0);
    assert_int_equal(VIEW("a\0b").len, 3);
}

static void splits_into_every_piece_empty_ones_too(void **state)
{
    static const struct {
        const char *text, *pieces;
    } rows[] = {{"a,,b", "[a][][b]"}, {"", "[]"}, {",", "[][]"}, {"a", "[a]"}, {"a,", "[a][]"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view rest = view_str(rows[i].text), piece;
        char got[64] = "";
        size_t n = 0;

        while (view_next(&rest, ',', &piece))
            n += (size_t)snprintf(got + n, sizeof got - n, "[%.*s]", VIEW_ARG(piece));
        assert_string_equal(got, rows[i].pieces);
    }
}

static void trims_blanks_of_http_only(void **state)
{
    (void)state;
    assert_true(view_eq(view_trim_ows(VIEW(" \ta b\t ")), VIEW("a b")));
    assert_true(view_eq(view_trim_ows(VIEW("\na\r")), VIEW("\na\r")));
    assert_int_equal(view_trim_ows(VIEW(" \t ")).len, 0);
    assert_int_equal(view_trim_ows(nothing).len, 0);
}

static int freed;

static void thing_free(int *thing)
{
    freed += thing ? *thing : 0;
}
CLEANUP_DEFINE(int, thing_free)

static int *give_or_keep(int *thing, bool give)
{
    CLEANUP(thing_free_cleanup) int *owned = thing;

    return give ? take(owned) : NULL;
}

static void what_is_taken_is_not_cleaned_up(void **state)
{
    int thing = 5;

    (void)state;
    freed = 0;
    assert_ptr_equal(give_or_keep(&thing, true), &thing);
    assert_int_equal(freed, 0);
    assert_null(give_or_keep(&thing, false));
    assert_int_equal(freed, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_with_and_without_case),
        cmocka_unit_test(finds_beginnings_ends_and_middles),
        cmocka_unit_test(clips_pieces_to_what_is_there),
        cmocka_unit_test(splits_into_every_piece_empty_ones_too),
        cmocka_unit_test(trims_blanks_of_http_only),
        cmocka_unit_test(what_is_taken_is_not_cleaned_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
