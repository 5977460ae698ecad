"""How tunnels end: every row of the table, with and without splice."""

import fcntl
import os
import struct
import termios
import threading
import time

import pytest

from harness.base import PATIENCE, SLOW, eventually
from harness.targets import echo, fin_after, leave_after, reset_after, sink
from harness.wire import BINARY, CLOSE, Client, Gone, close_payload, frame

BULK = os.urandom(1 << 20) * 8


@pytest.fixture
def pair(bridge, target, splice):
    """pair(serve) is a bridge and a target that serves so."""
    def start(serve, **options):
        there = target(serve)
        one = bridge(there, splice=splice, **options)
        one.there = there
        one.open = lambda **how: Client(one.address, there.query, **how)
        return one
    return start


def closed(bridge, **expected):
    event = bridge.closed()
    assert {k: event.get(k) for k in expected} == expected, event
    return event


# --- the target ends ----------------------------------------------------------------------------


def test_target_fin_becomes_close_1000(pair):
    """With nothing pending: Close 1000 target-closed, its answer is awaited, and the target sees our FIN."""
    one = pair(fin_after(b""))
    with one.open() as client:
        assert client.expect_close(1000, "target-closed") == b""
    assert one.there.peer().wait().end == "fin"
    closed(one, reason="target-closed", close_sent=1000, close_received=1000, by="target", bytes_down=0, target=one.there.name)


@pytest.mark.parametrize("size", [1, 100, 70_000, len(BULK)])
def test_target_fin_behind_data_delivers_the_data_first(pair, size):
    """The Close stands behind the last byte."""
    one = pair(fin_after(BULK[:size]))
    with one.open() as client:
        assert client.expect_close(1000, "target-closed") == BULK[:size]
    assert closed(one, reason="target-closed", close_sent=1000)["bytes_down"] == size


def test_target_fin_behind_data_that_nobody_reads_yet(pair):
    """A client that begins to read only when the target is long gone misses nothing."""
    one = pair(leave_after(BULK, wait_for=2))
    with one.open(receive_buffer=1 << 16) as client:
        client.send_data(b"go")
        one.there.peer().done.wait(0.5)  # gone, or stopped by full buffers
        assert client.expect_close(1000, "target-closed") == BULK
    assert closed(one, reason="target-closed")["bytes_down"] == len(BULK)


def test_a_client_may_go_on_sending_while_the_target_has_closed(pair):
    """What comes between our Close and the client's is discarded without a reset."""
    one = pair(fin_after(b"bye"))
    with one.open() as client:
        data, code, reason = client.until_close()
        assert (data, code, reason) == (b"bye", 1000, "target-closed")
        for _ in range(50):
            client.send_data(b"x" * 1000)
        assert client.finish(1000) == "fin"
    closed(one, close_received=1000)


def test_a_client_that_never_answers_our_close_is_let_go(pair):
    """After --close-timeout the connection ends without its Close."""
    one = pair(fin_after(b"bye"), close_timeout="300ms")
    with one.open() as client:
        data, code, _ = client.until_close()
        assert (data, code) == (b"bye", 1000)
        assert client.rest()[0] == b""
    assert closed(one, close_sent=1000).get("close_received", 0) in (0, None, 1006)


def test_target_reset_delivers_what_came_and_says_1014(pair):
    """RST from the target: its bytes, then Close 1014 target-reset."""
    one = pair(reset_after(b"x" * 100_000))
    with one.open() as client:
        assert client.data(100_000) == b"x" * 100_000
        one.there.peer().go.set()
        assert client.expect_close(1014, "target-reset") == b""
    closed(one, reason="target-reset", close_sent=1014, by="target", bytes_down=100_000)


def test_target_reset_behind_data_in_flight_delivers_a_prefix(pair):
    """What TCP did deliver before the reset is handed on in order, and only then the Close."""
    one = pair(reset_after(BULK, gated=False))
    with one.open() as client:
        data = client.expect_close(1014, "target-reset")
        assert BULK.startswith(data)


def test_target_reset_without_any_data(pair):
    """At once after accept."""
    one = pair(reset_after(b"", gated=False))
    with one.open() as client:
        client.expect_close(1014, "target-reset")


