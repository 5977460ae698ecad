"""Tools of MCP servers through the gateway and the command line."""

import base64
import http.client
import json
import os
import sys
import threading

import pytest

from harness.ati import SECRET as SIGNING, Folder, Proxy
from harness.base import PATIENCE, eventually
from harness.mcp import SCRIPT, Server, manifest, script, starts

KEY = "canary-5up3r-s3cr3t-value"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def folder(tmp_path):
    script(tmp_path, mcp_env={"API_KEY": "${my_key}"})
    return Folder(tmp_path, credentials={"my_key": KEY, "other_key": "canary-of-another-provider"})


def test_calls_through_the_gateway(folder, tmp_path):
    with Proxy(folder) as proxy:
        assert proxy.call("script:echo", {"a": 1}) == (200, {"result": {"a": 1}})
        assert proxy.call("script_echo", {"a": 2}) == (200, {"result": {"a": 2}})
        assert proxy.ask("POST", "/call", {"tool_name": "script:echo", "args": [1]})[0::2] == (200, b'{"result":{}}')  # what is no object is none
        assert proxy.call("script:error") == (502, {"result": None, "error": "MCP error: MCP protocol error (code -32050): no luck"})
        failed = {"content": [{"type": "text", "text": "it broke"}], "isError": True}
        assert proxy.call("script:raw", {"result": failed}) == (502, {"result": None, "error": "MCP error: it broke"})
        assert proxy.call("script:exit") == (502, {"result": None, "error": "MCP error: MCP server process exited unexpectedly"})
        answer = proxy.rpc("tools/call", {"name": "script:echo", "arguments": {"b": 1}})
        assert json.loads(answer["result"]["content"][0]["text"]) == {"b": 1} and answer["result"]["isError"] is False
        answer = proxy.rpc("tools/call", {"name": "script:raw", "arguments": {"result": failed}})
        assert answer["result"] == {"content": [{"type": "text", "text": "Error: it broke"}], "isError": True}
        assert len(starts(tmp_path)) == 2  # exit ended the first


ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)
SAYS_KEY = {
    "text": {"content": [{"type": "text", "text": f"my key is {KEY}"}]},
    "failed": {"content": [{"type": "text", "text": f"not with {KEY}"}], "isError": True},
    "failed twice": {"content": [{"type": "text", "text": f"not with {KEY}"}] * 2, "isError": True},
    "structured": {"content": [], "structuredContent": {KEY: [f"x{KEY}y"]}},
    "base64": {"content": [{"type": "image", "data": base64.b64encode(f"a{KEY}".encode()).decode(), "mimeType": "image/png"}]},
    "resource": {"content": [{"type": "resource", "resource": {"uri": "x:y", "text": KEY}}]},
    "document": {"content": [{"type": "text", "text": json.dumps({"key": KEY})}]},
    "escaped document": {"content": [{"type": "text", "text": f'{{"key": "{ESCAPED}"}}'}]},
}


@pytest.mark.parametrize("result", SAYS_KEY.values(), ids=SAYS_KEY)
def test_what_a_server_says_of_its_key_is_masked(folder, result):
    forms = [KEY, ESCAPED, base64.b64encode(f"a{KEY}".encode()).decode()[4:-4]]
    with Proxy(folder) as proxy:
        answers = [json.dumps(proxy.call("script:raw", {"result": result})),
                   json.dumps(proxy.rpc("tools/call", {"name": "script:raw", "arguments": {"result": result}}))]
    for answer in answers:
        assert "[redacted]" in answer and not any(form in answer or json.dumps(form)[1:-1] in answer for form in forms), answer


