"""MCP servers behind the gateway, promise by promise: how they are started and asked, what their tools are called, how mistakes are told."""

import contextlib
import json
import sys
import threading

import pytest

from harness.ati import Folder, Proxy
from harness.base import PATIENCE
from harness.mcp import Server, manifest, quoted, script

KEY = "mcp-key-of-the-tests"
# Tells how it was started, and what was said to it.
SERVER = """
import json, os, sys
said = []
for line in sys.stdin:
    message = json.loads(line)
    said.append(message)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        result = {"protocolVersion": "2025-03-26", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "tell", "description": "tells", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}, {"name": "a:b_c"}]}
    else:
        result = {"content": [{"type": "text", "text": json.dumps({"words": sys.argv[1:], "said": said})}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
WORDS = ["$HOME", "`id`", "a b", "*", "${key}"]
TOOL = '[[tools]]\nname = "{name}:t"\ndescription = "d"\n'
BROKEN = {
    "nocommand": ({}, "Missing MCP configuration: mcp_command required for stdio transport"),
    "nourl": ({"mcp_transport": "http"}, "Missing MCP configuration: mcp_url required for HTTP transport"),
    "gone": ({"mcp_command": "/no/such/server"}, "MCP transport error: Failed to spawn MCP server '/no/such/server': No such file or directory"),
    "ends": ({"mcp_command": "true"}, "MCP server process exited unexpectedly"),
    "away": ({"mcp_transport": "http", "mcp_url": "http://127.0.0.1:9/"}, "MCP transport error: [away] HTTP request failed: "),
    "makes": ({"mcp_command": "true"}, "Missing MCP configuration: auth_generator failed: Generator exited with code 3: why\n"),
}
GENERATOR = '[provider.auth_generator]\ntype = "command"\ncommand = "sh"\nargs = ["-c", "echo why >&2; exit 3"]\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A gateway with good servers and bad ones; web: the one over HTTP."""
    path = tmp_path_factory.mktemp("mcp")
    (path / "server.py").write_text(SERVER)
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(Server())
        manifest(path, "std", mcp_command=sys.executable, mcp_args=[str(path / "server.py"), *WORDS], category="c")
        manifest(path, "web", mcp_transport="http", mcp_url=web.url, auth_type="bearer", auth_key_name="key", extra_headers={"X-Own": "own", "X-Held": "${key}"})
        script(path, "script")
        folder = Folder(path, credentials={"key": KEY})
        for name, (fields, _) in BROKEN.items():
            lines = [f"{field} = {quoted(value)}" for field, value in {"name": name, "description": name, "handler": "mcp", **fields}.items()]
            folder.manifest(name, "[provider]\n" + "\n".join(lines) + "\n" + (GENERATOR if name == "makes" else "") + TOOL.format(name=name))
        one = stack.enter_context(Proxy(folder, "--workers", "1"))
        one.web = web
        yield one


def test_a_server_is_started_without_a_shell(place):
    """And nothing in its words is a placeholder."""
    assert place.call("std:tell")[1]["result"]["words"] == WORDS


def test_what_a_server_is_told_first(place):
    hello, greeting, listing = place.call("std:tell")[1]["result"]["said"][:3]
    version = place.folder.run("--version").stdout.split()[1]
    assert (hello["jsonrpc"], hello["id"], hello["method"]) == ("2.0", 1, "initialize")
    assert hello["params"] == {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "ati", "version": version}}
    assert greeting == {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (listing["id"], listing["method"]) == (2, "tools/list")


def test_names_of_tools_are_those_of_the_server_behind_the_providers(place):
    assert place.call("std:tell", {"a": "b"})[1]["result"]["said"][-1]["params"]["name"] == "tell"
    assert place.call("std_tell")[1]["result"]["said"][-1]["params"]["name"] == "tell"
    last = place.call("std:a:b_c", {"x": 1})[1]["result"]["said"][-1]
    assert last["method"] == "tools/call" and (last["params"]["name"], last["params"]["arguments"]) == ("a:b_c", {"x": 1})


def test_what_a_listed_tool_is(place):
    told = json.loads(place.ask("GET", "/tools/std:tell")[2])
    assert {name: told[name] for name in ("description", "method", "provider", "scope", "input_schema", "endpoint", "tags")} == {
        "description": "tells", "method": "Post", "provider": "std", "scope": "tool:std:tell", "endpoint": "", "tags": [],
        "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}


def test_a_server_over_http_is_asked_as_an_official_client_asks(place):
    place.web.asked.clear()
    assert place.call("web:t", {"a": 1}) == (200, {"result": "done"})
    (call,) = place.web.messages("tools/call")
    assert call["message"]["params"]["arguments"] == {"a": 1}
    headers = call["headers"]
    assert (headers["content-type"], headers["accept"], headers["authorization"]) == ("application/json", "application/json, text/event-stream", f"Bearer {KEY}")
    assert (headers["mcp-session-id"], headers["x-own"], headers["x-held"]) == ("session-1", "own", KEY)


@pytest.mark.parametrize("name", BROKEN)
def test_servers_that_cannot_be_asked(place, name):
    status, told = place.call(f"{name}:t")
    assert (status, told["result"]) == (502, None) and told["error"].startswith(f"MCP error: {BROKEN[name][1]}"), told
    result = place.rpc("tools/call", {"name": f"{name}:t"})["result"]
    assert result["isError"] is True and result["content"][0]["text"].startswith(f"Error: {BROKEN[name][1]}")


def test_another_kind_of_transport(tmp_path):
    manifest(tmp_path, "bird", mcp_transport="carrier pigeon")
    with open(tmp_path / "manifests" / "bird.toml", "a", encoding="utf-8") as file:
        file.write(TOOL.format(name="bird"))
    done = Folder(tmp_path).run("run", "bird:t")
    assert done.returncode != 0 and "Unknown MCP transport: 'carrier pigeon' (expected 'stdio' or 'http')" in done.stderr


def test_a_server_that_hangs_or_chatters_is_in_nobodys_way(place):
    """On the one thread that there is."""
    told = []
    hung = [threading.Thread(target=lambda: told.append(place.call("script:slow", {"seconds": 0.5}))) for _ in range(3)]
    for thread in hung:
        thread.start()
    assert place.call("script:chatty") == (200, {"result": "said"})  # 3 MB of standard error
    assert place.call("script:echo", {"a": 1}) == (200, {"result": {"a": 1}}) and place.call("web:t")[0] == 200
    for thread in hung:
        thread.join(PATIENCE)
    assert told == [(200, {"result": "late"})] * 3
