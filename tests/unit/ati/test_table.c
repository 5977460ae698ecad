/* Tables keep their lines straight, whatever stands in their cells. */
#include "../base/unit.h"

#include <locale.h>
#include <wchar.h>

#include "ati/cli/cli.h"
#include "base/codec.h"

static const char *table(struct buf *out, const char *const *cells, size_t columns, size_t rows,
                         size_t width)
{
    struct view views[64];
    struct err err;

    assert_true(columns * rows <= COUNT_OF(views));
    for (size_t i = 0; i < columns * rows; i++)
        views[i] = view_str(cells[i]);
    buf_init(out, 1024 * 1024, "test");
    assert_true(cli_table_write(views, columns, rows, width, out, &err));
    assert_true(buf_append_byte(out, '\0', &err));
    return (const char *)buf_view(out).at;
}

static void cells_are_wrapped_at_blanks(void **state)
{
    const char *const cells[] = {"NAME", "DESCRIPTION", "a", "one two three four"};
    struct buf out;

    (void)state;
    assert_string_equal(table(&out, cells, 2, 2, 22), "┌──────┬─────────────┐\n"
                                                      "│ NAME ┆ DESCRIPTION │\n"
                                                      "╞══════╪═════════════╡\n"
                                                      "│ a    ┆ one two     │\n"
                                                      "│      ┆ three four  │\n"
                                                      "└──────┴─────────────┘");
    buf_done(&out);
}

static void words_that_are_too_long_are_broken(void **state)
{
    const char *const cells[] = {"K", "abcdefghij", "x", "ab cdefghi"};
    struct buf out;

    (void)state;
    assert_string_equal(table(&out, cells, 2, 2, 12), "┌───┬──────┐\n"
                                                      "│ K ┆ abcd │\n"
                                                      "│   ┆ efgh │\n"
                                                      "│   ┆ ij   │\n"
                                                      "╞═══╪══════╡\n"
                                                      "│ x ┆ ab   │\n"
                                                      "│   ┆ cdef │\n"
                                                      "│   ┆ ghi  │\n"
                                                      "└───┴──────┘");
    buf_done(&out);
}

static void newlines_make_lines_and_wide_characters_take_two_columns(void **state)
{
    const char *const cells[] = {"A", "B", "日本", "x\n\ny", "e\xCC\x81", "tab\there"};
    struct buf out;

    (void)state;
    assert_string_equal(table(&out, cells, 2, 3, 0), "┌──────┬──────────┐\n"
                                                     "│ A    ┆ B        │\n"
                                                     "╞══════╪══════════╡\n"
                                                     "│ 日本 ┆ x        │\n"
                                                     "│      ┆          │\n"
                                                     "│      ┆ y        │\n"
                                                     "│ e\xCC\x81    ┆ tab here │\n"
                                                     "└──────┴──────────┘");
    buf_done(&out);
}

static void what_does_not_show_is_replaced(void **state)
{
    const char *const cells[] = {"A", "\033[2J\xE2\x80\xAE\xFF"};
    struct buf out;

    (void)state;
    assert_non_null(strstr(table(&out, cells, 1, 2, 0), "│ �[2J�� │\n"));
    buf_done(&out);
}

/* Any cells, any width: every line is as wide as the first, and no wider than asked for, unless nothing could be done. */
static void lines_are_straight(void **state)
{
    static const char *const pieces[] = {"a", " ", "word", "日", "é", "e\xCC\x81", "\n", "-"};
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    uint64_t random = 1;

    (void)state;
    assert_non_null(utf8);
    for (int round = 0; round < 500; round++) {
        char texts[12][128];
        const char *cells[12];
        size_t width = 20 + (size_t)(round % 50), first = 0;
        struct view rest, line;
        struct buf out;

        for (size_t i = 0; i < COUNT_OF(cells); i++) {
            size_t n = 0;

            texts[i][0] = '\0';
            for (unsigned k = 0; k < 12; k++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                n += (size_t)snprintf(texts[i] + n, sizeof texts[i] - n, "%s",
                                      pieces[(random >> 40) % COUNT_OF(pieces)]);
                if ((random >> 50) % 6 == 0)
                    break;
            }
            cells[i] = texts[i];
        }
        rest = view_str(table(&out, cells, 3, 4, width));
        (void)uselocale(utf8);
        while (view_next(&rest, '\n', &line)) {
            size_t columns = 0;

            while (line.len) {
                uint32_t code;
                size_t n = utf8_first(line, &code);

                assert_true(n > 0);
                columns += (size_t)wcwidth((wchar_t)code);
                line = view_skip(line, n);
            }
            if (!first)
                first = columns;
            assert_int_equal(columns, first);
            assert_true(columns <= (width < 22 ? 22 : width));
        }
        (void)uselocale(LC_GLOBAL_LOCALE);
        buf_done(&out);
    }
    freelocale(utf8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_wrapped_at_blanks),
        cmocka_unit_test(words_that_are_too_long_are_broken),
        cmocka_unit_test(newlines_make_lines_and_wide_characters_take_two_columns),
        cmocka_unit_test(what_does_not_show_is_replaced),
        cmocka_unit_test(lines_are_straight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
