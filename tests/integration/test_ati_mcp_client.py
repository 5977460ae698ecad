"""The client of MCP servers: the reference servers of npm, and servers that misbehave."""

import json
import os
import queue
import shutil
import subprocess
import threading
import time

import pytest

from harness import mcp
from harness.base import PATIENCE, eventually, free_port
from harness.mcp import MODULES, Ask, Server, manifest, script, starts

SECRET = "5up3r-s3cr3t/with+signs"
reference = pytest.mark.skipif(not MODULES.is_dir() or not shutil.which("node"), reason="npm modules of tests/mcp are not installed")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def ask(stack):
    def start(folder, *words, **environ):
        return stack.enter_context(Ask(folder, *words, **environ))
    return start


@pytest.fixture
def scripted(tmp_path, ask):
    """A caller of the script in this mode."""
    def start(mode="good", **fields):
        script(tmp_path, mode=mode, **fields)
        return ask(tmp_path, ATI_KEY_MY_KEY=SECRET)
    return start


@pytest.fixture
def served(tmp_path, ask, stack):
    """(caller, server) over HTTP."""
    def start(call=None, **fields):
        server = stack.enter_context(Server(call))
        manifest(tmp_path, "script", **{"mcp_transport": "http", "mcp_url": server.url, **fields})
        return ask(tmp_path, ATI_KEY_MY_KEY=SECRET), server
    return start


# --- the reference servers ---------------------------------------------------------------------------------------------------------------


def program(name):
    return str(MODULES / "@modelcontextprotocol" / name / "dist/index.js")


def check_everything(one):
    names = {tool["name"]: tool for tool in one.list("everything")["tools"]}
    assert names["everything:echo"]["scope"] == "tool:everything:echo"
    assert names["everything:get-sum"]["schema"]["properties"]["a"]["type"] == "number"
    assert one.value("everything:echo", {"message": "häß\n\"x\""}, "everything") == "Echo: häß\n\"x\""
    assert one.value("get-sum", {"a": 2, "b": 40}, "everything") == "The sum of 2 and 40 is 42."
    image = one.value("get-tiny-image", {}, "everything")
    assert image["isError"] is False and [item["type"] for item in image["content"]] == ["text", "image", "text"]
    many = [one.start("echo", {"message": str(i)}, "everything") for i in range(50)]
    assert [one.wait(number)["value"] for number in many] == [f"Echo: {i}" for i in range(50)]
    started = time.monotonic()
    long_one = one.start("trigger-long-running-operation", {"duration": 2, "steps": 4}, "everything")
    assert one.value("echo", {"message": "meanwhile"}, "everything") == "Echo: meanwhile"
    assert time.monotonic() - started < 2 + PATIENCE
    assert "Long running operation completed" in one.wait(long_one)["value"]
    assert "MCP error -32602" in one.error("no-such-tool", {}, "everything")


@reference
@pytest.mark.parametrize("loops", [[], ["--one-loop"]], ids=["two-loops", "one-loop"])
def test_everything_on_standard_streams(tmp_path, ask, loops):
    manifest(tmp_path, "everything", mcp_command="node", mcp_args=[program("server-everything"), "stdio"])
    check_everything(ask(tmp_path, *loops))