def test_the_last_words_of_a_target_that_stops_reading_are_delivered(pair):
    """It says why, and closes with our bytes unread, which resets: the words arrive before the Close."""
    def serve(peer):
        peer.sock.sendall(b"alert: no")
        peer.gate()
    one = pair(serve)
    with one.open() as client:
        for _ in range(20):
            client.send_data(b"x" * 1000)
        assert client.data(9) == b"alert: no"
        one.there.peer().go.set()
        data, code, _ = client.until_close()
        assert data == b"" and code in (1000, 1014)


def test_writing_to_a_target_that_is_gone_delivers_what_it_had_said(pair):
    """Everything the target said had been acknowledged when our write met its reset: not a byte of it is lost."""
    size = 300_000

    def serve(peer):
        peer.read(1)
        peer.sock.sendall(BULK[:size])
        eventually(lambda: unacknowledged(peer.sock) == 0, "all bytes are with the bridge")
    one = pair(serve)
    with one.open(receive_buffer=1 << 15) as client:
        client.send_data(b"g")
        one.there.peer().wait()
        for _ in range(10):  # the first of these is answered with RST
            client.send_data(b"y" * 4096)
        data, code, _ = client.until_close()
        assert code in (1000, 1014)
        assert len(data) == size and data == BULK[:size]


def unacknowledged(sock):
    """Bytes that TCP still holds for this connection (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


# --- the client ends ----------------------------------------------------------------------------


def test_client_close_becomes_fin_behind_all_its_bytes(pair):
    """Every byte before the Close reaches the target, then FIN, never RST; the code is echoed."""
    one = pair(sink)
    with one.open() as client:
        client.send(frame(BINARY, BULK[:1_500_000]) + frame(CLOSE, close_payload(1000, "done")))
        assert client.until_close()[1] == 1000
        assert client.rest() == (b"", "fin")
    peer = one.there.peer().wait()
    assert peer.end == "fin" and peer.received == BULK[:1_500_000]
    closed(one, reason="client-closed", by="client", close_received=1000, close_sent=1000, bytes_up=1_500_000)


def test_client_close_waits_for_a_slow_target_to_take_its_bytes(pair):
    """A target that reads late still gets every byte and a FIN."""
    def serve(peer):
        peer.gate()
        peer.drain()
    one = pair(serve)
    with one.open() as client:
        writer = threading.Thread(target=lambda: client.sock.sendall(frame(BINARY, BULK) + frame(CLOSE, close_payload(1000))), daemon=True)
        writer.start()
        peer = one.there.peer()
        peer.go.set()
        assert client.until_close()[1] == 1000
        writer.join(PATIENCE)
        assert client.rest()[1] == "fin"
    assert peer.wait().end == "fin" and peer.received == BULK


def test_an_empty_close_is_echoed_empty(pair):
    """No code in, no code out."""
    one = pair(echo)
    with one.open() as client:
        client.send_close()
        assert client.until_close()[1] is None
        assert client.rest() == (b"", "fin")
    closed(one, reason="client-closed", close_received=1005)


def test_what_the_target_says_after_the_clients_close_is_discarded(pair):
    """Without --linger-down nothing is delivered behind the client's Close, and the target is not reset by it."""
    def serve(peer):
        peer.drain()
        peer.sock.sendall(b"too late" * 1000)
    one = pair(serve)
    with one.open() as client:
        client.send_close(1000)
        data, code, _ = client.until_close()
        assert (data, code) == (b"", 1000)
        assert client.rest() == (b"", "fin")
    assert one.there.peer().wait().end == "fin"


def test_linger_down_delivers_the_answer_to_a_fin(pair):
    """--linger-down: the client's Close becomes a FIN, the target's answer arrives, then the Close."""
    def serve(peer):
        peer.drain()
        peer.sock.sendall(b"answer to " + peer.received)
    one = pair(serve, linger_down="5s")
    with one.open() as client:
        client.send_data(b"question")
        client.send_close(1000)
        data, code, _ = client.until_close()
        assert (data, code) == (b"answer to question", 1000)
        assert client.rest() == (b"", "fin")
    closed(one, reason="client-closed", bytes_down=18)


