/* base64, hexadecimal and UTF-8, beside the vectors of their standards and beside brute force. */
#include "unit.h"

static const struct {
    const char *plain, *base64, *base64url, *hex;
} vectors[] = {
    /* RFC 4648, 10 */
    {"", "", "", ""},
    {"f", "Zg==", "Zg", "66"},
    {"fo", "Zm8=", "Zm8", "666f"},
    {"foo", "Zm9v", "Zm9v", "666f6f"},
    {"foob", "Zm9vYg==", "Zm9vYg", "666f6f62"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy", "666f6f626172"},
    /* the two characters in which the alphabets differ */
    {"\xfb\xff\xfe", "+//+", "-__-", "fbfffe"},
    {"\xff\xef", "/+8=", "_-8", "ffef"},
};

static void encodes_and_decodes_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct view plain = block(view_str(vectors[i].plain));
        uint8_t bytes[16];
        char text[32];
        size_t len;

        base64_encode(plain, text);
        assert_string_equal(text, vectors[i].base64);
        assert_int_equal(strlen(text), BASE64_LEN(plain.len));
        base64url_encode(plain, text);
        assert_string_equal(text, vectors[i].base64url);
        hex_encode(plain, text);
        assert_string_equal(text, vectors[i].hex);
        len = plain.len; /* just room enough */
        assert_true(base64_decode(view_str(vectors[i].base64), bytes, &len));
        assert_true(view_eq(view_from(bytes, len), plain));
        len = sizeof bytes;
        assert_true(base64url_decode(view_str(vectors[i].base64url), bytes, &len));
        assert_true(view_eq(view_from(bytes, len), plain));
        assert_true(hex_decode(view_str(vectors[i].hex), bytes, plain.len));
        assert_memory_equal(bytes, plain.at, plain.len);
        block_free(plain);
    }
}

static void every_length_and_byte_comes_back(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n++) {
        uint8_t in[300], out[300];
        char text[2 * 300 + 1];
        size_t len = n;

        for (size_t i = 0; i < n; i++)
            in[i] = (uint8_t)(i * 167 + n);
        base64_encode(view_from(in, n), text);
        assert_true(base64_decode(view_str(text), out, &len));
        assert_int_equal(len, n);
        assert_memory_equal(in, out, n);
        base64url_encode(view_from(in, n), text);
        len = n;
        assert_true(base64url_decode(view_str(text), out, &len));
        assert_int_equal(len, n);
        assert_memory_equal(in, out, n);
        hex_encode(view_from(in, n), text);
        assert_true(hex_decode(view_str(text), out, n));
        assert_memory_equal(in, out, n);
    }
}

static void base64_refuses_all_but_the_one_spelling(void **state)
{
    static const char *const bad[] = {
        "Z",        "Zg",       "Zg=",   "Zg===",    "Zh==",    "Zm9=",
        "Zm9vY",    "=",        "==",    "====",     "=Zg=",    "Z=g=",
        "Zg==Zg==", "Zm8=Zm9v", " Zg==", "Zg== ",    "Zg==\n",  "Zm9v\n",
        "Zm\n9v",   "Zm9v====", "-__-",  "Zm9v!A==", "Zg=\xc3", "\xff\xff\xff\xff",
        "A===",
    };
    static const char *const bad_url[] = {
        "Z", "Zh", "Zm9", "Zg==", "Zm8=", "+//+", "Zm9vY", "Zg\n", " Zg", "Zm 8"};
    uint8_t bytes[16];
    size_t len;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        len = sizeof bytes;
        if (base64_decode(view_str(bad[i]), bytes, &len))
            fail_msg("%s", bad[i]);
        assert_int_equal(len, sizeof bytes);
    }
    for (size_t i = 0; i < COUNT_OF(bad_url); i++) {
        len = sizeof bytes;
        if (base64url_decode(view_str(bad_url[i]), bytes, &len))
            fail_msg("%s", bad_url[i]);
    }
    len = sizeof bytes;
    assert_false(base64_decode(VIEW("AA\0A"), bytes, &len));
}

