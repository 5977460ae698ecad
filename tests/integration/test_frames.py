"""Frames: the right ones carried, the wrong ones refused, the many ones bounded."""

import os
import random
import struct
import threading

import pytest

from harness import procfs
from harness.base import PATIENCE, SANITIZER, eventually
from harness.targets import echo, hashing_sink
from harness.wire import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Gone, close_payload, frame, mask)


@pytest.fixture
def one(bridge, target):
    there = target(echo)
    running = bridge(there)
    running.there = there
    running.open = lambda **how: Client(running.address, there.query, **how)
    return running


def raw_head(first, second, rest=b""):
    return bytes([first, second]) + rest


VIOLATIONS = {
    "an unmasked frame": frame(BINARY, b"x", masked=False),
    "an unmasked empty frame": frame(BINARY, b"", masked=False),
    "an unmasked ping": frame(PING, b"x", masked=False),
    "an unmasked close": frame(CLOSE, close_payload(1000), masked=False),
    "rsv1": frame(BINARY, b"x", rsv=4),
    "rsv2": frame(BINARY, b"x", rsv=2),
    "rsv3": frame(BINARY, b"x", rsv=1),
    "all rsv": frame(TEXT, b"x", rsv=7),
    "rsv on a ping": frame(PING, b"", rsv=1),
    "rsv on a continuation": frame(BINARY, b"x", fin=False) + frame(CONTINUATION, b"y", rsv=4),
    **{f"opcode {op}": frame(op, b"x") for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping of 126 bytes": frame(PING, b"x" * 126),
    "a ping of 65536 bytes": frame(PING, b"x" * 65536),
    "a pong of 126 bytes": frame(PONG, b"x" * 126),
    "a close of 126 bytes": frame(CLOSE, close_payload(1000, b"r" * 124)),
    "a ping with its length in two bytes": frame(PING, b"x", length_bytes=2),
    "a fragmented ping": frame(PING, b"x", fin=False),
    "a fragmented pong": frame(PONG, b"x", fin=False),
    "a fragmented close": frame(CLOSE, close_payload(1000), fin=False),
    "a continuation of nothing": frame(CONTINUATION, b"x"),
    "an open continuation of nothing": frame(CONTINUATION, b"x", fin=False),
    "a continuation after a whole message": frame(BINARY, b"x") + frame(CONTINUATION, b"y"),
    "text inside binary": frame(BINARY, b"x", fin=False) + frame(TEXT, b"y"),
    "binary inside binary": frame(BINARY, b"x", fin=False) + frame(BINARY, b"y"),
    "binary inside text, open": frame(TEXT, b"x", fin=False) + frame(BINARY, b"y", fin=False),
    "two bytes of length for 125": frame(BINARY, b"x" * 125, length_bytes=2),
    "two bytes of length for 0": frame(BINARY, b"", length_bytes=2),
    "eight bytes of length for 65535": frame(BINARY, b"x" * 65535, length_bytes=8),
    "eight bytes of length for 126": frame(BINARY, b"x" * 126, length_bytes=8),
    "eight bytes of length for 0": frame(BINARY, b"", length_bytes=8),
    "a length of 2^63": raw_head(0x82, 0xFF, struct.pack("!Q", 1 << 63) + b"mask"),
    "a length of 2^64-1": raw_head(0x82, 0xFF, struct.pack("!Q", (1 << 64) - 1) + b"mask"),
    "a close with one byte": frame(CLOSE, b"\x03"),
    **{f"close code {code}": frame(CLOSE, close_payload(code))
       for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)},
}


@pytest.mark.parametrize("raw", VIOLATIONS.values(), ids=VIOLATIONS)
@pytest.mark.parametrize("pieces", ["whole", "bytes"])
def test_a_violation_is_answered_with_1002(one, raw, pieces):
    """Close 1002, whatever the split; what came before it was delivered; the target's side ends."""
    if pieces == "bytes" and len(raw) > 300:
        pytest.skip("the split of long frames is tested elsewhere")
    with one.open() as client:
        client.send_data(b"before")
        assert client.data(6) == b"before"
        if pieces == "whole":
            client.send(raw)
        else:
            for i in range(len(raw)):
                try:
                    client.send(raw[i:i + 1])
                except (BrokenPipeError, ConnectionResetError):
                    break
        _, code, reason = client.until_close()
        assert code == 1002
        assert reason in ("protocol-error", "")
    event = one.closed(target=one.there.name)
    assert event["close_sent"] == 1002
    one.there.peer().wait()


