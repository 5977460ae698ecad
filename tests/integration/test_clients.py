"""Real clients: Python's websockets, Node's ws, Go, Chromium, Firefox."""

import asyncio
import hashlib
import json
import os
import pathlib
import subprocess

import pytest

from harness import certs, peers
from harness.base import BROWSER, HERE, PATIENCE, SLOW, run
from harness.dns import addresses
from harness.targets import echo, fin_after, refused_port, reset_after

websockets = pytest.importorskip("websockets")

MIB = 1 << 20


@pytest.fixture
def there(target):
    return target(echo)


# --- Python websockets --------------------------------------------------------------------------


def talk(bridge, query, body, **how):
    async def session():
        async with websockets.connect(bridge.url(query[1:]), max_size=None, **how) as ws:
            return await body(ws)
    return asyncio.run(asyncio.wait_for(session(), PATIENCE * 3))


def test_websockets_echoes_everything(bridge, there):
    """The Python library: text, binary, fragments, pings, four mebibytes, an orderly end; compression is declined."""
    one = bridge(there)
    data = os.urandom(4 * MIB)

    async def body(ws):
        assert ws.extensions == []
        await ws.send("h\u00e9llo")
        assert await ws.recv() == "h\u00e9llo".encode()
        await (await ws.ping(b"x"))

        async def pieces():
            for at in range(0, 1000, 100):
                yield data[at:at + 100]
        await ws.send(pieces())
        got = b""
        while len(got) < 1000:
            got += await ws.recv()
        assert got == data[:1000]

        async def write():
            for at in range(0, len(data), 77_777):
                await ws.send(data[at:at + 77_777])
        writer = asyncio.create_task(write())
        digest, count = hashlib.sha256(), 0
        while count < len(data):
            piece = await ws.recv()
            digest.update(piece)
            count += len(piece)
        await writer
        assert digest.digest() == hashlib.sha256(data).digest()
        await ws.close(4000, "enough")
        return ws.close_code
    assert talk(one, there.query, body) == 4000
    assert one.closed()["close_received"] == 4000


def test_websockets_sees_status_and_codes(bridge, there, target):
    """403 for a refusal; 1000, 1014 for ends; its keepalive is answered."""
    gone = target(fin_after(b"bye"))
    holder, port = refused_port()
    one = bridge(there, gone, f"127.0.0.1:{port}")
    with pytest.raises(websockets.InvalidStatusCode) as refusal:
        talk(one, "/?target=evil.test:1", None)
    assert refusal.value.status_code == 403

    async def end(ws):
        got = b""
        try:
            while True:
                got += await ws.recv()
        except websockets.ConnectionClosed:
            return got, ws.close_code, ws.close_reason
    assert talk(one, gone.query, end) == (b"bye", 1000, "target-closed")
    assert talk(one, f"/?target=127.0.0.1:{port}", end) == (b"", 1014, "connect-refused")

    async def kept_alive(ws):
        await asyncio.sleep(1)
        await ws.send(b"x")
        return await ws.recv()
    assert talk(one, there.query, kept_alive, ping_interval=0.1, ping_timeout=5) == b"x"
    holder.close()


# --- Node ---------------------------------------------------------------------------------------


