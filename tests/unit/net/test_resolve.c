#include "net/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../support/dns_server.h"
#include "base/limits.h"
#include "net/resolve_priv.h"

enum { TIMEOUT_MS = 30000, NEGATIVE_MS = 2000, STALE_MS = 100 * 1000, TURNS_MAX = 3000 };

struct world {
    struct clock clock;
    uint64_t offset_ms; /* moved by hand */
    struct loop *loop;
    struct dns_server *dns;
    struct resolver *resolver;
};

struct asker {
    unsigned calls;
    bool over, stale;
    size_t count, first_count;
    enum err_code code;
    char text[2048]; /* all addresses, each with a blank after it */
};

static uint64_t world_monotonic(void *context)
{
    const struct world *w = context;

    return clock_monotonic_ms(&clock_system) + w->offset_ms;
}

/* Answers that are sent must never be late, however busy the machine: TIMEOUT_MS is long. */
static int open_world_of_patience(void **state, unsigned timeout_ms)
{
    struct world *w = calloc(1, sizeof *w);
    struct resolve_options o = {.ttl_max_ms = 60 * 1000,
                                .negative_ms = NEGATIVE_MS,
                                .stale_ms = STALE_MS,
                                .timeout_ms = timeout_ms};

    assert_non_null(w);
    w->clock = (struct clock){.monotonic_ms = world_monotonic, .context = w};
    assert_true(loop_new(&w->clock, &w->loop, NULL));
    w->dns = dns_server_new(w->loop);
    o.servers = dns_server_text(w->dns);
    assert_true(resolver_new(w->loop, &o, &w->resolver, NULL));
    *state = w;
    return 0;
}

static int open_world(void **state)
{
    return open_world_of_patience(state, TIMEOUT_MS);
}

/* For servers that say nothing: c-ares reads its own clock, so this time passes. */
static int open_impatient_world(void **state)
{
    return open_world_of_patience(state, 500);
}

static int close_world(void **state)
{
    struct world *w = *state;

    resolver_free(w->resolver);
    dns_server_free(w->dns);
    loop_free(w->loop);
    free(w);
    return 0;
}

static void answered(void *context, const struct resolve_answer *answer, const struct err *err)
{
    struct asker *a = context;

    assert_false(a->over);
    a->calls++;
    a->over = !answer->more;
    a->stale = a->stale || answer->stale;
    a->count += answer->count;
    if (a->calls == 1)
        a->first_count = answer->count;
    if (err) {
        assert_true(a->over);
        assert_int_equal(a->count, 0);
        a->code = err->code;
    }
    for (size_t i = 0; i < answer->count; i++) {
        size_t used = strlen(a->text);
        char ip[ADDR_TEXT_BYTES];

        assert_int_equal(answer->addrs[i].port, 0);
        (void)snprintf(a->text + used, sizeof a->text - used, "%s ",
                       addr_ip_format(&answer->addrs[i], ip));
    }
}

static struct resolve_query *ask(struct world *w, const char *name, struct asker *a)
{
    struct resolve_query *q;

    *a = (struct asker){0};
    q = resolve_ask(w->resolver, view_str(name), answered, a, NULL);
    assert_non_null(q);
    assert_int_equal(a->calls, 0); /* never from inside the call */
    return q;
}

static void turn(struct world *w)
{
    assert_true(loop_turn(w->loop, 5, NULL));
}

static void wait_over(struct world *w, const struct asker *a)
{
    for (unsigned i = 0; i < TURNS_MAX && !a->over; i++)
        turn(w);
    assert_true(a->over);
}

static void wait_asked(struct world *w, const char *name, enum dns_type type, unsigned times)
{
    for (unsigned i = 0; i < TURNS_MAX && dns_server_asked(w->dns, name, type) < times; i++)
        turn(w);
    assert_int_equal(dns_server_asked(w->dns, name, type), times);
}

static void ask_and_wait(struct world *w, const char *name, struct asker *a)
{
    (void)ask(w, name, a);
    wait_over(w, a);
}

static void move_clock(struct world *w, uint64_t ms)
{
    w->offset_ms += ms;
    turn(w);
}

