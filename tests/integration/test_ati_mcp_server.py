"""/mcp as others see it: the official SDK's clients, unmodified; and what no SDK sends."""

import contextlib
import http.client
import json
import os
import pathlib
import select
import subprocess
import threading

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, ROOT, eventually
from harness.clock import Clock
from harness.mcp import MODULES, SHOP, manifest, script
from harness.peers import need

SDK = ROOT / "tests/mcp"


class Shop(Upstream):
    def __init__(self):
        super().__init__(self.serve_shop)
        self.gate = threading.Event()

    def serve_shop(self, request):
        if request["path"].startswith("/fail"):
            return 500, {}, b"broken"
        if request["path"].startswith("/slow"):
            self.gate.wait(PATIENCE * 2)
        return self.echo(request)


@pytest.fixture
def shop(stack):
    one = stack.enter_context(Shop())
    stack.callback(one.gate.set)
    return one


@pytest.fixture
def gateway(stack, shop, tmp_path):
    folder = Folder(tmp_path / "ati", {"shop": SHOP.format(url=shop.url)}, {"shop_key": "key-of-the-shop"}, ATI_JWT_SECRET=SECRET)
    proxy = stack.enter_context(Proxy(folder))
    stack.callback(shop.gate.set)
    proxy.agent = folder.token("tool:shop:*")
    return proxy


def node_with_sdk():
    if not (SDK / "node_modules").exists():
        pytest.skip("npm ci was not run in tests/mcp")
    return need("node")


