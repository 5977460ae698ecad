"""The client of MCP servers over Streamable HTTP, also those that misbehave."""

import json
import queue
import threading

import pytest

from harness.base import PATIENCE
from harness.mcp import SECRET, Server, manifest


def test_what_a_server_is_asked_over_http(served):
    one, server = served(auth_type="bearer", auth_key_name="my_key", extra_headers={"X-Extra": "v-${my_key}", "Accept": "never"})
    assert one.list()["tools"][0]["name"] == "script:t"
    assert one.value("script:t", {"a": [1, 2]}) == "done"
    hello, greeting, listing, call = server.messages()
    assert hello["message"]["method"] == "initialize" and hello["message"]["id"] == 1
    assert hello["message"]["params"] == {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "ati", "version": "1.2.3"}}
    assert "mcp-session-id" not in hello["headers"] and "mcp-protocol-version" not in hello["headers"]
    assert greeting["message"] == {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert listing["message"] == {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    assert call["message"]["params"] == {"name": "t", "arguments": {"a": [1, 2]}, "_meta": {"progressToken": 3}}
    for asked in (hello, greeting, listing, call):
        assert asked["headers"]["content-type"] == "application/json"
        assert asked["headers"]["accept"] == "application/json, text/event-stream"
        assert asked["headers"]["authorization"] == f"Bearer {SECRET}"
        assert asked["headers"]["x-extra"] == f"v-{SECRET}"
    for asked in (greeting, listing, call):
        assert (asked["headers"]["mcp-session-id"], asked["headers"]["mcp-protocol-version"]) == ("session-1", "2025-11-25")
    assert len({asked["connection"] for asked in server.asked}) == 1
    one.tell("end")
    ended = server.until(lambda asked: asked["method"] == "DELETE")
    assert ended["headers"]["mcp-session-id"] == "session-1" and ended["headers"]["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("fields, header, value", [
    ({"auth_type": "header", "auth_value_prefix": "Key "}, "authorization", f"Key {SECRET}"),
    ({"auth_type": "header", "auth_header_name": "X-Key"}, "x-key", SECRET),
    ({"auth_type": "bearer", "auth_header_name": "X-Key"}, "x-key", f"Bearer {SECRET}"),
    ({"auth_type": "basic"}, "authorization", "Basic NXVwM3ItczNjcjN0L3dpdGgrc2lnbnM6"),
    ({"auth_type": "bearer", "auth_key_name": "missing"}, "authorization", None),
    ({"auth_type": "query"}, "authorization", None),
    ({"auth_type": "none"}, "authorization", None),
])
def test_credentials_over_http(served, fields, header, value):
    one, server = served(**{"auth_key_name": "my_key", **fields})
    one.value("t")
    assert {asked["headers"].get(header) for asked in server.asked} == {value}


def test_a_generated_credential_over_http(served):
    one, server = served(auth_type="header", auth_value_prefix="T ", auth_key_name="my_key")
    for token in ("token-1", "token-2"):
        assert one.call_with(token, "t")["value"] == "done"
    assert [asked["headers"]["authorization"] for asked in server.messages("initialize")] == ["T token-1", "T token-2"]


def test_keys_in_the_url(served, tmp_path):
    one, server = served()
    manifest(tmp_path, "script", mcp_transport="http", mcp_url=server.url + "/${my_key}?k=${my_key}&u=${unknown}")
    one.tell("keep")
    one.value("t")
    assert server.asked[-1]["path"] == f"/mcp/{SECRET}?k={SECRET}&u=${{unknown}}"


CONTENT = {"content": [{"type": "text", "text": "found"}]}


def stream_answers():
    def plain(server, message):
        return [server.event(CONTENT, message)]

    def bytewise(server, message):
        return [bytes([byte]) for byte in b"\xef\xbb\xbf: hi\r\nretry: 10\r\n\r\nevent: message\r\nid: 1\r\n" + server.event(CONTENT, message)]

    def unfinished(server, message):
        return [b"data: " + server.body(CONTENT, message)]

    def others_first(server, message):
        other = {"jsonrpc": "2.0", "id": message["id"] + 1, "result": {"content": []}}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": message["id"], "progress": 1}}
        return [b"data: " + json.dumps(said).encode() + b"\n\n" for said in (other, note, "text")] + [b"data: {no json\n\n", b"id: 7\ndata:\n\n",
                                                                                                  server.event(CONTENT, message)]

    def batch(server, message):
        return [b"data: [{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"},\ndata: " + server.body(CONTENT, message) + b"]\n\n"]

    return [plain, bytewise, unfinished, others_first, batch]


@pytest.mark.parametrize("pieces", stream_answers(), ids=lambda pieces: pieces.__name__)
def test_answers_as_event_streams(served, pieces):
    server = None

    def call(exchange, message):
        exchange.stream(*pieces(server, message))
    one, server = served(call)
    assert one.value("t") == "found"
    assert one.value("t") == "found"


def test_an_answer_is_taken_as_soon_as_it_arrives(served, stack):
    server, over = None, threading.Event()
    stack.callback(over.set)

    def call(exchange, message):
        exchange.stream(server.event(CONTENT, message), end=False)
        over.wait(PATIENCE)
        exchange.wfile.write(b"0\r\n\r\n")
    one, server = served(call)
    assert one.value("t") == "found"
    assert not over.is_set()


