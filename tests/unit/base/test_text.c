/* Numbers, durations, sizes, escapes: what is read, what is refused, what is written. */
#include "unit.h"

#include <inttypes.h>

#include "base/text.h"

static void reads_numbers_that_are_digits_and_nothing_else(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool zeros, good;
        uint64_t value;
    } rows[] = {
        {"0", 9, false, true, 0},
        {"00", 9, false, false, 0},
        {"00", 9, true, true, 0},
        {"007", 9, false, false, 0},
        {"007", 9, true, true, 7},
        {"65535", 65535, false, true, 65535},
        {"65536", 65535, false, false, 0},
        {"18446744073709551615", UINT64_MAX, false, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, false, 0},
        {"18446744073709551620", UINT64_MAX, false, false, 0},
        {"99999999999999999999999999", UINT64_MAX, true, false, 0},
        {"0000000000000000000000000000001", UINT64_MAX, true, true, 1},
        {"", 9, true, false, 0},
        {"+1", 9, true, false, 0},
        {"-1", 9, true, false, 0},
        {"-0", 9, true, false, 0},
        {" 1", 9, true, false, 0},
        {"1 ", 9, true, false, 0},
        {"1\n", 9, true, false, 0},
        {"0x1", 9, true, false, 0},
        {"1.0", 9, true, false, 0},
        {"1e1", 99, true, false, 0},
        {"１", 9, true, false, 0},
        {"/", 99, true, false, 0},
        {":", 99, true, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(view_str(rows[i].text));
        uint64_t value = 4711;
        bool good = text_u64(v, rows[i].max, rows[i].zeros, &value);

        if (good != rows[i].good || value != (good ? rows[i].value : 4711))
            fail_msg("\"%s\": %d, %llu", rows[i].text, good, (unsigned long long)value);
        block_free(v);
    }
}

struct unit_row {
    const char *text;
    bool good;
    uint64_t value;
};

static void check_row(const struct unit_row *row, bool good, uint64_t value)
{
    if (good != row->good || value != (good ? row->value : 4711))
        fail_msg("\"%s\": %d, %llu", row->text, good, (unsigned long long)value);
}

static void writes_numbers_in_decimal(void **state)
{
    static const uint64_t numbers[] = {0, 7, 10, 999, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    char digits[TEXT_DECIMAL_MAX], wanted[32];

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)snprintf(wanted, sizeof wanted, "%" PRIu64, numbers[i]);
        assert_true(view_eq(text_decimal(numbers[i], digits), view_str(wanted)));
    }
}

/* Every byte at every place of texts around the eight that are looked at at once. */
static void knows_what_json_writes_as_it_is(void **state)
{
    uint8_t text[20];

    (void)state;
    for (size_t len = 0; len <= sizeof text; len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned c = 0; c < 256; c++) {
                bool plain = c >= ' ' && c < 0x7F && c != '"' && c != '\\';

                memset(text, 'a', sizeof text);
                text[at] = (uint8_t)c;
                assert_int_equal(text_plain(view_from(text, len)), plain ? len : at);
            }
    assert_int_equal(text_plain((struct view){NULL, 0}), 0);
}