def test_errors_of_servers_are_masked_before_they_are_cut(tmp_path, stack):
    """What comes behind 64 KiB is not told, nor is the key that stands there, or a part of it."""
    said = []
    server = stack.enter_context(Server(lambda exchange, message: (400, {"Content-Type": "text/plain"}, said[-1])))
    manifest(tmp_path, "web", mcp_transport="http", mcp_url=server.url, auth_type="bearer", auth_key_name="my_key")
    with Proxy(Folder(tmp_path, credentials={"my_key": KEY})) as proxy:
        prefix = len("MCP transport error: [web] HTTP 400: ")
        for kept in (1, 8, len(KEY) - 1, len(KEY), prefix + 1, prefix + 8, prefix + len(KEY) - 1):
            said.append(b"-" * (64 * 1024 - kept) + KEY.encode() + b"-" * 200)
            status, answer = proxy.call("web:t")
            error = answer["error"].partition("HTTP 400: ")[2].strip("-")
            assert status == 502 and any(error == "[redacted]"[:n] for n in range(11)), error


def test_a_server_that_dies_tells_no_part_of_its_key(tmp_path):
    """Of its standard error the end is told: 2000 bytes, of 64 KiB that are kept."""
    key = f"x{KEY}"
    for behind in (1990, 65530):
        folder = tmp_path / str(behind)
        manifest(folder, "dies", mcp_command="sh", mcp_args=["-c", f"printf %s \"$K\" >&2; head -c {behind} /dev/zero | tr '\\0' - >&2; exit 1"],
                 mcp_env={"K": "${my_key}"})
        file = folder / "manifests/dies.toml"
        file.write_text(file.read_text() + '\n[[tools]]\nname = "dies:t"\ndescription = "x"\n')
        with Proxy(Folder(folder, credentials={"my_key": key})) as proxy:
            status, answer = proxy.call("dies:t")
        error = answer["error"].partition("(status 1): ")[2].replace("[redacted]", "")
        assert status == 502 and error.strip("-]redacted") == "" and "value" not in error, error[:100]


def test_lists_and_progress_are_masked(folder, tmp_path):
    file = tmp_path / "server.py"
    file.write_text(LISTS_KEY)
    manifest(tmp_path, "lists", mcp_command=sys.executable, mcp_args=[str(file)], mcp_env={"K": "${my_key}"})
    with Proxy(folder) as proxy:
        answer = proxy.rpc("tools/list")
        tools = {tool["name"]: tool for tool in answer["result"]["tools"] if "lists" in tool["name"]}
        assert [tool["description"] for tool in tools.values()] == ["uses [redacted]"]
        assert KEY not in json.dumps(answer)


