"""Too many: of connections, of requests, of descriptors, of tunnels."""

import os
import resource
import select
import signal
import time

import pytest

from harness import procfs
from harness.base import PATIENCE, SLOW, eventually, run
from harness.bridge import http_get
from harness.mass import Mass
from harness.targets import Target, echo, fin_after, refused_port, reset_after, sink
from harness.wire import BINARY, Client, Gone, Stream, ask, dial, frame, read_answer, request


def limit_descriptors(most):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def test_max_connections(bridge, target):
    """Beyond the limit: 503 with Retry-After, readyz says no; when one ends the next is admitted."""
    there = target(echo)
    one = bridge(there, max_connections="5", workers=1)
    clients = [Client(one.address, there.query) for _ in range(5)]
    answer = ask(one.address, request(there.query))
    assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
    eventually(lambda: one.admin_get("/readyz")[0] == 503, "readyz to say no")
    assert one.admin_get("/healthz")[0] == 200
    clients.pop().shut()
    one.closed()
    eventually(lambda: one.admin_get("/readyz")[0] == 200, "readyz to say yes")
    with Client(one.address, there.query) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
    for client in clients:
        client.close()
    assert one.metrics().total("atlas_proxy_rejected_total", reason="overloaded") >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_max_per_address(bridge, target, workers):
    """One address may have so many tunnels, all workers together; another has its own; leaving frees the place."""
    there = target(echo)
    one = bridge(there, max_per_ip="3", workers=workers)
    mine = [Client(one.address, there.query, source="127.0.0.5") for _ in range(3)]
    answer = ask(one.address, request(there.query), source="127.0.0.5")
    assert answer.status == 429 and int(answer.headers["retry-after"]) > 0
    Client(one.address, there.query, source="127.0.0.6").shut()
    mine.pop().shut()
    one.closed(count=2)

    def again():
        try:
            return Client(one.address, there.query, source="127.0.0.5")
        except AssertionError:
            return None
    mine.append(eventually(again, "the place to be free"))
    for client in mine:
        client.close()
    assert one.metrics().total("atlas_proxy_rejected_total", reason="address-limit") >= 1


def test_rate_per_address(bridge, target):
    """A burst, then 429 with Retry-After; after a while one more; other addresses are not touched."""
    there = target(echo)
    one = bridge(there, rate_per_ip="1", rate_burst="5")
    for _ in range(5):
        Client(one.address, there.query, source="127.0.0.7").shut()
    answer = ask(one.address, request(there.query), source="127.0.0.7")
    assert answer.status == 429 and int(answer.headers["retry-after"]) > 0
    Client(one.address, there.query, source="127.0.0.8").shut()
    eventually(lambda: ask(one.address, request(there.query), source="127.0.0.7").status == 101, "a new token", timeout=PATIENCE, pause=0.4)
    assert one.metrics().total("atlas_proxy_rejected_total", reason="rate-exceeded") >= 1


def test_exempt_addresses_are_not_limited(bridge, target):
    """--limit-exempt."""
    there = target(echo)
    one = bridge(there, max_per_ip="1", rate_per_ip="1", rate_burst="1", limit_exempt="127.0.0.9/32")
    clients = [Client(one.address, there.query, source="127.0.0.9") for _ in range(10)]
    for client in clients:
        client.shut()
        client.close()


def test_the_oldest_unfinished_handshake_gives_way(bridge, target):
    """--max-pending 4: slow ones cannot keep an honest one out."""
    there = target(echo)
    one = bridge(there, max_pending="4", workers=1)
    slow = []
    for _ in range(12):
        stream = Stream(dial(one.address))
        stream.send(b"GET / HTTP/1.1\r\n")
        slow.append(stream)
    eventually(lambda: one.metrics().total("atlas_proxy_tunnels") <= 5, "the evictions")
    with Client(one.address, there.query) as client:
        client.shut()
    slow[0].rest()  # ends; the newest are still there
    for stream in slow:
        stream.close()


