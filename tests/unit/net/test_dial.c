#include "net/dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../support/dns_server.h"
#include "net/dial_priv.h"

enum { TIMEOUT_MS = 5000, TURNS_MAX = 3000, FILL_MAX = 64 };

struct world {
    struct clock clock;
    uint64_t now_ms; /* stands still unless moved by hand */
    struct loop *loop;
    struct dns_server *dns;
    struct resolver *resolver;
    struct dialer *dialer;
    unsigned fds; /* open before */
};

/* A caller and its judge. */
struct caller {
    unsigned calls;
    struct dial_result result;
    struct dial *cancel; /* from done */
    const char *deny;    /* addresses, each with a blank after it; "*" for all */
    char judged[1024];   /* in order, each with a blank after it */
    char name[256];
    bool literal;
};

static uint64_t world_monotonic(void *context)
{
    const struct world *w = context;

    return w->now_ms;
}

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    assert_int_equal(closedir(dir), 0);
    return n;
}

static void use_dialer(struct world *w, const struct dial_options *o)
{
    dialer_free(w->dialer);
    assert_true(dialer_new(w->loop, w->resolver, o, &w->dialer, NULL));
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct resolve_options o = {
        .ttl_max_ms = 60 * 1000, .negative_ms = 2000, .timeout_ms = 60 * 1000};

    assert_non_null(w);
    w->fds = count_fds();
    w->clock = (struct clock){.monotonic_ms = world_monotonic, .context = w};
    assert_true(loop_new(&w->clock, &w->loop, NULL));
    w->dns = dns_server_new(w->loop);
    o.servers = dns_server_text(w->dns);
    assert_true(resolver_new(w->loop, &o, &w->resolver, NULL));
    use_dialer(w, &(struct dial_options){.timeout_ms = TIMEOUT_MS});
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    dialer_free(w->dialer);
    resolver_free(w->resolver);
    dns_server_free(w->dns);
    loop_free(w->loop);
    assert_int_equal(count_fds(), w->fds);
    free(w);
    return 0;
}

static bool judged(void *context, struct view name, bool literal, const struct addr *a)
{
    struct caller *c = context;
    char text[ADDR_TEXT_BYTES], word[ADDR_TEXT_BYTES + 1];
    size_t used = strlen(c->judged);

    (void)snprintf(word, sizeof word, "%s ", addr_ip_format(a, text));
    (void)snprintf(c->judged + used, sizeof c->judged - used, "%s", word);
    (void)snprintf(c->name, sizeof c->name, "%.*s", VIEW_ARG(name));
    c->literal = literal;
    return !c->deny || (strcmp(c->deny, "*") != 0 && !strstr(c->deny, word));
}

static void dialled(void *context, const struct dial_result *result)
{
    struct caller *c = context;

    c->calls++;
    c->result = *result;
    if (c->cancel)
        dial_cancel(c->cancel);
}

static struct dial *start_fixed(struct world *w, const char *host, uint16_t port,
                                const struct addr *fixed, size_t fixed_count, struct caller *c)
{
    struct dial *dial =
        dial_start(w->dialer, view_str(host), port, fixed, fixed_count, judged, c, dialled, c);

    assert_non_null(dial);
    assert_int_equal(c->calls, 0); /* never from inside the call */
    return dial;
}

static struct dial *start(struct world *w, const char *host, uint16_t port, struct caller *c)
{
    return start_fixed(w, host, port, NULL, 0, c);
}

static void turn(struct world *w)
{
    assert_true(loop_turn(w->loop, 5, NULL));
}

static void wait_done(struct world *w, const struct caller *c)
{
    for (unsigned i = 0; i < TURNS_MAX && !c->calls; i++)
        turn(w);
    assert_int_equal(c->calls, 1);
    turn(w);
    turn(w);
    assert_int_equal(c->calls, 1);
}

static void wait_judged(struct world *w, const struct caller *c, const char *all)
{
    for (unsigned i = 0; i < TURNS_MAX && strcmp(c->judged, all) != 0; i++)
        turn(w);
    assert_string_equal(c->judged, all);
}

