"""Attacks on a client from outside its process: servers, bridges and words of a command line that mean it ill.

What a server may say within TLS is tried out by tests/unit/atls; docs/attack-list.md has all of it.
"""

import contextlib
import json
import socket
import ssl
import subprocess
import threading

import pytest

from harness import package
from harness.attested import Application
from harness.base import BIN, free_port
from harness.lies import Listener, Tunnel, dropped, flip, injected, read_head, swapped, twice, unframe, upgrade
from harness.wire import BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame

SOON = "1s"  # for a client that must give up


@pytest.fixture
def reached(monkeypatch):
    """What has come to the application."""
    seen = []
    get, post = Application.do_GET, Application.do_POST
    monkeypatch.setattr(Application, "do_GET", lambda self: (seen.append(self.path), get(self)))
    monkeypatch.setattr(Application, "do_POST", lambda self: (seen.append(self.path), post(self)))
    return seen


def refused(world, *words, url=None, data=b"secret", codes=("timeout",), statuses=(10, 11)):
    """A request that must not be made; what atls says of it."""
    done = subprocess.run([BIN / "atls", "post", url or f"https://localhost:{world.port}/digest", "--policy", world.sim / "policy.json",
                           "--cacert", world.sim / "tls-ca.pem", "--fetch-anew", *[str(w) for w in words]],
                          capture_output=True, timeout=60, input=data, check=False)
    text = done.stderr.decode(errors="replace")
    assert done.returncode in statuses, (done.returncode, text)
    assert not codes or any(text.rstrip().endswith(f"[{code}]") for code in codes), text
    assert done.stdout == b""
    return text


# What the package calls what atls calls so.
CATEGORIES = {"tls_handshake": "handshake", "connection_closed": "handshake", "timeout": "timeout", "io": "proxy_connection"}


@pytest.fixture(params=["atls", "package"])
def refuses(request):
    """refuses(world, bridge, codes=…): a client that goes through this bridge, and must come to nothing; what it says of it."""
    def by_atls(world, bridge, codes, seconds=5, categories=()):
        return refused(world, "--proxy", f"ws://127.0.0.1:{bridge.port}", "--timeout", f"{seconds}s", codes=codes)

    def by_package(world, bridge, codes, seconds=5, categories=()):
        error = package.post(world, f"ws://127.0.0.1:{bridge.port}", seconds=seconds)["error"]
        assert error["category"] in (categories or {CATEGORIES[code] for code in codes}), error
        return error["message"]

    return by_atls if request.param == "atls" else by_package


# --- servers that take their time ---


def test_a_handshake_that_drips_is_given_up(world):
    def serve(listener, sock):
        sock.sendall(b"\x16\x03\x03\x40\x00")
        listener.drip(sock.sendall)

    with Listener(serve) as server:
        refused(world, "--timeout", SOON, url=f"https://localhost:{server.port}/")
        assert server.served == 1


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n{"],
                         ids=["words", "head", "body"])
def test_an_answer_that_drips_is_given_up(world, begin):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.sim / "tls-cert.pem", world.sim / "tls-key.pem")

    def serve(listener, sock):
        with context.wrap_socket(sock, server_side=True) as tls:
            read_head(tls.recv)
            tls.sendall(begin)
            listener.drip(tls.sendall, b"H" if not begin else b" ")

    with Listener(serve) as server:
        codes = ("timeout",) if begin else ("http_response", "timeout")
        refused(world, "--timeout", SOON, url=f"https://localhost:{server.port}/", codes=codes)


# --- bridges that lie ---


RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)
ANSWER = 6000  # a byte of the answer, which has tens of thousands


@pytest.mark.parametrize("way, lie", [
    ("down", lambda: flip(20)),  # the server's random value
    ("down", lambda: flip(200)),  # encrypted extensions, certificate
    ("down", lambda: flip(900)),
    ("down", lambda: flip(ANSWER)),
    ("down", lambda: twice(0)),
    ("down", lambda: twice(ANSWER)),
    ("down", lambda: swapped(0)),
    ("down", lambda: swapped(ANSWER)),
    ("down", lambda: dropped(0)),
    ("down", lambda: dropped(ANSWER)),
    ("down", lambda: injected(0, RECORD)),
    ("down", lambda: injected(ANSWER, RECORD)),
    ("down", lambda: injected(ANSWER, b"HTTP/1.1 200 OK\r\n\r\n")),
    ("up", lambda: flip(1)),
    ("up", lambda: flip(30)),  # the client's random value
    ("up", lambda: twice(0)),
    ("up", lambda: swapped(0)),
    ("up", lambda: dropped(100)),
    ("up", lambda: injected(0, RECORD)),
])
def test_a_bridge_that_changes_bytes_is_found(world, reached, refuses, way, lie):
    world.start_tee()
    with Listener(Tunnel(world, **{way: lie()})) as bridge:
        refuses(world, bridge, codes=("tls_handshake", "connection_closed", "timeout"))
    assert not reached


def test_a_bridge_that_is_honest_is_used(world, reached):
    world.start_tee()
    with Listener(Tunnel(world)) as bridge:
        assert world.atls("get", "/over", "--proxy", f"ws://127.0.0.1:{bridge.port}").stdout == b"path /over"
    assert reached == ["/over"]


def test_frames_of_text_are_refused(world, reached, refuses):
    world.start_tee()
    with Listener(Tunnel(world, wrap=lambda data: frame(TEXT, data, masked=False))) as bridge:
        said = refuses(world, bridge, codes=("io",))
        assert "text frame" in said or "WebSocket frame" in said
    assert not reached


