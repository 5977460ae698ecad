"""RFC 6455, case by case, against the frame engine behind a message-preserving echo (ws-echo).

The groups and their numbers follow the order that readers of WebSocket test suites know: 1 framing,
2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 limits, 10 the rest.
Compression (12, 13) is not implemented: the offer is declined, which group 10 checks.
"""

import random
import re
import struct
import subprocess
import threading

import pytest

from harness.base import PATIENCE, TOOLS
from harness.bridge import SANITIZER_REPORTS, clean_environment
from harness.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Gone, Stream, close_payload, dial, frame, mask, request

MESSAGE_MAX = 20 << 20


@pytest.fixture(scope="module")
def server():
    program = TOOLS / "ws-echo"
    if not program.exists():
        pytest.fail(f"{program} is not built")
    process = subprocess.Popen([program, "0", str(MESSAGE_MAX)], stderr=subprocess.PIPE, env=clean_environment())
    port = int(re.search(rb"127\.0\.0\.1:(\d+)", process.stderr.readline()).group(1))
    yield ("127.0.0.1", port)
    process.terminate()
    trouble = process.stderr.read().decode("utf-8", "replace")
    process.wait(PATIENCE)
    assert not any(mark in trouble for mark in SANITIZER_REPORTS), trouble


# A case is (what is sent, what must come back). Sent: a list of byte strings, written one by one, or one
# string for all at once. Back: a list of ("text"|"binary"|"pong", payload), ended by a Close code;
# None as code: an empty Close. "end" instead of a Close: the client closes after the last frame.
CASES = {}


def case(number, sent, back, close="end", split=None):
    assert number not in CASES, number
    CASES[number] = (sent if isinstance(sent, list) else [sent], back, close, split)