class Client:
    """tests/mcp/client.mjs, step by step."""

    def __init__(self, url, token):
        node = node_with_sdk()
        self.process = subprocess.Popen([node, "client.mjs", f"{url}/mcp", token], cwd=SDK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self.answer()

    def say(self, *step):
        self.process.stdin.write(json.dumps(step) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the client ended"
        return json.loads(line)

    def __call__(self, *step):
        self.say(*step)
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if kind:
            self.process.kill()
        status = self.process.wait(PATIENCE * 2)
        assert kind or status == 0


def test_the_sdk_connects_lists_and_calls(gateway, shop):
    with Client(gateway.url, gateway.agent) as client:
        assert client.hello["server"]["name"] == "ati-proxy" and client.hello["capabilities"] == {"tools": {"listChanged": False}}
        tools = {tool["name"]: tool for tool in client("list")}
        assert set(tools) == {"shop:list", "shop:fail", "shop:slow"}
        assert tools["shop:list"]["inputSchema"] == {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}
        result = client("call", "shop:list", {"kind": "tea & cake"})
        assert result["isError"] is False
        assert json.loads(result["content"][0]["text"])["path"] == "/list?kind=tea+%26+cake"
        assert client("ping") == {}
        assert client("end") == {"session": None}
    assert shop.asked[0]["headers"]["Authorization"] == "Bearer key-of-the-shop"


def test_the_sdk_sees_errors_as_errors_and_failures_as_results(gateway, shop):
    with Client(gateway.url, gateway.agent) as client:
        assert client("call", "shop:fail", {}) == {
            "content": [{"type": "text", "text": "Error: MCP transport error: API error (500): broken"}], "isError": True}
        assert client("call", "shop:nothing", {})["code"] == -32602
        refused = client("call", "shop:secret", {})
        assert refused["code"] == -32001 and "Access denied: 'shop:secret' is not in your scopes" in refused["error"]
    assert [one["path"] for one in shop.asked] == ["/fail"]


def test_the_sdk_is_refused_without_a_token(gateway):
    node = node_with_sdk()
    done = subprocess.run([node, "client.mjs", f"{gateway.url}/mcp"], cwd=SDK, capture_output=True, text=True, timeout=PATIENCE * 2, check=False)
    assert done.returncode == 1 and "401" in json.loads(done.stdout)["error"] + str(json.loads(done.stdout)["code"])


def test_the_sdk_calls_side_by_side(gateway, shop):
    shop.gate.set()
    with Client(gateway.url, gateway.agent) as client:
        results = client("together", *[["shop:list", {"kind": str(n)}] for n in range(40)], *[["shop:slow", {"n": n}] for n in range(10)])
        paths = [json.loads(result["content"][0]["text"])["path"] for result in results]
        assert paths == [f"/list?kind={n}" for n in range(40)] + [f"/slow?n={n}" for n in range(10)]


def test_the_sdk_cancels(gateway, shop):
    """notifications/cancelled ends the work: the call is over in the audit while its upstream still thinks."""
    with Client(gateway.url, gateway.agent) as client:
        client.say("cancel", "shop:slow", {})
        assert client.answer() == {"under": "way"}
        shop.until_asked(1)
        client.say("now")
        assert "changed my mind" in client.answer()["error"]
        eventually(lambda: [line for line in gateway.audit() if line["tool"] == "shop:slow"], "a line of the audit")
        assert gateway.audit()[-1]["status"] == "error"
        assert client("ping") == {}


def post(gateway, message, **headers):
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
    return gateway.ask("POST", "/mcp", message if isinstance(message, (str, bytes)) else json.dumps(message), gateway.agent, fields)


def request(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


@pytest.mark.parametrize("asked, given", [("2025-11-25",) * 2, ("2025-06-18",) * 2, ("2025-03-26",) * 2, ("2024-11-05",) * 2, ("2031-01-01", "2025-03-26")])
def test_versions(gateway, asked, given):
    status, headers, body = post(gateway, request("initialize", protocolVersion=asked, capabilities={}, clientInfo={"name": "x", "version": "1"}))
    assert status == 200 and json.loads(body)["result"]["protocolVersion"] == given
    assert len(headers["Mcp-Session-Id"]) == 32


def test_notifications_and_answers_are_taken_in_silence(gateway):
    for message in ({"jsonrpc": "2.0", "method": "notifications/initialized"}, {"jsonrpc": "2.0", "method": "notifications/what-ever", "params": {}},
                    {"jsonrpc": "2.0", "id": 9, "result": {}}, [{"jsonrpc": "2.0", "method": "notifications/initialized"}] * 2):
        status, _, body = post(gateway, message)
        assert (status, body) == (202, b"")


def test_batches(gateway):
    """As 2025-03-26 has them: answers in an array, notifications have none."""
    status, _, body = post(gateway, [request("ping", 1), {"jsonrpc": "2.0", "method": "notifications/initialized"}, request("tools/call", 2, name="shop:list"),
                                     request("nope", "three")])
    answers = {one["id"]: one for one in json.loads(body)}
    assert status == 200 and set(answers) == {1, 2, "three"}
    assert answers[1]["result"] == {} and answers[2]["result"]["isError"] is False and answers["three"]["error"]["code"] == -32601
    for bad in ([], [request("ping", n) for n in range(65)]):
        assert post(gateway, bad)[0] == 422


def test_sessions(gateway):
    """Any well-formed id is taken, for another gateway may have given it; one that was ended here is gone."""
    session = post(gateway, request("initialize"))[1]["Mcp-Session-Id"]
    assert post(gateway, request("ping"), **{"Mcp-Session-Id": session})[0] == 200
    assert post(gateway, request("ping"), **{"Mcp-Session-Id": "ab" * 16})[0] == 200
    assert gateway.ask("DELETE", "/mcp", token=gateway.agent, headers={"Mcp-Session-Id": session})[0] in (200, 204)
    assert post(gateway, request("ping"), **{"Mcp-Session-Id": session})[0] == 404
    assert post(gateway, request("ping"), **{"Mcp-Session-Id": "no such thing"})[0] in (400, 404)


def test_the_end_of_a_session_ends_its_calls(gateway, shop):
    session = post(gateway, request("initialize"))[1]["Mcp-Session-Id"]
    caller = threading.Thread(target=post, args=(gateway, request("tools/call", name="shop:slow")), kwargs={"Mcp-Session-Id": session})
    caller.start()
    shop.until_asked(1)
    assert gateway.ask("DELETE", "/mcp", token=gateway.agent, headers={"Mcp-Session-Id": session})[0] in (200, 204)
    caller.join(PATIENCE)
    assert not caller.is_alive() and not shop.gate.is_set()


def test_pages_of_others_are_refused(gateway):
    """A page that resolves its own name to this gateway (DNS rebinding) gets nowhere."""
    assert post(gateway, request("ping"), Origin="https://evil.example")[0] == 403
    assert post(gateway, request("ping"), Origin="null")[0] == 403
    assert post(gateway, request("ping"), Origin=gateway.url)[0] == 200


def test_there_is_no_stream_to_wait_at(gateway):
    status, headers, _ = gateway.ask("GET", "/mcp", token=gateway.agent, headers={"Accept": "text/event-stream"})
    assert status == 405 and set(headers["Allow"].split(", ")) == {"POST", "DELETE"}


@pytest.mark.parametrize("body, headers, status", [
    ("{}", {"Content-Type": "text/plain"}, 415), ("not json", {}, 400), ("7", {}, 422), ('"text"', {}, 422), ("{}", {}, 200),
    ('{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Content-Type": "application/json; charset=utf-8"}, 200),
    ('{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Content-Type": "application/x+json"}, 200),
    ('{"jsonrpc":"2.0","id":1,"method":"ping"}', {"MCP-Protocol-Version": "2025-06-18"}, 200),
    ('{"jsonrpc":"2.0","id":1,"method":"ping"}', {"MCP-Protocol-Version": "what"}, 400),
])
def test_bodies(gateway, body, headers, status):
    assert post(gateway, body, **headers)[0] == status


def test_one_way_for_call_and_mcp(gateway, shop):
    """Rates count both; the audit has both, under the same name."""
    token = gateway.folder.token("tool:shop:*", "--rate", "tool:shop:*=2/hour", sub="counted")
    assert gateway.call("shop:list", {"kind": "a"}, token)[0] == 200
    assert gateway.rpc("tools/call", {"name": "shop:list", "arguments": {"kind": "b"}}, token)["result"]["isError"] is False
    assert gateway.call("shop:list", {"kind": "c"}, token)[0] == 429
    told = gateway.rpc("tools/call", {"name": "shop:list", "arguments": {"kind": "d"}}, token)
    assert "Rate limit exceeded for 'tool:shop:*'" in json.dumps(told)
    assert len(shop.asked) == 2
    eventually(lambda: len(gateway.audit()) >= 2, "two lines of the audit")
    assert [line["tool"] for line in gateway.audit()][:2] == ["shop:list"] * 2


# --- answers that come in pieces ----------------------------------------------------------------------------------------------------------

BOTH = "application/json, text/event-stream"
KEY = "canary-5up3r-s3cr3t-value"


class Answer:
    """One POST /mcp whose answer is read piece by piece."""

    def __init__(self, gateway, message, accept=BOTH, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE * 2)
        fields = {"Content-Type": "application/json", "Accept": accept, "Authorization": f"Bearer {gateway.agent}", **headers}
        self.connection.request("POST", "/mcp", json.dumps(message), fields)
        self.answer = None

    def head(self):
        if not self.answer:
            self.answer = self.connection.getresponse()
        return self.answer.status, self.answer.headers["Content-Type"]

    def block(self):
        """The lines up to the next blank one; None at the end."""
        assert self.head() == (200, "text/event-stream")
        lines = []
        while (line := self.answer.readline()) not in (b"\n", b""):
            lines.append(line.decode().rstrip("\n"))
        assert line or not lines, "the stream broke off in an event"
        return lines if line else None

    def event(self):
        """The next event's data; None at the end."""
        lines = self.block()
        if lines is None:
            return None
        assert len(lines) == 1 and lines[0].startswith("data: ")
        return json.loads(lines[0].removeprefix("data: "))

    def close(self):
        if self.answer:
            self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Steering:
    """Whoever steers the script's tool "steered"."""

    def __init__(self, folder):
        self.path = folder / "steering"
        os.mkfifo(self.path)
        self.arguments = {"pipe": str(self.path)}
        self.pipe = None

    def say(self, *steps):
        if not self.pipe:
            self.pipe = open(self.path, "w", encoding="utf-8")  # when the tool has opened it
        for step in steps:
            self.pipe.write(json.dumps(step) + "\n")
        self.pipe.flush()

    def arrive(self):
        self.say()
        self.pipe.close()


@pytest.fixture
def behind(stack, tmp_path):
    """A gateway with an MCP server behind it that the test steers."""
    script(tmp_path, mcp_env={"API_KEY": "${my_key}"})
    folder = Folder(tmp_path, credentials={"my_key": KEY}, ATI_JWT_SECRET=SECRET)
    proxy = stack.enter_context(Proxy(folder))
    proxy.agent = folder.token("tool:script:*")
    proxy.steering = Steering(tmp_path)
    return proxy


def steered(proxy, number=1, token=None, **more):
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return request("tools/call", number, name="script:steered", arguments=proxy.steering.arguments, **meta, **more)


def progressed(token, **params):
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, **params}}


ARRIVED = {"content": [{"type": "text", "text": "arrived"}], "isError": False}


@pytest.mark.parametrize("token", ["mine", 0, 7])
def test_progress_comes_as_it_is_made(behind, token):
    with Answer(behind, steered(behind, "x", token)) as answer:
        behind.steering.say({"progress": 1, "total": 3})
        assert answer.event() == progressed(token, progress=1, total=3)  # while the tool is at work: it is told of its end below
        assert answer.answer.headers["X-Accel-Buffering"] == "no" and answer.answer.headers["X-Request-Id"]
        behind.steering.say({"progress": 2.5, "message": "häß\n\"x\""})
        assert answer.event() == progressed(token, progress=2.5, message="häß\n\"x\"")
        behind.steering.arrive()
        assert answer.event() == {"jsonrpc": "2.0", "id": "x", "result": ARRIVED}
        assert answer.event() is None
    eventually(lambda: behind.audit(), "a line of the audit")
    assert [(line["tool"], line["status"]) for line in behind.audit()] == [("script:steered", "ok")]


@pytest.mark.parametrize("accept, token", [("application/json", "mine"), ("*/*", "mine"), ("application/json, text/event-stream;q=0", "mine"), (BOTH, None)])
def test_who_asks_for_no_progress_gets_none(behind, accept, token):
    with Answer(behind, steered(behind, token=token), accept) as answer:
        behind.steering.say({"progress": 1})
        behind.steering.arrive()
        assert answer.head() == (200, "application/json")
        assert json.loads(answer.answer.read())["result"] == ARRIVED


def test_what_is_no_progress_is_passed_over(behind):
    with Answer(behind, steered(behind, token="mine")) as answer:
        behind.steering.say({"progress": 1}, "not json",
                            json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 4711, "progress": 1}}),
                            json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": [7]}),
                            json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}}),
                            {"progress": 2, "message": "x" * 70_000}, {"progress": 3, "message": f"the key is {KEY}"})
        behind.steering.arrive()
        seen = []
        while (event := answer.event()) is not None:
            seen.append(event)
    assert seen[:-1] == [progressed("mine", progress=1), progressed("mine", progress=3, message="the key is [redacted]")]
    assert seen[-1]["result"] == ARRIVED