/* Of all last characters only those whose unused bits are zero. */
static void base64_refuses_bits_that_mean_nothing(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[3];

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        char one[] = {'A', alphabet[i], '=', '='}, two[] = {'A', 'A', alphabet[i], '='};
        size_t len = 3;

        assert_int_equal(base64_decode(view_from(one, 4), bytes, &len), i % 16 == 0);
        len = 3;
        assert_int_equal(base64_decode(view_from(two, 4), bytes, &len), i % 4 == 0);
    }
}

static void base64_accepts_64_characters_of_256(void **state)
{
    size_t good = 0, good_url = 0;

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t text[4] = {'A', (uint8_t)c, 'A', 'A'}, bytes[3];
        size_t len = 3;

        good += base64_decode(view_from(text, 4), bytes, &len);
        len = 3;
        good_url += base64url_decode(view_from(text, 4), bytes, &len);
    }
    assert_int_equal(good, 64);
    assert_int_equal(good_url, 64);
}

static void decoders_do_not_write_beyond_the_room(void **state)
{
    uint8_t bytes[6];
    size_t len;

    (void)state;
    for (size_t room = 0; room < 6; room++) {
        len = room;
        assert_false(base64_decode(VIEW("Zm9vYmFy"), bytes, &len));
        assert_int_equal(len, room);
        assert_false(base64url_decode(VIEW("Zm9vYmFy"), bytes, &len));
        assert_int_equal(len, room);
    }
    assert_false(hex_decode(VIEW("00"), bytes, 0));
}

static void hex_wants_twice_as_many_digits_in_either_case(void **state)
{
    static const char *const bad[] = {"", "0", "000", "0g", "g0", "0 ", " 0", "0x", "-1", "0\xc3"};
    uint8_t byte;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(hex_decode(view_str(bad[i]), &byte, 1));
    assert_true(hex_decode(VIEW("aF"), &byte, 1));
    assert_int_equal(byte, 0xAF);
    assert_true(hex_decode(VIEW("Fa"), &byte, 1));
    assert_int_equal(byte, 0xFA);
    for (unsigned c = 0; c < 256; c++) {
        uint8_t text[2] = {'0', (uint8_t)c};

        assert_int_equal(hex_decode(view_from(text, 2), &byte, 1),
                         c && strchr("0123456789abcdefABCDEF", (int)c) != NULL);
    }
}

/* The answer by definition: decode whatever the form says, then ask whether it is the shortest form of a
 * number that is a character. */
static bool is_character(const uint8_t *c, size_t n)
{
    uint32_t code = n == 1 ? c[0] : c[0] & (0x7Fu >> n);
    uint8_t again[4];

    for (size_t i = 1; i < n; i++) {
        if ((c[i] & 0xC0) != 0x80)
            return false;
        code = code << 6 | (c[i] & 0x3Fu);
    }
    return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) && utf8_of(code, again) == n &&
           memcmp(again, c, n) == 0;
}

static void utf8_knows_every_character_at_every_cut(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint8_t bytes[4];
        size_t n = utf8_of(code, bytes);
        bool good = code < 0xD800 || code > 0xDFFF;
        uint32_t found = 0;

        if (utf8_valid(view_from(bytes, n)) != good)
            fail_msg("U+%04X", code);
        if (utf8_first(view_from(bytes, n), &found) != (good ? n : 0) || (good && found != code))
            fail_msg("U+%04X is read as U+%04X", code, found);
        for (size_t cut = 1; good && cut < n; cut++) {
            struct utf8 u = {0};

            assert_true(utf8_feed(&u, view_from(bytes, cut)));
            assert_false(utf8_complete(&u));
            assert_true(utf8_feed(&u, view_from(bytes + cut, n - cut)));
            assert_true(utf8_complete(&u));
            assert_int_equal(utf8_first(view_from(bytes, cut), &found), 0);
        }
    }
}

