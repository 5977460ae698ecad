#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/target.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define LABEL_63 "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz"

static void reads_every_kind_into_its_canonical_form(void **state)
{
    static const struct {
        const char *in;
        enum target_kind kind;
        const char *host;
        uint16_t port;
        const char *text;
    } rows[] = {
        {"tee.example.com:443", TARGET_NAME, "tee.example.com", 443, "tee.example.com:443"},
        {"TEE.Example.COM:443", TARGET_NAME, "tee.example.com", 443, "tee.example.com:443"},
        {"tee.example.com.:443", TARGET_NAME, "tee.example.com", 443, "tee.example.com:443"},
        {"tee.example.com:00443", TARGET_NAME, "tee.example.com", 443, "tee.example.com:443"},
        {"tee:1", TARGET_NAME, "tee", 1, "tee:1"},
        {"tee:65535", TARGET_NAME, "tee", 65535, "tee:65535"},
        {"_srv._tcp.a_b:1", TARGET_NAME, "_srv._tcp.a_b", 1, "_srv._tcp.a_b:1"},
        {"a--b.test:1", TARGET_NAME, "a--b.test", 1, "a--b.test:1"},
        {"xn--bcher-kva.example:443", TARGET_NAME, "xn--bcher-kva.example", 443,
         "xn--bcher-kva.example:443"},
        {"1.2.3.4.5x:80", TARGET_NAME, "1.2.3.4.5x", 80, "1.2.3.4.5x:80"},
        {"123.test:80", TARGET_NAME, "123.test", 80, "123.test:80"},
        {"0xcafe.test:80", TARGET_NAME, "0xcafe.test", 80, "0xcafe.test:80"},
        {"0xfoo:80", TARGET_NAME, "0xfoo", 80, "0xfoo:80"},
        {LABEL_63 ".test:80", TARGET_NAME, LABEL_63 ".test", 80, LABEL_63 ".test:80"},
        {"localhost:8443", TARGET_LOCALHOST, "localhost", 8443, "localhost:8443"},
        {"LocalHost.:8443", TARGET_LOCALHOST, "localhost", 8443, "localhost:8443"},
        {"localhost.test:1", TARGET_NAME, "localhost.test", 1, "localhost.test:1"},
        {"127.0.0.1:8443", TARGET_IP, "127.0.0.1", 8443, "127.0.0.1:8443"},
        {"255.255.255.255:1", TARGET_IP, "255.255.255.255", 1, "255.255.255.255:1"},
        {"[::1]:8443", TARGET_IP, "::1", 8443, "[::1]:8443"},
        {"[0:0:0:0:0:0:0:1]:8443", TARGET_IP, "::1", 8443, "[::1]:8443"},
        {"[2001:DB8:0::1]:443", TARGET_IP, "2001:db8::1", 443, "[2001:db8::1]:443"},
        {"[::ffff:127.0.0.1]:80", TARGET_IP, "::ffff:127.0.0.1", 80, "[::ffff:127.0.0.1]:80"},
        {"[::ffff:7f00:1]:80", TARGET_IP, "::ffff:127.0.0.1", 80, "[::ffff:127.0.0.1]:80"},
        {"unix:/run/app.sock", TARGET_UNIX, "/run/app.sock", 0, "unix:/run/app.sock"},
        {"Unix:28", TARGET_NAME, "unix", 28, "unix:28"},
        {"unix:/a:1", TARGET_UNIX, "/a:1", 0, "unix:/a:1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        struct target t;

        if (!target_parse(view_str(rows[i].in), &t, &err))
            fail_msg("%s: %s", rows[i].in, err.text);
        assert_int_equal(t.kind, rows[i].kind);
        assert_string_equal(t.host, rows[i].host);
        assert_int_equal(t.port, rows[i].port);
        assert_string_equal(t.text, rows[i].text);
        if (t.kind == TARGET_IP)
            assert_int_equal(t.addr.port, t.port);
    }
}

static void refuses_what_is_not_plainly_a_host_and_a_port(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        ":443",
        ".:443",
        "tee",
        "tee:",
        "tee:0",
        "tee:65536",
        "tee:99999999999999999999999999",
        "tee:-1",
        "tee:+1",
        "tee: 1",
        "tee:1 ",
        "tee:0x50",
        "tee:http",
        "tee:443x",
        "tee:443:443",
        " tee:443",
        "te e:443",
        "tee\t:443",
        "-tee:443",
        "tee-:443",
        "a.-b.test:1",
        "a..b:1",
        ".a:1",
        "a.b..:1",
        "user@tee:443",
        "http://tee:443",
        "tee/x:443",
        "tee?x:443",
        "tee#x:443",
        "tee%20:443",
        "tee\\x:443",
        "t\xc3\xa9"
        "e:443",
        "\xef\xbc\x91:443",
        "*.tee.test:443",
        "tee,other:443",
        /* what some resolver would take for an address */
        "2130706433:80",
        "0x7f000001:80",
        "0x7f.1:80",
        "017700000001:80",
        "0177.0.0.1:80",
        "127.1:80",
        "127.0.0.01:80",
        "127.0.0.256:80",
        "127.0.0.1.:80",
        "1.2.3.4.5:80",
        "foo.1:80",
        "foo.0x1f:80",
        "foo.0X1F:80",
        "foo.0x:80",
        "[127.0.0.1]:80",
        /* IPv6 without brackets, with a zone, with too much */
        "::1:443",
        "2001:db8::1:443",
        "[::1]",
        "[::1:443",
        "::1]:443",
        "[::1]443",
        "[::1]x:443",
        "[fe80::1%eth0]:443",
        "[fe80::1%25eth0]:443",
        "[]:443",
        "[:::]:443",
        "[1::2::3]:443",
        "[1:2:3:4:5:6:7:8:9]:443",
        "[::g]:443",
        LABEL_63 "x.test:80",
        /* Unix sockets */
        "unix:",
        "unix:relative",
        "unix:@abstract",
        "unix:/a b",
        "UNIX:/a",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct target t = {.port = 4711};
        struct err err = {0};

        if (target_parse(view_str(rows[i]), &t, &err))
            fail_msg("%s was taken for %s", rows[i], t.text);
        assert_int_equal(err.code, ERR_SYNTAX);
        assert_int_equal(t.port, 4711);
    }
}

