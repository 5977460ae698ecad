"""Every timer, once for real: a second or less each."""

import socket
import time

import pytest

from harness.base import PATIENCE, eventually
from harness.targets import Target, echo, fin_after, flood, full_backlog, sink, stall, talker
from harness.wire import BINARY, PING, PONG, Client, Stream, dial, frame, read_answer, request

pytestmark = pytest.mark.patient


def test_a_handshake_that_takes_too_long_gets_408(bridge, target):
    """Half a request, then silence."""
    one = bridge(target(echo), handshake_timeout="500ms")
    with Stream(dial(one.address)) as stream:
        stream.send(request()[:40])
        assert read_answer(stream).status == 408
        assert stream.rest()[0] == b""
    eventually(lambda: one.metrics().total("atlas_proxy_rejected_total", reason="handshake-timeout") == 1, "the count")
    one.wait_tunnels(0)


def test_dripping_bytes_do_not_prolong_the_handshake(bridge, target):
    """The time counts from accept, not from the last byte."""
    one = bridge(target(echo), handshake_timeout="800ms")
    raw = request(headers=["X-Long: " + "x" * 4000])
    with Stream(dial(one.address)) as stream:
        stream.sock.settimeout(0.05)
        began = time.monotonic()
        for i in range(len(raw)):
            stream.send(raw[i:i + 1])
            try:
                stream.fill()
                break
            except AssertionError:  # nothing came yet
                assert time.monotonic() - began < PATIENCE
        assert stream.buffer.startswith(b"HTTP/1.1 408 ")


def test_connections_that_never_say_a_word_are_closed(bridge, target):
    """They cost no tunnel and are gone in the end."""
    one = bridge(target(echo), handshake_timeout="500ms")
    silent = [Stream(dial(one.address), timeout=30) for _ in range(10)]
    for stream in silent:
        got, _ = stream.rest()
        assert not got or got.startswith(b"HTTP/1.1 408 ")
    eventually(lambda: one.tunnels() == 0, "no tunnels")


def test_connect_timeout(bridge):
    """A target that answers nothing: Close 1014 connect-timeout."""
    listener, fillers = full_backlog()
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    one = bridge(name, connect_timeout="400ms")
    with Client(one.address, "/?target=" + name) as client:
        client.send_data(b"unheard")
        client.expect_close(1014, "connect-timeout")
    assert one.closed(reason="connect-timeout")["close_sent"] == 1014
    for sock in (listener, *fillers):
        sock.close()


def test_first_data_timeout(bridge, target):
    """A client that opens a tunnel and says nothing: 1008 first-data-timeout; Pongs are not data."""
    there = target(echo)
    one = bridge(there, first_data_timeout="600ms")
    with Client(one.address, there.query) as client:
        client.send_frame(PONG, b"alive")
        client.expect_close(1008, "first-data-timeout")
    with Client(one.address, there.query) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.sock.settimeout(1.5)
        with pytest.raises(AssertionError, match="no byte came"):
            client.fill()
        client.sock.settimeout(PATIENCE)
        client.shut()
    one.closed(reason="client-closed")


def test_idle_timeout(bridge, target):
    """No data either way: 1008 idle-timeout. Pings and Pongs do not count, data does."""
    there = target(echo)
    one = bridge(there, idle_timeout="1200ms", ping_interval="200ms")
    with Client(one.address, there.query) as client:
        began = time.monotonic()
        while time.monotonic() - began < 2.4:  # twice the time-out, with data all along
            client.send_data(b"x")
            assert client.data(1) == b"x"
            time.sleep(0.1)
        client.expect_close(1008, "idle-timeout")  # answers Pings while it waits
    event = one.closed(reason="idle-timeout")
    assert event["by"] == "bridge" and event["duration"] >= 2.4


def test_data_downwards_alone_keeps_a_tunnel_from_idling(bridge, target):
    """A target that talks is activity."""
    def serve(peer):
        peer.read(1)
        for _ in range(20):
            peer.sock.sendall(b"tick")
            time.sleep(0.1)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain()
    there = target(serve)
    one = bridge(there, idle_timeout="1s")
    with Client(one.address, there.query) as client:
        client.send_data(b"g")
        assert client.expect_close(1000, "target-closed") == b"tick" * 20


def test_a_silent_client_is_pinged_and_may_answer(bridge, target):
    """Pings come at their interval; as long as they are answered the tunnel stays."""
    there = target(echo)
    one = bridge(there, ping_interval="200ms", ping_timeout="2s", first_data_timeout="0")
    with Client(one.address, there.query) as client:
        for _ in range(5):
            got = client.frame()
            assert got.opcode == PING
            client.send_frame(PONG, got.payload)
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()