static void wait_asked(struct world *w, const char *name, enum dns_type type)
{
    for (unsigned i = 0; i < TURNS_MAX && dns_server_asked(w->dns, name, type) == 0; i++)
        turn(w);
    turn(w);
    turn(w);
}

static void hang_up(struct caller *c)
{
    assert_int_equal(c->result.outcome, DIAL_OK);
    assert_true(c->result.fd >= 0);
    assert_int_equal(close(c->result.fd), 0);
    c->result.fd = -1;
}

static struct addr address(const char *text, uint16_t port)
{
    struct addr a;

    assert_true(addr_parse_ip(view_str(text), false, &a));
    a.port = port;
    return a;
}

/* port 0: any free one. backlog < 0: bound, not listening. Returns -1 when the port is taken. */
static int open_at(const char *ip, uint16_t *port, int backlog)
{
    struct addr a = address(ip, *port);
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&a, &ss);
    int fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    assert_true(fd >= 0);
    if (a.family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&ss, len) != 0) {
        close(fd);
        return -1;
    }
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    addr_from_sockaddr((struct sockaddr *)&ss, &a);
    *port = a.port;
    return fd;
}

static int listen_at(const char *ip, uint16_t *port)
{
    int fd = open_at(ip, port, 64);

    assert_true(fd >= 0);
    return fd;
}

/* The same free port on two addresses; backlog < 0: the first only holds the port, and refuses. */
static void open_pair(const char *one, int backlog, const char *two, int fds[2], uint16_t *port)
{
    for (int i = 0; i < 50; i++) {
        *port = 0;
        fds[0] = open_at(one, port, backlog);
        fds[1] = open_at(two, port, 64);
        if (fds[0] >= 0 && fds[1] >= 0)
            return;
        if (fds[0] >= 0)
            close(fds[0]);
    }
    fail_msg("no port is free on both %s and %s", one, two);
}

/* Fills the queue of a listener with a small backlog, so that a further connect() only waits. */
struct full {
    int fds[FILL_MAX];
    size_t count;
};

static void fill(struct full *full, const char *ip, uint16_t port)
{
    struct addr a = address(ip, port);
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&a, &ss);

    for (full->count = 0; full->count < FILL_MAX;) {
        int fd = socket(a.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        full->fds[full->count++] = fd;
        if (connect(fd, (struct sockaddr *)&ss, len) != 0 && poll(&p, 1, 300) == 0)
            return;
    }
    fail_msg("the queue of the listener has no end");
}

static void empty(const struct full *full)
{
    for (size_t i = 0; i < full->count; i++)
        close(full->fds[i]);
}

static void say(struct world *w, const char *name, const char *v4, const char *v6)
{
    if (v4)
        dns_server_say(w->dns, name, DNS_A, &(struct dns_rule){.ttl = 60, .addresses = {v4}});
    if (v6)
        dns_server_say(w->dns, name, DNS_AAAA, &(struct dns_rule){.ttl = 60, .addresses = {v6}});
}

static void connects_to_literals(void **state)
{
    static const char *const rows[][3] = {
        /* listens at, dialled as, judged as */
        {"127.0.0.1", "127.0.0.1", "127.0.0.1 "},
        {"::1", "::1", "::1 "},
        {"::1", "[::1]", "::1 "},
        {"127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1 "},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t port = 0;
        int fd = listen_at(rows[i][0], &port);
        struct caller c = {0};
        struct addr at = address(rows[i][0], port);

        (void)start(w, rows[i][1], port, &c);
        wait_done(w, &c);
        assert_string_equal(c.judged, rows[i][2]);
        assert_string_equal(c.name, rows[i][1]);
        assert_true(c.literal);
        assert_true(addr_eq(&c.result.address, &at));
        hang_up(&c);
        close(fd);
    }
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 0);
    assert_int_equal(metric_get(&dialer_stats(w->dialer)->connected), 4);
    assert_int_equal(metric_get(&dialer_stats(w->dialer)->started), 4);
}