def _cases():
    dice = random.Random(6455)
    star = "\u2605\u00e9\U0001f512"

    # 1: framing
    for kind, op, name in ((1, TEXT, "text"), (2, BINARY, "binary")):
        for i, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
            payload = b"*" * size if op == TEXT else dice.randbytes(size)
            case(f"1.{kind}.{i}", frame(op, payload), [(name, payload)])
        payload = b"*" * 65536 if op == TEXT else dice.randbytes(65536)
        case(f"1.{kind}.8", frame(op, payload), [(name, payload)], split=997)
        case(f"1.{kind}.9", frame(op, b"", key=b"\0\0\0\0") + frame(op, b"zero mask", key=b"\0\0\0\0"), [(name, b""), (name, b"zero mask")])

    # 2: pings and pongs
    for i, payload in enumerate((b"", b"Hello, world!", bytes(range(0, 0xFF, 7)), dice.randbytes(125)), 1):
        case(f"2.{i}", frame(PING, payload), [("pong", payload)])
    case("2.5", frame(PING, b"*" * 126), [], 1002)
    case("2.6", frame(PING, dice.randbytes(125)), None, split=1)
    case("2.7", frame(PONG, b""), [])
    case("2.8", frame(PONG, b"unsolicited"), [])
    case("2.9", frame(PONG, b"unsolicited") + frame(PING, b"p"), [("pong", b"p")])
    case("2.10", b"".join(frame(PING, b"payload-%d" % i) for i in range(10)), [("pong", b"payload-%d" % i) for i in range(10)])
    case("2.11", b"".join(frame(PING, b"payload-%d" % i) for i in range(10)), [("pong", b"payload-%d" % i) for i in range(10)], split=1)

    # 3: reserved bits
    for i, rsv in enumerate(range(1, 8), 1):
        op = (BINARY, TEXT, BINARY, PING, CLOSE, TEXT, BINARY)[rsv - 1]
        payload = close_payload(1000) if op == CLOSE else b"x"
        case(f"3.{i}", frame(TEXT, b"first") + frame(op, payload, rsv=rsv) + frame(PING, b""), [("text", b"first")], 1002)
        case(f"3.{i}.bytes", frame(TEXT, b"first") + frame(op, payload, rsv=rsv), [("text", b"first")], 1002, split=1)

    # 4: opcodes
    for group, ops in ((1, (3, 4, 5, 6, 7)), (2, (11, 12, 13, 14, 15))):
        for i, op in enumerate(ops, 1):
            case(f"4.{group}.{i}", frame(op, b""), [], 1002)
            case(f"4.{group}.{i}.payload", frame(TEXT, b"first") + frame(op, b"reserved") + frame(PING, b""), [("text", b"first")], 1002)

    # 5: fragmentation
    def pieces(*parts, op=TEXT, fins=None):
        out = []
        for i, part in enumerate(parts):
            fin = i == len(parts) - 1 if fins is None else fins[i]
            out.append(frame(CONTINUATION if i else op, part, fin=fin))
        return out
    case("5.1", frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b"), [], 1002)
    case("5.2", frame(PONG, b"a", fin=False) + frame(CONTINUATION, b"b"), [], 1002)
    case("5.3", pieces(b"frag1", b"frag2"), [("text", b"frag1frag2")])
    case("5.4", b"".join(pieces(b"frag1", b"frag2")), [("text", b"frag1frag2")])
    case("5.5", b"".join(pieces(b"frag1", b"frag2")), [("text", b"frag1frag2")], split=1)
    for i, split in enumerate((None, 4096, 1), 6):
        case(f"5.{i}", frame(TEXT, b"frag1", fin=False) + frame(PING, b"ping") + frame(CONTINUATION, b"frag2"), [("pong", b"ping"), ("text", b"frag1frag2")], split=split)
    case("5.9", frame(CONTINUATION, b"x", fin=True) + frame(TEXT, b"y"), [], 1002)
    case("5.10", frame(CONTINUATION, b"x", fin=False) + frame(TEXT, b"y"), [], 1002)
    case("5.11", frame(CONTINUATION, b"x"), [], 1002, split=1)
    case("5.12", frame(TEXT, b"whole") + frame(CONTINUATION, b"x"), [("text", b"whole")], 1002)
    case("5.13", frame(TEXT, b"whole") + frame(CONTINUATION, b"x", fin=False), [("text", b"whole")], 1002)
    case("5.14", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), [], 1002)
    case("5.15", b"".join(pieces(b"f1", b"f2", b"f3", b"f4", op=BINARY)), [("binary", b"f1f2f3f4")])
    case("5.16", pieces(b"f1", b"f2") + [frame(CONTINUATION, b"x")], [("text", b"f1f2")], 1002)
    case("5.17", frame(BINARY, b"a", fin=False) + frame(BINARY, b"b", fin=False), [], 1002)
    case("5.18", frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), [], 1002)
    for i, op in enumerate((TEXT, BINARY), 19):
        raw = (frame(op, b"f1", fin=False) + frame(CONTINUATION, b"f2", fin=False) + frame(PING, b"p1") + frame(CONTINUATION, b"f3", fin=False)
               + frame(CONTINUATION, b"f4", fin=False) + frame(PING, b"p2") + frame(CONTINUATION, b"f5"))
        case(f"5.{i}", raw, [("pong", b"p1"), ("pong", b"p2"), ("text" if op == TEXT else "binary", b"f1f2f3f4f5")])
    case("5.21", b"".join(pieces(b"", b"", b"")), [("text", b"")])
    case("5.22", b"".join(pieces(b"", b"middle", b"", op=BINARY)), [("binary", b"middle")])
    case("5.23", b"".join(pieces(*[b"x"] * 2000, op=BINARY)), [("binary", b"x" * 2000)])

    # 6: UTF-8
    good = ["", "plain", star, "\u03ba\u1f79\u03c3\u03bc\u03b5", "\0", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff",
            "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\ufeffbom", "\U0001fffe", "\U0010fffe"]
    for i, text in enumerate(good, 1):
        raw = text.encode()
        case(f"6.1.{i}", frame(TEXT, raw), [("text", raw)])
        case(f"6.2.{i}", pieces(*[raw[j:j + 1] for j in range(len(raw))] or [b""]), [("text", raw)])
    bad = [b"\x80", b"\xbf", b"\x80\xbf", b"\xc0", b"\xc1\xbf", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf",
           b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xaf\xbf", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
           b"\xfe", b"\xff", b"\xfe\xfe\xff\xff", b"\xc3\x28", b"\xe2\x28\xa1", b"\xe2\x82\x28", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc", b"\xf0\x28\x8c\x28",
           b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]
    for i, raw in enumerate(bad, 1):
        case(f"6.3.{i}", frame(TEXT, raw), [], 1007)
        case(f"6.4.{i}", frame(TEXT, b"fine") + frame(TEXT, b"ok " + raw + b" ok"), [("text", b"fine")], 1007)
        case(f"6.5.{i}", [frame(TEXT, b"first ", fin=False), *[frame(CONTINUATION, bytes([b]), fin=False) for b in raw], frame(CONTINUATION, b"")], [], 1007)
    for i, raw in enumerate((b"\xc2", b"\xe2\x82", b"\xe2", b"\xf0\x9f\x94", b"\xf0", "\u03ba".encode() + b"\xce"), 1):
        case(f"6.6.{i}", frame(TEXT, raw), [], 1007)
        case(f"6.7.{i}", pieces(raw, b""), [], 1007)
        case(f"6.8.{i}", frame(BINARY, raw), [("binary", raw)])
    case("6.9.1", pieces(star.encode()[:1], star.encode()[1:4], star.encode()[4:]), [("text", star.encode())])
    case("6.9.2", [frame(TEXT, b"\xf0\x9f", fin=False), frame(PING, b"\xff"), frame(CONTINUATION, b"\x94\x92")], [("pong", b"\xff"), ("text", b"\xf0\x9f\x94\x92")])
    case("6.9.3", frame(TEXT, b"\xf4\x90\x80\x80" + b"x" * 100_000), [], 1007)  # told at its first bytes
    case("6.9.4", frame(TEXT, star.encode() * 20_000), [("text", star.encode() * 20_000)], split=4099)

    # 7: closing
    case("7.1.1", frame(TEXT, b"hello") + frame(CLOSE, close_payload(1000)), [("text", b"hello")], 1000)
    case("7.1.2", frame(CLOSE, close_payload(1000)) + frame(CLOSE, close_payload(1000)), [], 1000)
    case("7.1.3", frame(CLOSE, close_payload(1000)) + frame(PING, b""), [], 1000)
    case("7.1.4", frame(CLOSE, close_payload(1000)) + frame(TEXT, b"late"), [], 1000)
    case("7.1.5", frame(TEXT, b"a", fin=False) + frame(CLOSE, close_payload(1000)) + frame(CONTINUATION, b"b"), [], 1000)
    case("7.1.6", frame(BINARY, bytes(256 * 1024)) + frame(CLOSE, close_payload(1000)), [("binary", bytes(256 * 1024))], 1000)
    case("7.3.1", frame(CLOSE, b""), [], None)
    case("7.3.2", frame(CLOSE, b"\x03"), [], 1002)
    case("7.3.3", frame(CLOSE, close_payload(1000)), [], 1000)
    case("7.3.4", frame(CLOSE, close_payload(1000, "hello")), [], 1000)
    case("7.3.5", frame(CLOSE, close_payload(1000, b"*" * 123)), [], 1000)
    case("7.3.6", frame(CLOSE, close_payload(1000, b"*" * 124)), [], 1002)
    case("7.3.7", frame(CLOSE, close_payload(1000, star)), [], 1000, split=1)
    case("7.5.1", frame(CLOSE, close_payload(1000, b"\xce\xba\xed\xa0\x80")), [], 1007)
    case("7.5.2", frame(CLOSE, close_payload(1000, b"\xff")), [], 1007)
    case("7.5.3", frame(CLOSE, close_payload(1000, b"cut \xe2\x82")), [], 1007)
    for i, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999), 1):
        case(f"7.7.{i}", frame(CLOSE, close_payload(code)), [], code)
    for i, code in enumerate((0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535), 1):
        case(f"7.9.{i}", frame(CLOSE, close_payload(code)), [], 1002)
    case("7.10.1", frame(CLOSE, close_payload(1000), fin=False), [], 1002)
    case("7.10.2", frame(CLOSE, close_payload(1000), rsv=4), [], 1002)

    # 9: limits and sizes
    for i, size in enumerate((64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20), 1):
        text = b"*" * size
        case(f"9.1.{i}", frame(TEXT, text), [("text", text)])
        data = dice.randbytes(1 << 16) * (size >> 16)
        case(f"9.2.{i}", frame(BINARY, data), [("binary", data)])
    four = dice.randbytes(1 << 16) * 64
    for i, size in enumerate((64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20), 1):
        parts = four if size >= 1024 else four[:256 << 10]
        case(f"9.3.{i}", b"".join(pieces(*[parts[at:at + size] for at in range(0, len(parts), size)], op=BINARY)), [("binary", parts)])
    for i, split in enumerate((64, 128, 256, 512, 1024, 2048), 1):
        text = b"+" * (1 << 18)
        case(f"9.5.{i}", frame(TEXT, text), [("text", text)], split=split)
    for i, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
        payload = dice.randbytes(size)
        case(f"9.7.{i}", b"".join(frame(BINARY, payload) for _ in range(500)), [("binary", payload)] * 500)
    case("9.9.1", frame(BINARY, b"", length=MESSAGE_MAX + 1), [], 1009)
    case("9.9.2", b"".join([frame(BINARY, four, fin=False), *[frame(CONTINUATION, four, fin=False)] * 5]), [], 1009)
    case("9.9.3", bytes([0x82, 0xFF]) + struct.pack("!Q", 1 << 62) + b"mask", [], 1009)

    # 10: masks and lengths
    case("10.1", frame(TEXT, b"x", masked=False), [], 1002)
    case("10.2", frame(PING, b"", masked=False), [], 1002)
    case("10.3", frame(CLOSE, close_payload(1000), masked=False), [], 1002)
    case("10.4", frame(TEXT, b"a") + frame(TEXT, b"b", masked=False), [("text", b"a")], 1002)
    for i, (size, length) in enumerate(((0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)), 5):
        case(f"10.{i}", frame(BINARY, b"y" * size, length_bytes=length), [], 1002)
    case("10.11", bytes([0x82, 0xFF]) + struct.pack("!Q", 1 << 63) + b"mask", [], 1002)
    case("10.12", frame(PING, b"p", length_bytes=2), [], 1002)
    for i, key in enumerate((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\xff\0\xff", b"abcd"), 13):
        payload = dice.randbytes(1001)
        case(f"10.{i}", frame(BINARY, payload, key=key), [("binary", payload)], split=3)


_cases()
NAMES = {TEXT: "text", BINARY: "binary", PONG: "pong"}


def play(client, sent, split):
    """Writes in a thread: what is long comes back while it is still being written."""
    def write():
        try:
            for raw in sent:
                for at in range(0, len(raw), split or len(raw) or 1):
                    client.sock.sendall(raw[at:at + split] if split else raw)
        except OSError:
            pass  # the server has said why
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    return writer


def message(client):
    """The next message; the server must not fragment its answers."""
    opcode, length = client.head()
    return opcode, client.read(length)


@pytest.mark.parametrize("number", CASES)
def test_case(server, number):
    """What is sent is answered as the RFC says."""
    sent, back, close, split = CASES[number]
    with Client(server) as client:
        writer = play(client, sent, split)
        if back is None:
            opcode, payload = message(client)
            assert (opcode, payload) == (PONG, mask(sent[0][6:], sent[0][2:6]))
            back = []
        for kind, payload in back:
            opcode, got = message(client)
            assert NAMES.get(opcode) == kind, f"opcode {opcode}, {got[:60]!r}"
            assert len(got) == len(payload) and got == payload
        if close == "end":
            writer.join(PATIENCE)
            client.shut(1000)
            return
        opcode, got = message(client)
        assert opcode == CLOSE, f"opcode {opcode} instead of Close {close}"
        assert (struct.unpack("!H", got[:2])[0] if got else None) == close
        try:
            trailing = client.rest()[0]
        except Gone:
            trailing = b""
        assert not trailing, "the server talks on behind its Close"


def test_there_are_as_many_cases_as_we_say():
    """A table that shrinks by accident is noticed."""
    assert len(CASES) >= 300, len(CASES)


def test_compression_is_declined(server):
    """Every form of the offer: no extension is selected, and compressed frames are refused."""
    for offer in ("permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
                  "permessage-deflate, x-webkit-deflate-frame"):
        with Client(server, headers=[f"Sec-WebSocket-Extensions: {offer}"]) as client:
            assert "sec-websocket-extensions" not in client.answer.headers
            client.send_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)
            assert client.until_close()[1] == 1002


def test_a_stream_of_random_frames_is_echoed(server):
    """A thousand messages of random kind, size, fragmentation and split, Pings between: all come back in order."""
    dice = random.Random(1)
    raw, expected = bytearray(), []
    for _ in range(1000):
        text = dice.random() < 0.5
        payload = "".join(chr(dice.choice([65, 233, 8222, 128274])) for _ in range(dice.randrange(60))).encode() if text else dice.randbytes(dice.randrange(400))
        cuts = sorted(dice.randrange(len(payload) + 1) for _ in range(dice.choice([0, 0, 1, 3])))
        edges = [0, *cuts, len(payload)]
        parts = [payload[a:b] for a, b in zip(edges, edges[1:])]
        for i, part in enumerate(parts):
            raw += frame(CONTINUATION if i else TEXT if text else BINARY, part, fin=i == len(parts) - 1)
            if dice.random() < 0.1:
                ping = dice.randbytes(5)
                raw += frame(PING, ping)
                expected.append((PONG, ping))
        expected.append((TEXT if text else BINARY, payload))
    with Client(server) as client:
        play(client, [bytes(raw)], 61)
        data = [(kind, payload) for kind, payload in expected if kind != PONG]
        pongs = [payload for kind, payload in expected if kind == PONG]
        got_data, got_pongs = [], []
        while len(got_data) < len(data) or len(got_pongs) < len(pongs):
            opcode, payload = message(client)
            if opcode == PONG:
                got_pongs.append(payload)
            else:
                got_data.append((opcode, payload))
        assert got_data == data and got_pongs == pongs
        client.shut()


def test_the_server_survives_random_streams(server):
    """Noise behind a good handshake: always a Close or the end, and the next client is served."""
    dice = random.Random(2)
    for _ in range(300):
        with Client(server) as client:
            client.send(dice.randbytes(dice.randrange(1, 200)))
            client.sock.shutdown(1)
            client.rest()
    with Client(server) as client:
        client.send_frame(TEXT, b"alive")
        client.expect(TEXT, b"alive")
        client.shut()


def test_a_bad_handshake_is_no_session(server):
    """No 101 for a request without a key."""
    with Stream(dial(server)) as stream:
        stream.send(request(key=None))
        got, _ = stream.rest()
        assert not got.startswith(b"HTTP/1.1 101")