def test_a_close_reason_that_is_not_utf8_is_answered_with_1007(one):
    """RFC 6455, 8.1, holds for the reason of a Close too."""
    for reason in (b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xc3"):
        with one.open() as client:
            client.send_frame(CLOSE, close_payload(1000, reason))
            assert client.until_close()[1] == 1007


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999, None])
def test_a_legal_close_is_echoed_with_its_code(one, code):
    """Also an empty one, with an empty one."""
    with one.open() as client:
        client.send_close(code, b"" if code is None else "r\u00e9ason".encode())
        assert client.until_close()[1] == code
        assert client.rest() == (b"", "fin")
    event = one.closed(reason="client-closed")
    assert event["close_received"] == (1005 if code is None else code)
    assert event["by"] == "client"


def test_text_and_binary_are_both_carried_as_bytes(one):
    """Text need not be UTF-8: it is opaque; what comes back is binary."""
    with one.open() as client:
        client.send_frame(TEXT, "h\u00e9llo".encode())
        assert client.data(6) == "h\u00e9llo".encode()
        client.send_frame(TEXT, b"\xff\xfe\x00\x80")
        assert client.data(4) == b"\xff\xfe\x00\x80"
        client.send_frame(TEXT, b"\xc3", fin=False)
        client.send_frame(CONTINUATION, b"\x28")
        assert client.data(2) == b"\xc3\x28"
        client.shut()


UTF8 = [
    (["h\u00e9llo \U0001f512".encode()], True), ([b"\xce", b"\xba"], True), ([b"\xf0", b"\x9f", b"\x94", b"\x92"], True), ([b"", b""], True),
    ([b"\xf4\x8f\xbf\xbf"], True), ([b"\xef\xbf\xbf"], True),
    ([b"\xff"], False), ([b"\xc0\x80"], False), ([b"\xed\xa0\x80"], False), ([b"\xf4\x90\x80\x80"], False), ([b"ok", b"\x80"], False),
    ([b"ends inside \xce"], False), ([b"\xf8\x88\x80\x80\x80"], False), ([b"\xe0\x80\xaf"], False), ([b"\xce", b"x"], False),
]


@pytest.mark.parametrize("pieces, good", UTF8)
def test_strict_text_checks_utf8_over_fragments(bridge, target, pieces, good):
    """--strict-text: 1007 for text that is none, at the latest at its end; binary is never checked."""
    there = target(echo)
    one = bridge(there, strict_text=True)
    with Client(one.address, there.query) as client:
        client.send_frame(BINARY, b"\xff")
        assert client.data(1) == b"\xff"
        for i, piece in enumerate(pieces):
            client.send_frame(CONTINUATION if i else TEXT, piece, fin=i == len(pieces) - 1)
        if good:
            whole = b"".join(pieces)
            assert client.data(len(whole)) == whole
            client.shut()
        else:
            client.expect_close(1007, "invalid-utf8")


def test_a_fragmented_message_is_carried_piece_by_piece(one):
    """No fragment waits for the next one."""
    with one.open() as client:
        client.send_frame(BINARY, b"one", fin=False)
        assert client.data(3) == b"one"
        client.send_frame(PING, b"between")
        client.expect(PONG, b"between")
        client.send_frame(CONTINUATION, b"", fin=False)
        client.send_frame(CONTINUATION, b"two", fin=False)
        assert client.data(3) == b"two"
        client.send_frame(CONTINUATION, b"three")
        assert client.data(5) == b"three"
        client.send_frame(TEXT, b"next")
        assert client.data(4) == b"next"
        client.shut()


def test_a_frame_is_forwarded_before_it_is_complete(one):
    """Half of a frame's payload reaches the target while the other half is not sent yet."""
    raw = frame(BINARY, bytes(range(200)) * 10)
    with one.open() as client:
        client.send(raw[:1000])
        assert client.data(1000 - 8) == (bytes(range(200)) * 10)[:992]
        client.send(raw[1000:])
        assert client.data(2000 - 992) == (bytes(range(200)) * 10)[992:]
        client.shut()


def test_empty_messages_write_nothing(one):
    """A message without payload reaches nobody and hurts nobody."""
    with one.open() as client:
        for _ in range(50):
            client.send_data(b"")
            client.send_frame(TEXT, b"", fin=False)
            client.send_frame(CONTINUATION, b"")
        client.send_data(b"after")
        assert client.data(5) == b"after"
        client.shut()
    assert one.there.peer().wait().count == 5


@pytest.mark.parametrize("seed", range(6))
def test_any_split_gives_the_same_bytes(one, seed):
    """A mix of frames of many lengths, written in pieces of random size, arrives as its payload."""
    dice = random.Random(seed)
    raw, plain, open_message = bytearray(), bytearray(), False
    for _ in range(120):
        payload = dice.randbytes(dice.choice([0, 1, 2, 7, 125, 126, 127, 1000, 65535, 65536]))
        fin = dice.random() < 0.6
        raw += frame(CONTINUATION if open_message else dice.choice([TEXT, BINARY]), payload, fin=fin, key=dice.randbytes(4))
        open_message = not fin
        plain += payload
        if dice.random() < 0.1:
            raw += frame(PONG, dice.randbytes(3))
    with one.open() as client:
        def write():
            at = 0
            while at < len(raw):
                size = dice.choice([1, 2, 3, 13, 14, 100, 4096, 70000])
                client.sock.sendall(raw[at:at + size])
                at += size
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        assert client.data(len(plain)) == plain
        writer.join(PATIENCE)
        client.shut()
    one.there.peer().wait()