@pytest.fixture
def everything(stack):
    """The URL of server-everything over HTTP."""
    def start(port=None):
        port = port or free_port()
        process = subprocess.Popen(["node", program("server-everything"), "streamableHttp"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True, env={"PATH": os.environ["PATH"], "PORT": str(port)})

        def stop():
            process.kill()
            process.wait()
            process.stderr.close()
        stack.callback(stop)
        assert "listening" in process.stderr.readline()
        return f"http://127.0.0.1:{port}/mcp", stop
    return start


@reference
def test_everything_over_http(tmp_path, ask, everything):
    url, _ = everything()
    manifest(tmp_path, "everything", mcp_transport="http", mcp_url=url)
    check_everything(ask(tmp_path))


@reference
def test_everything_over_http_forgets_its_sessions(tmp_path, ask, everything):
    port = free_port()
    url, stop = everything(port)
    manifest(tmp_path, "everything", mcp_transport="http", mcp_url=url)
    one = ask(tmp_path)
    assert one.value("echo", {"message": "1"}, "everything") == "Echo: 1"
    stop()
    assert "HTTP request failed: " in one.error("echo", {"message": "2"}, "everything")
    everything(port)
    assert one.value("echo", {"message": "3"}, "everything") == "Echo: 3"


@reference
def test_filesystem_and_memory(tmp_path, ask):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "note.txt").write_text("from the file system")
    manifest(tmp_path, "files", mcp_command="node", mcp_args=[program("server-filesystem"), str(shared)])
    manifest(tmp_path, "memory", mcp_command="node", mcp_args=[program("server-memory")],
             mcp_env={"MEMORY_FILE_PATH": str(tmp_path / "memory.json")})
    one = ask(tmp_path)
    lists = [one.begin("list", name) for name in ("files", "memory")]
    assert all(len(one.wait(number)["tools"]) > 5 for number in lists)
    assert one.value("read_text_file", {"path": str(shared / "note.txt")}, "files") == "from the file system"
    refused = one.call("read_text_file", {"path": "/etc/passwd"}, "files")
    assert refused["failed"] and refused["tool_failed"] and "outside allowed directories" in refused["error"]
    one.value("create_entities", {"entities": [{"name": "n", "entityType": "t", "observations": ["o"]}]}, "memory")
    assert one.value("read_graph", {}, "memory")["entities"] == [{"name": "n", "entityType": "t", "observations": ["o"]}]


# --- standard streams --------------------------------------------------------------------------------------------------------------------


def test_all_pages_are_listed(scripted):
    listed = scripted().list()["tools"]
    assert [tool["name"] for tool in listed if tool["name"] != "script:plain"] == [f"script:{name}" for name in (
        "echo environ pid exit last hang cancelled slow banner chatty huge batch wrong asks progress error broken text raw deaf received quits "
        "steered").split()]
    assert listed[0] == {"name": "script:echo", "description": "does echo", "scope": "tool:script:echo", "schema": {"a": 2, "type": "object", "z": 1}}
    assert list(listed[0]["schema"]) == ["a", "type", "z"]
    assert {"name": "script:plain", "description": "", "scope": "tool:script:plain"} in listed


@pytest.mark.parametrize("mode, count", [("endless", 101), ("circle", 3), ("thousands", 10_000)])
def test_pages_without_an_end_end(scripted, mode, count):
    assert len(scripted(mode).list()["tools"]) == count


def test_a_server_is_started_once_and_again_when_it_died(scripted, tmp_path):
    one = scripted()
    numbers = [one.start("echo", {"n": n}) for n in range(100)]
    assert [one.wait(number)["value"] for number in numbers] == [{"n": n} for n in range(100)]
    one.list()
    assert len(starts(tmp_path)) == 1
    waiting = [one.start("hang") for _ in range(3)]
    assert one.error("exit", {"status": 3}) == "MCP server process exited unexpectedly"
    assert {one.wait(number)["error"] for number in waiting} == {"MCP server process exited unexpectedly"}
    assert one.value("echo", {"again": True}) == {"again": True}
    assert len(starts(tmp_path)) == 2
    assert one.value("last") == "goodbye"
    eventually(lambda: not alive(starts(tmp_path)[1]), "its end")  # what it was told before that may be lost
    assert one.value("echo") == {}
    assert len(starts(tmp_path)) == 3


def test_what_a_dying_server_never_read_goes_to_the_next(scripted, tmp_path):
    one = scripted()
    hung = one.start("hang")
    assert one.value("quits", {"seconds": 0.5}) == "soon"
    late = [one.start("echo", {"n": n}) for n in range(20)]
    assert one.wait(hung)["error"] == "MCP server process exited unexpectedly"
    assert [one.wait(number)["value"] for number in late] == [{"n": n} for n in range(20)]
    assert len(starts(tmp_path)) == 2
    # Once: servers that never read are not started for ever.
    one.value("quits", {"seconds": 0})
    eventually(lambda: not alive(starts(tmp_path)[1]), "its end")
    assert one.value("echo") == {}


def test_servers_are_gone_at_the_end(tmp_path):
    script(tmp_path)
    with Ask(tmp_path) as one:
        one.value("echo")
        busy = one.start("hang")
        one.value("echo")
        pid = int(starts(tmp_path)[0])
        assert alive(pid)
        one.tell(f"cancel {busy}")
    assert not alive(pid)


def test_a_deaf_server_does_not_keep_the_end_waiting(tmp_path):
    script(tmp_path)
    with Ask(tmp_path) as one:
        one.value("deaf")
        pid = int(starts(tmp_path)[0])
    assert not alive(pid)