LISTS_KEY = """
import json, os, sys
key = os.environ["K"]
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    tools = [{"name": "t", "description": "uses " + key, "inputSchema": {"type": "object", "properties": {"k": {"type": "string", "default": key}}}}]
    result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}, "tools": tools}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


def test_what_a_server_of_the_gateway_sees(folder, tmp_path):
    with Proxy(folder, JWT_UNUSED="x") as proxy:
        assert proxy.call("script:echo")[0] == 200
        pid = starts(tmp_path)[0]
        with open(f"/proc/{pid}/environ", "rb") as file:
            lines = file.read().split(b"\0")
        assert sorted(line for line in lines if line) == sorted([f"PATH={os.environ['PATH']}".encode(), f"HOME={tmp_path}".encode(),
                                                                 f"API_KEY={KEY}".encode()])
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            assert "NoNewPrivs:\t1\n" in file.read()
        descriptors = {os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0] for fd in ("0", "1", "2")}
        assert descriptors == {"pipe"} and len(os.listdir(f"/proc/{pid}/fd")) <= 5
        with open(f"/proc/{proxy.process.pid}/stat", encoding="ascii") as file:
            session = file.read().rpartition(")")[2].split()[3]
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            assert file.read().rpartition(")")[2].split()[2:4] == [pid, pid] != [session, session]
        assert KEY not in "\n".join(proxy.seen)


def test_many_callers_share_a_server(folder, tmp_path):
    with Proxy(folder) as proxy:
        answers, threads = {}, []
        for n in range(60):
            threads.append(threading.Thread(target=lambda n=n: answers.update({n: proxy.call("script:slow", {"seconds": 0.3})})))
            threads[-1].start()
        for thread in threads:
            thread.join(PATIENCE * 2)
        assert set(answers) == set(range(60)) and all(answer == (200, {"result": "late"}) for answer in answers.values())
        assert len(starts(tmp_path)) == 1


def test_a_client_that_leaves_cancels_its_call(folder):
    with Proxy(folder) as proxy:
        assert proxy.call("script:echo")[0] == 200
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE)
        client.request("POST", "/call", json.dumps({"tool_name": "script:hang", "args": {}}), {"Content-Type": "application/json"})
        eventually(lambda: any(said.get("params", {}).get("name") == "hang" for said in proxy.call("script:received")[1]["result"]), "the call")
        client.close()
        eventually(lambda: proxy.call("script:cancelled")[1]["result"], "the word that it was cancelled")


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_servers_end_with_the_gateway(folder, tmp_path, end):
    with Proxy(folder) as proxy:
        assert proxy.call("script:echo")[0] == 200
        pid = starts(tmp_path)[0]
        if end == "kill":
            proxy.kill()
            proxy.close = lambda: None
            eventually(lambda: not alive(pid), "its end")
    assert not alive(pid)


def test_sessions_end_with_the_gateway(tmp_path, stack):
    server = stack.enter_context(Server())
    manifest(tmp_path, "web", mcp_transport="http", mcp_url=server.url, auth_type="bearer", auth_key_name="my_key")
    with Proxy(Folder(tmp_path, credentials={"my_key": KEY})) as proxy:
        assert proxy.call("web:t") == (200, {"result": "done"})
        assert proxy.call("web:t", {"again": True}) == (200, {"result": "done"})
        assert len(server.messages("initialize")) == 1
    assert [asked["headers"]["mcp-session-id"] for asked in server.asked if asked["method"] == "DELETE"] == ["session-1"]
    assert {asked["headers"]["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


GENERATOR = """
[provider.auth_generator]
type = "command"
command = "/bin/echo"
args = ["token-of-${JWT_SUB}"]
"""


def test_each_caller_has_a_server_of_his_credential(tmp_path):
    script(tmp_path)
    file = tmp_path / "manifests/script.toml"
    file.write_text(file.read_text() + GENERATOR)
    folder = Folder(tmp_path, credentials={})
    with Proxy(folder, ATI_JWT_SECRET=SIGNING) as proxy:
        seen = {}
        for sub in ("ann", "bob", "ann"):
            token = folder.token("tool:script:*", sub=sub)
            status, answer = proxy.call("script:environ", token=token)
            assert status == 200, answer
            pid = proxy.call("script:pid", token=token)[1]["result"]
            assert answer["result"]["ATI_AUTH_TOKEN"] == "[redacted]"
            with open(f"/proc/{pid}/environ", "rb") as file:
                given = dict(line.decode().split("=", 1) for line in file.read().split(b"\0") if line)
            seen.setdefault(sub, set()).add((given["ATI_AUTH_TOKEN"], pid))
        assert {sub: {token for token, _ in values} for sub, values in seen.items()} == {"ann": {"token-of-ann"}, "bob": {"token-of-bob"}}
        assert all(len(values) == 1 for values in seen.values())


def test_a_generator_that_fails(tmp_path):
    manifest(tmp_path, "script", mcp_command=sys.executable, mcp_args=[str(SCRIPT), "good"])
    file = tmp_path / "manifests/script.toml"
    file.write_text(file.read_text() + GENERATOR.replace("/bin/echo", "/bin/false") + '\n[[tools]]\nname = "script:echo"\ndescription = "x"\n')
    with Proxy(Folder(tmp_path, credentials={})) as proxy:
        status, answer = proxy.call("script:echo")
        assert status == 502
        assert answer["error"].startswith("MCP error: Missing MCP configuration: auth_generator failed: Generator exited with code 1")


def test_calls_from_the_command_line(folder, tmp_path):
    done = folder.run("run", "script:text", "--text", '{"b": 1.50, "a": 2}', "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"a": 2, "b": 1.5}
    failed = folder.run("run", "script:error", "--x", "1")
    assert failed.returncode != 0 and "MCP protocol error (code -32050): no luck" in failed.stderr
    assert not any(map(alive, starts(tmp_path)))
