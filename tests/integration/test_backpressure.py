"""Readers that stop: memory stays, nothing is lost, nobody else notices."""

import contextlib
import hashlib
import os
import socket
import threading

import pytest

from harness import procfs
from harness.base import PATIENCE, SANITIZER, SLOW, eventually
from harness.mass import Mass
from harness.targets import echo, hashing_sink
from harness.wire import BINARY, Client, frame

MIB = 1 << 20
BLOCK = os.urandom(MIB)
STALLED = 1000 if SLOW == 1 else 100

needs_memory_of_its_own = pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer's memory is not the program's")


def fill(sock, raw=frame(BINARY, BLOCK[:65536])):
    """Writes until the other side takes no more for a while; returns the bytes written."""
    sock.setblocking(False)
    sent, quiet = 0, 0

    def stopped():
        nonlocal sent, quiet
        try:
            while True:
                at = sent % len(raw)
                sent += sock.send(raw[at:])
                quiet = 0
        except BlockingIOError:
            quiet += 1
        return quiet > 20
    eventually(stopped, "backpressure", timeout=PATIENCE * 3)
    sock.setblocking(True)
    return sent


def memory(bridge):
    return procfs.settled(lambda: procfs.memory(bridge.pid) >> 14, "memory") << 14


@pytest.fixture
def readable(bridge):
    def check(one):
        if not procfs.readable(one.pid):
            pytest.skip("only root may look at the memory of the bridge")
        return one
    return check


