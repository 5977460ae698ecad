"""Servers that are not what the client came for: each made for one case, named by a number, watched by what reaches it."""

import contextlib
import json
import socket
import ssl
import threading

from .. import lies
from ..targets import Target, reset_after, sink
from ..tee import Connection, Tee
from ..wire import BINARY, TEXT, close_payload, frame


def raw(data):
    """Bytes of a case: text, one byte each character."""
    return data.encode("latin-1")


# --- without TLS ---


def says(data):
    """Answers the first bytes with these, whatever they were."""
    def serve(peer):
        peer.recv()
        peer.sock.sendall(data)
        peer.drain()
    return serve


def leaves(peer):
    peer.recv()


def closed(code, reason):
    """A bridge that opens, and closes when it is answered."""
    def serve(peer):
        lies.upgrade(peer.sock)
        peer.sock.sendall(frame(8, close_payload(code, reason), masked=False))
        while peer.recv() and peer.received.find(b"\x88") < 0:
            pass
    return serve


def upgraded(*frames, wait=0):
    """A bridge that opens, says this once so many bytes have come, and no more."""
    def serve(peer):
        lies.upgrade(peer.sock)
        if wait:
            peer.read(wait)
        for one in frames:
            peer.sock.sendall(one)
        peer.drain()
    return serve


def raw_server(how):
    kind, data = how["kind"], raw(how.get("data", ""))
    serve = {
        "silent": sink, "leaves": leaves, "resets": reset_after(b"", gated=False), "says": says(data), "opens": upgraded(),
        "closes": closed(how.get("code", 1000), how.get("reason", "")),
        "text": upgraded(frame(TEXT, b"hello", masked=False)),
        "babbles": upgraded(frame(BINARY, data, masked=False), wait=1),
    }[kind]
    return Target(serve)


# --- with a bridge that does what it likes to the bytes ---


def lying_bridge(world, how):
    place, kind = how["at"], how["lie"]
    lie = lies.injected(place, raw(how["data"])) if kind == "injected" else getattr(lies, kind)(place)
    one = lies.Listener(lies.Tunnel(world, **{how["way"]: lie}))
    one.close = lambda: one.__exit__()
    return one


# --- with TLS ---


class TlsServer(Target):
    """Answers every request with the same bytes. It is no TEE."""

    def __init__(self, certificate, answer, version=None, alpn=("http/1.1",)):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert, certificate.key)
        self.context.set_alpn_protocols(list(alpn))
        if version == "1.2":
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.requests = []
        super().__init__(lambda peer: self.talk(peer, answer))

    def talk(self, peer, answer):
        with contextlib.suppress(OSError), self.context.wrap_socket(peer.sock, server_side=True) as tls:
            peer.sock = tls
            data = b""
            while piece := tls.recv(65536):
                data += piece
                head, end, body = data.partition(b"\r\n\r\n")
                length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                if end and len(body) >= sum(length):
                    self.requests.append(data.decode("latin-1"))
                    data = b""
                    tls.sendall(answer)


class ScriptedTee(Tee):
    """A TEE whose quotes are good unless it is told otherwise, and whose answers are a case's: one for each request that follows.

    An answer is a list of steps: bytes to send, or "close", "reset", "wait" (for the client to go).
    """

    def __init__(self, sim, folder, how):
        super().__init__(sim, folder, self.script)
        self.answers = how.get("answers", [])
        self.lie = how.get("lie", {})
        self.requests, self.quotes = [], 0
        if "collateral" in how:
            self.collateral = how["collateral"]

    def run(self):
        """Each in a thread; one handshake at a time, for the sake of the key log."""
        threads = []
        with contextlib.suppress(OSError):
            while True:
                tcp, _ = self.listener.accept()
                with contextlib.suppress(OSError):
                    tls = self.context.wrap_socket(tcp, server_side=True)
                    one = Connection(self, tls)
                    self.connections.append(one)
                    threads.append(threading.Thread(target=self.one, args=(one,), daemon=True))
                    threads[-1].start()
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.tls.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)

    def one(self, connection):
        with contextlib.suppress(OSError, ValueError), connection.tls:
            self.serve(connection)
            connection.tls.unwrap()

    def script(self, connection):
        while request := connection.request():
            if request[0].startswith("POST /tdx_quote "):
                self.quotes += 1
                if not self.prove(connection, request[1]):
                    return
                continue
            self.requests.append([request[0], request[1].decode("latin-1")])
            for step in self.answers.pop(0) if self.answers else ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]:
                if step == "close":
                    return
                if step == "reset":
                    connection.tls.shutdown(socket.SHUT_RDWR)
                    return
                if step == "wait":
                    connection.tls.recv(1)
                    return
                connection.tls.sendall(raw(step))

    def prove(self, connection, body):
        """The quote, or what the case wants of it; False: the connection ends."""
        if "raw" in self.lie:
            connection.tls.sendall(raw(self.lie["raw"]))
            return self.lie.get("stays", True)
        made = self.make_quote(self.lie.get("report_data") or connection.report_data(body)) | self.lie.get("quote", {})
        whole = {"success": True, "quote": made, "tcb_info": None, "timestamp": "1", "quote_type": "tdx", "error": None,
                 "collateral": self.collateral} | self.lie.get("members", {})
        connection.answer(json.dumps(whole).encode(), status=self.lie.get("status", "200 OK"))
        return True


def stolen(world):
    """Another machine that has the real one's certificate and key, and passes its quotes on."""
    context = ssl.create_default_context(cafile=world.ca.cert)
    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inner.load_cert_chain(world.sim / "tls-cert.pem", world.sim / "tls-key.pem")

    def relay(peer):
        with inner.wrap_socket(peer.sock, server_side=True) as client, \
                context.wrap_socket(socket.create_connection(("127.0.0.1", world.port)), server_hostname="localhost") as real:
            peer.sock = client
            thread = threading.Thread(target=pump, args=(real, client), daemon=True)
            thread.start()
            pump(client, real)
            with contextlib.suppress(OSError):
                real.shutdown(socket.SHUT_RDWR)
            thread.join(10)
    return Target(relay)


def pump(source, sink_):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink_.sendall(piece)


__all__ = ["ScriptedTee", "TlsServer", "lying_bridge", "raw_server", "stolen"]
