"""wss: the bridge's own TLS."""

import re
import socket
import ssl
import struct

import pytest

from harness import certs
from harness.base import eventually, run
from harness.targets import echo, fin_after, sink
from harness.wire import BINARY, CLOSE, Client, Gone, Stream, close_payload, dial, frame, request


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def cert(folder):
    return certs.self_signed(folder, "localhost")


@pytest.fixture
def there(target):
    return target(echo)


@pytest.fixture
def secure(bridge, there, cert):
    def start(**options):
        one = bridge(there, tls_cert=options.pop("tls_cert", cert.pair), **options)
        one.there = there
        return one
    return start


def context(cert=None, client=None, least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_3):
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out.minimum_version, out.maximum_version = least, most
    if cert:
        out.load_verify_locations(str(cert.cert))
    else:
        out.check_hostname = False
        out.verify_mode = ssl.CERT_NONE
    if client:
        out.load_cert_chain(str(client.cert), str(client.key))
    return out


def tls_dial(bridge, how, name="localhost", **more):
    sock = dial(bridge.address)
    try:
        return how.wrap_socket(sock, server_hostname=name, **more)
    except BaseException:
        sock.close()
        raise


def open_tunnel(bridge, how, name="localhost"):
    return Client(None, bridge.there.query, sock=tls_dial(bridge, how, name))