def test_a_flood_of_progress_ends_with_the_newest(behind):
    """Some may be left out, none comes late or twice."""
    with Answer(behind, steered(behind, token="mine")) as answer:
        behind.steering.say(*[{"progress": n} for n in range(5000)])
        behind.steering.arrive()
        seen = []
        while (event := answer.event()) is not None:
            seen.append(event)
    numbers = [event["params"]["progress"] for event in seen[:-1]]
    assert seen[-1]["result"] == ARRIVED and numbers == sorted(set(numbers)) and numbers[-1] == 4999


def test_a_batch_is_streamed_message_by_message(behind):
    batch = [request("ping", 1), steered(behind, 2, "mine"), request("nope", 3), request("tools/call", 4, name="script:echo", arguments={"a": [1, 2]})]
    with Answer(behind, batch) as answer:
        behind.steering.say({"progress": 1})
        seen = [answer.event()]
        behind.steering.arrive()
        while (event := answer.event()) is not None:
            seen.append(event)
    assert seen[0] == progressed("mine", progress=1)
    answers = {event["id"]: event for event in seen[1:]}
    assert set(answers) == {1, 2, 3, 4} and len(seen) == 5
    assert answers[1]["result"] == {} and answers[2]["result"] == ARRIVED and answers[3]["error"]["code"] == -32601
    assert json.loads(answers[4]["result"]["content"][0]["text"]) == {"a": [1, 2]}