static void say_a(struct world *w, const char *name, const char *address, uint32_t ttl)
{
    dns_server_say(w->dns, name, DNS_A, &(struct dns_rule){.ttl = ttl, .addresses = {address}});
}

static void say_aaaa(struct world *w, const char *name, const char *address, uint32_t ttl)
{
    dns_server_say(w->dns, name, DNS_AAAA, &(struct dns_rule){.ttl = ttl, .addresses = {address}});
}

static void say_both(struct world *w, const char *name, const struct dns_rule *rule)
{
    dns_server_say(w->dns, name, DNS_A, rule);
    dns_server_say(w->dns, name, DNS_AAAA, rule);
}

static void finds_the_addresses_of_both_families(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "tee.example.com", "192.0.2.1", 30);
    say_aaaa(w, "tee.example.com", "2001:db8::1", 30);
    ask_and_wait(w, "TEE.example.COM", &a);
    assert_int_equal(a.count, 2);
    assert_non_null(strstr(a.text, "192.0.2.1 "));
    assert_non_null(strstr(a.text, "2001:db8::1 "));
    assert_int_equal(a.code, ERR_NONE);
    assert_false(a.stale);
}

static void hands_over_each_family_as_it_comes(void **state)
{
    static const enum dns_type late_types[] = {DNS_A, DNS_AAAA};
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        struct dns_rule held = {.hold = true, .ttl = 30};
        const char *name = i ? "aaaa-late.test" : "a-late.test";
        struct asker a;

        say_a(w, name, "192.0.2.1", 30);
        say_aaaa(w, name, "2001:db8::1", 30);
        held.addresses[0] = i ? "2001:db8::1" : "192.0.2.1";
        dns_server_say(w->dns, name, late_types[i], &held);
        (void)ask(w, name, &a);
        for (unsigned n = 0; n < TURNS_MAX && a.calls == 0; n++)
            turn(w);
        assert_false(a.over);
        assert_string_equal(a.text, i ? "192.0.2.1 " : "2001:db8::1 ");
        wait_asked(w, name, late_types[i], 1);
        dns_server_release(w->dns, name, late_types[i]);
        wait_over(w, &a);
        assert_int_equal(a.calls, 2);
        assert_int_equal(a.count, 2);
    }
}

static void says_so_when_the_other_family_has_nothing(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "v4.test", "192.0.2.1", 30);
    dns_server_say(w->dns, "v4.test", DNS_AAAA, &(struct dns_rule){.hold = true});
    (void)ask(w, "v4.test", &a);
    wait_asked(w, "v4.test", DNS_AAAA, 1);
    for (unsigned n = 0; n < TURNS_MAX && a.calls == 0; n++)
        turn(w);
    dns_server_release(w->dns, "v4.test", DNS_AAAA);
    wait_over(w, &a);
    assert_int_equal(a.calls, 2);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.code, ERR_NONE);
}

static void asks_once_for_many_askers(void **state)
{
    struct world *w = *state;
    struct asker a[8];

    say_a(w, "one.test", "192.0.2.1", 30);
    for (size_t i = 0; i < 8; i++)
        (void)ask(w, "one.test", &a[i]);
    for (size_t i = 0; i < 8; i++) {
        wait_over(w, &a[i]);
        assert_string_equal(a[i].text, "192.0.2.1 ");
    }
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 2);
}

/* Asks at 0, again just before and just after the answer should be too old. */
static void check_lifetime(struct world *w, const char *name, uint64_t ms)
{
    unsigned before;
    struct asker a;

    ask_and_wait(w, name, &a);
    before = dns_server_asked(w->dns, name, DNS_A);
    move_clock(w, ms - 500);
    ask_and_wait(w, name, &a);
    assert_int_equal(dns_server_asked(w->dns, name, DNS_A), before);
    move_clock(w, 501);
    ask_and_wait(w, name, &a);
    assert_int_equal(dns_server_asked(w->dns, name, DNS_A), before + 1);
}