/* All of two bytes; of three and four those at the borders of the ranges. */
static void utf8_refuses_what_is_no_character(void **state)
{
    static const uint8_t tails[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};

    (void)state;
    for (unsigned a = 0x80; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t c[4] = {(uint8_t)a, (uint8_t)b};
            size_t n = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;

            assert_false(utf8_valid(view_from(c, 1)));
            for (size_t k = 0; k < (n > 2 ? COUNT_OF(tails) : 1); k++) {
                for (size_t l = 0; l < (n > 3 ? COUNT_OF(tails) : 1); l++) {
                    c[2] = tails[k];
                    c[3] = tails[l];
                    if (utf8_valid(view_from(c, n)) !=
                        (a >= 0xC0 && a < 0xF8 && is_character(c, n)))
                        fail_msg("%02x %02x %02x %02x", c[0], c[1], c[2], c[3]);
                }
            }
        }
    }
}

static void utf8_fails_at_the_first_impossible_byte(void **state)
{
    static const struct {
        struct view bytes;
        size_t fails_at;
    } rows[] = {
        {VIEW("ab\xc0"), 2},
        {VIEW("\xe0\x9f"), 1},
        {VIEW("\xed\xa0"), 1},
        {VIEW("\xf0\x8f"), 1},
        {VIEW("\xf4\x90"), 1},
        {VIEW("\xf5"), 0},
        {VIEW("\xff"), 0},
        {VIEW("\xe2\x82"
              "a"),
         2},
        {VIEW("\xf0\x9f\x98\xc3"), 3},
        {VIEW("€\x80"), 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct utf8 u = {0};

        for (size_t k = 0; k < rows[i].fails_at; k++)
            assert_true(utf8_feed(&u, view_from(rows[i].bytes.at + k, 1)));
        assert_false(utf8_feed(&u, view_from(rows[i].bytes.at + rows[i].fails_at, 1)));
    }
}

/* ASCII is passed over in strides. */
static void utf8_sees_a_bad_byte_at_every_place(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            uint8_t bytes[40];

            memset(bytes, 0x7F, n);
            assert_true(utf8_valid(view_from(bytes, n)));
            bytes[at] = 0x80;
            if (utf8_valid(view_from(bytes, n)))
                fail_msg("not seen at %zu of %zu", at, n);
            bytes[at] = 0xC3;
            if (at + 1 < n)
                bytes[at + 1] = 0xA9;
            assert_int_equal(utf8_valid(view_from(bytes, n)), at + 1 < n);
        }
    }
}

static void the_first_character_is_not_looked_for_in_nothing(void **state)
{
    uint32_t code = 7;

    (void)state;
    assert_int_equal(utf8_first(view_from(NULL, 0), &code), 0);
    assert_int_equal(code, 7);
    assert_int_equal(utf8_first(VIEW("€x"), &code), 3);
    assert_int_equal(code, 0x20AC);
    assert_int_equal(utf8_first(VIEW("\0x"), &code), 1);
    assert_int_equal(code, 0);
    assert_true(utf8_valid(view_from(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_and_decodes_the_vectors),
        cmocka_unit_test(every_length_and_byte_comes_back),
        cmocka_unit_test(base64_refuses_all_but_the_one_spelling),
        cmocka_unit_test(base64_refuses_bits_that_mean_nothing),
        cmocka_unit_test(base64_accepts_64_characters_of_256),
        cmocka_unit_test(decoders_do_not_write_beyond_the_room),
        cmocka_unit_test(hex_wants_twice_as_many_digits_in_either_case),
        cmocka_unit_test(utf8_knows_every_character_at_every_cut),
        cmocka_unit_test(utf8_refuses_what_is_no_character),
        cmocka_unit_test(utf8_fails_at_the_first_impossible_byte),
        cmocka_unit_test(utf8_sees_a_bad_byte_at_every_place),
        cmocka_unit_test(the_first_character_is_not_looked_for_in_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
