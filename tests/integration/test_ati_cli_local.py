"""`ati` without a proxy: tools of this machine; and the whole way, through a real one."""

import json

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.cli import ECHO, LISTER, error_of, program


# --- without a proxy -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def upstream(stack, folder):
    there = stack.enter_context(Upstream())
    folder.manifest("echo", ECHO.format(url=there.url))
    return there


def test_keys_are_normalised_for_local_tools(folder, upstream):
    for spelling in ("repo-name", "repo_name", "repoName", "REPO_NAME"):
        done = folder.run("run", "echo:get", f"--{spelling}", "x", "--per-page", "5", "--other-key", "1")
        assert done.returncode == 0, done.stderr
        query = json.loads(done.stdout)["path"].partition("?")[2].split("&")
        assert sorted(query) == ["other-key=1", "perPage=5", "repo_name=x"]


def test_a_local_call_is_silent_and_audited(folder, upstream):
    done = folder.run("run", "echo:post", "--a", "1")
    assert done.returncode == 0 and not done.stderr
    assert json.loads(json.loads(done.stdout)["body"]) == {"a": 1}
    (line,) = [json.loads(text) for text in (folder.path / "audit.jsonl").read_text().splitlines()]
    assert (line["tool"], line["args"], line["status"], line["agent_sub"]) == ("echo:post", {"a": 1}, "ok", "dev")


def test_unknown_tools_come_with_suggestions(folder, upstream):
    done = folder.run("run", "nobody")
    assert error_of(done) == {"code": "tool.not_found", "exit_code": 1,
                              "message": "Unknown tool: 'nobody'. Run 'ati tool list' to see available tools."}
    for words in (("run", "echo:gte"), ("tool", "info", "echo:gte")):
        done = folder.run(*words)
        message = error_of(done)["message"]
        assert done.returncode == 1 and message.startswith("Unknown tool: 'echo:gte'. Did you mean one of:\n")
        assert "\n  - echo:get\n" in message and message.endswith("\nRun 'ati tool info <name>' to see parameters.")
    assert not upstream.asked


def test_local_tools_are_listed_and_searched(folder, upstream):
    listed = json.loads(folder.run("tool", "list").stdout)
    assert {"description": "gets", "method": "GET", "provider": "echo", "scope": "tool:echo:get", "tool": "echo:get"} in listed
    assert {"echo:get", "echo:post", "file_manager:download", "file_manager:upload"} == {tool["tool"] for tool in listed}
    assert [tool["tool"] for tool in json.loads(folder.run("tools", "list", "--provider", "echo").stdout)] == ["echo:get", "echo:post"]
    for form in ("text", "table"):
        assert folder.run("--output", form, "tool", "list", "--provider", "echo").stdout == (
            "┌─────────────┬──────────┬───────────┐\n│ DESCRIPTION ┆ PROVIDER ┆ TOOL      │\n╞═════════════╪══════════╪═══════════╡\n"
            "│ gets        ┆ echo     ┆ echo:get  │\n│ posts       ┆ echo     ┆ echo:post │\n└─────────────┴──────────┴───────────┘\n")
    found = json.loads(folder.run("tool", "search", "reading", "echo").stdout)
    assert found[0] == {"category": "tests", "description": "gets", "handler": "http", "provider": "echo", "tags": ["reading"],
                        "tool": "echo:get"}
    done = folder.run("tool", "search", "zzzzzz")
    assert done.returncode == 0 and json.loads(done.stdout) == [] and "no tools match" in done.stderr


def test_what_a_local_tool_takes(folder, upstream):
    info = json.loads(folder.run("tool", "info", "echo:get").stdout)
    assert set(info) == {"name", "description", "provider", "base_url", "method", "endpoint", "scope", "skills", "input_schema"}
    assert info["base_url"] == upstream.url and info["skills"] == ["echoing"]
    text = folder.run("--output", "text", "tool", "info", "echo:get").stdout
    for line in ("Tool:        echo:get", "Provider:    echo (answers with what it was asked)", "Handler:     http",
                 f"Endpoint:    GET {upstream.url}/get", "Description: gets", "Scope:       tool:echo:get", "Category:    tests",
                 "Tags:        reading", "Hint:        try it", "Skills:      echoing", "Input Schema:", "  ati run echo:get --q 1",
                 "  ati run echo:get --perPage <perPage> --repo_name <repo_name>"):
        assert line in text.splitlines(), text


def test_the_help_of_a_program_is_part_of_its_tool(folder, tmp_path):
    command = program(tmp_path / "lister", 'case $1 in --help) echo "no such word" >&2; exit 2;; help) printf "%04000d" 5;; esac\n')
    folder.manifest("lister", LISTER.format(command=command))
    info = json.loads(folder.run("tool", "info", "lister").stdout)
    assert info["help_text"] == "0" * 3000 + "\n[... truncated]"
    program(command, 'test "$1" = --help && echo "  lists things  "\n')
    assert json.loads(folder.run("tool", "info", "lister").stdout)["help_text"] == "lists things"
    text = folder.run("--output", "text", "tool", "info", "lister").stdout
    assert f"Command:     {command}\n" in text and "CLI Usage (from --help):\nlists things\n" in text
    assert f"  ati run lister -- <args>  (passthrough to `{command}`)\n" in text
    program(command, "exit 1\n")
    assert "help_text" not in json.loads(folder.run("tool", "info", "lister").stdout)


