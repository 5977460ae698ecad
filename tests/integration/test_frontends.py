"""Reverse proxies in front, TLS servers behind: the places the bridge is put into."""

import hashlib
import os
import re
import ssl

import pytest

from harness import certs, peers
from harness.base import BROWSER, eventually, free_port, run
from harness.targets import echo, fin_after
from harness.tlsover import TlsThrough
from harness.wire import BINARY, Client, Stream, dial, frame, read_answer, request

NGINX_PROXY = """
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{bridge};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 60s;
      {more}
    }}
  }}
"""
HAPROXY_HTTP = """
frontend f
  mode http
  bind 127.0.0.1:{port}
  option forwardfor
  default_backend b
backend b
  mode http
  server s 127.0.0.1:{bridge}
"""


@pytest.fixture(params=["nginx", "haproxy"])
def front(request, bridge, stack, tmp_path):
    """front(target…) is a reverse proxy with the bridge behind it; .address is the proxy's, .bridge the bridge."""
    def start(*targets, **options):
        one = bridge(*targets, trusted_proxies="127.0.0.1", **options)
        port = free_port()
        if request.param == "nginx":
            proxy = peers.nginx(tmp_path, port, http=NGINX_PROXY.format(port=port, bridge=one.port, more=""))
        else:
            proxy = peers.haproxy(tmp_path, port, HAPROXY_HTTP.format(port=port, bridge=one.port))
        stack.enter_context(proxy)
        proxy.bridge = one
        return proxy
    return start


def answer_of(proxy, raw):
    """The answer alone: the connection to a reverse proxy stays open behind it."""
    with Stream(dial(proxy.address)) as stream:
        stream.send(raw)
        return read_answer(stream)


def test_a_tunnel_behind_a_reverse_proxy(front, target):
    """Upgrade, early frames, a bulk echo, Pings, Close: all of it through the proxy."""
    there = target(echo)
    proxy = front(there)
    data = os.urandom(2_000_000)
    with Client(proxy.address, there.query, early=frame(BINARY, b"early"), source="127.0.0.55") as client:
        assert client.data(5) == b"early"
        for at in range(0, len(data), 100_000):
            client.send_data(data[at:at + 100_000])
            assert client.data(100_000) == data[at:at + 100_000]
        client.send_frame(9, b"ping")
        client.expect(10, b"ping")
        client.send_close(1000, "bye")
        assert client.until_close()[1] == 1000
    event = proxy.bridge.closed(reason="client-closed")
    assert event["client"].startswith("127.0.0.55")
    assert event["peer"].startswith("127.0.0.1")


def test_refusals_come_through_a_reverse_proxy(front, target):
    """403 for programs, a coded Close for pages."""
    there = target(echo)
    proxy = front(there)
    answer = answer_of(proxy, request("/?target=evil.test:1"))
    assert answer.status == 403 and b"target not allowed" in answer.body
    with Client(proxy.address, "/?target=evil.test:1", origin="https://page.test") as client:
        client.expect_close(1008, "target-not-allowed")


def test_the_tail_comes_through_a_reverse_proxy(front, target):
    """Everything, then Close 1000."""
    data = os.urandom(3_000_000)
    there = target(fin_after(data))
    proxy = front(there)
    for _ in range(5):
        with Client(proxy.address, there.query) as client:
            got, code, reason = client.until_close()
            assert got == data and (code, reason) == (1000, "target-closed")


def test_the_health_of_the_bridge_is_seen_by_a_balancer(bridge, target, stack, tmp_path):
    """HAProxy takes the bridge out while /readyz says no, and sends nobody to it."""
    there = target(echo)
    one = bridge(there, drain_grace="5s", drain_timeout="5s")
    port = free_port()
    config = (f"frontend f\n  mode http\n  bind 127.0.0.1:{port}\n  default_backend b\n"
              f"backend b\n  mode http\n  option httpchk GET /readyz\n  default-server inter 100ms fall 1 rise 1\n"
              f"  server s 127.0.0.1:{one.port} check port {one.admin_port}\n")
    proxy = stack.enter_context(peers.haproxy(tmp_path, port, config))
    eventually(lambda: answer_of(proxy, request(there.query)).status == 101, "the bridge to be in", pause=0.1)
    one.signal(15)
    eventually(lambda: answer_of(proxy, request(there.query)).status == 503, "the bridge to be out", pause=0.1)
    assert one.wait_exit() == 0