static void keeps_answers_as_long_as_the_ttl_within_bounds(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "four.test", "192.0.2.1", 4);
    check_lifetime(w, "four.test", 4000);
    say_a(w, "zero.test", "192.0.2.1", 0);
    check_lifetime(w, "zero.test", 1000);
    dns_server_say(
        w->dns, "alias.test", DNS_A,
        &(struct dns_rule){
            .cname = "real.test", .cname_ttl = 2, .ttl = 900, .addresses = {"192.0.2.9"}});
    check_lifetime(w, "alias.test", 2000);
    say_a(w, "negative-ttl.test", "192.0.2.1", UINT32_C(0xffffffff));
    check_lifetime(w, "negative-ttl.test", 1000);
    /* Nobody has asked for longer than the refresh cares: the longest time is ttl_max_ms. */
    say_a(w, "day.test", "192.0.2.1", 86400);
    ask_and_wait(w, "day.test", &a);
    dns_server_say(w->dns, "day.test", DNS_A, &(struct dns_rule){.rcode = DNS_NXDOMAIN});
    move_clock(w, 60 * 1000 + 1);
    ask_and_wait(w, "day.test", &a);
    assert_int_equal(a.code, ERR_NAME);
}

static void knows_the_missing_family_as_long_as_the_other(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "v4.test", "192.0.2.1", 4);
    ask_and_wait(w, "v4.test", &a);
    move_clock(w, NEGATIVE_MS + 1000);
    ask_and_wait(w, "v4.test", &a);
    assert_int_equal(a.calls, 1);
    assert_int_equal(dns_server_asked(w->dns, "v4.test", DNS_AAAA), 1);
}

static void remembers_failures_for_a_moment(void **state)
{
    static const struct {
        const char *name;
        struct dns_rule rule;
    } rows[] = {
        {"nxdomain.test", {.rcode = DNS_NXDOMAIN}}, {"nodata.test", {.rcode = DNS_NOERROR}},
        {"servfail.test", {.rcode = DNS_SERVFAIL}}, {"refused.test", {.rcode = DNS_REFUSED}},
        {"cname-loop.test", {.loop = true}},        {"dangling.test", {.cname = "nowhere.test"}},
        {"garbage.test", {.garbage = true}},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned before;
        struct asker a;

        say_both(w, rows[i].name, &rows[i].rule);
        ask_and_wait(w, rows[i].name, &a);
        assert_int_equal(a.code, ERR_NAME);
        before = dns_server_asked(w->dns, rows[i].name, DNS_A);
        ask_and_wait(w, rows[i].name, &a);
        assert_int_equal(a.code, ERR_NAME);
        assert_int_equal(dns_server_asked(w->dns, rows[i].name, DNS_A), before);
        say_a(w, rows[i].name, "192.0.2.1", 1);
        move_clock(w, NEGATIVE_MS + 1);
        ask_and_wait(w, rows[i].name, &a);
        assert_string_equal(a.text, "192.0.2.1 ");
    }
}

static void gives_an_old_answer_when_dns_fails(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "old.test", "192.0.2.1", 1);
    ask_and_wait(w, "old.test", &a);
    say_both(w, "old.test", &(struct dns_rule){.rcode = DNS_SERVFAIL});
    move_clock(w, 3000);
    ask_and_wait(w, "old.test", &a);
    assert_string_equal(a.text, "192.0.2.1 ");
    assert_true(a.stale);
    assert_int_equal(resolver_stats(w->resolver).stale_hits, 1);
    /* Not asked again for each connection … */
    unsigned before = dns_server_asked(w->dns, "old.test", DNS_A);
    ask_and_wait(w, "old.test", &a);
    assert_true(a.stale);
    assert_int_equal(dns_server_asked(w->dns, "old.test", DNS_A), before);
    /* … and not good for ever. */
    move_clock(w, STALE_MS + NEGATIVE_MS);
    ask_and_wait(w, "old.test", &a);
    assert_int_equal(a.code, ERR_NAME);
}

static void a_name_that_is_gone_is_not_kept_alive(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "gone.test", "192.0.2.1", 1);
    ask_and_wait(w, "gone.test", &a);
    say_both(w, "gone.test", &(struct dns_rule){.rcode = DNS_NXDOMAIN});
    move_clock(w, 3000);
    ask_and_wait(w, "gone.test", &a);
    assert_int_equal(a.code, ERR_NAME);
}