def test_a_target_that_stops_reading_stops_the_client(bridge, target):
    """The client's writes block after what the kernel and one turn hold; then everything arrives."""
    there = target(lambda peer: (peer.gate(), hashing_sink(peer)))
    one = bridge(there)
    raw = frame(BINARY, BLOCK[:65536])
    with Client(one.address, there.query) as client:
        sent = fill(client.sock, raw)
        assert sent < 64 * MIB
        there.peer().go.set()
        client.send(raw[sent % len(raw):] if sent % len(raw) else b"")
        client.shut()
    peer = there.peer().wait()
    frames = -(-sent // len(raw))
    wanted = hashlib.sha256()
    for _ in range(frames):
        wanted.update(BLOCK[:65536])
    assert peer.count == frames * 65536 and peer.hash.digest() == wanted.digest()


def test_a_client_that_stops_reading_stops_the_target(bridge, target, splice):
    """The target's writes block; the client reads later and misses nothing."""
    written = []

    def serve(peer):
        written.append(fill(peer.sock, BLOCK))
        peer.gate()
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice)
    with Client(one.address, there.query, receive_buffer=1 << 16) as client:
        eventually(lambda: written, "the target to be stopped", timeout=PATIENCE * 3)
        assert written[0] < 64 * MIB
        there.peer().go.set()
        data = client.expect_close(1000, "target-closed")
    assert len(data) == written[0]
    assert data == (BLOCK * (len(data) // MIB + 1))[:len(data)]


@needs_memory_of_its_own
@pytest.mark.heavy
@pytest.mark.timeout(240)
@pytest.mark.parametrize("side", ["client", "target"])
def test_a_thousand_stalled_tunnels_cost_the_process_little(bridge, readable, stack, side):
    """A stopped reader on every tunnel: user memory stays within what --buffer-memory promises, and it all comes back."""
    limit = 8 * MIB
    mass = stack.enter_context(Mass("flood" if side == "client" else "stall"))
    one = readable(bridge(mass, workers=2, buffer_memory=str(limit), stall_timeout="0", ping_interval="0", first_data_timeout="0"))
    before = memory(one)
    sources = [f"127.0.0.{2 + i % 50}" for i in range(STALLED)]
    clients = [Client(one.address, mass.query, source=s, receive_buffer=1 << 12) for s in sources]
    stack.callback(lambda: [c.close() for c in clients])
    if side == "target":
        raw = frame(BINARY, BLOCK[:65536]) * 4
        for client in clients:
            client.sock.setblocking(False)
            rest = raw
            with contextlib.suppress(BlockingIOError):
                while True:
                    rest = rest[client.sock.send(rest):] or raw  # a frame that began goes on
    eventually(lambda: one.tunnels() == STALLED, "all tunnels", timeout=PATIENCE * 3, pause=0.1)
    grown = memory(one) - before
    # Twice the buffers (two workers) and the tunnels themselves.
    assert grown < 2 * limit + STALLED * 2048, f"{grown >> 10} KiB for {STALLED} stalled tunnels"
    for client in clients:
        client.reset()
    one.wait_tunnels(0, timeout=PATIENCE * 3)
    assert one.metrics().total("atlas_proxy_buffers_in_use") == 0
    assert one.metrics().total("atlas_proxy_pipes_in_use") == 0


@needs_memory_of_its_own
def test_idle_tunnels_cost_less_than_a_kibibyte_each(bridge, readable, stack):
    """A thousand tunnels that have carried something and are quiet now."""
    mass = stack.enter_context(Mass("echo"))
    one = readable(bridge(mass, ping_interval="0", workers=1))
    clients = [Client(one.address, mass.query) for _ in range(50)]
    for client in clients:
        client.send_data(BLOCK[:50_000])
        assert client.data(50_000) == BLOCK[:50_000]
    before = memory(one)
    more = [Client(one.address, mass.query) for _ in range(1000)]
    stack.callback(lambda: [c.close() for c in [*clients, *more]])
    for client in more:
        client.send_data(b"x" * 1000)
        assert client.data(1000)
    grown = memory(one) - before
    assert grown < 1000 * 1024 + (256 << 10), f"{grown / 1000:.0f} bytes a tunnel"


def test_a_stopped_reader_does_not_stop_its_own_writing(bridge, target, splice):
    """Up is independent of down: a client that reads nothing can still send, and its Close is still seen."""
    def serve(peer):
        flooder = threading.Thread(target=_flood, args=(peer.sock,), daemon=True)
        flooder.start()
        hashing_sink(peer)
    there = target(serve)
    one = bridge(there, splice=splice)
    with Client(one.address, there.query, receive_buffer=1 << 14) as client:
        client.frame()
        eventually(lambda: one.metrics().total("atlas_proxy_stalled") == 1, "the download to be stalled")
        for _ in range(40):
            client.send_data(BLOCK[:100_000])
        client.send_close(1000)
        peer = there.peer()
        eventually(lambda: peer.count == 4_000_000, "all of the upload")
        assert client.until_close(keep=False)[1] == 1000
    assert peer.wait().end in ("fin", "rst")


def _flood(sock):
    try:
        while True:
            sock.sendall(BLOCK)
    except OSError:
        pass


def test_a_stopped_upload_does_not_stop_the_download(bridge, target, splice):
    """Down is independent of up: a target that reads nothing still delivers."""
    def serve(peer):
        peer.gate()
        for _ in range(16):
            peer.sock.sendall(BLOCK)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain(keep=False)
    there = target(serve)
    one = bridge(there, splice=splice)
    with Client(one.address, there.query) as client:
        fill(client.sock)
        there.peer().go.set()
        got = 0
        while got < 16 * MIB:
            opcode, length = client.head()
            assert opcode == BINARY
            assert client.read(length) == (BLOCK * 2)[got % MIB:got % MIB + length]
            got += length


def test_stalled_tunnels_do_not_slow_a_lively_one(bridge, target, stack):
    """Fifty stopped readers beside it, and less buffer memory than they would like: an echo still works."""
    mass = stack.enter_context(Mass("flood"))
    there = target(echo)
    one = bridge(there.name, mass.name, workers=1, buffer_memory="4MiB", splice="off", stall_timeout="0")
    stuck = [Client(one.address, mass.query, receive_buffer=1 << 12) for _ in range(50)]
    stack.callback(lambda: [c.close() for c in stuck])
    eventually(lambda: one.metrics().total("atlas_proxy_stalled") >= 10, "stalled tunnels")
    with Client(one.address, there.query) as client:
        for _ in range(200):
            client.send_data(b"x" * 100)
            assert client.data(100) == b"x" * 100
        client.shut()


def test_the_rate_of_a_tunnel_can_be_bounded(bridge, target):
    """--max-rate-down 1 MiB: three mebibytes are not there in the first second; all of them come."""
    def serve(peer):
        for _ in range(3):
            peer.sock.sendall(BLOCK)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain()
    there = target(serve)
    one = bridge(there, max_rate_down="1MiB")
    with Client(one.address, there.query) as client:
        assert client.expect_close(1000, "target-closed") == BLOCK * 3
    # A bucket of a second's worth may be full at the start: two more seconds remain.
    assert one.closed()["duration"] > 1.5


def test_the_rate_upwards_can_be_bounded(bridge, target):
    """--max-rate-up, the same."""
    there = target(hashing_sink)
    one = bridge(there, max_rate_up="1MiB")
    with Client(one.address, there.query) as client:
        for _ in range(3):
            client.send_data(BLOCK)
        client.shut()
    assert there.peer().wait().count == 3 * MIB
    assert one.closed()["duration"] > 1.5


def test_the_bytes_of_a_tunnel_can_be_bounded(bridge, target):
    """--max-bytes: the tunnel ends with 1008 bytes-exceeded, and not before its limit."""
    there = target(echo)
    one = bridge(there, max_bytes="1000000")
    with Client(one.address, there.query) as client:
        for _ in range(9):
            client.send_data(BLOCK[:50_000])
            client.data(50_000)
        for _ in range(20):
            try:
                client.send_data(BLOCK[:50_000])
            except OSError:
                break
        _, code, reason = client.until_close(keep=False)
        assert (code, reason) == (1008, "bytes-exceeded")
