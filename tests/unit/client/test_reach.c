/* Which addresses a request may go to, and which proxies it goes through. */
#include "world.h"

#include "client/client_priv.h"

static struct addr address(const char *text)
{
    struct addr a;

    assert_true(addr_parse_ip(view_str(text), false, &a));
    return a;
}

static void the_table_of_addresses(void **state)
{
    static const struct {
        const char *text;
        bool private;
    } cases[] = {
        {"0.0.0.0", true},
        {"0.1.2.3", true},
        {"1.0.0.0", false},
        {"9.255.255.255", false},
        {"10.0.0.0", true},
        {"10.255.255.255", true},
        {"11.0.0.0", false},
        {"100.63.255.255", false},
        {"100.64.0.0", true},
        {"100.127.255.255", true},
        {"100.128.0.1", false},
        {"126.255.255.255", false},
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"128.0.0.0", false},
        {"169.253.255.255", false},
        {"169.254.0.0", true},
        {"169.254.169.254", true},
        {"169.255.0.0", false},
        {"172.15.255.255", false},
        {"172.16.0.0", true},
        {"172.31.255.255", true},
        {"172.32.0.1", false},
        {"192.167.255.255", false},
        {"192.168.0.0", true},
        {"192.168.255.255", true},
        {"192.169.0.0", false},
        {"223.255.255.255", false},
        {"224.0.0.1", true},
        {"239.255.255.255", true},
        {"240.0.0.1", true},
        {"255.255.255.255", true},
        {"8.8.8.8", false},
        {"::", true},
        {"::1", true},
        {"::ffff:127.0.0.1", true},
        {"::ffff:10.1.2.3", true},
        {"::ffff:8.8.8.8", false},
        {"::127.0.0.1", true},
        {"64:ff9b::a01:203", true},
        {"64:ff9b::808:808", false},
        {"64:ff9b:1::808:808", true},
        {"2002:a01:203::1", true},
        {"2002:7f00:1::", true},
        {"2002:808:808::1", false},
        {"2001::1", true},
        {"fc00::1", true},
        {"fdff::1", true},
        {"fe80::1", true},
        {"febf::1", true},
        {"fec0::1", true},
        {"ff02::1", true},
        {"2606:4700::1111", false},
        {"4000::1", true},
        {"fd00:ec2::254", true},
        {"2001:db8::1", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr a = address(cases[i].text);

        if (client_address_private(&a) != cases[i].private)
            fail_msg("%s", cases[i].text);
        assert_int_equal(client_name_private(view_str(cases[i].text)), cases[i].private);
    }
}