def test_what_a_server_sees_of_us(scripted, tmp_path):
    seen = scripted(mcp_env={"API_KEY": "${my_key}", "MIXED": "a-${my_key}-${my_key}", "UNKNOWN": "${nobody}/x", "PLAIN": "1", "HOME": "/over"})
    said = seen.value("environ")
    assert said["API_KEY"] == "[redacted]" and said["MIXED"] == "a-[redacted]-[redacted]" and said["PLAIN"] == "1"
    with open(f"/proc/{starts(tmp_path)[0]}/environ", encoding="utf-8") as file:
        environ = dict(line.split("=", 1) for line in file.read().split("\0") if line)
    assert environ == {"PATH": os.environ["PATH"], "HOME": "/over", "API_KEY": SECRET, "MIXED": f"a-{SECRET}-{SECRET}", "UNKNOWN": "${nobody}/x",
                       "PLAIN": "1"}


def test_a_credential_has_a_server_of_its_own(scripted, tmp_path):
    one = scripted()
    assert "ATI_AUTH_TOKEN" not in one.value("environ")
    tokens = {token: one.call_with(token, "environ")["value"]["ATI_AUTH_TOKEN"] for token in ("token-1", "token-2")}
    assert tokens == {"token-1": "token-1", "token-2": "token-2"}
    first = one.call_with("token-1", "pid")["value"]
    assert one.call_with("token-1", "pid")["value"] == first
    assert len({first, one.call_with("token-2", "pid")["value"], one.value("pid")}) == 3
    assert len(starts(tmp_path)) == 3


@pytest.mark.parametrize("tool, arguments, value", [
    ("banner", {}, "behind the banner"),
    ("chatty", {}, "said"),
    ("batch", {}, {"content": [], "isError": False}),
    ("wrong", {}, "yours"),
    ("huge", {"bytes": 20_000_000}, "x" * 20_000_000),
])
def test_what_servers_say_beside_answers(scripted, tool, arguments, value):
    one = scripted("banner")
    assert one.value(tool, arguments) == value
    assert one.value("echo") == {}


def test_a_message_that_is_too_large(scripted, tmp_path):
    one = scripted()
    assert one.error("huge", {"bytes": 51 * 1024 * 1024}) == "MCP transport error: [script] a message of more than 52428800 bytes"
    assert one.value("echo") == {}
    assert len(starts(tmp_path)) == 2


def test_large_arguments_reach_a_server_that_is_slow_to_read(scripted):
    text = "y" * 10_000_000
    assert scripted().value("echo", {"text": text, "lines": "a\nb"}) == {"text": text, "lines": "a\nb"}


def test_what_a_server_asks_of_us(scripted):
    refused = {"code": -32601, "message": "Method not found"}
    assert scripted().value("asks") == {"s-ping": {}, "s-roots/list": {"roots": []}, "s-sampling/createMessage": refused,
                                        "s-elicitation/create": refused}


def test_a_cancelled_call_is_told_to_the_server(scripted):
    one = scripted()
    number = one.start("hang")
    one.value("echo")
    one.tell(f"cancel {number}")
    assert one.wait(number)["refused"] == "cancelled"
    [cancelled] = one.value("cancelled")
    assert cancelled["requestId"] == 2 and cancelled["reason"]


def test_answers_behind_a_cancellation_are_passed_over(scripted):
    one = scripted()
    number = one.start("slow", {"seconds": 0.2})
    one.tell(f"cancel {number}")
    one.wait(number)
    assert one.value("slow", {"seconds": 0.4}) == "late"