def test_a_tunnel_over_tls13(secure, cert):
    """A verified certificate, TLS 1.3, an echo of every size, an orderly end."""
    one = secure()
    with open_tunnel(one, context(cert)) as client:
        assert client.sock.version() == "TLSv1.3"
        for size in (1, 100, 16384, 70_000, 1_000_000):
            data = bytes(range(256)) * (size // 256 + 1)
            client.send_data(data[:size])
            assert client.data(size) == data[:size]
        client.send_close(1000)
        assert client.until_close()[1] == 1000
    event = one.closed(reason="client-closed")
    assert "1.3" in event.get("tls", "")


@pytest.mark.parametrize("ktls", ["auto", "off"])
def test_bulk_over_tls_is_whole(bridge, target, cert, splice, ktls):
    """Thirty mebibytes down, and the Close behind them; whether the kernel encrypts or not."""
    data = bytes(range(251)) * (30 * 1024 * 1024 // 251)
    there = target(fin_after(data))
    one = bridge(there, tls_cert=cert.pair, splice=splice, ktls=ktls)
    one.there = there
    with open_tunnel(one, context(cert)) as client:
        got, code, reason = client.until_close()
        assert got == data and (code, reason) == (1000, "target-closed")
        client.send_close(1000)
    assert one.closed()["bytes_down"] == len(data)


def test_tls12_only_when_asked_for(secure):
    """By default only TLS 1.3; --tls12 adds 1.2, and nothing older."""
    old = context(most=ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        tls_dial(secure(), old)
    one = secure(tls12=True)
    with open_tunnel(one, old) as client:
        assert client.sock.version() == "TLSv1.2"
        client.send_data(b"x")
        assert client.data(1) == b"x"
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{one.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", check=False, input=b"")
    assert done.returncode != 0


def test_alpn_is_http11_alone(secure):
    """A client that offers h2 and http/1.1 gets http/1.1; one that offers only h2 gets no HTTP/2."""
    one = secure()
    how = context()
    how.set_alpn_protocols(["h2", "http/1.1"])
    with tls_dial(one, how) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    only = context()
    only.set_alpn_protocols(["h2"])
    try:
        with tls_dial(one, only) as sock:
            assert sock.selected_alpn_protocol() is None
    except (ssl.SSLError, ConnectionResetError):
        pass


def test_plain_http_on_the_tls_port_is_closed(secure, cert):
    """No tunnel in clear; the next client is served."""
    one = secure()
    with Stream(dial(one.address)) as stream:
        stream.send(request(one.there.query))
        got, _ = stream.rest()
        assert not got.startswith(b"HTTP/1.1 101")
    with open_tunnel(one, context(cert)) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"


def test_the_hello_may_come_in_a_hundred_pieces(secure, cert):
    """A record layer split at every byte is the same handshake."""
    one = secure()
    near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(cert).wrap_bio(near, far, server_hostname="localhost")
    with dial(one.address) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in far.read():
                    sock.sendall(bytes([byte]))
                near.write(sock.recv(65536))
        for byte in far.read():
            sock.sendall(bytes([byte]))
        tls.write(request(one.there.query))
        sock.sendall(far.read())
        got = b""
        while b"\r\n\r\n" not in got:
            near.write(sock.recv(65536))
            try:
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                pass
        assert got.startswith(b"HTTP/1.1 101 ")


def test_a_tls_handshake_that_stops_is_timed_out(secure):
    """Half a hello holds nothing."""
    one = secure(handshake_timeout="500ms")
    near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(near, far, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = far.read()
    for cut in (1, 5, 50, len(hello)):
        with Stream(dial(one.address)) as stream:
            stream.send(hello[:cut])
            stream.rest()
    eventually(lambda: one.tunnels() == 0, "no tunnels")


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x40\x01" + bytes(200), b"\x16\x03\x01\x00\x05hello", bytes(300), b"\x15\x03\x03\x00\x02\x02\x28", b"\x17\x03\x03\x00\x10" + bytes(16)])
def test_noise_instead_of_a_hello(secure, cert, noise):
    """Closed, counted, survived."""
    one = secure()
    with Stream(dial(one.address)) as stream:
        stream.send(noise)
        stream.sock.shutdown(socket.SHUT_WR)
        stream.rest()
    with open_tunnel(one, context(cert)) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"


def test_the_certificate_is_chosen_by_name(secure, folder):
    """SNI: each name its certificate; an unknown name or none gets the first."""
    a = certs.self_signed(folder, "a.test", ["DNS:a.test"])
    b = certs.self_signed(folder, "b.test", ["DNS:b.test", "DNS:*.c.test"])
    one = secure(tls_cert=f"{a.pair},{b.pair}")

    def served(name):
        how = context()
        with tls_dial(one, how, name) as sock:
            return sock.getpeercert(binary_form=True)
    der = {c: ssl.PEM_cert_to_DER_cert(c.cert.read_text()) for c in (a, b)}
    assert served("a.test") == der[a]
    assert served("b.test") == der[b]
    assert served("B.TEST") == der[b]
    assert served("x.c.test") == der[b]
    assert served("unknown.test") == der[a]
    assert served(None) == der[a]


def test_sighup_reads_the_certificate_again(secure, tmp_path):
    """New connections see the new one, tunnels that are open go on; a broken file keeps the old one."""
    first = certs.self_signed(tmp_path, "localhost", file="live")
    one = secure(tls_cert=first.pair)

    def served():
        with tls_dial(one, context()) as sock:
            return sock.getpeercert(binary_form=True)
    old = served()
    with open_tunnel(one, context()) as client:
        first.cert.write_text("broken")
        one.reload()
        assert served() == old
        certs.self_signed(tmp_path, "localhost", file="live")
        one.reload()
        assert served() != old
        client.send_data(b"still")
        assert client.data(5) == b"still"


def test_a_key_that_does_not_fit_stops_the_start(there, folder, cert):
    """Exit 2, with the file's name, before anything listens."""
    from harness.bridge import run_to_end
    other = certs.self_signed(folder, "other.test")
    done = run_to_end("--allowlist", there.name, "--tls-cert", f"{cert.cert}:{other.key}", "--listen", "127.0.0.1:0", "--admin", "off")
    assert done.returncode == 2 and str(other.key) in done.stderr


def test_client_certificates(secure, cert, tmp_path):
    """--tls-client-required: signed by our authority or no tunnel."""
    ca = certs.authority(tmp_path)
    good = certs.issued(tmp_path, ca, "alice")
    stranger = certs.self_signed(tmp_path, "mallory")
    one = secure(tls_client_ca=ca.cert, tls_client_required=True)
    with open_tunnel(one, context(cert, good)) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
    for how in (context(cert), context(cert, stranger)):
        with pytest.raises((ssl.SSLError, Gone, ConnectionResetError, BrokenPipeError)):
            with open_tunnel(one, how) as client:
                client.send_data(b"x")
                client.data(1)
    optional = secure(tls_client_ca=ca.cert)
    with open_tunnel(optional, context(cert)) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"


def test_sessions_are_resumed(secure, cert):
    """Tickets work, on whichever worker the second connection lands."""
    one = secure(workers=2)
    how = context(cert)
    session = None
    resumed = 0
    for _ in range(12):
        with dial(one.address) as raw, how.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
            resumed += sock.session_reused
            stream = Client(None, one.there.query, sock=sock)
            stream.send_data(b"x")
            assert stream.data(1) == b"x"  # tickets come with the first data
            session = sock.session
    assert resumed >= 10


def test_renegotiation_is_refused(secure):
    """On TLS 1.2 a client that asks for it gets nowhere."""
    one = secure(tls12=True)
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{one.port}", "-tls1_2", input=b"R\n", check=False)
    assert b"no renegotiation" in done.stderr or b"renegotiation" in done.stderr.lower() or done.returncode != 0


def test_early_data_is_not_offered(secure):
    """No ticket allows 0-RTT: a replayed upgrade is no upgrade."""
    one = secure()
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{one.port}", "-tls1_3", "-ign_eof", check=False,
               input=b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"Max Early Data: 0" in done.stdout or b"Max Early Data" not in done.stdout
    assert b"HTTP/1.1 200" in done.stdout


def test_the_end_of_tls_is_orderly(secure, cert):
    """After the Close frames comes close_notify, not a truncation."""
    one = secure()
    sock = tls_dial(one, context(cert), suppress_ragged_eofs=False)
    with Client(None, one.there.query, sock=sock) as client:
        client.send_close(1000)
        assert client.until_close()[1] == 1000
        try:
            assert sock.recv(1) == b""
        except ssl.SSLEOFError:
            pytest.fail("the connection ended without close_notify")


def test_a_tls_client_that_resets_is_a_client_that_resets(bridge, target, cert):
    """RST to the target, and no complaint."""
    there = target(sink)
    one = bridge(there, tls_cert=cert.pair)
    one.there = there
    client = open_tunnel(one, context(cert))
    client.send_data(b"hello")
    eventually(lambda: there.peer().count == 5, "the bytes")
    raw = client.sock.detach()
    sock = socket.socket(fileno=raw)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert there.peer().wait().end == "rst"
    one.closed(reason="client-abort")


def test_a_tls_end_without_close_is_an_abort(bridge, target, cert):
    """close_notify alone is the client's FIN: the target sees FIN, the log client-abort."""
    there = target(sink)
    one = bridge(there, tls_cert=cert.pair)
    one.there = there
    with open_tunnel(one, context(cert)) as client:
        client.send(frame(BINARY, b"hello"))
        try:
            client.sock.unwrap().close()
        except (ssl.SSLError, OSError):
            pass
    peer = there.peer().wait()
    assert peer.received == b"hello" and peer.end == "fin"
    one.closed(reason="client-abort")


def test_many_tls_tunnels_at_once(secure, cert):
    """Two hundred, all with data, then all closed."""
    one = secure()
    how = context(cert)
    clients = [open_tunnel(one, how) for _ in range(200)]
    for i, client in enumerate(clients):
        client.send_data(b"%04d" % i * 1000)
    for i, client in enumerate(clients):
        assert client.data(4000) == b"%04d" % i * 1000
    for client in clients:
        client.send(frame(CLOSE, close_payload(1000)))
        assert client.until_close()[1] == 1000
        client.close()
    one.wait_tunnels(0)


def test_a_client_that_reads_late_over_tls(bridge, target, cert):
    """Backpressure and the tail, encrypted."""
    data = bytes(range(255)) * 60_000
    there = target(fin_after(data))
    one = bridge(there, tls_cert=cert.pair)
    raw = dial(one.address, receive_buffer=1 << 14)
    sock = context(cert).wrap_socket(raw, server_hostname="localhost")
    with Client(None, there.query, sock=sock) as client:
        there.peer().done.wait(0.3)  # gone, or stopped by full buffers
        got, code, _ = client.until_close()
        assert got == data and code == 1000


def test_the_listening_line_is_the_same_with_tls(secure):
    """Scripts wait for 'listening on ADDR', with the address right behind it."""
    one = secure()
    assert re.search(r"listening on 127\.0\.0\.1:\d+", one.log), one.log
