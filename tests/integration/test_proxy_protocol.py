"""The PROXY protocol: taken from those we trust, spoken to those who want it."""

import ipaddress
import socket
import struct

import pytest

from harness import peers
from harness.base import eventually, free_port
from harness.targets import sink
from harness.wire import BINARY, Client, Gone, Stream, dial, frame, read_answer, request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="198.51.100.7", target="203.0.113.1", sport=5000, dport=443, family=None):
    family = family or ("TCP6" if ":" in source else "TCP4")
    return f"PROXY {family} {source} {target} {sport} {dport}\r\n".encode()


def v2(source="198.51.100.7", target="203.0.113.1", sport=5000, dport=443, command=1, tlvs=b"", version=2, family=None, length=None):
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(target)
    body = a.packed + b.packed + struct.pack("!HH", sport, dport) + tlvs
    if family is None:
        family = 0x11 if a.version == 4 else 0x21
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack("!H", len(body) if length is None else length) + body


def parse(raw):
    """What a target receives: (source, source port, bytes behind the header)."""
    if raw.startswith(SIGNATURE):
        assert raw[12] == 0x21, raw[12]
        family, length = raw[13], struct.unpack("!H", raw[14:16])[0]
        body, rest = raw[16:16 + length], raw[16 + length:]
        size = {0x11: 4, 0x21: 16}[family]
        return str(ipaddress.ip_address(body[:size])), struct.unpack("!H", body[2 * size:2 * size + 2])[0], rest
    line, _, rest = raw.partition(b"\r\n")
    words = line.decode().split(" ")
    assert words[0] == "PROXY" and words[1] in ("TCP4", "TCP6") and len(words) == 6 and len(line) <= 105, line
    return words[2], int(words[4]), rest


@pytest.fixture
def there(target):
    return target(sink)


def logged(bridge):
    return bridge.closed()["client"]


def visit(bridge, there, header, split=False):
    """Opens and closes a tunnel behind that header; the logged client's address."""
    if split:
        stream = dial(bridge.address)
        for i in range(len(header)):
            stream.sendall(header[i:i + 1])
        client = Client(bridge.address, there.query, sock=stream)
    else:
        client = Client(bridge.address, there.query, before=header)
    with client:
        client.shut()
    return logged(bridge)