static void hands_over_a_socket_that_works_and_is_watched_as_it_says(void **state)
{
    struct world *w = *state;
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port), peer;
    struct caller c = {0};
    struct io io = {0};
    char byte = 'x';

    (void)start(w, "127.0.0.1", port, &c);
    wait_done(w, &c);
    peer = accept(fd, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(recv(c.result.fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN); /* non-blocking */
    assert_int_equal(send(c.result.fd, &byte, 1, 0), 1);
    assert_int_equal(recv(peer, &byte, 1, 0), 1);
    io.fd = c.result.fd;
    assert_int_equal(loop_watch(w->loop, &io, NULL), !c.result.watched); /* else EEXIST */
    assert_true(loop_take_over(w->loop, &io, NULL));
    loop_forget(w->loop, &io);
    hang_up(&c);
    close(peer);
    close(fd);
}

static void a_closed_port_refuses(void **state)
{
    struct world *w = *state;
    uint16_t port = 0;
    int fd = open_at("127.0.0.1", &port, -1);
    struct caller c = {0};

    (void)start(w, "127.0.0.1", port, &c);
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_REFUSED);
    assert_int_equal(c.result.fd, -1);
    assert_int_equal(c.result.err.code, ERR_REFUSED);
    assert_non_null(strstr(c.result.err.text, "127.0.0.1:"));
    close(fd);
}

static void ipv6_goes_first(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port;
    int fds[2];

    open_pair("::1", 64, "127.0.0.1", fds, &port);
    say(w, "both.test", "127.0.0.1", "::1");
    resolve_prefetch(w->resolver, VIEW("both.test"));
    wait_asked(w, "both.test", DNS_A);
    wait_asked(w, "both.test", DNS_AAAA);
    (void)start(w, "both.test", port, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "::1 ");
    assert_string_equal(c.name, "both.test");
    assert_false(c.literal);
    hang_up(&c);
    close(fds[0]);
    close(fds[1]);
}

static void a_refusal_leads_to_the_next_address_at_once(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port;
    int fds[2];

    open_pair("::1", -1, "127.0.0.1", fds, &port);
    say(w, "half.test", "127.0.0.1", "::1");
    resolve_prefetch(w->resolver, VIEW("half.test"));
    wait_asked(w, "half.test", DNS_A);
    wait_asked(w, "half.test", DNS_AAAA);
    (void)start(w, "half.test", port, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "::1 127.0.0.1 ");
    hang_up(&c);
    /* The family that won goes first from now on … */
    memset(&c, 0, sizeof c);
    (void)start(w, "half.test", port, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "127.0.0.1 ");
    hang_up(&c);
    /* … for ten minutes. */
    memset(&c, 0, sizeof c);
    w->now_ms += DIAL_PREFER_MS + TIMER_TICK_MS;
    turn(w);
    (void)start(w, "half.test", port, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "::1 127.0.0.1 ");
    hang_up(&c);
    close(fds[0]);
    close(fds[1]);
}

static void silence_leads_to_the_next_address_after_the_stagger(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    struct full full;
    uint16_t port;
    int fds[2];

    open_pair("::1", 0, "127.0.0.1", fds, &port);
    fill(&full, "::1", port);
    say(w, "slow.test", "127.0.0.1", "::1");
    resolve_prefetch(w->resolver, VIEW("slow.test"));
    wait_asked(w, "slow.test", DNS_A);
    wait_asked(w, "slow.test", DNS_AAAA);
    (void)start(w, "slow.test", port, &c);
    wait_judged(w, &c, "::1 ");
    w->now_ms += DIAL_STAGGER_MS - TIMER_TICK_MS;
    turn(w);
    turn(w);
    assert_string_equal(c.judged, "::1 ");
    w->now_ms += 2 * TIMER_TICK_MS;
    wait_done(w, &c);
    assert_string_equal(c.judged, "::1 127.0.0.1 ");
    hang_up(&c);
    empty(&full);
    close(fds[0]);
    close(fds[1]);
}