def node(script, job, module="ws", timeout=60):
    program = peers.need("node")
    if module and not (BROWSER / "node_modules" / module).is_dir():
        pytest.skip("npm ci has not been run in tests/browser")
    done = run(program, BROWSER / script, json.dumps(job), text=True, timeout=timeout * SLOW, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_node_echoes_everything(bridge, there):
    """The ws library, offering compression, fragments and a Ping: ten mebibytes by hash, and its own Close code."""
    one = bridge(there)
    seen = node("node-client.mjs", {"url": one.url("?target=" + there.name), "bytes": 10 * MIB, "protocols": ["binary"]})
    assert seen["opened"] and seen["binary"] and seen["received"] == 10 * MIB
    assert seen["sent"] == seen["hash"]
    assert seen["extensions"] == "" and seen["protocol"] == "binary" and seen["pongs"] == 1
    assert seen["code"] == 4321
    assert one.closed()["close_received"] == 4321


def test_node_sees_refusals_and_ends(bridge, there, target):
    """403 with its body without an Origin, Close 1008 with one; 1000 and 1014 at the end."""
    gone = target(fin_after(b"bye" * 1000))
    reset = target(reset_after(b"", gated=False))
    one = bridge(there, gone, reset)
    seen = node("node-client.mjs", {"url": one.url("?target=evil.test:1")})
    assert seen["status"] == 403 and json.loads(seen["body"]) == {"error": "target not allowed"}
    seen = node("node-client.mjs", {"url": one.url("?target=evil.test:1"), "origin": "https://page.test"})
    assert seen["opened"] and (seen["code"], seen["reason"]) == (1008, "target-not-allowed")
    seen = node("node-client.mjs", {"url": one.url("?target=" + gone.name)})
    assert seen["received"] == 3000 and (seen["code"], seen["reason"]) == (1000, "target-closed")
    seen = node("node-client.mjs", {"url": one.url("?target=" + reset.name)})
    assert (seen["code"], seen["reason"]) == (1014, "target-reset")


def test_node_over_wss(bridge, there, tmp_path):
    """The same over our TLS."""
    cert = certs.self_signed(tmp_path, "localhost")
    one = bridge(there, tls_cert=cert.pair)
    seen = node("node-client.mjs", {"url": one.url("?target=" + there.name, scheme="wss"), "bytes": 3 * MIB})
    assert seen["sent"] == seen["hash"] and seen["code"] == 4321


# --- Go -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def go_client(tmp_path_factory):
    """The Go client, built once. It needs a module from the network or its cache."""
    go = peers.need("go")
    out = tmp_path_factory.mktemp("go") / "client"
    env = os.environ | {"GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run([go, "build", "-o", out, "."], cwd=HERE / "goclient", env=env, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        pytest.skip("the Go client took too long to build")
    if done.returncode:
        pytest.skip("the Go client cannot be built here: " + done.stderr.strip().splitlines()[-1])
    return pathlib.Path(out)


@pytest.mark.timeout(300)
def test_go_echoes_everything(bridge, there, target, go_client):
    """A Go library: five mebibytes by hash, then Close; and the code of a target that closes."""
    gone = target(fin_after(b"bye"))
    one = bridge(there, gone)
    seen = json.loads(run(go_client, one.url("?target=" + there.name), 5 * MIB, text=True).stdout)
    assert seen["received"] == 5 * MIB and seen["sent"] == seen["hash"]
    seen = json.loads(run(go_client, one.url("?target=" + gone.name), 0, text=True).stdout)
    assert seen["received"] == 3 and seen["code"] == 1000 and seen["reason"] == "target-closed"
    seen = json.loads(run(go_client, one.url("?target=evil.test:1"), 0, text=True).stdout)
    assert seen["status"] == 403


# --- Browsers -----------------------------------------------------------------------------------


@pytest.fixture(params=["chromium", "firefox"])
def browser(request):
    """Opens a page in that browser: browser(cases) tells what its script saw in each of them."""
    if request.param == "chromium":
        peers.need("chromium")
        return lambda cases: node("chromium.mjs", {"cases": cases}, module="playwright-core", timeout=100)
    peers.need("firefox-esr")
    return lambda cases: node("firefox.mjs", {"cases": cases, "seconds": 90 * SLOW}, module=None, timeout=100)


@pytest.mark.timeout(240 * SLOW)
def test_a_page_in_a_browser(browser, bridge, there, target, dns):
    """What script sees: an echo of ten mebibytes, and the code and reason of every way in which a tunnel ends."""
    gone = target(fin_after(b"bye" * 100_000))
    reset = target(reset_after(b"", gated=False))
    holder, port = refused_port()
    inward = f"inward.test:{there.port}"
    names = dns({"inward.test": addresses("127.0.0.1")})
    one = bridge(there, gone, reset, f"127.0.0.1:{port}", inward, "nowhere.test:443", dns_servers=names.server, idle_timeout="30s")

    def url(name):
        # As URLSearchParams writes it: the colon escaped.
        return one.url("?target=" + name.replace(":", "%3A"))
    seen = browser([
        {"name": "echo", "url": url(there.name), "do": "echo", "bytes": 10 * MIB},
        {"name": "one message", "url": url(there.name), "do": "echo", "bytes": MIB, "step": MIB},
        {"name": "small", "url": url(there.name), "do": "echo", "bytes": 1, "protocols": ["binary"]},
        {"name": "refused", "url": url("evil.test:443"), "do": "listen"},
        {"name": "no target", "url": one.url(), "do": "listen"},
        {"name": "closed", "url": url(gone.name), "do": "listen"},
        {"name": "reset", "url": url(reset.name), "do": "listen"},
        {"name": "unreachable", "url": url(f"127.0.0.1:{port}"), "do": "listen"},
        {"name": "unresolvable", "url": url("nowhere.test:443"), "do": "listen"},
        {"name": "inward", "url": url(inward), "do": "listen"},
    ])
    results = {r["name"]: r for r in seen["results"]}
    echoed = results["echo"]
    assert echoed["opened"] and echoed["binary"] and echoed["received"] == 10 * MIB
    assert echoed["hash"] == echoed["sent"]
    assert echoed["code"] == 1000 and echoed["clean"] and not echoed["extensions"]
    assert results["one message"]["hash"] == results["one message"]["sent"] and results["one message"]["code"] == 1000
    assert results["small"]["protocol"] == "binary" and results["small"]["code"] == 1000
    expected = {
        "refused": (1008, "target-not-allowed"), "no target": (1008, "no-target"), "closed": (1000, "target-closed"),
        "reset": (1014, "target-reset"), "unreachable": (1014, "connect-refused"), "unresolvable": (1014, "dns-failure"),
        "inward": (1014, "address-denied"),
    }
    assert {name: (results[name]["code"], results[name]["reason"]) for name in expected} == expected
    assert all(results[name]["opened"] and results[name]["clean"] for name in expected)
    assert results["closed"]["received"] == 300_000
    origins = {e["origin"] for e in one.closed_events() if e.get("origin")}
    assert origins == {seen["origin"]}
    holder.close()


@pytest.mark.timeout(240 * SLOW)
def test_a_page_of_a_foreign_origin_in_a_browser(browser, bridge, there):
    """403 for the handshake: script sees 1006 and nothing more, whether the target is listed or not."""
    one = bridge(there, origins="https://app.test")
    seen = browser([{"name": "listed", "url": one.url("?target=" + there.name), "do": "listen"},
                    {"name": "unlisted", "url": one.url("?target=evil.test:1"), "do": "listen"}])
    assert [(r["opened"], r["code"], r["reason"]) for r in seen["results"]] == [(False, 1006, "")] * 2
    assert not there.peers


@pytest.mark.timeout(240 * SLOW)
def test_a_page_with_a_token_in_a_browser(browser, bridge, there, tmp_path):
    """The subprotocol is the only header that script can set: the token opens and is not echoed."""
    file = tmp_path / "tokens"
    file.write_text(hashlib.sha256(b"page token").hexdigest() + "\n")
    one = bridge(there, auth_token_file=file)
    offer = ["binary", "bearer." + certs.b64url("page token")]
    seen = browser([{"name": "good", "url": one.url("?target=" + there.name), "do": "echo", "bytes": 1000, "protocols": offer},
                    {"name": "bad", "url": one.url("?target=" + there.name), "do": "echo", "bytes": 1000, "protocols": ["binary"]}])
    good, bad = seen["results"]
    assert good["opened"] and good["protocol"] == "binary" and good["hash"] == good["sent"]
    assert not bad["opened"] and bad["code"] == 1006