static void the_table_of_names(void **state)
{
    static const struct {
        const char *name;
        bool private;
    } cases[] = {
        {"localhost", true},
        {"LocalHost", true},
        {"localhost.", true},
        {"a.localhost", true},
        {"internal", true},
        {"metadata.google.internal", true},
        {"a.INTERNAL.", true},
        {"printer.local", true},
        {"local", true},
        {"example.com", false},
        {"mylocalhost", false},
        {"notinternal", false},
        {"internal.example", false},
        {"local.com", false},
        {"localhost.example", false},
        {"", false},
        {".", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (client_name_private(view_str(cases[i].name)) != cases[i].private)
            fail_msg("%s", cases[i].name);
}

static void start(struct world *w, struct asker *c, const char *url, enum client_reach reach)
{
    caller_start(w, c,
                 &(struct client_request){
                     .method = VIEW("GET"), .url = view_str(url), .reach = reach, .redirects = 3});
}

static void names_and_literals_are_refused_unasked(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1:PORT/",
        "http://localhost:PORT/",
        "http://LOCALHOST.:PORT/",
        "http://[::1]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "https://127.0.0.1:PORT/",
        "http://x.internal:PORT/",
        "http://x.local:PORT/",
        "http://0.0.0.0:PORT/",
        "http://[64:ff9b::7f00:1]:PORT/",
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(urls); i++) {
        const char *port = strstr(urls[i], "PORT");
        struct asker c = {0};
        char url[256];

        (void)snprintf(url, sizeof url, "%.*s%u/?key=hidden", (int)(port - urls[i]), urls[i],
                       w->port);
        start(w, &c, url, CLIENT_PUBLIC);
        check_end(w, &c, CLIENT_DENIED);
        assert_int_equal(c.end.err.code, ERR_DENIED);
        assert_null(strstr(c.end.err.text, "hidden"));
    }
    nobody_comes(w);
    assert_int_equal(dns_server_asked(w->dns, NULL, DNS_A), 0);
}

static void addresses_of_names_are_judged(void **state)
{
    static const struct dns_rule rules[] = {
        {.ttl = 60, .addresses = {"127.0.0.1"}},
        {.ttl = 60, .addresses = {"192.0.2.1", "127.0.0.1"}},
        {.ttl = 60, .addresses = {"8.8.8.8", "127.0.0.1"}}, /* one of them is enough */
        {.ttl = 60, .addresses = {"10.0.0.1", "8.8.8.8"}},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT(rules); i++) {
        struct asker c = {0};
        char name[32], url[64];

        (void)snprintf(name, sizeof name, "a%zu.test", i);
        (void)snprintf(url, sizeof url, "http://%s:%u/", name, w->port);
        dns_server_say(w->dns, name, DNS_A, &rules[i]);
        start(w, &c, url, CLIENT_PUBLIC);
        check_end(w, &c, CLIENT_DENIED);
        assert_non_null(strstr(c.end.err.text, name));
        nobody_comes(w);
    }
}

static void an_address_of_the_other_family_counts(void **state)
{
    struct world *w = *state;
    struct asker c = {0};

    dns_server_say(w->dns, "a.test", DNS_A,
                   &(struct dns_rule){.ttl = 60, .addresses = {"8.8.8.8"}});
    dns_server_say(w->dns, "a.test", DNS_AAAA,
                   &(struct dns_rule){.ttl = 60, .hold = true, .addresses = {"::1"}});
    start(w, &c, "http://a.test/", CLIENT_PUBLIC);
    some_turns(w);
    assert_int_equal(c.dones, 0); /* nothing is dialled before both are known */
    dns_server_release(w->dns, "a.test", DNS_AAAA);
    check_end(w, &c, CLIENT_DENIED);
}

static void elsewhere_it_may_go(void **state)
{
    static const enum client_reach reaches[] = {CLIENT_ANYWHERE, CLIENT_WARN};
    struct world *w = *state;

    dns_server_say(w->dns, "a.test", DNS_A,
                   &(struct dns_rule){.ttl = 60, .addresses = {"127.0.0.1"}});
    for (size_t i = 0; i < COUNT(reaches); i++) {
        struct asker c = {0};
        char url[64];
        int fd;

        (void)snprintf(url, sizeof url, "http://A.test:%u/", w->port);
        start(w, &c, url, reaches[i]);
        fd = serve(w);
        assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "Host: a.test:"));
        say(w, fd, "HTTP/1.1 204 No Content\r\n\r\n");
        check_answer(w, &c, 204, "");
        close(fd);
    }
}

static void a_warning_is_a_line_in_the_log(void **state)
{
    struct world *w = *state;
    struct log_sink *sink;
    struct log *log;
    char path[] = "/tmp/client-log-XXXXXX", text[4096], url[64];
    const char *const hosts[] = {"a.test", "127.0.0.1"};
    int fd = mkostemp(path, O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0 && unlink(path) == 0);
    assert_true(log_sink_new(fd, LOG_JSON, LOG_INFO, &w->clock, &sink, NULL));
    assert_true(log_new(sink, &log, NULL));
    use_client(w, &(struct client_options){.log = log});
    dns_server_say(w->dns, "a.test", DNS_A,
                   &(struct dns_rule){.ttl = 60, .addresses = {"127.0.0.1"}});
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct asker c = {0};
        int server;

        (void)snprintf(url, sizeof url, "http://%s:%u/?key=hidden", hosts[i], w->port);
        start(w, &c, url, CLIENT_WARN);
        server = serve(w);
        (void)heard(w, server, "\r\n\r\n");
        say(w, server, "HTTP/1.1 204 No Content\r\n\r\n");
        check_answer(w, &c, 204, "");
        close(server);
    }
    n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "client.not_public"));
    assert_non_null(strstr(text, "\"host\":\"a.test\",\"address\":\"127.0.0.1\""));
    assert_non_null(strstr(text, "\"host\":\"127.0.0.1\""));
    assert_null(strstr(text, "hidden"));
    client_free(w->client);
    w->client = NULL;
    log_sink_free(sink);
    close(fd);
}

/* A public server (to our rules) that points inside. It is reached through a proxy, which is the only way to have one here. */
static void a_redirect_inside_is_refused(void **state)
{
    static const char *const inside[] = {"http://127.0.0.1/", "http://localhost/",
                                         "http://169.254.169.254/latest/meta-data/",
                                         "http://[::ffff:10.0.0.1]/"};
    struct world *w = *state;
    char proxy[128], text[256];
    char *environment[] = {proxy, NULL};
    int fd;

    (void)snprintf(proxy, sizeof proxy, "HTTP_PROXY=%s", w->origin);
    use_client(w, &(struct client_options){.environment = environment});
    for (size_t i = 0; i < COUNT(inside); i++) {
        struct asker c = {0};

        start(w, &c, "http://a.test/", CLIENT_PUBLIC);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 302 Found\r\nLocation: %s\r\nConnection: close\r\n"
                       "Content-Length: 0\r\n\r\n",
                       inside[i]);
        say(w, fd, text);
        check_end(w, &c, CLIENT_DENIED);
        assert_int_equal(c.heads, 0);
        close(fd);
        nobody_comes(w);
    }
}