static void a_silent_server_is_a_time_out_and_its_late_answer_is_kept(void **state)
{
    struct world *w = *state;
    struct dns_rule held = {.hold = true, .ttl = 30, .addresses = {"192.0.2.1"}};
    struct asker a;

    dns_server_say(w->dns, "slow.test", DNS_A, &held);
    (void)ask(w, "slow.test", &a);
    wait_asked(w, "slow.test", DNS_A, 1);
    w->offset_ms += TIMEOUT_MS + 1;
    wait_over(w, &a);
    assert_int_equal(a.code, ERR_TIMEOUT);
    dns_server_release(w->dns, "slow.test", DNS_A);
    for (unsigned i = 0; i < TURNS_MAX && a.count == 0; i++)
        ask_and_wait(w, "slow.test", &a);
    assert_string_equal(a.text, "192.0.2.1 ");
    assert_int_equal(dns_server_asked(w->dns, "slow.test", DNS_A), 1);
}

static void an_old_answer_is_given_before_the_time_out(void **state)
{
    struct world *w = *state;
    struct asker a;

    w->resolver->options.timeout_ms = (uint64_t)3600 * 1000;
    say_a(w, "slow.test", "192.0.2.1", 1);
    ask_and_wait(w, "slow.test", &a);
    dns_server_say(w->dns, "slow.test", DNS_A, &(struct dns_rule){.drop = true});
    move_clock(w, 1001);
    (void)ask(w, "slow.test", &a);
    wait_asked(w, "slow.test", DNS_A, 2);
    assert_int_equal(a.calls, 0);
    w->offset_ms += RESOLVE_STALE_AFTER_MS;
    for (unsigned i = 0; i < 4; i++)
        turn(w);
    assert_true(a.over);
    assert_string_equal(a.text, "192.0.2.1 ");
    assert_true(a.stale);
}

static void all_servers_silent_is_a_time_out(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_both(w, "silent.test", &(struct dns_rule){.drop = true});
    ask_and_wait(w, "silent.test", &a);
    assert_int_equal(a.code, ERR_TIMEOUT);
}

static void fetches_names_in_use_anew_before_they_are_too_old(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "used.test", "192.0.2.1", 10);
    ask_and_wait(w, "used.test", &a);
    say_a(w, "used.test", "192.0.2.2", 10);
    move_clock(w, 8100);
    wait_asked(w, "used.test", DNS_A, 2);
    for (unsigned i = 0; i < TURNS_MAX && strcmp(a.text, "192.0.2.2 ") != 0; i++) {
        turn(w);
        ask_and_wait(w, "used.test", &a);
        assert_int_equal(a.calls, 1); /* nobody waits for the new answer */
    }
    assert_string_equal(a.text, "192.0.2.2 ");
    /* Unused for long: left to age. */
    move_clock(w, RESOLVE_RECENT_MS + 1000);
    turn(w);
    turn(w);
    assert_int_equal(dns_server_asked(w->dns, "used.test", DNS_A), 2);
}

static void a_refresh_that_fails_changes_nothing(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "used.test", "192.0.2.1", 10);
    ask_and_wait(w, "used.test", &a);
    say_both(w, "used.test", &(struct dns_rule){.rcode = DNS_SERVFAIL});
    move_clock(w, 8100);
    for (unsigned i = 0; i < TURNS_MAX && w->resolver->asked > 0; i++)
        turn(w);
    assert_true(dns_server_asked(w->dns, "used.test", DNS_A) > 1);
    ask_and_wait(w, "used.test", &a);
    assert_string_equal(a.text, "192.0.2.1 ");
    assert_false(a.stale);
}