static void refuses_a_nul_byte_anywhere(void **state)
{
    char good[] = "tee.test:443";
    struct target t;

    (void)state;
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char bad[sizeof good];

        memcpy(bad, good, sizeof good);
        bad[i] = '\0';
        assert_false(target_parse(view_from(bad, sizeof bad - 1), &t, NULL));
    }
    assert_false(target_parse(view_from(good, sizeof good), &t, NULL));
}

/* A name of len bytes in labels of 49. */
static void name_of(size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
    out[len] = '\0';
}

static void keeps_to_the_lengths_of_names(void **state)
{
    char name[300], text[320];
    struct target t;

    (void)state;
    name_of(253, name);
    (void)snprintf(text, sizeof text, "%s:65535", name);
    assert_true(target_parse(view_str(text), &t, NULL));
    assert_string_equal(t.host, name);
    assert_string_equal(t.text, text);
    (void)snprintf(text, sizeof text, "%s.:65535", name);
    assert_true(target_parse(view_str(text), &t, NULL));
    name_of(254, name);
    (void)snprintf(text, sizeof text, "%s:1", name);
    assert_false(target_parse(view_str(text), &t, NULL));
    (void)snprintf(text, sizeof text, "a.test:%0260u", 1u);
    assert_false(target_parse(view_str(text), &t, NULL));
    (void)snprintf(text, sizeof text, "unix:/%099u", 1u);
    assert_true(target_parse(view_str(text), &t, NULL));
    (void)snprintf(text, sizeof text, "unix:/%0100u", 1u);
    assert_false(target_parse(view_str(text), &t, NULL));
}

static void what_it_writes_it_reads_back_as_the_same(void **state)
{
    static const char *const rows[] = {"A.Test.:0080", "[::0001]:09", "1.2.3.4:5", "unix:/x",
                                       "LOCALHOST:1"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct target once, twice;

        assert_true(target_parse(view_str(rows[i]), &once, NULL));
        assert_true(target_parse(view_str(once.text), &twice, NULL));
        assert_string_equal(once.text, twice.text);
        assert_int_equal(once.kind, twice.kind);
        assert_true(addr_eq(&once.addr, &twice.addr));
    }
}

static void errors_say_what_to_do(void **state)
{
    static const struct {
        const char *in, *says;
    } rows[] = {
        {"tee", "no port"},
        {"[::1]", "no port"},
        {"tee:0", "1 to 65535"},
        {"::1:443", "brackets"},
        {"[fe80::1%eth0]:443", "zone"},
        {"0x7f.1:80", "four decimal numbers"},
        {"te e:1", "neither a DNS name"},
        {":1", "host is missing"},
        {"unix:x", "1 to 65535"},
        {"unix:/a b", "visible ASCII"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        struct target t;

        assert_false(target_parse(view_str(rows[i].in), &t, &err));
        if (!strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].in, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_into_its_canonical_form),
        cmocka_unit_test(refuses_what_is_not_plainly_a_host_and_a_port),
        cmocka_unit_test(refuses_a_nul_byte_anywhere),
        cmocka_unit_test(keeps_to_the_lengths_of_names),
        cmocka_unit_test(what_it_writes_it_reads_back_as_the_same),
        cmocka_unit_test(errors_say_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