/* --- proxies --- */

static const struct client_proxy *proxy_of(const char *const *environment, bool https,
                                           const char *host, uint16_t port,
                                           struct client_proxies *p)
{
    struct err err = {0};

    if (!client_proxies_read((char **)(uintptr_t)environment, p, &err))
        fail_msg("%s", err.text);
    return client_proxy_for(p, https, view_str(host), port);
}

static void check_proxy(const char *const *environment, bool https, const char *expected)
{
    struct client_proxies p;
    const struct client_proxy *proxy = proxy_of(environment, https, "a.test", 80, &p);

    if (expected) {
        assert_non_null(proxy);
        assert_string_equal(proxy->host, expected);
    } else {
        assert_null(proxy);
    }
    client_proxies_done(&p);
}

static void proxies_of_the_environment(void **state)
{
    static const struct {
        const char *environment[4];
        const char *http, *https;
    } cases[] = {
        {{NULL}, NULL, NULL},
        {{"HTTP_PROXY=http://p:1"}, "p", NULL},
        {{"http_proxy=p:1"}, "p", NULL},
        {{"HTTPS_PROXY=http://p:1/"}, NULL, "p"},
        {{"https_proxy=http://p:1"}, NULL, "p"},
        {{"ALL_PROXY=http://p:1"}, "p", "p"},
        {{"all_proxy=http://p:1", "HTTP_PROXY=q:1"}, "q", "p"},
        {{"HTTP_PROXY=p:1", "http_proxy=q:1"}, "p", NULL},
        {{"HTTP_PROXY=", "http_proxy= q:1 "}, "q", NULL},
        {{"HTTP_PROXY=p:1", "REQUEST_METHOD=GET"}, NULL, NULL},
        {{"http_proxy=p:1", "REQUEST_METHOD=GET"}, "p", NULL},
        {{"HTTPS_PROXY=p:1", "REQUEST_METHOD=GET"}, NULL, "p"},
        {{"HTTP_PROXY=http://[::1]:1"}, "::1", NULL},
        {{"ALL_PROXY=p:1", "NO_PROXY=*"}, NULL, NULL},
        {{"XHTTP_PROXY=p:1", "HTTP_PROXYX=p:1"}, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_proxy(cases[i].environment, false, cases[i].http);
        check_proxy(cases[i].environment, true, cases[i].https);
    }
}

static void exceptions_from_proxies(void **state)
{
    static const struct {
        const char *no_proxy, *host;
        uint16_t port;
        bool direct;
    } cases[] = {
        {"", "a.test", 80, false},
        {"*", "a.test", 80, true},
        {"a.test", "a.test", 80, true},
        {"a.test", "b.a.test", 80, true},
        {".a.test", "b.a.test", 80, true},
        {".a.test", "a.test", 80, true},
        {"a.test", "ba.test", 80, false},
        {"A.Test", "a.test", 80, true},
        {" x , a.test ,y", "a.test", 80, true},
        {"a.test:81", "a.test", 80, false},
        {"a.test:80", "a.test", 80, true},
        {"10.0.0.0/8", "10.1.2.3", 80, true},
        {"10.0.0.0/8", "11.1.2.3", 80, false},
        {"10.1.2.3", "10.1.2.3", 80, true},
        {"10.1.2.3:81", "10.1.2.3", 80, false},
        {"fd00::/8", "fd00::1", 80, true},
        {"[fd00::1]:80", "fd00::1", 80, true},
        {"fd00::1", "fd00::1", 80, true},
        {"10.0.0.0/8", "a.test", 80, false},
        {"3", "10.1.2.3", 80, false},
        {".", "a.test", 80, false},
        {"test", "a.test", 80, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char no[64];
        const char *const environment[] = {"ALL_PROXY=p:1", no, NULL};
        struct client_proxies p;

        (void)snprintf(no, sizeof no, "%s=%s", i % 2 ? "NO_PROXY" : "no_proxy", cases[i].no_proxy);
        if (!proxy_of(environment, false, cases[i].host, cases[i].port, &p) != cases[i].direct)
            fail_msg("%s for %s", no, cases[i].host);
        client_proxies_done(&p);
    }
}

static void proxies_that_cannot_be_used(void **state)
{
    static const char *const cases[] = {"HTTP_PROXY=socks5://user:hidden@p:1",
                                        "HTTP_PROXY=https://user:hidden@p:1",
                                        "HTTP_PROXY=http://user:hidden@p:99999"};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environment[] = {cases[i], NULL};
        struct client_proxies p;
        struct err err;

        assert_false(client_proxies_read((char **)(uintptr_t)environment, &p, &err));
        assert_non_null(strstr(err.text, "HTTP_PROXY"));
        assert_null(strstr(err.text, "hidden"));
    }
}

static void http_goes_to_the_proxy_as_a_whole_url(void **state)
{
    struct world *w = *state;
    struct asker c = {0}, d = {0};
    char proxy[128];
    char *environment[] = {proxy, NULL};
    int fd;

    (void)snprintf(proxy, sizeof proxy, "HTTP_PROXY=http://user:p%%40ss@127.0.0.1:%u", w->port);
    use_client(w, &(struct client_options){.environment = environment});
    get(w, &c, "http://a.test/x?y#z");
    fd = serve(w);
    assert_string_equal(heard(w, fd, "\r\n\r\n"),
                        "GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n"
                        "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n");
    say(w, fd, "HTTP/1.1 204 No Content\r\n\r\n");
    check_answer(w, &c, 204, "");
    get(w, &d, "http://a.test:8080?y");
    close(fd);
    fd = serve(w);
    assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), "GET http://a.test:8080/?y HTTP/1.1\r\n"));
    say(w, fd, "HTTP/1.1 204 No Content\r\n\r\n");
    check_answer(w, &d, 204, "");
    close(fd);
    assert_int_equal(dns_server_asked(w->dns, NULL, DNS_A), 0); /* that is the proxy's to do */
}