def test_a_call_is_cancelled_in_the_middle_of_its_stream(behind):
    session = post(behind, request("initialize"))[1]["Mcp-Session-Id"]
    with Answer(behind, steered(behind, "x", "mine"), **{"Mcp-Session-Id": session}) as answer:
        behind.steering.say({"progress": 1})
        assert answer.event() == progressed("mine", progress=1)
        word = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "x"}}
        assert post(behind, word, **{"Mcp-Session-Id": session})[0] == 202
        assert answer.event() is None  # its end, without an answer
    eventually(lambda: behind.call("script:cancelled", token=behind.agent)[1]["result"], "the word that it was cancelled")


def test_a_client_that_leaves_in_the_middle_of_its_stream_cancels(behind):
    answer = Answer(behind, steered(behind, token="mine"))
    behind.steering.say({"progress": 1})
    assert answer.event() == progressed("mine", progress=1)
    answer.close()
    eventually(lambda: behind.call("script:cancelled", token=behind.agent)[1]["result"], "the word that it was cancelled")
    behind.steering.say(*[{"progress": n} for n in range(2, 300)])  # of a call that is none any more
    assert behind.call("script:echo", {"a": 1}, behind.agent) == (200, {"result": {"a": 1}})


def test_the_gateway_ends_in_the_middle_of_a_stream(behind):
    """What is under way may end in the time to drain."""
    with Answer(behind, steered(behind, token="mine")) as answer:
        behind.steering.say({"progress": 1})
        assert answer.event() == progressed("mine", progress=1)
        behind.process.terminate()
        behind.log("draining")
        behind.steering.arrive()
        assert answer.event()["result"] == ARRIVED and answer.event() is None


