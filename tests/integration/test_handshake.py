"""The opening handshake, and everything that is none."""

import os
import signal
import socket

import pytest

from harness.base import PATIENCE, eventually
from harness.bridge import http_get
from harness.targets import echo
from harness.wire import (BINARY, SAMPLE_ACCEPT, SAMPLE_KEY, Client, Stream, ask, dial, frame, mask, read_answer,
                          request)


@pytest.fixture
def one(bridge, target):
    there = target(echo)
    running = bridge(there, target=there.name)
    running.there = there
    return running


def status_of(bridge, raw):
    return ask(bridge.address, raw).status


def test_the_sample_key_of_the_rfc_gives_its_sample_accept(one):
    """dGhlIHNhbXBsZSBub25jZQ== is answered with s3pPLMBiTxaQ9kYGzzhZRbK+xOo=."""
    with Stream(dial(one.address)) as stream:
        stream.send(request(key=SAMPLE_KEY))
        answer = read_answer(stream)
    assert answer.status == 101 and answer.reason == "Switching Protocols"
    assert answer.headers["sec-websocket-accept"] == SAMPLE_ACCEPT
    assert "sec-websocket-protocol" not in answer.headers
    assert "content-length" not in answer.headers


GOOD = {
    "upper case": dict(upgrade="WebSocket", connection="UPGRADE"),
    "a list": dict(connection="keep-alive, Upgrade"),
    "two connection lines": dict(connection="keep-alive", headers=["Connection: upgrade"]),
    "upgrade list": dict(upgrade="foo/1, websocket"),
    "no blanks": dict(connection="keep-alive,upgrade"),
    "many blanks": dict(connection="  keep-alive ,   upgrade\t "),
    "odd header order": dict(headers=["Cookie: a=b; c=d", "User-Agent: x", "Accept: */*"]),
    "an extension is offered": dict(headers=["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]),
    "an empty header": dict(headers=["X-Empty:"]),
    "content length zero": dict(headers=["Content-Length: 0"]),
    "latin-1 in a header": dict(headers=["X-Name: caf\xe9"]),
    "a big cookie": dict(headers=["Cookie: " + "c" * 6000]),
    "ninety headers": dict(headers=[f"X-{i}: {i}" for i in range(90)]),
    "host with port": dict(host="bridge.test:9000"),
    "ipv6 host": dict(host="[::1]:9000"),
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_a_good_handshake_in_any_spelling_is_accepted(one, fields):
    """What RFC 6455 and HTTP permit is permitted, and the echo works behind it."""
    with Client(one.address, **fields) as client:
        client.send_data(b"hello")
        assert client.data(5) == b"hello"
        client.shut()


BAD = {
    "no host": (dict(host=None), 400),
    "two hosts": (dict(headers=["Host: other"]), 400),
    "two equal hosts": (dict(headers=["Host: 127.0.0.1"]), 400),
    "no key": (dict(key=None), 400),
    "two keys": (dict(headers=["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]), 400),
    "empty key": (dict(key=""), 400),
    "key of 15 bytes": (dict(key="AAAAAAAAAAAAAAAAAAAA"), 400),
    "key of 17 bytes": (dict(key="AAAAAAAAAAAAAAAAAAAAAAA="), 400),
    "key that is not base64": (dict(key="!!!!!!!!!!!!!!!!!!!!!!=="), 400),
    "key without padding": (dict(key="AAAAAAAAAAAAAAAAAAAAAA"), 400),
    "key with a blank": (dict(key="AAAAAAAAAAA AAAAAAAAAA=="), 400),
    "two versions": (dict(headers=["Sec-WebSocket-Version: 13"]), 400),
    "upgrade to h2c only": (dict(upgrade="h2c"), (400, 426)),
    "connection without upgrade": (dict(connection="keep-alive"), 400),
    "connection upgraded": (dict(connection="upgraded"), 400),
    "no connection": (dict(connection=None), 400),
    "post": (dict(method="POST"), 400),
    "head": (dict(method="HEAD"), 400),
    "lower-case get": (dict(method="get"), 400),
    "connect": (dict(path="a.test:443", method="CONNECT"), 400),
    "content length": (dict(headers=["Content-Length: 5"]), 400),
    "content length twice": (dict(headers=["Content-Length: 0", "Content-Length: 5"]), 400),
    "content length nonsense": (dict(headers=["Content-Length: 0x0"]), 400),
    "transfer encoding": (dict(headers=["Transfer-Encoding: chunked"]), 400),
    "transfer encoding identity": (dict(headers=["Transfer-Encoding: identity"]), 400),
    "both": (dict(headers=["Content-Length: 0", "Transfer-Encoding: chunked"]), 400),
    "obsolete folding": (dict(headers=["X-A: b\r\n c"]), 400),
    "folding with tab": (dict(headers=["X-A: b\r\n\tc"]), 400),
    "bare lf": (dict(headers=["X-A: b\nX-B: c"]), 400),
    "bare cr": (dict(headers=["X-A: b\rX-B: c"]), 400),
    "nul": (dict(headers=["X-A: b\0c"]), 400),
    "control character": (dict(headers=["X-A: b\x07c"]), 400),
    "delete character": (dict(headers=["X-A: b\x7fc"]), 400),
    "blank before colon": (dict(headers=["X-A : b"]), 400),
    "blank before the name": (dict(headers=[" X-A: b"]), 400),
    "no colon": (dict(headers=["X-A"]), 400),
    "empty name": (dict(headers=[": b"]), 400),
    "name with brackets": (dict(headers=["X(A): b"]), 400),
    "name above ascii": (dict(headers=["X\xe9: b"]), 400),
    "version 12": (dict(version="12"), 426),
    "version 8": (dict(version="8"), 426),
    "no version": (dict(version=None), 426),
    "version list": (dict(version="13, 8"), (400, 426)),
    "http 1.0": (dict(http="HTTP/1.0"), (400, 505)),
    "http 2": (dict(http="HTTP/2.0"), 505),
    "http 1.2": (dict(http="HTTP/1.2"), (400, 505)),
    "http 11": (dict(http="HTTP/11"), (400, 505)),
    "no http": (dict(http="FTP/1.1"), (400, 505)),
    "lower-case http": (dict(http="http/1.1"), (400, 505)),
    "huge request line": (dict(path="/" + "x" * 9000), 414),
    "huge header line": (dict(headers=["X-A: " + "b" * 9000]), 431),
    "many headers": (dict(headers=[f"X-{i}: {i}" for i in range(120)]), 431),
    "a huge head": (dict(headers=[f"X-{i}: " + "b" * 4000 for i in range(6)]), 431),
}


@pytest.mark.parametrize("fields, status", BAD.values(), ids=BAD)
def test_a_bad_handshake_is_answered_with_its_status(one, fields, status):
    """Each defect has its status; no defect opens a tunnel; the answer is whole, plain and closes."""
    answer = ask(one.address, request(**fields))
    assert answer.status in ((status,) if isinstance(status, int) else status), answer
    if answer.status == 426:
        assert answer.headers["sec-websocket-version"] == "13" or answer.headers["upgrade"] == "websocket"
    assert answer.headers["connection"].lower() == "close"
    assert "content-length" in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not one.there.peers


def test_no_upgrade_is_a_plain_request(one):
    """GET / is told to upgrade; /healthz is answered; neither opens a tunnel."""
    status, headers, body = http_get(one.address)
    assert status == 426 and headers["Upgrade"].lower() == "websocket" and body
    assert http_get(one.address, "/nothing/here")[0] == 426
    assert http_get(one.address, "/healthz")[0] == 200
    status, _, body = http_get(one.address, "/healthz", method="HEAD")
    assert status == 200 and body == b""
    assert http_get(one.address, "/metrics")[0] in (404, 426)
    assert http_get(one.address, "/debug/tunnels")[0] in (404, 426)
    assert not one.there.peers


def test_a_plain_post_is_refused(one):
    """A POST that asks for no upgrade is no reason to read its body."""
    assert http_get(one.address, method="POST", headers=["Content-Length: 5"])[0] in (400, 405, 426)


def test_every_split_of_a_handshake_is_the_same_handshake(one):
    """The request arrives in two pieces, cut anywhere, and then byte by byte."""
    raw = request(headers=["X-A: b"])
    for cut in range(1, len(raw)):
        with Stream(dial(one.address)) as stream:
            stream.send(raw[:cut])
            stream.send(raw[cut:])
            assert read_answer(stream).status == 101
    with Stream(dial(one.address)) as stream:
        for i in range(len(raw)):
            stream.send(raw[i:i + 1])
        assert read_answer(stream).status == 101


def test_one_empty_line_before_the_request_is_forgiven_and_two_are_not(one):
    """RFC 9112, 2.2, and no further."""
    assert status_of(one, b"\r\n" + request()) == 101
    assert status_of(one, b"\r\n\r\n" + request()) == 400


def test_frames_right_behind_the_request_are_not_lost(one):
    """A client that does not wait for 101 loses nothing, whatever the size."""
    for size in (1, 125, 126, 5000, 70000, 300000):
        payload = os.urandom(size)
        with Client(one.address, early=frame(BINARY, payload)) as client:
            assert client.data(size) == payload
            client.shut()


def test_plain_http_behind_an_accepted_upgrade_is_a_protocol_error(one):
    """After 101 only frames count: a second request is garbage."""
    with Client(one.address, early=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        client.expect_close(1002, "protocol-error")


GARBAGE = {
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "tls hello": bytes.fromhex("16030100c8010000c40303") + bytes(190),
    "tls hello, first bytes": bytes.fromhex("160301"),
    "sslv2 hello": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0"),
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_another_protocol_on_the_port_is_closed_cheaply(one, raw):
    """HTTP/2 and TLS get no HTTP answer that they could not read; the connection ends."""
    with Stream(dial(one.address)) as stream:
        stream.send(raw)
        got, _ = stream.rest()
        assert not got or got.startswith(b"HTTP/1.1 400"), got
    if raw[:1] in b"P\x16":
        assert not got
    assert http_get(one.address, "/healthz")[0] == 200


@pytest.mark.parametrize("raw", [b"\x04\x01\x00\x50\x7f\x00\x00\x01\0", b"\x05\x01\x00", b"EHLO there\r\n", b"\0" * 64, b"\xff" * 64, b"\r\n" * 40,
                                 b" GET / HTTP/1.1\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\n\n\n\n", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\n\n"])
def test_noise_is_closed_with_at_most_a_400(one, raw):
    """Scanners, SOCKS, SSH, zeros: an answer of at most one line of complaint, and the end."""
    with Stream(dial(one.address)) as stream:
        stream.send(raw)
        stream.sock.shutdown(socket.SHUT_WR)
        got, _ = stream.rest()
    assert not got or got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 ", b"HTTP/1.1 408 ")), got


def test_random_bytes_never_open_a_tunnel_nor_end_the_bridge(one):
    """Two hundred different strings of noise, each the start of something else."""
    import random
    dice = random.Random(7)
    good = request()
    for _ in range(200):
        raw = bytearray(good[:dice.randrange(len(good))]) + dice.randbytes(dice.randrange(1, 60))
        raw += b"\r\n\r\n"
        with Stream(dial(one.address)) as stream:
            stream.send(bytes(raw))
            stream.sock.shutdown(socket.SHUT_WR)
            got, _ = stream.rest()
            assert not got or got.startswith(b"HTTP/1.1 4") or got.startswith(b"HTTP/1.1 5"), (raw, got)
    assert http_get(one.address, "/healthz")[0] == 200


def test_a_head_without_end_is_cut_off_at_its_limit(one):
    """A sender of headers for ever gets 431 after some 16 KiB, not after a megabyte."""
    sent = 0
    with Stream(dial(one.address)) as stream:
        stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        try:
            while sent < 1 << 20:
                stream.send(b"X-Header-Name: some value or other\r\n" * 10)
                sent += 360
                stream.sock.setblocking(False)
                try:
                    stream.buffer += stream.sock.recv(65536)
                except BlockingIOError:
                    pass
                stream.sock.settimeout(PATIENCE)
                if stream.buffer:
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 1 << 20
        assert stream.buffer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("offer, choice", [
    (None, None), ("binary", "binary"), ("binary, base64", "binary"), ("chat", "chat"), ("a,b,c", "a"), ("  x ,y", "x"),
])
def test_the_first_offered_subprotocol_is_selected(one, offer, choice):
    """A browser fails the connection when it offered some and none is selected; never one that was not offered."""
    with Client(one.address, protocols=offer) as client:
        assert client.answer.headers.get("sec-websocket-protocol") == choice
        client.shut()


@pytest.mark.parametrize("offer, choice", [("binary", "binary"), ("x, binary", "binary"), ("v2, binary", "v2"), ("x", 400), ("Binary", 400), (None, None)])
def test_subprotocols_can_be_restricted(bridge, target, offer, choice):
    """--subprotocols: the first offered one of the list, else 400; offering none is fine."""
    there = target(echo)
    one = bridge(there, subprotocols="v2,binary")
    if choice == 400:
        assert ask(one.address, request(there.query, protocols=offer)).status == 400
        return
    with Client(one.address, there.query, protocols=offer) as client:
        assert client.answer.headers.get("sec-websocket-protocol") == choice


@pytest.mark.parametrize("offer", ["", ",", "a b", "a,,b", "a, a", "x\"y", "b\xe9"])
def test_an_odd_offer_of_subprotocols_is_a_bad_request_or_a_token_of_it(one, offer):
    """Whatever comes back is a token that was offered."""
    with Stream(dial(one.address)) as stream:
        stream.send(request(protocols=offer))
        answer = read_answer(stream)
    assert answer.status in (101, 400)
    chosen = answer.headers.get("sec-websocket-protocol")
    assert chosen is None or chosen in [t.strip() for t in offer.split(",")]


def test_extensions_are_declined_and_compressed_frames_refused(one):
    """permessage-deflate is offered by every browser; the answer has none, and a frame with RSV1 is an error."""
    with Client(one.address, headers=["Sec-WebSocket-Extensions: permessage-deflate"]) as client:
        assert "sec-websocket-extensions" not in client.answer.headers
        client.send_frame(BINARY, b"x", rsv=4)
        client.expect_close(1002, "protocol-error")


def test_101_comes_before_the_target_is_connected(bridge):
    """The client's first bytes may travel while the target is dialled, and arrive when it answers."""
    from harness.targets import full_backlog
    listener, fillers = full_backlog()
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    one = bridge(name, connect_timeout="20s")
    with Client(one.address, "/?target=" + name) as client:
        client.send_data(b"early")
        # The queue has room again: the connection that hangs is retried by the kernel.
        listener.settimeout(PATIENCE)
        for filler in fillers:
            filler.close()
        got = b""
        while not got:
            accepted, _ = listener.accept()
            accepted.settimeout(PATIENCE)
            got = accepted.recv(100)
        assert got == b"early"
        accepted.close()
    listener.close()


def test_connect_first_answers_after_the_target(bridge, target):
    """--connect-first: 101 only when the target is there, else 502 or 504."""
    from harness.targets import full_backlog, refused_port
    there = target(echo)
    holder, port = refused_port()
    listener, fillers = full_backlog()
    slow = f"127.0.0.1:{listener.getsockname()[1]}"
    one = bridge(there.name, f"127.0.0.1:{port}", slow, connect_first=True, connect_timeout="500ms")
    with Client(one.address, there.query) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()
    assert ask(one.address, request(f"/?target=127.0.0.1:{port}")).status == 502
    assert ask(one.address, request("/?target=" + slow)).status == 504
    holder.close()
    listener.close()
    for filler in fillers:
        filler.close()


def test_a_client_that_leaves_in_the_middle_of_the_handshake_leaves_nothing(one):
    """FIN or RST after any part of the request: no tunnel, no descriptor, no complaint."""
    raw = request()
    for cut in (0, 1, 10, len(raw) - 1):
        for how in ("fin", "rst"):
            stream = Stream(dial(one.address))
            if cut:
                stream.send(raw[:cut])
            if how == "rst":
                stream.reset()
            else:
                stream.close()
    eventually(lambda: one.tunnels() == 0, "no tunnels")
    assert not one.there.peers


def test_masks_of_the_harness_are_right():
    """The masking of these tests equals its definition."""
    key, data = os.urandom(4), os.urandom(1003)
    assert mask(data, key) == bytes(b ^ key[i % 4] for i, b in enumerate(data))
    assert mask(mask(data, key), key) == data


def test_a_request_that_comes_during_the_drain_is_refused(one):
    """A head that began before SIGTERM and ends after it gets 503 with Retry-After."""
    raw = request()
    with Stream(dial(one.address)) as stream, Client(one.address) as keeps_it_alive:
        keeps_it_alive.send_data(b"x")
        assert keeps_it_alive.data(1) == b"x"
        stream.send(raw[:20])
        eventually(lambda: one.tunnels() == 2, "the half request is there")
        one.signal(signal.SIGTERM)
        one.wait_line("drain")
        stream.send(raw[20:])
        answer = read_answer(stream)
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 0
        keeps_it_alive.expect_close(1001, "draining")
    assert one.wait_exit() == 0
    with pytest.raises(ConnectionRefusedError):
        dial(one.address)