def test_a_client_that_answers_no_ping_is_dropped(bridge, target):
    """No byte after our Ping within --ping-timeout: the peer is dead; no Close is wasted on it."""
    there = target(sink)
    one = bridge(there, ping_interval="200ms", ping_timeout="400ms", first_data_timeout="0")
    with Client(one.address, there.query) as client:
        client.expect(PING)
        data, _ = client.ended()
        assert data == b""
    event = one.closed(reason="ping-timeout")
    assert event["by"] == "bridge"
    there.peer().wait()


def test_any_byte_counts_as_an_answer_to_a_ping(bridge, target):
    """A client in the middle of a long frame cannot send a Pong, and need not."""
    there = target(sink)
    one = bridge(there, ping_interval="300ms", ping_timeout="1s", first_data_timeout="0")
    raw = frame(BINARY, b"x" * 100)
    with Client(one.address, there.query) as client:
        client.send(raw[:20])
        for i in range(20, 50):
            client.send(raw[i:i + 1])
            time.sleep(0.08)
        client.send(raw[50:])
        client.shut()
    one.closed(reason="client-closed")


def test_busy_clients_are_not_pinged(bridge, target):
    """The interval is one of the client's silence."""
    there = target(echo)
    one = bridge(there, ping_interval="1500ms")
    with Client(one.address, there.query) as client:
        for _ in range(25):
            client.send_data(b"x")
            client.expect(BINARY, b"x")  # a Ping here would fail
            time.sleep(0.1)
        client.shut()


def test_a_client_that_never_reads_is_reset(bridge, target, splice):
    """A download without progress for --stall-timeout: both sides end, and the log says stall-timeout."""
    there = target(flood)
    one = bridge(there, splice=splice, stall_timeout="600ms", ping_interval="0")
    with Client(one.address, there.query, receive_buffer=1 << 12) as client:
        event = one.closed(reason="stall-timeout")
        assert event["by"] == "bridge"
        there.peer().wait()
        assert client.rest()[1] in ("rst", "fin")


def test_a_target_that_never_reads_is_given_up(bridge, target):
    """An upload without progress for --stall-timeout."""
    there = target(stall)
    one = bridge(there, stall_timeout="600ms", ping_interval="0")
    raw = frame(BINARY, b"x" * 65536)
    with Client(one.address, there.query) as client:
        client.sock.settimeout(PATIENCE)
        try:
            for _ in range(4000):
                client.send(raw)
        except OSError:
            pass
        assert one.closed(reason="stall-timeout")


def test_a_slow_reader_is_not_a_stalled_one(bridge, target, splice):
    """Progress, however little, keeps the tunnel."""
    size = 6_000_000
    there = target(fin_after(b"x" * size))
    one = bridge(there, splice=splice, stall_timeout="1500ms", ping_interval="0")
    with Client(one.address, there.query, receive_buffer=1 << 16) as client:
        got = 0
        for _ in range(25):
            opcode, length = client.head()
            assert opcode == BINARY
            got += len(client.read(length))
            time.sleep(0.12)
        rest, code, _ = client.until_close(keep=False)
        assert got + rest == size and code == 1000


def test_max_lifetime(bridge, target):
    """A tunnel of that age is closed with 1001, busy or not."""
    there = target(echo)
    one = bridge(there, max_lifetime="700ms")
    with Client(one.address, there.query) as client:
        end = time.monotonic() + PATIENCE
        code = None
        while code is None and time.monotonic() < end:
            try:
                client.send_data(b"x")
            except OSError:
                pass
            got = client.frame()
            if got.opcode == 8:
                code, reason = int.from_bytes(got.payload[:2], "big"), got.payload[2:]
        assert (code, reason) == (1001, b"max-lifetime")
        client.finish(1001)
    assert one.closed(reason="max-lifetime")["duration"] >= 0.6


def test_a_zero_turns_a_timer_off(bridge, target):
    """--first-data-timeout 0 --ping-interval 0 --idle-timeout 0: a silent tunnel stays silent."""
    there = target(talker(b"first"))
    one = bridge(there, first_data_timeout="0", ping_interval="0", idle_timeout="0", stall_timeout="0")
    with Client(one.address, there.query) as client:
        assert client.data(5) == b"first"
        client.sock.settimeout(1.2)
        with pytest.raises(AssertionError, match="no byte came"):
            client.fill()
        client.sock.settimeout(PATIENCE)
        client.shut()


def test_a_thousand_timers_fire_for_the_right_tunnels(bridge):
    """Tunnels opened over a while end in the order of their opening."""
    with Target(sink) as there:
        one = bridge(there, first_data_timeout="1s", workers=2)
        quiet = [Client(one.address, there.query) for _ in range(300)]
        busy = [Client(one.address, there.query) for _ in range(100)]
        for client in busy:
            client.send_data(b"x")
        for client in quiet:
            client.expect_close(1008, "first-data-timeout")
            client.close()
        for client in busy:
            client.shut()
            client.close()
        one.closed(reason="first-data-timeout", count=300)
        one.closed(reason="client-closed", count=100)