static void reads_durations_with_units(void **state)
{
    static const struct unit_row rows[] = {
        {"250ms", true, 250},
        {"5s", true, 5000},
        {"10m", true, 600000},
        {"2h", true, 7200000},
        {"1d", true, 86400000},
        {"5", true, 5000},
        {"0", true, 0},
        {"0ms", true, 0},
        {"10M", true, 600000},
        {"250MS", true, 250},
        {"213503982334d", true, 213503982334ull * 86400000ull},
        {"213503982335d", false, 0},
        {"18446744073709551615ms", true, UINT64_MAX},
        {"18446744073709551616ms", false, 0},
        {"18446744073709551615", false, 0},
        {"", false, 0},
        {"s", false, 0},
        {"ms", false, 0},
        {"5 s", false, 0},
        {" 5s", false, 0},
        {"5s ", false, 0},
        {"-5s", false, 0},
        {"+5s", false, 0},
        {"1.5s", false, 0},
        {"5sec", false, 0},
        {"5w", false, 0},
        {"1h30m", false, 0},
        {"5µs", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(view_str(rows[i].text));
        uint64_t value = 4711;
        bool good = text_duration_ms(v, 1000, &value);

        check_row(&rows[i], good, value);
        block_free(v);
    }
}

static void a_bare_duration_is_in_the_unit_of_the_caller(void **state)
{
    uint64_t ms;

    (void)state;
    assert_true(text_duration_ms(VIEW("7"), 1, &ms));
    assert_int_equal(ms, 7);
    assert_true(text_duration_ms(VIEW("7"), 60000, &ms));
    assert_int_equal(ms, 420000);
    assert_true(text_duration_ms(VIEW("7s"), 60000, &ms));
    assert_int_equal(ms, 7000);
}

static void reads_sizes_with_units(void **state)
{
    static const struct unit_row rows[] = {
        {"4096", true, 4096},
        {"0", true, 0},
        {"64KiB", true, 65536},
        {"64kib", true, 65536},
        {"64k", true, 65536},
        {"64K", true, 65536},
        {"1MiB", true, 1 << 20},
        {"1m", true, 1 << 20},
        {"2GiB", true, 2ull << 30},
        {"1TiB", true, 1ull << 40},
        {"16777215TiB", true, 16777215ull << 40},
        {"16777216TiB", false, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"", false, 0},
        {"KiB", false, 0},
        {"64 KiB", false, 0},
        {"64KiB ", false, 0},
        {"-1k", false, 0},
        {"1.5k", false, 0},
        {"64Ki", false, 0},
        {"1PiB", false, 0},
        {"1kibibyte", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(view_str(rows[i].text));
        uint64_t value = 4711;
        bool good = text_size(v, &value);

        check_row(&rows[i], good, value);
        block_free(v);
    }
}

static void reads_switches_in_four_spellings(void **state)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "TRUE", "Yes", "oN"},
                             *const no[] = {"false", "no", "off", "0", "FALSE", "No", "oFF"},
                             *const bad[] = {"",   "t",  "truee", " true", "true ", "2",
                                             "-1", "01", "y",     "n",     "enable"};
    bool value;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        value = false;
        assert_true(text_bool(view_str(yes[i]), &value));
        assert_true(value);
        assert_true(text_bool(view_str(no[i]), &value));
        assert_false(value);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(text_bool(view_str(bad[i]), &value));
}

