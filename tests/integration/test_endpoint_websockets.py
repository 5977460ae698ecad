"""atlas-tee: WebSockets through it."""

import contextlib
import os
import select
import socket
import ssl
import threading
import time

import pytest

from harness.base import PATIENCE


UPGRADE = b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n"


class Chat:
    """An application on a socket of its own: it answers one head as told, and then talks as told."""

    def __init__(self, stack, talk, answer=SWITCH):
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.talk, self.answer, self.head, self.fault = talk, answer, b"", None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        sock, _ = self.listener.accept()
        with sock:
            try:
                while not self.head.endswith(b"\r\n\r\n"):
                    self.head += sock.recv(1)
                sock.sendall(self.answer)
                self.talk(sock)
            except Exception as fault:  # pylint: disable=broad-except
                self.fault = fault

    def done(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive() and self.fault is None, self.fault


def echo_until_end(sock):
    while piece := sock.recv(65536):
        sock.sendall(piece)


def switched(session):
    session.tls.sendall(UPGRADE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += session.tls.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ") and b"\r\nUpgrade: websocket\r\n" in head and b"Sec-WebSocket-Accept: a" in head, head


def received(tls, count):
    got = b""
    while len(got) < count and (piece := tls.recv(65536)):
        got += piece
    return got


def exchanged(tls, data):
    """Says all of data and hears as much, in one thread: a session is no thing for two."""
    got, left, end = [], memoryview(data), time.monotonic() + PATIENCE
    tls.setblocking(False)
    while sum(map(len, got)) < len(data):
        assert time.monotonic() < end
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while left:
                left = left[tls.send(left[:16384]):]
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while piece := tls.recv(65536):
                got.append(piece)
            break
        select.select([tls], [tls] if left else [], [], 1)
    tls.settimeout(PATIENCE)
    return b"".join(got)


def test_a_websocket_carries_bytes_both_ways(world, stack):
    """In the attested session, as they come, megabytes at once; one line of the log tells of it when it is over."""
    chat = Chat(stack, echo_until_end)
    tee = world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        assert session.quote().status == 200
        switched(session)
        for word in (b"one", b"two"):
            session.tls.sendall(word)
            assert received(session.tls, 3) == word
        data = os.urandom(8_000_000)
        assert exchanged(session.tls, data) == data
        with contextlib.suppress(OSError):
            session.tls.unwrap()
    chat.done()
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in chat.head and b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in chat.head
    line = tee.wait("request.answered", path="/chat")
    assert line == {**line, "status": 101, "bytes_up": 8_000_006, "bytes_down": 8_000_006, "attested": True, "complete": True}


def test_what_the_application_said_last_arrives(world, stack):
    """It closes; everything before is delivered, and then the client is told of the end."""
    data = os.urandom(3_000_000)
    chat = Chat(stack, lambda sock: sock.sendall(data))
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        switched(session)
        assert received(session.tls, len(data) + 1) == data and session.closed()
    chat.done()


def test_what_the_client_said_last_arrives(world, stack):
    """It closes; the application gets everything, and then the end."""
    data, got = os.urandom(3_000_000), []

    def collect(sock):
        while piece := sock.recv(65536):
            got.append(piece)

    chat = Chat(stack, collect)
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        switched(session)
        session.tls.sendall(data)
        with contextlib.suppress(OSError):
            session.tls.unwrap()
    chat.done()
    assert b"".join(got) == data


def test_frames_behind_the_upgrade_are_not_lost(world, stack):
    """What the application sends along with its 101, and what the client sends along with its request."""
    got = []
    chat = Chat(stack, lambda sock: got.append(sock.recv(5, socket.MSG_WAITALL)), answer=SWITCH + b"hello")
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        session.tls.sendall(UPGRADE + b"early")
        assert received(session.tls, 10_000).endswith(b"\r\n\r\nhello")
    chat.done()
    assert got == [b"early"]


@pytest.mark.parametrize("answer, status", [
    (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno", 426),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 502),
])
def test_an_upgrade_that_is_not_taken(world, stack, answer, status):
    """The application's word goes; what is no WebSocket does not begin."""
    chat = Chat(stack, lambda sock: None, answer=answer)
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        session.tls.sendall(UPGRADE)
        assert session.answer().status == status
        assert session.ask("GET", "/health").body == b"healthy\n"
    chat.done()


def test_nobody_switches_unasked(world, stack):
    """A 101 that nobody asked for, and upgrades to what is no WebSocket, or when those are off."""
    chat = Chat(stack, lambda sock: None)
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}", "--no-websockets")
    with world.session() as session:
        session.tls.sendall(UPGRADE)
        assert session.answer().status == 502
    chat.done()
    assert b"upgrade" not in chat.head.lower()
