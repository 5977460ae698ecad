"""atlas-tee: what passes to the application, and who may ask."""

import contextlib
import json
import socket
import threading

import pytest

from harness.base import PATIENCE


class Raw:
    """An application that keeps every byte it gets on its connections, and answers each head it can read with 200 and nothing."""

    def __init__(self, stack):
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.news = threading.Condition()
        self.got = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._one, args=(self.listener.accept()[0],), daemon=True).start()

    def _one(self, sock):
        seen = b""
        with sock, contextlib.suppress(OSError):
            while piece := sock.recv(65536):
                heads = seen.count(b"\r\n\r\n")
                seen += piece
                with self.news:
                    self.got += piece
                    self.news.notify_all()
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * (seen.count(b"\r\n\r\n") - heads))

    def wait(self, mark):
        with self.news:
            assert self.news.wait_for(lambda: mark in self.got, PATIENCE), self.got


@pytest.mark.parametrize("named", ["Content-Length", "content-length, host", "close, CONTENT-LENGTH"])
def test_a_body_never_becomes_a_request(world, stack, named):
    """Connection names fields that end here; that of the body's length is not one of them, whoever says so."""
    raw = Raw(stack)
    world.start_tee("--upstream", f"127.0.0.1:{raw.port}")
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    world.https(b"POST /a HTTP/1.1\r\nHost: y\r\nConnection: close\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (named.encode(), len(smuggled), smuggled))
    raw.wait(smuggled)
    head = raw.got.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\ncontent-length: %d" % len(smuggled) in head and b"\r\nhost: y" in head and b"\r\nconnection:" not in head


def test_http_1_0_is_understood(world):
    """Without a Host, and answered until the end of the connection."""
    world.start_tee()
    assert world.https(b"GET /old HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\npath /old")
    streamed = world.https(b"GET /until-close HTTP/1.0\r\n\r\n")
    assert streamed.endswith(b"\r\n\r\n" + b"x" * 300000) and b"chunked" not in streamed


def test_errors_are_json(world):
    """Also where a person's words hold quotes, and in the shape that clients of each path look for."""
    world.start_tee()
    for request, status, key in ((b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"400", "error"),
                                 (b"GET / HTTP/1.1\r\nHost: x\r\nX \"y: z\r\n\r\n", b"400", "error"),
                                 (b"GET /tdx_quote HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405", "detail")):
        answer = world.https(request)
        assert answer[9:12] == status and list(json.loads(answer.partition(b"\r\n\r\n")[2])) == [key]


def test_bearer_tokens(world):
    """The scheme in its own case, blanks, the token; 401 says what is wanted, and the session goes on."""
    token = "t" * 32
    tee = world.start_tee(env={"AUTH_SERVICE_TOKEN": token})
    with world.session() as session:
        for value, status in ((None, 401), (f"Bearer {token}", 200), (f"Bearer \t {token}", 200), (f"bearer {token}", 401),
                              (f"Bearer {token}x", 401), (f"Basic {token}", 401), ("Bearer", 401)):
            answer = session.ask("GET", "/x", *([f"Authorization: {value}"] if value else []))
            assert answer.status == status, value
            assert status == 200 or answer.headers["WWW-Authenticate"] == "Bearer"
        assert session.ask("GET", "/health").status == 200
        assert session.quote().status == 200
        assert session.ask("POST", "/digest", body=b"secret").status == 401
        assert session.closed()  # with a body that nobody wants to read
    assert token not in tee.text()
    tee.stop()
    done = world.run("atlas-tee", "--check", "--auth-paths", "metrics", expect=2)
    assert b"does not begin with a slash" in done.stderr


def test_some_paths_need_a_token(world):
    """As nginx did it: /metrics of the application, however it is written, and nothing else."""
    (world.folder / "token").write_text("t" * 40)
    world.start_tee("--auth-token-file", world.folder / "token", "--auth-paths", "/metrics,/admin")
    with world.session() as session:
        assert session.ask("GET", "/v1/models").body == b"path /v1/models"
        for path in ("/metrics", "/metrics?x", "//metrics", "/a/../metrics", "/%6Detrics", "/admin/users"):
            assert session.ask("GET", path).status == 401, path
        assert session.ask("GET", "/metrics", "Authorization: Bearer " + "t" * 40).body == b"path /metrics"


def test_pages_may_ask(world):
    """Suffixes with any port; a preflight is answered here, and the answer itself tells of the page."""
    world.start_tee("--cors-origins", "https://app.example,*.example.org")
    ask = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
    with world.session() as session:
        for origin in ("https://app.example", "https://a.example.org:8443", "http://b.a.example.org"):
            for path in ("/v1", "/tdx_quote"):
                answer = session.ask("OPTIONS", path, f"Origin: {origin}", *ask)
                assert answer.status == 204 and answer.body == b"" and answer.headers["Vary"] == "Origin"
                assert answer.headers["Access-Control-Allow-Origin"] == origin
                assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
                assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"].split(",")
                assert answer.headers["Access-Control-Max-Age"] == "1728000"
            answer = session.ask("GET", "/x", f"Origin: {origin}")
            assert answer.headers["Access-Control-Allow-Origin"] == origin and answer.body == b"path /x"
            assert answer.headers["Access-Control-Expose-Headers"] == "Content-Length,Content-Range"
        for origin in ("https://example.org.evil", "https://evilexample.org", "https://app.example:1", "ftp://a.example.org", "null"):
            answer = session.ask("GET", "/x", f"Origin: {origin}")
            assert "Access-Control-Allow-Origin" not in answer.headers and answer.headers["Vary"] == "Origin"
        answer = session.ask("OPTIONS", "/tdx_quote")
        assert answer.status == 204 and answer.headers["Allow"] == "POST, OPTIONS"
    assert b"--cors-origins" in world.run("atlas-tee", "--check", "--cors-origins", "app.example", expect=2).stderr


def test_headers_of_this_hop_and_of_proxies(world):
    """What only a proxy may say is said by us; what Connection names goes no further."""
    world.start_tee()
    with world.session() as session:
        got = json.loads(session.ask("GET", "/headers", "X-TLS-EKM-Channel-Binding: forged", "x-tls-ekm-channel-binding: twice",
                                     "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: http", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6",
                                     "Connection: keep-alive, X-Hop", "X-Hop: here", "TE: trailers", "Keep-Alive: 5", "X-Kept: yes").body)
    assert {name.lower(): value for name, value in got} == {
        "host": "localhost", "x-kept": "yes", "x-forwarded-host": "localhost", "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1",
        "x-forwarded-proto": "https"}
