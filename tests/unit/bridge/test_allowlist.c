#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/allowlist.h"
#include "bridge/policy.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { PLAIN = 0, PATTERNS = 1, CIDR_NAMES = 2, LAX = 4, FILE_ = 8 };

static unsigned warnings;
static char last_warning[ERR_TEXT_BYTES];

static void note(void *context, const char *sentence)
{
    assert_ptr_equal(context, &warnings);
    warnings++;
    (void)snprintf(last_warning, sizeof last_warning, "%s", sentence);
}

static bool add(struct allowlist *list, const char *text, int flags, struct err *err)
{
    struct allowlist_options options = {
        .lax = flags & LAX,
        .patterns = flags & PATTERNS,
        .cidr_names = flags & CIDR_NAMES,
        .file = flags & FILE_,
        .source = flags & FILE_ ? "list.txt" : "ATLS_PROXY_ALLOWLIST",
        .warn = note,
        .context = &warnings,
    };

    return allowlist_add(list, view_str(text), &options, err);
}

/* NULL: the text was refused. */
static struct allowlist *parse(const char *text, int flags, struct err *err)
{
    struct allowlist *list = NULL;

    assert_true(allowlist_new(&list, NULL));
    if (add(list, text, flags, err))
        return list;
    allowlist_free(list);
    return NULL;
}

static const struct allow_entry *match(const struct allowlist *list, const char *requested,
                                       struct target *t, bool *by_pattern)
{
    return allowlist_match(list, view_str(requested), t, by_pattern);
}

static bool admits(const struct allowlist *list, const char *requested)
{
    struct target t;
    bool by_pattern;

    return match(list, requested, &t, &by_pattern) != NULL;
}

static void reads_lists_in_any_good_spelling(void **state)
{
    static const struct {
        const char *text;
        int flags;
        size_t count;
    } rows[] = {
        {"", PLAIN, 0},
        {",", PLAIN, 0},
        {" , ,\t", PLAIN, 0},
        {"a:1", PLAIN, 1},
        {"a:1,", PLAIN, 1},
        {",a:1", PLAIN, 1},
        {"a:1,,b:2,", PLAIN, 2},
        {" a:1 , b:2 ", PLAIN, 2},
        {"\ta:1\r\n,\v\fb:2", PLAIN, 2},
        {"\xc2\xa0"
         "a:1\xe2\x80\x83,\xe3\x80\x80"
         "b:2",
         PLAIN, 2},
        {"a:1,a:1", PLAIN, 1},
        {"a:1,A:1,a.:1,a:01", PLAIN, 1},
        {"a:1,a:2", PLAIN, 2},
        {"localhost:8443,vllm.concrete-security.com:443", PLAIN, 2},
        {"tee1.example.com:443,tee1.example.com:8443,tee2.example.com:443", PLAIN, 3},
        {"127.0.0.1:8443", PLAIN, 1},
        {"[::1]:8443,[0::1]:8443", PLAIN, 1},
        {"[2001:db8::1]:443", PLAIN, 1},
        {"a_b.test:1", PLAIN, 1},
        {"unix:/run/a.sock,unix:/run/b.sock,unix:/run/a.sock", PLAIN, 2},
        {"a:1=10.0.0.1", PLAIN, 1},
        {"a:1=10.0.0.1+10.0.0.2+[2001:db8::1]+2001:db8::2", PLAIN, 1},
        {"a:1;proxy=v1,b:1;proxy=v2,c:1;proxy=off", PLAIN, 3},
        {"a:1 ; proxy=v2", PLAIN, 1},
        {"a:1=10.0.0.1;proxy=v1,a:1=10.0.0.1;proxy=v1", PLAIN, 1},
        {"*.example.com:443", PATTERNS, 1},
        {"*.Example.COM.:443", PATTERNS, 1},
        {"10.0.0.0/8:8443", PATTERNS, 1},
        {"10.1.2.3/32:8443", PATTERNS, 1},
        {"0.0.0.0/0:443", PATTERNS, 1},
        {"[fd00::]/8:443", PATTERNS, 1},
        {"[::]/0:443", PATTERNS, 1},
        {"host:8000-8010", PATTERNS, 1},
        {"host:8000-8000", PATTERNS, 1},
        {"*.example.com:1-65535", PATTERNS, 1},
        {"10.0.0.0/8:1-2;proxy=v1", PATTERNS, 1},
        {"host:80-90=10.0.0.1", PATTERNS, 1},
        {"a:1\nb:2\n", FILE_, 2},
        {"a:1,b:2\r\nc:3", FILE_, 3},
        {"# nothing\n\n  # here\n", FILE_, 0},
        {"a:1 # the first, and not: b:2\nc:3", FILE_, 2},
        {"a:1 b:2", LAX, 0},
        {"nonsense,a:1", LAX, 1},
        {"*.example.com:443,a:1", LAX, 1},
        {"a:1,http://b:2,c:3", LAX, 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};
        struct allowlist *list = parse(rows[i].text, rows[i].flags, &err);

        if (!list)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
        if (allowlist_count(list) != rows[i].count)
            fail_msg("\"%s\": %zu entries", rows[i].text, allowlist_count(list));
        for (size_t k = 0; k < allowlist_count(list); k++)
            assert_int_equal(allowlist_at(list, k)->index, k);
        allowlist_free(list);
    }
}