static void ipv4_waits_a_moment_for_ipv6(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port);

    say(w, "v4.test", "127.0.0.1", NULL);
    dns_server_say(w->dns, "v4.test", DNS_AAAA, &(struct dns_rule){.hold = true});
    (void)start(w, "v4.test", port, &c);
    wait_asked(w, "v4.test", DNS_A);
    wait_asked(w, "v4.test", DNS_AAAA);
    w->now_ms += DIAL_AAAA_WAIT_MS - TIMER_TICK_MS;
    turn(w);
    assert_string_equal(c.judged, "");
    w->now_ms += 2 * TIMER_TICK_MS;
    wait_done(w, &c);
    hang_up(&c);
    close(fd);
}

static void ipv4_starts_when_there_is_no_ipv6(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port);

    say(w, "v4.test", "127.0.0.1", NULL);
    (void)start(w, "v4.test", port, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "127.0.0.1 ");
    hang_up(&c);
    close(fd);
}

static void ipv6_does_not_wait_for_ipv4(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port = 0;
    int fd = listen_at("::1", &port);

    say(w, "v6.test", NULL, "::1");
    dns_server_say(w->dns, "v6.test", DNS_A, &(struct dns_rule){.hold = true});
    (void)start(w, "v6.test", port, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "::1 ");
    hang_up(&c);
    close(fd);
}

static void an_address_that_comes_late_is_tried_after_a_failure(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port;
    int fds[2];

    open_pair("::1", -1, "127.0.0.1", fds, &port);
    say(w, "late.test", NULL, "::1");
    dns_server_say(w->dns, "late.test", DNS_A,
                   &(struct dns_rule){.hold = true, .addresses = {"127.0.0.1"}});
    (void)start(w, "late.test", port, &c);
    wait_asked(w, "late.test", DNS_A);
    wait_judged(w, &c, "::1 ");
    turn(w);
    assert_int_equal(c.calls, 0);
    dns_server_release(w->dns, "late.test", DNS_A);
    wait_done(w, &c);
    assert_string_equal(c.judged, "::1 127.0.0.1 ");
    hang_up(&c);
    close(fds[0]);
    close(fds[1]);
}

static void what_the_judge_refuses_is_not_connected_to(void **state)
{
    struct world *w = *state;
    struct caller all = {.deny = "*"}, one = {.deny = "::1 "}, literal = {.deny = "*"};
    uint16_t port;
    int fds[2];

    open_pair("::1", 64, "127.0.0.1", fds, &port);
    say(w, "inward.test", "127.0.0.1", "::1");
    (void)start(w, "inward.test", port, &all);
    wait_done(w, &all);
    assert_int_equal(all.result.outcome, DIAL_DENIED);
    assert_int_equal(all.result.err.code, ERR_DENIED);
    assert_non_null(strstr(all.judged, "::1 "));
    assert_non_null(strstr(all.judged, "127.0.0.1 "));
    (void)start(w, "127.0.0.1", port, &literal);
    wait_done(w, &literal);
    assert_int_equal(literal.result.outcome, DIAL_DENIED);
    for (size_t i = 0; i < 2; i++) {
        struct pollfd p = {.fd = fds[i], .events = POLLIN};

        assert_int_equal(poll(&p, 1, 0), 0);
    }
    (void)start(w, "inward.test", port, &one);
    wait_done(w, &one);
    assert_string_equal(one.judged, "::1 127.0.0.1 ");
    hang_up(&one);
    close(fds[0]);
    close(fds[1]);
}

static void a_mapped_address_is_judged_as_what_it_is(void **state)
{
    struct world *w = *state;
    struct caller c = {.deny = "*"};

    say(w, "mapped.test", NULL, "::ffff:169.254.169.254");
    (void)start(w, "mapped.test", 80, &c);
    wait_done(w, &c);
    assert_string_equal(c.judged, "169.254.169.254 ");
    assert_int_equal(c.result.outcome, DIAL_DENIED);
}

