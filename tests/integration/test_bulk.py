"""A gibibyte each way, by hash; and both ways at once, where relays deadlock."""

import hashlib
import os
import random
import select
import socket
import threading

import pytest

from harness.base import PATIENCE, SLOW
from harness.targets import echo, hashing_sink, source
from harness.wire import BINARY, CLOSE, CONTINUATION, TEXT, Client, close_payload, frame

MIB = 1 << 20
GIB = 1 << 30
# Under a sanitizer a gibibyte says nothing that a part of it does not say.
WHOLE = GIB if SLOW == 1 else GIB // 16

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(240 * SLOW)]


class Blocks:
    """Some random mebibytes, each also as frames with masks of their own; a long stream is an order of them."""

    def __init__(self, chunk, count=8, seed=1, size=MIB):
        dice = random.Random(seed)
        self.plain = [os.urandom(size) for _ in range(count)]
        self.framed = [self._frames(block, chunk, dice) for block in self.plain]
        self.dice = dice

    @staticmethod
    def _frames(block, chunk, dice):
        out = bytearray()
        for at in range(0, len(block), chunk):
            piece = block[at:at + chunk]
            kind = dice.random()
            if len(piece) > 8 and kind < 0.2:
                out += frame(TEXT, piece[:5], fin=False) + frame(CONTINUATION, piece[5:])
            else:
                out += frame(TEXT if kind < 0.4 else BINARY, piece)
        return bytes(out)

    def order(self, total):
        return [self.dice.randrange(len(self.plain)) for _ in range(total // len(self.plain[0]))]

    def digest(self, order):
        whole = hashlib.sha256()
        for index in order:
            whole.update(self.plain[index])
        return whole.digest()


def receive(client, total, digest):
    """Reads frames until total bytes of data have come; answers what it must."""
    buffer = bytearray(MIB + 64)
    window = memoryview(buffer)
    sock, have = client.sock, 0
    pending = client.buffer
    client.buffer = b""
    while have < total:
        client.buffer = pending
        opcode, length = client.head()
        pending = client.buffer
        assert opcode == BINARY, opcode
        have += length
        cached = pending[:length]
        pending = pending[length:]
        digest.update(cached)
        left = length - len(cached)
        while left:
            n = sock.recv_into(window[:min(left, MIB)])
            assert n, "the connection ended"
            digest.update(window[:n])
            left -= n
    client.buffer = pending
    assert have == total, f"{have} bytes instead of {total}"


def up(bridge, there, blocks, order, index=0):
    with Client(bridge.address, there.query, timeout=PATIENCE * 3) as client:
        for block in order:
            client.sock.sendall(blocks.framed[block])
        client.send_frame(CLOSE, close_payload(1000))
        assert client.until_close()[1] == 1000
    peer = there.peer(index).wait()
    assert peer.end == "fin"
    return peer


def test_a_gibibyte_up(bridge, target):
    """Client to target in frames of 64 KiB: length and SHA-256."""
    there = target(hashing_sink)
    one = bridge(there)
    blocks = Blocks(65536)
    order = blocks.order(WHOLE)
    peer = up(one, there, blocks, order)
    assert peer.count == WHOLE and peer.hash.digest() == blocks.digest(order)
    assert one.closed()["bytes_up"] == WHOLE


def test_a_gibibyte_down(bridge, target, splice):
    """Target to client: length and SHA-256."""
    blocks = Blocks(MIB)
    order = blocks.order(WHOLE)
    there = target(source(blocks.plain, order))
    one = bridge(there, splice=splice)
    digest = hashlib.sha256()
    with Client(one.address, there.query, timeout=PATIENCE * 3) as client:
        receive(client, WHOLE, digest)
        client.expect_close(1000, "target-closed")
    assert digest.digest() == blocks.digest(order)
    assert one.closed()["bytes_down"] == WHOLE
    by_splice = one.metrics().total("atlas_proxy_bytes_total", path="splice")
    assert (by_splice > WHOLE // 2) if splice == "on" else (by_splice == 0)


@pytest.mark.parametrize("chunk, total", [(1, 2 * MIB), (7, 8 * MIB), (125, 32 * MIB), (126, 32 * MIB), (1024, 128 * MIB), (16384, 256 * MIB), (MIB, 512 * MIB)])
def test_up_in_chunks_of_any_size(bridge, target, chunk, total):
    """One byte a frame or a mebibyte a frame: the same bytes."""
    there = target(hashing_sink)
    one = bridge(there)
    small = chunk < 100
    blocks = Blocks(chunk, count=2 if small else 4, size=MIB // 4 if small else MIB)
    order = blocks.order(total if SLOW == 1 else total // 4)
    peer = up(one, there, blocks, order)
    assert peer.hash.digest() == blocks.digest(order)


@pytest.mark.parametrize("chunk, total", [(1, MIB // 8), (7, MIB), (1024, 64 * MIB), (MIB, 256 * MIB)])
def test_down_in_writes_of_any_size(bridge, target, splice, chunk, total):
    """A target that writes byte by byte or by the mebibyte: the same bytes."""
    block = os.urandom(min(total, 8 * MIB))
    rounds = total // len(block)

    def serve(peer):
        for _ in range(rounds):
            for at in range(0, len(block), chunk):
                peer.sock.sendall(block[at:at + chunk])
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice)
    digest, wanted = hashlib.sha256(), hashlib.sha256()
    for _ in range(rounds):
        wanted.update(block)
    with Client(one.address, there.query) as client:
        receive(client, rounds * len(block), digest)
        client.expect_close(1000, "target-closed")
    assert digest.digest() == wanted.digest()


@pytest.mark.parametrize("total", [256 * MIB, GIB], ids=["256MiB", "1GiB"])
def test_an_echo_of_everything_does_not_deadlock(bridge, target, splice, total):
    """The target reads 64 KiB and writes it back, blocking; the client writes and reads all the time: it ends."""
    if SLOW > 1:
        total //= 16
    there = target(echo)
    one = bridge(there, splice=splice)
    blocks = Blocks(65536)
    order = blocks.order(total)
    digest = hashlib.sha256()
    with Client(one.address, there.query, timeout=PATIENCE * 3) as client:
        def write():
            for block in order:
                client.sock.sendall(blocks.framed[block])
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        receive(client, total, digest)
        writer.join(PATIENCE)
        assert digest.digest() == blocks.digest(order)
        client.shut()


def test_an_echo_whose_client_reads_late_does_not_deadlock(bridge, target, splice):
    """The client writes until nothing moves any more, and only then reads: every byte comes back."""
    there = target(echo)
    one = bridge(there, splice=splice)
    blocks = Blocks(65536)
    order = blocks.order(96 * MIB)
    stuck = threading.Event()
    with Client(one.address, there.query, timeout=PATIENCE * 3) as client:
        raw = b"".join(blocks.framed[block] for block in order)

        def write():
            sent = 0
            client.sock.settimeout(None)
            while sent < len(raw):
                sent += _send_some(client.sock, raw, sent, stuck)
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        assert stuck.wait(PATIENCE * 3), "96 MiB fit into the buffers: this test needs more"
        digest = hashlib.sha256()
        receive(client, 96 * MIB, digest)
        writer.join(PATIENCE)
        assert digest.digest() == blocks.digest(order)


def _send_some(sock, raw, sent, stuck):
    """Sends a piece; sets stuck when the socket has taken nothing for a while."""
    if not select.select([], [sock], [], 1.0)[1]:
        stuck.set()
        select.select([], [sock], [])
    return sock.send(raw[sent:sent + MIB], socket.MSG_DONTWAIT)


def test_both_directions_are_independent(bridge, target, splice):
    """A gibibyte in all, up and down at once, of different bytes and different speeds."""
    total = WHOLE // 2
    down = Blocks(MIB, seed=2)
    down_order = down.order(total)

    def serve(peer):
        reader = threading.Thread(target=hashing_sink, args=(peer,), daemon=True)
        reader.start()
        for index in down_order:
            peer.sock.sendall(down.plain[index])
        reader.join(PATIENCE * 6)
    there = target(serve)
    one = bridge(there, splice=splice)
    blocks = Blocks(9000, seed=3)
    order = blocks.order(total)
    digest = hashlib.sha256()
    with Client(one.address, there.query, timeout=PATIENCE * 3) as client:
        def write():
            for block in order:
                client.sock.sendall(blocks.framed[block])
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        receive(client, total, digest)
        writer.join(PATIENCE * 3)
        # The Close would cut the download short: it is sent when that is complete.
        client.send_frame(CLOSE, close_payload(1000))
        assert client.until_close()[1] == 1000
    assert digest.digest() == down.digest(down_order)
    peer = there.peer().wait(PATIENCE * 2)
    assert peer.count == total and peer.hash.digest() == blocks.digest(order)


@pytest.mark.parametrize("tunnels", [16])
def test_many_bulk_tunnels_do_not_mix(bridge, target, splice, tunnels):
    """Sixteen downloads at once: nobody gets a byte of another's, though pipes and buffers are shared."""
    size = 24 * MIB if SLOW == 1 else 4 * MIB
    blocks = [os.urandom(MIB // 2) for _ in range(tunnels)]

    def serve(peer):
        block = blocks[peer.read(1)[0]]
        for _ in range(size // len(block)):
            peer.sock.sendall(block)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice)
    faults = []

    def download(index):
        try:
            with Client(one.address, there.query, timeout=PATIENCE * 3) as client:
                client.send_data(bytes([index]))
                digest, wanted = hashlib.sha256(), hashlib.sha256()
                for _ in range(size // len(blocks[index])):
                    wanted.update(blocks[index])
                receive(client, size, digest)
                assert digest.digest() == wanted.digest(), f"tunnel {index} got other bytes"
                client.expect_close(1000, "target-closed")
        except BaseException as fault:
            faults.append(fault)
    threads = [threading.Thread(target=download, args=(i,), daemon=True) for i in range(tunnels)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 10)
    assert not faults, faults[0]
    page = one.metrics()
    assert page.total("atlas_proxy_pipes_in_use") == 0 and page.total("atlas_proxy_buffers_in_use") == 0


def test_bytes_left_behind_by_one_tunnel_reach_no_other(bridge, target, splice):
    """Downloads broken off in the middle, then others: a pipe or a buffer goes back empty."""
    secret, public = b"S" * MIB, b"p" * MIB

    def serve(peer):
        block = secret if peer.read(1) == b"s" else public
        for _ in range(16):
            peer.sock.sendall(block)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice, workers=1)
    for _ in range(15):
        broken = Client(one.address, there.query, receive_buffer=1 << 15)
        broken.send_data(b"s")
        broken.frame()
        broken.reset()
        with Client(one.address, there.query) as client:
            client.send_data(b"p")
            for _ in range(8):
                opcode, length = client.head()
                assert opcode == BINARY and client.read(length) == public[:length]
