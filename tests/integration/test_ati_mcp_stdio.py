"""The client of MCP servers on standard streams, also those that misbehave: what is said, who lives how long."""

import os

import pytest

from harness import mcp
from harness.base import eventually
from harness.mcp import SECRET, Ask, Server, manifest, script, starts


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- standard streams ----------------------------------------------------------------------------------------------------------------------


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


# --- beginnings ----------------------------------------------------------------------------------------------------------------------------


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


# --- what changes --------------------------------------------------------------------------------------------------------------------------


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


# --- configuration -------------------------------------------------------------------------------------------------------------------------


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