static void nobody_answers_in_time(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    struct full full;
    uint16_t port = 0;
    int fd = open_at("127.0.0.1", &port, 0);

    fill(&full, "127.0.0.1", port);
    (void)start(w, "127.0.0.1", port, &c);
    turn(w);
    w->now_ms += TIMEOUT_MS + TIMER_TICK_MS;
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_TIMEOUT);
    assert_int_equal(c.result.err.code, ERR_TIMEOUT);
    assert_non_null(strstr(c.result.err.text, "127.0.0.1:"));
    empty(&full);
    close(fd);
}

static void a_refusal_tells_more_than_a_time_out(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    struct full full;
    uint16_t port;
    int fds[2];

    open_pair("127.0.0.2", -1, "127.0.0.1", fds, &port);
    assert_int_equal(listen(fds[1], 0), 0);
    fill(&full, "127.0.0.1", port);
    for (size_t order = 0; order < 2; order++) {
        struct addr fixed[2];

        fixed[order] = address("127.0.0.1", 1);
        fixed[1 - order] = address("127.0.0.2", 2);
        memset(&c, 0, sizeof c);
        (void)start_fixed(w, "pinned.test", port, fixed, 2, &c);
        turn(w);
        w->now_ms += DIAL_STAGGER_MS + TIMER_TICK_MS;
        wait_judged(w, &c, order ? "127.0.0.2 127.0.0.1 " : "127.0.0.1 127.0.0.2 ");
        turn(w);
        w->now_ms += TIMEOUT_MS + TIMER_TICK_MS;
        wait_done(w, &c);
        assert_int_equal(c.result.outcome, DIAL_REFUSED);
        assert_true(c.literal);
    }
    assert_int_equal(dns_server_asked(w->dns, NULL, 0), 0);
    empty(&full);
    close(fds[0]);
    close(fds[1]);
}

static void an_address_without_a_way_is_unreachable(void **state)
{
    struct world *w = *state;
    struct caller c = {0};

    (void)start(w, "255.255.255.255", 9, &c);
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_UNREACHABLE);
    assert_int_equal(c.result.err.code, ERR_IO);
}

static void a_name_without_address_is_a_dns_failure(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    char longer[300];

    (void)start(w, "nowhere.test", 80, &c);
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_NAME);
    assert_int_equal(c.result.err.code, ERR_NAME);
    assert_string_equal(c.judged, "");
    memset(&c, 0, sizeof c);
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    (void)start(w, longer, 80, &c);
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_NAME);
}

static void slow_dns_ends_with_the_dial(void **state)
{
    struct world *w = *state;
    struct caller c = {0};

    dns_server_say(w->dns, "slow.test", DNS_A, &(struct dns_rule){.drop = true});
    dns_server_say(w->dns, "slow.test", DNS_AAAA, &(struct dns_rule){.drop = true});
    (void)start(w, "slow.test", 80, &c);
    wait_asked(w, "slow.test", DNS_A);
    w->now_ms += TIMEOUT_MS + TIMER_TICK_MS;
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_NAME);
    assert_int_equal(c.result.err.code, ERR_TIMEOUT);
}

static void six_attempts_are_enough(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port = 0;
    int fd = open_at("127.0.0.1", &port, -1);

    dns_server_say(w->dns, "many.test", DNS_A, &(struct dns_rule){.ttl = 60, .many = 1000});
    close(fd);
    (void)start(w, "many.test", port, &c);
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_REFUSED);
    assert_string_equal(c.judged, "127.0.0.0 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 ");
}

static void a_cancelled_dial_calls_nobody(void **state)
{
    struct world *w = *state;
    struct caller c = {0}, denied = {.deny = "*"};
    struct full full;
    uint16_t port = 0;
    int fd = open_at("127.0.0.1", &port, 0);
    struct dial *dial;

    fill(&full, "127.0.0.1", port);
    dns_server_say(w->dns, "held.test", DNS_A, &(struct dns_rule){.hold = true});
    dial_cancel(start(w, "held.test", port, &c)); /* before a query was sent */
    dial = start(w, "held.test", port, &c);
    wait_asked(w, "held.test", DNS_A);
    dial_cancel(dial);                                 /* resolving */
    dial_cancel(start(w, "127.0.0.1", port, &c));      /* connecting */
    dial_cancel(start(w, "127.0.0.1", port, &denied)); /* over, but not told */
    turn(w);
    turn(w);
    assert_int_equal(c.calls + denied.calls, 0);
    empty(&full);
    close(fd);
}