@pytest.mark.parametrize("bad", [
    lambda data: frame(BINARY, data, masked=True),
    lambda data: frame(BINARY, data, masked=False, rsv=4),
    lambda data: frame(3, data, masked=False),
    lambda data: frame(PING, b"x", fin=False, masked=False),
    lambda data: frame(PING, b"x" * 126, masked=False),
    lambda data: frame(BINARY, b"", masked=False, length_bytes=8, length=1 << 63),
    lambda data: frame(0, data, masked=False),
], ids=["masked", "reserved", "unknown", "cut-ping", "long-ping", "length", "continuation"])
def test_frames_that_are_none_are_refused(world, reached, refuses, bad):
    world.start_tee()
    with Listener(Tunnel(world, wrap=bad)) as bridge:
        refuses(world, bridge, codes=("io",))
    assert not reached


def pings(send, over):
    with contextlib.suppress(OSError):
        while not over.wait(0.002):
            send(frame(PING, b"are you there", masked=False))


def test_pings_without_end_are_no_answer(world, reached, refuses):
    def serve(listener, sock):
        upgrade(sock)
        pongs = []
        reader = threading.Thread(target=unframe, args=(sock, lambda opcode, payload: pongs.append(payload) if opcode == PONG else None),
                                  daemon=True)
        reader.start()
        pings(sock.sendall, listener.over)
        reader.join(30)
        assert pongs and set(pongs) == {b"are you there"}

    with Listener(serve) as bridge:
        refuses(world, bridge, codes=("timeout",), seconds=1)
    assert not reached


def test_pings_keep_no_silent_answer_alive(world):
    world.start_tee()
    with Listener(Tunnel(world, between=pings)) as bridge:
        done = world.run("atls", "post", f"https://localhost:{world.port}/stream", "--policy", world.sim / "policy.json", "--cacert",
                         world.sim / "tls-ca.pem", "--proxy", f"ws://127.0.0.1:{bridge.port}", "--data", "@{}", "--read-timeout", SOON,
                         expect=10)
        assert done.stdout == b"data: one\n\n" and b"[timeout]" in done.stderr
    world.server.go_on.set()


@pytest.mark.parametrize("end, code", [
    (lambda sock: sock.sendall(frame(CLOSE, close_payload(1000), masked=False)), "tls_handshake"),
    (lambda sock: sock.sendall(frame(CLOSE, b"", masked=False)), "tls_handshake"),
    (lambda sock: sock.sendall(frame(CLOSE, close_payload(1011, "no"), masked=False)), "io"),
    (lambda sock: sock.shutdown(socket.SHUT_WR), "tls_handshake"),
], ids=["normal", "no-status", "refused", "fin"])
def test_a_close_is_an_end_though_tcp_stays(world, refuses, end, code):
    def serve(listener, sock):
        upgrade(sock)
        end(sock)
        listener.over.wait(60)  # the connection stays as it is

    with Listener(serve) as bridge:
        # The package tells of the bridge, whose Close it saw, or waited for the end of TCP.
        refuses(world, bridge, codes=(code,), categories=("proxy_connection", "handshake", "timeout"))


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 101 Switching Protocols\r\nX-Long: "], ids=["silent", "head"])
def test_a_bridge_that_drips_is_given_up(world, refuses, begin):
    def serve(listener, sock):
        read_head(sock.recv)
        sock.sendall(begin)
        if begin:
            listener.drip(sock.sendall)
        else:
            listener.over.wait(60)

    with Listener(serve) as bridge:
        refuses(world, bridge, codes=("timeout",), seconds=1)


# --- words of the command line ---


@pytest.mark.parametrize("words", [
    ["X: a\r\nY: b"], ["X: a\nY: b"], ["X: a\rb"], ["X: a\x01b"], ["X\r\nY: b"], ["X Y: b"], ["X : b"], [": b"], ["X"],
    ["Content-Length: 5"], ["content-length: 5"], ["Transfer-Encoding: chunked"], ["Connection: keep-alive"],
    ["Host: a\r\nX: b"],
], ids=repr)
def test_fields_cannot_carry_others(world, words):
    refused(world, *words, url="https://localhost:1/", codes=(), statuses=(2,))


@pytest.mark.parametrize("url", [
    "https://localhost:1/a\r\nX: y", "https://localhost:1/a HTTP/1.1\r\nX: y", "https://localhost:1/a\nb", "https://localhost:1/a b",
    "https://localhost:1/a\tb", "https://localhost:1/\x01", "https://localhost:1/\xe9", "https://localhost:1/#a", "https://localhost:1/?a\r\nb",
    "https://local\r\nhost:1/", "http://localhost:1/", "https:///", "https://localhost:0/", "https://localhost:65536/", "https://localhost:1x/", "//localhost/",
], ids=repr)
def test_urls_that_are_none_are_refused(world, url):
    refused(world, url=url, codes=(), statuses=(2,))


@pytest.mark.parametrize("host", ["a b", "user@localhost", ".localhost", "localhost.", "*", "*.localhost", "loc%61lhost"], ids=repr)
def test_names_that_are_none_are_refused(world, host):
    refused(world, url=f"https://{host}:{free_port()}/", codes=("server_name",))


@pytest.mark.parametrize("url", ["http://pccs.example", "http://127.0.0.1.example:1", "http://127.0.0.1:1@pccs.example", "ftp://127.0.0.1:1"])
def test_collateral_is_not_fetched_over_http_from_afar(world, url):
    world.start_tee("--without-collateral")
    refused(world, "--pccs-url", url, codes=("collateral_fetch",))
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["pccs_url"] = url
    (world.sim / "afar.json").write_text(json.dumps(policy))
    assert b"pccs_url must be an https URL" in world.atls("get", "/x", policy="afar.json", expect=2).stderr