@pytest.mark.parametrize("answer", ["batch", "string id", "other id", "no id", "no jsonrpc"])
def test_answers_as_json(served, answer):
    def call(exchange, message):
        said = {"jsonrpc": "2.0", "id": message["id"], "result": CONTENT}
        said.update({"string id": {"id": str(message["id"])}, "other id": {"id": 99}}.get(answer, {}))
        for name in {"no id": ["id"], "no jsonrpc": ["jsonrpc"]}.get(answer, []):
            del said[name]
        return 200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps([said] if answer == "batch" else said).encode()
    one, server = served(call)
    if answer == "no id":
        assert one.error("t") == "MCP protocol error (code -1): Response missing 'result' field"
    else:
        assert one.value("t") == "found"


def refusing(status, body, **fields):
    return lambda exchange, message: (status, {"Content-Type": "text/plain", **fields}, body)


@pytest.mark.parametrize("call, error", [
    (refusing(500, b"it broke"), "MCP transport error: [script] HTTP 500: it broke"),
    (refusing(401, b"who is " + SECRET.encode()), "MCP transport error: [script] HTTP 401: who is [redacted]"),
    (refusing(404, b""), "MCP transport error: [script] HTTP 404: "),
    (refusing(302, b"", Location="/mcp?elsewhere"), "MCP transport error: [script] HTTP 405: "),
    (refusing(200, b"<html>"), "MCP transport error: [script] HTTP 200: the answer is not JSON"),
    (refusing(202, b""), "MCP transport error: [script] HTTP 202: the answer is not JSON"),
    (refusing(200, b"{}"), "MCP protocol error (code -1): Response missing 'result' field"),
    (refusing(200, b"[]"), "MCP protocol error (code -1): Response missing 'result' field"),
    (refusing(200, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"}}'), "MCP protocol error (code -32000): no"),
    (lambda exchange, message: exchange.stream(b": nothing\n\n"),
     "SSE parse error: SSE stream ended without receiving a response for our request"),
    (lambda exchange, message: exchange.stream(b'data: {"jsonrpc":"2.0","id":999,"result":{}}\n\n'),
     "SSE parse error: SSE stream ended without receiving a response for our request"),
])
def test_errors_over_http(served, call, error):
    one, server = served(call, auth_type="bearer", auth_key_name="my_key")
    assert one.error("t") == error
    assert SECRET not in "\n".join(one.log)


def test_a_redirect_keeps_the_method(served):
    def call(exchange, message):
        if "elsewhere" in exchange.path:
            return server.json(CONTENT, message)
        return 307, {"Location": "/mcp?elsewhere"}, b""
    one, server = served(call)
    assert one.value("t") == "found"


@pytest.mark.parametrize("status, body", [(404, b"gone"), (400, b'{"error":{"message":"Bad Request: No valid session ID provided"}}')])
def test_a_forgotten_session_is_made_anew_once(served, status, body):
    one, server = served()
    server.forgotten = lambda message: (status, {}, body)
    assert one.value("t") == "done"
    server.sessions.clear()
    server.session = "session-2"
    numbers = [one.start("t") for _ in range(5)]
    assert {one.wait(number)["value"] for number in numbers} == {"done"}
    assert len(server.messages("initialize")) == 2
    assert server.asked[-1]["headers"]["mcp-session-id"] == "session-2"
    # One that forgets all the time is not asked for ever.
    server.sessions.clear()
    server.answer_hello, server.hello = server.hello, lambda exchange, message: (server.answer_hello(exchange, message), server.sessions.clear())[0]
    assert one.error("t") == f"MCP transport error: [script] HTTP {status}: {body.decode()}"
    assert len(server.messages("initialize")) == 3
    one.tell("end")
    assert not [asked for asked in server.asked if asked["method"] == "DELETE"]


def test_a_stream_that_breaks_off_is_resumed(served):
    calls = []

    def call(exchange, message):
        calls.append(message)
        exchange.stream(b"id: e-1\nretry: 10\ndata:\n\n", b"id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n", b"id: cut")

    def other(exchange, asked):
        if asked["method"] == "DELETE":
            return 200, {}, b""
        if len([seen for seen in server.asked if seen["method"] == "GET"]) == 1:
            exchange.stream(b"id: e-3\ndata:\n\n", end=False)
            exchange.close_connection = True
            return None
        exchange.stream(server.event(CONTENT, calls[0]))
        return None
    one, server = served(call)
    server.other = other
    assert one.value("t") == "found"
    gets = [asked for asked in server.asked if asked["method"] == "GET"]
    assert [asked["headers"]["last-event-id"] for asked in gets] == ["e-2", "e-3"]
    assert gets[0]["headers"]["accept"] == "text/event-stream" and gets[0]["headers"]["mcp-session-id"] == "session-1"
    assert len(calls) == 1


def test_a_stream_that_cannot_be_resumed(served):
    one, server = served(lambda exchange, message: exchange.stream(b"id: e-1\nretry: 10\ndata:\n\n"))
    assert one.error("t") == "SSE parse error: SSE stream ended without receiving a response for our request"
    assert len([asked for asked in server.asked if asked["method"] == "GET"]) == 1


def test_what_a_server_asks_of_us_over_http(served):
    def call(exchange, message):
        question = {"jsonrpc": "2.0", "id": "q", "method": "ping"}
        exchange.stream(b"data: " + json.dumps(question).encode() + b"\n\n", end=False)
        server.until(lambda asked: asked["message"] == {"jsonrpc": "2.0", "id": "q", "result": {}})
        exchange.chunk(server.event(CONTENT, message))
        exchange.wfile.write(b"0\r\n\r\n")
    one, server = served(call)
    assert one.value("t") == "found"


def test_a_cancelled_call_over_http(served, stack):
    over = threading.Event()
    stack.callback(over.set)

    def call(exchange, message):
        over.wait(PATIENCE)
        return server.json(CONTENT, message)
    one, server = served(call)
    number = one.start("t")
    asked = server.until(lambda asked: asked["message"] and asked["message"]["method"] == "tools/call")
    one.tell(f"cancel {number}")
    told = server.until(lambda asked: asked["message"] and asked["message"]["method"] == "notifications/cancelled")
    assert told["message"]["params"]["requestId"] == asked["message"]["id"]
    over.set()


def test_a_hundred_slow_calls_at_once(served):
    barrier = threading.Barrier(100)

    def call(exchange, message):
        barrier.wait(PATIENCE * 4)  # all of them are here
        return server.json({"content": [{"type": "text", "text": json.dumps(message["params"]["arguments"])}]}, message)
    one, server = served(call)
    numbers = [one.start("t", {"n": n}) for n in range(100)]
    assert [one.wait(number, PATIENCE * 5)["value"] for number in numbers] == [{"n": n} for n in range(100)]
    assert len(server.messages("initialize")) == 1


def test_private_addresses_where_they_are_refused(tmp_path, stack, ask):
    server = stack.enter_context(Server())
    manifest(tmp_path, "script", mcp_transport="http", mcp_url=server.url)
    manifest(tmp_path, "allowed", mcp_transport="http", mcp_url=server.url, private_network=True)
    one = ask(tmp_path, MCP_ASK_PUBLIC="1")
    assert one.error("t").startswith("MCP transport error: [script] HTTP request failed: ")
    assert one.value("t", {}, "allowed") == "done"


def left_alone(server, notices, reply):
    """A server that does this with these notices; closed: an item for each TCP connection that the client has given up."""
    usual, closed = server.answer, queue.Queue()

    def answer(exchange, message):
        if message.get("method") not in notices:
            return usual(exchange, message)
        reply(exchange)
        exchange.connection.settimeout(PATIENCE * 3)
        assert exchange.rfile.read(1) == b""
        closed.put(message["method"])
        exchange.close_connection = True
        return None

    server.answer = answer
    return closed


def test_what_follows_a_notices_status_is_not_waited_for(served, stack):
    """Neither to begin nor to go on."""
    let_go = threading.Event()
    stack.callback(let_go.set)

    def call(exchange, message):
        let_go.wait(PATIENCE)
        return exchange.server.json({"content": []}, message)
    one, server = served(call)
    closed = left_alone(server, ("notifications/initialized", "notifications/cancelled"), lambda exchange: exchange.stream(b": \n\n", end=False))
    number = one.start("t")
    server.until(lambda asked: asked["message"] and asked["message"]["method"] == "tools/call")
    one.tell(f"cancel {number}")
    assert one.wait(number)["refused"] == "cancelled"
    assert sorted(closed.get(timeout=PATIENCE) for _ in range(2)) == ["notifications/cancelled", "notifications/initialized"]


@pytest.mark.patient
def test_notices_that_are_never_answered_end(served, stack):
    let_go = threading.Event()
    stack.callback(let_go.set)

    def call(exchange, message):
        let_go.wait(PATIENCE)
        return exchange.server.json({"content": []}, message)
    one, server = served(call)
    closed = left_alone(server, ("notifications/cancelled",), lambda exchange: None)
    for _ in range(3):
        number = one.start("t")
        server.until(lambda asked: asked["message"] and asked["message"]["method"] == "tools/call")
        one.tell(f"cancel {number}")
        assert one.wait(number)["refused"] == "cancelled"
    assert [closed.get(timeout=PATIENCE * 3) for _ in range(3)] == ["notifications/cancelled"] * 3


def test_an_answer_that_is_too_large(served):
    def call(exchange, message):
        exchange.send(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, b"")
        for _ in range(52):
            exchange.chunk(b" " * 1024 * 1024)
    one, server = served(call)
    assert one.error("t") == "MCP transport error: [script] an answer of more than 52428800 bytes"


def test_an_event_that_is_too_large(served):
    def call(exchange, message):
        exchange.stream(b"data: ", end=False)
        for _ in range(52):
            exchange.chunk(b" " * 1024 * 1024)
    one, server = served(call)
    assert one.error("t") == "SSE parse error: an event's data: more than 52428801 bytes"