static void a_prefetched_name_needs_no_waiting(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_a(w, "soon.test", "192.0.2.1", 30);
    resolve_prefetch(w->resolver, VIEW("soon.test"));
    resolve_prefetch(w->resolver, VIEW("127.0.0.1"));
    resolve_prefetch(w->resolver, VIEW("localhost"));
    resolve_prefetch(w->resolver, VIEW("not a name"));
    for (unsigned i = 0; i < TURNS_MAX && w->resolver->asked > 0; i++)
        turn(w);
    ask_and_wait(w, "soon.test", &a);
    assert_string_equal(a.text, "192.0.2.1 ");
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 2);
    assert_int_equal(resolver_stats(w->resolver).hits, 1);
}

static void literals_and_localhost_need_no_dns(void **state)
{
    static const char *const rows[][2] = {
        {"192.0.2.7", "192.0.2.7 "},       {"2001:DB8::7", "2001:db8::7 "},
        {"[2001:db8::7]", "2001:db8::7 "}, {"localhost", "::1 127.0.0.1 "},
        {"LocalHost.", "::1 127.0.0.1 "},  {"a.localhost", "::1 127.0.0.1 "},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asker a;

        ask_and_wait(w, rows[i][0], &a);
        assert_string_equal(a.text, rows[i][1]);
    }
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 0);
}

static const char *const not_names[] = {
    "",
    ".",
    "a..b",
    ".a",
    "a b",
    "a/b",
    "a@b",
    "a:80",
    "a%00",
    "a\tb",
    "\xc3\xbc.de",
    "2130706433",
    "0x7f000001",
    "127.1",
    "0x7f.1",
    "017700000001",
    "1.2.3.4.5",
    "256.1.1.1",
    "example.0x7f",
    "a.1.",
    "[::1",
    "fe80::1%eth0",
    "0123456789012345678901234567890123456789012345678901234567890123.test",
};

static void what_is_no_name_is_never_asked_for(void **state)
{
    struct world *w = *state;
    char text[HOST_BYTES_MAX + 2];
    struct asker a;

    for (size_t i = 0; i < sizeof not_names / sizeof not_names[0]; i++) {
        ask_and_wait(w, not_names[i], &a);
        assert_int_equal(a.code, ERR_NAME);
    }
    memset(text, 'a', sizeof text - 1);
    for (size_t i = 50; i < sizeof text; i += 50)
        text[i] = '.';
    text[254] = '\0';
    ask_and_wait(w, text, &a);
    assert_int_equal(a.code, ERR_NAME);
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 0);
    text[253] = '\0';
    assert_true(resolve_name_ok(view_str(text)));
    assert_true(resolve_name_ok(VIEW("_acme.a-b.example.")));
    assert_true(resolve_name_ok(VIEW("3com.com")));
    assert_true(resolve_name_ok(VIEW("xn--bcher-kva.example")));
}

static void a_thousand_addresses_are_cut(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_both(w, "many.test", &(struct dns_rule){.truncate = true, .many = 1000, .ttl = 30});
    ask_and_wait(w, "many.test", &a);
    assert_true(a.count >= RESOLVE_ADDRESSES_MAX && a.count <= 2 * RESOLVE_ADDRESSES_MAX);
    assert_int_equal(dns_server_asked_tcp(w->dns), 2);
    /* From the cache both families come together, half of the places for each. */
    ask_and_wait(w, "many.test", &a);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.count, RESOLVE_ADDRESSES_MAX);
    assert_non_null(strstr(a.text, "127.0.0.7 "));
    assert_null(strstr(a.text, "127.0.0.8 "));
    assert_non_null(strstr(a.text, "fd00::7 "));
}

static void a_mapped_address_is_an_ipv4_address(void **state)
{
    struct world *w = *state;
    struct asker a;

    say_aaaa(w, "mapped.test", "::ffff:169.254.169.254", 30);
    ask_and_wait(w, "mapped.test", &a);
    assert_string_equal(a.text, "169.254.169.254 ");
}

static void a_cancelled_asker_is_not_called(void **state)
{
    struct world *w = *state;
    struct asker a, b;
    struct resolve_query *q;

    say_a(w, "name.test", "192.0.2.1", 30);
    q = ask(w, "name.test", &a);
    (void)ask(w, "name.test", &b);
    resolve_cancel(q);
    wait_over(w, &b);
    resolve_cancel(ask(w, "name.test", &a));
    resolve_cancel(ask(w, "192.0.2.1", &a));
    for (unsigned i = 0; i < 3; i++)
        turn(w);
    assert_int_equal(a.calls, 0);
}