def test_linger_down_ends_with_its_time(pair):
    """A target that says nothing more is not waited for longer than that."""
    def serve(peer):
        peer.drain()
        peer.gate()
    one = pair(serve, linger_down="300ms")
    with one.open() as client:
        client.send_close(1000)
        assert client.until_close()[:2] == (b"", 1000)
        assert client.rest() == (b"", "fin")


def test_client_fin_without_close_becomes_fin(pair):
    """The bytes arrive, the target sees FIN, the log says client-abort."""
    one = pair(sink)
    with one.open() as client:
        client.send_data(BULK[:500_000])
        client.sock.shutdown(1)
        client.rest()
    peer = one.there.peer().wait()
    assert peer.end == "fin" and peer.received == BULK[:500_000]
    closed(one, reason="client-abort", by="client", bytes_up=500_000)


@pytest.mark.parametrize("part", ["head", "mask", "payload"])
def test_half_a_frame_then_fin(pair, part):
    """What arrived of the payload is delivered, then FIN: no Close is expected, nothing is invented."""
    one = pair(sink)
    raw = frame(BINARY, b"abcdefgh" * 100, key=b"k3y!")
    cut = {"head": 3, "mask": 6, "payload": 8 + 333}[part]
    with one.open() as client:
        client.send(frame(BINARY, b"whole") + raw[:cut])
        client.sock.shutdown(1)
        client.rest()
    peer = one.there.peer().wait()
    assert peer.end == "fin"
    assert peer.received == b"whole" + (b"abcdefgh" * 100)[:max(0, cut - 8)]
    closed(one, reason="client-abort")


def test_client_reset_becomes_reset(pair):
    """RST from the client is no orderly end, and the target must not take it for one."""
    one = pair(sink)
    client = one.open()
    client.send_data(b"hello")
    peer = one.there.peer()
    one_byte_came(peer)
    client.reset()
    assert peer.wait().end == "rst"
    closed(one, reason="client-abort", by="client", bytes_up=5)


def test_client_reset_while_the_target_floods(pair):
    """Also when bytes are queued towards the client: the target sees a reset, not silence."""
    def serve(peer):
        while True:
            peer.sock.sendall(BULK[:65536])
    one = pair(serve)
    client = one.open(receive_buffer=1 << 14)
    client.frame()
    client.reset()
    assert one.there.peer().wait().end == "rst"
    closed(one, reason="client-abort")


def one_byte_came(peer):
    eventually(lambda: peer.count, "the first byte at the target")


def test_both_sides_closing_at_once_is_orderly(pair):
    """Our Close and the client's cross on the way: one of each, FIN on both sides."""
    one = pair(fin_after(b"", wait_for=1))
    for _ in range(30):
        with one.open() as client:
            client.send(frame(BINARY, b"g") + frame(CLOSE, close_payload(1000)))
            _, code, _ = client.until_close()
            assert code == 1000
            assert client.rest() == (b"", "fin")
    one.closed(count=30)
    for peer in one.there.peers:
        assert peer.wait().end == "fin"


def test_a_protocol_error_ends_the_target_too(pair):
    """Close 1002 to the client; the target's connection ends without waiting for anything."""
    one = pair(sink)
    with one.open() as client:
        client.send(frame(BINARY, b"fine") + frame(5, b"broken"))
        client.expect_close(1002, "protocol-error")
    peer = one.there.peer().wait()
    assert peer.received == b"fine" and peer.end in ("fin", "rst")
    closed(one, reason="protocol-error", by="client", close_sent=1002)


def test_the_server_closes_its_tcp_side_first(pair):
    """After the Close frames have crossed it is we who end the TCP connection."""
    one = pair(echo)
    with one.open() as client:
        client.send_close(1000)
        assert client.until_close()[1] == 1000
        assert client.rest() == (b"", "fin")  # the client has closed nothing yet


def test_close_overtakes_nothing(pair):
    """Pings, data, and Close in one packet: Pong and echo come before the Close, or not at all, never behind."""
    one = pair(echo)
    with one.open() as client:
        client.send(frame(9, b"p") + frame(BINARY, b"d") + frame(CLOSE, close_payload(1000)))
        try:
            _, code, _ = client.until_close()
        except Gone as how:
            pytest.fail(f"no Close: {how}")
        assert code == 1000
        assert client.rest() == (b"", "fin")


# --- the tail -----------------------------------------------------------------------------------

