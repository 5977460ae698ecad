"""Long messages of MCP servers: read aside, masked, and in their order."""

import json
import sys

import pytest

from harness.mcp import SECRET, Ask, Server, manifest

MIB = 1 << 20
# Waits for as many calls as it is told to, then answers them in one piece, each with what it asks for; then it may leave.
SCRIPT = """
import json, os, sys
count, leaves = int(sys.argv[1]), sys.argv[2] == "leaves"
calls = []
def line(message):
    return json.dumps({"jsonrpc": "2.0", **message}) + "\\n"
def text(call):
    return "x" * call["params"]["arguments"]["bytes"] + os.environ["KEY"]
for one in sys.stdin:
    message = json.loads(one)
    if message.get("method") == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {}}
        sys.stdout.write(line({"id": message["id"], "result": result}))
    elif message.get("method") == "tools/call":
        calls.append(message)
        if len(calls) == count:
            sys.stdout.write("".join(line({"id": call["id"], "result": {"content": [{"type": "text", "text": text(call)}]}}) for call in calls))
            calls = []
            if leaves:
                sys.stdout.flush()
                break
    sys.stdout.flush()
"""


@pytest.fixture
def talk(tmp_path, stack):
    """A caller of SCRIPT."""
    def start(count, leaves=""):
        manifest(tmp_path, "script", mcp_command=sys.executable, mcp_args=["-c", SCRIPT, str(count), leaves], mcp_env={"KEY": "${my_key}"})
        return stack.enter_context(Ask(tmp_path, ATI_KEY_MY_KEY=SECRET))
    return start


@pytest.fixture
def served(tmp_path, stack):
    """(caller, server) over HTTP."""
    def start(call):
        server = stack.enter_context(Server(call))
        manifest(tmp_path, "script", mcp_transport="http", mcp_url=server.url, auth_type="bearer", auth_key_name="my_key")
        return stack.enter_context(Ask(tmp_path, ATI_KEY_MY_KEY=SECRET)), server
    return start


def good(one, number, size):
    answer = one.wait(number)
    assert not answer["failed"] and answer["value"] == "x" * size + "[redacted]", (answer["failed"], answer["error"], len(answer["value"] or ""))


def test_what_comes_behind_a_long_one_waits_for_it_and_is_read(talk):
    """Short and long, in one piece of output."""
    sizes = [3 * MIB, 5, MIB // 4, 0, MIB, 7]
    one = talk(len(sizes))
    for _ in range(2):
        asked = [(one.start("t", {"bytes": size}), size) for size in sizes]
        for number, size in asked:
            good(one, number, size)


def test_a_server_that_ends_behind_its_long_answer_has_given_it(talk):
    one = talk(2, "leaves")
    for _ in range(2):
        asked = [(one.start("t", {"bytes": size}), size) for size in (2 * MIB, 3)]
        for number, size in asked:
            good(one, number, size)


def test_a_caller_that_leaves_while_it_is_read(tmp_path, talk):
    one = talk(1)
    for _ in range(5):
        number = one.start("t", {"bytes": 2 * MIB})
        one.tell(f"cancel {number}")
        good(one, one.start("t", {"bytes": 1}), 1)


def content(size):
    return {"content": [{"type": "text", "text": "x" * size + SECRET}]}


@pytest.mark.parametrize("size", [2 * MIB, MIB // 4, 5])
@pytest.mark.parametrize("how", ["json", "stream", "stream and more", "two streams in turn"])
def test_over_http(served, how, size):
    def call(exchange, message):
        if how == "json":
            return server.json(content(size), message)
        note = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + b"y" * size + b'"}}\n\n'
        answer = server.event(content(size), message)
        if how == "stream":
            exchange.stream(answer)
        elif how == "stream and more":
            exchange.stream(note, note + answer + note, end=False)
            exchange.wfile.write(b"0\r\n\r\n")
        else:
            exchange.stream(note)  # it ends without an answer
        return None

    one, server = served(call)
    for _ in range(2):
        if how == "two streams in turn":
            assert "SSE stream ended without receiving a response" in one.error("t")
        else:
            good(one, one.start("t"), size)


def test_a_long_answer_that_is_none(served):
    bodies = [b"{" + b" " * MIB, b'{"jsonrpc":"2.0","id":77777,"result":{' + b" " * MIB + b"}}", b'{"jsonrpc":"2.0","id":null,"x":"' + b"x" * MIB + b'"}']
    one, _ = served(lambda exchange, message: (200, {"Content-Type": "application/json"}, bodies[message["params"]["arguments"]["n"]]))
    assert "the answer is not JSON" in one.error("t", {"n": 0})
    assert one.call("t", {"n": 1})["failed"] is False  # all that is said to a request is its answer
    assert "Response missing 'result' field" in one.error("t", {"n": 2})


def test_a_long_list_of_tools(tmp_path, served, monkeypatch):
    one, server = served(None)
    tools = [{"name": f"t{n}", "description": "d" * 1000 + SECRET, "inputSchema": {}} for n in range(1000)]
    inner = server.answer
    monkeypatch.setattr(server, "answer", lambda exchange, message: server.json({"tools": tools}, message)
                        if isinstance(message, dict) and message.get("method") == "tools/list" else inner(exchange, message))
    listed = one.list()["tools"]
    assert len(listed) == 1000 and SECRET not in json.dumps(listed) and listed[999]["description"].endswith("[redacted]")