def test_the_sdk_sees_progress(behind):
    with Client(behind.url, behind.agent) as client:
        client.say("progress", "script:steered", behind.steering.arguments)
        behind.steering.say({"progress": 1, "total": 2}, {"progress": 2, "total": 2, "message": "nearly"})
        behind.steering.arrive()
        assert client.answer() == {"seen": [{"progress": 1, "total": 2}, {"progress": 2, "total": 2, "message": "nearly"}], "result": ARRIVED}


def test_the_sdk_sees_progress_of_the_reference_server(stack, tmp_path):
    server = pathlib.Path(MODULES / "@modelcontextprotocol/server-everything/dist/index.js")
    manifest(tmp_path, "everything", mcp_command=need("node"), mcp_args=[str(server)])
    if not server.exists():
        pytest.skip("npm ci was not run in tests/mcp")
    folder = Folder(tmp_path, ATI_JWT_SECRET=SECRET)
    proxy = stack.enter_context(Proxy(folder))
    with Client(proxy.url, folder.token("tool:everything:*")) as client:
        told = client("progress", "everything:trigger-long-running-operation", {"duration": 0.2, "steps": 4})
        assert [(one["progress"], one["total"]) for one in told["seen"]] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert told["result"]["isError"] is False and "4" in told["result"]["content"][0]["text"]


def test_a_long_call_is_told_to_be_alive(stack, shop, tmp_path):
    """Any tool's: front ends give up on answers of which they hear nothing."""
    clock, folder = Clock(tmp_path / "clock"), Folder(tmp_path / "ati", {"shop": SHOP.format(url=shop.url)}, {"shop_key": "k"})
    proxy = stack.enter_context(Proxy(folder, "--workers", "1", **clock.environ))
    stack.callback(shop.gate.set)
    proxy.agent = "nobody"

    def skip(seconds):
        clock.skip(seconds)
        for _ in range(2):  # the worker sees what time it is when it is asked
            assert proxy.ask("GET", "/health")[0] == 200

    with Answer(proxy, request("tools/call", name="shop:slow")) as answer:
        shop.until_asked(1)
        skip(8)
        assert not select.select([answer.connection.sock], [], [], 0)[0]  # until then it would have been a plain answer
        skip(3)
        assert answer.block() == [": "]
        skip(16)
        assert answer.block() == [": "]
        shop.gate.set()
        assert json.loads(answer.event()["result"]["content"][0]["text"])["path"] == "/slow"
        assert answer.event() is None
