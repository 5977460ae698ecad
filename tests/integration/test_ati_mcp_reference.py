"""The client of MCP servers and the reference servers of npm, unmodified."""

import os
import shutil
import subprocess
import time

import pytest

from harness.base import PATIENCE, free_port
from harness.mcp import MODULES, manifest

reference = pytest.mark.skipif(not MODULES.is_dir() or not shutil.which("node"), reason="npm modules of tests/mcp are not installed")


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