static void writes_durations_and_sizes_that_read_back(void **state)
{
    static const struct {
        uint64_t value;
        const char *duration, *size;
    } rows[] = {
        {0, "0", "0"},
        {1, "1ms", "1"},
        {999, "999ms", "999"},
        {1000, "1s", "1000"},
        {1024, "1024ms", "1KiB"},
        {1500, "1500ms", "1500"},
        {60000, "1m", "60000"},
        {90000, "90s", "90000"},
        {65536, "65536ms", "64KiB"},
        {1 << 20, "1048576ms", "1MiB"},
        {3600000, "1h", "3600000"},
        {86400000, "1d", "84375KiB"},
        {1ull << 40, "1099511627776ms", "1TiB"},
        {1ull << 60, "1152921504606846976ms", "1048576TiB"},
        {UINT64_MAX, "18446744073709551615ms", "18446744073709551615"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[24];
        uint64_t back;

        assert_string_equal(text_size_format(rows[i].value, text), rows[i].size);
        assert_true(text_size(view_str(text_size_format(rows[i].value, text)), &back));
        assert_int_equal(back, rows[i].value);
        assert_string_equal(text_duration_format(rows[i].value, text), rows[i].duration);
        assert_true(text_duration_ms(view_str(text), 1, &back));
        assert_int_equal(back, rows[i].value);
    }
}

static void escapes_so_that_one_line_stays_one_line(void **state)
{
    static const struct {
        struct view in;
        const char *out;
    } rows[] = {
        {VIEW(""), ""},
        {VIEW("plain text, ümläut € 😀"), "plain text, ümläut € 😀"},
        {VIEW("a\nb\tc\"d\\e"), "a\\nb\\tc\\\"d\\\\e"},
        {VIEW("\r\0\x1b[31m\x7f"), "\\x0d\\x00\\x1b[31m\\x7f"},
        {VIEW("\x80\xff\xc0\x80"), "\\x80\\xff\\xc0\\x80"},
        {VIEW("\xe2\x82"), "\\xe2\\x82"},
        {VIEW("\xed\xa0\x80"), "\\xed\\xa0\\x80"},
        {VIEW("a\xc2\x85"
              "b"),
         "a\\xc2\\x85b"},
        {VIEW("\u202eevil"), "\\xe2\\x80\\xaeevil"},
        {VIEW("\u200b|\u2066|\ufeff|\u061c"),
         "\\xe2\\x80\\x8b|\\xe2\\x81\\xa6|\\xef\\xbb\\xbf|\\xd8\\x9c"},
        {VIEW("'/&<>%$`"), "'/&<>%$`"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(rows[i].in);
        char out[256];

        assert_int_equal(text_escape(v, 100, out, sizeof out), strlen(rows[i].out));
        assert_string_equal(out, rows[i].out);
        block_free(v);
    }
}

static void a_cut_escape_is_a_prefix_and_says_so_at_any_size(void **state)
{
    static const struct view in = VIEW("a\n€\xff😀\"\u202exyz");
    char whole[128], out[128];
    size_t all = text_escape(in, in.len, whole, sizeof whole);

    (void)state;
    for (size_t size = 0; size <= all + 2; size++) {
        size_t n;

        memset(out, '#', sizeof out);
        n = text_escape(in, in.len, out, size);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], '#');
        if (!size) {
            assert_int_equal(n, 0);
            continue;
        }
        assert_true(n < size);
        assert_int_equal(strlen(out), n);
        assert_true(utf8_valid(view_str(out)));
        if (size > all) {
            assert_string_equal(out, whole);
        } else if (size > strlen("…")) {
            assert_true(view_ends(view_str(out), VIEW("…")));
            assert_memory_equal(out, whole, n - strlen("…"));
        }
    }
}

static void takes_no_more_than_max_bytes_of_input(void **state)
{
    static const struct view in = VIEW("ab€cd");
    static const char *const expected[] = {"…",   "a…",   "ab…",   "ab…",
                                           "ab…", "ab€…", "ab€c…", "ab€cd"};

    (void)state;
    for (size_t max = 0; max < COUNT_OF(expected); max++) {
        char out[64];

        (void)text_escape(in, max, out, sizeof out);
        assert_string_equal(out, expected[max]);
    }
}

static bool hidden(uint32_t code)
{
    uint8_t bytes[4];
    size_t n = utf8_of(code, bytes);

    return text_hidden(view_from(bytes, n), n);
}

static void knows_the_characters_that_do_not_show(void **state)
{
    static const uint32_t bad[] = {0,       9,       0x1B,    0x1F,    0x7F,    0x80,   0x85,
                                   0x9F,    0xAD,    0x61C,   0x180E,  0x200B,  0x200D, 0x200E,
                                   0x200F,  0x2028,  0x2029,  0x202A,  0x202E,  0x2060, 0x2066,
                                   0x2069,  0x206F,  0xE000,  0xF8FF,  0xFEFF,  0xFFF9, 0xFFFB,
                                   0xE0001, 0xE007F, 0xE0100, 0xF0000, 0x10FFFD},
                          good[] = {0x20,   0x7E,    0xA0,    0xAC,   0xAE,   0xE9,
                                    0x61B,  0x61D,   0x200A,  0x2010, 0x2027, 0x202F,
                                    0x2070, 0x20AC,  0xD7FF,  0xF900, 0xFB00, 0xFE70,
                                    0xFFFD, 0x10000, 0x1F600, 0x2A6D6};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (!hidden(bad[i]))
            fail_msg("U+%04X", bad[i]);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (hidden(good[i]))
            fail_msg("U+%04X", good[i]);
}