TAILS = [0, 1, 2, 125, 126, 127, 1000, 1447, 1448, 4095, 4096, 16384, 65535, 65536, 65537, 100_000, 131_072, 262_143, 262_144, 262_145,
         300_000, 524_288, 1_000_000, 1_048_576, 1_048_577, 2_500_000]
RUNS = max(10, int(100 / SLOW))


@pytest.mark.parametrize("size", TAILS)
def test_the_tail_is_never_lost(pair, size):
    """A target that writes and exits at once: every byte arrives before the Close, a hundred times for each size."""
    data = BULK[:size]
    one = pair(leave_after(data))
    runs = RUNS if size <= 1_100_000 else RUNS // 4
    for _ in range(runs):
        with one.open() as client:
            got, code, reason = client.until_close()
            assert len(got) == size and got == data
            assert (code, reason) == (1000, "target-closed")
            client.finish(1000)


@pytest.mark.parametrize("size", [0, 1, 1448, 65_537, 1_000_000])
def test_the_tail_is_never_lost_after_a_request(pair, size):
    """The same when the client has spoken first, and some of what it said is still unread when the target exits."""
    data = BULK[:size]
    one = pair(leave_after(data, wait_for=5))
    for _ in range(RUNS // 2):
        with one.open() as client:
            client.send_data(b"hello")
            got, code, _ = client.until_close()
            assert len(got) == size and got == data
            assert code == 1000
            client.finish(1000)


@pytest.mark.parametrize("size", [10 << 20])
def test_the_tail_of_ten_mebibytes_is_never_lost(pair, size):
    """Beyond every buffer on the way."""
    data = (BULK + BULK)[:size]
    one = pair(leave_after(data))
    for _ in range(max(3, int(12 / SLOW))):
        with one.open() as client:
            got, code, _ = client.until_close()
            assert got == data and code == 1000
            client.finish(1000)


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_the_head_is_never_lost_upwards(pair, size):
    """A client that writes, closes and leaves without waiting: every byte reaches the target, then FIN."""
    data = BULK[:size]
    one = pair(sink)
    for i in range(RUNS // 2):
        with one.open() as client:
            client.send(frame(BINARY, data) + frame(CLOSE, close_payload(1000)))
            client.sock.shutdown(1)
            peer = one.there.peer(i).wait()
            assert peer.received == data and peer.end == "fin"


# --- no waiting without need --------------------------------------------------------------------


def idle_client(one, query):
    client = Client(one.address, query)
    client.send_data(b"x")
    assert client.data(1) == b"x"
    return client


@pytest.mark.parametrize("how", ["refused", "no target", "unreachable", "utf8", "too big", "violation", "idle", "lifetime", "flood", "bytes"])
def test_an_answered_close_ends_the_connection_without_a_time_out(bridge, target, how):
    """Once both Close frames have crossed nothing is waited for, whatever the reason was: all time-outs here are a minute."""
    there = target(echo)
    options = {
        "utf8": dict(strict_text=True), "too big": dict(max_frame="200"), "idle": dict(idle_timeout="200ms"),
        "lifetime": dict(max_lifetime="200ms"), "bytes": dict(max_bytes="1000"),
    }.get(how, {})
    one = bridge(there.name, "127.0.0.1:1", close_timeout="60s", handshake_timeout="60s", connect_timeout="60s", stall_timeout="60s", **options)
    page = "https://page.test"
    if how == "refused":
        client = Client(one.address, "/?target=a.test:1", origin=page)
    elif how == "no target":
        client = Client(one.address, "/", origin=page)
    elif how == "unreachable":
        client = Client(one.address, "/?target=127.0.0.1:1")
    else:
        client = idle_client(one, there.query)
    raw = {
        "utf8": frame(1, b"\xff"), "too big": frame(BINARY, b"x" * 201), "violation": frame(3, b""), "flood": frame(9, b"") * 5000,
        "bytes": frame(BINARY, b"x" * 500) * 2,
    }.get(how, b"")
    with client:
        client.send(raw)
        _, code, reason = client.until_close()
        assert code != 1000 and reason
        client.send_close(code)
        began = time.monotonic()
        client.sock.settimeout(PATIENCE)
        client.rest()
        assert time.monotonic() - began < PATIENCE
    one.wait_tunnels(0)