static void done_may_cancel_other_dials(void **state)
{
    struct world *w = *state;
    struct caller a = {0}, b = {0};
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port);

    /* Both connect in the same batch of events; whichever is told first cancels the other. */
    b.cancel = start(w, "127.0.0.1", port, &a);
    a.cancel = start(w, "127.0.0.1", port, &b);
    for (unsigned i = 0; i < TURNS_MAX && a.calls + b.calls == 0; i++)
        turn(w);
    turn(w);
    assert_int_equal(a.calls + b.calls, 1);
    hang_up(a.calls ? &a : &b);
    close(fd);
}

static void a_freed_dialer_calls_nobody(void **state)
{
    struct world *w = *state;
    struct caller c = {0}, denied = {.deny = "*"};
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port);

    (void)start(w, "127.0.0.1", port, &c);
    (void)start(w, "held.test", port, &c);
    (void)start(w, "127.0.0.1", port, &denied);
    dialer_free(w->dialer);
    w->dialer = NULL;
    turn(w);
    turn(w);
    assert_int_equal(c.calls + denied.calls, 0);
    close(fd);
}

static void peer_text(int listener, char out[static ADDR_TEXT_BYTES])
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    int fd = accept(listener, (struct sockaddr *)&ss, &len);
    struct addr a;

    assert_true(fd >= 0);
    addr_from_sockaddr((struct sockaddr *)&ss, &a);
    (void)addr_ip_format(&a, out);
    close(fd);
}

static void sources_take_turns(void **state)
{
    static const char *const rows[] = {"127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"};
    struct world *w = *state;
    /* The second is nobody's: it is passed over. */
    struct addr sources[] = {address("127.0.0.2", 0), address("198.51.100.1", 0), address("::1", 0),
                             address("127.0.0.3", 0)};
    uint16_t port = 0, port6 = 0;
    int fd = listen_at("127.0.0.1", &port), fd6 = listen_at("::1", &port6);
    char text[ADDR_TEXT_BYTES];

    use_dialer(
        w, &(struct dial_options){.timeout_ms = TIMEOUT_MS, .sources = sources, .source_count = 4});
    memset(sources, 0xff, sizeof sources); /* they were copied */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct caller c = {0};

        (void)start(w, "127.0.0.1", port, &c);
        wait_done(w, &c);
        peer_text(fd, text);
        assert_string_equal(text, rows[i]);
        hang_up(&c);
        memset(&c, 0, sizeof c);
        (void)start(w, "::1", port6, &c);
        wait_done(w, &c);
        peer_text(fd6, text);
        assert_string_equal(text, "::1");
        hang_up(&c);
    }
    close(fd);
    close(fd6);
}

static void no_source_with_a_port_left_is_told(void **state)
{
    struct world *w = *state;
    struct addr sources[] = {address("198.51.100.1", 0), address("198.51.100.2", 0)};
    struct caller c = {0};
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port);

    use_dialer(
        w, &(struct dial_options){.timeout_ms = TIMEOUT_MS, .sources = sources, .source_count = 2});
    (void)start(w, "127.0.0.1", port, &c);
    wait_done(w, &c);
    assert_int_equal(c.result.outcome, DIAL_NO_PORTS);
    assert_int_equal(metric_get(&dialer_stats(w->dialer)->no_ports), 1);
    close(fd);
}

