"""Bridges that lie: one that says what it likes, and one that leads where it should but for what it does to the bytes."""

import base64
import contextlib
import hashlib
import socket
import threading

from .wire import BINARY, CLOSE, GUID, close_payload, frame, mask


class Listener:
    """Serves one connection after the other by serve(sock) until it is closed; .over tells a server that it is."""

    def __init__(self, serve):
        self.serve, self.over = serve, threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.served = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                self.served += 1
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(30)
                    self.serve(self, sock)

    def drip(self, send, byte=b"x"):
        """A byte now and then, for as long as anybody listens."""
        with contextlib.suppress(OSError):
            while not self.over.wait(0.01):
                send(byte)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(30)


def read_head(recv):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = recv(65536)
        if not piece:
            raise OSError("gone")
        head += piece
    return head


def upgrade(sock):
    """The opening handshake of a bridge; what it was asked for."""
    head = read_head(sock.recv).decode()
    key = [line.partition(":")[2].strip() for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key:")][0]
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                 b"\r\n\r\n")
    return head


def unframe(sock, on_payload):
    """Reads frames of a client until it goes."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := sock.recv(65536):
            data += piece
            while len(data) >= 6:
                opcode, length, at = data[0] & 15, data[1] & 127, 2
                if length >= 126:
                    wide = 2 if length == 126 else 8
                    length, at = int.from_bytes(data[2:2 + wide], "big"), 2 + wide
                if len(data) < at + 4 + length:
                    break
                on_payload(opcode, mask(data[at + 4:at + 4 + length], data[at:at + 4]))
                data = data[at + 4 + length:]


class Tunnel:
    """A bridge that really leads there, and does to the bytes of each way what it is told."""

    def __init__(self, world, down=lambda data, at: data, up=lambda data, at: data, between=lambda send, over: None,
                 wrap=lambda data: frame(BINARY, data, masked=False)):
        self.world, self.down, self.up, self.between, self.frame = world, down, up, between, wrap

    def __call__(self, listener, sock):
        upgrade(sock)
        lock = threading.Lock()

        def send(data):
            with lock:
                sock.sendall(data)

        with socket.create_connection(("127.0.0.1", self.world.port)) as target:
            def downwards():
                at = 0
                with contextlib.suppress(OSError):
                    while data := target.recv(65536):
                        send(self.frame(self.down(data, at)))
                        at += len(data)
                with contextlib.suppress(OSError):
                    send(frame(CLOSE, close_payload(1000), masked=False))

            went = [0]

            def upwards(opcode, payload):
                if opcode == BINARY:
                    target.sendall(self.up(payload, went[0]))
                    went[0] += len(payload)
                elif opcode == CLOSE:
                    raise OSError("the client closed")

            threads = [threading.Thread(target=downwards, daemon=True),
                       threading.Thread(target=self.between, args=(send, listener.over), daemon=True)]
            for thread in threads:
                thread.start()
            unframe(sock, upwards)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
            threads[0].join(30)


def from_place(place, do):
    """Changes once what a stream has from that byte on: do(the rest of a piece)."""
    done = []

    def change(data, at):
        begin = max(place - at, 0)
        if done or len(data) - begin < 2:
            return data
        done.append(True)
        return data[:begin] + do(data[begin:])
    return change


def flip(place):
    return from_place(place, lambda rest: bytes([rest[0] ^ 1]) + rest[1:])


def twice(place):
    return from_place(place, lambda rest: rest[:50] + rest)


def swapped(place):
    return from_place(place, lambda rest: rest[1:50] + rest[:1] + rest[50:])


def dropped(place):
    return from_place(place, lambda rest: rest[1:])


def injected(place, what):
    return from_place(place, lambda rest: what + rest)
