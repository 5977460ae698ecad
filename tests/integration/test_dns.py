"""Names: resolved by a scripted server, judged, cached, raced."""

import threading
import time

import pytest

from harness.base import PATIENCE, eventually
from harness.dns import A, AAAA, NOERROR, NXDOMAIN, REFUSED, SERVFAIL, Reply, addresses
from harness.targets import Target, echo, fin_after, full_backlog, refused_port, talker
from harness.wire import Client

NAME = "tee.test"


@pytest.fixture
def named(bridge, target, dns):
    """named(script, …) is a bridge that may reach tee.test on the port of an echo target, and asks the script."""
    def start(script, serve=echo, host="127.0.0.1", **options):
        there = target(serve, host=host)
        server = dns({NAME: script} if not isinstance(script, dict) or A in script else script)
        options.setdefault("deny_addr", "off")
        one = bridge(allow=[f"{NAME}:{there.port}"], dns_servers=server.server, **options)
        one.there, one.dns = there, server
        one.query = f"/?target={NAME}:{there.port}"
        return one
    return start


def works(bridge):
    with Client(bridge.address, bridge.query) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()


def fails(bridge, reason):
    with Client(bridge.address, bridge.query) as client:
        client.expect_close(1014, reason)


def test_a_name_is_resolved_and_reached(named):
    """A records, the port of the request; the log shows name and address."""
    one = named(addresses("127.0.0.1"))
    works(one)
    event = one.closed()
    assert event["target"] == f"{NAME}:{one.there.port}"
    assert event.get("address", "").startswith("127.0.0.1")


def test_an_aaaa_record_alone_is_enough(named):
    """Only IPv6."""
    works(named(addresses("::1"), host="::1"))


@pytest.mark.parametrize("script", [Reply(code=NXDOMAIN), Reply(code=SERVFAIL), Reply(code=REFUSED), Reply(code=NOERROR), Reply(silent=True), None],
                         ids=["nxdomain", "servfail", "refused", "empty", "silent", "unknown"])
def test_a_name_that_does_not_resolve(named, script):
    """NXDOMAIN, SERVFAIL, REFUSED, no records, no answer: Close 1014 dns-failure, in the time for connecting."""
    one = named(script, connect_timeout="1s")
    with Client(one.address, one.query) as client:
        _, code, reason = client.until_close()
        assert code == 1014
        assert reason == "dns-failure" or (script is not None and script.silent and reason == "connect-timeout")


def test_a_silent_name_server_blocks_nobody_else(bridge, target, dns):
    """While one name hangs, literals and other names are served by the same worker."""
    there = target(echo)
    names = dns({"slow.test": Reply(silent=True), "quick.test": addresses("127.0.0.1")})
    one = bridge(there.name, f"slow.test:{there.port}", f"quick.test:{there.port}", dns_servers=names.server, workers=1,
                 connect_timeout="10s", deny_addr="off")
    with Client(one.address, f"/?target=slow.test:{there.port}") as stuck:
        for query in (there.query, f"/?target=quick.test:{there.port}"):
            with Client(one.address, query) as client:
                client.send_data(b"x")
                assert client.data(1) == b"x"
                client.shut()
        stuck.close()


def test_a_slow_answer_is_waited_for(named):
    """Half a second is not a failure."""
    works(named(Reply(["127.0.0.1"], delay=0.5)))


def test_aaaa_that_never_comes_does_not_hold_a(named):
    """A first: a moment for AAAA, then on with what is there."""
    works(named({A: addresses("127.0.0.1"), AAAA: Reply(silent=True)}, connect_timeout="3s"))


def test_a_that_never_comes_does_not_hold_aaaa(named):
    """The other way round."""
    works(named({AAAA: addresses("::1"), A: Reply(silent=True)}, host="::1", connect_timeout="3s"))


def test_the_next_address_is_tried_when_one_refuses(named):
    """Several records: refused ones are passed over at once."""
    works(named(addresses("127.0.0.31", "127.0.0.32", "127.0.0.1")))


def test_an_address_that_hangs_does_not_hold_the_next(bridge, dns):
    """The next attempt begins a quarter of a second later, long before the time-out of the first."""
    listener, fillers = full_backlog(host="127.0.0.41")
    with Target(echo, host="127.0.0.42", port=listener.getsockname()[1]) as there:
        names = dns({NAME: addresses("127.0.0.41", "127.0.0.42")})
        one = bridge(f"{NAME}:{there.port}", dns_servers=names.server, deny_addr="off", connect_timeout="20s")
        for _ in range(6):
            began = time.monotonic()
            with Client(one.address, f"/?target={NAME}:{there.port}") as client:
                client.send_data(b"x")
                assert client.data(1) == b"x"
                client.shut()
            assert time.monotonic() - began < PATIENCE
    for sock in (listener, *fillers):
        sock.close()


