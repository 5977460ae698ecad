#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/proxyproto.h"

#define COUNT(a)  (sizeof(a) / sizeof *(a))
#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define IPV4_PAIR "\xc6\x33\x64\x07\xc0\x00\x02\x01\xdc\x04\x01\xbb"
#define X10       "xxxxxxxxxx"

struct bytes {
    const char *at;
    size_t len;
};
#define BYTES(literal)               \
    {                                \
        literal, sizeof(literal) - 1 \
    }

/* As the parser sees it when the bytes come in a block of exactly this size. */
static enum proxy_result parse(const void *at, size_t len, struct proxy_header *out,
                               struct err *err)
{
    uint8_t *copy = malloc(len + !len);
    enum proxy_result result;

    assert_non_null(copy);
    memcpy(copy, at, len);
    result = proxy_header_parse(view_from(copy, len), out, err);
    free(copy);
    return result;
}

/* Every cut before the end of the header asks for more, and what follows it changes nothing. */
static void check_done(struct bytes in, const char *source, const char *destination, bool local)
{
    char text[ADDR_TEXT_BYTES];
    uint8_t longer[1024] = {0};
    struct proxy_header h;

    for (size_t cut = 0; cut < in.len; cut++)
        if (parse(in.at, cut, &h, NULL) != PROXY_MORE)
            fail_msg("cut at %zu of %zu", cut, in.len);
    memcpy(longer, in.at, in.len);
    memcpy(longer + in.len, "GET / HTTP/1.1\r\n", 16);
    for (size_t more = 0; more <= 16; more++) {
        memset(&h, 0xff, sizeof h);
        assert_int_equal(parse(longer, in.len + more, &h, NULL), PROXY_DONE);
        assert_int_equal(h.bytes, in.len);
        assert_int_equal(h.local, local);
        assert_string_equal(addr_format(&h.source, text), source);
        assert_string_equal(addr_format(&h.destination, text), destination);
    }
}