@pytest.mark.parametrize("result, answer", [
    ({"content": [{"type": "text", "text": "plain"}]}, "plain"),
    ({"content": [{"type": "text", "text": "{\"z\": 1, \"a\": 1.50}"}]}, {"a": 1.5, "z": 1}),
    ({"content": [{"type": "text", "text": " 12345678901234567890 "}]}, 12345678901234567890),
    ({"content": [{"type": "text"}]}, None),
    ({"content": [{"type": "image", "data": "AA==", "mimeType": "image/png", "annotations": {}}]},
     {"data": "AA==", "mimeType": "image/png", "type": "image"}),
    ({"content": [{"type": "audio", "data": "AA=="}]}, {"data": "AA==", "mimeType": None, "type": "audio"}),
    ({"content": [{"type": "resource", "resource": {"uri": "file:///x", "text": "t"}}]},
     {"data": None, "mimeType": None, "resource": {"text": "t", "uri": "file:///x"}, "text": None, "type": "resource"}),
    ({"content": [{"type": "text", "text": "1"}, {"type": "text", "text": "b"}], "isError": False},
     {"content": [{"data": None, "mimeType": None, "text": "1", "type": "text"}, {"data": None, "mimeType": None, "text": "b", "type": "text"}],
      "isError": False}),
    ({"content": []}, {"content": [], "isError": False}),
    ({}, {"content": [], "isError": False}),
    ({"structuredContent": {"b": 1, "a": 2}}, {"content": [], "isError": False, "structuredContent": {"a": 2, "b": 1}}),
])
def test_results_as_callers_see_them(scripted, result, answer):
    one = scripted()
    assert one.value("raw", {"result": result}) == answer


def test_a_text_that_is_json_keeps_its_numbers(scripted):
    assert '"value":{"a":0.10000000000000000001,"b":1e400}' in scripted().call("text", {"text": '{"b": 1e400, "a": 0.10000000000000000001}'})["line"]


def test_a_failed_tool(scripted):
    one = scripted()
    single = one.call("raw", {"result": {"content": [{"type": "text", "text": "it broke"}], "isError": True}})
    assert (single["failed"], single["tool_failed"], single["error"]) == (True, True, "it broke")
    several = one.call("raw", {"result": {"content": [{"type": "text", "text": "it"}, {"type": "text", "text": "broke"}], "isError": True}})
    assert (several["failed"], several["tool_failed"], several["value"]["isError"]) == (False, True, True)


@pytest.mark.parametrize("tool, arguments, error", [
    ("error", {}, "MCP protocol error (code -32050): no luck"),
    ("error", {"error": {}}, "MCP protocol error (code -1): Unknown error"),
    ("error", {"error": "text"}, "MCP protocol error (code -1): Unknown error"),
    ("broken", {}, "MCP protocol error (code -1): Response missing 'result' field"),
    ("nothing", {}, "MCP protocol error (code -32602): Unknown tool: nothing"),
    *(("raw", {"result": result}, 'MCP protocol error (code -1): the result is no object with a list "content"')
      for result in ([], "text", 7, {"content": "text"}, {"content": {}})),
])
def test_errors_of_calls(scripted, tool, arguments, error):
    assert scripted().error(tool, arguments) == error


def test_only_objects_are_arguments(scripted):
    one = scripted()
    for words in ("[1]", "7", "{", "null"):
        assert "arguments" in one.wait(one.begin("call", "script", "echo", words))["refused"]


# --- beginnings --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, version", [("old", "2024-11-05"), ("refuses", "2024-11-05"), ("good", "2025-11-25"), ("future", "2099-01-01")])
def test_versions_are_negotiated(scripted, mode, version):
    one = scripted(mode)
    assert one.value("echo") == {}
    eventually(lambda: [line for line in one.log if '"mcp.connected"' in line and f'"version":"{version}"' in line], "the version in the log")


def test_what_we_say_first(scripted):
    one = scripted()
    hello, greeting, call = one.value("received")
    assert hello == {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "ati", "version": "1.2.3"}}}
    assert greeting == {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert call == {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "received", "arguments": {}, "_meta": {"progressToken": 2}}}


@pytest.mark.parametrize("mode, error", [
    ("no-tools", "MCP server did not return tools capability"),
    ("error", "MCP protocol error (code -32603): not today"),
    ("dies", "MCP server process exited unexpectedly (status 3): loading no such module; the key was [redacted]"),
])
def test_servers_that_do_not_start(scripted, mode, error):
    one = scripted(mode, mcp_env={"KEY": "${my_key}"})
    numbers = [one.begin("list", "script")] + [one.start("echo") for _ in range(3)]
    assert {one.wait(number)["error"] for number in numbers} == {error}
    assert SECRET not in "\n".join(one.log)


@pytest.mark.parametrize("fields, error", [
    ({"mcp_command": "/nonexistent/server"}, "MCP transport error: Failed to spawn MCP server '/nonexistent/server': No such file or directory"),
    ({"mcp_command": "no-such-program"}, "MCP transport error: Failed to spawn MCP server 'no-such-program': No such file or directory"),
    ({"mcp_command": "/etc/passwd"}, "MCP transport error: Failed to spawn MCP server '/etc/passwd': Permission denied"),
    ({"mcp_transport": "http", "mcp_url": "http://127.0.0.1:9/"}, "MCP transport error: [script] HTTP request failed: "),
])
def test_servers_that_are_not_there(tmp_path, ask, fields, error):
    manifest(tmp_path, "script", **fields)
    one = ask(tmp_path)
    assert one.error("echo").startswith(error)
    assert one.list()["error"].startswith(error)


