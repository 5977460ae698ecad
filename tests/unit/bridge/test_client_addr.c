#include "request.h"

#include "bridge/client_addr.h"

static struct cidr trusted[2];

static int setup(void **state)
{
    (void)state;
    return cidr_parse(VIEW("127.0.0.0/24"), &trusted[0], NULL) &&
                   cidr_parse(VIEW("fd00::/8"), &trusted[1], NULL)
               ? 0
               : -1;
}

/* "-": the fields contradict each other. */
static const char *find(const char *fields, bool peer_trusted, char out[static ADDR_TEXT_BYTES])
{
    static struct request r;
    struct addr peer, found;
    struct err err = {0};
    char lines[512];

    (void)snprintf(lines, sizeof lines, "Host: bridge.test\r\n%s", fields);
    assert_true(addr_parse(VIEW("127.0.0.1:5000"), &peer));
    if (!request_make(&r, "/", lines))
        fail_msg("%s", fields);
    if (!client_addr_find(&r.head, &peer, peer_trusted, trusted, 2, &found, &err)) {
        assert_true(addr_eq(&found, &peer));
        assert_non_null(strstr(err.text, "contradict"));
        return "-";
    }
    return addr_format(&found, out);
}

#define X    "X-Forwarded-For: "
#define F    "Forwarded: "
#define PEER "127.0.0.1:5000"

static void walks_from_the_right_over_trusted_proxies(void **state)
{
    static const struct {
        const char *fields, *expected;
    } rows[] = {
        {"", PEER},
        {X "198.51.100.7\r\n", "198.51.100.7:0"},
        {X "203.0.113.9, 198.51.100.7\r\n", "198.51.100.7:0"},
        {X "203.0.113.9,198.51.100.7,127.0.0.50\r\n", "198.51.100.7:0"},
        {X "203.0.113.9, 198.51.100.7 , 127.0.0.50,\tfd00::1\r\n", "198.51.100.7:0"},
        {X "203.0.113.9\r\n" X "198.51.100.7\r\n", "198.51.100.7:0"},
        {X "198.51.100.7\r\n" X "127.0.0.50\r\n", "198.51.100.7:0"},
        {"x-forwarded-for: 198.51.100.7\r\n", "198.51.100.7:0"},
        {X "198.51.100.7:1234\r\n", "198.51.100.7:1234"},
        {X "2001:db8::7\r\n", "[2001:db8::7]:0"},
        {X "[2001:db8::7]\r\n", "[2001:db8::7]:0"},
        {X "[2001:db8::7]:443\r\n", "[2001:db8::7]:443"},
        {X "::ffff:198.51.100.7\r\n", "198.51.100.7:0"},
        {X "198.51.100.7, ::ffff:127.0.0.9\r\n", "198.51.100.7:0"},
        {X ",, 198.51.100.7 ,,\r\n", "198.51.100.7:0"},
        {X "203.0.113.9, garbage\r\n", PEER},
        {X "garbage, 198.51.100.7\r\n", "198.51.100.7:0"},
        {X "198.51.100.7, 127.0.0.50, unknown, 127.0.0.51\r\n", "127.0.0.51:0"},
        {X "\r\n", PEER},
        {X "127.0.0.50, 127.0.0.51\r\n", "127.0.0.50:0"},
        {X "198.51.100.07\r\n", PEER},
        {X "198.51.100\r\n", PEER},
        {X "198.51.100.7:\r\n", PEER},
        {X "198.51.100.7:65536\r\n", PEER},
        {X "fe80::1%eth0\r\n", PEER},
        {X "\"198.51.100.7\"\r\n", PEER},
        {"X-Real-IP: 198.51.100.7\r\n", PEER},
        {F "for=198.51.100.7\r\n", "198.51.100.7:0"},
        {F "For=198.51.100.7;proto=https\r\n", "198.51.100.7:0"},
        {F "proto=https ; for=198.51.100.7 ; by=127.0.0.1\r\n", "198.51.100.7:0"},
        {F "for=\"198.51.100.7:4711\"\r\n", "198.51.100.7:4711"},
        {F "for=\"[2001:db8::7]:4711\";proto=https\r\n", "[2001:db8::7]:4711"},
        {F "for=\"[2001:db8::7]\"\r\n", "[2001:db8::7]:0"},
        {F "for=\"198.51.100.7:_port\"\r\n", "198.51.100.7:0"},
        {F "for=203.0.113.9, for=198.51.100.7;by=127.0.0.1\r\n", "198.51.100.7:0"},
        {F "for=203.0.113.9, for=198.51.100.7, for=127.0.0.9\r\n", "198.51.100.7:0"},
        {F "for=\"x, for=198.51.100.7\r\n", "198.51.100.7:0"},
        {F "for=2001:db8::7\r\n", PEER},
        {F "for=_hidden\r\n", PEER},
        {F "for=unknown\r\n", PEER},
        {F "for=\r\n", PEER},
        {F "for\r\n", PEER},
        {F "by=198.51.100.7\r\n", PEER},
        {F "xfor=198.51.100.7\r\n", PEER},
        {F "for=198.51.100.7;for=198.51.100.8\r\n", PEER},
        {F "for=\"198.51.100.7\r\n", PEER},
    };
    char text[ADDR_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *got = find(rows[i].fields, true, text);

        if (strcmp(got, rows[i].expected) != 0)
            fail_msg("%s: %s", rows[i].fields, got);
        assert_string_equal(find(rows[i].fields, false, text), PEER);
    }
}

static void fields_that_contradict_each_other_are_refused(void **state)
{
    static const struct {
        const char *fields, *expected;
    } rows[] = {
        {X "198.51.100.7\r\n" F "for=198.51.100.7\r\n", "198.51.100.7:0"},
        {X "198.51.100.7:1\r\n" F "for=\"198.51.100.7:2\"\r\n", "198.51.100.7:1"},
        {X "203.0.113.9, 198.51.100.7\r\n" F "for=198.51.100.7, for=127.0.0.4\r\n",
         "198.51.100.7:0"},
        {X "198.51.100.7\r\n" F "for=203.0.113.9\r\n", "-"},
        {F "for=203.0.113.9\r\n" X "198.51.100.7\r\n", "-"},
        {X "198.51.100.7\r\n" F "for=127.0.0.9\r\n", "-"},
        {X "198.51.100.7\r\n" F "for=unknown\r\n", "198.51.100.7:0"},
        {X "nonsense\r\n" F "for=198.51.100.7\r\n", "198.51.100.7:0"},
    };
    char text[ADDR_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *got = find(rows[i].fields, true, text);

        if (strcmp(got, rows[i].expected) != 0)
            fail_msg("%s: %s", rows[i].fields, got);
        assert_string_equal(find(rows[i].fields, false, text), PEER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_from_the_right_over_trusted_proxies),
        cmocka_unit_test(fields_that_contradict_each_other_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
