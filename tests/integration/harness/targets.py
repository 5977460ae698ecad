"""TCP servers for the bridge to connect to, each a few lines of what one connection does."""

import contextlib
import hashlib
import os
import socket
import struct
import threading

from .base import PATIENCE, eventually


class Peer:
    """One accepted connection: what came, and how it ended."""

    def __init__(self, sock, address):
        self.sock = sock
        self.address = address
        self.received = bytearray()
        self.count = 0
        self.hash = hashlib.sha256()
        self.end = None  # 'fin' or 'rst'
        self.fault = None
        self.done = threading.Event()
        self.go = threading.Event()  # tests open this gate for those that wait

    def recv(self, most=1 << 16, keep=True):
        """The next bytes; b"" at the end, whose kind is then in .end."""
        try:
            got = self.sock.recv(most)
        except (ConnectionResetError, BrokenPipeError):
            self.end = "rst"
            return b""
        if not got:
            self.end = "fin"
        self.count += len(got)
        if keep:
            self.received += got
        return got

    def read(self, n):
        while len(self.received) < n:
            if not self.recv():
                raise EOFError(f"{self.end} after {len(self.received)} bytes")
        return bytes(self.received[:n])

    def drain(self, keep=True):
        while self.recv(1 << 18, keep):
            pass

    def gate(self):
        if not self.go.wait(PATIENCE * 3):
            raise TimeoutError("nobody opened the gate")

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait(self, timeout=PATIENCE):
        assert self.done.wait(timeout), f"the target still runs after {timeout:.0f} s ({self.count} bytes in)"
        if self.fault:
            raise self.fault
        return self


class Target:
    """A listening socket and a thread a connection. serve(peer) is what happens on each."""

    def __init__(self, serve, host="127.0.0.1", port=0, path=None, backlog=512, receive_buffer=None,
                 send_buffer=None, accepting=True):
        self.path = path
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if send_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            self.socket.bind((host, port))
        self.socket.listen(backlog)
        self.host = host
        self.port = None if path else self.socket.getsockname()[1]
        self.serve = serve
        self.peers = []
        self.news = threading.Condition()
        self.closing = False
        if accepting:
            threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self):
        """As it stands in an allowlist."""
        if self.path:
            return "unix:" + self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def query(self):
        return "/?target=" + self.name

    def _accept(self):
        while True:
            try:
                sock, address = self.socket.accept()
            except OSError:
                return
            if self.closing:
                sock.close()
                return
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock, address)
            with self.news:
                self.peers.append(peer)
                self.news.notify_all()
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            self.serve(peer)
        except (ConnectionResetError, BrokenPipeError):
            peer.end = "rst"
        except Exception as fault:  # the test that waits for the peer raises it again
            peer.fault = fault
        finally:
            with contextlib.suppress(OSError):
                peer.sock.close()
            peer.done.set()

    def peer(self, index=0, timeout=PATIENCE):
        """The index-th connection that was accepted."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.peers) > index, timeout), \
                f"{len(self.peers)} connections reached the target, not {index + 1}"
            return self.peers[index]

    def close(self):
        self.closing = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for peer in self.peers:
            peer.go.set()
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                peer.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- what a connection may do -------------------------------------------------------------------


def echo(peer):
    """Sends back what comes, blocking: it does not read while it writes."""
    while piece := peer.recv(1 << 16, keep=False):
        peer.sock.sendall(piece)


def sink(peer):
    """Takes everything and keeps it."""
    peer.drain()


def hashing_sink(peer):
    """Takes everything and keeps its hash."""
    while piece := peer.recv(1 << 18, keep=False):
        peer.hash.update(piece)


def stall(peer):
    """Reads nothing until the gate opens, then takes everything."""
    peer.gate()
    peer.drain(keep=False)


def talker(banner):
    """Says something first, then takes everything."""
    def serve(peer):
        peer.sock.sendall(banner)
        peer.drain()
    return serve


def fin_after(data, wait_for=0):
    """Sends data and ends with FIN at once; waits for so many bytes from the client first."""
    def serve(peer):
        peer.read(wait_for)
        peer.sock.sendall(data)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain()
    return serve


def leave_after(data, wait_for=0):
    """Sends data and is gone, as a process that exits is."""
    def serve(peer):
        peer.read(wait_for)
        peer.sock.sendall(data)
    return serve


def reset_after(data, gated=True):
    """Sends data, waits at the gate, and resets the connection."""
    def serve(peer):
        if data:
            peer.sock.sendall(data)
        if gated:
            peer.gate()
        peer.reset()
    return serve


def flood(peer, block=os.urandom(1 << 16)):
    """Sends without end; what comes is not read."""
    while True:
        peer.sock.sendall(block)


def source(blocks, order):
    """Sends the blocks in this order, then FIN."""
    def serve(peer):
        for index in order:
            peer.sock.sendall(blocks[index])
        peer.sock.shutdown(socket.SHUT_WR)
        peer.drain(keep=False)
    return serve


def full_backlog(host="127.0.0.1"):
    """An address on which connect neither succeeds nor fails: a listener whose queue is full."""
    listener = socket.socket()
    listener.bind((host, 0))
    listener.listen(0)
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)

    def stuck():
        probe = socket.socket()
        probe.settimeout(0.2)
        try:
            probe.connect(listener.getsockname())
        except socket.timeout:
            probe.close()
            return True
        fillers.append(probe)
        return False

    eventually(stuck, "a listener that answers nobody")
    return listener, fillers


def refused_port():
    """A port of loopback on which nobody listens, and a socket that keeps it that way."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]
