/* How many tunnels an address has, and how fast it asks for more. */
#include "request.h"

#include "bridge/guests.h"

static struct addr at(const char *text)
{
    struct addr a;

    assert_true(addr_parse(view_str(text), &a));
    return a;
}

static struct guests *make(uint32_t tunnels_max, uint32_t rate, uint32_t burst)
{
    const struct guests_limits limits = {tunnels_max, rate, burst};
    struct guests *g = NULL;

    assert_true(guests_new(&limits, &g, NULL));
    return g;
}

static void tunnels_at_once_are_counted_by_address(void **state)
{
    struct guests *g = make(2, 0, 0);
    struct addr one = at("192.0.2.1:1"), same = at("192.0.2.1:2"), other = at("192.0.2.2:1");

    (void)state;
    assert_int_equal(guests_enter(g, &one, 1), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &same, 1), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &one, 1), GUEST_TOO_MANY);
    assert_int_equal(guests_enter(g, &other, 1), GUEST_WELCOME);
    guests_leave(g, &same);
    assert_int_equal(guests_enter(g, &one, 2), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &one, 2), GUEST_TOO_MANY);
    guests_free(g);
}

static void an_ipv6_network_is_one_guest(void **state)
{
    struct guests *g = make(1, 0, 0);
    struct addr one = at("[2001:db8:0:1::1]:1"), same = at("[2001:db8:0:1:ffff::2]:1"),
                other = at("[2001:db8:0:2::1]:1"), four = at("32.1.13.184:1");

    (void)state;
    assert_int_equal(guests_enter(g, &one, 1), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &same, 1), GUEST_TOO_MANY);
    assert_int_equal(guests_enter(g, &other, 1), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &four, 1), GUEST_WELCOME); /* the same first four bytes */
    guests_free(g);
}

static void tokens_come_back_with_time_up_to_the_burst(void **state)
{
    struct guests *g = make(0, 2, 3);
    struct addr one = at("192.0.2.1:1");
    uint64_t now = 1000;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(guests_enter(g, &one, now), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &one, now), GUEST_TOO_FAST);
    assert_int_equal(guests_enter(g, &one, now + 499), GUEST_TOO_FAST);
    assert_int_equal(guests_enter(g, &one, now + 500), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &one, now + 500), GUEST_TOO_FAST);
    now += 3600 * 1000; /* an hour gives the burst, not an hour's worth */
    for (int i = 0; i < 3; i++)
        assert_int_equal(guests_enter(g, &one, now), GUEST_WELCOME);
    assert_int_equal(guests_enter(g, &one, now), GUEST_TOO_FAST);
    assert_int_equal(guests_enter(g, &one, now - 5000),
                     GUEST_TOO_FAST); /* a clock of another thread */
    guests_free(g);
}

/* Far more addresses than the table holds: those with open tunnels keep their count. */
static void newcomers_take_the_places_of_those_without_tunnels(void **state)
{
    struct guests *g = make(1, 0, 0);
    struct addr held = at("198.51.100.7:1");

    (void)state;
    assert_int_equal(guests_enter(g, &held, 1), GUEST_WELCOME);
    for (uint32_t i = 0; i < 200000; i++) {
        struct addr a = {.family = AF_INET, .port = 1};

        a.ip[0] = 10;
        a.ip[1] = (uint8_t)(i >> 16);
        a.ip[2] = (uint8_t)(i >> 8);
        a.ip[3] = (uint8_t)i;
        assert_int_equal(guests_enter(g, &a, 2 + i), GUEST_WELCOME);
        guests_leave(g, &a);
    }
    assert_int_equal(guests_enter(g, &held, 300000), GUEST_TOO_MANY);
    guests_leave(g, &held);
    guests_leave(g, &held); /* one too many does no harm */
    assert_int_equal(guests_enter(g, &held, 300000), GUEST_WELCOME);
    guests_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tunnels_at_once_are_counted_by_address),
        cmocka_unit_test(an_ipv6_network_is_one_guest),
        cmocka_unit_test(tokens_come_back_with_time_up_to_the_burst),
        cmocka_unit_test(newcomers_take_the_places_of_those_without_tunnels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