def test_every_byte_of_a_short_stream_may_come_alone(one):
    """Heads, masks, and payloads cut everywhere."""
    plain = [b"", b"a", b"bc", bytes(125), bytes(range(126)), os.urandom(300)]
    raw = b"".join(frame(BINARY, p) for p in plain)
    with one.open() as client:
        for i in range(len(raw)):
            client.send(raw[i:i + 1])
        assert client.data(sum(map(len, plain))) == b"".join(plain)
        client.shut()


def test_a_ping_is_answered_with_its_payload(one):
    """Any payload up to 125 bytes, also before any data and in between."""
    with one.open() as client:
        for payload in (b"", b"x", os.urandom(125)):
            client.send_frame(PING, payload)
            client.expect(PONG, payload)
        client.send_frame(PONG, b"nobody asked")
        client.send_data(b"still here")
        assert client.data(10) == b"still here"
        client.shut()


def test_a_pong_never_stands_inside_a_data_frame(bridge, target, splice):
    """Pings during a bulk download are answered between frames; the stream stays well formed and complete."""
    size, block = 24 << 20, os.urandom(1 << 20)

    def serve(peer):
        peer.read(1)
        for _ in range(size >> 20):
            peer.sock.sendall(block)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice)
    with Client(one.address, there.query) as client:
        client.send_data(b"g")
        got, pongs, pings = 0, 0, 0
        parts = []
        while got < size:
            opcode, length = client.head()
            payload = client.read(length)
            if opcode == PONG:
                pongs += 1
                assert payload == b"mid-stream"
            else:
                assert opcode == BINARY
                got += length
                parts.append(payload)
            if pings < 40 and len(parts) % 2 == 0:
                client.send_frame(PING, b"mid-stream")
                pings += 1
        assert b"".join(parts) == block * (size >> 20)
        if not pongs:
            client.expect(PONG, b"mid-stream")
            pongs = 1
        assert pongs >= 1
    there.peer().wait()


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_a_flood_of_control_frames_ends_with_1008(one, opcode):
    """Hundreds a second for seconds are no keepalive: rate-exceeded, and another tunnel never notices."""
    flood = frame(opcode, b"p" * 20) * 50
    with one.open() as calm, one.open() as client:
        client.sock.settimeout(PATIENCE)
        try:
            for _ in range(4000):
                client.send(flood)
                client.sock.setblocking(False)
                try:
                    client.buffer += client.sock.recv(1 << 16)
                except BlockingIOError:
                    pass
                client.sock.settimeout(PATIENCE)
        except (BrokenPipeError, ConnectionResetError):
            pass
        event = one.closed(reason="rate-exceeded")
        assert event["close_sent"] == 1008
        calm.send_data(b"calm")
        assert calm.data(4) == b"calm"
        calm.shut()


def test_a_hundred_pings_are_no_flood(one):
    """A burst that a person's network may cause is answered."""
    with one.open() as client:
        client.send(frame(PING, b"1") * 80)
        client.send_data(b"data")
        assert client.data(4) == b"data"
        client.shut()


def test_a_flood_of_empty_frames_ends_with_1008(one):
    """Frames without payload cost only us; beyond ten thousand a second they end the tunnel."""
    flood = frame(BINARY, b"") * 5000
    with one.open() as client:
        try:
            for _ in range(400):
                client.send(flood)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert one.closed(reason="rate-exceeded")["close_sent"] == 1008