SERVER = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    if asked["method"] == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": "add", "description": "adds", "inputSchema": {"type": "object", "properties": {"firstNumber": {}, "b": {}}}}]}
    else:
        arguments = asked["params"]["arguments"]
        result = {"content": [{"type": "text", "text": json.dumps(arguments["firstNumber"] + arguments["b"])}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
open(sys.argv[1], "w").write("ended by itself")
"""


def test_tools_of_mcp_servers_are_found_when_they_are_named(folder, tmp_path):
    script, mark = tmp_path / "server.py", tmp_path / "mark"
    script.write_text(SERVER)
    folder.manifest("sums", f"""\
[provider]
name = "sums"
description = "an MCP server"
handler = "mcp"
mcp_transport = "stdio"
mcp_command = "/usr/bin/python3"
mcp_args = ["{script}", "{mark}"]
""")
    done = folder.run("run", "sums:add", "--first-number", "40", "--b", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")
    assert mark.read_text() == "ended by itself"
    listed = json.loads(folder.run("tool", "list", "--provider", "sums").stdout)
    assert listed == [{"description": "adds", "method": "POST", "provider": "sums", "scope": "tool:sums:add", "tool": "sums:add"}]
    assert "Transport:   MCP (stdio)\n" in folder.run("--output", "text", "tool", "info", "sums:add").stdout
    done = folder.run("run", "sums:odd")
    assert "  - sums:add\n" in error_of(done)["message"]


def test_a_server_that_does_not_answer_is_a_warning(folder, upstream):
    folder.manifest("gone", """\
[provider]
name = "gone"
description = "nobody"
handler = "mcp"
mcp_command = "/nonexistent/server"
""")
    done = folder.run("tool", "list", "--provider", "echo")
    assert done.returncode == 0 and len(json.loads(done.stdout)) == 2
    assert "MCP tool discovery failed" in done.stderr and "provider=gone" in done.stderr
    assert not folder.run("run", "echo:get").stderr


def test_scopes_count_where_tokens_can_be_judged(folder, upstream):
    strict = {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN_FILE": str(folder.path / "no-token")}
    for words in (("run", "echo:get"), ("tool", "list"), ("tool", "info", "echo:get"), ("tool", "search", "get")):
        done = folder.run(*words, **strict)
        message = error_of(done)["message"]
        assert done.returncode != 0 and not done.stdout
        for source in ("ATI_SESSION_TOKEN is required", "ATI_SESSION_TOKEN_FILE", "/run/ati/session_token"):
            assert source in message
    strict["ATI_SESSION_TOKEN"] = "no.such.token"
    assert error_of(folder.run("run", "echo:get", **strict))["message"].startswith("Invalid ATI_SESSION_TOKEN: ")
    strict["ATI_SESSION_TOKEN"] = folder.token("tool:echo:get")
    assert folder.run("run", "echo:get", **strict).returncode == 0
    done = folder.run("run", "echo:post", **strict)
    assert error_of(done) == {"code": "auth.scope_denied", "exit_code": 3, "message": "Access denied: 'echo:post' is not in your scopes"}
    assert [tool["tool"] for tool in json.loads(folder.run("tool", "list", **strict).stdout)] == ["echo:get"]
    done = folder.run("tool", "info", "echo:post", **strict)
    assert error_of(done)["code"] == "tool.not_found" and "  - echo:post" not in done.stderr
    assert len(upstream.asked) == 1


def test_limits_outlive_the_process(folder, upstream):
    strict = {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN": folder.token("tool:*", "--rate", "tool:echo:*=2/day")}
    assert [folder.run("run", "echo:get", **strict).returncode for _ in range(3)] == [0, 0, 5]
    done = folder.run("run", "echo:get", **strict)
    assert error_of(done)["code"] == "rate.exceeded" and "Rate limit exceeded for 'tool:echo:*': 2/day (limit: 2/day)" in done.stderr
    assert len(upstream.asked) == 2


def test_broken_manifests_say_where(folder):
    folder.manifest("bad", "[provider]\nname = 5\n")
    for words in (("run", "x"), ("tool", "list")):
        done = folder.run(*words)
        assert done.returncode != 0 and "bad.toml" in error_of(done)["message"]


# --- the whole way -------------------------------------------------------------------------------------------------------------------------


def test_through_a_real_proxy_with_a_token(folder, upstream, stack, tmp_path):
    there = stack.enter_context(Proxy(folder, ATI_JWT_SECRET=SECRET))
    sandbox = Folder(tmp_path / "sandbox", ATI_PROXY_URL=there.url, ATI_SESSION_TOKEN=folder.token("tool:echo:get"))
    done = sandbox.run("run", "echo:get", "--repo_name", "x")
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["path"] == "/get?repo_name=x"
    assert [tool["name"] for tool in json.loads(sandbox.run("tool", "list").stdout)] == ["echo:get"]
    assert "--repo_name            (string) which one" in sandbox.run("--output", "text", "tool", "info", "echo:get").stdout
    done = sandbox.run("run", "echo:post")
    assert done.returncode == 3 and error_of(done)["code"] == "auth.scope_denied"
    assert sandbox.run("tool", "info", "echo:post").returncode == 1
    done = sandbox.run("run", "echo:get", ATI_SESSION_TOKEN="no.such.token")
    assert error_of(done)["message"] == "Proxy error (401): " and done.returncode == 1
    assert sandbox.run("run", "nobody").returncode == 1
    assert len(upstream.asked) == 1
