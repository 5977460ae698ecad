"""A WebSocket client that does what it is told, right or wrong.

Real clients refuse to send what an attacker sends. This one writes any bits at all, and is strict with
what it receives: an unmasked, unfragmented, minimally encoded frame without reserved bits, or the test fails.
"""

import base64
import collections
import hashlib
import os
import socket
import struct
import time

from .base import PATIENCE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

Frame = collections.namedtuple("Frame", "opcode payload")
Answer = collections.namedtuple("Answer", "status reason headers body")


class Gone(Exception):
    """The peer ended the connection; args[0] is 'fin' or 'rst'."""


def mask(data, key):
    if key == b"\0\0\0\0" or not data:
        return bytes(data)
    whole = (key * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "little") ^ int.from_bytes(whole, "little")
    return number.to_bytes(len(data), "little")


def frame(opcode, payload=b"", fin=True, rsv=0, key=b"", masked=True, length_bytes=None, length=None):
    """The bytes of one frame.

    key           four bytes; empty: random ones
    length_bytes  0, 2 or 8: how the length is written, minimal or not
    length        what the head claims, when it is not the truth
    """
    if isinstance(payload, str):
        payload = payload.encode()
    claimed = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if claimed < 126 else 2 if claimed < 65536 else 8
    head = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if length_bytes == 0:
        head.append(bit | claimed)
    elif length_bytes == 2:
        head += bytes([bit | 126]) + struct.pack("!H", claimed)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", claimed)
    if masked:
        key = key or os.urandom(4)
        return bytes(head) + key + mask(payload, key)
    return bytes(head) + payload


def close_payload(code=None, reason=b""):
    if code is None:
        return b""
    return struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason)


def request(path="/", host="127.0.0.1", headers=(), key=SAMPLE_KEY, version="13", upgrade="websocket",
            connection="Upgrade", method="GET", http="HTTP/1.1", origin=None, protocols=None):
    """The bytes of an opening handshake; None leaves a line out."""
    lines = [f"{method} {path} {http}"]
    for name, value in (("Host", host), ("Upgrade", upgrade), ("Connection", connection),
                        ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", version), ("Origin", origin),
                        ("Sec-WebSocket-Protocol", protocols)):
        if value is not None:
            lines.append(f"{name}: {value}")
    lines += [h if isinstance(h, str) else f"{h[0]}: {h[1]}" for h in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "surrogateescape")


class Stream:
    """A blocking socket with a read buffer; all waits have a deadline."""

    def __init__(self, sock, timeout=PATIENCE):
        self.sock = sock
        self.timeout = timeout
        self.buffer = b""
        sock.settimeout(timeout)

    def fill(self):
        try:
            got = self.sock.recv(1 << 18)
        except ConnectionResetError:
            raise Gone("rst") from None
        except socket.timeout:
            raise AssertionError(f"no byte came for {self.sock.gettimeout():.1f} s") from None
        if not got:
            raise Gone("fin")
        self.buffer += got

    def read(self, n):
        if len(self.buffer) < n:
            parts, have = [self.buffer], len(self.buffer)
            self.buffer = b""
            while have < n:
                try:
                    self.fill()
                except BaseException:
                    self.buffer = b"".join(parts)
                    raise
                parts.append(self.buffer)
                have += len(self.buffer)
                self.buffer = b""
            self.buffer = b"".join(parts)
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def until(self, mark, most=1 << 20):
        while mark not in self.buffer:
            assert len(self.buffer) < most, "the answer has no end"
            self.fill()
        out, _, self.buffer = self.buffer.partition(mark)
        return out

    def rest(self):
        """Everything to the end of the connection, and how it ended: (bytes, 'fin' | 'rst')."""
        while True:
            try:
                self.fill()
            except Gone as how:
                out, self.buffer = self.buffer, b""
                return out, how.args[0]

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def dial(address, source=None, timeout=PATIENCE, receive_buffer=None, send_buffer=None):
    """A connected TCP or Unix socket."""
    if isinstance(address, (str, bytes)):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if send_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if source:
            # The port is chosen by connect: one that bind had chosen could not serve the bridge's own connects.
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        sock.settimeout(timeout)
        sock.connect(address)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def read_answer(stream, method="GET"):
    """The head of an HTTP answer, and its body when it has a Content-Length."""
    first, *lines = stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    version, status, reason = (first.split(" ", 2) + [""])[:3]
    assert version == "HTTP/1.1", first
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        assert colon and name == name.strip(), f"header line {line!r}"
        assert name.lower() not in headers, f"two {name} headers"
        headers[name.lower()] = value.strip()
    body = b""
    if int(status) != 101 and method != "HEAD" and "content-length" in headers:
        body = stream.read(int(headers["content-length"]))
    return Answer(int(status), reason, headers, body)


def ask(address, raw, source=None):
    """Sends raw request bytes; returns the answer and what follows it to the end of the connection."""
    with Stream(dial(address, source)) as stream:
        stream.send(raw)
        answer = read_answer(stream, raw.split(b" ")[0].decode("latin-1"))
        if answer.status == 101:
            return answer
        trailing, _ = stream.rest()
        assert not trailing, f"bytes behind the answer: {trailing[:80]!r}"
        return answer