def test_a_silent_server(tmp_path, ask):
    script(tmp_path, mode="silent")
    one = ask(tmp_path, MCP_ASK_START_MS="1000")
    assert one.list()["error"] == "MCP transport error: [script] no answer within 1 s"
    [pid] = starts(tmp_path)
    eventually(lambda: not alive(pid), "its end")


def test_a_call_that_takes_too_long(tmp_path, ask):
    script(tmp_path)
    one = ask(tmp_path, MCP_ASK_CALL_MS="1000")
    assert one.error("hang") == "MCP transport error: [script] no answer within 1 s"
    assert [told["requestId"] for told in one.value("cancelled")] == [2]


def test_progress_prolongs_a_call(tmp_path, ask):
    script(tmp_path)
    one = ask(tmp_path, MCP_ASK_CALL_MS="3000")
    hung = one.start("hang")
    assert one.value("progress", {"times": 40, "pause": 0.1}) == "arrived"
    assert "no answer within 3 s" in one.wait(hung)["error"]


def test_servers_that_nobody_asks_are_ended(tmp_path, ask, stack):
    server = stack.enter_context(Server())
    script(tmp_path)
    manifest(tmp_path, "web", mcp_transport="http", mcp_url=server.url)
    one = ask(tmp_path, MCP_ASK_IDLE_MS="200")
    slow = one.start("slow", {"seconds": 0.6})
    one.value("t", {}, "web")
    server.until(lambda asked: asked["method"] == "DELETE")
    assert one.wait(slow)["value"] == "late"  # not while it is asked
    [pid] = starts(tmp_path)
    eventually(lambda: not alive(pid), "its end")
    assert one.value("echo") == {} and one.value("t", {}, "web") == "done"


def test_credentials_do_not_pile_up(tmp_path, ask):
    script(tmp_path)
    one = ask(tmp_path)
    for n in range(70):
        assert one.call_with(f"token-{n}", "echo")["value"] == {}
    pids = starts(tmp_path)
    assert len(pids) == 70
    eventually(lambda: sum(map(alive, pids)) == 64, "as many as may be")


# --- what changes ------------------------------------------------------------------------------------------------------------------------


def test_a_reload_keeps_what_has_not_changed(tmp_path, ask):
    script(tmp_path, "same")
    script(tmp_path, "other")
    script(tmp_path, "gone")
    one = ask(tmp_path, ATI_KEY_MY_KEY=SECRET)
    pids = {name: one.value("pid", {}, name) for name in ("same", "other", "gone")}
    script(tmp_path, "other", mcp_env={"NEW": "1"})
    (tmp_path / "manifests/gone.toml").unlink()
    busy = one.start("slow", {"seconds": 0.3}, "other")
    one.tell("keep")
    eventually(lambda: not alive(pids["gone"]), "the end of what is gone")
    assert one.wait(busy)["value"] == "late"  # its calls end first
    eventually(lambda: not alive(pids["other"]), "the end of what has changed")
    assert one.value("pid", {}, "same") == pids["same"]
    assert one.value("environ", {}, "other")["NEW"] == "1"
    assert alive(pids["same"])


# --- HTTP --------------------------------------------------------------------------------------------------------------------------------


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


# --- configuration -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields, error", [
    ({}, "Missing MCP configuration: mcp_command required for stdio transport"),
    ({"mcp_transport": "http"}, "Missing MCP configuration: mcp_url required for HTTP transport"),
    ({"mcp_transport": "carrier pigeon"},
     "Missing MCP configuration: Unknown MCP transport: 'carrier pigeon' (expected 'stdio' or 'http')"),
])
def test_what_a_manifest_lacks(tmp_path, ask, fields, error):
    manifest(tmp_path, "script", **fields)
    one = ask(tmp_path)
    answer = one.list()
    if "refused" not in answer:  # else the manifest was refused when it was read
        assert answer["error"] == error


def test_quoting():
    assert mcp.quoted({"a": "b\"c"}) == '{ "a" = "b\\"c" }'