GOOD = {
    "v1": (v1(), "198.51.100.7"), "v1 ipv6": (v1("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"), "v1 unknown with more": (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n", "127.0.0.1"),
    "v2": (v2(), "198.51.100.7"), "v2 ipv6": (v2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v2 local": (v2(command=0), "127.0.0.1"), "v2 unspec": (SIGNATURE + b"\x21\x00\x00\x00", "127.0.0.1"),
    "v2 local, empty": (SIGNATURE + b"\x20\x00\x00\x00", "127.0.0.1"),
    "v2 with tlvs": (v2(tlvs=b"\x04\x00\x05noops" + b"\x01\x00\x08http/1.1"), "198.51.100.7"),
    "v2 of the largest size": (v2(tlvs=b"\x04" + struct.pack("!H", 505) + bytes(505)), "198.51.100.7"),
}


@pytest.mark.parametrize("header, expected", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("mode", ["require", "optional"])
def test_a_header_of_a_trusted_proxy_names_the_client(bridge, there, header, expected, split, mode):
    """Version 1 and 2, in one piece or byte by byte."""
    one = bridge(there, proxy_protocol=mode, trusted_proxies="127.0.0.1")
    assert expected in visit(one, there, header, split)


BAD = {
    "v1 without end": b"PROXY TCP4 " + b"1" * 200, "v1 of 108 bytes": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "v1 with lf": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
    "v1 bad address": v1("198.51.100.777", family="TCP4"), "v1 mixed": v1("198.51.100.7", "2001:db8::1", family="TCP4"),
    "v1 bad port": v1(sport=70000), "v1 signed port": v1(sport="+5"), "v1 leading zero": v1(sport="005"), "v1 tcp5": v1(family="TCP5"), "v1 two blanks": b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v1 short": b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "v1 long": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "v1 lower case": b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "v2 version 1": v2(version=1), "v2 command 2": v2(command=2), "v2 too short": SIGNATURE + b"\x21\x11\x00\x04\x01\x01\x01\x01",
    "v2 of 64 KiB": v2(length=65535) + bytes(65535 - 12), "v2 of 537 bytes": v2(tlvs=b"\x04" + struct.pack("!H", 506 + 16) + bytes(506 + 16)),
}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_a_malformed_header_ends_the_connection(bridge, there, header):
    """400 at most; no tunnel by a header that two readers could read in two ways."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.1")
    with Stream(dial(one.address)) as stream:
        try:
            stream.send(header + request(there.query))
            stream.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got, _ = stream.rest()
    assert not got or got.startswith(b"HTTP/1.1 400 "), got
    assert not there.peers


@pytest.mark.parametrize("header", [v1(), v2()], ids=["v1", "v2"])
@pytest.mark.parametrize("mode, trusted", [("optional", None), ("require", "127.0.0.9"), ("off", "127.0.0.1"), ("off", None)])
def test_a_header_of_anybody_else_is_a_bad_request(bridge, there, header, mode, trusted):
    """Not trusted, or not expected: 400, whatever it says."""
    one = bridge(there, proxy_protocol=mode, trusted_proxies=trusted)
    with Stream(dial(one.address)) as stream:
        stream.send(header + request(there.query))
        got, _ = stream.rest()
    assert not got or got.startswith(b"HTTP/1.1 400 ")
    assert not there.peers


def test_require_demands_it_and_optional_does_not(bridge, there):
    """A request without header: refused, or the peer is the client."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.1")
    with Stream(dial(one.address)) as stream:
        stream.send(request(there.query))
        got, _ = stream.rest()
    assert not got or got.startswith(b"HTTP/1.1 400 ")
    two = bridge(there, proxy_protocol="optional", trusted_proxies="127.0.0.1")
    assert "127.0.0.1" in visit(two, there, b"")


def test_a_header_that_stops_halfway_times_out_with_the_handshake(bridge, there):
    """It is part of the handshake's time."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.1", handshake_timeout="500ms")
    for header in (v1()[:15], v2()[:20], SIGNATURE[:7]):
        with Stream(dial(one.address)) as stream:
            stream.send(header)
            got, _ = stream.rest()
            assert not got or got.startswith(b"HTTP/1.1 408 ")
    eventually(lambda: one.tunnels() == 0, "no tunnels")


def test_limits_go_by_the_proxied_client(bridge, there):
    """The address of the header is what is counted."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.1", max_per_ip="1")
    with Client(one.address, there.query, before=v2("198.51.100.7")):
        with Stream(dial(one.address)) as stream:
            stream.send(v1("198.51.100.7") + request(there.query))
            assert read_answer(stream).status == 429
        with Client(one.address, there.query, before=v2("198.51.100.8")) as other:
            other.shut()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_target_is_told_who_the_client_is(bridge, there, version):
    """--send-proxy: the header is the first thing on the target's connection, then the client's bytes."""
    one = bridge(there, send_proxy=version)
    sock = dial(one.address, source="127.0.0.77")
    port = sock.getsockname()[1]
    with Client(one.address, there.query, sock=sock, early=frame(BINARY, b"hello")) as client:
        client.shut()
    peer = there.peer().wait()
    assert parse(bytes(peer.received)) == ("127.0.0.77", port, b"hello")


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("client", ["198.51.100.7", "2001:db8::7"])
def test_the_clients_address_goes_through(bridge, there, version, client):
    """PROXY in, PROXY out: the target sees whom our proxy saw."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.1", send_proxy=version)
    target = "2001:db8::1" if ":" in client else "203.0.113.1"
    with Client(one.address, there.query, before=v2(client, target, sport=4321)) as ws:
        ws.send_data(b"data")
        ws.shut()
    source, port, rest = parse(bytes(there.peer().wait().received))
    assert (ipaddress.ip_address(source), rest) == (ipaddress.ip_address(client), b"data")
    assert port == 4321


def test_forwarded_clients_are_told_to_the_target_too(bridge, there):
    """From X-Forwarded-For of a trusted proxy."""
    one = bridge(there, trusted_proxies="127.0.0.1", send_proxy="v1")
    with Client(one.address, there.query, headers=["X-Forwarded-For: 198.51.100.7"]) as client:
        client.shut()
    assert parse(bytes(there.peer().wait().received))[0] == "198.51.100.7"


def test_an_allowlist_entry_may_ask_for_the_header(bridge, target):
    """host:port;proxy=v2 for this target, nothing for the others."""
    told, untold = target(sink), target(sink)
    one = bridge(allow=[told.name + ";proxy=v2", untold.name])
    for there in (told, untold):
        with Client(one.address, there.query) as client:
            client.send_data(b"x")
            client.shut()
    assert parse(bytes(told.peer().wait().received))[2] == b"x"
    assert untold.peer().wait().received == b"x"


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_tells_us_the_client(bridge, there, stack, tmp_path, send):
    """HAProxy as the sender."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.1")
    port = free_port()
    front = stack.enter_context(peers.haproxy(tmp_path, port,
        f"frontend f\n  mode tcp\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  mode tcp\n  server s 127.0.0.1:{one.port} {send}\n"))
    with Client(front.address, there.query, source="127.0.0.66") as client:
        client.send_data(b"x")
        client.shut()
    events = one.closed(reason="client-closed")
    assert events["client"].startswith("127.0.0.66")


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_others_behind_us_accept_what_we_send(bridge, there, stack, tmp_path, version, kind):
    """HAProxy and nginx as receivers: they take the header off and tell it on in a v1 header of their own."""
    port = free_port()
    if kind == "haproxy":
        config = (f"frontend f\n  mode tcp\n  bind 127.0.0.1:{port} accept-proxy\n  default_backend b\n"
                  f"backend b\n  mode tcp\n  server s {there.name} send-proxy\n")
        behind = peers.haproxy(tmp_path, port, config)
    else:
        behind = peers.nginx(tmp_path, port, stream=f"server {{ listen 127.0.0.1:{port} proxy_protocol; proxy_pass {there.name}; proxy_protocol on;\n"
                             "set_real_ip_from 127.0.0.0/8; }")
    stack.enter_context(behind)
    one = bridge(f"127.0.0.1:{port}", send_proxy=version)
    with Client(one.address, f"/?target=127.0.0.1:{port}", source="127.0.0.88") as client:
        client.send_data(b"through two")
        try:
            client.shut()
        except Gone:
            pass
    # The probe that waited for the program may have reached the target before us.
    peer = eventually(lambda: next((p for p in there.peers if b"through two" in p.received), None), "the bytes at the target")
    source, _, rest = parse(bytes(peer.received))
    assert (source, rest) == ("127.0.0.88", b"through two")


@pytest.mark.parametrize("header", ["X-Forwarded-For: 203.0.113.66", "Forwarded: for=203.0.113.66"])
def test_a_proxied_client_cannot_name_itself(bridge, there, header):
    """The PROXY header's source is no trusted proxy: what its request says of addresses counts for nothing."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.0/8")
    with Client(one.address, there.query, before=v1(), headers=[header]) as client:
        client.shut()
    assert logged(one).startswith("198.51.100.7")


def test_a_proxy_behind_a_proxy_is_believed(bridge, there):
    """When the PROXY header's source is one of ours, its X-Forwarded-For names the client."""
    one = bridge(there, proxy_protocol="require", trusted_proxies="127.0.0.0/8,198.51.100.7")
    with Client(one.address, there.query, before=v1(), headers=["X-Forwarded-For: 203.0.113.66"]) as client:
        client.shut()
    assert logged(one).startswith("203.0.113.66")