static void refuses_entries_that_could_never_match_and_says_why(void **state)
{
    static const struct {
        const char *text;
        int flags;
        const char *says;
    } rows[] = {
        {"a:1,b:2,tee.example.com", PLAIN,
         "ATLS_PROXY_ALLOWLIST: allowlist entry 3 \"tee.example.com\" has no port; write "
         "tee.example.com:443"},
        {"[::1]", PLAIN, "has no port; write [::1]:443"},
        {"localhost", PLAIN, "localhost:443"},
        {"a:", PLAIN, "1 to 65535"},
        {"a:0", PLAIN, "1 to 65535"},
        {"a:65536", PLAIN, "1 to 65535"},
        {"a:44x", PLAIN, "1 to 65535"},
        {"a:-1", PLAIN, "1 to 65535"},
        {":443", PLAIN, "host is missing"},
        {"a b:443", PLAIN, "character"},
        {"a\x01:443", PLAIN, "\"a\\x01:443\" holds a character"},
        {"a\tb:443", PLAIN, "character"},
        {"http://a:443", PLAIN, "without scheme and path"},
        {"a/b:443", PLAIN, "without scheme and path"},
        {"u@a:443", PLAIN, "character"},
        {"a?b:443", PLAIN, "character"},
        {"a#b:443", PLAIN, "character"},
        {"a%41:443", PLAIN, "character"},
        {"a\\b:443", PLAIN, "character"},
        {"\"a:443\"", PLAIN, "character"},
        {"t\xc3\xa9"
         "e:443",
         PLAIN, "character"},
        {"::1:443", PLAIN, "brackets"},
        {"[::1:443", PLAIN, "IPv6"},
        {"[fe80::1]x:443", PLAIN, "IPv6"},
        {"256.1.1.1:80", PLAIN, "number"},
        {"2130706433:80", PLAIN, "number"},
        {"0x7f.1:80", PLAIN, "number"},
        {"127.1:80", PLAIN, "number"},
        {"a..b:443", PLAIN, "neither"},
        {"-a:443", PLAIN, "neither"},
        {"unix:relative", PLAIN, "1 to 65535"},
        {"*.example.com:443", PLAIN, "needs --allow-patterns"},
        {"*:443", PLAIN, "needs --allow-patterns"},
        {"10.0.0.0/8:80", PLAIN, "needs --allow-patterns"},
        {"[fd00::]/8:80", PLAIN, "needs --allow-patterns"},
        {"a:80-90", PLAIN, "needs --allow-patterns"},
        {"*:443", PATTERNS, "*.example.com:443"},
        {"*.com:443", PATTERNS, "too far"},
        {"*.com.:443", PATTERNS, "too far"},
        {"*.*.example.com:443", PATTERNS, "wildcard"},
        {"a*.example.com:443", PATTERNS, "wildcard"},
        {"a.*.example.com:443", PATTERNS, "wildcard"},
        {"**.example.com:443", PATTERNS, "wildcard"},
        {"*.:443", PATTERNS, "wildcard"},
        {"*.0.0.1:443", PATTERNS, "wildcard"},
        {"*.example.com", PATTERNS, "has no port"},
        {"10.0.0.0/33:80", PATTERNS, "0 to 32"},
        {"10.0.0.1/8:80", PATTERNS, "bits set"},
        {"[::]/129:80", PATTERNS, "0 to 128"},
        {"[10.0.0.0]/8:80", PATTERNS, "address range"},
        {"fd00::/8:80", PATTERNS, "address range"},
        {"a/8:80", PATTERNS, "IP address"},
        {"10.0.0.0/8", PATTERNS, "has no port"},
        {"a:9-8", PATTERNS, "port range"},
        {"a:0-5", PATTERNS, "1 to 65535"},
        {"a:1-65536", PATTERNS, "port range"},
        {"a:1-", PATTERNS, "port range"},
        {"a:1-2-3", PATTERNS, "port range"},
        {"a:1=", PLAIN, "no IP address behind '='"},
        {"a:1=b", PLAIN, "no IP address behind '='"},
        {"a:1=10.0.0.1+", PLAIN, "no IP address behind '='"},
        {"a:1=10.0.0.1:80", PLAIN, "no IP address behind '='"},
        {"a:1=1.1.1.1+1.1.1.1+1.1.1.1+1.1.1.1+1.1.1.1+1.1.1.1+1.1.1.1+1.1.1.1+1.1.1.1", PLAIN,
         "more than 8"},
        {"10.0.0.1:1=10.0.0.2", PLAIN, "only a name"},
        {"unix:/a=10.0.0.2", PLAIN, "only a name"},
        {"*.example.com:1=10.0.0.2", PATTERNS, "only a name"},
        {"a:1;", PLAIN, "option"},
        {"a:1;proxy", PLAIN, "option"},
        {"a:1;proxy=v3", PLAIN, "option"},
        {"a:1;limit=3", PLAIN, "option"},
        {"a:1;proxy=v1;proxy=v1", PLAIN, "twice"},
        {"a:1,a:1;proxy=v1", PLAIN, "entry 2 \"a:1;proxy=v1\" repeats another entry"},
        {"a:1=10.0.0.1,A:1=10.0.0.2", PLAIN, "repeats another entry"},
        {"a:1\n# b\nc:3,d\n", FILE_, "list.txt:3: allowlist entry 3 \"d\" has no port"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {0};

        if (parse(rows[i].text, rows[i].flags, &err))
            fail_msg("\"%s\" was accepted", rows[i].text);
        assert_int_equal(err.code, ERR_CONFIG);
        if (!strstr(err.text, rows[i].says))
            fail_msg("\"%s\": %s", rows[i].text, err.text);
    }
}

static void matches_exact_entries_by_bytes_or_by_meaning(void **state)
{
    static const struct {
        const char *list, *requested, *target; /* NULL: refused */
    } rows[] = {
        {"a.test:443", "a.test:443", "a.test:443"},
        {"A.Test:443", "A.Test:443", "a.test:443"},
        {"A.Test:443", "a.test:443", "a.test:443"},
        {"a.test:443", "A.TEST:443", "a.test:443"},
        {"a.test:443", "a.test.:443", "a.test:443"},
        {"a.test.:443", "a.test:443", "a.test:443"},
        {"a.test:443", "a.test:0443", "a.test:443"},
        {"a.test:0443", "a.test:443", "a.test:443"},
        {"a.test:443", "a.test..:443", NULL},
        {"a.test:443", "a.test", NULL},
        {"a.test:443", "a.test:", NULL},
        {"a.test:443", "a.test:44", NULL},
        {"a.test:443", "a.test:4430", NULL},
        {"a.test:443", " a.test:443", NULL},
        {"a.test:443", "a.test:443 ", NULL},
        {"a.test:443", "xa.test:443", NULL},
        {"a.test:443", "x.a.test:443", NULL},
        {"a.test:443", "a.test.evil:443", NULL},
        {"a.test:443", "", NULL},
        {"a.test:443", "a.test:443,a.test:443", NULL},
        {"a.test:443;proxy=v1", "a.test:443;proxy=v1", NULL},
        {"a.test:443;proxy=v1", "a.test:443", "a.test:443"},
        {"a.test:443=10.0.0.1", "a.test:443=10.0.0.1", NULL},
        {"a.test:443=10.0.0.1", "a.test:443", "a.test:443"},
        {"a.test:443=10.0.0.1", "10.0.0.1:443", NULL},
        {"[::1]:8443", "[::1]:8443", "[::1]:8443"},
        {"[::1]:8443", "[0:0::1]:8443", "[::1]:8443"},
        {"[::1]:8443", "[::1]:8444", NULL},
        {"[::1]:8443", "::1:8443", NULL},
        {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", NULL},
        {"127.0.0.1:80", "127.1:80", NULL},
        {"127.0.0.1:80", "2130706433:80", NULL},
        {"127.0.0.1:80", "localhost:80", NULL},
        {"localhost:80", "127.0.0.1:80", NULL},
        {"localhost:80", "LOCALHOST.:80", "localhost:80"},
        {"unix:/run/a", "unix:/run/a", "unix:/run/a"},
        {"unix:/run/a", "unix:/run//a", NULL},
        {"unix:/run/a", "unix:/run/A", NULL},
        {"unix:/run/a", "unix:/run/../run/a", NULL},
        {"a.test:443", "unix:/run/a", NULL},
        {"", "a.test:443", NULL},
        {"", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct allowlist *list = parse(rows[i].list, PLAIN, NULL);
        struct target t = {.port = 4711};
        const struct allow_entry *e;
        bool by_pattern;

        assert_non_null(list);
        e = match(list, rows[i].requested, &t, &by_pattern);
        if (!e != !rows[i].target)
            fail_msg("%s in %s: %s", rows[i].requested, rows[i].list, e ? "admitted" : "refused");
        assert_false(by_pattern);
        if (e) {
            assert_string_equal(t.text, rows[i].target);
            assert_ptr_equal(e, allowlist_at(list, 0));
        } else {
            assert_int_equal(t.port, 4711);
        }
        allowlist_free(list);
    }
}

static void matches_patterns_as_they_say(void **state)
{
    static const struct {
        const char *list;
        int flags;
        const char *requested;
        bool good;
    } rows[] = {
        {"*.example.com:443", PATTERNS, "a.example.com:443", true},
        {"*.example.com:443", PATTERNS, "A.EXAMPLE.com.:443", true},
        {"*.example.com:443", PATTERNS, "example.com:443", false},
        {"*.example.com:443", PATTERNS, "a.b.example.com:443", false},
        {"*.example.com:443", PATTERNS, ".example.com:443", false},
        {"*.example.com:443", PATTERNS, "a.example.com:444", false},
        {"*.example.com:443", PATTERNS, "aexample.com:443", false},
        {"*.example.com:443", PATTERNS, "a.example.com.evil.test:443", false},
        {"*.example.com:443", PATTERNS, "*.example.com:443", false},
        {"*.example.com:443", PATTERNS, "10.0.0.1:443", false},
        {"10.0.0.0/8:8443", PATTERNS, "10.9.8.7:8443", true},
        {"10.0.0.0/8:8443", PATTERNS, "10.9.8.7:08443", true},
        {"10.0.0.0/8:8443", PATTERNS, "11.0.0.0:8443", false},
        {"10.0.0.0/8:8443", PATTERNS, "10.9.8.7:443", false},
        {"10.0.0.0/8:8443", PATTERNS, "[::ffff:10.9.8.7]:8443", true},
        {"10.0.0.0/8:8443", PATTERNS, "a.test:8443", false},
        {"10.0.0.0/8:8443", PATTERNS, "10.0.0.0/8:8443", false},
        {"10.0.0.0/8:8443", PATTERNS | CIDR_NAMES, "a.test:8443", true},
        {"10.0.0.0/8:8443", PATTERNS | CIDR_NAMES, "a.test:8444", false},
        {"10.0.0.0/8:8443", PATTERNS | CIDR_NAMES, "localhost:8443", false},
        {"127.0.0.0/8:8443", PATTERNS, "localhost:8443", false},
        {"[fd00::]/8:443", PATTERNS, "[fd12::1]:443", true},
        {"[fd00::]/8:443", PATTERNS, "[fe00::1]:443", false},
        {"[::]/0:443", PATTERNS, "1.2.3.4:443", false},
        {"0.0.0.0/0:443", PATTERNS, "[2001:db8::1]:443", false},
        {"a.test:8000-8010", PATTERNS, "a.test:8000", true},
        {"a.test:8000-8010", PATTERNS, "a.test:8010", true},
        {"a.test:8000-8010", PATTERNS, "a.test:7999", false},
        {"a.test:8000-8010", PATTERNS, "a.test:8011", false},
        {"a.test:8000-8010", PATTERNS, "b.test:8005", false},
        {"a.test:8000-8010", PATTERNS, "a.test:8000-8010", false},
        {"127.0.0.1:1-9", PATTERNS, "127.0.0.1:5", true},
        {"127.0.0.1:1-9", PATTERNS, "[::ffff:127.0.0.1]:5", false},
        {"*.example.com:1-65535", PATTERNS, "unix:/a.example.com", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct allowlist *list = parse(rows[i].list, rows[i].flags, NULL);
        struct target t;
        const struct allow_entry *e;
        bool by_pattern;

        assert_non_null(list);
        e = match(list, rows[i].requested, &t, &by_pattern);
        if (!e == rows[i].good)
            fail_msg("%s in %s: %s", rows[i].requested, rows[i].list, e ? "admitted" : "refused");
        assert_int_equal(by_pattern, rows[i].good);
        if (e)
            assert_true(t.port != 0 && t.host[0]);
        allowlist_free(list);
    }
}

static void an_exact_entry_goes_before_a_pattern(void **state)
{
    struct allowlist *list =
        parse("*.example.com:443,a.example.com:443;proxy=v2,*.example.com:1-500", PATTERNS, NULL);
    struct target t;
    bool by_pattern;

    (void)state;
    assert_non_null(list);
    assert_string_equal(match(list, "A.example.com:443", &t, &by_pattern)->text,
                        "a.example.com:443");
    assert_false(by_pattern);
    assert_string_equal(match(list, "b.example.com:443", &t, &by_pattern)->text,
                        "*.example.com:443");
    assert_true(by_pattern);
    assert_string_equal(match(list, "b.example.com:444", &t, &by_pattern)->text,
                        "*.example.com:1-500");
    allowlist_free(list);
}

static void keeps_pins_and_options_of_an_entry(void **state)
{
    struct allowlist *list =
        parse("a.test:443 = 10.0.0.5+[2001:db8::1] ; proxy=v2, b.test:1, c.test:1;proxy=off", PLAIN,
              NULL);
    const struct allow_entry *e;
    struct addr second;

    (void)state;
    assert_non_null(list);
    e = allowlist_at(list, 0);
    assert_string_equal(e->text, "a.test:443");
    assert_int_equal(e->pin_count, 2);
    assert_true(addr_parse(view_str("[2001:db8::1]:443"), &second));
    assert_true(addr_eq(&e->pins[1], &second));
    assert_true(e->send_proxy_set);
    assert_int_equal(e->send_proxy, SEND_PROXY_V2);
    e = allowlist_at(list, 1);
    assert_null(e->pins);
    assert_false(e->send_proxy_set);
    e = allowlist_at(list, 2);
    assert_true(e->send_proxy_set);
    assert_int_equal(e->send_proxy, SEND_PROXY_OFF);
    allowlist_free(list);
}

static void a_lax_list_warns_of_each_entry_it_leaves_out(void **state)
{
    struct allowlist *list;

    (void)state;
    warnings = 0;
    list = parse("nonsense,a:1,http://b:2,a:1;proxy=v1", LAX, NULL);
    assert_non_null(list);
    assert_int_equal(warnings, 3);
    assert_non_null(strstr(last_warning, "entry 4 \"a:1;proxy=v1\" repeats"));
    assert_int_equal(allowlist_count(list), 1);
    assert_false(admits(list, "nonsense"));
    allowlist_free(list);
}

static void several_sources_make_one_list(void **state)
{
    struct allowlist *list = parse("a:1,b:2", PLAIN, NULL);
    struct err err = {0};

    (void)state;
    assert_non_null(list);
    assert_true(add(list, "b:2\nc:3 # here", FILE_, NULL));
    assert_int_equal(allowlist_count(list), 3);
    assert_true(admits(list, "a:1") && admits(list, "c:3"));
    assert_false(add(list, "d:4\ne", FILE_, &err));
    assert_non_null(strstr(err.text, "list.txt:2: allowlist entry 2 \"e\""));
    allowlist_free(list);
}

static void holds_so_many_entries_and_no_more(void **state)
{
    size_t room = (size_t)ALLOWLIST_ENTRIES_MAX * 16, n = 0;
    char *text = malloc(room), wanted[32];
    struct allowlist *list;
    struct err err = {0};

    (void)state;
    assert_non_null(text);
    for (unsigned i = 0; i < ALLOWLIST_ENTRIES_MAX; i++)
        n += (size_t)snprintf(text + n, room - n, "h%u:%u,", i, i % 60000 + 1);
    list = parse(text, PLAIN, &err);
    if (!list)
        fail_msg("%s", err.text);
    assert_int_equal(allowlist_count(list), ALLOWLIST_ENTRIES_MAX);
    for (unsigned i = 0; i < ALLOWLIST_ENTRIES_MAX; i += 997) {
        (void)snprintf(wanted, sizeof wanted, "H%u:%u", i, i % 60000 + 1);
        assert_true(admits(list, wanted));
        (void)snprintf(wanted, sizeof wanted, "h%u:%u", i, i % 60000 + 2);
        assert_false(admits(list, wanted));
    }
    assert_true(add(list, "h0:1", PLAIN, NULL));
    assert_false(add(list, "onemore:1", LAX, &err));
    assert_non_null(strstr(err.text, "one too many"));
    allowlist_free(list);
    free(text);
}

struct names {
    size_t count;
    char text[200];
};

static void collect(void *context, struct view name)
{
    struct names *n = context;
    size_t len = strlen(n->text);

    n->count++;
    (void)snprintf(n->text + len, sizeof n->text - len, "%.*s ", VIEW_ARG(name));
}

static void tells_the_names_that_dns_will_be_asked_for(void **state)
{
    struct allowlist *list =
        parse("b.test:1,a.test:1,A.test:2,localhost:1,10.0.0.1:1,[::1]:1,unix:/x,"
              "pinned.test:1=10.0.0.1,*.wild.test:1,r.test:1-9,10.0.0.0/8:1",
              PATTERNS, NULL);
    struct names names = {0};

    (void)state;
    assert_non_null(list);
    assert_true(allowlist_names(list, collect, &names));
    assert_string_equal(names.text, "a.test b.test r.test ");
    assert_int_equal(names.count, 3);
    allowlist_free(list);
}

static void tells_the_ports_unless_they_are_too_many(void **state)
{
    struct allowlist *list =
        parse("a:443,b:443,c:80,d:8000-8002,unix:/x,65.0.0.0/8:65535", PATTERNS, NULL);
    const uint16_t expected[] = {80, 443, 8000, 8001, 8002, 65535};
    uint16_t *ports = NULL;
    size_t count = 0;

    (void)state;
    assert_non_null(list);
    assert_true(allowlist_ports(list, &ports, &count));
    assert_int_equal(count, COUNT(expected));
    assert_memory_equal(ports, expected, sizeof expected);
    free(ports);
    allowlist_free(list);
    list = parse("", PLAIN, NULL);
    assert_true(allowlist_ports(list, &ports, &count));
    assert_int_equal(count, 0);
    free(ports);
    allowlist_free(list);
    list = parse("a:1-1024", PATTERNS, NULL);
    assert_true(allowlist_ports(list, &ports, &count));
    assert_int_equal(count, 1024);
    free(ports);
    allowlist_free(list);
    list = parse("a:1-65535", PATTERNS, NULL);
    assert_false(allowlist_ports(list, &ports, &count));
    allowlist_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lists_in_any_good_spelling),
        cmocka_unit_test(refuses_entries_that_could_never_match_and_says_why),
        cmocka_unit_test(matches_exact_entries_by_bytes_or_by_meaning),
        cmocka_unit_test(matches_patterns_as_they_say),
        cmocka_unit_test(an_exact_entry_goes_before_a_pattern),
        cmocka_unit_test(keeps_pins_and_options_of_an_entry),
        cmocka_unit_test(a_lax_list_warns_of_each_entry_it_leaves_out),
        cmocka_unit_test(several_sources_make_one_list),
        cmocka_unit_test(holds_so_many_entries_and_no_more),
        cmocka_unit_test(tells_the_names_that_dns_will_be_asked_for),
        cmocka_unit_test(tells_the_ports_unless_they_are_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