static void too_many_sources_are_refused(void **state)
{
    struct world *w = *state;
    struct addr sources[DIAL_SOURCES_MAX + 1];
    struct dialer *d = NULL;
    struct err err = {0};

    memset(sources, 0, sizeof sources);
    assert_false(
        dialer_new(w->loop, w->resolver,
                   &(struct dial_options){.sources = sources, .source_count = DIAL_SOURCES_MAX + 1},
                   &d, &err));
    assert_int_equal(err.code, ERR_CONFIG);
}

static void running_out_of_descriptors_is_told(void **state)
{
    struct world *w = *state;
    struct addr fixed[] = {address("127.0.0.1", 0), address("127.0.0.2", 0)};
    struct rlimit before, none = {0};
    struct caller c = {0};

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)start_fixed(w, "pinned.test", 9, fixed, 2, &c);
    wait_done(w, &c);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(c.result.outcome, DIAL_NO_RESOURCES);
    assert_string_equal(c.judged, "127.0.0.1 "); /* no sense in trying on */
}

static void fast_open_connects_too(void **state)
{
    struct world *w = *state;
    struct caller c = {0};
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port), peer;
    char byte = 'x';

    use_dialer(w, &(struct dial_options){.timeout_ms = TIMEOUT_MS, .fast_open = true});
    (void)start(w, "127.0.0.1", port, &c);
    wait_done(w, &c);
    assert_int_equal(send(c.result.fd, &byte, 1, 0), 1);
    peer = accept(fd, NULL, NULL);
    assert_int_equal(recv(peer, &byte, 1, 0), 1);
    hang_up(&c);
    close(peer);
    close(fd);
}

static void dials_are_used_again(void **state)
{
    struct world *w = *state;
    struct caller c = {.deny = "*"};
    struct dial *first = start(w, "127.0.0.1", 9, &c);

    wait_done(w, &c);
    memset(&c, 0, sizeof c);
    c.deny = "*";
    assert_ptr_equal(start(w, "127.0.0.1", 9, &c), first);
    wait_done(w, &c);
}

static void each_outcome_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (enum dial_outcome a = DIAL_OK; a <= DIAL_NO_RESOURCES; a++)
        for (enum dial_outcome b = DIAL_OK; b < a; b++)
            assert_string_not_equal(dial_outcome_name(a), dial_outcome_name(b));
    assert_string_equal(dial_outcome_name(DIAL_DENIED), "address-denied");
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(connects_to_literals),
        IN_WORLD(hands_over_a_socket_that_works_and_is_watched_as_it_says),
        IN_WORLD(a_closed_port_refuses),
        IN_WORLD(ipv6_goes_first),
        IN_WORLD(a_refusal_leads_to_the_next_address_at_once),
        IN_WORLD(silence_leads_to_the_next_address_after_the_stagger),
        IN_WORLD(ipv4_waits_a_moment_for_ipv6),
        IN_WORLD(ipv4_starts_when_there_is_no_ipv6),
        IN_WORLD(ipv6_does_not_wait_for_ipv4),
        IN_WORLD(an_address_that_comes_late_is_tried_after_a_failure),
        IN_WORLD(what_the_judge_refuses_is_not_connected_to),
        IN_WORLD(a_mapped_address_is_judged_as_what_it_is),
        IN_WORLD(nobody_answers_in_time),
        IN_WORLD(a_refusal_tells_more_than_a_time_out),
        IN_WORLD(an_address_without_a_way_is_unreachable),
        IN_WORLD(a_name_without_address_is_a_dns_failure),
        IN_WORLD(slow_dns_ends_with_the_dial),
        IN_WORLD(six_attempts_are_enough),
        IN_WORLD(a_cancelled_dial_calls_nobody),
        IN_WORLD(done_may_cancel_other_dials),
        IN_WORLD(a_freed_dialer_calls_nobody),
        IN_WORLD(sources_take_turns),
        IN_WORLD(no_source_with_a_port_left_is_told),
        IN_WORLD(too_many_sources_are_refused),
        IN_WORLD(running_out_of_descriptors_is_told),
        IN_WORLD(fast_open_connects_too),
        IN_WORLD(dials_are_used_again),
        cmocka_unit_test(each_outcome_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