def test_silent_connects_need_no_tunnel(bridge, target):
    """Connections that never send are left to the kernel; an honest client gets through."""
    there = target(echo)
    one = bridge(there, max_connections="50", workers=1)
    silent = [dial(one.address, source=f"127.0.1.{1 + i % 200}") for i in range(1500)]
    with Client(one.address, there.query) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()
    for sock in silent:
        sock.close()
    eventually(lambda: one.tunnels() == 0, "no tunnels", timeout=PATIENCE * 2)


def test_descriptors_run_out_and_come_back(bridge, target):
    """With none left new connections are told or wait, nothing spins, live tunnels live, and all is well afterwards."""
    there = target(echo)
    one = bridge(there, preexec_fn=limit_descriptors(80), max_connections="1000", workers=1)
    alive = [Client(one.address, there.query) for _ in range(5)]
    crowd = []
    for _ in range(90):
        stream = Stream(dial(one.address))
        stream.send(request(there.query))
        crowd.append(stream)
    for client in alive:
        client.send_data(b"still here")
        assert client.data(10) == b"still here"
    ticks = procfs.cpu_ticks(one.pid)
    time.sleep(1)
    assert procfs.cpu_ticks(one.pid) - ticks < 60, "the bridge spins while it has no descriptor"
    page = one.metrics() if _answers(one) else None
    for stream in crowd:
        stream.close()
    for client in alive:
        client.send_data(b"and here")
        assert client.data(8) == b"and here"
        client.shut()
        client.close()

    def works():
        try:
            with Client(one.address, there.query, timeout=2) as client:
                client.send_data(b"x")
                return client.data(1) == b"x"
        except (AssertionError, Gone, OSError):
            return False
    eventually(works, "the recovery", timeout=PATIENCE * 2, pause=0.1)
    assert page is None or page.faults == []


def _answers(bridge):
    try:
        return bridge.admin_get("/healthz")[0] == 200
    except (OSError, EOFError):
        return False


def test_the_limit_of_descriptors_bounds_the_connections_and_is_said(bridge, target):
    """Without --max-connections the limit follows from the descriptors, and the log says how many."""
    there = target(echo)
    one = bridge(there, preexec_fn=limit_descriptors(200), workers=1)
    assert "90" in one.log or "200" in one.log
    clients = []
    for _ in range(90):
        clients.append(Client(one.address, there.query))
    answers = [ask(one.address, request(there.query)).status for _ in range(3)]
    assert answers == [503] * 3
    for client in clients:
        client.close()


def test_the_soft_limit_is_raised_to_the_hard_one(bridge, target):
    """A soft limit of 1024 is a default, not a wish."""
    there = target(echo)
    one = bridge(there, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096)))
    soft, hard = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
    assert soft == hard == 4096