def test_frames_of_one_byte_are_only_slow(one):
    """Two hundred thousand of them are a legal stream."""
    count = 200_000
    with one.open() as client:
        data = os.urandom(1000)
        raw = b"".join(frame(BINARY, data[i:i + 1]) for i in range(1000))
        sender = threading.Thread(target=lambda: [client.sock.sendall(raw) for _ in range(count // 1000)], daemon=True)
        sender.start()
        got = client.data(count)
        sender.join(PATIENCE)
        assert got == data * (count // 1000)
        client.shut()


@pytest.mark.parametrize("length", [1 << 40, (1 << 40) - 1, 1 << 32])
def test_a_huge_announced_frame_reserves_nothing(one, length):
    """The head of a terabyte, then little: the process does not grow, and what came is delivered."""
    before = procfs.settled(lambda: procfs.memory(one.pid) >> 16, "memory")
    clients = []
    for _ in range(20):
        client = one.open()
        key = os.urandom(4)
        client.send(bytes([0x82, 0xFF]) + struct.pack("!Q", length) + key + mask(b"start", key))
        assert client.data(5) == b"start"
        clients.append(client)
    grown = (procfs.memory(one.pid) >> 16) - before
    assert SANITIZER or grown < 64  # 4 MiB in all, buffers of the first use included
    for client in clients:
        client.close()


def test_a_frame_above_max_frame_is_refused_with_1009(bridge, target):
    """--max-frame: exactly as many bytes pass, one more does not."""
    there = target(echo)
    one = bridge(there, max_frame="1000")
    with Client(one.address, there.query) as client:
        client.send_data(b"x" * 1000)
        assert len(client.data(1000)) == 1000
        client.send_frame(BINARY, b"y" * 900, fin=False)
        client.send_frame(CONTINUATION, b"y" * 900)
        assert len(client.data(1800)) == 1800
        client.send_data(b"x" * 1001)
        client.expect_close(1009, "frame-too-big")


def test_max_message_bounds_the_frames_sent(bridge, target, splice):
    """--max-message 4096: no frame to the client is larger, and nothing is missing."""
    data = os.urandom(3 << 20)

    def serve(peer):
        peer.sock.sendall(data)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice, max_message="4096")
    with Client(one.address, there.query) as client:
        got = bytearray()
        while len(got) < len(data):
            opcode, length = client.head()
            assert opcode == BINARY and 0 < length <= 4096
            got += client.read(length)
        assert got == data


def test_frames_to_the_client_never_exceed_a_mebibyte(bridge, target, splice):
    """A browser hands over whole messages: a larger one would hold back its first byte."""
    data = os.urandom(1 << 20) * 32

    def serve(peer):
        peer.sock.sendall(data)
        peer.drain()
    there = target(serve)
    one = bridge(there, splice=splice)
    with Client(one.address, there.query) as client:
        got, first = 0, None
        while got < len(data):
            opcode, length = client.head()
            assert opcode == BINARY and 0 < length <= 1 << 20
            first = first or length
            assert client.read(length) == data[got:got + length]
            got += length
        assert first <= 64 << 10


def test_data_after_the_clients_close_is_discarded(one):
    """Nothing behind a Close reaches the target."""
    with one.open() as client:
        client.send(frame(BINARY, b"before") + frame(CLOSE, close_payload(1000)) + frame(BINARY, b"behind") * 100 + b"\xff" * 100)
        data, code, _ = client.until_close()
        assert code == 1000 and data in (b"before", b"")
    peer = one.there.peer().wait()
    assert peer.count == 6 and peer.end == "fin"


def test_data_behind_a_violation_is_discarded(one):
    """The stream is over at the first broken frame."""
    with one.open() as client:
        client.send(frame(BINARY, b"good") + frame(3, b"bad") + frame(BINARY, b"late"))
        _, code, _ = client.until_close()
        assert code == 1002
    peer = one.there.peer().wait()
    assert peer.count == 4


def test_a_client_that_goes_on_after_a_violation_is_cut_off(one):
    """After Close 1002 input is discarded for a moment and the connection ends, though the client writes on."""
    junk = os.urandom(65536)
    with one.open() as client:
        client.send(frame(3, b"bad"))

        def refused():
            try:
                client.sock.settimeout(1)
                client.sock.sendall(junk)
            except OSError:
                return True
            return False
        eventually(refused, "the end of the connection")
    one.closed(reason="protocol-error")


@pytest.mark.parametrize("payload", [1, 7, 1000])
def test_many_small_frames_arrive_whole_and_in_order(bridge, target, payload):
    """Write coalescing keeps order: two mebibytes in small frames have the right hash."""
    import hashlib
    there = target(hashing_sink)
    one = bridge(there)
    dice = random.Random(payload)
    plain = dice.randbytes(payload * (2 * 1024 * 1024 // payload // 16))
    raw = b"".join(frame(BINARY, plain[i:i + payload]) for i in range(0, len(plain), payload))
    with Client(one.address, there.query) as client:
        for _ in range(4):
            client.send(raw)
        client.shut()
    peer = there.peer().wait()
    assert peer.count == 4 * len(plain)
    assert peer.hash.digest() == hashlib.sha256(plain * 4).digest()


def test_a_client_that_is_cut_off_sees_the_close_first(one):
    """Unread input must not turn our Close into a reset that eats it."""
    for _ in range(20):
        with one.open() as client:
            client.send(frame(3, b"bad") + os.urandom(200_000))
            try:
                assert client.until_close()[1] == 1002
            except Gone as how:
                pytest.fail(f"the Close was lost: {how.args[0]}")