static void trims_every_white_space_and_nothing_else(void **state)
{
    static const uint32_t blanks[] = {' ',    '\t',   '\n',   '\v',   '\f',   '\r',   0x85,
                                      0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
                                      0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A, 0x2028,
                                      0x2029, 0x202F, 0x205F, 0x3000};
    size_t found = 0;

    (void)state;
    for (uint32_t code = 0; code < 0x11000; code++) {
        uint8_t bytes[16] = {0};
        size_t n = utf8_of(code, bytes);
        bool blank = false;
        struct view v;

        for (size_t i = 0; i < COUNT_OF(blanks); i++)
            blank |= code == blanks[i];
        found += blank;
        bytes[n] = 'x';
        memcpy(bytes + n + 1, bytes, n);
        v = text_trim(view_from(bytes, 2 * n + 1));
        if (!view_eq(v, blank ? VIEW("x") : view_from(bytes, 2 * n + 1)))
            fail_msg("U+%04X", code);
    }
    assert_int_equal(found, COUNT_OF(blanks));
}

static void trims_both_ends_and_leaves_the_middle(void **state)
{
    static const struct {
        struct view in, out;
    } rows[] = {
        {VIEW(""), VIEW("")},
        {VIEW(" \t\r\n\u3000\xc2\xa0"), VIEW("")},
        {VIEW(" a b "), VIEW("a b")},
        {VIEW("\u2003 a\u2003b \u2003"), VIEW("a\u2003b")},
        {VIEW("\xa0x\xa0"), VIEW("\xa0x\xa0")}, /* a byte of U+00A0 alone is none */
        {VIEW("\x80\x80"), VIEW("\x80\x80")},
        {VIEW("é\xc2\xa0"), VIEW("é")},
        {VIEW("\0 "), VIEW("\0")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct view v = block(rows[i].in);

        assert_true(view_eq(text_trim(v), rows[i].out));
        block_free(v);
    }
    assert_int_equal(text_trim(view_from(NULL, 0)).len, 0);
}

static void counts_the_edits_between_words(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},
        {"abc", "", 3},
        {"abc", "abc", 0},
        {"abc", "abd", 1},
        {"abc", "ab", 1},
        {"abc", "xabc", 1},
        {"kitten", "sitting", 3},
        {"idle-timout", "idle-timeout", 1},
        {"ab", "ba", 2},
        {"intention", "execution", 5},
    };
    char a[200], b[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(text_distance(view_str(rows[i].a), view_str(rows[i].b)), rows[i].distance);
        assert_int_equal(text_distance(view_str(rows[i].b), view_str(rows[i].a)), rows[i].distance);
    }
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    assert_int_equal(text_distance(view_from(a, sizeof a), view_from(b, sizeof b)), 64);
    assert_int_equal(text_distance(view_from(a, sizeof a), view_from(a, 64)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers_that_are_digits_and_nothing_else),
        cmocka_unit_test(writes_numbers_in_decimal),
        cmocka_unit_test(knows_what_json_writes_as_it_is),
        cmocka_unit_test(reads_durations_with_units),
        cmocka_unit_test(a_bare_duration_is_in_the_unit_of_the_caller),
        cmocka_unit_test(reads_sizes_with_units),
        cmocka_unit_test(reads_switches_in_four_spellings),
        cmocka_unit_test(writes_durations_and_sizes_that_read_back),
        cmocka_unit_test(escapes_so_that_one_line_stays_one_line),
        cmocka_unit_test(a_cut_escape_is_a_prefix_and_says_so_at_any_size),
        cmocka_unit_test(takes_no_more_than_max_bytes_of_input),
        cmocka_unit_test(knows_the_characters_that_do_not_show),
        cmocka_unit_test(trims_every_white_space_and_nothing_else),
        cmocka_unit_test(trims_both_ends_and_leaves_the_middle),
        cmocka_unit_test(counts_the_edits_between_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