@pytest.mark.heavy
@pytest.mark.timeout(300 * SLOW)
def test_eight_thousand_tunnels_at_once(bridge, stack):
    """All of them are open at the same time, all of them carry data, and nothing is left when they go."""
    wanted = 8200 if SLOW == 1 else 500
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2.3 * wanted:
        pytest.skip(f"{hard} descriptors are not enough for {wanted} tunnels")
    mass = stack.enter_context(Mass("echo"))
    one = bridge(mass, ping_interval="0", first_data_timeout="0", rate_per_ip="0")
    poll = select.epoll()
    stack.callback(poll.close)
    socks = {}
    stack.callback(lambda: [s.close() for s in socks.values()])
    for i in range(wanted):
        sock = dial(one.address, source=f"127.0.{1 + i % 4}.{1 + i % 97}")
        sock.sendall(request(mass.query) + frame(BINARY, b"%06d" % i))
        sock.setblocking(False)
        socks[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
    got = {fd: b"" for fd in socks}
    waiting = set(socks)
    end = time.monotonic() + PATIENCE * 6
    while waiting:
        assert time.monotonic() < end, f"{len(waiting)} of {wanted} tunnels are not served"
        for fd, _ in poll.poll(1):
            piece = socks[fd].recv(4096)
            assert piece, "a tunnel ended"
            got[fd] += piece
            _, _, rest = got[fd].partition(b"\r\n\r\n")
            if got[fd].startswith(b"HTTP/1.1 101 ") and len(rest) >= 8:
                waiting.discard(fd)
    numbers = sorted(int(raw.partition(b"\r\n\r\n")[2][2:]) for raw in got.values())
    assert numbers == list(range(wanted))
    assert one.tunnels() == wanted
    before = procfs.cpu_ticks(one.pid)
    time.sleep(1)
    assert procfs.cpu_ticks(one.pid) - before < 20, "idle tunnels keep the bridge busy"
    # A second round, over all of them.
    for i, (fd, sock) in enumerate(socks.items()):
        sock.send(frame(BINARY, b"again"))
        got[fd] = b""
    waiting = set(socks)
    end = time.monotonic() + PATIENCE * 6
    while waiting:
        assert time.monotonic() < end
        for fd, _ in poll.poll(1):
            got[fd] += socks[fd].recv(4096)
            if got[fd] == b"\x82\x05again":
                waiting.discard(fd)
    for sock in socks.values():
        sock.close()
    one.wait_tunnels(0, timeout=PATIENCE * 6)


def test_ports_run_out_on_one_source_address(bridge, netns):
    """With no ephemeral port left: the next source address, and without one 1013 overloaded."""
    with netns():
        run("sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=50000 50009")
        with Target(echo, port=7000) as there:
            one = bridge(there, source_addr="127.0.0.2", listen="127.0.0.1:9000")
            clients, code = [], None
            for i in range(14):
                client = Client(one.address, there.query, source="127.0.0.%d" % (10 + i))
                client.send_data(b"x")
                got = client.frame()
                if got.opcode == 8:
                    code = int.from_bytes(got.payload[:2], "big")
                    break
                clients.append(client)
            assert code == 1013 and 5 <= len(clients) <= 10
            for client in clients:
                client.close()
            two = bridge(there, source_addr="127.0.0.3,127.0.0.4", listen="127.0.0.1:9002")
            more = [Client(two.address, there.query, source="127.0.0.%d" % (10 + i)) for i in range(14)]
            for client in more:
                client.send_data(b"y")
                assert client.data(1) == b"y"
                client.close()


@pytest.mark.heavy
@pytest.mark.timeout(240 * SLOW)
def test_nothing_is_left_after_thousands_of_mixed_ends(bridge, target, dns):
    """Descriptors, tunnels, buffers and pipes are back where they were, whatever the tunnels went through."""
    block = os.urandom(300_000)
    there = {"echo": target(echo), "sink": target(sink), "fin": target(fin_after(block)), "rst": target(reset_after(block, gated=False))}
    holder, port = refused_port()
    one = bridge(*there.values(), f"127.0.0.1:{port}", "nobody.test:1", dns_servers=dns({}).server, handshake_timeout="2s")

    def visit(i):
        kind = i % 12
        if kind == 0:
            with Client(one.address, there["echo"].query) as c:
                c.send_data(b"x" * 100)
                c.data(100)
                c.shut()
        elif kind == 1:
            Client(one.address, there["fin"].query).expect_close(1000)
        elif kind == 2:
            Client(one.address, there["rst"].query).until_close()
        elif kind == 3:
            c = Client(one.address, there["fin"].query, receive_buffer=1 << 13)
            c.frame()
            c.reset()
        elif kind == 4:
            Client(one.address, f"/?target=127.0.0.1:{port}").expect_close(1014)
        elif kind == 5:
            Client(one.address, "/?target=nobody.test:1").expect_close(1014, "dns-failure")
        elif kind == 6:
            assert ask(one.address, request("/?target=a.test:1")).status == 403
        elif kind == 7:
            c = Client(one.address, there["sink"].query)
            c.send(frame(BINARY, block)[:200_000])
            c.close()
        elif kind == 8:
            s = Stream(dial(one.address))
            s.send(request()[:50])
            s.close()
        elif kind == 9:
            c = Client(one.address, there["echo"].query)
            c.send(frame(3, b"x"))
            c.until_close()
            c.close()
        elif kind == 10:
            c = Client(one.address, there["echo"].query)
            c.reset()
        else:
            assert http_get(one.address, "/healthz")[0] == 200

    def baseline():
        one.wait_tunnels(0, timeout=PATIENCE * 2)
        return procfs.descriptors(one.pid)
    for i in range(120):
        visit(i)
    before = procfs.settled(baseline, "descriptors")
    memory = procfs.memory(one.pid)
    rounds = int(3600 / SLOW)
    for i in range(rounds):
        visit(i)
    def nothing_more():
        after = baseline()
        return all(count <= before.get(kind, 0) for kind, count in after.items())
    eventually(nothing_more, "descriptors as before")
    page = one.metrics()
    assert page.total("atlas_proxy_buffers_in_use") == 0 and page.total("atlas_proxy_pipes_in_use") == 0
    assert SLOW > 1 or procfs.memory(one.pid) - memory < 1 << 20
    holder.close()


def test_clients_that_vanish_at_every_stage_leave_nothing(bridge, target):
    """Killed while connecting, upgrading, sending, receiving, closing: no tunnel, and the target's side is ended."""
    there = target(echo)
    one = bridge(there, close_timeout="500ms")
    stages = [b"", b"GET / HT", request(there.query)[:-2], request(there.query), request(there.query) + frame(BINARY, b"x" * 1000)[:500],
              request(there.query) + frame(BINARY, b"x" * 500_000), request(there.query) + frame(8, b""), request(there.query) + frame(9, b"p") * 10]
    for raw in stages:
        for how in ("reset", "close"):
            stream = Stream(dial(one.address))
            stream.send(raw)
            getattr(stream, how)()
    one.wait_tunnels(0)
    for peer in there.peers:
        peer.wait()


@pytest.mark.parametrize("stage", ["connecting", "open", "bulk"])
def test_targets_that_are_killed_at_every_stage(bridge, stack, stage):
    """A target process that dies by SIGKILL ends its tunnels with a reason, and the next connect is refused."""
    mass = stack.enter_context(Mass("echo"))
    one = bridge(mass)
    clients = [] if stage == "connecting" else [Client(one.address, mass.query) for _ in range(20)]
    for client in clients:
        client.send_data(b"x" * (200_000 if stage == "bulk" else 1))
        if stage == "open":
            client.data(1)
    mass.process.send_signal(signal.SIGKILL)
    mass.process.wait()
    for client in clients:
        _, code, _ = client.until_close(keep=False)
        assert code in (1000, 1014)
        client.close()
    with Client(one.address, mass.query) as client:
        client.expect_close(1014, "connect-refused")


def test_a_half_open_target_does_not_hold_the_client(bridge, target):
    """A target that resets while the client is closing: the client still sees an orderly end."""
    def serve(peer):
        peer.read(1)
        peer.reset()
    there = target(serve)
    one = bridge(there)
    for _ in range(30):
        with Client(one.address, there.query) as client:
            client.send(frame(BINARY, b"x") + frame(8, b"\x03\xe8"))
            _, code, _ = client.until_close()
            assert code in (1000, 1014)
    one.wait_tunnels(0)


def test_the_answer_of_an_overloaded_bridge_is_not_eaten(bridge, target):
    """503 arrives whole though the request was long and unread."""
    there = target(echo)
    one = bridge(there, max_connections="1", workers=1)
    with Client(one.address, there.query):
        for _ in range(50):
            with Stream(dial(one.address)) as stream:
                stream.send(request(there.query, headers=["Cookie: " + "c" * 7000]))
                assert read_answer(stream).status == 503
                assert stream.rest()[0] == b""
