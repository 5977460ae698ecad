"""How a refusal looks to those who are refused, and that nothing else happens."""

import json
import re
import subprocess

import pytest

from harness.base import PATIENCE, run
from harness.peers import need
from harness.targets import echo, refused_port, talker
from harness.wire import Client, Stream, ask, dial, read_answer, request

PAGE = "https://page.test"
CURL_UPGRADE = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


@pytest.fixture
def there(target):
    return target(echo)


def test_curl_is_told_403_in_json(bridge, there):
    """A client without an Origin gets a plain status and a body that a program can read."""
    need("curl")
    one = bridge(there)
    done = run("curl", "-sS", "-i", "--http1.1", "--max-time", "20", *CURL_UPGRADE, f"http://127.0.0.1:{one.port}/?target=10.0.0.1:22", text=True)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 403 ")
    assert re.search(r"^content-type: application/json", head, re.I | re.M)
    assert body.strip() == '{"error":"target not allowed"}'
    assert "10.0.0.1" not in done.stdout


def test_a_page_is_told_by_a_close_frame(bridge, there):
    """A browser cannot see a status: it gets 101, then Close 1008 with the reason."""
    one = bridge(there)
    with Client(one.address, "/?target=10.0.0.1:22", origin=PAGE) as client:
        assert client.expect_close(1008, "target-not-allowed") == b""
    with Client(one.address, "/", origin=PAGE) as client:
        client.expect_close(1008, "no-target")
    with Client(one.address, "/?target=", origin=PAGE) as client:
        client.expect_close(1008, "target-not-allowed")


@pytest.mark.parametrize("mode, origin, by_close", [
    ("auto", None, False), ("auto", PAGE, True), ("http", None, False), ("http", PAGE, False), ("close", None, True), ("close", PAGE, True),
])
def test_the_way_of_refusing_can_be_chosen(bridge, there, mode, origin, by_close):
    """--reject auto looks for an Origin; http and close do not."""
    one = bridge(there, reject=mode)
    if by_close:
        with Client(one.address, "/?target=a.test:1", origin=origin) as client:
            client.expect_close(1008, "target-not-allowed")
    else:
        assert ask(one.address, request("/?target=a.test:1", origin=origin)).status == 403


def test_data_sent_into_a_refused_tunnel_goes_nowhere(bridge, there):
    """A page that fires its first message at once still sees the Close, not a reset."""
    one = bridge(there)
    for size in (1, 100, 100_000):
        with Client(one.address, "/?target=a.test:1", origin=PAGE) as client:
            client.send_data(b"x" * size)
            client.expect_close(1008, "target-not-allowed")


def test_refusals_carry_the_headers_that_keep_them_harmless(bridge, there):
    """No caching, no sniffing, a length, and the end of the connection."""
    answer = ask(bridge(there).address, request("/?target=%3Cscript%3E"))
    assert answer.status == 403
    assert answer.headers["connection"].lower() == "close"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body) == {"error": "target not allowed"}
    assert b"script" not in answer.body


def test_a_refused_target_is_neither_resolved_nor_connected(bridge, target, dns):
    """The name server is asked for the listed names only, and nobody connects to the refused address."""
    listed, bystander = target(echo), target(talker(b"no"))
    names = dns({})
    one = bridge(allow=[listed.name, "listed.test:443"], dns_servers=names.server)
    for origin in (None, PAGE):
        for wanted in ("evil.test:443", bystander.name, f"localhost:{bystander.port}", "listed.test:444", "listed.test.:4430",
                       "sub.listed.test:443", "169.254.169.254:80", "listed.test:443@evil.test:443"):
            with Stream(dial(one.address)) as stream:
                stream.send(request("/?target=" + wanted, origin=origin))
                assert read_answer(stream).status == (101 if origin else 403)
    with Client(one.address, listed.query) as client:
        client.shut()
    one.closed(target=listed.name)
    assert {q.name for q in names.asked()} <= {"listed.test"}
    assert not bystander.peers