static void a_freed_resolver_calls_nobody(void **state)
{
    struct world *w = *state;
    struct asker a[3];

    say_both(w, "held.test", &(struct dns_rule){.hold = true});
    (void)ask(w, "held.test", &a[0]);
    (void)ask(w, "192.0.2.1", &a[1]);
    wait_asked(w, "held.test", DNS_AAAA, 1);
    (void)ask(w, "localhost", &a[2]);
    a[1].calls = 0;
    resolver_free(w->resolver);
    w->resolver = NULL;
    for (unsigned i = 0; i < 3; i++)
        turn(w);
    assert_int_equal(a[0].calls + a[1].calls + a[2].calls, 0);
}

static void the_cache_is_bounded(void **state)
{
    struct world *w = *state;
    struct asker a;
    struct err err;
    char name[32];

    for (unsigned i = 0; i < RESOLVE_CACHE_MAX + 50; i++) {
        (void)snprintf(name, sizeof name, "n%u.test", i);
        ask_and_wait(w, name, &a);
        assert_true(resolver_stats(w->resolver).entries <= RESOLVE_CACHE_MAX);
    }
    assert_int_equal(resolver_stats(w->resolver).entries, RESOLVE_CACHE_MAX);
    /* The one asked for longest ago went: it has to be asked for again. */
    assert_int_equal(dns_server_asked(w->dns, "n0.test", DNS_A), 1);
    ask_and_wait(w, "n0.test", &a);
    assert_int_equal(dns_server_asked(w->dns, "n0.test", DNS_A), 2);
    ask_and_wait(w, "n999.test", &a);
    assert_int_equal(dns_server_asked(w->dns, "n999.test", DNS_A), 1);
    /* Names that are being asked for stay: then there is no room. */
    move_clock(w, STALE_MS);
    for (unsigned i = 0; i < RESOLVE_CACHE_MAX; i++) {
        (void)snprintf(name, sizeof name, "w%u.test", i);
        resolve_cancel(ask(w, name, &a));
    }
    assert_null(resolve_ask(w->resolver, VIEW("full.test"), answered, &a, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void the_hosts_file_comes_before_dns(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/test-hosts-XXXXXX";
    int fd = mkstemp(path);
    struct asker a;

    assert_true(fd >= 0);
    close(fd);
    w->resolver->hosts.path = path;
    write_file(path, "192.0.2.5 tee.test alias\n2001:db8::5 tee.test\n");
    move_clock(w, RESOLVE_FILES_MS);
    ask_and_wait(w, "Tee.Test", &a);
    assert_string_equal(a.text, "2001:db8::5 192.0.2.5 ");
    ask_and_wait(w, "alias", &a);
    assert_string_equal(a.text, "192.0.2.5 ");
    write_file(path, "192.0.2.66 tee.test\n");
    move_clock(w, RESOLVE_FILES_MS);
    ask_and_wait(w, "tee.test", &a);
    assert_string_equal(a.text, "192.0.2.66 ");
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 0);
    assert_int_equal(unlink(path), 0);
    /* A file that is gone for a moment, as while an editor writes it, changes nothing. */
    move_clock(w, RESOLVE_FILES_MS);
    ask_and_wait(w, "tee.test", &a);
    assert_string_equal(a.text, "192.0.2.66 ");
}

static void reads_hosts_files(void **state)
{
    static const struct {
        const char *text, *name, *v4, *v6;
    } rows[] = {
        {"", "a", "", ""},
        {"1.2.3.4 a", "a", "1.2.3.4 ", ""},
        {"1.2.3.4 a\r\n", "a", "1.2.3.4 ", ""},
        {"1.2.3.4\tb\t A \n", "a", "1.2.3.4 ", ""},
        {"1.2.3.4 a.\n", "A", "1.2.3.4 ", ""},
        {"1.2.3.4 a\n", "a.", "1.2.3.4 ", ""},
        {"#1.2.3.4 a\n5.6.7.8 b # a\n", "a", "", ""},
        {"1.2.3.4 ab\n", "a", "", ""},
        {"1.2.3.4 a a a\n", "a", "1.2.3.4 ", ""},
        {"1.2.3 a\nnonsense\n  \n1.2.3.4\nfe80::1%lo a\n::1 a\n", "a", "", "::1 "},
        {"1.1.1.1 a\n2.2.2.2 a\n3.3.3.3 a\n::2 a\n", "a", "1.1.1.1 2.2.2.2 ", "::2 "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr v4[2], v6[2];
        struct hosts_found found = {.addrs = {v4, v6}, .max = 2};

        hosts_find(view_str(rows[i].text), view_str(rows[i].name), &found);
        for (size_t family = 0; family < 2; family++) {
            char text[256] = "", ip[ADDR_TEXT_BYTES];

            for (size_t n = 0; n < found.count[family]; n++)
                (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s ",
                               addr_ip_format(&found.addrs[family][n], ip));
            assert_string_equal(text, family ? rows[i].v6 : rows[i].v4);
        }
    }
}

static void reads_name_servers(void **state)
{
    static const struct {
        const char *text, *servers;
        size_t size, count;
    } rows[] = {
        {"", "", 64, 0},
        {"search a.test\nnameserver 192.0.2.1\n", "192.0.2.1", 64, 1},
        {"nameserver 192.0.2.1 # x\nnameserver 2001:db8::1", "192.0.2.1,2001:db8::1", 64, 2},
        {"nameserver a\nnameserver\n;nameserver 1.1.1.1\n", "", 64, 0},
        {"nameserver ::1\nnameserver ::2\nnameserver ::3\nnameserver ::4\n", "::1,::2,::3", 64, 3},
        {"nameserver ::1\nnameserver ::2\n", "::1", 6, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64] = "";

        assert_int_equal(resolv_conf_servers(view_str(rows[i].text), out, rows[i].size),
                         rows[i].count);
        assert_string_equal(out, rows[i].servers);
    }
}

static void refuses_servers_that_are_none(void **state)
{
    struct world *w = *state;
    struct resolver *r = NULL;
    struct err err = {0};
    struct resolve_options o = {.timeout_ms = TIMEOUT_MS, .servers = "nonsense"};

    assert_false(resolver_new(w->loop, &o, &r, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "nonsense"));
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(finds_the_addresses_of_both_families),
        IN_WORLD(hands_over_each_family_as_it_comes),
        IN_WORLD(says_so_when_the_other_family_has_nothing),
        IN_WORLD(asks_once_for_many_askers),
        IN_WORLD(keeps_answers_as_long_as_the_ttl_within_bounds),
        IN_WORLD(knows_the_missing_family_as_long_as_the_other),
        IN_WORLD(remembers_failures_for_a_moment),
        IN_WORLD(gives_an_old_answer_when_dns_fails),
        IN_WORLD(a_name_that_is_gone_is_not_kept_alive),
        IN_WORLD(a_silent_server_is_a_time_out_and_its_late_answer_is_kept),
        IN_WORLD(an_old_answer_is_given_before_the_time_out),
        cmocka_unit_test_setup_teardown(all_servers_silent_is_a_time_out, open_impatient_world,
                                        close_world),
        IN_WORLD(fetches_names_in_use_anew_before_they_are_too_old),
        IN_WORLD(a_refresh_that_fails_changes_nothing),
        IN_WORLD(a_prefetched_name_needs_no_waiting),
        IN_WORLD(literals_and_localhost_need_no_dns),
        IN_WORLD(what_is_no_name_is_never_asked_for),
        IN_WORLD(a_thousand_addresses_are_cut),
        IN_WORLD(a_mapped_address_is_an_ipv4_address),
        IN_WORLD(a_cancelled_asker_is_not_called),
        IN_WORLD(a_freed_resolver_calls_nobody),
        IN_WORLD(the_cache_is_bounded),
        IN_WORLD(the_hosts_file_comes_before_dns),
        IN_WORLD(refuses_servers_that_are_none),
        cmocka_unit_test(reads_hosts_files),
        cmocka_unit_test(reads_name_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
