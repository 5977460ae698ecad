"""What operators see: logs, metrics, health, and no surprises in them."""

import json
import re

import pytest

from harness.base import eventually
from harness.bridge import http_get
from harness.targets import echo, fin_after, sink
from harness.wire import BINARY, PING, PONG, Client, Stream, ask, dial, frame, read_answer, request

NASTY = [
    'x"} {"event":"forged"}', "x\\nINFO forged line", "\x1b[31mred\x1b[0m", "caf\xe9", "\xff\xfe", "a" * 3000, "quote\"back\\slash", "{}[]:,",
    "%0aforged", "%0d%0aforged%20line", "%1b%5b2J", "%00", "\u202e".encode().decode("latin-1"), "%22%7d%7b", "</script>", "${jndi:ldap://x}",
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_a_client_says_can_forge_a_log_line(bridge, target, text):
    """Target, Origin, User-Agent, Host, subprotocol: one event stays one line, without control characters, valid JSON."""
    there = target(echo)
    one = bridge(there)
    fields = dict(origin=text, protocols=None, headers=[f"User-Agent: {text}", f"X-Forwarded-For: {text}", f"Cookie: {text}"])
    safe_path = "/?target=" + text.replace(" ", "%20")
    for path in (safe_path, there.query):
        with Stream(dial(one.address)) as stream:
            stream.send(request(path, **fields))
            stream.sock.shutdown(1)
            stream.rest()
    with Client(one.address, there.query) as client:
        client.shut()
    one.closed(reason="client-closed")
    for line in one.lines:
        assert json.loads(line)["event"] != "forged"
        assert len(line) <= 4096
        assert all(c.isprintable() for c in line), repr(line)


@pytest.mark.parametrize("text", NASTY)
def test_nothing_a_client_says_can_forge_a_text_line(bridge, target, text):
    """The same for --log text: every line begins with its time, and no control character is in it."""
    there = target(echo)
    one = bridge(there, log="text")
    with Stream(dial(one.address)) as stream:
        stream.send(request("/?target=" + text.replace(" ", "%20"), origin=text))
        stream.sock.shutdown(1)
        stream.rest()
    with Client(one.address, there.query) as client:
        client.shut()
    one.wait_line("client-closed")
    for line in one.lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", line), repr(line)
        assert all(c.isprintable() for c in line), repr(line)


def test_the_end_of_a_tunnel_tells_its_story(bridge, target):
    """One event with target, client, origin, reason, codes, bytes and duration."""
    there = target(fin_after(b"down" * 10, wait_for=3))
    one = bridge(there)
    with Client(one.address, there.query, origin="https://page.test", source="127.0.0.44") as client:
        client.send_data(b"up!")
        client.expect_close(1000, "target-closed")
    event = one.closed()
    assert event["target"] == there.name
    assert event["client"].startswith("127.0.0.44")
    assert event["origin"] == "https://page.test"
    assert event["reason"] == "target-closed" and event["by"] == "target"
    assert event["close_sent"] == 1000 and event["close_received"] == 1000
    assert event["bytes_up"] == 3 and event["bytes_down"] == 40
    assert 0 <= event["duration"] < 60
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", event["time"])


def test_payload_is_never_logged(bridge, target):
    """Not on debug, not in an error."""
    there = target(echo)
    one = bridge(there, log_level="debug")
    with Client(one.address, there.query, early=frame(BINARY, b"TOPSECRET-EARLY")) as client:
        client.send_data(b"TOPSECRET-DATA")
        client.data(15 + 14)
        client.send_frame(PING, b"TOPSECRET-PING")
        client.expect(PONG)
        client.send(frame(3, b"TOPSECRET-BAD"))
        client.expect_close(1002)
    one.closed()
    assert "TOPSECRET" not in one.log


def test_refusals_do_not_flood_the_log(bridge, target):
    """Thousands of them a second are some lines and a count."""
    one = bridge(target(echo))
    for _ in range(600):
        ask(one.address, request("/?target=evil.test:1"))
    assert one.log.count("evil.test:1") < 200
    eventually(lambda: one.metrics().total("atlas_proxy_rejected_total", reason="target-not-allowed") == 600, "all of them in the metrics")


def test_log_level_bounds_the_log(bridge, target):
    """--log-level error is silent about tunnels, debug tells of their beginning too."""
    there = target(echo)
    quiet, chatty = bridge(there, log_level="error", wait=False), bridge(there, log_level="debug")
    with Client(chatty.address, there.query) as client:
        client.send_data(b"x")
        client.data(1)
        eventually(lambda: there.name in "\n".join(chatty.lines[1:]), "a line at the start of the tunnel")
        client.shut()
    chatty.closed()
    eventually(lambda: _up(quiet), "the quiet one to be up")
    assert "tunnel.closed" not in quiet.log


def _up(bridge):
    try:
        return bridge.admin_get("/healthz")[0] == 200
    except OSError:
        return False


# --- metrics ------------------------------------------------------------------------------------


def test_the_metrics_page_is_well_formed(bridge, target):
    """HELP and TYPE for each family, proper labels, cumulative buckets, before and after traffic."""
    there = target(echo)
    one = bridge(there)
    assert one.metrics().faults == []
    with Client(one.address, there.query) as client:
        client.send_data(b"x" * 1000)
        client.data(1000)
        client.shut()
    ask(one.address, request("/?target=%22%5c%0a:1"))
    one.closed()
    page = one.metrics()
    assert page.faults == []
    for family in ("atlas_proxy_tunnels", "atlas_proxy_accepted_total", "atlas_proxy_rejected_total", "atlas_proxy_closed_total",
                   "atlas_proxy_bytes_total", "atlas_proxy_frames_total", "atlas_proxy_handshake_seconds", "atlas_proxy_connect_seconds",
                   "atlas_proxy_tunnel_seconds", "atlas_proxy_buffers_in_use", "atlas_proxy_pipes_in_use", "atlas_proxy_stalled",
                   "atlas_proxy_log_dropped_total", "atlas_proxy_reloads_total"):
        assert family in page.types, family
    assert any(name.startswith("atlas_proxy_build") for name in page.types)


def test_the_metrics_page_says_what_it_is(bridge, target):
    """Content-Type of the text format, HEAD without a body."""
    one = bridge(target(echo))
    status, headers, body = http_get(("127.0.0.1", one.admin_port), "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain") and body
    status, _, body = http_get(("127.0.0.1", one.admin_port), "/metrics", method="HEAD")
    assert status == 200 and not body


def test_the_counters_add_up(bridge, target):
    """Connections, tunnels, bytes and frames of a known exchange."""
    there = target(echo)
    one = bridge(there, ping_interval="0")
    for _ in range(10):
        with Client(one.address, there.query) as client:
            client.send_data(b"x" * 500)
            client.send_frame(PING, b"p")
            got, pongs = b"", 0
            while len(got) < 500 or not pongs:
                frame_ = client.frame()
                pongs += frame_.opcode == PONG
                got += frame_.payload if frame_.opcode == BINARY else b""
            client.shut()
    for _ in range(3):
        ask(one.address, request("/?target=a.test:1"))
    one.closed(count=10)
    one.wait_tunnels(0)
    page = one.metrics()
    assert page.total("atlas_proxy_closed_total") == 10
    assert page.total("atlas_proxy_accepted_total") == 13
    assert page.total("atlas_proxy_closed_total", code="1000", by="client") == 10
    assert page.total("atlas_proxy_rejected_total", reason="target-not-allowed") == 3
    assert page.total("atlas_proxy_bytes_total", dir="up") == 5000
    assert page.total("atlas_proxy_bytes_total", dir="down") == 5000
    assert page.total("atlas_proxy_frames_total", dir="up", op="ping") == 10
    assert page.total("atlas_proxy_frames_total", dir="down", op="pong") == 10
    assert page.total("atlas_proxy_frames_total", dir="up", op="close") == 10
    assert page.total("atlas_proxy_tunnel_seconds_count") == 10


def test_labels_are_bounded_whatever_clients_ask_for(bridge, target):
    """A hundred made-up targets and origins add no series."""
    one = bridge(target(echo))
    before = set(one.metrics().samples)
    for i in range(100):
        ask(one.address, request(f"/?target=t{i}.test:{i + 1}"))
        ask(one.address, request(f"/?target=t{i}.test:{i + 1}", headers=[f"User-Agent: u{i}"]))
    new = set(one.metrics().samples) - before
    assert len(new) < 40, new
    assert not any("test" in str(key) for key in new)


def test_gauges_follow_the_tunnels(bridge, target):
    """Open ones are counted while they are open."""
    there = target(sink)
    one = bridge(there)
    clients = [Client(one.address, there.query) for _ in range(7)]
    eventually(lambda: one.metrics().total("atlas_proxy_tunnels", state="open") == 7, "seven open tunnels")
    for client in clients:
        client.shut()
        client.close()
    one.wait_tunnels(0)


def test_the_admin_side_shows_the_tunnels(bridge, target):
    """/debug/tunnels is JSON with one entry a tunnel; the public port has none of it."""
    there = target(echo)
    one = bridge(there)
    with Client(one.address, there.query, origin="https://page.test") as client:
        client.send_data(b"12345")
        client.data(5)
        (entry,) = one.debug_tunnels()
        assert entry["target"] == there.name and entry["origin"] == "https://page.test"
        assert entry["bytes_up"] == entry["bytes_down"] == 5
        assert "12345" not in json.dumps(entry)
        client.shut()
    assert http_get(one.address, "/debug/tunnels")[0] != 200


def test_many_tunnels_fit_into_the_admin_page(bridge, target):
    """Five hundred entries are still one valid document."""
    there = target(sink)
    one = bridge(there)
    clients = [Client(one.address, there.query, origin='https://"\\.test') for _ in range(500)]
    assert len(one.debug_tunnels()) == 500
    for client in clients:
        client.close()


def test_the_admin_side_is_no_bridge(bridge, target):
    """An upgrade there is refused, unknown paths are 404, other methods are not accepted."""
    there = target(echo)
    one = bridge(there)
    admin = ("127.0.0.1", one.admin_port)
    with Stream(dial(admin)) as stream:
        stream.send(request(there.query))
        assert read_answer(stream).status in (400, 404, 426)
    assert http_get(admin, "/nothing")[0] == 404
    assert http_get(admin, "/metrics", method="POST", headers=["Content-Length: 0"])[0] in (400, 404, 405)
    assert not there.peers


def test_admin_off_opens_no_second_port(bridge, target):
    """--admin off."""
    there = target(echo)
    one = bridge(there, admin="off")
    with Client(one.address, there.query) as client:
        client.shut()
    from harness.procfs import descriptors
    assert descriptors(one.pid)
    assert _listening_ports(one.pid) == {one.port}


def _listening_ports(pid):
    import os
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue  # a tunnel's, closed since the names were read
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ports = set()
    for line in open(f"/proc/{pid}/net/tcp", encoding="ascii").read().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[9] in inodes:
            ports.add(int(words[1].split(":")[1], 16))
    return ports


def test_scraping_does_not_disturb(bridge, target):
    """A scraper that sends half a request, or reads nothing, blocks nobody."""
    there = target(echo)
    one = bridge(there)
    admin = ("127.0.0.1", one.admin_port)
    lame = [Stream(dial(admin)) for _ in range(50)]
    for i, stream in enumerate(lame):
        stream.send(b"GET /metrics HTTP/1.1\r\n" if i % 2 else b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.metrics().faults == []
    with Client(one.address, there.query) as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()
    for stream in lame:
        stream.close()