def test_both_families_are_raced(bridge, dns):
    """A dead IPv6 address does not keep the client from the living IPv4 one, and the loser sees no byte."""
    with Target(talker(b"six"), host="::1") as six:
        # On IPv4 the same port must be a target of ours too.
        with Target(echo, port=six.port) as four:
            names = dns({NAME: addresses("::1", "127.0.0.1")})
            one = bridge(f"{NAME}:{six.port}", dns_servers=names.server, deny_addr="off")
            with Client(one.address, f"/?target={NAME}:{six.port}") as client:
                client.send_data(b"x")
                assert client.frame().payload in (b"six", b"x")
                client.send_close(1000)
                assert client.until_close()[1] == 1000
            one.closed()
            spoken = [p for p in (*six.peers, *four.peers) if p.wait().count]
            assert len(spoken) == 1


def test_all_addresses_refusing_is_refused(bridge, dns):
    """Twenty addresses on which nobody listens."""
    holder, port = refused_port()
    names = dns({NAME: addresses(*[f"127.0.0.{i}" for i in range(60, 80)])})
    one = bridge(f"{NAME}:{port}", dns_servers=names.server, deny_addr="off")
    with Client(one.address, f"/?target={NAME}:{port}") as client:
        client.expect_close(1014, "connect-refused")
    holder.close()


def test_a_thousand_addresses_are_an_answer_like_another(named):
    """The long answer comes over TCP; some of it is used; nothing breaks."""
    script = addresses("127.0.0.1", *[f"127.1.{i // 250}.{1 + i % 250}" for i in range(1000)])
    one = named(script, connect_timeout="4s")
    with Client(one.address, one.query) as client:
        client.send_data(b"x")
        got = client.frame()
        assert got.payload == b"x" or got.opcode == 8
    assert one.metrics().faults == []


def test_a_cname_is_followed_within_the_answer(bridge, target, dns):
    """An alias with its address; an alias that runs in a circle is a failure."""
    there = target(echo)
    names = dns({"alias.test": Reply(["127.0.0.1"], cname="real.test"), "loop.test": Reply(cname="loop.test")})
    one = bridge(f"alias.test:{there.port}", f"loop.test:{there.port}", dns_servers=names.server, deny_addr="off", connect_timeout="2s")
    with Client(one.address, f"/?target=alias.test:{there.port}") as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()
    with Client(one.address, f"/?target=loop.test:{there.port}") as client:
        assert client.until_close()[1] == 1014


# --- the cache ----------------------------------------------------------------------------------


def test_answers_are_kept_for_their_time(named):
    """One question serves many connections."""
    one = named(addresses("127.0.0.1", ttl=60), workers=1)
    for _ in range(20):
        works(one)
    assert len([q for q in one.dns.asked(NAME) if q.type == A]) == 1


def test_answers_without_lifetime_are_kept_for_a_second_at_least(named):
    """TTL 0 is no reason to ask for each connection."""
    one = named(addresses("127.0.0.1", ttl=0), workers=1)
    for _ in range(30):
        works(one)
    asked = len([q for q in one.dns.asked(NAME) if q.type == A])
    assert asked < 15


def test_questions_for_one_name_are_asked_once(named):
    """Thirty connections at the same moment are one query."""
    one = named(Reply(["127.0.0.1"], delay=0.4), workers=1)
    clients = [Client(one.address, one.query) for _ in range(30)]
    for client in clients:
        client.send_data(b"x")
    for client in clients:
        assert client.data(1) == b"x"
        client.close()
    assert len([q for q in one.dns.asked(NAME) if q.type == A]) <= 2


def test_failures_are_remembered_briefly(named):
    """A name that is not there is asked for again after about two seconds, not for every connection."""
    one = named(Reply(code=NXDOMAIN), workers=1)
    for _ in range(20):
        fails(one, "dns-failure")
    assert len([q for q in one.dns.asked(NAME) if q.type == A]) <= 4
    one.dns.names[NAME] = addresses("127.0.0.1")

    def now_there():
        with Client(one.address, one.query) as client:
            client.send_data(b"x")
            return client.frame().payload == b"x"
    eventually(now_there, "the name to be asked for again", pause=0.2)


def test_a_target_that_moves_is_followed(named):
    """After the lifetime of the answer the new address counts, without a restart."""
    one = named(addresses("127.0.0.1", ttl=1), workers=1)
    works(one)
    with Target(fin_after(b"moved"), host="127.0.0.2", port=one.there.port):
        one.dns.names[NAME] = addresses("127.0.0.2", ttl=1)

        def moved():
            with Client(one.address, one.query) as client:
                client.send_data(b"x")
                got = client.frame()
                return got.payload == b"moved"
        eventually(moved, "the new address", pause=0.2)


def test_an_old_answer_serves_while_dns_fails(named):
    """--dns-stale: a name server that breaks does not break the targets."""
    one = named(addresses("127.0.0.1", ttl=1), dns_stale="60s", workers=1)
    works(one)
    one.dns.names[NAME] = Reply(code=SERVFAIL)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        works(one)
        time.sleep(0.2)
    assert len(one.dns.asked(NAME)) > 2


