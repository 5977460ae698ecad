/* Which web pages may speak to the gateway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "ati/gateway/gateway_priv.h"

static void judges_pages_by_their_origin(void **state)
{
    static const struct {
        const char *origin, *host, *allowed;
        bool good; /* when the caller was verified … */
        bool open; /* … and when not */
    } cases[] = {
        {"", "gateway:8090", NULL, true, true},
        {"http://gateway:8090", "gateway:8090", NULL, true, false},
        {"https://gateway", "gateway", NULL, true, false},
        {"https://gateway", "gateway:443", NULL, true, false},
        {"http://gateway", "gateway:8090", NULL, false, false},
        {"http://localhost:3000", "127.0.0.1:8090", NULL, true, true},
        {"http://[::1]:3000", "localhost:8090", NULL, true, true},
        {"http://evil.example", "127.0.0.1:8090", NULL, false, false},
        {"http://127.0.0.1.evil.example", "127.0.0.1:8090", NULL, false, false},
        {"http://localhost:3000", "gateway:8090", NULL, false, false},
        {"null", "127.0.0.1:8090", NULL, false, false},
        {"file://", "127.0.0.1:8090", NULL, false, false},
        {"https://app.example", "gateway", "https://other.example, https://app.example", true,
         true},
        {"https://app.example", "gateway", "*", true, true},
        {"https://app.example", "gateway", "", false, false},
        {"https://app.example.evil", "gateway", "https://app.example", false, false},
        {"http://10.0.0.5:8090", "10.0.0.5:8090", NULL, true, true},
        {"http://a.localhost:1", "a.localhost:1", NULL, true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int verified = 0; verified < 2; verified++)
            if (page_origin_good(view_str(cases[i].origin), view_str(cases[i].host),
                                 cases[i].allowed,
                                 verified) != (verified ? cases[i].good : cases[i].open))
                fail_msg("%s to %s, %d", cases[i].origin, cases[i].host, verified);
}

static void knows_hosts_that_no_name_server_speaks_for(void **state)
{
    static const char *const fixed[] = {"127.0.0.1", "10.1.2.3:80", "[::1]:8090",
                                        "localhost", "LOCALHOST:1", "a.b.localhost:8090"};
    static const char *const named[] = {"",
                                        "gateway",
                                        "rebind.example:8090",
                                        "localhost.example",
                                        "127.0.0.1.example",
                                        "xlocalhost",
                                        "1.2.3",
                                        "a:b:c"};

    (void)state;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (!page_host_fixed(view_str(fixed[i])))
            fail_msg("%s", fixed[i]);
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (page_host_fixed(view_str(named[i])))
            fail_msg("%s", named[i]);
}

static void reads_both_from_the_request(void **state)
{
    static const struct {
        const char *fields;
        bool good;
    } cases[] = {
        {"Host: gateway\r\n", true},
        {"Host: gateway\r\nOrigin: http://gateway\r\n", true},
        {"Host: gateway\r\nOrigin: http://other\r\n", false},
        {"Host: gateway\r\nOrigin: http://gateway\r\nOrigin: http://gateway\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_parser parser;
        struct http_head head;
        char text[256];

        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n", cases[i].fields);
        http_parser_init(&parser);
        assert_int_equal(http_request_parse(&parser, view_str(text), &head), HTTP_DONE);
        if (page_may_speak(&head, NULL, true) != cases[i].good)
            fail_msg("%s", cases[i].fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_pages_by_their_origin),
        cmocka_unit_test(knows_hosts_that_no_name_server_speaks_for),
        cmocka_unit_test(reads_both_from_the_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