def test_no_system_call_leaves_towards_a_refused_target(bridge, there, tmp_path):
    """strace sees no connect and no datagram while refusals are handed out, and sees the one that is allowed."""
    strace = need("strace")
    one = bridge(there, seccomp="off")
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([strace, "-f", "-p", str(one.pid), "-o", str(trace), "-e", "trace=connect,sendto,sendmsg,sendmmsg,socket"],
                              stderr=subprocess.PIPE)
    try:
        line = tracer.stderr.readline()
        if b"attached" not in line:
            pytest.skip("strace may not attach here")
        for wanted in ("evil.test:443", "127.0.0.1:1", "[::1]:22", "localhost:22", "8.8.8.8:53"):
            assert ask(one.address, request("/?target=" + wanted)).status == 403
            with Client(one.address, "/?target=" + wanted, origin=PAGE) as client:
                client.expect_close(1008, "target-not-allowed")
        refused = _calls(trace)
        assert not [c for c in refused if "connect(" in c or "socket(AF_INET" in c or "sin_port" in c], refused
        with Client(one.address, there.query) as client:
            client.shut()
        one.closed(target=there.name)
    finally:
        tracer.terminate()
        tracer.wait(PATIENCE)
        tracer.stderr.close()
    assert any("connect(" in c and f"htons({there.port})" in c for c in _calls(trace))


def _calls(path):
    return [line for line in path.read_text().splitlines() if "AF_UNIX" not in line]


def test_an_origin_that_is_not_listed_learns_nothing(bridge, there):
    """403 whether the target is listed or not, and in any mode of refusing."""
    for mode in ("auto", "close"):
        one = bridge(there, origins="https://app.test", reject=mode)
        answers = {
            (a.status, a.body)
            for a in (ask(one.address, request(path, origin="https://evil.test")) for path in (there.query, "/?target=a.test:1", "/"))
        }
        assert len(answers) == 1 and answers.pop()[0] == 403


def test_connect_failures_have_their_reasons(bridge):
    """Nobody listens: 101, then Close 1014 connect-refused; no route: network-unreachable."""
    holder, port = refused_port()
    one = bridge(f"127.0.0.1:{port}")
    for origin in (None, PAGE):
        with Client(one.address, f"/?target=127.0.0.1:{port}", origin=origin) as client:
            client.expect_close(1014, "connect-refused")
    event = one.closed(reason="connect-refused")
    assert event["close_sent"] == 1014
    holder.close()


def test_no_route_is_told_as_such(bridge, netns):
    """In a network without routes every far address is unreachable."""
    with netns():
        one = bridge(allow=["192.0.2.1:443", "[2001:db8::1]:443"])
        for wanted in ("192.0.2.1:443", "[2001:db8::1]:443"):
            with Client(one.address, "/?target=" + wanted) as client:
                client.expect_close(1014, "network-unreachable")


def test_refusals_are_counted_and_logged_with_their_reason(bridge, there):
    """The metric's label and the log tell which check said no; the target stands in the log, escaped."""
    one = bridge(there)
    ask(one.address, request("/?target=evil.test:6666"))
    ask(one.address, request("/"))
    ask(one.address, request("/", key=""))
    page = one.metrics()
    for reason in ("target-not-allowed", "no-target", "bad-request"):
        assert page.total("atlas_proxy_rejected_total", reason=reason) == 1, reason
    one.wait_line("evil.test:6666")


def test_the_tunnel_of_the_bridge_to_itself_is_denied(bridge):
    """A listed target that is the bridge's own listener would eat all descriptors: address-denied."""
    from harness.base import free_port
    port = free_port()
    one = bridge(allow=[f"127.0.0.1:{port}", f"localhost:{port}"], listen=f"127.0.0.1:{port}")
    with Client(one.address, f"/?target=127.0.0.1:{port}") as client:
        client.expect_close(1014, "address-denied")
    with Client(one.address, f"/?target=localhost:{port}") as client:
        _, code, reason = client.until_close()
        # On [::1] nobody listens, and that may be what is told.
        assert (code, reason) in ((1014, "address-denied"), (1014, "connect-refused"))


def test_the_bridge_that_listens_everywhere_knows_itself_too(bridge):
    """0.0.0.0 covers every local address."""
    from harness.base import free_port
    port = free_port()
    one = bridge(allow=[f"127.0.0.1:{port}", f"127.0.0.9:{port}"], listen=f"0.0.0.0:{port}")
    for host in ("127.0.0.1", "127.0.0.9"):
        with Client(("127.0.0.1", port), f"/?target={host}:{port}") as client:
            client.expect_close(1014, "address-denied")
    assert one.tunnels() <= 2
