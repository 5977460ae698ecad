"""The application behind atlas-tee, for a client whose requests are watched: every request names the case that made it (?t=)."""

import collections
import contextlib
import hashlib
import http.server
import json
import random
import select
import socket
import threading
import urllib.parse

from ..base import PATIENCE

BLOCK = 1 << 20
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")


def block(number):
    """A mebibyte that no other number has."""
    return number.to_bytes(8, "big") + _filler


_filler = random.Random(1).randbytes(BLOCK - 8)


def digests(count):
    """SHA-256 of the SHA-256s of so many blocks: what a client can compute that keeps one block only."""
    whole = hashlib.sha256()
    for number in range(count):
        whole.update(hashlib.sha256(block(number)).digest())
    return whole.hexdigest()


class Note:
    """What one case did to the application so far."""

    def __init__(self):
        self.seen = []  # heads of its requests, in order
        self.connections = set()
        self.received = self.sent = self.tokens = self.answered = self.gone = 0


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    # --- the request ---

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query).items()}
        self.tag = self.query.get("t", "")
        verb, _, self.rest = url.path[1:].partition("/")
        with self.server.news:
            note = self.server.notes[self.tag]
            note.seen.append({"method": self.command, "path": self.path, "headers": [[k, v] for k, v in self.headers.items()]})
            note.connections.add(self.client_address)
            self.server.news.notify_all()
        try:
            getattr(self, "on_" + verb.replace("-", "_"), self.on_tell)()
            self.server.note(self.tag, answered=1)
        except (OSError, ValueError):  # a body that ends before its end
            self.server.note(self.tag, gone=1)
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PROPFIND = serve

    def pieces(self):
        """The body, as it comes."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                while size:
                    piece = self.rfile.read1(min(size, 1 << 16))
                    if not piece:
                        raise ConnectionResetError
                    size -= len(piece)
                    yield piece
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read1(min(left, 1 << 16))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece

    def body(self):
        whole = bytearray()
        for piece in self.pieces():
            whole += piece
            self.server.note(self.tag, received=len(piece))
        return bytes(whole)

    def gate(self):
        """Until the case lets it go on, or the client went."""
        self.server.note(self.tag)
        while not self.server.take(self.tag, 0.02):
            if select.select([self.connection], [], [], 0)[0]:
                with contextlib.suppress(BlockingIOError):
                    if not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                        raise ConnectionResetError

    # --- the answer ---

    def head(self, status=200, *fields, length=None):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def write(self, data, framed=None):
        if self.command != "HEAD":
            self.wfile.write(data if framed is None else framed)
            self.server.note(self.tag, sent=len(data))

    def chunk(self, data):
        self.write(data, b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, body, *fields, kind="text/plain", status=200):
        self.head(status, ("Content-Type", kind), *fields, length=len(body))
        self.write(body)

    # --- /tell: what came ---

    def on_tell(self):
        body = self.body()
        self.answer(json.dumps({"method": self.command, "path": self.path, "headers": [[k, v] for k, v in self.headers.items()],
                                "length": len(body), "sha256": hashlib.sha256(body).hexdigest(),
                                "text": body[:4096].decode("utf-8", "replace")}).encode(), kind="application/json")

    # --- bodies of every kind ---

    def on_blocks(self):
        """/blocks/N: N mebibytes, their length told."""
        count = int(self.rest)
        self.head(length=count * BLOCK)
        for number in range(count):
            self.write(block(number))

    def on_chunks(self):
        """/chunks/N: the same, chunked, in pieces of many sizes."""
        self.head(200, ("Transfer-Encoding", "chunked"))
        size = 1
        for number in range(int(self.rest)):
            whole = block(number)
            while whole:
                self.chunk(whole[:size])
                whole, size = whole[size:], size * 7 % 65521
        self.chunk(b"")

    def on_until_close(self):
        """/until-close/N: the same, its end being that of the connection."""
        self.head(200, ("Connection", "close"))
        for number in range(int(self.rest)):
            self.write(block(number))
        self.close_connection = True

    def on_status(self):
        """/status/N, without a body."""
        status = int(self.rest)
        self.body()
        self.head(status, ("ETag", '"x"'), ("X-Answer", "there"), length=None if status in (204, 304) else 0)

    def on_error(self):
        """/error/N: with a body that explains."""
        self.body()
        self.answer(b'{"error":"so it is"}', status=int(self.rest), kind="application/json")

    def on_redirect(self):
        self.body()
        self.head(302, ("Location", "https://elsewhere.test/"), length=0)

    def on_cookies(self):
        self.head(200, ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2, still b"), ("X-Twice", "one"), ("X-Twice", "two"), length=0)

    def on_compressed(self):
        self.answer(bytes.fromhex("1f8b0800000000000003cb48cdc9c95728cf2fca49010085114a0d0b000000"), ("Content-Encoding", "gzip"))

    def on_half(self):
        """/half: breaks off."""
        self.head(length=1000)
        self.write(b"half")
        self.close_connection = True

    # --- time is the case's ---

    def on_gate(self):
        """/gate: no head before the case says so."""
        body = self.body()
        self.gate()
        self.answer(b"went on, %d bytes" % len(body))

    def on_stream(self):
        """/stream/N: N events; each but the first waits for the case."""
        self.body()
        self.head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
        for number in range(int(self.rest)):
            if number:
                self.gate()
            self.chunk(b"data: %d\n\n" % number)
        self.chunk(b"")

    def on_slow_read(self):
        """/slow-read: reads nothing of the body before the case says so."""
        self.gate()
        self.on_digest()

    def on_digest(self):
        """/digest: SHA-256 of the body, which is not kept."""
        whole, length = hashlib.sha256(), 0
        for piece in self.pieces():
            whole.update(piece)
            length += len(piece)
            self.server.note(self.tag, received=len(piece))
        self.answer(json.dumps({"length": length, "sha256": whole.hexdigest()}).encode(), kind="application/json")

    def on_early(self):
        """/early: answers before it has read the body, then reads it."""
        self.answer(b"early")
        for piece in self.pieces():
            self.server.note(self.tag, received=len(piece))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Application)
        self.news = threading.Condition()
        self.notes = collections.defaultdict(Note)

    def handle_error(self, request, client_address):
        pass  # clients go as they like here

    def note(self, tag, **more):
        with self.news:
            for name, count in more.items():
                setattr(self.notes[tag], name, getattr(self.notes[tag], name) + count)
            self.news.notify_all()

    def open(self):
        """Whoever still waits goes on."""
        with self.news:
            for note in self.notes.values():
                note.tokens = 1 << 30
            self.news.notify_all()

    def take(self, tag, timeout):
        with self.news:
            if not self.news.wait_for(lambda: self.notes[tag].tokens > 0, timeout):
                return False
            self.notes[tag].tokens -= 1
            return True

    def wait(self, tag, name, least):
        """Until that count of the case is at least so much; what it is then."""
        def count():
            value = getattr(self.notes[tag], name)
            return value if isinstance(value, int) else len(value)
        with self.news:
            assert self.news.wait_for(lambda: count() >= least, PATIENCE * 2), f"{name} of {tag}: {count()}, not {least}"
            return count()
