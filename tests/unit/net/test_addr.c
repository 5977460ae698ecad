#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/addr.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct addr ip(const char *text)
{
    struct addr a = {0};

    if (!addr_parse_ip(view_str(text), false, &a))
        fail_msg("%s does not parse", text);
    return a;
}

static void prints_addresses_in_the_canonical_form(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:DB8::1", "2001:db8::1"},
        {"2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},   /* the first of two equal runs */
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* one group stays */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* the longer run */
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:2:3::5:6:7:8", "1:2:3:0:5:6:7:8"},
        {"fe80:0:0:0:0:0:0:0", "fe80::"},
        {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
        {"::ffff:102:304", "::ffff:1.2.3.4"},
        {"::ffff:0.0.0.0", "::ffff:0.0.0.0"},
        {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    char text[ADDR_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr a = ip(cases[i].in), again;

        assert_string_equal(addr_ip_format(&a, text), cases[i].out);
        again = ip(text);
        assert_true(addr_eq(&a, &again));
    }
}

static void refuses_what_is_no_literal(void **state)
{
    static const char *const cases[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "0x1.2.3.4",
        "1.2.3.-4",
        "1..3.4",
        "localhost",
        ":",
        ":::",
        "1:2",
        "1:2:3:4:5:6:7",
        "1::2::3",
        "1:::2",
        "12345::",
        "g::",
        "::1%lo",
        "1:2:3:4:5:6:7:8:9",
        ":1::2",
        "1::2:",
        "[::1]",
        "::1.2.3",
        "::1.2.3.4:5",
        "1.2.3.4::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "2130706433",
        "::ffff:1.2.3.04",
    };
    struct addr a;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (addr_parse_ip(view_str(cases[i]), false, &a))
            fail_msg("\"%s\" was taken", cases[i]);
    assert_false(addr_parse_ip(view_from("1.2.3.4\0", 8), false, &a));
    assert_false(addr_parse_ip(view_from(NULL, 0), false, &a));
}

static void wants_brackets_where_a_port_could_follow(void **state)
{
    struct addr a;

    (void)state;
    assert_true(addr_parse_ip(VIEW("[::1]"), true, &a));
    assert_true(addr_parse_ip(VIEW("1.2.3.4"), true, &a));
    assert_false(addr_parse_ip(VIEW("::1"), true, &a));
    assert_false(addr_parse_ip(VIEW("[1.2.3.4]"), true, &a));
    assert_false(addr_parse_ip(VIEW("[]"), true, &a));
    assert_false(addr_parse_ip(VIEW("["), true, &a));
    assert_false(addr_parse_ip(VIEW("[::1"), true, &a));
}

static void reads_and_prints_ports(void **state)
{
    static const char *const good[] = {"1.2.3.4:443", "[2001:db8::1]:65535", "[::]:0"};
    static const char *const bad[] = {
        "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:+1", "::1:443", "[::1]443",
        "[::1]:",  ":443",     "1.2.3.4:0443",  "name:443",   ""};
    char text[ADDR_TEXT_BYTES];
    struct addr a;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(addr_parse(view_str(good[i]), &a));
        assert_string_equal(addr_format(&a, text), good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (addr_parse(view_str(bad[i]), &a))
            fail_msg("\"%s\" was taken", bad[i]);
    a = (struct addr){.family = AF_UNIX};
    assert_string_equal(addr_format(&a, text), "unix");
    assert_string_equal(addr_ip_format(&a, text), "unix");
    a = (struct addr){.family = AF_UNSPEC};
    assert_string_equal(addr_format(&a, text), "-");
}

static void goes_through_sockaddr_and_back(void **state)
{
    static const char *const cases[] = {"1.2.3.4:443", "[2001:db8::1]:8443"};
    struct sockaddr_storage ss;
    struct addr a, b;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(addr_parse(view_str(cases[i]), &a));
        assert_int_equal(addr_to_sockaddr(&a, &ss),
                         i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        addr_from_sockaddr((struct sockaddr *)&ss, &b);
        assert_true(addr_eq(&a, &b));
    }
    memset(&ss, 0, sizeof ss);
    ss.ss_family = AF_UNIX;
    addr_from_sockaddr((struct sockaddr *)&ss, &b);
    assert_int_equal(b.family, AF_UNIX);
    ss.ss_family = AF_NETLINK;
    addr_from_sockaddr((struct sockaddr *)&ss, &b);
    assert_int_equal(b.family, AF_UNSPEC);
}

static void compares_address_and_port(void **state)
{
    struct addr a = ip("1.2.3.4"), b = ip("1.2.3.4"), m = ip("::ffff:1.2.3.4");

    (void)state;
    b.port = 1;
    assert_true(addr_ip_eq(&a, &b));
    assert_false(addr_eq(&a, &b));
    assert_false(addr_ip_eq(&a, &m));
    addr_unmap(&m);
    assert_true(addr_eq(&a, &m));
    m = ip("::fffe:1.2.3.4");
    addr_unmap(&m);
    assert_int_equal(m.family, AF_INET6);
}

static void knows_what_lies_in_a_range(void **state)
{
    static const struct {
        const char *range, *address;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::10.1.2.3", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "1.2.3.4", false},
        {"::/0", "::ffff:1.2.3.4", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.1.2.3", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1/128", "::1", true},
    };
    struct err err;
    struct cidr c;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr a = ip(cases[i].address);

        assert_true(cidr_parse(view_str(cases[i].range), &c, &err));
        if (cidr_contains(&c, &a) != cases[i].inside)
            fail_msg("%s in %s", cases[i].address, cases[i].range);
    }
}

static void refuses_bad_ranges(void **state)
{
    static const char *const cases[] = {
        "",           "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8/8", "10.0.0.0/-1",
        "fd00::/129", "fd00::1/8", "name/8",      "[fd00::/8",  "10.0.0.0/08",  "/8"};
    struct err err;
    struct cidr c;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        err = (struct err){0};
        if (cidr_parse(view_str(cases[i]), &c, &err))
            fail_msg("\"%s\" was taken", cases[i]);
        assert_int_equal(err.code, ERR_SYNTAX);
    }
}

static void sorts_addresses_into_kinds_of_places(void **state)
{
    static const struct {
        const char *ip;
        enum addr_class class;
    } cases[] = {
        {"1.1.1.1", ADDR_GLOBAL},
        {"223.255.255.255", ADDR_GLOBAL},
        {"172.32.0.1", ADDR_GLOBAL},
        {"100.128.0.1", ADDR_GLOBAL},
        {"2606:4700::1111", ADDR_GLOBAL},
        {"10.0.0.1", ADDR_PRIVATE},
        {"172.16.0.1", ADDR_PRIVATE},
        {"172.31.255.255", ADDR_PRIVATE},
        {"192.168.1.1", ADDR_PRIVATE},
        {"100.64.0.1", ADDR_PRIVATE},
        {"fd12:3456::1", ADDR_PRIVATE},
        {"fc00::1", ADDR_PRIVATE},
        {"127.0.0.1", ADDR_LOOPBACK},
        {"127.255.0.1", ADDR_LOOPBACK},
        {"::1", ADDR_LOOPBACK},
        {"169.254.1.1", ADDR_LINK_LOCAL},
        {"fe80::1", ADDR_LINK_LOCAL},
        {"febf::1", ADDR_LINK_LOCAL},
        {"169.254.169.254", ADDR_METADATA},
        {"100.100.100.200", ADDR_METADATA},
        {"168.63.129.16", ADDR_METADATA},
        {"fd00:ec2::254", ADDR_METADATA},
        {"fd20:ce::254", ADDR_METADATA},
        {"fd00:ec2::255", ADDR_PRIVATE},
        {"0.0.0.0", ADDR_SPECIAL},
        {"0.1.2.3", ADDR_SPECIAL},
        {"192.0.2.1", ADDR_SPECIAL},
        {"198.18.0.1", ADDR_SPECIAL},
        {"198.51.100.1", ADDR_SPECIAL},
        {"203.0.113.1", ADDR_SPECIAL},
        {"224.0.0.1", ADDR_SPECIAL},
        {"240.0.0.1", ADDR_SPECIAL},
        {"255.255.255.255", ADDR_SPECIAL},
        {"::", ADDR_SPECIAL},
        {"::127.0.0.1", ADDR_SPECIAL},
        {"2001:db8::1", ADDR_SPECIAL},
        {"2001::1", ADDR_SPECIAL},
        {"fec0::1", ADDR_SPECIAL},
        {"ff02::1", ADDR_SPECIAL},
        {"4000::1", ADDR_SPECIAL},
        {"64:ff9b:1::1", ADDR_SPECIAL},
        /* IPv4 inside other forms */
        {"::ffff:1.1.1.1", ADDR_GLOBAL},
        {"::ffff:127.0.0.1", ADDR_LOOPBACK},
        {"::ffff:169.254.169.254", ADDR_METADATA},
        {"::ffff:10.0.0.1", ADDR_PRIVATE},
        {"::ffff:0.0.0.0", ADDR_SPECIAL},
        {"64:ff9b::127.0.0.1", ADDR_LOOPBACK},
        {"64:ff9b::169.254.169.254", ADDR_METADATA},
        {"64:ff9b::1.1.1.1", ADDR_GLOBAL},
        {"2002:7f00:1::", ADDR_LOOPBACK},
        {"2002:a9fe:a9fe::1", ADDR_METADATA},
        {"2002:101:101::1", ADDR_GLOBAL},
    };
    struct addr a = {.family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr b = ip(cases[i].ip);

        if (addr_classify(&b) != cases[i].class)
            fail_msg("%s is %s", cases[i].ip, addr_class_name(addr_classify(&b)));
    }
    assert_int_equal(addr_classify(&a), ADDR_SPECIAL);
    assert_string_equal(addr_class_name(ADDR_LINK_LOCAL), "link-local");
}

/* The C library as a second opinion, on addresses with runs of zeros everywhere. */
static void agrees_with_the_c_library(void **state)
{
    char ours[ADDR_TEXT_BYTES], theirs[INET6_ADDRSTRLEN];

    (void)state;
    for (unsigned mask = 0; mask < 256; mask++) {
        struct addr a = {.family = AF_INET6}, back;

        for (size_t i = 0; i < 8; i++)
            if (mask & 1u << i)
                a.ip[i * 2 + (mask & 1)] = (uint8_t)(i + 0x1a);
        addr_ip_format(&a, ours);
        assert_non_null(inet_ntop(AF_INET6, a.ip, theirs, sizeof theirs));
        if ((mask & 0x3f) != 0) /* it prints IPv4-compatible addresses with a dotted quad */
            assert_string_equal(ours, theirs);
        assert_true(addr_parse_ip(view_str(theirs), false, &back));
        assert_true(addr_ip_eq(&a, &back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_addresses_in_the_canonical_form),
        cmocka_unit_test(refuses_what_is_no_literal),
        cmocka_unit_test(wants_brackets_where_a_port_could_follow),
        cmocka_unit_test(reads_and_prints_ports),
        cmocka_unit_test(goes_through_sockaddr_and_back),
        cmocka_unit_test(compares_address_and_port),
        cmocka_unit_test(knows_what_lies_in_a_range),
        cmocka_unit_test(refuses_bad_ranges),
        cmocka_unit_test(sorts_addresses_into_kinds_of_places),
        cmocka_unit_test(agrees_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