static void https_asks_the_proxy_for_a_tunnel(void **state)
{
    static const struct {
        const char *answer;
        enum client_outcome outcome;
        const char *text;
    } cases[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", CLIENT_CONNECT,
         "407"},
        {"HTTP/1.1 502 Bad Gateway\r\n\r\n", CLIENT_CONNECT, "502"},
        {"HTTP/1.1 200 OK\r\n\r\nunasked", CLIENT_CONNECT, "went on"},
        {"nonsense\r\n\r\n", CLIENT_CONNECT, "proxy 127.0.0.1"},
        {"", CLIENT_CONNECT, "proxy 127.0.0.1"},
        {"HTTP/1.1 200 Connection established\r\n\r\n", CLIENT_CONNECT, "TLS handshake"},
    };
    struct world *w = *state;
    char proxy[128];
    char *environment[] = {proxy, NULL};

    (void)snprintf(proxy, sizeof proxy, "HTTPS_PROXY=http://user:hidden@127.0.0.1:%u", w->port);
    use_client(w, &(struct client_options){.environment = environment});
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asker c = {0};
        int fd;

        get(w, &c, "https://a.test/");
        fd = serve(w);
        assert_string_equal(heard(w, fd, "\r\n\r\n"),
                            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"
                            "Proxy-Authorization: Basic dXNlcjpoaWRkZW4=\r\n\r\n");
        say(w, fd, cases[i].answer);
        some_turns(w);
        close(fd);
        check_end(w, &c, cases[i].outcome);
        if (!strstr(c.end.err.text, cases[i].text))
            fail_msg("%s", c.end.err.text);
        assert_null(strstr(c.end.err.text, "hidden"));
    }
}

static void rules_hold_behind_proxies(void **state)
{
    struct world *w = *state;
    struct asker c = {0}, d = {0};
    char proxy[128];
    char *environment[] = {proxy, NULL};
    int fd;

    (void)snprintf(proxy, sizeof proxy, "ALL_PROXY=%s", w->origin);
    use_client(w, &(struct client_options){.environment = environment});
    start(w, &c, "http://10.0.0.1/", CLIENT_PUBLIC);
    check_end(w, &c, CLIENT_DENIED);
    nobody_comes(w);
    start(w, &d, "http://a.test/", CLIENT_PUBLIC); /* the proxy itself may be anywhere */
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 204 No Content\r\n\r\n");
    check_answer(w, &d, 204, "");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_addresses),
        cmocka_unit_test(the_table_of_names),
        world_test(names_and_literals_are_refused_unasked),
        world_test(addresses_of_names_are_judged),
        world_test(an_address_of_the_other_family_counts),
        world_test(elsewhere_it_may_go),
        world_test(a_warning_is_a_line_in_the_log),
        world_test(a_redirect_inside_is_refused),
        cmocka_unit_test(proxies_of_the_environment),
        cmocka_unit_test(exceptions_from_proxies),
        cmocka_unit_test(proxies_that_cannot_be_used),
        world_test(http_goes_to_the_proxy_as_a_whole_url),
        world_test(https_asks_the_proxy_for_a_tunnel),
        world_test(rules_hold_behind_proxies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