# --- TLS end to end -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return certs.self_signed(tmp_path_factory.mktemp("certs"), "localhost")


@pytest.fixture
def web(stack, tmp_path, cert):
    """An HTTPS server, nginx, with a file of ten mebibytes."""
    port = free_port()
    content = os.urandom(10 << 20)
    (tmp_path / "www").mkdir(mode=0o755)
    (tmp_path / "www" / "big").write_bytes(content)
    server = (f"  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert.cert}; ssl_certificate_key {cert.key};"
              f" ssl_protocols TLSv1.3; root {tmp_path}/www; default_type application/octet-stream; }}\n")
    one = stack.enter_context(peers.nginx(tmp_path, port, http=server))
    one.content = content
    one.name = f"127.0.0.1:{port}"
    return one


@pytest.mark.parametrize("chunk", [None, 7, 1000])
def test_a_whole_tls13_session_with_openssl_behind(bridge, stack, cert, chunk):
    """Handshake, an HTTP request, the answer, close_notify: the bridge sees only records."""
    port = free_port()
    stack.enter_context(peers.openssl_server(cert, port, "-www", "-tls1_3"))
    one = bridge(f"127.0.0.1:{port}")
    with Client(one.address, f"/?target=127.0.0.1:{port}") as client:
        session = TlsThrough(client, cert.cert, chunk=chunk)
        assert session.tls.version() == "TLSv1.3"
        session.send(b"GET / HTTP/1.0\r\n\r\n")
        page = session.read_all()
        assert page.startswith(b"HTTP/1.0 200 ok") and b"TLSv1.3" in page
        assert b"HTTP/1.0" not in one.log.encode()


def test_a_download_over_tls_through_the_tunnel(bridge, web, cert, splice):
    """Ten mebibytes from nginx, by hash, over one tunnel; a second request over the same session."""
    one = bridge(web.name, splice=splice)
    with Client(one.address, "/?target=" + web.name) as client:
        session = TlsThrough(client, cert.cert)
        for last in (False, True):
            session.send(f"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: {'close' if last else 'keep-alive'}\r\n\r\n".encode())
            head, _, body = session.until(b"\r\n\r\n").partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            while len(body) < len(web.content):
                body += session.recv()
            assert hashlib.sha256(body).digest() == hashlib.sha256(web.content).digest()


def test_a_wrong_certificate_is_the_clients_business(bridge, web, tmp_path):
    """The bridge carries the handshake either way; who verifies is the client."""
    other = certs.self_signed(tmp_path, "localhost", file="other")
    one = bridge(web.name)
    with Client(one.address, "/?target=" + web.name) as client:
        with pytest.raises(ssl.SSLCertVerificationError):
            TlsThrough(client, other.cert)


def test_node_does_tls_through_the_tunnel(bridge, web, cert):
    """The same from Node: tls over ws."""
    node = peers.need("node")
    if not (BROWSER / "node_modules/ws").is_dir():
        pytest.skip("npm ci has not been run in tests/browser")
    one = bridge(web.name)
    done = run(node, BROWSER / "tls-through.mjs", one.url("?target=" + web.name), cert.cert, "/big", text=True)
    status, size, digest = done.stdout.split()
    assert status == "200" and int(size) == len(web.content)
    assert digest == hashlib.sha256(web.content).hexdigest()


def test_wss_to_us_and_tls_inside(bridge, web, cert):
    """TLS over WebSocket over TLS: both ends verified."""
    one = bridge(web.name, tls_cert=cert.pair)
    outer = ssl.create_default_context(cafile=str(cert.cert))
    with outer.wrap_socket(dial(one.address), server_hostname="localhost") as sock:
        client = Client(None, "/?target=" + web.name, sock=sock)
        session = TlsThrough(client, cert.cert)
        session.send(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = session.read_all().partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 200", head)
        assert hashlib.sha256(body).digest() == hashlib.sha256(web.content).digest()
