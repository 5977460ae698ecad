"""Tools of MCP servers in the gateway: found at the start, kept across reloads, gone with their provider."""

import json
import signal
import subprocess
import sys
import time

import pytest

from harness.ati import ATI, SECRET, Folder, Proxy, environment
from harness.base import PATIENCE, eventually, free_port
from harness.clock import Clock

# An MCP server on its standard streams: two tools, or those in a file; it may be told to be slow, or to say nothing.
SERVER = """
import json, os, sys, time
tools, mood = sys.argv[1], sys.argv[2]
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if mood == "silent":
        open(tools, "w").write("asked")
        continue
    if message["method"] == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif message["method"] == "tools/list":
        names = open(tools).read().split()
        result = {"tools": [{"name": name, "description": "does " + name, "inputSchema": {"type": "object"}} for name in names]}
    elif message["method"] == "tools/call":
        result = {"content": [{"type": "text", "text": json.dumps({"called": message["params"]["name"], "env": sorted(os.environ)})}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
MANIFEST = """
[provider]
name = "{name}"
description = "d"
handler = "mcp"
mcp_transport = "stdio"
mcp_command = "{python}"
mcp_args = ["{script}", "{tools}", "{mood}"]
"""


def place(path, **environ):
    folder = Folder(path, **environ)
    (path / "server.py").write_text(SERVER)
    return folder


def server(folder, name, tools, mood="well"):
    list_file = folder.path / f"{name}.tools"
    list_file.write_text(tools)
    folder.manifest(name, MANIFEST.format(name=name, python=sys.executable, script=folder.path / "server.py", tools=list_file, mood=mood))


def names(proxy, token=None):
    return sorted(tool["name"] for tool in json.loads(proxy.ask("GET", "/tools", token=token)[2]) if not tool["name"].startswith("file_manager:"))


def test_tools_are_found_before_anybody_asks(tmp_path):
    folder = place(tmp_path)
    server(folder, "one", "alpha beta")
    server(folder, "two", "gamma")
    server(folder, "dead", "x")
    (tmp_path / "manifests" / "dead.toml").write_text((tmp_path / "manifests" / "dead.toml").read_text().replace(sys.executable, "/no/such/program"))
    with Proxy(folder) as proxy:
        assert (proxy.start["mcp"], proxy.start["tools"]) == (3, 5)
        found = [json.loads(line) for line in proxy.seen if "discover" in line.lower()]
        assert {(line["provider"], line.get("tools")) for line in found if line["message"] == "discovered MCP tools"} == {("one", 2), ("two", 1)}
        assert [line["provider"] for line in found if line["message"] == "MCP tool discovery failed"] == ["dead"]
        assert names(proxy) == ["one:alpha", "one:beta", "two:gamma"]
        assert json.loads(proxy.ask("GET", "/health")[2])["tools"] == 5
        status, answer = proxy.call("one_alpha", {"x": 1})
        assert status == 200 and answer["result"]["called"] == "alpha"
        assert set(answer["result"]["env"]) - {"LC_CTYPE"} == {"HOME", "PATH"}  # that one Python makes itself
        assert json.loads(proxy.rpc("tools/call", {"name": "two:gamma"})["result"]["content"][0]["text"])["called"] == "gamma"


def test_scopes_hold_for_what_was_found(tmp_path):
    folder = place(tmp_path, ATI_JWT_SECRET=SECRET)
    server(folder, "one", "alpha beta")
    with Proxy(folder) as proxy:
        token = folder.token("tool:one:alpha")
        assert names(proxy, token) == ["one:alpha"]
        assert proxy.call("one:beta", {}, token)[0] == 403 and proxy.call("one:alpha", {}, token)[0] == 200


def test_a_reload_keeps_what_was_found_and_looks_again(tmp_path):
    folder = place(tmp_path)
    server(folder, "one", "alpha")
    with Proxy(folder) as proxy:
        (tmp_path / "one.tools").write_text("alpha omega")
        server(folder, "two", "gamma")
        proxy.reload()
        assert proxy.log("reloaded")["tools"] >= 1 + 2  # at once what was known, and what is built in
        assert "one:alpha" in names(proxy)
        eventually(lambda: names(proxy) == ["one:alpha", "one:omega", "two:gamma"], "the tools of now")
        (tmp_path / "manifests" / "one.toml").unlink()
        proxy.reload()
        proxy.log("reloaded")
        assert names(proxy) == ["two:gamma"]


def test_a_server_that_says_nothing_holds_up_nobody_for_ever(tmp_path):
    """The other servers' tools are there when it has had its half a minute."""
    folder, clock, page = place(tmp_path / "ati"), Clock(tmp_path / "clock"), free_port()
    server(folder, "one", "alpha")
    server(folder, "mute", "x", "silent")

    def wait_out(proxy):
        eventually(lambda: any('"message":"discovered MCP tools"' in line for line in proxy.seen), "the tools of the one")
        eventually(lambda: (folder.path / "mute.tools").read_text() == "asked", "the question to the other")
        for seconds, word in ((20, b"discovering"), (11, b"ready")):
            clock.skip(seconds)
            for _ in range(2):  # it sees what time it is when it is asked
                told = proxy.ask("GET", "/readyz", port=page)[2]
            assert word in told

    with Proxy(folder, "--metrics-listen", f"127.0.0.1:{page}", begun=wait_out, **clock.environ) as proxy:
        assert proxy.call("one:alpha")[0] == 200 and names(proxy) == ["one:alpha"]
    assert [json.loads(line)["provider"] for line in proxy.seen if '"message":"MCP tool discovery timed out (30s)"' in line] == ["mute"]