static void reads_version_1(void **state)
{
    static const struct {
        struct bytes in;
        const char *source, *destination;
        bool local;
    } rows[] = {
        {BYTES("PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n"), "198.51.100.7:56324",
         "192.0.2.1:443", false},
        {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
         "255.255.255.255:65535", "255.255.255.255:65535", false},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"), "1.2.3.4:0", "5.6.7.8:0", false},
        {BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"), "[2001:db8::7]:1", "[2001:db8::1]:2",
         false},
        {BYTES("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"), "1.2.3.4:1", "[::1]:2", false},
        {BYTES("PROXY UNKNOWN\r\n"), "-", "-", true},
        {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         "-", "-", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_done(rows[i].in, rows[i].source, rows[i].destination, rows[i].local);
}

static void reads_version_2(void **state)
{
    static const struct {
        struct bytes in;
        const char *source, *destination;
        bool local;
    } rows[] = {
        {BYTES(SIGNATURE "\x21\x11\x00\x0c" IPV4_PAIR), "198.51.100.7:56324", "192.0.2.1:443",
         false},
        {BYTES(SIGNATURE "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x01\x00\x02"),
         "[2001:db8::7]:1", "[2001:db8::1]:2", false},
        {BYTES(SIGNATURE "\x21\x11\x00\x14" IPV4_PAIR "\x04\x00\x05noops"), "198.51.100.7:56324",
         "192.0.2.1:443", false},
        {BYTES(SIGNATURE "\x20\x00\x00\x00"), "-", "-", true},
        {BYTES(SIGNATURE "\x20\x11\x00\x0c" IPV4_PAIR), "-", "-", true},
        {BYTES(SIGNATURE "\x20\x11\x00\x01x"), "-", "-", true},
        {BYTES(SIGNATURE "\x20\xff\x00\x01x"), "-", "-", true},
        {BYTES(SIGNATURE "\x21\x00\x00\x00"), "-", "-", true},
        {BYTES(SIGNATURE "\x21\x00\x00\x03xyz"), "-", "-", true},
        {BYTES(SIGNATURE "\x21\x31\x00\xd8" X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
                   X10 X10 X10 X10 X10 X10 X10 "xxxxxx"),
         "-", "-", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_done(rows[i].in, rows[i].source, rows[i].destination, rows[i].local);
}

static void reads_version_2_up_to_536_bytes(void **state)
{
    uint8_t header[PROXY_V2_BYTES_MAX + 1] = SIGNATURE "\x21\x11\x02\x08" IPV4_PAIR;
    struct proxy_header h;
    struct err err = {0};

    (void)state;
    check_done((struct bytes){(char *)header, PROXY_V2_BYTES_MAX}, "198.51.100.7:56324",
               "192.0.2.1:443", false);
    header[15]++;
    /* Refused as soon as the length is known: nobody waits for 64 KiB of TLVs. */
    assert_int_equal(parse(header, 16, &h, &err), PROXY_FAILED);
    header[14] = header[15] = 0xff;
    assert_int_equal(parse(header, 16, &h, &err), PROXY_FAILED);
    assert_non_null(strstr(err.text, "536"));
}

static void what_goes_wrong_stays_wrong_at_every_cut(void **state)
{
    static const struct bytes rows[] = {
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"),
        BYTES("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 ::1 1 2\r\n"),
        BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"),
        BYTES("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP6 [::1] [::1] 1 2\r\n"),
        BYTES("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"),
        BYTES("PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 1 2\r\n"),
        BYTES("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 005 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 +5 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n"),
        BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\0\r\n"),
        BYTES("PROXY \r\n"),
        BYTES("PROXY TCP4\r\n"),
        BYTES("PROXY UNKNOWNX\r\n"),
        BYTES("PROXY UNKNOWN " X10 X10 X10 X10 X10 X10 X10 X10 X10 "xx\r\n"),
        BYTES("PROXY TCP4 " X10 X10 X10 X10 X10 X10 X10 X10 X10 X10),
        BYTES(SIGNATURE "\x11\x11\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x31\x11\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x22\x11\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x12\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x22\x00\x24" X10 X10 X10 "xxxxxx"),
        BYTES(SIGNATURE "\x21\x10\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x01\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x41\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x32\x00\xd8" X10),
        BYTES(SIGNATURE "\x21\x11\x00\x0b\xc6\x33\x64\x07\xc0\x00\x02\x01\xdc\x04\x01"),
        BYTES(SIGNATURE "\x21\x11\x00\x00"),
        BYTES(SIGNATURE "\x21\x21\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x31\x00\x0c" IPV4_PAIR),
        BYTES(SIGNATURE "\x21\x11\xff\xff"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool failed = false;
        struct err err = {0};

        for (size_t cut = 0; cut <= rows[i].len; cut++) {
            struct proxy_header h = {.bytes = 4711};
            enum proxy_result r = parse(rows[i].at, cut, &h, &err);

            if (r != PROXY_FAILED && (failed || r != PROXY_MORE))
                fail_msg("row %zu cut at %zu: %d", i, cut, (int)r);
            failed = failed || r == PROXY_FAILED;
            assert_int_equal(h.bytes, 4711);
        }
        /* The row of 216 announced bytes never gets them. */
        if (!failed && rows[i].len != 12 + 4 + 10)
            fail_msg("row %zu was not refused", i);
        if (failed)
            assert_int_equal(err.code, ERR_SYNTAX);
    }
}

static void anything_else_is_no_header(void **state)
{
    static const struct bytes rows[] = {
        BYTES("GET / HTTP/1.1\r\n"),
        BYTES("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
        BYTES("PROXZ"),
        BYTES("\x16\x03\x01"),
        BYTES("\r\nGET"),
        BYTES("\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0b"),
        BYTES("PROXY\tTCP4"),
        BYTES("\0"),
    };
    struct proxy_header h;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(parse(rows[i].at, rows[i].len, &h, NULL), PROXY_NONE);
    assert_int_equal(parse("", 0, &h, NULL), PROXY_MORE);
}

static struct addr address(const char *text)
{
    struct addr a = {0};

    if (strcmp(text, "unix") == 0)
        a.family = AF_UNIX;
    else if (strcmp(text, "-") != 0)
        assert_true(addr_parse(view_str(text), &a));
    return a;
}

static void writes_version_1(void **state)
{
    static const struct {
        const char *source, *destination, *line;
    } rows[] = {
        {"198.51.100.7:56324", "192.0.2.1:443", "PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n"},
        {"[2001:db8::7]:1", "[2001:db8::1]:2", "PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"},
        {"[::ffff:1.2.3.4]:1", "5.6.7.8:2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"},
        {"1.2.3.4:1", "[2001:db8::1]:2", "PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 1 2\r\n"},
        {"[2001:db8::1]:1", "5.6.7.8:2", "PROXY TCP6 2001:db8::1 ::ffff:5.6.7.8 1 2\r\n"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"},
        {"unix", "1.2.3.4:1", "PROXY UNKNOWN\r\n"},
        {"1.2.3.4:1", "unix", "PROXY UNKNOWN\r\n"},
        {"-", "-", "PROXY UNKNOWN\r\n"},
    };
    uint8_t out[PROXY_V1_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr source = address(rows[i].source), destination = address(rows[i].destination);
        size_t len = strlen(rows[i].line);

        assert_int_equal(proxy_v1_write(&source, &destination, out, sizeof out), len);
        assert_memory_equal(out, rows[i].line, len);
        assert_int_equal(proxy_v1_write(&source, &destination, out, len), len);
        assert_int_equal(proxy_v1_write(&source, &destination, out, len - 1), 0);
    }
}

static void writes_version_2_with_its_tlvs(void **state)
{
    static const char expected[] =
        SIGNATURE "\x21\x11\x00\x1b" IPV4_PAIR "\x02\x00\x06tee:44\x05\x00\x03id7";
    struct addr source = address("198.51.100.7:56324"), destination = address("192.0.2.1:443");
    uint8_t out[PROXY_V2_BYTES_MAX];
    size_t len = sizeof expected - 1;

    (void)state;
    assert_int_equal(
        proxy_v2_write(&source, &destination, VIEW("id7"), VIEW("tee:44"), out, sizeof out), len);
    assert_memory_equal(out, expected, len);
    assert_int_equal(
        proxy_v2_write(&source, &destination, VIEW("id7"), VIEW("tee:44"), out, len - 1), 0);
    assert_int_equal(proxy_v2_write(&source, &destination, VIEW(""), VIEW(""), out, sizeof out),
                     28);
    assert_memory_equal(out, SIGNATURE "\x21\x11\x00\x0c" IPV4_PAIR, 28);
    source.family = AF_UNIX;
    assert_int_equal(proxy_v2_write(&source, &destination, VIEW(""), VIEW("a:1"), out, sizeof out),
                     22);
    assert_memory_equal(out,
                        SIGNATURE "\x20\x00\x00\x06\x02\x00\x03"
                                  "a:1",
                        22);
}

static void version_2_has_room_for_the_longest_tlvs_and_no_longer(void **state)
{
    struct addr source = address("[2001:db8::7]:1"), destination = address("[2001:db8::1]:2");
    uint8_t out[PROXY_V2_BYTES_MAX], text[TARGET_BYTES_MAX + 1];
    struct proxy_header h;
    size_t n;

    (void)state;
    memset(text, 'x', sizeof text);
    n = proxy_v2_write(&source, &destination, view_from(text, 128),
                       view_from(text, TARGET_BYTES_MAX), out, sizeof out);
    assert_true(n > 128 + TARGET_BYTES_MAX && n <= sizeof out);
    assert_int_equal(proxy_header_parse(view_from(out, n), &h, NULL), PROXY_DONE);
    assert_int_equal(h.bytes, n);
    assert_int_equal(
        proxy_v2_write(&source, &destination, view_from(text, 129), VIEW(""), out, sizeof out), 0);
    assert_int_equal(proxy_v2_write(&source, &destination, VIEW(""),
                                    view_from(text, TARGET_BYTES_MAX + 1), out, sizeof out),
                     0);
}

static void reads_what_it_writes(void **state)
{
    static const char *const rows[] = {"1.2.3.4:5", "[2001:db8::7]:65535", "0.0.0.0:0"};
    uint8_t out[PROXY_V2_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct addr a = address(rows[i]);
        struct proxy_header h;
        size_t n = proxy_v1_write(&a, &a, out, sizeof out);

        assert_int_equal(proxy_header_parse(view_from(out, n), &h, NULL), PROXY_DONE);
        assert_true(addr_eq(&h.source, &a) && addr_eq(&h.destination, &a) && h.bytes == n);
        n = proxy_v2_write(&a, &a, VIEW("id"), VIEW("a:1"), out, sizeof out);
        assert_int_equal(proxy_header_parse(view_from(out, n), &h, NULL), PROXY_DONE);
        assert_true(addr_eq(&h.source, &a) && addr_eq(&h.destination, &a) && h.bytes == n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_version_1),
        cmocka_unit_test(reads_version_2),
        cmocka_unit_test(reads_version_2_up_to_536_bytes),
        cmocka_unit_test(what_goes_wrong_stays_wrong_at_every_cut),
        cmocka_unit_test(anything_else_is_no_header),
        cmocka_unit_test(writes_version_1),
        cmocka_unit_test(writes_version_2_with_its_tlvs),
        cmocka_unit_test(version_2_has_room_for_the_longest_tlvs_and_no_longer),
        cmocka_unit_test(reads_what_it_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