# --- which addresses may be reached -------------------------------------------------------------

SPECIAL = ["127.0.0.1", "127.9.9.9", "169.254.169.254", "169.254.1.1", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "240.0.0.1",
           "::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
           "2002:7f00:1::", "2002:a9fe:a9fe::1"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fc00::1", "fd12:3456::1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_name_that_points_inward_is_denied(named, address):
    """A listed name that resolves to loopback, link-local, metadata, or a disguise of these: address-denied."""
    one = named(addresses(address), deny_addr=None, host="::1" if address == "::1" else "127.0.0.1")
    fails(one, "address-denied")
    assert not one.there.peers
    one.wait_line("address-denied")


@pytest.mark.parametrize("address", PRIVATE + SPECIAL[:3])
def test_private_addresses_are_denied_on_request(named, address):
    """--deny-addr private."""
    fails(named(addresses(address), deny_addr="private", connect_timeout="2s"), "address-denied")


def test_private_addresses_are_reached_by_default(bridge, dns, netns):
    """Operators do point names at private machines."""
    with netns("10.77.0.1/32", "fd12:77::1/128"):
        with Target(echo, host="10.77.0.1") as four, Target(echo, host="fd12:77::1") as six:
            names = dns({"four.test": addresses("10.77.0.1"), "six.test": addresses("fd12:77::1")})
            one = bridge(f"four.test:{four.port}", f"six.test:{six.port}", dns_servers=names.server, listen="127.0.0.1:9000")
            for query in (f"/?target=four.test:{four.port}", f"/?target=six.test:{six.port}"):
                with Client(one.address, query) as client:
                    client.send_data(b"x")
                    assert client.data(1) == b"x"
                    client.shut()


def test_a_rebinding_name_is_judged_each_time(named):
    """First a harmless answer, then an inward one: what is judged is what is connected to."""
    flips = [addresses("192.0.2.1", ttl=0), addresses("127.0.0.1", ttl=0)]
    count = [0]
    lock = threading.Lock()

    def flip(kind):
        with lock:
            if kind == A:
                count[0] += 1
            return flips[count[0] % 2]
    one = named(flip, deny_addr=None, connect_timeout="300ms", dns_stale="0")
    end = time.monotonic() + 4
    while time.monotonic() < end and count[0] < 4:
        with Client(one.address, one.query) as client:
            _, code, reason = client.until_close()
            assert code == 1014 and reason in ("address-denied", "connect-timeout", "network-unreachable", "dns-failure", "connect-refused")
    assert not one.there.peers


def test_a_mixed_answer_reaches_only_the_permitted_part(bridge, dns, netns):
    """One inward and one outward address: only the outward one is tried."""
    with netns("10.77.0.1/32"):
        with Target(talker(b"inside"), host="127.0.0.1") as inside, Target(echo, host="10.77.0.1", port=inside.port) as outside:
            names = dns({NAME: addresses("127.0.0.1", "10.77.0.1", "169.254.169.254")})
            one = bridge(f"{NAME}:{inside.port}", dns_servers=names.server, listen="127.0.0.1:9000")
            for _ in range(10):
                with Client(one.address, f"/?target={NAME}:{inside.port}") as client:
                    client.send_data(b"x")
                    assert client.data(1) == b"x"
                    client.shut()
            assert not inside.peers and len(outside.peers) == 10


def test_literals_and_localhost_are_the_operators_word(bridge, target, dns):
    """They need no name server and may be loopback."""
    there = target(echo)
    names = dns({})
    one = bridge(there.name, f"localhost:{there.port}", dns_servers=names.server)
    for query in (there.query, f"/?target=localhost:{there.port}"):
        with Client(one.address, query) as client:
            client.send_data(b"x")
            assert client.data(1) == b"x"
            client.shut()
    assert not names.asked()


def test_the_bridge_under_a_name_is_still_itself(bridge, dns):
    """A loop through DNS is a loop."""
    from harness.base import free_port
    port = free_port()
    names = dns({NAME: addresses("127.0.0.1")})
    one = bridge(f"{NAME}:{port}", listen=f"127.0.0.1:{port}", dns_servers=names.server, deny_addr="off")
    with Client(one.address, f"/?target={NAME}:{port}") as client:
        client.expect_close(1014, "address-denied")


def test_an_entry_may_pin_its_addresses(bridge, target, dns):
    """host:port=address needs no DNS at all."""
    there = target(echo)
    names = dns({})
    one = bridge(allow=[f"{NAME}:{there.port}=127.0.0.1"], dns_servers=names.server)
    with Client(one.address, f"/?target={NAME}:{there.port}") as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()
    assert not names.asked(NAME)


def test_only_listed_names_are_ever_asked_for(named):
    """Search domains are not tried, and the name goes out as it is listed."""
    one = named(Reply(code=NXDOMAIN))
    fails(one, "dns-failure")
    assert {q.name for q in one.dns.asked()} == {NAME}