def test_it_may_be_ended_while_it_looks(tmp_path):
    folder = place(tmp_path)
    server(folder, "mute", "x", "silent")
    process = subprocess.Popen([ATI, "proxy", "--port", "0"], env=environment(tmp_path, {"RUST_LOG": "debug"}), stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "no JWT keys" in line:  # the last one before it looks
            process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0, "".join(lines)
    assert not any("ATI proxy server starting" in line for line in lines)


# Answers with its tools while its gateway stands still: the answer, then SIGTERM wait for it together.
FROZEN = """
import json, os, signal, sys
gateway = int(open(f"/proc/{os.getppid()}/stat").read().rsplit(")", 1)[1].split()[1])  # who starts programs is a child of it
def say(message, result):
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        say(message, {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}})
    elif message["method"] == "tools/list":
        os.kill(gateway, signal.SIGSTOP)
        while open(f"/proc/{gateway}/stat").read().rsplit(")", 1)[1].split()[0] != "T":
            pass
        say(message, {"tools": [{"name": "alpha", "inputSchema": {"type": "object"}}]})
        os.kill(gateway, signal.SIGTERM)
        os.kill(gateway, signal.SIGCONT)
"""


def test_it_may_be_ended_at_the_moment_it_has_found_everything(tmp_path):
    folder = place(tmp_path)
    server(folder, "last", "")
    (tmp_path / "server.py").write_text(FROZEN)
    done = folder.run("proxy", "--port", "0", timeout=PATIENCE * 3)
    assert done.returncode == 0, done.stderr
    assert '"message":"stopped"' in done.stderr and "Sanitizer" not in done.stderr, done.stderr


def test_the_second_signal_while_it_looks(tmp_path):
    folder = place(tmp_path)
    server(folder, "last", "")
    (tmp_path / "server.py").write_text(FROZEN.replace("gateway, signal.SIGTERM)", "gateway, signal.SIGTERM); os.kill(gateway, signal.SIGINT)"))
    done = folder.run("proxy", "--port", "0", timeout=PATIENCE * 3)
    assert done.returncode == 0, done.stderr
    assert "second signal" in done.stderr and "Sanitizer" not in done.stderr, done.stderr


# As SERVER, when its file of tools is there; else it ends at once. Its starts are counted.
AWAY = SERVER.replace("tools, mood = sys.argv[1], sys.argv[2]", """tools, mood = sys.argv[1], sys.argv[2]
open(tools + ".starts", "a").write("x")
if not os.path.exists(tools):
    sys.exit("away")""")


def away(folder, name):
    server(folder, name, "x")
    (folder.path / f"{name}.tools").unlink()
    (folder.path / "server.py").write_text(AWAY)


def starts(folder, name):
    return len((folder.path / f"{name}.tools.starts").read_text())


LOOKS = {
    "list": lambda proxy: proxy.ask("GET", "/tools"),
    "info": lambda proxy: proxy.ask("GET", "/tools/late:alpha"),
    "call": lambda proxy: proxy.call("late:alpha"),
    "mcp-list": lambda proxy: proxy.rpc("tools/list"),
    "mcp-call": lambda proxy: proxy.rpc("tools/call", {"name": "late:alpha"}),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_server_that_was_away_at_the_start_is_asked_again(tmp_path, look):
    """By whoever looks for a tool: he does not wait for it, the next one has it."""
    folder = place(tmp_path)
    away(folder, "late")
    with Proxy(folder) as proxy:
        assert starts(folder, "late") == 1
        (tmp_path / "late.tools").write_text("alpha")
        look(proxy)
        assert proxy.log("discovered MCP tools")["provider"] == "late"
        assert names(proxy) == ["late:alpha"] and proxy.call("late:alpha")[0] == 200


def test_a_server_that_stays_away_is_asked_less_and_less(tmp_path):
    folder = place(tmp_path)
    away(folder, "late")
    server(folder, "one", "alpha")
    began = time.monotonic()
    with Proxy(folder) as proxy:
        for _ in range(300):
            assert proxy.ask("GET", "/tools")[0] == 200 and proxy.call("late:alpha")[0] == 404
        assert starts(folder, "late") <= 3 + (time.monotonic() - began) // 2  # at the start, at once, after two seconds, after four
        assert starts(folder, "one") == 1


@pytest.mark.patient
def test_a_server_that_refused_its_list_says_that_it_has_changed(tmp_path):
    """It has never told its tools, and is asked without anybody looking."""
    folder = place(tmp_path)
    server(folder, "late", "alpha")
    (tmp_path / "server.py").write_text(SERVER.replace("""    elif message["method"] == "tools/list":""", """    elif message["method"] == "tools/list" and not refused:
        refused.append(1)
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32603, "message": "not yet"}}), flush=True)
        print('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}', flush=True)
        continue
    elif message["method"] == "tools/list":""").replace("for line in", "refused = []\nfor line in"))
    with Proxy(folder) as proxy:
        assert proxy.log("discovered MCP tools")["provider"] == "late"
        assert names(proxy) == ["late:alpha"]


def test_a_server_says_that_its_tools_have_changed(tmp_path):
    """It is asked again without a reload, and the tools of others stay."""
    folder = place(tmp_path)
    server(folder, "one", "alpha grow")
    server(folder, "two", "gamma")
    (tmp_path / "server.py").write_text(SERVER.replace("""        result = {"content":""", """        if message["params"]["name"] == "grow":
            open(tools, "w").write("grow omega")
            for _ in range(50):
                print('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}', flush=True)
        result = {"content":"""))
    with Proxy(folder) as proxy:
        assert names(proxy) == ["one:alpha", "one:grow", "two:gamma"]
        for _ in range(2):
            assert proxy.call("one:grow")[0] == 200
        eventually(lambda: names(proxy) == ["one:grow", "one:omega", "two:gamma"], "the tools of now")
        assert proxy.call("one:omega")[0] == 200 and proxy.call("one:alpha")[0] == 404
    found = [json.loads(line)["provider"] for line in proxy.seen if '"message":"discovered MCP tools"' in line]
    assert found.count("two") == 1 and 2 <= found.count("one") < 20  # of a hundred times