class Client(Stream):
    """A WebSocket connection.

    Client(bridge.address, "/?target=a:1")   opens it and checks the answer of the server
    Client(…, check=False)                   only connects and sends; see .answer for what came
    """

    def __init__(self, address, path="/", sock=None, check=True, source=None, timeout=PATIENCE,
                 receive_buffer=None, send_buffer=None, early=b"", before=b"", **fields):
        super().__init__(sock or dial(address, source, timeout, receive_buffer, send_buffer), timeout)
        self.answer = None
        key = fields.setdefault("key", base64.b64encode(os.urandom(16)).decode())
        self.send(before + request(path, **fields) + early)
        try:
            self.answer = read_answer(self)
            if check:
                self.check_upgrade(key)
        except BaseException:
            self.close()
            raise

    def check_upgrade(self, key):
        assert self.answer.status == 101, self.answer
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        assert self.answer.headers.get("sec-websocket-accept") == accept, self.answer
        assert self.answer.headers.get("upgrade", "").lower() == "websocket", self.answer
        assert self.answer.headers.get("connection", "").lower() == "upgrade", self.answer
        assert "sec-websocket-extensions" not in self.answer.headers, self.answer

    # --- sending ----------------------------------------------------------------------------

    def send_frame(self, opcode, payload=b"", **how):
        self.send(frame(opcode, payload, **how))

    def send_data(self, payload):
        self.send_frame(BINARY, payload)

    def send_close(self, code=None, reason=b""):
        self.send_frame(CLOSE, close_payload(code, reason))

    # --- receiving --------------------------------------------------------------------------

    def head(self):
        """Reads the head of a frame: (opcode, payload length)."""
        first, second = self.read(2)
        assert first & 0x80, "the server fragments"
        assert not first & 0x70, "a reserved bit"
        assert not second & 0x80, "a server must not mask"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.read(2))
            assert length >= 126, "the length is not minimal"
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read(8))
            assert 65536 <= length < 1 << 63, "the length is not minimal"
        opcode = first & 0x0F
        assert opcode in (TEXT, BINARY, CLOSE, PING, PONG), f"opcode {opcode}"
        assert opcode < 8 or length <= 125, "a long control frame"
        return opcode, length

    def frame(self):
        opcode, length = self.head()
        return Frame(opcode, self.read(length))

    def expect(self, opcode, payload=None):
        got = self.frame()
        assert got.opcode == opcode, got
        if payload is not None:
            assert got.payload == (payload.encode() if isinstance(payload, str) else payload), got
        return got.payload

    def data(self, n):
        """The next n bytes of data, whatever frames they come in; Pings are answered."""
        out = bytearray()
        while len(out) < n:
            got = self.frame()
            if got.opcode == PING:
                self.send_frame(PONG, got.payload)
            elif got.opcode == PONG:
                continue
            else:
                assert got.opcode == BINARY, got
                out += got.payload
        assert len(out) == n, f"{len(out)} bytes instead of {n}"
        return bytes(out)

    def until_close(self, keep=True):
        """Reads to the Close frame: (data or its length, code or None, reason)."""
        out, count = bytearray(), 0
        while True:
            opcode, length = self.head()
            if opcode == CLOSE:
                payload = self.read(length)
                assert length != 1, "a Close with half a code"
                if not length:
                    return (bytes(out) if keep else count), None, ""
                return (bytes(out) if keep else count), struct.unpack("!H", payload[:2])[0], payload[2:].decode()
            piece = self.read(length)
            if opcode == BINARY:
                count += length
                if keep:
                    out += piece
            elif opcode == PING:
                self.send_frame(PONG, piece)

    def expect_close(self, code, reason=None, answer=True):
        """The next thing but data is this Close; answers it and sees the connection end. Returns the data."""
        data, got, why = self.until_close()
        assert (got, why if reason is not None else None) == (code, reason), f"Close {got} {why!r} after {len(data)} bytes"
        if answer:
            self.finish(got)
        return data

    def finish(self, code=None):
        """Answers a Close and waits for the end of the connection."""
        try:
            self.send_close(code)
        except OSError:
            pass
        trailing, how = self.rest()
        assert not trailing, f"bytes behind the Close: {trailing[:40]!r}"
        return how

    def shut(self, code=1000, reason=b""):
        """Closes from this side: sends Close, expects its echo, sees the end."""
        self.send_close(code, reason)
        _, got, _ = self.until_close()
        assert got == code, f"Close {code} was answered with {got}"
        trailing, how = self.rest()
        assert not trailing
        return how

    def ended(self):
        """Reads frames until the connection ends without a Close: (data, 'fin' | 'rst')."""
        out = bytearray()
        while True:
            try:
                got = self.frame()
            except Gone as how:
                return bytes(out), how.args[0]
            assert got.opcode != CLOSE, got
            if got.opcode == BINARY:
                out += got.payload


def now():
    return time.monotonic()
